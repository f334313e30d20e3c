"""Times: ranges that users write, leap seconds, and the way back to text."""

from __future__ import annotations

import math
from datetime import datetime

import numpy as np
import pytest
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from corecube.errors import FrameError, QueryError
from corecube.times import Times, iso, parse_range

MILLISECOND = 1e-3 / 86400


@given(st.datetimes(min_value=datetime(1973, 1, 2), max_value=datetime(2025, 1, 1)))
def test_iso_times_are_utc_and_become_tai(moment: datetime) -> None:
    text = str(moment).replace(" ", "T")
    start, end = parse_range(f"{text}..")
    assert end == math.inf
    assert start == pytest.approx(Time(text, scale="utc").tai.mjd, abs=MILLISECOND / 1000)
    assert abs(Time(iso(start).rstrip("Z"), scale="utc").tai.mjd - start) <= MILLISECOND


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2016-12-31T23:59:59", 36), ("2017-01-01T00:00:00", 37), ("1999-01-01T00:00:00", 32)],
)
def test_leap_seconds(text: str, seconds: int) -> None:
    """TAI - UTC by the table of the IERS (Bulletin C)."""
    start, _ = parse_range(f"{text}..")
    day, _, clock = text.partition("T")
    hours, minutes, rest = map(int, clock.split(":"))
    utc = Time(day, scale="utc").mjd + (hours * 3600 + minutes * 60 + rest) / 86400
    assert (start - utc) * 86400 == pytest.approx(seconds, abs=1e-4)


def test_a_date_at_the_end_is_the_end_of_that_day() -> None:
    for day, after in [("2001-12-18", "2001-12-19"), ("2016-12-31", "2017-01-01")]:
        start, end = parse_range(f"{day}..{day}")
        assert start == pytest.approx(Time(day, scale="utc").tai.mjd, abs=1e-9)
        # the last day of 2016 had a leap second
        assert end == pytest.approx(Time(after, scale="utc").tai.mjd, abs=1e-9)
    _, end = parse_range("..2001-12-18T12:00:00")
    assert end == pytest.approx(Time("2001-12-18T12:00:00", scale="utc").tai.mjd, abs=1e-9)


@given(st.floats(0, 1e5), st.floats(0, 1e5))
def test_numbers_are_mjd_tai(one: float, two: float) -> None:
    low, high = sorted([one, two])
    assert parse_range(f"{low!r}..{high!r}") == (low, high)
    assert parse_range(f" {low!r} .. ") == (low, math.inf)
    assert parse_range(f"..{high!r}") == (-math.inf, high)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("..", "is no range of times"), ("", "is no range of times"), ("52000", "is no range"),
        ("2001-12-18", "is no range"), ("yesterday..", "'yesterday' in 'yesterday..' is no time"),
        ("nan..", "is no time"), ("..inf", "is no time"), ("2001-13-01..", "is no time"),
        ("52001..52000", "ends before it starts"), ("2002-01-01..2001-01-01", "ends before"),
    ],
)  # fmt: skip
def test_what_is_no_range(text: str, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        parse_range(text)


def test_the_span_is_of_what_is_known() -> None:
    nan = math.nan
    assert Times(1.0, 2.0).span == (1.0, 2.0)
    assert Times(np.array([3.0, nan, 1.0]), np.array([4.0, 9.0, nan])).span == (3.0, 4.0)
    assert all(map(math.isnan, Times().span))
    assert iso(nan) == ""
    with pytest.raises(FrameError, match="do not fit together"):
        Times(np.zeros(3), np.zeros(4))
    with pytest.raises(FrameError, match="do not fit together"):
        Times(np.zeros((2, 2)), np.zeros((2, 2)))
    with pytest.raises(FrameError, match="quality 'good' is none of"):
        Times(1.0, 2.0, "good")  # type: ignore[arg-type]
