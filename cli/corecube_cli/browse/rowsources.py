"""Where the rows of a table come from: blocks of cells, read when they are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from corecube.text import printable
from corecube_cli.browse import cells
from corecube_cli.browse.places import Fiber, Group, Picture, Pictures, Place, Shot, Spectra

if TYPE_CHECKING:
    from corecube.archive import Archive
    from corecube.archive.catalogue import ShotRecord
    from corecube.archive.names import Row
    from corecube.archive.query import Result
    from corecube.archive.shotfile import StoredShot
    from corecube.tabular import Rows

Cells = list[tuple[str, ...]]


@dataclass(frozen=True)
class Head:
    """A column: name, unit, and whether it holds numbers."""

    name: str
    unit: str = ""
    right: bool = False


class RowSource(Protocol):
    """A table that is read in blocks.

    Attributes
    ----------
    title : str
    heads : tuple of Head
    """

    title: str
    heads: tuple[Head, ...]

    @property
    def count(self) -> int:
        """Number of rows."""

    def read(self, archive: Archive, first: int, last: int) -> Cells:
        """Return the cells of some rows; runs in the archive's thread."""

    def place(self, row: int) -> Place:
        """Return what a row stands for; reads nothing."""


_CORE: Final = (
    Head("id"),
    Head("target"),
    Head("ra", "deg", True),
    Head("dec", "deg", True),
)
_AFTER: Final = (Head("start", "MJD", True), Head("end", "MJD", True))
_TIME_DECIMALS: Final = 5
"""Of a day: 0.9 s."""


class FiberRows:
    """The fibres of groups, one group after the other; any number of rows.

    Parameters
    ----------
    title : str
    parts : sequence of (shot's identity, group, rows)
    columns : mapping of name to (dtype, unit)
    named : bool
        Whether each row says its shot.
    """

    def __init__(
        self,
        title: str,
        parts: Sequence[tuple[str, str, int]],
        columns: dict[str, tuple[str, str]],
        *,
        named: bool,
        parent: bool = False,
    ) -> None:
        self.title = title
        self._parts = list(parts)
        self._starts = np.array([0, *accumulate(rows for *_, rows in parts)], dtype=np.int64)
        self._columns = columns
        self._named = named
        self._parent = parent
        own = [Head(n, unit, dtype != "text") for n, (dtype, unit) in columns.items()]
        first = [Head("shot")] * named + [*_CORE[:1]] + [Head("of")] * parent
        self.heads = (*first, *_CORE[1:], *own, *_AFTER)

    @property
    def count(self) -> int:
        """Number of rows."""
        return int(self._starts[-1])

    def place(self, row: int) -> Fiber:
        """Return the fibre of a row."""
        part = int(np.searchsorted(self._starts, row, side="right")) - 1
        shot, group, _ = self._parts[part]
        return Fiber(shot, group, row - int(self._starts[part]))

    def read(self, archive: Archive, first: int, last: int) -> Cells:
        """Return the cells of some rows."""
        found: Cells = []
        part = max(int(np.searchsorted(self._starts, first, side="right")) - 1, 0)
        while first < min(last, self.count):
            identity, group, rows = self._parts[part]
            start = int(self._starts[part])
            stop = min(last, start + rows)
            if stop > first:
                stored = archive.shot(archive.record(identity))
                found += self._block(stored, identity, group, slice(first - start, stop - start))
                first = stop
            part += 1
        return found

    def _block(self, stored: StoredShot, identity: str, group: str, key: slice) -> Cells:
        where = f"/fibers/{group}"
        about = {column["name"]: column for column in stored.group(group)["columns"]}
        size = key.stop - key.start
        texts = [cells.text_cells(stored.texts(f"{where}/id", key))]
        if self._named:
            texts.insert(0, [printable(identity.partition("/")[2])] * size)
        if self._parent:
            texts.append(cells.text_cells(stored.texts(f"{where}/parent_id", key)))
        texts.append(cells.text_cells(stored.texts(f"{where}/target", key)))
        texts += [cells.degrees(stored.read(f"{where}/{name}", key)) for name in ("ra", "dec")]
        for name in self._columns:
            column = about.get(name)
            path = f"{where}/columns/{name}"
            if column is None:
                texts.append(cells.text_cells([""] * size))
            elif column["dtype"] == "text":
                texts.append(cells.text_cells(stored.texts(path, key), column.get("missing")))
            else:
                texts.append(cells.cells(stored.read(path, key), column.get("missing")))
        for name in ("start", "end"):
            texts.append(cells.fixed(stored.read(f"{where}/{name}", key), _TIME_DECIMALS))
        return list(zip(*texts, strict=True))


