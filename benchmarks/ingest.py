"""Ingest of packed frames against `bz2.decompress` of the same bytes; two workers; memory.

A figure is the median over pairs measured one after the other in one process, which is pinned to
one processor and has ingested two frames before. Ingest is all of it: recognise, plan, digest,
unpack, errors, pyramid, write, prove, fsync, rename, register; imports are not counted. "run": four
frames in one run into one archive, against the unpacking of these four. "alone": each frame is a
run of its own into an archive of its own, so it pays for the commit alone. "maker": only what a
worker does for a shot. "a fresh process": the program `corecube ingest` with all that it imports,
on the same four frames and one processor, against their unpacking in a process that runs already.

    python benchmarks/ingest.py --worker bz2|rapidgzip FOLDER ROUNDS FRAME ...   (used by itself)
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measuring import (
    Figure,
    Result,
    Skipped,
    compiled,
    frames,
    has,
    ratio,
    simulated,
    spectra,
    timed,
)  # fmt: skip

FIRST_GOAL = 1.35
FINAL_GOAL = 1.15
MEMORY_MB = 250.0
ROUNDS = 5
DECODERS = {"bz2": FIRST_GOAL, "rapidgzip": FINAL_GOAL}

Pair = tuple[float, float]


def measure(scratch: Path, quick: bool) -> Result:
    which, packed = frames(scratch, 3 if quick else 4)
    results: Result = []
    for decoder, goal in DECODERS.items():
        if decoder == "rapidgzip" and not has("rapidgzip"):
            results.append(Skipped("ingest with rapidgzip", "the extra 'fast' is not installed"))
            continue
        found = _pinned(decoder, scratch, 2 if quick else ROUNDS, packed)
        label = f"{which}, {decoder}: ingest / bz2.decompress"
        for way, title in (
            ("run", f"a run of {len(packed)}"),
            ("small", f"a run of {len(packed)}, profile small"),
            ("alone", "alone"),
            ("made", "maker"),
        ):
            wall = [[pair[0] for pair in side] for side in found[way]]
            processor = [[pair[1] for pair in side] for side in found[way]]
            target = goal if way == "run" else None
            results += [
                Figure(f"{label}, {title}, wall", ratio(*wall), "times", target),
                Figure(f"{label}, {title}, processor", ratio(*processor), "times"),
            ]
        fresh = [_fresh(decoder, scratch, packed) for _ in range(2 if quick else ROUNDS)]
        name = f"{label}, {len(packed)} in a fresh process"
        results.append(Figure(name, ratio(*zip(*fresh, strict=True)), "times", FIRST_GOAL))
        unpacked = statistics.median(pair[0] for pair in found["alone"][1])
        results.append(Figure(f"{which}, {decoder}: bz2.decompress", unpacked * 1e3, "ms"))
    ingest = Ingest(scratch / "memory")
    ingest.run(packed, 2)  # worker processes: nothing else counts in their memory
    results.append(Figure(f"{which}: peak memory of a worker", ingest.peak / 1e6, "MB", MEMORY_MB))
    return [*results, *_workers(scratch, quick), *_spectra(scratch, quick)]


def _pinned(decoder: str, scratch: Path, rounds: int, packed: list[Path]) -> dict[str, Any]:
    words = [sys.executable, __file__, "--worker", decoder, str(scratch), str(rounds)]
    done = subprocess.run([*words, *map(str, packed)], check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def worker(decoder: str, scratch: Path, rounds: int, packed: list[Path]) -> dict[str, Any]:
    """Measure in this process; for each way, times of ingest and of unpacking."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if decoder == "bz2":
        sys.modules["rapidgzip"] = None  # type: ignore[assignment]  # an import fails: bz2 is used
    import bz2

    contents = {path: path.read_bytes() for path in packed}
    ingest = Ingest(scratch / decoder)
    for path in (packed * 2)[:2]:
        ingest.run([path])

    def unpack_all() -> None:
        for data in contents.values():
            bz2.decompress(data)

    found: dict[str, Any] = {way: ([], []) for way in ("run", "small", "alone", "made")}
    for _ in range(rounds):
        for way, profile in (("run", "plain"), ("small", "small")):
            found[way][0].append(ingest.run(packed, profile=profile))
            found[way][1].append(timed(unpack_all))
    for path in packed:
        found["alone"][0].append(ingest.run([path]))
        found["made"][0].append(ingest.made)
        found["alone"][1].append(timed(lambda path=path: bz2.decompress(contents[path])))
        found["made"][1].append(found["alone"][1][-1])
    return found


