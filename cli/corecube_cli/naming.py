"""The one row that a name of the command line stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corecube.errors import AmbiguousName

if TYPE_CHECKING:
    from corecube.archive import Archive
    from corecube.archive.names import Row


def the_one(archive: Archive, name: str) -> Row:
    """Return what a name stands for.

    Raises
    ------
    QueryError
        If nothing has this name.
    AmbiguousName
        If several have; with their full names.
    """
    rows = archive.find(name)
    if len(rows) > 1:
        names = tuple(row.name for row in rows)
        raise AmbiguousName(f"'{name}' fits {len(names)} rows; give a full name:", names)
    return rows[0]
