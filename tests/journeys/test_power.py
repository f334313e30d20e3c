"""The power fails: what a disk may hold then is made from the calls of a run, and looked at.

The double of the file system in failingdisk.py says what may stand there after any of the calls.
From each such disk the archive must open in the state of the last commit that had returned, or of
one that was under way.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from failingdisk import (  # type: ignore[import-not-found]  # loaded by the conftest
    Double,
    Killed,
    Tree,
)

from corecube.archive import manifest as manifests
from corecube.archive import recordlog
from corecube.archive.manifest import LogEnd
from corecube.archive.repair import repair
from corecube.archive.writer import ArchiveWriter
from corecube.pipeline import Options, ingest
from corecube.pipeline.ingest import Silent
from corecube.pipeline.latemasks import remask
from corecube.plugins import load


class Watch(Silent):
    """Remembers what was reported."""

    def __init__(self) -> None:
        self.stored: set[str] = set()

    def shot(self, report: Any) -> None:
        if report.state in ("ingested", "replaced"):
            self.stored.add(report.identity)


class Failing:
    """Runs commands on an archive and lets the power fail after each of their calls.

    Attributes
    ----------
    states : list
        What the archive held after each replacement of the manifest; None: nothing.
    sure : int
        The state that must not be lost any more.
    some : list of Tree
        Disks drawn from those that were looked at.
    """

    def __init__(self, archive: Path, compare: Any, scratch: Path, seed: int = 1) -> None:
        self.archive, self.compare, self.scratch = archive, compare, scratch
        self.double = Double(archive.parent)
        self.draw = random.Random(seed)
        self.watch = Watch()
        self.states: list[Any] = [self._content(archive)]
        self.sure = 0
        self.looking = True
        self.some: list[Tree] = []
        self.seen: list[Tree] = []
        self.contents: dict[str, Any] = {}
        self._stamp = manifests.stamp(archive)

    def run(self, command: Callable[[], object], kill_at: int = -1, look: bool = True) -> None:
        """Run a command; the power fails after each call where `look` is true."""
        double = self.double
        double.dead, double.calls, double.kill_at = False, 0, kill_at
        double.after = self._after
        self.looking = look
        commit = manifests.commit

        def committed(*args: Any) -> None:
            commit(*args)
            self.sure = len(self.states) - 1

        with double.installed(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(manifests, "commit", committed)
            try:
                command()
            except Killed:
                return
        self.sure = len(self.states) - 1
        self._after()

    def _after(self) -> None:
        stamp = manifests.stamp(self.archive)
        if stamp != self._stamp:
            self._stamp = stamp
            content = self._content(self.archive)
            if content != self.states[-1]:  # joining runs of the index changes nothing to see
                self.states.append(content)
        if self.looking:
            for tree in self.double.disks(self.draw):
                self._look(tree)

    def _look(self, tree: Tree) -> None:
        content = self._of(tree)
        if self.draw.random() < 0.03:
            self.some.append(tree)
        assert content in self.states[self.sure :], self._lost(content)
        assert self.watch.stored <= set((content or {"shots": ()})["shots"])

    def _lost(self, content: Any) -> str:
        if content in self.states:
            return f"state {self.states.index(content)} instead of {self.sure}"
        return f"a state that never was: {content}"[:500]

    def _of(self, tree: Tree) -> Any:
        """Return what the archive holds that stands on a disk."""
        archive = str(self.archive.relative_to(self.double.base))
        # of a file that neither manifest nor catalogue names nothing can depend
        naming = tree.get(f"{archive}/manifest.json") or b""
        for path, data in sorted(tree.items()):
            if (
                data
                and Path(path).parent.name == "catalogue"
                and Path(path).name.encode() in naming
            ):
                naming += data
        found = hashlib.sha256()
        for path, data in sorted(tree.items()):
            name = Path(path).name
            if name in ("manifest.json", "archive.json") or name.encode() in naming:
                found.update(f"{path} {data is None} {len(data or b'')} ".encode() + (data or b""))
        key = found.hexdigest()
        if key not in self.contents:
            self.contents[key] = self._content(self.put(tree))
        return self.contents[key]

    def put(self, tree: Tree) -> Path:
        """Write a disk; return its archive."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        for path, data in tree.items():
            place = self.scratch / path
            if data is None:
                place.mkdir(parents=True, exist_ok=True)
            else:
                place.write_bytes(data)
        return self.scratch / self.archive.relative_to(self.double.base)

    def _content(self, archive: Path) -> Any:
        if not (archive / "manifest.json").exists():
            return None
        assert self.compare.damages(archive) == []
        return self.compare.content(archive)


