"""Reading a level of a pyramid: as stored, and anew where lists came after ingest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from corecube.archive import pyramid
from corecube.archive.latemasks import LateMasks
from corecube.archive.pyramid import Level
from corecube.errors import QueryError

if TYPE_CHECKING:
    from corecube.archive.shotfile import StoredShot

Span = tuple[int, int]

_PIXELS: Final = 2**22
"""Original pixels, about, that are read together: 50 MB of flux, error and mask."""


def read_level(
    shot: StoredShot, name: str, level: int, rows: Span | None = None, columns: Span | None = None
) -> Level:
    """Return a part of a level of an image's pyramid, late masks included.

    Only pixels of blocks that a late mask touches are read from the original image; the level is
    then what it would be had the lists been there at ingest.

    Parameters
    ----------
    shot : StoredShot
    name : str
        Of the image.
    level : int
        From 1 to the number of levels that the image has.
    rows, columns : (int, int), optional
        First and end, in pixels of the level, which must lie inside; all if not given.

    Raises
    ------
    QueryError
        If there is no such image or level.
    ArchiveDamaged
    """
    about = shot.image(name)
    ny, nx = about["shape"]
    if not 1 <= level <= about["levels"]:
        raise QueryError(f"{shot.identity}/{name} has no level {level}; it has {about['levels']}")
    rows = rows or (0, -(-ny >> level))
    columns = columns or (0, -(-nx >> level))
    where, key = f"/images/{name}/pyramid/{level}", (slice(*rows), slice(*columns))
    listed = shot.description["arrays"]
    found = Level(
        level,
        shot.read(f"{where}/flux", key),
        shot.read(f"{where}/error", key),
        shot.read(f"{where}/mask", key) if f"{where}/mask" in listed else None,
        shot.read(f"{where}/coverage", key) if f"{where}/coverage" in listed else None,
    )
    touched = _touched(shot.late, name, found, rows[0], columns[0])
    if not touched.any():
        return found
    if found.mask is None:
        found = replace(found, mask=np.zeros(touched.shape, np.uint32))
    if found.coverage is None:
        whole = pyramid.size_coverage((ny, nx), level)[key]
        found = replace(found, coverage=whole)
    height = max(1, _PIXELS // (touched.shape[1] << 2 * level))
    for top in range(0, touched.shape[0], height):
        _again(shot, name, found, touched, slice(top, top + height), (rows[0], columns[0]))
    return found


def _touched(
    late: LateMasks, name: str, found: Level, row: int, column: int
) -> npt.NDArray[np.bool_]:
    """Return the pixels of a part of a level that a late mask reaches into."""
    coarse = LateMasks(
        tuple(
            replace(
                span, row=span.row >> found.level, first=span.first >> found.level,
                last=span.last >> found.level,
            )
            for span in late.of_frame(name)
        )
    )  # fmt: skip
    planes = np.zeros(found.flux.shape, np.uint32)
    coarse.apply(name, planes, row, column)
    reached: npt.NDArray[np.bool_] = planes != 0
    return reached


def _again(
    shot: StoredShot, name: str, found: Level, touched: npt.NDArray[np.bool_], stripe: slice,
    corner: tuple[int, int],
) -> None:  # fmt: skip
    """Make the touched pixels of some rows of a level anew, in place."""
    places = np.nonzero(touched[stripe])
    if not len(places[0]):
        return
    low, high = (
        [int(part) for part in ends]
        for ends in zip(*((axis.min(), axis.max() + 1) for axis in places), strict=True)
    )
    low[0], high[0] = low[0] + stripe.start, high[0] + stripe.start
    inner = (slice(low[0], high[0]), slice(low[1], high[1]))
    first = [(corner[axis] + low[axis]) << found.level for axis in (0, 1)]
    end = [(corner[axis] + high[axis]) << found.level for axis in (0, 1)]
    key = (slice(first[0], end[0]), slice(first[1], end[1]))  # the image's end cuts it
    flux, error, mask = (
        shot.read(f"/images/{name}/{part}", key) for part in ("flux", "error", "mask")
    )
    shot.late.apply(name, mask, first[0], first[1])
    *_, new = pyramid.levels(flux, error, mask, found.level)
    whole = pyramid.size_coverage((flux.shape[0], flux.shape[1]), found.level)
    where = touched[inner]
    for values, made in (
        (found.flux, new.flux), (found.error, new.error), (found.mask, new.mask),
        (found.coverage, whole if new.coverage is None else new.coverage),
    ):  # fmt: skip
        assert values is not None and made is not None
        values[inner][where] = made[where]
