"""Descriptions as text for people: names and values, sections, small tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from corecube.text import MISSING_TEXT, printable


def text_of(description: Mapping[str, Any]) -> str:
    """Return a description as text.

    Parameters
    ----------
    description : mapping
        Plain JSON. A mapping becomes a section, a list of mappings a table, a list of texts a
        line each; what is empty is left out.
    """
    head = f"{description.get('name', '')}  ({description.get('what', '')})"
    lines = [printable(head)]
    rest = {key: value for key, value in description.items() if key not in ("name", "what")}
    simple = {key: value for key, value in rest.items() if not _is_section(value)}
    lines += [f"  {line}" for line in pairs(simple)]
    for key, value in rest.items():
        if _is_section(value) and value:
            lines += ["", printable(key), *(f"  {line}" for line in section(value))]
    return "\n".join(lines) + "\n"


def section(value: Any) -> Iterator[str]:
    """Yield the lines of a section."""
    if isinstance(value, Mapping):
        nested = [part for part in value.values() if isinstance(part, Mapping) and part]
        if nested and all(part.keys() == nested[0].keys() for part in nested) and len(nested) > 1:
            yield from pairs({k: v for k, v in value.items() if not isinstance(v, Mapping)})
            yield from columns(
                [{"": key, **part} for key, part in value.items() if isinstance(part, Mapping)]
            )
            return
        for key, part in value.items():
            if _is_section(part) and part:
                yield printable(str(key))
                yield from (f"  {line}" for line in section(part))
        yield from pairs({k: v for k, v in value.items() if not _is_section(v)})
    elif value and isinstance(value[0], Mapping):
        yield from columns(value)
    else:
        yield from (cell(part) for part in value)


def pairs(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield aligned ``name  value`` lines."""
    kept = {printable(str(k)): cell(v) for k, v in values.items() if v not in (None, "", [], {})}
    wide = max((len(key) for key in kept), default=0)
    for key, text in kept.items():
        yield f"{key.ljust(wide)}  {text}"


def columns(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield an aligned table; columns that are empty in all rows are left out."""
    names = [n for n in rows[0] if any(row.get(n) not in (None, "", []) for row in rows)]
    table = [[printable(name) for name in names]]
    table += [[cell(row.get(name)) for name in names] for row in rows]
    numeric = [all(isinstance(row.get(name), int | float | None) for row in rows) for name in names]
    wide = [max(len(line[i]) for line in table) for i in range(len(names))]
    for line in table:
        texts = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, wide, numeric, strict=True)
        ]
        yield "  ".join(texts).rstrip()


def cell(value: Any) -> str:
    """Return the text of one value."""
    if value is None or value == "":
        return MISSING_TEXT
    if isinstance(value, float):
        return f"{value:.10g}" if value == value and abs(value) >= 1e5 else repr(_seven(value))
    if isinstance(value, list | tuple):
        if value and isinstance(value[0], list | tuple):
            return "; ".join(" ".join(cell(part) for part in pair) for pair in value)
        if all(isinstance(part, int) for part in value):
            return " x ".join(str(part) for part in value) or "1"
        return " ".join(cell(part) for part in value)
    return printable(str(value))


def _seven(value: float) -> float:
    """Return a number with the digits that people read."""
    return float(f"{value:.10g}")


def _is_section(value: Any) -> bool:
    if isinstance(value, Mapping):
        return True
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping | str)
