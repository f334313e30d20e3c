r"""The seal at the end of a shot file: a checksum of all that HDF5 reads before any chunk.

Chunks have checksums of their own, which are looked at before they are unpacked. What lies
between them, HDF5's own structure, has none, and the library may crash on damaged structure, or
read other values. So all bytes that are no chunks are covered by the seal, and it is checked
before HDF5 sees the file. It finds damage, not forgery.

HDF5 ignores bytes behind the end of its file. There stand, little-endian::

    n x (u8 offset, u8 size)     parts of the file that are no chunks, by offset
    u8 size of the HDF5 file, u4 n, u4 CRC-32 of the parts' bytes, of the table and of the 12
    bytes before it, 8 bytes ``ccseal1\n``
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from corecube.errors import ArchiveDamaged

_MAGIC: Final = b"ccseal1\n"
_END: Final = struct.Struct("<QII8s")
Parts = npt.NDArray[np.void]
_PART: Final = np.dtype([("offset", "<u8"), ("size", "<u8")])
_APART: Final = 1 << 14
"""Bytes between two parts up to which both are read at once."""


def seal(path: Path, places: Sequence[tuple[int, int, int]]) -> None:
    """Write the seal behind a closed HDF5 file; it is not forced to the disk.

    Parameters
    ----------
    path : Path
    places : sequence of (int, int, int)
        Offset, size and CRC-32 of all chunks, by offset.

    Raises
    ------
    ValueError
        If chunks overlap or lie behind the end of the file.
    OSError
    """
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        parts = np.array(list(_between(places, size)), dtype=_PART)
        crc = _checksum(file.fileno(), parts, size)
        table = parts.tobytes()
        head = struct.pack("<QI", size, len(parts))
        file.write(table + _END.pack(size, len(parts), zlib.crc32(table + head, crc), _MAGIC))


def check(path: Path) -> None:
    """Compare a shot file with its seal.

    Raises
    ------
    ArchiveDamaged
        If there is no seal, or the bytes outside of chunks are not those that were sealed.
    FileNotFoundError
        If there is no file.
    """
    # a pipe in the place of the file would wait for a writer
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        whole = os.fstat(descriptor).st_size
        end = os.pread(descriptor, _END.size, max(0, whole - _END.size))
        if len(end) < _END.size or not end.endswith(_MAGIC):
            raise ArchiveDamaged(f"{path}: is truncated or no shot file of corecube")
        size, count, expected, _ = _END.unpack(end)
        if size + count * _PART.itemsize + _END.size != whole:
            raise ArchiveDamaged(f"{path}: its seal is damaged")
        table = os.pread(descriptor, count * _PART.itemsize, size)
        parts = np.frombuffer(table, dtype=_PART)
        if len(parts) != count or not _in_order(parts, size):
            raise ArchiveDamaged(f"{path}: its seal is damaged")
        crc = _checksum(descriptor, parts, size)
        if zlib.crc32(table + end[:12], crc) != expected:
            raise ArchiveDamaged(f"{path}: its structure is damaged")
    finally:
        os.close(descriptor)


def _between(places: Iterable[tuple[int, int, int]], size: int) -> Iterator[tuple[int, int]]:
    """Yield what lies before, between and behind chunks."""
    start = 0
    for offset, length, _ in places:
        if offset < start:
            raise ValueError(f"two chunks at byte {offset}")
        if offset > start:
            yield start, offset - start
        start = offset + length
    if start > size:
        raise ValueError(f"a chunk ends behind byte {size}")
    if start < size:
        yield start, size - start


def _in_order(parts: Parts, size: int) -> bool:
    start, length = parts["offset"], parts["size"]
    limit = np.uint64(size)
    if (start > limit).any() or (length > limit).any():  # else the sums may wrap around
        return False
    ends = start + length
    return bool((ends <= limit).all() and (start[1:] >= ends[:-1]).all())


def _checksum(descriptor: int, parts: Parts, size: int) -> int:
    """Return the CRC-32 of parts of a file; those that lie close together are read at once."""
    crc = 0
    begins, lengths = parts["offset"].tolist(), parts["size"].tolist()
    first = 0
    while first < len(begins):
        last = first
        while last + 1 < len(begins) and begins[last + 1] - begins[last] - lengths[last] <= _APART:
            last += 1
        start = begins[first]
        length = begins[last] + lengths[last] - start
        data = memoryview(os.pread(descriptor, length, start))
        if len(data) != length:
            raise ArchiveDamaged(f"the file has {size} bytes and ends before")
        for k in range(first, last + 1):
            at = begins[k] - start
            crc = zlib.crc32(data[at : at + lengths[k]], crc)
        first = last + 1
    return crc
