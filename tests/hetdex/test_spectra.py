"""Rectified and native spectra of the simulated shot against golden values and its faults."""

from __future__ import annotations

import bz2
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corecube.archive.reader import Archive
from corecube.frames import Column, Fibers
from corecube.masks import valid, value
from corecube.pipeline import Report
from corecube.units import FLUX_DENSITY
from corecube_hetdex import plugin
from corecube_hetdex.quality import NAMES, nearest_native
from corecube_hetdex.settings import HetdexConfig

pytestmark = pytest.mark.xdist_group("hetdex")

Amplifier = Callable[[str], dict[str, Any]]
SHOT = "hetdex/20260101v007"


def column(fibers: Fibers, name: str) -> Any:
    found: dict[Column, Any] = dict(fibers.columns)
    return next(values for key, values in found.items() if key.name == name)


def bit(name: str) -> int:
    return 1 << NAMES.index(name)


def raw(path: Path, hdu: int | str) -> Any:
    from astropy.io import fits

    with bz2.open(path) as file, fits.open(file) as opened:
        return np.array(opened[hdu].data)


# -- the archive ---------------------------------------------------------------------------------


def test_nothing_fails(first: tuple[Path, Report]) -> None:
    counts = first[1].counts
    assert counts["ingested"] == 28 and counts.get("failed", 0) == 0
    waiting = [file.path for file in first[1].files if file.state == "waiting"]
    assert [Path(path).name for path in waiting] == ["fplane.txt"]  # of a shot that is not here


def test_a_second_run_writes_nothing(first: tuple[Path, Report], hetdex_data: Path) -> None:
    from corecube.pipeline import ingest
    from corecube.plugins import load

    path = first[0]
    before = {p: p.stat().st_mtime_ns for p in path.rglob("*")}
    caller = load("hetdex")
    report = ingest([str(hetdex_data)], path, caller, caller.instrument.config())
    assert report.counts["unchanged"] == 28
    assert {p: p.stat().st_mtime_ns for p in path.rglob("*")} == before


@pytest.mark.parametrize(
    ("ra", "dec", "count", "closest", "distance"),
    [
        (359.9980876753, 51.3967966176, 14, "2_multi_319_074_052_RL_032", 0.576975),
        (0.005367688166870721, 51.39543976022995, 16, "2_multi_319_074_052_RL_019", None),
        (0.0055052994819675405, 51.391519704394575, 15, "2_multi_319_074_052_LL_026", None),
        (359.99841307354967, 51.39369699077781, 15, "3_multi_319_074_052_LL_019", None),
    ],
)
def test_cones_at_sources(
    archive: Archive, ra: float, dec: float, count: int, closest: str, distance: float | None
) -> None:
    found = archive.cone((ra, dec), "3 arcsec", where="shot == '20260101v007'").fibers
    ids = found["id"].values
    assert len(ids) == count
    assert ids[0] == f"20260101007_{closest}"
    if distance is not None:
        # arcsec; positions of the golden value have 7 decimals
        assert found["separation"].values[0] == pytest.approx(distance, abs=3e-4)


def test_cones_across_ra_0(archive: Archive) -> None:
    found = archive.cone((359.9999, 51.399023529), "60 arcsec", where="shot == '20260101v007'")
    ra: Any = found.fibers["ra"].values
    assert len(ra) == 1344
    assert np.count_nonzero(ra < 180) == 650
    assert len(archive.cone((0.0, 51.35), "10 arcsec").fibers) == 0


def test_short_and_long_names(archive: Archive) -> None:
    name = f"{SHOT}/fibers/20260101007_2_multi_404_073_071_RL_057"
    (by_alias,) = archive.find("20260101v007_2_073_RL_057")
    assert by_alias.name == name == archive.get(name).name
    related = archive.get(name).related()  # type: ignore[union-attr]
    assert [row.group for row in related] == ["native"]


def test_shot_has_all_fibres_and_images(archive: Archive) -> None:
    shot = archive.shot(SHOT)
    assert shot.row_count("fibers") == shot.row_count("native") == 2576
    assert shot.images == ("exp01_multi_319_074_052_RU",)
    native = shot.rows("native", 0, 1)
    assert native.parent == "fibers" and native.wave.wavelength().shape == (1, 1032)


