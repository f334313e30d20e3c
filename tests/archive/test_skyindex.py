"""The sky index against a search of all rows, row for row."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import re
import subprocess
import sys
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corecube.archive import skycover, skyindex, skyreader, skyrun
from corecube.archive.polygon import Polygon
from corecube.archive.regions import Box, Cone, Region
from corecube.archive.skyindex import (
    RECORD,
    Records,
    Run,
    RunInfo,
    SkyIndex,
    merge,
    merge_policy,
    write_run,
)
from corecube.archive.skyverify import verify
from corecube.archive.sphere import ARCSEC, antipode_haversine, haversine, separation, unit_vectors
from corecube.errors import ArchiveDamaged, FrameError, QueryError

RAS = [0.0, 45.0, 90.0, 135.0, 180.0, 359.99999999, 1e-9, 1e-20, 123.456]
DECS = [0.0, 90.0, -90.0, 89.9999, -89.9999, 89.99, 41.8103148957786, -41.8103148957786, 33.3]
ras = st.one_of(st.sampled_from(RAS), st.floats(0.0, 360.0, exclude_max=True))
decs = st.one_of(st.sampled_from(DECS), st.floats(-90.0, 90.0))
radii = st.one_of(
    st.sampled_from([0.0, 1e-9, ARCSEC, 3 * ARCSEC, 1 / 60, 0.5, 1.0, 10.0, 90.0, 170.0, 180.0]),
    st.floats(0.0, 180.0),
)


def brute(records: Records, ra: float, dec: float, radius: float) -> Records:
    """Every row, one formula, float64."""
    edge = np.sin(np.radians(180.0 - radius if radius > 90 else radius) * 0.5)
    if radius > 90:
        inside = antipode_haversine(ra, dec, records["ra"], records["dec"]) >= edge * edge
    else:
        inside = haversine(ra, dec, records["ra"], records["dec"]) <= edge * edge
    found: Records = records[inside]
    return found


def in_order(records: Records) -> Records:
    ordered: Records = records[np.lexsort((records["row"], records["shot"]))]
    return ordered


@functools.cache
def positions() -> Records:
    """Positions where searches go wrong: poles, RA 0, base-cell corners, clumps, duplicates."""
    rng = np.random.default_rng(17)
    ra = [rng.uniform(0, 360, 4000), rng.uniform(0, 360, 500)]
    dec = [np.degrees(np.arcsin(rng.uniform(-1, 1, 4000))), 90 - 10 ** rng.uniform(-6, 1, 500)]
    ra.append(rng.uniform(0, 360, 500))
    dec.append(-dec[1])
    for a in RAS:
        for d in DECS:
            scale = 10 ** rng.uniform(-6, 0, 30)
            ra.append(np.append(a + scale * rng.normal(size=30), [a, a]))
            dec.append(np.append(np.clip(d + scale * rng.normal(size=30), -90, 90), [d, d]))
    all_ra, all_dec = np.concatenate(ra), np.concatenate(dec)
    records = np.zeros(len(all_ra), RECORD)
    records["ra"] = np.mod(all_ra, 360.0) % 360.0
    records["dec"] = all_dec
    records["shot"] = rng.integers(1, 9, len(records))
    records["row"] = np.arange(len(records))
    return records


def write(path: Path, records: Records, cell: float = 4.0) -> RunInfo:
    return write_run(
        path, records["ra"], records["dec"], records["shot"], records["row"], cell_arcmin=cell
    )


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


@given(ra=st.lists(ras, min_size=1, max_size=5))
def test_right_ascension_is_stored_as_given(
    tmp_path_factory: pytest.TempPathFactory, ra: list[float]
) -> None:
    path = tmp_path_factory.mktemp("ra") / "a.run"
    info = write_run(path, ra, np.zeros(len(ra)), 1, np.arange(len(ra)))
    stored = in_order(Run(path.parent, info).read_all())
    assert stored["ra"].tobytes() == np.array(ra).tobytes()


@pytest.mark.parametrize(
    ("ra", "dec", "shot", "row", "reason"),
    [
        ([np.nan], [0], 1, 0, "finite"),
        ([0.0], [np.inf], 1, 0, "finite"),
        ([0.0], [90.001], 1, 0, "declination"),
        ([0.0], [0.0], -1, 0, "number"),
        ([0.0], [0.0], 1, 1 << 32, "number"),
        ([[0.0]], [[0.0]], 1, 0, "column"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, ra: Any, dec: Any, shot: int, row: int, reason: str
) -> None:
    with pytest.raises(FrameError, match=reason):
        write_run(tmp_path / "a.run", ra, dec, shot, row)
    assert list(tmp_path.iterdir()) == []


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


def test_layout_of_the_file(tmp_path: Path) -> None:
    """What the module's text says of the bytes, read without its code."""
    records = positions()
    info = write(tmp_path / "a.run", records)
    content = (tmp_path / "a.run").read_bytes()
    assert content[:8] == b"CCSKYRUN" and len(content) == info.size
    assert info.cells_offset % 4096 == info.records_offset % 4096 == 0
    stored = np.frombuffer(content, RECORD, info.rows, info.records_offset)
    np.testing.assert_array_equal(in_order(stored), in_order(records))
    zones, zone_crcs = np.frombuffer(content, "<u4", 2 * 2701, 4096).reshape(-1, 2).T
    places = np.frombuffer(content, "<u8", 2 * (info.cells + 1), info.cells_offset)
    firsts = places[1::2].astype(np.int64)
    cells, crcs = places[::2] & 0xFFFFFFFF, places[::2] >> 32
    assert zlib.crc32(content[4096 : 4096 + 8 * 2701]) == info.zones_crc
    assert zones[-1] == info.cells and firsts[-1] == info.rows
    assert np.all(np.diff(cells.astype(np.int64)) > 0)
    zone = np.minimum(((stored["dec"] + 90) * 15).astype(int), 2699)
    assert np.all(np.diff(zone) >= 0)
    for z in np.unique(zone):
        first, last = firsts[zones[z]], firsts[zones[z + 1]]
        assert np.all(zone[first:last] == z)
        assert np.count_nonzero(zone == z) == last - first
        entries = places[2 * zones[z] : 2 * zones[z + 1]]
        assert zlib.crc32(entries.tobytes()) == zone_crcs[z]
    for first, last, crc in zip(firsts, firsts[1:], crcs, strict=False):
        inside = stored[first:last]
        assert zlib.crc32(inside.tobytes()) == crc
        np.testing.assert_array_equal(inside, in_order(inside))


