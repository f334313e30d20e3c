from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corecube_cli.browse import braille, halfblocks, ticks
from corecube_cli.browse.canvas import Canvas
from corecube_cli.browse.images import Region
from corecube_cli.browse.viewport import Viewport, block_size

RISE_AND_FALL = [0, 1, 2, 3, 4, 5, 6, 7, 7, 6, 5, 4, 3, 2, 1, 0]
PEAK = [0.0] * 5 + [7.0] + [0.0] * 10
GAP: list[float] = [7 if n in (6, 7) else v for n, v in enumerate(RISE_AND_FALL)]
GAP[6] = GAP[7] = math.nan


# Worked out by hand: 8 x 8 dots for 16 pixels, y from 0 to 8.
@pytest.mark.parametrize(
    ("y", "first", "second"),
    [
        (RISE_AND_FALL, "2800 28F0 28A6 2800", "28F0 2803 2808 28A7"),
        (PEAK, "2800 2846 2800 2800", "28C0 28C7 28C0 28C0"),
        (GAP, "2800 2840 28A6 2800", "28F0 2803 2808 28A7"),
    ],
)
def test_braille_of_a_small_line(y: list[float], first: str, second: str) -> None:
    window = braille.Window(0, 16, 0, 8, 4, 2)
    values = np.array(y, dtype=np.float64)
    low, high = braille.extremes(np.arange(16.0), values, values, 0, 16, 8)
    dots = braille.raster(low, high, window)
    assert [" ".join(f"{cell:04X}" for cell in row) for row in dots] == [first, second]


@given(st.integers(0, 4599), st.integers(1, 120), st.integers(1, 40))
def test_one_high_pixel_among_thousands_is_seen(place: int, width: int, height: int) -> None:
    flux = np.zeros(4600)
    flux[place] = 60.0
    x = np.arange(4600.0)
    window = braille.Window(-0.5, 4599.5, -1.0, 61.0, width, height)
    good = np.ones(4600, bool)
    canvas = braille.draw(x, flux, np.full(4600, np.nan), good, window)
    column = int((place + 0.5) / 4600 * width)
    assert canvas.chars[0, column] > 0x2800


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=300),
    st.integers(1, 50),
    st.integers(1, 20),
    st.booleans(),
)
def test_drawing_bears_any_size(
    values: list[float], width: int, height: int, colored: bool
) -> None:
    flux = np.array(values, dtype=np.float64)
    x = np.arange(flux.size, dtype=np.float64)
    error = np.where(np.arange(flux.size) % 3 == 0, np.nan, np.abs(flux))
    good = np.arange(flux.size) % 5 != 1
    window = braille.Window(-0.5, flux.size - 0.5, -1.0, 1.0, width, height)
    canvas = braille.draw(x, flux, error, good, window, colored=colored)
    assert canvas.size == (height, width)
    some, every = braille.mask_row(x, good, window)
    assert not np.any(every & ~some)
    assert np.any(some) == np.any(~good)


def test_masked_pixels_leave_a_gap_and_a_mark() -> None:
    x = np.arange(20.0)
    good = np.ones(20, bool)
    good[8:12] = False
    window = braille.Window(-0.5, 19.5, -1.0, 1.0, 20, 3)
    canvas = braille.draw(x, np.zeros(20), np.full(20, np.nan), good, window)
    drawn = (canvas.chars > 0x2800).any(axis=0)
    assert drawn.tolist() == good.tolist()
    some, every = braille.mask_row(x, good, window)
    assert some.tolist() == every.tolist() == (~good).tolist()


def test_the_band_covers_one_sigma() -> None:
    x = np.arange(10.0)
    window = braille.Window(-0.5, 9.5, -4.0, 4.0, 10, 8)
    canvas = braille.draw(x, np.zeros(10), np.full(10, 2.0), np.ones(10, bool), window)
    rows = (canvas.styles == braille.BAND) | (canvas.styles == braille.LINE_ON_BAND)
    assert rows.any(axis=1).tolist() == [False, False, True, True, True, True, False, False]
    plain = braille.draw(
        x, np.zeros(10), np.full(10, 2.0), np.ones(10, bool), window, colored=False
    )
    assert plain.text(2) == "░" * 10


def test_what_lies_beyond_the_window_is_said() -> None:
    x = np.arange(10.0)
    flux = np.zeros(10)
    flux[3], flux[7] = 9.0, -9.0
    window = braille.Window(-0.5, 9.5, -1.0, 1.0, 10, 5)
    canvas = braille.draw(x, flux, np.full(10, np.nan), np.ones(10, bool), window)
    assert canvas.text(0)[3] == "▲" and canvas.text(4)[7] == "▼"


@given(
    st.floats(-1e8, 1e8), st.floats(1e-6, 1e8), st.integers(1, 20)
)  # fmt: skip
def test_ticks_are_round_and_inside(low: float, span: float, most: int) -> None:
    high = low + span
    if not high > low or span < 1e-9 * max(abs(low), abs(high)):
        return
    found = ticks.ticks(low, high, most)
    assert len(found) <= most
    slack = 1e-6 * span
    assert all(low - slack <= value <= high + slack for value in found)
    assert len(set(ticks.labels(found))) == len(found) or span < 1e-5 * abs(low)


