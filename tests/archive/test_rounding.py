"""Rounded errors: against exact fractions, and recorded where they were used."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import corecube
from corecube.archive import pyramid
from corecube.archive.about import error_bits_of
from corecube.archive.repair import repair
from corecube.archive.rounding import rounded
from corecube.archive.writer import create


def exact(number: float, bits: int) -> float:
    """Round a normal number by fractions; Python's round of a fraction is half to even."""
    mantissa, exponent = math.frexp(number)
    scaled = Fraction(mantissa) * 2 ** (bits + 1)
    return math.ldexp(round(scaled), exponent - bits - 1)


@given(st.floats(2.0**-100, 2.0**100, width=32), st.integers(4, 22), st.sampled_from(["f4", "f8"]))
def test_rounding_is_half_to_even(number: float, bits: int, dtype: str) -> None:
    one = np.array([number], dtype)
    found = rounded(one, bits)
    assert found.dtype == one.dtype
    assert found[0] == exact(number, bits)
    assert rounded(found, bits)[0] == found[0]
    assert abs(found[0] - number) <= number * 2.0 ** -(bits + 1)


def test_ties_and_what_stays() -> None:
    tie = np.array([1 + 2.0**-11, 1 + 3 * 2.0**-11], "f4")
    assert rounded(tie, 10).tolist() == [1.0, 1 + 2.0**-9]
    kept = np.array([np.nan, np.inf, np.finfo("f4").max, 1e-45, 0.0], "f4")
    kept[:1].view("u4")[:] = 0xFFFFFFFF
    assert np.array_equal(rounded(kept, 10).view("u4"), kept.view("u4"))


@pytest.mark.parametrize("profile", ["plain", "small"])
def test_an_archive_keeps_as_many_bits_and_says_so(
    profile: str, tmp_path: Path, store_in: Callable[..., Any], image: Any, fibers: Any
) -> None:
    path = tmp_path / "a.corecube"
    create(path, profile, 10)
    create(path, profile, 12)  # is there: stays as it is
    before, stars = image("r", (300, 300)), fibers("stars", 3, 20)
    stars.error[:] = np.pi
    store_in(path, "night/1", [before, stars])
    with corecube.open(path) as opened:
        shot = opened.shot("lab/night/1")
        after, rows = shot.frame("r"), shot.rows("stars", 0, 3)
        assert shot.description["error_bits"] == 10
        level = shot.level("r", 1)
    assert after.error is not None and after.mask is not None
    assert np.array_equal(after.error, rounded(before.error, 10))
    assert not np.array_equal(after.error, before.error)
    assert np.array_equal(after.flux, before.flux)
    assert rows.error is not None
    assert np.all(rows.error == exact(np.float32(np.pi).item(), 10))
    for frame in (after, rows):
        (line,) = frame.provenance.steps
        assert line.startswith("error rounded to 10 bits of the mantissa")
    # levels are those of the errors that are stored
    first = next(iter(pyramid.levels(after.flux, after.error, after.mask)))
    assert np.array_equal(level.error, first.error, equal_nan=True)
    # what comes from the archive and goes into it again does not change
    store_in(path, "night/2", [after])
    with corecube.open(path) as opened:
        again = opened.shot("lab/night/2").frame("r")
    assert again.error is not None
    assert np.array_equal(again.error, after.error)
    assert again.provenance == after.provenance
    (path / "archive.json").unlink()
    repair(path)
    assert error_bits_of(path) == 10


def test_nothing_is_rounded_unasked(
    tmp_path: Path, store_in: Callable[..., Any], image: Any
) -> None:
    path = tmp_path / "a.corecube"
    create(path)
    before = image("r")
    store_in(path, "night/1", [before])
    with corecube.open(path) as opened:
        after = opened.shot("lab/night/1").frame("r")
    assert after.error is not None
    assert np.array_equal(after.error, before.error)
    assert after.provenance.steps == () and error_bits_of(path) is None
