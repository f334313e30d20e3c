"""Simulate a small plate in the real formats, with known truth.

Nothing here comes from the reading side. The errors are made on the detector: for each row the
pixels of the profile get Poisson and read noise and are then extracted with optimal weights, as
idlspec2d v5_7 did; the amplifiers are numbered as that pipeline fills its variance image.

Sources of the formats: SDSS data model, BOSS_SPECTRO_REDUX/RUN2D/PLATE4
(https://data.sdss.org/datamodel/).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import ConfigurationError
from corecube_boss import simulated_files as files
from corecube_boss.simulated_files import PIXELS, ROWS, Camera, Fiber, Plate

Floats = npt.NDArray[np.floating[Any]]

FIRST_INDEX: Final = 35520
"""Grid index of the first pixel of the coadds, 10^3.552 = 3564.5 Angstrom."""
GOOD_ROWS: Final = {"b": (800, 3516), "r": (532, 3668)}
"""Rows that have light, near those of real exposures."""
LOGLAM: Final = {"b": (3.5450, 3.8080), "r": (3.7350, 4.0200)}
"""log10 wavelength of the first and last row."""
BOUNDARY: Final = {"b": (2056, 2048), "r": (2064, 2057)}
JUMP: Final = (2062.5, 2064.5, 1.0 / 3.0)
"""Rows between which the red detectors' positions shift by a third of a row."""
EXTRA_ERROR: Final = 0.03
REJECTED: Final = 0.003
"""Part of the pixels that were hit by something and have no weight."""
SKY_LINES: Final = ((5578.9, 300.0), (6301.7, 100.0), (8347.0, 140.0), (8887.0, 160.0))
"""Wavelength in Angstrom, peak in electrons."""


@dataclass(frozen=True)
class Options:
    """What can be asked of the simulation.

    Attributes
    ----------
    fibers : int
        Fibres of each spectrograph; the last one looks at the sky.
    cameras : str
        Some of b1, b2, r1, r2, with commas.
    exposures : int
    spec : int
        Fibres that have a spec file of their own; all are in the spPlate.
    """

    fibers: int = 4
    cameras: str = "b1,b2,r1,r2"
    exposures: int = 1
    spec: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.fibers <= 500:
            raise ConfigurationError("fibers must be 1 to 500")
        if not self.names or set(self.names) - {"b1", "b2", "r1", "r2"}:
            raise ConfigurationError(f"cameras '{self.cameras}' are not some of b1,b2,r1,r2")
        if not 1 <= self.exposures <= 99:
            raise ConfigurationError("exposures must be 1 to 99")
        if not 0 <= self.spec <= self.fibers:
            raise ConfigurationError("spec must be 0 to the number of fibers")

    @property
    def names(self) -> tuple[str, ...]:
        """The cameras."""
        return tuple(sorted({name.strip() for name in self.cameras.split(",") if name.strip()}))

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