# -- commands --------------------------------------------------------------------------------------


@pytest.fixture
def failing(
    toy: Any, compare: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Failing]:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "disk" / "here").mkdir(parents=True)

    def make(base: Callable[[Path], object] | None = None, seed: int = 1) -> Failing:
        archive = tmp_path / "disk" / "here" / "a.corecube"
        if base is not None:
            base(archive)
        return Failing(archive, compare, tmp_path / "crashed", seed)

    return make


@pytest.fixture
def files(toy: Any, tmp_path: Path) -> tuple[Path, Path]:
    """Two versions of three shots."""
    for version in (1, 2):
        folder = tmp_path / f"raw{version}"
        more = {"seed": version, "rank": version}
        toy.image(folder / "a.toy", "deep/1", shape=(12, 10), **more)
        toy.fibers(folder / "b.toy", "plate/1", ra=[1.0, 2.0], dec=[3.0, 4.0], **more)
        toy.fibers(folder / "c.toy", "plate/2", ra=[5.0], dec=[6.0], **more)
    return tmp_path / "raw1", tmp_path / "raw2"


def take(toy: Any, raw: Path, archive: Path, watch: Any = None, seconds: float = 0.0) -> None:
    """Ingest; each shot is registered alone unless `seconds` is large."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["corecube.pipeline.ingest"], "_BATCH_SECONDS", seconds)
        report = ingest([str(raw)], archive, load("toy"), toy.ToyConfig(), Options(), watch)
    assert report.exit_code() == 0


def clean(archive: Path) -> None:
    with ArchiveWriter(archive) as writer:
        writer.clean()


def test_an_archive_is_made(failing: Any, toy: Any, files: tuple[Path, Path]) -> None:
    disk = failing()
    disk.run(lambda: take(toy, files[0], disk.archive, disk.watch))
    assert len(disk.states) == 5  # nothing, empty, three shots
    assert len(disk.states[-1]["shots"]) == 3
    # from whatever is left the same command leads to the same archive
    assert len(disk.some) > 5
    for tree in disk.some:
        archive = disk.put(tree)
        take(toy, files[0], archive)
        assert disk.compare.content(archive) == disk.states[-1]
        assert disk.compare.damages(archive) == []
        clean(archive)  # where nothing was left to do, no writer has been there
        assert not list(archive.rglob(".tmp-*"))


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_shots_are_replaced(
    failing: Any, toy: Any, files: tuple[Path, Path], seconds: float
) -> None:
    disk = failing(lambda archive: take(toy, files[0], archive))
    disk.run(lambda: take(toy, files[1], disk.archive, disk.watch, seconds))
    assert len(disk.states) == (4 if seconds == 0 else 2)
    disk.run(lambda: clean(disk.archive))
    assert len(list(disk.archive.rglob("*.h5"))) == 3


def test_shots_are_removed(failing: Any, toy: Any, files: tuple[Path, Path]) -> None:
    disk = failing(lambda archive: take(toy, files[0], archive))

    def remove() -> None:
        with ArchiveWriter(disk.archive) as writer:
            writer.commit(removed=["toy/plate/1"])
            writer.clean()

    disk.run(remove)
    assert [len(state["shots"]) for state in disk.states] == [3, 2]


def test_late_masks_change(
    failing: Any, install: Any, toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    install("corecube-lab", "0.1", {"lab": "lab"})
    lab = importlib.import_module("lab")
    for entry in ("a", "b"):
        lab.write(tmp_path / "raw" / f"{entry}.lab", "night/1", entry)
    first, second = (tmp_path / name for name in ("first", "second"))
    first.write_text("night/1 a 3\n")
    second.write_text("night/1 b 4\nnight/1 mean 5\n")

    def base(archive: Path) -> None:
        config = lab.LabConfig(lists=lab.Lists(str(first)))
        ingest([str(tmp_path / "raw")], archive, load("lab"), config)

    disk = failing(base)
    config = lab.LabConfig(lists=lab.Lists(str(second)))
    disk.run(lambda: remask(disk.archive, {"lab": (load("lab"), config)}))
    assert len(disk.states) == 2


def test_a_repair(
    failing: Any, compare: Any, toy: Any, files: tuple[Path, Path], tmp_path: Path
) -> None:
    """The damaged file is never lost, and a repair that was interrupted is done again."""
    disk = failing(lambda archive: take(toy, files[0], archive))
    good = disk.states[0]
    (shot,) = disk.archive.rglob("shots/toy/plate/1.*.h5")
    data = bytearray(shot.read_bytes())
    data[len(data) // 2] ^= 1
    shot.write_bytes(data)
    mending = Mending(disk.archive, compare, tmp_path / "crashed")
    mending.whole = {n: shot for n, shot in good["shots"].items() if n != "toy/plate/1"}
    mending.damaged = bytes(data)
    mending.run(lambda: repair(mending.archive))
    assert len(mending.seen) > 5


class Mending(Failing):
    """Looks at what a repair leaves: the archive is damaged, and a repair must end well.

    Attributes
    ----------
    whole : dict
        The shots that are sound.
    damaged : bytes
        Content of the damaged file, which must not be lost.
    """

    whole: dict[str, Any]
    damaged: bytes

    def _content(self, archive: Path) -> Any:
        return None

    def _look(self, tree: Tree) -> None:
        if any(tree == other for other in self.seen):
            return
        self.seen.append(tree)
        archive = self.put(tree)
        repair(archive)
        clean(archive)
        aside = [path for path in archive.glob("damaged/**/*") if path.is_file()]
        assert self.damaged in [path.read_bytes() for path in aside]
        assert self.compare.content(archive)["shots"] == self.whole
        assert self.compare.damages(archive) == []


# -- killed, gone on with, and then the power fails ------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("case", ["new archive", "replacement", "only cleaned up"])
def test_the_next_writer_builds_on_nothing_uncertain(
    failing: Any, toy: Any, tmp_path: Path, case: str
) -> None:
    """A writer is killed at any call; the next one goes on; then the power fails."""
    first = tmp_path / "first.corecube"
    for version in (1, 2):
        toy.fibers(tmp_path / f"{version}" / "a.toy", "deep/1", seed=version, rank=version)
    take(toy, tmp_path / "1", first)

    def base(archive: Path) -> None:
        shutil.rmtree(archive, ignore_errors=True)
        if case != "new archive":
            shutil.copytree(first, archive)

    def ingesting(disk: Failing) -> Callable[[], None]:
        return lambda: take(toy, tmp_path / "2", disk.archive, disk.watch)

    def cleaning(disk: Failing) -> Callable[[], None]:
        return lambda: clean(disk.archive)

    whole = failing(base)
    whole.run(ingesting(whole), look=False)
    assert whole.double.calls > 20
    for kill_at in range(1, whole.double.calls):
        disk = failing(base, seed=kill_at)
        disk.double.random = 1
        disk.run(ingesting(disk), kill_at, look=False)
        disk.run((cleaning if case == "only cleaned up" else ingesting)(disk))
        assert case == "only cleaned up" or disk.states[-1] == whole.states[-1]


def test_a_log_that_a_dead_writer_has_made_is_there_to_stay(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    double = Double(tmp_path / "disk")
    with double.installed():
        os.close(os.open(str(tmp_path / "disk" / "a.log"), os.O_WRONLY | os.O_CREAT))
        end = recordlog.append(tmp_path / "disk", LogEnd("a.log", 0), [{"a": 1}])
        recordlog.append(tmp_path / "disk", end, [{"a": 2}])
    for tree in double.disks(random.Random(1)):
        assert (tree.get("a.log") or b"").count(b"\n") == 2
