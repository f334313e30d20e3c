"""Simulated shots with known sources, in the survey's formats, for tests and demonstrations.

Stars and emission lines are spread over fibres by a Moffat profile with atmospheric refraction,
turned into electrons, and recorded by a camera whose counts follow Poisson statistics with a
Gaussian read noise. Nothing is taken from what reads the files or checks their errors.
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
from corecube_hetdex import simulated_files as files
from corecube_hetdex.simulated_files import AMPS, FIBERS

Floats = npt.NDArray[np.float64]
Rng = np.random.Generator

WAVE: Final[Floats] = np.linspace(3470.0, 5540.0, 1036)
NATIVE: Final = 1032
FIBER_RADIUS: Final = 0.75
"""Arcsec."""
BETA: Final = 3.5
"""Exponent of the Moffat profile."""
SKY: Final = 60.0
"""Electrons in a pixel of 2 Angstrom in an exposure of relative flux 1."""
READ_NOISE: Final = 8.1
"""Electrons in an extracted pixel; 66 electrons^2 in real files."""
PIXEL_NOISE: Final = 3.0
"""Electrons in a pixel of the detector."""
ELECTRONS: Final = 150.0
"""Electrons per 1e-17 erg / (s cm2) for a throughput of 1."""
DITHERS: Final = ((0.0, 0.0), (1.215, -0.70), (1.215, 0.70))
LINE_FWHM: Final = 5.6
"""Angstrom."""
REFRACTION: Final = ((3500, -0.74), (4000, -0.40), (4500, -0.08), (5000, 0.08), (5500, 0.20))
"""Angstrom, arcsec along fpx."""


@dataclass(frozen=True)
class Options:
    """What can be asked of the simulation.

    Attributes
    ----------
    ifus : int
        IFUs of the shot, 78 at most.
    exposures : int
    sources : int
    images : str
        Detector images: ``none``, of ``one`` amplifier, or of ``all``.
    packed : bool
        Write .fits.gz instead of .fits.
    faults : bool
        A dead fibre, a missing amplifier, rows of the table of positions out of order, pixels
        without data, a fibre with a bad fit.
    """

    ifus: int = 1
    exposures: int = 3
    sources: int = 4
    images: str = "one"
    packed: bool = True
    faults: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.ifus <= 78 or not 1 <= self.exposures <= 3:
            raise ConfigurationError("ifus must be 1 to 78, exposures 1 to 3")
        if self.images not in ("none", "one", "all"):
            raise ConfigurationError(f"images '{self.images}' is none of none, one, all")
        if self.sources < 0:
            raise ConfigurationError("sources must not be negative")

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


@dataclass(frozen=True)
class _Sky:
    """The shot as it really is."""

    date: str
    number: int
    point: tuple[float, float, float]
    slots: list[tuple[str, float, float, str, str]]
    relflux: tuple[float, ...]
    fwhm: float
    throughput: Floats
    sources: list[dict[str, Any]]

    @property
    def shot(self) -> str:
        return f"{self.date.replace('-', '')}v{self.number:03d}"


def simulate(directory: Path, options: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Write the files of a shot into a folder named after it, and their truth to ``truth.json``.

    Parameters
    ----------
    directory : Path
        An existing folder.
    options : mapping
        See `Options`.
    seed : int
        Another seed changes night, pointing, seeing, sources and noise.

    Returns
    -------
    dict
        ``shot``, ``ra0``, ``dec0``, ``pa``, ``fwhm``, ``relflux``, ``sources`` (name, ra, dec,
        place, continuum in 1e-17 erg / (s cm2 Angstrom) at 4500 Angstrom, its slope, lines with
        wavelength and flux in 1e-17 erg / (s cm2)), ``faults``, ``files``.

    Raises
    ------
    ConfigurationError
        If an option is wrong.
    """
    chosen = Options.of(options)
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    sky = _sky(rng, chosen)
    folder = directory / sky.shot
    (folder / "dithall").mkdir(parents=True)
    written = files.write_tables(
        folder, sky.shot, sky.point, sky.slots, sky.relflux,
        (sky.fwhm, WAVE[15::10], sky.throughput[15::10]),
    )  # fmt: skip
    faults = _faults(sky, chosen)
    weights = _weights(sky.fwhm)
    lines: list[str] = []
    for place, slot in enumerate(sky.slots):
        cal = {name: np.zeros((3 * 4 * FIBERS, len(WAVE)), np.float32) for name in _CAL}
        for exposure in range(1, chosen.exposures + 1):
            for amp in AMPS:
                rows = _positions(sky, slot, amp, exposure)
                lines += _listed(sky, slot, amp, exposure, rows, faults)
                if faults.get("missing_amplifier") == [slot[0], amp, exposure]:
                    continue
                image = chosen.images == "all" or (
                    chosen.images == "one" and (place, amp, exposure) == (0, "RU", 1)
                )
                name, part = _amplifier(
                    rng, folder, sky, slot, amp, exposure, rows, weights, faults, image,
                    chosen.packed,
                )  # fmt: skip
                written.append(name)
                first = (exposure - 1) * 4 * FIBERS + AMPS.index(amp) * FIBERS
                for kind, values in part.items():
                    cal[kind][first : first + FIBERS] = values
        path = folder / "cal" / f"{sky.shot}_{slot[3]}_{slot[0]}_{slot[4]}_cal.fits"
        arrays = {"PRIMARY": cal["calfib"]} | {kind: cal[kind] for kind in _CAL[1:]}
        written.append(files.write_fits(path, {}, arrays, packed=chosen.packed, named=False))
    table = folder / "dithall" / f"{sky.shot}.dithall"
    table.write_text("\n".join(lines) + "\n", encoding="ascii")
    truth = {
        "seed": seed, "shot": sky.shot, "ra0": sky.point[0], "dec0": sky.point[1],
        "pa": sky.point[2], "fwhm": sky.fwhm, "beta": BETA, "relflux": list(sky.relflux),
        "sources": sky.sources, "faults": faults, "files": [*written, table.name],
    }  # fmt: skip
    (directory / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    return truth


_CAL: Final = ("calfib", "calfibe", "calfib_counts", "calfibe_counts", "calfib_ffsky")


def _sky(rng: Rng, options: Options) -> _Sky:
    day = int(rng.integers(1, 29))
    date = f"{int(rng.integers(2018, 2027))}-{int(rng.integers(1, 13)):02d}-{day:02d}"
    point = (
        round(float(rng.uniform(0.0, 360.0)), 7),
        round(float(rng.uniform(45.0, 56.0)), 7),
        round(float(rng.uniform(0.0, 360.0)), 6),
    )
    slots = []
    spectrographs = rng.permutation(np.arange(1, 500))[: options.ifus]
    ifus = rng.permutation(np.arange(1, 100))[: options.ifus]
    # places nearest to the centre first; the pitch of the focal plane is 100 arcsec
    grid = sorted(
        ((column, row) for column in range(9) for row in range(9)),
        key=lambda place: (math.hypot(place[0] - 4.5, place[1] - 4.5), place),
    )
    for (column, row), specid, ifuid in zip(grid, spectrographs, ifus, strict=False):
        x, y = (100.0 * (part - 4) + float(rng.uniform(-0.4, 0.4)) for part in (column, row))
        slots.append(
            (f"{10 * (column + 1) + row + 1:03d}", round(x, 3), round(y, 3), f"{specid:03d}",
             f"{ifuid:03d}")
        )  # fmt: skip
    throughput = 0.05 + 0.13 * np.exp(-0.5 * ((WAVE - 4800.0) / 650.0) ** 2)
    sky = _Sky(
        date, int(rng.integers(1, 30)), point, slots,
        tuple(np.round(np.array([1.0, *rng.uniform(0.85, 1.15, 2)]), 4).tolist()),
        round(float(rng.uniform(1.3, 2.2)), 3),
        throughput * float(rng.uniform(0.9, 1.1)), [],
    )  # fmt: skip
    for number in range(options.sources):
        sky.sources.append(_source(rng, sky, number))
    return sky


def _source(rng: Rng, sky: _Sky, number: int) -> dict[str, Any]:
    slot = sky.slots[number % len(sky.slots)]
    x = slot[2] + float(rng.uniform(-20.0, 20.0))
    y = slot[1] + float(rng.uniform(-20.0, 20.0))
    ra, dec = to_sky(sky.point, np.array([x]), np.array([y]))
    return {
        "name": f"source-{number}",
        "ra": float(ra[0]), "dec": float(dec[0]), "ifuslot": slot[0], "fpx": x, "fpy": y,
        "continuum": round(float(rng.uniform(0.5, 20.0)), 3),
        "slope": round(float(rng.uniform(-1.5, 0.5)), 3),
        "lines": [
            {
                "wave": round(float(rng.uniform(3800.0, 5300.0)), 2),
                "flux": round(float(rng.uniform(50.0, 400.0)), 1), "fwhm": LINE_FWHM,
            }
        ],
    }  # fmt: skip


def to_sky(point: tuple[float, float, float], x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return RA and Dec of places in the focal plane, by vectors.

    Parameters
    ----------
    point : (float, float, float)
        ra, dec, pa of the tangent point, degrees.
    x, y : float64 arrays (n,), arcsec

    Returns
    -------
    ra, dec : float64 arrays (n,), degrees
    """
    ra, dec, pa = np.radians(point)
    turn = 1.5 * np.pi - pa
    east = -(np.cos(turn) * x + np.sin(turn) * y)
    north = np.cos(turn) * y - np.sin(turn) * x
    east, north = np.radians(east / 3600.0), np.radians(north / 3600.0)
    centre = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    to_east = np.array([-np.sin(ra), np.cos(ra), 0.0])
    to_north = np.cross(centre, to_east)
    place = centre + east[:, None] * to_east + north[:, None] * to_north
    place /= np.linalg.norm(place, axis=1, keepdims=True)
    return (
        np.mod(np.degrees(np.arctan2(place[:, 1], place[:, 0])), 360.0),
        np.degrees(np.arcsin(place[:, 2])),
    )


def _faults(sky: _Sky, options: Options) -> dict[str, Any]:
    if not options.faults:
        return {}
    slot = sky.slots[0][0]
    found: dict[str, Any] = {
        "dead_fiber": [slot, "LL", 56],
        "shuffled": [slot, "RL"],
        "no_data": {"ifuslot": slot, "amp": "LU", "expnum": 1, "fibnum": 41, "bins": [300, 309]},
        "high_chi2": 100,
    }
    if options.exposures > 1:
        found["missing_amplifier"] = [sky.slots[-1][0], "LU", 2]
    return found


_BUNDLE: Final = files.bundle()


def _positions(
    sky: _Sky, slot: tuple[str, float, float, str, str], amp: str, exposure: int
) -> dict[str, Floats]:
    """Return places of the fibres of an amplifier in the IFU, the focal plane and on the sky."""
    inner = _BUNDLE[amp]
    dx, dy = DITHERS[exposure - 1]
    fpx, fpy = inner[:, 0] + slot[2] + dx, inner[:, 1] + slot[1] + dy
    ra, dec = to_sky(sky.point, fpx, fpy)
    return {"inner": inner, "fpx": fpx, "fpy": fpy, "ra": ra, "dec": dec}


def _listed(
    sky: _Sky,
    slot: tuple[str, float, float, str, str],
    amp: str,
    exposure: int,
    rows: Mapping[str, Floats],
    faults: Mapping[str, Any],
) -> list[str]:
    lines = files.dithall_lines(
        (rows["ra"], rows["dec"]), rows["inner"], (rows["fpx"], rows["fpy"]),
        (slot[0], f"multi_{slot[3]}_{slot[0]}_{slot[4]}_{amp}"),
        f"{sky.date.replace('-', '')}T05{10 * exposure:02d}31.5", exposure,
    )  # fmt: skip
    if faults.get("shuffled") == [slot[0], amp]:
        order = np.random.default_rng(exposure).permutation(len(lines))
        lines = [lines[place] for place in order]
    return lines


# -- light -------------------------------------------------------------------------------------


def _weights(fwhm: float) -> tuple[Floats, Floats]:
    """Return the part of a point source's light in a fibre by its distance, by quadrature."""
    gamma = fwhm / (2.0 * math.sqrt(2.0 ** (1.0 / BETA) - 1.0))
    distance = np.linspace(0.0, 15.0, 301)
    nodes, part = np.polynomial.legendre.leggauss(24)
    radius = FIBER_RADIUS * (nodes + 1.0) / 2.0
    ring = part * FIBER_RADIUS / 2.0 * radius
    angle = (np.arange(48) + 0.5) * (2.0 * np.pi / 48)
    square = (
        distance[:, None, None] ** 2
        + radius[None, :, None] ** 2
        + 2.0 * distance[:, None, None] * radius[None, :, None] * np.cos(angle)
    )
    profile = (BETA - 1.0) / (np.pi * gamma**2) * (1.0 + square / gamma**2) ** -BETA
    light = profile.sum(axis=2) * (2.0 * np.pi / len(angle))
    return distance, np.asarray(light @ ring)


def _refraction() -> Floats:
    wave, shift = np.array(REFRACTION).T
    centre = 4500.0
    return np.asarray(np.polyval(np.polyfit(wave - centre, shift, 3), WAVE - centre))


def _light(sky: _Sky, rows: Mapping[str, Floats], weights: tuple[Floats, Floats]) -> Floats:
    """Return the true flux of fibres, float64 (112, 1036), 1e-17 erg / (s cm2) in 2 Angstrom."""
    total = np.zeros((FIBERS, len(WAVE)))
    shift = _refraction()
    for source in sky.sources:
        distance = np.hypot(rows["fpx"] - source["fpx"], rows["fpy"] - source["fpy"])
        near = np.flatnonzero(distance < 14.0)
        if not len(near):
            continue
        x = rows["fpx"][near, None] - source["fpx"] - shift
        y = rows["fpy"][near, None] - source["fpy"]
        part = np.interp(np.hypot(x, y), *weights, right=0.0)
        spectrum = 2.0 * source["continuum"] * (WAVE / 4500.0) ** source["slope"]
        for line in source["lines"]:
            spectrum = spectrum + line["flux"] * _in_pixels(line["wave"], line["fwhm"])
        total[near] += part * spectrum
    return total


def _in_pixels(wave: float, fwhm: float) -> Floats:
    """Return the part of a Gaussian line in each pixel, exactly."""
    sigma = fwhm / (2.0 * math.sqrt(2.0 * math.log(2.0)))
    edges = (np.append(WAVE - 1.0, WAVE[-1] + 1.0) - wave) / (sigma * math.sqrt(2.0))
    return np.diff(np.array([math.erf(edge) for edge in edges])) / 2.0


# -- one amplifier -----------------------------------------------------------------------------


def _amplifier(
    rng: Rng,
    folder: Path,
    sky: _Sky,
    slot: tuple[str, float, float, str, str],
    amp: str,
    exposure: int,
    rows: Mapping[str, Floats],
    weights: tuple[Floats, Floats],
    faults: Mapping[str, Any],
    image: bool,
    packed: bool,
) -> tuple[str, dict[str, Floats]]:
    """Write the file of an amplifier; return its name, and its rows of the cal file."""
    relflux = sky.relflux[exposure - 1]
    per_flux = ELECTRONS * sky.throughput * relflux
    light = _light(sky, rows, weights) * per_flux
    level = np.full(len(WAVE), SKY * relflux)
    dead = faults.get("dead_fiber", [])[:2] == [slot[0], amp]
    alive = np.ones(FIBERS, bool)
    if dead:
        alive[faults["dead_fiber"][2] - 1] = False
    cal = _recorded(rng, light, level, READ_NOISE)
    cal = {kind: np.where(alive[:, None], values, 0.0) for kind, values in cal.items()}
    found = {
        "calfib": cal["counts"] / per_flux,
        "calfibe": cal["error"] / per_flux,
        "calfib_counts": cal["counts"],
        "calfibe_counts": cal["error"],
        "calfib_ffsky": (cal["counts"] - 0.02 * level * alive[:, None]) / per_flux,
    }
    hole = faults.get("no_data", {})
    if (hole.get("ifuslot"), hole.get("amp"), hole.get("expnum")) == (slot[0], amp, exposure):
        for values in found.values():
            values[hole["fibnum"] - 1, hole["bins"][0] : hole["bins"][1] + 1] = 0.0
    arrays = _native(rng, light, level, alive, faults.get("high_chi2", 0))
    if image:
        arrays = _detector(rng, arrays) | arrays
    arrays["ifupos"] = rows["inner"]
    path = folder / f"virus{sky.number:07d}" / f"exp{exposure:02d}" / "virus"
    name = f"multi_{slot[3]}_{slot[0]}_{slot[4]}_{amp}.fits"
    for noise in ("expected", "expected_sky"):
        arrays.pop(noise)
    cards = _cards(sky, slot, amp, exposure)
    return files.write_fits(path / name, cards, arrays, packed=packed, named=True), found


def _recorded(rng: Rng, light: Floats, level: Floats, read_noise: float) -> dict[str, Floats]:
    """Return electrons without sky as a camera records them, and their true scatter."""
    mean = light + level
    counts = rng.poisson(mean) + rng.normal(0.0, read_noise, mean.shape) - level
    return {"counts": counts, "error": np.sqrt(mean + read_noise**2)}


def _native(
    rng: Rng, light: Floats, level: Floats, alive: npt.NDArray[np.bool_], high_chi2: int
) -> dict[str, Floats]:
    """Return what a file has of native spectra; an independent draw of the same light."""
    number = np.arange(FIBERS)[:, None]
    pixel = np.arange(NATIVE)
    bow = (pixel / 515.5 - 1.0) ** 2
    wavelength = 3493.0 + 12.0 * np.abs(number / 55.5 - 1.0) + 1.945 * pixel
    transmission = np.round(rng.uniform(0.9, 1.06, (FIBERS, 1)), 3) * np.ones(NATIVE)
    transmission[~alive] = 0.0
    step = 1.945 / 2.0
    place = np.clip(np.rint((wavelength - WAVE[0]) / 2.0).astype(int), 0, len(WAVE) - 1)
    own = np.take_along_axis(light, place, axis=1) * step * transmission
    sky = level[place] * step * transmission
    mean = own + sky
    spectrum = rng.poisson(mean) + rng.normal(0.0, READ_NOISE, mean.shape)
    spectrum[~alive] = 0.0
    error = np.sqrt(mean + READ_NOISE**2)
    error[~alive] = 0.0
    chi2 = rng.chisquare(20, mean.shape) / 20.0
    if high_chi2:
        chi2[high_chi2 - 1] = 10.0
    return {
        "spectrum": spectrum,
        "wavelength": wavelength,
        "trace": 10.0 + 9.05 * number + 2.0 * bow * (1.0 - number / 112.0),
        "fiber_to_fiber": transmission,
        "sky_spectrum": sky,
        "sky_subtracted": spectrum - sky,
        "error1D": error,
        "chi2": chi2,
        "rms": 3.0 * np.sqrt(chi2),
        "expected": own,
        "expected_sky": sky,
    }


def _detector(rng: Rng, arrays: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the image of the detector: fibres as Gaussians across the rows, and cosmic rays."""
    reach = np.arange(-8, 9)
    middle = np.rint(arrays["trace"]).astype(int)
    rows = middle[:, None, :] + reach[None, :, None]
    away = rows - arrays["trace"][:, None, :]
    profile = np.exp(-0.5 * (away / 2.0) ** 2) / (2.0 * math.sqrt(2.0 * math.pi))
    mean = profile * (arrays["expected"] + arrays["expected_sky"])[:, None, :]
    inside = (rows >= 0) & (rows < NATIVE)
    columns = np.broadcast_to(np.arange(NATIVE), rows.shape)
    flat = (rows * NATIVE + columns)[inside]
    truth = np.bincount(flat, mean[inside], NATIVE * NATIVE).reshape(NATIVE, NATIVE)
    clean = rng.poisson(truth) + rng.normal(0.0, PIXEL_NOISE, truth.shape)
    image = clean.copy()
    y, x = rng.integers(0, NATIVE, (2, 30))
    image[y, x] += rng.uniform(300.0, 3000.0, 30)
    return {
        "PRIMARY": image, "error": np.sqrt(truth + PIXEL_NOISE**2), "clean_image": clean,
    }  # fmt: skip


def _cards(
    sky: _Sky, slot: tuple[str, float, float, str, str], amp: str, exposure: int
) -> dict[str, Any]:
    return {
        "TELESCOP": "het", "INSTRUME": "virus", "OBJECT": "HS_SIM_E", "DATE-OBS": sky.date,
        "UT": f"05:{10 * exposure:02d}:31.5", "OBSID": sky.number, "EXPTIME": 367.0,
        "DARKTIME": 376.0, "TRAJCRA": sky.point[0] / 15.0, "TRAJCDEC": sky.point[1],
        "PARANGLE": sky.point[2], "SPECID": slot[3], "IFUSLOT": slot[0], "IFUID": slot[4],
        "CONTID": "S/N 0077", "AMP": amp, "CCDPOS": amp[0], "CCDHALF": amp[1],
        "DITHER": exposure,
    }  # fmt: skip
