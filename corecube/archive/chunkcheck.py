"""Whether the chunks that are about to be read are those that were written there.

The fletcher32 behind a chunk tells that its bytes belong together, not that they belong there: two
chunks of one size that changed places would pass. The list of CRC-32 in a shot file knows.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from corecube.archive import chunks


class Sums(Protocol):
    """Where the CRC-32 of chunks come from; asked once a chunk is read."""

    def __call__(self) -> Any:
        """Return them, uint32 (n,)."""


class ChunkCheck:
    """Compares chunks of a shot file with their CRC-32, each once.

    Parameters
    ----------
    path : Path
        The file, which must not be replaced under this name.
    sums : callable
    """

    def __init__(self, path: Path, sums: Sums) -> None:
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._sums = sums
        self._values: Any = None
        self._seen: set[int] = set()

    def close(self) -> None:
        """Close the file."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def sums(self, first: int, count: int) -> Any:
        """Return the CRC-32 of the chunks of an array, uint32 (count,); fewer if there are fewer.

        Parameters
        ----------
        first, count : int
            Its place among the sums.
        """
        if self._values is None:
            self._values = self._sums()
        return self._values[first : first + count]

    def differs(self, array: Any, first: int, count: int, key: Any) -> bool:
        """Say whether a chunk that a part of an array needs is another one than was written.

        Parameters
        ----------
        array : tables.CArray
        first, count : int
            Its place among the sums.
        key : slice, tuple of slices, or Ellipsis
            The part.
        """
        shape, size = array.shape, array.chunkshape
        across = [-(-n // c) for n, c in zip(shape, size, strict=True)]
        for index in itertools.product(*_spans(shape, size, key)):
            number = 0
            for place, length in zip(index, across, strict=True):
                number = number * length + place
            if number >= count:
                return True  # there are more chunks than the file says
            if first + number in self._seen:
                continue
            sums = self.sums(first, count)
            start = tuple(i * c for i, c in zip(index, size, strict=True))
            stored = array.chunk_info(start)
            found = 0
            if stored.offset is not None:
                found = chunks.crc(os.pread(self._handle, stored.size, stored.offset))
            if number >= len(sums) or found != int(sums[number]):
                return True
            self._seen.add(first + number)
        return False


def _spans(shape: Sequence[int], size: Sequence[int], key: Any) -> list[range]:
    """Return the numbers of the chunks along each axis that a part touches."""
    parts = key if isinstance(key, tuple) else (key,)
    spans = []
    for axis, (length, chunk) in enumerate(zip(shape, size, strict=True)):
        part = parts[axis] if axis < len(parts) else slice(None)
        if isinstance(part, slice):
            start, stop, _ = part.indices(length)
        elif part is Ellipsis:
            start, stop = 0, length
        else:
            start, stop = int(part), int(part) + 1
        spans.append(range(start // chunk, -(-stop // chunk)) if start < stop else range(0))
    return spans
