"""Wavelengths, and the one convention for log-lambda grids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from corecube.errors import FrameError, UnitError
from corecube.spectral import LOG_STEP, Spectral, log_index


@given(st.integers(0, 60_000), st.integers(0, 6000))
def test_index_is_round_1e4_log10_wavelength(first: int, count: int) -> None:
    grid = Spectral.log_grid(first, count, "vacuum")
    wave = grid.wavelength()
    assert wave.dtype == np.float64 and wave.shape == (count,) and grid.size == count
    index = np.arange(first, first + count)
    assert np.array_equal(log_index(np.log10(wave)), index)
    # float32 as the files have it
    assert np.array_equal(log_index(np.log10(wave).astype("f4")), index)
    assert np.allclose(wave, 10.0 ** (index / 1e4), rtol=1e-13, atol=0)
    # two grids that share an index share the wavelength, to the last bit
    if count > 10:
        other = Spectral.log_grid(first + 5, count - 5).wavelength()
        assert np.array_equal(other, wave[5:])


@given(st.integers(30_000, 40_000), st.floats(0.02, 0.98))
def test_off_the_grid_is_refused(index: int, part: float) -> None:
    with pytest.raises(FrameError, match="are not on the grid"):
        log_index([index * LOG_STEP, (index + part) * LOG_STEP])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_off_the_grid(bad: float) -> None:
    with pytest.raises(FrameError, match="are not on the grid"):
        log_index([3.5, bad])


@given(hnp.arrays("f8", st.integers(0, 50), elements=st.floats(1, 1e5), unique=True))
def test_values_rise_or_are_refused(values: Any) -> None:
    rising = np.sort(values)
    assert np.array_equal(Spectral(rising).wavelength(), rising)
    assert Spectral(np.stack([rising, rising])).size == len(values)
    if len(values) > 1:
        with pytest.raises(FrameError, match="must rise"):
            Spectral(rising[::-1])
        with pytest.raises(FrameError, match="must rise"):
            Spectral(np.repeat(rising, 2))


def test_padding_is_allowed() -> None:
    padded = np.array([[1.0, 2, 3], [1, 2, np.nan]])
    assert np.array_equal(Spectral(padded).wavelength(), padded, equal_nan=True)


@pytest.mark.parametrize(
    "content",
    [
        {}, {"values": np.ones(1), "step": 1e-4}, {"step": -1e-4, "count": 3},
        {"step": 1e-4, "count": -1}, {"values": np.ones((1, 1, 1))}, {"values": np.float64(3)},
        {"values": np.array([1.0, 1.0])},
    ],
)  # fmt: skip
def test_refusals(content: dict[str, Any]) -> None:
    with pytest.raises(FrameError):
        Spectral(**content)


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(UnitError, match="'Angstroem' is no unit"):
        Spectral(np.arange(1.0, 3.0), unit="Angstroem")
    assert Spectral(np.arange(3.0), unit="pix").describe()["unit"] == "pix"


def test_a_description_makes_the_grid_again() -> None:
    grid = Spectral.log_grid(35500, 4000, "vacuum", "heliocentric")
    assert Spectral(**grid.describe()) == grid
    assert grid.is_grid and not Spectral(np.arange(3.0)).is_grid
