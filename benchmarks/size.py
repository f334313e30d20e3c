"""How large an archive is against the files that it was made of, and what the small one costs.

Cutouts and levels are read through an open archive, at places drawn anew each time; HDF5 keeps
decoded chunks of 16 MB an array, as it does for users.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measuring import Figure, Result, by_turns, frames, spectra

SMALL_GOAL = 2.0
"""Times the .bz2 of the frames."""


def measure(scratch: Path, quick: bool) -> Result:
    from corecube.files import read_unpacked

    results: Result = []
    for which, files in (frames(scratch, 2 if quick else 8), spectra(scratch)):
        packed = sum(path.stat().st_size for path in files)
        unpacked = sum(len(read_unpacked(str(path))) for path in files)
        archives = {name: scratch / f"{which} {name}.corecube" for name in ("plain", "small")}
        for profile, archive in archives.items():
            _ingest(files, archive, profile)
            stored = sum(path.stat().st_size for path in archive.rglob("*") if path.is_file())
            label = f"{which}, {profile}"
            goal = SMALL_GOAL if profile == "small" and "frames" in which else None
            results += [
                Figure(f"{label}: archive / files", stored / packed, "times", goal),
                Figure(f"{label}: archive / files unpacked", stored / unpacked, "times"),
                Figure(f"{label}: archive, each", stored / len(files) / 1e6, "MB"),
                *_parts(archive, label, len(files)),
            ]
        if "frames" in which:
            results += _cost(scratch, which, files[:2], archives, 1 if quick else 5)
    return results


def _ingest(files: Sequence[Path], archive: Path, profile: str) -> None:
    from corecube import plugins
    from corecube.pipeline import Options, ingest

    caller = plugins.load("sdss")
    config, options = caller.instrument.config(), Options(profile=profile)
    report = ingest([str(f) for f in files], archive, caller, config, options)
    if report.counts.get("ingested", 0) != len(files):
        raise AssertionError(report.to_json())


def _parts(path: Path, label: str, number: int) -> Result:
    """Stored bytes by what they are: chunks of flux, error, masks, pyramids, and all the rest."""
    from corecube.archive.reader import Archive
    from corecube.archive.sizes import stored_bytes

    sums: dict[str, int] = {}
    with Archive(path) as archive:
        for record in archive.state.catalogue.by_number.values():
            for kind, size in stored_bytes(archive.shot(record)).items():
                sums[kind] = sums.get(kind, 0) + size
    return [
        Figure(f"{label}: of it {kind}, each", size / number / 1e6, "MB")
        for kind, size in sorted(sums.items())
    ]


def _cost(
    scratch: Path, which: str, files: Sequence[Path], archives: dict[str, Path], rounds: int
) -> Result:
    """Times of ingest and reading of a small archive over those of a plain one."""
    from corecube.archive.reader import Archive

    def ingest(profile: str) -> Callable[[], None]:
        def work() -> None:
            path = scratch / "again.corecube"
            _ingest(files, path, profile)
            shutil.rmtree(path)

        return work

    times = by_turns({name: ingest(name) for name in archives}, rounds)
    results: Result = [
        Figure(f"{which}: ingest small / plain", times["small"] / times["plain"], "times")
    ]
    opened = {name: Archive(path) for name, path in archives.items()}
    reads: dict[str, tuple[int, Callable[[Any, str, int, int], Any]]] = {
        "cutout of 64 x 64, flux": (
            100, lambda s, n, y, x: s.read(f"/images/{n}/flux", np.s_[y : y + 64, x : x + 64])
        ),
        "cutout of 64 x 64, error": (
            100, lambda s, n, y, x: s.error(n, (y, y + 64), (x, x + 64))
        ),
        "a whole error": (5, lambda s, n, y, x: s.error(n, (0, s.image(n)["shape"][0]),
                                                       (0, s.image(n)["shape"][1]))),
        "level 1, 128 x 128": (
            20, lambda s, n, y, x: s.level(n, 1, (y // 4, y // 4 + 128), (x // 4, x // 4 + 128))
        ),
        "level 3, whole": (5, lambda s, n, y, x: s.level(n, 3)),
    }  # fmt: skip
    for what, (number, read) in reads.items():
        for profile, archive in opened.items():
            seconds = _reading(archive, number if rounds > 1 else 5, read)
            results.append(Figure(f"{which}, {profile}: {what}", seconds * 1e3, "ms"))
    for archive in opened.values():
        archive.close()
    return results


def _reading(archive: Any, number: int, read: Callable[[Any, str, int, int], Any]) -> float:
    """Median seconds over places of the first whole frame of each shot."""
    rng = np.random.default_rng(1)
    times = []
    for record in archive.state.catalogue.by_number.values():
        shot = archive.shot(record)
        name = next(iter(shot.images))
        ny, nx = shot.image(name)["shape"]
        read(shot, name, 0, 0)
        for y, x in rng.integers(0, [ny - 64, nx - 64], (number, 2)).tolist():
            y, x = min(y, ny // 2), min(x, nx // 2)  # so that tiles of levels lie inside
            started = time.perf_counter()
            read(shot, name, y, x)
            times.append(time.perf_counter() - started)
    return statistics.median(times)
