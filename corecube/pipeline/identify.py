"""From paths to file infos: which files there are, and which of them are the instrument's."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, Final

from corecube import config as configuration
from corecube import limits, scheduler
from corecube.archive.layout import SUFFIX
from corecube.errors import CorecubeError
from corecube.files import Head
from corecube.frames import check_name
from corecube.pipeline.report import FileReport
from corecube.plugins import Caller, load
from corecube.shots import FileHead, FileInfo, NotMine

_FITS_NAMES: Final = (".fits", ".fit", ".fts")
_PACKED_NAMES: Final = (".bz2", ".gz", ".xz")


def find_files(paths: Iterable[str]) -> Iterator[str]:
    """Yield the absolute paths of all files in paths and folders, each once, sorted in folders.

    Hidden files and folders and archives of ours are left out. A path that does not exist and a
    folder that cannot be read are yielded too: their trouble is reported with them.
    """
    seen: set[str] = set()
    for path in paths:
        for found in _below(Path(path)):
            absolute = os.path.abspath(found)  # noqa: PTH100 - keeps symbolic links
            if absolute not in seen:
                seen.add(absolute)
                yield absolute


def _below(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    refused: list[str] = []
    for folder, names, files in os.walk(path, onerror=lambda error: refused.append(error.filename)):
        names[:] = sorted(n for n in names if not n.startswith(".") and not n.endswith(SUFFIX))
        yield from (Path(folder, name) for name in sorted(files) if not name.startswith("."))
    yield from map(Path, refused)


def identify(
    path: str, caller: Caller, config: Any, known: Mapping[str, FileInfo]
) -> FileInfo | FileReport:
    """Say what a file is.

    Parameters
    ----------
    path : str
    caller : Caller
    config : dataclass
    known : mapping of path to FileInfo
        What was said of files before; used where size and time of change are the same.

    Returns
    -------
    FileInfo or FileReport
        A report where it is passed over or cannot be read.
    """
    try:
        status = Path(path).stat()
        if S_ISDIR(status.st_mode):
            next(Path(path).iterdir(), None)  # it is one that could not be read: say why
        if not S_ISREG(status.st_mode):
            return FileReport(path, "passed over", reason="not a regular file")
        before = known.get(path)
        if before is not None and _same(before, status):
            return before
        file = FileHead.of(path)
    except FileNotFoundError:
        return FileReport(path, "failed", reason="there is no such file; check the path")
    except OSError as error:
        return FileReport(path, "failed", reason=f"cannot be read ({error.strerror or error})")
    except CorecubeError as error:
        return FileReport(path, "failed", reason=without_path(str(error), path))
    broken = _broken_fits(file)
    if broken:
        return FileReport(path, "failed", reason=broken)
    try:
        said = caller.call("identify", file=file, config=config)
    except CorecubeError as error:
        return FileReport(path, "failed", reason=without_path(str(error), path))
    except Exception as error:  # a plugin's fault must not end the run
        reason = f"instrument '{caller.name}' failed to look at it: {type(error).__name__}: {error}"
        return FileReport(path, "failed", reason=reason)
    if isinstance(said, FileInfo):
        wrong = _wrong_name(said)
        return FileReport(path, "failed", reason=wrong) if wrong else said
    reason = said.reason if isinstance(said, NotMine) else "not recognised"
    return FileReport(path, "passed over", reason=reason)


_HDF5: Final = b"\x89HDF\r\n\x1a\n"


def is_hdf5(path: str) -> bool:
    """Say whether a file, which may be packed, is read by HDF5's C library."""
    try:
        # a pipe or a device is not waited for
        return Path(path).is_file() and Head.read(path).data.startswith(_HDF5)
    except (CorecubeError, OSError):
        return False  # what is wrong with it is said where it is read


class Identifier:
    """Says what files are; HDF5 files in a process of their own if asked to.

    Parameters
    ----------
    caller : Caller
    config : dataclass
    known : mapping of path to FileInfo
        As for `identify`.
    apart : bool
    """

    def __init__(
        self, caller: Caller, config: Any, known: Mapping[str, FileInfo], apart: bool
    ) -> None:
        self._caller, self._config, self._known, self._apart = caller, config, known, apart
        self._helper = scheduler.Helper("corecube.pipeline.identify:identify_task")

    def __enter__(self) -> Identifier:
        """Return itself; the process ends with the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process, if there is one."""
        self._helper.__exit__()

    def identify(self, path: str) -> FileInfo | FileReport:
        """Say what a file is; see `identify`."""
        if not self._apart or not self._is_new(path) or not is_hdf5(path):
            return identify(path, self._caller, self._config, self._known)
        config: dict[str, Any] = configuration.to_json(self._config)
        done = self._helper.ask({"path": path, "instrument": self._caller.name, "config": config})
        if done.result is None:
            reason = f"looking at it crashed ({done.error.partition(';')[0]}); fetch it again"
            return FileReport(path, "failed", reason=reason)
        if "info" in done.result:
            return FileInfo.from_json(done.result["info"])
        return FileReport(**done.result["report"])

    def _is_new(self, path: str) -> bool:
        before = self._known.get(path)
        try:
            return before is None or not _same(before, Path(path).stat())
        except OSError:
            return False


def identify_task(task: Mapping[str, Any]) -> dict[str, Any]:
    """Identify a file; runs in a worker."""
    if multiprocessing.parent_process() is not None:
        limits.allow(_SECONDS)
    caller = load(task["instrument"])
    config: Any = configuration.from_json(caller.instrument.config, task["config"])
    found = identify(task["path"], caller, config, {})
    return {"info": found.to_json()} if isinstance(found, FileInfo) else {"report": vars(found)}


_SECONDS: Final = 300.0
"""Of a processor; the tables of a large shot are read within a few."""


def _wrong_name(info: FileInfo) -> str:
    """Say what cannot be a name of a shot or an entry, "" if all can: it costs this file alone."""
    try:
        for part in info.key.split("/") if info.key else ():
            check_name(part, "shot key")
        if info.entry:
            check_name(info.entry, "entry")
    except CorecubeError as error:
        return f"{error}; mend its header, or fetch it again"
    return ""


def without_path(text: str, path: str) -> str:
    """Return a message without the path that the report shows beside it."""
    return text.removeprefix(f"{path}: ")


def _same(info: FileInfo, status: os.stat_result) -> bool:
    return (info.source.size, info.source.mtime_ns) == (status.st_size, status.st_mtime_ns)


def _broken_fits(file: FileHead) -> str:
    """Say what is wrong with a file that has a FITS name and is none, "" otherwise."""
    name = file.name.lower()
    for packed in _PACKED_NAMES:
        name = name.removesuffix(packed)
    if not name.endswith(_FITS_NAMES) or file.head.startswith(b"SIMPLE  ="):
        return ""
    if not file.head:
        return "is empty; fetch the file again"
    text = file.head[:200].lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page under the name of a FITS file; fetch the file again"
    return "has the name of a FITS file but does not begin like one; fetch the file again"
