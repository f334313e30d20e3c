"""Files of former states stay for a while, those of dead writers go at once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import corecube
from corecube.archive import leftovers
from corecube.archive.repair import repair
from corecube.archive.writer import ArchiveWriter
from corecube.errors import NoSpace


@pytest.fixture
def replaced(place: Path, store: Any, fibers: Any) -> tuple[Path, set[str]]:
    """An archive with a shot that was replaced, and the files of its former state."""
    old = store("night/1", [fibers("stars", 4, 20)])
    store("night/2", [fibers("stars", 4, 20, first=10)])
    runs = {f"index/{path.name}" for path in (place / "index").iterdir()}
    long_ago = time.time() - 1e6
    for path in place.rglob("*.*"):
        os.utime(path, (long_ago, long_ago))
    store("night/1", [fibers("stars", 4, 30)])
    with ArchiveWriter(place) as writer:
        writer.join_runs()
    return place, {old.file} | runs


def cleaned(place: Path, grace: float, now: float) -> set[str]:
    with ArchiveWriter(place) as writer:
        return set(leftovers.clean(place, writer.manifest, writer.catalogue, grace, now))


def test_former_files_stay_for_the_time_of_grace(replaced: tuple[Path, set[str]]) -> None:
    place, old = replaced
    now = time.time()
    assert cleaned(place, 600, now) == set()
    assert cleaned(place, 600, now + 590) == set()
    found = cleaned(place, 600, now + 610)
    assert old <= found and all(name.startswith(("shots/", "index/")) for name in found)
    assert not any((place / name).exists() for name in found)
    with corecube.open(place) as archive:
        assert len(archive.fibers()) == 8


def test_without_grace_they_go_at_once(replaced: tuple[Path, set[str]]) -> None:
    place, old = replaced
    assert old <= cleaned(place, 0, time.time())


def test_what_was_never_registered_goes_at_once(
    replaced: tuple[Path, set[str]],
) -> None:
    """However new it is: no reader can know of it."""
    place, old = replaced
    with corecube.open(place) as archive:
        generation = archive.state.manifest.generation
    litter = {
        f"shots/lab/night/1.{generation + 1}.h5", f"shots/lab/night/9.{generation}.h5",
        f"index/{generation + 1}-aaaa.run", f"catalogue/state.{generation + 1}.json",
        "masks/lab/night/1.1.0123abcd.mask", ".tmp-1-aa", "shots/lab/.tmp-1-bb",
    }  # fmt: skip
    for name in litter:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(b"x")
    assert cleaned(place, 600, time.time()) == litter
    assert all((place / name).exists() for name in old)


def test_a_reader_that_found_rows_before_a_replacement_reads_them(
    place: Path, store: Any, fibers: Any
) -> None:
    store("night/1", [fibers("stars", 4, 20)])
    with corecube.open(place) as archive:
        for number in range(20):
            result = archive.cone((1.0, 0.0), 0.1)  # its table is not looked at yet
            store("night/1", [fibers("stars", 4, 21 + number)])
            with ArchiveWriter(place) as writer:
                writer.clean(leftovers.GRACE)
            archive.close()
            assert len(result.fibers) == 1


def test_a_full_disk_takes_former_files_at_once(replaced: tuple[Path, set[str]]) -> None:
    place, old = replaced
    with pytest.raises(NoSpace), ArchiveWriter(place) as writer:
        assert writer.clean(leftovers.GRACE) == []
        raise NoSpace("full")
    assert not any((place / name).exists() for name in old)


def test_a_repair_of_a_sound_archive_takes_them(replaced: tuple[Path, set[str]]) -> None:
    place, old = replaced
    done = repair(place)
    assert not done.changed and done.cleaned >= len(old)
    assert not any((place / name).exists() for name in old)
    assert repair(place).cleaned == 0


def test_a_repair_that_mends_deletes_nothing(replaced: tuple[Path, set[str]]) -> None:
    place, old = replaced
    (place / "manifest.json").unlink()
    done = repair(place)
    assert done.changed and done.cleaned == 0
    assert all((place / name).exists() for name in old)


def test_a_log_that_is_needed_is_not_retired(
    place: Path, store: Callable[..., Any], fibers: Any
) -> None:
    for number in range(3):
        store("night/1", [fibers("stars", 2, 20 + number)])
    cleaned(place, 0, time.time())
    assert len(list((place / "catalogue").glob("*.log"))) == 2
    assert len(list((place / "shots").rglob("*.h5"))) == 1