def simulate(directory: Path, options: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Write the files of a plate into a folder, and their truth to ``truth.json``.

    Parameters
    ----------
    directory : Path
        An existing folder.
    options : mapping
        See `Options`.
    seed : int
        Another seed changes plate, sources, detectors and noise.

    Returns
    -------
    dict
        ``plate``, ``mjd``, ``run2d``, ``sources`` (name, ra, dec in degrees, class, z, and the
        true flux: ``level`` at 6000 Angstrom, ``slope`` of the power law, ``lines``), ``files``.

    Raises
    ------
    ConfigurationError
        If an option is wrong.
    """
    chosen = Options.of(options)
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    plate = _plate(rng, chosen)
    names = []
    distort = 1.0 + 0.05 * np.sin(
        np.linspace(0, 3, PIXELS)[None, :] + rng.uniform(0, 6, (len(plate.fibers), 1))
    )
    for camera in chosen.names:
        rows = [row for row, fiber in enumerate(plate.fibers) if fiber.spectrograph == camera[1]]
        detector = _detector(rng, camera, len(rows))
        for exposure in plate.exposures:
            content = _exposure(rng, plate, camera, exposure, detector, rows, distort)
            names += files.write_camera(directory, plate, content)
    names += files.write_plate(directory, plate, *_coadds(rng, plate, distort), distort)
    sources = [
        {
            "name": f"{plate.plate:04d}-{plate.mjd}-{fiber.number:04d}", "ra": fiber.ra,
            "dec": fiber.dec, "class": fiber.kind, "z": fiber.z, "level": fiber.level,
            "slope": fiber.slope, "lines": [list(line) for line in fiber.lines],
        }
        for fiber in plate.fibers
    ]  # fmt: skip
    truth = {
        "plate": plate.plate, "mjd": plate.mjd, "run2d": plate.run2d, "sources": sources,
        "unit": "1e-17 erg / (Angstrom s cm2)", "files": sorted(names),
    }  # fmt: skip
    text = json.dumps(truth, indent=1) + "\n"
    (directory / "truth.json").write_text(text, encoding="utf-8")
    return truth


def true_flux(fiber: Fiber, wavelength: Floats) -> Floats:
    """Return the true flux, 1e-17 erg / (Angstrom s cm2), at wavelengths in Angstrom."""
    flux = fiber.level * (wavelength / 6000.0) ** fiber.slope
    for centre, peak, sigma in fiber.lines:
        flux = flux + peak * np.exp(-0.5 * ((wavelength - centre) / sigma) ** 2)
    return np.asarray(flux)


def _plate(rng: np.random.Generator, chosen: Options) -> Plate:
    spectrographs = sorted({name[1] for name in chosen.names})
    ra, dec = float(rng.uniform(20, 340)), float(rng.uniform(-40, 40))
    fibers = []
    for half in spectrographs:
        numbers = np.sort(rng.choice(500, chosen.fibers, replace=False)) + 1
        for place, number in enumerate(numbers.tolist()):
            sky = place == chosen.fibers - 1 and chosen.fibers > 1
            angle, radius = rng.uniform(0, 2 * math.pi), 1.4 * math.sqrt(rng.uniform())
            z = 0.0 if sky else float(np.float32(rng.uniform(0.8, 3.2)))
            lines = () if sky else ((2800.3 * (1 + z), float(rng.uniform(3, 6)), 30.0),)
            fibers.append(
                Fiber(
                    number=number + 500 * (half == "2"),
                    ra=ra + radius * math.cos(angle) / math.cos(math.radians(dec)),
                    dec=dec + radius * math.sin(angle),
                    objtype="SKY" if sky else "QSO",
                    kind="GALAXY" if sky else "QSO",
                    z=z,
                    level=0.0 if sky else float(rng.uniform(1, 3)),
                    slope=float(rng.uniform(-1.2, -0.3)),
                    lines=lines,
                )
            )
    first = int(rng.integers(120000, 180000))
    return Plate(
        plate=int(rng.integers(6000, 7000)),
        mjd=int(rng.integers(55800, 56800)),
        run2d="v5_7_0",
        ra=ra,
        dec=dec,
        fibers=tuple(fibers),
        exposures=tuple(f"{first + number:08d}" for number in range(chosen.exposures)),
        flat=f"{first - 1:08d}",
        spec=chosen.spec,
        cameras=chosen.names,
    )


@dataclass(frozen=True)
class _Detector:
    """What does not change between the exposures of a camera."""

    wave: Floats
    x: Floats
    sigma: Floats
    superflat: Floats
    fiberflat: Floats
    read_noise: tuple[float, float, float, float]


def _detector(rng: np.random.Generator, camera: str, count: int) -> _Detector:
    band, rows = camera[0], ROWS[camera[0]]
    low, high = LOGLAM[band]
    wave = np.zeros((count, 6))
    wave[:, 0] = (low + high) / 2 + rng.normal(0, 2e-4, count)
    wave[:, 1] = (high - low) / 2
    wave[:, 2] = -0.009 + rng.normal(0, 1e-4, count)
    wave[:, 3] = 6e-4
    along = np.linspace(-1, 1, rows)[None, :]
    fiber = np.arange(count)[:, None]
    noise = rng.uniform(1.9, 2.3, 4) if band == "b" else rng.uniform(2.5, 3.0, 4)
    sigma = np.zeros((count, 3))
    sigma[:, 0] = 1.05 + rng.uniform(0, 0.06, count)
    sigma[:, 2] = 0.02
    return _Detector(
        wave=wave,
        x=150.0 + 3800.0 * (fiber + 0.5) / count + rng.uniform(0, 5) + 4.0 * along**2,
        sigma=sigma,
        superflat=1.0 + 0.02 * along + 0.005 * fiber / count,
        fiberflat=0.9 + 0.1 * rng.uniform(size=(count, 1)) + 0.01 * along**2,
        read_noise=(float(noise[0]), float(noise[1]), float(noise[2]), float(noise[3])),
    )


def _loglam(wave: Floats, rows: int, where: Floats, jump: bool) -> Floats:
    """Return log10 wavelength at places along the detector, (n, m)."""
    if jump:
        low, high, shift = JUMP
        where = where + shift * np.clip((where - low) / (high - low), 0, 1)
    return np.polynomial.legendre.legval(2 * where / (rows - 1) - 1, wave.T)


def _exposure(
    rng: np.random.Generator, plate: Plate, camera: str, exposure: str, detector: _Detector,
    which: list[int], distort_grid: Floats,
) -> Camera:  # fmt: skip
    band, rows = camera[0], ROWS[camera[0]]
    jump = band == "r"
    loglam = _loglam(detector.wave, rows, np.arange(float(rows)), jump)
    edges = _loglam(detector.wave, rows, np.arange(rows + 1) - 0.5, jump)
    step = np.diff(edges, axis=1) / 1e-4
    wavelength = 10.0**loglam
    grid = 1e-4 * (FIRST_INDEX + np.arange(PIXELS))
    inverse = [np.interp(loglam[i], grid, 1 / distort_grid[row]) for i, row in enumerate(which)]
    distort = 1.0 / np.array(inverse)
    fluxcalib = 8.0 * np.exp(-(((loglam - loglam.mean()) / 0.12) ** 2)) + rng.uniform(0, 0.2)
    corr = 1.0 + 0.1 * rng.normal(size=(len(which), 1)) + 0.02 * (loglam - loglam.mean())
    add = np.full(loglam.shape, 0.02) * rng.normal(size=(len(which), 1))
    true = np.array(
        [true_flux(plate.fibers[row], w) for row, w in zip(which, wavelength, strict=True)]
    )
    factor = corr * distort / (fluxcalib * step)
    sky = 8.0 * (wavelength / 6000.0) ** 0.7
    for centre, peak in SKY_LINES:
        sky += peak * np.exp(-0.5 * ((wavelength - centre) / 1.6) ** 2)
    flat = (detector.superflat * detector.fiberflat).astype(np.float32).astype(np.float64)
    electrons = np.maximum(flat * ((true - add * distort) / factor + sky), 0.0)
    upper = np.arange(rows)[None, :] >= BOUNDARY[band][0]
    right = detector.x >= BOUNDARY[band][1]
    noise = np.array(detector.read_noise)[2 * right.astype(int) + upper]
    along = np.linspace(-1, 1, rows)
    sigma = np.polynomial.legendre.legval(along, detector.sigma.T)
    found, weight = _extracted(rng, electrons, noise, detector.x, sigma)
    first, last = GOOD_ROWS[band]
    dark = (np.arange(rows) < first) | (np.arange(rows) > last)
    rejected = rng.uniform(size=loglam.shape) < REJECTED
    ivar = np.where(dark | rejected, 0.0, weight * flat**2)
    eflux = np.where(dark, 0.0, found / flat - sky)
    mask = np.where(dark, 1 << 24, np.where(rejected, 1 << 18, 0))
    flux = eflux * factor + add * distort
    with np.errstate(divide="ignore"):
        variance = (1.0 / ivar + (EXTRA_ERROR * np.maximum(eflux, 0)) ** 2) * factor**2
    return Camera(
        name=camera, exposure=exposure, fibers=tuple(plate.fibers[row] for row in which),
        read_noise=detector.read_noise, wave=detector.wave, jump=JUMP if jump else None,
        sigma=detector.sigma, x=detector.x, superflat=detector.superflat,
        fiberflat=detector.fiberflat, loglam=loglam, eflux=eflux, eivar=ivar, mask=mask, esky=sky,
        fluxcalib=fluxcalib, corr=corr * np.ones(loglam.shape), add=add,
        flux=np.where(dark, 0.0, flux), ivar=np.where(ivar > 0, 1.0 / variance, 0.0),
        sky=sky * factor,
    )  # fmt: skip


def _extracted(
    rng: np.random.Generator, electrons: Floats, noise: Floats, x: Floats, sigma: Floats
) -> tuple[Floats, Floats]:
    """Expose the pixels of each row's profile, and extract them; return values and weights."""
    reach = np.arange(-6, 8) - 0.5
    edge = (np.rint(x) - x)[..., None] + reach
    normal = np.vectorize(math.erf, otypes=[float])(edge / (math.sqrt(2.0) * sigma[..., None]))
    profile = 0.5 * np.diff(normal, axis=-1)
    expected = electrons[..., None] * profile
    variance = noise[..., None] ** 2 + expected
    seen = rng.poisson(expected) + noise[..., None] * rng.normal(size=expected.shape)
    weight = (profile**2 / variance).sum(axis=-1)
    return (profile * seen / variance).sum(axis=-1) / weight, weight


def _coadds(
    rng: np.random.Generator, plate: Plate, distort: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return true flux, flux and inverse variance of the coadds, each drawn anew."""
    wavelength = 10.0 ** (1e-4 * (FIRST_INDEX + np.arange(PIXELS)))
    true = np.array([true_flux(fiber, wavelength) for fiber in plate.fibers])
    error = 0.5 * (1.0 + 0.5 * np.cos(wavelength / 700.0)) * distort
    flux = true + error * rng.normal(size=true.shape)
    ivar = np.where(rng.uniform(size=true.shape) < REJECTED, 0.0, error**-2.0)
    return true, flux, ivar
