"""Which images touch a region and pass the filters, and their rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from corecube.archive import cutout
from corecube.archive.answer import CUTOUT_SIZE, IMAGE_COLUMNS, empty_table, fields_of, ordered
from corecube.archive.imageindex import ImagePlace
from corecube.archive.regions import Cone, Region
from corecube.archive.selection import ColumnNames, Select
from corecube.archive.sphere import separation
from corecube.tabular import Rows

if TYPE_CHECKING:
    from corecube.archive.reader import Archive, State


def find_images(
    archive: Archive,
    state: State,
    region: Region | None,
    center: tuple[float, float] | None,
    select: Select,
) -> tuple[Rows, list[ImagePlace]]:
    """Return the table of images, and the image of each row; `region` None: all, placed or not."""
    index = state.images
    if not index.places:
        return empty_table(IMAGE_COLUMNS), []
    if region is None:
        numbers = np.arange(len(index.places))
        near = numbers
    else:
        numbers = index.touching(region)
        near = numbers
        if center is not None and select.size is not None:
            reach = select.size * index.largest_scale  # more than half the square's diagonal
            near = np.union1d(near, index.touching(Cone(*center, min(reach, 180.0))))
    inside = (
        index.containing(*center) if center is not None else np.zeros(len(index.places), bool)
    )  # fmt: skip
    base = set(numbers.tolist())
    size = select.size or CUTOUT_SIZE
    places, coverages, contains = [], [], []
    for number in near.tolist():
        place = index.places[number]
        if select.bands and place.about["band"] not in select.bands:
            continue
        if select.instruments and place.shot.instrument not in select.instruments:
            continue
        coverage = np.nan
        if center is not None and place.about["footprint"]:
            coverage = _coverage(archive, place, center, size)
        if number not in base and not coverage > 0:
            continue
        places.append(place)
        coverages.append(coverage)
        contains.append(bool(inside[number]))
    table = _image_rows(places, coverages, contains, center)
    use = select.in_time(table["start"].values, table["end"].values)
    if select.where is not None:
        use &= _image_filter(state, table, select)
    kept = np.flatnonzero(use)
    table, order = ordered(table.take(kept), center)
    return table, [places[kept[i]] for i in order]


def _coverage(archive: Archive, place: ImagePlace, center: tuple[float, float], size: int) -> float:
    cards = archive.shot(place.shot).description["images"][place.name]["cards"]
    if cards is None:
        return float("nan")
    ny, nx = place.about["shape"]
    found = cutout.window(*cutout.pixel_of(cards, *center), size, (ny, nx))
    return 0.0 if found is None else found.coverage


def _image_rows(
    places: Sequence[ImagePlace],
    coverages: Sequence[float],
    contains: Sequence[bool],
    center: tuple[float, float] | None,
) -> Rows:
    middle = np.array([place.center for place in places]).reshape(-1, 2)
    apart = np.full(len(places), np.nan)
    if center is not None and places:
        apart = separation(middle[:, 0], middle[:, 1], *center) * 3600.0

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
        "contains": np.array(contains, dtype=bool), "coverage": np.array(coverages, np.float64),
        "unit": texts(lambda p: p.about["unit"]), "source": texts(lambda p: p.shot.file),
    }  # fmt: skip
    return Rows(fields_of(values, IMAGE_COLUMNS))


def _image_filter(state: State, table: Rows, select: Select) -> npt.NDArray[np.bool_]:
    assert select.where is not None
    finder = ColumnNames(state, select)

    def lookup(name: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
        if name in table:
            return table[name].values, table[name].missing
        found = finder.missing(name, len(table))  # a column of fibres: images have none
        return found.values, found.missing

    return select.where.evaluate(lookup)
