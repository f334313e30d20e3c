"""Regions of the sky that can be asked for: circle, box, polygon.

A region decides exactly (`contains`) and tells the sky index where to look (`dec_range`,
`ra_intervals`, `circle`). What it tells is never too small: the index reads too much and lets
`contains` decide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from corecube.archive.sphere import (
    PAD,
    BoolArray,
    FloatArray,
    half_width,
    half_widths,
    normalize_ra,
    separation,
    unit_vectors,
    within,
)
from corecube.errors import QueryError

IntArray = npt.NDArray[np.int64]
Intervals = tuple[IntArray, FloatArray, FloatArray]
"""(zone (m,), RA from (m,), RA to (m,)): 0 <= from <= to <= 360 degrees, zone counts from 0."""

Circle = tuple[FloatArray, float]
"""(unit vector (3,), radius in degrees) of a circle around a region."""


class Region(Protocol):
    """What the sky index needs to know of a region."""

    def contains(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> BoolArray:
        """Tell which positions (degrees) are in the region, its edges included."""
        ...

    def dec_range(self) -> tuple[float, float]:
        """Return the lowest and the highest declination, in degrees, never too narrow."""
        ...

    def ra_intervals(self, low: FloatArray, high: FloatArray) -> Intervals:
        """Return where in RA the region can be, for zones of declination in degrees."""
        ...

    def circle(self) -> Circle:
        """Return a circle around the region."""
        ...


@dataclass(frozen=True, slots=True)
class Cone:
    """All positions within a radius of a centre.

    Parameters
    ----------
    ra, dec : float
        The centre, ICRS degrees; any finite RA.
    radius : float
        Degrees, 0 to 180. A radius of 0 finds equal coordinates, one of 180 everything.

    Raises
    ------
    QueryError
        A number is not finite or outside its range.
    """

    ra: float
    dec: float
    radius: float

    def __post_init__(self) -> None:
        _finite("the RA of the cone", self.ra)
        _declination("the declination of the cone", self.dec)
        if not 0.0 <= self.radius <= 180.0:  # NaN fails too
            raise QueryError(f"the radius {self.radius!r} is not between 0 and 180 degrees")

    @property
    def turned(self) -> float:
        """RA of the centre in [0, 360), as stored positions have it."""
        # A radius of 0 must find a centre that was given as -350.
        turned = self.ra % 360.0
        return 0.0 if turned == 360.0 else turned

    def contains(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> BoolArray:
        """Tell which positions (degrees, any shape) are in the cone.

        Returns
        -------
        ndarray of bool
            False where a position is not finite.
        """
        a, d = np.asarray(ra, dtype=np.float64), np.asarray(dec, dtype=np.float64)
        if self.radius > 5.0 or d.ndim != 1 or a.shape != d.shape:
            return within(a, d, self.turned, self.dec, self.radius)
        # Most rows of a cell are out by declination alone.
        near = (np.abs(d - self.dec) <= self.radius + PAD).nonzero()[0]
        inside = np.zeros(d.shape, dtype=np.bool_)
        inside[near] = within(a[near], d[near], self.turned, self.dec, self.radius)
        return inside

    def dec_range(self) -> tuple[float, float]:
        """Return the lowest and the highest declination, in degrees."""
        reach = self.radius + PAD
        return max(-90.0, self.dec - reach), min(90.0, self.dec + reach)

    def ra_intervals(self, low: FloatArray, high: FloatArray) -> Intervals:
        """Return where in RA the cone can be.

        Parameters
        ----------
        low, high : ndarray of float64, shape (n,)
            Edges of zones of declination, degrees.

        Returns
        -------
        zone, ra_from, ra_to : ndarray, shape (m,)
            Up to two intervals for a zone.
        """
        # Some zones: the width of the whole cone is nearly as good and much quicker.
        if len(low) <= 8 or self.radius >= 90.0:
            width = half_width(self.dec, self.radius)
            start, end = self.turned - width, self.turned + width
            if width >= 180.0:
                return _everywhere(len(low))
            if start >= 0.0 and end <= 360.0:
                return np.arange(len(low)), np.full(len(low), start), np.full(len(low), end)
            return split_turn(np.arange(len(low)), np.full(len(low), start), np.full(len(low), end))
        widths = half_widths(self.dec, self.radius, low, high)
        center = self.turned
        return split_turn(np.arange(len(low)), center - widths, center + widths)

    def circle(self) -> Circle:
        """Return the cone itself: its unit vector (3,) and radius in degrees."""
        ra, dec = math.radians(self.ra), math.radians(self.dec)
        flat = math.cos(dec)
        vector = np.array([flat * math.cos(ra), flat * math.sin(ra), math.sin(dec)])
        return vector, self.radius


@dataclass(frozen=True, slots=True)
class Box:
    """All positions between two right ascensions and two declinations.

    Parameters
    ----------
    ra_min, ra_max : float
        Degrees, within a turn of each other. `ra_min` > `ra_max` means through RA 0; a difference
        of 360 is the full circle.
    dec_min, dec_max : float
        Degrees, `dec_min` <= `dec_max`.

    Raises
    ------
    QueryError
        A number is not finite or outside its range.
    """

    ra_min: float
    ra_max: float
    dec_min: float
    dec_max: float

    def __post_init__(self) -> None:
        _finite("the lower RA of the box", self.ra_min)
        _finite("the upper RA of the box", self.ra_max)
        _declination("the lower declination of the box", self.dec_min)
        _declination("the upper declination of the box", self.dec_max)
        if self.dec_min > self.dec_max:
            raise QueryError(
                f"the declinations of the box, {self.dec_min!r} to {self.dec_max!r}, are in the "
                "wrong order; give the lower one first"
            )
        # What is 360 in full may be a little more after rounding.
        if abs(self.ra_max - self.ra_min) > 360.0 + 1e-9:
            raise QueryError(
                f"the right ascensions of the box, {self.ra_min!r} to {self.ra_max!r}, are more "
                "than 360 degrees apart"
            )

    @property
    def width(self) -> float:
        """Extent in RA, degrees, 0 to 360."""
        width = self.ra_max - self.ra_min
        return width if width >= 0.0 else width + 360.0

    def _ends(self) -> tuple[float, float]:
        return float(normalize_ra(self.ra_min)), float(normalize_ra(self.ra_max))

    def contains(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> BoolArray:
        """Tell which positions (degrees, any shape) are in the box, its edges included.

        Coordinates are compared, at the poles too: (15, 90) is in a box of RA 10 to 20, (30, 90)
        is not.

        Returns
        -------
        ndarray of bool
            False where a position is not finite.
        """
        d = np.asarray(dec, dtype=np.float64)
        turned = normalize_ra(ra)
        inside: BoolArray = (d >= self.dec_min) & (d <= self.dec_max)
        if self.width >= 360.0:
            return np.asarray(inside & np.isfinite(turned))
        start, end = self._ends()
        if start <= end:
            return np.asarray(inside & (turned >= start) & (turned <= end))
        return np.asarray(inside & ((turned >= start) | (turned <= end)))

    def dec_range(self) -> tuple[float, float]:
        """Return the lowest and the highest declination, in degrees."""
        return self.dec_min, self.dec_max

    def ra_intervals(self, low: FloatArray, high: FloatArray) -> Intervals:
        """Return where in RA the box is; the same for every zone.

        Parameters
        ----------
        low, high : ndarray of float64, shape (n,)
            Edges of zones of declination, degrees.

        Returns
        -------
        zone, ra_from, ra_to : ndarray, shape (m,)
            Up to two intervals for a zone.
        """
        zones = np.arange(len(low))
        if self.width >= 360.0:
            return _everywhere(len(low))
        start, end = self._ends()
        if start <= end:
            return zones, np.full(len(low), start), np.full(len(low), end)
        ra_from = np.concatenate([np.full(len(low), start), np.zeros(len(low))])
        ra_to = np.concatenate([np.full(len(low), 360.0), np.full(len(low), end)])
        return np.concatenate([zones, zones]), ra_from, ra_to

    def circle(self) -> Circle:
        """Return a circle around the box: unit vector (3,) and radius in degrees."""
        if self.width <= 180.0:
            # Up to half a turn the farthest points from the middle are the corners.
            ra, dec = self.ra_min + self.width / 2, (self.dec_min + self.dec_max) / 2
            corners = np.array([self.dec_min, self.dec_max])
            reach = float(np.max(separation(ra, dec, ra + self.width / 2, corners)))
            return unit_vectors(ra, dec), min(180.0, reach + PAD)
        if self.dec_min >= -self.dec_max:
            return np.array([0.0, 0.0, 1.0]), 90.0 - self.dec_min + PAD
        return np.array([0.0, 0.0, -1.0]), 90.0 + self.dec_max + PAD


def split_turn(zone: IntArray, start: FloatArray, end: FloatArray) -> Intervals:
    """Cut RA intervals at RA 0, so that each lies in 0 to 360 degrees.

    Parameters
    ----------
    zone : ndarray of int64, shape (n,)
        What each interval belongs to.
    start, end : ndarray of float64, shape (n,)
        Degrees; start between -360 and 360, start <= end <= start + 360 or more for all RA.

    Returns
    -------
    zone, ra_from, ra_to : ndarray, shape (m,)
        The first n belong to the n given; those behind them are the other sides of the cut.
    """
    full = end - start >= 360.0
    below, above = (start < 0.0) & ~full, (end > 360.0) & ~full
    ra_from = np.where(full | below, 0.0, np.minimum(start, 360.0))
    ra_to = np.where(full | above, 360.0, np.maximum(end, 0.0))
    return (
        np.concatenate([zone, zone[below], zone[above]]),
        np.concatenate([ra_from, start[below] + 360.0, np.zeros(np.count_nonzero(above))]),
        np.concatenate([ra_to, np.full(np.count_nonzero(below), 360.0), end[above] - 360.0]),
    )


def _everywhere(zones: int) -> Intervals:
    return np.arange(zones), np.zeros(zones), np.full(zones, 360.0)


def _finite(what: str, value: float) -> None:
    if not math.isfinite(value):
        raise QueryError(f"{what}, {value!r}, is not a finite number of degrees")


def _declination(what: str, value: float) -> None:
    if not -90.0 <= value <= 90.0:  # NaN fails too
        raise QueryError(f"{what}, {value!r}, is not between -90 and 90 degrees")
