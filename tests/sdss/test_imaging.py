"""Frames against golden values, an independent float64 computation, and their own counts."""

from __future__ import annotations

import bz2
import io
import math
import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose

from corecube.frames import Image
from corecube.masks import counts, value
from corecube.reports.numbers import error_to_signal
from corecube.tan import to_sky
from corecube_sdss import companions, plugin
from corecube_sdss.astrom import AsTrans, middle_of_exposure
from corecube_sdss.frames import Field
from corecube_sdss.imaging import noise_inputs
from corecube_sdss.noise import error_image, from_table
from corecube_sdss.report import image_figures
from corecube_sdss.settings import SdssConfig
from corecube_sdss.sky import sky_image

GOLDEN = runpy.run_path(str(Path(__file__).with_name("golden.py")))
Get = Callable[[str], Image]
CONFIG = SdssConfig()

ERROR = 5e-7
"""float32 has 6e-8; five roundings, and what the cancellation of I / c and S adds."""
SUM = 1e-9


def sky(image: Image) -> Any:
    grid, x, y = (image.calibration[name].values for name in ("sky", "sky_x", "sky_y"))
    return sky_image(grid, x, y)


def dn(image: Image) -> Any:
    return image.flux / image.calibration["flux_per_dn"].values.astype(np.float64) + sky(image)


@pytest.mark.parametrize("row", GOLDEN["FRAMES"], ids=lambda row: row[0])
def test_frames(image: Get, row: tuple[Any, ...]) -> None:
    label, gain, dark, grid, total, median_dn, offset, median_error, total_error = row
    frame = image(label)
    assert frame.error is not None
    assert frame.name == frame.band == label[0]
    assert frame.flux.dtype == frame.error.dtype == np.float32
    assert float(frame.calibration["gain"].values) == gain
    assert float(frame.calibration["dark_variance"].values) == dark
    assert frame.calibration["sky"].values.shape == grid
    assert_allclose(frame.flux.sum(dtype=np.float64), total, rtol=SUM)
    recovered = dn(frame)
    assert_allclose(np.median(recovered), median_dn, atol=1e-6)
    distance = recovered - np.rint(recovered)
    assert_allclose(np.median(np.abs(distance)), offset, atol=1e-6)
    assert abs(np.median(distance)) < 1e-5
    assert_allclose(np.median(frame.error), median_error, rtol=ERROR)
    assert_allclose(frame.error.sum(dtype=np.float64), total_error, rtol=ERROR)


@pytest.mark.parametrize("label", [row[0] for row in GOLDEN["FRAMES"]])
def test_every_error_is_that_of_float64(image: Get, label: str) -> None:
    frame = image(label)
    factor = frame.calibration["flux_per_dn"].values.astype(np.float64)
    gain, dark = (float(frame.calibration[name].values) for name in ("gain", "dark_variance"))
    assert frame.error is not None
    assert_allclose(frame.error, factor * np.sqrt(dn(frame) / gain + dark), rtol=ERROR)


# pixels that are 0, and pixels with less than 0 DN; all others have none
ZEROS = {
    "r-002820-3-0122": 4, "i-002820-3-0122": 5, "z-002820-3-0122": 11, "r-002583-2-0136": 3,
}  # fmt: skip
BELOW_ZERO = {"u-002820-3-0122": 8}


@pytest.mark.parametrize("label", [row[0] for row in GOLDEN["FRAMES"]])
def test_by_products_of_frames(image: Get, label: str) -> None:
    frame = image(label)
    assert frame.error is not None
    found = image_figures(frame)
    counts, electrons = found.arrays["counts"].values, found.arrays["electrons"].values
    assert_allclose(counts, dn(frame), rtol=1e-14)
    gain = float(frame.calibration["gain"].values)
    assert np.median(electrons) == pytest.approx(gain * np.median(counts), rel=1e-14)
    assert np.count_nonzero(counts < 0) == BELOW_ZERO.get(label, 0)
    per_dn = frame.calibration["flux_per_dn"].values.astype(np.float64)
    assert_allclose(found.arrays["counts error"].values * per_dn, frame.error, rtol=ERROR)
    # error to signal is NaN exactly where the image is 0: these frames have no negative variance
    ratio = error_to_signal(frame.flux, frame.error)
    assert np.array_equal(np.isnan(ratio), frame.flux == 0)
    assert np.count_nonzero(frame.flux == 0) == ZEROS.get(label, 0)
    good = frame.flux != 0
    assert_allclose(ratio[good], frame.error[good] / np.abs(frame.flux[good]), rtol=1e-6)


