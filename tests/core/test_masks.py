"""The table of planes, which stored archives rely on, and what is made of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from corecube.errors import FrameError
from corecube.masks import EXCLUDING, PLANES, counts, names, valid, value

# Archives hold these bits: a plane keeps its number and its meaning for ever.
TABLE = {
    "no_data": (0, True), "bad_detector": (1, True), "saturated": (2, True),
    "cosmic_ray": (3, True), "no_error": (4, False), "negative_variance": (5, True),
    "not_calibrated": (6, True), "interpolated": (7, True), "not_primary": (8, False),
    "scattered": (9, False), "bright_sky": (10, False), "rejected": (11, False),
    "source": (12, False), "late": (13, True), "outside": (14, True),
    "low_throughput": (15, False),
}  # fmt: skip

MASKS = hnp.arrays(np.uint32, hnp.array_shapes(max_dims=3), elements=st.integers(0, 2**32 - 1))


def test_the_planes_are_those_of_stored_archives() -> None:
    assert {plane.name: (plane.bit, plane.excludes) for plane in PLANES} == TABLE
    assert all(plane.description.endswith(".") for plane in PLANES)
    assert sum(1 << bit for bit, excludes in TABLE.values() if excludes) == EXCLUDING


def test_a_value_has_the_bits_of_its_names() -> None:
    assert value() == 0
    for name, (bit, _) in TABLE.items():
        assert value(name) == 2**bit and names(2**bit) == (name,)
    assert value("outside", "no_data") == 0x4001
    assert value("late", "late") == 0x2000


@pytest.mark.parametrize("name", ["", "nodata", "NO_DATA", "cosmic ray"])
def test_a_plane_that_is_not_there_is_refused_and_the_others_are_named(name: str) -> None:
    with pytest.raises(FrameError, match=f"no mask plane '{name}'; the planes are no_data, bad_"):
        value("late", name)


@given(st.sets(st.sampled_from(sorted(TABLE))))
def test_names_and_values_are_inverse(chosen: set[str]) -> None:
    found = names(value(*chosen))
    assert set(found) == chosen
    assert list(found) == sorted(found, key=lambda name: TABLE[name][0])
    assert names(np.uint32(value(*chosen))) == found  # type: ignore[arg-type]


@given(MASKS)
def test_a_pixel_is_valid_if_no_plane_excludes_it(mask: Any) -> None:
    good = valid(mask)
    assert good.dtype == bool and good.shape == mask.shape
    excluding = [bit for bit, excludes in TABLE.values() if excludes]
    bad = np.any([(mask // 2**bit) % 2 == 1 for bit in excluding], axis=0)
    np.testing.assert_array_equal(good, ~bad)


@given(MASKS)
def test_counts_are_those_of_each_bit(mask: Any) -> None:
    expected = {
        name: int(((mask // 2**bit) % 2).sum()) for name, (bit, _) in TABLE.items()
    }  # fmt: skip
    assert counts(mask) == {name: number for name, number in expected.items() if number}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
def test_an_instruments_own_bits_are_counted_by_its_own_names(dtype: str) -> None:
    top = 8 * np.dtype(dtype).itemsize - 1
    planes = [""] * (top + 1)
    planes[0], planes[2], planes[top] = "BAD", "never", "LAST"
    bits = np.array([0, 1, 2, 1 | 1 << top], dtype)  # bit 1 has no name
    assert counts(bits, planes) == {"BAD": 2, "LAST": 1}
    assert counts(bits, ("BAD",)) == {"BAD": 2}


def test_nothing_is_set_in_an_empty_mask() -> None:
    assert counts(np.zeros((0, 5), np.uint32)) == {} and counts(np.zeros(4, np.uint32)) == {}
    assert valid(np.zeros((0, 5), np.uint32)).shape == (0, 5)
    assert valid(np.uint32(0)) and not valid(np.uint32(1))
