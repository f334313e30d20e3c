r"""Tables as text for people and as files for programs.

=========  =======================================================================================
format     what it keeps
=========  =======================================================================================
table      for people: aligned, units in the second line, positions with 7 decimals of a degree
csv        all digits; no units, no types. Missing is empty, an empty text is ``""``
json       an array of objects, one a line; strict: missing and what is not finite is ``null``
ecsv       everything, through astropy; control characters as visible escapes, blanks at the ends
           of a text are lost
votable    types, units, UCDs; the command and other facts as INFO; a NaN reads back as missing
fits       a binary table; text that is not ASCII as ``\xe9`` escapes, as the standard wants
=========  =======================================================================================
"""

from __future__ import annotations

import io
import json
import math
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from corecube.errors import QueryError
from corecube.tabular import Field, Rows
from corecube.text import MISSING_TEXT, column_text, number_text, printable

__all__ = ["FORMATS", "write_rows"]

FORMATS: Final = ("table", "csv", "json", "ecsv", "votable", "fits")

BLOCK: Final = 10_000
"""Rows that are turned into text at a time."""

POSITION_DECIMALS: Final = 7
"""Decimals of a degree for people: 0.36 milliarcsec."""


def write_rows(
    rows: Rows,
    format: str,
    target: str | Path | IO[Any],
    *,
    width: int | None = None,
    command: str = "",
) -> None:
    """Write a table.

    Parameters
    ----------
    rows : Rows
        The table. Columns named ``ra`` and ``dec`` are its position.
    format : str
        One of `FORMATS`.
    target : str, Path or open stream
        A file is replaced. A text stream with a buffer, such as ``sys.stdout``, gets UTF-8;
        ``table`` is written in the stream's own encoding, with escapes for what it lacks.
    width : int, optional
        Columns of the terminal, to which each line of ``table`` is cut; None cuts nothing.
    command : str
        Command line that makes this table again; kept by ecsv, votable and fits.

    Raises
    ------
    QueryError
        If the format is not known, the values have no place in it, or a binary table would be
        written to a terminal.
    """
    if format not in FORMATS:
        raise QueryError(f"no format {printable(format, 40)!r}; known are: {', '.join(FORMATS)}")
    if format in ("ecsv", "votable", "fits"):
        from corecube_cli import astropy_formats

        if format == "fits" and not isinstance(target, str | Path) and target.isatty():
            raise QueryError("fits is binary; write it into a file or a pipe, not to a terminal")
        data = getattr(astropy_formats, f"{format}_bytes")(rows, command)
        _emit(iter((data,)), target)
        return
    if format == "table":
        _emit(_table(rows, width), target, for_people=True)
    elif format == "csv":
        _emit(_csv(rows), target)
    else:
        _emit(_json(rows), target)


def _emit(
    parts: Iterator[str] | Iterator[bytes],
    target: str | Path | IO[Any],
    *,
    for_people: bool = False,
) -> None:
    """Write text or bytes to a file or stream."""
    if isinstance(target, str | Path):
        with Path(target).open("wb") as file:
            for part in parts:
                file.write(part if isinstance(part, bytes) else _utf8(part))
        return
    stream: Any = target
    buffer = getattr(stream, "buffer", None)
    if buffer is None and isinstance(stream, io.TextIOBase):
        for part in parts:
            if isinstance(part, bytes):
                raise QueryError("a binary table cannot be written into a text stream")
            stream.write(part)
        return
    encoding = (getattr(stream, "encoding", None) or "utf-8") if for_people else "utf-8"
    if buffer is not None:
        stream.flush()
    binary = stream if buffer is None else buffer
    for part in parts:
        whole = part if isinstance(part, bytes) else part.encode(encoding, "backslashreplace")
        binary.write(whole)
    binary.flush()


def _utf8(text: str) -> bytes:
    """Encode; a lone surrogate, as in the name of a file, becomes an escape."""
    return text.encode("utf-8", "backslashreplace")


def _is_position(name: str, field: Field) -> str:
    """Return ``ra``, ``dec`` or an empty text."""
    last = name.lower().replace(".", "_").rsplit("_", 1)[-1]
    if field.unit == "deg" and field.dtype.kind == "f" and last in ("ra", "dec"):
        return last
    return ""


def _position_text(value: float, kind: str) -> str:
    if not math.isfinite(value):
        return number_text(value)
    text = f"{value:.{POSITION_DECIMALS}f}"
    return f"{0.0:.{POSITION_DECIMALS}f}" if kind == "ra" and float(text) >= 360.0 else text


