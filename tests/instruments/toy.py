"""A small instrument for tests: its files are a line of JSON and then raw arrays.

::

    TOY1 {"kind": "image", "key": "night/1", "entry": "r", "arrays": [["flux", "<f4", [4, 5]]]}
    (bytes of the arrays, one after the other)

A file may also carry a ``fault``: what goes wrong when it is looked at or read.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from corecube import tan
from corecube.config import about
from corecube.errors import FileNotUnderstood
from corecube.frames import Array, Bits, Column, Factor, Fibers, Frame, Image
from corecube.hookspecs import API, Instrument, hookimpl
from corecube.provenance import Provenance
from corecube.shots import Context, FileHead, FileInfo, NotMine, ShotPlan
from corecube.spectral import Spectral
from corecube.times import Times

MAGIC = b"TOY1 "
WIDTH = 6
Z = Column("z", "float64", "", "Redshift.")
COUNT = Column("count", "int32", "", "Number of exposures.", missing=-1)
CLASS = Column("class", "text", "", "Class.", missing="")
ALIAS = Column("alias", "text", "", "Short name.")


@dataclass(frozen=True)
class ToyConfig:
    """Settings."""

    scale: float = field(default=1.0, metadata=about("flux is multiplied by this"))
    remark: str = field(default="", metadata=about("changes nothing", changes_numbers=False))


# -- writing files -------------------------------------------------------------------------------


def write(path: Path, header: Mapping[str, Any], **arrays: npt.NDArray[Any]) -> Path:
    """Write a file."""
    listed = [[name, a.dtype.str, list(a.shape)] for name, a in arrays.items()]
    line = json.dumps({**header, "arrays": listed}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(MAGIC + line + b"\n" + b"".join(a.tobytes() for a in arrays.values()))
    return path


def cards(ra: float, dec: float, shape: tuple[int, int], scale: float = 1e-4) -> dict[str, Any]:
    """Return the WCS cards of an image whose middle is at (ra, dec); `scale` in degrees."""
    return {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN",
        "CRVAL1": ra, "CRVAL2": dec, "CRPIX1": shape[1] / 2 + 0.5, "CRPIX2": shape[0] / 2 + 0.5,
        "CD1_1": -scale, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": scale,
    }  # fmt: skip


def image(
    path: Path,
    key: str = "field/1",
    entry: str = "r",
    *,
    ra: float = 10.0,
    dec: float = 20.0,
    shape: tuple[int, int] = (40, 50),
    seed: int = 0,
    **header: Any,
) -> Path:
    """Write an image file with random pixels."""
    flux = np.random.default_rng(seed).normal(5, 1, shape).astype("<f4")
    about = {"kind": "image", "key": key, "entry": entry, "ra": ra, "dec": dec, **header}
    return write(path, about, flux=flux)


def fibers(
    path: Path,
    key: str = "plate/1",
    entry: str = "a",
    *,
    ra: Sequence[float] = (10.0,),
    dec: Sequence[float] = (20.0,),
    seed: int = 0,
    **header: Any,
) -> Path:
    """Write a file of spectra with random pixels, at the positions given."""
    rng = np.random.default_rng(seed)
    count = len(ra)
    about = {"kind": "fibers", "key": key, "entry": entry, **header}
    return write(
        path,
        about,
        flux=rng.normal(5, 1, (count, WIDTH)).astype("<f4"),
        ra=np.asarray(ra, "<f8"),
        dec=np.asarray(dec, "<f8"),
        z=np.where(np.arange(count) % 4 == 3, np.nan, rng.uniform(0, 5, count)),
        count=np.where(np.arange(count) % 5 == 4, -1, np.arange(count)).astype("<i4"),
        start=52000.0 + np.arange(count, dtype="<f8"),
    )


def gain(path: Path, key: str = "field/1", *, value: float = 2.0, entry: str = "") -> Path:
    """Write a companion that serves the whole shot, or one entry."""
    return write(path, {"kind": "gain", "key": key, "entry": entry, "value": value})


def parse(data: bytes, path: str) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Return header and arrays of a file."""
    line, found, rest = data.removeprefix(MAGIC).partition(b"\n")
    if not data.startswith(MAGIC) or not found:
        raise FileNotUnderstood(f"{path}: has no header; fetch the file again")
    header = json.loads(line)
    arrays, first = {}, 0
    for name, dtype, shape in header["arrays"]:
        size = int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize
        if len(rest) < first + size:
            raise FileNotUnderstood(f"{path}: ends in the array {name}; fetch the file again")
        arrays[name] = np.frombuffer(rest[first : first + size], dtype).reshape(shape).copy()
        first += size
    return header, arrays


# -- the hooks -----------------------------------------------------------------------------------


@hookimpl
def corecube_instrument() -> Instrument:
    version = int(os.environ.get("TOY_DATA_VERSION", "1"))
    return Instrument("A toy", (API, API), version, ToyConfig)


@hookimpl
def corecube_identify(file: FileHead, config: ToyConfig) -> FileInfo | NotMine | None:
    if not file.head.startswith(MAGIC):
        return None
    header = json.loads(file.head.removeprefix(MAGIC).partition(b"\n")[0])
    if header.get("fault") == "identify":
        raise RuntimeError("the identify hook has a bug")
    if header["kind"] == "other":
        return NotMine("a toy of another make")
    source = replace(file.source, kind="main" if header["kind"] != "gain" else "gain")
    return FileInfo(
        source, header["key"], header["entry"], header.get("rank", 0),
        header.get("observation", ""), header.get("facts", {}),
    )  # fmt: skip


