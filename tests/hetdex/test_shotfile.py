"""The shot file of a release: read by name, a few rows at a time, never unpickled."""

from __future__ import annotations

import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corecube.archive.reader import Archive
from corecube.frames import Fibers
from corecube.shots import FileInfo, ShotPlan
from corecube_hetdex.astrometry import separation

h5py = pytest.importorskip("h5py")

pytestmark = pytest.mark.xdist_group("hetdex")

ENTRY = "exp01_multi_319_074_052_LU"


def column(fibers: Fibers, name: str) -> Any:
    return next(values for key, values in fibers.columns.items() if key.name == name)


@pytest.fixture(scope="module")
def unpacked(hetdex_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("h5") / "shot.h5"
    (packed,) = (hetdex_data / "shot_h5").glob("*.xz")
    path.write_bytes(lzma.decompress(packed.read_bytes()))
    return path


@pytest.fixture(scope="module")
def frames(unpacked: Path, read: Callable[..., Any]) -> dict[str, Any]:
    found: dict[str, Any] = read(unpacked)[ENTRY]
    return found


def test_it_is_a_shot_of_its_own(archive: Archive) -> None:
    shot = archive.shot("hetdex/20260101v007.h5")
    assert shot.row_count("fibers") == shot.row_count("native") == 112
    assert shot.images == ()  # the one image is of zeros: nothing was measured
    by_name = archive.get("hetdex/20260101v007.h5/fibers/20260101007_1_multi_319_074_052_LU_001")
    assert by_name.name.startswith("hetdex/20260101v007.h5/fibers")


def test_golden_values(frames: dict[str, Any], unpacked: Path) -> None:
    fibers, native = frames["fibers"], frames["native"]
    assert fibers.id[0] == "20260101007_1_multi_319_074_052_LU_001"
    assert fibers.ra[0] == np.float64(np.float32(359.9931))
    assert fibers.dec[0] == pytest.approx(51.391544, abs=1e-6)
    assert column(fibers, "fpx")[0] == pytest.approx(61.5, abs=1e-5)
    wave = native.wave.wavelength()[40]
    assert (wave[0], wave[-1]) == (3494.0, 5498.0)
    assert 2 * np.nansum(fibers.flux[40], dtype=float) == pytest.approx(-3.6, abs=1e-4)
    assert column(fibers, "response_4540")[0] == pytest.approx(0.118119)
    assert column(fibers, "fwhm")[0] == pytest.approx(1.7)
    assert column(fibers, "field")[0] == "other"
    with h5py.File(unpacked) as file:
        rows = file["Data/Fibers"][:]
    np.testing.assert_array_equal(2 * np.nan_to_num(fibers.flux), rows["calfib"])
    np.testing.assert_array_equal(native.layers["trace"].values, rows["trace"])


def test_zero_is_unknown(frames: dict[str, Any]) -> None:
    fibers = frames["fibers"]
    assert np.isnan(column(fibers, "relflux")).all()
    assert any("float32" in note for note in fibers.provenance.notes)
    assert np.isnan(column(fibers, "table_offset")).all()


def test_time_of_the_first_exposure(frames: dict[str, Any]) -> None:
    from astropy.time import Time

    times = frames["fibers"].times
    expected = Time("2026-01-01T07:12:31.5", scale="utc").tai.mjd
    assert float(times.start) == pytest.approx(expected, abs=1e-9)  # mjd is a float32, off by 31 s
    assert float(times.end - times.start) * 86400 == pytest.approx(361, abs=1e-3)


def test_positions_in_float64_where_the_shot_has_its_place(
    unpacked: Path, tmp_path: Path, read: Callable[..., Any], truth: Any
) -> None:
    path = tmp_path / "filled.h5"
    path.write_bytes(unpacked.read_bytes())
    with h5py.File(path, "r+") as file:
        # field by field: h5py would cut the last letter of PyTables' texts
        for name, part in (("ra", "ra0"), ("dec", "dec0"), ("pa", "pa")):
            file["Shot"][name] = np.array([truth[part]])
    fibers = read(path)[ENTRY]["fibers"]
    assert not any("float32" in note for note in fibers.provenance.notes)
    offset = column(fibers, "table_offset")
    assert 0 < offset.max() < 0.06  # half a step of float32 at RA 360 is 0.055 arcsec
    # the same fibre as in the multi file: golden position of its neighbour's amplifier
    assert fibers.ra[0] == pytest.approx(359.9931, abs=2e-5)


def test_rows_in_any_order_and_in_pieces(
    unpacked: Path, tmp_path: Path, read: Callable[..., Any], frames: dict[str, Any]
) -> None:
    path = tmp_path / "mixed.h5"
    path.write_bytes(unpacked.read_bytes())
    order = np.random.default_rng(1).permutation(112)
    with h5py.File(path, "r+") as file:
        table = file["Data/Fibers"]
        rows = table[:][order]
        rows["expnum"][:20] = 2  # another exposure in front of the first
        for name in ("expnum", "fibnum", "calfib", "calfibe", "wavelength", "ra"):
            table[name] = rows[name]
    found = read(path)
    assert set(found) == {ENTRY, ENTRY.replace("exp01", "exp02")}
    first = found[ENTRY]["fibers"]
    numbers = column(first, "fibnum")
    assert (np.diff(numbers) > 0).all() and len(numbers) == 92
    np.testing.assert_array_equal(first.flux, frames["fibers"].flux[numbers - 1])


def test_a_pickle_in_it_is_not_run(
    unpacked: Path, tmp_path: Path, read: Callable[..., Any]
) -> None:
    path, marker = tmp_path / "hostile.h5", tmp_path / "marker"
    path.write_bytes(unpacked.read_bytes())
    attack = f"cos\nsystem\n(S'touch {marker}'\ntR."
    with h5py.File(path, "r+") as file:
        for place in ("/", "/Data", "/Shot", "/Data/Fibers"):
            file[place].attrs["header_exp09"] = np.bytes_(attack)
    assert ENTRY in read(path)
    assert not marker.exists()


def test_flags_of_the_survey_are_taken(
    unpacked: Path, tmp_path: Path, read: Callable[..., Any]
) -> None:
    path = tmp_path / "flags.h5"
    path.write_bytes(unpacked.read_bytes())
    with h5py.File(path, "r+") as file:
        ids = file["Data/Fibers"]["fiber_id"][:]
        rows = np.zeros(112, [("fiber_id", "S38"), ("calfib_dq", "<i2", (1036,))])
        rows["fiber_id"] = ids
        rows["calfib_dq"][7, 100] = 1024
        file["CalfibDQ"] = rows
    fibers = read(path)[ENTRY]["fibers"]
    flags = fibers.bits["dq"].values
    assert flags[7, 100] == 1024 and np.count_nonzero(flags) == 1
    assert fibers.bits["dq"].planes[10] == "SATELLITE"


def test_entries_are_planned_by_amplifier(
    unpacked: Path, plan_of: Callable[..., list[ShotPlan]],
    identified: Callable[..., list[FileInfo]],
) -> None:  # fmt: skip
    (plan,) = plan_of(unpacked)
    assert plan.key == "20260101v007.h5" and list(plan.entries) == [ENTRY]
    (info,) = identified(unpacked)
    assert info.facts["rows"] == {ENTRY: [[0, 112]]}


def test_it_agrees_with_the_files_of_the_amplifier(archive: Archive) -> None:
    """The shot file was made of one amplifier of the shot by the survey's own scripts."""
    one, other = (archive.shot(f"hetdex/{name}") for name in ("20260101v007.h5", "20260101v007"))
    ids = other.texts("/fibers/fibers/id")
    first = ids.index("20260101007_1_multi_319_074_052_LU_001")
    for group in ("fibers", "native"):
        release, files = one.rows(group, 0, 112), other.rows(group, first, first + 112)
        assert release.id == files.id and release.unit == files.unit
        assert release.wave.medium == files.wave.medium
        np.testing.assert_array_equal(release.wave.wavelength(), files.wave.wavelength())
        np.testing.assert_array_equal(release.flux, files.flux)
        assert release.error is not None and files.error is not None
        np.testing.assert_array_equal(release.error, files.error)
        assert release.mask is not None and files.mask is not None
        np.testing.assert_array_equal(release.mask, files.mask)
        np.testing.assert_array_equal(release.bits["dq"].values, files.bits["dq"].values)
        assert release.layers.keys() == files.layers.keys()
        for name, layer in release.layers.items():
            assert layer.unit == files.layers[name].unit
            np.testing.assert_array_equal(layer.values, files.layers[name].values, err_msg=name)
        # float32 of the release: steps of 0.11 arcsec in RA, which cos(dec) makes smaller
        assert separation(release.ra, release.dec, files.ra, files.dec).max() < 0.05
        if group == "fibers":
            start = np.broadcast_to(files.times.start, (112,))
            np.testing.assert_allclose(release.times.start, start, rtol=0, atol=1e-9)
            for name in ("ifux", "ifuy", "fpx", "fpy"):
                np.testing.assert_allclose(column(release, name), column(files, name), atol=2e-5)
            for name in ("multiframe", "fibnum", "shotid", "contid", "fiber_to_fiber"):
                np.testing.assert_array_equal(column(release, name), column(files, name))
