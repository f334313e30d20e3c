"""A double of the file system: what a disk may hold where the power fails.

It stands at the border to the file system and writes down every write, truncation, rename,
removal, new folder and fsync of a run. What HDF5 and buffered files write is not seen as it
happens; it counts as written whole, just before the next fsync or rename of the file.

After any number of these calls the power may fail. Bytes since a file's last fsync may then be
there, or not, or in part, or as zeros; names since a folder's last fsync may be there or not, in
any choice (POSIX promises no more: ``fsync(2)``, ``rename(2)``).
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

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
