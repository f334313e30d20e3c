"""What is typed behind ``/``: a position with a radius, a name, or a row of the table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from corecube.errors import QueryError
from corecube_cli.browse.rowsources import AnswerRows, FixedRows, named_rows

if TYPE_CHECKING:
    from corecube.archive import Archive

RADIUS: Final = "2arcsec"
"""As that of ``corecube query``."""

_ROW: Final = re.compile(r"(?:row\s+|#\s*)(\d+)", re.IGNORECASE)
_POSITION: Final = re.compile(r"[-+\u2212\u2013.]?\d+[.\d]*\s*[hd:°,\s]\s*[-+\u2212\u2013.\d]")
"""How a text begins that is surely meant as a position."""


def row_number(text: str) -> int | None:
    """Return the row that ``row 12`` or ``#12`` means, counted from 1; None for anything else."""
    match = _ROW.fullmatch(text.strip())
    return int(match[1]) if match else None


def ask(archive: Archive, text: str, radius: str) -> AnswerRows | FixedRows:
    """Answer a question: what lies around a position, or what has a name.

    Parameters
    ----------
    archive : Archive
    text : str
        A position in any usual notation, ``name:TARGET``, or a name.
    radius : str
        With its unit.

    Raises
    ------
    QueryError
        If it is neither.
    """
    from corecube.angles import format_position, format_radius, parse_radius
    from corecube_cli.asking import read_position

    degrees = parse_radius(radius or RADIUS)
    try:
        position = read_position(archive, text)
    except QueryError as no_position:
        if text.strip().lower().startswith("name:"):
            raise
        try:
            found = archive.find(text)
        except QueryError as no_name:
            meant = _POSITION.match(text.strip())
            raise (no_position if meant else no_name) from None
        return named_rows(found, f"named {text.strip()}")
    result = archive.cone((position.ra, position.dec), degrees)
    _ = result.fibers, result.images  # read now, in the thread that reads
    return AnswerRows(
        result, f"{format_position(position)} (ICRS, degrees) within {format_radius(degrees)}"
    )
