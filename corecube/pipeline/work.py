"""Making one shot file; runs in a worker and touches nothing that is shared."""

from __future__ import annotations

import ctypes
import errno
import resource
import shutil
import sys
import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from corecube import config as configuration
from corecube import hdf5
from corecube.archive import latemasks
from corecube.archive.durable import commit_file, temporary_path
from corecube.archive.inside import inside
from corecube.archive.layout import PLAIN
from corecube.archive.shotfile import StoredShot
from corecube.archive.shotwriter import ShotWriter
from corecube.errors import ArchiveDamaged, CorecubeError, FrameError, NoSpace
from corecube.files import digest
from corecube.frames import Column, Fibers, Frame, Image
from corecube.masks import value
from corecube.pipeline import fingerprint
from corecube.pipeline.latemasks import asked
from corecube.pipeline.report import DERIVED, LATE_MASKS
from corecube.plugins import Caller, load
from corecube.scratch import make_folder
from corecube.shots import Context, FileInfo, ShotPlan, Source

_NO_DATA = np.uint32(value("no_data"))
_NO_ERROR = np.uint32(value("no_error"))


@dataclass(frozen=True)
class Task:
    """What a worker needs to make a shot; plain JSON.

    Attributes
    ----------
    instrument : str
    archive, file : str
        Folder of the archive, and path of the new file below it.
    generation : int
    plan : dict
        A `ShotPlan`.
    infos : list of dict
        The `FileInfo` of its files.
    config : dict
        The instrument's configuration.
    carried : list of str
        Entries to copy from `old`.
    old : str
        Path of the stored shot below the archive, or "".
    needs : dict of str to str
        Keys of the shots that the plan needs, and their paths below the archive.
    profile : str
        Of the archive.
    error_bits : int or None
        Bits that the archive keeps of errors.
    levels : int or None
        Levels that its images have.
    """

    instrument: str
    archive: str
    file: str
    generation: int
    plan: dict[str, Any]
    infos: list[dict[str, Any]]
    config: dict[str, Any]
    carried: list[str]
    old: str
    needs: dict[str, str] = field(default_factory=dict)
    profile: str = PLAIN
    error_bits: int | None = None
    levels: int | None = None


def make_shot(data: dict[str, Any]) -> dict[str, Any]:
    """Make a shot file.

    Parameters
    ----------
    data : dict
        A `Task` as JSON.

    Returns
    -------
    dict
        ``file`` ("" if nothing could be read), ``size``, ``sha256``, ``entries`` (in the file),
        ``infos`` (of the files it was made of, with digests), ``masks``
        (of its late masks: file, size, sha256), ``failed`` (entry to [fingerprint,
        reason]), ``notes`` (entry to lines), ``error`` (why the shot as a whole failed),
        ``fatal`` (the disk is full), ``seconds``, ``peak_bytes``.
    """
    started = time.perf_counter()
    task = Task(**data)
    result: dict[str, Any] = {
        "file": "", "failed": {}, "notes": {}, "error": "", "fatal": False,
    }  # fmt: skip
    temporary = temporary_path(Path(task.archive) / task.file)
    try:
        _Maker(task, temporary, result).make()
    except NoSpace as error:
        result |= {"error": str(error), "fatal": True}
    except Exception as error:  # whatever happens costs this shot, never the run
        result["error"] = _line(error)
    finally:
        temporary.unlink(missing_ok=True)
    result["seconds"] = time.perf_counter() - started
    result["peak_bytes"] = _peak_bytes()
    return result


def _peak_bytes() -> int:
    """Return the largest memory of this process until now, bytes."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) * 1024
    except (OSError, IndexError, ValueError):
        # where there is no /proc; on Linux this counts the parent's memory in a started process
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


_GIVE_BACK: Final = 8
"""Entries after which free memory is given back; more often costs time, for it must come again."""


def _give_back() -> None:
    """Give memory that is free within the heap back to the system, where the C library can.

    Values per fibre stay until the shot ends and come to lie between images, which go: glibc keeps
    what is free there, and cannot use it for images again.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


