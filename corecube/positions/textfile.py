"""CSV, TSV and text with blanks: with a header, or one position a line."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from corecube.angles import parse_position
from corecube.errors import QueryError
from corecube.positions.columns import find_position
from corecube.positions.table import Raw, RowProblem
from corecube.text import printable


class Lines:
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


def _records(lines: Lines, delimiter: str | None, source: str) -> Iterator[tuple[int, list[str]]]:
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


def read_text(text: str, source: str) -> Raw:
    """Read CSV, TSV, semicolons or blanks, with a header or with one position a line."""
    lines = Lines(text)
    first = next(iter(lines), None)
    if first is None:
        raise QueryError(f"{source}: there are no positions in it")
    comment = lines.comment
    delimiter = _delimiter(first)
    records = _records(Lines(text), delimiter, source)
    _, header = next(records)
    if find_position(header, source) is None and comment:
        named = next(_records(Lines(comment), _delimiter(comment), source), (0, []))[1]
        if len(named) == len(header) and find_position(named, source):
            header = named  # the header is a comment, as numpy.savetxt writes it
            records = _records(Lines(text), delimiter, source)
    taken = find_position(header, source)
    if taken is None:
        return _bare_lines(text, header, delimiter, source)
    names = [name or f"column{i}" for i, name in enumerate(header, start=1)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise QueryError(f"{source}: the column {printable(twice[0], 40)!r} is there twice")
    raw = Raw(source, [], [], [], [], ra_column=taken[0], dec_column=taken[1])
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


def _bare_lines(text: str, first: list[str], delimiter: str | None, source: str) -> Raw:
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
    raw = Raw(source, [], [], [], [])
    whole: list[str] = []
    lines = Lines(text)
    for row, line in enumerate(lines, start=1):
        whole.append(line.strip().replace(";", ",") if delimiter == ";" else line.strip())
        raw.line.append(lines.number)
        raw.row.append(row)
    raw.ra, raw.dec = whole, [""] * len(whole)
    return raw
