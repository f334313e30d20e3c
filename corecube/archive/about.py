"""The description of an archive: what it is, written once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from corecube.archive.inside import open_file
from corecube.archive.jsontext import conform, loads
from corecube.archive.layout import DESCRIPTION
from corecube.errors import ArchiveDamaged

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
