"""The cell directory of a run of the sky index, as read: checked, and checking what it points to.

A run is checked from the top down. The manifest has the CRC-32 of the zone directory, each zone
that of its entries in the cell directory, each entry that of its records. Everything is checked
when it is read for the first time after the run was opened.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from corecube.archive.skycover import ragged
from corecube.archive.skyrun import RECORD, RunInfo, crcs

IntArray = npt.NDArray[np.int64]


GAP: Final = 4096 // RECORD.itemsize
"""Rows between two ranges that are rather read than skipped: a page of the file."""


class Wrong(Exception):
    """A check fails; the text names the part."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Some entries that follow each other.

    Attributes
    ----------
    base : int
        Number of the first in the run.
    cells : ndarray of int64, shape (n,)
        Cells that are not empty, rising.
    first : ndarray of int64, shape (n + 1,)
        First row of each, and of the next.
    crc : ndarray of uint32, shape (n,)
        CRC-32 of their records.
    """

    base: int
    cells: IntArray
    first: IntArray
    crc: npt.NDArray[np.uint32]

    def ranges(self, places: list[int]) -> list[Stretch]:
        """Return ranges of entries, some together.

        Parameters
        ----------
        places : list of int
            First entry, and the one behind the last, of each range; ranges may overlap.

        Returns
        -------
        list of Stretch
            Rising, at least a page of the file apart; empty ones left out.
        """
        found: list[Stretch] = []
        pairs = sorted(zip(places[::2], places[1::2], strict=True))
        for one, other in pairs:
            if one >= other:
                continue
            begin, end = self.first.item(one), self.first.item(other)
            if found and begin <= found[-1].end + GAP:
                last = found[-1]
                if other > last.other:
                    found[-1] = Stretch(last.begin, end, self, last.one, other)
            else:
                found.append(Stretch(begin, end, self, one, other))
        return found

    def holding(self, begin: IntArray, end: IntArray) -> tuple[IntArray, IntArray]:
        """Return the entries of ranges of rows.

        Parameters
        ----------
        begin, end : ndarray of int64, shape (m,)
            First row of each range and the one behind its last; not empty.

        Returns
        -------
        one, other : ndarray of int64, shape (m,)
            First entry and the one behind the last.
        """
        one = np.searchsorted(self.first, begin, side="right") - 1
        return one, np.searchsorted(self.first, end, side="left")

    def check_many(
        self, records: npt.NDArray[np.void], one: IntArray, other: IntArray, seen: bytearray
    ) -> None:
        """Check records that have been read, if they have not been checked before.

        Parameters
        ----------
        records : ndarray of RECORD, shape (n,)
            Of ranges of entries, one range behind the other.
        one, other : ndarray of int64, shape (m,)
            First entry of each range and the one behind its last.
        seen : bytearray
            A byte for each entry of the run: 1 where its records have been checked.

        Raises
        ------
        Wrong
        """
        marks = np.frombuffer(seen, np.uint8)
        entries = ragged(one, other - one)
        fresh = np.flatnonzero(marks[entries + self.base] == 0)
        if not len(fresh):
            return
        ends = np.cumsum(self.first[entries + 1] - self.first[entries])
        entries, stop = entries[fresh], ends[fresh]
        start = stop - (self.first[entries + 1] - self.first[entries])
        found = np.fromiter(crcs(records, start, stop), np.uint32, len(fresh))
        wrong = np.flatnonzero(found != self.crc[entries])
        if len(wrong):
            first, last = self.first[entries[wrong[0]]], self.first[entries[wrong[0]] + 1] - 1
            raise Wrong(f"one of the records {first} to {last}")
        marks[entries + self.base] = 1


class Stretch(NamedTuple):
    """Cells that follow each other in a run.

    Attributes
    ----------
    begin, end : int
        First row and the one behind the last.
    directory : Directory
        Has these cells.
    one, other : int
        Their places in it, first and behind the last.
    """

    begin: int
    end: int
    directory: Directory
    one: int
    other: int

    def check(self, content: memoryview, seen: bytearray) -> None:
        """Check records that have been read, if they have not been checked before.

        Parameters
        ----------
        content : memoryview of bytes
            The records.
        seen : bytearray
            A byte for each entry of the run: 1 where its records have been checked.

        Raises
        ------
        Wrong
        """
        base = self.directory.base
        if seen.find(0, base + self.one, base + self.other) < 0:
            return
        size = RECORD.itemsize
        begin = self.begin * size
        edges = (self.directory.first[self.one : self.other + 1] * size - begin).tolist()
        wanted = self.directory.crc[self.one : self.other].tolist()
        for number, crc in enumerate(wanted):
            if zlib.crc32(content[edges[number] : edges[number + 1]]) != crc:
                first, last = self.begin + edges[number] // size, edges[number + 1] // size
                raise Wrong(f"one of the records {first} to {self.begin + last - 1}")
        seen[base + self.one : base + self.other] = b"\1" * len(wanted)

    def pieces(self, rows: int) -> list[Stretch]:
        """Return it in pieces of about `rows` rows at most; a cell stays whole."""
        first = self.directory.first
        edges = [self.one]
        while edges[-1] < self.other:
            limit = int(first[edges[-1]]) + rows
            place = int(np.searchsorted(first, limit, side="right")) - 1
            edges.append(min(max(place, edges[-1] + 1), self.other))
        places = pairwise(edges)
        return [Stretch(int(first[a]), int(first[b]), self.directory, a, b) for a, b in places]


def check_zones(zones: npt.NDArray[np.void], info: RunInfo) -> None:
    """Check the zone directory.

    Parameters
    ----------
    zones : ndarray of ZONE, shape (zones + 1,)
    info : RunInfo

    Raises
    ------
    Wrong
    """
    first = zones["first"]
    if (
        zlib.crc32(zones.tobytes()) != info.zones_crc
        or (first[1:] < first[:-1]).any()
        or first[-1] != info.cells
    ):
        raise Wrong("the zone directory")


def check_entries(
    entries: npt.NDArray[np.void], zones: npt.NDArray[np.void], info: RunInfo
) -> Directory:
    """Check entries of the cell directory.

    Parameters
    ----------
    entries : ndarray of ENTRY, shape (n + 1,)
        All of some zones, and the one behind them.
    zones : ndarray of ZONE, shape (m + 1,)
        These zones, and the one behind them; checked.
    info : RunInfo

    Returns
    -------
    Directory
        Without the last of the entries.

    Raises
    ------
    Wrong
    """
    place = zones["first"].astype(np.int64)
    base = int(place[0])
    used = np.flatnonzero(place[1:] > place[:-1])
    found = crcs(np.ascontiguousarray(entries), place[used] - base, place[used + 1] - base)
    # Signed, because numpy compares u8 with i8 as float64.
    first = entries["first"].astype(np.int64)
    if (
        list(found) != zones["crc"][used].tolist()
        or first[0] < 0
        or first[-1] > info.rows
        or (first[1:] < first[:-1]).any()
    ):
        raise Wrong("the cell directory")
    cells = entries["cell"][:-1].astype(np.int64)
    return Directory(base, cells, first, entries["crc"][:-1].copy())
