"""Processes that are forked, killed and waited for, with all that they have started."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import multiprocessing
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

_SUBREAPER: Final = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)


def adopt() -> None:
    """Become the parent of the orphans of killed processes, so that they can be waited for."""
    if ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def fork_workers() -> None:
    """Let worker processes be forked: starting a hundred interpreters would take minutes."""
    from corecube import scheduler

    module: Any = scheduler
    work = scheduler._worker

    def worker(function: str, pipe: Connection) -> None:
        # a forked process has its sisters' pipes too, which would never end while it holds them
        for item in gc.get_objects():
            if isinstance(item, Connection) and item is not pipe:
                item.close()
        work(function, pipe)

    module._worker = worker
    module.multiprocessing = SimpleNamespace(
        get_context=lambda _: multiprocessing.get_context("fork"),
        parent_process=multiprocessing.parent_process,
        set_start_method=lambda *_, **__: None,
    )
    module.resource_tracker = SimpleNamespace(ensure_running=lambda: None)


def fork(work: Callable[[], int], output: Path) -> int:
    """Start `work` in a process group of its own; what it prints goes to a file; return the pid."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.setpgid(0, 0)
        handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(handle, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def end(pid: int, seconds: float = 120) -> int:
    """Wait for a process; return its exit code, negative for a signal."""
    limit = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > limit:
            os.killpg(pid, signal.SIGKILL)
        time.sleep(0.001)


def ends(group: int, seconds: float = 20) -> bool:
    """Wait for all that is left of a process group; say whether it ended by itself."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        try:
            if os.waitpid(-group, os.WNOHANG)[0] == 0:
                time.sleep(0.001)
        except ChildProcessError:
            return True
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    return False


@contextlib.contextmanager
def bell() -> Iterator[tuple[int, int]]:
    """Return a pipe: where to wait for rings, and where to ring."""
    waiting, ringing = os.pipe()
    os.set_blocking(ringing, False)  # nobody who rings may wait
    try:
        yield waiting, ringing
    finally:
        os.close(waiting)
        os.close(ringing)


def wait_for_rings(waiting: int, count: int, pid: int, seconds: float = 30) -> None:
    """Wait until the bell has rung so often, or the process has ended."""
    limit = time.monotonic() + seconds
    heard = 0
    while heard < count and time.monotonic() < limit:
        if select.select([waiting], [], [], 0.05)[0]:
            heard += len(os.read(waiting, count - heard))
        elif os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
