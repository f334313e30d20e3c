"""Append-only files of JSON records, a line each with its CRC-32.

Only the bytes that the manifest counts are read, so a record half written by a process that died
is never seen, and the next writer writes over it.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from corecube.archive.durable import sync_directory
from corecube.archive.inside import inside, open_file
from corecube.archive.jsontext import loads
from corecube.archive.layout import to_text
from corecube.archive.manifest import LogEnd
from corecube.errors import ArchiveDamaged, NoSpace


def read(archive: Path, end: LogEnd, start: int = 0) -> list[dict[str, Any]]:
    """Return the committed records from byte `start` on.

    Raises
    ------
    ArchiveDamaged
        If the file is missing, too short, or a line does not have its CRC.
    """
    if end.length <= start:
        return []
    path = inside(archive, end.file)
    try:
        with open_file(path) as file:
            file.seek(start)
            data = file.read(end.length - start)
    except FileNotFoundError as error:
        raise ArchiveDamaged(f"{path}: is missing; run 'corecube repair'") from error
    if len(data) != end.length - start:
        raise ArchiveDamaged(f"{path}: is shorter than {end.length} bytes; run 'corecube repair'")
    texts = []
    *lines, rest = data.split(b"\n")
    if rest:  # the end of the last record is gone, and with it perhaps others
        raise ArchiveDamaged(
            f"{path}: is damaged: its last record has no end; run 'corecube repair'"
        )
    for line in lines:
        crc, _, text = line.partition(b" ")
        if f"{zlib.crc32(text):08x}".encode() != crc:
            raise ArchiveDamaged(
                f"{path}: is damaged: a record does not have its checksum; run 'corecube repair'"
            )
        texts.append(text)
    # All at once takes half the time of one by one, and a query waits for it.
    try:
        records: list[dict[str, Any]] = loads(b"[%b]" % b",".join(texts))
        if not all(isinstance(record, dict) for record in records):
            raise ValueError("a record is no object")
    except ValueError as error:
        raise ArchiveDamaged(
            f"{path}: is damaged: a record is not what corecube writes ({error}); run "
            "'corecube repair'"
        ) from error
    return records


def append(archive: Path, end: LogEnd, records: Iterable[Any]) -> LogEnd:
    """Write records behind the committed ones and force them to the disk.

    Returns
    -------
    LogEnd
        The new end; it counts when a manifest with it is committed.

    Raises
    ------
    NoSpace
        If the disk is full.
    """
    lines = b"".join(
        b"%08x %b\n" % (zlib.crc32(text), text)
        for text in (to_text(record).encode() for record in records)
    )
    path = inside(archive, end.file)
    # also when it exists: a writer that was killed may have made it, and not forced its name
    new = end.length == 0
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.ftruncate(handle, end.length)
            written = 0
            while written < len(lines):
                written += os.pwrite(handle, lines[written:], end.length + written)
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise NoSpace(
                f"{path}: the disk is full; nothing that was stored is lost; free some space and "
                "run the same command again"
            ) from error
        raise
    if new:
        sync_directory(path.parent)
    return LogEnd(end.file, end.length + len(lines))
