"""Chunks of arrays as HDF5 stores them, encoded outside of HDF5.

One 128 x 128 plane of a frame costs three times as much through HDF5's filter pipeline as when the
same bytes are made here and handed over with `write_chunk` (measured in docs/format.md). A stored
chunk is a blosc-1 buffer (lz4, level 5, bit shuffle) followed by the four bytes of HDF5's
fletcher32 checksum; any HDF5 with the blosc filter (id 32001) reads it.
"""

from __future__ import annotations

import zlib
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

COMPRESSION: Final = {"complevel": 5, "complib": "blosc:lz4", "shuffle": False, "bitshuffle": True}
"""The filter as PyTables names it, without the checksum."""

COMPACT: Final = {"complevel": 3, "complib": "blosc:zstd", "shuffle": True, "bitshuffle": False}
"""The filter of planes of images in archives of the profile ``small``."""


def image_chunks(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the chunk shape of an image plane, fit for cutouts of 64 x 64 pixels."""
    return tuple(max(1, min(256, length)) for length in shape)


def encode(chunk: npt.NDArray[Any], compact: bool = False) -> bytes:
    """Return the stored bytes of one chunk.

    Parameters
    ----------
    chunk : contiguous array of the full chunk shape
    compact : bool
        By the filter `COMPACT`.
    """
    blosc, fletcher32 = codecs()
    if compact:
        packed = blosc.compress(chunk, b"zstd", 3, blosc.SHUFFLE, 0)
    else:
        packed = blosc.compress(chunk, b"lz4", 5, blosc.BITSHUFFLE, 0)
    stored: bytes = fletcher32.encode(packed)
    return stored


def crc(data: bytes | memoryview) -> int:
    """Return the CRC-32 of a stored chunk, 1 instead of 0: 0 stands for a chunk never written."""
    return zlib.crc32(data) or 1


def stripes(values: npt.NDArray[Any], shape: tuple[int, ...]) -> Any:
    """Yield the chunks of an array.

    Parameters
    ----------
    values : array
    shape : tuple of int
        Chunk shape, as many numbers as `values` has axes.

    Yields
    ------
    (start, chunk) : tuple of int, contiguous array of `shape`
        Chunks at the edge are filled up with zeros.
    """
    if values.ndim == 0 or 0 in values.shape:
        return
    if values.ndim == 2:
        yield from _plane(values, shape)
        return
    for index in np.ndindex(*(-(-n // c) for n, c in zip(values.shape, shape, strict=True))):
        start = tuple(i * c for i, c in zip(index, shape, strict=True))
        part = values[tuple(slice(s, s + c) for s, c in zip(start, shape, strict=True))]
        if part.shape == shape:
            yield start, np.ascontiguousarray(part)
        else:
            full = np.zeros(shape, dtype=values.dtype)
            full[tuple(slice(0, n) for n in part.shape)] = part
            yield start, full


def _plane(values: npt.NDArray[Any], shape: tuple[int, ...]) -> Any:
    """Cut a plane row of chunks by row of chunks: one copy each, while it is in the cache."""
    rows, columns = shape
    across = -(-values.shape[1] // columns)
    buffer = np.zeros((across, rows, columns), dtype=values.dtype)
    whole = values.shape[1] // columns
    for top in range(0, values.shape[0], rows):
        part = values[top : top + rows]
        height = part.shape[0]
        if height < rows:
            buffer[:, height:] = np.zeros((), dtype=values.dtype)
        if whole:
            tiles = part[:, : whole * columns].reshape(height, whole, columns)
            buffer[:whole, :height] = tiles.swapaxes(0, 1)
        if whole < across:
            rest = part[:, whole * columns :]
            buffer[whole, :height, : rest.shape[1]] = rest
        for number in range(across):
            yield (top, number * columns), buffer[number]


@cache
def codecs() -> tuple[Any, Any]:
    """Return the modules that pack chunks and check them: `numcodecs.blosc`, `Fletcher32`."""
    from numcodecs import Fletcher32, blosc

    # one thread per process: ingest runs in as many processes as there are cores
    blosc.use_threads = False
    return blosc, Fletcher32()
