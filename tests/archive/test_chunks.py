"""Stored chunks: the checksum, and that HDF5 itself reads what was made outside of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corecube import hdf5
from corecube.archive import chunks
from corecube.errors import ArchiveDamaged


def fletcher32(data: bytes) -> int:
    """HDF5's Fletcher-32, word by word: big-endian words, an odd last byte is a high byte."""
    first = second = 0
    for at in range(0, len(data), 2):
        word = data[at] << 8 | (data[at + 1] if at + 1 < len(data) else 0)
        first = (first + word) % 65535
        second = (second + first) % 65535
    # the library's partial sums never come to 0 but for a sum of nothing but zeros
    if any(data):
        first, second = first or 65535, second or 65535
    return second << 16 | first


@settings(max_examples=60)
@given(
    st.sampled_from(["u1", "f4", "u4", "f8", "?"]),
    st.integers(1, 70),
    st.integers(1, 70),
    st.integers(0, 2**32 - 1),
    st.integers(1, 2**16),
)
def test_a_chunk_ends_with_the_checksum_of_its_bytes(
    dtype: str, rows: int, columns: int, seed: int, top: int
) -> None:
    values = np.random.default_rng(seed).integers(0, top, (rows, columns)).astype(dtype)
    data = chunks.encode(values)
    assert int.from_bytes(data[-4:], "little") == fletcher32(data[:-4])


@pytest.fixture
def store(tmp_path: Path) -> Any:
    """Write one array by chunks made here; return the path."""

    def write(values: npt.NDArray[Any], shape: tuple[int, ...]) -> Path:
        path = tmp_path / "array.h5"
        file = hdf5.open_file(path, "w")
        tables = hdf5.library()
        array = file.create_carray(
            "/", "x", tables.Atom.from_dtype(values.dtype), values.shape,
            filters=tables.Filters(fletcher32=True, **chunks.COMPRESSION), chunkshape=shape,
        )  # fmt: skip
        for start, chunk in chunks.stripes(values, shape):
            assert chunk.shape == shape and chunk.flags.c_contiguous
            array.write_chunk(start, chunks.encode(chunk))
        file.close()
        return path

    return write


@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "u2", "u4", "u8", "i4", "?", "S7"])
@pytest.mark.parametrize(
    ("shape", "chunk"),
    [
        ((300, 301), (128, 128)), ((128, 128), (128, 128)), ((1, 1), (1, 1)), ((5, 700), (5, 128)),
        ((513,), (100,)), ((7, 8, 9), (3, 8, 4)), ((33, 4000), (32, 4000)),
    ],
)  # fmt: skip
def test_hdf5_reads_what_was_encoded_here(
    store: Any, dtype: str, shape: tuple[int, ...], chunk: tuple[int, ...]
) -> None:
    values = np.random.default_rng(1).integers(0, 250, shape).astype(dtype)
    file = hdf5.open_file(store(values, chunk))
    try:
        found = hdf5.read(file, "/x")
        assert found.dtype == values.dtype and np.array_equal(found, values)
        part = tuple(slice(n // 3, n // 2 + 1) for n in shape)
        assert np.array_equal(hdf5.read(file, "/x", part), values[part])
    finally:
        file.close()


def test_a_flipped_bit_raises(store: Any) -> None:
    """Any of 300 single bits of the chunks: never a wrong value."""
    rng = np.random.default_rng(2)
    values = rng.normal(size=(200, 200)).astype("f4")
    path = store(values, (64, 64))
    original = path.read_bytes()
    file = hdf5.open_file(path)
    places = [file.root.x.chunk_info((y, x)) for y in range(0, 200, 64) for x in range(0, 200, 64)]
    file.close()
    for _ in range(300):
        place = places[rng.integers(len(places))]
        damaged = bytearray(original)
        damaged[place.offset + rng.integers(place.size)] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        file = hdf5.open_file(path)
        try:
            with pytest.raises(ArchiveDamaged, match="/x is damaged"):
                hdf5.read(file, "/x")
        finally:
            file.close()


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_image_chunks_fit_the_image_and_a_cutout(ny: int, nx: int) -> None:
    shape = chunks.image_chunks((ny, nx))
    assert all(1 <= c <= n for c, n in zip(shape, (ny, nx), strict=True))
    assert shape[0] * shape[1] * 4 <= 2**20, "a cutout of 64 x 64 must not read megabytes"


def test_a_crc_is_never_that_of_a_chunk_that_was_not_written() -> None:
    import zlib

    assert chunks.crc(b"abc") == zlib.crc32(b"abc")
    # the four bytes whose CRC-32 is 0
    assert zlib.crc32(b"\x9d\x0a\xd9\x6d") == 0
    assert chunks.crc(b"\x9d\x0a\xd9\x6d") == 1