def _fresh(decoder: str, scratch: Path, packed: list[Path]) -> tuple[float, float]:
    """Seconds of the program in a process of its own, and of unpacking the same frames here."""
    import bz2

    everywhere = os.sched_getaffinity(0)
    contents = [path.read_bytes() for path in packed]
    archive = scratch / "fresh.corecube"
    # the two decoders are two installations; the program is what the script of the same name runs
    without = "sys.modules['rapidgzip'] = None; " if decoder == "bz2" else ""
    code = f"import sys; {without}from corecube_cli.main import main; sys.exit(main())"
    words = [sys.executable, "-c", code, "ingest", "--instrument", "sdss", "--archive"]
    words += [str(archive), "--jobs", "1", *map(str, packed)]
    environment = compiled(scratch)
    os.sched_setaffinity(0, {max(everywhere)})
    try:
        started = time.perf_counter()
        quiet = subprocess.DEVNULL
        subprocess.run(words, check=True, stdout=quiet, stderr=quiet, env=environment)
        ours = time.perf_counter() - started
        theirs = timed(lambda: [bz2.decompress(data) for data in contents])[0]
    finally:
        os.sched_setaffinity(0, everywhere)
        shutil.rmtree(archive, ignore_errors=True)
    return ours, theirs


class Ingest:
    """Runs of ingest, each into a new archive that is there already."""

    def __init__(self, folder: Path) -> None:
        from corecube import plugins
        from corecube.pipeline import work

        folder.mkdir()
        self.archive = folder / "bench.corecube"
        self.caller = plugins.load("sdss")
        self.made: Pair = (0.0, 0.0)
        self.peak = 0
        make = work.make_shot

        def make_shot(task: dict[str, Any]) -> dict[str, Any]:
            result: dict[str, Any] = {}
            self.made = timed(lambda: result.update(make(task)))
            return result

        work.make_shot = make_shot

    def run(self, packed: list[Path], jobs: int = 1, profile: str = "plain") -> Pair:
        from corecube.archive.writer import create
        from corecube.pipeline import Options, ingest

        create(self.archive, profile=profile)
        paths, config = [str(path) for path in packed], self.caller.instrument.config()
        reports: list[Any] = []

        def work() -> None:
            reports.append(ingest(paths, self.archive, self.caller, config, Options(jobs=jobs)))

        times = timed(work)
        if reports[0].counts.get("ingested", 0) != len(packed):
            raise AssertionError(reports[0].to_json())
        self.peak = max(shot.peak_bytes for shot in reports[0].shots)
        shutil.rmtree(self.archive)
        return times


def _workers(scratch: Path, quick: bool) -> Result:
    """Two workers against one; fields of one frame each, so that both have work to the end."""
    if len(os.sched_getaffinity(0)) < 2:
        return [Skipped("two workers", "this machine has one processor")]
    packed = simulated(scratch, 4 if quick else 8)
    ingest = Ingest(scratch / "workers")
    one, two = [], []
    for _ in range(2 if quick else 3):
        one.append(ingest.run(packed, 1)[0])
        two.append(ingest.run(packed, 2)[0])
    label = f"{len(packed)} simulated frames"
    return [
        Figure(f"{label}: one worker / two workers", ratio(one, two), "times", 1.6, False),
        Figure(f"{label}: peak memory of a worker", ingest.peak / 1e6, "MB", MEMORY_MB),
    ]


def _spectra(scratch: Path, quick: bool) -> Result:
    which, files = spectra(scratch)
    ingest = Ingest(scratch / "spectra-runs")
    ingest.run(files)
    each: list[float] = [ingest.run(files)[0] / len(files) for _ in range(3 if quick else 7)]
    again = _again(ingest, files)
    return [
        Figure(f"{which}: ingest of one", statistics.median(each) * 1e3, "ms"),
        Figure(f"{which}: a second run, a file", again * 1e3, "ms", 5.0),
    ]


def _again(ingest: Any, files: list[Path]) -> float:
    """Seconds a file of a run that finds nothing new."""
    from corecube.pipeline import ingest as run

    paths, config = [str(path) for path in files], ingest.caller.instrument.config()
    work: Callable[[], Any] = lambda: run(paths, ingest.archive, ingest.caller, config)  # noqa: E731
    work()
    times = []
    for _ in range(9):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) / len(files))
    return statistics.median(times)


if __name__ == "__main__":
    _, _, decoder, folder, rounds, *names = sys.argv
    print(json.dumps(worker(decoder, Path(folder), int(rounds), [Path(name) for name in names])))
