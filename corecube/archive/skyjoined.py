"""The cell directories of several runs as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from corecube.archive.skycover import Cover, ragged
from corecube.archive.skydirectory import Directory, Stretch
from corecube.archive.skyreader import Run

# Entries up to which numbers cost less than arrays.
_FEW: Final = 8


class JoinedDirectories:
    """Directories that are in memory, of runs with the same grid.

    A small cone has rows in one or two of the runs; to ask each of them costs more than to read
    the rows.

    Parameters
    ----------
    runs : sequence of Run
        At least one; `Run.directory` of each is there.

    Attributes
    ----------
    runs : list of (Run, Directory)
    grid : RingGrid
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        loaded = [(run, run.directory) for run in runs]
        self.runs: list[tuple[Run, Directory]] = [(r, d) for r, d in loaded if d is not None]
        self.grid = self.runs[0][0].grid
        sizes = [len(directory.cells) for _, directory in self.runs]
        cells = np.concatenate([directory.cells for _, directory in self.runs])
        order = np.argsort(cells, kind="stable")
        self._cells = cells[order]
        self._run = np.repeat(np.arange(len(sizes)), sizes)[order]
        self._place = np.concatenate([np.arange(size) for size in sizes])[order]

    def ranges(self, cells: Cover) -> list[tuple[Run, list[Stretch]]]:
        """Return the runs that have rows in cells, and where, as `Run.ranges` does.

        Parameters
        ----------
        cells : Cover

        Returns
        -------
        list of (Run, list of Stretch)
        """
        at = self._cells.searchsorted(cells.bounds).tolist()
        pairs = [(a, b) for a, b in zip(at[::2], at[1::2], strict=True) if a < b]
        if sum(b - a for a, b in pairs) > _FEW:
            return self._many(pairs)
        found: dict[int, list[int]] = {}
        for a, b in pairs:
            for entry in range(a, b):
                place = self._place.item(entry)
                found.setdefault(self._run.item(entry), []).extend((place, place + 1))
        return [(self.runs[n][0], self.runs[n][1].ranges(found[n])) for n in found]

    def _many(self, pairs: list[tuple[int, int]]) -> list[tuple[Run, list[Stretch]]]:
        start, stop = np.array(pairs).T
        entries = ragged(start, stop - start)
        number, place = self._run[entries], self._place[entries]
        found = []
        for n, (run, directory) in enumerate(self.runs):
            mine = np.unique(place[number == n])
            if len(mine):
                edge = np.flatnonzero(np.diff(mine) != 1)
                ends = np.stack([mine[np.append(0, edge + 1)], mine[np.append(edge, -1)] + 1])
                found.append((run, directory.ranges(ends.T.reshape(-1).tolist())))
        return found
