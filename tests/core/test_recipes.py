"""Recipes of errors, against the steps of docs/format.md done in another way, pixel by pixel."""

from __future__ import annotations

import math
import struct
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corecube.errors import FrameError
from corecube.recipes import FORMULAS, Recipe

NAMES = ("scale", "sky", "sky_x", "sky_y", "gain", "dark_variance")
RECIPE = Recipe("counts 1", {name: f"my_{name}" for name in NAMES})
Arrays = dict[str, npt.NDArray[Any]]


def f32(number: float) -> float:
    """Round to float32. Of two float32 numbers + - * and sqrt in float64 lose nothing by it."""
    rounded: float = struct.unpack("<f", struct.pack("<f", number))[0]
    return rounded


def pixel(flux: float, arrays: Arrays, y: int, x: int) -> float:
    """One pixel by the table of docs/format.md, with Python's own numbers."""
    c, sky, sky_x, sky_y, gain, dark = (arrays[f"my_{name}"].tolist() for name in NAMES)

    def place(number: float, count: int) -> tuple[int, int, float]:
        u = min(max(number, 0.0), count - 1.0)
        p = min(math.floor(u), max(count - 2, 0))
        return p, min(p + 1, count - 1), u - p

    p, q, v = place(sky_x[x], len(sky[0]))
    b = [((row[q] - row[p]) * v + row[p]) / gain + dark for row in sky]
    b = [number * (c[x] * c[x]) for number in b]
    t = [after - before for before, after in pairwise(b)] + [0.0]
    j, _, w = place(sky_y[y], len(sky))
    mixed = f32(f32(t[j]) * f32(w))
    variance = f32(f32(f32(flux * f32(c[x] / gain)) + mixed) + f32(b[j]))
    return f32(math.sqrt(variance)) if variance > 0 and math.isfinite(flux) else math.nan


def made(shape: tuple[int, int], grid: tuple[int, int], seed: int) -> tuple[Any, Arrays]:
    """A flux, and inputs with places that reach beyond the grid."""
    rng = np.random.default_rng(seed)
    arrays: Arrays = {
        "my_scale": rng.uniform(0.002, 0.006, shape[1]).astype("f4"),
        "my_sky": rng.uniform(20, 200, grid).astype("f4"),
        "my_sky_x": np.linspace(-0.4375, grid[1], shape[1]).astype("f4"),
        "my_sky_y": np.linspace(-0.4375, grid[0], shape[0]).astype("f4"),
        "my_gain": np.array(4.72), "my_dark_variance": np.array(1.3225),
    }  # fmt: skip
    flux = rng.normal(0, 0.1, shape).astype("f4")
    flux[rng.random(shape) < 0.05] = np.nan
    flux[rng.random(shape) < 0.05] = -9.0  # the variance is below zero
    flux[rng.random(shape) < 0.05] = 3e4
    return flux, arrays


@pytest.mark.parametrize("grid", [(12, 9), (1, 9), (12, 1), (1, 1), (2, 2)])
def test_every_pixel_is_as_the_table_says(grid: tuple[int, int]) -> None:
    shape = (70, 31)  # more than a stripe of rows
    flux, arrays = made(shape, grid, 1)
    error = RECIPE.apply(flux, arrays, (0, 70), (0, 31))
    expected = [
        [pixel(flux[y, x].item(), arrays, y, x) for x in range(shape[1])] for y in range(shape[0])
    ]
    assert np.array_equal(error.view("u4"), np.array(expected, "f4").view("u4"))
    assert 0 < np.isnan(error).sum() < error.size / 3
    assert set(error[np.isnan(error)].view("u4").tolist()) == {0x7FC00000}


@given(st.tuples(*[st.integers(0, 150)] * 2), st.tuples(*[st.integers(0, 33)] * 2))
def test_a_part_has_the_bits_of_the_whole(rows: tuple[int, int], columns: tuple[int, int]) -> None:
    flux, arrays = made((150, 33), (20, 5), 2)
    whole = RECIPE.apply(flux, arrays, (0, 150), (0, 33))
    rows, columns = (min(rows), max(rows)), (min(columns), max(columns))
    key = (slice(*rows), slice(*columns))
    part = RECIPE.apply(flux[key], arrays, rows, columns)
    assert np.array_equal(part.view("u4"), np.ascontiguousarray(whole[key]).view("u4"))


def test_another_bit_is_seen() -> None:
    flux, arrays = made((40, 50), (6, 7), 3)
    error = RECIPE.apply(flux, arrays, (0, 40), (0, 50))
    assert RECIPE.gives(flux, arrays, error)
    other = error.copy()
    place = tuple(np.argwhere(np.isfinite(error))[17])
    other.view("u4")[place] ^= 1
    assert not RECIPE.gives(flux, arrays, other)
    other = error.copy()
    other.view("u4")[tuple(np.argwhere(np.isnan(error))[3])] ^= 1 << 31  # another NaN
    assert not RECIPE.gives(flux, arrays, other)
    assert not RECIPE.gives(flux.astype("f8"), arrays, error.astype("f8"))
    assert not RECIPE.gives(flux, {**arrays, "my_gain": np.array(4.7)}, error)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("my_sky", np.ones(4)), ("my_sky", np.ones((0, 4))), ("my_gain", np.ones(2)),
        ("my_scale", np.ones(3)), ("my_sky_x", np.full(50, np.nan)), ("my_sky_y", np.ones(7)),
        ("my_sky", None),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_error(name: str, values: Any) -> None:
    flux, arrays = made((40, 50), (6, 7), 4)
    arrays[name] = values
    if values is None:
        del arrays[name]
    assert not RECIPE.gives(flux, arrays, flux)
    if not (isinstance(values, np.ndarray) and np.isnan(values).any()):
        with pytest.raises(FrameError, match="recipe 'counts 1' cannot be computed"):
            RECIPE.apply(flux, arrays, (0, 40), (0, 50))


def test_unknown_recipes_and_inputs_are_refused() -> None:
    with pytest.raises(FrameError, match=r"no recipe 'counts 2'.*counts 1"):
        Recipe("counts 2", {})
    with pytest.raises(FrameError, match=r"takes scale, sky, .*, not scale"):
        Recipe("counts 1", {"scale": "c"})
    assert FORMULAS["counts 1"].inputs == NAMES
