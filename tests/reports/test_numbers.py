"""Numbers of a report: digits, what is not finite, statistics."""

from __future__ import annotations

import json

import numpy as np
import pytest

from corecube.errors import FrameError
from corecube.figures import Panel, Series, block_means
from corecube.reports import plain
from corecube.reports.numbers import number, statistics
from corecube.reports.panels import excluded, named_apart


def test_numbers_have_the_digits_of_their_type() -> None:
    assert number(np.float32(1.1)) == 1.1 and number(np.float64(np.float32(1.1))) != 1.1
    assert [number(v) for v in (np.nan, np.inf, -np.inf)] == [None] * 3
    assert number(np.True_) is True and number(np.uint8(3)) == 3
    assert isinstance(number(np.int64(2**62)), int)


def test_what_an_instrument_reports_becomes_plain_json() -> None:
    given = {
        "a": np.arange(4, dtype=np.float32).reshape(2, 2) / 3, 1: (np.nan, None, "t"),
        "deep": [{"x": np.float32(0.1), "zero": np.array(7)}],
    }  # fmt: skip
    found = plain(given)
    assert json.loads(json.dumps(found, allow_nan=False)) == {
        "a": [[0.0, 0.33333334], [0.6666667, 1.0]], "1": [None, None, "t"],
        "deep": [{"x": 0.1, "zero": 7}],
    }  # fmt: skip
    with pytest.raises(FrameError, match="not set"):
        plain({"a": {1, 2}})


def test_statistics_count_all_and_describe_what_is_good() -> None:
    values = np.array([[1.0, -2.0, np.nan], [0.0, 900.0, np.inf]], dtype=np.float32)
    good = np.array([[True, True, True], [True, False, True]])
    assert statistics(values, good=good) == {
        "shape": [2, 3], "type": "float32", "minimum": -2.0, "median": 0.0,
        "mean": pytest.approx(-1 / 3), "maximum": 1.0, "values": 6, "not finite": 2,
        "not positive": 2,
    }  # fmt: skip
    inside = np.array([[False, True, True], [True, True, True]])
    assert statistics(values, inside)["values"] == 5
    assert statistics(np.zeros((0, 3)))["median"] is None
    assert statistics(np.array([True, False]))["mean"] == 0.5
    assert statistics(np.array(4.72))["shape"] == []


def test_means_of_blocks_are_those_of_a_loop() -> None:
    values = np.random.default_rng(5).normal(size=(37, 61))
    values[3:9, 4:11] = np.nan
    means, block = block_means(values, 16)
    assert block == 4 and means.shape == (10, 16)
    for y in range(10):
        for x in range(16):
            part = values[4 * y : 4 * y + 4, 4 * x : 4 * x + 4]
            part = part[np.isfinite(part)]
            expected = part.mean() if part.size else np.nan
            np.testing.assert_allclose(means[y, x], expected, rtol=1e-12, atol=1e-15)
    same, one = block_means(values, 61)
    assert one == 1
    np.testing.assert_array_equal(same, values)


def test_marks_are_named_by_their_planes() -> None:
    mask = np.array([1, 1, 2, 4, 8, 0x8000], dtype=np.uint32)
    assert excluded(mask) == "masked: no_data 2, bad_detector 1, saturated 1, 1 more"
    assert excluded(mask[:0]) == "not a number"


def test_panels_of_one_name_get_numbers() -> None:
    line = (Series("x", np.zeros(3)),)
    panels = [Panel(name, "", "lines", line) for name in ("sky", "Sky", "sky-2", "flux")]
    assert [panel.name for panel in named_apart(panels)] == ["sky", "Sky-2", "sky-2-2", "flux"]
