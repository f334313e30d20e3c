"""Which images touch a region and pass the filters, and their rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from corecube.archive import cutout
from corecube.archive.answer import (
    CUTOUT_SIZE,
    IMAGE_COLUMNS,
    ImageMatches,
    IntArray,
    empty_table,
    fields_of,
)
from corecube.archive.imageindex import ImageIndex, ImagePlace
from corecube.archive.regions import Region
from corecube.archive.selection import ColumnNames, Select
from corecube.archive.targets import Targets
from corecube.tabular import Rows

if TYPE_CHECKING:
    from corecube.archive.reader import Archive, State


def find_images(
    archive: Archive,
    state: State,
    region: Region | None,
    targets: Targets | None,
    select: Select,
) -> ImageMatches:
    """Return the images that match.

    Parameters
    ----------
    archive : Archive
    state : State
        The state that is asked.
    region : Region or None
        None: around each of `targets`; without these all images, placed or not.
    targets : Targets or None
        With a cutout size in `select` also the images that the square around one touches.
    select : Select

    Raises
    ------
    QueryError
    ArchiveDamaged
    """
    index = state.images
    if not index.places:
        return ImageMatches((), np.empty(0, np.int64), np.empty(0, dtype=bool))
    if region is None and targets is None:
        number = np.arange(len(index.places))
        target = np.zeros(len(number), np.int64)
        sure = np.ones(len(number), dtype=bool)
    elif region is None or targets is not None:
        assert targets is not None
        number, target, sure = _around(index, region, targets, select)
    else:
        number = index.touching(region)
        target, sure = np.zeros(len(number), np.int64), np.ones(len(number), dtype=bool)
    use = np.array([_may_match(index.places[n], select) for n in number.tolist()], dtype=bool)
    number, target, sure = number[use], target[use], sure[use]
    contains = np.zeros(len(number), dtype=bool)
    if targets is not None and len(number):
        contains = index.contain(number, targets.ra[target], targets.dec[target])
    places = tuple(index.places[n] for n in number.tolist())
    matches = ImageMatches(places, target, contains)
    if targets is not None and not sure.all():
        covered = _coverages(archive, matches, targets, select.size or CUTOUT_SIZE) > 0
        matches = matches.take(np.flatnonzero(sure | covered))
    if select.where is not None:
        table = image_table(archive, matches, targets, select)
        matches = matches.take(np.flatnonzero(_filter(state, table, select)))
    if targets is not None and len(matches) > 1:
        apart = _separations(matches, targets)
        matches = matches.take(np.lexsort((apart, matches.target)))
    return matches


def _around(
    index: ImageIndex, region: Region | None, targets: Targets, select: Select
) -> tuple[IntArray, IntArray, npt.NDArray[np.bool_]]:
    """Return pairs of image and target that may match, and which of them surely do."""
    if region is not None:
        number = index.touching(region)
        target = np.zeros(len(number), np.int64)
    else:
        number, target = index.touching_many(targets.ra, targets.dec, targets.radius)
    sure = np.ones(len(number), dtype=bool)
    if select.size is None:
        return number, target, sure
    reach = min(select.size * index.largest_scale, 180.0)  # more than half the square's diagonal
    more, whose = index.touching_many(targets.ra, targets.dec, np.full(len(targets), reach))
    pair, wide = target * len(index.places) + number, whose * len(index.places) + more
    new = ~np.isin(wide, pair)
    number, target = np.append(number, more[new]), np.append(target, whose[new])
    sure = np.append(sure, np.zeros(int(new.sum()), dtype=bool))
    order = np.lexsort((number, target))
    return number[order], target[order], sure[order]


def _may_match(place: ImagePlace, select: Select) -> bool:
    if select.bands and place.about["band"] not in select.bands:
        return False
    if select.instruments and place.shot.instrument not in select.instruments:
        return False
    if select.time is None:
        return True
    start, end = (place.about[name] for name in ("start", "end"))
    return start is not None and end is not None and bool(select.in_time(start, end))


def _coverages(
    archive: Archive, matches: ImageMatches, targets: Targets, size: int
) -> npt.NDArray[np.float64]:
    found = np.full(len(matches), np.nan)
    for i, (place, target) in enumerate(zip(matches.places, matches.target.tolist(), strict=True)):
        if not place.about["footprint"]:
            continue
        cards = archive.shot(place.shot).description["images"][place.name]["cards"]
        if cards is None:
            continue
        ny, nx = place.about["shape"]
        ra, dec = targets.place(target)
        window = cutout.window(*cutout.pixel_of(cards, ra, dec), size, (ny, nx))
        found[i] = 0.0 if window is None else window.coverage
    return found


def _separations(matches: ImageMatches, targets: Targets) -> npt.NDArray[np.float64]:
    middle = _middles(matches)
    return targets.separation(matches.target, middle[:, 0], middle[:, 1])


def _middles(matches: ImageMatches) -> npt.NDArray[np.float64]:
    return np.array([place.center for place in matches.places]).reshape(-1, 2)


def image_table(
    archive: Archive, matches: ImageMatches, targets: Targets | None, select: Select
) -> Rows:
    """Return the table of images, a row for each match.

    Raises
    ------
    ArchiveDamaged
    """
    places = matches.places
    if not places:
        return empty_table(IMAGE_COLUMNS)
    middle = _middles(matches)
    apart = coverage = np.full(len(places), np.nan)
    if targets is not None:
        apart = _separations(matches, targets)
        coverage = _coverages(archive, matches, targets, select.size or CUTOUT_SIZE)

    def texts(get: Callable[[ImagePlace], str]) -> npt.NDArray[np.str_]:
        return np.array([get(place) for place in places], dtype=np.str_)

    def numbers(name: str) -> npt.NDArray[np.float64]:
        return np.array([place.about[name] for place in places], dtype=np.float64)

    values = {
        "instrument": texts(lambda p: p.shot.instrument), "shot": texts(lambda p: p.shot.key),
        "id": texts(lambda p: p.name), "band": texts(lambda p: p.about["band"]),
        "target": texts(lambda p: p.about["target"]),
        "ra": middle[:, 0], "dec": middle[:, 1], "separation": apart,
        "start": numbers("start"), "end": numbers("end"),
        "contains": matches.contains, "coverage": coverage,
        "unit": texts(lambda p: p.about["unit"]), "source": texts(lambda p: p.shot.file),
    }  # fmt: skip
    return Rows(fields_of(values, IMAGE_COLUMNS))


def _filter(state: State, table: Rows, select: Select) -> npt.NDArray[np.bool_]:
    assert select.where is not None
    finder = ColumnNames(state, select)

    def lookup(name: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
        if name in table:
            return table[name].values, table[name].missing
        found = finder.missing(name, len(table))  # a column of fibres: images have none
        return found.values, found.missing

    return select.where.evaluate(lookup)
