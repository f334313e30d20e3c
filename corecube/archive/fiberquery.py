"""Which fibres lie in a region and pass the filters, and their rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from corecube.archive.answer import (
    FIBER_COLUMNS,
    FiberMatches,
    FloatArray,
    IntArray,
    empty_table,
    fields_of,
)
from corecube.archive.catalogue import ShotRecord
from corecube.archive.regions import Region
from corecube.archive.selection import ColumnNames, Select
from corecube.archive.targets import Targets
from corecube.tabular import Field, Rows, concatenate

if TYPE_CHECKING:
    from corecube.archive.reader import Archive, State
    from corecube.archive.skyrun import Records


def find_fibers(
    archive: Archive,
    state: State,
    region: Region | None,
    targets: Targets | None,
    select: Select,
) -> tuple[FiberMatches, Rows | None]:
    """Return the fibres that match, and their table where filters had to read it.

    Parameters
    ----------
    archive : Archive
    state : State
        The state that is asked.
    region : Region or None
        None: around each of `targets`; without these all fibres, placed or not.
    targets : Targets or None
    select : Select

    Raises
    ------
    QueryError
    ArchiveDamaged
    """
    if region is None and targets is None:
        blocks = _all_blocks(state)
    elif region is None:
        assert targets is not None
        blocks = _blocks(state, *state.sky.search_many(targets.ra, targets.dec, targets.radius))
    else:
        records = state.sky.search(region)
        blocks = _blocks(state, np.zeros(len(records), np.int64), records)
    matches = _matches([block for block in blocks if _may_match(block[0], select)], targets)
    if select.exposures:
        matches = _with_children(archive, matches, targets)
    if not select.reads_rows:
        return _in_order(matches, np.arange(len(matches)), targets is not None)[0], None
    table, matches, use = _read(archive, state, matches, targets, select)
    matches, order = _in_order(matches, np.flatnonzero(use), targets is not None)
    return matches, table.take(order)


def fiber_table(
    archive: Archive,
    state: State,
    matches: FiberMatches,
    targets: Targets | None,
    select: Select,
) -> Rows:
    """Return the table of fibres, a row for each match.

    Raises
    ------
    QueryError
    ArchiveDamaged
    """
    order = np.argsort(matches.group, kind="stable")
    table, _, _ = _read(archive, state, matches.take(order), targets, select)
    back = np.empty(len(order), dtype=np.intp)
    back[order] = np.arange(len(order))
    return table.take(back)


_Block = tuple[ShotRecord, str, IntArray, IntArray, "Records | None"]
"""Shot, group, rows in it, their targets, and their records in the index."""


def _all_blocks(state: State) -> Iterator[_Block]:
    for shot in state.catalogue.by_identity.values():
        for name, _, count in shot.indexed:
            yield shot, name, np.arange(count), np.zeros(count, np.int64), None


def _blocks(state: State, target: IntArray, records: Records) -> Iterator[_Block]:
    if not len(records):
        return
    numbers, rows = records["shot"], records["row"]
    if numbers[0] != numbers[-1] or (numbers[1:] != numbers[:-1]).any():
        order = np.lexsort((target, rows, numbers))
        numbers, rows = numbers[order], rows[order]
        target, records = target[order], records[order]
    edges = [0, *(np.flatnonzero(numbers[1:] != numbers[:-1]) + 1).tolist(), len(numbers)]
    for start, stop in pairwise(edges):
        shot = state.catalogue.by_number.get(int(numbers[start]))
        if shot is None:
            continue
        here = rows[start:stop].astype(np.int64)
        for name, first, count in shot.indexed:
            if len(shot.indexed) == 1:
                yield shot, name, here, target[start:stop], records[start:stop]
                continue
            inside = np.flatnonzero((here >= first) & (here < first + count))
            if len(inside):
                at = inside + start
                yield shot, name, here[inside] - first, target[at], records[at]


def _may_match(shot: ShotRecord, select: Select) -> bool:
    """Say whether a shot can have rows that match, from the catalogue alone."""
    if select.instruments and shot.instrument not in select.instruments:
        return False
    if select.time is None:
        return True
    if shot.start is None or shot.end is None:
        return False
    return bool(select.in_time(shot.start, shot.end))


def _matches(blocks: list[_Block], targets: Targets | None) -> FiberMatches:
    if not blocks:
        none = np.empty(0, np.int64)
        return FiberMatches((), none, none, none, np.empty(0))
    row = np.concatenate([block[2] for block in blocks])
    target = np.concatenate([block[3] for block in blocks])
    apart = np.full(len(row), np.nan)
    if targets is not None:
        # Column by column: numpy compares the types of records for each of thousands of shots.
        records = [block[4] for block in blocks if block[4] is not None]
        ra, dec = (np.concatenate([part[name] for part in records]) for name in ("ra", "dec"))
        apart = targets.separation(target, ra, dec)
    group = np.repeat(np.arange(len(blocks)), [len(block[2]) for block in blocks])
    return FiberMatches(tuple((block[0], block[1]) for block in blocks), group, row, target, apart)


def _in_order(
    matches: FiberMatches, kept: npt.NDArray[np.intp], by_separation: bool
) -> tuple[FiberMatches, npt.NDArray[np.intp]]:
    """Sort by target and separation; ties, and answers without a position, as in the archive."""
    if by_separation and len(kept) > 1:
        kept = kept[np.lexsort((matches.separation[kept], matches.target[kept]))]
    return matches.take(kept), kept


def _with_children(
    archive: Archive, matches: FiberMatches, targets: Targets | None
) -> FiberMatches:
    """Add the rows of groups whose parent is a group of a match, and that are of its fibre."""
    groups, parts = list(matches.groups), [matches]
    for number, (shot, group) in enumerate(matches.groups):
        names = [n for n, about in shot.groups.items() if about["parent"] == group]
        if not names:
            continue
        mine = np.flatnonzero(matches.group == number)
        stored = archive.shot(shot)
        ids = np.array(stored.texts(f"/fibers/{group}/id"))[matches.row[mine]]
        order = np.argsort(ids, kind="stable")
        for name in names:
            where = f"/fibers/{name}"
            parents = np.array(stored.texts(f"{where}/parent_id"))
            first = np.searchsorted(ids[order], parents, side="left")
            count = np.searchsorted(ids[order], parents, side="right") - first
            rows = np.repeat(np.arange(len(parents)), count)
            if not len(rows):
                continue
            step = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
            target = matches.target[mine[order[np.repeat(first, count) + step]]]
            apart = np.full(len(rows), np.nan)
            if targets is not None:
                ra, dec = stored.read(f"{where}/ra")[rows], stored.read(f"{where}/dec")[rows]
                apart = targets.separation(target, ra, dec)
            where_to = np.full(len(rows), len(groups))
            groups.append((shot, name))
            parts.append(FiberMatches((), where_to, rows, target, apart))
    if len(parts) == 1:
        return matches
    columns = [
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("group", "row", "target", "separation")
    ]
    return FiberMatches(tuple(groups), *columns)


def _read(
    archive: Archive,
    state: State,
    matches: FiberMatches,
    targets: Targets | None,
    select: Select,
) -> tuple[Rows, FiberMatches, npt.NDArray[np.bool_]]:
    """Return the rows of matches that are sorted by group, and which of them pass the filters."""
    finder = ColumnNames(state, select)
    edges = np.searchsorted(matches.group, np.arange(len(matches.groups) + 1)).tolist()
    tables, uses = [], [np.empty(0, dtype=bool)]
    for (shot, group), start, stop in zip(matches.groups, edges, edges[1:], strict=False):
        if stop > start:
            part = slice(start, stop)
            rows, apart = matches.row[part], matches.separation[part]
            table, use = _group_rows(archive, shot, group, rows, apart, select, finder)
            tables.append(table)
            uses.append(use)
    table = concatenate(tables) if tables else _nothing(finder, select)
    return table, matches, np.concatenate(uses)


def _nothing(finder: ColumnNames, select: Select) -> Rows:
    """Return a table without rows, with the columns that were asked for."""
    core = empty_table(FIBER_COLUMNS)
    more = {name: finder.missing(name, 0) for name in select.columns if name not in core}
    return Rows({**core.fields, **more})


def _group_rows(
    archive: Archive,
    shot: ShotRecord,
    group: str,
    rows: IntArray,
    apart: FloatArray,
    select: Select,
    finder: ColumnNames,
) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Return some rows of a group, and which of them pass the filters."""
    stored = archive.shot(shot)
    where = f"/fibers/{group}"
    span = slice(int(rows.min()), int(rows.max()) + 1)
    within = rows - span.start

    def numbers(name: str) -> npt.NDArray[Any]:
        return stored.read(f"{where}/{name}", span)[within]

    def texts(name: str) -> npt.NDArray[np.str_]:
        return np.array(stored.texts(f"{where}/{name}", span), dtype=np.str_)[within]

    def same(text: str) -> npt.NDArray[np.str_]:
        return np.full(len(rows), text)

    start, end = numbers("start"), numbers("end")
    use = select.in_time(start, end)
    values = {
        "instrument": same(shot.instrument), "shot": same(shot.key),
        "group": same(group), "id": texts("id"), "target": texts("target"),
        "ra": numbers("ra"), "dec": numbers("dec"), "separation": apart,
        "start": start, "end": end,
        "unit": same(shot.groups[group]["unit"]), "source": same(shot.file),
    }  # fmt: skip
    fields = fields_of(values, FIBER_COLUMNS)

    def column(name: str) -> Field | None:
        return _column(archive, shot, group, rows, name)

    for shown, name in finder.shown(shot.instrument):
        found = column(name)
        if found is not None:
            fields[shown] = found
        elif shown not in fields:
            fields[shown] = finder.missing(name, len(rows))

    if select.where is not None:

        def lookup(asked: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
            name = finder.resolve(asked, shot.instrument)
            found = fields.get(asked) or (column(name) if name is not None else None)
            found = found or finder.missing(asked, len(rows))
            return found.values, found.missing

        use &= select.where.evaluate(lookup)
    return Rows(fields), use


def _column(
    archive: Archive, shot: ShotRecord, group: str, rows: IntArray, name: str
) -> Field | None:
    """Return an instrument's column for some rows; None if neither group nor parent has it.

    A group of more spectra of the same fibres has the columns of its parent too.
    """
    stored = archive.shot(shot)
    where = f"/fibers/{group}"
    if name not in shot.groups[group]["columns"]:
        parent = shot.groups[group]["parent"]
        if not parent or name not in shot.groups[parent]["columns"]:
            return None
        ids = np.array(stored.texts(f"/fibers/{parent}/id"), dtype=np.str_)
        mine = np.array(stored.texts(f"{where}/parent_id"), dtype=np.str_)[rows]
        order = np.argsort(ids, kind="stable")
        place = order[np.minimum(np.searchsorted(ids[order], mine), len(ids) - 1)]
        found = _column(archive, shot, parent, place, name)
        orphan = ids[place] != mine
        if found is None or not orphan.any():
            return found
        return replace(found, missing=found.mask | orphan)
    dtype, unit = shot.groups[group]["columns"][name]
    span = slice(int(rows.min()), int(rows.max()) + 1)
    within = rows - span.start
    values: npt.NDArray[Any]
    if dtype == "text":
        values = np.array(stored.texts(f"{where}/columns/{name}", span), dtype=np.str_)[within]
    else:
        values = stored.read(f"{where}/columns/{name}", span)[within]
    about = next(c for c in stored.group(group)["columns"] if c["name"] == name)
    missing = about.get("missing")
    return Field(
        values, unit, about.get("description", ""), None if missing is None else values == missing
    )
