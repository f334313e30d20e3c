"""Polygons on the sphere: edges are great circles, any orientation, concave allowed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corecube.archive.arcs import (
    ON_EDGE,
    arc_decs,
    arc_distance,
    arc_normals,
    arcs_cross,
)
from corecube.archive.regions import Circle, Intervals, split_turn
from corecube.archive.sphere import PAD, BoolArray, FloatArray, positions, separation, unit_vectors
from corecube.errors import QueryError

MOST_VERTICES = 10_000
"""A polygon of more is refused: the check that its edges do not cross grows with the square."""

# cos of the largest distance of a vertex from the middle: 89.9 degrees.
_LEAST_COSINE = 1.7e-3
# Points times edges that are looked at in one go: about 2 MB an array.
_BLOCK = 250_000


class Polygon:
    """All positions inside a closed chain of great-circle arcs, the arcs included.

    Of the two parts of the sphere it is the one within a hemisphere. A position within 1e-9
    arcsec of an edge is on it.

    Parameters
    ----------
    vertices : array_like of float, shape (k, 2)
        RA and Dec in degrees, k from 3 to 10,000, in either direction. The last may repeat the
        first. Edges must not cross, and all vertices must lie within a circle of 89.9 degrees.

    Raises
    ------
    QueryError
        The vertices do not make such a polygon.
    """

    def __init__(self, vertices: npt.ArrayLike) -> None:
        try:
            points = np.array(vertices, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise QueryError("the vertices of a polygon must be pairs of numbers") from error
        if points.ndim != 2 or points.shape[1] != 2:
            raise QueryError(
                f"the vertices of a polygon must be pairs (RA, Dec), not of shape {points.shape}"
            )
        if not np.isfinite(points).all():
            raise QueryError("a vertex of the polygon is not a finite number of degrees")
        if (np.abs(points[:, 1]) > 90.0).any():
            raise QueryError("the declination of a vertex is not between -90 and 90 degrees")
        vectors = unit_vectors(points[:, 0], points[:, 1])
        # Repeated vertices make edges without a direction.
        fresh = np.sum((vectors - np.roll(vectors, 1, axis=0)) ** 2, axis=1) > ON_EDGE**2
        points, vectors = points[fresh], vectors[fresh]
        if not 3 <= len(points) <= MOST_VERTICES:
            raise QueryError(
                f"a polygon needs 3 to {MOST_VERTICES} different vertices, not {len(points)}"
            )
        self.vertices: FloatArray = points
        """RA and Dec in degrees, shape (k, 2), each once."""
        self.vectors: FloatArray = vectors
        """Unit vectors of the vertices, shape (k, 3)."""
        self._center = _middle(vectors)
        ra, dec = positions(self._center)
        self._radius = float(np.max(separation(ra, dec, points[:, 0], points[:, 1]))) + PAD
        self.ends: FloatArray = np.roll(vectors, -1, axis=0)
        """Unit vectors of the other ends of the edges, shape (k, 3)."""
        self._normals = arc_normals(vectors, self.ends)
        self._lengths = np.sqrt(np.sum(self._normals**2, axis=1))
        self._chords = self.ends - vectors
        # A right-handed frame (east, north, middle) of the gnomonic projection, where great
        # circles are straight lines.
        pole = np.eye(3)[np.argmin(np.abs(self._center))]
        east = np.cross(pole, self._center)
        east /= np.sqrt(east @ east)
        self._axes = np.stack([east, np.cross(self._center, east)])
        self._plane = vectors @ self._axes.T / (vectors @ self._center)[:, np.newaxis]
        self._check_shape()

    def __repr__(self) -> str:
        return f"Polygon({self.vertices.tolist()})"

    def _check_shape(self) -> None:
        for i in range(len(self.vectors) - 2):
            a, b = self.vectors[i], self.ends[i]
            crossed = arcs_cross(a, b, self.vectors[i + 2 :], self.ends[i + 2 :], self._normals[i])
            if crossed.any():
                j = i + 2 + int(np.argmax(crossed))
                raise QueryError(
                    f"edges {i + 1} and {j + 1} of the polygon cross; give the vertices in the "
                    "order of its outline"
                )
        # Last, because the two halves of a figure of eight cancel.
        x, y = self._plane[:, 0] - self._plane[0, 0], self._plane[:, 1] - self._plane[0, 1]
        area = abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))) / 2
        extent = float(max(np.ptp(x), np.ptp(y)))
        if area <= 10.0 * ON_EDGE * extent:
            raise QueryError("the vertices of the polygon lie on one great circle: it has no area")

    def contains(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> BoolArray:
        """Tell which positions (degrees, any shape) are in the polygon.

        Crossing number of a ray in the gnomonic plane (M. Shimrat 1962, Comm. ACM 5, 434); the
        side of an edge is decided with unit vectors.

        Returns
        -------
        ndarray of bool
            False where a position is not finite.
        """
        a, d = np.broadcast_arrays(np.asarray(ra, np.float64), np.asarray(dec, np.float64))
        inside = np.zeros(a.shape, dtype=np.bool_)
        with np.errstate(invalid="ignore"):
            vectors = unit_vectors(a.ravel(), d.ravel())
        limit = np.cos(np.radians(self._radius)) - 1e-14
        near = np.flatnonzero(vectors @ self._center >= limit)
        step = max(1, _BLOCK // len(self.vectors))
        for first in range(0, len(near), step):
            rows = near[first : first + step]
            inside.reshape(-1)[rows] = self._inside(vectors[rows])
        return inside

    def _inside(self, points: FloatArray) -> BoolArray:
        plane = points @ self._axes.T / (points @ self._center)[:, np.newaxis]
        x, y = plane[:, 0], plane[:, 1]
        here = self._plane[:, :, np.newaxis]
        there = np.roll(here, -1, axis=0)
        up_here, up_there = here[:, 1] > y, there[:, 1] > y
        side = self._normals @ points.T
        left, right = np.minimum(here[:, 0], there[:, 0]), np.maximum(here[:, 0], there[:, 0])
        # Far from a nearly level edge the sign of `side` is noise, but x is not.
        hit = (x < left) | ((x <= right) & ((side > 0.0) == up_there))
        odd = np.logical_xor.reduce((up_here != up_there) & hit, axis=0)
        along = self._chords @ points.T - np.sum(self._chords * self.vectors, axis=1)[:, np.newaxis]
        length = self._lengths[:, np.newaxis]
        squared = np.sum(self._chords**2, axis=1)[:, np.newaxis]
        chord = np.sqrt(squared)
        on = (
            (np.abs(side) <= ON_EDGE * length)
            & (along >= -ON_EDGE * chord)
            & (along <= squared + ON_EDGE * chord)
        )
        return np.asarray(odd | on.any(axis=0))

    def dec_range(self) -> tuple[float, float]:
        """Return the lowest and the highest declination, in degrees."""
        low, high = arc_decs(self.vectors, self.ends)
        south, north = self.contains([0.0, 0.0], [-90.0, 90.0])
        return (
            -90.0 if south else max(-90.0, float(low.min()) - PAD),
            90.0 if north else min(90.0, float(high.max()) + PAD),
        )

    def ra_intervals(self, low: FloatArray, high: FloatArray) -> Intervals:
        """Return where in RA the polygon can be.

        Every edge is cut into pieces of about a zone's height; along a great circle RA only rises
        or only falls, so the ends of the pieces in a zone bound the polygon there.

        Parameters
        ----------
        low, high : ndarray of float64, shape (n,)
            Edges of zones of declination, degrees, rising.

        Returns
        -------
        zone, ra_from, ra_to : ndarray, shape (m,)
            Up to two intervals for a zone.
        """
        zones = np.arange(len(low))
        poles = np.array([[[0.0, 0.0, 1.0]], [[0.0, 0.0, -1.0]]])
        if len(low) == 0 or arc_distance(poles, self.vectors, self.ends).min() < 1e-5:
            return split_turn(zones, np.zeros(len(low)), np.full(len(low), 360.0))
        start, end = self._pieces(float(np.max(high - low)))
        ra, _ = positions(start)
        turn = np.mod(np.roll(ra, -1) - ra + 180.0, 360.0) - 180.0
        if abs(float(np.sum(turn))) > 180.0:  # a pole is inside
            return split_turn(zones, np.zeros(len(low)), np.full(len(low), 360.0))
        unwound = ra[0] + np.concatenate([[0.0], np.cumsum(turn)])
        piece_low, piece_high = arc_decs(start, end)
        first = np.searchsorted(high, piece_low - PAD, side="left")
        count = np.searchsorted(low, piece_high + PAD, side="right") - first
        count = np.maximum(count, 0)
        piece = np.repeat(np.arange(len(start)), count)
        zone = np.arange(len(piece)) + np.repeat(first - (np.cumsum(count) - count), count)
        least, most = np.full(len(low), np.inf), np.full(len(low), -np.inf)
        np.minimum.at(least, zone, np.minimum(unwound[:-1], unwound[1:])[piece])
        np.maximum.at(most, zone, np.maximum(unwound[:-1], unwound[1:])[piece])
        used = zones[least <= most]
        # At 1e-5 degrees from a pole 1e-4 degrees of RA are 1e-11 degrees on the sky.
        begin = least[used] - 1e-4
        width = most[used] - least[used] + 2e-4
        begin -= 360.0 * np.floor(begin / 360.0)
        return split_turn(used, begin, begin + width)

    def circle(self) -> Circle:
        """Return a circle around the polygon: unit vector (3,) and radius in degrees."""
        return self._center, self._radius

    def _pieces(self, height: float) -> tuple[FloatArray, FloatArray]:
        angle = 2.0 * np.degrees(
            np.arcsin(np.minimum(1.0, np.sqrt(np.sum(self._chords**2, 1)) / 2))
        )
        count = 1 + np.minimum(512, angle / max(height, 1e-3)).astype(np.int64)
        edge = np.repeat(np.arange(len(count)), count)
        step = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
        share = (step / count[edge])[:, np.newaxis]
        points = self.vectors[edge] + share * self._chords[edge]
        points /= np.sqrt(np.sum(points**2, axis=1))[:, np.newaxis]
        return points, np.roll(points, -1, axis=0)


def _middle(vectors: FloatArray) -> FloatArray:
    """Return a direction from which all vertices are less than 90 degrees away."""
    center = vectors.sum(axis=0)
    size = float(np.sqrt(center @ center))
    if size > 0.0 and float((vectors @ center).min()) > 0.1 * size:
        return np.asarray(center / size)
    # Badoiu and Clarkson (2003): step towards the farthest one, ever less.
    center = center / size if size > 1e-6 else vectors[0].copy()
    for step in range(2, 3000):
        farthest = vectors[np.argmin(vectors @ center)]
        center = center + (farthest - center) / step
    size = float(np.sqrt(center @ center))
    if size == 0.0 or float((vectors @ center).min()) <= _LEAST_COSINE * size:
        raise QueryError(
            "the vertices of the polygon do not lie within a circle of 89.9 degrees; cut it up"
        )
    return np.asarray(center / size)
