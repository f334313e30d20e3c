"""Fresh processes, in which an instrument has nothing but its name, plans and settings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from corecube.testing.case import Case

_TIMEOUT: Final = 300.0
"""Seconds; no check comes near."""


@dataclass(frozen=True)
class Ended:
    """A process that has ended.

    Attributes
    ----------
    code : int
        Negative: the signal that ended it.
    out, err : str
        What it printed.
    result : dict
        What it found; empty where it ended early.
    """

    code: int
    out: str
    err: str
    result: dict[str, Any]

    @property
    def end(self) -> str:
        """Half a sentence on how it ended."""
        if self.code < 0:
            return f"was ended by {signal.Signals(-self.code).name}"
        last = self.err.strip().splitlines()[-1:] or ["nothing on stderr"]
        return f"ended with code {self.code} ({last[0]})"


def start(
    case: Case,
    task: str,
    order: Mapping[str, Any],
    options: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
) -> tuple[subprocess.Popen[str], Path]:
    """Start a task of `corecube.testing.child`; its result will be in the file returned."""
    folder = case.new_folder(task)
    result = folder / "result.json"
    (folder / "order.json").write_text(
        json.dumps({"task": task, "result": str(result), "instrument": case.name, **order}),
        encoding="utf-8",
    )
    (folder / "cwd").mkdir()
    path = [part for part in sys.path if part]
    process = subprocess.Popen(
        [sys.executable, *options, "-m", "corecube.testing.child", str(folder / "order.json")],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONIOENCODING": ":backslashreplace",
            **(environment or {}),
        },
        cwd=folder / "cwd",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="backslashreplace",
    )
    return process, result


def run(
    case: Case,
    task: str,
    order: Mapping[str, Any],
    options: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a task to its end; see `start`."""
    process, result = start(case, task, order, options, environment)
    try:
        out, err = process.communicate(timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    found = json.loads(result.read_text(encoding="utf-8")) if result.exists() else {}
    return Ended(process.returncode, out, err, found)
