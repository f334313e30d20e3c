"""Noise pulls of simulated frames at every level, and how averages by such errors are biased.

The pull of a mean of n pixels is (mean - truth) / sigma. With the variance of the noise-free
counts its mean is 0 and its width 1. The stored variance is made from the noisy counts themselves:
a pixel that came out low gets a small error too, so the mean of these pulls is
-1 / (2 g s sqrt(n)), with g the gain and s the error in DN (first order in 1 / (g s)).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from corecube.archive import pyramid
from corecube.masks import valid
from corecube_sdss import plugin, simulate
from corecube_sdss.sky import sky_image

SEEDS = (31, 32)
BANDS = "ugriz"
LEVELS = range(5)
TOLERANCE = 0.01
FEWEST = 150_000
"""Blocks of which a mean within 0.01 is asked: 4 sigma; fewer are taken of all bands together."""

Floats = npt.NDArray[np.float64]


@dataclass
class Pulls:
    """Sums over the blocks of one level of one frame."""

    count: int
    true: tuple[float, float]
    stored: float
    expected: float
    wrong: tuple[float, float]

    def __add__(self, other: Pulls) -> Pulls:
        return Pulls(
            self.count + other.count,
            (self.true[0] + other.true[0], self.true[1] + other.true[1]),
            self.stored + other.stored,
            self.expected + other.expected,
            (self.wrong[0] + other.wrong[0], self.wrong[1] + other.wrong[1]),
        )


def width(count: int, sums: tuple[float, float]) -> float:
    return float(np.sqrt(sums[1] / count - (sums[0] / count) ** 2))


def blocks(values: Floats, level: int) -> Floats:
    """Sum whole blocks of 2**level x 2**level pixels."""
    side = 1 << level
    ny, nx = (length // side for length in values.shape)
    cut = values[: ny * side, : nx * side].reshape(ny, side, nx, side)
    return np.asarray(cut.sum(axis=(1, 3)))


def of_frame(image: Any, truth: Mapping[str, Any], band: str) -> Iterator[Pulls]:
    electronics = truth["electronics"][band]
    gain, dark = electronics["gain"], electronics["dark_variance"]
    per_dn = image.calibration["flux_per_dn"].values.astype(np.float64)
    level_0 = sky_image(*(image.calibration[name].values for name in ("sky", "sky_x", "sky_y")))
    x, y = (np.array([star["pixel"][band][k] for star in truth["sources"]]) for k in (0, 1))
    flux = np.array([star["flux"][band] for star in truth["sources"]])
    sigma = simulate.FWHM_ARCSEC[band] / simulate.PIXEL_ARCSEC / 2.3548
    stars = simulate._star_image(image.flux.shape, x, y, flux, sigma)
    counts = stars / per_dn + level_0
    good = valid(image.mask)
    difference = np.where(good, image.flux - stars, 0.0)
    variance = per_dn**2 * (counts / gain + dark)
    wrong = per_dn**2 * (counts / (1.05 * gain) + dark)
    third = per_dn**3 * (counts / gain + dark) / gain  # covariance of a pixel and its variance
    made = {
        0: (image.flux, image.error),
        **{one.level: (one.flux, one.error)
           for one in pyramid.levels(image.flux, image.error, image.mask, LEVELS[-1])},
    }  # fmt: skip
    for level in LEVELS:
        number = blocks(good.astype(np.float64), level)
        whole = number == 4.0**level
        n = 4.0**level
        off = blocks(difference, level)[whole] / n
        true = np.sqrt(blocks(variance, level)[whole]) / n
        bad = np.sqrt(blocks(wrong, level)[whole]) / n
        expected = -blocks(third, level)[whole] / n**3 / (2.0 * true**3)
        stored = made[level][1][: number.shape[0], : number.shape[1]][whole].astype(np.float64)
        # the level's own mean is the mean of its pixels
        ours = made[level][0][: number.shape[0], : number.shape[1]][whole].astype(np.float64)
        mean = blocks(np.where(good, image.flux, 0).astype(np.float64), level)[whole] / n
        np.testing.assert_allclose(ours, mean, rtol=1e-5, atol=1e-6)
        pull, other = off / true, off / bad
        yield Pulls(
            int(whole.sum()),
            (float(pull.sum()), float((pull**2).sum())),
            float((off / stored).sum()),
            float(expected.sum()),
            (float(other.sum()), float((other**2).sum())),
        )


pytestmark = pytest.mark.xdist_group("pulls")  # its two fields of full size are made once


@pytest.fixture(scope="module")
def pulls(
    tmp_path_factory: pytest.TempPathFactory, read_frames: Any
) -> dict[str, dict[int, Pulls]]:
    """By band and level, of two fields of full size with stars: 6,098,944 pixels a band."""
    found: dict[str, dict[int, Pulls]] = {}
    for seed in SEEDS:
        folder = tmp_path_factory.mktemp(f"field{seed}")
        truth = plugin.corecube_simulate(folder, {"spectra": 0, "packed": False}, seed)
        for band in BANDS:
            (image,) = read_frames(
                *(folder / name for name in truth["files"] if f"-{band}-" in name or "psF" in name)
            )
            for level, part in enumerate(of_frame(image, truth, band)):
                known = found.setdefault(band, {})
                known[level] = known[level] + part if level in known else part
    return found


def groups(pulls: dict[str, dict[int, Pulls]], level: int) -> list[Pulls]:
    """Return a level of each band, or of all bands together where a band has few blocks."""
    each = [pulls[band][level] for band in BANDS]
    if min(part.count for part in each) >= FEWEST:
        return each
    whole = each[0]
    for part in each[1:]:
        whole = whole + part
    return [whole]


@pytest.mark.parametrize("level", LEVELS)
def test_pulls_with_the_variance_of_the_noise_free_counts(pulls: Any, level: int) -> None:
    for part in groups(pulls, level):
        assert level > 0 or part.count >= 1_000_000
        assert abs(part.true[0] / part.count) < TOLERANCE
        # counts are rounded to whole numbers, 1/12 DN^2: 0.0015 to 0.004 of the width
        assert abs(width(part.count, part.true) - 1.0) < TOLERANCE


@pytest.mark.parametrize("level", LEVELS)
def test_pulls_with_the_stored_variance_are_off_as_theory_says(pulls: Any, level: int) -> None:
    for part in groups(pulls, level):
        expected = part.expected / part.count
        assert abs(part.stored / part.count - expected) < TOLERANCE
    shift = pulls["u"][level].expected / pulls["u"][level].count
    assert -0.08 < shift * 2**level < -0.05  # not nothing: in u 0.07 sigma of a pixel


@pytest.mark.parametrize("band", "ugriz")
def test_a_gain_wrong_by_five_per_cent_is_seen(pulls: Any, band: str) -> None:
    part = pulls[band][0]
    assert abs(width(part.count, part.wrong) - 1.0) > TOLERANCE


def test_averages_weighted_by_these_errors_are_too_low() -> None:
    """The example of docs/sdss.md: one star in u, many exposures."""
    rng = np.random.default_rng(5)
    gain, dark, level, per_dn = 1.59, 8.7025, 22.0, 0.0096
    electrons = rng.poisson(gain * level, 2_000_000)
    counts = electrons / gain + rng.normal(0.0, np.sqrt(dark), electrons.size)
    variance = counts / gain + dark
    weighted = np.average(counts[variance > 0], weights=1.0 / variance[variance > 0])
    assert per_dn * (weighted - level) == pytest.approx(-0.0066, abs=0.0006)
    # about -1 / g DN: a pixel below the mean counts more than one above
    assert weighted - level == pytest.approx(-1.0 / gain, rel=0.15)
    sky = np.average(counts, weights=np.full(counts.size, 1.0 / (level / gain + dark)))
    assert sky - level == pytest.approx(0.0, abs=0.015)  # 5 sigma
