"""Runs of the sky index become one: which of them, and that no answer changes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skyrows import (  # type: ignore[import-not-found]  # loaded by the conftest
    brute,
    in_order,
    positions,
    write,
)

from corecube.archive import skyindex
from corecube.archive.regions import Cone
from corecube.archive.skyindex import RunInfo, SkyIndex, merge, merge_policy
from corecube.archive.skyverify import verify


def test_dropped_shots(tmp_path: Path) -> None:
    records = positions()
    infos = [
        write(tmp_path / "a.run", records[::2]),
        write(tmp_path / "b.run", records[1::2]),
    ]
    for dropped in ((), (3,), np.array([1, 8], np.uint32), {2, 3, 4_000_000_000}, range(1, 9)):
        index = SkyIndex(tmp_path, infos, dropped)
        kept = records[~np.isin(records["shot"], list(dropped))]
        expected = in_order(brute(kept, 0, 41.8, 30))
        np.testing.assert_array_equal(index.search(Cone(0, 41.8, 30)), expected)
        query, found = index.search_many([0, 0], [41.8, 41.8], 30)
        np.testing.assert_array_equal(found[query == 1], expected)
        assert index.count() == len(kept)
        info = merge(tmp_path, infos, dropped, tmp_path / "new.run")
        verify(tmp_path / "new.run", info)
        merged = SkyIndex(tmp_path, [info])
        np.testing.assert_array_equal(merged.search(Cone(0, 41.8, 30)), expected)
        assert merged.count() == len(kept)


@given(cuts=st.lists(st.integers(0, 7000), max_size=4), by=st.sampled_from(["row", "shot", "dec"]))
@settings(max_examples=25)
def test_merged_is_the_run_of_all(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], by: str
) -> None:
    """Byte for byte the run that all rows together would have made."""
    directory = tmp_path_factory.mktemp("merge")
    records = np.sort(positions(), order=by)
    edges = [0, *sorted(cuts), len(records)]
    infos = [
        write(directory / f"{n}.run", records[first:last])
        for n, (first, last) in enumerate(itertools.pairwise(edges))
    ]
    whole = write(directory / "whole.run", records)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(skyindex, "SLICE", 1500)  # more than one stripe
        merged = merge(directory, infos, (), directory / "merged.run")
    # The circle's middle is a sum, whose last digits hang on the order.
    assert merged.cos_radius == pytest.approx(whole.cos_radius, abs=1e-9)
    one, other = ((directory / name).read_bytes() for name in ("whole.run", "merged.run"))
    assert one[4096:] == other[4096:]
    verify(directory / "merged.run", merged)


def test_merge_of_different_cells(tmp_path: Path) -> None:
    records = positions()
    infos = [
        write(tmp_path / "a.run", records[:5000], 4.0),
        write(tmp_path / "b.run", records[5000:], 8.0),
    ]
    info = merge(tmp_path, infos, [2], tmp_path / "c.run")
    assert info.cell_arcmin == 4.0
    index = SkyIndex(tmp_path, [info])
    kept = in_order(records[records["shot"] != 2])
    np.testing.assert_array_equal(index.search(Cone(0, 0, 180)), kept)


def fake(rows: int, number: int) -> RunInfo:
    return RunInfo(f"{number}", rows, 1, 4.0, 0, 0, 0, (1, 0, 0), 1.0, number, number, 0, "")


def grow(sizes: Sequence[int]) -> tuple[list[RunInfo], int, int, npt.NDArray[np.int64]]:
    """Add runs of these sizes one by one; return runs, most runs, rows written, work per step."""
    runs: list[RunInfo] = []
    most = written = 0
    work = []
    for number, size in enumerate(sizes):
        runs.append(fake(size, number))
        joined = merge_policy(runs)
        assert len(joined) != 1
        if joined:
            runs = [run for run in runs if run not in joined]
            runs.append(fake(sum(run.rows for run in joined), 1_000_000 + number))
            # Once is enough: nothing more is to be done.
            assert merge_policy(runs) == ()
        work.append(sum(run.rows for run in joined))
        written += work[-1]
        most = max(most, len(runs))
    assert sum(run.rows for run in runs) == sum(sizes)
    return runs, most, written, np.array(work)


@pytest.mark.parametrize("size", [640, 33_000, 105_000])
def test_merge_policy_keeps_few_runs(size: int) -> None:
    steps = min(6000, 50_000_000 // size)
    _, most, written, _ = grow([size] * steps)
    assert most <= 12
    # A row below SMALL is written with each small one beside it, later once for each doubling.
    doublings = np.log2(max(2.0, size * steps / max(size, skyindex.SMALL))) + 1
    small = skyindex.SMALL / size if size < skyindex.SMALL else 0
    assert written <= size * steps * (doublings + small)


def test_merge_policy_of_mixed_sizes() -> None:
    rng = np.random.default_rng(4)
    sizes = (10 ** rng.uniform(2, 5.2, 3000)).astype(int).tolist()
    _, most, written, work = grow(sizes)
    assert most <= 12
    assert written < 14 * sum(sizes)
    assert np.median(work) < 10 * skyindex.SMALL


def test_a_large_run_stays_when_a_small_one_comes() -> None:
    large = fake(10_000_000, 0)
    assert merge_policy([large, fake(100_000, 1)]) == ()
    assert large not in merge_policy([large, fake(100_000, 1), fake(100_000, 2)])
    assert merge_policy([]) == ()
    assert merge_policy([fake(5, 1), fake(7, 2)]) == (fake(5, 1), fake(7, 2))
    sealed = [fake(skyindex.SEALED, n) for n in range(3)]
    assert merge_policy(sealed) == ()
    _, most, _, _ = grow([10_000_000, *[100_000] * 90])
    assert most <= 9


def test_a_new_shot_costs_little(tmp_path: Path) -> None:
    """Adding runs one by one, with the policy: the same answers as one run of all."""
    records = np.sort(positions(), order="shot")
    runs: list[RunInfo] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(skyindex, "SMALL", 300)
        for number, part in enumerate(np.array_split(records, 60)):
            runs.append(write(tmp_path / f"{number}.run", part))
            joined = merge_policy(runs)
            if joined:
                info = merge(tmp_path, joined, (), tmp_path / f"m{number}.run")
                runs = [run for run in runs if run not in joined] + [info]
            assert len(runs) <= 6
    index = SkyIndex(tmp_path, runs)
    assert len(runs) > 1 and index.count() == len(records)
    for ra, dec, radius in [(0, 41.8, 1), (0, 90, 3), (123.456, 0, 170)]:
        expected = in_order(brute(records, ra, dec, radius))
        np.testing.assert_array_equal(index.search(Cone(ra, dec, radius)), expected)
