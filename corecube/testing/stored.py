"""A few frames of an archive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from corecube.archive.reader import Archive
from corecube.frames import Frame
from corecube.testing.case import Case

_IMAGES: Final = 4
"""Images of a shot that are looked at."""

_ROWS: Final = 8
"""Fibres of a group that are looked at."""


def stored_frames(case: Case) -> Iterator[tuple[str, Frame]]:
    """Yield images and first fibres of the archive of all files."""
    with case.archived() as archive:
        yield from frames_of(archive)


def frames_of(archive: Archive, kind: str = "") -> Iterator[tuple[str, Frame]]:
    """Yield a few images and the first fibres of each shot of an archive, or those of a kind."""
    for record in archive.state.catalogue.by_identity.values():
        if kind and record.kind != kind:
            continue
        shot = archive.shot(record)
        for name in shot.images[:_IMAGES]:
            yield f"{record.identity}: {name}", shot.frame(name)
        for group in shot.groups:
            rows = shot.rows(group, 0, min(_ROWS, shot.row_count(group)))
            yield f"{record.identity}: {group}", rows
