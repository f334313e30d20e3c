"""An ingest in a process of its own, which can be told to kill itself at a given point.

``python run_ingest.py '{"instrument": "toy", "paths": [...], "archive": "...", "options": {...},
"sabotage": "corecube.archive.manifest:commit", "calls": 2, "when": "before"}'`` prints the report.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any


def sabotage(target: str, calls: int, when: str) -> None:
    """Make the process kill itself before or after the `calls`-th call of a function."""
    name, _, attribute = target.partition(":")
    owner: Any = importlib.import_module(name)
    *path, last = attribute.split(".")
    for part in path:
        owner = getattr(owner, part)
    original = getattr(owner, last)
    left = calls

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **kwargs)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, last, wrapped)


def main() -> None:
    order = json.loads(sys.argv[1])
    from corecube.errors import CorecubeError
    from corecube.pipeline import Options, ingest
    from corecube.plugins import load

    caller = load(order["instrument"])
    if "sabotage" in order:
        sabotage(order["sabotage"], order.get("calls", 1), order.get("when", "before"))
    print("ready", flush=True)
    try:
        report = ingest(
            order["paths"], Path(order["archive"]), caller, caller.instrument.config(),
            Options(**order.get("options", {})),
        )  # fmt: skip
    except CorecubeError as error:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}))
        return
    print(json.dumps({**report.to_json(), "exit": report.exit_code()}))


if __name__ == "__main__":
    main()
