"""An instrument for archives of any size: its files are one line, its pixels come from a seed.

::

    SCALE1 {"kind": "fibers", "key": "000/0001", "entry": "all", "seed": 1, "rows": 3300,
            "width": 64, "ra": 10.0, "dec": 20.0}

Fibres have a smooth spectrum and noise; images look like SDSS frames as far as compression can
tell: whole counts with Poisson noise on a sky of 100, a few stars, times a factor.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from survey import Positions, around

from corecube import tan
from corecube.frames import Array, Column, Factor, Fibers, Frame, Image
from corecube.hookspecs import API, Instrument, hookimpl
from corecube.masks import value
from corecube.provenance import Provenance
from corecube.shots import Context, FileHead, FileInfo, ShotPlan
from corecube.spectral import Spectral
from corecube.times import Times

MAGIC = b"SCALE1 "
FRAME = (1489, 2048)
"""Pixels of an SDSS frame."""
PIXEL = 0.396 / 3600.0
FACTOR = np.float32(0.005)
SKY = 100.0
GAIN = 4.0
Z = Column("z", "float64", "", "Redshift.")
CLASS = Column("class", "text", "", "Class.", missing="")


@dataclass(frozen=True)
class ScaleConfig:
    """No settings."""


def install(folder: Path) -> dict[str, str]:
    """Install the instrument in a folder; return the environment in which it is found."""
    about = folder / "corecube_scale-1.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: corecube-scale\nVersion: 1\n")
    entry = "[corecube.instruments]\nscale = scaleinstrument\n"
    (about / "entry_points.txt").write_text(entry)
    return {"PYTHONPATH": f"{folder}:{Path(__file__).resolve().parent}"}


def write(path: Path, header: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(MAGIC + json.dumps(header).encode())


def header_for(key: str, seed: int, rows: int, width: int, ra: float, dec: float) -> dict[str, Any]:
    """Return the header of a file of fibres."""
    return {
        "kind": "fibers", "key": key, "entry": "all", "seed": seed, "rows": rows, "width": width,
        "ra": ra, "dec": dec,
    }  # fmt: skip


def header_of(data: bytes) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(data.removeprefix(MAGIC))
    return header


@hookimpl
def corecube_instrument() -> Instrument:
    return Instrument("Archives of any size", (API, API), 1, ScaleConfig)


@hookimpl
def corecube_identify(file: FileHead, config: ScaleConfig) -> FileInfo | None:
    if not file.head.startswith(MAGIC):
        return None
    header = header_of(file.head)
    source = replace(file.source, kind=header["kind"])
    return FileInfo(source, header["key"], header["entry"])


@hookimpl
def corecube_read_frames(
    plan: ShotPlan, entry: str, config: ScaleConfig, context: Context
) -> Iterator[Frame]:
    header = header_of(context.read(plan.entries[entry][0]))
    yield (_image if header["kind"] == "image" else _fibers)(header)


@hookimpl
def corecube_estimate_noise(frame: Frame, config: ScaleConfig) -> Frame | None:
    factor = np.float32(frame.calibration["factor"].values)
    counts = np.maximum(frame.flux / factor + np.float32(SKY), np.float32(1.0))
    error = factor * np.sqrt(counts / np.float32(GAIN))
    mask = np.zeros(frame.flux.shape, np.uint32)
    mask[frame.flux > 50.0 * factor * SKY] |= np.uint32(value("saturated"))
    mask[..., ::97] |= np.uint32(value("interpolated"))  # bad columns
    return replace(frame, error=error, mask=mask)


@hookimpl
def corecube_calibration_factors(frame: Frame, config: ScaleConfig) -> Sequence[Factor]:
    return [Factor("factor", "multiply", frame.calibration["factor"].values, "", "scale")]


@hookimpl
def corecube_archive_columns(config: ScaleConfig) -> Mapping[str, Sequence[Column]]:
    return {"fibers": (Z, CLASS)}


def made(header: Mapping[str, Any]) -> Frame:
    """Return the frame that is in the archive."""
    frame = (_image if header["kind"] == "image" else _fibers)(header)
    return corecube_estimate_noise(frame, ScaleConfig()) or frame


def places(header: Mapping[str, Any], rng: np.random.Generator) -> tuple[Positions, Positions]:
    """Return RA and Dec of the fibres, the first that is drawn."""
    return around(header["ra"], header["dec"], header["rows"], rng)


def _common(header: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": header["entry"] if header["kind"] == "image" else "fibers",
        "unit": "nanomaggy",
        "calibration": {"factor": Array(np.array(FACTOR))},
        "provenance": Provenance(sources=(header["key"],)),
    }


def _fibers(header: Mapping[str, Any]) -> Fibers:
    rng = np.random.default_rng(header["seed"])
    rows, width = header["rows"], header["width"]
    ra, dec = places(header, rng)
    slope, level = rng.normal(0, 1, (2, rows, 1)).astype("f4")
    flux = np.linspace(-1, 1, width, dtype="f4") * slope + level
    flux += rng.standard_normal((rows, width), dtype="f4")
    start = 52000.0 + header["seed"] * 0.01
    return Fibers(
        flux=flux * FACTOR, wave=Spectral(np.linspace(3500.0, 5500.0, width), medium="air"),
        id=tuple(f"{row:06d}" for row in range(rows)), ra=ra, dec=dec,
        times=Times(np.full(rows, start), np.full(rows, start + 0.01), "exact"),
        columns={
            Z: rng.uniform(0, 3, rows),
            CLASS: tuple(("GALAXY", "STAR", "QSO")[k] for k in rng.integers(0, 3, rows).tolist()),
        },
        **_common(header),
    )  # fmt: skip


def _image(header: Mapping[str, Any]) -> Image:
    rng = np.random.default_rng(header["seed"])
    shape = tuple(header.get("shape", FRAME))
    counts = rng.normal(SKY, np.sqrt(SKY / GAIN), shape)
    half = 12
    spread = np.exp(-((np.arange(-half, half + 1) / 3.0) ** 2))
    star = spread[:, np.newaxis] * spread
    stars = 300
    places = rng.integers(half, np.array(shape) - half, (stars, 2))
    heights = 30.0 * rng.pareto(1.0, stars)
    for (y, x), height in zip(places.tolist(), heights.tolist(), strict=True):
        counts[y - half : y + half + 1, x - half : x + half + 1] += star * height
    flux = (np.rint(counts) - SKY).astype("f4") * FACTOR
    ny, nx = shape
    cards = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": header["ra"],
        "CRVAL2": header["dec"], "CRPIX1": nx / 2 + 0.5, "CRPIX2": ny / 2 + 0.5,
        "CD1_1": -PIXEL, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": PIXEL,
    }  # fmt: skip
    start = 52000.0 + header["seed"] * 0.01
    return Image(
        flux=flux, header="KIND    = 'image'", times=Times(start, start + 0.001, "exact"),
        cards=cards, band=header["entry"], footprint=tan.outline(cards, flux.shape),
        **_common(header),
    )  # fmt: skip
