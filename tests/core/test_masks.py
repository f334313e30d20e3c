"""The planes of the mask: one table, one meaning."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corecube.errors import FrameError
from corecube.masks import EXCLUDING, PLANES, counts, names, valid, value

# bit, name, excludes: what stored masks mean, so it may grow but never change
TABLE = [
    (0, "no_data", True), (1, "bad_detector", True), (2, "saturated", True),
    (3, "cosmic_ray", True), (4, "no_error", False), (5, "negative_variance", True),
    (6, "not_calibrated", True), (7, "interpolated", True), (8, "not_primary", False),
    (9, "scattered", False), (10, "bright_sky", False), (11, "rejected", False),
    (12, "source", False), (13, "late", True), (14, "outside", True), (15, "low_throughput", False),
]  # fmt: skip

some = st.sets(st.sampled_from([name for _, name, _ in TABLE]))


def test_the_table_is_the_documented_one() -> None:
    assert [(p.bit, p.name, p.excludes) for p in PLANES] == TABLE
    assert all(p.description.endswith(".") for p in PLANES)
    assert sum(1 << bit for bit, _, excludes in TABLE if excludes) == EXCLUDING


@given(some)
def test_names_and_values(chosen: set[str]) -> None:
    mask = value(*chosen)
    assert set(names(mask)) == chosen
    assert mask == sum(1 << bit for bit, name, _ in TABLE if name in chosen)
    excluded = any(excludes for _, name, excludes in TABLE if name in chosen)
    assert valid(np.uint32(mask)) == (not excluded)


def test_an_unknown_plane_is_said() -> None:
    with pytest.raises(FrameError, match="there is no mask plane 'cosmic'; the planes are no_data"):
        value("no_data", "cosmic")


@given(st.lists(some, max_size=20))
def test_counts(pixels: list[set[str]]) -> None:
    mask = np.array([value(*chosen) for chosen in pixels], dtype="u4")
    expected = {n: sum(n in chosen for chosen in pixels) for _, n, _ in TABLE}
    assert counts(mask) == {name: number for name, number in expected.items() if number}
    assert valid(mask).tolist() == [bool(valid(np.uint32(value(*c)))) for c in pixels]


def test_counts_of_own_bits() -> None:
    bits = np.array([0, 1, 3, 1 << 63], dtype="u8")
    planes = ["a", "", *[f"p{n}" for n in range(2, 64)]]
    assert counts(bits, planes) == {"a": 2, "p63": 1}
