"""Arcs of great circles: distance to a point, crossing, highest declination.

Points are unit vectors. Normals are taken from differences, a x (b - a): a x b itself loses the
digits that the two have in common when an arc is short.
"""

from __future__ import annotations

import numpy as np

from corecube.archive.sphere import BoolArray, FloatArray

ON_EDGE = 5e-15
"""Radians (1e-9 arcsec): a point so near an arc lies on it. Unit vectors hold about 1e-16."""


def arc_normals(start: FloatArray, end: FloatArray) -> FloatArray:
    """Return the poles of arcs, to the left of the way from start to end.

    Parameters
    ----------
    start, end : ndarray of float64, shape (..., 3)
        Unit vectors, less than 180 degrees apart.

    Returns
    -------
    ndarray of float64, shape (..., 3)
        Their length is about the length of the arc for short ones; zero where start equals end.
    """
    return np.cross(start, end - start)


def arc_distance(point: FloatArray, start: FloatArray, end: FloatArray) -> FloatArray:
    """Return the distance of points from arcs.

    Parameters
    ----------
    point, start, end : ndarray of float64, shape (..., 3)
        Unit vectors; they broadcast.

    Returns
    -------
    ndarray of float64, shape (...)
        Degrees, 0 to 180.
    """
    normal = arc_normals(start, end)
    size = np.sqrt(np.sum(normal * normal, axis=-1))
    ends = np.minimum(_vector_distance(point, start), _vector_distance(point, end))
    ahead = np.sum(np.cross(normal, start) * point, axis=-1) > 0.0
    before = np.sum(np.cross(normal, end) * point, axis=-1) < 0.0
    safe = np.where(size > 0.0, size, 1.0)
    # The point minus the start keeps the digits of short distances.
    height = np.abs(np.sum(normal * (point - start), axis=-1)) / safe
    along = np.sqrt(np.clip(1.0 - height * height, 0.0, None))
    middle = np.degrees(np.arctan2(height, along))
    return np.where(ahead & before & (size > 0.0), np.minimum(middle, ends), ends)


def arcs_cross(
    a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray, normals: FloatArray
) -> BoolArray:
    """Tell whether arcs a-b and c-d cross at a point that is an end of neither.

    Arcs that only touch, or lie on one great circle, do not cross: one of their ends lies on the
    other arc, which the caller finds out for himself.

    Parameters
    ----------
    a, b, c, d : ndarray of float64, shape (..., 3)
        Unit vectors, each pair less than 180 degrees apart; they broadcast.
    normals : ndarray of float64, shape (..., 3)
        `arc_normals` of a and b.

    Returns
    -------
    ndarray of bool, shape (...)
        True where they cross.
    """
    other = arc_normals(c, d)
    c_side = np.sum(normals * (c - a), axis=-1)
    d_side = np.sum(normals * (d - a), axis=-1)
    a_side = np.sum(other * (a - c), axis=-1)
    b_side = np.sum(other * (b - c), axis=-1)
    # The signs of the crossing point and of its antipode differ in the second condition.
    rising = (c_side < 0.0) & (d_side > 0.0) & (a_side > 0.0) & (b_side < 0.0)
    falling = (c_side > 0.0) & (d_side < 0.0) & (a_side < 0.0) & (b_side > 0.0)
    return np.asarray(rising | falling)


def arc_decs(start: FloatArray, end: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the lowest and the highest declination on arcs.

    Parameters
    ----------
    start, end : ndarray of float64, shape (n, 3)
        Unit vectors.

    Returns
    -------
    low, high : ndarray of float64, shape (n,)
        Degrees.
    """
    first, last = _dec(start), _dec(end)
    low, high = np.minimum(first, last), np.maximum(first, last)
    normal = arc_normals(start, end)
    # z falls or rises along the way as the z of normal x point.
    leaving, arriving = np.cross(normal, start)[:, 2], np.cross(normal, end)[:, 2]
    top = np.degrees(np.arctan2(np.hypot(normal[:, 0], normal[:, 1]), np.abs(normal[:, 2])))
    high = np.where((leaving > 0.0) & (arriving < 0.0), np.maximum(high, top), high)
    low = np.where((leaving < 0.0) & (arriving > 0.0), np.minimum(low, -top), low)
    return low, high


def _dec(vectors: FloatArray) -> FloatArray:
    value: FloatArray = np.degrees(
        np.arctan2(vectors[..., 2], np.hypot(vectors[..., 0], vectors[..., 1]))
    )
    return value


def _vector_distance(one: FloatArray, other: FloatArray) -> FloatArray:
    apart, together = one - other, one + other
    value: FloatArray = 2.0 * np.degrees(
        np.arctan2(
            np.sqrt(np.sum(apart * apart, axis=-1)), np.sqrt(np.sum(together * together, axis=-1))
        )
    )
    return value