@hookimpl
def corecube_read_frames(
    plan: ShotPlan, entry: str, config: ToyConfig, context: Context
) -> Iterator[Frame]:
    main = next(source for source in plan.entries[entry] if source.kind == "main")
    header, arrays = parse(context.read(main), main.path)
    _fault(header.get("fault", ""), main.path)
    others = [*plan.companions, *(s for s in plan.entries[entry] if s.kind == "gain")]
    gains = [parse(context.read(s), s.path)[0]["value"] for s in others]
    read = _image if header["kind"] == "image" else _fibers
    yield from read(entry, header, arrays, float(np.prod(gains)), main.path.rsplit("/", 1)[-1])


@hookimpl
def corecube_calibrate(frame: Frame, config: ToyConfig) -> Frame | None:
    scale = np.asarray(frame.flux.dtype.type(config.scale) * frame.calibration["gain"].values)
    flux = frame.flux * scale.astype(frame.flux.dtype)
    return replace(
        frame,
        flux=flux,
        calibration={**frame.calibration, "scale": Array(np.array(config.scale))},
        provenance=frame.provenance.add(f"multiplied by {config.scale}"),
    )


@hookimpl
def corecube_calibration_factors(frame: Frame, config: ToyConfig) -> Sequence[Factor]:
    return [
        Factor(name, "multiply", frame.calibration[name].values, "", "toy")
        for name in ("gain", "scale")
    ]


@hookimpl
def corecube_estimate_noise(frame: Frame, config: ToyConfig) -> Frame | None:
    with np.errstate(invalid="ignore"):
        error = np.sqrt(np.abs(frame.flux))
    return replace(frame, error=error, mask=np.zeros(frame.flux.shape, np.uint32))


@hookimpl
def corecube_archive_columns(config: ToyConfig) -> Mapping[str, Sequence[Column]]:
    return {"stars": (Z, COUNT, CLASS)}


def _fault(fault: str, path: str) -> None:
    if fault.startswith("slow"):
        time.sleep(float(fault.removeprefix("slow")))
    if fault == "raise":
        raise FileNotUnderstood(f"{path}: holds nonsense; fetch the file again")
    if fault == "bug":
        raise KeyError("a bug of the plugin")
    if fault == "io":
        raise OSError(5, "Input/output error", path)
    if fault == "memory":
        raise MemoryError("too large")
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "exit":
        os._exit(7)
    if fault == "sys.exit":
        sys.exit(0)


def _image(
    entry: str, header: dict[str, Any], arrays: dict[str, Any], gain: float, source: str
) -> Iterator[Frame]:
    flux = arrays["flux"]
    wcs = None
    if header.get("ra") is not None:
        wcs = cards(header["ra"], header["dec"], flux.shape, header.get("scale", 1e-4))
    yield Image(
        name=header.get("name", entry),
        flux=flux,
        unit=header.get("unit", "nanomaggy"),
        bits={"own": Bits((np.arange(flux.size) % 4).reshape(flux.shape).astype("u1"), ("a", "b"))},
        calibration={"gain": Array(np.array(gain), "electron / adu")},
        header=f"KIND    = '{header['kind']}'",
        times=Times(header.get("start", np.nan), header.get("end", np.nan), "exact"),
        provenance=Provenance(sources=(source,), notes=tuple(header.get("notes", ()))),
        cards=wcs,
        band=header.get("band", entry),
        target=header.get("target", ""),
        footprint=None if wcs is None else tan.outline(wcs, flux.shape),
    )


def _fibers(
    entry: str, header: dict[str, Any], arrays: dict[str, Any], gain: float, source: str
) -> Iterator[Frame]:
    count = len(arrays["ra"])
    ids = tuple(f"{entry}-{row}" for row in range(count))
    common: dict[str, Any] = {
        "unit": header.get("unit", "nanomaggy"),
        "calibration": {"gain": Array(np.array(gain), "electron / adu")},
        "provenance": Provenance(sources=(source,)),
    }
    wave = Spectral(np.linspace(4000.0, 5000.0, arrays["flux"].shape[1]), medium="air")
    times = Times(arrays["start"], arrays["start"] + 0.5, "exact")
    columns: dict[Column, Any] = {
        Z: arrays["z"],
        COUNT: arrays["count"],
        CLASS: tuple(("STAR", "QSO", "")[row % 3] for row in range(count)),
        ALIAS: tuple(f"{header['key'].replace('/', '-')}-{name}" for name in ids),
    }
    yield Fibers(
        name=header.get("group", "stars"), flux=arrays["flux"], wave=wave, id=ids,
        ra=arrays["ra"], dec=arrays["dec"], times=times,
        target=tuple(header.get("target", "") or f"T{row}" for row in range(count)),
        columns={c: v for c, v in columns.items() if c.name != header.get("lacks")},
        **common,
    )  # fmt: skip
    if header.get("exposures"):
        twice = tuple(f"{name}.{number}" for name in ids for number in range(2))
        yield Fibers(
            name="single", flux=np.repeat(arrays["flux"], 2, axis=0), wave=wave, id=twice,
            ra=np.repeat(arrays["ra"], 2), dec=np.repeat(arrays["dec"], 2),
            times=Times(
                np.repeat(arrays["start"], 2), np.repeat(arrays["start"] + 0.25, 2), "exact"
            ),
            parent=header.get("group", "stars"),
            parent_id=tuple(name for name in ids for _ in range(2)), **common,
        )  # fmt: skip
