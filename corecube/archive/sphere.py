"""Distances and directions on the sphere, in degrees and float64.

One formula decides everywhere who is inside a circle (`within`), so that the sky index and a
search of all rows give the same rows, bit for bit. It is the haversine; beyond 90 degrees the
haversine of the antipode, because the haversine itself loses half the digits near 180 degrees
(R. W. Sinnott 1984, Sky and Telescope 68, 159). The arccosine of a scalar product is used nowhere:
it loses half the digits near 0.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

ARCSEC = 1.0 / 3600.0
"""One arcsecond in degrees."""

PAD = 1e-7
"""Degrees by which a covering is made too large: the rounding of the formulas here is below 1e-12
degrees, and a cell of the index is 1e4 times larger than this."""


def normalize_ra(ra: npt.ArrayLike) -> FloatArray:
    """Bring right ascensions into [0, 360).

    Values that are there already come back unchanged, bit for bit.

    Parameters
    ----------
    ra : array_like of float
        Degrees, any shape.

    Returns
    -------
    ndarray of float64
        Degrees in [0, 360), of the same shape; NaN where `ra` is not finite.
    """
    with np.errstate(invalid="ignore"):
        turned: FloatArray = np.mod(np.asarray(ra, dtype=np.float64), 360.0)
    # np.mod(-1e-20, 360) is 360.0: the exact result rounds up to the end of the range.
    return np.where(turned == 360.0, 0.0, turned)


def haversine(
    ra1: npt.ArrayLike, dec1: npt.ArrayLike, ra2: npt.ArrayLike, dec2: npt.ArrayLike
) -> FloatArray:
    """Return sin^2(s/2) of the separation s.

    Differences are taken in degrees, where they are exact for neighbours. A turn by 360 degrees
    needs no care: sin^2 of half the difference has this period.

    Parameters
    ----------
    ra1, dec1, ra2, dec2 : array_like of float
        Degrees; they broadcast.

    Returns
    -------
    ndarray of float64
        Between 0 and 1 up to rounding.
    """
    d1, d2 = np.asarray(dec1, dtype=np.float64), np.asarray(dec2, dtype=np.float64)
    # Products, not powers: numpy squares arrays but calls pow() for scalars.
    u = np.sin(np.radians(d2 - d1) * 0.5)
    v = np.sin(np.radians(np.subtract(ra2, ra1, dtype=np.float64)) * 0.5)
    value: FloatArray = u * u + np.cos(np.radians(d1)) * np.cos(np.radians(d2)) * (v * v)
    return value


def antipode_haversine(
    ra1: npt.ArrayLike, dec1: npt.ArrayLike, ra2: npt.ArrayLike, dec2: npt.ArrayLike
) -> FloatArray:
    """Return cos^2(s/2) of the separation s: the haversine from the antipode of the first point.

    Parameters
    ----------
    ra1, dec1, ra2, dec2 : array_like of float
        Degrees; they broadcast.

    Returns
    -------
    ndarray of float64
        Between 0 and 1 up to rounding; exact where `haversine` is not, near 180 degrees.
    """
    d1, d2 = np.asarray(dec1, dtype=np.float64), np.asarray(dec2, dtype=np.float64)
    u = np.sin(np.radians(d2 + d1) * 0.5)
    v = np.cos(np.radians(np.subtract(ra2, ra1, dtype=np.float64)) * 0.5)
    value: FloatArray = u * u + np.cos(np.radians(d1)) * np.cos(np.radians(d2)) * (v * v)
    return value


def separation(
    ra1: npt.ArrayLike, dec1: npt.ArrayLike, ra2: npt.ArrayLike, dec2: npt.ArrayLike
) -> FloatArray:
    """Return the angle between positions.

    Exact to a few 1e-10 arcsec everywhere, also near the antipode; that is the spacing of float64
    numbers near 180 degrees.

    Parameters
    ----------
    ra1, dec1, ra2, dec2 : array_like of float
        Degrees; they broadcast.

    Returns
    -------
    ndarray of float64
        Degrees, 0 to 180; NaN where a coordinate is not finite.
    """
    with np.errstate(invalid="ignore"):
        near = haversine(ra1, dec1, ra2, dec2)
        angle: FloatArray = np.asarray(
            2.0 * np.degrees(np.arcsin(np.sqrt(np.clip(near, 0.0, 1.0))))
        )
        # At 90 degrees both forms are good.
        far = near > 0.5
        if np.any(far):
            other = antipode_haversine(ra1, dec1, ra2, dec2)
            rest = 2.0 * np.degrees(np.arcsin(np.sqrt(np.clip(other, 0.0, 1.0))))
            angle = np.where(far, 180.0 - rest, angle)
    return angle


def within(
    ra: npt.ArrayLike,
    dec: npt.ArrayLike,
    center_ra: npt.ArrayLike,
    center_dec: npt.ArrayLike,
    radius: FloatArray | float,
) -> BoolArray:
    """Tell which positions are in a circle; the decision of every search.

    A position on the edge is inside. A radius of 0 finds equal coordinates, one of 180 or more
    every finite position. All arguments broadcast.

    Parameters
    ----------
    ra, dec : array_like of float
        Positions in degrees; one that is not finite is nowhere.
    center_ra, center_dec : array_like of float
        Centres in degrees.
    radius : ndarray of float64 or float
        Degrees, not negative.

    Returns
    -------
    ndarray of bool
        True where separation <= radius.
    """
    if isinstance(radius, float) and radius <= 90.0:
        # One small circle is the usual question: spare it what is below.
        with np.errstate(invalid="ignore"):
            return _narrow(ra, dec, center_ra, center_dec, radius)
    r = np.asarray(radius, dtype=np.float64)
    wide = r > 90.0
    with np.errstate(invalid="ignore"):
        if not wide.any():
            return _narrow(ra, dec, center_ra, center_dec, r)
        full = np.isfinite(ra) & np.isfinite(dec) & (r >= 180.0)
        if wide.all():
            return full | _broad(ra, dec, center_ra, center_dec, r)
        return np.where(
            wide,
            full | _broad(ra, dec, center_ra, center_dec, r),
            _narrow(ra, dec, center_ra, center_dec, r),
        )


def unit_vectors(ra: npt.ArrayLike, dec: npt.ArrayLike) -> FloatArray:
    """Return the directions of positions.

    Parameters
    ----------
    ra, dec : array_like of float
        Degrees, of one shape.

    Returns
    -------
    ndarray of float64, shape (..., 3)
        Unit vectors; x towards (0, 0), z towards the north pole.
    """
    a, d = np.radians(np.asarray(ra, np.float64)), np.radians(np.asarray(dec, np.float64))
    c = np.cos(d)
    return np.stack(np.broadcast_arrays(c * np.cos(a), c * np.sin(a), np.sin(d)), axis=-1)


def positions(vectors: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return the positions of directions.

    Parameters
    ----------
    vectors : array_like of float, shape (..., 3)
        Of any length but zero.

    Returns
    -------
    ra, dec : ndarray of float64, shape (...)
        Degrees; RA in [0, 360).
    """
    v = np.asarray(vectors, dtype=np.float64)
    x, y, z = v[..., 0], v[..., 1], v[..., 2]
    return normalize_ra(np.degrees(np.arctan2(y, x))), np.degrees(np.arctan2(z, np.hypot(x, y)))


