"""Units as text in the astropy notation, checked once and converted on request."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from corecube.errors import UnitError

FLUX_DENSITY = "1e-17 erg / (Angstrom s cm2)"
"""Unit of SDSS and BOSS spectra (SDSS data model, page "spec")."""

_KNOWN = frozenset(
    {
        "", "adu", "adu2", "Angstrom", "arcsec", "d", "deg", "electron", "electron / adu", "km / s",
        "mag", "mm", "nanomaggy", "nanomaggy / adu", "nanomaggy-2", "pix", "s", FLUX_DENSITY,
        "1e-17 erg / (Angstrom s cm2 electron)",
    }
)  # fmt: skip
"""Spellings that need no look at astropy, whose import costs more than a query."""


def check(unit: str) -> str:
    """Return `unit` if it is a unit.

    Parameters
    ----------
    unit : str
        A unit as astropy writes it, "" for a pure number.

    Raises
    ------
    UnitError
        If astropy does not know it.
    """
    if not isinstance(unit, str):
        raise UnitError(f"a unit must be text, not {type(unit).__name__}")
    if unit not in _KNOWN:
        _parsed(unit)
    return unit


def factor(old: str, new: str) -> float:
    """Return the number by which values in `old` are multiplied to be in `new`.

    Raises
    ------
    UnitError
        If one is no unit, they measure different things, or one is a logarithm, ``mag(AB)``.
    """
    if check(old) == check(new):
        return 1.0
    from astropy.units import FunctionUnitBase

    try:
        if any(isinstance(_parsed(unit), FunctionUnitBase) for unit in (old, new)):
            raise ValueError("a logarithm is no multiple of its argument")
        return float(_parsed(old).to(_parsed(new)))
    except ValueError as error:  # astropy's UnitConversionError is a ValueError
        raise UnitError(f"values in '{old}' cannot be converted to '{new}'") from error


@lru_cache(maxsize=256)
def _parsed(unit: str) -> Any:
    from astropy import units

    try:
        return units.Unit(unit)
    except (ValueError, TypeError) as error:
        raise UnitError(
            f"'{unit}' is no unit that astropy knows; write it like '{FLUX_DENSITY}' or 'nanomaggy'"
        ) from error
