"""Positions of the user: one by one, or a file of them.

The grammar of a single position is in `corecube.angles`; here are the files: CSV, TSV, text of
two columns, ECSV, FITS and VOTable, also from standard input.
"""

from __future__ import annotations

from corecube.angles import (
    Position,
    format_position,
    format_radius,
    parse_position,
    parse_radius,
)
from corecube.positions.reading import read_positions
from corecube.positions.table import PositionTable, RowProblem

__all__ = [
    "Position",
    "PositionTable",
    "RowProblem",
    "format_position",
    "format_radius",
    "parse_position",
    "parse_radius",
    "read_positions",
]
