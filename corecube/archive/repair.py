"""Making an archive whole again: what is sound stays, what is damaged is set aside.

Nothing is deleted: damaged files are moved into the folder ``damaged`` of the archive. A shot file
says all that the catalogue knows of it, so catalogue, logs and sky index can be made anew.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from glob import escape
from pathlib import Path
from typing import Any, Final

import numpy as np

from corecube.archive import leftovers, recordlog, skyindex, skyrun, skyverify
from corecube.archive import manifest as manifests
from corecube.archive.about import error_bits_of, levels_of, read_about
from corecube.archive.catalogue import Catalogue, ShotRecord, positions_of, record_of
from corecube.archive.durable import (
    FileStamp,
    make_directory,
    sha256_file,
    sync_directory,
    write_file,
)
from corecube.archive.inside import check_folders, inside
from corecube.archive.latemasks import read as read_masks
from corecube.archive.layout import (
    CATALOGUE,
    DAMAGED,
    DESCRIPTION,
    FORMAT,
    INDEX,
    MANIFEST,
    PLAIN,
    PROFILES,
    SHOTS,
    mask_path,
    shot_of_path,
    to_text,
)
from corecube.archive.lock import WriterLock
from corecube.archive.manifest import LogEnd, Manifest
from corecube.archive.shotfile import StoredShot
from corecube.archive.verify import check_file, check_inside, check_masks
from corecube.archive.writer import load_sources, load_state, plain
from corecube.errors import ArchiveDamaged, ArchiveMissing, ArchiveTooNew, CorecubeError
from corecube.shots import FileInfo

_PART: Final = 1 << 23
"""Rows of the sky index that are sorted together: 0.2 GB."""


@dataclass(frozen=True)
class SetAside:
    """A damaged shot.

    Attributes
    ----------
    name : str
        Its identity, or the path of its file where it could not be read.
    file : str
        Where its file is now, below the archive; "" if it was missing.
    what : str
        What is wrong with it.
    sources : tuple of str
        Paths of the files to ingest again, as far as they are known.
    """

    name: str
    file: str
    what: str
    sources: tuple[str, ...] = ()


@dataclass
class Repaired:
    """What a repair has done.

    Attributes
    ----------
    kept : int
        Shots of the archive now.
    aside : list of SetAside
    made : list of str
        Parts that were made anew.
    notes : list of str
        What else there is to know, a line each.
    cleaned : int
        Files of dead writers and former states that were deleted; only of a sound archive, for
        in another one they may be the last that there is of a shot.
    """

    kept: int = 0
    aside: list[SetAside] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    cleaned: int = 0

    @property
    def changed(self) -> bool:
        """Whether anything was not as it should be."""
        return bool(self.aside or self.made or self.notes)


def repair(path: Path, progress: Callable[[str], None] = lambda name: None) -> Repaired:
    """Set damaged shots aside and make catalogue, logs and sky index whole.

    Reads every byte of the archive. A sound archive is not changed.

    Parameters
    ----------
    path : Path
    progress : callable
        Told the name of each shot before it is checked.

    Returns
    -------
    Repaired

    Raises
    ------
    ArchiveMissing
        If there is neither an archive nor the remains of one.
    ArchiveBusy
        If another process is writing.
    ArchiveTooNew
        If the archive has a newer format.
    NoSpace
        If the disk is full; the archive is then as it was, but for files set aside.
    """
    if not any((path / name).exists() for name in (DESCRIPTION, MANIFEST, SHOTS)):
        raise ArchiveMissing(f"{path}: there is no archive")
    check_folders(path)
    for folder in (SHOTS, INDEX, CATALOGUE):
        make_directory(path / folder, below=path)
    with WriterLock(path):
        return _Repair(path, progress).run()


class _Repair:
    def __init__(self, path: Path, progress: Callable[[str], None]) -> None:
        self.path = path
        self.progress = progress
        self.done = Repaired()
        self.manifest = Manifest()
        self.catalogue: Catalogue | None = None
        self.sources: dict[str, list[FileInfo]] = {}
        self.whole = True
        """Whether the manifest, its logs and its state can stay."""

    def run(self) -> Repaired:
        self._describe()
        known = self._known()
        if known is None:
            self.whole = False
            records = [self._with_masks(record) for record in self._found()]
        else:
            records = [self._checked_masks(r) for r in known if self._sound(r)]
            self.whole &= len(records) == len(known)
        runs = self._index(records)
        self._missing_links(records)
        if not self.whole:
            self._commit(records, runs)
        if not self.done.changed and self.catalogue is not None:
            self.done.cleaned = len(leftovers.clean(self.path, self.manifest, self.catalogue))
        self.done.kept = len(records)
        return self.done

    # -- what is known -----------------------------------------------------------------------

    def _describe(self) -> None:
        """Make the archive's description anew if it cannot be read."""
        try:
            about = read_about(self.path)
            if about["format"] > FORMAT:
                raise ArchiveTooNew(
                    f"{self.path}: has format {about['format']}, this corecube knows up to "
                    f"{FORMAT}; upgrade corecube"
                )
            if about["format"] < FORMAT:
                write_file(self.path / DESCRIPTION, [to_text({**about, "format": FORMAT}).encode()])
                self.done.made.append(f"format {FORMAT} of format {about['format']}")
            if about["profile"] not in PROFILES:
                raise ArchiveDamaged(f"{self.path}: has no profile '{about['profile']}'")
            error_bits_of(self.path)
            levels_of(self.path)
        except ArchiveTooNew:
            raise
        except ArchiveDamaged:
            about = {
                "format": FORMAT, **self._profile(), "uuid": str(uuid.uuid4()),
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
            }  # fmt: skip
            self._aside(DESCRIPTION)
            write_file(self.path / DESCRIPTION, [to_text(about).encode()])
            self.done.made.append("the description of the archive")

    def _profile(self) -> dict[str, Any]:
        """Return profile, bits of errors and levels that the first sound shot was made with."""
        for file in sorted((self.path / SHOTS).rglob("*.h5")):
            with suppress(CorecubeError, OSError), StoredShot(file) as shot:
                about = shot.description
                return {
                    "profile": about.get("profile", PLAIN), "error_bits": about.get("error_bits"),
                    "levels": about.get("levels"),
                }  # fmt: skip
        return {"profile": PLAIN, "error_bits": None, "levels": None}

    def _known(self) -> list[ShotRecord] | None:
        """Return the records of the catalogue, None if it cannot be read."""
        try:
            self.manifest, _ = manifests.load(self.path)
            catalogue = self.catalogue = Catalogue.load(self.path, self.manifest)
        except ArchiveTooNew:
            raise
        except (CorecubeError, ValueError, TypeError, KeyError) as error:
            self._why("the catalogue", error)
            self.manifest = replace(self.manifest, runs=(), dropped=())
            return None
        try:
            self.sources = load_sources(self.path, self.manifest)
        except (CorecubeError, ValueError, TypeError, KeyError) as error:
            self._why("the list of sources", error)
            self.whole = False
        try:
            load_state(self.path, self.manifest)
        except CorecubeError as error:
            self._why("the list of what waits", error)
            self.done.notes.append(
                "which files waited for others is forgotten; give them to 'corecube ingest' again"
            )
            self.manifest = replace(self.manifest, state="")
            self.whole = False
        return list(catalogue.by_identity.values())

    def _why(self, part: str, error: Exception) -> None:
        self.done.made.append(f"{part} ({str(error).removeprefix(f'{self.path}: ')})")

    # -- shots -------------------------------------------------------------------------------

    def _sound(self, record: ShotRecord) -> bool:
        """Check a shot of the catalogue; set it aside if it is damaged."""
        self.progress(record.identity)
        damages = list(check_file(self.path, record, quick=False))
        if not damages:
            return True
        infos = self.sources.get(record.identity, ())
        self._set_aside(record.identity, record.file, damages[0].what, infos)
        return False

    def _set_aside(self, name: str, file: str, what: str, infos: Iterable[FileInfo]) -> None:
        what = what.split(";")[0]
        moved = self._aside(file)
        if not moved and (self.path / DAMAGED / file).exists():
            moved, what = f"{DAMAGED}/{file}", "was set aside by a repair that did not end"
        self.done.aside.append(SetAside(name, moved, what, tuple(i.source.path for i in infos)))

    def _aside(self, file: str) -> str:
        """Move a file into the folder of damaged ones; return where it is, "" if it is missing."""
        place = self.path / file
        if not place.exists() and not place.is_symlink():
            return ""
        if "/" in file:  # the file itself may be a link, which is moved
            inside(self.path, file.rpartition("/")[0])
        name = f"{DAMAGED}/{file}"
        while (self.path / name).exists():
            name = f"{DAMAGED}/{file}.{secrets.token_hex(4)}"
        make_directory((self.path / name).parent, below=self.path)
        place.rename(self.path / name)
        # a file that came back after a power failure would be taken away as a leftover
        sync_directory((self.path / name).parent)
        sync_directory(place.parent)
        return name

    def _found(self) -> list[ShotRecord]:
        """Return records of the newest sound file of each shot that has one."""
        files: dict[tuple[str, str], list[tuple[int, str]]] = {}
        for item in sorted((self.path / SHOTS).rglob("*.h5")):
            file = str(item.relative_to(self.path))
            try:
                instrument, key, generation = shot_of_path(file)
            except ValueError:
                self.done.notes.append(f"{file} is no name of a shot's file; it was left alone")
                continue
            files.setdefault((instrument, key), []).append((generation, file))
        records: list[ShotRecord] = []
        linked: set[str] = set()
        for (instrument, key), generations in sorted(files.items()):
            self.progress(f"{instrument}/{key}")
            for generation, file in sorted(generations, reverse=True):
                record = self._read(file, f"{instrument}/{key}", generation, len(records) + 1)
                if record is not None:
                    records.append(record)
                    linked |= set(record.links)
                    break
        self.manifest = replace(self.manifest, next_number=len(records) + 1, state="")
        newest = max((r.generation for r in records), default=0)
        self.manifest = replace(self.manifest, generation=max(newest, self.manifest.generation))
        self.done.notes.append(
            "shots that were removed lately may be back: their files were still there; which "
            "files waited for others is forgotten; give them to 'corecube ingest' again"
        )
        return records

    def _read(self, file: str, identity: str, generation: int, number: int) -> ShotRecord | None:
        path = self.path / file
        infos: list[FileInfo] = []
        try:
            inside(self.path, file)
            with StoredShot(path, self.path) as shot:
                infos = shot.infos
                if (shot.identity, shot.generation) != (identity, generation):
                    raise ArchiveDamaged(f"it is {shot.identity}, generation {shot.generation}")
                stamp = FileStamp(path.stat().st_size, sha256_file(path))
                record = record_of(shot, number, file, stamp)
            # against itself: arrays and chunks are compared with the checksums in the file
            damages = list(check_inside(path, record, quick=False))
        except ArchiveTooNew:
            raise
        except (CorecubeError, ValueError, KeyError, TypeError) as error:
            self._set_aside(identity, file, str(error).removeprefix(f"{path}: "), infos)
            return None
        if damages:
            self._set_aside(identity, file, damages[0].what, infos)
            return None
        self.sources[identity] = infos
        return record

    def _checked_masks(self, record: ShotRecord) -> ShotRecord:
        """Return a record of the catalogue without late masks that cannot be read."""
        if not list(check_masks(self.path, record, quick=False)):
            return record
        self._aside(record.masks["file"])
        self.done.notes.append(
            f"{record.identity}: its late masks were damaged; make them anew with 'corecube masks'"
        )
        self.whole = False
        return replace(record, masks={})

    def _with_masks(self, record: ShotRecord) -> ShotRecord:
        """Return a record with the newest late masks of its generation that can be read."""
        pattern = mask_path(record.instrument, record.key, record.generation, "*")
        place = self.path / Path(pattern).parent
        found = place.glob(escape(Path(pattern).stem[:-1]) + "*.mask") if place.exists() else ()
        for path in sorted(found, key=lambda each: each.stat().st_mtime_ns, reverse=True):
            file = str(path.relative_to(self.path))
            try:
                read_masks(path, record.identity, record.generation)
            except CorecubeError:
                self._aside(file)
                continue
            about = {"file": file, "size": path.stat().st_size, "sha256": sha256_file(path)}
            return replace(record, masks=about)
        return record

    def _missing_links(self, records: Iterable[ShotRecord]) -> None:
        for record in records:
            for file in record.links:
                if not (self.path / file).exists():
                    self.done.notes.append(
                        f"{record.identity}: has arrays in {file}, which is missing; ingest the "
                        "files of both shots again with --force"
                    )

    # -- index and commit --------------------------------------------------------------------

    def _index(self, records: list[ShotRecord]) -> list[skyrun.RunInfo]:
        """Return the runs of the sky index: those that are there, if they are whole."""
        if self.whole:
            why = self._wrong_index(records)
            if why is None:
                return list(self.manifest.runs)
            self.done.made.append(f"the sky index ({why})")
            self.whole = False
        runs: list[skyrun.RunInfo] = []
        waiting: list[tuple[Any, Any, Any, Any]] = []
        size = 0
        for record in records:
            with StoredShot(self.path / record.file, self.path) as shot:
                ra, dec = positions_of(shot)
            known = np.isfinite(ra) & np.isfinite(dec)
            rows = np.flatnonzero(known).astype(np.uint32)
            number = np.full(len(rows), record.number, np.uint32)
            waiting.append((ra[known], dec[known], number, rows))
            size += len(rows)
            if size >= _PART:
                runs.append(self._run(waiting))
                waiting, size = [], 0
        return [*runs, self._run(waiting)] if size else runs

    def _run(self, parts: list[tuple[Any, Any, Any, Any]]) -> skyrun.RunInfo:
        name = f"{self.manifest.generation + 1}-{secrets.token_hex(4)}.run"
        ra, dec, shots, rows = (np.concatenate(column) for column in zip(*parts, strict=True))
        return skyrun.write_run(self.path / INDEX / name, ra, dec, shots, rows)

    def _wrong_index(self, records: Iterable[ShotRecord]) -> str | None:
        """Say what is wrong with the runs, None if they hold all fibres of the shots."""
        folder = self.path / INDEX
        counts: dict[int, int] = {}
        try:
            for run in self.manifest.runs:
                skyverify.verify(inside(self.path, f"{INDEX}/{run.file}"), run)
                with skyindex.Run(folder, run) as opened:
                    for part in opened.slices():
                        numbers, rows = np.unique(part["shot"], return_counts=True)
                        for number, count in zip(numbers.tolist(), rows.tolist(), strict=True):
                            counts[number] = counts.get(number, 0) + count
        except (CorecubeError, OSError) as error:
            return str(error).removeprefix(f"{folder}/")
        for record in records:
            with StoredShot(self.path / record.file, self.path) as shot:
                ra, dec = positions_of(shot)
            expected = int(np.count_nonzero(np.isfinite(ra) & np.isfinite(dec)))
            if counts.get(record.number, 0) != expected:
                return f"it has {counts.get(record.number, 0)} of {expected} of {record.identity}"
        return None

    def _commit(self, records: list[ShotRecord], runs: list[skyrun.RunInfo]) -> None:
        generation = self.manifest.generation + 1
        state = self.manifest.state
        logs: dict[str, list[Mapping[str, Any]]] = {
            "shots": [plain(record) for record in records],
            "sources": [
                {"shot": r.identity, "infos": [i.to_json() for i in self._infos(r)]}
                for r in records
            ],
        }  # fmt: skip
        ends = {
            name: recordlog.append(
                self.path, LogEnd(self._log(name, generation), 0), listed
            )
            for name, listed in logs.items()
        }  # fmt: skip
        manifests.commit(
            self.path,
            Manifest(
                generation, self.manifest.next_number, ends["shots"], ends["sources"], state,
                tuple(runs), (),
            ),
        )  # fmt: skip

    def _log(self, name: str, generation: int) -> str:
        """Return a name that no log has had, so that no committed one is written over."""
        while (self.path / CATALOGUE / f"{name}.{generation}.log").exists():
            generation += 1
        return f"{CATALOGUE}/{name}.{generation}.log"

    def _infos(self, record: ShotRecord) -> list[FileInfo]:
        if record.identity not in self.sources:
            with StoredShot(self.path / record.file, self.path) as shot:
                self.sources[record.identity] = shot.infos
        return self.sources[record.identity]