def test_labels_have_the_decimals_of_their_step() -> None:
    assert ticks.labels([0.0, 0.5, 1.0]) == ["0.0", "0.5", "1.0"]
    assert ticks.labels([4000.0, 5000.0]) == ["4000", "5000"]
    assert ticks.labels([0.0]) == ["0"]
    assert ticks.labels([2e-17, 4e-17]) == ["2e-17", "4e-17"]


def test_half_blocks_have_the_first_row_at_the_bottom() -> None:
    bright = np.array([[0, 1], [2, 3], [0, 0], [3, 3]], dtype=np.uint8)
    inside = np.ones((4, 2), bool)
    canvas = halfblocks.half_blocks(bright, inside, np.zeros((4, 2), bool), 4)
    assert canvas.size == (2, 2)
    assert halfblocks.parts_of(int(canvas.styles[1, 0]), 4) == (2, 0, False)
    assert halfblocks.parts_of(int(canvas.styles[0, 1]), 4) == (3, 0, False)
    marked = np.zeros((4, 2), bool)
    marked[0, 1] = True
    canvas = halfblocks.half_blocks(bright, inside, marked, 4)
    assert canvas.text(1)[1] == "x"
    assert halfblocks.parts_of(int(canvas.styles[1, 1]), 4)[2]
    plain = halfblocks.half_blocks(bright, inside, marked, 4, colored=False)
    assert set(plain.text(0)) <= set(halfblocks.RAMP)


def test_block_means_leave_out_what_is_not_finite() -> None:
    values = np.arange(30.0).reshape(5, 6)
    values[0, 0] = np.nan
    values[4, 4:] = np.nan
    means = halfblocks.block_means(values, 2)
    assert means.shape == (3, 3)
    assert means[0, 0] == (1 + 6 + 7) / 3
    assert np.isnan(means[2, 2])
    assert means[1, 1] == np.mean(values[2:4, 2:4])


@pytest.mark.parametrize("stretch", halfblocks.STRETCHES)
@pytest.mark.parametrize(
    "sample", [np.zeros(0), np.full(9, 3.0), np.arange(9.0), np.array([np.nan, 1.0])]
)
def test_limits_of_any_sample(stretch: str, sample: Any) -> None:
    low, high = halfblocks.limits(sample, stretch)
    assert low < high
    levels = halfblocks.levels(np.array([[np.nan, -1e30, 1e30]]), low, high, stretch, 64)
    assert levels.tolist() == [[0, 0, 63]]


@given(
    st.integers(1, 500), st.integers(1, 500), st.integers(1, 200), st.integers(1, 60),
    st.lists(st.sampled_from([-1, 1]), max_size=12), st.data(),
)  # fmt: skip
def test_the_cell_of_a_pixel_shows_it(
    nx: int, ny: int, columns: int, lines: int, zooms: list[int], data: st.DataObject
) -> None:
    """Whatever was zoomed: the pixel under the cursor is the one that its cell shows."""
    port = Viewport((ny, nx))
    port.fit(columns, lines)
    x, y = data.draw(st.integers(0, nx - 1)), data.draw(st.integers(0, ny - 1))
    for way in zooms:
        port.zoom_by(way, x, y, columns, lines)
    port.follow(x, y, columns, lines)
    rows, cols = port.blocks(columns, lines)
    zoom, size = max(port.zoom, 0), block_size(port.zoom)
    number = np.arange(-(-ny // size) * -(-nx // size), dtype=float).reshape(-(-ny // size), -1)
    part = number[slice(*rows), slice(*cols)]
    region = Region(zoom, rows, cols, part, np.zeros(part.shape, bool))
    values, inside, _ = port.pick(region, columns, lines)
    column, row = port.cell_of(x, y, columns, lines)
    assert 0 <= column < columns and 0 <= row < 2 * lines
    assert inside[row, column]
    assert values[row, column] == number[y // size, x // size]
    if port.zoom <= 0:
        line = lines - 1 - row // 2
        back = port.pixel_of(column, line, columns, lines)
        assert back[0] == x and (back[1] == y or row % 2)


def test_a_canvas_cuts_what_does_not_fit_and_keeps_its_columns() -> None:
    canvas = Canvas.blank(1, 5)
    canvas.write(0, 3, "abc")
    canvas.write(0, -1, "xy")
    canvas.write(3, 0, "nothing")
    assert canvas.text(0) == "y  ab"
    canvas.write(0, 0, "天a")
    assert canvas.text(0) == "□a ab"


def test_the_mean_of_many_pixels_is_brighter_than_their_extremes() -> None:
    """Noise of one sigma around a step: the bright cells follow the step."""
    x = np.arange(2000.0)
    truth = np.where(x < 1000, 1.0, 9.0)
    flux = truth + np.random.default_rng(5).normal(0, 1, x.size)
    window = braille.Window(0.0, 2000.0, -5.0, 15.0, 40, 20)
    plot = braille.draw(x, flux, np.full(x.size, np.nan), np.ones(x.size, bool), window)
    bright = plot.styles == braille.LINE
    faint = plot.styles == braille.FAINT
    assert faint.sum() > bright.sum() > 0
    # 50 pixels a column: their mean is good to 0.14, a cell is 1 high
    rows = [int(np.flatnonzero(bright[:, column])[0]) for column in (5, 35)]
    assert [abs(15 - row - 0.5 - at) <= 1 for row, at in zip(rows, (1, 9), strict=True)] == [1, 1]
    few = braille.draw(x, flux, flux * np.nan, x % 40 == 0, window)
    assert not (few.styles == braille.FAINT).any()  # the line is what was measured
