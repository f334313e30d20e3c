"""Spec files against golden values, and against astropy's reading of them."""

from __future__ import annotations

import gzip
import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose

from corecube.errors import FileNotUnderstood
from corecube.frames import Fibers
from corecube.masks import counts, value
from corecube_sdss import plugin
from corecube_sdss.settings import SdssConfig
from corecube_sdssfiles.objectid import ObjID, SpecObjID, number_of, run2d_number
from corecube_sdssfiles.spec import SpecFile, error_of_ivar

GOLDEN = runpy.run_path(str(Path(__file__).with_name("golden.py")))
Get = Callable[[str], Mapping[str, Fibers]]
CONFIG = SdssConfig()


def columns(fibers: Fibers) -> dict[str, Any]:
    return {column.name: values[0] for column, values in fibers.columns.items()}


def open_fits(sdss_data: Path, name: str) -> Any:
    (path,) = (
        p for folder in ("spectra", "spectra-full") for p in (sdss_data / folder).glob(f"{name}*")
    )
    return fits.open(path)


@pytest.mark.parametrize("row", GOLDEN["SPECTRA"], ids=lambda row: row[0])
def test_coadds(sdss_data: Path, spectra: Get, row: tuple[Any, ...]) -> None:
    name, pixels, (first, last), lost, total_flux, total_ivar = row
    coadd = spectra(name)["coadd"]
    assert coadd.error is not None and coadd.mask is not None
    assert coadd.flux.shape == (1, pixels) and coadd.flux.dtype == np.float32
    assert coadd.wave.is_grid
    assert (coadd.wave.first, coadd.wave.first + coadd.wave.count - 1) == (first, last)
    assert (coadd.wave.medium, coadd.wave.specsys) == ("vacuum", "heliocentric")
    assert_allclose(coadd.flux.sum(dtype=np.float64), total_flux, rtol=1e-9)
    assert counts(coadd.mask).get("no_data", 0) == lost
    assert np.array_equal(np.isnan(coadd.error), (coadd.mask & value("no_error")) != 0)
    with open_fits(sdss_data, name) as theirs:
        table = theirs[1].data
        ivar = table["ivar"].astype(np.float64)
        assert_allclose(ivar.sum(), total_ivar, rtol=1e-9, atol=5e-7)  # six decimals
        good = ivar > 0
        assert_allclose(coadd.error[0, good], 1 / np.sqrt(ivar[good]), rtol=1e-7)
        assert np.isnan(coadd.error[0, ~good]).all()
        assert np.array_equal(coadd.flux[0], table["flux"])  # the interpolation stays, masked
        for layer in ("sky", "wdisp", "model"):
            assert np.array_equal(coadd.layers[layer].values[0], table[layer])
        for mask in ("and_mask", "or_mask"):
            assert np.array_equal(coadd.bits[mask].values[0], table[mask])
        bright = (table["and_mask"] & 1 << 23) != 0
        assert np.array_equal((coadd.mask[0] & value("bright_sky")) != 0, bright)
        # The float32 loglam of the file is up to 2.4e-7 dex from the grid.
        assert_allclose(np.log10(coadd.wave.wavelength()), table["loglam"], rtol=0, atol=2.5e-7)
        assert coadd.ra[0] == theirs[0].header["PLUG_RA"]
        assert coadd.dec[0] == theirs[0].header["PLUG_DEC"]


@pytest.mark.parametrize("row", GOLDEN["SPECTRA"], ids=lambda row: row[0])
def test_columns(sdss_data: Path, spectra: Get, row: tuple[Any, ...]) -> None:
    ours = columns(spectra(row[0])["coadd"])
    promised = [column.name for column in plugin.corecube_archive_columns(CONFIG)["coadd"]]
    assert list(ours) == promised
    with open_fits(sdss_data, row[0]) as theirs:
        record = theirs[2].data[0]
        for name, source in (("plate", "PLATE"), ("mjd", "MJD"), ("fiber", "FIBERID")):
            assert ours[name] == record[source]
        for name in ("class", "subclass", "run2d", "z", "z_err", "zwarning", "rchi2"):
            assert ours[name] == record[name.upper()], name
        assert ours["sn_median"] == record["SN_MEDIAN_ALL"]
        assert [ours[f"spectroflux_{band}"] for band in "ugriz"] == record["SPECTROFLUX"].tolist()
        assert ours["specobjid"] == int(record["SPECOBJID"])
        assert ours["objid"] == int(
            record["BESTOBJID" if "BESTOBJID" in theirs[2].columns.names else "OBJID"]
        )
        if record["VDISP_ERR"] == 0:
            assert np.isnan(ours["vdisp"]) and np.isnan(ours["vdisp_err"])
        number = SpecObjID.from_number(int(ours["specobjid"]))
        assert (number.plate, number.fiber, number.mjd) == (
            ours["plate"],
            ours["fiber"],
            ours["mjd"],
        )
        assert number.run2d == run2d_number(ours["run2d"])
        assert number.number() == int(ours["specobjid"])


