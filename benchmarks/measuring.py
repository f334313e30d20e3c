"""What the benchmarks share: figures, the files to measure on, and times taken by turns."""

from __future__ import annotations

import importlib.util
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("CORECUBE_TEST_DATA") or ROOT.parent / "shared" / "data")


@dataclass(frozen=True)
class Figure:
    """A measured value; `target` is the most it may be, or the least if `lower` is False."""

    name: str
    value: float
    unit: str
    target: float | None = None
    lower: bool = True

    @property
    def missed(self) -> bool:
        if self.target is None:
            return False
        return not (self.value <= self.target if self.lower else self.value >= self.target)


@dataclass(frozen=True)
class Skipped:
    """Why something was not measured."""

    name: str
    reason: str


Result = list[Figure | Skipped]


def compiled(scratch: Path) -> dict[str, str]:
    """Return an environment in which modules are compiled once, as pip does when it installs."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(scratch / "pycache")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def frames(scratch: Path, number: int) -> tuple[str, list[Path]]:
    """Whole packed SDSS frames: real ones if they are here, else simulated; and which they are."""
    real = [path for path in sorted(DATA.rglob("frame-*.fits.bz2")) if path.stat().st_size > 2e6]
    if real:
        return "real frames", real[:number]
    return "simulated frames", simulated(scratch, number)


def simulated(scratch: Path, number: int) -> list[Path]:
    """Make packed frames of as many fields, one filter each."""
    from corecube import plugins

    caller = plugins.load("sdss")
    for seed in range(number):
        folder = scratch / f"field-{seed}"
        if not folder.exists():
            folder.mkdir(parents=True)
            options = {"bands": "r", "spectra": 0}
            caller.call("simulate", directory=folder, options=options, seed=seed)
    return sorted(scratch.glob("field-*/frame-*.fits.bz2"))


def spectra(scratch: Path) -> tuple[str, list[Path]]:
    """Spec files with a coadd alone: real ones if they are here, else simulated."""
    real = sorted((DATA / "sdss" / "spectra").glob("spec-*.fits*"))
    if real:
        return "real spectra", real
    from corecube import plugins

    folder = scratch / "spectra"
    folder.mkdir(parents=True, exist_ok=True)
    options = {"bands": "r", "rows": 64, "columns": 64, "stars": 12, "spectra": 12}
    plugins.load("sdss").call("simulate", directory=folder, options=options, seed=1)
    return "simulated spectra", sorted(folder.glob("spec-*.fits*"))


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock, and of this process's processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def by_turns(works: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each, measured one after the other in each round.

    What else runs on the machine slows down all of them alike.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(timed(work)[0])
    return {name: statistics.median(values) for name, values in times.items()}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median of the ratios of pairs that were measured next to each other."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def peak_memory() -> int:
    """Return the largest memory of this process until now, bytes (Linux)."""
    status = Path("/proc/self/status").read_text("ascii", errors="replace")
    return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) * 1024


def forget(path: Path) -> None:
    """Drop the pages of a file from the memory of the system."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def show(results: Result) -> str:
    """Return the table."""
    width = max(len(result.name) for result in results)
    lines = [f"{'figure':{width}}  {'value':>9}  {'unit':6}  target"]
    for result in results:
        if isinstance(result, Skipped):
            lines.append(f"{result.name:{width}}  {'skipped':>9}  {result.reason}")
            continue
        goal = ""
        if result.target is not None:
            goal = f"{'<=' if result.lower else '>='} {result.target:g}"
        line = f"{result.name:{width}}  {result.value:9.4g}  {result.unit:6}  {goal}"
        lines.append(line.rstrip() + ("  MISS" if result.missed else ""))
    return "\n".join(lines)