@pytest.mark.parametrize("row", GOLDEN["LEVEL_0"], ids=lambda row: row[0])
def test_level_0_of_pyramids(image: Get, row: tuple[Any, ...]) -> None:
    """The other values of level 0 are in FRAMES and PIXELS, the other levels in test_pyramid."""
    label, width, last = row
    frame = image(label)
    assert frame.error is not None
    low, high = np.percentile(frame.flux, [15.865525, 84.134475])
    assert (high - low) / 2 == pytest.approx(width, abs=6e-7)
    assert np.median(frame.error[-1]) == pytest.approx(last, rel=ERROR)


@pytest.mark.parametrize("row", GOLDEN["PIXELS"], ids=lambda row: f"{row[0]}-{row[1]}")
def test_pixels(image: Get, row: tuple[Any, ...]) -> None:
    label, place, flux, level, number, error = row
    frame = image(label)
    assert frame.error is not None
    assert_allclose(frame.flux[place], flux, rtol=1e-9)
    assert_allclose(sky(frame)[place], level, rtol=5e-9)
    assert_allclose(dn(frame)[place], number, rtol=1e-8)
    assert_allclose(frame.error[place], error, rtol=ERROR)


@pytest.mark.parametrize("row", GOLDEN["POSITIONS"], ids=lambda row: f"{row[0]}-{row[1]}")
def test_positions(image: Get, row: tuple[Any, ...]) -> None:
    label, pixel, by_tan, by_astrans = row
    frame = image(label)
    assert frame.cards is not None
    assert_allclose(to_sky(frame.cards, *pixel), by_tan, rtol=0, atol=1e-9)
    terms = AsTrans.from_values(frame.calibration["astrans"].values)
    assert_allclose(terms.to_sky(*pixel), by_astrans, rtol=0, atol=1e-9)
    assert_allclose(terms.to_pixel(*by_astrans), pixel, rtol=0, atol=1e-5)  # 1e-10 deg is 1e-6 px
    assert_allclose(terms.to_pixel(*terms.to_sky(*pixel)), pixel, rtol=0, atol=1e-6)


STAR, GALAXY = (38.301799, -0.133922), (38.265354, -0.218451)


@pytest.mark.parametrize("row", GOLDEN["CUTOUTS"], ids=lambda row: f"{row[0]}-{row[1]}")
def test_cutouts_of_star_and_galaxy(image: Get, row: tuple[Any, ...]) -> None:
    label, target, pixel, corner, pixels, flux, error, largest = row
    frame = image(label)
    assert frame.error is not None
    place = frame.wcs.wcs_world2pix(*(STAR if target == "star" else GALAXY), 0)
    assert_allclose(place, pixel, rtol=0, atol=1e-6)
    assert tuple(math.floor(part + 0.5) - 32 for part in pixel) == corner
    x, y = corner
    window = (slice(max(y, 0), y + 64), slice(max(x, 0), x + 64))
    assert frame.flux[window].size == pixels
    # The golden sums of cut-outs have nine digits.
    assert_allclose(frame.flux[window].sum(dtype=np.float64), flux, rtol=5e-9)
    assert_allclose(np.sqrt((frame.error[window].astype(float) ** 2).sum()), error, rtol=ERROR)
    assert_allclose(frame.flux[window].max(), largest, rtol=1e-8)


@pytest.mark.parametrize("row", GOLDEN["STAR_TIMES"], ids=lambda row: row[0])
def test_time_of_the_stars_row(image: Get, row: tuple[Any, ...]) -> None:
    label, middle = row
    frame = image(label)
    y = next(r[2][1] for r in GOLDEN["CUTOUTS"] if r[:2] == (label, "star"))
    start, end = np.asarray(frame.times.start), np.asarray(frame.times.end)
    assert frame.times.quality == "exact"
    rows = np.arange(len(start))
    found = np.interp(y, rows, (start + end) / 2)
    assert abs(found - middle) < 2e-8  # days; the golden value has eight decimals
    assert_allclose((end - start) * 86400.0, 53.907456, atol=2e-6)
    assert_allclose(np.diff(start) * 86400.0, 0.026322, atol=2e-6)