def test_info_is_plain_json(tmp_path: Path) -> None:
    info = write(tmp_path / "a.run", positions())
    text = json.dumps(info.to_json())
    assert RunInfo.from_json(json.loads(text)) == info
    wrong: list[dict[str, Any]] = [
        {"file": "../a.run"},
        {"file": ".hidden"},
        {"file": 5},
        {"rows": info.rows + 10_000},
        {"rows": -1},
        {"rows": 1.5},
        {"cell_arcmin": 0.0},
        {"center": [1, 2]},
        {"center": [1, 2, float("nan")]},
        {"size": info.size + 1},
        {"sha256": None},
        {"more": 1},
    ]
    for change in wrong:
        with pytest.raises((ValueError, TypeError, KeyError)):
            RunInfo.from_json({**info.to_json(), **change})
    with pytest.raises(KeyError):
        RunInfo.from_json({})


@settings(max_examples=60)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found(
    tmp_path_factory: pytest.TempPathFactory, where: float, bit: int
) -> None:
    path = tmp_path_factory.mktemp("flip") / "a.run"
    info = write(path, positions()[:200], 60.0)
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(ArchiveDamaged) as caught:
        verify(path, info)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_verify_names_the_part(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    path = tmp_path / "a.run"
    number = 150_000
    info = write_run(path, rng.uniform(0, 9, number), rng.uniform(0, 9, number), 1, range(number))
    good = path.read_bytes()
    verify(path, info)

    def message(content: bytes, told: RunInfo = info) -> str:
        path.write_bytes(content)
        with pytest.raises(ArchiveDamaged) as caught:
            verify(path, told)
        return str(caught.value)

    def flipped(offset: int) -> bytes:
        return good[:offset] + bytes([good[offset] ^ 1]) + good[offset + 1 :]

    assert "header" in message(flipped(20))
    assert "header" in message(good, replace(info, rows=info.rows - 1))
    assert "zone directory" in message(flipped(5000))
    assert "cell directory" in message(flipped(info.cells_offset + 3))
    text = message(flipped(info.records_offset + 24 * 100_000))
    found = re.search(r"one of the records (\d+) to (\d+) is damaged", text)
    assert found and int(found[1]) <= 100_000 <= int(found[2]) < int(found[1]) + 200
    assert "another run" in message(flipped(info.records_offset - 1))  # a gap
    assert "bytes instead of" in message(good + b"x")
    assert "too short" in message(good[:-1]) or "bytes instead of" in message(good[:-1])
    assert "another run" in message(good, replace(info, sha256="0" * 64))
    path.unlink()
    with pytest.raises(ArchiveDamaged, match="missing"):
        verify(path, info)


@settings(max_examples=150)
@given(
    where=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
    zeros=st.booleans(),
    cones=st.lists(st.tuples(ras, decs, radii), min_size=1, max_size=4),
    kept=st.booleans(),
)
def test_damage_is_an_error_and_never_another_answer(
    tmp_path_factory: pytest.TempPathFactory,
    where: float,
    bit: int,
    zeros: bool,
    cones: list[tuple[float, float, float]],
    kept: bool,
) -> None:
    """Whatever byte is damaged: a question is answered as before, or refused."""
    path = tmp_path_factory.mktemp("damage") / "a.run"
    info = write(path, positions(), 4.0)
    content = bytearray(path.read_bytes())
    at = int(where * len(content))
    if zeros:
        at -= at % 4096
        content[at : at + 4096] = bytes(len(content[at : at + 4096]))
    else:
        content[at] ^= 1 << bit
    path.write_bytes(content)
    ra, dec, radius = np.array(cones).T
    with pytest.MonkeyPatch.context() as patch:
        if not kept:
            patch.setattr(skyreader, "_KEPT", 0)
        with SkyIndex(path.parent, [info]) as index:
            for cone in cones:
                with contextlib.suppress(ArchiveDamaged):
                    expected = in_order(brute(positions(), *cone))
                    np.testing.assert_array_equal(index.search(Cone(*cone)), expected)
        with SkyIndex(path.parent, [info]) as index, contextlib.suppress(ArchiveDamaged):
            query, found = index.search_many(ra, dec, radius)
            for number, cone in enumerate(cones):
                expected = in_order(brute(positions(), *cone))
                np.testing.assert_array_equal(found[query == number], expected)


def test_damage_is_not_merged(tmp_path: Path) -> None:
    infos = [write(tmp_path / f"{name}.run", positions()) for name in "ab"]
    path = tmp_path / "b.run"
    content = bytearray(path.read_bytes())
    content[-30] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArchiveDamaged, match=r"b\.run: one of the records \d+ to \d+ is damaged"):
        merge(tmp_path, infos, (), tmp_path / "c.run")
    assert not (tmp_path / "c.run").exists()


