"""Questions to one run of the sky index."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from corecube.archive.regions import Region
from corecube.archive.ringgrid import ring_grid
from corecube.archive.skycover import CircleCover, Cover, cover, cover_circles, ragged
from corecube.archive.skydirectory import GAP, Directory, Stretch, Wrong, check_entries, check_zones
from corecube.archive.skyrun import ENTRY, PAGE, RECORD, ZONE, Records, RunInfo
from corecube.archive.sphere import PAD, FloatArray, within
from corecube.errors import ArchiveDamaged

IntArray = npt.NDArray[np.int64]

SLICE: Final = 1_000_000
"""Candidates that are looked at in one go; bounds the memory to some ten MB."""

# Bytes of both directories up to which they are read at once and kept: one read of this size costs
# about as much as two of a page. Runs of up to about 2e6 fibres of a survey.
_KEPT: Final = 1 << 18
# Larger ones are kept from the question after so many on, up to this size (1e8 fibres have 13 MB).
_PATIENCE: Final = 2
_MOST: Final = 1 << 26
# The same where many circles are asked for: rows are read faster than they are asked of the system.
_NEAR: Final = 2 * GAP
# Candidates whose rows are read in one go, and those of them that are compared in one go.
_MANY: Final = 1 << 17
_PART: Final = 1 << 16
# Reads only what the system has in memory (Linux).
_IN_MEMORY: Final = getattr(os, "RWF_NOWAIT", 0)


class Run:
    """A run that is open for reading, from any thread.

    The file is opened at the first question and stays open, so that it can be read to the end
    even when a writer has removed it meanwhile.

    Parameters
    ----------
    directory : Path
        Where the file is.
    info : RunInfo
        From the manifest.
    """

    def __init__(self, directory: Path, info: RunInfo) -> None:
        self.path = directory / info.file
        self.info = info
        self.grid = ring_grid(info.cell_arcmin)
        self._lock = threading.Lock()
        self._descriptor = -1
        self._closer: weakref.finalize[[int], Run] | None = None
        self._zones: npt.NDArray[np.void] | None = None
        self._directory: Directory | None = None
        self._seen = bytearray(info.cells)
        self._asked = 0

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
        """Open the file now, if it is not open.

        Raises
        ------
        ArchiveDamaged
            The file is missing (its cause is then a FileNotFoundError: the manifest may have
            been replaced meanwhile, and should be read again) or has another size.
        """
        if self._descriptor >= 0:
            return
        with self._lock:
            if self._descriptor >= 0:  # another thread was quicker
                return
            try:
                descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError as error:
                raise ArchiveDamaged(
                    f"{self.path}: the run of the sky index is missing; run 'corecube repair'"
                ) from error
            self._closer = weakref.finalize(self, os.close, descriptor)
            self._descriptor = descriptor

    def close(self) -> None:
        """Close the file; the next question opens it again."""
        with self._lock:
            self._descriptor = -1
            if self._closer is not None:
                self._closer()

    @property
    def directory(self) -> Directory | None:
        """The whole cell directory, if it is in memory."""
        return self._directory

    def search(self, region: Region) -> Records:
        """Return the records in a region.

        Parameters
        ----------
        region : Region
            A `Cone`, `Box` or `Polygon`.

        Returns
        -------
        ndarray of RECORD, shape (n,)
            In the order of the file.

        Raises
        ------
        ArchiveDamaged
            The run is missing or damaged.
        """
        ranges = self.ranges(cover(region, self.grid))
        found = [np.empty(0, RECORD)]
        for part in self.read_ranges(ranges):
            found.append(part[region.contains(part["ra"], part["dec"])])
        return found[1] if len(found) == 2 else np.concatenate(found)

    def search_many(
        self, ra: FloatArray, dec: FloatArray, radius: FloatArray
    ) -> tuple[IntArray, Records]:
        """Return the records in each of many circles.

        Parameters
        ----------
        ra, dec, radius : ndarray of float64, shape (m,)
            Degrees; as `Cone` wants them, RA in [0, 360).

        Returns
        -------
        query : ndarray of int64, shape (n,)
            Number of the circle of each record.
        records : ndarray of RECORD, shape (n,)
            In no particular order; a record is there once for each circle it is in.

        Raises
        ------
        ArchiveDamaged
            The run is missing or damaged.
        """
        queries: list[IntArray] = [np.empty(0, np.int64)]
        found = [np.empty(0, RECORD)]
        for some in cover_circles(self.grid, ra, dec, radius):
            for query, records in self.search_cells(some, ra, dec, radius):
                queries.append(query)
                found.append(records)
        return np.concatenate(queries), np.concatenate(found)

    def ranges(self, cells: Cover) -> list[Stretch]:
        """Return the rows of cells.

        Parameters
        ----------
        cells : Cover
            On the grid of this run.

        Returns
        -------
        list of Stretch
            Rising, at least a page of the file apart.

        Raises
        ------
        ArchiveDamaged
            The run is missing or damaged.
        """
        directory = self._directory or self._part(cells.first, cells.last)
        if directory is None:
            return []
        places = directory.cells.searchsorted(cells.bounds).tolist()
        if places[::2] == places[1::2]:  # most runs have nothing in most places
            return []
        return directory.ranges(places)

    def search_cells(
        self, cells: CircleCover, ra: FloatArray, dec: FloatArray, radius: FloatArray
    ) -> Iterator[tuple[IntArray, Records]]:
        """Yield the records of circles in cells that cover them, as `search_many` returns them.

        Parameters
        ----------
        cells : CircleCover
            On the grid of this run.
        ra, dec, radius : ndarray of float64, shape (m,)
            Degrees.

        Yields
        ------
        query : ndarray of int64
            Number of the circle of each record.
        records : ndarray of RECORD

        Raises
        ------
        ArchiveDamaged
            The run is missing or damaged.
        """
        directory = self._load()
        numbers, rows = directory.cells, directory.first
        start, stop = rows[numbers.searchsorted(cells.begin)], rows[numbers.searchsorted(cells.end)]
        used = np.flatnonzero(stop > start)
        if len(used) == 0:
            return
        start, stop = start[used], stop[used]
        ends = np.cumsum(stop - start)
        for here in range(0, int(ends[-1]), _MANY):
            there = min(here + _MANY, int(ends[-1]))
            first = int(np.searchsorted(ends, here, side="right"))
            last = int(np.searchsorted(ends, there, side="left")) + 1
            opened, closed = start[first:last].copy(), stop[first:last].copy()
            closed[-1] -= int(ends[last - 1]) - there
            opened[0] = stop[first] - (int(ends[first]) - here)
            part = used[first:last]
            yield from self._decide(
                cells.which[part], cells.width[part], opened, closed, ra, dec, radius
            )

    def read_all(self) -> Records:
        """Return all records, in the order of the file.

        Returns
        -------
        ndarray of RECORD, shape (rows,)
            A copy.

        Raises
        ------
        ArchiveDamaged
            The run is missing or damaged.
        """
        return np.concatenate([np.empty(0, RECORD), *self.slices()])

    def slices(self) -> Iterator[Records]:
        """Yield all records in the order of the file, about `SLICE` at a time.

        Raises
        ------
        ArchiveDamaged
            The run is missing or damaged.
        """
        directory = self._load()
        everything = Stretch(0, self.info.rows, directory, 0, self.info.cells)
        return self.read_ranges([everything])

    def zone_rows(self) -> IntArray:
        """Return the first row of each zone and, at the end, the number of rows; (zones + 1,)."""
        rows: IntArray = self._load().first[self._zone_entries()["first"]]
        return rows

    def read_zones(self, first: int, last: int) -> Records:
        """Return the records of some zones.

        Parameters
        ----------
        first, last : int
            First zone and the one behind the last.

        Returns
        -------
        ndarray of RECORD, shape (n,)
            A copy.

        Raises
        ------
        ArchiveDamaged
            The run is missing or damaged.
        """
        directory = self._load()
        zones = self._zone_entries()["first"]
        one, other = int(zones[first]), int(zones[last])
        begin, end = int(directory.first[one]), int(directory.first[other])
        return self.read_records([Stretch(begin, end, directory, one, other)])

    def _decide(
        self,
        which: IntArray,
        width: FloatArray,
        start: IntArray,
        stop: IntArray,
        ra: FloatArray,
        dec: FloatArray,
        radius: FloatArray,
    ) -> Iterator[tuple[IntArray, Records]]:
        """Read ranges of rows, which may overlap, and let the formula decide."""
        order = np.argsort(start, kind="stable")
        which, width, start, stop = which[order], width[order], start[order], stop[order]
        reach = np.maximum.accumulate(stop)
        fresh = np.flatnonzero(np.concatenate([[True], start[1:] > reach[:-1] + _NEAR]))
        ends = reach[np.append(fresh[1:], len(start)) - 1]
        directory = self._load()
        one, other = directory.holding(start[fresh], ends)
        records = self._read_cells(directory, one, other)
        d = np.ascontiguousarray(records["dec"])
        begins = directory.first[one]
        sizes = directory.first[other] - begins
        block = np.searchsorted(fresh, np.arange(len(start)), side="right") - 1
        place, count = start - begins[block] + (np.cumsum(sizes) - sizes)[block], stop - start
        total = np.cumsum(count)
        first = 0
        while first < len(which):  # in parts that stay in the processor's cache
            done = total[first - 1] if first else 0
            last = max(first + 1, int(np.searchsorted(total, done + _PART, side="right")))
            part = slice(first, last)
            at = ragged(place[part], count[part])
            query = which[part]
            off = d[at]
            off -= np.repeat(dec[query], count[part])
            limit = _repeated(radius[query] + PAD, count[part])
            near = np.flatnonzero(np.abs(off, out=off) <= limit)
            if len(near):
                pair = np.searchsorted(total[part] - done, near, side="right")
                query, candidates = query[pair], records[at[near]]
                # Most of these are out by RA alone; the width counts to both sides of RA 0.
                off, reach = np.abs(candidates["ra"] - ra[query]), width[part][pair]
                close = np.flatnonzero((off <= reach) | (off >= 360.0 - reach))
                query, candidates = query[close], candidates[close]
                inside = within(
                    candidates["ra"], candidates["dec"], ra[query], dec[query], radius[query]
                )
                yield query[inside], candidates[inside]
            first = last

    def _part(self, first: int, last: int) -> Directory | None:
        """Return the entries of zones, perhaps with others; None if there are none."""
        zones = self._zone_entries()
        if self._directory is not None:  # they were read together
            return self._directory
        start, stop = int(zones["first"][first]), int(zones["first"][last + 1])
        if start == stop:
            return None
        self._asked += 1
        if self._asked > _PATIENCE and self.info.records_offset - PAGE <= _MOST:
            return self._load()  # for the next questions
        entries = self._read(
            ENTRY, self.info.cells_offset + ENTRY.itemsize * start, stop - start + 1
        )
        try:
            return check_entries(entries, zones[first : last + 2], self.info)
        except Wrong as error:
            raise self._damaged(str(error)) from error

    def _zone_entries(self) -> npt.NDArray[np.void]:
        # Kept, also where the cells are too many (29 kB for cells of 3 arcmin).
        if self._zones is None:
            if self.info.records_offset - PAGE <= _KEPT:
                self._load()
            else:
                zones = self._read(ZONE, PAGE, self.grid.zones + 1)
                try:
                    check_zones(zones, self.info)
                except Wrong as error:
                    raise self._damaged(str(error)) from error
                self._zones = zones
        assert self._zones is not None
        return self._zones

    def _load(self) -> Directory:
        """Read both directories at once and keep them."""
        if self._directory is None:
            content = self._read(np.dtype("<u1"), PAGE, self.info.records_offset - PAGE)
            zones = content[: ZONE.itemsize * (self.grid.zones + 1)].view(ZONE)
            begin = self.info.cells_offset - PAGE
            entries = content[begin : begin + ENTRY.itemsize * (self.info.cells + 1)].view(ENTRY)
            try:
                check_zones(zones, self.info)
                directory = check_entries(entries, zones, self.info)
            except Wrong as error:
                raise self._damaged(str(error)) from error
            self._zones, self._directory = zones, directory
        return self._directory

    def read_ranges(self, ranges: list[Stretch]) -> Iterator[Records]:
        """Read ranges of rows, some together, no more than about `SLICE` rows at a time."""
        waiting: list[Stretch] = []
        size = 0
        for stretch in ranges:
            for piece in stretch.pieces(SLICE):
                rows = piece.end - piece.begin
                if waiting and size + rows > SLICE:
                    yield self.read_records(waiting)
                    waiting, size = [], 0
                waiting.append(piece)
                size += rows
        if waiting:
            yield self.read_records(waiting)

    def read_records(self, ranges: list[Stretch]) -> Records:
        """Return the records of ranges of rows, one range behind the other.

        Raises
        ------
        ArchiveDamaged
            The run is missing or damaged.
        """
        records = np.empty(sum(stretch.end - stretch.begin for stretch in ranges), RECORD)
        self.fill(records.view(np.uint8).data, ranges)
        return records

    def read_one(self, stretch: Stretch) -> Records:
        """Return the records of one range of rows.

        Returns
        -------
        ndarray of RECORD, shape (n,)
            It cannot be written to.

        Raises
        ------
        ArchiveDamaged
            The run is missing or damaged.
        """
        begin, size = stretch.begin, RECORD.itemsize
        content = self._pread(self.info.records_offset + size * begin, size * (stretch.end - begin))
        try:
            stretch.check(memoryview(content), self._seen)
        except Wrong as error:
            raise self._damaged(str(error)) from error
        return np.frombuffer(content, RECORD)

    def fill(self, view: memoryview, ranges: list[Stretch]) -> None:
        """Read ranges of rows into memory of their size, and check them.

        Raises
        ------
        ArchiveDamaged
            The run is missing or damaged.
        """
        fill_all([(self, view, ranges)])

    def _places(self, ranges: list[Stretch]) -> list[tuple[int, int]]:
        """Return where ranges of rows are in the file: offset, length."""
        offset, size = self.info.records_offset, RECORD.itemsize
        return [(offset + size * r.begin, size * (r.end - r.begin)) for r in ranges]

    def _check(self, view: memoryview, ranges: list[Stretch]) -> None:
        done = 0
        try:
            for stretch in ranges:
                length = RECORD.itemsize * (stretch.end - stretch.begin)
                stretch.check(view[done : done + length], self._seen)
                done += length
        except Wrong as error:
            raise self._damaged(str(error)) from error

    def _read_cells(self, directory: Directory, one: IntArray, other: IntArray) -> Records:
        """Read ranges of entries, one range behind the other, and check them; quick for many."""
        offset, size = self.info.records_offset, RECORD.itemsize
        begin, rows = directory.first[one], directory.first[other] - directory.first[one]
        records = np.empty(int(rows.sum()), RECORD)
        places = zip((offset + size * begin).tolist(), (size * rows).tolist(), strict=True)
        _finish(self._pull(records.view(np.uint8).data, list(places)))
        try:
            directory.check_many(records, one, other, self._seen)
        except Wrong as error:
            raise self._damaged(str(error)) from error
        return records

    def _pull(self, view: memoryview, places: list[tuple[int, int]]) -> list[_Missing]:
        """Read bytes at (offset, length), one behind the other; return what is not in memory."""
        self.open()
        descriptor = self._descriptor
        missing: list[_Missing] = []
        done = 0
        for place, length in places:
            part = view[done : done + length]
            done += length
            try:
                got = os.preadv(descriptor, [part], place, _IN_MEMORY)
            except OSError:  # it is not there, or this system cannot tell: what follows finds out
                got = 0
            if got < length:
                missing.append((self, part[got:], place + got))
        return missing

    def _read(self, kind: np.dtype[Any], offset: int, count: int) -> npt.NDArray[Any]:
        return np.frombuffer(self._pread(offset, count * kind.itemsize), dtype=kind)

    def _pread(self, offset: int, size: int) -> bytes:
        self.open()
        content = os.pread(self._descriptor, size, offset)
        if len(content) != size:
            raise self._damaged("its end (the file is too short)")
        return content

    def _expect(self, view: memoryview, offset: int) -> None:
        os.posix_fadvise(self._descriptor, offset, len(view), os.POSIX_FADV_WILLNEED)

    def _fill(self, view: memoryview, offset: int) -> None:
        while view:
            got = os.preadv(self._descriptor, [view], offset)
            if got == 0:
                raise self._damaged("its end (the file is too short)")
            view, offset = view[got:], offset + got

    def _damaged(self, what: str) -> ArchiveDamaged:
        return ArchiveDamaged(f"{self.path}: {what} is damaged; run 'corecube repair'")


def _repeated(values: FloatArray, count: IntArray) -> FloatArray | float:
    """Repeat each value; where all are equal one is enough."""
    if values[0] == values.min() == values.max():
        return float(values[0])
    return np.repeat(values, count)


_Missing = tuple[Run, memoryview, int]


def fill_all(wanted: Sequence[tuple[Run, memoryview, list[Stretch]]]) -> None:
    """Read ranges of rows of several runs into memory of their size, and check them.

    What the system has in memory is copied first. The rest is then asked of the disk all at once,
    where there is more than one piece of it.

    Raises
    ------
    ArchiveDamaged
        A run is missing or damaged.
    """
    missing: list[_Missing] = []
    for run, view, ranges in wanted:
        missing += run._pull(view, run._places(ranges))
    _finish(missing)
    for run, view, ranges in wanted:
        run._check(view, ranges)


def _finish(missing: list[_Missing]) -> None:
    if len(missing) > 1:
        for run, part, place in missing:
            run._expect(part, place)
    for run, part, place in missing:
        run._fill(part, place)
