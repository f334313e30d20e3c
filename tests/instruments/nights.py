"""A toy with nights of biases, flats that need biases, and targets that need both.

Files are those of `toy`. A bias or flat serves all targets of its night; it has no key, or, with
the header ``keyed``, that of its masters. Masters and targets have a derived image ``mean``.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import toy  # type: ignore[import-not-found]  # put there by the conftest

from corecube.config import about
from corecube.errors import FileNotUnderstood
from corecube.frames import Column, Frame, Image
from corecube.hookspecs import API, Instrument, hookimpl
from corecube.masks import MaskSpan
from corecube.provenance import Provenance
from corecube.shots import Context, FileHead, FileInfo, NotMine, Shot, ShotPlan

SHAPE = (4, 5)


@dataclass(frozen=True)
class NightsConfig:
    """Settings."""

    scale: float = field(default=1.0, metadata=about("flux is multiplied by this"))
    bad_row: int = field(
        default=-1, metadata=about("a row that is bad, -1: none", changes_numbers=False)
    )


def write(
    path: Path, kind: str, name: str = "", night: str = "n1", seed: int = 0, **header: Any
) -> Path:
    """Write a file; kind is ``bias``, ``flat``, ``target`` or ``linearity`` (a companion)."""
    level = {"bias": 100.0, "flat": 1100.0, "target": 150.0}.get(kind, 0.0)
    flux = np.random.default_rng(seed).normal(level, 1, SHAPE).astype("<f4")
    written: Path = toy.write(
        path, {"kind": kind, "name": name, "night": night, **header}, flux=flux
    )
    return written


def fill(folder: Path, night: str = "n1", *, keyed: bool = False) -> dict[str, list[Path]]:
    """Write two biases, two flats, two targets of two exposures and a companion."""
    more: dict[str, Any] = {"night": night, "keyed": keyed}
    return {
        "bias": [write(folder / f"bias{n}.toy", "bias", seed=n, **more) for n in range(2)],
        "flat": [write(folder / f"flat{n}.toy", "flat", seed=10 + n, **more) for n in range(2)],
        "target": [
            write(folder / f"{name}{n}.toy", "target", name, seed=seed + n, **more)
            for name, seed in (("a", 20), ("b", 25)) for n in range(2)
        ],
        "linearity": [write(folder / "linearity.toy", "linearity", seed=40, **more)],
    }  # fmt: skip


@hookimpl
def corecube_instrument() -> Instrument:
    return Instrument("Toy nights", (API, API), 1, NightsConfig)


@hookimpl
def corecube_identify(file: FileHead, config: NightsConfig) -> FileInfo | NotMine | None:
    if not file.head.startswith(toy.MAGIC):
        return None
    header = json.loads(file.head.removeprefix(toy.MAGIC).partition(b"\n")[0])
    kind, night = header["kind"], header["night"]
    key = f"{night}/{header['name']}"
    if kind in ("bias", "flat"):
        key = f"masters/{night}/{kind}" if header.get("keyed") else ""
    elif kind == "linearity":
        key = ""
    facts = {"night": night, "stem": Path(file.name).stem, **header.get("facts", {})}
    entry = facts["stem"] if kind != "linearity" else ""
    return FileInfo(replace(file.source, kind=kind), key, entry, facts=facts)


@hookimpl
def corecube_plan_shots(
    infos: Sequence[FileInfo], known: Mapping[str, str], config: NightsConfig
) -> Iterator[ShotPlan]:
    shots: dict[str, list[FileInfo]] = defaultdict(list)
    companions: dict[str, list[FileInfo]] = defaultdict(list)
    for info in sorted(infos, key=lambda info: info.facts["stem"]):
        night, kind = info.facts["night"], info.source.kind
        if kind == "linearity":
            companions[night].append(info)
        else:
            shots[info.key or f"masters/{night}/{kind}"].append(info)
    trick = os.environ.get("NIGHTS_TRICK", "")
    for key, members in sorted(shots.items()):
        night = members[0].facts["night"]
        bias, flat = f"masters/{night}/bias", f"masters/{night}/flat"
        needs: tuple[str, ...] = {bias: (), flat: (bias,)}.get(key, (bias, flat))
        if trick == "circle" and key == bias:
            needs = (flat,)
        if trick == "science" and key == f"{night}/b":
            needs = (f"{night}/a",)
        if trick == "optional":
            needs = tuple(need for need in needs if need in known or need in shots)
        yield ShotPlan(
            key, key, {info.facts["stem"]: (info.source,) for info in members},
            tuple(info.source for info in companions[night]) if "masters" not in key else (),
            "calibration" if "masters" in key else "science", needs,
        )  # fmt: skip
        if trick == "twice":
            yield ShotPlan(key, key, {members[0].facts["stem"]: (members[0].source,)})


@hookimpl
def corecube_read_frames(
    plan: ShotPlan, entry: str, config: NightsConfig, context: Context
) -> Iterator[Frame]:
    assert tuple(context.shots) == plan.needs
    source = plan.entries[entry][0]
    header, arrays = toy.parse(context.read(source), source.path)
    toy._fault(header.get("fault", ""), source.path)
    flux = arrays["flux"] * np.float32(config.scale)
    calibration = {}
    for key, shot in context.shots.items():
        kind = key.rsplit("/", 1)[-1]
        calibration[kind] = shot.linked("mean", "flux")
        mean = calibration[kind].values
        flux = flux - mean if kind == "bias" else flux / mean
    for companion in plan.companions:
        flux = flux + toy.parse(context.read(companion), companion.path)[1]["flux"].mean()
    if not np.isfinite(flux).all():
        raise FileNotUnderstood(f"{source.path}: has no finite flux")
    yield Image(
        name=entry, flux=flux, error=np.ones_like(flux), unit="adu", calibration=calibration,
        provenance=Provenance(sources=(Path(source.path).name,)),
    )  # fmt: skip


@hookimpl
def corecube_derive_frames(shot: Shot, config: NightsConfig, context: Context) -> Iterator[Frame]:
    names = sorted(shot.images)
    frames = [shot.frame(name) for name in names]
    flux = np.mean([frame.flux for frame in frames], axis=0)
    yield Image(
        name="mean", flux=flux, error=np.full_like(flux, len(frames) ** -0.5), unit="adu",
        calibration=frames[0].calibration, provenance=Provenance(parents=tuple(names)),
    )  # fmt: skip


@hookimpl
def corecube_late_masks(shot: Shot, config: NightsConfig) -> Iterable[MaskSpan]:
    if config.bad_row >= 0:
        row = np.array([config.bad_row])
        yield MaskSpan("mean", "the configuration", row, 0 * row, 0 * row + SHAPE[1] - 1)


@hookimpl
def corecube_archive_columns(config: NightsConfig) -> Mapping[str, Sequence[Column]]:
    return {}
