"""From file infos to plans: asked of the instrument, checked, and put in the order of needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from corecube.errors import PluginError
from corecube.pipeline.joining import Digests, Joining, Stored, same_file
from corecube.pipeline.report import FileReport
from corecube.pipeline.rivals import Rivals
from corecube.plugins import Caller
from corecube.shots import FileInfo, ShotPlan, Source


@dataclass
class Plans:
    """The shots that a run is about.

    Attributes
    ----------
    levels : list of list of ShotPlan
        The shots of a level need only those of levels before, and stored ones.
    infos : dict of path to FileInfo
        The files that were planned with.
    files : list of FileReport
        Of files whose fate is decided already.
    waiting : list of FileInfo
        Files that no plan uses, and that no stored shot keeps.
    unchanged : dict of path to str
        Given files that no plan uses, with the stored shot that was made of them.
    joining : Joining
    """

    levels: list[list[ShotPlan]]
    infos: dict[str, FileInfo]
    files: list[FileReport]
    joining: Joining
    waiting: list[FileInfo] = field(default_factory=list)
    unchanged: dict[str, str] = field(default_factory=dict)


def make_plans(
    given: Sequence[FileInfo],
    stored: Stored,
    caller: Caller,
    config: Any,
    digests: Digests,
    *,
    replace: bool = False,
) -> Plans:
    """Join the given files with what is stored, and ask the instrument for plans.

    A plan may show that a given file belongs to a stored shot that was not joined, or to a
    calibration shot, which may serve any other: then more is joined and the instrument is asked
    again.

    Parameters
    ----------
    given : sequence of FileInfo
        The files of this run.
    stored : Stored
    caller : Caller
    config : dataclass
    digests : Digests
    replace : bool
        Take only the files given, not those that their stored shots were made of.

    Raises
    ------
    PluginError
        If the instrument fails to plan, or its plans cannot be followed.
    """
    joining = Joining(given, stored, replace=replace)
    rivals = Rivals(caller.name, stored, digests)
    while True:
        infos, files = rivals.choose(joining.infos())
        plans = _asked(infos, stored, caller, config)
        settled = joining.shots | joining.replaced
        fresh = joining.fresh
        concerned = [plan for plan in plans if any(s.path in fresh for s in plan.sources)]
        touched = {f"{caller.name}/{plan.key}" for plan in concerned} & stored.shots.keys()
        joined = len(settled)
        joining.touch(touched - settled)
        if any(plan.kind == "calibration" for plan in concerned):
            joining.join_all()
        if len(joining.shots | joining.replaced) == joined:
            break
    # what serves many is known without the other files of its shots: these are not planned anew
    plans = [
        plan for plan in plans
        if (identity := f"{caller.name}/{plan.key}") not in stored.shots or identity in settled
    ]  # fmt: skip
    result = Plans(
        _levels(plans, stored, caller), {info.source.path: info for info in infos}, files, joining
    )
    _see_to_unused(result, plans, stored, caller)
    return result


def _see_to_unused(
    result: Plans, plans: Iterable[ShotPlan], stored: Stored, caller: Caller
) -> None:
    used = {source.path for plan in plans for source in plan.sources}
    planned = {f"{caller.name}/{plan.key}" for plan in plans}
    keeps = {
        info.source.path: (identity, info.source)
        for identity, infos in stored.infos.items() if identity not in planned
        for info in infos
    }  # fmt: skip
    for path, info in result.infos.items():
        if path in used:
            continue
        identity, source = keeps.get(path, ("", None))
        if source is not None and same_file(source, info.source):
            result.unchanged[path] = identity
        else:
            result.waiting.append(info)
    here = stored.elsewhere
    result.waiting += [info for info in result.joining.lost if info.observation not in here]


def _asked(
    infos: Sequence[FileInfo], stored: Stored, caller: Caller, config: Any
) -> list[ShotPlan]:
    if not caller.has("plan_shots"):
        return default_plans(infos)
    known = {record.key: record.kind for record in stored.shots.values()}
    try:
        plans = list(caller.call("plan_shots", infos=infos, known=known, config=config))
    except Exception as error:
        raise _fault(caller, f"{type(error).__name__}: {error}") from error
    seen = set()
    for plan in plans:
        if not isinstance(plan, ShotPlan):
            raise _fault(caller, f"it gave a {type(plan).__name__} in place of a ShotPlan")
        if plan.key in seen:
            raise _fault(caller, f"it gave two plans of the key '{plan.key}'")
        seen.add(plan.key)
    return plans


def _fault(caller: Caller, reason: str) -> PluginError:
    return PluginError(f"instrument {caller.plugin.who} failed to plan its shots: {reason}")


def _levels(plans: Sequence[ShotPlan], stored: Stored, caller: Caller) -> list[list[ShotPlan]]:
    """Return the plans level by level, in each in the order that the instrument gave.

    Raises
    ------
    PluginError
        If shots need each other, or one needs a shot of another kind than "calibration".
    """
    kinds = {record.key: record.kind for record in stored.shots.values()}
    kinds |= {plan.key: plan.kind for plan in plans}
    for plan in plans:
        for key in plan.needs:
            if kinds.get(key, "calibration") != "calibration":
                raise _fault(
                    caller, f"'{plan.key}' needs '{key}', which is a {kinds[key]} shot; only "
                    "shots of the kind 'calibration' can be needed",
                )  # fmt: skip
    needs = {record.key: list(record.needs) for record in stored.shots.values()}
    needs |= {plan.key: list(plan.needs) for plan in plans}
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        circle = " needs ".join(f"'{key}'" for key in reversed(error.args[1]))
        raise _fault(caller, f"shots need each other: {circle}") from error
    planned = {plan.key for plan in plans}
    depth: dict[str, int] = {}
    for key in order:
        if key in planned:
            depth[key] = 1 + max((depth.get(need, 0) for need in needs[key]), default=0)
    levels: list[list[ShotPlan]] = [[] for _ in range(max(depth.values(), default=0))]
    for plan in plans:
        levels[depth[plan.key] - 1].append(plan)
    return levels


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
