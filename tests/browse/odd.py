"""An instrument for tests of the browser: frames as odd as the contract allows.

Every file that begins with ``ODD`` gives the same shot: an image without a WCS, fibres without a
place whose wavelengths are pixels, a parent without pixels, and text that a terminal would obey.
Those that begin with ``ODD2`` give images of one pixel, of a thin line, with every pixel masked or
NaN, and spectra of one pixel, of NaN, of one value, and with infinite errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from corecube.frames import Array, Bits, Column, Fibers, Frame, Image
from corecube.hookspecs import API, Instrument, hookimpl
from corecube.masks import value
from corecube.provenance import Provenance
from corecube.shots import Context, FileHead, FileInfo, ShotPlan
from corecube.spectral import Spectral
from corecube.times import Times

HOSTILE = "a [/] [bold]b[/bold] [@click=app.quit]c[/] \x1b]52;c;eA==\x07 \x9b31m \u202e :smile:"
REMARK = Column("remark", "text", "", "What [/red] somebody said.")


@dataclass(frozen=True)
class OddConfig:
    """No settings."""


@hookimpl
def corecube_instrument() -> Instrument:
    return Instrument("Odd", (API, API), 1, OddConfig)


@hookimpl
def corecube_identify(file: FileHead, config: OddConfig) -> FileInfo | None:
    key = "odd/2" if file.head.startswith(b"ODD2") else "odd/1"
    return FileInfo(file.source, key, "all") if file.head.startswith(b"ODD") else None


@hookimpl
def corecube_archive_columns(config: OddConfig) -> Mapping[str, Sequence[Column]]:
    return {}


@hookimpl
def corecube_read_frames(
    plan: ShotPlan, entry: str, config: OddConfig, context: Context
) -> Iterator[Frame]:
    common: dict[str, Any] = {
        "header": f"REMARK  = '{HOSTILE}'",
        "provenance": Provenance(notes=(HOSTILE,), steps=("made up",)),
        "times": Times(),
    }
    if plan.key == "odd/2":
        yield from _extremes(common)
        return
    flux = np.arange(300 * 200, dtype=np.float64).reshape(200, 300) / 7
    flux[5, 6] = np.nan
    mask = np.zeros(flux.shape, np.uint32)
    mask[5, 6] = value("no_data", "no_error")
    mask[10, 20] = value("saturated", "source")
    error = np.sqrt(flux + 1)
    yield Image(
        name="detector", flux=flux, error=error, mask=mask, unit="adu", target=HOSTILE,
        bits={"own": Bits((mask != 0).astype("u1") * np.uint8(3), ("[/]", ""))}, **common,
    )  # fmt: skip
    count, width = 3, 40
    wave = np.tile(np.arange(width, dtype=np.float64), (count, 1))
    wave[1, 30:] = np.nan
    values = np.linspace(1, 2, count * width).reshape(count, width).astype(np.float32)
    planes = np.zeros(values.shape, np.uint32)
    planes[1, 30:] = value("outside", "no_error")
    planes[0, 3] = value("cosmic_ray")
    planes[2] = value("bad_detector")
    nowhere = np.full(count, np.nan)
    names = tuple(f"f{n}" for n in range(count))
    yield Fibers(
        name="extracted", flux=values, error=values / 10, mask=planes, unit="electron",
        wave=Spectral(wave, unit="pix"), id=names, ra=nowhere, dec=nowhere,
        target=(HOSTILE,) * count, columns={REMARK: (HOSTILE,) * count}, **common,
    )  # fmt: skip
    empty = np.zeros((count, 0), np.float32)
    yield Fibers(
        name="sources", flux=empty, error=empty, mask=empty.astype(np.uint32), unit="",
        wave=Spectral(np.zeros(0)), id=names, ra=nowhere, dec=nowhere, **common,
    )  # fmt: skip
    yield Fibers(
        name="of sources", flux=values, error=values / 10, mask=planes, unit="electron",
        wave=Spectral(wave, unit="pix"), id=names, ra=nowhere, dec=nowhere,
        parent="sources", parent_id=names, layers={"sky": Array(values, "electron")}, **common,
    )  # fmt: skip


def _extremes(common: dict[str, Any]) -> Iterator[Frame]:
    flat = np.arange(20.0 * 30).reshape(20, 30)
    images = {
        "one": (np.array([[7.0]]), 0),
        "slit": (np.arange(4000.0 * 3).reshape(4000, 3), 0),
        "masked": (flat, value("bad_detector")),
        "nan": (np.full((20, 30), np.nan), value("no_data", "no_error")),
        "constant": (np.full((20, 30), 3.0), 0),
    }
    for name, (flux, plane) in images.items():
        error = np.where(np.isfinite(flux), 1.0, np.nan)
        mask = np.full(flux.shape, plane, np.uint32)
        yield Image(name=name, flux=flux, error=error, mask=mask, unit="adu", **common)
    width = 50
    flux = np.ones((4, width), np.float32)
    error = np.ones((4, width), np.float32)
    planes = np.zeros(flux.shape, np.uint32)
    flux[0], error[0], planes[0] = np.nan, np.nan, value("no_data", "no_error")
    error[1] = 0.0
    flux[2, 7], error[2, 7] = 3e38, 3e38
    error[3], planes[3] = np.nan, value("no_error")
    nowhere = np.full(4, np.nan)
    names = ("nan", "constant", "huge", "no error")
    yield Fibers(
        name="spectra", flux=flux, error=error, mask=planes, unit="", id=names,
        wave=Spectral(np.linspace(4000.0, 4100.0, width)), ra=nowhere, dec=nowhere, **common,
    )  # fmt: skip
    yield Fibers(
        name="short", flux=flux[1:2, :1], error=error[1:2, :1], mask=planes[1:2, :1], unit="",
        wave=Spectral(np.array([5000.0])), id=("one",), ra=nowhere[:1], dec=nowhere[:1], **common,
    )  # fmt: skip
