"""The command line in a process that kills itself, or does worse, at a wanted call.

``python driver.py ingest ...`` with the environment variable DRIVER, a JSON object:

``faults``
    A list of ``{"target": "module:Class.function", "call": 1, "when": "before", "match": "",
    "do": "kill"}``: at the `call`-th call with arguments in whose repr `match` stands, in each
    process, it does what `do` says: ``kill`` itself, ``kill-parent``, ``wait`` (says so by the
    file ``path``, and waits until this is gone), ``remove`` the file ``path``, ``change`` it (it
    becomes a copy of ``other``), ``lose`` a page of the file in the first argument, ``cut`` it.
``batch``
    Seconds within which shots are registered together.
``mark``
    A file that is made when everything is imported.

Worker processes import this module too, so faults come to pass in them as well.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ORDER: dict[str, Any] = json.loads(os.environ.get("DRIVER", "{}"))


def wrap(target: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace a function by `make(function)`."""
    name, _, attribute = target.partition(":")
    owner: Any = importlib.import_module(name)
    *path, last = attribute.split(".")
    for part in path:
        owner = getattr(owner, part)
    setattr(owner, last, make(getattr(owner, last)))


def arm(fault: dict[str, Any]) -> None:
    """Make a fault come to pass."""
    left = fault.get("call", 1)

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            hit = fault.get("match", "") in repr((args, kwargs))
            left -= hit
            now = hit and left == 0
            if now and fault.get("when", "before") == "before":
                happen(fault, args)
            result = original(*args, **kwargs)
            if now and fault.get("when", "before") == "after":
                happen(fault, args)
            return result

        return wrapped

    wrap(fault["target"], make)


def happen(fault: dict[str, Any], args: tuple[Any, ...]) -> None:
    """Do what a fault says."""
    match fault.get("do", "kill"):
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "kill-parent":
            os.kill(os.getppid(), signal.SIGKILL)
        case "wait":
            Path(fault["path"]).touch()
            while Path(fault["path"]).exists():
                time.sleep(0.01)
        case "lose":  # a page of the file in the first argument, as a full disk does
            with Path(args[0]).open("r+b") as file:
                file.seek(fault["at"] % Path(args[0]).stat().st_size)
                file.write(bytes(4096))
        case "cut":
            os.truncate(args[0], Path(args[0]).stat().st_size - fault["bytes"])
        case "remove":
            Path(fault["path"]).unlink()
        case "change":
            shutil.copy(fault["other"], fault["path"])
        case other:
            raise ValueError(other)


def prepare() -> None:
    """Arm all that is ordered; runs in workers too."""
    if "batch" in ORDER:
        module: Any = importlib.import_module("corecube.pipeline.ingest")
        module._BATCH_SECONDS = ORDER["batch"]
    for fault in ORDER.get("faults", ()):
        arm(fault)


if __name__ == "__main__":
    from corecube_cli.main import main

    prepare()
    if "mark" in ORDER:
        for module in ("pipeline.ingest", "pipeline.work", "archive.shotwriter", "archive.verify"):
            importlib.import_module(f"corecube.{module}")
        Path(ORDER["mark"]).touch()
    sys.exit(main())
elif __name__ == "__mp_main__":
    prepare()
