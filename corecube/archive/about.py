"""The description of an archive: what it is, written once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from corecube.archive.inside import open_file
from corecube.archive.jsontext import conform, loads
from corecube.archive.layout import DESCRIPTION, PROFILES
from corecube.archive.pyramid import MOST_LEVELS
from corecube.archive.rounding import FEWEST, MOST
from corecube.errors import ArchiveDamaged, ArchiveTooNew

_SCHEMA: Final = {"format": int, "profile": str, "uuid": str, "created": str}


def read_about(archive: Path) -> dict[str, Any]:
    """Return what ``archive.json`` says: format, profile, uuid and created at least.

    Raises
    ------
    ArchiveDamaged
        If it is missing, or is not what corecube writes.
    """
    path = archive / DESCRIPTION
    try:
        with open_file(path) as file:
            about: dict[str, Any] = loads(file.read())
        conform(about, _SCHEMA)
    except (OSError, ValueError) as error:
        raise ArchiveDamaged(f"{path}: is damaged; run 'corecube repair'") from error
    return about


def profile_of(archive: Path) -> str:
    """Return the profile of an archive, one of `layout.PROFILES`.

    Raises
    ------
    ArchiveDamaged
        If its description is damaged or missing.
    ArchiveTooNew
        If this corecube does not know its profile.
    """
    profile: str = read_about(archive)["profile"]
    if profile not in PROFILES:
        raise ArchiveTooNew(f"{archive}: has the profile '{profile}'; upgrade corecube")
    return profile


def error_bits_of(archive: Path) -> int | None:
    """Return how many bits of the mantissa an archive keeps of errors, None for all.

    Raises
    ------
    ArchiveDamaged
        If its description is damaged or missing.
    """
    bits: int | None = read_about(archive).get("error_bits")
    if bits is not None and not (type(bits) is int and FEWEST <= bits <= MOST):
        raise ArchiveDamaged(f"{archive / DESCRIPTION}: is damaged; run 'corecube repair'")
    return bits


def levels_of(archive: Path) -> int | None:
    """Return how many levels the images of an archive have, None for as many as suit their size.

    Raises
    ------
    ArchiveDamaged
        If its description is damaged or missing.
    """
    levels: int | None = read_about(archive).get("levels")
    if levels is not None and not (type(levels) is int and 0 <= levels <= MOST_LEVELS):
        raise ArchiveDamaged(f"{archive / DESCRIPTION}: is damaged; run 'corecube repair'")
    return levels
