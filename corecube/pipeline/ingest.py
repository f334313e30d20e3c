"""The coordinator: plans, hands out work, and registers what is done."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from corecube import config as configuration
from corecube import scheduler
from corecube.archive import manifest as manifests
from corecube.archive.catalogue import Catalogue
from corecube.archive.durable import FileStamp
from corecube.archive.writer import (
    ArchiveWriter,
    InstrumentState,
    NewShot,
    create,
    load_sources,
    load_state,
)
from corecube.errors import ArchiveMissing, NoSpace
from corecube.pipeline import fingerprint
from corecube.pipeline.identify import find_files, identify, without_path
from corecube.pipeline.planning import Job, Planned, Stored, place_of, plan
from corecube.pipeline.report import FileReport, Report, ShotReport
from corecube.pipeline.work import Task
from corecube.plugins import Caller
from corecube.shots import FileInfo

_BATCH_SECONDS = 1.0
"""Shots that end within this time are registered together: one commit costs a few fsyncs."""

_WORK = "corecube.pipeline.work:make_shot"


@dataclass(frozen=True)
class Options:
    """How an ingest runs.

    Attributes
    ----------
    jobs : int
        Worker processes; 1 works in this one.
    force : bool
        Make shots anew though nothing has changed.
    replace : bool
        Take only the files given.
    check_content : bool
        Compare bytes even where size and time of change are the same.
    dry_run : bool
        Only say what would be done.
    on_error : {"skip", "stop"}
        "stop": no further shot is begun after a failure.
    limit : int or None
        Make at most so many shots.
    """

    jobs: int = 1
    force: bool = False
    replace: bool = False
    check_content: bool = False
    dry_run: bool = False
    on_error: Literal["skip", "stop"] = "skip"
    limit: int | None = None


class Watcher(Protocol):
    """Told of the progress; the command line draws it."""

    def begin(self, shots: int) -> None:
        """Hear how many shots will be made."""

    def shot(self, report: ShotReport) -> None:
        """Hear that a shot has ended."""

    def trouble(self, where: str, reason: str) -> None:
        """Hear that a file or shot failed."""

    def note(self, where: str, text: str) -> None:
        """Hear what a user should know of a file's values."""


class Silent:
    """A `Watcher` that says nothing."""

    def begin(self, shots: int) -> None:
        """Say nothing."""

    def shot(self, report: ShotReport) -> None:
        """Say nothing."""

    def trouble(self, where: str, reason: str) -> None:
        """Say nothing."""

    def note(self, where: str, text: str) -> None:
        """Say nothing."""


def ingest(
    paths: Sequence[str],
    archive: Path,
    caller: Caller,
    config: Any,
    options: Options | None = None,
    watcher: Watcher | None = None,
) -> Report:
    """Ingest files and folders into an archive.

    Parameters
    ----------
    paths : sequence of str
    archive : Path
        Made if it is not there and something is to be stored.
    caller : Caller
        The instrument.
    config : dataclass
        Its settings.
    options : Options, optional
    watcher : Watcher, optional

    Returns
    -------
    Report
        With every file seen and what became of it.

    Raises
    ------
    ArchiveError
        If the archive is damaged, too new, locked, or the disk is full; what was registered
        before stays.
    PluginError
        If the instrument cannot plan.
    """
    run = _Ingest(archive, caller, config, options or Options(), watcher or Silent())
    return run.run(list(find_files(paths)))


