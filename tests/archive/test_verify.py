"""Damage is found, and named with shot, array and chunk."""

from __future__ import annotations

import itertools
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import corecube
from corecube.archive import verify as verifying
from corecube.archive.shotfile import StoredShot
from corecube.archive.verify import verify
from corecube.archive.writer import ArchiveWriter
from corecube.errors import ArchiveDamaged
from corecube.pipeline import Options, ingest
from corecube.plugins import load


@pytest.fixture
def archive(toy: Any, tmp_path: Path) -> Path:
    raw = tmp_path / "raw"
    toy.image(raw / "r.toy", "field/1", shape=(300, 310))
    toy.image(raw / "g.toy", "field/2", shape=(300, 310), seed=7)
    toy.fibers(raw / "f.toy", "plate/1", ra=np.arange(70.0), dec=np.zeros(70), exposures=True)
    path = tmp_path / "a.corecube"
    assert ingest([str(raw)], path, load("toy"), toy.ToyConfig(), Options()).exit_code() == 0
    return path


def found(archive: Path, quick: bool = False) -> list[tuple[str, str]]:
    with corecube.open(archive) as opened:
        return [(d.where, d.what) for _, part in verify(opened, quick=quick) for d in part]


def shot_file(archive: Path, identity: str) -> Path:
    with corecube.open(archive) as opened:
        return archive / opened.record(identity).file


def flip(path: Path, offset: int, bit: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))


def test_a_sound_archive_has_no_damage(archive: Path) -> None:
    assert found(archive) == []
    assert found(archive, quick=True) == []
    with corecube.open(archive) as opened:
        assert [name for name, _ in verify(opened)] == [
            "index", "toy/field/1", "toy/field/2", "toy/plate/1",
        ]  # fmt: skip


