"""What is to be done for each plan: nothing, wait, keep what is stored, or make the shot."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from corecube.archive.catalogue import ShotRecord
from corecube.pipeline import fingerprint
from corecube.pipeline.claims import Claims, Place, places_of
from corecube.pipeline.identify import without_path
from corecube.pipeline.joining import Digests, Stored, same_file
from corecube.pipeline.planning import make_plans
from corecube.pipeline.report import SHOT_STEPS, FileReport, ShotReport, State
from corecube.plugins import Caller
from corecube.shots import FileInfo, ShotPlan

_WAITING_FOR: Final = "waiting_for"
"""Name of the fact by which an instrument says what a file of no plan waits for."""


@dataclass
class Job:
    """A shot to make.

    Attributes
    ----------
    identity : str
    plan : ShotPlan
    infos : list of FileInfo
        The files in the plan.
    carried : list of str
        Entries that are copied from the stored shot: nothing that they depend on has changed.
    old : ShotRecord or None
    needs : dict of str to ShotRecord
        The shots that it needs, by key.
    ready : bool
        False if a shot that it needs is still to be made.
    """

    identity: str
    plan: ShotPlan
    infos: list[FileInfo]
    carried: list[str]
    old: ShotRecord | None
    needs: dict[str, ShotRecord]
    ready: bool = True

    @cached_property
    def places(self) -> dict[str, Place]:
        """Where the plan uses each file, by path."""
        return places_of(self.plan)


class Decisions:
    """The fate of every shot and file of a run, decided level by level.

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
        Take only the files given, not those that their stored shots were made of.
    check_content : bool
        Compare bytes even where size and time of change are the same.

    Attributes
    ----------
    levels : list of list of ShotPlan
        To be given to `decide` in this order.
    shots : list of ShotReport
        Of shots that are not made.
    claims : Claims
        What became of the files.

    Raises
    ------
    PluginError
        If the instrument fails to plan.
    """

    def __init__(
        self,
        given: Sequence[FileInfo],
        stored: Stored,
        caller: Caller,
        config: Any,
        based_on: str,
        *,
        force: bool = False,
        replace: bool = False,
        check_content: bool = False,
    ) -> None:
        self.stored = stored
        self.based_on = based_on
        self.force = force
        self._name = caller.name
        self._digests = Digests(stored, check_content)
        self._plans = make_plans(given, stored, caller, config, self._digests, replace=replace)
        self._given = self._plans.joining.given
        self._keys = {info.key for info in given} - {""}
        self._waited = {info.source.path for info in stored.state.waiting}
        self.levels = self._plans.levels
        self.begin()

    def begin(self) -> None:
        """Forget what was decided."""
        self.shots: list[ShotReport] = []
        self.claims = Claims()
        self._records = dict(self.stored.shots)
        self._pending: set[str] = set()
        self._anew: set[str] = set()
        self._failed: set[str] = set()
        self._open: dict[str, ShotPlan] = {
            f"{self._name}/{plan.key}": plan for level in self.levels for plan in level
        }
        self._waits: dict[str, FileInfo] = {}
        for report in self._plans.files:
            self.claims.add(report)
        for path, identity in self._plans.unchanged.items():
            info = self._plans.infos[path]
            self._claim(info, "unchanged", identity, info.entry)
        for info in self._plans.waiting:
            place = f" of {info.key}" if info.key else ""
            what = info.facts.get(_WAITING_FOR) or f"the files{place} that it serves"
            self._wait(info, f"waiting for {what}")

    def preview(self) -> list[Job]:
        """Decide all levels as if nothing could fail, and return the shots that would be made."""
        self.begin()
        jobs: list[Job] = []
        for level in self.levels:
            found = self.decide(level)
            self._pending.update(job.plan.key for job in found)
            jobs += found
        return jobs

    def decide(self, level: Sequence[ShotPlan]) -> list[Job]:
        """Compare the plans of a level with what is stored; return the shots to make."""
        return [job for plan in level for job in self._decide(plan)]

    def made(self, job: Job) -> None:
        """Hear that a shot will be in the next commit: its files wait no more."""
        self._open.pop(job.identity, None)

    def registered(self, job: Job, record: ShotRecord) -> None:
        """Hear that a shot is in the archive: those of later levels may need it."""
        self._records[job.identity] = record
        self._anew.add(job.plan.key)

    def failed(self, job: Job, entries: Collection[str]) -> None:
        """Hear that a shot was not made; where no entry could be read, companions wait on."""
        self._failed.add(job.plan.key)
        if job.old is None and entries:
            self._without_shot(job.plan, entries)

    def not_begun(self, job: Job) -> None:
        """Hear that the run ends before a shot is made, so that what needs it cannot be either."""
        self._pending.add(job.plan.key)
        self.shots.append(ShotReport(job.identity, "not done"))
        for info in job.infos:
            self.claim(job, info, "not done", "the run ended before its turn")

    def claim(
        self, job: Job, info: FileInfo, state: State, reason: str = "", notes: Sequence[str] = ()
    ) -> None:
        """Say what became of a file in a shot."""
        place = job.places[info.source.path]
        self._claim(info, state, job.identity, place.entry, reason, bool(place.main), notes)

    @property
    def waiting(self) -> tuple[FileInfo, ...]:
        """The files to remember: what was remembered is, until a shot has it."""
        found = dict(self._waits)
        for plan in self._open.values():
            for source in plan.sources:
                if source.path in self._waited and source.path in self._plans.infos:
                    found.setdefault(source.path, self._plans.infos[source.path])
        return tuple(found.values())

    def changes_waiting(self, before: Iterable[FileInfo]) -> bool:
        """Say whether other files wait than before."""
        return {i.source.path: i for i in self.waiting} != {i.source.path: i for i in before}

    # -- one shot ----------------------------------------------------------------------------

    def _decide(self, plan: ShotPlan) -> Iterator[Job]:
        identity = f"{self._name}/{plan.key}"
        old = self.stored.shots.get(identity)
        if not self._concerned(plan, identity, old):
            self._open.pop(identity)
            return
        failed_here = [f for f in self.stored.state.failed.values() if f["shot"] == identity]
        if old is not None or failed_here:
            plan = plan.map_sources(
                {s.path: replace(s, digest=self._digests.of(s)) for s in plan.sources}
            )
        needs, missing = self._needs(plan, old)
        entries = {
            entry: fingerprint.of_entry(plan, entry, self.based_on, needs) for entry in plan.entries
        }
        failed = {
            entry: self.stored.state.failed[code]["reason"]
            for entry, code in entries.items() if code in self.stored.state.failed
        }  # fmt: skip
        # where a changed file failed before, the shot has what the entry was made of until then
        codes = entries | {
            e: old.entries[e] for e in failed if old is not None and e in old.entries
        }
        same = old is not None and old.fingerprint == fingerprint.of_shot(plan, codes)
        hopeless = old is None and len(failed) == len(entries)
        pending = [key for key in plan.needs if key in self._pending]
        wanted = self.force or bool(pending)
        if missing and not same:
            self._wait_for(plan, identity, missing[0])
        elif (same or hopeless) and (missing or not wanted):
            steps = {f["entry"]: f["reason"] for f in failed_here if f["entry"] in SHOT_STEPS}
            self._nothing_to_do(plan, identity, same, failed, steps)
        else:
            carried = []
            if old is not None and not wanted:
                had = old.entries
                carried = [entry for entry, code in entries.items() if had.get(entry) == code]
            reason = ""
            if old is not None:
                reason = self._obstacle(plan, old, carried)
            if old is not None and reason:
                self._keep(plan, old, reason)
            else:
                found = {k: self._records[f"{self._name}/{k}"] for k in plan.needs if k in needs}
                infos = [info for info, _ in self._placed(plan)]
                yield Job(identity, plan, infos, carried, old, found, not pending)

    def _concerned(self, plan: ShotPlan, identity: str, old: ShotRecord | None) -> bool:
        """Say whether a given file is in a shot, or anything else than the configuration changed.

        Many stored shots are joined for what they share with a given file. Those that turn out
        not to use it are left in peace.
        """
        if old is None or plan.key in self._keys:
            return True
        paths = {source.path for source in plan.sources}
        infos = self._plans.infos
        before = {info.source.path for info in self.stored.infos.get(identity, ())}
        return (
            before != paths
            or not paths.isdisjoint(self._given)
            or any(infos[path].key in self._keys for path in paths & infos.keys())
            or old.needs != self._needs(plan, old)[0]
            or any(key in self._anew or key in self._pending for key in plan.needs)
        )

    def _needs(self, plan: ShotPlan, old: ShotRecord | None) -> tuple[dict[str, str], list[str]]:
        """Return the fingerprints of what a shot needs, and the keys of what is missing."""
        found, missing = {}, []
        for key in plan.needs:
            record = self._records.get(f"{self._name}/{key}")
            if record is not None:
                found[key] = record.fingerprint
            elif key not in self._pending:
                missing.append(key)
                if old is not None and key in old.needs:
                    found[key] = old.needs[key]
        return found, missing

    def _placed(self, plan: ShotPlan) -> list[tuple[FileInfo, Place]]:
        infos = self._plans.infos
        return [(infos[p], place) for p, place in places_of(plan).items() if p in infos]

    def _obstacle(self, plan: ShotPlan, old: ShotRecord, carried: Collection[str]) -> str:
        """Say why a stored shot cannot be made anew, "" if it can."""
        lost = self._plans.joining.overwritten(old.identity, plan.entries)
        if lost is not None:
            return (
                f"entry '{lost.entry}' would be lost, as another file is now at "
                f"{lost.source.path}; the shot stays as it was; give the file another name, or "
                "use --replace to take only the files given"
            )
        gone = [
            source.path
            for entry, sources in plan.entries.items() if entry not in carried
            for source in (*sources, *plan.companions) if not os.path.exists(source.path)  # noqa: PTH110
        ]  # fmt: skip
        if not gone:
            return ""
        return (
            f"{self._what_changed(plan, old)}, but {gone[0]} is gone; the shot stays as it was; "
            "bring the file back, or use --replace to take only the files given"
        )

    def _what_changed(self, plan: ShotPlan, old: ShotRecord) -> str:
        now, _ = self._needs(plan, old)
        for key in plan.needs:
            if key in self._pending or key in self._anew or now.get(key) != old.needs.get(key):
                return f"{key}, which it needs, has changed"
        if self.force:
            return "--force asks for it again"
        if old.basis != self.based_on:
            return "the configuration or the instrument's data version has changed"
        before = self.stored.infos.get(old.identity, [])
        digests = {info.source.path: info.source.digest for info in before}
        changed = [s.path for s in plan.sources if digests.get(s.path) != s.digest]
        return f"{changed[0]} is new or has changed" if changed else "its settings have changed"

    # -- shots that are not made -------------------------------------------------------------

    def _nothing_to_do(
        self,
        plan: ShotPlan,
        identity: str,
        same: bool,
        failed: Mapping[str, str],
        steps: Mapping[str, str],
    ) -> None:
        here = [entry for entry in plan.entries if entry not in failed]
        state = "unchanged" if same else "failed"
        self.shots.append(ShotReport(identity, state, entries=here, failed={**failed, **steps}))
        if same:
            self._open.pop(identity)
        else:
            self._failed.add(plan.key)
            self._without_shot(plan, failed)
        for info, place in self._placed(plan):
            lost = place.among(failed)
            if lost:
                reason = without_path(failed[lost], info.source.path)
                self._claim(info, "failed", identity, lost, reason, True)
            elif same:
                self._claim_stored(info, identity, place)

    def _keep(self, plan: ShotPlan, old: ShotRecord, reason: str) -> None:
        self.shots.append(ShotReport(old.identity, "kept", reason, list(old.entries)))
        stays = f"{old.identity} stays as it was"
        for info, place in self._placed(plan):
            self._claim(info, "not done", old.identity, place.entry, stays, bool(place.main))

    def _wait_for(self, plan: ShotPlan, identity: str, missing: str) -> None:
        reason = f"waiting for {missing}" + ", which failed" * (missing in self._failed)
        self.shots.append(ShotReport(identity, "waiting", reason))
        before = {info.source.path: info for info in self.stored.infos.get(identity, ())}
        for info, place in self._placed(plan):
            stored = before.get(info.source.path)
            if stored is not None and same_file(stored.source, info.source):
                self._claim_stored(info, identity, place)
            else:
                self._wait(info, reason, identity, place.entry, bool(place.main))

    def _without_shot(self, plan: ShotPlan, failed: Collection[str]) -> None:
        """Let companions wait where no entry of a shot could be read."""
        for info, place in self._placed(plan):
            if not place.among(failed):
                self._wait(info, f"waiting for a file of {plan.key} that can be read")

    def _wait(
        self, info: FileInfo, reason: str, shot: str = "", entry: str = "", main: bool = False
    ) -> None:
        self._waits[info.source.path] = info
        self._claim(info, "waiting", shot, entry, reason, main)

    def _claim_stored(self, info: FileInfo, identity: str, place: Place) -> None:
        main = bool(place.main)
        self._claim(info, "unchanged" if main else "companion", identity, place.entry, "", main)

    def _claim(
        self,
        info: FileInfo,
        state: State,
        shot: str,
        entry: str,
        reason: str = "",
        main: bool = False,
        notes: Sequence[str] = (),
    ) -> None:
        report = FileReport(
            info.source.path, state, info.source.kind, shot, entry, reason, list(notes)
        )
        self.claims.add(report, main=main, own=shot == f"{self._name}/{info.key}")
