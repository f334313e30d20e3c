"""Changing an archive: registering shots, removing them, remembering what waits or failed."""

from __future__ import annotations

import contextlib
import os
import secrets
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from corecube.archive import leftovers, recordlog, skyindex, skyrun
from corecube.archive import manifest as manifests
from corecube.archive.catalogue import Catalogue, ShotRecord, positions_of, record_of
from corecube.archive.described import INFO
from corecube.archive.durable import FileStamp, make_directory, sync_directory, write_file
from corecube.archive.inside import check_folders, inside, open_file
from corecube.archive.jsontext import Each, conform, loads
from corecube.archive.layout import (
    CATALOGUE,
    DESCRIPTION,
    FORMAT,
    INDEX,
    MANIFEST,
    MASKS,
    PLAIN,
    SHOTS,
    shot_of_path,
    shot_path,
    to_text,
)
from corecube.archive.lock import WriterLock
from corecube.archive.manifest import LogEnd, Manifest
from corecube.archive.shotfile import StoredShot
from corecube.errors import ArchiveDamaged, ArchiveError, ArchiveMissing, NoSpace
from corecube.shots import FileInfo


@dataclass(frozen=True)
class NewShot:
    """A shot file that a worker has written and proved.

    Attributes
    ----------
    file : str
        Path below the archive.
    stamp : FileStamp
    infos : tuple of FileInfo
        The files it was planned from, with digests.
    masks : mapping
        Of its late masks: file, size, sha256; {} if it has none.
    """

    file: str
    stamp: FileStamp
    infos: tuple[FileInfo, ...]
    masks: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class InstrumentState:
    """What an instrument's files wait for, and which could not be read.

    Attributes
    ----------
    waiting : tuple of FileInfo
        Files that belong to no stored shot yet.
    failed : mapping of str to dict
        By fingerprint of the entry: shot, entry, paths and reason.
    """

    waiting: tuple[FileInfo, ...] = ()
    failed: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "waiting": [info.to_json() for info in self.waiting], "failed": dict(self.failed),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> InstrumentState:
        """Return what `to_json` was given."""
        return cls(tuple(FileInfo.from_json(i) for i in data["waiting"]), data["failed"])


