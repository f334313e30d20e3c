"""The log-lambda grid: an integer is a wavelength; and wavelengths that rise."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from corecube.errors import FrameError
from corecube.spectral import LOG_STEP, Spectral, log_index

# 1000 to 100000 Angstrom: more than any spectrograph of SDSS, BOSS or DESI sees
INDEX = st.integers(30000, 50000)


@given(INDEX, st.integers(0, 5000))
def test_an_index_is_a_wavelength_and_the_wavelength_is_the_index(first: int, count: int) -> None:
    grid = Spectral.log_grid(first, count)
    wave = grid.wavelength()
    assert wave.shape == (count,) and wave.dtype == np.float64 and grid.size == count
    np.testing.assert_array_equal(log_index(np.log10(wave)), np.arange(first, first + count))


@given(INDEX, st.integers(1, 5000))
def test_the_float32_loglam_of_files_gives_the_same_index(first: int, count: int) -> None:
    index = np.arange(first, first + count)
    # as files have them: each pixel's logarithm, rounded to float32
    loglam = (index * 1e-4).astype(np.float32)
    np.testing.assert_array_equal(log_index(loglam), index)
    # or COEFF0 + COEFF1 k, summed in float32
    summed = np.float32(first * 1e-4) + np.float32(1e-4) * np.arange(count, dtype=np.float32)
    np.testing.assert_array_equal(log_index(summed), index)


def test_the_convention_in_numbers() -> None:
    exact = [float(Decimal(10) ** (Decimal(index) / 10000)) for index in range(35785, 35795)]
    # step, product and power are rounded by 1.1e-16 each; the exponent counts ln(10) * 3.6 times
    np.testing.assert_allclose(Spectral.log_grid(35785, 10).wavelength(), exact, rtol=3e-15)
    assert Spectral.log_grid(30000, 1).wavelength()[0] == pytest.approx(1000, rel=1e-14)
    assert Spectral.log_grid(40000, 1).wavelength()[0] == pytest.approx(10000, rel=1e-14)
    assert log_index([3.0, 3.5785, 4.0]).tolist() == [30000, 35785, 40000]
    assert log_index([[3.0], [4.0]]).shape == (2, 1) and log_index([]).shape == (0,)
    assert log_index(3.5785).dtype == np.int64


def test_a_part_of_a_grid_has_the_same_bits() -> None:
    whole = Spectral.log_grid(35000, 4000).wavelength()
    np.testing.assert_array_equal(Spectral.log_grid(36000, 100).wavelength(), whole[1000:1100])


@pytest.mark.parametrize("off", [0.011, 0.1, 0.5, -0.011])
def test_what_lies_between_the_grid_points_is_refused(off: float) -> None:
    log_index(35785 * LOG_STEP + 0.009 * LOG_STEP)
    with pytest.raises(FrameError, match="not on the grid"):
        log_index([3.5, (35785 + off) * LOG_STEP])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -3e38])
def test_what_is_no_wavelength_is_refused(value: float) -> None:
    with pytest.raises(FrameError, match="not on the grid"):
        log_index([3.5, value])


def test_the_grid_of_a_real_spectrum(data: Path) -> None:
    from astropy.io import fits

    path = data / "sdss" / "spectra" / "spec-3126-54804-0211.fits"
    with fits.open(path, memmap=False) as file:
        loglam = np.asarray(file[1].data["loglam"])
    index = log_index(loglam)
    np.testing.assert_array_equal(np.diff(index), 1)
    # float32 of a logarithm below 4 is rounded by 1.2e-7: 2.7e-7 relative in wavelength
    wave = Spectral.log_grid(int(index[0]), index.size).wavelength()
    np.testing.assert_allclose(wave, 10 ** loglam.astype(np.float64), rtol=6e-7)


# -- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5,), (3, 5), (0,), (1,), (0, 5), (3, 0)])
def test_values_are_float64_and_come_back(shape: tuple[int, ...]) -> None:
    values = np.broadcast_to(np.arange(shape[-1], dtype=np.float32), shape)
    wave = Spectral(values)  # type: ignore[arg-type]
    assert wave.wavelength().dtype == np.float64 and wave.size == shape[-1] and not wave.is_grid
    np.testing.assert_array_equal(wave.wavelength(), values)


@pytest.mark.parametrize("shape", [(), (2, 3, 4)])
def test_values_have_one_or_two_axes(shape: tuple[int, ...]) -> None:
    with pytest.raises(FrameError, match=r"wavelengths must be \(w,\) or \(n, w\)"):
        Spectral(np.zeros(shape))


NAN = np.nan


@pytest.mark.parametrize(
    "values",
    [[1, 2, 3], [1, 2, NAN, NAN], [NAN, 1, 2], [1, NAN, 2], [NAN, NAN], [[1, 2], [0, NAN]]],
)
def test_rising_values_with_padding_are_taken(values: Any) -> None:
    np.testing.assert_array_equal(Spectral(np.array(values, float)).wavelength(), values)


@pytest.mark.parametrize(
    "values",
    [[3, 2, 1], [1, 1], [1, 2, 2], [[1, 2], [2, 1]], [5, NAN, 3], [1, NAN, NAN, 1], [5, NAN, 6, 4]],
)
def test_wavelengths_that_do_not_rise_are_refused(values: Any) -> None:
    with pytest.raises(FrameError, match="must rise"):
        Spectral(np.array(values, float))


@given(
    hnp.arrays(
        np.float64, st.integers(0, 8), elements=st.sampled_from([1.0, 2.0, 3.0, 4.0, np.nan])
    )
)
def test_rising_means_that_what_is_finite_rises(values: Any) -> None:
    finite = values[np.isfinite(values)]
    try:
        Spectral(values)
    except FrameError:
        assert (np.diff(finite) <= 0).any()
    else:
        assert (np.diff(finite) > 0).all()


# -- either values, a grid ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        ({}, "either values, a grid"),
        ({"values": np.arange(3.0), "step": 1e-4}, "either values, a grid"),
        ({"step": -1e-4, "count": 3}, "needs count >= 0 and step > 0"),
        ({"step": np.nan, "count": 3}, "needs count >= 0 and step > 0"),
        ({"step": 1e-4, "count": -1}, "needs count >= 0 and step > 0"),
        ({"values": np.arange(3.0), "medium": "vac"}, "medium 'vac' is none of"),
        ({"values": np.arange(3.0), "specsys": "HELIOCEN"}, "specsys 'HELIOCEN' is none of"),
    ],
)
def test_what_is_neither_values_nor_a_grid_is_refused(given_: Any, says: str) -> None:
    with pytest.raises(FrameError, match=says):
        Spectral(**given_)


def test_a_description_makes_the_same_grid_again() -> None:
    grid = Spectral.log_grid(35785, 3800, "vacuum", "heliocentric")
    assert grid.is_grid
    assert grid.describe() == {
        "unit": "Angstrom", "medium": "vacuum", "specsys": "heliocentric",
        "first": 35785, "count": 3800, "step": 1e-4,
    }  # fmt: skip
    assert Spectral(**grid.describe()) == grid
    pixels = Spectral(np.arange(3.0), unit="pix", medium="air")
    assert pixels.describe() == {"unit": "pix", "medium": "air", "specsys": ""}
