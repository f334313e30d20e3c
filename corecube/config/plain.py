"""Settings as plain JSON: stored in an archive, sent to workers, fingerprinted."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from corecube.config.declare import settings_of
from corecube.config.nodes import Place, node_of, raise_problems
from corecube.config.reading import Reader

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """Return a configuration as plain JSON.

    Parameters
    ----------
    value : dataclass instance or value of a setting
        A path becomes text, a number that is not finite ``"nan"``, ``"inf"``, ``"-inf"``.

    Returns
    -------
    JSON
        What `from_json` reads back into an equal instance.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: to_json(getattr(value, name)) for name in settings_of(type(value))}
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    raise TypeError(f"a setting cannot hold {type(value).__name__}")


def from_json(
    cls: type[T],
    data: Any,
    *,
    source: str = "stored configuration",
    unknown: Literal["refuse", "ignore"] = "refuse",
) -> T:
    """Make an instance from what `to_json` gave.

    Parameters
    ----------
    cls : type
        A dataclass of settings.
    data : JSON
        What is not there takes its default.
    source : str
        Where the data come from, for messages.
    unknown : {'refuse', 'ignore'}
        What to do with keys that the dataclass does not have (any more).

    Returns
    -------
    instance of cls

    Raises
    ------
    ConfigurationError
        With all problems, a line each.
    """
    reader = Reader(unknown)
    value = reader.read(node_of(data, Place(source)), cls, "", {})
    raise_problems(reader.problems)
    return typing.cast("T", value)


def fingerprint_fields(instance: Any) -> dict[str, Any]:
    """Return as plain JSON only the settings on which stored numbers depend.

    Parameters
    ----------
    instance : dataclass instance
        Fields with ``changes_numbers=False`` are left out, also in nested dataclasses.
    """
    result: dict[str, Any] = {}
    for name, (item, _) in settings_of(type(instance)).items():
        if not item.metadata.get("changes_numbers", True):
            continue
        result[name] = _fingerprint_value(getattr(instance, name))
    return result


def _fingerprint_value(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return fingerprint_fields(value)
    if isinstance(value, list | tuple):
        return [_fingerprint_value(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _fingerprint_value(item) for key, item in value.items()}
    return to_json(value)


def with_current(stored: T, current: T) -> T:
    """Return stored settings with the current values of those on which no number depends.

    Parameters
    ----------
    stored, current : dataclass instance of one type
        Fields with ``changes_numbers=False`` are taken from `current`, also in nested dataclasses.
    """
    changed: dict[str, Any] = {}
    for name, (item, _) in settings_of(type(stored)).items():
        old, new = getattr(stored, name), getattr(current, name)
        if not item.metadata.get("changes_numbers", True):
            changed[name] = new
        elif dataclasses.is_dataclass(old) and type(old) is type(new):
            changed[name] = with_current(old, new)
    return dataclasses.replace(stored, **changed)  # type: ignore[type-var]
