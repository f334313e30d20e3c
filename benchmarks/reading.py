"""Reading single fibres and cutouts, and whole shots beside plain files of the same arrays.

Warm: shot file and chunks have been in the memory of the system; each question is another place, so
no decoded chunk is used twice. Cold: the pages of the file are dropped and seen to be gone, and the
shot is open. Whole: flux, error and mask of all images or fibres; the plain file has the same bytes
one behind the other, is read with `numpy.fromfile` and written with `tofile` and fsync.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measuring import Figure, Result, by_turns, frames
from pages import drop
from scaleinstrument import header_for, install, write
from surveyarchive import use

from corecube import plugins
from corecube.archive.reader import Archive
from corecube.archive.shotfile import StoredShot
from corecube.archive.shotwriter import ShotWriter
from corecube.pipeline import ingest

PLANES = ("flux", "error", "mask")
FIBRES, WIDTH = 3300, 1036
"""A HETDEX shot of 29 amplifiers."""
CUTOUT = 64


def measure(scratch: Path, quick: bool) -> Result:
    number = 50 if quick else 300
    which, files = frames(scratch, 1 if quick else 3)
    images = _ingested(scratch / "images.corecube", "sdss", [str(path) for path in files])
    use(install(scratch / "instruments"))
    made = scratch / "shot.scale"
    write(made, header_for("000/0000", 0, FIBRES, WIDTH, 10.0, 20.0))
    fibres = _ingested(scratch / "fibres.corecube", "scale", [str(made)])
    results: Result = []
    with Archive(images) as archive:
        record = next(iter(archive.state.catalogue.by_number.values()))
        name, about = next(iter(record.images.items()))
        image = archive.shot(record)
        rng = np.random.default_rng(1)
        most = np.array(about["shape"]) - CUTOUT

        def cut() -> None:
            y, x = (int(rng.integers(0, size)) for size in most)
            key = (slice(y, y + CUTOUT), slice(x, x + CUTOUT))
            for plane in PLANES:
                image.read(f"/images/{name}/{plane}", key)

        label = f"cutout of {CUTOUT} x {CUTOUT}, three planes, {which}"
        results += _one(label, cut, image.path, number, 0.8)
        where = [f"/images/{name}/{plane}" for name in record.images for plane in PLANES]
        results += _whole(scratch, f"shot of {len(record.images)} of {which}", image, where)
    with Archive(fibres) as archive:
        shot = archive.shot("scale/000/0000")
        rows = np.random.default_rng(2)

        def fibre() -> None:
            row = int(rows.integers(0, FIBRES))
            for plane in PLANES:
                shot.read(f"/fibers/fibers/{plane}", slice(row, row + 1))

        label = f"one fibre of {FIBRES} x {WIDTH}, flux, error and mask"
        results += _one(label, fibre, shot.path, number, 0.5)
        where = [f"/fibers/fibers/{plane}" for plane in PLANES]
        results += _whole(scratch, f"shot of {FIBRES} fibres", shot, where)
    return results


def _ingested(archive: Path, instrument: str, paths: list[str]) -> Path:
    caller = plugins.load(instrument)
    ingest(paths, archive, caller, caller.instrument.config())
    return archive


def _one(label: str, work: Callable[[], None], path: Path, number: int, goal: float) -> Result:
    work()
    warm = [_seconds(work) for _ in range(number)]
    cold = []
    for _ in range(number // 5):
        drop([path])
        cold.append(_seconds(work))
    return [
        Figure(f"{label}, warm", statistics.median(warm) * 1e3, "ms", goal),
        Figure(f"{label}, cold", statistics.median(cold) * 1e3, "ms"),
    ]


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _whole(scratch: Path, label: str, shot: StoredShot, where: list[str]) -> Result:
    arrays = [shot.read(path) for path in where]
    plain, written = scratch / "plain.bin", scratch / "written.h5"

    def put() -> None:
        with plain.open("wb") as file:
            for values in arrays:
                values.tofile(file)
            os.fsync(file.fileno())

    def read() -> None:
        with StoredShot(shot.path, shot.archive) as opened:
            for path in where:
                opened.read(path)

    def read_plain() -> None:
        with plain.open("rb") as file:
            for values in arrays:
                np.fromfile(file, values.dtype, values.size)

    frames = [shot.frame(name) for name in shot.images]
    blocks = [shot.rows(name, 0, shot.group(name)["rows"]) for name in shot.groups]
    about: dict[str, Any] = {
        k: v for k, v in shot.description.items() if k not in ("images", "groups", "arrays")
    }

    def store() -> None:
        written.unlink(missing_ok=True)
        writer = ShotWriter(written)
        for frame in frames:
            writer.add_image(frame.name, frame)
        for block in blocks:
            writer.add_block("all", block, None)
        writer.finish(about, {})

    put()
    store()
    times = by_turns({"write": store, "put": put, "read": read, "plain": read_plain}, 5)
    cold: dict[str, list[float]] = {"read": [], "plain": []}
    for _ in range(5):
        for name, work, path in (("read", read, shot.path), ("plain", read_plain, plain)):
            drop([path])
            cold[name].append(_seconds(work))
    raw = sum(values.nbytes for values in arrays)
    first, second = (statistics.median(times) for times in cold.values())
    return [
        Figure(f"{label}: bytes / plain file", shot.path.stat().st_size / raw, "times"),
        Figure(f"{label}: write, proved and durable", raw / times["write"] / 1e6, "MB/s"),
        Figure(f"{label}: write / plain file", times["write"] / times["put"], "times"),
        Figure(f"{label}: read, warm", raw / times["read"] / 1e6, "MB/s"),
        Figure(f"{label}: read / plain file, warm", times["read"] / times["plain"], "times"),
        Figure(f"{label}: read / plain file, cold", first / second, "times"),
    ]