def test_place_on_the_detector(archive: Archive) -> None:
    shot = archive.shot(SHOT)
    ids = np.array(shot.texts("/fibers/fibers/id"))
    row = int(np.flatnonzero(ids == "20260101007_1_multi_319_074_052_RU_064")[0])
    found = shot.locate("native", row, 4321.55)
    assert found is not None
    assert found[0] == "exp01_multi_319_074_052_RU"
    assert (round(found[1]), round(found[2])) == (584, 430)
    # an amplifier without an image
    row = int(np.flatnonzero(ids == "20260101007_2_multi_319_074_052_RU_064")[0])
    assert shot.locate("native", row, 4321.55) is None


# -- positions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "fibnum", "ra", "dec", "fpx", "fpy"),
    [
        ("exp01_multi_319_074_052_LL", 1, 0.0005254, 51.3936515, 48.790, 149.710),
        ("exp03_multi_319_074_052_RU", 64, 359.9977778, 51.3998117, 62.715, 168.040),
        ("exp02_multi_404_073_071_RL", 57, 359.9623501, 51.4049685, 143.515, 155.930),
    ],
)
def test_golden_positions(
    amplifier: Amplifier, entry: str, fibnum: int, ra: float, dec: float, fpx: float, fpy: float
) -> None:
    fibers = amplifier(entry)["fibers"]
    assert fibers.ra.dtype == np.float64
    # golden values have 7 decimals: 0.0004 arcsec
    assert fibers.ra[fibnum - 1] == pytest.approx(ra, abs=1.5e-7)
    assert fibers.dec[fibnum - 1] == pytest.approx(dec, abs=1e-7)
    assert column(fibers, "fpx")[fibnum - 1] == pytest.approx(fpx, abs=1e-6)
    assert column(fibers, "fpy")[fibnum - 1] == pytest.approx(fpy, abs=1e-6)


def test_positions_agree_with_the_table(archive: Archive) -> None:
    for block in archive.shot(SHOT).blocks("fibers"):
        offset = column(block, "table_offset")
        # of 7 decimals; radec2_final has 7 too
        assert offset.max() < 0.0004
        assert not any("dithall" in note for note in block.provenance.notes)


def test_without_astrometry_the_table_is_taken(
    shot_folder: Path, tmp_path: Path, read: Callable[..., Any]
) -> None:
    entry = "exp02_multi_404_073_071_RL"
    paths = [
        shot_folder / "virus0000007/exp02/virus/multi_404_073_071_RL.fits.bz2",
        shot_folder / "dithall" / "20260101v007.dithall",
    ]
    fibers = read(*paths)[entry]["fibers"]
    assert fibers.ra[56] == 359.9623501 and fibers.dec[56] == 51.4049685
    assert any(
        "those of the dithall table: there is no radec2" in n for n in fibers.provenance.notes
    )
    assert np.isnan(column(fibers, "table_offset")).all()
    # and there is no calibrated flux, which is said and masked
    assert np.isnan(fibers.flux).all()
    assert (fibers.mask & np.uint32(value("not_calibrated")) != 0).all()
    assert any("no cal file" in note for note in fibers.provenance.notes)
    lonely = read(paths[0])[entry]["fibers"]
    assert np.isnan(lonely.ra).all()
    assert any("no positions" in note for note in lonely.provenance.notes)


def test_fplane_of_another_night_is_not_taken(
    shot_folder: Path, tmp_path: Path, read: Callable[..., Any]
) -> None:
    folder = tmp_path / "20260101v007"
    folder.mkdir()
    text = (shot_folder / "fplane.txt").read_text().replace("404 118 071", "405 118 071")
    (folder / "fplane.txt").write_text(text)
    paths = [
        shot_folder / "virus0000007/exp02/virus/multi_404_073_071_RL.fits.bz2",
        shot_folder / "dithall" / "20260101v007.dithall", shot_folder / "radec2_final.dat",
        folder / "fplane.txt",
    ]  # fmt: skip
    fibers = read(*paths)["exp02_multi_404_073_071_RL"]["fibers"]
    assert any("of another night" in note for note in fibers.provenance.notes)
    assert fibers.ra[56] == 359.9623501


# -- values --------------------------------------------------------------------------------------


