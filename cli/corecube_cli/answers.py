"""Answers in all formats: two titled tables for people, one table for programs, one JSON object."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from corecube.tabular import Field, Rows, concatenate
from corecube_cli.asking import Answer
from corecube_cli.console import console, width_of
from corecube_cli.formats import write_rows
from corecube_cli.outputs import write_whole

_PARTS: Final = ("instrument", "shot", "group", "id")
_DIGITS: Final = {"separation": 4, "start": 5, "end": 5, "coverage": 4}
"""Decimals for people: 0.1 mas, 0.9 s, 1e-4."""


def write_answer(answer: Answer, format: str, target: str) -> None:
    """Write an answer to stdout (``-``) or into a file.

    Parameters
    ----------
    answer : Answer
    format : str
        One of `corecube_cli.formats.FORMATS`.
    target : str
    """
    if target == "-":
        write_to(answer, format, sys.stdout, width_of(sys.stdout))
        sys.stdout.flush()
    else:
        write_whole(Path(target), lambda file: write_to(answer, format, file, None))


def write_to(answer: Answer, format: str, stream: Any, width: int | None) -> None:
    """Write an answer into an open stream."""
    if format == "table":
        text = io.StringIO()
        _write_table(answer, text, width)
        _put(stream, text.getvalue())
    elif format == "json":
        _put(stream, json_text(answer))
    else:
        write_rows(one_table(answer), format, stream, command=console.command)


def _put(stream: Any, text: str) -> None:
    if isinstance(stream, io.TextIOBase):
        stream.write(text)
    else:
        stream.write(text.encode("utf-8", "backslashreplace"))


def _write_table(answer: Answer, stream: io.StringIO, width: int | None) -> None:
    parts = [("Spectra", answer.fibers), ("Images", answer.images)]
    shown = [(title, rows) for title, rows in parts if len(rows)]
    for number, (title, rows) in enumerate(shown):
        stream.write(f"{chr(10) if number else ''}{title} ({len(rows)})\n")
        write_rows(for_people(rows), "table", stream, width=width)


def for_people(rows: Rows) -> Rows:
    """Return a table with full names in one column, and only digits that people read."""
    fields: dict[str, Field] = {}
    name_parts = [part for part in _PARTS if part in rows]
    for column in rows:
        field = rows[column]
        if column == name_parts[0]:
            texts = ["/".join(cells) for cells in zip(
                *(rows[part].values.tolist() for part in name_parts), strict=True)]  # fmt: skip
            fields["name"] = Field(np.array(texts, dtype=np.str_))
        if column in name_parts or column == "source":
            continue
        if column in _DIGITS:
            rounded = np.round(np.asarray(field.values, dtype=np.float64), _DIGITS[column])
            missing = ~np.isfinite(rounded)
            field = Field(rounded, field.unit, field.description, missing)
        if not (column in ("separation", "target") and _nothing(field)):
            fields[column] = field
    return Rows(fields)


def _nothing(field: Field) -> bool:
    if field.dtype.kind == "U":
        return not any(field.values.tolist())
    return bool(field.mask.all())


def one_table(answer: Answer) -> Rows:
    """Return fibres and images below each other; the column ``kind`` says which a row is."""
    parts: list[Rows] = []
    for kind, rows in (("fiber", answer.fibers), ("image", answer.images)):
        first = Field(np.full(len(rows), kind), "", "Whether the row is a fiber or an image.")
        parts.append(Rows({"kind": first, **rows.fields}))
    meta: dict[str, Any] = dict(answer.asked)
    if answer.unmatched:
        meta["unmatched"] = answer.unmatched
    return concatenate(parts, meta)


def json_text(answer: Answer) -> str:
    """Return one JSON object: ``meta``, ``fibers``, ``images``."""
    from importlib.metadata import version

    meta: dict[str, Any] = {
        "creator": f"corecube {version('corecube')}", "command": console.command, **answer.asked,
        "units": {
            kind: {name: rows[name].unit for name in rows if rows[name].unit}
            for kind, rows in (("fibers", answer.fibers), ("images", answer.images))
        },
        "unmatched": answer.unmatched,
        "skipped": answer.skipped,
    }  # fmt: skip
    parts = [f'{{"meta": {json.dumps(meta, ensure_ascii=False, allow_nan=False)}']
    for kind, rows in (("fibers", answer.fibers), ("images", answer.images)):
        stream = io.StringIO()
        write_rows(rows, "json", stream)
        parts.append(f'"{kind}": {stream.getvalue().rstrip()}')
    return ",\n".join(parts) + "}\n"
