"""An archive of thousands of shots for searches: catalogue and sky index are whole, pixels not.

One shot is made by ingest. Each of the others has a copy of its record in the catalogue, under its
own number and name, and its own fibres in the sky index; its file is not there. So questions, and
commits of further shots, find all that they look at, and tables of fibres are not to be read.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scaleinstrument import header_for, install, write
from survey import Numbers

from corecube import plugins
from corecube.archive import manifest as manifests
from corecube.archive import recordlog
from corecube.archive.catalogue import Catalogue, ShotRecord
from corecube.archive.layout import CATALOGUE, INDEX, shot_path
from corecube.archive.manifest import LogEnd
from corecube.archive.skyindex import merge_policy, write_run
from corecube.archive.skyrun import RunInfo
from corecube.archive.writer import plain
from corecube.pipeline import ingest


def make(
    archive: Path,
    ra: npt.NDArray[np.float64],
    dec: npt.NDArray[np.float64],
    shot: Numbers,
    runs: int | None = None,
) -> list[RunInfo]:
    """Make the archive.

    Parameters
    ----------
    archive : Path
    ra, dec, shot : ndarray, shape (n,)
        Rows, sorted by shot; shots count from 0.
    runs : int, optional
        1: the index in one run, as after `corecube repair`. Not given: the runs that are left
        when the shots come one by one.
    """
    rows = np.bincount(shot)
    edges = np.concatenate([[0], np.cumsum(rows)])
    record, infos_of = _first(archive, int(rows[0]))
    records = [_copy(record, number, count) for number, count in enumerate(rows.tolist())]
    parts = grown(rows.tolist()) if runs is None else np.array_split(np.arange(len(rows)), runs)
    infos = []
    for place, shots in enumerate(parts):
        index = np.concatenate([np.arange(edges[n], edges[n + 1]) for n in shots])
        path = archive / INDEX / f"1-{place:08x}.run"
        numbers = shot[index]
        infos.append(write_run(path, ra[index], dec[index], numbers + 1, index - edges[numbers]))
    manifest, _ = manifests.load(archive)
    logs = {
        "shots": [plain(each) for each in records],
        "sources": [{"shot": each.identity, "infos": infos_of} for each in records],
    }
    ends = {
        name: recordlog.append(archive, LogEnd(f"{CATALOGUE}/{name}.0.log", 0), listed)
        for name, listed in logs.items()
    }
    manifests.commit(
        archive,
        replace(
            manifest,
            generation=manifest.generation + 1,
            next_number=len(records) + 1,
            catalogue=ends["shots"],
            sources=ends["sources"],
            runs=tuple(infos),
            dropped=(),
        ),
    )
    return infos


def grown(rows: Sequence[int]) -> list[Numbers]:
    """Return which shots are in which run when they have come one by one."""
    runs: list[_Grown] = []
    for number, count in enumerate(rows):
        runs.append(_Grown(count, [number]))
        old: Any = merge_policy(runs)  # type: ignore[arg-type]
        if old:
            joined = _Grown(sum(run.rows for run in old), [n for run in old for n in run.shots])
            runs = [run for run in runs if run not in old] + [joined]
    return [np.sort(np.array(run.shots)) for run in runs]


@dataclass(frozen=True, eq=False)
class _Grown:
    rows: int
    shots: list[int]


def _first(archive: Path, rows: int) -> tuple[ShotRecord, list[Any]]:
    """Ingest the shot whose record the others copy; return it, and what it was made of."""
    use(install(archive.parent / "instruments"))
    path = archive.parent / "first.scale"
    write(path, header_for("000/0000", 0, rows, 64, 10.0, 20.0))
    caller = plugins.load("scale")
    ingest([str(path)], archive, caller, caller.instrument.config())
    manifest, _ = manifests.load(archive)
    (record,) = Catalogue.load(archive, manifest).by_identity.values()
    (source,) = recordlog.read(archive, manifest.sources)
    return record, source["infos"]


def _copy(record: ShotRecord, number: int, rows: int) -> ShotRecord:
    key = f"{number // 1000:03d}/{number:04d}"
    groups = {"fibers": {**record.groups["fibers"], "rows": rows}}
    return replace(
        record, number=number + 1, key=key, title=key, groups=groups,
        file=record.file if number == 0 else shot_path("scale", key, 1),
    )  # fmt: skip


def use(environment: dict[str, str]) -> None:
    """Let this process find what has been installed."""
    os.environ.update(environment)
    for folder in reversed(environment["PYTHONPATH"].split(":")):
        if folder not in sys.path:
            sys.path.insert(0, folder)
