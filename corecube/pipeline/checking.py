"""Verifying an archive in a process of its own, which a file may crash without harm.

A seal finds damage; a stranger seals what he likes, and HDF5's C library has faults that a file
made for them can use. So `corecube verify` reads shot files in a worker with limits of memory and
time; a crash is a damage of that shot, and the next one is read in a new worker.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from typing import Any, Final

from corecube import limits, scheduler
from corecube.archive.reader import Archive
from corecube.archive.verify import Damage, check_part, parts

_SECONDS: Final = 120.0
"""Of a processor for each part, and one more for each `_RATE` bytes of its file."""

_RATE: Final = 5_000_000

_MEMORY: Final = 4 * 2**30
"""Bytes for each part beyond what the worker has: linked arrays are decoded."""


def verify_apart(
    archive: Archive, *, quick: bool = False, jobs: int = 1
) -> Iterator[tuple[str, list[Damage]]]:
    """Check an archive as `corecube.archive.verify.verify`, in worker processes.

    Parameters
    ----------
    archive : Archive
    quick : bool
    jobs : int
        Worker processes.

    Yields
    ------
    (name, damages) : str, list of Damage
        As they end.
    """
    named = list(parts(archive))
    tasks = [
        {
            "archive": str(archive.path), "part": name, "quick": quick,
            "seconds": _SECONDS + size / _RATE,
        }
        for name, size in named
    ]  # fmt: skip
    for outcome in scheduler.run(_CHECK, tasks, jobs, apart=True):
        name = named[outcome.task][0]
        if outcome.result is None:
            yield name, [Damage(name, _CRASH.format(outcome.error.partition(";")[0]))]
        else:
            yield name, [Damage(*each) for each in outcome.result["damages"]]


_CHECK = "corecube.pipeline.checking:check"

_CRASH: Final = (
    "checking it crashed ({}): its file was made or damaged so that reading it is not safe; do not "
    "open it; 'corecube remove' takes the shot away"
)

_archives: dict[str, Archive] = {}


def check(task: dict[str, Any]) -> dict[str, Any]:
    """Check a part of an archive; runs in a worker."""
    if multiprocessing.parent_process() is not None:
        limits.allow(task["seconds"], _MEMORY)
    path = task["archive"]
    if path not in _archives:
        _archives[path] = Archive(path)
    found = check_part(_archives[path], task["part"], quick=task["quick"])
    return {"damages": [[damage.where, damage.what] for damage in found]}
