"""Simulate a night with one star, in the raw formats of two cameras and with known truth.

Nothing here comes from the reading side: electrons are counted, the amplifier adds read noise, the
counts are rounded. What is simulated is the camera; which of its parts the reduction can undo is
not its business.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import ConfigurationError
from corecube_ccdlab.simulated_files import fits_bytes, write

Floats = npt.NDArray[np.float64]
CAMERAS: Final = ("saao-spupnic", "barber-sbig")
_WIDTH: Final = {"saao-spupnic": 2148}


@dataclass(frozen=True)
class Options:
    """What can be asked of the simulation.

    Attributes
    ----------
    camera : {"saao-spupnic", "barber-sbig"}
        With overscan, biases and flats; or without overscan, with darks.
    rows, columns : int
        Size of the frames; SpUpNIC always has 2148 columns.
    calibrations : int
        Biases, darks, and flats each.
    exposures : int
        Of the star.
    electrons : float
        Of the star, per column and exposure.
    sky : float
        Electrons per pixel and exposure.
    sensitivity : float
        Relative scatter of the sensitivities of pixels.
    packed : bool
        Write .fits.bz2 instead of .fits.
    """

    camera: str = "saao-spupnic"
    rows: int = 0
    columns: int = 320
    calibrations: int = 5
    exposures: int = 3
    electrons: float = 20000.0
    sky: float = 50.0
    sensitivity: float = 0.01
    packed: bool = False

    def __post_init__(self) -> None:
        if self.camera not in CAMERAS:
            raise ConfigurationError(f"camera '{self.camera}' is none of {', '.join(CAMERAS)}")
        if self.rows and not 64 <= self.rows <= 4096:
            raise ConfigurationError("rows must be 64 to 4096, or 0 for the camera's own number")
        if not 64 <= self.columns <= 4096:
            raise ConfigurationError("columns must be 64 to 4096")
        if not 1 <= self.calibrations <= 99 or not 1 <= self.exposures <= 99:
            raise ConfigurationError("calibrations and exposures must be 1 to 99")
        if not (0 <= self.electrons <= 3e5 and 0 <= self.sky <= 1e4):
            raise ConfigurationError("electrons must be 0 to 300000, sky 0 to 10000")
        if not 0 <= self.sensitivity <= 0.2:
            raise ConfigurationError("sensitivity must be 0 to 0.2")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Options:
        """Take options by name.

        Raises
        ------
        ConfigurationError
            If there is no option of that name or its value cannot be.
        """
        names = [item.name for item in fields(cls)]
        unknown = sorted(set(options) - set(names))
        if unknown:
            raise ConfigurationError(f"no option '{unknown[0]}'; there are {', '.join(names)}")
        return cls(**options)


class _Camera:
    """One camera, the same for all its frames."""

    def __init__(self, options: Options, rng: np.random.Generator) -> None:
        self.options = options
        self.rng = rng
        self.sbig = options.camera == "barber-sbig"
        rows = options.rows or (256 if self.sbig else 128)
        self.shape = rows, _WIDTH.get(options.camera, options.columns)
        self.lit = np.s_[:, :] if self.sbig else np.s_[:, 2:1989]
        self.gain = float(rng.uniform(1.1, 1.6))
        self.read_noise = float(rng.uniform(2.5, 3.5) if self.sbig else rng.uniform(4.0, 6.0))
        self.level = float(rng.uniform(600.0, 1200.0))
        self.pattern = rng.normal(0.0, 0.4, self.shape)
        self.sensitivity = 1.0 + rng.normal(0.0, options.sensitivity, self.shape)
        self.dark = np.zeros(self.shape)
        if self.sbig:
            self.dark += rng.uniform(80.0, 120.0)
            hot = rng.random(self.shape) < 5e-4
            self.dark[hot] += rng.uniform(500.0, 5000.0, int(hot.sum()))

    def counts(self, electrons: Floats, *, dark: bool = True) -> npt.NDArray[np.uint16]:
        """Return a raw frame of a scene, in electrons per pixel before the detector."""
        seen = np.zeros(self.shape)
        seen[self.lit] = electrons * self.sensitivity[self.lit]
        if dark:
            seen += self.dark
        collected = self.rng.poisson(seen) + self.rng.normal(0.0, self.read_noise, self.shape)
        level = self.level + (0.0 if self.sbig else self.rng.normal(0.0, 0.7))
        counts = np.rint(collected / self.gain + level + self.pattern)
        if not self.sbig:
            counts[:, 1] = 0.0  # this camera's second column is always 0
        return np.clip(counts, 0.0, 65535.0).astype(np.uint16)


def simulate(directory: Path, options: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Write biases or darks, flats and exposures of one star, and their truth to ``truth.json``.

    Parameters
    ----------
    directory : Path
        An existing folder.
    options : mapping
        See `Options`.
    seed : int
        Another seed changes camera, night, star and noise.

    Returns
    -------
    dict
        ``camera`` (gain, read_noise), ``sources`` (name, ra, dec, true flux in electrons per column
        of the trimmed image, row), ``sky`` (electrons per pixel), ``files``.

    Raises
    ------
    ConfigurationError
        If an option is wrong.
    """
    chosen = Options.of(options)
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    camera = _Camera(chosen, rng)
    rows, columns = np.zeros(camera.shape)[camera.lit].shape
    x = np.linspace(0.0, 1.0, columns)
    row = float(rng.uniform(0.45, 0.5) * rows)
    width = float(rng.uniform(1.2, 1.6))
    profile = np.exp(-0.5 * ((np.arange(rows) - row) / width) ** 2)
    profile /= profile.sum()
    slope, depth, where = rng.uniform(-0.3, 0.3), rng.uniform(0.2, 0.4), rng.uniform(0.3, 0.7)
    star = (
        chosen.electrons * (1.0 + slope * x) * (1.0 - depth * np.exp(-(((x - where) / 0.02) ** 2)))
    )
    lamp = 20000.0 * np.exp(rng.uniform(-0.5, 0.5) * x + rng.uniform(-0.6, 0.0) * x**2)
    slit = np.ones(rows) if camera.sbig else _slit(rows)
    night = datetime(2021, 1, 1, 20) + timedelta(days=int(rng.integers(0, 1200)))
    name = f"SIM{int(rng.integers(100, 1000))}"
    ra, dec = float(rng.uniform(0.0, 360.0)), float(rng.uniform(-60.0, 0.0))
    header = _Header(camera, name, ra, dec, night)
    files = []

    def expose(kind: str, number: int, electrons: Floats, seconds: float) -> None:
        counts = camera.counts(electrons, dark=seconds > 0)
        data = fits_bytes(header.cards(kind, seconds), counts, bzero=not camera.sbig)
        file = header.file_name(kind, number)
        files.append(write(directory, file, data, packed=chosen.packed))

    nothing = np.zeros((rows, columns))
    scene = profile[:, None] * star[None, :] + chosen.sky * slit[:, None]
    for number in range(1, chosen.calibrations + 1):
        if camera.sbig:
            expose("dark", number, nothing, 600.0)
        else:
            expose("bias", number, nothing, 0.0)
            expose("flat", number, slit[:, None] * lamp[None, :], 10.0)
    for number in range(1, chosen.exposures + 1):
        expose("science", number, scene, 600.0)
    result: dict[str, Any] = {
        "seed": seed,
        "camera": {
            "name": chosen.camera, "gain": camera.gain, "read_noise": camera.read_noise,
            "sensitivity": chosen.sensitivity,
        },
        "sources": [
            {
                "name": name,
                # the SBIG camera writes no position
                "ra": None if camera.sbig else round(ra, 6),
                "dec": None if camera.sbig else round(dec, 6),
                "flux": [round(float(value), 4) for value in star],
                "unit": "electron",
                "row": row,
                "width": width,
            }
        ],
        "sky": chosen.sky,
        "files": files,
    }  # fmt: skip
    (directory / "truth.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def _slit(rows: int) -> Floats:
    """Return how much light the slit lets on each row: dark above and below."""
    places = np.arange(rows)
    edge = rows // 8
    return np.where((places >= edge) & (places < rows - edge), 1.0, 0.0)


class _Header:
    """Cards and names of files, in the order of the night."""

    def __init__(
        self, camera: _Camera, target: str, ra: float, dec: float, night: datetime
    ) -> None:
        self.camera = camera
        self.target = target
        self.ra, self.dec = ra, dec
        self.moment = night

    def file_name(self, kind: str, number: int) -> str:
        if self.camera.sbig:
            return f"{self.target.lower() if kind == 'science' else kind}-{number:02d}.fit"
        return f"{self.target if kind == 'science' else kind}_{number:02d}.fits"

    def cards(self, kind: str, seconds: float) -> dict[str, Any]:
        start = self.moment
        self.moment += timedelta(seconds=seconds + 30.0)
        if self.camera.sbig:
            types = {"dark": "Dark Frame", "science": "Light Frame"}
            return {
                "DATE-OBS": start.isoformat(timespec="seconds"), "EXPTIME": seconds,
                "XBINNING": 1, "YBINNING": 1, "IMAGETYP": types[kind],
                "EGAIN": round(self.camera.gain, 6), "OBJECT": "",
                "INSTRUME": "SBIG STT-1603 3 CCD Camera",
            }  # fmt: skip
        return {
            "UT-START": start.time().isoformat(timespec="seconds"),
            "DATE-OBS": start.date().isoformat(), "EXPOSURE": seconds,
            "GAINVAL": round(self.camera.gain, 6),
            "NOISEADU": round(self.camera.read_noise / self.camera.gain, 6),
            "NOISEEL": round(self.camera.read_noise, 6), "GRATING": "gr7", "GR-ANGLE": "16.00",
            "OBJECT": self.target, "EXPTIME": f"{seconds:.1f}",
            "EXPTYPE": kind.upper(), "BINNING": "1x2", "CCDSUM": "1 2", "SGAIN": "Faint",
            "SRDNOISE": "Slow", "ARC-LAMP": "OFF",
            "TARG-RA": _sexagesimal(self.ra / 15.0), "TARG-DEC": _sexagesimal(self.dec),
        }  # fmt: skip


def _sexagesimal(value: float) -> str:
    """Return hours or degrees with the precision of a ten-thousandth of a second."""
    total = round(abs(value) * 3600.0 * 1e4)
    whole, part = divmod(total, 10_000)
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{'-' if value < 0 else ''}{hours:02d}:{minutes:02d}:{seconds:02d}.{part:04d}"
