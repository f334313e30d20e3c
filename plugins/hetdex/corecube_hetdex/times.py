"""Times of exposures: cards in UTC to MJD TAI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from corecube.times import Times

_DAY = 86400.0


def tai_of_utc(date: str, clock: str) -> float:
    """Return an MJD TAI.

    Parameters
    ----------
    date : str
        ``2026-01-01``.
    clock : str
        ``07:12:31.5``, UTC.

    Returns
    -------
    float
        NaN if they are no time.
    """
    from astropy.time import Time

    try:
        # a format that is not named is tried out, and each failure keeps the caller's arrays alive
        return float(Time(f"{date}T{clock}", format="isot", scale="utc").tai.mjd)
    except ValueError:
        return float("nan")


def tai_of_mjd(mjd: float) -> float:
    """Return the MJD TAI of an MJD UTC, NaN for NaN."""
    if not np.isfinite(mjd):
        return float("nan")
    from astropy.time import Time

    return float(Time(mjd, format="mjd", scale="utc").tai.mjd)


def times_of(header: Mapping[str, Any]) -> Times:
    """Return start and end of an exposure by DATE-OBS and UT, else MJD, and EXPTIME."""
    date, clock = header.get("DATE-OBS"), header.get("UT")
    start = float("nan")
    if isinstance(date, str) and isinstance(clock, str):
        start = tai_of_utc(date[:10], clock.strip())
    mjd, seconds = number(header.get("MJD")), number(header.get("EXPTIME"))
    if not np.isfinite(start) and mjd > 0:
        start = tai_of_mjd(mjd)
    if not np.isfinite(start):
        return Times()
    return Times(start, start + (seconds / _DAY if seconds >= 0 else np.nan), "exact")


def number(value: Any) -> float:
    """Return a card as a number; NaN where it is none or the telescope's word for unset."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return float("nan")
    return float("nan") if value <= -999999 else float(value)
