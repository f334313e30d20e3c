"""What it costs to add to the sky index, and to make it anew."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from measuring import Figure, Result
from survey import FIBRES_PER_SHOT, Numbers, Positions, around, centres, nearby

from corecube.archive.durable import FileStamp
from corecube.archive.regions import Cone
from corecube.archive.skyindex import RunInfo, SkyIndex, merge, merge_policy, write_run
from corecube.archive.writer import ArchiveWriter, NewShot
from corecube.pipeline.work import Task, make_shot
from corecube.shots import FileInfo, ShotPlan, Source

LARGE_SHOT = 105_000
"""Fibres of a large shot of HETDEX: 35,000 in three exposures."""
ADDITIONS = 1000
RADIUS = 3 / 3600


def growth(
    home: Path, ra: Positions, dec: Positions, shot: Numbers, label: str, goal: float | None
) -> Result:
    """Measure at one size; `goal`: million rows a second of a rebuild."""
    return [
        *_rebuild(home, ra, dec, shot, label, goal),
        *_register(home / "a.corecube", label),
        *_additions(home / "added", ra, dec, shot, label),
    ]


def _rebuild(
    home: Path, ra: Positions, dec: Positions, shot: Numbers, label: str, goal: float | None
) -> Result:
    row = (np.arange(len(ra)) - np.searchsorted(shot, shot)).astype(np.uint32)
    number = (shot + 1).astype(np.uint32)
    times = []
    for _ in range(3):
        path = home / "rebuilt.run"
        started = time.perf_counter()
        write_run(path, ra, dec, number, row)
        times.append(time.perf_counter() - started)
        path.unlink()
    name = f"index made anew and forced to disk, {label}"
    return [Figure(name, len(ra) / min(times) / 1e6, "1e6/s", goal, False)]


def _register(archive: Path, label: str) -> Result:
    """Time the commit of large shots, one by one, whose files are durable."""
    times, joins = [], []
    for number in range(9):
        with ArchiveWriter(archive) as writer:
            new = _shot(archive, writer, f"large/{number}", number)
            started = time.perf_counter()
            writer.commit([new])
            times.append((time.perf_counter() - started) * 1e3)
            started = time.perf_counter()
            writer.join_runs()
            joins.append((time.perf_counter() - started) * 1e3)
    name = f"a shot of {LARGE_SHOT:,} fibres registered, {label}"
    return [
        Figure(name, statistics.median(times), "ms", 40.0),
        Figure(f"{name}: slowest of {len(times)}", max(times), "ms"),
        Figure(f"{name}: longest joining of runs afterwards", max(joins), "ms"),
    ]


def _shot(archive: Path, writer: ArchiveWriter, key: str, seed: int) -> NewShot:
    from scaleinstrument import header_for, write

    path = archive.parent / f"{seed}.scale"
    write(path, header_for(key, seed, LARGE_SHOT, 4, 150.0 + seed, 30.0))
    status = path.stat()
    source = Source(str(path), status.st_size, status.st_mtime_ns, "fibers")
    info = FileInfo(source, key, "all")
    task = Task(
        instrument="scale", archive=str(archive), file=writer.new_path("scale", key),
        generation=writer.next_generation(f"scale/{key}"),
        plan=ShotPlan(key, key, {"all": (source,)}).to_json(), infos=[info.to_json()],
        config={}, carried=[], old="",
    )  # fmt: skip
    made = make_shot(vars(task) | {})
    if not made["file"]:
        raise RuntimeError(made["error"] or str(made["failed"]))
    infos = tuple(FileInfo.from_json(part) for part in made["infos"])
    return NewShot(made["file"], FileStamp(made["size"], made["sha256"]), infos)


def _additions(folder: Path, ra: Positions, dec: Positions, shot: Numbers, label: str) -> Result:
    """Add shots to an index as a writer does, and ask it before and after."""
    folder.mkdir()
    rng = np.random.default_rng(ADDITIONS)
    row = np.arange(len(ra)) - np.searchsorted(shot, shot)
    runs = [write_run(folder / "0.run", ra, dec, shot + 1, row)]
    places = nearby(ra, dec, 50, rng)
    before = _latency(folder, runs, places)
    times = []
    for number, (a, d) in enumerate(zip(*centres(ADDITIONS, rng), strict=True), 1):
        more = around(a, d, FIBRES_PER_SHOT, rng)
        started = time.perf_counter()
        name = folder / f"{number}.run"
        last = int(shot[-1]) + 1 + number
        runs.append(write_run(name, *more, last, np.arange(FIBRES_PER_SHOT)))
        old = merge_policy(runs)
        if old:
            merged = merge(folder, old, (), folder / f"{number}-merged.run")
            runs = [run for run in runs if run not in old] + [merged]
        times.append((time.perf_counter() - started) * 1e3)
        for run in old:
            (folder / run.file).unlink()
    after = _latency(folder, runs, places)
    name = f"{ADDITIONS:,} shots added, {label}"
    return [
        Figure(f"{name}: each", statistics.median(times), "ms"),
        Figure(f"{name}: slowest", max(times), "ms"),
        Figure(f"{name}: runs", len(runs), "files"),
        Figure(f"{name}: 3 arcsec, warm, before", before, "ms"),
        Figure(f"{name}: 3 arcsec, warm, after", after, "ms"),
        Figure(f"{name}: after / before", after / before, "times", 4.0),
    ]


def _latency(folder: Path, runs: Sequence[RunInfo], places: tuple[Positions, Positions]) -> float:
    best = []
    with SkyIndex(folder, runs) as index:
        for a, d in zip(*(part.tolist() for part in places), strict=True):
            times = []
            for _ in range(8):
                started = time.perf_counter()
                index.search(Cone(a, d, RADIUS))
                times.append(time.perf_counter() - started)
            best.append(min(times))
    return statistics.median(best) * 1e3
