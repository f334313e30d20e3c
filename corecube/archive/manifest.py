"""The manifest: which files make up the archive now. Replacing it is the commit."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from corecube.archive.durable import write_file
from corecube.archive.inside import leads_inside, open_file
from corecube.archive.jsontext import conform, loads
from corecube.archive.layout import (
    CATALOGUE,
    DESCRIPTION,
    FORMAT,
    MANIFEST,
    to_text,
)
from corecube.archive.skyrun import RunInfo
from corecube.errors import ArchiveDamaged, ArchiveMissing, ArchiveTooNew, ArchiveTooOld


@dataclass(frozen=True)
class LogEnd:
    """A log file and how many of its bytes count.

    Attributes
    ----------
    file : str
        Path below the archive, "" before the first record.
    length : int
        Bytes; what stands behind them was never committed.
    """

    file: str = ""
    length: int = 0


@dataclass(frozen=True)
class Manifest:
    """A state of the archive.

    Attributes
    ----------
    generation : int
        Counts commits.
    next_number : int
        The next shot's number; numbers are never used twice.
    catalogue, sources : LogEnd
        What is known of each shot, and of the files they were made of.
    state : str
        File with what waits and what failed, "" if nothing does.
    runs : tuple of RunInfo
        The sky index.
    dropped : tuple of int
        Shot numbers whose records in the runs no longer count.
    """

    generation: int = 0
    next_number: int = 1
    catalogue: LogEnd = field(default_factory=LogEnd)
    sources: LogEnd = field(default_factory=LogEnd)
    state: str = ""
    runs: tuple[RunInfo, ...] = ()
    dropped: tuple[int, ...] = ()

    def files(self) -> set[str]:
        """Return the paths below the archive that this state needs, shot files left out."""
        named = {self.catalogue.file, self.sources.file, self.state}
        return {name for name in named if name} | {f"index/{run.file}" for run in self.runs}


def load(archive: Path) -> tuple[Manifest, tuple[int, int, int]]:
    """Return the manifest and the stamp (inode, mtime_ns, size) that tells whether it changed.

    Raises
    ------
    ArchiveMissing
        If there is no archive.
    ArchiveDamaged
        If the manifest is damaged.
    ArchiveTooNew, ArchiveTooOld
        If it has a newer or an older format.
    """
    path = archive / MANIFEST
    try:
        with open_file(path) as file:
            status = os.fstat(file.fileno())
            text = file.read()
    except (FileNotFoundError, NotADirectoryError) as error:
        # without a catalogue a writer has died while it made the archive, which is finished then
        if (archive / DESCRIPTION).exists() and any((archive / CATALOGUE).glob("*")):
            raise ArchiveDamaged(
                f"{archive}: its manifest is missing; run 'corecube repair'"
            ) from error
        raise ArchiveMissing(
            f"{archive}: there is no archive; make one with "
            "'corecube ingest --instrument NAME FILES --archive ARCHIVE'"
        ) from error
    try:
        data: dict[str, Any] = loads(text)
        conform(data, {"format": int}, MANIFEST)
        crc = data.pop("crc", None)
        if data["format"] > FORMAT:
            raise ArchiveTooNew(
                f"{archive}: has format {data['format']}, this corecube knows up to {FORMAT}; "
                "upgrade corecube"
            )
        if data["format"] < FORMAT:
            raise ArchiveTooOld(
                f"{archive}: has the older format {data['format']}; bring it to format {FORMAT} "
                f"with 'corecube repair {archive}' (its shots stay as they are)"
            )
        if crc != _crc(data):
            raise ValueError(crc)
        _check(data)
        manifest = Manifest(
            generation=data["generation"],
            next_number=data["next_number"],
            catalogue=LogEnd(**data["catalogue"]),
            sources=LogEnd(**data["sources"]),
            state=data["state"],
            runs=tuple(RunInfo.from_json(run) for run in data["runs"]),
            dropped=tuple(data["dropped"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArchiveDamaged(f"{path}: is damaged; run 'corecube repair'") from error
    return manifest, (status.st_ino, status.st_mtime_ns, status.st_size)


def stamp(archive: Path) -> tuple[int, int, int] | None:
    """Return the stamp of the manifest as it is now, None if it is missing."""
    try:
        status = (archive / MANIFEST).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def commit(archive: Path, manifest: Manifest) -> None:
    """Replace the manifest: from now on readers see the new state, also after a power failure.

    Raises
    ------
    NoSpace
        If the disk is full; the old state stays.
    """
    data = {
        "format": FORMAT, "generation": manifest.generation, "next_number": manifest.next_number,
        "catalogue": vars(manifest.catalogue), "sources": vars(manifest.sources),
        "state": manifest.state, "runs": [run.to_json() for run in manifest.runs],
        "dropped": list(manifest.dropped),
    }  # fmt: skip
    write_file(archive / MANIFEST, [to_text({**data, "crc": _crc(data)}).encode()])


_LOG: Final = {"file": str, "length": int}
_SCHEMA: Final = {
    "generation": int, "next_number": int, "catalogue": _LOG, "sources": _LOG, "state": str,
    "runs": [dict], "dropped": [int],
}  # fmt: skip


def _check(data: dict[str, Any]) -> None:
    """Refuse what we do not write: the CRC-32 alone a stranger can compute too."""
    conform(data, _SCHEMA, MANIFEST)
    names = (data["catalogue"]["file"], data["sources"]["file"], data["state"])
    for name in names:
        if name and not leads_inside(name, CATALOGUE):
            raise ValueError(f"'{name}' is no file of {CATALOGUE}")
    numbers = (data["generation"], data["next_number"], *data["dropped"])
    if min(*numbers, *(data[log]["length"] for log in ("catalogue", "sources"))) < 0:
        raise ValueError("a negative number")


def _crc(data: dict[str, Any]) -> int:
    """Return the CRC-32 of the text that everything but the CRC has."""
    return zlib.crc32(to_text(data).encode())
