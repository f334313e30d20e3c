"""Positions of the user: one by one, or a file of them.

The grammar of a single position is in `corecube.angles`; here are the files: CSV, TSV, text of
two columns, ECSV, FITS and VOTable, also from standard input.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.angles import (
    Position,
    format_position,
    format_radius,
    parse_position,
    parse_radius,
    plain_degrees,
)
from corecube.errors import QueryError
from corecube.tabular import JSON, Field, Rows
from corecube.text import printable

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

MAX_BYTES: Final = 1 << 30
"""Largest file of positions after unpacking, in bytes: about ten million rows."""

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


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row that holds no position.

    Parameters
    ----------
    place : str
        ``file:line``, or ``file:row n`` where the format has no lines.
    row : int
        Number of the row, the first row of data is 1.
    reason : str
        One line.
    """

    place: str
    row: int
    reason: str

    def __str__(self) -> str:
        """Return one line for the user."""
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True, eq=False)
class PositionTable:
    """The positions of a file, and the user's other columns.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        ICRS degrees.
    row : ndarray of int64, shape (n,)
        Number of the row in the file; the first row of data is 1.
    line : ndarray of int64, shape (n,)
        Number of the line in the file, 0 where the format has no lines.
    names : ndarray of text, shape (n,)
        From the column `name_column`; empty where there is none.
    columns : Rows
        The other columns of the file, n rows. ``meta["left_out"]`` names those that cannot be
        kept.
    problems : tuple of RowProblem
        Rows that were skipped.
    ra_column, dec_column, name_column : str
        Which columns were taken; empty if the file has no header.
    source : str
        Name of the file for messages.
    """

    ra: npt.NDArray[np.float64]
    dec: npt.NDArray[np.float64]
    row: npt.NDArray[np.int64]
    line: npt.NDArray[np.int64]
    names: npt.NDArray[np.str_]
    columns: Rows
    problems: tuple[RowProblem, ...] = ()
    ra_column: str = ""
    dec_column: str = ""
    name_column: str = ""
    source: str = ""

    def __len__(self) -> int:
        """Return the number of positions."""
        return len(self.ra)

    @property
    def understood(self) -> str:
        """One line that says what was read, for the echo."""
        taken = (
            f"columns {printable(self.ra_column, 40)}, {printable(self.dec_column, 40)}"
            if self.ra_column
            else "one position a line, no header"
        )
        skipped = f", {len(self.problems)} rows skipped" if self.problems else ""
        return f"{len(self)} positions from {self.source} ({taken}; ICRS){skipped}"


@dataclass
class _Raw:
    """What a file says, before positions are made of it."""

    source: str
    ra: Sequence[Any] | npt.NDArray[Any]
    dec: Sequence[Any] | npt.NDArray[Any]
    line: list[int]
    row: list[int]
    columns: dict[str, Any] = field(default_factory=dict)
    problems: list[RowProblem] = field(default_factory=list)
    ra_column: str = ""
    dec_column: str = ""
    left_out: list[str] = field(default_factory=list)

    def place(self, i: int) -> str:
        if self.line and self.line[i]:
            return f"{self.source}:{self.line[i]}"
        return f"{self.source}:row {self.row[i]}"


def _bare(name: str) -> str:
    """Return a column name as it is compared: no case, no unit in brackets, no quotes."""
    return re.sub(r"\s*[\[(][^\])]*[\])]\s*$", "", name.strip().strip("\"'")).strip().lower()


def _find(names: Sequence[str], source: str) -> tuple[str, str] | None:
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


def _identifier(names: Sequence[str]) -> str:
    """Return the column that names the rows, or an empty text."""
    bare = {_bare(name): name for name in reversed(names)}
    return next((bare[key] for key in _IDENTIFIERS if key in bare), "")


def _typed(cells: list[str]) -> Field:
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


