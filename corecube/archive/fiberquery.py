"""Which fibres lie in a region and pass the filters, and their rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from corecube.archive.answer import FIBER_COLUMNS, empty_table, fields_of, ordered
from corecube.archive.catalogue import ShotRecord
from corecube.archive.regions import Region
from corecube.archive.selection import ColumnNames, Select
from corecube.archive.sphere import separation
from corecube.tabular import Field, Rows, concatenate

if TYPE_CHECKING:
    from corecube.archive.reader import Archive, State


@dataclass(frozen=True)
class _Block:
    """Rows of one group that lie in the region."""

    shot: ShotRecord
    group: str
    rows: npt.NDArray[np.int64]


def find_fibers(
    archive: Archive,
    state: State,
    region: Region | None,
    center: tuple[float, float] | None,
    select: Select,
) -> tuple[Rows, list[tuple[ShotRecord, str, int]]]:
    """Return the table of fibres, and where each row stands; `region` None: all, placed or not."""
    blocks = list(_all_blocks(state)) if region is None else list(_blocks(state, region))
    if select.instruments:
        blocks = [block for block in blocks if block.shot.instrument in select.instruments]
    blocks = [block for block in blocks if _may_match(block.shot, select)]
    if select.exposures:
        blocks += [more for block in blocks for more in _children(archive, block)]
    parts, places = [], []
    finder = ColumnNames(state, select)
    for block in blocks:
        rows, taken = _block_rows(archive, block, center, select, finder)
        if len(rows):
            parts.append(rows)
            places += [(block.shot, block.group, int(row)) for row in taken]
    table = concatenate(parts) if parts else _nothing(finder, select)
    table, order = ordered(table, center)
    return table, [places[i] for i in order]


def _nothing(finder: ColumnNames, select: Select) -> Rows:
    """Return a table without rows, with the columns that were asked for."""
    core = empty_table(FIBER_COLUMNS)
    more = {name: finder.missing(name, 0) for name in select.columns if name not in core}
    return Rows({**core.fields, **more})


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
    finder: ColumnNames,
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
    fields = fields_of(values, FIBER_COLUMNS)

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