@dataclass
class FixedRows:
    """A table whose cells are in memory: a list of images, an answer."""

    title: str
    heads: tuple[Head, ...]
    columns: list[list[str]]
    places: list[Place]

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.places)

    def place(self, row: int) -> Place:
        """Return what a row stands for."""
        return self.places[row]

    def read(self, archive: Archive, first: int, last: int) -> Cells:
        """Return the cells of some rows."""
        return list(zip(*(column[first:last] for column in self.columns), strict=True))


class ShotRows:
    """The shots of an archive as they are in its catalogue; nothing is read.

    Parameters
    ----------
    records : sequence of ShotRecord
    """

    title: str = "all shots"
    heads: tuple[Head, ...] = (
        Head("instrument"), Head("shot"), Head("kind"), Head("images", "", True),
        Head("spectra", "", True), Head("start", "MJD", True), Head("title"),
    )  # fmt: skip

    def __init__(self, records: Sequence[ShotRecord]) -> None:
        self._records = list(records)

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self._records)

    def place(self, row: int) -> Shot:
        """Return the shot of a row."""
        return Shot(self._records[row].identity)

    def read(self, archive: Archive, first: int, last: int) -> Cells:
        """Return the cells of some rows."""
        records = self._records[first:last]
        start = np.array([np.nan if r.start is None else r.start for r in records], np.float64)
        days = cells.fixed(start, _TIME_DECIMALS)
        return [
            (
                printable(r.instrument), printable(r.key), printable(r.kind), str(len(r.images)),
                str(sum(int(about["rows"]) for about in r.groups.values())), day,
                cells.text_cells([r.title])[0],
            )
            for r, day in zip(records, days, strict=True)
        ]  # fmt: skip


def open_shots(archive: Archive) -> ShotRows:
    """Return the table of all shots."""
    return ShotRows(list(archive.state.catalogue.by_identity.values()))


# -- tables of places ------------------------------------------------------------------------------


def open_rows(archive: Archive, place: Group | Spectra | Pictures) -> RowSource:
    """Return the table of a place of the tree.

    Raises
    ------
    QueryError
        If the shot or the group is gone.
    """
    if isinstance(place, Pictures):
        return _pictures(archive, place.instrument)
    if isinstance(place, Spectra):
        records = [
            record for record in archive.state.catalogue.by_identity.values()
            if place.instrument in ("", record.instrument)
        ]  # fmt: skip
        parts = [(r.identity, group, rows) for r in records for group, _, rows in r.indexed if rows]
        groups = [r.groups[group] for r in records for group, *_ in r.indexed]
        return FiberRows(f"{place.instrument}: all spectra", parts, _columns(groups), named=True)
    record = archive.record(place.shot)
    about = archive.shot(record).group(place.name)
    parts = [(place.shot, place.name, int(about["rows"]))]
    columns = _columns([record.groups[place.name]])
    title = f"{place.shot}/{place.name}"
    return FiberRows(title, parts, columns, named=False, parent=bool(about["parent"]))


