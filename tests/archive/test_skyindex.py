"""The sky index against a search of all rows, row for row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skyrows import (  # type: ignore[import-not-found]  # loaded by the conftest
    brute,
    decs,
    in_order,
    positions,
    radii,
    ras,
    write,
)

from corecube.archive import skycover, skyindex, skyreader
from corecube.archive.polygon import Polygon
from corecube.archive.regions import Box, Cone, Region
from corecube.archive.skyindex import Run, SkyIndex, write_run
from corecube.archive.skyverify import verify
from corecube.archive.sphere import ARCSEC, separation
from corecube.errors import ArchiveDamaged, QueryError


@pytest.fixture(scope="module", params=[4.0, 0.5, 60.0, 599.0])
def single(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SkyIndex:
    """All positions in one run, for some cell sizes."""
    directory = tmp_path_factory.mktemp("single")
    return SkyIndex(directory, [write(directory / "all.run", positions(), request.param)])


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> SkyIndex:
    """The same in a run for each shot, of different cell sizes."""
    directory = tmp_path_factory.mktemp("several")
    records = positions()
    infos = [
        write(directory / f"{shot}.run", records[records["shot"] == shot], 2.0 + shot)
        for shot in range(1, 9)
    ]
    return SkyIndex(directory, infos)


@given(ra=ras, dec=decs, radius=radii)
def test_cone_row_for_row(single: SkyIndex, ra: float, dec: float, radius: float) -> None:
    expected = brute(positions(), ra, dec, radius)
    np.testing.assert_array_equal(single.search(Cone(ra, dec, radius)), in_order(expected))


@settings(max_examples=50)
@given(ra=ras, dec=decs, radius=radii)
def test_large_directories_are_read_in_parts(
    single: SkyIndex, ra: float, dec: float, radius: float
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(skyreader, "_KEPT", 0)
        run = Run(single.runs[0].path.parent, single.runs[0].info)
        found = in_order(run.search(Cone(ra, dec, radius)))
        assert run._directory is None
    np.testing.assert_array_equal(found, in_order(brute(positions(), ra, dec, radius)))


@given(ra=ras, dec=decs, radius=radii)
def test_runs_are_one(several: SkyIndex, ra: float, dec: float, radius: float) -> None:
    expected = brute(positions(), ra, dec, radius)
    np.testing.assert_array_equal(several.search(Cone(ra, dec, radius)), in_order(expected))


@given(row=st.integers(0, 7591), other=st.integers(0, 7591))
def test_radius_that_ends_on_a_row(single: SkyIndex, row: int, other: int) -> None:
    """A radius that is the distance of a row, in declination where it is exact."""
    records = positions()
    ra, dec = (float(records[name][row % len(records)]) for name in ("ra", "dec"))
    radius = abs(float(records["dec"][other % len(records)]) - dec)
    found = single.search(Cone(ra, dec, radius))
    np.testing.assert_array_equal(found, in_order(brute(records, ra, dec, radius)))
    assert row % len(records) in found["row"]


@settings(max_examples=50)
@given(cones=st.lists(st.tuples(ras, decs, radii), min_size=0, max_size=30), small=st.booleans())
def test_many_cones_are_the_single_ones(
    single: SkyIndex, several: SkyIndex, cones: list[tuple[float, float, float]], small: bool
) -> None:
    ra, dec, radius = np.array(cones, dtype=np.float64).reshape(-1, 3).T
    with pytest.MonkeyPatch.context() as patch:
        if small:  # so that slices and chunks end everywhere
            patch.setattr(skyindex, "SLICE", 700)
            patch.setattr(skyreader, "SLICE", 700)
            patch.setattr(skyreader, "_MANY", 700)
            patch.setattr(skyreader, "_PART", 90)
            patch.setattr(skycover, "_PAIRS", 5)
        for index in (single, several):
            query, found = index.search_many(ra, dec, radius)
            assert np.all(np.diff(query) >= 0)
            for number, cone in enumerate(cones):
                expected = in_order(brute(positions(), *cone))
                np.testing.assert_array_equal(found[query == number], expected)
                np.testing.assert_array_equal(index.search(Cone(*cone)), expected)


@given(data=st.data())
def test_boxes_and_polygons_row_for_row(
    single: SkyIndex, several: SkyIndex, data: st.DataObject
) -> None:
    ra, dec = data.draw(ras), data.draw(decs)
    region: Region
    if data.draw(st.booleans()):
        low, high = sorted([dec, data.draw(decs)])
        region = Box(ra, data.draw(st.one_of(ras, st.just(ra + 360))), low, high)
        inside = (positions()["dec"] >= low) & (positions()["dec"] <= high)
        if region.ra_min <= region.ra_max:
            end = region.ra_max - 360 if region.ra_max >= 360 else region.ra_max
        else:
            end = region.ra_max
        if region.width < 360 and region.ra_min <= end:
            inside &= (positions()["ra"] >= region.ra_min) & (positions()["ra"] <= end)
        elif region.width < 360:
            inside &= (positions()["ra"] >= region.ra_min) | (positions()["ra"] <= end)
        expected = positions()[inside]
    else:
        size = data.draw(st.sampled_from([1e-3, 0.1, 3.0, 40.0]))
        spread = size / max(0.01, float(np.cos(np.radians(dec))))
        north = min(90.0, dec + size)
        try:
            region = Polygon(
                [(ra, dec - size if dec > 0 else dec), (ra + min(spread, 80.0), dec), (ra, north)]
            )
        except QueryError:
            return  # no area at a pole
        expected = positions()[region.contains(positions()["ra"], positions()["dec"])]
    for index in (single, several):
        np.testing.assert_array_equal(index.search(region), in_order(expected))


GOLDEN = [
    ((0, 0, 1), 76),
    ((359.9999, 0.5, 0.5), 17),
    ((180, 90, 2), 305),
    ((10, -89.95, 0.2), 4),
    ((45, 41.8103148957786, 0.5), 20),
    ((123.456, -33.3, 1 / 6), 2),
    ((0, 90, 179), 999_924),
    ((266.4, -28.9, 30), 66_994),
    ((90, -90, 90), 500_000),
]


def test_golden_counts(tmp_path: Path) -> None:
    """A lattice of a million points, none within 5e-5 degrees of an edge."""
    number = 1_000_000
    i = np.arange(number)
    ra = (i * 137.50776405003785) % 360
    dec = np.degrees(np.arcsin(1 - (2 * i + 1) / number))
    info = write_run(tmp_path / "lattice.run", ra, dec, 1, i)
    assert info.rows == number
    # 24 bytes a record, 16 for a cell; here nearly every row is alone in its cell.
    assert info.size < number * 40 + 200_000
    index = SkyIndex(tmp_path, [info])
    for cone, count in GOLDEN:
        assert len(index.search(Cone(*cone))) == count
    cones = np.array([cone for cone, _ in GOLDEN], dtype=np.float64)
    query, found = index.search_many(*cones.T)
    assert np.bincount(query).tolist() == [count for _, count in GOLDEN]
    np.testing.assert_array_equal(found["row"][query == 0], index.search(Cone(0, 0, 1))["row"])


def test_pairs_against_a_tree(tmp_path: Path) -> None:
    """An independent implementation: unit vectors in a k-d tree of scipy."""
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(31)
    ra, dec = rng.uniform(150, 152, 60_000), rng.uniform(-1, 1, 60_000)
    index = SkyIndex(tmp_path, [write_run(tmp_path / "a.run", ra, dec, 3, np.arange(60_000))])
    query, found = index.search_many(ra[:5000], dec[:5000], 6 * ARCSEC)

    def vectors(a: Any, d: Any) -> Any:
        a, d = np.radians(a), np.radians(d)
        return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=1)

    tree = cKDTree(vectors(ra, dec))
    chord = 2 * np.sin(np.radians(6 * ARCSEC) / 2)
    expected = tree.query_ball_point(vectors(ra[:5000], dec[:5000]), chord)
    pairs = {(q, r) for q, rows in enumerate(expected) for r in rows}
    assert len(pairs) > 5500
    assert set(zip(query.tolist(), found["row"].tolist(), strict=True)) == pairs


def test_duplicates_and_radius_zero(tmp_path: Path) -> None:
    info = write_run(tmp_path / "a.run", [10.0, 10, 370, 10, 350], [5.0, 5, 5, 6, 5], 7, range(5))
    index = SkyIndex(tmp_path, [info])
    # 370 is stored as 10, what lies in 0 to 360 as it was given.
    assert index.search(Cone(10, 5, 0))["row"].tolist() == [0, 1, 2]
    assert index.search(Cone(-350, 5, 0))["row"].tolist() == [0, 1, 2]
    assert index.search(Cone(370, 5, 0))["ra"].tolist() == [10.0, 10.0, 10.0]
    assert index.search_many([10, 350], [5, 5], 0)[0].tolist() == [0, 0, 0, 1]
    assert len(index.search(Cone(0, 0, 180))) == index.count() == 5


@pytest.mark.parametrize(
    ("ra", "dec", "radius", "reason"),
    [
        ([0, np.nan], [0, 0], 1, "RA .* 1 of 2 positions, first in row 1"),
        ([0], [91], 1, "declination"),
        ([0], [np.nan], 1, "declination"),
        ([0], [0], -1, "radius"),
        ([0, 0], [0, 0], [1, np.nan], "radius"),
        ([0], [0], 181, "radius"),
        ([[0]], [[0]], 1, "column"),
    ],
)
def test_questions_that_are_refused(ra: Any, dec: Any, radius: Any, reason: str) -> None:
    with pytest.raises(QueryError, match=reason):
        SkyIndex(Path(), []).search_many(ra, dec, radius)


def test_empty(tmp_path: Path) -> None:
    nothing: list[float] = []
    info = write_run(tmp_path / "a.run", nothing, nothing, nothing, nothing)
    verify(tmp_path / "a.run", info)
    for index in (SkyIndex(tmp_path, []), SkyIndex(tmp_path, [info])):
        assert len(index.search(Cone(0, 0, 180))) == index.count() == 0
        assert [len(part) for part in index.search_many([0], [0], 180)] == [0, 0]
        assert [len(part) for part in index.search_many([], [], 1)] == [0, 0]
    run = Run(tmp_path, info)
    assert len(run.search(Cone(0, 0, 180))) == len(run.read_all()) == 0


def test_a_missing_run_and_an_unlinked_one(tmp_path: Path) -> None:
    info = write(tmp_path / "a.run", positions())
    index = SkyIndex(tmp_path, [info])
    index.open()
    (tmp_path / "a.run").unlink()
    assert len(index.search(Cone(0, 0, 180))) == len(positions())
    index.close()
    with pytest.raises(ArchiveDamaged) as caught:
        index.open()
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_descriptors_are_closed(tmp_path: Path) -> None:
    info = write(tmp_path / "a.run", positions())

    def opened() -> int:
        return sum(
            entry.is_symlink() and entry.readlink() == tmp_path / "a.run"
            for entry in Path("/proc/self/fd").iterdir()
        )

    with SkyIndex(tmp_path, [info]) as index:
        assert opened() == 0  # opened at the first question
        index.search(Cone(0, 0, 1))
        assert opened() == 1
    assert opened() == 0
    run = Run(tmp_path, info)
    run.open()
    assert opened() == 1
    del run
    assert opened() == 0


def test_far_runs_are_not_opened(tmp_path: Path) -> None:
    here = write_run(tmp_path / "here.run", [10.0], [10.0], 1, 0)
    there = write_run(tmp_path / "there.run", [200.0], [10.0], 2, 0)
    (tmp_path / "there.run").unlink()
    index = SkyIndex(tmp_path, [here, there])
    assert index.search(Cone(10, 10, 1))["shot"].tolist() == [1]
    assert index.search_many([10.0, 11.0], [10.0, 10.0], 2.0)[1]["shot"].tolist() == [1, 1]
    with pytest.raises(ArchiveDamaged, match="missing"):
        index.search(Cone(200, 10, 0))


@given(
    row=st.integers(0, 7591), steps=st.integers(-3, 3), ra=st.floats(-0.01, 0.01),
    dec=st.floats(-0.01, 0.01), turns=st.integers(-1, 1),
)  # fmt: skip
def test_scalars_decide_as_the_formula_does(
    single: SkyIndex, row: int, steps: int, ra: float, dec: float, turns: int
) -> None:
    """A radius that ends on a row, or some of the last digits from it."""
    record = positions()[row % len(positions())]
    d = float(np.clip(record["dec"] + dec, -90, 90))
    a = float(record["ra"] + ra + 360.0 * turns)
    radius = float(separation(a % 360.0 % 360.0, d, record["ra"], record["dec"]))
    radius = max(0.0, radius + steps * float(np.spacing(radius)))
    expected = brute(positions(), a % 360.0 % 360.0, d, radius)
    np.testing.assert_array_equal(single.search(Cone(a, d, radius)), in_order(expected))


def test_questions_before_and_after_directories_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skyreader, "_KEPT", 0)
    info = write(tmp_path / "a.run", positions())
    index = SkyIndex(tmp_path, [info])
    for number in range(5):
        cone = (45.0 * number, 20.0 * number - 40.0, 20.0)
        expected = in_order(brute(positions(), *cone))
        np.testing.assert_array_equal(index.search(Cone(*cone)), expected)
        assert (index.runs[0]._directory is not None) == (number >= 2)
