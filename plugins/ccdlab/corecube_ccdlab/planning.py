"""Join frames to shots: masters of a night and setup, and targets that need them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from pathlib import PurePath
from typing import Any, Final

from corecube.shots import FileInfo, ShotPlan, Source
from corecube_ccdlab.detector import Detector, described, library
from corecube_ccdlab.headers import by_name, clean
from corecube_ccdlab.settings import CcdlabConfig

MASTERS: Final = "masters"
EXPOSURE_TOLERANCE: Final = 0.5
"""Seconds by which a dark may differ from what it is subtracted from; darks are not scaled."""
_ORDER: Final = ("bias", "dark", "flat", "arc")


def kind_of(info: FileInfo) -> str:
    """Return what the masters of a frame are called: ``bias``, ``dark-600s``, ``flat-gr7``."""
    kind, disperser = info.facts["type"], info.facts["disperser"]
    if kind == "dark":
        return f"dark-{round(info.facts['seconds'], 1):g}s"
    if kind in ("flat", "arc") and disperser:
        return f"{kind}-{disperser}"
    return str(kind)


def masters_key(info: FileInfo) -> str:
    """Return the key of the masters' shot that a frame belongs to."""
    return f"{MASTERS}/{info.facts['night']}/{info.facts['setup']}/{kind_of(info)}"


def nearest(
    keys: Collection[str],
    setup: str,
    kind: str,
    night: str,
    days: int,
    seconds: float | None = None,
) -> str:
    """Return the key of the masters that are nearest in time, "" if none are near enough.

    Parameters
    ----------
    keys : collection of str
        Of shots with masters.
    setup : str
    kind : str
        ``bias``, ``flat-gr7``; ``dark`` with `seconds`.
    night : str
    days : int
        How many nights away they may be.
    seconds : float, optional
        Exposure time that a dark must have, within half a second.
    """
    found: list[tuple[float, int, str]] = []
    for key in keys:
        parts = key.split("/")
        if len(parts) != 4 or parts[0] != MASTERS or parts[2] != setup:
            continue
        off = 0.0
        if kind == "dark":
            if seconds is None or not parts[3].startswith("dark-"):
                continue
            off = abs(float(parts[3].removeprefix("dark-").removesuffix("s")) - seconds)
            if off > EXPOSURE_TOLERANCE:
                continue
        elif parts[3] != kind:
            continue
        away = abs((date.fromisoformat(parts[1]) - date.fromisoformat(night)).days)
        if away <= days:
            found.append((off, away, key))
    return min(found)[2] if found else ""


def masters_for(
    facts: Mapping[str, Any], detector: Detector, keys: Collection[str], config: CcdlabConfig
) -> dict[str, str] | None:
    """Return the masters that a frame needs, by their role; None if a required one is missing.

    Parameters
    ----------
    facts : mapping
        Of the frame, see `corecube_ccdlab.identify.facts_of`.
    detector : Detector
    keys : collection of str
        Of shots with masters.
    config : CcdlabConfig

    Returns
    -------
    dict of str to str, or None
        ``bias``, ``dark``, ``flat`` and ``arc`` to keys.
    """
    masters, kind = detector.masters, facts["type"]
    days = masters.within_days if config.within_days is None else config.within_days
    suffix = f"-{facts['disperser']}" if facts["disperser"] else ""
    wanted: list[tuple[str, str, str]] = []
    if kind != "bias" and config.bias and "B" not in facts["done"]:
        wanted.append(("bias", "bias", masters.bias))
    if kind not in ("bias", "dark") and config.dark and "D" not in facts["done"]:
        # The lines of an arc can be measured without a dark of its length.
        wanted.append(
            (
                "dark",
                "dark",
                "optional" if kind == "arc" and masters.dark != "none" else masters.dark,
            )
        )
    if kind == "science" and config.flat and "F" not in facts["done"]:
        wanted.append(("flat", f"flat{suffix}", masters.flat))
    if kind == "science" and detector.arcs == "shared":
        wanted.append(("arc", f"arc{suffix}", "optional"))
    chosen = {}
    for role, name, need in wanted:
        if need == "none":
            continue
        key = nearest(keys, facts["setup"], name, facts["night"], days, facts["seconds"])
        if key:
            chosen[role] = key
        elif need == "required" and not config.without_masters:
            return None
    return chosen


def plan_shots(
    infos: Sequence[FileInfo], known: Mapping[str, str], config: CcdlabConfig
) -> Iterator[ShotPlan]:
    """Yield plans for masters and targets.

    Parameters
    ----------
    infos : sequence of FileInfo
    known : mapping of str to str
        Keys of the stored shots, and their kinds.
    config : CcdlabConfig

    Yields
    ------
    ShotPlan
        Masters first; the order of `infos` does not matter. Frames that lack what their camera
        requires are in no plan.
    """
    detectors = library(config)
    masters: dict[str, list[FileInfo]] = defaultdict(list)
    targets: dict[str, list[FileInfo]] = defaultdict(list)
    for info in sorted(infos, key=lambda info: (info.facts["start"], info.source.path)):
        ignored = by_name(config.types, PurePath(info.source.path).name) == "ignore"
        if ignored or info.facts["preset"] not in detectors:
            continue
        (targets[info.key] if info.key else masters[masters_key(info)]).append(info)
    keys = {key for key, kind in known.items() if kind == "calibration"}
    for kind in _ORDER:
        for key in sorted(masters):
            members = masters[key]
            if members[0].facts["type"] != kind:
                continue
            plan = _plan(key, members, detectors, keys, config)
            if plan is not None:
                keys.add(key)
                yield plan
    for key in sorted(targets):
        if any(info.facts["type"] == "science" for info in targets[key]):
            plan = _plan(key, targets[key], detectors, keys, config)
            if plan is not None:
                yield plan


def _plan(
    key: str,
    members: Sequence[FileInfo],
    detectors: Mapping[str, Detector],
    keys: Collection[str],
    config: CcdlabConfig,
) -> ShotPlan | None:
    entries: dict[str, tuple[Source, ...]] = {}
    needs: set[str] = set()
    used: dict[str, Detector] = {}
    others = set(keys) - {key}
    for info in members:
        preset = info.facts["preset"]
        needed = masters_for(info.facts, detectors[preset], others, config)
        if needed is None:
            continue
        name = info.entry
        if name in entries:  # another frame of this name, from another folder
            name = clean(f"{name} {info.facts['start']}")
        entries[name] = (info.source,)
        needs.update(needed.values())
        used[preset] = detectors[preset]
    if not entries:
        return None
    facts = members[0].facts
    is_target = bool(members[0].key)
    title = facts["target"] or "unnamed target" if is_target else f"masters: {key.split('/')[-1]}"
    return ShotPlan(
        key=key,
        title=f"{title}, {facts['preset']}, night {facts['night']}",
        entries=entries,
        kind="science" if is_target else "calibration",
        needs=tuple(sorted(needs)),
        settings={"detectors": described(dict(sorted(used.items())))},
    )
