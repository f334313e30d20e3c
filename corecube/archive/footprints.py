"""Footprints of images: many convex polygons, asked which of them a region touches.

Circles around the footprints rule out nearly all; the rest is decided with arcs of great circles,
which are the edges of an image in the gnomonic (TAN) projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from corecube.archive.arcs import arc_distance, arc_normals, arcs_cross
from corecube.archive.polygon import Polygon
from corecube.archive.regions import Box, Cone, Region
from corecube.archive.sphere import PAD, BoolArray, FloatArray, positions, unit_vectors

IntArray = npt.NDArray[np.int64]

# Radians (2e-8 arcsec): a point so near an edge is on it.
_ON_EDGE = 1e-13
# Pairs of edges that are looked at in one go: about 6 MB an array of vectors.
_BLOCK = 250_000


class Footprints:
    """Convex polygons on the sky, each within a hemisphere, in any orientation.

    Parameters
    ----------
    corners : sequence of array_like of float, shape (k, 2), or None
        RA and Dec of the corners, ICRS degrees; k may differ. A footprint that is None, has less
        than 3 corners, or a corner that is not a position matches nothing.

    Attributes
    ----------
    centers : ndarray of float64, shape (n, 3)
        Unit vectors of the middles; NaN where a footprint matches nothing.
    radii : ndarray of float64, shape (n,)
        Degrees of a circle around each; NaN where a footprint matches nothing.
    """

    def __init__(self, corners: Sequence[npt.ArrayLike | None] | npt.NDArray[np.float64]) -> None:
        flat, lengths = _flatten(corners)
        number = len(lengths)
        owner = np.repeat(np.arange(number), lengths)
        good = lengths >= 3
        with np.errstate(invalid="ignore"):
            wrong = ~(np.isfinite(flat[:, 0]) & (np.abs(flat[:, 1]) <= 90.0))
        good[owner[wrong]] = False
        self.centers: FloatArray = np.full((number, 3), np.nan)
        self.radii: FloatArray = np.full(number, np.nan)
        kept = good[owner]
        # Corners of the good ones, one behind the other; counts and first corner for all.
        self._ra, self._dec = flat[kept, 0], flat[kept, 1]
        self._count = np.where(good, lengths, 0)
        self._first = np.cumsum(self._count) - self._count
        self._start = unit_vectors(self._ra, self._dec)
        following = np.arange(1, len(self._start) + 1)
        rows = np.flatnonzero(good)
        following[self._first[rows] + self._count[rows] - 1] = self._first[rows]
        self._end = self._start[following]
        if len(rows) == 0:
            self._normal = self._start
            return
        total = np.add.reduceat(self._start, self._first[rows], axis=0)
        size = np.sqrt(np.sum(total**2, axis=1, keepdims=True))
        middle = total / np.where(size > 0.0, size, 1.0)
        normal = arc_normals(self._start, self._end)
        around = np.add.reduceat(normal, self._first[rows], axis=0)
        # Seen from outside the corners go round to the left, or all normals are turned.
        sign = np.where(np.sum(around * middle, axis=1) < 0.0, -1.0, 1.0)
        length = np.sqrt(np.sum(normal**2, axis=1))
        turned = np.repeat(sign, self._count[rows]) / np.where(length > 0.0, length, 1.0)
        self._normal = normal * turned[:, np.newaxis]
        apart = np.sqrt(
            np.sum((self._start - np.repeat(middle, self._count[rows], axis=0)) ** 2, axis=1)
        )
        chord = np.maximum.reduceat(np.minimum(apart / 2.0, 1.0), self._first[rows])
        self.centers[rows] = middle
        self.radii[rows] = 2.0 * np.degrees(np.arcsin(chord)) + PAD

    def __len__(self) -> int:
        return len(self.radii)

    def contains_point(self, ra: float, dec: float) -> BoolArray:
        """Tell which footprints hold a position, their edges included.

        Parameters
        ----------
        ra, dec : float
            ICRS degrees.

        Returns
        -------
        ndarray of bool, shape (n,)
            All False if the position is not finite.
        """
        inside = np.zeros(len(self), dtype=np.bool_)
        if np.isfinite(ra) and np.isfinite(dec):
            point = unit_vectors(ra, dec)
            rows = self._near(point, 0.0)
            inside[rows] = self._hold(rows, point)
        return inside

    def touches(self, region: Region) -> BoolArray:
        """Tell which footprints have a point in common with a region.

        Exact up to 1e-9 degrees.

        Parameters
        ----------
        region : Cone, Box or Polygon
            The region.

        Returns
        -------
        ndarray of bool, shape (n,)
            True where footprint and region touch.

        Raises
        ------
        TypeError
            The region is of another kind.
        """
        center, radius = region.circle()
        rows = self._near(center, radius)
        touched = np.zeros(len(self), dtype=np.bool_)
        if len(rows) == 0:
            return touched
        match region:
            case Cone():
                touched[rows] = self._hold(rows, center)
                distance = arc_distance(center, *self._edges(rows))
                touched[rows] |= self._any(rows, np.asarray(distance <= region.radius))
            case Polygon():
                self._outline(rows, touched, region, region.vectors, region.ends)
            case Box():
                self._box(rows, touched, region)
            case _:
                raise TypeError(f"{type(region).__name__} is not a region that images know")
        return touched

    def touches_many(
        self, ra: FloatArray, dec: FloatArray, radius: FloatArray
    ) -> tuple[IntArray, IntArray]:
        """Return which footprints touch which of many circles.

        The same as `touches` with a `Cone` for each, much faster.

        Parameters
        ----------
        ra, dec, radius : ndarray of float64, shape (m,)
            Degrees; radius from 0 to 180.

        Returns
        -------
        footprint, circle : ndarray of int64, shape (n,)
            Pairs, sorted by circle and footprint.
        """
        vectors = unit_vectors(ra, dec)
        order = np.argsort(dec, kind="stable")
        rows = np.flatnonzero(np.isfinite(self.radii))
        widest = float(radius.max(initial=0.0)) + 2 * PAD
        middle = np.degrees(np.arcsin(np.clip(self.centers[rows, 2], -1.0, 1.0)))
        reach = self.radii[rows] + widest + 1e-7  # the arcsin of a z near 1 is not better
        first = np.searchsorted(dec[order], middle - reach, side="left")
        count = np.searchsorted(dec[order], middle + reach, side="right") - first
        ends = np.cumsum(count)
        found: list[tuple[IntArray, IntArray]] = []
        begin = 0
        while begin < len(rows):
            done = int(ends[begin - 1]) if begin else 0
            stop = max(begin + 1, int(np.searchsorted(ends, done + _BLOCK, side="right")))
            here = slice(begin, stop)
            begin = stop
            # a footprint that may meet more circles than a block holds is looked at in parts
            total = int(count[here].sum())
            for at in range(0, total, _BLOCK):
                number = np.arange(at, min(at + _BLOCK, total)) + done
                which = np.searchsorted(ends[here], number, side="right") + here.start
                circle = order[first[which] + number - (ends[which] - count[which])]
                footprint = rows[which]
                limit = np.minimum(self.radii[footprint] + radius[circle] + PAD, 180.0)
                cosine = np.sum(self.centers[footprint] * vectors[circle], axis=1)
                near = np.flatnonzero(cosine >= np.cos(np.radians(limit)) - 1e-14)
                footprint, circle = footprint[near], circle[near]
                point = np.repeat(vectors[circle], self._count[footprint], axis=0)
                touched = self._hold(footprint, point)
                if len(footprint):
                    distance = arc_distance(point, *self._edges(footprint))
                    around = np.repeat(radius[circle], self._count[footprint])
                    touched |= self._any(footprint, np.asarray(distance <= around))
                found.append((footprint[touched], circle[touched]))
        none = np.empty(0, np.int64)
        footprint = np.concatenate([none, *(pair[0] for pair in found)])
        circle = np.concatenate([none, *(pair[1] for pair in found)])
        sort = np.lexsort((footprint, circle))
        return footprint[sort], circle[sort]

    def hold(self, rows: IntArray, ra: FloatArray, dec: FloatArray) -> BoolArray:
        """Tell which footprints hold a position of their own, their edges included.

        Parameters
        ----------
        rows : ndarray of int, shape (n,)
            Numbers of footprints, which may come several times.
        ra, dec : ndarray of float64, shape (n,)
            ICRS degrees, finite.
        """
        inside = np.zeros(len(rows), dtype=np.bool_)
        good = np.flatnonzero(self._count[rows])
        some = rows[good]
        vectors = unit_vectors(ra[good], dec[good])
        limit = np.cos(np.radians(np.minimum(self.radii[some] + PAD, 180.0))) - 1e-14
        near = np.flatnonzero(np.sum(self.centers[some] * vectors, axis=1) >= limit)
        point = np.repeat(vectors[near], self._count[some[near]], axis=0)
        inside[good[near]] = self._hold(some[near], point)
        return inside

    def _near(self, center: FloatArray, radius: float) -> IntArray:
        reach = np.minimum(self.radii + radius + PAD, 180.0)
        # NaN compares as False: what matches nothing drops out here.
        return np.flatnonzero(self.centers @ center >= np.cos(np.radians(reach)) - 1e-14)

    def _corner_rows(self, rows: IntArray) -> IntArray:
        count = self._count[rows]
        ends = np.cumsum(count)
        numbers: IntArray = np.arange(ends[-1] if len(ends) else 0) + np.repeat(
            self._first[rows] - (ends - count), count
        )
        return numbers

    def _edges(self, rows: IntArray) -> tuple[FloatArray, FloatArray]:
        at = self._corner_rows(rows)
        return self._start[at], self._end[at]

    def _any(self, rows: IntArray, per_corner: BoolArray) -> BoolArray:
        count = self._count[rows]
        return np.logical_or.reduceat(per_corner, np.cumsum(count) - count)

    def _hold(self, rows: IntArray, point: FloatArray) -> BoolArray:
        """Tell which of the footprints hold a point: it is to the left of all their edges.

        The point is one for all, or one for each edge.
        """
        if len(rows) == 0:
            return np.zeros(0, dtype=np.bool_)
        at = self._corner_rows(rows)
        height = np.sum(self._normal[at] * (point - self._start[at]), axis=1)
        return ~self._any(rows, height < -_ON_EDGE)

    def _outline(
        self, rows: IntArray, touched: BoolArray, region: Region, start: FloatArray, end: FloatArray
    ) -> None:
        """Mark footprints with a corner in the region, around its outline, or across it."""
        at = self._corner_rows(rows)
        touched[rows] = self._any(rows, region.contains(self._ra[at], self._dec[at]))
        left = rows[~touched[rows]]
        step = max(1, _BLOCK // (4 * len(start)))
        for first in range(0, len(left), step):
            some = left[first : first + step]
            at = self._corner_rows(some)
            corner, normal = self._start[at], self._normal[at]
            height = normal @ start.T - np.sum(normal * corner, axis=1)[:, np.newaxis]
            # A corner of the region on an edge is no crossing: all of them must be asked.
            touched[some] = (~self._any(some, height < -_ON_EDGE)).any(axis=1)
            across = arcs_cross(
                corner[:, np.newaxis],
                self._end[at, np.newaxis],
                start,
                end,
                arc_normals(corner, self._end[at])[:, np.newaxis],
            )
            touched[some] |= self._any(some, np.asarray(across.any(axis=1)))

    def _box(self, rows: IntArray, touched: BoolArray, box: Box) -> None:
        middle = (box.dec_min + box.dec_max) / 2
        decs = np.array([box.dec_min, middle, box.dec_max])
        sides = [unit_vectors(np.full(3, ra), decs) for ra in (box.ra_min, box.ra_max)]
        start = np.concatenate([side[:-1] for side in sides])
        end = np.concatenate([side[1:] for side in sides])
        self._outline(rows, touched, box, start, end)
        # The upper parallel may pass over a footprint that holds no corner of the box.
        for dec in (box.dec_min, box.dec_max):
            left = rows[~touched[rows]]
            if len(left) and abs(dec) < 90.0:
                touched[left] = self._any(left, self._parallel(left, box, dec))

    def _parallel(self, rows: IntArray, box: Box, dec: float) -> BoolArray:
        """Tell which edges of footprints cross a parallel inside the box."""
        start, end = self._edges(rows)
        # The arc is cos(t) start + sin(t) ahead, with z = height cos(t - top).
        ahead = np.cross(arc_normals(start, end), start)
        size = np.sqrt(np.sum(ahead**2, axis=1, keepdims=True))
        ahead = ahead / np.where(size > 0.0, size, 1.0)
        across = np.sqrt(np.sum((end - start) ** 2, axis=1))
        together = np.sqrt(np.sum((end + start) ** 2, axis=1))
        length = 2.0 * np.arctan2(across, together)
        height, top = np.hypot(start[:, 2], ahead[:, 2]), np.arctan2(ahead[:, 2], start[:, 2])
        z = np.sin(np.radians(dec))
        reached = np.abs(z) <= height + 1e-15
        half = np.arccos(np.clip(z / np.where(height > 0.0, height, 1.0), -1.0, 1.0))
        found = np.zeros(len(start), dtype=np.bool_)
        for t in (top - half, top + half):
            turned = np.mod(t + _ON_EDGE, 2.0 * np.pi) - _ON_EDGE
            point = np.cos(turned)[:, np.newaxis] * start + np.sin(turned)[:, np.newaxis] * ahead
            ra, _ = positions(point)
            here = reached & (turned <= length + _ON_EDGE)
            found |= here & box.contains(ra, np.full(len(ra), dec))
        return found


def _flatten(
    corners: Sequence[npt.ArrayLike | None] | npt.NDArray[np.float64],
) -> tuple[FloatArray, IntArray]:
    """Return all corners, one behind the other, and how many each footprint has."""
    if isinstance(corners, np.ndarray) and corners.ndim == 3 and corners.shape[2] == 2:
        flat: FloatArray = corners.reshape(-1, 2).astype(np.float64)
        return flat, np.full(len(corners), corners.shape[1], dtype=np.int64)
    polygons = [_corners(entry) for entry in corners]
    lengths = np.array([len(polygon) for polygon in polygons], dtype=np.int64)
    return np.concatenate([np.zeros((0, 2)), *polygons]), lengths


def _corners(entry: Any) -> FloatArray:
    if entry is None:
        return np.zeros((0, 2))
    corners = np.asarray(entry, dtype=np.float64)
    if corners.size == 0:
        return np.zeros((0, 2))
    if corners.ndim != 2 or corners.shape[1] != 2:
        raise ValueError(f"corners of a footprint must be of shape (k, 2), not {corners.shape}")
    return corners
