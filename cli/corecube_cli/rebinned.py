"""Spectra in other bins as FITS tables, their flux kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corecube_cli.console import console, count
from corecube_cli.failures import UsageProblem

if TYPE_CHECKING:
    from corecube.archive import Archive

_GRID = re.compile(r"([0-9.]+)\.\.([0-9.]+),([0-9]+)")
_MOST = 10**6


def read_grid(text: str) -> tuple[float, float, int]:
    """Return the centres of the first and last bin, and the number of bins.

    Raises
    ------
    UsageProblem
        If the text is not FIRST..LAST,BINS.
    """
    match = _GRID.fullmatch(text.replace(" ", ""))
    try:
        if match is None:
            raise ValueError
        first, last, bins = float(match[1]), float(match[2]), int(match[3])
    except ValueError:
        first, last, bins = 0.0, 0.0, 0
    if not (0 < first < last and 2 <= bins <= _MOST):
        raise UsageProblem(
            f"'{text}' is no grid: write FIRST..LAST,BINS in Angstrom, such as 3600..10400,4620"
        )
    return first, last, bins


def write_rebinned(opened: Archive, names: list[str], grid: str, output: str, force: bool) -> None:
    """Write a FITS table of each spectrum in bins of equal width.

    Parameters
    ----------
    opened : Archive
    names : list of str
    grid : str
        See `read_grid`.
    output : str
        Folder.
    force : bool
        Replace files that are there.

    Raises
    ------
    UsageProblem, QueryError, ArchiveDamaged
    """
    from corecube.archive.names import FiberRow
    from corecube.errors import QueryError
    from corecube.photometry.rebinning import centred_edges, rebin_fiber
    from corecube.text import printable
    from corecube_cli.fitsfiles import file_name
    from corecube_cli.formats import write_rows
    from corecube_cli.naming import the_one
    from corecube_cli.outputs import folder_for, refuse_existing, write_whole

    edges = centred_edges(*read_grid(grid))
    if not names:
        raise UsageProblem("say which spectra: --rebin needs a NAME")
    rows = [the_one(opened, name) for name in names]
    taken: set[str] = set()
    paths = []
    folder = Path(output)
    for row in rows:
        if not isinstance(row, FiberRow):
            raise QueryError(f"{row.name} is no spectrum; --rebin is for spectra")
        paths.append(folder / file_name(*row.name.split("/"), taken=taken, suffix=".fits"))
    folder_for(output)
    refuse_existing(paths, force)
    for row, path in zip(rows, paths, strict=True):
        assert isinstance(row, FiberRow)
        table = rebin_fiber(row.spectrum(), 0, edges).rows(row.spectrum().unit)
        table = type(table)(table.fields, {"spectrum": row.name, **table.meta})

        def write(file: Any, table: Any = table) -> None:
            write_rows(table, "fits", file, command=console.command)

        write_whole(path, write)
        print(printable(str(path)))
    console.say(f"{count(len(rows), 'spectrum', 'spectra')} written in other bins")
