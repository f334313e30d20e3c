"""Measure what corecube promises, and print one table with the targets beside the figures.

    python benchmarks/run.py [--output FOLDER] [--only NAME ...] [--quick]

Each theme runs in a process of its own. Ratios to a peer measured in the same minutes count:
seconds are those of this machine. `MISS` stands where a target is missed; the exit code is 0
all the same, since a busy machine may be the reason. Scratch files are made in FOLDER, so that it
decides on which disk is written.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from measuring import Figure, Result, Skipped, show

THEMES = (
    "startup", "ingest", "notebook", "instruments", "hetdex", "size", "reading", "cone", "storage",
)  # fmt: skip
ON_DEMAND = ("conelarge",)
"""Themes that need more time and memory than one may be asked for; name them with --only."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure corecube.")
    parser.add_argument("--output", type=Path, default=Path("bench-results"))
    parser.add_argument("--only", action="append", choices=THEMES + ON_DEMAND, metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller surveys")
    parser.add_argument("--theme", help=argparse.SUPPRESS)  # the inner process
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    if options.theme:
        measure(options.theme, options.output, options.quick)
        return 0
    results: Result = []
    for theme in options.only or THEMES:
        results += in_process(theme, options.output, options.quick)
    table = show(results)
    print(table)
    written = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "corecube": version("corecube"),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "load": os.getloadavg(),
        "quick": options.quick,
        "figures": [asdict(r) | {"missed": r.missed} for r in results if isinstance(r, Figure)],
        "skipped": [asdict(r) for r in results if isinstance(r, Skipped)],
    }
    (options.output / "bench.json").write_text(json.dumps(written, indent=1) + "\n", "utf-8")
    (options.output / "bench.txt").write_text(table + "\n", "utf-8")
    return 0


def in_process(theme: str, output: Path, quick: bool) -> Result:
    """Run a theme in a new process; what an earlier one imported and cached is not there."""
    started = time.perf_counter()
    print(f"{theme} ...", end=" ", file=sys.stderr, flush=True)
    command = [sys.executable, __file__, "--output", str(output), "--theme", theme]
    done = subprocess.run([*command, *(["--quick"] if quick else [])], check=False)
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    path = output / f".{theme}.json"
    if done.returncode or not path.exists():
        return [Skipped(theme, f"the benchmark failed with exit code {done.returncode}")]
    found: list[dict[str, Any]] = json.loads(path.read_bytes())
    path.unlink()
    return [Skipped(**part) if "reason" in part else Figure(**part) for part in found]


def measure(theme: str, output: Path, quick: bool) -> None:
    module: Any = importlib.import_module(theme)
    with tempfile.TemporaryDirectory(prefix=".scratch-", dir=output) as scratch:
        results: Result = module.measure(Path(scratch).resolve(), quick)
    (output / f".{theme}.json").write_text(json.dumps([asdict(r) for r in results]), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