def test_the_clock_of_the_header_is_the_coarser_one(
    sdss_data: Path, tmp_path: Path, read_frames: Any
) -> None:
    """Without a time in HDU 3 the card TAI is taken: for this frame 0.045 s later, by its note."""
    (packed,) = sdss_data.rglob("frame-r-002820-3-0122.fits.bz2")
    with fits.open(io.BytesIO(bz2.decompress(packed.read_bytes()))) as file:
        file[3].data["MJD"][0] = np.nan
        file.writeto(tmp_path / "frame-r-002820-3-0122.fits", output_verify="ignore")
    (frame,) = read_frames(tmp_path / "frame-r-002820-3-0122.fits")
    middle = (np.asarray(frame.times.start) + np.asarray(frame.times.end)) / 2
    found = np.interp(482.477051, np.arange(len(middle)), middle)
    assert abs(found - 52261.23830991) < 1e-8  # days; eight decimals
    assert any("card TAI" in note for note in frame.provenance.notes)


def test_positions_and_times_are_float64_to_the_last_bit(
    sdss_data: Path, tmp_path: Path, image: Get
) -> None:
    """float32 moves RA by 0.05 arcsec at 323 degrees, and time by 340 s."""
    import corecube
    from corecube.archive.regions import Cone
    from corecube.pipeline import Options, ingest
    from corecube.plugins import load

    (packed,) = sdss_data.rglob("frame-r-001000-1-0100.fits.bz2")
    spectrum = sdss_data / "spectra/spec-4238-55455-0037.fits"
    config = SdssConfig(gain="table")
    report = ingest(
        [str(packed), str(spectrum)], tmp_path / "a.corecube", load("sdss"), config, Options()
    )
    assert report.exit_code() == 0
    frame = image("r-001000-1-0100")
    with fits.open(io.BytesIO(bz2.decompress(packed.read_bytes()))) as file:
        header, mjd = file[0].header, float(file[3].data["MJD"][0])
    with fits.open(spectrum) as file:
        plug = (file[0].header["PLUG_RA"], file[0].header["PLUG_DEC"])
    names = ("CRVAL1", "CRVAL2", "CD1_1", "CD1_2", "CD2_1", "CD2_2")
    # float32 would lose digits of all of these
    assert all(float(np.float32(header[name])) != header[name] for name in names)
    with corecube.open(tmp_path / "a.corecube") as archive:
        shot = archive.shot("sdss/1000-1-0100")
        stored = shot.frame("r")
        assert stored.cards is not None
        assert [stored.cards[name] for name in names] == [header[name] for name in names]
        for ours, theirs in zip(
            (stored.times.start, stored.times.end), (frame.times.start, frame.times.end),
            strict=True,
        ):  # fmt: skip
            assert np.asarray(ours).dtype == np.float64
            assert np.array_equal(ours, theirs)
        assert np.asarray(stored.times.end)[0] == pytest.approx(mjd, rel=0, abs=1e-11)
        assert stored.footprint is not None and stored.footprint.dtype == np.float64
        index = archive.state.sky.search(Cone(*plug, 1.0))
        block = archive.shot("sdss/4238-55455-v5_10_0").rows("coadd", 0, 1)
        assert block.ra.dtype == block.dec.dtype == np.float64
        assert (block.ra[0], block.dec[0]) == plug
        assert block.wave.wavelength().dtype == np.float64
        assert (index["ra"].tolist(), index["dec"].tolist()) == ([plug[0]], [plug[1]])


def test_times_of_the_catalogue(sdss_data: Path, image: Get) -> None:
    objects = companions.read_objects(
        (sdss_data / "1000-1-0100/photoObj-001000-1-0100.fits").read_bytes()
    )
    frame = image("r-001000-1-0100")
    start, end = np.asarray(frame.times.start), np.asarray(frame.times.end)
    # Row 0 was read half an exposure after the middle of its exposure.
    mjd = (start[0] + end[0]) / 2 + 53.907456 / 2 / 86400
    expected = objects.tai[:, 2] / 86400.0
    assert_allclose(
        middle_of_exposure(mjd, objects.y[:, 2]) * 86400, expected * 86400, rtol=0, atol=1e-3
    )


@pytest.mark.parametrize("row", GOLDEN["WIDTHS"], ids=lambda row: row[0])
def test_noise_check(image: Get, row: tuple[Any, ...]) -> None:
    label, width = row
    check = plugin.corecube_check_noise(image(label), CONFIG)
    assert check is not None
    # All pixels against those of the primary part: they differ in the fourth digit.
    assert check.width == pytest.approx(width, abs=6e-4)
    assert check.pixels > 3_000_000


