"""Which columns hold the position, and of what type the others are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from corecube.errors import QueryError
from corecube.tabular import Field
from corecube.text import printable

# Pairs of names, compared without case; the first pair that a file has is taken. RAJ2000 is
# FK5 in VizieR tables and is taken as ICRS: the two differ by less than 0.1 arcsec.
_PAIRS: Final = (
    ("ra", "dec"),
    ("ra_icrs", "de_icrs"),
    ("ra_icrs", "dec_icrs"),
    ("raj2000", "dej2000"),
    ("raj2000", "decj2000"),
    ("_raj2000", "_dej2000"),
    ("_ra_icrs", "_de_icrs"),
    ("_ra", "_de"),
    ("alpha_j2000", "delta_j2000"),
    ("rastack", "decstack"),
    ("ramean", "decmean"),
    ("ra_deg", "dec_deg"),
    ("radeg", "decdeg"),
    ("radeg", "dedeg"),
    ("plug_ra", "plug_dec"),
    ("target_ra", "target_dec"),
    ("s_ra", "s_dec"),
    ("ra", "de"),
    ("ra", "decl"),
    ("right_ascension", "declination"),
    ("right ascension", "declination"),
)
_IDENTIFIERS: Final = (
    "name",
    "target",
    "target_name",
    "object",
    "objname",
    "main_id",
    "designation",
    "id",
    "source_id",
    "objid",
)
_INTEGER: Final = re.compile(r"[+-]?(?:0|[1-9]\d{0,18})", re.ASCII)
_FLOAT: Final = re.compile(
    r"[+-]?(?:(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|nan|inf)",
    re.ASCII | re.IGNORECASE,
)
_LONG_INTEGER: Final = re.compile(r"[+-]?\d{16,}", re.ASCII)


def _bare(name: str) -> str:
    """Return a column name as it is compared: no case, no unit in brackets, no quotes."""
    return re.sub(r"\s*[\[(][^\])]*[\])]\s*$", "", name.strip().strip("\"'")).strip().lower()


def find_position(names: Sequence[str], source: str) -> tuple[str, str] | None:
    """Return the names of the two columns of the position."""
    bare: dict[str, list[str]] = {}
    for name in names:
        bare.setdefault(_bare(name), []).append(name)
    for pair in _PAIRS:
        if all(key in bare for key in pair):
            for key in pair:
                if len(bare[key]) > 1:
                    shown = " and ".join(repr(printable(name, 40)) for name in bare[key])
                    raise QueryError(
                        f"{source}: it is not clear which column to take: {shown}; rename one"
                    )
            return bare[pair[0]][0], bare[pair[1]][0]
    return None


def find_identifier(names: Sequence[str]) -> str:
    """Return the column that names the rows, or an empty text."""
    bare = {_bare(name): name for name in reversed(names)}
    return next((bare[key] for key in _IDENTIFIERS if key in bare), "")


def typed(cells: list[str]) -> Field:
    """Make a column of text cells: integer, float or boolean if all are, else text.

    Integers with leading zeros, and those that a float would round, stay text, because they are
    identifiers.
    """
    stripped = [cell.strip() for cell in cells]
    missing = np.array([not cell for cell in stripped], dtype=bool)
    there = [cell for cell in stripped if cell]
    if there and all(_INTEGER.fullmatch(cell) for cell in there):
        numbers = [int(cell) if cell else np.iinfo(np.int64).min for cell in stripped]
        if all(-(1 << 63) <= number < 1 << 63 for number in numbers):
            return Field(np.array(numbers, dtype=np.int64), missing=missing)
    elif (
        there
        and all(_FLOAT.fullmatch(cell) for cell in there)
        and not any(_LONG_INTEGER.fullmatch(cell) for cell in there)
    ):
        floats = [float(cell) if cell else np.nan for cell in stripped]
        return Field(np.array(floats, dtype=np.float64), missing=missing)
    elif there and all(cell in ("True", "False") for cell in there):
        return Field(np.array([cell == "True" for cell in stripped]), missing=missing)
    return Field(np.array(stripped, dtype=np.str_), missing=missing)
