"""One thread that asks the archive, so that the screen never waits.

PyTables is not made for several threads, so all questions go through one. What the user asked for
comes before what is only shown in passing; a newer question of the same slot replaces an older
one that still waits, and the answer to one that was overtaken is thrown away.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from corecube.errors import CorecubeError
from corecube.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from corecube.archive import Archive

THREAD: Final = "corecube-archive"
USER, PREVIEW, BACKGROUND = 0, 1, 2
"""Urgency: what was asked for, what the cursor passes, what the program looks up by itself."""


@dataclass
class Job:
    """A question to the archive and what to do with its answer.

    Attributes
    ----------
    slot : str
        Questions of one slot replace each other.
    work : callable
        Takes the archive; runs in the archive's thread.
    then : callable
        Takes the answer; runs in the event loop.
    failed : callable
        Takes one line; runs in the event loop.
    urgency : int
    number : int
        Counts questions.
    begun : float
        Seconds of the monotonic clock.
    """

    slot: str
    work: Callable[[Archive], Any]
    then: Callable[[Any], None]
    failed: Callable[[str], None]
    urgency: int
    number: int
    begun: float = field(default_factory=time.monotonic)
    answer: Any = None
    error: BaseException | None = None


class Loader:
    """Asks an archive from a thread of its own.

    Parameters
    ----------
    path : Path
        Of the archive, which is opened by the first question.
    deliver : callable
        Brings a finished job to the event loop; called from the thread.
    """

    def __init__(self, path: Path, deliver: Callable[[Job], None]) -> None:
        self._path = path
        self._deliver = deliver
        self._numbers = itertools.count()
        self._waiting: dict[str, Job] = {}
        self._newest: dict[str, int] = {}
        self._open: dict[str, Job] = {}
        self._changed = threading.Condition()
        self._ended = False
        self._archive: Archive | None = None
        self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self, seconds: float = 2.0) -> None:
        """End after the question that is being answered; a dead disk is not waited for."""
        with self._changed:
            self._ended = True
            self._waiting.clear()
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def ask(
        self,
        slot: str,
        work: Callable[[Archive], Any],
        then: Callable[[Any], None],
        failed: Callable[[str], None],
        urgency: int = USER,
    ) -> None:
        """Put a question; the slot's older ones are forgotten."""
        job = Job(slot, work, then, failed, urgency, next(self._numbers))
        with self._changed:
            self._waiting[slot] = job
            self._newest[slot] = job.number
            self._open[slot] = job
            self._changed.notify()

    def forget(self, slot: str) -> None:
        """Drop the question of a slot."""
        with self._changed:
            self._waiting.pop(slot, None)
            self._open.pop(slot, None)
            self._newest[slot] = -1

    def finish(self, job: Job) -> None:
        """Hand out the answer, in the event loop, unless a newer question has been put."""
        with self._changed:
            if self._newest.get(job.slot) != job.number:
                return
            self._open.pop(job.slot, None)
        if job.error is None:
            job.then(job.answer)
        else:
            job.failed(line_of(job.error))

    def busy(self, slot: str = "") -> float:
        """Return for how many seconds a slot, or any but those in the background, has waited."""
        with self._changed:
            jobs = [
                job for job in self._open.values()
                if (job.slot == slot if slot else job.urgency < BACKGROUND)
            ]  # fmt: skip
        return time.monotonic() - min(job.begun for job in jobs) if jobs else 0.0

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._ended or self._waiting):
                    self._changed.wait()
                if self._ended:
                    break
                job = min(self._waiting.values(), key=lambda job: (job.urgency, job.number))
                del self._waiting[job.slot]
            try:
                job.answer = job.work(self._opened())
            except BaseException as error:  # shown in place; the program goes on
                job.error = error
            with contextlib.suppress(RuntimeError):  # the event loop has ended
                self._deliver(job)
        if self._archive is not None:
            self._archive.close()

    def _opened(self) -> Archive:
        if self._archive is None:
            from corecube.archive import open_archive

            self._archive = open_archive(self._path)
        return self._archive


def line_of(error: BaseException) -> str:
    """Return one harmless line that says what went wrong."""
    text = " ".join(str(error).split())
    if not isinstance(error, CorecubeError | OSError):
        text = f"{type(error).__name__}: {text}"
    return printable(text)
