"""Parts of arrays, decoded outside of HDF5.

HDF5 decodes a chunk five times slower than the decoder itself (measured in docs/format.md). What
`chunks.encode` has made is read here: the bytes of a chunk are fetched, pass their checksum, say in
their header what they will become, and only then are decoded.
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
from corecube.archive.chunks import COMPACT, COMPRESSION, codecs

# version, version of the codec, flags, type size, bytes decoded, block size, bytes encoded
_BLOSC: Final = struct.Struct("<4B3I")


class ChunkDamaged(Exception):
    """The bytes of a chunk are not what was written."""


def read(node: Any, key: Any) -> npt.NDArray[Any] | None:
    """Return a part of an array.

    Parameters
    ----------
    node : tables.CArray
        As `hdf5.node` gives it: its chunks are not too large. `is_ours` is true for it.
    key : slice, tuple of slices or Ellipsis

    Returns
    -------
    ndarray or None
        None where HDF5 itself must read: steps, single numbers, chunks that were not packed.

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
    buffer = np.empty(shape, node.dtype)
    blosc, fletcher32 = codecs()
    missing = hdf5.library().exceptions.NoSuchChunkError
    firsts = (range(a // c * c, b, c) for (a, b), c in zip(parts, shape, strict=True))
    for first in itertools.product(*firsts):
        try:
            stored = node.read_chunk(first)
        except missing:  # it has zeros alone and was never written
            continue
        try:
            packed = fletcher32.decode(stored)
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
