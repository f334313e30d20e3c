"""Join files to shots: the five filters of a field, the fibres of a plate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from corecube.shots import FileInfo, ShotPlan, Source
from corecube_sdss.frames import FILTERS
from corecube_sdss.settings import SdssConfig
from corecube_sdssfiles.fibers import spec_grids

IMAGING = "imaging"
SPECTRA = "spectra"

_COMPANIONS = ("psField", "photoField", "photoObj")


def plan_shots(infos: Sequence[FileInfo], config: SdssConfig) -> Iterator[ShotPlan]:
    """Yield a plan for each field that has a frame and each plate that has a spectrum.

    Parameters
    ----------
    infos : sequence of FileInfo
    config : SdssConfig

    Yields
    ------
    ShotPlan
        In the order of their keys; the order of `infos` does not matter.
    """
    fields: dict[str, list[FileInfo]] = defaultdict(list)
    plates: dict[str, list[FileInfo]] = defaultdict(list)
    runs: dict[tuple[int, int], list[FileInfo]] = defaultdict(list)
    for info in sorted(infos, key=_order):
        if info.source.kind == "photoField":
            runs[info.facts["run"], info.facts["camcol"]].append(info)
        elif info.source.kind == "spec":
            plates[info.key].append(info)
        else:
            fields[info.key].append(info)
    for key, members in sorted(fields.items()):
        run, camcol, _ = map(int, key.split("-"))
        plan = _imaging(key, members + runs[run, camcol])
        if plan is not None:
            yield plan
    for key, members in sorted(plates.items()):
        yield _spectra(key, members, config)


def _order(info: FileInfo) -> tuple[int, str, str]:
    """Higher rank first, then by path."""
    return -info.rank, info.source.path, info.source.kind


def _imaging(key: str, members: Sequence[FileInfo]) -> ShotPlan | None:
    found: dict[tuple[str, str], Source] = {}
    for info in members:
        found.setdefault((info.source.kind, info.entry), info.source)
    entries = {
        band: tuple(found[kind, band] for kind in ("frame", "fpM") if (kind, band) in found)
        for band in FILTERS
        if ("frame", band) in found
    }
    if not entries:
        return None
    run, camcol, field = map(int, key.split("-"))
    return ShotPlan(
        key=key,
        title=f"SDSS run {run}, camera column {camcol}, field {field}",
        entries=entries,
        companions=tuple(found[kind, ""] for kind in _COMPANIONS if (kind, "") in found),
        settings={"product": IMAGING},
    )


def _spectra(key: str, members: Sequence[FileInfo], config: SdssConfig) -> ShotPlan:
    chosen: dict[str, FileInfo] = {}
    for info in members:
        chosen.setdefault(info.entry, info)
    chosen = dict(sorted(chosen.items()))
    grids = spec_grids(list(chosen.values()), config.exposures)
    plate, mjd, run2d = key.split("-", 2)
    return ShotPlan(
        key=key,
        title=f"SDSS plate {int(plate)}, MJD {mjd}, reduction {run2d}",
        entries={entry: (info.source,) for entry, info in chosen.items()},
        grids=grids,
        settings={"product": SPECTRA},
    )
