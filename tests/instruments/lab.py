"""An instrument for the steps of a whole shot: derived frames, late masks, links to masters.

Files are one line of JSON::

    LAB1 {"key": "night/1", "entry": "a", "value": 5.0, "fault": "", "kind": "science"}
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from corecube.config import about
from corecube.frames import Array, Column, Fibers, Frame, Image
from corecube.hookspecs import API, Instrument, hookimpl
from corecube.masks import MaskSpan
from corecube.provenance import Provenance
from corecube.shots import Context, FileHead, FileInfo, Shot, ShotPlan
from corecube.spectral import Spectral

MAGIC = b"LAB1 "
SHAPE = (300, 40)
MASTER = "masters/1"
ALIVE: list[int] = []
"""Derived frames that were still held when the next one was made (``derive="many"``)."""


@dataclass(frozen=True)
class Lists:
    """Lists that change."""

    bad: str = field(default="", metadata=about("file of bad rows", changes_numbers=False))


@dataclass(frozen=True)
class LabConfig:
    """Settings."""

    scale: float = field(default=1.0, metadata=about("flux is multiplied by this"))
    derive: str = field(default="mean", metadata=about("what is derived, or how it goes wrong"))
    lists: Lists = field(default_factory=Lists, metadata=about("lists"))
    plane: str = field(default="late", metadata=about("plane of bad rows", changes_numbers=False))


def write(path: Path, key: str, entry: str, value: float = 5.0, **more: Any) -> Path:
    """Write a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"key": key, "entry": entry, "value": value, **more})
    path.write_bytes(MAGIC + text.encode())
    return path


@hookimpl
def corecube_instrument() -> Instrument:
    return Instrument("A lab", (API, API), 1, LabConfig)


@hookimpl
def corecube_identify(file: FileHead, config: LabConfig) -> FileInfo | None:
    if not file.head.startswith(MAGIC):
        return None
    header = json.loads(file.head.removeprefix(MAGIC))
    return FileInfo(file.source, header["key"], header["entry"], facts=header)


@hookimpl
def corecube_plan_shots(
    infos: Sequence[FileInfo], known: Mapping[str, str], config: LabConfig
) -> Iterable[ShotPlan]:
    for key in sorted({info.key for info in infos}):
        mine = sorted((i for i in infos if i.key == key), key=lambda info: info.entry)
        master = key == MASTER
        needs = mine[0].facts.get("needs", False) and not master
        yield ShotPlan(
            key, key, {info.entry: (info.source,) for info in mine},
            kind="calibration" if master else "science", needs=(MASTER,) if needs else (),
        )  # fmt: skip


@hookimpl
def corecube_read_frames(
    plan: ShotPlan, entry: str, config: LabConfig, context: Context
) -> Iterator[Frame]:
    source = plan.entries[entry][0]
    header = json.loads(context.read(source).removeprefix(MAGIC))
    if header.get("fault"):
        raise ValueError(header["fault"])
    flux = np.full(SHAPE, header["value"] * config.scale, "f4")
    calibration = {"gain": Array(np.array(2.0), "electron / adu")}
    if plan.needs:
        calibration["bias"] = context.shots[MASTER].linked("bias", "flux")
    yield Image(
        name=entry, flux=flux, unit="adu", error=np.ones_like(flux),
        mask=np.zeros(SHAPE, "u4"), calibration=calibration,
        provenance=Provenance(sources=(source.path.rsplit("/", 1)[-1],)),
    )  # fmt: skip


@hookimpl
def corecube_derive_frames(shot: Shot, config: LabConfig, context: Context) -> Iterator[Frame]:
    if shot.plan.kind == "calibration":
        return
    names = shot.images
    if config.derive == "many":
        yield from _many(names)
        return
    flux = np.mean([shot.frame(name).flux for name in names], axis=0, dtype="f8").astype("f4")
    parents = Provenance(parents=names if config.derive != "orphan" else ())
    name = names[0] if config.derive == "taken" else "mean"
    more: dict[str, Any] = {}
    if config.derive == "late":
        dark = Array(np.arange(7.0), "adu")
        more = {"header": "A CARD", "calibration": {"dark": dark}, "layers": {"sky": dark}}
    yield Image(
        name=name, flux=flux, unit="adu", provenance=parents, **more,
        error=np.full(SHAPE, 1 / np.sqrt(len(names)), "f4"), mask=np.zeros(SHAPE, "u4"),
    )  # fmt: skip
    if config.derive == "bug":
        raise KeyError("a bug while deriving")
    if config.derive == "io":
        raise OSError(5, "Input/output error", "list")
    if config.derive == "memory":
        raise MemoryError("too large")
    yield Fibers(
        name="extracted", flux=flux[:2], unit="adu", error=np.ones_like(flux[:2]),
        wave=Spectral(np.arange(float(SHAPE[1])), unit="pix"),
        id=("x", "y"), ra=np.full(2, np.nan), dec=np.full(2, np.nan), provenance=parents,
        mask=np.zeros((2, SHAPE[1]), "u4"),
        columns={} if config.derive == "lacks" else {Column("row", "int32"): np.arange(2)},
    )  # fmt: skip
    if config.derive == "late":
        raise KeyError("a bug at the end")


def _many(names: tuple[str, ...]) -> Iterator[Frame]:
    held: list[weakref.ref[Any]] = []
    for number in range(6):
        flux = np.full(SHAPE, number, "f4")
        held.append(weakref.ref(flux))
        yield Image(
            name=f"m{number}", flux=flux, unit="adu", error=np.ones_like(flux),
            provenance=Provenance(parents=names),
        )  # fmt: skip
        del flux
        ALIVE.append(sum(ref() is not None for ref in held))


@hookimpl
def corecube_archive_columns(config: LabConfig) -> Mapping[str, Sequence[Column]]:
    return {"extracted": (Column("row", "int32"),)}


@hookimpl
def corecube_late_masks(shot: Shot, config: LabConfig) -> Iterable[MaskSpan]:
    if not config.lists.bad:
        return
    for line in Path(config.lists.bad).read_text(encoding="utf-8").splitlines():
        key, frame, row = line.split()
        if key == "bug":
            raise RuntimeError("the list has no meaning")
        if key == shot.key:
            yield MaskSpan(
                frame, f"bad rows: {frame} {row}", np.array([row], "i4"), np.zeros(1, "i4"),
                np.full(1, SHAPE[1] - 1, "i4"), config.plane,
            )  # fmt: skip
