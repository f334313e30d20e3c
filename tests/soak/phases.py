"""In which phase a process is, told to others through memory that they share.

Functions of corecube are wrapped, here and not in the product: each process writes the number of
its phase into a byte of a shared page, where it stays when the process is killed.
"""

from __future__ import annotations

import importlib
import mmap
import os
import time
from collections.abc import Callable
from typing import Any, Final

PHASES: Final = (
    "start, identify, plan", "make the archive", "clean up", "read", "write the shot file",
    "derive", "prove", "rename", "late masks", "index run", "logs", "manifest", "after commit",
    "join runs", "repair",
)  # fmt: skip
_AFTER: Final = PHASES.index("after commit")
_WRITER: Final = "corecube.archive.shotwriter:ShotWriter"
_ARCHIVE: Final = "corecube.archive.writer:ArchiveWriter"
_WRAPPED: Final = {
    "corecube.pipeline.ingest:_Ingest._identified": "start, identify, plan",
    "corecube.pipeline.deciding:Decisions.decide": "start, identify, plan",
    "corecube.pipeline.ingest:create": "make the archive",
    f"{_ARCHIVE}.clean": "clean up",
    "corecube.pipeline.work:make_shot": "read",
    "corecube.pipeline.work:_Maker._frames": "read",
    f"{_WRITER}.add_image": "write the shot file",
    f"{_WRITER}.add_block": "write the shot file",
    f"{_WRITER}.finish": "write the shot file",
    "corecube.pipeline.work:_Maker._derive": "derive",
    "corecube.archive.shotwriter:prove": "prove",
    "corecube.pipeline.work:commit_file": "rename",
    "corecube.pipeline.work:_Maker._late_masks": "late masks",
    "corecube.pipeline.latemasks:asked": "late masks",
    "corecube.archive.latemasks:write": "late masks",
    f"{_ARCHIVE}._run": "index run",
    f"{_ARCHIVE}.join_runs": "join runs",
    "corecube.archive.recordlog:append": "logs",
    f"{_ARCHIVE}._write_state": "logs",
    "corecube.archive.manifest:commit": "manifest",
    "corecube.archive.repair:repair": "repair",
}
_WORKERS: Final = 62


class Page:
    """A shared page: byte 0 is the coordinator's phase, others those of workers; 0 is none."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE)
        self.coordinator = 0
        self.visits: list[tuple[int, float]] = []
        """Phase and seconds of each visit of a phase, of this process."""
        self._wanted = 0
        self._bell = -1

    def clear(self) -> None:
        """Forget all."""
        self._page[:] = bytes(len(self._page))

    def mark(self, wanted: int, bell: int) -> None:
        """Tell phases from now on; write a byte to `bell` whenever phase `wanted` begins.

        Called in the process that is going to be killed, before it starts others.
        """
        self.coordinator, self._wanted, self._bell = os.getpid(), wanted, bell
        self._page[0] = 1
        for target, phase in _WRAPPED.items():
            _wrap(target, self._telling(PHASES.index(phase)))
        _wrap(f"{_ARCHIVE}.commit", self._committing)
        if wanted == 0:
            os.write(bell, b".")

    def phase(self) -> int:
        """Return the phase; that of a worker where the coordinator waits for workers."""
        if self._page[0] - 1 == _AFTER or self._page[0] <= 1:
            busy = [b for b in self._page[1 : 1 + _WORKERS] if b]
            if busy:
                return max(busy) - 1
        return max(0, self._page[0] - 1)

    def _place(self) -> int:
        pid = os.getpid()
        return 0 if pid == self.coordinator else 1 + pid % _WORKERS

    def _enter(self, phase: int) -> int:
        place = self._place()
        before, self._page[place] = self._page[place], phase + 1
        if phase == self._wanted:
            os.write(self._bell, b".")
        return before

    def _telling(self, phase: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def make(original: Callable[..., Any]) -> Callable[..., Any]:
            def wrapped(*args: Any, **kwargs: Any) -> Any:
                before, began = self._enter(phase), time.monotonic()
                try:
                    return original(*args, **kwargs)
                finally:
                    self._page[self._place()] = before
                    self.visits.append((phase, time.monotonic() - began))

            return wrapped

        return make

    def _committing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            self._enter(_AFTER)  # until something else begins
            self.visits.append((_AFTER, 0.005))
            return result

        return wrapped


def _wrap(target: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    name, _, attribute = target.partition(":")
    owner: Any = importlib.import_module(name)
    *path, last = attribute.split(".")
    for part in path:
        owner = getattr(owner, part)
    setattr(owner, last, make(getattr(owner, last)))