def test_flux_is_half_of_the_file_exactly(amplifier: Amplifier, shot_folder: Path) -> None:
    fibers = amplifier("exp02_multi_404_073_071_RU")["fibers"]
    cal = shot_folder / "cal" / "20260101v007_404_073_071_cal.fits.bz2"
    first = 448 + 336
    stored = raw(cal, 0)[first : first + 112]
    error = raw(cal, 1)[first : first + 112]
    good = np.isfinite(fibers.flux)
    assert fibers.unit == FLUX_DENSITY
    np.testing.assert_array_equal(fibers.flux[good] * 2, stored[good])
    np.testing.assert_array_equal(fibers.error[good] * 2, error[good])
    assert 2 * fibers.flux[110].astype(float).sum() == pytest.approx(2534.000, abs=1e-3)
    assert 2 * fibers.error[110, 515] == 0.36328125
    np.testing.assert_array_equal(fibers.wave.wavelength(), 3470 + 2.0 * np.arange(1036))
    assert fibers.wave.medium == "air"
    np.testing.assert_array_equal(
        fibers.layers["ffsky"].values * 2, raw(cal, 4)[first : first + 112]
    )


def test_native_is_as_in_the_file(amplifier: Amplifier, shot_folder: Path) -> None:
    native = amplifier("exp01_multi_319_074_052_RU")["native"]
    path = shot_folder / "virus0000007/exp01/virus/multi_319_074_052_RU.fits.bz2"
    np.testing.assert_array_equal(native.flux, raw(path, "SKY_SUBTRACTED"))
    np.testing.assert_array_equal(native.error, raw(path, "ERROR1D"))
    for layer, name in (("trace", "TRACE"), ("sky", "SKY_SPECTRUM"), ("chi2", "CHI2")):
        np.testing.assert_array_equal(native.layers[layer].values, raw(path, name))
    trace = native.layers["trace"].values
    assert [trace[0, place] for place in (0, 515, 1031)] == [10.40625, 8.59375, 11.59375]
    wave = native.wave.wavelength()
    assert wave.dtype == np.float64
    assert (wave[0, 0], wave[0, -1]) == (3505.0, 5509.0)
    assert (wave[55, 0], wave[55, -1]) == (3493.0, 5497.0)


def test_times_are_those_of_each_exposure(amplifier: Amplifier) -> None:
    from astropy.time import Time

    for number, clock in ((1, "07:12:31.5"), (2, "07:12:32.5")):
        times = amplifier(f"exp{number:02d}_multi_319_074_052_LL")["fibers"].times
        start = Time(f"2026-01-01T{clock}", scale="utc").tai.mjd
        assert float(times.start) == pytest.approx(start, abs=1e-9)
        assert float(times.end - times.start) * 86400 == pytest.approx(360 + number, abs=1e-4)
        assert times.quality == "exact"


def test_columns(amplifier: Amplifier) -> None:
    fibers = amplifier("exp02_multi_404_073_071_RL")["fibers"]
    promised = plugin.corecube_archive_columns(HetdexConfig())["fibers"]
    assert tuple(fibers.columns) == tuple(promised)
    assert all(c.description for c in promised)
    assert column(fibers, "relflux")[0] == np.float32(0.88)
    assert column(fibers, "fwhm")[0] == np.float32(1.7)
    assert column(fibers, "response_4540")[0] == pytest.approx(0.118119)
    assert column(fibers, "contid")[0] == "S/N 0077"
    assert set(column(fibers, "object")) == {"SIM073_E"} or column(fibers, "object")[0]
    assert {len(name) for name in fibers.id} == {38}


def test_counts_lead_to_flux(amplifier: Amplifier) -> None:
    fibers = amplifier("exp01_multi_319_074_052_LU")["fibers"]
    factors = plugin.corecube_calibration_factors(fibers, HetdexConfig())
    assert [factor.name for factor in factors] == ["conversion", "pixel"]
    counts = fibers.layers["counts"].values.astype(np.float64)
    flux = counts
    for factor in factors:
        flux = factor.apply(flux)
    good = np.isfinite(fibers.flux)
    # counts, flux and their errors are four independent float32 arrays
    np.testing.assert_allclose(flux[good], fibers.flux[good], rtol=5e-7, atol=1e-9)


# -- faults --------------------------------------------------------------------------------------


def test_dead_fibre(amplifier: Amplifier) -> None:
    for number in (1, 2, 3):
        frames = amplifier(f"exp{number:02d}_multi_319_074_052_LL")
        fibers, native = frames["fibers"], frames["native"]
        assert np.isnan(fibers.flux[55]).all() and np.isnan(fibers.error[55]).all()
        flags = fibers.bits["dq"].values[55]
        dead = bit("MAIN") | bit("FTF") | bit("PIXMASK")
        assert np.count_nonzero(flags == dead) == 1036 - 12
        assert np.count_nonzero(flags == dead | bit("BADCAL")) == 12
        assert not valid(fibers.mask[55]).any() and not valid(native.mask[55]).any()
        assert np.isfinite(fibers.ra[55])  # it has a place all the same


