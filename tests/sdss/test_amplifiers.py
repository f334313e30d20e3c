"""Gain and dark variance by amplifier: where they are used, and what they do to real errors."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import corecube
from corecube.frames import Image
from corecube.masks import valid
from corecube.pipeline import Options, ingest
from corecube.plugins import load
from corecube.reports import plain
from corecube_sdss import companions, plugin
from corecube_sdss.amplifiers import AMPLIFIERS, of_each
from corecube_sdss.frames import Field
from corecube_sdss.imaging import PULL_PERCENTILES, noise_inputs
from corecube_sdss.noise import DARK_VARIANCE, GAIN, RECIPE, Electronics, from_table
from corecube_sdss.report import image_figures
from corecube_sdss.settings import SdssConfig
from corecube_sdss.sky import sky_image

MEAN, EACH = SdssConfig(gain="table"), SdssConfig(gain="table", amplifiers="each")
Real = Callable[[str], Image]

BITS = {
    "i-002820-3-0122": "505c369323236e35",
    "u-002820-3-0122": "ba38bfc956096cb4",
    "g-003565-1-0058": "c03ad74ea5f1ec6b",
}
"""First digits of the SHA-256 of the errors, little-endian float32, before there was a choice."""


@pytest.fixture(scope="module")
def each(sdss_data: Path, read_frames: Any) -> Real:
    """A real frame with the values of each amplifier."""

    def get(label: str) -> Image:
        (path,) = sdss_data.rglob(f"frame-{label}.fits.bz2")
        (frame,) = read_frames(path, config=EACH)
        assert isinstance(frame, Image)
        return frame

    return get


def by_hand(image: Image, half: slice, gain: float, dark: float) -> Any:
    """The model in float64."""
    grid, x, y = (image.calibration[name].values for name in ("sky", "sky_x", "sky_y"))
    factor = image.calibration["flux_per_dn"].values.astype(np.float64)
    counts = image.flux / factor + sky_image(grid, x, y)
    return (factor * np.sqrt(counts / gain + dark))[:, half]


def widths(image: Image) -> list[float]:
    """Width of the differences of neighbouring columns over the predicted one, of each half."""
    assert image.error is not None and image.mask is not None
    pulls = np.where(valid(image.mask), image.flux / image.error, np.nan)
    found = []
    for half in np.split(pulls, 2, axis=1):
        differences = np.diff(half, axis=1)
        low, high = np.percentile(differences[np.isfinite(differences)], PULL_PERCENTILES)
        found.append(float((high - low) / 2 / np.sqrt(2)))
    return found


@pytest.mark.parametrize("band", "ugriz")
@pytest.mark.parametrize("camcol", range(1, 7))
def test_the_tables_are_means_of_amplifiers(band: str, camcol: int) -> None:
    chip = AMPLIFIERS[band][camcol - 1]
    place = "ugriz".index(band)
    gain = np.mean([amplifier.gain for amplifier in chip])
    noise = np.mean([amplifier.read_noise for amplifier in chip])
    assert gain == pytest.approx(GAIN[camcol][0][1][place], rel=1e-12)
    assert noise**2 == pytest.approx(DARK_VARIANCE[camcol][0][1][place], rel=1e-12)


@pytest.mark.parametrize("label", BITS)
def test_the_default_gives_the_bits_that_it_gave(image: Real, label: str) -> None:
    frame = image(label)
    assert frame.error is not None and frame.recipe == RECIPE
    assert hashlib.sha256(frame.error.astype("<f4").tobytes()).hexdigest()[:16] == BITS[label]
    arrays = {name: array.values for name, array in frame.calibration.items()}
    assert RECIPE.gives(frame.flux, arrays, frame.error)
    assert SdssConfig().amplifiers == "mean"


def test_each_half_has_its_own_error(image: Real, each: Real) -> None:
    mean, frame = image("i-002820-3-0122"), each("i-002820-3-0122")
    assert frame.error is not None and frame.error.dtype == np.float32
    assert frame.mask is not None and mean.mask is not None
    assert np.array_equal(frame.flux, mean.flux) and np.array_equal(frame.mask, mean.mask)
    assert frame.calibration["gain"].values.tolist() == [5.09, 4.63]
    assert_allclose(frame.calibration["dark_variance"].values, [3.2**2, 1.1**2], rtol=1e-15)
    for half, gain, noise in ((slice(0, 1024), 5.09, 3.2), (slice(1024, 2048), 4.63, 1.1)):
        expected = by_hand(frame, half, gain, noise**2)
        assert_allclose(frame.error[:, half], expected, rtol=5e-7)
    # the formula of the recipe has one gain, so that this error is stored
    assert frame.recipe is None
    said = frame.provenance.steps[-1]
    assert "gain 5.09 and 4.63 electron / adu, dark variance 10.24 and 1.21 adu2" in said
    assert "MJD 51371" in said and "columns 0 to 1023 and 1024 to 2047" in said
    assert len(frame.provenance.not_modelled) == len(mean.provenance.not_modelled) - 1
    assert not any("amplifier" in text for text in frame.provenance.not_modelled)
    assert "two amplifiers" in mean.provenance.not_modelled[-1]


def test_the_noise_of_the_halves_agrees_better_in_i(image: Real, each: Real) -> None:
    """Frame i 2820-3-122: 47.9 and 39.9 DN^2 are measured, 46.8 and 41.4 are predicted."""
    mean, frame = widths(image("i-002820-3-0122")), widths(each("i-002820-3-0122"))
    for before, after in zip(mean, frame, strict=True):
        assert abs(after - 1) < 0.6 * abs(before - 1)


# frame, widths of the halves with the mean and with each: the table of docs/sdss.md
HALVES = [
    ("i-002820-3-0122", (1.064, 0.965), (1.020, 0.982)),
    ("g-002820-3-0122", (0.995, 0.981), (0.979, 0.996)),
    ("z-002820-3-0122", (1.048, 1.029), (1.025, 1.051)),
    ("u-002820-3-0122", (0.998, 0.998), (0.956, 1.041)),
    ("u-004948-3-0199", (1.007, 0.975), (0.964, 1.021)),
]


@pytest.mark.parametrize(("label", "mean", "both"), HALVES)
def test_widths_of_the_halves(
    image: Real, each: Real, label: str, mean: tuple[float, ...], both: tuple[float, ...]
) -> None:
    frame = each(label)
    # 1.5 million pairs: the width of a half is known to 0.0008
    assert widths(image(label)) == pytest.approx(mean, abs=0.001)
    assert widths(frame) == pytest.approx(both, abs=0.001)
    doubt = any("uncertain" in note for note in frame.provenance.notes)
    assert doubt == label.startswith("u")


@pytest.mark.parametrize("label", ["r-002820-3-0122", "g-003565-1-0058", "r-001000-1-0100"])
def test_chips_with_one_amplifier_are_as_they_were(image: Real, each: Real, label: str) -> None:
    mean, frame = image(label), each(label)
    assert mean.error is not None and frame.error is not None
    assert np.array_equal(mean.error, frame.error, equal_nan=True)
    assert frame.recipe == RECIPE and frame.provenance == mean.provenance


CHIP = Field(2820, 3, 122, "i")


@pytest.mark.parametrize(
    ("electronics", "field", "origin", "columns", "line"),
    [
        # run 2583: psField says 5.195, the mean of the file is 6.565
        (Electronics(5.195, 6.25, "psField"), Field(2583, 2, 136, "i"), 0, 2048,
         "the psField has 5.195 and 6.25"),
        (from_table(Field(1100, 2, 9, "u")), Field(1100, 2, 9, "u"), 0, 2048,
         "the table has 1.825 and 12.6025"),
        # from run 1500 on the dark variance alone is another
        (from_table(Field(1500, 4, 9, "i")), Field(1500, 4, 9, "i"), 0, 2048,
         "the table has 4.885 and 7.5625"),
        (from_table(CHIP), CHIP, 0, 100, "does not have all columns"),
        (from_table(CHIP), CHIP, 1024, 1024, "does not have all columns"),
    ],
)  # fmt: skip
def test_the_mean_is_used_where_it_is_another(
    electronics: Electronics, field: Field, origin: int, columns: int, line: str
) -> None:
    found = of_each(electronics, field, origin, columns)
    assert not found.each and "not by amplifier" in found.note and line in found.note
    assert (found.gain, found.dark_variance) == (electronics.gain, electronics.dark_variance)
    if electronics.note:
        assert found.note.startswith(electronics.note)


def test_a_frame_that_keeps_the_mean_says_why(
    small_field: dict[str, Any], read_frames: Any
) -> None:
    paths = [small_field["folder"] / name for name in small_field["files"][:2]]
    (frame,) = read_frames(*paths, config=SdssConfig(amplifiers="each"))
    chip = AMPLIFIERS["r"][small_field["field"]["camcol"] - 1]
    assert frame.calibration["gain"].values.ndim == 0 and frame.recipe == RECIPE
    noted = any("not by amplifier" in note for note in frame.provenance.notes)
    assert noted == (len(chip) == 2)


def test_a_psfield_that_agrees_keeps_the_amplifiers(sdss_data: Path) -> None:
    path = sdss_data / "2583-2-0136/psField-002583-2-0136.fit.gz"
    for band, used in (("u", False), ("g", True), ("r", True), ("i", False), ("z", True)):
        field = Field(2583, 2, 136, band)
        said = companions.psfield_electronics(gzip.decompress(path.read_bytes()), field)
        assert bool(of_each(said, field, 0, 2048).each) == used


def test_factors_and_report_know_the_halves(each: Real) -> None:
    frame = each("i-002820-3-0122")
    assert frame.error is not None
    gain, sky, factor = plugin.corecube_calibration_factors(frame, EACH)
    assert gain.values.shape == (1, 2048)
    assert gain.values[0, [0, 1023, 1024, 2047]].tolist() == [5.09, 5.09, 4.63, 4.63]
    found = image_figures(frame)
    electrons = found.arrays["electrons"].values
    replayed = factor.apply(sky.apply(gain.apply(electrons)))
    assert_allclose(replayed, frame.flux, rtol=1e-12, atol=1e-12)
    per_dn = noise_inputs(frame.calibration).flux_per_dn.astype(np.float64)
    assert_allclose(found.arrays["counts error"].values * per_dn, frame.error, rtol=5e-7)
    numbers = json.loads(json.dumps(plain(found.numbers), allow_nan=False))
    assert numbers["gain"]["value"] == [5.09, 4.63]
    assert numbers["dark variance"]["value"] == pytest.approx([10.24, 1.21])
    dark = next(s for s in found.panels[-1].series if s.label == "dark").y
    assert_allclose(dark[[0, 63, 64, 127]], [3.2, 3.2, 1.1, 1.1], rtol=1e-12)


@pytest.mark.parametrize("amplifiers", ["mean", "each"])
def test_small_archives_give_every_bit(
    sdss_data: Path, tmp_path: Path, image: Real, each: Real, amplifiers: Any
) -> None:
    label = "i-002820-3-0122"
    (path,) = sdss_data.rglob(f"frame-{label}.fits.bz2")
    settings = SdssConfig(gain="table", amplifiers=amplifiers)
    archive = tmp_path / "a.corecube"
    report = ingest([str(path)], archive, load("sdss"), settings, Options(profile="small"))
    assert report.exit_code() == 0
    expected = (image if amplifiers == "mean" else each)(label)
    with corecube.open(archive) as opened:
        (record,) = opened.state.catalogue.by_identity.values()
        shot = opened.shot(record)
        frame = shot.frame("i")
        stored = "/images/i/error" in shot.description["arrays"]
    assert stored == (amplifiers == "each")
    assert expected.error is not None and frame.error is not None
    assert np.array_equal(frame.error.view(np.uint32), expected.error.view(np.uint32))
    for name in ("gain", "dark_variance"):
        assert np.array_equal(frame.calibration[name].values, expected.calibration[name].values)
