"""Questions to one run of the sky index."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from corecube.archive.regions import Region, split_turn
from corecube.archive.ringgrid import ring_grid
from corecube.archive.skyrun import PAGE, RECORD, Records, RunInfo
from corecube.archive.sphere import PAD, FloatArray, half_widths, within
from corecube.errors import ArchiveDamaged

IntArray = npt.NDArray[np.int64]

SLICE: Final = 1_000_000
"""Candidates that are looked at in one go; bounds the memory to some ten MB."""

# Rows between two ranges that are rather read than skipped: a page of the file.
_GAP: Final = PAGE // RECORD.itemsize
# Bytes of both directories up to which they are read at once and kept: one read of this size costs
# about as much as two of a page. Runs of up to about 2e6 fibres of a survey.
_KEPT: Final = 1 << 18
# Pairs of a circle and a zone in one go.
_PAIRS: Final = 200_000


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
        self._grid = ring_grid(info.cell_arcmin)
        self._lock = threading.Lock()
        self._descriptor = -1
        self._closer: weakref.finalize[[int], Run] | None = None
        self._zones: npt.NDArray[np.uint32] | None = None
        self._directory: tuple[IntArray, IntArray] | None = None

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
        low, high = region.dec_range()
        first, last = self._grid.zone_of(low), self._grid.zone_of(high)
        cells, rows = self._part(first, last)
        if len(cells) == 0:
            return np.empty(0, RECORD)
        zone, ra_from, ra_to = region.ra_intervals(*self._grid.zone_edges(first, last))
        zone = zone + first
        begin, end = self._grid.cell_ranges(zone, ra_from, ra_to)
        start, stop = rows[cells.searchsorted(begin)], rows[cells.searchsorted(end)]
        ranges = self._joined(start, stop)
        found = []
        for part in self._read_ranges(ranges):
            found.append(part[region.contains(part["ra"], part["dec"])])
        return found[0] if len(found) == 1 else np.concatenate([np.empty(0, RECORD), *found])

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
        # Neighbours in the file become neighbours in time: their reads are shared.
        order = np.argsort(self._grid.cell(self._grid.zone(dec), ra), kind="stable")
        low = self._grid.zone(np.maximum(dec[order] - (radius[order] + PAD), -90.0))
        high = self._grid.zone(np.minimum(dec[order] + (radius[order] + PAD), 90.0))
        ends = np.cumsum(high - low + 1)
        first = 0
        while first < len(order):
            done = ends[first - 1] if first else 0
            last = max(first + 1, int(np.searchsorted(ends, done + _PAIRS, side="right")))
            part = slice(first, last)
            for query, records in self._search_some(
                order[part], ra, dec, radius, low[part], high[part]
            ):
                queries.append(query)
                found.append(records)
            first = last
        return np.concatenate(queries), np.concatenate(found)

    def read_all(self) -> Records:
        """Return all records, in the order of the file.

        Returns
        -------
        ndarray of RECORD, shape (rows,)
            A copy.
        """
        return self._read_records([(0, self.info.rows)])

    def zone_rows(self) -> IntArray:
        """Return the first row of each zone and, at the end, the number of rows; (zones + 1,)."""
        zones = self._zone_entries()
        cells, rows = self._load()
        if int(zones.max()) > len(cells):
            raise self._damaged("the zone directory")
        return rows[zones]

    def read_rows(self, start: int, stop: int) -> Records:
        """Return the records of some rows.

        Parameters
        ----------
        start, stop : int
            First row and the one behind the last.

        Returns
        -------
        ndarray of RECORD, shape (stop - start,)
            A copy.
        """
        return self._read_records([(start, stop)])

    def _search_some(
        self,
        query: IntArray,
        ra: FloatArray,
        dec: FloatArray,
        radius: FloatArray,
        low: IntArray,
        high: IntArray,
    ) -> Iterator[tuple[IntArray, Records]]:
        cells, rows = self._load()
        count = high - low + 1
        which = np.repeat(query, count)
        zone = _ragged(low, count)
        height = self.info.cell_arcmin / 60.0
        edge: FloatArray = zone.astype(np.float64) * height - 90.0
        width = half_widths(dec[which], radius[which], edge, edge + height)
        pair, ra_from, ra_to = split_turn(
            np.arange(len(zone)), ra[which] - width, ra[which] + width
        )
        begin, end = self._grid.cell_ranges(zone[pair], ra_from, ra_to)
        start, stop = rows[cells.searchsorted(begin)], rows[cells.searchsorted(end)]
        # The two sides of RA 0 can meet in one cell, which must not be searched twice.
        main, other = slice(0, len(zone)), slice(len(zone), None)
        beyond = pair[other]
        behind = start[other] >= start[main][beyond]
        start[other] = np.where(behind, np.maximum(start[other], stop[main][beyond]), start[other])
        stop[other] = np.where(behind, stop[other], np.minimum(stop[other], start[main][beyond]))
        used = np.flatnonzero(stop > start)
        which, start, stop = which[pair[used]], start[used], stop[used]
        if len(used) and int(stop.max()) > self.info.rows:
            raise self._damaged("the cell directory")
        ends = np.cumsum(stop - start)
        total = int(ends[-1]) if len(ends) else 0
        for here in range(0, total, SLICE):
            there = min(here + SLICE, total)
            first = int(np.searchsorted(ends, here, side="right"))
            last = int(np.searchsorted(ends, there, side="left")) + 1
            part = slice(first, last)
            opened, closed = start[part].copy(), stop[part].copy()
            closed[-1] -= int(ends[last - 1]) - there
            opened[0] = stop[first] - (int(ends[first]) - here)
            yield self._decide(which[part], opened, closed, ra, dec, radius)

    def _decide(
        self,
        which: IntArray,
        start: IntArray,
        stop: IntArray,
        ra: FloatArray,
        dec: FloatArray,
        radius: FloatArray,
    ) -> tuple[IntArray, Records]:
        order = np.argsort(start, kind="stable")
        which, start, stop = which[order], start[order], stop[order]
        reach = np.maximum.accumulate(stop)
        fresh = np.flatnonzero(np.concatenate([[True], start[1:] > reach[:-1] + _GAP]))
        begins, ends = start[fresh], reach[np.append(fresh[1:], len(start)) - 1]
        records = self._read_records(list(zip(begins.tolist(), ends.tolist(), strict=True)))
        sizes = ends - begins
        block = np.searchsorted(fresh, np.arange(len(start)), side="right") - 1
        place = start - begins[block] + (np.cumsum(sizes) - sizes)[block]
        at = _ragged(place, stop - start)
        query = np.repeat(which, stop - start)
        near = np.flatnonzero(np.abs(records["dec"][at] - dec[query]) <= radius[query] + PAD)
        at, query = at[near], query[near]
        candidates = records[at]
        inside = within(candidates["ra"], candidates["dec"], ra[query], dec[query], radius[query])
        return query[inside], candidates[inside]

    def _part(self, first: int, last: int) -> tuple[IntArray, IntArray]:
        """Return the cells (n,) of zones, and the first rows of them and of the next (n + 1,)."""
        zones = self._zone_entries()
        start, stop = int(zones[first]), int(zones[last + 1])
        if not start <= stop <= self.info.cells:
            raise self._damaged("the zone directory")
        if start == stop:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        if self._directory is not None:
            cells, rows = self._directory
            return cells[start:stop], rows[start : stop + 1]
        # Signed, because numpy compares u8 with i8 as float64.
        offset, count = self.info.cells_offset + 16 * start, stop - start + 1
        entries = self._read("<i8", offset, 2 * count).reshape(count, 2)
        return entries[:-1, 0], entries[:, 1]

    def _zone_entries(self) -> npt.NDArray[np.uint32]:
        # Kept, also where the cells are too many (11 kB for cells of 4 arcmin).
        if self._zones is None:
            if self.info.records_offset - PAGE <= _KEPT:
                self._load()
            else:
                self._zones = self._read("<u4", PAGE, self._grid.zones + 1)
        assert self._zones is not None
        return self._zones

    def _load(self) -> tuple[IntArray, IntArray]:
        """Read both directories at once and keep them."""
        if self._directory is None:
            content = self._read("<u1", PAGE, self.info.records_offset - PAGE)
            self._zones = content[: 4 * (self._grid.zones + 1)].view("<u4")
            begin = self.info.cells_offset - PAGE
            entries = content[begin : begin + 16 * (self.info.cells + 1)].view("<i8")
            self._directory = entries[:-2:2].copy(), entries[1::2].copy()
        return self._directory

    def _joined(self, start: IntArray, stop: IntArray) -> list[tuple[int, int]]:
        """Join ranges of rows that overlap or nearly touch; the rows between decide themselves."""
        joined: list[tuple[int, int]] = []
        for begin, end in sorted(zip(start.tolist(), stop.tolist(), strict=True)):
            if begin >= end:
                continue
            if joined and begin <= joined[-1][1] + _GAP:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((begin, end))
        if joined and not 0 <= joined[0][0] < joined[-1][1] <= self.info.rows:
            raise self._damaged("the cell directory")
        return joined

    def _read_ranges(self, ranges: list[tuple[int, int]]) -> Iterator[Records]:
        """Read ranges of rows, some together, no more than about `SLICE` rows at a time."""
        waiting: list[tuple[int, int]] = []
        size = 0
        for begin, end in ranges:
            for first in range(begin, end, SLICE):
                last = min(first + SLICE, end)
                if size + last - first > SLICE:
                    yield self._read_records(waiting)
                    waiting, size = [], 0
                waiting.append((first, last))
                size += last - first
        if waiting:
            yield self._read_records(waiting)

    def _read_records(self, ranges: list[tuple[int, int]]) -> Records:
        records = np.empty(sum(stop - start for start, stop in ranges), RECORD)
        view = records.view(np.uint8).data
        offset, size = self.info.records_offset, RECORD.itemsize
        self.open()
        if len(ranges) > 2:
            # Let the disk fetch all of them while the first is being copied.
            for start, stop in ranges:
                os.posix_fadvise(
                    self._descriptor,
                    offset + size * start,
                    size * (stop - start),
                    os.POSIX_FADV_WILLNEED,
                )
        done = 0
        for start, stop in ranges:
            length = size * (stop - start)
            self._fill(view[done : done + length], offset + size * start)
            done += length
        return records

    def _read(self, kind: str, offset: int, count: int) -> npt.NDArray[Any]:
        self.open()
        size = count * int(kind[-1])
        content = os.pread(self._descriptor, size, offset)
        if len(content) != size:
            raise self._damaged("its end (the file is too short)")
        return np.frombuffer(content, dtype=kind)

    def _fill(self, view: memoryview, offset: int) -> None:
        while view:
            got = os.preadv(self._descriptor, [view], offset)
            if got == 0:
                raise self._damaged("its end (the file is too short)")
            view, offset = view[got:], offset + got

    def _damaged(self, what: str) -> ArchiveDamaged:
        return ArchiveDamaged(f"{self.path}: {what} is damaged; run 'corecube repair'")


def _ragged(start: IntArray, count: IntArray) -> IntArray:
    """Return start[0], start[0] + 1, ... (count[0] of them), start[1], ... in one array."""
    ends = np.cumsum(count)
    total = int(ends[-1]) if len(ends) else 0
    numbers: IntArray = np.arange(total) + np.repeat(start - (ends - count), count)
    return numbers
