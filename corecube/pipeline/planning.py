"""From file infos to shots to make: joined with what is stored, without reading any pixel."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from corecube.archive.catalogue import ShotRecord
from corecube.archive.writer import InstrumentState
from corecube.errors import PluginError
from corecube.files import digest
from corecube.pipeline import fingerprint
from corecube.pipeline.identify import without_path
from corecube.pipeline.report import FileReport, ShotReport
from corecube.plugins import Caller
from corecube.shots import FileInfo, ShotPlan, Source

_NAMED = 4
"""So many files for one place are named."""


@dataclass
class Stored:
    """What the archive has of one instrument.

    Attributes
    ----------
    shots : mapping of identity to ShotRecord
    infos : mapping of identity to list of FileInfo
        The files that each shot was planned from.
    state : InstrumentState
    """

    shots: Mapping[str, ShotRecord] = field(default_factory=dict)
    infos: Mapping[str, list[FileInfo]] = field(default_factory=dict)
    state: InstrumentState = field(default_factory=InstrumentState)

    def known(self) -> dict[str, FileInfo]:
        """Return all infos by path."""
        found = {info.source.path: info for infos in self.infos.values() for info in infos}
        return found | {info.source.path: info for info in self.state.waiting}

    def ingested(self) -> set[str]:
        """Return the paths of the files that stored shots were made of, failed ones left out."""
        failed = {(entry["shot"], entry["entry"]) for entry in self.state.failed.values()}
        return {
            info.source.path
            for identity, infos in self.infos.items() for info in infos
            if (identity, info.entry) not in failed
        }  # fmt: skip


@dataclass
class Job:
    """A shot to make.

    Attributes
    ----------
    plan : ShotPlan
    infos : list of FileInfo
        The files in the plan.
    carried : list of str
        Entries that are copied from the stored shot: nothing that they depend on has changed.
    old : ShotRecord or None
    """

    plan: ShotPlan
    infos: list[FileInfo]
    carried: list[str]
    old: ShotRecord | None


@dataclass
class Planned:
    """What an ingest has to do.

    Attributes
    ----------
    jobs : list of Job
    shots : list of ShotReport
        Of shots that need nothing.
    files : dict of path to FileReport
        Of files whose fate is decided already.
    waiting : list of FileInfo
    """

    jobs: list[Job] = field(default_factory=list)
    shots: list[ShotReport] = field(default_factory=list)
    files: dict[str, FileReport] = field(default_factory=dict)
    waiting: list[FileInfo] = field(default_factory=list)


def plan(
    given: Sequence[FileInfo],
    stored: Stored,
    caller: Caller,
    config: Any,
    based_on: str,
    *,
    force: bool = False,
    replace: bool = False,
    check_content: bool = False,
) -> Planned:
    """Decide which shots are made.

    Parameters
    ----------
    given : sequence of FileInfo
        The files of this run.
    stored : Stored
    caller : Caller
    config : dataclass
    based_on : str
        `fingerprint.basis` of data version and configuration.
    force : bool
        Make shots anew though nothing has changed.
    replace : bool
        Take only the files given, not those that stored shots were made of.
    check_content : bool
        Compare bytes even where size and time of change are the same.

    Raises
    ------
    PluginError
        If the instrument fails to plan.
    """
    result = Planned()
    digests = _Digests(stored, check_content)
    infos, lost = _joined(given, stored, replace=replace)
    infos = _resolved(infos, stored, digests, result)
    used: set[str] = set()
    for shot in _plans(infos, stored, caller, config):
        used.update(source.path for source in shot.sources)
        _decide(shot, infos, stored, caller, based_on, digests, force, result)
    result.waiting = [
        info for info in (*infos, *lost)
        if info.source.path not in used and info.source.path not in result.files
    ]  # fmt: skip
    return result


def _joined(
    given: Sequence[FileInfo], stored: Stored, *, replace: bool
) -> tuple[list[FileInfo], list[FileInfo]]:
    """Join the given files with those that wait and those of stored shots that they touch.

    Of the files that wait, those that are not there now come apart: they wait on, unless a given
    file has their place.
    """
    places = {_place(info) for info in given}
    lost = [
        info for info in stored.state.waiting
        if not os.path.exists(info.source.path)  # noqa: PTH110
    ]  # fmt: skip
    gone = {info.source.path for info in lost}
    by_path = {i.source.path: i for i in stored.state.waiting if i.source.path not in gone}
    fresh = [*given, *by_path.values()]
    keys = {f"{info.key}" for info in fresh if info.key}
    all_keys = any(not info.key for info in fresh)
    if not replace:
        ingested = stored.ingested()
        for infos in stored.infos.values():
            if all_keys or any(info.key in keys for info in infos):
                by_path |= {
                    info.source.path: info for info in infos
                    # a file that failed and is gone says nothing any more
                    if info.source.path in ingested or os.path.exists(info.source.path)  # noqa: PTH110
                }  # fmt: skip
    by_path |= {info.source.path: info for info in given}
    return list(by_path.values()), [info for info in lost if _place(info) not in places]


def _place(info: FileInfo) -> tuple[str, str, str]:
    return info.key, info.entry, info.source.kind


class _Digests:
    """Digests of files, read only where they decide something."""

    def __init__(self, stored: Stored, check_content: bool) -> None:
        self._known = {} if check_content else stored.known()
        self._gone = stored.known()
        self._read: dict[str, str] = {}

    def of(self, source: Source) -> str:
        """Return the digest of a file, "" if it cannot be read."""
        if source.digest and source.path not in self._gone:
            return source.digest
        before = self._known.get(source.path)
        if before is not None and before.source.digest and _unchanged(before.source, source):
            return before.source.digest
        if source.path not in self._read:
            try:
                self._read[source.path] = digest(source.path)
            except OSError:
                stored = self._gone.get(source.path)
                self._read[source.path] = stored.source.digest if stored is not None else ""
        return self._read[source.path]


def _unchanged(before: Source, now: Source) -> bool:
    return (before.size, before.mtime_ns) == (now.size, now.mtime_ns)


def _preference(info: FileInfo, here: set[str]) -> tuple[int, bool, bool, str]:
    path = info.source.path
    return -info.rank, not os.path.exists(path), path not in here, path  # noqa: PTH110


def _resolved(
    infos: Sequence[FileInfo], stored: Stored, digests: _Digests, result: Planned
) -> list[FileInfo]:
    """Leave one file per key, entry and kind; report duplicates, lower ranks and conflicts."""
    here = stored.ingested()
    places: dict[tuple[str, ...], list[FileInfo]] = {}
    for info in infos:
        own = (info.source.path,) if not info.key else ()
        places.setdefault((*_place(info), *own), []).append(info)
    taken = []
    for same in places.values():
        if len(same) == 1:
            taken.append(same[0])
            continue
        # of equal rank that which is still there, and of these that which was ingested
        same.sort(key=lambda info: _preference(info, here))
        best = same[0]
        rivals = [info for info in same[1:] if info.rank == best.rank]
        conflict = [
            info for info in rivals if digests.of(info.source) != digests.of(best.source)
        ]  # fmt: skip
        if conflict:
            names = ", ".join(info.source.path for info in (best, *conflict)[:_NAMED])
            if len(conflict) >= _NAMED:
                names += f" and {len(conflict) + 1 - _NAMED} more"
            stays = next((info for info in (best, *conflict) if info.source.path in here), None)
            if stays is not None:  # what was ingested is not taken away by what comes later
                taken.append(stays)
            for info in (best, *conflict):
                if info is stays:
                    continue
                result.files[info.source.path] = _fate(
                    info, "failed",
                    f"differs from another file for the same place ({names}); remove one of them, "
                    "or name the one to take with --replace",
                )  # fmt: skip
        else:
            taken.append(best)
        for info in same[1:]:
            if info in conflict:
                continue
            equal = digests.of(info.source) == digests.of(best.source)
            state, what = ("duplicate", "the same as") if equal else ("outranked", "less than")
            result.files[info.source.path] = _fate(info, state, f"{what} {best.source.path}")
    return taken


def _fate(info: FileInfo, state: Any, reason: str = "") -> FileReport:
    return FileReport(
        info.source.path, state, info.source.kind, info.key, info.entry, reason
    )  # fmt: skip


def _plans(
    infos: Sequence[FileInfo], stored: Stored, caller: Caller, config: Any
) -> list[ShotPlan]:
    known = {record.key: record.kind for record in stored.shots.values()}
    if not caller.has("plan_shots"):
        return default_plans(infos)
    try:
        return list(caller.call("plan_shots", infos=infos, known=known, config=config))
    except Exception as error:
        raise PluginError(
            f"instrument {caller.plugin.who} failed to plan its shots: "
            f"{type(error).__name__}: {error}"
        ) from error


def default_plans(infos: Iterable[FileInfo]) -> list[ShotPlan]:
    """Return a shot per key, an entry per main file, companions for those without entry."""
    shots: dict[str, list[FileInfo]] = {}
    for info in infos:
        if info.key:
            shots.setdefault(info.key, []).append(info)
    plans = []
    for key in sorted(shots):
        entries: dict[str, tuple[Source, ...]] = {}
        for info in sorted(shots[key], key=lambda info: (info.entry, info.source.path)):
            if info.entry:
                entries[info.entry] = (*entries.get(info.entry, ()), info.source)
        companions = tuple(sorted(info.source for info in shots[key] if not info.entry))
        if entries:
            plans.append(ShotPlan(key, key, entries, companions))
    return plans


def _decide(
    shot: ShotPlan,
    infos: Sequence[FileInfo],
    stored: Stored,
    caller: Caller,
    based_on: str,
    digests: _Digests,
    force: bool,
    result: Planned,
) -> None:
    """Compare a plan with the stored shot: nothing to do, or a job."""
    identity = f"{caller.name}/{shot.key}"
    old = stored.shots.get(identity)
    failed_here = [f for f in stored.state.failed.values() if f["shot"] == identity]
    if old is not None or failed_here:
        known = {s.path: Source(**{**vars(s), "digest": digests.of(s)}) for s in shot.sources}
        shot = shot.map_sources(known)
    paths = {source.path for source in shot.sources}
    used = [info for info in infos if info.source.path in paths]
    entries = {entry: fingerprint.of_entry(shot, entry, based_on) for entry in shot.entries}
    failed = {
        entry: stored.state.failed[code]["reason"]
        for entry, code in entries.items() if code in stored.state.failed
    }  # fmt: skip
    # where a changed file failed before, the shot has what the entry was made of until then
    codes = entries | {e: old.entries[e] for e in failed if old is not None and e in old.entries}
    same = old is not None and old.fingerprint == fingerprint.of_shot(shot, codes)
    hopeless = old is None and len(failed) == len(entries)
    if (same or hopeless) and not force:
        result.shots.append(
            ShotReport(
                identity,
                "unchanged" if same else "failed",
                entries=[entry for entry in entries if entry not in failed],
                failed=failed,
            )
        )
        for info in used:
            result.files[info.source.path] = _again(info, shot, identity, failed)
        return
    carried = []
    if old is not None and not force:
        had = old.entries
        carried = [entry for entry, code in entries.items() if had.get(entry) == code]
        gone = [
            source.path
            for entry, sources in shot.entries.items() if entry not in carried
            for source in (*sources, *shot.companions) if not os.path.exists(source.path)  # noqa: PTH110
        ]  # fmt: skip
    else:
        gone = [s.path for s in shot.sources if old is not None and not os.path.exists(s.path)]  # noqa: PTH110
    if old is not None and gone:
        why = _what_changed(shot, old, based_on, stored.infos.get(identity, []), force)
        result.shots.append(
            ShotReport(
                identity,
                "kept",
                f"{why}, but {gone[0]} is gone; the shot stays as it was; bring the file back, or "
                "use --replace to take only the files given",
                list(old.entries),
            )
        )
        for info in used:
            result.files[info.source.path] = _fate(info, "not done", f"{identity} stays as it was")
        return
    result.jobs.append(Job(shot, used, carried, old))


def _again(info: FileInfo, shot: ShotPlan, identity: str, failed: Mapping[str, str]) -> FileReport:
    entry, main = place_of(info, shot)
    if entry in failed and main:
        reason = without_path(failed[entry], info.source.path)
        return FileReport(info.source.path, "failed", info.source.kind, identity, entry, reason)
    state: Any = "unchanged" if main else "companion"
    return FileReport(info.source.path, state, info.source.kind, identity, entry)


def place_of(info: FileInfo, shot: ShotPlan) -> tuple[str, bool]:
    """Return the entry of a plan that uses a file ("": all of them), and if it is its main file."""
    for entry, sources in shot.entries.items():
        for number, source in enumerate(sources):
            if source.path == info.source.path:
                return entry, number == 0
    return "", False


def _what_changed(
    shot: ShotPlan, old: ShotRecord, based_on: str, before: Iterable[FileInfo], force: bool
) -> str:
    if force:
        return "--force asks for it again"
    if old.basis != based_on:
        return "the configuration or the instrument's data version has changed"
    digests = {info.source.path: info.source.digest for info in before}
    changed = [s.path for s in shot.sources if digests.get(s.path) != s.digest]
    return f"{changed[0]} is new or has changed" if changed else "its settings have changed"