@pytest.mark.parametrize("identity", ["toy/field/1", "toy/plate/1"])
def test_a_flipped_bit_in_any_array_is_found_and_named(archive: Path, identity: str) -> None:
    path = shot_file(archive, identity)
    rng = np.random.default_rng(5)
    places: list[tuple[str, tuple[int, ...], int, int]] = []
    with StoredShot(path) as shot:
        for name, about in shot.description["arrays"].items():
            if 0 in about["shape"]:
                continue
            array = shot._file.get_node(name)
            counts = [-(-n // c) for n, c in zip(array.shape, array.chunkshape, strict=True)]
            for index in np.ndindex(*counts):
                start = tuple(int(i * c) for i, c in zip(index, array.chunkshape, strict=True))
                info = array.chunk_info(start)
                if info.offset is not None:
                    places.append((name, start, info.offset, info.size))
    names = {name for name, *_ in places}
    assert {"/provenance", "/checksums"} <= names
    assert len(names) > 8
    original = path.read_bytes()
    for name, start, offset, size in places:
        flip(path, offset + int(rng.integers(size)), int(rng.integers(8)))
        damages = found(archive)
        path.write_bytes(original)
        mine = [what for where, what in damages if where == identity]
        assert mine, (name, start)
        if name != "/checksums":  # which only say which chunk it is
            assert len(mine) == 1
            assert re.search(
                rf"^{re.escape(name)} is damaged in the chunk at {re.escape(str(list(start)))}; "
                "ingest its files again with --force$", mine[0],
            ), mine  # fmt: skip
        assert not [where for where, _ in damages if where.startswith("toy/") and where != identity]
    assert found(archive) == []


def test_a_flipped_bit_anywhere_is_found(archive: Path) -> None:
    path = shot_file(archive, "toy/field/1")
    original = path.read_bytes()
    rng = np.random.default_rng(6)
    for offset in [*rng.integers(0, len(original), 60).tolist(), 0, 9, len(original) - 1]:
        flip(path, offset, int(rng.integers(8)))
        damages = found(archive)
        path.write_bytes(original)
        assert [where for where, _ in damages if where == "toy/field/1"], offset
        assert all("\n" not in what for _, what in damages)


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("how", ["truncated", "appended", "missing", "empty", "html"])
def test_a_file_of_the_wrong_size_is_found(archive: Path, how: str, quick: bool) -> None:
    path = shot_file(archive, "toy/field/1")
    data = path.read_bytes()
    said = f"its file has {{}} bytes instead of {len(data)}"
    if how == "missing":
        path.unlink()
        said = f"its file {path.relative_to(archive)} is missing"
    else:
        changed = {
            "truncated": data[:-1], "appended": data + bytes(700), "empty": b"", "html": b"<html>",
        }[how]  # fmt: skip
        path.write_bytes(changed)
        said = said.format(len(changed))
    shots = [(where, what) for where, what in found(archive, quick) if where == "toy/field/1"]
    assert shots == [("toy/field/1", f"{said}; ingest its files again with --force")]


def test_a_shot_in_the_place_of_another_is_found(archive: Path) -> None:
    one, two = (shot_file(archive, f"toy/field/{number}") for number in (1, 2))
    data = two.read_bytes()
    size = one.stat().st_size
    shutil.copy(two, one)
    if len(data) != size:  # give it the size that it must have
        with corecube.open(archive) as opened:
            number = opened.record("toy/field/1").size
        assert number == size
        assert "bytes instead of" in dict(found(archive, quick=True))["toy/field/1"]
        return
    for quick in (True, False):
        assert (
            "its file is that of toy/field/2, generation"
            in dict(found(archive, quick))["toy/field/1"]
        )


def test_chunks_that_changed_places_are_found_by_every_reader(archive: Path) -> None:
    """Each has its own checksum behind it, which goes along, and all else is sealed."""
    path = shot_file(archive, "toy/plate/1")
    data = path.read_bytes()
    places: dict[int, list[tuple[str, int]]] = {}
    with StoredShot(path) as shot:
        for name, about in shot.description["arrays"].items():
            if "checksums" in about and 0 not in about["shape"]:
                array = shot._file.get_node(name)
                chunk = array.chunk_info((0,) * len(array.shape))
                if chunk.offset is not None:
                    places.setdefault(chunk.size, []).append((name, chunk.offset))
    tried = 0
    for size, listed in places.items():
        for (one, first), (two, second) in itertools.combinations(listed, 2):
            changed = bytearray(data)
            changed[first : first + size] = data[second : second + size]
            changed[second : second + size] = data[first : first + size]
            if changed == data:
                continue
            tried += 1
            path.write_bytes(changed)
            with StoredShot(path) as shot:
                for name in (one, two):
                    for key in (slice(None), slice(0, 1), Ellipsis):
                        with pytest.raises(ArchiveDamaged, match=f"{name} is damaged"):
                            shot.read(name, key)
                for other in shot.description["arrays"]:
                    if other not in (one, two):
                        shot.read(other)
    assert tried
    assert len(found(archive)) >= 2


def test_a_damaged_index_is_found(archive: Path) -> None:
    (run,) = (archive / "index").glob("*.run")
    data = run.read_bytes()
    for offset in (100, len(data) // 2, len(data) - 30):
        flip(run, offset)
        assert [where for where, _ in found(archive)] == [f"index/{run.name}"]
        run.write_bytes(data)
    run.unlink()
    assert [where for where, _ in found(archive, quick=True)] == [f"index/{run.name}"]


def test_a_damaged_list_of_sources_is_found(archive: Path) -> None:
    (log,) = (archive / "catalogue").glob("sources.*.log")
    flip(log, log.stat().st_size // 2)
    ((where, what),) = found(archive)
    assert where == "catalogue" and "does not have its checksum" in what


def test_quick_does_not_read_arrays(archive: Path) -> None:
    path = shot_file(archive, "toy/field/1")
    with StoredShot(path) as shot:
        place = shot._file.get_node("/images/r/flux").chunk_info((0, 0)).offset
    flip(path, place + 100)
    assert found(archive, quick=True) == []
    assert len(found(archive)) == 1


def test_what_a_writer_replaces_meanwhile_is_no_damage(
    archive: Path, toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(key: str) -> None:
        files = sorted((tmp_path / "raw").glob(key))
        options = Options(force=True)
        ingest([str(path) for path in files], archive, load("toy"), toy.ToyConfig(), options)
        with ArchiveWriter(archive) as writer:
            writer.clean()

    check = verifying._check_index
    states: list[Any] = []

    def late(opened: Any, state: Any, quick: bool) -> Any:
        if not states:
            again("*")  # other runs, and those of this state are gone
        states.append(state)
        return check(opened, state, quick)

    with corecube.open(archive) as opened:
        with monkeypatch.context() as patch:
            patch.setattr(verifying, "_check_index", late)
            parts = verify(opened)
            assert next(parts) == ("index", [])
        assert len(states) == 2
        again("*")
        with ArchiveWriter(archive) as writer:
            writer.commit(removed=["toy/field/2"])
            writer.clean()
        assert list(parts) == [(name, []) for name in ("toy/field/1", "toy/field/2", "toy/plate/1")]
        # damage of what is there now is found all the same
        parts = verify(opened)
        next(parts)
        again("r.toy")
        flip(shot_file(archive, "toy/field/1"), 5000)
        assert [bool(damages) for _, damages in parts] == [True, False]
