"""Reads a file of positions, whatever its format."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.angles import parse_position, plain_degrees
from corecube.errors import QueryError
from corecube.positions.astropyfile import read_with_astropy
from corecube.positions.columns import find_identifier, typed
from corecube.positions.table import PositionTable, Raw, RowProblem
from corecube.positions.textfile import read_text
from corecube.tabular import JSON, Field, Rows
from corecube.text import printable

MAX_BYTES: Final = 1 << 30
"""Largest file of positions after unpacking, in bytes: about ten million rows."""


def _parse_rows(raw: Raw) -> tuple[list[int], list[float], list[float]]:
    """Return which rows hold a position, and the positions; note the others as problems."""
    kept: list[int] = []
    ra: list[float] = []
    dec: list[float] = []
    for i, (first, second) in enumerate(zip(raw.ra, raw.dec, strict=True)):
        if first is np.ma.masked or second is np.ma.masked:
            reason = "the position is missing"
            raw.problems.append(RowProblem(raw.place(i), raw.row[i], reason))
            continue
        plain = plain_degrees(first, second) if raw.ra_column else None
        if plain is not None:
            kept.append(i)
            ra.append(plain[0])
            dec.append(plain[1])
            continue
        text = f"{first}, {second}" if raw.ra_column else str(first)
        try:
            position = parse_position(text)
        except QueryError as error:
            reason = str(error).partition("; accepted:")[0]
            raw.problems.append(RowProblem(raw.place(i), raw.row[i], reason))
            continue
        kept.append(i)
        ra.append(position.ra)
        dec.append(position.dec)
    return kept, ra, dec


def _positions(raw: Raw) -> tuple[npt.NDArray[np.intp], npt.NDArray[Any], npt.NDArray[Any]]:
    """Return which rows are good, and their positions; numbers at once, text one by one."""
    numeric = isinstance(raw.ra, np.ma.MaskedArray) and raw.ra.dtype.kind in "iuf"
    if not (numeric and isinstance(raw.dec, np.ma.MaskedArray) and raw.dec.dtype.kind in "iuf"):
        kept, ra, dec = _parse_rows(raw)
        return np.array(kept, dtype=np.intp), np.array(ra, np.float64), np.array(dec, np.float64)
    ra_values = np.ma.filled(np.ma.asarray(raw.ra).astype(np.float64), np.nan)
    dec_values = np.ma.filled(np.ma.asarray(raw.dec).astype(np.float64), np.nan)
    good = (ra_values >= 0.0) & (ra_values < 360.0) & (np.abs(dec_values) <= 90.0)
    for i in np.flatnonzero(~good).tolist():
        if np.isnan(ra_values[i]) or np.isnan(dec_values[i]):
            reason = "the position is missing"
        elif not abs(dec_values[i]) <= 90.0:
            reason = f"the declination {dec_values[i]} is outside [-90, 90] degrees"
        else:
            reason = f"the right ascension {ra_values[i]} is outside [0, 360) degrees"
        raw.problems.append(RowProblem(raw.place(i), raw.row[i], reason))
    index = np.flatnonzero(good)
    return index, ra_values[index] + 0.0, dec_values[index]


def _unpacked(data: bytes, source: str) -> bytes:
    """Return the bytes of a gzip file, within the bound."""
    if data[:2] == b"\x1f\x8b":
        import gzip

        try:
            with gzip.open(io.BytesIO(data)) as stream:
                data = stream.read(MAX_BYTES + 1)
        except (OSError, EOFError) as error:
            raise QueryError(f"{source}: the gzip file is damaged: {error}") from None
    if len(data) > MAX_BYTES:
        raise QueryError(f"{source}: more than {MAX_BYTES >> 20} MiB; cut it into several files")
    return data


def _recognised(data: bytes, source: str) -> Raw:
    """Recognise the format by its first bytes."""
    data = _unpacked(data, source)
    start = data[:512].lstrip(b"\xef\xbb\xbf \r\n\t")
    if start.startswith(b"SIMPLE  ="):
        return read_with_astropy(data, "fits", source)
    if start.startswith((b"<?xml", b"<VOTABLE", b"<!--")):
        return read_with_astropy(data, "votable", source)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise QueryError(
            f"{source}:{line}: neither UTF-8 text nor FITS nor VOTable; convert it to UTF-8"
        ) from None
    if re.match(r"#\s*%ECSV", text):
        return read_with_astropy(text.encode("utf-8"), "ascii.ecsv", source)
    return read_text(text, source)


def read_positions(path: str | Path, *, strict: bool = False) -> PositionTable:
    """Read a file of positions.

    Parameters
    ----------
    path : str or Path
        CSV, TSV, text with semicolons or blanks, ECSV, FITS or VOTable, recognised by its
        first bytes, also packed with gzip; ``-`` is standard input. Columns are found by name
        without case (``ra dec``, ``RA_ICRS DE_ICRS``, ``RAJ2000 DEJ2000``, ``ALPHA_J2000
        DELTA_J2000``, ``raStack decStack``, ...). A text without a header has one position a
        line, in any form of `parse_position`. Lines with ``#`` are comments.
    strict : bool
        Raise at the first row that holds no position instead of collecting it.

    Returns
    -------
    PositionTable
        Positions, the numbers of their rows, the user's other columns, and the problems.

    Raises
    ------
    QueryError
        If the file cannot be read, has no positions, or (strict) has a bad row.
    """
    if str(path) == "-":
        source, data = "<stdin>", sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        source = printable(str(path), 200)
        try:
            with Path(path).open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise QueryError(f"{source}: the file of positions cannot be read: {reason}") from error
    raw = _recognised(data, source)
    index, ra, dec = _positions(raw)
    raw.problems.sort(key=lambda problem: problem.row)
    if strict and raw.problems:
        raise QueryError(str(raw.problems[0]))
    fields = {
        name: (column if isinstance(column, Field) else typed(column)).take(index)
        for name, column in raw.columns.items()
    }
    meta: dict[str, JSON] = {"left_out": [*raw.left_out]} if raw.left_out else {}
    identifier = find_identifier(list(fields))
    names = np.full(len(index), "", dtype=np.str_)
    if identifier and fields[identifier].values.ndim == 1:
        names = np.where(
            fields[identifier].mask, "", fields[identifier].values.astype(np.str_)
        ).astype(np.str_)
    line = np.asarray(raw.line or np.zeros(len(raw.row)), dtype=np.int64)
    return PositionTable(
        ra,
        dec,
        np.asarray(raw.row, dtype=np.int64)[index],
        line[index],
        names,
        Rows(fields, meta),
        tuple(raw.problems),
        raw.ra_column,
        raw.dec_column,
        identifier,
        source,
    )
