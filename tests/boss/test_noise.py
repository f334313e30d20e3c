"""The laws of the variance, against golden values and sums over pixels with scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import norm

from corecube.errors import FrameError
from corecube_boss.noise import SLOPE_V5_8, amplifier, effective_pixels, law_of, variance

# sigma, centre, read noise, electrons: notebook, v5_7, v5_8; sums over 25 pixels, six decimals
GOLDEN = [
    (1.0, 1000.0, 2.0, 0, 14.179631, 14.764818, 14.764818),
    (1.0, 1000.0, 2.0, 10, 24.179631, 25.938970, 26.324892),
    (1.0, 1000.0, 2.0, 100, 114.179631, 119.604521, 130.365558),
    (1.0, 1000.0, 2.0, 1000, 1014.179631, 1025.184778, 1170.772220),
    (1.0, 1000.4, 2.0, 100, 114.179631, 119.605087, 130.062859),
    (1.1, 1000.2, 2.0, 100, 117.157353, 121.212308, 131.588652),
    (1.25, 2000.7, 3.0, 100, 149.850265, 148.857758, 156.390971),
]
# sqrt(variance - S) / (read noise x sigma) of the law v5_7, four decimals
EXCESS = [
    (1.0, 2.13, (1.9213, 1.9893, 2.1195, 2.1986, 2.2849, 2.4033, 2.4918, 2.6776)),
    (1.0, 2.63, (1.9213, 1.9695, 2.0772, 2.1493, 2.2318, 2.3486, 2.4383, 2.6316)),
    (1.1, 2.13, (1.8256, 1.8859, 2.0052, 2.0791, 2.1609, 2.2735, 2.3571, 2.5372)),
    (1.2, 2.63, (1.7433, 1.7812, 1.8708, 1.9332, 2.0064, 2.1120, 2.1931, 2.3722)),
]
PHASES = 1000 + np.linspace(-0.5, 0.5, 200, endpoint=False)[:, None]
COUNTS = (0, 10, 50, 100, 200, 500, 1000, 5000)


@pytest.mark.parametrize("row", GOLDEN)
def test_golden_values(row: tuple[float, ...]) -> None:
    sigma, centre, noise, electrons, *expected = row
    for law, value in zip(("notebook", "v5_7", "v5_8"), expected, strict=True):
        found = variance(law, electrons, noise, sigma, centre)  # type: ignore[arg-type]
        assert_allclose(found, value, rtol=0, atol=6e-7)


@pytest.mark.parametrize(("sigma", "noise", "expected"), EXCESS)
def test_excess_over_the_counts(sigma: float, noise: float, expected: tuple[float, ...]) -> None:
    # The mean over places within a pixel, between which it changes by up to 8e-3.
    mean = variance("v5_7", COUNTS, noise, sigma, PHASES).mean(axis=0)
    found = np.sqrt(mean - COUNTS) / (noise * sigma)
    assert_allclose(found, expected, rtol=0, atol=1.5e-3)


@given(
    st.floats(0.8, 1.5), st.floats(-0.5, 0.5), st.floats(1.0, 5.0), st.floats(-50.0, 1e5),
)  # fmt: skip
def test_against_sums_over_pixels(sigma: float, phase: float, noise: float, counts: float) -> None:
    edges = np.arange(-14, 16) - 0.5 - phase
    profile = np.diff(norm.cdf(edges, scale=sigma))
    light = max(counts, 0.0)
    weights = (profile**2 / (noise**2 + light * profile)).sum()
    assert_allclose(variance("v5_7", counts, noise, sigma, 7 + phase), 1 / weights, rtol=1e-9)
    second, third = (profile**2).sum(), (profile**3).sum()
    assert_allclose(
        variance("v5_8", counts, noise, sigma, 7 + phase),
        noise**2 / second + light * third / second**2,
        rtol=1e-9,
    )


def test_effective_pixels() -> None:
    # The sums for sub-pixel phases are 3.6912 to 3.6915 and 4.0327.
    assert_allclose([effective_pixels(1.0), effective_pixels(1.1)], [3.6897, 4.0314], atol=5e-5)
    assert_allclose(variance("v5_8", 0.0, 1.0, 1.0, 0.3), 3.6913, atol=3e-4)
    # 2 / sqrt(3) for a Gaussian; integrated over pixels a little less
    slopes = [variance("v5_8", 1.0, 0.0, sigma, PHASES).mean() for sigma in (0.9, 1.0, 1.1, 1.2)]
    assert_allclose(slopes, (1.1539, 1.1543, 1.1544, 1.1545), rtol=0, atol=3e-4)
    assert abs(max(slopes) - SLOPE_V5_8) < 3e-4


@pytest.mark.parametrize(
    ("version", "law"),
    [
        *(("v5_7_0", "v5_7"), ("v5_8_0", "v5_8"), ("v5_13_2", "v5_8"), ("v6_1_3", "v5_8")),
        *(("NOCVS:v5_3_23", "v5_7"), ("", "v5_7"), ("v4_9_2", "v5_7")),
    ],
)
def test_law_by_version(version: str, law: str) -> None:
    assert law_of(version) == law
    assert law_of(version, "notebook") == "notebook"


def test_an_unknown_law_is_an_error() -> None:
    with pytest.raises(FrameError, match="v5_9"):
        variance("v5_9", 1.0, 1.0, 1.0)  # type: ignore[arg-type]


def test_amplifiers() -> None:
    rows, columns = np.array([0, 0, 2056, 2056]), np.array([2047, 2048, 2047, 2048])
    assert amplifier("b1", rows, columns, "physical").tolist() == [0, 1, 2, 3]
    assert amplifier("b1", rows, columns, "pipeline").tolist() == [0, 2, 1, 3]
    # The red detectors are larger: the same places are all in their lower left quarter.
    assert amplifier("r2", rows, columns, "physical").tolist() == [0, 0, 0, 0]
    assert amplifier("r2", [2063, 2064], [2057, 2056], "physical").tolist() == [1, 2]
