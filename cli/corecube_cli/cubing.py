"""Writing all that an answer names as one cube."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from corecube.errors import QueryError
from corecube_cli.console import console, count
from corecube_cli.failures import UsageProblem
from corecube_cli.outputs import check_writable, refuse_existing
from corecube_cli.rebinned import read_grid

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

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


def pixels_of(text: str) -> tuple[int, float]:
    """Read ``SIZE,SCALE``: pixels along each side, and arcsec of one.

    Raises
    ------
    UsageProblem
    """
    size, _, scale = text.partition(",")
    try:
        return int(size), float(scale)
    except ValueError:
        raise UsageProblem(
            f"--pixels '{text}': give how many along each side, and arcsec of one: 41,0.5"
        ) from None


def bins_of(text: str) -> Literal["own"] | npt.NDArray[np.float64]:
    """Read ``own`` or ``A..B,N``, the centres of the first and last bin and their number.

    Raises
    ------
    UsageProblem
    """
    if text == "own":
        return "own"
    from corecube.photometry.rebinning import centred_edges

    try:
        edges = centred_edges(*read_grid(text))
    except UsageProblem as error:
        raise UsageProblem(
            f"--bins {error}; or 'own' for the bins that spectra have themselves"
        ) from error
    if edges[0] <= 0:
        raise UsageProblem(f"--bins '{text}': the first bin reaches below 0; take more bins")
    return edges


@dataclass(frozen=True)
class Wanted:
    """What the command line says of a cube, as it was written.

    Attributes
    ----------
    target : str
        The file.
    level : int
    wavelength : str or None
    unit : str
    pixels, bins : str or None
    weighted : bool
    """

    target: str
    level: int = 0
    wavelength: str | None = None
    unit: str = "nanomaggy"
    pixels: str | None = None
    bins: str | None = None
    weighted: bool = False


def check_cube(wanted: Wanted, force: bool) -> None:
    """Refuse what is not possible, before anything is asked.

    Raises
    ------
    UsageProblem
        If a value cannot be read, or the file is there already or cannot be written.
    """
    from corecube.archive.cubefiles import check_name

    path = Path(wanted.target)
    try:
        check_name(path)
    except QueryError as error:
        raise UsageProblem(str(error)) from error
    check_writable(wanted.target)
    refuse_existing([path], force)
    for text, read in (
        (wanted.wavelength, wavelengths_of), (wanted.pixels, pixels_of), (wanted.bins, bins_of)
    ):  # fmt: skip
        if text is not None:
            read(text)


def write_cube(archive: Archive, answer: Answer, wanted: Wanted) -> None:
    """Write images and spectra of an answer at one resolution into one file.

    Raises
    ------
    UsageProblem, QueryError, ArchiveDamaged, NoSpace
    """
    from corecube.archive.cubes import Cube

    assert answer.result is not None
    wavelength, pixels, bins = wanted.wavelength, wanted.pixels, wanted.bins
    cube = Cube(
        archive, answer.result, answer.region, wanted.level,
        None if wavelength is None else wavelengths_of(wavelength), wanted.unit,
        weighted=wanted.weighted,
    )  # fmt: skip
    names = cube.write(
        wanted.target,
        None if pixels is None else pixels_of(pixels),
        None if bins is None else bins_of(bins),
    )
    for line in cube.about["says"]:
        console.warn(line)
    other = cube.about["other bands"]
    if other:
        console.say(f"{count(len(other), 'image')} in other bands left out of the cube")
    grids = [name for name in ("pixels", "bins") if getattr(wanted, name) is not None]
    common = f", and on common {' and '.join(grids)}," if grids else ""
    console.say(
        f"{count(len(names), 'part')} at level {wanted.level}{common} written to {wanted.target}"
    )