def create(
    path: Path, profile: str = PLAIN, error_bits: int | None = None, levels: int | None = None
) -> None:
    """Make an empty archive; one that is there stays as it is.

    Parameters
    ----------
    path : Path
    profile : str
        `layout.PLAIN` or `layout.SMALL`; it holds for all that will ever be stored in it.
    error_bits : int, optional
        Bits of the mantissa that are kept of errors, likewise; all if not given.
    levels : int, optional
        Levels of the pyramid of each image, likewise; as many as suit its size if not given.

    Raises
    ------
    ArchiveError
        If something else stands there, or it cannot be made there.
    ArchiveBusy
        If another process is making it.
    NoSpace
        If the disk is full.
    """
    if (path / MANIFEST).exists():
        return
    if path.exists() and (not path.is_dir() or any(_not_ours(path))):
        raise ArchiveError(f"{path}: is there and is no archive; choose another name")
    try:
        make_directory(path)
        for name in (SHOTS, INDEX, CATALOGUE):
            make_directory(path / name)
        _sync_parents(path)
    except OSError as error:
        raise ArchiveError(
            f"{path}: cannot be made there ({error.strerror}); choose another place"
        ) from error
    with WriterLock(path):
        if (path / MANIFEST).exists():  # another process was faster
            return
        about = {
            "format": FORMAT, "profile": profile, "error_bits": error_bits, "levels": levels,
            "uuid": str(uuid.uuid4()),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        write_file(path / DESCRIPTION, [to_text(about).encode()])
        manifests.commit(path, Manifest())


def _sync_parents(path: Path) -> None:
    """Force the names above an archive to the disk: who made them may have been killed."""
    device = path.stat().st_dev
    for folder in path.resolve().parents:
        with contextlib.suppress(OSError):  # most are not ours, and some may not be read
            if folder.stat().st_dev != device:
                return
            sync_directory(folder)


def _not_ours(path: Path) -> Iterable[Path]:
    """Yield what a writer that died while making an archive does not leave behind."""
    ours = {DESCRIPTION, SHOTS, MASKS, INDEX, CATALOGUE, "lock"}
    return (
        item for item in path.iterdir() if item.name not in ours and item.name[:5] != ".tmp-"
    )  # fmt: skip


def load_state(archive: Path, manifest: Manifest) -> dict[str, InstrumentState]:
    """Return what waits and what failed, by instrument.

    Raises
    ------
    ArchiveDamaged
        If the file is missing or damaged.
    """
    if not manifest.state:
        return {}
    path = inside(archive, manifest.state)
    try:
        with open_file(path) as file:
            data = loads(file.read())
        conform(data, _STATE)
        return {name: InstrumentState.from_json(part) for name, part in data.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArchiveDamaged(f"{path}: is missing or damaged") from error


_STATE = Each({"waiting": [INFO], "failed": Each({"shot": str, "entry": str, "reason": str})})


def load_sources(archive: Path, manifest: Manifest) -> dict[str, list[FileInfo]]:
    """Return the files that each stored shot was planned from, by identity."""
    found: dict[str, list[FileInfo]] = {}
    records = recordlog.read(archive, manifest.sources)
    try:
        for record in records:
            if "removed" in record:
                found.pop(record["removed"], None)
            else:
                conform(record, {"shot": str, "infos": [INFO]}, "a record")
                found[record["shot"]] = [FileInfo.from_json(info) for info in record["infos"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArchiveDamaged(
            f"{archive / manifest.sources.file}: is not as corecube writes it; run "
            "'corecube repair'"
        ) from error
    return found


class ArchiveWriter:
    """The one process that changes an archive; use it in a ``with`` block.

    Parameters
    ----------
    path : Path
        An existing archive.

    Raises
    ------
    ArchiveBusy
        If another process is writing.
    ArchiveError
        If it cannot be written to.
    ArchiveMissing, ArchiveDamaged, ArchiveTooNew
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = WriterLock(path)
        self._folders: set[Path] = set()

    def __enter__(self) -> ArchiveWriter:
        """Take the lock and read the present state."""
        if not (self.path / MANIFEST).exists():
            manifests.load(self.path)
            raise ArchiveMissing(f"{self.path}: there is no archive")
        check_folders(self.path)
        for folder in (self.path, *(self.path / name for name in (SHOTS, INDEX, CATALOGUE))):
            if not os.access(folder, os.W_OK):
                raise ArchiveError(
                    f"{folder}: cannot be written to; nothing has been changed; mend this, or "
                    "choose another place"
                )
        self._lock.__enter__()
        try:
            self.manifest, _ = manifests.load(self.path)
            self.catalogue = Catalogue.load(self.path, self.manifest)
            self.state = load_state(self.path, self.manifest)
            # who replaced the manifest may have been killed before it was on the disk for certain:
            # nothing that the one before it needs may go until then
            sync_directory(self.path)
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Free the lock."""
        if isinstance(error, NoSpace):
            # files that readers may still want would keep the disk full: the next try needs space
            with contextlib.suppress(OSError, ArchiveError):
                self.clean()
        self._lock.__exit__(kind, error, trace)

    def next_generation(self, identity: str) -> int:
        """Return the generation for a new file of a shot; a name is never used twice."""
        old = self.catalogue.by_identity.get(identity)
        return max(old.generation if old else 0, self.manifest.generation) + 1

    def new_path(self, instrument: str, key: str) -> str:
        """Return the path below the archive for a new file of a shot; its folder is made.

        Raises
        ------
        ArchiveDamaged
            If a folder of the archive is a symbolic link.
        """
        path = shot_path(instrument, key, self.next_generation(f"{instrument}/{key}"))
        folder = (self.path / path).parent
        if folder not in self._folders:
            inside(self.path, path)  # nothing is written through a link
            make_directory(folder, below=self.path)
            self._folders.add(folder)
        return path

    def clean(self, grace: float = 0.0) -> list[str]:
        """Delete what dead writers and earlier states have left behind; return the names.

        To be called before the first new file is written.

        Readers keep the files that they have open; one that opens a file too late reads the
        manifest again.

        Parameters
        ----------
        grace : float
            Seconds that files of earlier states stay; see `corecube.archive.leftovers`.
        """
        return leftovers.clean(self.path, self.manifest, self.catalogue, grace)

    def commit(
        self,
        new: Sequence[NewShot] = (),
        removed: Sequence[str] = (),
        state: Mapping[str, InstrumentState] | None = None,
        masks: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> list[ShotRecord]:
        """Register new shots, forget removed ones, and replace what waits: all or nothing.

        Parameters
        ----------
        new : sequence of NewShot
            A shot of an identity that is stored already replaces it.
        removed : sequence of str
            Identities.
        state : mapping of instrument to InstrumentState, optional
        masks : mapping of identity to mapping, optional
            New late masks of stored shots: file, size, sha256, or {} for none; the shots keep their
            files and numbers.

        Returns
        -------
        list of ShotRecord
            Of the new shots; they survive a power failure from now on.

        Raises
        ------
        ArchiveError
            If a shot that stays links to a removed one; nothing is changed.
        NoSpace
            If the disk is full; the old state stays.
        """
        self._refuse_needed(removed)
        state = self._without_failures(state, removed)
        old = self.manifest
        generation = old.generation + 1
        records, positions = self._read_new(new, old.next_number)
        gone = [*removed, *(r.identity for r in records)]
        dropped = set(old.dropped) | {
            self.catalogue.by_identity[identity].number
            for identity in gone
            if identity in self.catalogue.by_identity
        }
        runs = list(old.runs)
        if records or removed:  # late masks alone leave the index as it is
            runs += self._run(positions, generation)
        forgotten = [{"removed": identity} for identity in removed]
        masked = {
            identity: replace(self.catalogue.by_identity[identity], masks=dict(part))
            for identity, part in (masks or {}).items()
        }
        shots_end = self._log(old.catalogue, "shots", generation)
        sources_end = self._log(old.sources, "sources", generation)
        manifest = replace(
            old,
            generation=generation,
            next_number=old.next_number + len(records),
            catalogue=recordlog.append(
                self.path, shots_end, [*forgotten, *map(plain, (*masked.values(), *records))]
            ),
            sources=recordlog.append(
                self.path,
                sources_end,
                [
                    *forgotten,
                    *(
                        {"shot": r.identity, "infos": [i.to_json() for i in shot.infos]}
                        for r, shot in zip(records, new, strict=True)
                    ),
                ],
            ),
            state=self._write_state(state, generation),
            runs=tuple(runs),
            dropped=tuple(sorted(dropped)),
        )
        manifests.commit(self.path, manifest)
        self.manifest = manifest
        former = [self.catalogue.by_identity.get(identity) for identity in (*gone, *masked)]
        living = {**self.catalogue.by_identity, **masked, **{r.identity: r for r in records}}
        for identity in removed:
            living.pop(identity, None)
        self.catalogue.by_identity = dict(sorted(living.items()))
        self.catalogue.by_number = {shot.number: shot for shot in living.values()}
        if state is not None:
            self.state = dict(state)
        self._retire(old, [record for record in former if record is not None])
        return records

    def _retire(self, old: Manifest, former: Sequence[ShotRecord]) -> None:
        """Let the time begin after which files of the state before are deleted."""
        files = old.files() - self.manifest.files()
        files |= {record.file for record in former}
        files |= {record.masks["file"] for record in former if record.masks}
        if files:
            for shot in self.catalogue.by_identity.values():
                files -= {shot.file, shot.masks.get("file", ""), *shot.links}
            leftovers.retire(self.path, files)

    def join_runs(self) -> None:
        """Join runs of the sky index that are of like size, so that they stay few.

        To be called after commits: what they registered is safe and seen by readers already, and
        need not wait for this, which may take seconds where runs are large. No answer changes. On
        a full disk the runs stay as they are.
        """
        before = self.manifest
        old = skyindex.merge_policy(before.runs)
        if not old:
            return
        generation = before.generation + 1
        path = self.path / INDEX / f"{generation}-{secrets.token_hex(4)}.run"
        try:
            joined = skyindex.merge(self.path / INDEX, old, before.dropped, path)
            runs = [run for run in before.runs if run not in old]
            # a dropped shot can be forgotten when no run that is left may have records of it
            dropped = tuple(
                number for number in before.dropped
                if any(run.first_shot <= number <= run.last_shot for run in runs)
            )  # fmt: skip
            runs += [joined] if joined.rows else []
            manifest = replace(before, generation=generation, runs=tuple(runs), dropped=dropped)
            manifests.commit(self.path, manifest)
        except NoSpace:
            return
        self.manifest = manifest
        self._retire(before, [])

    def needed_by(self, identity: str) -> list[str]:
        """Return the identities of the shots that have arrays in a shot, by links."""
        instrument, _, key = identity.partition("/")
        return [
            shot.identity for shot in self.catalogue.by_identity.values()
            if any(shot_of_path(file)[:2] == (instrument, key) for file in shot.links)
        ]  # fmt: skip

    def _refuse_needed(self, removed: Sequence[str]) -> None:
        for identity in removed:
            needed = [other for other in self.needed_by(identity) if other not in removed]
            if needed:
                more = f" and {len(needed) - _NAMED} more" if len(needed) > _NAMED else ""
                raise ArchiveError(
                    f"{identity} is needed by {', '.join(needed[:_NAMED])}{more}, which have "
                    "arrays in it; nothing was removed; remove these first, or all together"
                )

    def _without_failures(
        self, state: Mapping[str, InstrumentState] | None, removed: Sequence[str]
    ) -> Mapping[str, InstrumentState] | None:
        """Forget what failed of removed shots: it would be told of shots that are not there."""
        before = self.state if state is None else state
        after = {
            name: replace(
                part, failed={c: f for c, f in part.failed.items() if f["shot"] not in removed}
            )
            for name, part in before.items()
        }
        return state if after == before else after

    def _read_new(
        self, new: Sequence[NewShot], number: int
    ) -> tuple[list[ShotRecord], list[tuple[Any, Any, int]]]:
        records, positions = [], []
        for offset, shot in enumerate(new):
            with StoredShot(self.path / shot.file) as stored:
                place = number + offset
                records.append(record_of(stored, place, shot.file, shot.stamp, dict(shot.masks)))
                positions.append((*positions_of(stored), number + offset))
        return records, positions

    def _run(self, positions: list[tuple[Any, Any, int]], generation: int) -> list[skyrun.RunInfo]:
        """Write a run of the new positions."""
        parts = []
        for ra, dec, number in positions:
            known = np.isfinite(ra) & np.isfinite(dec)
            rows = np.flatnonzero(known).astype(np.uint32)
            parts.append((ra[known], dec[known], np.full(len(rows), number, np.uint32), rows))
        if not any(len(part[0]) for part in parts):
            return []
        ra, dec, shots, rows = (np.concatenate(column) for column in zip(*parts, strict=True))
        path = self.path / INDEX / f"{generation}-{secrets.token_hex(4)}.run"
        return [skyrun.write_run(path, ra, dec, shots, rows)]

    def _log(self, end: LogEnd, name: str, generation: int) -> LogEnd:
        return end if end.file else LogEnd(f"{CATALOGUE}/{name}.{generation}.log", 0)

    def _write_state(self, state: Mapping[str, InstrumentState] | None, generation: int) -> str:
        if state is None:
            return self.manifest.state
        data = {n: part.to_json() for n, part in state.items() if part.waiting or part.failed}
        if not data:
            return ""
        name = f"{CATALOGUE}/state.{generation}.json"
        write_file(self.path / name, [to_text(data).encode()])
        return name


def plain(record: ShotRecord) -> dict[str, Any]:
    """Return a record as the catalogue's log has it."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


_NAMED = 4
"""So many shots are named in a message."""
