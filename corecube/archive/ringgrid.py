"""The ring grid: zones of declination cut into cells of about equal size.

Closed form and monotonic in both coordinates, so that the cells between the cells of two ends are
all the cells between the ends: a covering is inclusive by construction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from corecube.archive.sphere import FloatArray

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RingGrid:
    """Cells of one height.

    Zone z holds floor((dec + 90) / H) = z; it is cut into nb = max(1, floor(360 cos(d) / H)) cells
    of equal width, d being the declination of its edge nearest to the equator.

    Parameters
    ----------
    cell_arcmin : float
        Height H of a zone, arcminutes, 0.5 to 600.
    """

    cell_arcmin: float
    zones: int = field(init=False)
    """Number of zones."""
    cells_in_zone: IntArray = field(init=False, repr=False, compare=False)
    """Number of cells of each zone, shape (zones,)."""
    first_cell: IntArray = field(init=False, repr=False, compare=False)
    """Number of the first cell of each zone, at the end the number of all; shape (zones + 1,)."""

    _edges: FloatArray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0.5 <= self.cell_arcmin <= 600.0:
            raise ValueError(f"cells of {self.cell_arcmin!r} arcmin are not between 0.5 and 600")
        height = self.cell_arcmin / 60.0
        # The small numbers keep a rounding of the last digit, which differs between mathematical
        # libraries, from changing a count, and with it the meaning of stored cell numbers.
        zones = int(np.ceil(180.0 / height - 1e-6))
        edges = np.arange(zones + 1) * height - 90.0
        low = edges[:-1]
        nearest = np.where(low >= 0.0, low, np.maximum(-low - height, 0.0))
        cells = np.floor(360.0 * np.cos(np.radians(nearest)) / height + 1e-6).astype(np.int64)
        object.__setattr__(self, "zones", zones)
        object.__setattr__(self, "_edges", edges)
        object.__setattr__(self, "cells_in_zone", np.maximum(cells, 1))
        object.__setattr__(self, "first_cell", np.concatenate([[0], np.cumsum(self.cells_in_zone)]))

    def zone(self, dec: npt.ArrayLike) -> IntArray:
        """Return the zone of declinations.

        Parameters
        ----------
        dec : array_like of float
            Degrees, -90 to 90.

        Returns
        -------
        ndarray of int64
            0 to zones - 1.
        """
        number = np.floor((np.asarray(dec, np.float64) + 90.0) * (60.0 / self.cell_arcmin))
        zone: IntArray = np.clip(number, 0, self.zones - 1).astype(np.int64)
        return zone

    def cell(self, zone: IntArray, ra: npt.ArrayLike) -> IntArray:
        """Return the cell of right ascensions.

        Parameters
        ----------
        zone : ndarray of int64
            Zone of each.
        ra : array_like of float
            Degrees, 0 to 360.

        Returns
        -------
        ndarray of int64
            Numbers that count through all zones from the south.
        """
        count = self.cells_in_zone[zone]
        inside = (np.asarray(ra, np.float64) * count / 360.0).astype(np.int64)
        cell: IntArray = self.first_cell[zone] + np.minimum(inside, count - 1)
        return cell

    def cell_ranges(
        self, zone: IntArray, ra_from: FloatArray, ra_to: FloatArray
    ) -> tuple[IntArray, IntArray]:
        """Return the cells of intervals of right ascension.

        Parameters
        ----------
        zone : ndarray of int64, shape (n,)
            Zone of each interval.
        ra_from, ra_to : ndarray of float64, shape (n,)
            Its ends, 0 to 360 degrees.

        Returns
        -------
        begin, end : ndarray of int64, shape (n,)
            The first cell and the one behind the last.
        """
        count, first = self.cells_in_zone[zone], self.first_cell[zone]
        begin = first + np.minimum((ra_from * count / 360.0).astype(np.int64), count - 1)
        end = first + np.minimum((ra_to * count / 360.0).astype(np.int64) + 1, count)
        return begin, end

    def zone_edges(self, first: int, last: int) -> tuple[FloatArray, FloatArray]:
        """Return the declinations of the edges of some zones.

        Parameters
        ----------
        first, last : int
            Zones, both included.

        Returns
        -------
        low, high : ndarray of float64
            Degrees.
        """
        return self._edges[first : last + 1], self._edges[first + 1 : last + 2]

    def zone_of(self, dec: float) -> int:
        """Return the zone of one declination in degrees; the same as `zone`, for scalars."""
        return min(int((dec + 90.0) * (60.0 / self.cell_arcmin)), self.zones - 1)


@lru_cache(maxsize=16)
def ring_grid(cell_arcmin: float) -> RingGrid:
    """Return the grid of a cell size, made once.

    Parameters
    ----------
    cell_arcmin : float
        Height of a zone, arcminutes.

    Returns
    -------
    RingGrid
        Shared; it is never changed.
    """
    return RingGrid(cell_arcmin)
