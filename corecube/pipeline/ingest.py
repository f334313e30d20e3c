"""The coordinator: plans, hands out work, and registers what is done."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from corecube import config as configuration
from corecube import scheduler
from corecube.archive import leftovers
from corecube.archive import manifest as manifests
from corecube.archive.about import error_bits_of, levels_of, profile_of
from corecube.archive.catalogue import Catalogue
from corecube.archive.durable import FileStamp, sync_directory
from corecube.archive.layout import PLAIN
from corecube.archive.writer import (
    ArchiveWriter,
    InstrumentState,
    NewShot,
    create,
)
from corecube.errors import ArchiveMissing, ConfigurationError, NoSpace
from corecube.pipeline import fingerprint
from corecube.pipeline.deciding import Decisions, Job
from corecube.pipeline.identify import Identifier, find_files, is_hdf5, without_path
from corecube.pipeline.joining import Stored
from corecube.pipeline.report import SHOT_STEPS, FileReport, Report, ShotReport
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
    profile : str or None
        Of an archive that is made: ``plain`` (if None) or ``small``. One that is there must have
        it.
    error_bits : int or None
        Bits of the mantissa that an archive that is made keeps of errors: all (if None) or
        `rounding.FEWEST` to `rounding.MOST`. One that is there must keep as many.
    levels : int or None
        Levels of the pyramids that an archive that is made stores: as many as suit the size of an
        image (if None), or so many. One that is there must store as many.
    apart : bool
        Read HDF5 files, whose C library a file may crash, in worker processes alone, also with one
        job. A script that asks for it needs the ``if __name__ == "__main__":`` of multiprocessing.
    """

    jobs: int = 1
    force: bool = False
    replace: bool = False
    check_content: bool = False
    dry_run: bool = False
    on_error: Literal["skip", "stop"] = "skip"
    limit: int | None = None
    profile: str | None = None
    error_bits: int | None = None
    levels: int | None = None
    apart: bool = False


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
    ConfigurationError
        If the archive has another profile than is asked for.
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
    told: set[str] = field(default_factory=set)
    profile: str = PLAIN
    error_bits: int | None = None
    levels: int | None = None

    def run(self, paths: list[str]) -> Report:
        self.plain = configuration.to_json(self.config)
        numbers = configuration.fingerprint_fields(self.config)
        self.based_on = fingerprint.basis(self.caller.instrument.data_version, numbers)
        stored, generation = self._stored()
        infos = self._identified(paths, stored)
        self.decisions = self._decisions(infos, stored)
        report = Report(self.caller.name, str(self.archive))
        with _Stop() as stop:
            jobs = self.decisions.preview()
            if self.options.dry_run:
                self._dry(jobs)
            elif jobs or self.decisions.changes_waiting(stored.state.waiting):
                self._work(infos, generation, stop)
            report.interrupted = stop.signal
        self._account(paths)
        report.files = [self.said[path] for path in paths]
        report.shots = sorted(self.shots, key=lambda shot: shot.identity)
        return report

    # -- before ------------------------------------------------------------------------------

    def _stored(self) -> tuple[Stored, int]:
        try:
            manifest, _ = manifests.load(self.archive)
        except ArchiveMissing:
            return Stored(), -1
        self._agree()
        # what is called unchanged must last, also where the one who stored it was killed since
        with contextlib.suppress(OSError, NoSpace):
            sync_directory(self.archive)
        catalogue = Catalogue.load(self.archive, manifest)
        stored = Stored.of(self.archive, manifest, catalogue, self.caller.name)
        return stored, manifest.generation

    def _agree(self) -> None:
        """Look up the archive's profile and refuse another one."""
        self.profile = profile_of(self.archive)
        self.error_bits = error_bits_of(self.archive)
        self.levels = levels_of(self.archive)
        if self.options.profile not in (None, self.profile):
            raise ConfigurationError(
                f"{self.archive}: has the profile '{self.profile}', which was chosen when it was "
                f"made; leave '{self.options.profile}' out, or make another archive"
            )
        if self.options.error_bits not in (None, self.error_bits):
            kept = "all" if self.error_bits is None else self.error_bits
            raise ConfigurationError(
                f"{self.archive}: keeps {kept} bits of errors, which was chosen when it was made; "
                f"leave {self.options.error_bits} out, or make another archive"
            )
        if self.options.levels not in (None, self.levels):
            kept = "as many levels as suit" if self.levels is None else f"{self.levels} levels of"
            raise ConfigurationError(
                f"{self.archive}: stores {kept} each image, which was chosen when it was made; "
                f"leave {self.options.levels} out, or make another archive"
            )

    def _identified(self, paths: list[str], stored: Stored) -> list[FileInfo]:
        # what an instrument says of a file may depend on its settings
        anew = self.options.force or self.options.check_content
        known = {} if anew else stored.identified(self.based_on)
        infos = []
        with Identifier(self.caller, self.config, known, self.options.apart) as identifier:
            for path in paths:
                found = identifier.identify(path)
                if isinstance(found, FileInfo):
                    infos.append(found)
                else:
                    self.said[path] = found
                    if found.state == "failed":
                        self._trouble(path, found.reason)
        return infos

    def _apart(self, jobs: Sequence[Job]) -> bool:
        """Say whether a task may crash the process that it runs in."""
        return self.options.apart and any(
            is_hdf5(source.path) for job in jobs for source in job.plan.sources
        )

    def _decisions(self, infos: list[FileInfo], stored: Stored) -> Decisions:
        return Decisions(
            infos, stored, self.caller, self.config, self.based_on, force=self.options.force,
            replace=self.options.replace, check_content=self.options.check_content,
        )  # fmt: skip

    def _dry(self, jobs: Sequence[Job]) -> None:
        for number, job in enumerate(jobs):
            if self.options.limit is not None and number >= self.options.limit:
                self.decisions.not_begun(job)
                continue
            self.shots.append(ShotReport(job.identity, "planned", entries=list(job.plan.entries)))
            for info in job.infos:
                main = job.places[info.source.path].main
                self.decisions.claim(job, info, "planned" if main else "companion")

    # -- the work ----------------------------------------------------------------------------

    def _work(self, infos: list[FileInfo], generation: int, stop: _Stop) -> None:
        wanted = self.options
        create(self.archive, wanted.profile or PLAIN, wanted.error_bits, wanted.levels)
        self._agree()  # another process may have made it meanwhile
        with ArchiveWriter(self.archive) as writer:
            if writer.manifest.generation != max(generation, 0):
                # somebody wrote since we looked: plan again, now that nobody else can
                stored = Stored.of(
                    self.archive, writer.manifest, writer.catalogue, self.caller.name
                )
                self.decisions = self._decisions(infos, stored)
            writer.clean(leftovers.GRACE)
            self.failed = dict(writer.state.get(self.caller.name, InstrumentState()).failed)
            left = len(self.decisions.preview())
            if self.options.limit is not None:
                left = min(left, self.options.limit)
            self.watcher.begin(left)
            self.decisions.begin()
            for level in self.decisions.levels:
                found = self.decisions.decide(level)
                jobs = [job for job in found if job.ready][:left]
                left -= len(jobs)
                if self.options.jobs > 1:
                    # the largest first: else the last one may run alone
                    jobs.sort(key=lambda job: -sum(source.size for source in job.plan.sources))
                ended = self._make(writer, jobs, stop)
                for job in found:
                    if job.identity not in ended:
                        self.decisions.not_begun(job)
            self._register(writer, [])

    def _make(self, writer: ArchiveWriter, jobs: list[Job], stop: _Stop) -> set[str]:
        """Make the shots of a level and register them; return the identities of all that ended."""
        tasks = [self._task(writer, job) for job in jobs]
        ready: list[tuple[NewShot, Job, dict[str, Any]]] = []
        ended: set[str] = set()
        last = time.monotonic()
        for outcome in scheduler.run(
            _WORK, tasks, self.options.jobs, stop.asked, apart=self._apart(jobs)
        ):
            job = jobs[outcome.task]
            ended.add(job.identity)
            result = outcome.result or {
                "file": "", "error": outcome.error, "failed": {}, "notes": {}, "fatal": False,
            }  # fmt: skip
            if result["fatal"]:
                self._register(writer, ready)
                raise NoSpace(result["error"])
            self._remember(job, result)
            if result["file"]:
                stamp = FileStamp(result["size"], result["sha256"])
                taken = tuple(FileInfo.from_json(info) for info in result["infos"])
                ready.append((NewShot(result["file"], stamp, taken, result["masks"]), job, result))
            else:
                self._ended(job, result)
            if time.monotonic() - last > _BATCH_SECONDS:
                self._register(writer, ready)
                ready, last = [], time.monotonic()
            if self.options.on_error == "stop" and (result["error"] or result["failed"]):
                stop.ask()
        self._register(writer, ready)
        return ended

    def _task(self, writer: ArchiveWriter, job: Job) -> dict[str, Any]:
        task = Task(
            instrument=self.caller.name,
            archive=str(self.archive),
            file=writer.new_path(self.caller.name, job.plan.key),
            generation=writer.next_generation(job.identity),
            plan=job.plan.to_json(),
            infos=[info.to_json() for info in job.infos],
            config=self.plain,
            carried=job.carried,
            old=job.old.file if job.old is not None else "",
            needs={key: record.file for key, record in job.needs.items()},
            profile=self.profile,
            error_bits=self.error_bits,
            levels=self.levels,
        )
        return vars(task) | {}

    def _remember(self, job: Job, result: Mapping[str, Any]) -> None:
        """Keep what failed, so that the next run need not try the same bytes again."""
        self.failed = {c: f for c, f in self.failed.items() if f["shot"] != job.identity}
        for entry, (code, reason) in result["failed"].items():
            self.failed[code] = {"shot": job.identity, "entry": entry, "reason": reason}

    def _register(
        self, writer: ArchiveWriter, ready: Sequence[tuple[NewShot, Job, dict[str, Any]]]
    ) -> None:
        """Commit new shots and what waits or failed; write nothing where nothing is new."""
        for _, job, _ in ready:
            self.decisions.made(job)
        before = writer.state.get(self.caller.name, InstrumentState())
        changes = self.failed != before.failed or self.decisions.changes_waiting(before.waiting)
        if not ready and not changes:
            return
        state = dict(writer.state)
        state[self.caller.name] = InstrumentState(self.decisions.waiting, self.failed)
        records = writer.commit([new for new, _, _ in ready], state=state)
        for record, (_, job, result) in zip(records, ready, strict=True):
            self.decisions.registered(job, record)
            self._ended(job, result)
        writer.join_runs()

    # -- what became of it -------------------------------------------------------------------

    def _ended(self, job: Job, result: Mapping[str, Any]) -> None:
        """Report a shot: only now is it true that it survives a power failure."""
        failed = {entry: reason for entry, (_, reason) in result["failed"].items()}
        state = "failed"
        if result["file"]:
            state = "ingested" if job.old is None else "replaced"
        report = ShotReport(
            job.identity, state, result["error"],
            result["entries"] if result["file"] else [],
            failed, round(result.get("seconds", 0.0), 3), result.get("peak_bytes", 0),
        )  # fmt: skip
        self.shots.append(report)
        if result["error"]:
            self._trouble(job.identity, result["error"])
        if not result["file"]:
            self.decisions.failed(job, {} if result["error"] else failed)
        for info in job.infos:
            self._file_ended(info, job, result, failed)
        for step in SHOT_STEPS:
            if step in failed:
                self._trouble(f"{job.identity}, {step}", failed[step])
        self.watcher.shot(report)

    def _file_ended(
        self, info: FileInfo, job: Job, result: Mapping[str, Any], failed: Mapping[str, str]
    ) -> None:
        path, place = info.source.path, job.places[info.source.path]
        lost = place.among(failed)
        if result["error"]:
            self.decisions.claim(job, info, "failed", f"{job.identity}: {result['error']}")
        elif lost:
            reason = without_path(failed[lost], path)
            self.decisions.claim(job, info, "failed", reason)
            self._trouble(path, reason)
        elif not place.main:
            if result["file"]:
                self.decisions.claim(job, info, "companion")
        else:
            notes = list(dict.fromkeys(n for e in place.main for n in result["notes"].get(e, ())))
            carried = all(entry in job.carried for entry in place.main)
            self.decisions.claim(job, info, "unchanged" if carried else "ingested", notes=notes)
            for note in notes:
                self.watcher.note(path, note)

    def _trouble(self, where: str, reason: str) -> None:
        self.told.add(where)
        self.watcher.trouble(where, reason)

    def _account(self, paths: list[str]) -> None:
        """See to it that each file that was given is in the report."""
        self.shots += self.decisions.shots
        for path in paths:
            found = self.decisions.claims.of(path)
            if found is not None:
                self.said.setdefault(path, found)
                if found.state == "failed" and path not in self.told and not self._shot_told(found):
                    self._trouble(path, found.reason)
            self.said.setdefault(path, FileReport(path, "not done"))
        for shot in self.decisions.shots:
            if shot.state == "kept":
                self._trouble(shot.identity, shot.reason)

    def _shot_told(self, file: FileReport) -> bool:
        """Say whether the failure of a file is that of its shot, which was said."""
        return file.reason.startswith(f"{file.shot}: ") and file.shot in self.told


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
