"""Settings as they are declared: fields of a dataclass, with what users need to know of them.

A setting is of type bool, int, float, str, Path, Literal, an optional of these, a list, tuple or
dict of these, or another such dataclass. `about` gives it a description, a unit and limits.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Sequence
from typing import Any


def about(
    description: str,
    *,
    unit: str = "",
    choices: Sequence[object] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    changes_numbers: bool = True,
) -> dict[str, Any]:
    """Return the metadata of a setting: ``gain: float = field(default=4.7, metadata=about(...))``.

    Parameters
    ----------
    description : str
        One line for people.
    unit : str
        Unit of the value.
    choices : sequence
        All values that are allowed; for a list or dict, those of its elements.
    minimum, maximum : float, optional
        Limits, inclusive; for a list or dict, those of its elements.
    changes_numbers : bool
        False if no stored number depends on it: then it is left out of the fingerprint.

    Returns
    -------
    dict
        For ``dataclasses.field(metadata=...)``. A plain dict with some of these keys does too.
    """
    return {
        "description": description,
        "unit": unit,
        "choices": tuple(choices),
        "minimum": minimum,
        "maximum": maximum,
        "changes_numbers": changes_numbers,
    }


def settings_of(cls: type) -> dict[str, tuple[dataclasses.Field[Any], Any]]:
    """Return the fields of a dataclass that can be set, with their resolved types."""
    return _settings_of(cls)


@functools.cache
def _settings_of(cls: Any) -> dict[str, tuple[dataclasses.Field[Any], Any]]:
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"{cls!r} is no dataclass; settings are declared as one")
    try:
        hints = typing.get_type_hints(cls)
    except NameError as error:
        raise TypeError(
            f"the types of {cls!r} cannot be resolved ({error}); "
            "define the names in its module, not under TYPE_CHECKING"
        ) from error
    return {item.name: (item, hints[item.name]) for item in dataclasses.fields(cls) if item.init}


def is_dataclass_type(hint: Any) -> bool:
    """Tell whether a type is a dataclass."""
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def optional_of(hint: Any) -> tuple[Any, bool]:
    """Return the type without None, and whether None is allowed."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        rest = [item for item in typing.get_args(hint) if item is not type(None)]
        if len(rest) == 1 and len(rest) < len(typing.get_args(hint)):
            return rest[0], True
        raise TypeError(f"a setting cannot be of type {hint}; only X | None is allowed")
    return hint, False


def has_default(item: dataclasses.Field[Any]) -> bool:
    """Tell whether a field has a default."""
    return (
        item.default is not dataclasses.MISSING or item.default_factory is not dataclasses.MISSING
    )


def default_of(item: dataclasses.Field[Any]) -> Any:
    """Return the default of a field, made anew."""
    if item.default_factory is not dataclasses.MISSING:
        return item.default_factory()
    return item.default