def _cells(field: Field, start: int, stop: int, missing: str, kind: str = "") -> list[str]:
    """Return the texts of a block of rows."""
    values = field.values[start:stop]
    if values.ndim > 1:
        flat = [json.dumps(_json_values(field.take(slice(i, i + 1)))[0], allow_nan=False)
                for i in range(start, min(stop, len(field)))]  # fmt: skip
        return flat
    if kind:
        texts = [_position_text(value, kind) for value in values.astype(np.float64).tolist()]
    else:
        texts = column_text(values)
    if field.missing is not None:
        for i in np.flatnonzero(field.missing[start:stop]).tolist():
            texts[i] = missing
    return texts


def _columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _pad(text: str, width: int, *, right: bool) -> str:
    blanks = " " * (width - _columns_of(text))
    return blanks + text if right else text + blanks


def _cut(line: str, width: int | None) -> str:
    """Cut a line to the columns of the terminal; an ellipsis says so."""
    line = line.rstrip()
    if width is None or _columns_of(line) <= width:
        return line
    kept, used = [], 0
    for character in line:
        used += _columns_of(character)
        if used > width - 1:
            break
        kept.append(character)
    return "".join(kept) + "…"


def _table(rows: Rows, width: int | None) -> Iterator[str]:
    """Yield aligned text: names, units if there are any, rows."""
    if not rows.names:
        return
    columns: list[list[str]] = []
    has_units = any(rows[name].unit for name in rows)
    for name in rows:
        field = rows[name]
        texts = _cells(field, 0, len(rows), MISSING_TEXT, _is_position(name, field))
        head = [printable(name)] + ([printable(field.unit)] if has_units else [])
        columns.append([*head, *(printable(text) for text in texts)])
    heads = 2 if has_units else 1
    aligned = []
    for name, texts in zip(rows.names, columns, strict=True):
        right = rows[name].dtype.kind in "iuf" and rows[name].values.ndim == 1
        wide = max(_columns_of(text) for text in texts)
        aligned.append([_pad(text, wide, right=right) for text in texts])
    del columns
    for i in range(heads + len(rows)):
        yield _cut("  ".join(texts[i] for texts in aligned), width) + "\n"


def _csv_cell(text: str) -> str:
    """Quote a text as RFC 4180 wants it; an empty one too, so that it is not taken as missing."""
    if not text or any(c in text for c in ',"\n\r') or text != text.strip() or text[0] == "#":
        return '"' + text.replace('"', '""') + '"'
    return text


def _csv(rows: Rows) -> Iterator[str]:
    """Yield RFC 4180 with line feeds."""
    if not rows.names:
        return
    yield ",".join(_csv_cell(name) for name in rows) + "\n"
    for start in range(0, len(rows), BLOCK):
        stop = start + BLOCK
        columns: list[Sequence[str]] = []
        for name in rows:
            field = rows[name]
            texts = _cells(field, start, stop, "")
            if field.dtype.kind in "U" or field.values.ndim > 1:
                mask = field.mask[start:stop].reshape(len(texts), -1)
                gone: list[bool] = np.logical_and.reduce(mask, axis=1).tolist()
                texts = [
                    "" if lost else _csv_cell(text) for text, lost in zip(texts, gone, strict=True)
                ]
            columns.append(texts)
        lines = [",".join(cells) for cells in zip(*columns, strict=True)]
        # a line without any character would be skipped by readers
        yield "".join((line or '""') + "\n" for line in lines)


def _json_values(field: Field) -> list[Any]:
    """Return what `json` writes: shortest numbers, None for missing and not finite."""
    values = field.values
    result: list[Any]
    if values.dtype.kind == "f":
        flat = values.ravel()
        if values.dtype.itemsize < 8:  # the shortest text of the type, not of its float64 value
            numbers = [float(text) for text in column_text(flat)]
        else:
            numbers = flat.tolist()
        result = [number if math.isfinite(number) else None for number in numbers]
    elif values.dtype.kind == "U":
        result = [
            text.encode("utf-8", "backslashreplace").decode() for text in values.ravel().tolist()
        ]
    else:
        result = values.ravel().tolist()
    if field.missing is not None:
        for i in np.flatnonzero(field.missing.ravel()).tolist():
            result[i] = None
    for size in reversed(values.shape[1:]):
        result = [result[i : i + size] for i in range(0, len(result), size)] if size else []
    return result


def _json(rows: Rows) -> Iterator[str]:
    """Yield a JSON array, one object a line."""
    yield "["
    first = True
    names = rows.names
    for start in range(0, len(rows), BLOCK):
        part = rows.take(slice(start, start + BLOCK))
        columns = [_json_values(part[name]) for name in names]
        lines = [
            json.dumps(dict(zip(names, cells, strict=True)), ensure_ascii=False, allow_nan=False)
            for cells in zip(*columns, strict=True)
        ]
        yield ("\n" if first else ",\n") + ",\n".join(lines)
        first = False
    yield "]\n" if first else "\n]\n"
