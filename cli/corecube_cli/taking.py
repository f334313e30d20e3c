"""Writing the cutouts and spectra of an answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from corecube.angles import Position, format_position
from corecube.archive.names import FiberRow, ImageRow
from corecube.tabular import Field, Rows
from corecube_cli import fitsfiles
from corecube_cli.asking import Answer, Found
from corecube_cli.console import console, count
from corecube_cli.outputs import folder_for, refuse_existing, write_whole

Job = tuple[Path, Callable[[], bytes]]


def write_files(
    answer: Answer, cutouts: str | None, spectra: str | None, size: int, force: bool
) -> None:
    """Write a FITS file per image and per spectrum, and add their names as the column ``file``.

    Parameters
    ----------
    answer : Answer
        Its tables get the column.
    cutouts, spectra : str or None
        Folders; made if they are not there.
    size : int
        Pixels along each side of a cutout.
    force : bool
        Replace files that are there.

    Raises
    ------
    UsageProblem
        If a file is there already; then nothing is written.
    """
    jobs: list[Job] = []
    taken: dict[Path, set[str]] = {}
    if cutouts is not None:
        folder = folder_for(cutouts)
        names = _plan_cutouts(answer, folder, size, taken.setdefault(folder, set()), jobs)
        answer.images = _with_files(answer.images, names)
    if spectra is not None:
        folder = folder_for(spectra)
        names = _plan_spectra(answer, folder, taken.setdefault(folder, set()), jobs)
        answer.fibers = _with_files(answer.fibers, names)
    refuse_existing([path for path, _ in jobs], force)
    for path, make in jobs:
        data = make()
        write_whole(path, lambda file, data=data: _all(file, data))  # type: ignore[misc]
        console.tell(f"written: {path}")
    if jobs:
        console.say(f"{count(len(jobs), 'FITS file')} written")


def _all(file: object, data: bytes) -> None:
    file.write(data)  # type: ignore[attr-defined]


def _with_files(rows: Rows, names: list[str]) -> Rows:
    values = np.array(names, dtype=np.str_)
    column = Field(values, "", "FITS file that was written.", values == "")
    return Rows({**rows.fields, "file": column}, rows.meta)


def _plan_cutouts(
    answer: Answer, folder: Path, size: int, taken: set[str], jobs: list[Job]
) -> list[str]:
    names = []
    coverage: Any = answer.images["coverage"].values if len(answer.images) else []
    for found, covered in zip(answer.found_images, coverage, strict=True):
        row = found.row
        assert isinstance(row, ImageRow) and found.center is not None
        if not float(covered) > 0:
            console.say(f"{row.name}: no pixel of it lies in the cutout; none is written")
            names.append("")
            continue
        where = format_position(Position(*found.center), "name")
        name = fitsfiles.file_name(
            row.record.instrument, row.record.key, row.image, found.label, where, taken=taken
        )
        jobs.append((folder / name, _cutout(row, found, size)))
        names.append(str(folder / name))
    return names


def _cutout(row: ImageRow, found: Found, size: int) -> Callable[[], bytes]:
    def make() -> bytes:
        assert found.center is not None
        image, window = row.cutout(*found.center, size)
        return fitsfiles.cutout_bytes(row, image, window, *found.center, console.command)

    return make


def _plan_spectra(answer: Answer, folder: Path, taken: set[str], jobs: list[Job]) -> list[str]:
    names: list[str] = []
    known: dict[tuple[str, str, int], str] = {}
    for found in answer.found_fibers:
        row = found.row
        assert isinstance(row, FiberRow)
        if not row.shot().group(row.group)["width"]:
            console.say(f"{row.name}: has no pixels itself; --exposures finds those with pixels")
            names.append("")
            continue
        place = (row.record.identity, row.group, row.row)
        if place not in known:  # two targets may find the same spectrum
            name = fitsfiles.file_name(
                row.record.instrument, row.record.key, row.group, row.id, taken=taken
            )
            known[place] = str(folder / name)
            jobs.append((folder / name, _spectrum(row)))
        names.append(known[place])
    return names


def _spectrum(row: FiberRow) -> Callable[[], bytes]:
    return lambda: fitsfiles.spectrum_bytes(row, row.spectrum(), console.command)
