"""Fibres or frames that each instrument ingests in a second, and the memory for it.

Each instrument's own simulator makes the files, in their real sizes. They are ingested into a new
archive by a process that is pinned to one processor, has ingested them once before and does not
count its imports; in turns with it the same files are unpacked and all their HDUs read by astropy,
which is the least that anybody does who uses them. Ingest digests, calibrates, gives errors, packs,
writes and proves in addition; raw frames are reduced, to which reading is no peer. The memory is
that of the process that plans and works.

    python benchmarks/instruments.py --instrument NAME FOLDER ROUNDS FILE ...   (used by itself)
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import Figure, Result, peak_memory, ratio, timed

HETDEX_MB = 400.0
"""Peak of a worker; see `hetdex`, which measures it on a full shot."""


@dataclass(frozen=True)
class Case:
    """Files of an instrument.

    Attributes
    ----------
    instrument : str
    options : mapping
        Of its simulator.
    pattern : str
        Of the files that are ingested.
    unit : str
        "fibres" or "frames": what is counted.
    memory : float or None
        Target of the peak, MB.
    goal : float or None
        Target of the ratio to astropy.
    """

    instrument: str
    options: Mapping[str, Any]
    pattern: str
    unit: str
    memory: float | None = None
    goal: float | None = None


CASES = {
    "SDSS spectra": Case(
        "sdss",
        {"bands": "r", "rows": 64, "columns": 64, "stars": 32, "spectra": 32},
        "spec-*.fits*", "fibres", goal=1.3,
    ),
    "BOSS plate, two cameras": Case(
        "boss", {"fibers": 500, "cameras": "b1,r1", "spec": 0}, "**/*", "fibres"
    ),
    "HETDEX amplifiers": Case(
        "hetdex", {"images": "all", "faults": False}, "**/*", "fibres", HETDEX_MB
    ),
    "ccdlab, SpUpNIC": Case(
        "ccdlab", {"rows": 256, "calibrations": 5, "exposures": 5}, "**/*", "frames"
    ),
    "ccdlab, SBIG": Case(
        "ccdlab",
        {"camera": "barber-sbig", "rows": 1024, "columns": 1536, "calibrations": 5, "exposures": 5},
        "**/*", "frames",
    ),
}  # fmt: skip
"""By the name in the table."""


def measure(scratch: Path, quick: bool) -> Result:
    from corecube import plugins

    results: Result = []
    for number, (name, case) in enumerate(CASES.items()):
        folder = scratch / str(number)
        folder.mkdir()
        plugins.load(case.instrument).call(
            "simulate", directory=folder, options=dict(case.options), seed=1
        )
        files = sorted(
            path for path in folder.glob(case.pattern)
            if path.is_file() and path.name != "truth.json"
        )  # fmt: skip
        words = [sys.executable, __file__, "--instrument", name, str(folder), "1" if quick else "5"]
        done = subprocess.run([*words, *map(str, files)], check=True, stdout=subprocess.PIPE)
        results += _figures(name, case, json.loads(done.stdout))
        shutil.rmtree(folder)
    return results


def _figures(name: str, case: Case, found: Mapping[str, Any]) -> Result:
    seconds = statistics.median(found["ingest"])
    results: Result = [Figure(f"{name}: {case.unit} a second", found["count"] / seconds, "1/s")]
    if case.unit == "frames":
        pixels = found["pixels"] / 1e6 / seconds
        results.append(Figure(f"{name}: megapixels a second", pixels, "1/s"))
    else:
        peer = ratio(found["ingest"], found["astropy"])
        results.append(Figure(f"{name}: ingest / reading with astropy", peer, "times", case.goal))
    return [*results, Figure(f"{name}: peak memory", found["peak"] / 1e6, "MB", case.memory)]


def worker(name: str, folder: Path, rounds: int, files: list[str]) -> dict[str, Any]:
    """Measure in this process."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    from corecube import plugins

    case = CASES[name]
    caller = plugins.load(case.instrument)
    archive = folder / "bench.corecube"
    found: dict[str, Any] = {"ingest": [], "astropy": []}
    found |= ingested(caller, files, archive)
    found["peak"] = peak_memory()
    shutil.rmtree(archive)
    found["pixels"] = read_all(files)
    for _ in range(rounds):
        found["ingest"].append(timed(lambda: ingested(caller, files, archive))[0])
        shutil.rmtree(archive)
        found["astropy"].append(timed(lambda: read_all(files))[0])
    return found


def ingested(caller: Any, files: list[str], archive: Path) -> dict[str, Any]:
    """Ingest files; return how many fibres or frames are in the archive."""
    from corecube.archive.reader import open_archive
    from corecube.pipeline import Options, ingest

    report = ingest(files, archive, caller, caller.instrument.config(), Options())
    if report.failures or not report.shots:
        raise AssertionError(report.to_json())
    fibers = frames = 0
    with open_archive(archive) as opened:
        for shot in report.shots:
            stored = opened.shot(shot.identity)
            frames += len(shot.entries)
            # groups with a parent have other pixels of the same fibres
            fibers += sum(
                stored.row_count(group)
                for group in stored.groups if not stored.group(group)["parent"]
            )  # fmt: skip
    by_name = {case.instrument: case.unit for case in CASES.values()}
    return {"count": fibers if by_name[caller.name] == "fibres" else frames}


def read_all(files: list[str]) -> int:
    """Read all images and tables of the FITS files; return the number of pixels of images."""
    from astropy.io import fits

    unpack = {".gz": gzip.decompress, ".bz2": bz2.decompress}
    pixels = 0
    for path in map(Path, files):
        if ".fit" not in path.name:
            continue
        # at once: left to astropy, a packed file is unpacked again for every step back in it
        data = unpack.get(path.suffix, bytes)(path.read_bytes())
        with fits.open(io.BytesIO(data), memmap=False) as hdus:
            for hdu in hdus:
                if hdu.data is not None and hdu.is_image:
                    pixels += hdu.data.size
    return pixels


if __name__ == "__main__":
    _, _, name, folder, rounds, *files = sys.argv
    print(json.dumps(worker(name, Path(folder), int(rounds), files)))