def test_times_of_lite_and_full_files(spectra: Get) -> None:
    # Nights of MJDLIST; night N begins at MJD N - 0.3.
    for name, first, last in (
        ("spec-3126-54804-0211", 54803, 54804),
        ("spec-7330-56684-0434", 56679, 56684),
        ("spec-4500-55543-0331", 55543, 55543),
    ):
        times = spectra(name)["coadd"].times
        assert times.quality == "night"
        assert_allclose(times.span, (first - 0.3, last + 0.7), rtol=0, atol=1e-9)
    groups = spectra("spec-1325-52762-0133")
    assert groups["coadd"].times.quality == "exact"
    begin, end = 4558582364.0 / 86400, 4558668924.0 / 86400  # first TAI-BEG, last TAI-END
    assert_allclose(groups["coadd"].times.span, (begin, end), rtol=0, atol=1e-9)
    exposure = groups["b1-00020756"]
    assert exposure.times.quality == "exact"
    span = (4558666931.0 / 86400, 4558667858.0 / 86400)
    assert_allclose(exposure.times.span, span, rtol=0, atol=1e-9)
    assert columns(exposure)["exptime"] == np.float32(900.1)


@pytest.mark.parametrize(
    ("name", "hdus"),
    [("spec-1325-52762-0133", range(4, 10)), ("spec-7338-57859-0739", range(4, 10))],
)
def test_exposures(sdss_data: Path, spectra: Get, name: str, hdus: range) -> None:
    groups = spectra(name)
    assert len(groups) == 7
    with open_fits(sdss_data, name) as theirs:
        for hdu in hdus:
            camera, number = theirs[hdu].name.split("-")[:2]
            exposure = groups[f"{camera.lower()}-{number}"]
            assert (exposure.parent, exposure.parent_id, exposure.id) == (
                "coadd",
                (name[-4:],),
                (name[-4:],),
            )
            table = theirs[hdu].data
            falling = table["loglam"][0] > table["loglam"][-1]
            assert falling == columns(exposure)["reversed"]
            assert falling == (name == "spec-1325-52762-0133" and camera == "B1")
            order = slice(None, None, -1 if falling else 1)
            assert np.array_equal(exposure.flux[0], table["flux"][order])
            wavelength = exposure.wave.wavelength()[0]
            assert np.all(np.diff(wavelength) > 0)
            assert_allclose(wavelength, 10.0 ** table["loglam"][order].astype(float), rtol=1e-14)
            assert exposure.error is not None
            good = table["ivar"][order] > 0
            expected = 1 / np.sqrt(table["ivar"][order][good].astype(float))
            assert_allclose(exposure.error[0, good], expected, rtol=1e-7)
            assert np.array_equal(exposure.bits["mask"].values[0], table["mask"][order])
            (factor,) = plugin.corecube_calibration_factors(exposure, CONFIG)
            with np.errstate(divide="ignore", invalid="ignore"):
                electrons = exposure.flux.astype(float) / exposure.layers["calib"].values
            some = np.isfinite(electrons)
            assert some.sum() > 1900
            assert_allclose(factor.apply(electrons)[some], exposure.flux[some], rtol=1e-12)
    assert plugin.corecube_calibration_factors(groups["coadd"], CONFIG) == ()


@pytest.mark.parametrize(("name", "group", "slope", "floor"), GOLDEN["NOISE_LINES"])
def test_noise_line_of_exposures(
    spectra: Get, name: str, group: str, slope: float, floor: float
) -> None:
    check = plugin.corecube_check_noise(spectra(name.split(".")[0])[group], CONFIG)
    assert check is not None
    # Golden to five digits; which outlier is at the border depends on the rounding of sigma.
    assert check.slope == pytest.approx(slope, rel=2e-4)
    assert check.floor == pytest.approx(floor, rel=2e-4)


@pytest.mark.parametrize(("name", "width"), [("blue_star", 1.44), ("spec-3126-54804-0211", 1.045)])
def test_noise_check_of_coadds(spectra: Get, name: str, width: float) -> None:
    check = plugin.corecube_check_noise(spectra(name)["coadd"], CONFIG)
    assert check is not None and check.width == pytest.approx(width, abs=0.005)
    assert np.isnan(check.slope)


def test_exposures_can_be_left_out(sdss_data: Path, read_frames: Any) -> None:
    path = sdss_data / "spectra-full/spec-7338-57859-0739.fits"
    frames = read_frames(path, config=SdssConfig(exposures=False))
    assert [frame.name for frame in frames] == ["coadd"]


