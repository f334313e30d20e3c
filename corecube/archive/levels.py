"""Reading a level of a pyramid: stored, made from the image, or anew where lists came later."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

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
    key = (slice(*rows), slice(*columns))
    found = (
        _stored(shot, name, level, key)
        if about.get("level_parts") is None
        else _made(shot, name, level, rows, columns)
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


def _stored(shot: StoredShot, name: str, level: int, key: tuple[slice, slice]) -> Level:
    where, listed = f"/images/{name}/pyramid/{level}", shot.description["arrays"]
    return Level(
        level,
        shot.read(f"{where}/flux", key),
        shot.read(f"{where}/error", key),
        shot.read(f"{where}/mask", key) if f"{where}/mask" in listed else None,
        shot.read(f"{where}/coverage", key) if f"{where}/coverage" in listed else None,
    )


def _made(shot: StoredShot, name: str, level: int, rows: Span, columns: Span) -> Level:
    """Make a part of a level that is not stored from the image, a few rows at a time."""
    about = shot.image(name)
    ny, nx = about["shape"]
    first, end = columns[0] << level, min(nx, columns[1] << level)
    height = max(1, _PIXELS // max(1, end - first) >> level)
    parts = [
        _of_stripe(shot, name, level, (top << level, min(ny, bottom << level)), (first, end))
        for top in range(rows[0], rows[1], height)
        for bottom in (min(rows[1], top + height),)
    ]
    flux, error, mask, coverage = (np.concatenate(planes) for planes in zip(*parts, strict=True))
    return Level(
        level, flux, error, mask if "mask" in about["level_parts"] else None,
        coverage if "coverage" in about["level_parts"] else None,
    )  # fmt: skip


def _of_stripe(
    shot: StoredShot, name: str, level: int, rows: Span, columns: Span
) -> tuple[npt.NDArray[Any], ...]:
    """Return flux, error, mask and coverage of a level over some pixels of the image."""
    key = (slice(*rows), slice(*columns))
    flux, mask = (shot.read(f"/images/{name}/{part}", key) for part in ("flux", "mask"))
    *_, made = pyramid.levels(flux, shot.error(name, rows, columns, flux), mask, level)
    return made.arrays((flux.shape[0], flux.shape[1]))


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
    flux, mask = (shot.read(f"/images/{name}/{part}", key) for part in ("flux", "mask"))
    ny, nx = shot.image(name)["shape"]
    spans = (first[0], min(ny, end[0])), (first[1], min(nx, end[1]))
    error = shot.error(name, *spans, flux)
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
