"""Parts of arrays, decoded outside of HDF5.

HDF5 decodes a chunk five times slower than the decoder itself (measured in docs/format.md). What
`chunks.encode` has made is read here: the bytes of a chunk are fetched, are those that were written
at this place by the shot's list of CRC-32, say in their header what they will become, and only then
are decoded.
"""

from __future__ import annotations

import itertools
import struct
import sys
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube import hdf5
from corecube.archive.chunks import COMPACT, COMPRESSION, codecs, crc

# version, version of the codec, flags, type size, bytes decoded, block size, bytes encoded
_BLOSC: Final = struct.Struct("<4B3I")


_FEW: Final = 64
_SMALL: Final = 1 << 20
"""So many parts of so many bytes are left to HDF5 as long as the decoder's package is not loaded:
that takes 40 ms, and a short command reads a few columns."""

_left = itertools.count()


class ChunkDamaged(Exception):
    """The bytes of a chunk are not what was written."""


def read(
    node: Any, key: Any, sums: npt.NDArray[np.uint32] | None = None
) -> npt.NDArray[Any] | None:
    """Return a part of an array.

    Parameters
    ----------
    node : tables.CArray
        As `hdf5.node` gives it: its chunks are not too large. `is_ours` is true for it.
    key : slice, tuple of slices or Ellipsis
    sums : uint32 array, optional
        `chunks.crc` of each chunk, 0 for those never written; where it is not given, the checksum
        behind a chunk must do.

    Returns
    -------
    ndarray or None
        None where HDF5 itself must read: steps, single numbers, chunks that were not packed; and
        the first small parts in a process that has not loaded the decoder.

    Raises
    ------
    ChunkDamaged
    MemoryError
        If the part is too large.
    """
    parts = _slices(key, node.shape)
    if parts is None:
        return None
    shape = tuple(int(length) for length in node.chunkshape)
    values = np.zeros([max(0, stop - start) for start, stop in parts], node.dtype)
    if not values.size:
        return values
    if "numcodecs" not in sys.modules and values.nbytes < _SMALL and next(_left) < _FEW:
        return None
    buffer = np.empty(shape, node.dtype)
    blosc, fletcher32 = codecs()
    missing = hdf5.library().exceptions.NoSuchChunkError
    firsts = (range(a // c * c, b, c) for (a, b), c in zip(parts, shape, strict=True))
    across = [-(-int(n) // c) for n, c in zip(node.shape, shape, strict=True)]
    for first in itertools.product(*firsts):
        try:
            stored = node.read_chunk(first)
        except missing:  # it has zeros alone and was never written
            stored = None
        if sums is not None:
            number = 0
            for start, length, count in zip(first, shape, across, strict=True):
                number = number * count + start // length
            found = 0 if stored is None else crc(stored)
            if number >= len(sums) or found != sums.item(number):
                raise ChunkDamaged("it is another one than was written")
        if stored is None:
            continue
        try:
            packed = memoryview(stored)[:-4] if sums is not None else fletcher32.decode(stored)
        except (RuntimeError, ValueError) as error:
            raise ChunkDamaged(str(error)) from error
        if not _fits(packed, buffer.nbytes):
            if node.chunk_info(first).filter_mask:
                return None  # HDF5 stores unpacked what packing would make larger
            raise ChunkDamaged("it does not become a chunk")
        try:
            blosc.decompress(packed, buffer)
        except (RuntimeError, ValueError) as error:
            raise ChunkDamaged(str(error)) from error
        place, inside = [], []
        for (a, b), start, length in zip(parts, first, shape, strict=True):
            low, high = max(a, start), min(b, start + length)
            place.append(slice(low - a, high - a))
            inside.append(slice(low - start, high - start))
        values[tuple(place)] = buffer[tuple(inside)]
    return values


def _fits(packed: Any, size: int) -> bool:
    """Say whether bytes are what becomes so many, by their header."""
    if len(packed) < _BLOSC.size:
        return False
    *_, decoded, _, encoded = _BLOSC.unpack_from(packed)
    return bool((decoded, encoded) == (size, len(packed)))


def _slices(key: Any, shape: Sequence[int]) -> list[tuple[int, int]] | None:
    """Return first and last (exclusive) of each axis, None if it is not as simple as that."""
    keys = () if key is Ellipsis else key if isinstance(key, tuple) else (key,)
    if len(keys) > len(shape) or not all(isinstance(part, slice) for part in keys):
        return None
    found = []
    keys += (slice(None),) * (len(shape) - len(keys))
    for part, length in zip(keys, shape, strict=True):
        start, stop, step = part.indices(int(length))
        if step != 1:
            return None
        found.append((start, stop))
    return found


def is_ours(node: Any) -> bool:
    """Say whether an array is packed as `chunks.encode` does it."""
    filters = node.filters
    return bool(
        filters.complib in (COMPRESSION["complib"], COMPACT["complib"])
        and filters.fletcher32
        and node.byteorder in (sys.byteorder, "irrelevant")
        and not np.any(node.atom.dflt)
    )
