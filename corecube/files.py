"""Input files, packed or not: their head, and all their unpacked bytes.

How a file is packed is told by its first bytes, never by its name.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import shutil
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from corecube.errors import FileNotUnderstood

HEAD_SIZE: Final = 64 * 1024
"""Unpacked bytes that are looked at for recognising a file."""

_MAGIC: Final = {b"BZh": "bz2", b"\x1f\x8b": "gzip", b"\xfd7zXZ\x00": "xz"}
_PIECE: Final = 64 * 1024


def packing_of(data: bytes) -> str:
    """Return ``bz2``, ``gzip``, ``xz`` or "" by the first bytes of a file."""
    for magic, name in _MAGIC.items():
        if data.startswith(magic):
            return name
    return ""


@dataclass(frozen=True)
class Head:
    """The first bytes of a file, unpacked, and what the file system says of it."""

    data: bytes
    packing: str
    size: int
    mtime_ns: int

    @classmethod
    def read(cls, path: str) -> Head:
        """Read the head of a file; only as much is unpacked as needed.

        Raises
        ------
        FileNotUnderstood
            If the beginning cannot be unpacked.
        OSError
            If it cannot be read.
        """
        with Path(path).open("rb") as file:
            status = os.fstat(file.fileno())
            first = file.read(_PIECE)
            packing = packing_of(first)
            if not packing:
                return cls(first[:HEAD_SIZE], "", status.st_size, status.st_mtime_ns)
            decoder = _decoder(packing)
            data = b""
            piece = first
            try:
                while piece and len(data) < HEAD_SIZE and not decoder.eof:
                    data += decoder.decompress(piece, HEAD_SIZE)
                    piece = file.read(_PIECE)
                if len(data) < HEAD_SIZE and not decoder.eof:
                    raise EOFError("they end too early")
            except _DAMAGE as error:
                raise _damaged(path, packing, error) from error
            return cls(data[:HEAD_SIZE], packing, status.st_size, status.st_mtime_ns)


def read_unpacked(path: str) -> bytes:
    """Return all bytes of a file, unpacked.

    Raises
    ------
    FileNotUnderstood
        If a packed file is truncated or damaged.
    OSError
        If it cannot be read.
    """
    data = Path(path).read_bytes()
    packing = packing_of(data)
    try:
        if packing == "bz2":
            return _unpack_bz2(data)
        if packing == "gzip":
            return _unpack_gzip(data)
        if packing == "xz":
            return lzma.decompress(data)
    except _DAMAGE as error:
        raise _damaged(path, packing, error) from error
    return data


def open_unpacked(path: str) -> BinaryIO:
    """Return a seekable binary file on the unpacked bytes of `path`; errors as `read_unpacked`."""
    with Path(path).open("rb") as file:
        packed = packing_of(file.read(8))
    return io.BytesIO(read_unpacked(path)) if packed else Path(path).open("rb")


def unpacked_path(path: str, folder: str) -> str:
    """Return the path of a file with the unpacked bytes of `path`.

    Parameters
    ----------
    path : str
    folder : str
        Where the copy of a packed file is made, piece by piece.

    Raises
    ------
    FileNotUnderstood, OSError
        As `read_unpacked`.
    """
    with Path(path).open("rb") as file:
        packing = packing_of(file.read(8))
        if not packing:
            return path
        file.seek(0)
        handle, copy = tempfile.mkstemp(dir=folder, suffix=Path(Path(path).stem).suffix)
        openers: dict[str, Any] = {"bz2": bz2.open, "gzip": gzip.open, "xz": lzma.open}
        unpacked = openers[packing](file, "rb")
        with unpacked, open(handle, "wb") as target:  # noqa: PTH123  # of a descriptor
            try:
                shutil.copyfileobj(unpacked, target, 2**20)
            except _DAMAGE as error:
                raise _damaged(path, packing, error) from error
    return copy


def digest(path: str) -> str:
    """Return the sha256 of a file's bytes as stored.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpack_bz2(data: bytes) -> bytes:
    try:
        import rapidgzip  # the extra "fast": 10-15 % less time on one core
    except ImportError:
        return bz2.decompress(data)
    try:
        with rapidgzip.IndexedBzip2File(io.BytesIO(data), parallelization=1) as file:
            return bytes(file.read())
    except _DAMAGE:
        return bz2.decompress(data)  # it has the last word, and says what is wrong


def _unpack_gzip(data: bytes) -> bytes:
    decoder = zlib.decompressobj(wbits=31)
    unpacked = decoder.decompress(data)
    if decoder.eof and not decoder.unused_data:
        return unpacked
    # several members, or padding, or damage; it copies the packed bytes for each member
    return gzip.decompress(data)


_DAMAGE = (OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError)


def _damaged(path: str, packing: str, error: Exception) -> FileNotUnderstood:
    if isinstance(error, OSError) and error.errno is not None:
        raise error
    return FileNotUnderstood(
        f"{path}: the {packing} data are truncated or damaged ({error}); fetch the file again"
    )


class _Inflater:
    """zlib's decompressor for gzip with the interface of bz2's and lzma's."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


def _decoder(packing: str) -> bz2.BZ2Decompressor | _Inflater:
    if packing == "bz2":
        return bz2.BZ2Decompressor()
    if packing == "xz":
        return lzma.LZMADecompressor()  # type: ignore[return-value]  # same two members
    return _Inflater()
