"""How a data set of an HDF5 file is stored, read from its object header.

PyTables does not say whether a data set that is not chunked lies in the file itself: it may be
external (bytes of any file of the user's) or virtual (parts of other HDF5 files). The header says
so (HDF5 File Format Specification 3.0, III.A "Data Object Headers", IV.A.2.h "External Data Files"
and IV.A.2.i "Data Layout").
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
_EXTERNAL, _LAYOUT, _CONTINUED = 0x07, 0x08, 0x10
_INSIDE: Final = (0, 1)
"""Layout classes whose bytes lie in the file: compact and contiguous."""

_LARGEST: Final = 2**20
"""Bytes of one block of a header that are looked at."""

_BLOCKS: Final = 100
"""Blocks of a header that are looked at."""


def lies_inside(path: Path | str, address: int) -> bool:
    """Say whether a compact or contiguous data set has its bytes in the file itself.

    Parameters
    ----------
    path : path
        Of the file; its addresses and lengths must have 8 bytes, as HDF5 writes them.
    address : int
        Of the data set's object header.

    Returns
    -------
    bool
        False also where the header is not understood.
    """
    with Path(path).open("rb") as file:
        handle = file.fileno()
        start = os.pread(handle, 16, 0)
        sizes = start[13:15] if start[8:9] in (b"\0", b"\1") else start[9:11]
        if start[:8] != _SIGNATURE or sizes != b"\x08\x08":
            return False
        try:
            messages = list(_messages(handle, address))
        except (ValueError, IndexError):
            return False
    layouts = [body for kind, body in messages if kind == _LAYOUT]
    if len(layouts) != 1 or any(kind == _EXTERNAL for kind, _ in messages):
        return False
    layout = layouts[0]
    # versions 1 and 2 have the rank before the class
    place = 2 if layout[:1] in (b"\1", b"\2") else 1
    return len(layout) > place and layout[0] <= 4 and layout[place] in _INSIDE


def _messages(handle: int, address: int) -> Iterator[tuple[int, bytes]]:
    """Yield kind and body of all messages of an object header."""
    head = _bytes(handle, address, 16)
    if head[:4] == b"OHDR":
        flags = head[5]
        width = 1 << (flags & 3)
        place = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        size = int.from_bytes(_bytes(handle, address + place, width), "little")
        blocks = [(address + place + width, size, 0)]
        version, order = 2, 2 if flags & 4 else 0
    elif head[0] == 1:
        blocks = [(address + 16, int.from_bytes(head[8:12], "little"), 0)]
        version, order = 1, 0
    else:
        raise ValueError(address)
    done = 0
    while blocks:
        where, size, skip = blocks.pop(0)
        done += 1
        if done > _BLOCKS:
            raise ValueError(address)
        data = _bytes(handle, where, size)[skip : size - (4 if skip else 0)]
        prefix = 8 if version == 1 else 4 + order
        place = 0
        while place + prefix <= len(data):
            kind = int.from_bytes(data[place : place + (2 if version == 1 else 1)], "little")
            at = place + 2 if version == 1 else place + 1
            length = int.from_bytes(data[at : at + 2], "little")
            body = data[place + prefix : place + prefix + length]
            if len(body) != length:
                raise ValueError(address)
            if kind == _CONTINUED:
                target, count = (int.from_bytes(body[i : i + 8], "little") for i in (0, 8))
                # a block of version 2 begins with OCHK and ends with a checksum
                blocks.append((target, count, 4 if version == 2 else 0))
            yield kind, body
            place += prefix + length


def _bytes(handle: int, place: int, size: int) -> bytes:
    if size > _LARGEST or place >= 2**63:
        raise ValueError(place)
    data = os.pread(handle, size, place)
    if len(data) != size:
        raise ValueError(place)
    return data