def test_damaged_directories_are_errors_not_answers(tmp_path: Path) -> None:
    """A stranger's run may say anything; reading it must not run wild."""
    path = tmp_path / "a.run"
    info = write(path, positions())
    good = path.read_bytes()
    zones = bytearray(good)
    zones[4096 : info.cells_offset] = b"\xff" * (info.cells_offset - 4096)
    cells = bytearray(good)
    directory = np.frombuffer(good, "<u8", 2 * (info.cells + 1), info.cells_offset).reshape(-1, 2)
    wild = directory.copy()
    wild[:, 1] += 10_000_000
    cells[info.cells_offset : info.cells_offset + wild.nbytes] = wild.tobytes()
    for content in (bytes(zones), bytes(cells), good[: info.records_offset + 100]):
        path.write_bytes(content)
        with pytest.raises(ArchiveDamaged):
            SkyIndex(tmp_path, [info]).search(Cone(0, 0, 180))
    # Many circles do not need the zones.
    for content in (bytes(cells), good[: info.records_offset + 100], good[:5000]):
        path.write_bytes(content)
        with pytest.raises(ArchiveDamaged):
            SkyIndex(tmp_path, [info]).search_many([0.0, 5.0], [0.0, 5.0], 60.0)


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


@settings(max_examples=200)
@given(
    ra=ras,
    dec=decs,
    size=st.sampled_from([0.0, 1e-4, 0.2, 5.0, 60.0, 170.0]),
    seed=st.integers(0, 1000),
)
def test_the_circle_of_a_run_holds_its_rows(
    tmp_path_factory: pytest.TempPathFactory, ra: float, dec: float, size: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 30))
    a = (ra + size * rng.uniform(-1, 1, n)) % 360.0 % 360.0
    d = np.clip(dec + size * rng.uniform(-1, 1, n), -90.0, 90.0)
    info = write_run(tmp_path_factory.mktemp("circle") / "a.run", a, d, 1, np.arange(n))
    z = np.array(info.center)
    here = unit_vectors(a, d) @ z
    assert np.all(here >= info.cos_radius)
    if size <= 5.0 and abs(dec) + size < 89.0:  # and it is no larger than it must be
        reach = np.degrees(np.arccos(np.clip([here.min(), info.cos_radius], -1, 1)))
        assert reach[1] <= 2.0 * reach[0] + 1e-5


def test_large_runs_have_the_whole_sky_for_their_circle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ra, dec = np.linspace(10, 11, 50), np.linspace(20, 21, 50)
    small = write_run(tmp_path / "small.run", ra, dec, 1, np.arange(50))
    assert small.cos_radius > 0.999
    monkeypatch.setattr(skyrun, "_WIDE", 49)
    large = write_run(tmp_path / "large.run", ra, dec, 2, np.arange(50))
    assert large.cos_radius == -1.0
    index = SkyIndex(tmp_path, [small, large])
    assert len(index.search(Cone(10.5, 20.5, 1.0))) == 100
    assert len(index.search_many([10.5, 200.0], [20.5, -20.0], 1.0)[0]) == 100
    assert RunInfo.from_json(json.loads(json.dumps(large.to_json()))) == large


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


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from corecube.archive.skyindex import write_run, merge
from corecube.archive.skyverify import verify
from corecube.errors import NoSpace
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
here, i = Path(sys.argv[1]), np.arange(70_000)
kept = [write_run(here / f"{n}.run", i / 200, i / 1000, n, i) for n in (1, 2)]
failed = 0
for work in (
    lambda: write_run(here / "big.run", np.tile(i, 3) / 700, np.tile(i, 3) / 1000, 1, 0),
    lambda: merge(here, kept, (), here / "merged.run"),
):
    try:
        work()
    except NoSpace:
        failed += 1
for info in kept:
    verify(here / info.file, info)
sys.exit(failed + 5)
"""


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 7, done.stderr
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["1.run", "2.run"]


def test_header_has_room() -> None:
    assert skyrun._HEADER.size <= skyrun.PAGE - 4
