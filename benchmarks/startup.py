"""Start-up of the program against `python -c pass`: what one waits for each command."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from measuring import Figure, Result, Skipped, compiled, frames, ratio, simulated, spectra

# 0.1 s for what needs no archive and 0.35 s for a query, where `python -c pass` takes 12 ms.
TARGETS = {
    "corecube --help": 8.3,
    "corecube --version": 8.3,
    "corecube query ARCHIVE POSITION": 29.0,
}
QUERY = 350.0
"""Milliseconds that a query may take with thousands of shots, on such a machine."""


def measure(scratch: Path, quick: bool) -> Result:
    archive, place = _archive(scratch)
    program = str(Path(sys.executable).with_name("corecube"))
    commands = {
        "corecube --help": [program, "--help"],
        "corecube --version": [program, "--version"],
        "corecube query ARCHIVE POSITION": [program, "query", str(archive), place],
    }
    rounds = 7 if quick else 25
    times: dict[str, list[float]] = {name: [] for name in commands}
    plain: list[float] = []
    missing: dict[str, str] = {}
    environment = compiled(scratch)
    for number in range(rounds + 2):
        base = run([sys.executable, "-c", "pass"], environment)[0]
        plain += [base] if number > 1 else []
        for name, command in commands.items():
            seconds, code = run(command, environment)
            if code:
                missing[name] = f"exit code {code}"
            elif number > 1:  # the first two fill the caches of the system
                times[name].append(seconds)
    results: Result = [Figure("python -c pass", statistics.median(plain) * 1e3, "ms")]
    for name in commands:
        if name in missing:
            results.append(Skipped(name, missing[name]))
            continue
        results += [
            Figure(f"{name} / python -c pass", ratio(times[name], plain), "times", TARGETS[name]),
            Figure(name, statistics.median(times[name]) * 1e3, "ms"),
        ]
    return results


def run(command: list[str], environment: dict[str, str]) -> tuple[float, int]:
    started = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, env=environment)
    return time.perf_counter() - started, done.returncode


def _archive(scratch: Path) -> tuple[Path, str]:
    """Return an archive of a frame and some spectra, and the position of one of the fibres."""
    from corecube import plugins
    from corecube.archive.reader import Archive
    from corecube.archive.regions import Cone
    from corecube.pipeline import ingest

    archive = scratch / "startup.corecube"
    files = [*spectra(scratch)[1], *(frames(scratch, 1)[1] or simulated(scratch, 1))]
    caller = plugins.load("sdss")
    ingest([str(path) for path in files], archive, caller, caller.instrument.config())
    with Archive(archive) as opened:
        record = opened.state.sky.search(Cone(0.0, 0.0, 180.0))[0]
    return archive, f"{record['ra']:.6f} {record['dec']:+.6f}"
