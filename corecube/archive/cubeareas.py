"""The areas that cells of one grid share with pixels of another, exactly.

A cell is a polygon P in the other grid's pixel coordinates. By Green's theorem its area in the
pixel [c, c + 1] x [r, r + 1] is the integral of clip(x - c, 0, 1) dy along the outline of P, as far
as y is in [r, r + 1]. Along a straight edge the integrand is linear between its kinks, so each edge
gives a closed form: no polygon is clipped, and nothing is sampled. Cells with common corners share
their edges, so their areas in a pixel add up to that of the pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SLIVER: Final = 1e-8
"""Part of a cell, or of a pixel if that is smaller, below which a shared area is rounding.

Positions in degrees have 3e-14, which is 2.5e-10 pixels of 0.4 arcsec.
"""

_PAIRS: Final = 2**18
"""Pairs of cell and pixel that are looked at in one go: 30 MB of arrays."""


class Shares(NamedTuple):
    """Pairs of a cell and a pixel that share an area.

    Attributes
    ----------
    cell, pixel : int64 array (k,)
        Flat indices, by rising cell.
    area : float64 array (k,)
        In pixels.
    """

    cell: IntArray
    pixel: IntArray
    area: FloatArray


def cell_areas(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the areas of the cells of a grid, in pixels, NaN without all corners.

    Parameters
    ----------
    x, y : float64 array (n + 1, m + 1)
        Pixel coordinates of the corners.

    Returns
    -------
    float64 array (n, m)
    """
    first, second = x[1:, 1:] - x[:-1, :-1], y[1:, 1:] - y[:-1, :-1]
    third, fourth = x[1:, :-1] - x[:-1, 1:], y[1:, :-1] - y[:-1, 1:]
    return np.asarray(np.abs(first * fourth - second * third) / 2.0)


def shared_areas(x: FloatArray, y: FloatArray, shape: tuple[int, int]) -> Iterator[Shares]:
    """Yield the areas that cells of a grid share with pixels, some cells at a time.

    Parameters
    ----------
    x, y : float64 array (n + 1, m + 1)
        Pixel coordinates of the corners of n x m cells: pixel (i, j) reaches from i - 0.5 to
        i + 0.5. A cell with a corner that is not finite shares nothing.
    shape : (int, int)
        (ny, nx): there are no other pixels.
    """
    ny, nx = shape
    corners_x, corners_y = _corners(x + 0.5), _corners(y + 0.5)
    with np.errstate(invalid="ignore"):
        left, right = (_clipped(f(corners_x, axis=0), nx) for f in (np.min, np.max))
        low, high = (_clipped(f(corners_y, axis=0), ny) for f in (np.min, np.max))
    # pixels that the box around a cell touches
    first_x, first_y = np.floor(left).astype(np.int64), np.floor(low).astype(np.int64)
    wide = np.ceil(right).astype(np.int64) - first_x
    tall = np.ceil(high).astype(np.int64) - first_y
    count = np.where(np.isfinite(corners_x + corners_y).all(axis=0), wide * tall, 0)
    least = SLIVER * np.minimum(cell_areas(x, y).ravel(), 1.0)
    ends = np.cumsum(count)
    begin = 0
    while begin < count.size:
        done = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + _PAIRS, side="right")))
        part = slice(begin, end)
        cell = np.repeat(np.arange(begin, min(end, count.size), dtype=np.int64), count[part])
        within = np.arange(cell.size) - np.repeat(ends[part] - count[part] - done, count[part])
        column = first_x[cell] + within % np.maximum(wide[cell], 1)
        row = first_y[cell] + within // np.maximum(wide[cell], 1)
        area = _green(corners_x[:, cell] - column, corners_y[:, cell] - row)
        use = area > least[cell]
        yield Shares(cell[use], (row * nx + column)[use], area[use])
        begin = end


def _corners(values: FloatArray) -> FloatArray:
    """Return the four corners of each cell in order around it, (4, cells)."""
    around = (values[:-1, :-1], values[:-1, 1:], values[1:, 1:], values[1:, :-1])
    return np.stack([part.ravel() for part in around])


def _clipped(values: FloatArray, size: int) -> FloatArray:
    return np.clip(np.nan_to_num(values, nan=0.0, posinf=size, neginf=0), 0, size)


def _green(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the area of polygons within the unit square; corners are (4, k), in order."""
    total = np.zeros(x.shape[1])
    for here in range(len(x)):
        there = (here + 1) % len(x)
        total += _edge(x[here], y[here], x[there], y[there])
    return np.abs(total)


def _edge(x0: FloatArray, y0: FloatArray, x1: FloatArray, y1: FloatArray) -> FloatArray:
    """Return the integral of clip(x, 0, 1) dy along an edge, for y in 0 to 1."""
    ya, yb = np.clip(y0, 0.0, 1.0), np.clip(y1, 0.0, 1.0)
    rise = y1 - y0
    slope = np.divide(x1 - x0, rise, out=np.zeros_like(rise), where=rise != 0)
    xa, xb = x0 + slope * (ya - y0), x0 + slope * (yb - y0)
    # the mean of clip(x, 0, 1) for x from xa to xb; near a kink the differences are exact
    inside_a, inside_b = np.clip(xa, 0.0, 1.0), np.clip(xb, 0.0, 1.0)
    integral = (inside_b - inside_a) * (inside_b + inside_a) / 2.0
    integral += np.maximum(xb, 1.0) - np.maximum(xa, 1.0)
    run = xb - xa
    mean = np.divide(integral, run, out=inside_a.copy(), where=run != 0)
    return mean * (yb - ya)
