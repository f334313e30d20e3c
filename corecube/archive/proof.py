"""Proof that a shot file on the disk is what was handed to HDF5.

PyTables reports no error when the disk is full while chunks are written. So nothing that HDF5
says is believed: the closed file is opened again, its list of arrays is compared with ours, and
every chunk is read as bytes and compared with the CRC-32 that was taken before it was handed over.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import numpy as np

from corecube import hdf5
from corecube.archive import chunks
from corecube.archive.durable import FileStamp
from corecube.archive.seal import seal
from corecube.errors import ArchiveDamaged, NoSpace

_CORRUPT = (OSError, ValueError, KeyError, ArchiveDamaged)

_WINDOW: Final = 1 << 21
"""Bytes that are read at a time: the two digests find them in the processor's cache, and the
worker's memory does not grow with the file. They are not mapped: where a mapping cannot be read,
as in the holes of a file on a full tmpfs, the process is ended by SIGBUS."""


def prove(
    path: Path, checksums: Mapping[str, Sequence[int]], arrays: Mapping[str, Mapping[str, Any]]
) -> FileStamp:
    """Seal a closed shot file, force it to the disk and compare it with what it must hold.

    Parameters
    ----------
    path : Path
    checksums : mapping of str to sequence of int
        CRC-32 of the chunks of each array in the order of their places, 0 for one never written.
    arrays : mapping
        The list of arrays of the file's description.

    Returns
    -------
    FileStamp
        Size and sha256.

    Raises
    ------
    NoSpace
        If it is not: the disk is full or failing.
    """
    try:
        places = _places(path, checksums, arrays)
        seal(path, places)
        with path.open("rb") as raw:
            os.fsync(raw.fileno())
            size = os.fstat(raw.fileno()).st_size
            sha = _digest(raw.fileno(), size, places)
    except _CORRUPT as error:
        raise _full(path) from error
    return FileStamp(size, sha)


def _places(
    path: Path, checksums: Mapping[str, Sequence[int]], arrays: Mapping[str, Mapping[str, Any]]
) -> list[tuple[int, int, int]]:
    """Return offset, size and CRC-32 of all chunks in the file, by offset."""
    file = hdf5.open_file(path)
    try:
        places = [
            place for name, expected in checksums.items() if expected
            for place in _chunks(hdf5.node(file, name), expected, arrays[name]["shape"])
        ]  # fmt: skip
    finally:
        file.close()
    return sorted(places, key=itemgetter(0))


def _chunks(
    array: Any, expected: Sequence[int], shape: Sequence[int]
) -> Iterator[tuple[int, int, int]]:
    if list(array.shape) != list(shape):
        raise ValueError(array)
    counts = [-(-n // c) for n, c in zip(array.shape, array.chunkshape, strict=True)]
    for index, crc in zip(np.ndindex(*counts), expected, strict=True):
        start = tuple(i * c for i, c in zip(index, array.chunkshape, strict=True))
        place = array.chunk_info(start)
        if (place.offset is None) != (crc == 0):
            raise ValueError(array)
        if crc:
            yield place.offset, place.size, crc


def _digest(raw: int, size: int, places: Sequence[tuple[int, int, int]]) -> str:
    """Return the sha256 of a file, comparing its chunks on the way."""
    sha = hashlib.sha256()
    buffer = bytearray(_WINDOW)
    start = following = 0
    while start < size:
        end, behind = _window(start, size, places, following)
        if end - start > len(buffer):
            buffer = bytearray(end - start)
        with memoryview(buffer)[: end - start] as data:
            if os.preadv(raw, [data], start) != len(data):
                raise ValueError(start)
            sha.update(data)
            for offset, length, crc in places[following:behind]:
                if chunks.crc(data[offset - start : offset - start + length]) != crc:
                    raise ValueError(offset)
        start, following = end, behind
    return sha.hexdigest()


def _window(
    start: int, size: int, places: Sequence[tuple[int, int, int]], following: int
) -> tuple[int, int]:
    """Return the end of a window that cuts no chunk, and the first chunk behind it."""
    end = min(start + _WINDOW, size)
    while following < len(places) and sum(places[following][:2]) <= end:
        following += 1
    if following < len(places) and places[following][0] < end:
        offset, length, _ = places[following]
        if offset > start:
            return offset, following
        return offset + length, following + 1
    return end, following


def _full(path: Path) -> NoSpace:
    return NoSpace(
        f"{path.parent}: what was written is not what stands on the disk; the disk is full or "
        "failing; free some space and run the same command again"
    )
