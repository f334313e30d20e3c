"""Which cells of a ring grid circles and other regions can have positions in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from corecube.archive.regions import Cone, Region, split_turn
from corecube.archive.ringgrid import RingGrid
from corecube.archive.sphere import PAD, FloatArray, half_width, half_widths

IntArray = npt.NDArray[np.int64]

# Zones up to which a cone is covered with scalars: a few numbers cost less than a few arrays.
_FEW: Final = 6
# Pairs of a circle and a zone in one go.
_PAIRS: Final = 200_000


@dataclass(frozen=True, slots=True)
class Cover:
    """Cells that hold all positions of a region, and perhaps others.

    Attributes
    ----------
    first, last : int
        Zones, both included.
    bounds : ndarray of int64, shape (2 n,)
        First cell, and the one behind the last, of n ranges; these may overlap.
    """

    first: int
    last: int
    bounds: IntArray


@dataclass(frozen=True, slots=True)
class CircleCover:
    """Cells that hold all positions of many circles: a range for a circle and a zone.

    The ranges of a circle do not overlap.

    Attributes
    ----------
    which : ndarray of int64, shape (n,)
        Number of the circle.
    begin, end : ndarray of int64, shape (n,)
        First cell and the one behind the last.
    width : ndarray of float64, shape (n,)
        Degrees of RA on each side of the centre, within the zone; never too small.
    """

    which: IntArray
    begin: IntArray
    end: IntArray
    width: FloatArray


def cover(region: Region, grid: RingGrid) -> Cover:
    """Return the cells of a region.

    Parameters
    ----------
    region : Cone, Box or Polygon
    grid : RingGrid

    Returns
    -------
    Cover
    """
    low, high = region.dec_range()
    first, last = grid.zone_of(low), grid.zone_of(high)
    if isinstance(region, Cone) and last - first < _FEW:
        width = half_width(region.dec, region.radius)
        if width < 180.0:
            return Cover(first, last, _of_zones(grid, first, last, region.ra, width))
    zone, ra_from, ra_to = region.ra_intervals(*grid.zone_edges(first, last))
    return Cover(
        first, last, np.stack(grid.cell_ranges(zone + first, ra_from, ra_to), axis=-1).reshape(-1)
    )


def _of_zones(grid: RingGrid, first: int, last: int, ra: float, width: float) -> IntArray:
    """Return the bounds for one interval of RA in some zones; `width` is less than 180 degrees."""
    middle = ra % 360.0
    start, end = middle - width, middle + width
    if start < 0.0:
        sides = ((0.0, end), (start + 360.0, 360.0))
    elif end > 360.0:
        sides = ((start, 360.0), (0.0, end - 360.0))
    else:
        sides = ((start, end),)  # type: ignore[assignment]
    bounds = []
    for zone in range(first, last + 1):
        base, count = grid.first_cell.item(zone), grid.cells_in_zone.item(zone)
        for ra_from, ra_to in sides:
            bounds.append(base + min(int(ra_from * count / 360.0), count - 1))
            bounds.append(base + min(int(ra_to * count / 360.0) + 1, count))
    return np.array(bounds)


def cover_circles(
    grid: RingGrid, ra: FloatArray, dec: FloatArray, radius: FloatArray
) -> Iterator[CircleCover]:
    """Yield the cells of circles, some circles at a time.

    Parameters
    ----------
    grid : RingGrid
    ra, dec, radius : ndarray of float64, shape (m,)
        Degrees; as `Cone` wants them, RA in [0, 360).

    Yields
    ------
    CircleCover
        Circles that are neighbours on the sky follow each other, so that their reads are shared.
    """
    order = np.argsort(grid.cell(grid.zone(dec), ra), kind="stable")
    low = grid.zone(np.maximum(dec[order] - (radius[order] + PAD), -90.0))
    high = grid.zone(np.minimum(dec[order] + (radius[order] + PAD), 90.0))
    ends = np.cumsum(high - low + 1)
    first = 0
    while first < len(order):
        done = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + _PAIRS, side="right")))
        part = slice(first, last)
        yield _cover_some(grid, order[part], ra, dec, radius, low[part], high[part])
        first = last


def _cover_some(
    grid: RingGrid,
    query: IntArray,
    ra: FloatArray,
    dec: FloatArray,
    radius: FloatArray,
    low: IntArray,
    high: IntArray,
) -> CircleCover:
    count = high - low + 1
    which, zone = np.repeat(query, count), ragged(low, count)
    edge: FloatArray = zone.astype(np.float64) * (grid.cell_arcmin / 60.0) - 90.0
    width = half_widths(dec[which], radius[which], edge, edge + grid.cell_arcmin / 60.0)
    pair, ra_from, ra_to = split_turn(np.arange(len(zone)), ra[which] - width, ra[which] + width)
    begin, end = grid.cell_ranges(zone[pair], ra_from, ra_to)
    # The two sides of RA 0 can meet in one cell, which must not be searched twice.
    main, other = slice(0, len(zone)), slice(len(zone), None)
    beyond = pair[other]
    behind = begin[other] >= begin[main][beyond]
    begin[other] = np.where(behind, np.maximum(begin[other], end[main][beyond]), begin[other])
    end[other] = np.where(behind, end[other], np.minimum(end[other], begin[main][beyond]))
    return CircleCover(which[pair], begin, np.maximum(begin, end), width[pair])


def ragged(start: IntArray, count: IntArray) -> IntArray:
    """Return start[0], start[0] + 1, ... (count[0] of them), start[1], ... in one array.

    Parameters
    ----------
    start, count : ndarray of int64, shape (n,)

    Returns
    -------
    ndarray of int64, shape (sum of count,)
    """
    ends = np.cumsum(count)
    total = int(ends[-1]) if len(ends) else 0
    numbers = np.repeat(start - (ends - count), count)
    numbers += np.arange(total)
    return numbers