@pytest.mark.parametrize("row", GOLDEN["WIDTHS"], ids=lambda row: row[0])
@pytest.mark.parametrize("factor", [0.95, 1.05])
def test_a_wrong_gain_is_seen_on_the_sky(image: Get, row: tuple[Any, ...], factor: float) -> None:
    label, width = row
    frame = image(label)
    inputs = noise_inputs(frame.calibration)
    error, _ = error_image(frame.flux, replace(inputs, gain=inputs.gain * factor))
    check = plugin.corecube_check_noise(replace(frame, error=error), CONFIG)
    assert check is not None and abs(check.width - width) > 0.005


@pytest.mark.parametrize(("what", "camcol", "band", "run", "number"), GOLDEN["THRESHOLDS"])
def test_thresholds(what: str, camcol: int, band: str, run: int, number: float) -> None:
    electronics = from_table(Field(run, camcol, 100, band))
    assert (electronics.gain if what == "gain" else electronics.dark_variance) == number


def test_the_doubtful_gain_is_named() -> None:
    assert "5.195" in from_table(Field(2583, 2, 136, "i")).note
    for field in (Field(2583, 2, 136, "r"), Field(1099, 2, 136, "i"), Field(2583, 3, 136, "i")):
        assert not from_table(field).note


def test_companions_say_what_the_pipeline_used(sdss_data: Path) -> None:
    import gzip

    folder = sdss_data / "2583-2-0136"
    psfield = gzip.decompress((folder / "psField-002583-2-0136.fit.gz").read_bytes())
    photofield = gzip.decompress((folder / "photoField-002583-2.fits.gz").read_bytes())
    for band in "ugriz":
        field = Field(2583, 2, 136, band)
        first = companions.psfield_electronics(psfield, field)
        second = companions.photofield_electronics(photofield, field)
        table = from_table(field)
        assert second is not None
        assert first.gain == second.gain == (5.195 if band == "i" else table.gain)
        assert first.dark_variance == second.dark_variance == table.dark_variance
    assert companions.photofield_electronics(photofield, Field(2583, 2, 20, "r")) is None
    assert companions.last_field(photofield, Field(2583, 2, 136)) == 256
    assert companions.last_field(photofield, Field(2583, 3, 136)) is None


@pytest.mark.parametrize(
    ("gain", "left_out", "source", "value"),
    [
        ("companion", (), "psField", 5.195),
        ("companion", ("psField",), "photoField", 5.195),
        ("companion", ("psField", "photoField"), "table", 6.565),
        ("table", (), "table", 6.565),
    ],
)
def test_where_gain_and_dark_variance_come_from(
    sdss_data: Path, tmp_path: Path, read_frames: Any, gain: Any, left_out: tuple[str, ...],
    source: str, value: float,
) -> None:  # fmt: skip
    """The r frame of 2583-2-136 with the header of an i frame: the table is wrong for that chip."""
    content = bz2.decompress(
        (sdss_data / "2583-2-0136/frame-r-002583-2-0136.fits.bz2").read_bytes()
    )
    with fits.open(io.BytesIO(content)) as file:
        file[0].header["FILTER"] = "i"
        file[0].header["FRAME"] = 138
        file[3].data["FILTER"][0] = "i"
        file.writeto(tmp_path / "frame-i-002583-2-0136.fits", output_verify="ignore")
    companions = [
        path for path in (sdss_data / "2583-2-0136").glob("p*")
        if not any(path.name.startswith(name) for name in left_out)
    ]  # fmt: skip
    paths = (tmp_path / "frame-i-002583-2-0136.fits", *companions)
    (frame,) = read_frames(*paths, config=SdssConfig(gain=gain))
    assert float(frame.calibration["gain"].values) == pytest.approx(value, rel=1e-6)
    said = " ".join(frame.provenance.steps)
    assert source in said or ("table of the data model" in said and source == "table")
    assert f"gain {value:g} electron / adu" in said
    doubt = any("gain uncertain" in note for note in frame.provenance.notes)
    assert doubt == (source == "table")


