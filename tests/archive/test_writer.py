"""One writer, many readers: old state or new, never between."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import corecube
from corecube.archive import leftovers, manifest, recordlog
from corecube.archive.manifest import LogEnd
from corecube.archive.writer import ArchiveWriter, create
from corecube.errors import (
    ArchiveBusy,
    ArchiveDamaged,
    ArchiveError,
    ArchiveMissing,
    ArchiveTooNew,
    NoSpace,
    QueryError,
)
from corecube.pipeline import Options, Report, ingest
from corecube.plugins import load

Run = Callable[..., Report]


@pytest.fixture
def run(toy: Any) -> Run:
    def run_one(paths: list[Path], archive: Path, **options: Any) -> Report:
        return ingest(
            [str(p) for p in paths], archive, load("toy"), toy.ToyConfig(), Options(**options)
        )

    return run_one


@pytest.fixture
def archive(run: Run, toy: Any, tmp_path: Path) -> Path:
    toy.image(tmp_path / "raw" / "r.toy", "field/1")
    toy.fibers(tmp_path / "raw" / "f.toy", "plate/1", ra=[1, 2, 3], dec=[0, 0, 0])
    toy.fibers(tmp_path / "raw" / "g.toy", "plate/2", ra=[1, 5], dec=[0, 0])
    run([tmp_path / "raw"], tmp_path / "a.corecube")
    return tmp_path / "a.corecube"


# -- register, replace, remove ---------------------------------------------------------------------


def test_a_shot_that_is_replaced_keeps_its_names_and_gets_a_new_number_and_file(
    run: Run, toy: Any, archive: Path, tmp_path: Path, compare: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with corecube.open(archive) as opened:
        old = opened.record("toy/plate/1")
        toy.fibers(tmp_path / "raw" / "f.toy", "plate/1", ra=[7], dec=[0], seed=9)
        run([tmp_path / "raw"], archive)
        new = opened.record("toy/plate/1")  # the same archive object sees the new state
        assert new.number > old.number and new.generation > old.generation
        assert new.file != old.file
        found = opened.cone((2.0, 0.0), 0.1)
        assert len(found.fibers) == 0
        assert opened.cone((7.0, 0.0), 0.1).fibers["id"].values.tolist() == ["a-0"]
        assert (archive / old.file).exists(), "readers may have it open still"
    assert compare.damages(archive) == []
    toy.image(tmp_path / "raw" / "new.toy", "field/2")
    run([tmp_path / "raw"], archive)
    assert (archive / old.file).exists(), "readers may have asked just before"
    monkeypatch.setattr(leftovers, "GRACE", 0.0)
    toy.image(tmp_path / "raw" / "newer.toy", "field/3")
    run([tmp_path / "raw"], archive)
    assert not (archive / old.file).exists(), "a later writer cleans up"


def test_a_removed_shot_is_gone_and_may_come_back(
    run: Run, archive: Path, tmp_path: Path, compare: Any
) -> None:
    before = compare.content(archive)
    with corecube.open(archive) as opened:
        number = opened.record("toy/plate/1").number
        with ArchiveWriter(archive) as writer:
            writer.commit(removed=["toy/plate/1"])
        with pytest.raises(QueryError, match="there is nothing named 'toy/plate/1'"):
            opened.record("toy/plate/1")
        assert opened.cone((1.0, 0.0), 0.1).fibers["shot"].values.tolist() == ["plate/2"]
        assert compare.damages(archive) == []
        run([tmp_path / "raw"], archive)
        assert opened.record("toy/plate/1").number > number, "numbers are never used again"
    assert compare.content(archive) == before
    assert compare.damages(archive) == []


def test_many_small_commits_keep_the_index_exact_and_small(
    run: Run, toy: Any, tmp_path: Path, compare: Any
) -> None:
    archive = tmp_path / "a.corecube"
    rng = np.random.default_rng(3)
    for number in range(25):
        path = tmp_path / "raw" / f"{number % 7}.toy"
        ra, dec = rng.uniform(0, 360, 5), rng.uniform(-90, 90, 5)
        toy.fibers(path, f"plate/{number % 7}", ra=ra, dec=dec, seed=number)
        run([path], archive)
    assert compare.damages(archive) == []
    with corecube.open(archive) as opened:
        assert len(opened.cone((0.0, 0.0), 180.0).fibers) == 35
        assert len(opened.state.manifest.runs) < 12
        assert len(opened.state.manifest.dropped) <= 25


def test_a_commit_does_not_wait_for_runs_to_be_joined(
    place: Path, store: Any, fibers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers() -> list[str]:
        with corecube.open(place) as opened:
            return sorted(opened.cone((0.0, 0.0), 180.0).fibers["shot"].values.tolist())

    def full(*_: Any) -> None:
        raise NoSpace("the disk is full")

    for number in (1, 2, 3, 1):
        store(f"plate/{number}", [fibers("stars", 5, 4)])
    before = answers()
    assert before == [f"plate/{number}" for number in (1, 2, 3) for _ in range(5)]
    with ArchiveWriter(place) as writer:
        assert len(writer.manifest.runs) == 4
        old = writer.manifest
        with monkeypatch.context() as patch:
            patch.setattr(manifest, "commit", full)
            writer.join_runs()  # not worth a failure: all is registered
        assert writer.manifest == old == manifest.load(place)[0]
        writer.join_runs()
        (joined,) = list(writer.manifest.runs)
        assert (joined.rows, writer.manifest.dropped) == (15, ())
        assert writer.manifest.generation == old.generation + 1
        writer.clean()
    assert answers() == before
    with ArchiveWriter(place) as writer:
        writer.join_runs()
        assert writer.manifest.runs == (joined,), "one run has nothing to be joined with"


# -- the lock --------------------------------------------------------------------------------------


def test_a_second_writer_is_told_who_writes(archive: Path, run: Run, tmp_path: Path) -> None:
    with ArchiveWriter(archive):
        code = (
            "import sys; from pathlib import Path\n"
            "from corecube.archive.writer import ArchiveWriter\n"
            "from corecube.errors import ArchiveBusy\n"
            "try:\n    ArchiveWriter(Path(sys.argv[1])).__enter__()\n"
            "except ArchiveBusy as error: print(error)\n"
        )
        said = subprocess.run(
            [sys.executable, "-c", code, str(archive)], capture_output=True, text=True, check=True
        ).stdout
        assert said.startswith(f"{archive}: process {os.getpid()} of ")
        assert "is writing into it; wait for it to end" in said
        with pytest.raises(ArchiveBusy, match=f"process {os.getpid()} "), ArchiveWriter(archive):
            pass
        # readers take no lock, and nothing to do needs none
        with corecube.open(archive) as opened:
            assert len(opened.fibers()) == 5
        assert run([tmp_path / "raw"], archive).exit_code() == 0
    with ArchiveWriter(archive):
        pass


def test_the_lock_of_a_killed_writer_is_free(archive: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from corecube.archive.writer import ArchiveWriter\n"
        "ArchiveWriter(Path(sys.argv[1])).__enter__(); print('locked', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(archive)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(ArchiveBusy, match=f"process {process.pid} "), ArchiveWriter(archive):
            pass
        process.kill()
        process.wait()
    with ArchiveWriter(archive) as writer:
        assert len(writer.catalogue.by_identity) == 3


# -- readers beside a writer -----------------------------------------------------------------------


def test_readers_see_the_old_state_or_the_new_one(
    run: Run, toy: Any, tmp_path: Path, start_ingest: Callable[..., subprocess.Popen[str]]
) -> None:
    """A writer replaces two shots in one commit, again and again; both always agree."""
    archive = tmp_path / "a.corecube"
    raw = tmp_path / "raw"

    def write(version: int) -> None:
        for number in range(2):
            toy.fibers(raw / f"{number}.toy", f"plate/{number}", target=f"version {version}",
                       ra=[10.0 + version], dec=[number], seed=version)  # fmt: skip

    write(0)
    run([raw], archive)
    seen: list[str] = []
    asked = 0
    with corecube.open(archive) as opened:
        for version in range(1, 6):
            write(version)
            process = start_ingest([raw], archive)
            while process.poll() is None or asked % 5:
                asked += 1
                found = opened.box(9.0, 30.0, -1.0, 3.0).fibers
                assert len(found) == 2, "a shot is missing or there twice"
                first, second = found["target"].values.tolist()
                assert first == second, "one shot is new and the other old"
                number = int(first.removeprefix("version "))
                assert found["ra"].values.tolist() == [10.0 + number] * 2
                seen.append(first)
                time.sleep(0.002)
    order = [version for n, version in enumerate(seen) if n == 0 or version != seen[n - 1]]
    assert order == sorted(order)
    assert order[-1] == "version 5" and asked > 50


# -- crashes ---------------------------------------------------------------------------------------


def test_what_dead_writers_left_is_cleaned_and_nothing_else(archive: Path, compare: Any) -> None:
    before = compare.content(archive)
    shot = next((archive / "shots").rglob("*.h5"))
    litter = [
        archive / ".tmp-1-aa", shot.parent / ".tmp-99-bb", shot.with_name("1.99.h5"),
        archive / "index" / "9-ffff.run", archive / "catalogue" / "state.77.json",
    ]  # fmt: skip
    kept = [archive / "README", shot.parent / "notes.txt"]
    for path in (*litter, *kept):
        path.write_bytes(b"x")
    with ArchiveWriter(archive) as writer:
        removed = writer.clean()
    assert sorted(removed) == sorted(str(path.relative_to(archive)) for path in litter)
    assert all(path.exists() for path in kept)
    assert compare.content(archive) == before and compare.damages(archive) == []


def test_an_archive_that_was_half_made_is_finished(run: Run, toy: Any, tmp_path: Path) -> None:
    archive = tmp_path / "a.corecube"
    create(archive)
    (archive / "manifest.json").unlink()
    (archive / ".tmp-4-x").write_bytes(b"{")
    toy.image(tmp_path / "r.toy")
    with pytest.raises(ArchiveMissing):
        corecube.open(archive)
    assert run([tmp_path / "r.toy"], archive).exit_code() == 0
    with corecube.open(archive) as opened:
        assert len(opened.images()) == 1


def test_records_behind_the_end_do_not_count(tmp_path: Path) -> None:
    end = recordlog.append(tmp_path, LogEnd("x.log", 0), [{"a": 1}, {"b": "größer"}])
    assert recordlog.read(tmp_path, end) == [{"a": 1}, {"b": "größer"}]
    later = recordlog.append(tmp_path, end, [{"c": 3}])
    assert recordlog.read(tmp_path, end) == [{"a": 1}, {"b": "größer"}]
    assert recordlog.read(tmp_path, later, end.length) == [{"c": 3}]
    again = recordlog.append(tmp_path, end, [{"d": 4}])  # the commit of c never came
    assert recordlog.read(tmp_path, again) == [{"a": 1}, {"b": "größer"}, {"d": 4}]
    data = bytearray((tmp_path / "x.log").read_bytes())
    for position in range(0, again.length, 7):
        damaged = bytearray(data)
        damaged[position] ^= 1
        (tmp_path / "x.log").write_bytes(damaged)
        with pytest.raises(ArchiveDamaged, match=r"x\.log"):
            recordlog.read(tmp_path, again)
    (tmp_path / "x.log").write_bytes(data[:-1])
    with pytest.raises(ArchiveDamaged, match="is shorter than"):
        recordlog.read(tmp_path, again)
    (tmp_path / "x.log").unlink()
    with pytest.raises(ArchiveDamaged, match="is missing"):
        recordlog.read(tmp_path, again)


# -- archives that cannot be opened ----------------------------------------------------------------


def test_what_is_no_archive_is_said(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ArchiveMissing, match=r"there is no archive; make one with 'corecube ingest"
    ):
        corecube.open(tmp_path / "none.corecube")
    with pytest.raises(ArchiveMissing):
        corecube.open(tmp_path / "raw" / "r.toy")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("...")
    with pytest.raises(ArchiveError, match="is there and is no archive; choose another name"):
        create(tmp_path / "other")
    path = archive / "manifest.json"
    good = json.loads(path.read_text())
    for bad in (b"", b"{", b"[]", b'{"format": 2}', b'{"format": "x"}', b"\xff"):
        path.write_bytes(bad)
        with pytest.raises(ArchiveDamaged, match=r"manifest\.json: is damaged"):
            corecube.open(archive)
    path.write_text(json.dumps(good | {"format": 3}))
    with pytest.raises(ArchiveTooNew, match="has format 3, this corecube knows up to 2"):
        corecube.open(archive)
    path.unlink()
    with pytest.raises(ArchiveDamaged, match="its manifest is missing"):
        corecube.open(archive)


def test_a_manifest_keeps_all_that_it_was_given(archive: Path) -> None:
    before, _ = manifest.load(archive)
    manifest.commit(archive, before)
    after, _ = manifest.load(archive)
    assert after == before and before.runs and before.catalogue.length > 0


@pytest.mark.parametrize("change", ["zeros", "no end"])
def test_a_log_without_its_last_line_is_damaged_and_not_short(
    place: Path, store: Callable[..., Any], fibers: Callable[..., Any], change: str
) -> None:
    store("plate/1", [fibers("stars", 3, 20)])
    (log,) = place.glob("catalogue/shots.*.log")
    data = log.read_bytes()
    log.write_bytes(bytes(len(data)) if change == "zeros" else data[:-1] + b"x")
    with pytest.raises(ArchiveDamaged, match="its last record has no end"):
        corecube.open(place)
