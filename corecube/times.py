"""Times as MJD TAI in float64, and the text forms that users write."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from corecube.errors import FrameError, QueryError

Quality = Literal["exact", "night", "unknown"]


@dataclass(frozen=True)
class Times:
    """Start and end of what was recorded.

    Attributes
    ----------
    start, end : float64, scalar, (ny,) or (n,), MJD TAI
        Per frame, per row of an image, or per fibre; NaN is unknown.
    quality : {"exact", "night", "unknown"}
        "night": only the nights are known, `start` and `end` are their borders.
    """

    start: npt.NDArray[np.float64] | float = np.nan
    end: npt.NDArray[np.float64] | float = np.nan
    quality: Quality = "unknown"

    def __post_init__(self) -> None:
        start = np.asarray(self.start, dtype=np.float64)
        end = np.asarray(self.end, dtype=np.float64)
        if start.shape != end.shape or start.ndim > 1:
            raise FrameError(f"times: start {start.shape} and end {end.shape} do not fit together")
        if self.quality not in get_args(Quality):
            raise FrameError(f"times: quality '{self.quality}' is none of {get_args(Quality)}")
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "end", end)

    @property
    def span(self) -> tuple[float, float]:
        """First start and last end, MJD TAI; NaN where unknown."""
        start, end = np.asarray(self.start), np.asarray(self.end)
        known = np.isfinite(start) & np.isfinite(end)
        if not known.any():
            return float("nan"), float("nan")
        return float(start[known].min()), float(end[known].max())


def parse_range(text: str) -> tuple[float, float]:
    """Return the range that ``FROM..TO`` names.

    Parameters
    ----------
    text : str
        Two times with ``..`` between them; each an MJD (TAI) as a number, or an ISO date or time
        (UTC); one of them may be left out. A date at the end means the end of that day.

    Returns
    -------
    start, end : float
        MJD TAI; infinite where left out.

    Raises
    ------
    QueryError
        If it is no such text.
    """
    first, dots, last = text.partition("..")
    if not dots or (not first.strip() and not last.strip()):
        raise QueryError(
            f"'{text}' is no range of times; write FROM..TO, as in 2001-12-18..2001-12-19"
        )
    start = _mjd_tai(first.strip(), text, end=False) if first.strip() else -np.inf
    end = _mjd_tai(last.strip(), text, end=True) if last.strip() else np.inf
    if start > end:
        raise QueryError(f"'{text}' ends before it starts")
    return start, end


def _mjd_tai(part: str, text: str, *, end: bool) -> float:
    try:
        number = float(part)
    except ValueError:
        pass
    else:
        if not np.isfinite(number):
            raise QueryError(f"'{part}' in '{text}' is no time")
        return number
    from astropy.time import Time

    try:
        with _any_year():
            moment = Time(part, scale="utc")
            if end and len(part) <= len("2001-12-18"):
                # the next day of the calendar: the day of a leap second has 86401 seconds
                moment = Time(moment.mjd + 1, format="mjd", scale="utc")
            return float(moment.tai.mjd)
    except ValueError as error:
        raise QueryError(
            f"'{part}' in '{text}' is no time; write an MJD like 52261.2 or 2001-12-18T05:45:00"
        ) from error


@contextlib.contextmanager
def _any_year() -> Iterator[None]:
    """Silence the remark that leap seconds of the far past and future are not known."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "ERFA function")
        yield


def iso(mjd_tai: float) -> str:
    """Return an MJD TAI as an ISO time in UTC to the millisecond, "" for NaN.

    A number that is no date of the calendar comes back as it is: ``MJD 1e+300``.
    """
    if not np.isfinite(mjd_tai):
        return ""
    from astropy.time import Time

    try:
        with _any_year():
            return str(Time(mjd_tai, format="mjd", scale="tai").utc.isot) + "Z"
    except ValueError:
        return f"MJD {mjd_tai}"
