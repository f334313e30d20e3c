"""Join files to shots."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

from corecube.shots import FileInfo, ShotPlan
from corecube_hetdex import cure
from corecube_hetdex.names import Exposure, ShotName, exposure_of_entry
from corecube_hetdex.tables import KINDS

AMPLIFIERS: Final = "amplifiers"
SHOT_FILE: Final = "shot file"
RAW: Final = "raw"
CURE: Final = "cure"

_CALIBRATION: Final = ("zro", "drk", "flt", "cmp", "twi")
"""Types of raw exposures that are not of the sky."""


def plan_shots(infos: Sequence[FileInfo]) -> Iterator[ShotPlan]:
    """Yield a plan for each shot that has a file of spectra or a raw amplifier.

    Parameters
    ----------
    infos : sequence of FileInfo

    Yields
    ------
    ShotPlan
        In the order of their keys; the order of `infos` does not matter.
    """
    by_key: dict[str, list[FileInfo]] = defaultdict(list)
    shared = []
    for info in sorted(infos, key=lambda info: (info.source.kind, info.entry, info.source.path)):
        if info.key:
            by_key[info.key].append(info)
        else:
            shared.append(info)
    for key, members in sorted(by_key.items()):
        kinds = {info.source.kind for info in members}
        if "multi" in kinds:
            yield _amplifiers(key, members, shared)
        elif "shot" in kinds:
            yield _shot_file(key, members)
        elif "raw" in kinds:
            yield _raw(key, members)
        elif "cure" in kinds:
            yield _cure(key, members, shared)


def _amplifiers(key: str, members: Sequence[FileInfo], shared: Sequence[FileInfo]) -> ShotPlan:
    """Plan a shot of amplifiers, IFU by IFU, so that one cal file serves entries in a row."""
    shot = ShotName.of_text(key)
    assert shot is not None  # identify has made the key of one
    cal = {info.entry: info.source for info in members if info.source.kind == "cal"}
    found = []
    for info in members:
        if info.source.kind == "multi":
            exposure = exposure_of_entry(shot, info.entry)
            beside = cal.get(exposure.amplifier.ifu)
            sources = (info.source,) if beside is None else (info.source, beside)
            found.append((_order(exposure), info.entry, sources))
    tables = [info for info in members if info.source.kind in KINDS]
    tables += [i for i in shared if i.source.kind == "fwhm" and key in i.facts["shots"]]
    return ShotPlan(
        key=key,
        title=f"HETDEX shot {key}",
        entries={entry: sources for _, entry, sources in sorted(found)},
        companions=tuple(info.source for info in tables),
        settings={
            "product": AMPLIFIERS,
            "tables": {info.source.path: info.entry for info in tables if info.entry},
        },
    )


def _order(exposure: Exposure) -> tuple[str, str, int, str]:
    amplifier = exposure.amplifier
    return amplifier.ifuslot, amplifier.ifu, exposure.number, amplifier.amp


def _shot_file(key: str, members: Sequence[FileInfo]) -> ShotPlan:
    info = next(info for info in members if info.source.kind == "shot")
    facts: dict[str, Any] = dict(info.facts)
    shot = ShotName.of_text(key)
    assert shot is not None
    entries = sorted(facts["rows"], key=lambda entry: _order(exposure_of_entry(shot, entry)))
    return ShotPlan(
        key=key,
        title=f"HETDEX shot {shot} of a release",
        entries={entry: (info.source,) for entry in entries},
        settings={"product": SHOT_FILE, "rows": facts["rows"], "images": facts["images"]},
    )


def _raw(key: str, members: Sequence[FileInfo]) -> ShotPlan:
    _, date, slot = key.split("/")
    on_sky = any(info.facts["type"] not in _CALIBRATION for info in members)
    return ShotPlan(
        key=key,
        title=f"VIRUS raw amplifiers of slot {slot}, {date}",
        entries={info.entry: (info.source,) for info in members},
        kind="science" if on_sky else "calibration",
        settings={"product": RAW},
    )


def _cure(key: str, members: Sequence[FileInfo], shared: Sequence[FileInfo]) -> ShotPlan:
    errors = {info.entry: info.source for info in members if info.source.kind == "cure-error"}
    places = [info for info in shared if info.source.kind == "cure-positions"]
    entries = {}
    for info in members:
        if info.source.kind != "cure":
            continue
        sources = [info.source]
        if info.entry in errors:
            sources.append(errors[info.entry])
        near = [place.source for place in places if cure.near(place.facts, info.facts)]
        if len(near) == 1:  # of several none is known to be the right one
            sources += near
        entries[info.entry] = tuple(sources)
    return ShotPlan(
        key=key,
        title=f"VIRUS spectra by Cure, {key.rpartition('/')[2]}",
        entries=entries,
        settings={"product": CURE},
    )