def test_object_numbers() -> None:
    parts = ObjID.from_number(1237666407922335825)
    assert (parts.sky_version, parts.rerun, parts.run) == (2, 301, 4874)
    assert (parts.camcol, parts.first_field, parts.field, parts.id) == (3, 0, 677, 81)
    assert parts.number() == 1237666407922335825
    star = SpecObjID.from_number(8252965726307983360)
    assert (star.plate, star.fiber, star.mjd, star.run2d, star.line) == (7330, 434, 56684, 1000, 0)
    assert SpecObjID.from_number(3519621188626259968) == SpecObjID(3126, 211, 54804, 104, 0)
    assert run2d_number("v5_10_0") == 1000 and run2d_number("104") == 104
    with pytest.raises(FileNotUnderstood, match="RUN2D"):
        run2d_number("v5")
    assert number_of("   1491853981666797568") == 1491853981666797568
    assert number_of("") is None and number_of("0") is None


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**64 - 1))
def test_object_numbers_come_back(objid: int, specobjid: int) -> None:
    assert ObjID.from_number(objid).number() == objid
    assert SpecObjID.from_number(specobjid).number() == specobjid


@given(hnp.arrays(np.float32, st.integers(1, 30)))
def test_errors_of_any_inverse_variance(ivar: Any) -> None:
    flux = np.ones(ivar.shape, np.float32)
    error, mask, notes = error_of_ivar(ivar, flux)
    good = np.isfinite(ivar) & (ivar > 0)
    assert np.array_equal(np.isfinite(error), good)
    assert_allclose(error[good].astype(float) ** 2 * ivar[good].astype(float), 1.0, rtol=1e-6)
    assert np.array_equal((mask & value("no_error")) != 0, ~good)
    assert np.array_equal((mask & value("negative_variance")) != 0, ivar < 0)
    assert np.array_equal((mask & value("no_data")) != 0, ~good & ~(ivar < 0))
    assert any("negative" in note for note in notes) == bool((ivar < 0).any())
    assert any("no number" in note for note in notes) == bool(
        (~np.isfinite(ivar) & ~(ivar < 0)).any()
    )


def changed(sdss_data: Path, change: Callable[[Any], None]) -> bytes:
    import io

    with fits.open(sdss_data / "spectra/spec-3126-54804-0211.fits") as file:
        change(file)
        out = io.BytesIO()
        file.writeto(out)
    return out.getvalue()


def test_nan_and_negative_inverse_variances_are_counted(sdss_data: Path) -> None:
    def damage(file: Any) -> None:
        file[1].data["ivar"][[5, 6, 7]] = np.nan
        file[1].data["ivar"][9] = -1

    spectrum = SpecFile(changed(sdss_data, damage)).coadd()
    assert "3 pixels with an inverse variance that is no number" in spectrum.notes[0]
    assert spectrum.notes[1] == "1 pixels with a negative inverse variance"
    assert counts(spectrum.mask)["negative_variance"] == 1


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            lambda f: f[0].header.set("PLATEID", 3127),
            "HDU 0 says PLATEID 3127, HDU 2 says PLATE 3126",
        ),
        (lambda f: f[0].header.set("FIBERID", "x"), "HDU 0 has no card FIBERID"),
        (lambda f: f[1].data["loglam"].__setitem__(100, 3.6), "HDU 1: the wavelengths do not rise"),
        (
            lambda f: f[1].data["loglam"].__setitem__(100, 3.61233),
            "HDU 1: wavelengths are not on",
        ),
        (
            lambda f: f[1].data["loglam"].__setitem__(100, np.nan),
            "HDU 1: wavelengths are not on the",
        ),
        (lambda f: f[1].columns.change_name("ivar", "other"), "HDU 1 has no columns flux, loglam"),
        (lambda f: f[2].columns.change_name("RUN2D", "other"), "neither HDU 0 nor HDU 2 has RUN2D"),
        (lambda f: (f.pop(), f.pop()), "HDU 2 is missing"),
    ],
)
def test_broken_spectra_have_clear_lines(
    sdss_data: Path, change: Callable[[Any], None], line: str
) -> None:
    content = changed(sdss_data, change)

    with pytest.raises(FileNotUnderstood, match=line) as caught:
        read(content)
    assert str(caught.value).startswith("spec.fits: ")
    assert "\n" not in str(caught.value)


def read(content: bytes) -> None:
    file = SpecFile(content, "spec.fits")
    assert file.spec_name.key == "3126-54804-104"
    file.coadd()


def test_what_is_not_needed_may_be_missing(sdss_data: Path) -> None:
    read(changed(sdss_data, lambda file: file.pop()))
    read(changed(sdss_data, lambda file: file[0].header.remove("PLATEID")))


def test_a_cut_spectrum(sdss_data: Path) -> None:
    content = gzip.decompress((sdss_data / "spectra/spec-0411-51817-0119.fits.gz").read_bytes())
    with pytest.raises(FileNotUnderstood, match="HDU 1 is cut"):
        SpecFile(content[:60000], "spec.fits").coadd()
