"""Questions to an archive: which fibres, which images, exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from corecube.archive import cutout
from corecube.archive.catalogue import ShotRecord
from corecube.archive.grammar import Condition, parse
from corecube.archive.imageindex import ImagePlace
from corecube.archive.regions import Cone, Region
from corecube.archive.sphere import separation
from corecube.errors import QueryError
from corecube.tabular import Field, Rows, concatenate
from corecube.times import parse_range

if TYPE_CHECKING:
    from corecube.archive.reader import Archive, State

CUTOUT_SIZE = 64
"""Pixels along each side of a cutout, unless said otherwise."""

FIBER_COLUMNS: dict[str, tuple[str, str]] = {
    "instrument": ("", "Instrument that the shot belongs to."),
    "shot": ("", "Key of the shot."),
    "group": ("", "Group of fibres in the shot."),
    "id": ("", "Fibre in the group."),
    "target": ("", "Name of the target."),
    "ra": ("deg", "Right ascension (ICRS)."),
    "dec": ("deg", "Declination (ICRS)."),
    "separation": ("arcsec", "Distance from the position asked for."),
    "start": ("d", "Start of the exposures, MJD (TAI)."),
    "end": ("d", "End of the exposures, MJD (TAI)."),
    "unit": ("", "Unit of flux and error."),
    "source": ("", "Shot file below the archive."),
}
IMAGE_COLUMNS: dict[str, tuple[str, str]] = {
    "instrument": FIBER_COLUMNS["instrument"],
    "shot": FIBER_COLUMNS["shot"],
    "id": ("", "Image in the shot."),
    "band": ("", "Filter or channel."),
    "target": FIBER_COLUMNS["target"],
    "ra": ("deg", "Right ascension of the image's middle (ICRS)."),
    "dec": ("deg", "Declination of the image's middle (ICRS)."),
    "separation": ("arcsec", "Distance of the image's middle from the position asked for."),
    "start": FIBER_COLUMNS["start"],
    "end": FIBER_COLUMNS["end"],
    "contains": ("", "Whether the position asked for lies in the image."),
    "coverage": ("", "Part of a cutout around that position that lies in the image."),
    "unit": FIBER_COLUMNS["unit"],
    "source": FIBER_COLUMNS["source"],
}
_TEXT = {"instrument", "shot", "group", "id", "target", "unit", "source", "band"}


@dataclass(frozen=True)
class Select:
    """What to take of that which lies in a region.

    Attributes
    ----------
    where : Condition or None
        A filter on columns; rows for which it is not surely true are left out.
    time : (float, float) or None
        MJD TAI; what has no known time, or none in this range, is left out.
    bands, instruments : tuple of str
        Empty: all. Bands select images; fibres have none.
    exposures : bool
        Also the groups that have a parent: single exposures, native pixels.
    columns : tuple of str
        Instruments' columns to add, as ``z`` or ``sdss.z``.
    size : int or None
        Images that a cutout of so many pixels touches are taken too.
    """

    where: Condition | None = None
    time: tuple[float, float] | None = None
    bands: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    exposures: bool = False
    columns: tuple[str, ...] = ()
    size: int | None = None

    @classmethod
    def of(
        cls,
        where: str | None = None,
        time: str | tuple[float, float] | None = None,
        bands: Iterable[str] = (),
        instruments: Iterable[str] = (),
        exposures: bool = False,
        columns: Iterable[str] = (),
        size: int | None = None,
    ) -> Select:
        """Return what texts mean.

        Raises
        ------
        QueryError
        """
        if size is not None and not 1 <= size <= 20000:
            raise QueryError(f"a cutout of {size} pixels is not possible; use 1 to 20000")
        return cls(
            parse(where) if where else None,
            parse_range(time) if isinstance(time, str) else time,
            tuple(bands), tuple(instruments), exposures, tuple(columns), size,
        )  # fmt: skip

    def in_time(self, start: Any, end: Any) -> npt.NDArray[np.bool_]:
        """Return which spans touch the time asked for; unknown ones do not."""
        first, last = np.asarray(start, np.float64), np.asarray(end, np.float64)
        if self.time is None:
            return np.ones(first.shape, dtype=bool)
        with np.errstate(invalid="ignore"):
            touched: npt.NDArray[np.bool_] = (first <= self.time[1]) & (last >= self.time[0])
        return touched


@dataclass(frozen=True)
class Result:
    """An answer: two tables, and where each row stands.

    Attributes
    ----------
    fibers, images : Rows
        With the core's columns, and those asked for.
    center : (float, float) or None
        The position asked for, degrees.
    size : int
        Of cutouts, pixels.
    """

    fibers: Rows
    images: Rows
    center: tuple[float, float] | None = None
    size: int = CUTOUT_SIZE
    fiber_places: tuple[tuple[ShotRecord, str, int], ...] = field(default=(), repr=False)
    image_places: tuple[ImagePlace, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        """Return the number of fibres and images."""
        return len(self.fibers) + len(self.images)


def search(
    archive: Archive,
    region: Region | None,
    center: tuple[float, float] | None,
    select: Select,
) -> Result:
    """Answer a question from the archive's newest state.

    Parameters
    ----------
    archive : Archive
    region : Region or None
        None: everything, also what has no position.
    center : (float, float) or None
        Degrees; gives the separations.
    select : Select

    Raises
    ------
    QueryError
        If a column of the filter is unknown or ambiguous.
    ArchiveDamaged
    """
    state = archive.state
    fibers, places = _fibers(archive, state, region, center, select)
    images, image_places = _images(archive, state, region, center, select)
    return Result(
        fibers, images, center, select.size or CUTOUT_SIZE, tuple(places), tuple(image_places)
    )


# -- fibres ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Block:
    """Rows of one group that lie in the region."""

    shot: ShotRecord
    group: str
    rows: npt.NDArray[np.int64]


def _fibers(
    archive: Archive,
    state: State,
    region: Region | None,
    center: tuple[float, float] | None,
    select: Select,
) -> tuple[Rows, list[tuple[ShotRecord, str, int]]]:
    blocks = list(_all_blocks(state)) if region is None else list(_blocks(state, region))
    if select.instruments:
        blocks = [block for block in blocks if block.shot.instrument in select.instruments]
    blocks = [block for block in blocks if _may_match(block.shot, select)]
    if select.exposures:
        blocks += [more for block in blocks for more in _children(archive, block)]
    parts, places = [], []
    finder = _Columns(state, "groups", select)
    for block in blocks:
        rows, taken = _block_rows(archive, block, center, select, finder)
        if len(rows):
            parts.append(rows)
            places += [(block.shot, block.group, int(row)) for row in taken]
    table = concatenate(parts) if parts else _empty(FIBER_COLUMNS)
    table, order = _ordered(table, center)
    return table, [places[i] for i in order]


def _all_blocks(state: State) -> Iterable[_Block]:
    for shot in state.catalogue.by_identity.values():
        for name, _, count in shot.indexed:
            yield _Block(shot, name, np.arange(count))


def _blocks(state: State, region: Region) -> Iterable[_Block]:
    records = state.sky.search(region)
    if not len(records):
        return
    # records come sorted by shot and row
    numbers, starts = np.unique(records["shot"], return_index=True)
    for number, rows in zip(numbers, np.split(records["row"], starts[1:]), strict=True):
        shot = state.catalogue.by_number.get(int(number))
        if shot is None:
            continue
        for name, first, count in shot.indexed:
            inside = rows[(rows >= first) & (rows < first + count)]
            if len(inside):
                yield _Block(shot, name, inside.astype(np.int64) - first)


def _may_match(shot: ShotRecord, select: Select) -> bool:
    """Say whether a shot can have rows in the time asked for, from the catalogue alone."""
    if select.time is None:
        return True
    if shot.start is None or shot.end is None:
        return False
    return bool(select.in_time(shot.start, shot.end))


def _children(archive: Archive, block: _Block) -> Iterable[_Block]:
    """Yield the rows of groups whose parent is the block's group and that are of its fibres."""
    names = [n for n, about in block.shot.groups.items() if about["parent"] == block.group]
    if not names:
        return
    stored = archive.shot(block.shot)
    ids = np.array(stored.texts(f"/fibers/{block.group}/id"))[block.rows]
    for name in names:
        parents = np.array(stored.texts(f"/fibers/{name}/parent_id"))
        rows = np.flatnonzero(np.isin(parents, ids))
        if len(rows):
            yield _Block(block.shot, name, rows.astype(np.int64))


