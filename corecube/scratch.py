"""Folders for unpacked files, which go with the process that made them, also where it is killed.

A process that is killed cannot take its folder along. The folder's name says whose it is: pid, time
at which that process started, and the host's boot. The next one removes those of processes that
are gone; it leaves alone what it cannot judge: other hosts', other containers', other users'.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

PREFIX: Final = "corecube-scratch-"

_NAME: Final = re.compile(rf"{PREFIX}([0-9a-f]{{12}})-(\d+)-(\d+)-\w+")


def make_folder() -> str:
    """Make a folder of this process in the system's folder for temporary files.

    Those of dead processes are removed first.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    _remove_dead_once()
    pid = os.getpid()
    return tempfile.mkdtemp(prefix=f"{PREFIX}{_here()}-{pid}-{_started(pid)}-")


@contextlib.contextmanager
def folder() -> Iterator[str]:
    """Give a folder that is removed at the end of the block."""
    made = make_folder()
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def remove_dead(parent: Path | None = None) -> list[str]:
    """Remove the folders of processes that are gone; return their names.

    Parameters
    ----------
    parent : Path, optional
        Where they lie; the system's folder for temporary files where not given.
    """
    parent = parent or Path(tempfile.gettempdir())
    removed = []
    with contextlib.suppress(OSError):
        for entry in os.scandir(parent):
            match = _NAME.fullmatch(entry.name)
            if not match or match[1] != _here() or not entry.is_dir(follow_symlinks=False):
                continue
            if _started(int(match[2])) == int(match[3]):
                continue  # the process lives
            if entry.stat(follow_symlinks=False).st_uid != os.getuid():
                continue
            shutil.rmtree(entry.path, ignore_errors=True)
            removed.append(entry.name)
    return removed


@cache
def _remove_dead_once() -> None:
    """Look for them once in a process: a shared folder may have many entries."""
    remove_dead()


@cache
def _here() -> str:
    """Return 12 hexadecimal digits for this host, its boot, and its space of process numbers."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii"))
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))  # noqa: PTH115  # it leads to no path
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _started(pid: int) -> int:
    """Return when a process started, in ticks since the boot; 0 where it is gone.

    Without ``/proc`` it is 1 for one that lives.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace")
        state, *fields = text.rpartition(")")[2].split()  # the name may hold anything
        return 0 if state in "ZX" else int(fields[18])  # field 22 of proc_pid_stat(5)
    except (OSError, ValueError, IndexError):
        if Path("/proc/self/stat").exists():
            return 0
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return 0
    except OSError:
        return 1
    return 1
