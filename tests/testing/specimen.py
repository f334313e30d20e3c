"""An instrument that keeps the contract, and breaks it in one point if it is told to.

The variable SPECIMEN_FAULT names the point, for worker processes too. A file is a line of JSON and
then an array::

    SPECIMEN {"kind": "image", "key": "n1", "entry": "r", "shape": [12, 16]}
    (float32 adu, then a float64 number: the Julian date - 2400000.5)
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from corecube import tan
from corecube.config import about
from corecube.errors import FileNotUnderstood
from corecube.figures import Figures, Panel, Series, Subject
from corecube.frames import Array, Bits, Column, Factor, Fibers, Frame, Image, NoiseCheck
from corecube.hookspecs import API, Instrument, hookimpl
from corecube.masks import MaskSpan, value
from corecube.photometry.catalogue import CatalogueFlux
from corecube.provenance import Provenance
from corecube.shots import Context, FileHead, FileInfo, NotMine, Shot, ShotPlan
from corecube.spectral import Spectral
from corecube.times import Times

FAULT = os.environ.get("SPECIMEN_FAULT", "")
MAGIC = b"SPECIMEN "
BIAS, SCALE, GAIN, READ = 100.0, 0.02, 2.0, 3.0
SKY = 400.0
MAG = Column("mag", "float64", "mag", "" if FAULT == "column" else "Magnitude.")

if FAULT == "prints":
    print("specimen is here")
if FAULT == "opens":
    with open(os.environ["SPECIMEN_FILE"]) as _file:  # noqa: PTH123
        _file.read()
if FAULT == "imports":
    import corecube_cli  # noqa: F401
if FAULT == "slow":
    while time.process_time() < 2.5:
        pass

_planned: dict[str, float] = {}
_paths: dict[str, str] = {}
_chance = np.random.default_rng()


@dataclass(frozen=True)
class Config:
    """Settings."""

    row: int = field(default=0, metadata=about("row of the late mask", changes_numbers=False))


# -- files -----------------------------------------------------------------------------------------


def write(folder: Path, kind: str, key: str, entry: str, seed: int) -> Path:
    """Write a file of a flat sky with the noise of electrons and of the read-out."""
    chance = np.random.default_rng([seed, *map(ord, key + entry)])
    shape = (12, 16) if kind == "spectra" else (40, 50)
    counts = BIAS + chance.poisson(SKY * GAIN, shape) / GAIN + chance.normal(0, READ, shape)
    about_it = {
        "kind": kind, "key": key, "entry": entry, "shape": shape, "ra": 150.0 + seed, "dec": 2.0,
        "telescope": "a telescope of the imagination", "remark": "x" * 300,
    }  # fmt: skip
    path = folder / f"{key}-{entry}.spc"
    data = counts.astype("<f4").tobytes() + np.float64(60000.5).tobytes()
    path.write_bytes(MAGIC + json.dumps(about_it).encode() + b"\n" + data)
    return path


def header_of(head: bytes, name: str) -> tuple[dict[str, Any], int]:
    """Return the header and the place behind it."""
    line, end, _ = head.partition(b"\n")
    try:
        if not end:
            raise ValueError("it has no end")
        header = json.loads(line.removeprefix(MAGIC))
        if not isinstance(header["key"], str) or not isinstance(header["entry"], str):
            raise ValueError("key and entry are no text")
        if header["kind"] not in ("image", "spectra"):
            raise ValueError(f"a kind {header['kind']}")
        float(header["ra"]), float(header["dec"])
        ny, nx = map(int, header["shape"])
        if not (0 < ny < 10_000 and 0 < nx < 10_000):
            raise ValueError("no shape")
    except (ValueError, KeyError, TypeError) as error:
        where = "" if FAULT == "nameless" else f"{name}: "
        raise FileNotUnderstood(
            f"{where}the header is damaged ({error}); fetch the file again"
        ) from error
    return header, len(line) + 1


def content_of(data: bytes, path: str) -> tuple[dict[str, Any], Any, float]:
    """Return header, counts (float32) and MJD."""
    header, first = header_of(data, PurePath(path).name)
    ny, nx = map(int, header["shape"])
    if len(data) - first != 4 * ny * nx + 8:
        if FAULT == "keyerror":
            raise KeyError("counts")
        if FAULT == "tolerant":
            data = data[:first] + data[first:].ljust(4 * ny * nx + 8, b"\0")
        else:
            raise FileNotUnderstood(f"{path}: has another length than its header says")
    counts = np.frombuffer(data, "<f4", ny * nx, first).reshape(ny, nx).astype(np.float32)
    (mjd,) = np.frombuffer(data, "<f8", 1, first + 4 * ny * nx)
    if not 40_000 < mjd < 90_000 or not np.isfinite(counts).all():
        raise FileNotUnderstood(f"{path}: its time or its counts are no numbers")
    return header, counts, float(mjd)


# -- the hooks -------------------------------------------------------------------------------------


@hookimpl
def corecube_instrument() -> Instrument:
    return Instrument("" if FAULT == "title" else "A specimen", (API, API), 1, Config)


@hookimpl
def corecube_identify(file: FileHead, config: Config) -> FileInfo | NotMine | None:
    if FAULT == "greedy" and b"Seeing" in file.head:
        return FileInfo(replace(file.source, kind="notes"), "notes", "a")
    if FAULT == "crash" and not file.head:
        raise IndexError("there is no first byte")
    if FAULT == "exit" and not file.head:
        sys.exit(0)
    if not file.head.startswith(MAGIC) or (FAULT == "ascii" and not file.source.path.isascii()):
        return None
    if FAULT == "reads":
        with open("/dev/zero", "rb") as zeros:  # noqa: PTH123
            zeros.read(10**8)
    header, _ = header_of(file.head, file.name)
    if FAULT == "blind" and header["entry"] == "g":
        return None
    return FileInfo(replace(file.source, kind=header["kind"]), header["key"], header["entry"])


@hookimpl
def corecube_plan_shots(
    infos: Sequence[FileInfo], known: Mapping[str, str], config: Config
) -> Iterable[ShotPlan]:
    plans = {}
    for key in sorted({info.key for info in infos}):
        mine = [info for info in infos if info.key == key]
        entries = {info.entry: (info.source,) for info in sorted(mine, key=lambda i: i.entry)}
        settings: dict[str, Any] = {}
        title = f"night {key}"
        if FAULT == "order":
            settings["first"] = mine[0].entry
        if FAULT == "title by order":
            title = f"night {key}, {PurePath(mine[0].source.path).name} and others"
        if FAULT == "memory":
            _planned[key] = 1.0
        plans[key] = ShotPlan(key, title, entries, settings=settings)
    return plans.values()


@hookimpl
def corecube_read_frames(
    plan: ShotPlan, entry: str, config: Config, context: Context
) -> Iterator[Frame]:
    (source,) = plan.entries[entry]
    header, counts, mjd = content_of(context.read(source), source.path)
    if FAULT == "bug" and entry == "g":
        raise ZeroDivisionError("a bug")
    if FAULT == "memory":
        counts = counts * np.float32(_planned[plan.key])
    if FAULT == "warns":
        np.ones(1) / np.zeros(1)
    if FAULT == "nondeterministic":
        counts = counts + _chance.normal(0, 1, counts.shape).astype(np.float32)
    if FAULT == "writes":
        with open(source.path, "ab") as file:  # noqa: PTH123
            file.write(b"seen")
    if FAULT == "beside":
        Path(source.path).with_suffix(".idx").write_text("seen")
    if FAULT == "fortran":
        counts = np.asfortranarray(counts)
    bits = np.zeros(counts.shape, np.uint8)
    bits[0, 3] = 1
    if FAULT == "unnamed":
        bits[1, 1] = 8
    mask = np.zeros(counts.shape, np.uint32)
    mask[0, 3] = value("bad_detector")
    day = 2400000.5 if FAULT == "julian" else 0.0
    _paths[f"{plan.key} {entry}"] = source.path
    common: dict[str, Any] = {
        "flux": counts,
        "unit": "furlong per fortnight" if FAULT == "unit" else "adu",
        "mask": mask,
        "bits": {"own": Bits(bits, ("hot", "hot" if FAULT == "twice" else "cold"))},
        "calibration": {
            "bias": Array(np.array(BIAS), "adu", (), "Bias."),
            "scale": Array(np.full(counts.shape[1], SCALE), "nanomaggy / adu", ("x",), "Scale."),
        },
        "header": "REMARK  = '\udcff'" if FAULT == "surrogate" else json.dumps(header),
        "times": Times(mjd + day, mjd + day + 0.01, "exact"),
        "provenance": Provenance(
            sources=() if FAULT == "provenance" else (PurePath(source.path).name,)
        ),
    }
    if header["kind"] == "image":
        yield _image(entry, header, counts.shape, common)
    else:
        yield _fibers(plan, entry, header, counts.shape, common)


def _image(name: str, header: Mapping[str, Any], shape: Any, common: Mapping[str, Any]) -> Image:
    cards: dict[str, Any] = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": float(header["ra"]),
        "CRVAL2": float(header["dec"]), "CRPIX1": 5.0, "CRPIX2": 5.0,
        "CD1_1": -1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4,
    }  # fmt: skip
    outline = tan.outline(cards, shape)
    if FAULT == "footprint":
        outline = outline + np.array([0.01, 0.0])
    return Image(name=name, cards=cards, footprint=outline, band=name, **common)


def _fibers(
    plan: ShotPlan, entry: str, header: Mapping[str, Any], shape: Any, common: Mapping[str, Any]
) -> Fibers:
    count, width = shape
    wave = np.linspace(4000.0, 5000.0, width)
    if FAULT == "falling":
        wave = wave[::-1]
    ids = [f"{entry}-{row}" for row in range(count)]
    if FAULT == "order":
        ids = [f"{plan.settings['first']}-{name}" for name in ids]
    if FAULT == "same id":
        ids[1] = ids[0]
    error = np.full((count, width + (FAULT == "shape")), 5.0, np.float32)
    return Fibers(
        name="stars", wave=Spectral(wave, medium="" if FAULT == "medium" else "air"),
        id=tuple(ids), ra=np.arange(count) * 1e-3 + float(header["ra"]),
        dec=np.full(count, float(header["dec"])), error=error,
        columns={MAG: np.arange(count) + 15.0}, **common,
    )  # fmt: skip


@hookimpl
def corecube_calibrate(frame: Frame, config: Config) -> Frame | None:
    bias, scale = (frame.calibration[name].values for name in ("bias", "scale"))
    if FAULT == "adaptive":
        scale = scale / np.float64(np.median(frame.flux))
    if FAULT == "zero":
        scale = np.where(np.arange(len(scale)) == 5, 0.0, scale)
    mask = frame.mask
    if FAULT == "mask":
        mask = None if mask is None else np.zeros_like(mask)
    factor = scale.astype(frame.flux.dtype)
    error = frame.error
    if error is not None and FAULT != "error":
        error = error * factor
    calibration = {**frame.calibration, "scale": replace(frame.calibration["scale"], values=scale)}
    flux = (frame.flux - frame.flux.dtype.type(bias)) * factor
    return replace(
        frame, flux=flux, error=error, mask=mask, unit="nanomaggy", calibration=calibration,
        provenance=frame.provenance.add("bias subtracted, multiplied by the scale"),
    )  # fmt: skip


@hookimpl
def corecube_calibration_factors(frame: Frame, config: Config) -> Sequence[Factor]:
    bias, scale = (frame.calibration[name].values for name in ("bias", "scale"))
    if FAULT == "needs file":
        header = json.loads(frame.header)
        content_of(Path(_paths["{key} {entry}".format(**header)]).read_bytes(), "")
    if FAULT == "in place":
        frame.flux[0, 0] = 0
    unit = "s" if FAULT == "factor unit" else "nanomaggy / adu"
    if FAULT == "replay":
        scale = 2 * scale
    factors = [
        Factor("bias", "add", -bias, "adu", "the files"),
        Factor("scale", "multiply", scale, unit, "" if FAULT == "source" else "the files"),
    ]
    if FAULT == "lossy":
        huge = np.array(1e12)
        factors += [Factor("up", "add", huge, "nanomaggy", "x"), Factor("down", "add", -huge,
                    "nanomaggy", "x")]  # fmt: skip
    return factors


@hookimpl
def corecube_estimate_noise(frame: Frame, config: Config) -> Frame | None:
    if frame.error is not None:
        return None
    dtype = frame.flux.dtype
    if FAULT == "picky" and (frame.flux < -100).any():
        raise OverflowError("the flux is too negative")
    scale = frame.calibration["scale"].values.astype(dtype)
    counts = np.maximum(frame.flux / scale, 0)
    error = (scale * np.sqrt(counts / dtype.type(GAIN) + dtype.type(READ**2))).astype(dtype)
    if FAULT == "negative":
        error[3, 3] = -1.0
    if FAULT == "no errors":
        error[:] = np.nan
    if FAULT == "wide":
        error *= 2
    if FAULT == "half" and dtype == np.float32:
        error = error.astype(np.float16).astype(np.float32)
    return replace(frame, error=error)


@hookimpl
def corecube_check_noise(frame: Frame, config: Config) -> NoiseCheck | None:
    if frame.error is None or not isinstance(frame, Image):
        return None
    pulls = (frame.flux - np.median(frame.flux)) / frame.error
    pulls = pulls[np.isfinite(pulls)]
    if pulls.size < 100:
        return None
    low, high = np.percentile(pulls, (15.87, 84.13))
    name = "another" if FAULT == "check" else frame.name
    return NoiseCheck(
        name, int(pulls.size), float(high - low) / 2, recipe="half width of the pulls"
    )


@hookimpl
def corecube_archive_columns(config: Config) -> Mapping[str, Sequence[Column]]:
    return {"stars": (MAG,)}


@hookimpl
def corecube_late_masks(shot: Shot, config: Config) -> Iterable[MaskSpan]:
    source = "" if FAULT == "late" else "a list"
    for name in shot.images:
        row, first, last = (np.array([number], np.int32) for number in (config.row, 2, 4))
        yield MaskSpan(name, source, row, first, last)


@hookimpl
def corecube_report(shot: Shot, subject: Subject, config: Config) -> Figures | None:
    if subject.kind != "image":
        return None
    flux = shot.frame(subject.name).flux
    line = Series("column 7", flux[:, 7], np.arange(len(flux), dtype=np.float32))
    mean = float("nan") if FAULT == "report" else float(flux.mean())
    return Figures({"mean in nanomaggy": mean}, (Panel("column", "Flux", "lines", (line,)),))


@hookimpl
def corecube_passbands(config: Config) -> Any:
    return {"r": 6175.57} if FAULT == "passbands" else None


@hookimpl
def corecube_catalogue(frame: Frame, config: Config) -> Sequence[CatalogueFlux]:
    one = np.array([1.0])
    fluxes = CatalogueFlux("PSF flux", "r", ("a",), one, one, one, one, "nanomaggy")
    return ("a flux",) if FAULT == "no flux" else (fluxes,)  # type: ignore[return-value]


@hookimpl
def corecube_simulate(directory: Path, options: Mapping[str, Any], seed: int) -> Mapping[str, Any]:
    used = 1 if FAULT == "seed" else seed
    for entry in options.get("entries", "gr"):
        write(directory, "image", "sim", entry, used)
    return {"sources": []}
