"""Writing all that an answer names as one cube."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from corecube.errors import QueryError
from corecube_cli.console import console, count
from corecube_cli.failures import UsageProblem
from corecube_cli.outputs import check_writable, refuse_existing

if TYPE_CHECKING:
    from corecube.archive import Archive
    from corecube_cli.asking import Answer


def wavelengths_of(text: str) -> tuple[float, float]:
    """Read ``A..B``, in Angstrom.

    Raises
    ------
    UsageProblem
    """
    low, dots, high = text.partition("..")
    try:
        found = float(low), float(high)
    except ValueError:
        dots = ""
        found = 0.0, 0.0
    if not dots or not 0 <= found[0] < found[1] < float("inf"):
        raise UsageProblem(
            f"--wavelength '{text}': give two wavelengths in Angstrom, the lower first: 4000..7000"
        )
    return found


def write_cube(
    archive: Archive,
    answer: Answer,
    target: str,
    level: int,
    wavelength: str | None,
    unit: str,
    force: bool,
) -> None:
    """Write images and spectra of an answer at one resolution into one file.

    Raises
    ------
    UsageProblem
        If the file is there already, or cannot be written.
    QueryError
    """
    from corecube.archive.cubefiles import check_name
    from corecube.archive.cubes import Cube

    path = Path(target)
    try:
        check_name(path)
    except QueryError as error:
        raise UsageProblem(str(error)) from error
    check_writable(target)
    refuse_existing([path], force)
    assert answer.result is not None
    span = None if wavelength is None else wavelengths_of(wavelength)
    try:
        cube = Cube(archive, answer.result, answer.region, level, span, unit)
    except QueryError as error:
        raise UsageProblem(str(error)) from error
    names = cube.write(path)
    console.say(f"{count(len(names), 'part')} at level {level} written to {path}")