def _columns(groups: Sequence[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for group in groups:
        for name, (dtype, unit) in group["columns"].items():
            found.setdefault(name, (dtype, unit))
    return found


_PICTURE_HEADS: Final = (
    Head("shot"), Head("image"), Head("band"), Head("target"), Head("nx", "", True),
    Head("ny", "", True), Head("start", "MJD", True), Head("end", "MJD", True), Head("unit"),
)  # fmt: skip


def _pictures(archive: Archive, instrument: str) -> FixedRows:
    found = [
        (record, name, about)
        for record in archive.state.catalogue.by_identity.values()
        if instrument in ("", record.instrument)
        for name, about in record.images.items()
    ]
    abouts = [about for _, _, about in found]
    start, end = (np.array([about[key] for about in abouts], dtype=np.float64)
                  for key in ("start", "end"))  # fmt: skip
    columns = [
        [printable(record.key) for record, *_ in found],
        [printable(name) for _, name, _ in found],
        cells.text_cells([about["band"] for about in abouts]),
        cells.text_cells([about["target"] for about in abouts]),
        [str(about["shape"][-1]) for about in abouts],
        [str(about["shape"][-2]) for about in abouts],
        cells.fixed(start, _TIME_DECIMALS), cells.fixed(end, _TIME_DECIMALS),
        cells.text_cells([about["unit"] for about in abouts]),
    ]  # fmt: skip
    places: list[Place] = [Picture(record.identity, name) for record, name, _ in found]
    return FixedRows(f"{instrument}: all images", _PICTURE_HEADS, columns, places)


# -- answers ---------------------------------------------------------------------------------------

_ANSWER_HEADS: Final = (
    Head("kind"), Head("name"), Head("sep", "arcsec", True), Head("band"), Head("target"),
    Head("ra", "deg", True), Head("dec", "deg", True), Head("start", "MJD", True), Head("unit"),
)  # fmt: skip
_SEPARATION_DECIMALS: Final = 3


class AnswerRows:
    """An answer as one list: spectra, then images, each by separation.

    Parameters
    ----------
    result : Result
    title : str
    """

    heads: tuple[Head, ...] = _ANSWER_HEADS

    def __init__(self, result: Result, title: str) -> None:
        self.title = title
        self._result = result

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self._result)

    def place(self, row: int) -> Fiber | Picture:
        """Return what a row stands for."""
        result, matches = self._result, self._result.fiber_matches
        if row < len(matches):
            record, group = matches.groups[matches.group[row]]
            return Fiber(record.identity, group, int(matches.row[row]), result.center)
        image = result.image_places[row - len(matches)]
        return Picture(image.shot.identity, image.name, result.center)

    def read(self, archive: Archive, first: int, last: int) -> Cells:
        """Return the cells of some rows."""
        spectra = len(self._result.fiber_matches)
        return [
            *_answer_cells("spectrum", self._result.fibers, slice(first, min(last, spectra))),
            *_answer_cells(
                "image", self._result.images, slice(max(first - spectra, 0), max(last - spectra, 0))
            ),
        ]


def _answer_cells(kind: str, table: Rows, part: slice) -> Cells:
    """Return the cells of rows of one of an answer's tables."""
    size = len(range(*part.indices(len(table))))
    if not size:
        return []

    def texts(name: str) -> list[str]:
        return [str(value) for value in table[name].values[part].tolist()]

    def numbers(name: str) -> npt.NDArray[np.float64]:
        return np.asarray(table[name].values[part], dtype=np.float64)

    parts = ["instrument", "shot", *(["group"] if kind == "spectrum" else []), "id"]
    names = ["/".join(name) for name in zip(*map(texts, parts), strict=True)]
    columns: list[list[str]] = [
        [kind] * size, [printable(name) for name in names],
        cells.fixed(numbers("separation"), _SEPARATION_DECIMALS),
        cells.text_cells(texts("band") if "band" in table else [""] * size),
        cells.text_cells(texts("target")),
        cells.degrees(numbers("ra")), cells.degrees(numbers("dec")),
        cells.fixed(numbers("start"), _TIME_DECIMALS), cells.text_cells(texts("unit")),
    ]  # fmt: skip
    return list(zip(*columns, strict=True))


_NAMED_HEADS: Final = (Head("kind"), Head("name"), Head("about"))


def named_rows(rows: Sequence[Row], title: str) -> FixedRows:
    """Return the rows that a name may mean as a list."""
    from corecube.archive.names import FiberRow, ImageRow

    kinds, abouts = [], []
    places: list[Place] = []
    for row in rows:
        record: ShotRecord = row.record
        if isinstance(row, FiberRow):
            kinds.append("spectrum")
            places.append(Fiber(record.identity, row.group, row.row))
        elif isinstance(row, ImageRow):
            kinds.append("image")
            places.append(Picture(record.identity, row.image))
        else:
            kinds.append("shot")
            places.append(Shot(record.identity))
        abouts.append(record.title)
    names = cells.text_cells([row.name for row in rows])
    return FixedRows(title, _NAMED_HEADS, [kinds, names, cells.text_cells(abouts)], places)
