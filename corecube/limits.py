"""Limits of a process that reads files of strangers: what they can make it use."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Final

_MEMORY: Final = 16 * 2**30
_FILES: Final = 512


def confine() -> None:
    """Limit this process for good: no core dumps, open files, and address space.

    The address space is twice the machine's memory, and 16 GiB at least: enough for all honest
    work, while a file that asks for a thousand times as much ends in `MemoryError`.
    """
    memory = max(_MEMORY, 2 * _machine_memory())
    for kind, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _FILES),
        (resource.RLIMIT_AS, memory),
    ):
        soft, hard = resource.getrlimit(kind)
        if hard == resource.RLIM_INFINITY or hard > limit:
            new = limit if soft == resource.RLIM_INFINITY or soft > limit else soft
            resource.setrlimit(kind, (new, hard))


def allow(seconds: float, memory: int | None = None) -> None:
    """Let this process use so many more seconds of its processors, and bytes of address space.

    A process that uses more time is ended by SIGXCPU.
    """
    used = sum(os.times()[:2])
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = int(used + seconds) + 1
    resource.setrlimit(
        resource.RLIMIT_CPU, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
    )
    if memory is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        wanted = _size() + memory
        resource.setrlimit(
            resource.RLIMIT_AS,
            (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard),
        )


def _machine_memory() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def _size() -> int:
    """Return the address space of this process, bytes; 0 where it is not known."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 2**33
