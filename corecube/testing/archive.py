"""A1, A4, A6, A8, A9: what the archive gives back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import PurePath
from typing import Any, Final

import numpy as np

from corecube import hdf5
from corecube.archive.shotfile import StoredShot
from corecube.frames import Fibers, Frame, Image
from corecube.plugins import installed
from corecube.testing.case import Case
from corecube.testing.comparing import as_stored, differences, narrowed, stored_block
from corecube.testing.model import READ, DoesNotApply, check
from corecube.testing.processes import run
from corecube.testing.runner import told

_ASKED: Final = 40
"""Fibres of a group that are looked for by their position."""

_RADIUS: Final = 0.01 / 3600
"""Degrees; a position is stored as it is."""


@check("A0", "archive", "every file is ingested", needs=READ)
def is_ingested(case: Case) -> Iterator[str]:
    """Look at the report of an ingest of all files."""
    _ = case.archive
    if case.refusal is not None:
        yield f"the ingest ended early: {told(case.refusal)}"
        return
    for where, reason in case.report.failures:
        yield f"{PurePath(where).name}: {reason}"
    named = {file.path: file for file in case.report.files}
    for path in case.named:
        if named[path].state == "not done":
            yield f"{PurePath(path).name} was not looked at: {named[path].reason}"


@check("A1", "archive", "what is read back is what was ingested, bit for bit", needs=("A0", "F11"))
def comes_back(case: Case) -> Iterator[str]:
    """Compare the frames of the sample with those of the archive, field by field."""
    with case.archived() as archive:
        records = archive.state.catalogue.by_identity
        for entry, stage in case.all_stages():
            identity = f"{case.name}/{entry.plan.key}"
            if identity not in records:
                yield f"{identity} is not in the archive"
                continue
            yield from _compared(case, archive.shot(identity), stage.done)


def _compared(case: Case, shot: StoredShot, frame: Frame) -> Iterator[str]:
    where = f"{shot.identity}: {frame.name}"
    stored: Frame
    if isinstance(frame, Image):
        if frame.name not in shot.images:
            yield f"{where} is not in the archive"
            return
        stored = shot.frame(frame.name)
    elif isinstance(frame, Fibers):
        found = stored_block(shot, frame)
        if found is None:
            yield f"{where}: its fibres are not in the archive, or not together"
            return
        frame = as_stored(frame)
        stored, problem = narrowed(found, frame)
        if problem:
            yield f"{where}: {problem}"
        if not stored.calibration:  # a row of several blocks comes without
            frame = replace(frame, calibration={}, header=stored.header)
    else:
        return
    if case.caller.has("late_masks"):
        assert frame.mask is not None and stored.mask is not None
        if frame.mask.shape == stored.mask.shape:
            stored = replace(stored, mask=stored.mask & frame.mask)
    yield from islice(differences(frame, stored, where), 4)


@check("A4", "archive", "a fibre is found by its own position, an image by its middle")
def is_found(case: Case) -> Iterator[str]:
    """Ask for the positions of fibres and images."""
    seen = False
    with case.archived() as archive:
        for record in archive.state.catalogue.by_identity.values():
            if record.kind != "science":
                continue
            shot = archive.shot(record)
            for group, _, _ in record.indexed:
                for row, ra, dec in _some(shot, group):
                    seen = True
                    answer = archive.cone((ra, dec), _RADIUS)
                    if (record.identity, group, row) not in {
                        (found.identity, name, number)
                        for found, name, number in answer.fiber_places
                    }:
                        yield f"{record.identity}/{group}: row {row} is not found at {ra} {dec}"
            for name, ra, dec in _middles(shot):
                seen = True
                answer = archive.cone((ra, dec), _RADIUS)
                found = {(p.shot.identity, p.name) for p in answer.image_places}
                if (record.identity, name) not in found:
                    yield f"{record.identity}/{name} is not found at its middle {ra} {dec}"
    if not seen:
        raise DoesNotApply("nothing has a position")


def _some(shot: StoredShot, group: str) -> Iterator[tuple[int, float, float]]:
    """Yield row, RA and Dec of some fibres of a group that have a position."""
    ra, dec = (shot.read(f"/fibers/{group}/{name}") for name in ("ra", "dec"))
    rows = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    for row in rows[:: max(1, len(rows) // _ASKED)].tolist():
        yield row, float(ra[row]), float(dec[row])


def _middles(shot: StoredShot) -> Iterator[tuple[str, float, float]]:
    """Yield name, RA and Dec of the middle of images on the sky."""
    for name in shot.images:
        footprint = shot.description["images"][name]["footprint"]
        if footprint is None:
            continue
        ra, dec = np.radians(np.array(footprint)).T
        x, y, z = (
            part.mean()
            for part in (np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec))
        )
        yield (
            name,
            float(np.degrees(np.arctan2(y, x)) % 360),
            float(np.degrees(np.arctan2(z, np.hypot(x, y)))),
        )


@check("A6", "archive", "it is opened and read where the instrument is not installed")
def opens_without_plugin(case: Case) -> Iterator[str]:
    """Open it in a process that knows no instrument."""
    ended = run(
        case, "open", {"archive": str(_archive(case))}, environment={"CORECUBE_PLUGINS": ""}
    )
    if not ended.result:
        yield f"the process that opens it {ended.end}"
        return
    for entry in installed().get(case.name, ()):
        if entry.module in ended.result["modules"]:
            yield f"{entry.module} is imported to open it"


def _archive(case: Case) -> Any:
    with case.archived() as archive:
        return archive.path


@check("A8", "archive", "no attribute of a shot file is a pickle")
def holds_no_pickle(case: Case) -> Iterator[str]:
    """Look at all attributes of all shot files."""
    with case.archived() as archive:
        records = list(archive.state.catalogue.by_identity.values())
        for record in records:
            file = hdf5.open_file(archive.path / record.file)
            try:
                for node in file.walk_nodes("/"):
                    names = node._v_attrs._v_attrnamesuser
                    for name in names:
                        value = node._v_attrs[name]
                        if not isinstance(value, np.generic | str | int | float):
                            yield f"{record.identity}: {node._v_pathname}.{name} is {type(value)}"
            finally:
                file.close()


@check("A9", "archive", "a question without an answer gives an empty table with all columns")
def empty_is_a_table(case: Case) -> Iterator[str]:
    """Ask for what nothing fits."""
    with case.archived() as archive:
        full = archive.everything()
        for what, answer in (
            ("filter", archive.everything(where="ra < -1")),
            ("region", archive.cone(_nowhere(full), _RADIUS)),
        ):
            for name in ("fibers", "images"):
                table, everything = getattr(answer, name), getattr(full, name)
                if len(table):
                    yield f"{what}: {len(table)} {name} where there is nothing"
                missing = set(everything.fields) - set(table.fields) - {"separation"}
                if missing:
                    yield f"{what}: the empty table of {name} lacks {', '.join(sorted(missing))}"


def _nowhere(full: Any) -> tuple[float, float]:
    """Return the position opposite of the first fibre or image."""
    for table in (full.fibers, full.images):
        ra, dec = (table[name].values for name in ("ra", "dec"))
        known = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
        if known.size:
            return float((ra[known[0]] + 180) % 360), float(-dec[known[0]])
    return 0.0, -90.0