def half_width(dec: float, radius: float) -> float:
    """Return how far in RA a circle reaches from its centre.

    w = asin(sin R / cos d), all RA when the circle holds a pole; not R / cos d, which is too
    narrow near the poles. `PAD` is added so that rounding can leave nothing out.

    Parameters
    ----------
    dec, radius : float
        Degrees.

    Returns
    -------
    float
        Degrees, up to 180.
    """
    padded = radius + PAD
    if abs(dec) + padded >= 90.0:
        return 180.0
    sine = math.sin(math.radians(padded)) / math.cos(math.radians(dec))
    # Near w = 90 the arcsine turns a rounding of 1e-16 into 1e-6 degrees.
    return math.degrees(math.asin(min(1.0, sine))) + 1e-5


def half_widths(
    dec: npt.ArrayLike, radius: npt.ArrayLike, low: FloatArray, high: FloatArray
) -> FloatArray:
    """Return how far in RA circles reach inside zones of declination.

    From the haversine formula, at the declination of the zone where the circle is widest
    (sin = sin d / cos R).

    Parameters
    ----------
    dec, radius : array_like of float
        Degrees; they broadcast with the zones. From 90 degrees on a circle gets all RA.
    low, high : ndarray of float64, shape (n,)
        Edges of the zones, degrees.

    Returns
    -------
    ndarray of float64, shape (n,)
        Degrees, 0 to 180; 180 where a zone is touched beyond a pole. Zones that the circle does
        not reach get a small number or 0.
    """
    d = np.asarray(dec, dtype=np.float64)
    padded = np.minimum(np.asarray(radius, dtype=np.float64) + PAD, 90.0)
    widest = np.sin(np.radians(d)) / np.cos(np.radians(padded))  # cos(radians(90)) is not 0
    widest = np.degrees(np.arcsin(np.clip(widest, -1.0, 1.0)))
    at = np.clip(widest, np.maximum(low - PAD, -90.0), np.minimum(high + PAD, 90.0))
    reach, offset = np.sin(np.radians(padded) * 0.5), np.sin(np.radians(at - d) * 0.5)
    scale = np.cos(np.radians(d)) * np.cos(np.radians(at))
    share = np.clip(reach * reach - offset * offset, 0.0, None) / np.maximum(scale, 1e-300)
    width: FloatArray = 2.0 * np.degrees(np.arcsin(np.sqrt(np.minimum(share, 1.0)))) + 1e-5
    return np.where(padded >= 90.0, 180.0, np.minimum(width, 180.0))


def _narrow(
    ra: npt.ArrayLike,
    dec: npt.ArrayLike,
    center_ra: npt.ArrayLike,
    center_dec: npt.ArrayLike,
    radius: FloatArray | float,
) -> BoolArray:
    edge = np.sin(np.radians(radius) * 0.5)
    inside: BoolArray = np.asarray(haversine(center_ra, center_dec, ra, dec) <= edge * edge)
    return inside


def _broad(
    ra: npt.ArrayLike,
    dec: npt.ArrayLike,
    center_ra: npt.ArrayLike,
    center_dec: npt.ArrayLike,
    radius: FloatArray,
) -> BoolArray:
    # Outside is the circle of 180 - R about the antipode.
    edge = np.sin(np.radians(180.0 - radius) * 0.5)
    outside = antipode_haversine(center_ra, center_dec, ra, dec)
    inside: BoolArray = np.asarray(outside >= edge * edge)
    return inside