@dataclass
class _Ingest:
    archive: Path
    caller: Caller
    config: Any
    options: Options
    watcher: Watcher
    based_on: str = ""
    plain: dict[str, Any] = field(default_factory=dict)
    said: dict[str, FileReport] = field(default_factory=dict)
    shots: list[ShotReport] = field(default_factory=list)
    failed: dict[str, dict[str, Any]] = field(default_factory=dict)

    def run(self, paths: list[str]) -> Report:
        self.plain = configuration.to_json(self.config)
        numbers = configuration.fingerprint_fields(self.config)
        self.based_on = fingerprint.basis(self.caller.instrument.data_version, numbers)
        stored, generation = self._stored()
        infos = self._identified(paths, stored)
        planned = self._plan(infos, stored)
        report = Report(self.caller.name, str(self.archive))
        with _Stop() as stop:
            if self.options.dry_run:
                self._dry(planned)
            elif planned.jobs or self._state_changes(planned, stored):
                planned = self._work(infos, planned, generation, stop)
            report.interrupted = stop.signal
        self._account(planned, paths)
        report.files = [self.said[path] for path in paths]
        report.shots = sorted(self.shots, key=lambda shot: shot.identity)
        return report

    # -- before ------------------------------------------------------------------------------

    def _stored(self) -> tuple[Stored, int]:
        try:
            manifest, _ = manifests.load(self.archive)
        except ArchiveMissing:
            return Stored(), -1
        return self._state_of(manifest, Catalogue.load(self.archive, manifest)), manifest.generation

    def _state_of(self, manifest: manifests.Manifest, catalogue: Catalogue) -> Stored:
        name = self.caller.name
        mine = {i: r for i, r in catalogue.by_identity.items() if r.instrument == name}
        infos = {i: part for i, part in load_sources(self.archive, manifest).items() if i in mine}
        state = load_state(self.archive, manifest).get(name, InstrumentState())
        return Stored(mine, infos, state)

    def _identified(self, paths: list[str], stored: Stored) -> list[FileInfo]:
        known = {} if self.options.force or self.options.check_content else stored.known()
        infos = []
        for path in paths:
            found = identify(path, self.caller, self.config, known)
            if isinstance(found, FileInfo):
                infos.append(found)
            else:
                self.said[path] = found
                if found.state == "failed":
                    self.watcher.trouble(path, found.reason)
        return infos

    def _plan(self, infos: list[FileInfo], stored: Stored) -> Planned:
        return plan(
            infos, stored, self.caller, self.config, self.based_on, force=self.options.force,
            replace=self.options.replace, check_content=self.options.check_content,
        )  # fmt: skip

    def _state_changes(self, planned: Planned, stored: Stored) -> bool:
        def by_path(infos: Sequence[FileInfo]) -> dict[str, FileInfo]:
            return {info.source.path: info for info in infos}

        return by_path(planned.waiting) != by_path(stored.state.waiting)

    def _dry(self, planned: Planned) -> None:
        for job in planned.jobs:
            identity = f"{self.caller.name}/{job.plan.key}"
            self.shots.append(ShotReport(identity, "planned", entries=list(job.plan.entries)))
            for info in job.infos:
                main = place_of(info, job.plan)[1]
                self._say(info, "planned" if main else "companion", job)

    # -- the work ----------------------------------------------------------------------------

    def _work(
        self, infos: list[FileInfo], planned: Planned, generation: int, stop: _Stop
    ) -> Planned:
        create(self.archive)
        with ArchiveWriter(self.archive) as writer:
            if writer.manifest.generation != max(generation, 0):
                # somebody wrote since we looked: plan again, now that nobody else can
                planned = self._plan(infos, self._state_of(writer.manifest, writer.catalogue))
            writer.clean()
            old = writer.state.get(self.caller.name, InstrumentState())
            self.failed = dict(old.failed)
            jobs = planned.jobs[: self.options.limit]
            if self.options.jobs > 1:
                # the largest first: else the last one may run alone
                jobs.sort(key=lambda job: -sum(source.size for source in job.plan.sources))
            self.watcher.begin(len(jobs))
            self._make(writer, jobs, planned, stop)
        return planned

    def _make(self, writer: ArchiveWriter, jobs: list[Job], planned: Planned, stop: _Stop) -> None:
        tasks = [self._task(writer, job) for job in jobs]
        ready: list[tuple[NewShot, Job, dict[str, Any]]] = []
        changed = self._state_changes(
            planned, Stored(state=writer.state.get(self.caller.name, InstrumentState()))
        )
        last = time.monotonic()
        for outcome in scheduler.run(_WORK, tasks, self.options.jobs, stop.asked):
            job = jobs[outcome.task]
            result = outcome.result or {
                "file": "", "error": outcome.error, "failed": {}, "notes": {}, "fatal": False,
            }  # fmt: skip
            if result["fatal"]:
                self._register(writer, ready, planned)
                raise NoSpace(result["error"])
            changed |= bool(result["failed"])
            self._remember(job, result)
            if result["file"]:
                stamp = FileStamp(result["size"], result["sha256"])
                taken = tuple(FileInfo.from_json(info) for info in result["infos"])
                ready.append((NewShot(result["file"], stamp, taken), job, result))
            else:
                self._ended(job, result)
            if time.monotonic() - last > _BATCH_SECONDS:
                self._register(writer, ready, planned)
                ready, last = [], time.monotonic()
            if self.options.on_error == "stop" and (result["error"] or result["failed"]):
                stop.ask()
        if ready or changed:
            self._register(writer, ready, planned)

    def _task(self, writer: ArchiveWriter, job: Job) -> dict[str, Any]:
        identity = f"{self.caller.name}/{job.plan.key}"
        task = Task(
            instrument=self.caller.name,
            archive=str(self.archive),
            file=writer.new_path(self.caller.name, job.plan.key),
            generation=writer.next_generation(identity),
            plan=job.plan.to_json(),
            infos=[info.to_json() for info in job.infos],
            config=self.plain,
            carried=job.carried,
            old=job.old.file if job.old is not None else "",
        )
        return vars(task) | {}

    def _remember(self, job: Job, result: Mapping[str, Any]) -> None:
        """Keep what failed, so that the next run need not try the same bytes again."""
        identity = f"{self.caller.name}/{job.plan.key}"
        self.failed = {c: f for c, f in self.failed.items() if f["shot"] != identity}
        for entry, (code, reason) in result["failed"].items():
            self.failed[code] = {"shot": identity, "entry": entry, "reason": reason}

    def _register(
        self,
        writer: ArchiveWriter,
        ready: Sequence[tuple[NewShot, Job, dict[str, Any]]],
        planned: Planned,
    ) -> None:
        state = dict(writer.state)
        state[self.caller.name] = InstrumentState(tuple(planned.waiting), self.failed)
        writer.commit([new for new, _, _ in ready], state=state)
        for _, job, result in ready:
            self._ended(job, result)

    # -- what became of it -------------------------------------------------------------------

    def _ended(self, job: Job, result: Mapping[str, Any]) -> None:
        """Report a shot: only now is it true that it survives a power failure."""
        identity = f"{self.caller.name}/{job.plan.key}"
        failed = {entry: reason for entry, (_, reason) in result["failed"].items()}
        state = "failed"
        if result["file"]:
            state = "ingested" if job.old is None else "replaced"
        report = ShotReport(
            identity, state, result["error"],
            result["entries"] if result["file"] else [],
            failed, round(result.get("seconds", 0.0), 3), result.get("peak_bytes", 0),
        )  # fmt: skip
        self.shots.append(report)
        if result["error"]:
            self.watcher.trouble(identity, result["error"])
        for info in job.infos:
            entry, main = place_of(info, job.plan)
            if result["error"]:
                self._say(info, "failed", job, f"{identity}: {result['error']}")
            elif entry in failed and main:
                reason = without_path(failed[entry], info.source.path)
                self._say(info, "failed", job, reason)
                self.watcher.trouble(info.source.path, reason)
            elif not main:
                self._say(info, "companion", job)
            else:
                self._say(info, "unchanged" if entry in job.carried else "ingested", job)
                notes = result["notes"].get(entry, ())
                self.said[info.source.path].notes = list(notes)
                for note in notes:
                    self.watcher.note(info.source.path, note)
        self.watcher.shot(report)

    def _say(self, info: FileInfo, state: Any, job: Job, reason: str = "") -> None:
        path = info.source.path
        self.said[path] = FileReport(
            path, state, info.source.kind, f"{self.caller.name}/{job.plan.key}",
            place_of(info, job.plan)[0], reason,
        )  # fmt: skip

    def _account(self, planned: Planned, paths: list[str]) -> None:
        """See to it that each file that was given is in the report."""
        self.shots += planned.shots
        for path, file in planned.files.items():
            self.said.setdefault(path, file)
            if file.state == "failed":
                self.watcher.trouble(path, file.reason)
        for shot in planned.shots:
            if shot.state == "kept":
                self.watcher.trouble(shot.identity, shot.reason)
        for info in planned.waiting:
            place = f" of {info.key}" if info.key else ""
            self.said.setdefault(
                info.source.path,
                FileReport(
                    info.source.path, "waiting", info.source.kind,
                    reason=f"waiting for the files{place} that it serves",
                ),
            )  # fmt: skip
        reported = {shot.identity for shot in self.shots}
        for job in planned.jobs:
            identity = f"{self.caller.name}/{job.plan.key}"
            if identity not in reported:
                self.shots.append(ShotReport(identity, "not done"))
                for info in job.infos:
                    self._say(info, "not done", job, "the run ended before its turn")
        for path in paths:
            self.said.setdefault(path, FileReport(path, "not done"))


class _Stop:
    """Ctrl-C and SIGTERM: the first asks for an orderly end, the second ends at once."""

    def __init__(self) -> None:
        self.signal = ""
        self._asked = False
        self._old: dict[int, Any] = {}

    def asked(self) -> bool:
        """Say whether no further shot is to be begun."""
        return self._asked

    def ask(self) -> None:
        """Begin no further shot."""
        self._asked = True

    def __enter__(self) -> _Stop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old[number] = signal.signal(number, self._caught)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _caught(self, number: int, _: object) -> None:
        if self.signal:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number).name
        self._asked = True
