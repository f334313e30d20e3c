"""Pages of files in the memory of the system: dropped, and seen to be gone."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterable
from pathlib import Path

from measuring import forget

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]


def resident(path: Path) -> int:
    """Pages of a file that are in memory, by mincore(2)."""
    size = path.stat().st_size
    if size == 0:
        return 0
    descriptor = os.open(path, os.O_RDONLY)
    try:
        address = _libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
        if address == ctypes.c_void_p(-1).value:
            raise OSError(ctypes.get_errno(), "mmap failed", str(path))
        try:
            seen = ctypes.create_string_buffer(-(-size // mmap.PAGESIZE))
            if _libc.mincore(address, size, seen):
                raise OSError(ctypes.get_errno(), "mincore failed", str(path))
        finally:
            _libc.munmap(address, size)
    finally:
        os.close(descriptor)
    return len(seen.raw) - seen.raw.count(b"\0")


def drop(paths: Iterable[Path]) -> None:
    """Drop the pages of files; raise if some stay."""
    for path in paths:
        for _ in range(5):
            forget(path)
            left = resident(path)
            if not left:
                break
        else:
            raise RuntimeError(f"{left} pages of {path} stay in memory; nothing is cold here")
