"""The sky index: all positions of an archive, in a few immutable sorted runs.

A new shot is a run of its own. `merge_policy` says which runs to join so that they stay few;
`merge` joins them into a new file. Nothing is ever changed in place: a reader keeps the runs that
its manifest names.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from corecube.archive.regions import Cone, Region
from corecube.archive.ringgrid import ring_grid
from corecube.archive.skycover import Cover, cover, cover_circles
from corecube.archive.skydirectory import Stretch
from corecube.archive.skyjoined import JoinedDirectories
from corecube.archive.skyreader import SLICE, IntArray, Run, fill_all
from corecube.archive.skyrun import (
    RECORD,
    Records,
    RunInfo,
    record_keys,
    sort_records,
    store,
    write_run,
)
from corecube.archive.sphere import PAD, BoolArray, FloatArray, normalize_ra, unit_vectors, within
from corecube.errors import QueryError

__all__ = [
    "RECORD",
    "Records",
    "Run",
    "RunInfo",
    "SkyIndex",
    "merge",
    "merge_policy",
    "write_run",
]

SMALL: Final = 1 << 15
"""Rows (0.8 MB) up to which runs count as equally small: joining them costs some ms."""

SEALED: Final = 1 << 24
"""Rows (0.4 GB) from which a run is not joined with others any more; bounds memory and time."""

# Degrees: of a larger cone more rows are near than scalars are quicker for.
_SMALL_CONE: Final = 0.1
_FEW: Final = 12


class SkyIndex:
    """The runs of an archive, asked as one.

    Answers are sorted by (shot, row), so that joining runs changes no answer. It may be used by
    several threads.

    Parameters
    ----------
    directory : Path
        Where the runs are.
    runs : sequence of RunInfo
        From the manifest.
    dropped : collection of int
        Numbers of shots whose records do not count any more.

    Attributes
    ----------
    runs : list of Run
        Those that have rows.
    """

    def __init__(
        self,
        directory: Path,
        runs: Sequence[RunInfo],
        dropped: Collection[int] | npt.NDArray[np.integer] = (),
    ) -> None:
        infos = [info for info in runs if info.rows]
        self.runs = [Run(directory, info) for info in infos]
        self._dropped = _numbers(dropped)
        self._centers = np.array([info.center for info in infos]).reshape(-1, 3)
        cosines = np.array([info.cos_radius for info in infos], dtype=np.float64)
        self._reach: FloatArray = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
        self._circles = list(zip(self.runs, self._reach.tolist(), strict=True))
        # Those whose directories are joined, and the circles of the others: one for all threads.
        self._asked: tuple[JoinedDirectories | None, list[tuple[Run, float]]] = None, self._circles

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> None:
        """Open all runs now, so that a writer cannot remove one before it is used.

        Raises
        ------
        ArchiveDamaged
            A run is missing. If its cause is a FileNotFoundError, the manifest may have been
            replaced meanwhile: read it again.
        """
        for run in self.runs:
            run.open()

    def close(self) -> None:
        """Close all runs; the next question opens what it needs again."""
        for run in self.runs:
            run.close()

    def search(self, region: Region) -> Records:
        """Return the records in a region, exactly those that `region.contains` accepts.

        Parameters
        ----------
        region : Region
            A `Cone`, `Box` or `Polygon`.

        Returns
        -------
        ndarray of RECORD, shape (n,)
            ra, dec (degrees), shot, row; sorted by (shot, row).

        Raises
        ------
        ArchiveDamaged
            A run is missing or damaged.
        """
        wanted = self._ranges(region)
        total = sum(stretch.end - stretch.begin for _, ranges in wanted for stretch in ranges)
        if total > SLICE:
            parts = (part for run, ranges in wanted for part in run.read_ranges(ranges))
            records = _in_order(
                np.concatenate(
                    [np.empty(0, RECORD)]
                    + [part[region.contains(part["ra"], part["dec"])] for part in parts]
                )
            )
        else:
            records = _decided(region, _read(wanted, total))
        return records[self._counts(records)] if len(self._dropped) else records

    def search_many(
        self, ra: npt.ArrayLike, dec: npt.ArrayLike, radius: npt.ArrayLike
    ) -> tuple[IntArray, Records]:
        """Return the records in each of many circles.

        The same rows as a `Cone` for each of them, much faster.

        Parameters
        ----------
        ra, dec : array_like of float, shape (m,)
            Centres, ICRS degrees, finite.
        radius : array_like of float, shape (m,) or scalar
            Degrees, 0 to 180.

        Returns
        -------
        query : ndarray of int64, shape (n,)
            Number of the circle of each record, rising.
        records : ndarray of RECORD, shape (n,)
            For each circle sorted by (shot, row).

        Raises
        ------
        QueryError
            A centre or radius is not a number in its range.
        ArchiveDamaged
            A run is missing or damaged.
        """
        a, d, r = _circles(ra, dec, radius)
        vectors = unit_vectors(a, d)
        grids: dict[float, list[Run]] = {}
        for run, center, reach in zip(self.runs, self._centers, self._reach, strict=True):
            if _near(vectors @ center, reach + r).any():
                grids.setdefault(run.info.cell_arcmin, []).append(run)
        queries: list[IntArray] = [np.empty(0, np.int64)]
        found = [np.empty(0, RECORD)]
        for runs in grids.values():
            for cells in cover_circles(runs[0].grid, a, d, r):
                for run in runs:
                    for query, records in run.search_cells(cells, a, d, r):
                        queries.append(query)
                        found.append(records)
        query, records = np.concatenate(queries), _joined(found)
        if len(self._dropped):
            counts = self._counts(records)
            query, records = query[counts], records[counts]
        order = np.lexsort((record_keys(records), query))
        return query[order], records[order]

    def count(self) -> int:
        """Return the number of records that are not dropped."""
        total = sum(run.info.rows for run in self.runs)
        for run in self.runs:
            if self._may_drop(run.info):
                for part in run.slices():
                    total -= int(np.count_nonzero(~self._counts(part)))
        return total

    def _ranges(self, region: Region) -> list[tuple[Run, list[Stretch]]]:
        """Return the runs that may have rows in a region, and where."""
        joined, others = self._asked
        wanted: list[tuple[Run, list[Stretch]]] = []
        if joined is not None:
            wanted = joined.ranges(cover(region, joined.grid))
            if not others:
                return wanted
        center, radius = region.circle()
        covers: dict[float, Cover] = {}
        loaded = False
        for run in _touched(others, center, radius):
            cells = covers.get(run.info.cell_arcmin)
            if cells is None:
                cells = covers[run.info.cell_arcmin] = cover(region, run.grid)
            ranges = run.ranges(cells)
            loaded = loaded or (run.directory is not None)
            if ranges:
                wanted.append((run, ranges))
        if loaded:
            self._join()
        return wanted

    def _join(self) -> None:
        """Join the directories that are in memory, of one grid."""
        loaded = [run for run in self.runs if run.directory is not None]
        alike = [run for run in loaded if run.grid is loaded[0].grid]
        others = [pair for pair in self._circles if pair[0] not in alike]
        if len(alike) > 1 and len(others) < len(self._asked[1]):
            self._asked = JoinedDirectories(alike), others

    def _counts(self, records: Records) -> BoolArray:
        return ~_is_in(records["shot"], self._dropped)

    def _may_drop(self, info: RunInfo) -> bool:
        first, last = np.searchsorted(self._dropped, [info.first_shot, info.last_shot + 1])
        return bool(last > first)


def merge_policy(runs: Sequence[RunInfo]) -> tuple[RunInfo, ...]:
    """Say which runs to join now.

    A run is joined with the smaller ones when these have together at least as many rows as it
    has. So each of the runs that stay is larger than all smaller ones together: a record is
    written again at most about log2(rows / SMALL) times in its life, 5e7 rows make about a dozen
    runs, and a large run is not touched because a small one comes. Runs of less than `SMALL` rows
    count as equal, those of `SEALED` and more stay as they are.

    Parameters
    ----------
    runs : sequence of RunInfo
        All runs of the archive, the new one included.

    Returns
    -------
    tuple of RunInfo
        Empty when nothing is to be done; else two or more, in the order given, whose result of
        `merge` takes their place.
    """
    sizes = sorted((max(run.rows, SMALL), place) for place, run in enumerate(runs))
    total, wanted = 0, 0
    for number, (size, _) in enumerate(sizes):
        if size >= SEALED:
            break
        if size <= total:
            wanted = number + 1
        total += size
    return tuple(runs[place] for place in sorted(place for _, place in sizes[:wanted]))


def merge(
    directory: Path,
    runs: Sequence[RunInfo],
    dropped: Collection[int] | npt.NDArray[np.integer],
    new_path: Path,
) -> RunInfo:
    """Join runs into a new file; the old ones stay until the caller removes them.

    Works through the sky in stripes, so that memory is needed for the records once, 24 bytes a
    row. About 1e7 rows in a second or two.

    Parameters
    ----------
    directory : Path
        Where the runs are.
    runs : sequence of RunInfo
        At least one. If their cells differ in size, the new run has those of the largest.
    dropped : collection of int
        Shots to leave out.
    new_path : Path
        The new file.

    Returns
    -------
    RunInfo
        Of the new file; it may have no rows.

    Raises
    ------
    ArchiveDamaged
        A run is missing or damaged.
    NoSpace
        The disk is full.
    """
    gone = _numbers(dropped)
    largest = max(runs, key=lambda run: run.rows)
    grid = ring_grid(largest.cell_arcmin)
    # In the order of shots the records of a cell are sorted already, and sorting is quicker.
    opened = [Run(directory, run) for run in sorted(runs, key=lambda run: run.first_shot)]
    try:
        if any(run.info.cell_arcmin != largest.cell_arcmin for run in opened):
            everything = np.concatenate([run.read_all() for run in opened])
            parts = [sort_records(everything[~_is_in(everything["shot"], gone)], grid)]
        else:
            parts = []
            rows = [run.zone_rows() for run in opened]
            stripe = np.sum(rows, axis=0) // SLICE
            edges = np.append(np.flatnonzero(np.diff(stripe, prepend=-1)), grid.zones)
            for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
                records = np.concatenate([run.read_zones(first, last) for run in opened])
                parts.append(sort_records(records[~_is_in(records["shot"], gone)], grid))
    finally:
        for run in opened:
            run.close()
    return store(new_path, grid, parts)


def _touched(
    circles: Sequence[tuple[Run, float]], center: FloatArray, radius: float
) -> Iterator[Run]:
    """Yield the runs whose circle touches another; as `_near`, for a few runs quicker."""
    x, y, z = center.tolist()
    for run, reach in circles:
        if reach + radius + PAD < 180.0:
            a, b, c = run.info.center
            limit = math.cos(math.radians(reach + radius + PAD)) - 1e-14
            if a * x + b * y + c * z < limit:
                continue
        yield run


def _joined(parts: Sequence[Records]) -> Records:
    """Concatenate without comparing the types of the fields for each of many parts."""
    plain = np.dtype((np.void, RECORD.itemsize))
    return np.concatenate([part.view(plain) for part in parts]).view(RECORD)


def _read(wanted: Sequence[tuple[Run, list[Stretch]]], total: int) -> Records:
    """Read the rows of several runs, `total` together."""
    if len(wanted) == 1 and len(wanted[0][1]) == 1:
        return wanted[0][0].read_one(wanted[0][1][0])
    records = np.empty(total, RECORD)
    view, done = records.view(np.uint8).data, 0
    parts = []
    for run, ranges in wanted:
        length = RECORD.itemsize * sum(stretch.end - stretch.begin for stretch in ranges)
        parts.append((run, view[done : done + length], ranges))
        done += length
    fill_all(parts)
    return records


def _decided(region: Region, records: Records) -> Records:
    """Return the records in a region, sorted by (shot, row)."""
    if not isinstance(region, Cone) or region.radius > _SMALL_CONE:
        return _in_order(records[region.contains(records["ra"], records["dec"])])
    # Most rows of a cell are out by declination alone.
    near = (np.abs(records["dec"] - region.dec) <= region.radius + PAD).nonzero()[0]
    records = records[near]
    if len(records) <= _FEW:
        inside = _clearly(region, records)
        if inside is not None:
            return records[inside]
    ra, dec = records["ra"], records["dec"]
    return _in_order(records[within(ra, dec, region.turned, region.dec, region.radius)])


def _in_order(records: Records) -> Records:
    return records[np.argsort(record_keys(records), kind="stable")]


def _clearly(cone: Cone, records: Records) -> list[int] | None:
    """Return the places of the records in a cone in order, None if one is too near to its edge.

    Scalars are quicker for a few records, but differ from the one formula in the last digit: only
    that may decide there.
    """
    edge = math.sin(math.radians(cone.radius) * 0.5) ** 2
    flat, center = math.cos(math.radians(cone.dec)), cone.turned
    inside: list[tuple[int, int, int]] = []
    for place, (ra, dec, shot, row) in enumerate(records.tolist()):
        u = math.sin(math.radians(dec - cone.dec) * 0.5)
        v = math.sin(math.radians(ra - center) * 0.5)
        value = u * u + flat * math.cos(math.radians(dec)) * (v * v)
        if not abs(value - edge) > 1e-9 * edge:  # NaN too
            return None
        if value < edge:
            inside.append((shot, row, place))
    inside.sort()
    return [place for _, _, place in inside]


def _near(cosine: FloatArray, reach: FloatArray) -> BoolArray:
    # 1e-14 is 30 times the rounding of a scalar product of unit vectors.
    limit = np.cos(np.radians(np.minimum(reach + PAD, 180.0))) - 1e-14
    return np.asarray(cosine >= limit)


def _numbers(numbers: Collection[int] | npt.NDArray[np.integer]) -> npt.NDArray[np.uint32]:
    return np.unique(np.array(sorted(numbers), dtype=np.uint32))


def _is_in(shot: npt.NDArray[np.uint32], numbers: npt.NDArray[np.uint32]) -> BoolArray:
    if len(numbers) == 0:
        return np.zeros(shot.shape, dtype=np.bool_)
    place = np.minimum(np.searchsorted(numbers, shot), len(numbers) - 1)
    return np.asarray(numbers[place] == shot)


def _circles(
    ra: npt.ArrayLike, dec: npt.ArrayLike, radius: npt.ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    a, d, r = np.broadcast_arrays(
        np.asarray(ra, np.float64), np.asarray(dec, np.float64), np.asarray(radius, np.float64)
    )
    if a.ndim != 1:
        raise QueryError(f"positions to search must be one column, not of shape {a.shape}")
    for what, bad in (
        ("RA is not finite", ~np.isfinite(a)),
        ("declination is not between -90 and 90 degrees", ~(np.abs(d) <= 90.0)),
        ("radius is not between 0 and 180 degrees", ~((r >= 0.0) & (r <= 180.0))),
    ):
        if bad.any():
            raise QueryError(
                f"the {what} in {np.count_nonzero(bad)} of {len(bad)} positions, first in row "
                f"{int(np.argmax(bad))} (from 0)"
            )
    return normalize_ra(a), d, r
