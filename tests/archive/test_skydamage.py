"""Damaged files of the sky index: an error, never another answer."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from pathlib import Path

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

from corecube.archive import skyreader
from corecube.archive.regions import Cone
from corecube.archive.skyindex import RunInfo, SkyIndex, merge, write_run
from corecube.archive.skyverify import verify
from corecube.errors import ArchiveDamaged


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