class _Lines:
    """Data lines of a text, without comments, and the number of the line that was read last."""

    def __init__(self, text: str) -> None:
        self.comment = ""
        self.number = 0
        self.first = 0
        self._lines = text.splitlines(keepends=True)

    def __iter__(self) -> Iterator[str]:
        for number, line in enumerate(self._lines, start=1):
            bare = line.strip()
            if bare.startswith("#"):
                self.comment = bare.lstrip("#").strip()
                continue
            if not bare:
                continue
            self.number = number
            self.first = self.first or number
            yield line


def _delimiter(line: str) -> str | None:
    return next((mark for mark in "\t,;" if mark in line), None)


def _records(lines: _Lines, delimiter: str | None, source: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the first line of each record, and its cells."""
    if delimiter is None:
        for line in lines:
            yield lines.number, line.split()
        return
    reader = csv.reader(iter(lines), delimiter=delimiter, strict=True, skipinitialspace=True)
    while True:
        lines.first = 0
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise QueryError(f"{source}:{lines.number}: {error}; check the quotes") from None
        yield lines.first, [cell.strip() for cell in cells]


def _text_file(text: str, source: str) -> _Raw:
    """Read CSV, TSV, semicolons or blanks, with a header or with one position a line."""
    lines = _Lines(text)
    first = next(iter(lines), None)
    if first is None:
        raise QueryError(f"{source}: there are no positions in it")
    comment = lines.comment
    delimiter = _delimiter(first)
    records = _records(_Lines(text), delimiter, source)
    _, header = next(records)
    if _find(header, source) is None and comment:
        named = next(_records(_Lines(comment), _delimiter(comment), source), (0, []))[1]
        if len(named) == len(header) and _find(named, source):
            header = named  # the header is a comment, as numpy.savetxt writes it
            records = _records(_Lines(text), delimiter, source)
    taken = _find(header, source)
    if taken is None:
        return _bare_lines(text, header, delimiter, source)
    names = [name or f"column{i}" for i, name in enumerate(header, start=1)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise QueryError(f"{source}: the column {printable(twice[0], 40)!r} is there twice")
    raw = _Raw(source, [], [], [], [], ra_column=taken[0], dec_column=taken[1])
    cells: list[list[str]] = []
    for row, (line, record) in enumerate(records, start=1):
        if len(record) != len(names):
            reason = f"{len(record)} fields where the header has {len(names)}"
            raw.problems.append(RowProblem(f"{source}:{line}", row, reason))
            continue
        cells.append(record)
        raw.line.append(line)
        raw.row.append(row)
    for i, name in enumerate(names):
        column = [record[i] for record in cells]
        if name == taken[0]:
            raw.ra = column
        elif name == taken[1]:
            raw.dec = column
        else:
            raw.columns[name] = column
    return raw


def _bare_lines(text: str, first: list[str], delimiter: str | None, source: str) -> _Raw:
    """Read a text without a header: a position on each line."""
    columns = len(first)
    looks_like_data = bool(first[0]) and (first[0][0] in "+-.\u2212\u2013" or first[0][0].isdigit())
    if not looks_like_data:
        try:
            parse_position(" ".join(first))
        except QueryError:
            shown = ", ".join(printable(name, 40) for name in first[:12])
            raise QueryError(
                f"{source}: there are no columns ra and dec; the first line has: {shown}"
            ) from None
    if delimiter is not None and columns > 2:
        raise QueryError(
            f"{source}: {columns} columns and no header; write a first line that names ra and dec"
        )
    raw = _Raw(source, [], [], [], [])
    whole: list[str] = []
    lines = _Lines(text)
    for row, line in enumerate(lines, start=1):
        whole.append(line.strip().replace(";", ",") if delimiter == ";" else line.strip())
        raw.line.append(lines.number)
        raw.row.append(row)
    raw.ra, raw.dec = whole, [""] * len(whole)
    return raw


def _astropy_file(data: bytes, kind: str, source: str) -> _Raw:
    """Read FITS, VOTable or ECSV with astropy."""
    import warnings

    from astropy import units
    from astropy.table import Column, Table

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # units that astropy does not know, old VOTables
            if kind == "ascii.ecsv":
                table = Table.read(data.decode("utf-8").splitlines(), format=kind)
            else:
                table = Table.read(io.BytesIO(data), format=kind)
    except Exception as error:
        # any reader's exception means the same here: the file is not what it claims to be
        reason = printable(f"{type(error).__name__}: {error}", 160)
        raise QueryError(f"{source}: it cannot be read as {kind}: {reason}") from error
    taken = _find(table.colnames, source)
    if taken is None:
        shown = ", ".join(printable(name, 40) for name in table.colnames[:12])
        raise QueryError(f"{source}: there are no columns ra and dec; it has: {shown}")
    rows = list(range(1, len(table) + 1))
    lines: list[int] = []
    if kind == "ascii.ecsv":
        numbers = [
            number
            for number, line in enumerate(data.decode("utf-8").splitlines(), start=1)
            if line.strip() and not line.startswith("#")
        ][1:]
        lines = numbers if len(numbers) == len(table) else []
    raw = _Raw(source, [], [], lines, rows, ra_column=taken[0], dec_column=taken[1])
    angles = []
    for name in taken:
        column = table[name]
        values: np.ma.MaskedArray[Any, Any] = np.ma.MaskedArray(
            column.value if hasattr(column, "value") else column
        )
        values = np.ma.MaskedArray(values.data, mask=np.ma.getmaskarray(column))
        unit = getattr(column, "unit", None)
        if unit is not None and values.dtype.kind in "iuf" and unit != units.deg:
            try:
                factor = float(unit.to(units.deg))
            except (units.UnitConversionError, AttributeError, TypeError):
                raise QueryError(
                    f"{source}: the column {name} has the unit {printable(str(unit))}, "
                    "which is no angle"
                ) from None
            values = np.ma.MaskedArray(values.data * factor, mask=values.mask)
        if values.ndim != 1:
            raise QueryError(f"{source}: the column {name} has several values in a row")
        angles.append(values)
    raw.ra, raw.dec = angles
    for name in table.colnames:
        if name in taken:
            continue
        column = table[name]
        try:
            if not isinstance(column, Column) and not hasattr(column, "to_value"):
                raise ValueError("a column of objects")
            masked = np.ma.MaskedArray(np.asarray(column), mask=np.ma.getmaskarray(column))
            raw.columns[name] = Field(
                masked,
                str(column.unit or ""),
                str(getattr(column.info, "description", "") or ""),
            )
        except ValueError:  # FrameError is one: a type that has no place in a table of ours
            raw.left_out.append(name)
    return raw


def _parse_rows(raw: _Raw) -> tuple[list[int], list[float], list[float]]:
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


def _positions(raw: _Raw) -> tuple[npt.NDArray[np.intp], npt.NDArray[Any], npt.NDArray[Any]]:
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


def _raw(data: bytes, source: str) -> _Raw:
    """Recognise the format by its first bytes."""
    data = _unpacked(data, source)
    start = data[:512].lstrip(b"\xef\xbb\xbf \r\n\t")
    if start.startswith(b"SIMPLE  ="):
        return _astropy_file(data, "fits", source)
    if start.startswith((b"<?xml", b"<VOTABLE", b"<!--")):
        return _astropy_file(data, "votable", source)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise QueryError(
            f"{source}:{line}: neither UTF-8 text nor FITS nor VOTable; convert it to UTF-8"
        ) from None
    if re.match(r"#\s*%ECSV", text):
        return _astropy_file(text.encode("utf-8"), "ascii.ecsv", source)
    return _text_file(text, source)


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
    raw = _raw(data, source)
    index, ra, dec = _positions(raw)
    raw.problems.sort(key=lambda problem: problem.row)
    if strict and raw.problems:
        raise QueryError(str(raw.problems[0]))
    fields = {
        name: (column if isinstance(column, Field) else _typed(column)).take(index)
        for name, column in raw.columns.items()
    }
    meta: dict[str, JSON] = {"left_out": [*raw.left_out]} if raw.left_out else {}
    identifier = _identifier(list(fields))
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
