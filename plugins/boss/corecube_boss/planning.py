"""Join files to shots: the fibres and cameras of a plate, the cameras of a raw exposure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from corecube.shots import FileInfo, ShotPlan, Source
from corecube_boss.names import from_ranges, to_ranges
from corecube_boss.settings import BossConfig
from corecube_sdssfiles.fibers import COADD, grid_of, spec_grids

PLATE: Final = "plate"
RAW: Final = "raw"

_FRAMES: Final = ("spCFrame", "spFrame")
"""The main file of a camera's exposure is the first of these that is there."""
_OF_EXPOSURE: Final = ("spFluxcalib", "spFluxcorr", "spXYthrucorr")
_OF_SURVEY: Final = ("spAll", "platelist")

_Beside: TypeAlias = Mapping[tuple[str, str], Sequence[FileInfo]]
"""Files that serve many shots, by kind and by the plate or exposure that they serve."""


def plan_shots(infos: Sequence[FileInfo], config: BossConfig) -> Iterator[ShotPlan]:
    """Yield a plan for each plate that has a spectrum, and each raw exposure.

    Parameters
    ----------
    infos : sequence of FileInfo
    config : BossConfig

    Yields
    ------
    ShotPlan
        In the order of their keys; the order of `infos` does not matter.
    """
    infos = sorted(infos, key=lambda i: (-i.rank, i.source.path, i.source.kind))
    beside: dict[tuple[str, str], list[FileInfo]] = defaultdict(list)
    for info in infos:
        if not info.key:
            for place in info.facts.get("plates", [info.facts.get("exposure", "")]):
                beside[info.source.kind, place].append(info)
    plates: dict[str, list[FileInfo]] = defaultdict(list)
    raws: dict[str, list[FileInfo]] = defaultdict(list)
    coadded = _coadded(infos)
    for info in infos:
        if info.source.kind == "sdR":
            raws[info.key].append(info)
        elif info.key:
            plates[_plate_of(info, coadded)].append(info)
    for key, members in sorted(plates.items()):
        plan = _plate(key, members, beside, config)
        if plan is not None:
            yield plan
    for key, members in sorted(raws.items()):
        yield _raw(key, members)


def _coadded(infos: Iterable[FileInfo]) -> dict[tuple[str, str, str], str]:
    """Return the plate's key for each (plate, reduction, exposure) that an spPlate names.

    A plate is called by its last night; exposures of earlier nights have the MJD of theirs.
    """
    found = {}
    for info in infos:
        if info.source.kind == "spPlate":
            plate, _, run2d = info.key.split("-", 2)
            for exposure in info.facts["exposures"]:
                found[plate, run2d, exposure] = info.key
    return found


def _plate_of(info: FileInfo, coadded: dict[tuple[str, str, str], str]) -> str:
    if info.source.kind not in _FRAMES:
        return info.key
    plate, _, run2d = info.key.split("-", 2)
    return coadded.get((plate, run2d, info.entry), info.key)


def _plate(
    key: str, members: Sequence[FileInfo], beside: _Beside, config: BossConfig
) -> ShotPlan | None:
    kinds: dict[str, dict[str, FileInfo]] = defaultdict(dict)
    for info in members:
        kinds[info.source.kind].setdefault(info.entry, info)
    specs = dict(sorted(kinds["spec"].items()))
    plate = kinds["spPlate"].get("spPlate")
    distort = kinds["spFluxdistort"].get("")
    entries = {entry: (info.source,) for entry, info in specs.items()}
    settings: dict[str, Any] = {"product": PLATE}
    grids = spec_grids(list(specs.values()), config.exposures) if specs else {}
    with_row = {int(entry) for entry in specs}
    if plate is not None:
        rows = from_ranges(plate.facts["fibers"]).tolist()
        entries["spPlate"] = (plate.source,)
        settings |= {"plate_rows": plate.facts["fibers"], "spec": to_ranges(sorted(with_row))}
        covered = [(plate.facts["first"], plate.facts["count"])]
        if COADD in grids:
            first, last = grids[COADD]
            covered.append((first, last - first + 1))
        grids[COADD] = grid_of(covered)
        with_row |= set(rows)
    bare: dict[str, str] = {}
    for entry in sorted(kinds["spFrame"].keys() | kinds["spCFrame"].keys()):
        frames = [kinds[kind][entry] for kind in _FRAMES if entry in kinds[kind]]
        entries[entry] = (
            *(info.source for info in frames),
            *_companions(entry, frames, beside),
            *((distort.source,) if distort is not None else ()),
        )
        grids.pop(entry, None)
        new = set(from_ranges(frames[0].facts["fibers"]).tolist()) - with_row
        if new:
            bare[entry] = to_ranges(sorted(new))
            with_row |= new
        settings.setdefault("cameras", []).append(entry)
    if not entries:
        return None
    if bare:
        settings["bare"] = bare
    number, mjd, run2d = key.split("-", 2)
    return ShotPlan(
        key=key,
        title=f"Plate {int(number)}, MJD {mjd}, reduction {run2d}",
        entries=entries,
        companions=tuple(
            info.source for kind in _OF_SURVEY for info in beside.get((kind, key), ())
        ),
        grids=grids,
        settings=settings,
    )  # fmt: skip


def _companions(entry: str, frames: Sequence[FileInfo], beside: _Beside) -> Iterator[Source]:
    """Yield what serves one exposure of one camera, of each kind one file.

    Two reductions have files of the same names: that beside the frame is taken, and one from
    elsewhere only if there is no choice.
    """
    camera = entry.partition("-")[0]
    flat = next((info.facts["flat"] for info in frames if info.facts["flat"]), "")
    wanted = dict.fromkeys(_OF_EXPOSURE, entry) | {"spFlat": f"{camera}-{flat}"}
    folders = {info.facts["folder"] for info in frames}
    for kind, name in wanted.items():
        found = beside.get((kind, name), ())
        near = [info for info in found if info.facts["folder"] in folders]
        if near or len(found) == 1:
            yield (near or found)[0].source


def _raw(key: str, members: Sequence[FileInfo]) -> ShotPlan:
    entries: dict[str, Source] = {}
    for info in sorted(members, key=lambda info: info.entry):
        entries.setdefault(info.entry, info.source)
    _, mjd, exposure = key.split("/")
    return ShotPlan(
        key=key,
        title=f"Raw exposure {exposure} of MJD {mjd}",
        entries={entry: (source,) for entry, source in entries.items()},
        settings={"product": RAW},
    )
