"""The cell directory of a run of the sky index, as read: checked, and checking what it points to.

A run is checked from the top down. The manifest has the CRC-32 of the zone directory, each zone
that of its entries in the cell directory, each entry that of its records. Everything is checked
when it is read for the first time after the run was opened.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corecube.archive.skyrun import RECORD, RunInfo, crcs

IntArray = npt.NDArray[np.int64]


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

    def stretches(self, begin: IntArray, end: IntArray) -> list[Stretch]:
        """Return the cells that hold ranges of rows, whole.

        Parameters
        ----------
        begin, end : ndarray of int64, shape (m,)
            First row of each range and the one behind its last; not empty.

        Returns
        -------
        list of Stretch
            One for each range.
        """
        one = np.searchsorted(self.first, begin, side="right") - 1
        other = np.searchsorted(self.first, end, side="left")
        rows = (self.first[one].tolist(), self.first[other].tolist(), one.tolist(), other.tolist())
        return [Stretch(a, b, self, c, d) for a, b, c, d in zip(*rows, strict=True)]


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
