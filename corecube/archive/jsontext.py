"""JSON of an archive, which a stranger may have written: parsed, and of the expected shape.

A schema is a type (``str``, ``int``, ``float``, ``bool``, ``None``), a tuple of schemas of which
one must fit, a list of one schema for all elements, a `Each` for all values of an object, or a dict
of fields; a field whose name ends in ``?`` may be missing, fields that are not named are ignored.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Final

_LARGEST: Final = 2**63
"""Whole numbers reach as far as those of numpy."""

Schema = Any


@dataclass(frozen=True)
class Each:
    """An object whose values all have one schema."""

    schema: Schema


def loads(text: bytes | str) -> Any:
    """Return what JSON says; neither NaN nor infinity, which ours has not.

    Raises
    ------
    ValueError
        If it is no JSON, or nested so deeply that nobody can read it.
    """
    try:
        return json.loads(text, parse_constant=_refused)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def conform(value: Any, schema: Schema, where: str = "it") -> None:
    """Compare a value with a schema.

    Raises
    ------
    ValueError
        If it does not fit; the message begins with `where`.
    """
    wrong = _wrong(value, schema)
    if wrong is not None:
        raise ValueError(f"{where}{wrong}")


def _wrong(value: Any, schema: Schema) -> str | None:
    """Say what is wrong, and where in the value; None if nothing is."""
    if schema is str:  # most are
        return None if isinstance(value, str) else " is no text"
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            return " is no object"
        for name, part in schema.items():
            field = name[:-1] if name[-1] == "?" else name
            if field in value:
                wrong = _wrong(value[field], part)
                if wrong is not None:
                    return f".{field}{wrong}"
            elif field is name:
                return f" has no '{field}'"
        return None
    if isinstance(schema, list):
        if not isinstance(value, list):
            return " is no list"
        for number, element in enumerate(value):
            wrong = _wrong(element, schema[0])
            if wrong is not None:
                return f"[{number}]{wrong}"
        return None
    if isinstance(schema, Each):
        if not isinstance(value, dict):
            return " is no object"
        for name, element in value.items():
            wrong = _wrong(element, schema.schema)
            if wrong is not None:
                return f".{name[:40]}{wrong}"
        return None
    if isinstance(schema, tuple):
        fits = any(_wrong(value, one) is None for one in schema)
    else:
        fits = _is(value, schema)
    return None if fits else " is of another kind"


def _is(value: Any, kind: Any) -> bool:
    if kind is None or value is None:
        return value is kind
    if kind is bool or isinstance(value, bool):
        return isinstance(value, bool) and kind is bool
    if isinstance(value, int) and kind in (int, float):
        return abs(value) < _LARGEST or (kind is float and abs(value) < 2 * _LARGEST)
    if kind is float:
        return isinstance(value, float) and math.isfinite(value)
    return isinstance(value, kind)
