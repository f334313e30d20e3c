"""Spectra in braille: a line that keeps every peak, with its 1-sigma band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from corecube_cli.browse.canvas import Canvas

FloatArray = npt.NDArray[np.float64]

BLANK: Final = 0
LINE: Final = 1
LINE_ON_BAND: Final = 2
BAND: Final = 3
BAND_ABOVE: Final = 4
"""The glyph is what the band leaves free below it: painted with the colours exchanged."""
BEYOND: Final = 5
FAINT: Final = 6
"""The line away from the mean of its column, where a column holds many pixels."""
FAINT_ON_BAND: Final = 7

_MANY: Final = 6
"""Pixels a column, on average, from which on the least and the greatest of them are far from what
most of them say: of 6 values with normal errors they lie 2.5 sigma apart."""
_DOTS: Final = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint32)
"""Bit of each of the 4 x 2 dots of a cell (Unicode, block Braille Patterns)."""
_EMPTY: Final = 0x2800
_LOWER_BLOCK: Final = 0x2580
"""Code point before the lower one-eighth block."""
_LIGHT_SHADE: Final = ord("░")


@dataclass(frozen=True)
class Window:
    """The part of the plane that is drawn.

    Attributes
    ----------
    x0, x1, lo, hi : float
        Edges; x0 < x1, lo < hi.
    width, height : int
        Cells.
    """

    x0: float
    x1: float
    lo: float
    hi: float
    width: int
    height: int

    def rows(self, values: FloatArray, count: int) -> FloatArray:
        """Return how far below the upper edge values lie, in units of 1/count of the height."""
        return (self.hi - values) / (self.hi - self.lo) * count


def bins(x: FloatArray, x0: float, x1: float, count: int) -> npt.NDArray[np.intp]:
    """Return for each x the one of `count` equal columns that it lies in, -1 for none.

    Column j holds edge_j <= x < edge_(j+1), with the edges even in x0 .. x1.
    """
    with np.errstate(invalid="ignore"):
        place = np.floor((x - x0) / (x1 - x0) * count)
        inside = (place >= 0) & (place < count)
    return np.where(inside, place, -1).astype(np.intp)


def extremes(
    x: FloatArray, low: FloatArray, high: FloatArray, x0: float, x1: float, count: int
) -> tuple[FloatArray, FloatArray]:
    """Return the least `low` and the greatest `high` in each column, NaN where there is none.

    Parameters
    ----------
    x : float64 array (n,), rising
    low, high : float64 arrays (n,)
        What is NaN is passed over.
    x0, x1 : float
    count : int
    """
    least, greatest = np.full(count, np.nan), np.full(count, np.nan)
    place = bins(x, x0, x1, count)
    use = np.flatnonzero((place >= 0) & np.isfinite(low) & np.isfinite(high))
    if use.size:
        columns, starts = np.unique(place[use], return_index=True)
        least[columns] = np.minimum.reduceat(low[use], starts)
        greatest[columns] = np.maximum.reduceat(high[use], starts)
    return least, greatest


def steps(x: FloatArray, x0: float, x1: float, count: int) -> npt.NDArray[np.intp]:
    """Return for the middle of each column the nearest of rising x, -1 beyond its ends.

    The ends lie half a pixel outside of the first and the last x.
    """
    middles = x0 + (np.arange(count) + 0.5) * (x1 - x0) / count
    if x.size == 0:
        return np.full(count, -1, np.intp)
    if x.size == 1:
        return np.where(np.abs(middles - x[0]) <= 0.5, 0, -1).astype(np.intp)
    edges = np.empty(x.size + 1)
    edges[1:-1] = (x[1:] + x[:-1]) / 2
    edges[0], edges[-1] = x[0] - (edges[1] - x[0]), x[-1] + (x[-1] - edges[-2])
    found = np.searchsorted(edges, middles, side="right") - 1
    return np.where((found >= 0) & (found < x.size), found, -1).astype(np.intp)


def raster(least: FloatArray, greatest: FloatArray, window: Window) -> npt.NDArray[np.uint32]:
    """Return the braille code points of a line.

    Each dot column's run goes from its greatest to its least value, widened to touch that of its
    left neighbour if there is one.

    Parameters
    ----------
    least, greatest : float64 arrays (2 * width,)
        NaN leaves a gap.
    window : Window

    Returns
    -------
    uint32 array (height, width)
        U+2800 plus the dots.
    """
    dots = 4 * window.height
    there = np.isfinite(least)
    top, bottom = (
        np.clip(np.floor(window.rows(np.where(there, part, window.lo), dots)), 0, dots - 1)
        for part in (greatest, least)
    )
    both = there[1:] & there[:-1]
    wide_top, wide_bottom = top.copy(), bottom.copy()
    wide_top[1:] = np.where(both, np.minimum(top[1:], bottom[:-1]), top[1:])
    wide_bottom[1:] = np.where(both, np.maximum(bottom[1:], top[:-1]), bottom[1:])
    rows = np.arange(dots)[:, None]
    on = there & (rows >= wide_top) & (rows <= wide_bottom)
    cells = on.reshape(window.height, 4, window.width, 2) * _DOTS[:, None, :]
    return np.asarray(cells.sum(axis=(1, 3)) + _EMPTY, dtype=np.uint32)


def draw(
    x: FloatArray,
    flux: FloatArray,
    error: FloatArray,
    good: npt.NDArray[np.bool_],
    window: Window,
    *,
    colored: bool = True,
) -> Canvas:
    """Draw a spectrum with its 1-sigma band.

    Parameters
    ----------
    x : float64 array (n,), rising
    flux, error : float64 arrays (n,)
        An error that is NaN has no band.
    good : bool array (n,)
        Only these pixels are drawn; the others leave gaps.
    window : Window
    colored : bool
        False: the band is made of ``░``.

    Returns
    -------
    Canvas
        Styles are `BLANK`, `LINE`, `LINE_ON_BAND`, `BAND`, `BAND_ABOVE`, `BEYOND`, and where a
        column holds `_MANY` pixels or more `FAINT` and `FAINT_ON_BAND` away from their mean.
    """
    part = around(window, x)
    x, flux, error, good = x[part], flux[part], error[part], good[part]
    line = np.where(good, flux, np.nan)
    core = _core(x, line, window)
    spread = np.where(np.isfinite(error), error, 0.0)
    some_error = np.where(np.isfinite(error), line, np.nan)
    x, parts = _resampled(x, (line, some_error - spread, some_error + spread), window)
    least, greatest = extremes(x, parts[0], parts[0], window.x0, window.x1, 2 * window.width)
    canvas = Canvas.blank(window.height, window.width)
    lower, upper = extremes(x, parts[1], parts[2], window.x0, window.x1, window.width)
    covered = _paint_band(canvas, lower, upper, window, colored)
    dots = raster(least, greatest, window)
    drawn = dots != _EMPTY
    canvas.chars[drawn] = dots[drawn]
    on_band = covered >= 0.5
    strong = np.where(on_band, LINE_ON_BAND, LINE)
    canvas.styles[drawn] = np.where(core, strong, np.where(on_band, FAINT_ON_BAND, FAINT))[drawn]
    _mark_beyond(canvas, least, greatest, window)
    return canvas


def _core(x: FloatArray, line: FloatArray, window: Window) -> npt.NDArray[np.bool_]:
    """Return the cells through which the mean of the valid pixels of each column runs.

    Neighbours are joined. All cells where there are fewer than `_MANY` pixels a column: the line
    is what it is there.
    """
    shape = (window.height, window.width)
    place = bins(x, window.x0, window.x1, window.width)
    use = np.flatnonzero((place >= 0) & np.isfinite(line))
    if use.size < _MANY * window.width or not window.height:
        return np.ones(shape, bool)
    number = np.bincount(place[use], minlength=window.width)
    sums = np.bincount(place[use], line[use], minlength=window.width)
    there = number > 0
    mean = np.where(there, sums / np.maximum(number, 1), window.lo)
    row = np.clip(np.floor(window.rows(mean, window.height)), 0, window.height - 1)
    top, bottom = row.copy(), row.copy()
    both = there[1:] & there[:-1]
    top[1:] = np.where(both, np.minimum(row[1:], row[:-1] + 1), row[1:])
    bottom[1:] = np.where(both, np.maximum(row[1:], row[:-1] - 1), row[1:])
    cells = np.arange(window.height)[:, None]
    return np.asarray(there & (cells >= top) & (cells <= bottom))


def around(window: Window, x: FloatArray) -> slice:
    """Return the pixels in a window and one more at each side."""
    first = max(int(np.searchsorted(x, window.x0)) - 1, 0)
    last = int(np.searchsorted(x, window.x1, side="right")) + 1
    return slice(first, last)


def _resampled(
    x: FloatArray, parts: tuple[FloatArray, ...], window: Window
) -> tuple[FloatArray, tuple[FloatArray, ...]]:
    """Return steps where there are fewer pixels than dot columns, else what was given."""
    count = 2 * window.width
    if x.size >= count:
        return x, parts
    nearest = steps(x, window.x0, window.x1, count)
    middles = window.x0 + (np.arange(count) + 0.5) * (window.x1 - window.x0) / count
    if not x.size:
        return middles, tuple(np.full(count, np.nan) for _ in parts)
    return middles, tuple(np.where(nearest >= 0, part[nearest], np.nan) for part in parts)


def _paint_band(
    canvas: Canvas, lower: FloatArray, upper: FloatArray, window: Window, colored: bool
) -> FloatArray:
    """Paint the band, to eighths of a cell; return which part of each cell it covers."""
    height = window.height
    cells = np.arange(height)[:, None]
    there = np.isfinite(lower)
    top = np.where(there, window.rows(np.where(there, upper, 0.0), height), np.inf)
    bottom = np.where(there, window.rows(np.where(there, lower, 0.0), height), -np.inf)
    begin, end = np.maximum(top, cells) - cells, np.minimum(bottom, cells + 1) - cells
    covered: FloatArray = np.clip(end - begin, 0.0, 1.0)
    if not colored:
        shaded = covered >= 0.5
        canvas.chars[shaded] = _LIGHT_SHADE
        canvas.styles[shaded] = BAND
        return covered
    eighths = np.rint(covered * 8).astype(np.uint32)
    some = eighths > 0
    hangs = some & (begin <= 0.0) & (end < 1.0) & (eighths < 8)
    stands = some & ~hangs
    canvas.chars[stands] = _LOWER_BLOCK + eighths[stands]
    canvas.styles[stands] = BAND
    canvas.chars[hangs] = _LOWER_BLOCK + 8 - eighths[hangs]
    canvas.styles[hangs] = BAND_ABOVE
    full = eighths == 8  # as a ground and not as a block: a cursor can be seen on it
    canvas.chars[full] = ord(" ")
    canvas.styles[full] = LINE_ON_BAND
    return covered


def _mark_beyond(canvas: Canvas, least: FloatArray, greatest: FloatArray, window: Window) -> None:
    """Say where the line leaves the window."""
    if not window.height:
        return
    with np.errstate(invalid="ignore"):
        above = (greatest > window.hi).reshape(-1, 2).any(axis=1)
        below = (least < window.lo).reshape(-1, 2).any(axis=1)
    for row, where, mark in ((0, above, "▲"), (window.height - 1, below, "▼")):
        canvas.chars[row, where] = ord(mark)
        canvas.styles[row, where] = BEYOND


def mask_row(
    x: FloatArray, good: npt.NDArray[np.bool_], window: Window
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return for each column whether some, and whether all of its pixels are masked."""
    bad = (~good).astype(np.float64)
    if x.size < window.width:
        nearest = steps(x, window.x0, window.x1, window.width)
        found = (nearest >= 0) & (bad[nearest] > 0) if x.size else np.zeros(window.width, bool)
        return found, found
    least, greatest = extremes(x, bad, bad, window.x0, window.x1, window.width)
    return greatest > 0, least > 0