def test_ten_bins_without_data(amplifier: Amplifier) -> None:
    fibers = amplifier("exp03_multi_319_074_052_LU")["fibers"]
    lost = np.flatnonzero(np.isnan(fibers.flux[40]))
    np.testing.assert_array_equal(lost, np.arange(300, 310))
    assert (fibers.bits["dq"].values[40, 300:310] & bit("MAIN") != 0).all()
    assert (fibers.mask[40, 300:310] & np.uint32(value("no_data")) != 0).all()
    # a flux of zero with an error is data
    assert np.count_nonzero(fibers.flux == 0) > 0


def test_bits_of_the_shot(archive: Archive) -> None:
    chance = 0
    for block in archive.shot(SHOT).blocks("fibers", 112):
        flags = block.bits["dq"].values
        number = column(block, "fibnum")
        high = flags & bit("CHI2FIB") != 0
        assert high[number == 100].all() and not high[number != 100].any()
        badcal = flags & bit("BADCAL") != 0
        assert (np.flatnonzero(badcal.all(axis=0)) == np.arange(32, 44)).all()
        assert badcal.sum() == 12 * len(flags)
        alive = flags & bit("FTF") == 0
        chance += int(np.count_nonzero((flags & bit("PIXMASK") != 0) & alive))
        assert not np.any(flags & bit("THROUGHPUT"))
    native = 0
    for block in archive.shot(SHOT).blocks("native", 112):
        flags = block.bits["dq"].values
        native += int(np.count_nonzero((flags & bit("PIXMASK") != 0) & (flags & bit("FTF") == 0)))
    assert native == 42
    # counted with argmin over all pixels: five of the 42 are nearest to no rectified pixel
    assert chance == 37


def test_missing_amplifier_is_missing(archive: Archive) -> None:
    shot = archive.shot(SHOT)
    ids = shot.texts("/fibers/fibers/id")
    assert not any("_2_multi_404_073_071_LU_" in name for name in ids)
    assert sum("_multi_404_073_071_LU_" in name for name in ids) == 224


def test_rows_of_zeros_are_told(
    shot_folder: Path, tmp_path: Path, read: Callable[..., Any]
) -> None:
    # the file of the amplifier that was missing when the cal file was made turns up
    folder = tmp_path / "exp02" / "virus"
    folder.mkdir(parents=True)
    source = shot_folder / "virus0000007/exp01/virus/multi_404_073_071_LU.fits.bz2"
    (folder / source.name).write_bytes(source.read_bytes())
    cal = shot_folder / "cal" / "20260101v007_404_073_071_cal.fits.bz2"
    fibers = read(folder / source.name, cal)["exp02_multi_404_073_071_LU"]["fibers"]
    assert np.isnan(fibers.flux).all()
    assert any("only zeros for this amplifier" in note for note in fibers.provenance.notes)


def test_nearest_pixel_against_brute_force() -> None:
    rng = np.random.default_rng(5)
    wavelength = 3480.0 + np.cumsum(rng.uniform(1.0, 3.0, (7, 1032)), axis=1)
    wave = np.linspace(3470.0, 5540.0, 1036)
    found = nearest_native(wavelength, wave)
    for row, places in zip(wavelength, found, strict=True):
        expected = np.abs(row[None, :] - wave[:, None]).min(axis=1)
        np.testing.assert_allclose(np.abs(row[places] - wave), expected)


def test_an_hdu_may_be_missing(shot_folder: Path, tmp_path: Path, read: Callable[..., Any]) -> None:
    from astropy.io import fits

    source = shot_folder / "virus0000007/exp01/virus/multi_404_073_071_LU.fits.bz2"
    path = tmp_path / "exp01.fits"
    with bz2.open(source) as file, fits.open(file) as opened:
        for name in ("CHI2", "ERROR1D", "WAVELENGTH"):
            del opened[name]
        opened["TRACE"].name = "trace"
        opened.writeto(path)
    frames = read(path)["exp01_multi_404_073_071_LU"]
    native = frames["native"]
    assert np.isnan(native.wave.wavelength()).all() and np.isnan(native.error).all()
    assert np.isnan(native.layers["chi2"].values).all()
    assert np.isfinite(native.layers["trace"].values).all()
    assert any("no wavelength" in note for note in native.provenance.notes)
    assert (native.mask & np.uint32(value("no_error")) != 0).all()
