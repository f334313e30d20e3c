"""MJD TAI, ranges as users write them, and leap seconds, against astropy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from corecube.errors import FrameError, QueryError
from corecube.times import Times, iso, parse_range

SECOND = 1 / 86400
# float64 has 1e-11 d at MJD 60000: under a microsecond
CLOSE = 1e-6 * SECOND

# TAI - UTC in seconds from these days on (IERS Bulletin C)
LEAPS = {
    "1990-01-01": 25, "1999-01-01": 32, "2006-01-01": 33, "2009-01-01": 34, "2012-07-01": 35,
    "2015-07-01": 36, "2017-01-01": 37,
}  # fmt: skip


def tai(text: str) -> float:
    return float(Time(text, scale="utc").tai.mjd)


def mjd(day: str) -> int:
    return (datetime.fromisoformat(day) - datetime(1858, 11, 17)).days


# -- ranges --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("52261.2..52262.5", 52261.2, 52262.5),
        ("52261.2..", 52261.2, np.inf),
        ("..52261.2", -np.inf, 52261.2),
        (" 52261.2 .. 52262 ", 52261.2, 52262),
        ("52261..52261", 52261, 52261),
        ("-1..1e3", -1, 1000),
        (".5...75", 0.5, 0.75),
    ],
)
def test_numbers_are_mjd_tai_as_they_are(text: str, start: float, end: float) -> None:
    assert parse_range(text) == (start, end)


@pytest.mark.parametrize(("day", "seconds"), LEAPS.items())
def test_dates_are_utc_and_the_range_is_tai(day: str, seconds: int) -> None:
    start, end = parse_range(f"{day}..{day}")
    assert start == pytest.approx(mjd(day) + seconds * SECOND, abs=CLOSE)
    assert end == pytest.approx(mjd(day) + 1 + seconds * SECOND, abs=CLOSE)


@pytest.mark.parametrize("day", list(LEAPS)[1:])
def test_the_day_of_a_leap_second_is_a_second_longer(day: str) -> None:
    before = (datetime.fromisoformat(day) - timedelta(days=1)).date().isoformat()
    start, end = parse_range(f"{before}..{before}")
    assert end - start == pytest.approx(1 + SECOND, abs=CLOSE)
    assert parse_range(f"{day}..")[0] == pytest.approx(end, abs=CLOSE)
    assert parse_range(f"..{before}")[1] == pytest.approx(end, abs=CLOSE)


@pytest.mark.parametrize(
    "text",
    [
        "2001-12-18T05:45:00", "2001-12-18 05:45:00.25", "2001-12-18T05:45", "2001-12-18T05:45:00Z",
        "2016-12-31T23:59:60.5", "2017-01-01T00:00:00", "1998-12-31T23:59:59.999",
    ],
)  # fmt: skip
def test_a_time_is_the_same_at_either_end(text: str) -> None:
    assert parse_range(f"{text}..")[0] == pytest.approx(tai(text), abs=CLOSE)
    assert parse_range(f"..{text}")[1] == pytest.approx(tai(text), abs=CLOSE)


@given(
    st.datetimes(datetime(1972, 1, 1), datetime(2024, 1, 1)),
    st.datetimes(datetime(1972, 1, 1), datetime(2024, 1, 1)),
)
def test_ranges_agree_with_astropy(one: datetime, two: datetime) -> None:
    first, last = sorted((one, two))
    start, end = parse_range(f"{first.isoformat()}..{last.date().isoformat()}")
    assert start == pytest.approx(tai(first.isoformat()), abs=CLOSE)
    next_day = last.date() + timedelta(days=1)
    assert end == pytest.approx(tai(next_day.isoformat()), abs=CLOSE)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no range of times; write FROM..TO"),
        ("..", "is no range of times"),
        (" .. ", "is no range of times"),
        ("2001-12-18", "is no range of times"),
        ("52261.2", "is no range of times"),
        ("x..", "'x' in 'x..' is no time; write an MJD"),
        ("..yesterday", "'yesterday' in '..yesterday' is no time"),
        ("2001-13-01..", "is no time"),
        ("2001-02-30..", "is no time"),
        ("1..2..3", "'2..3' in '1..2..3' is no time"),
        ("nan..", "is no time"),
        ("-inf..5", "is no time"),
        ("..1e999", "is no time"),
        ("5..3", "'5..3' ends before it starts"),
        ("2001-12-20..2001-12-18", "ends before it starts"),
    ],
)
def test_what_is_no_range_is_refused(text: str, says: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_range(text)
    assert says in str(caught.value) and "\n" not in str(caught.value)


@given(st.text(max_size=12))
def test_any_text_is_a_range_or_refused(text: str) -> None:
    try:
        start, end = parse_range(text)
    except QueryError:
        return
    assert start <= end


def test_years_without_known_leap_seconds_are_taken_without_a_remark() -> None:
    start, end = parse_range("1950-01-01..2100-01-01")  # a warning would fail this test
    assert 33282 <= start < 33283 and 88070 < end < 88071


# -- as text -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2001-12-18T05:45:00", "2001-12-18T05:45:00.000Z"),
        ("2016-12-31T23:59:60.5", "2016-12-31T23:59:60.500Z"),
        ("2017-01-01T00:00:00", "2017-01-01T00:00:00.000Z"),
    ],
)
def test_a_time_is_shown_in_utc(text: str, shown: str) -> None:
    assert iso(tai(text)) == shown


@given(st.floats(mjd("1972-01-02"), mjd("2035-01-01")))
def test_what_is_shown_is_the_time_to_the_millisecond(moment: float) -> None:
    shown = iso(moment)
    # half a millisecond of rounding, and a microsecond of float64
    assert parse_range(f"{shown}..")[0] == pytest.approx(moment, abs=0.501e-3 * SECOND)


def test_leap_seconds_agree_with_the_table() -> None:
    for day, seconds in LEAPS.items():
        assert iso(mjd(day) + (seconds + 1e-4) * SECOND) == f"{day}T00:00:00.000Z"
        shown = iso(mjd(day) + (seconds - 0.75) * SECOND)
        if day == "1990-01-01":
            leap = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(seconds=1)
            assert shown.startswith(leap.date().isoformat())
        assert shown.endswith("T23:59:60.250Z")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_unknown_time_is_shown_as_nothing(value: float) -> None:
    assert iso(value) == ""


@pytest.mark.parametrize("value", [1e9, -3e6, 1e300, np.float64(1e18)])
def test_what_is_no_date_is_shown_as_the_number(value: float) -> None:
    assert iso(value) == f"MJD {value}"


# -- times of frames -----------------------------------------------------------------------------


def test_times_are_float64_and_unknown_without_values() -> None:
    times = Times()
    assert times.quality == "unknown" and np.isnan(times.span).all()
    times = Times(np.array([1, 2], ">f4"), [2, 3], "exact")  # type: ignore[arg-type]
    for values in (times.start, times.end):
        assert np.asarray(values).dtype == np.float64
    assert times.span == (1, 3)


@pytest.mark.parametrize(
    ("start", "end", "span"),
    [
        (1.0, 2.0, (1, 2)),
        ([1, 5, 3], [2, 6, 4], (1, 6)),
        ([np.nan, 5], [2, 6], (5, 6)),
        ([1, 5], [np.nan, 6], (5, 6)),
        ([np.nan, 5], [2, np.nan], (np.nan, np.nan)),
        ([], [], (np.nan, np.nan)),
    ],
)
def test_the_span_is_that_of_what_is_known(start: Any, end: Any, span: Any) -> None:
    np.testing.assert_array_equal(Times(start, end).span, span)


@pytest.mark.parametrize(
    ("start", "end"), [(1.0, [2.0]), ([1, 2], [1, 2, 3]), (np.zeros((2, 2)), np.zeros((2, 2)))]
)
def test_start_and_end_have_one_shape(start: Any, end: Any) -> None:
    with pytest.raises(FrameError, match="do not fit together"):
        Times(start, end)


@pytest.mark.parametrize("quality", ["", "good", "Exact"])
def test_a_quality_is_one_of_three(quality: Any) -> None:
    for good in ("exact", "night", "unknown"):
        Times(1.0, 2.0, good)
    with pytest.raises(FrameError, match=f"quality '{quality}' is none of"):
        Times(1.0, 2.0, quality)
