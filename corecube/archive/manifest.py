"""The manifest: which files make up the archive now. Replacing it is the commit."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corecube.archive.durable import write_file
from corecube.archive.layout import (
    CATALOGUE,
    DESCRIPTION,
    FORMAT,
    MANIFEST,
    PROFILES,
    to_text,
)
from corecube.archive.rounding import FEWEST, MOST
from corecube.archive.skyrun import RunInfo
from corecube.errors import ArchiveDamaged, ArchiveMissing, ArchiveTooNew


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
    ArchiveTooNew
        If it has a newer format.
    """
    path = archive / MANIFEST
    try:
        with path.open("rb") as file:
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
        data: dict[str, Any] = json.loads(text)
        crc = data.pop("crc", None)
        if data["format"] > FORMAT:
            raise ArchiveTooNew(
                f"{archive}: has format {data['format']}, this corecube knows up to {FORMAT}; "
                "upgrade corecube"
            )
        if crc != _crc(data):
            raise ValueError(crc)
        manifest = Manifest(
            generation=data["generation"],
            next_number=data["next_number"],
            catalogue=LogEnd(**data["catalogue"]),
            sources=LogEnd(**data["sources"]),
            state=data["state"],
            runs=tuple(RunInfo.from_json(run) for run in data["runs"]),
            dropped=tuple(data["dropped"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveDamaged(f"{path}: is damaged; run 'corecube repair'") from error
    return manifest, (status.st_ino, status.st_mtime_ns, status.st_size)


def profile_of(archive: Path) -> str:
    """Return the profile of an archive, one of `layout.PROFILES`.

    Raises
    ------
    ArchiveDamaged
        If its description is damaged or missing.
    ArchiveTooNew
        If this corecube does not know its profile.
    """
    profile = _said(archive)["profile"]
    if profile not in PROFILES:
        raise ArchiveTooNew(
            f"{archive / DESCRIPTION}: has the profile '{profile}'; upgrade corecube"
        )
    return str(profile)


def error_bits_of(archive: Path) -> int | None:
    """Return how many bits of the mantissa an archive keeps of errors, None for all.

    Raises
    ------
    ArchiveDamaged
        If its description is damaged or missing.
    """
    bits = _said(archive).get("error_bits")
    if bits is not None and not (isinstance(bits, int) and FEWEST <= bits <= MOST):
        raise ArchiveDamaged(f"{archive / DESCRIPTION}: is damaged; run 'corecube repair'")
    return bits


def _said(archive: Path) -> dict[str, Any]:
    path = archive / DESCRIPTION
    try:
        about = json.loads(path.read_bytes())
        return {"profile": about["profile"], **about}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArchiveDamaged(f"{path}: is damaged; run 'corecube repair'") from error


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


def _crc(data: dict[str, Any]) -> int:
    """Return the CRC-32 of the text that everything but the CRC has."""
    return zlib.crc32(to_text(data).encode())
