"""Packed files: their head, all their bytes, and what damage is called."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corecube.errors import FileNotUnderstood
from corecube.files import HEAD_SIZE, Head, digest, open_unpacked, packing_of, read_unpacked

PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes, "bz2": bz2.compress, "gzip": gzip.compress, "xz": lzma.compress,
}  # fmt: skip
PACKED = [name for name in PACK if name]


def noise(size: int) -> bytes:
    return np.random.default_rng(size).integers(0, 256, size, dtype="u1").tobytes()


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("size", [0, 1, 5000, HEAD_SIZE - 1, HEAD_SIZE, HEAD_SIZE + 1, 2_000_000])
@pytest.mark.parametrize("name", ["file", "file.fits.bz2"])  # the name must not matter
def test_head_and_bytes(tmp_path: Path, packing: str, size: int, name: str) -> None:
    data = (b"SIMPLE  =" + noise(size // 2) + bytes(size))[:size]
    path = tmp_path / name
    path.write_bytes(PACK[packing](data))
    head = Head.read(str(path))
    assert head.data == data[:HEAD_SIZE]
    assert head.packing == packing
    assert (head.size, head.mtime_ns) == (path.stat().st_size, path.stat().st_mtime_ns)
    assert read_unpacked(str(path)) == data
    with open_unpacked(str(path)) as file:
        file.seek(size // 2)
        assert file.read() == data[size // 2 :]
    assert digest(str(path)) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("packing", PACKED)
def test_several_streams_in_one_file(tmp_path: Path, packing: str) -> None:
    parts = [noise(100_000), noise(30_000)]
    path = tmp_path / "x"
    path.write_bytes(b"".join(map(PACK[packing], parts)))
    assert read_unpacked(str(path)) == b"".join(parts)


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("size", [3000, 300_000])
def test_truncation_anywhere_is_said_with_the_path(tmp_path: Path, packing: str, size: int) -> None:
    packed = PACK[packing](noise(size))
    path = tmp_path / "x.fits"
    places = {int(n) for n in np.linspace(1, len(packed) - 1, 40)} | {len(packed) - 1, 9, 12}
    for end in sorted(places):
        path.write_bytes(packed[:end])
        if not packing_of(packed[:end]):
            continue
        with pytest.raises(FileNotUnderstood) as caught:
            read_unpacked(str(path))
        assert str(caught.value).startswith(f"{path}: the {packing} data are truncated or damaged")
        try:  # the head may be whole
            assert Head.read(str(path)).data == noise(size)[:HEAD_SIZE]
        except FileNotUnderstood as error:
            assert str(path) in str(error)


@pytest.mark.parametrize("packing", PACKED)
def test_flipped_bytes_are_said_with_the_path(tmp_path: Path, packing: str) -> None:
    data = noise(200_000)
    packed = PACK[packing](data)
    path = tmp_path / "x.fits"
    # the first bytes tell that it is packed at all; gzip's header has bytes that mean nothing
    first = {"gzip": 10, "bz2": 4, "xz": 6}[packing]
    refused = 0
    for at in np.linspace(first, len(packed) - 1, 60).astype(int):
        damaged = bytearray(packed)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        try:  # a few bits of the formats mean nothing
            assert read_unpacked(str(path)) == data
        except FileNotUnderstood as error:
            refused += 1
            assert str(error).startswith(f"{path}: the {packing} data are truncated or damaged")
    assert refused >= 58


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    for start in (b"", b"BZh9", b"\x1f\x8b", b"\xfd7zXZ\x00"):
        path.write_bytes(start + data)
        for read in (Head.read, read_unpacked):
            try:
                read(str(path))
            except FileNotUnderstood as error:
                assert packing_of(start + data) and str(path) in str(error)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    for read in (Head.read, read_unpacked, open_unpacked, digest):
        with pytest.raises(FileNotFoundError):
            read(str(tmp_path / "none"))
        with pytest.raises(IsADirectoryError):
            read(str(tmp_path))
