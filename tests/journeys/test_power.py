"""The power fails: what a disk may hold then is made from the calls of a run, and looked at.

A double stands at the border to the file system. It writes down every write, truncation, rename,
removal, new folder and fsync of a run. What HDF5 and buffered files write is not seen as it
happens; it counts as written whole, just before the next fsync or rename of the file.

After any number of these calls the power may fail. Bytes since a file's last fsync may then be
there, or not, or in part, or as zeros; names since a folder's last fsync may be there or not, in
any choice (POSIX promises no more: ``fsync(2)``, ``rename(2)``). From each such disk the archive
must open in the state of the last commit that had returned, or of one that was under way.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from corecube.archive import manifest as manifests
from corecube.archive import recordlog
from corecube.archive.manifest import LogEnd
from corecube.archive.repair import repair
from corecube.archive.writer import ArchiveWriter
from corecube.pipeline import Options, ingest
from corecube.pipeline.ingest import Silent
from corecube.pipeline.latemasks import remask
from corecube.plugins import load

Event = tuple[Any, ...]
Tree = dict[str, bytes | None]
"""Path to content; None for a folder."""


class Killed(BaseException):
    """The process is dead: it changes nothing any more."""


@dataclass
class Node:
    """A file, or a folder: what is on the disk for certain, and what may be."""

    content: bytes = b""
    names: dict[str, int] | None = None
    pending: list[Event] = field(default_factory=list)

    def bytes_after(self, events: list[Event]) -> bytes:
        """Return the content after some writes."""
        data = bytearray(self.content)
        for kind, *rest in events:
            if kind == "cut":
                data[rest[0] :] = bytes(max(0, rest[0] - len(data)))
            else:
                offset, piece = rest
                data[len(data) :] = bytes(max(0, offset - len(data)))
                data[offset : offset + len(piece)] = piece
        return bytes(data)

    def names_after(self, events: list[Event]) -> dict[str, int]:
        """Return the names after some changes."""
        names = dict(self.names or {})
        for kind, name, node, *more in events:
            if kind == "add":
                names[name] = node
                continue
            if names.get(name) == node:
                del names[name]
            if kind == "move":
                names[more[0]] = node
        return names

    def settle(self) -> None:
        """Make all that is pending certain."""
        if self.names is None:
            self.content = self.bytes_after(self.pending)
        else:
            for kind, *_, other, event in (e for e in self.pending if len(e) == 5):
                assert kind == "drop"
                if event in other.pending:
                    other.names = other.names_after([event])
                    other.pending.remove(event)
            self.names = self.names_after(self.pending)
        self.pending = []


class Double:
    """Stands between the process and the file system, below one folder.

    Parameters
    ----------
    base : Path

    Attributes
    ----------
    after : callable
        Called after each call, while nothing is recorded.
    random : int
        Disks drawn at random after each call.
    kill_at : int
        The process is dead from this call on.
    """

    def __init__(self, base: Path) -> None:
        self.base = base.resolve()
        self.nodes: dict[int, Node] = {}
        self.root = self._load(self.base)
        self.after: Callable[[], None] = lambda: None
        self.random = 4
        self.calls = 0
        self.kill_at = -1
        self.paused = False
        self.dead = False

    # -- what is there -----------------------------------------------------------------------

    def _new(self, node: Node) -> int:
        self.nodes[len(self.nodes)] = node
        return len(self.nodes) - 1

    def _load(self, path: Path) -> int:
        """Take what stands on the disk as certain."""
        if not path.is_dir():
            return self._new(Node(path.read_bytes()))
        return self._new(Node(names={item.name: self._load(item) for item in path.iterdir()}))

    def _find(self, path: Path) -> int | None:
        node: int | None = self.root
        for name in path.relative_to(self.base).parts:
            assert node is not None
            here = self.nodes[node]
            node = here.names_after(here.pending).get(name)
            if node is None:
                return None
        return node

    def _folder(self, path: Path) -> Node:
        number = self._find(path.parent)
        assert number is not None, path
        return self.nodes[number]

    def _seen(self, path: Path) -> int:
        """Return the node of a path; what others have written there becomes known."""
        number = self._find(path)
        if number is None:
            number = self._new(Node(names={} if path.is_dir() else None))
            self._folder(path).pending.append(("add", path.name, number))
        node = self.nodes[number]
        if node.names is None and path.exists():
            content = path.read_bytes()
            if content != node.bytes_after(node.pending):
                node.pending += [("cut", 0), ("write", 0, content)]
        return number

    # -- calls -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Take the place of the calls of `os`."""
        with pytest.MonkeyPatch.context() as patch:
            for name in (
                "open", "write", "pwrite", "ftruncate", "fsync", "replace", "rename", "unlink",
                "remove", "mkdir",
            ):  # fmt: skip
                patch.setattr(os, name, self._instead(name, getattr(os, name)))
            yield

    def _instead(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        note = getattr(self, f"_on_{name}")

        def call(first: Any, *args: Any, **kwargs: Any) -> Any:
            path = self._path(first) if not self.paused and not kwargs.get("dir_fd") else None
            creates = name != "open" or bool(args and args[0] & os.O_CREAT)
            if path is None or not creates:
                return original(first, *args, **kwargs)
            if self.dead or self.calls == self.kill_at:
                self.dead = True
                raise Killed
            self.calls += 1
            if name in ("replace", "rename", "fsync"):
                self._seen(path)
            place = os.lseek(first, 0, os.SEEK_CUR) if name == "write" else 0
            result = original(first, *args, **kwargs)
            note(path, *args, *([place, result] if name == "write" else []))
            self.paused = True
            try:
                self.after()
            finally:
                self.paused = False
            return result

        return call

    def _path(self, first: Any) -> Path | None:
        """Return the path that a call is about, None if it does not concern us."""
        if isinstance(first, int):
            path = Path(f"/proc/self/fd/{first}").readlink()
        elif isinstance(first, str | Path) and os.path.isabs(first):  # noqa: PTH117
            path = Path(first)
        else:
            return None
        return path if path.is_relative_to(self.base) and path.name != "lock" else None

    def _on_open(self, path: Path, *_: Any) -> None:
        self._seen(path)

    def _on_write(self, path: Path, data: Any, place: int, written: int) -> None:
        piece = bytes(memoryview(data).cast("B")[:written])
        self._pending(path).append(("write", place, piece))

    def _on_pwrite(self, path: Path, data: Any, offset: int) -> None:
        self._pending(path).append(("write", offset, bytes(data)))

    def _on_ftruncate(self, path: Path, size: int) -> None:
        self._pending(path).append(("cut", size))

    def _pending(self, path: Path) -> list[Event]:
        number = self._find(path)
        assert number is not None
        return self.nodes[number].pending

    def _on_fsync(self, path: Path) -> None:
        node = self.nodes[self._seen(path)]
        if node.names is not None:
            for item in path.iterdir():
                if item.name != "lock":
                    self._seen(item)
        node.settle()

    def _on_replace(self, path: Path, target: Any) -> None:
        number = self._find(path)
        assert number is not None
        old, new = self._folder(path), self._folder(Path(target))
        if old is new:
            old.pending.append(("move", path.name, number, Path(target).name))
        else:
            # a journal keeps both halves of this together, so nothing is lost between folders
            event = ("add", Path(target).name, number)
            new.pending.append(event)
            old.pending.append(("drop", path.name, number, new, event))

    def _on_unlink(self, path: Path) -> None:
        number = self._find(path)
        if number is not None:
            self._folder(path).pending.append(("drop", path.name, number))

    def _on_mkdir(self, path: Path, *_: Any, **__: Any) -> None:
        self._seen(path)

    _on_rename, _on_remove = _on_replace, _on_unlink

    # -- the power fails ---------------------------------------------------------------------

    def disks(self, draw: random.Random) -> Iterator[Tree]:
        """Yield what may stand on the disk if the power fails now."""

        def everything(events: list[Event]) -> list[Event]:
            return events

        def nothing(events: list[Event]) -> list[Event]:
            return []

        def whole(node: Node) -> bytes:
            return node.bytes_after(node.pending)

        def zeros(node: Node) -> bytes:
            return node.content + bytes(max(0, len(whole(node)) - len(node.content)))

        def drawn(node: Node) -> bytes:
            return draw.choice([self._torn(node, draw), zeros(node), node.content, whole(node)])

        yield self._tree(nothing, lambda node: node.content)
        yield self._tree(everything, whole)
        yield self._tree(everything, lambda node: node.content)
        yield self._tree(everything, zeros)
        for _ in range(self.random):
            yield self._tree(lambda events: [e for e in events if self._is_there(e, draw)], drawn)

    @staticmethod
    def _is_there(event: Event, draw: random.Random) -> bool:
        """Draw whether a change of names is on the disk; the second half of a move is, or not."""
        return draw.random() < 0.5 and (len(event) < 5 or event[4] not in event[3].pending)

    @staticmethod
    def _torn(node: Node, draw: random.Random) -> bytes:
        """Return the content after some of the writes, the last of them in part."""
        events = node.pending[: draw.randint(0, len(node.pending))]
        if events and events[-1][0] == "write":
            _, offset, piece = events[-1]
            events = [*events[:-1], ("write", offset, piece[: draw.randint(0, len(piece))])]
        return node.bytes_after(events)

    def _tree(
        self, names: Callable[[list[Event]], list[Event]], content: Callable[[Node], bytes]
    ) -> Tree:
        tree: Tree = {}

        def walk(number: int, path: str) -> None:
            node = self.nodes[number]
            if node.names is None:
                tree[path] = content(node)
                return
            tree[path] = None
            for name, inner in node.names_after(names(node.pending)).items():
                walk(inner, f"{path}/{name}" if path else name)

        walk(self.root, "")
        return tree


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
