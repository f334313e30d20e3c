"""Times of exposures: values, and what is left behind of the call."""

from __future__ import annotations

import gc
import math
import weakref

import numpy as np
import pytest

from corecube_hetdex.times import tai_of_utc


def test_a_card_in_utc_becomes_mjd_tai() -> None:
    # MJD 58849 is 2020-01-01; TAI - UTC is 37 s since 2017 (IERS Bulletin C 52)
    assert tai_of_utc("2020-01-01", "12:00:00.5") == pytest.approx(
        58849.5 + (0.5 + 37.0) / 86400.0, abs=1e-9
    )


@pytest.mark.parametrize("clock", ["", "25:00:00", "noon"])
def test_a_card_that_is_no_time_is_nan(clock: str) -> None:
    assert math.isnan(tai_of_utc("2020-01-01", clock))


def test_the_caller_s_arrays_do_not_outlive_it() -> None:
    """Failures that are kept hold the frames of all callers, with 60 MB of an amplifier."""

    def read() -> weakref.ref[np.ndarray]:
        values = np.zeros(3)
        tai_of_utc("2020-01-01", "12:00:00.5")
        return weakref.ref(values)

    gc.disable()
    try:
        assert read()() is None
    finally:
        gc.enable()