class _Maker:
    """The way of one shot through the hooks into its file."""

    def __init__(self, task: Task, temporary: Path, result: dict[str, Any]) -> None:
        self.task = task
        self.result = result
        self.temporary = temporary
        self.stamps: dict[str, tuple[int, int]] = {}
        self.caller: Caller = load(task.instrument)
        self.config: Any = configuration.from_json(self.caller.instrument.config, task.config)
        self.plan = ShotPlan.from_json(task.plan)
        self.needs: dict[str, str] = {}

    def make(self) -> None:
        self._read_digests()
        numbers = configuration.fingerprint_fields(self.config)
        self.based_on = fingerprint.basis(self.caller.instrument.data_version, numbers)
        archive = Path(self.task.archive)
        promised = self.caller.call("archive_columns", config=self.config) or {}
        scratch = make_folder()
        writer = self._writer()
        done: dict[str, str] = {}
        old = StoredShot(inside(archive, self.task.old)) if self.task.old else None
        needed: dict[str, StoredShot] = {}
        try:
            for key, file in self.task.needs.items():
                needed[key] = StoredShot(inside(archive, file), archive)
            # as registered: what made them is part of what makes this shot
            self.needs = {key: shot.description["fingerprint"] for key, shot in needed.items()}
            context = Context(scratch, needed)
            for number, entry in enumerate(tuple(self.plan.entries), 1):
                if old is not None and entry in self.task.carried:
                    frames = _stored_frames(old, entry)
                else:
                    frames = self._frames(writer, entry, context, promised)
                    if not frames and old is not None and entry in old.description["entries"]:
                        frames = self._as_before(old, entry)
                if frames:
                    done[entry] = self._print(entry)
                while frames:  # what is written can go
                    self._write(writer, entry, frames.pop(0))
                if number % _GIVE_BACK == 0:
                    _give_back()
            if not done:
                return
            self._derive(writer, done, context, promised)
            stamp = writer.finish(*self._description(done))
        except hdf5.library().HDF5ExtError as error:
            raise NoSpace(
                f"{archive}: HDF5 could not write; the disk is full or failing; free some space "
                "and run the same command again"
            ) from error
        finally:
            writer.close()
            for shot in (old, *needed.values()):
                if shot is not None:
                    shot.close()
            shutil.rmtree(scratch, ignore_errors=True)
        commit_file(self.temporary, archive / self.task.file)
        try:
            masks = self._late_masks(archive)
        except BaseException:
            (archive / self.task.file).unlink(missing_ok=True)
            raise
        self.result |= {
            "file": self.task.file, "size": stamp.size, "sha256": stamp.sha256,
            "entries": list(done), "infos": [info.to_json() for info in self.infos],
            "masks": masks,
        }  # fmt: skip

    def _writer(self) -> ShotWriter:
        try:
            task = self.task
            return ShotWriter(self.temporary, task.profile, task.error_bits, task.levels)
        except (OSError, hdf5.library().HDF5ExtError) as error:
            raise NoSpace(
                f"{self.temporary.parent}: no file can be made there; see to its permissions and "
                "free some space, then run the same command again"
            ) from error

    def _read_digests(self) -> None:
        new: dict[str, Source] = {}
        for source in self.plan.sources:
            if not source.digest:
                self.stamps[source.path] = _stamp(source.path)
                new[source.path] = replace(source, digest=digest(source.path))
        for entry, sources in self.plan.entries.items():
            if entry not in self.task.carried:
                self._compare((*sources, *self.plan.companions))
        self.plan = self.plan.map_sources(new)
        digests = {source.path: source.digest for source in self.plan.sources}
        infos = [FileInfo.from_json(info) for info in self.task.infos]
        self.infos = [info.with_digest(digests[info.source.path]) for info in infos]

    def _compare(self, sources: Iterable[Source]) -> None:
        """Refuse files that are no longer those of the plan, whose digests would not be theirs."""
        for source in sources:
            if not source.digest or source.path in self.stamps:
                continue
            try:
                self.stamps[source.path] = now = _stamp(source.path)
            except FileNotFoundError:
                continue  # it is missed when it is read
            planned = source.size, source.mtime_ns
            if now != planned and digest(source.path) != source.digest:
                raise OSError(
                    errno.ESTALE, "has changed since it was planned with; name it among the paths",
                    source.path,
                )  # fmt: skip

    def _settled(self, entry: str) -> None:
        """Refuse what was read of files that changed meanwhile."""
        for source in (*self.plan.entries[entry], *self.plan.companions):
            if source.path in self.stamps and _stamp(source.path) != self.stamps[source.path]:
                raise OSError(errno.ESTALE, "changes while it is read", source.path)

    def _print(self, entry: str) -> str:
        return fingerprint.of_entry(self.plan, entry, self.based_on, self.needs)

    def _as_before(self, old: StoredShot, entry: str) -> list[Frame]:
        """Return what the stored shot has of an entry whose new files failed.

        Plan and infos then name the files that it was made of.

        Raises
        ------
        FrameError
            If the entry would be made otherwise now: then the shot stays as it is.
        """
        before, failed = old.plan.entries[entry], self.plan.entries[entry]
        self.plan = replace(self.plan, entries={**self.plan.entries, entry: before})
        if self._print(entry) != old.description["entries"][entry]:
            raise FrameError(
                f"entry '{entry}' failed ({self.result['failed'][entry][1]}), and what is stored "
                "of it was made with other settings or companions; the shot stays as it was"
            )
        paths = {source.path for source in failed + before}
        named = {source.path for source in before}
        self.infos = [info for info in self.infos if info.source.path not in paths] + [
            info for info in old.infos if info.source.path in named
        ]
        return _stored_frames(old, entry)

    def _frames(
        self, writer: ShotWriter, entry: str, context: Context, promised: Mapping[str, Any]
    ) -> list[Frame]:
        """Read, calibrate and give errors to the frames of an entry; [] if it fails."""
        try:
            with warnings.catch_warnings():
                # what a library remarks on a file is no news for the user of the archive
                warnings.simplefilter("ignore")
                read = self.caller.call(
                    "read_frames", plan=self.plan, entry=entry, config=self.config, context=context
                )
                frames = [self._finished(frame) for frame in read or ()]
            if not frames:
                raise FrameError("the instrument gave no frame")
            if self.plan.kind == "science":
                for frame in frames:
                    _check_columns(frame, promised)
            writer.check(frames, self.plan.grids)
            self._settled(entry)
        except MemoryError:
            raise
        except Exception as error:  # a damaged file costs its entry, whatever the plugin raises
            if isinstance(error, OSError) and error.errno is not None:
                raise
            self._settled(entry)  # the failure is remembered by the digest
            self.result["failed"][entry] = [self._print(entry), _line(error)]
            return []
        notes = [note for frame in frames for note in frame.provenance.notes]
        if notes:
            self.result["notes"][entry] = list(dict.fromkeys(notes))
        return frames

    def _finished(self, frame: Frame) -> Frame:
        for hook in ("calibrate", "estimate_noise"):
            if self.caller.has(hook):
                frame = self.caller.call(hook, frame=frame, config=self.config) or frame
        return completed(frame)

    def _derive(
        self,
        writer: ShotWriter,
        done: Mapping[str, str],
        context: Context,
        promised: Mapping[str, Any],
    ) -> None:
        """Make frames from the frames that are written; what goes wrong costs only these."""
        if not self.caller.has("derive_frames"):
            return
        description, history = self._description(done)
        mark = writer.mark()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                shot = writer.readable(description, history, Path(self.task.archive))
                made = self.caller.call(
                    "derive_frames", shot=shot, config=self.config, context=context
                )
                # one at a time: together they may need more memory than all else
                for frame in made or ():
                    self._write_derived(writer, frame, promised)
        except hdf5.library().HDF5ExtError:
            raise
        except Exception as error:  # whatever the plugin raises
            self._step_failed(DERIVED, error)
            writer.undo(mark)

    def _write_derived(self, writer: ShotWriter, frame: Frame, promised: Mapping[str, Any]) -> None:
        frame = completed(frame)
        if not frame.provenance.parents:
            raise FrameError(f"derived frame '{frame.name}' does not name its parents")
        if self.plan.kind == "science":
            _check_columns(frame, promised)
        writer.check([frame], self.plan.grids)
        self._write(writer, "", frame)

    def _late_masks(self, archive: Path) -> dict[str, Any]:
        """Write what lists say of the finished shot; return what the catalogue is to know."""
        if not self.caller.has("late_masks"):
            return {}
        with StoredShot(archive / self.task.file, archive) as shot:
            try:
                late = asked(self.caller, shot, self.config)
            except Exception as error:  # whatever the plugin raises
                self._step_failed(LATE_MASKS, error)
                return {}
            return latemasks.write(archive, shot, late)

    def _step_failed(self, step: str, error: Exception) -> None:
        """Remember the failure of a step of the whole shot like that of an entry."""
        if isinstance(error, MemoryError | NoSpace) or (
            isinstance(error, OSError) and error.errno is not None
        ):
            raise error
        shot = f"{self.task.instrument}/{self.plan.key}"
        self.result["failed"][step] = [f"{shot}/{self.task.generation}/{step}", _line(error)]

    def _write(self, writer: ShotWriter, entry: str, frame: Frame) -> None:
        if isinstance(frame, Image):
            writer.add_image(entry, frame)
        elif isinstance(frame, Fibers):
            writer.add_block(entry, frame, self.plan.grids.get(frame.name))
        else:
            raise FrameError(f"{type(frame).__name__} is neither an Image nor Fibers")

    def _description(self, done: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
        sources = self.plan.sources
        description = {
            "instrument": self.task.instrument,
            "key": self.plan.key,
            "title": self.plan.title,
            "kind": self.plan.kind,
            "generation": self.task.generation,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "software": f"corecube {version('corecube')}",
            "plugin": f"{self.caller.plugin.distribution} {self.caller.plugin.version}",
            "data_version": self.caller.instrument.data_version,
            "fingerprint": fingerprint.of_shot(
                self.plan, {entry: self._print(entry) for entry in self.plan.entries}
            ),
            "needs": self.needs,
            "basis": self.based_on,
            "entries": dict(done),
            "raw_bytes": sum(source.size for source in sources),
        }
        history = {
            "plan": self.plan.to_json(), "config": self.task.config,
            "infos": [info.to_json() for info in self.infos],
        }  # fmt: skip
        return description, history


def _stamp(path: str) -> tuple[int, int]:
    status = Path(path).stat()
    return status.st_size, status.st_mtime_ns


def completed(frame: Frame) -> Frame:
    """Return a frame with error and mask that agree with each other.

    Where the flux is not finite the plane ``no_data`` is set; where the error is not a positive
    finite number it becomes NaN and ``no_error`` is set. Nothing else is changed.

    Parameters
    ----------
    frame : Image or Fibers
        Its error and mask may be None; its arrays may be used again.

    Raises
    ------
    FrameError
        If it is neither.
    """
    if not isinstance(frame, Image | Fibers):
        raise FrameError(f"{type(frame).__name__} is neither an Image nor Fibers")
    flux = frame.flux
    error = np.full_like(flux, np.nan) if frame.error is None else frame.error
    mask = np.zeros(flux.shape, dtype=np.uint32) if frame.mask is None else frame.mask
    with np.errstate(over="ignore", invalid="ignore"):
        # where a sum is finite all values are: one pass instead of an array of booleans
        if flux.size and not np.isfinite(flux.sum()):
            mask[~np.isfinite(flux)] |= _NO_DATA
        if flux.size and not (np.isfinite(error.sum()) and error.min() > 0):
            unknown = ~(np.isfinite(error) & (error > 0))
            error[unknown] = np.nan
            mask[unknown] |= _NO_ERROR
    return replace(frame, error=error, mask=mask)


def _check_columns(frame: Frame, promised: Mapping[str, Any]) -> None:
    if not isinstance(frame, Fibers) or frame.parent:
        return
    columns: list[Column] = list(promised.get(frame.name, ()))
    missing = [column.name for column in columns if column not in frame.columns]
    if missing:
        raise FrameError(f"group '{frame.name}' lacks the promised column '{missing[0]}'")


def _stored_frames(old: StoredShot, entry: str) -> list[Frame]:
    frames: list[Frame] = [
        old.frame(name) for name, about in old.description["images"].items()
        if about["entry"] == entry
    ]  # fmt: skip
    for group in old.groups:
        for block in old.history["blocks"][group]:
            if block["entry"] == entry:
                frames.append(old.rows(group, *block["rows"]))
    if not frames:
        raise ArchiveDamaged(f"{old.path}: has nothing of entry '{entry}'")
    return frames


def _line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}; see to it and run the same command again"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, CorecubeError) else f"{type(error).__name__}: {text}"