def _block_rows(
    archive: Archive,
    block: _Block,
    center: tuple[float, float] | None,
    select: Select,
    finder: _Columns,
) -> tuple[Rows, npt.NDArray[np.int64]]:
    stored = archive.shot(block.shot)
    where = f"/fibers/{block.group}"
    rows = block.rows
    span = slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(0, 0)
    within = rows - span.start

    def numbers(name: str) -> npt.NDArray[Any]:
        return stored.read(f"{where}/{name}", span)[within]

    def texts(name: str) -> npt.NDArray[np.str_]:
        return np.array(stored.texts(f"{where}/{name}", span), dtype=np.str_)[within]

    def same(text: str) -> npt.NDArray[np.str_]:
        return np.full(len(rows), text)

    start, end = numbers("start"), numbers("end")
    use = select.in_time(start, end)
    ra, dec = numbers("ra"), numbers("dec")
    apart = np.full(len(rows), np.nan)
    if center is not None:
        apart = separation(ra, dec, *center) * 3600.0
    values = {
        "instrument": same(block.shot.instrument), "shot": same(block.shot.key),
        "group": same(block.group), "id": texts("id"), "target": texts("target"),
        "ra": ra, "dec": dec, "separation": apart, "start": start, "end": end,
        "unit": same(block.shot.groups[block.group]["unit"]), "source": same(block.shot.file),
    }  # fmt: skip
    fields = _fields(values, FIBER_COLUMNS)

    def own(name: str, dtype: str, unit: str) -> Field:
        column = next(
            c for c in stored.group(block.group)["columns"] if c["name"] == name
        )  # fmt: skip
        found = texts(f"columns/{name}") if dtype == "text" else numbers(f"columns/{name}")
        missing = column.get("missing")
        return Field(
            found, unit, column.get("description", ""),
            None if missing is None else found == missing,
        )  # fmt: skip

    mine = block.shot.groups[block.group]["columns"]
    for shown, name in finder.shown(block.shot.instrument):
        if name in mine:
            fields[shown] = own(name, *mine[name])
        elif shown not in fields:
            fields[shown] = finder.missing(name, len(rows))

    if select.where is not None:

        def lookup(asked: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
            if asked in fields:
                return fields[asked].values, fields[asked].missing
            name = finder.resolve(asked, block.shot.instrument)
            if name is not None and name in mine:
                found = own(name, *mine[name])
            else:
                found = finder.missing(asked, len(rows))
            return found.values, found.missing

        use &= select.where.evaluate(lookup)
    table = Rows(fields)
    return (table.take(use), rows[use]) if not use.all() else (table, rows)


class _Columns:
    """Which instruments have which columns, and what a user's name for one means."""

    def __init__(self, state: State, part: str, select: Select) -> None:
        self._known: dict[str, dict[str, tuple[str, str]]] = {}
        shots: dict[str, list[ShotRecord]] = {}
        for shot in state.catalogue.by_identity.values():
            shots.setdefault(shot.instrument, []).append(shot)
        for instrument, records in shots.items():
            columns: dict[str, tuple[str, str]] = {}
            for record in records:
                for about in getattr(record, part).values():
                    columns |= {n: (c[0], c[1]) for n, c in about.get("columns", {}).items()}
            self._known[instrument] = columns
        self._core = FIBER_COLUMNS.keys() | IMAGE_COLUMNS.keys()
        self._asked = select.columns
        names = (*select.columns, *(select.where.names if select.where is not None else ()))
        for name in names:
            self._check(name)

    def _check(self, name: str) -> None:
        """Refuse a name that nothing has, or that means different things."""
        instrument, dot, column = name.rpartition(".")
        if not dot:
            if name in self._core:
                return
            kinds = {i: known[name] for i, known in self._known.items() if name in known}
            if not kinds and self._known:
                raise QueryError(self._unknown(name))
            if len(set(kinds.values())) > 1:
                ways = " or ".join(f"{i}.{name}" for i in sorted(kinds))
                raise QueryError(f"'{name}' means different things; write {ways}")
        elif instrument not in self._known or column not in self._known[instrument]:
            raise QueryError(self._unknown(name))

    def _unknown(self, name: str) -> str:
        from difflib import get_close_matches

        there = sorted({c for known in self._known.values() for c in known} | self._core)
        near = get_close_matches(name.rpartition(".")[2], there, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(there)}"
        return f"there is no column '{name}' in this archive; {hint}"

    def shown(self, instrument: str) -> Iterable[tuple[str, str]]:
        """Yield the columns asked for: name in the table, and the instrument's own name."""
        for asked in self._asked:
            if asked not in self._core:
                name = self.resolve(asked, instrument)
                yield asked, name if name is not None else asked

    def resolve(self, asked: str, instrument: str) -> str | None:
        """Return the instrument's own name of a column, None if it is another's."""
        owner, dot, name = asked.rpartition(".")
        if dot and owner != instrument:
            return None
        return name

    def missing(self, asked: str, count: int) -> Field:
        """Return a column of nothing, of the type that those who have it give it."""
        owner, _, name = asked.rpartition(".")
        kinds = [k[name] for i, k in self._known.items() if name in k and owner in ("", i)]
        dtype, unit = kinds[0] if kinds else ("text" if name in _TEXT else "float64", "")
        values = np.zeros(count, dtype="U1" if dtype == "text" else dtype)
        return Field(values, unit, "", np.ones(count, dtype=bool))


# -- images ------------------------------------------------------------------------------------


def _images(
    archive: Archive,
    state: State,
    region: Region | None,
    center: tuple[float, float] | None,
    select: Select,
) -> tuple[Rows, list[ImagePlace]]:
    index = state.images
    if not index.places:
        return _empty(IMAGE_COLUMNS), []
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
    table, order = _ordered(table.take(kept), center)
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
    return Rows(_fields(values, IMAGE_COLUMNS))


def _image_filter(state: State, table: Rows, select: Select) -> npt.NDArray[np.bool_]:
    assert select.where is not None
    finder = _Columns(state, "groups", select)

    def lookup(name: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
        if name in table:
            return table[name].values, table[name].missing
        found = finder.missing(name, len(table))  # a column of fibres: images have none
        return found.values, found.missing

    return select.where.evaluate(lookup)


# -- tables ------------------------------------------------------------------------------------


def _fields(
    values: dict[str, npt.NDArray[Any]], columns: dict[str, tuple[str, str]]
) -> dict[str, Field]:
    return {name: Field(values[name], *columns[name]) for name in columns}


def _empty(columns: dict[str, tuple[str, str]]) -> Rows:
    kinds = {name: "U1" if name in _TEXT else "f8" for name in columns} | {"contains": "?"}
    values = {name: np.empty(0, dtype=kinds[name]) for name in columns}
    return Rows(_fields(values, columns))


def _ordered(table: Rows, center: tuple[float, float] | None) -> tuple[Rows, npt.NDArray[np.intp]]:
    """Sort by separation if there is a centre; ties and the rest keep the archive's order."""
    if center is None or not len(table):
        return table, np.arange(len(table))
    order = np.argsort(table["separation"].values, kind="stable")
    return table.take(order), order


SHOT_COLUMNS: dict[str, tuple[str, str]] = {
    "instrument": FIBER_COLUMNS["instrument"],
    "shot": FIBER_COLUMNS["shot"],
    "kind": ("", "Science or calibration."),
    "title": ("", "What it is."),
    "images": ("", "Number of images."),
    "fibers": ("", "Number of indexed fibres."),
    "start": FIBER_COLUMNS["start"],
    "end": FIBER_COLUMNS["end"],
    "created": ("", "When it was ingested (UTC)."),
    "bytes": ("byte", "Size of the shot file."),
    "raw_bytes": ("byte", "Size of the files that it was made of."),
    "source": FIBER_COLUMNS["source"],
}


def shot_table(archive: Archive, where: str | None) -> Rows:
    """Return a table of the shots; see `Archive.shots`."""
    shots = list(archive.state.catalogue.by_identity.values())

    def texts(values: Iterable[str]) -> npt.NDArray[np.str_]:
        return np.array(list(values), dtype=np.str_)

    values = {
        "instrument": texts(s.instrument for s in shots), "shot": texts(s.key for s in shots),
        "kind": texts(s.kind for s in shots), "title": texts(s.title for s in shots),
        "images": np.array([len(s.images) for s in shots], dtype=np.int64),
        "fibers": np.array([sum(n for *_, n in s.indexed) for s in shots], dtype=np.int64),
        "start": np.array([s.start for s in shots], dtype=np.float64),
        "end": np.array([s.end for s in shots], dtype=np.float64),
        "created": texts(s.created for s in shots),
        "bytes": np.array([s.size for s in shots], dtype=np.int64),
        "raw_bytes": np.array([s.raw_bytes for s in shots], dtype=np.int64),
        "source": texts(s.file for s in shots),
    }  # fmt: skip
    table = Rows(_fields(values, SHOT_COLUMNS))
    if where is None:
        return table
    return table.take(parse(where).evaluate(lambda name: (table[name].values, table[name].missing)))