def test_the_rows_of_the_last_field_are_primary(
    sdss_data: Path, tmp_path: Path, read_frames: Any
) -> None:
    folder = sdss_data / "2583-2-0136"
    frame = folder / "frame-r-002583-2-0136.fits.bz2"
    with fits.open(folder / "photoField-002583-2.fits.gz") as file:
        table = file[1].data
        cut = fits.BinTableHDU(table[table["FIELD"] <= 136], file[1].header)
        fits.HDUList([file[0].copy(), cut]).writeto(tmp_path / "photoField-002583-2.fits")
    flag = np.uint32(value("not_primary"))
    for companions_, primary in (((), 1361), ((tmp_path / "photoField-002583-2.fits",), 1489)):
        (image,) = read_frames(frame, *companions_)
        repeated = (image.mask & flag) != 0
        assert not repeated[:primary].any() and repeated[primary:].all()


def test_a_field_without_objects(sdss_data: Path) -> None:
    path = sdss_data / "2583-2-0136/photoObj-002583-2-0136.fits"
    objects = companions.read_objects(path.read_bytes())
    assert len(objects.objid) == 0 and objects.psf_flux.shape == (0, 5)


def test_a_field_with_all_its_companions(sdss_data: Path, read_frames: Any) -> None:
    (frame,) = read_frames(*sorted((sdss_data / "2583-2-0136").iterdir()))
    assert "psField" in frame.calibration["gain"].description
    assert frame.mask is not None and frame.bits["fpM"].values.dtype == np.uint16
    planes = counts(frame.mask)
    assert planes["interpolated"] == 33370
    assert planes["saturated"] == 6703
    assert planes["cosmic_ray"] == 1158
    assert planes["source"] == 665261
    assert planes["not_primary"] == 128 * 2048
    assert set(planes) == {"interpolated", "saturated", "cosmic_ray", "source", "not_primary"}
    assert (frame.mask[1361:] & value("not_primary")).all()
    assert any("photoField" in source for source in frame.provenance.sources)
    # 2583 has the table's gain in r, so that the golden errors hold with the companion too.
    assert_allclose(np.median(frame.error), 0.03154940577, rtol=ERROR)


@pytest.mark.parametrize("label", ["r-002820-3-0122", "g-003565-1-0058", "r-001000-1-0100"])
def test_factors_lead_from_electrons_to_flux(image: Get, label: str) -> None:
    frame = image(label)
    gain, level, factor = plugin.corecube_calibration_factors(frame, CONFIG)
    assert [f.operation for f in (gain, level, factor)] == ["divide", "add", "multiply"]
    electrons = dn(frame) * float(gain.values)
    replayed = factor.apply(level.apply(gain.apply(electrons)))
    # The sky of some hundred DN cancels: 1e-13 of it is left.
    assert_allclose(replayed, frame.flux, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("label", [row[0] for row in GOLDEN["FRAMES"]])
def test_the_wcs_and_the_footprint_are_astropys(image: Get, label: str) -> None:
    frame = image(label)
    rows, columns = frame.flux.shape
    rng = np.random.default_rng(5)
    x, y = rng.uniform(-100, 2200, (2, 200))
    assert frame.cards is not None and frame.footprint is not None
    assert_allclose(to_sky(frame.cards, x, y), frame.wcs.wcs_pix2world(x, y, 0), rtol=0, atol=1e-9)
    corners = [[-0.5, -0.5], [columns - 0.5, -0.5], [columns - 0.5, rows - 0.5], [-0.5, rows - 0.5]]
    assert_allclose(frame.footprint, frame.wcs.wcs_pix2world(corners, 0), rtol=0, atol=1e-9)


def test_the_repeated_rows_are_the_same_sky(image: Get) -> None:
    first, second = image("g-003565-1-0058"), image("g-003565-1-0059")
    # Independent dithers when counts were rounded: two thirds agree, none is far off.
    difference = np.rint(dn(first)[1361:]) - np.rint(dn(second)[:128])
    assert 0.6 < np.mean(difference == 0) < 0.7
    assert np.mean(np.abs(difference) <= 2) > 0.999
    start_first, start_second = np.asarray(first.times.start), np.asarray(second.times.start)
    assert abs(start_first[1361] - start_second[0]) * 86400 < 0.02


def test_header_and_provenance(image: Get) -> None:
    frame = image("r-001000-1-0100")
    assert any(line.startswith("FILTER  = 'r") for line in frame.header.splitlines())
    assert any("BUNIT" in note for note in frame.provenance.notes)
    assert frame.provenance.sources == ("frame-r-001000-1-0100.fits.bz2",)
    assert frame.provenance.not_modelled
    assert frame.unit == "nanomaggy"
