"""Where work runs: in this process, or in worker processes that may die without harm.

Workers are started afresh (spawn) and get JSON, never objects. One that is killed costs its task
alone: the standard pool would break as a whole.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from corecube import limits


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes
    ----------
    task : int
        Its number in the list of tasks.
    result : dict or None
        What the function returned.
    error : str
        One line: why there is no result (the worker died).
    """

    task: int
    result: dict[str, Any] | None
    error: str = ""


def run(
    function: str,
    tasks: Sequence[dict[str, Any]],
    jobs: int,
    stopping: Callable[[], bool] = lambda: False,
    *,
    apart: bool = False,
) -> Iterator[Outcome]:
    """Run a function on tasks, a shot each.

    Parameters
    ----------
    function : str
        ``module:name``; it takes one dict of plain JSON and returns one, and raises nothing that
        it can put into its result.
    tasks : sequence of dict
    jobs : int
        Number of processes; 1 runs in this one.
    stopping : callable
        Asked before each task is handed out; True: the tasks that run are finished, no more begin.
    apart : bool
        Never in this process, which a task may then not crash.

    Yields
    ------
    Outcome
        In the order in which tasks end.
    """
    if (jobs <= 1 or len(tasks) <= 1) and not apart:
        work = _function(function)
        for number, task in enumerate(tasks):
            if stopping():
                return
            yield Outcome(number, work(task))
        return
    yield from _run_in_processes(function, tasks, max(1, min(jobs, len(tasks))), stopping)


class Helper:
    """One process that answers a task at a time and may crash; use it in a ``with`` block.

    It is started when it is first asked, and anew after it died.

    Parameters
    ----------
    function : str
        As for `run`.
    """

    def __init__(self, function: str) -> None:
        self._function = function
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Helper:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        if self._process is not None and self._pipe is not None:
            self._pipe.close()
            self._process.join()
        self._process = self._pipe = None

    def ask(self, task: dict[str, Any]) -> Outcome:
        """Return what the function makes of a task, or how the process died of it."""
        if self._process is None or self._pipe is None:
            self._process, self._pipe = _start(self._function)
        try:
            self._pipe.send_bytes(json.dumps(task).encode())
            return Outcome(0, json.loads(self._pipe.recv_bytes()))
        except (EOFError, OSError):
            self._process.join()
            self._pipe.close()
            code, self._process, self._pipe = self._process.exitcode, None, None
            return Outcome(0, None, _death(code))


def _run_in_processes(
    function: str,
    tasks: Sequence[dict[str, Any]],
    jobs: int,
    stopping: Callable[[], bool],
) -> Iterator[Outcome]:
    waiting = deque(range(len(tasks)))
    busy: dict[Connection, tuple[BaseProcess, int]] = {}
    idle: list[tuple[BaseProcess, Connection]] = []
    try:
        while True:
            while waiting and len(busy) < jobs and not stopping():
                process, pipe = idle.pop() if idle else _start(function)
                number = waiting.popleft()
                busy[pipe] = (process, number)
                with contextlib.suppress(OSError):  # it has died; this is seen below
                    pipe.send_bytes(json.dumps(tasks[number]).encode())
            if not busy:
                return
            for ready in wait(list(busy)):
                pipe = ready  # type: ignore[assignment]  # only pipes were given
                process, number = busy.pop(pipe)
                try:
                    result = json.loads(pipe.recv_bytes())
                except (EOFError, OSError):
                    process.join()
                    pipe.close()
                    yield Outcome(number, None, _death(process.exitcode))
                else:
                    idle.append((process, pipe))
                    yield Outcome(number, result)
    finally:
        for process, _ in busy.values():
            process.kill()
        for _, pipe in idle:
            pipe.close()
        for process in (*(p for p, _ in busy.values()), *(p for p, _ in idle)):
            process.join()


def _start(function: str) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_worker, args=(function, theirs), daemon=True)
    # Ctrl-C reaches the whole group of processes; only the coordinator decides what it means.
    # A process that is started with the signal blocked has it blocked from its first instruction;
    # the tracker of resources, which spawn needs, must run by then, for it unblocks the signal.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return process, ours


def _worker(function: str, pipe: Connection) -> None:
    threading.Thread(target=_end_with_coordinator, daemon=True).start()
    # Libraries make semaphores when they are imported. Those of this way of starting processes
    # have no name that outlives a worker that is killed; it starts no processes itself.
    multiprocessing.set_start_method("fork", force=True)
    limits.confine()
    work = _function(function)
    while True:
        try:
            task = json.loads(pipe.recv_bytes())
        except (EOFError, OSError):  # the coordinator has closed the pipe, or died
            return
        result = json.dumps(work(task)).encode()
        with contextlib.suppress(OSError):
            pipe.send_bytes(result)


def _end_with_coordinator() -> None:
    """End this worker when the coordinator is killed, which then cannot do it itself.

    A worker that went on would give its file a name that the next coordinator, which holds the
    archive by then, may have given away as well.
    """
    coordinator = multiprocessing.parent_process()
    if coordinator is not None:
        coordinator.join()
        os._exit(1)


def _function(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    module, _, attribute = name.partition(":")
    found: Callable[[dict[str, Any]], dict[str, Any]] = getattr(
        importlib.import_module(module), attribute
    )
    return found


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = ", with fewer jobs if memory was short" if name == "SIGKILL" else ""
        return f"the worker process was ended by {name}; run the same command again{hint}"
    return f"the worker process ended with exit code {code}; run the same command again"
