"""Simulate fields and spectra of some of their stars, in the real formats and with known truth.

Nothing here comes from the reading side: the electronics, the sky and the noise are made from the
physics (electrons are counted, the amplifier adds read noise, the counts are rounded), and the
simulated camera has gains of its own, which its psField file states.

Sources of the formats: SDSS data model pages "frame", "psField", "spec"
(https://data.sdss.org/datamodel/); rounding of the floats: floatcompress.pro of idlutils.
"""

from __future__ import annotations

import bz2
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import ConfigurationError
from corecube_sdss import simulated_files
from corecube_sdss.simulated_files import BANDS, Camera, FrameContent, Geometry, SpecContent

Floats = npt.NDArray[np.float64]

FWHM_ARCSEC: Final = {"u": 1.5, "g": 1.4, "r": 1.3, "i": 1.25, "z": 1.2}
"""Seeing of the simulated frames."""
PIXEL_ARCSEC: Final = 0.396
SKY_DN: Final = {"u": 22.0, "g": 73.0, "r": 137.0, "i": 186.0, "z": 99.0}
"""Sky level, near that of the real runs."""
FLUX_PER_DN: Final = {"u": 0.0096, "g": 0.0038, "r": 0.0050, "i": 0.0066, "z": 0.034}
"""Nanomaggies per DN, near those of the real runs."""
GAIN: Final = {"u": 1.7, "g": 3.9, "r": 4.6, "i": 5.0, "z": 4.7}
"""Electrons per DN of the simulated camera, before the seed changes them by up to 5 %."""
READ_NOISE_DN: Final = {"u": 3.0, "g": 1.4, "r": 1.1, "i": 2.2, "z": 1.1}
"""1 sigma; its square is the dark variance."""
READ_ORDER: Final = "riuzg"
"""The filters see the sky in this order, 71.7 s apart."""
PIVOT: Final = {"u": 3556.52, "g": 4702.50, "r": 6175.58, "i": 7490.00, "z": 8946.71}
"""Angstrom; pivot wavelengths of the filter curves of June 2001."""
NEW_ROWS: Final = 1361
"""Rows from one field to the next; the other 128 are in both."""
ROW_SECONDS: Final = 0.026322
"""From the reading of one row to that of the next."""
FLAMBDA: Final = 1.08848062e7
"""Times nanomaggies over the square of the pivot wavelength: 1e-17 erg / (Angstrom s cm2)."""


@dataclass(frozen=True)
class Options:
    """What can be asked of the simulation.

    Attributes
    ----------
    fields : int
        Number of fields that follow each other in one run. A star in the rows that two fields share
        is in both; sky and noise of these rows are drawn anew, which real ones share too.
    rows, columns : int
        Size of the frames; smaller ones are cut-outs of the lower left corner of a field.
    stars : int
        Of each field.
    bands : str
        Some of u, g, r, i, z.
    spectra : int
        Number of stars with a spectrum: the first of each field, then the second of each.
    packed : bool
        Write .fits.bz2 instead of .fits.
    psfield : bool
        Write the companion psField with the true gain and dark variance.
    dead_pixels : int
        Pixels of a dead column, so low that their variance is negative.
    """

    fields: int = 1
    rows: int = 1489
    columns: int = 2048
    stars: int = 40
    bands: str = "ugriz"
    spectra: int = 3
    packed: bool = True
    psfield: bool = True
    dead_pixels: int = 16

    def __post_init__(self) -> None:
        if not 1 <= self.fields <= 400:
            raise ConfigurationError("fields must be 1 to 400")
        if not (64 <= self.rows <= 1489 and 64 <= self.columns <= 2048):
            raise ConfigurationError("rows must be 64 to 1489, columns 64 to 2048")
        if not self.bands or set(self.bands) - set(BANDS):
            raise ConfigurationError(f"bands '{self.bands}' are not some of {BANDS}")
        if self.stars < 0 or not 0 <= self.spectra <= min(self.stars * self.fields, 640):
            raise ConfigurationError("spectra must be 0 to the number of stars, 640 at most")
        if not 0 <= self.dead_pixels <= self.rows:
            raise ConfigurationError("dead_pixels must be 0 to the number of rows")

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
class Stars:
    """The stars of one field.

    Attributes
    ----------
    geometry : Geometry
        Of the field.
    ra, dec : float64 array (n,), degrees
    flux : mapping of band to float64 array (n,), nanomaggies
    """

    geometry: Geometry
    ra: Floats
    dec: Floats
    flux: dict[str, Floats]


def simulate(directory: Path, options: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Write frames, psField and spec files into a folder, and their truth to ``truth.json``.

    Parameters
    ----------
    directory : Path
        An existing folder.
    options : mapping
        See `Options`.
    seed : int
        Another seed changes fields, sky, electronics, stars and noise.

    Returns
    -------
    dict
        ``fields`` (run, camcol, field), ``field`` (the first of them), ``electronics``,
        ``sources`` (name, field, ra, dec, flux in nanomaggies by band, place in each frame of the
        field), ``dead_pixels``, ``spectra`` (true flux), ``files``.

    Raises
    ------
    ConfigurationError
        If an option is wrong.
    """
    chosen = Options.of(options)
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    first = _geometry(rng)
    camera = _camera(rng)
    fields_ = [_stars(rng, chosen, _later(first, number)) for number in range(chosen.fields)]
    files: list[str] = []
    sources: list[dict[str, Any]] = []
    dead: list[dict[str, Any]] = []
    for number, stars in enumerate(fields_):
        geometry = stars.geometry
        # Frames have stars of their neighbours too: the last rows of one are the first of the next.
        near = fields_[max(number - 1, 0) : number + 2]
        places = {}
        for band in chosen.bands:
            x, y = geometry.to_pixel(band, stars.ra, stars.dec)
            places[band] = x, y
            parts = [(*geometry.to_pixel(band, s.ra, s.dec), s.flux[band]) for s in near]
            x, y, flux = (np.concatenate(part) for part in zip(*parts, strict=True))
            content, lost = _frame(rng, chosen, geometry, camera, band, x, y, flux)
            files.append(_write_frame(directory, chosen, content))
            dead += [
                {"field": geometry.field, "band": band, "x": int(column), "y": int(row)}
                for row, column in lost
            ]
        if chosen.psfield:
            files.append(simulated_files.write_psfield(directory, geometry, camera, _psfs()))
        sources += [
            {
                "name": f"star-{number * chosen.stars + place}",
                "field": geometry.field,
                "ra": float(stars.ra[place]),
                "dec": float(stars.dec[place]),
                "flux": {band: float(stars.flux[band][place]) for band in BANDS},
                "pixel": {
                    band: [float(part[place]) for part in places[band]] for band in chosen.bands
                },
            }
            for place in range(chosen.stars)
        ]
    spectra = []
    for number in range(chosen.spectra):
        source = number % chosen.fields * chosen.stars + number // chosen.fields
        star = sources[source]
        spectrum, truth = _spectrum(rng, first, number, (star["ra"], star["dec"]), star["flux"])
        path = simulated_files.write_spec(directory, spectrum)
        files.append(path)
        spectra.append({"source": source, "file": path, **truth})
    result: dict[str, Any] = {
        "seed": seed,
        "field": {"run": first.run, "camcol": first.camcol, "field": first.field},
        "fields": [
            {"run": first.run, "camcol": first.camcol, "field": stars.geometry.field}
            for stars in fields_
        ],
        "electronics": {
            band: {"gain": camera.gain[band], "dark_variance": camera.dark_variance[band]}
            for band in BANDS
        },
        "sources": sources,
        "dead_pixels": dead,
        "spectra": spectra,
        "files": files,
    }
    (directory / "truth.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def _later(first: Geometry, number: int) -> Geometry:
    """Return a later field of a run: the sky has moved by the new rows, and the clock has run."""
    if not number:
        return first
    rows = number * NEW_ROWS
    return replace(
        first,
        field=first.field + number,
        ra=first.ra + rows * simulated_files.SCALE / math.cos(math.radians(first.dec)),
        mjd=first.mjd + rows * ROW_SECONDS / 86400.0,
    )


def _geometry(rng: np.random.Generator) -> Geometry:
    return Geometry(
        run=int(rng.integers(4000, 8000)),
        camcol=int(rng.choice([1, 3, 4, 5, 6])),
        field=int(rng.integers(20, 400)),
        ra=float(rng.uniform(5.0, 55.0)),
        dec=float(rng.uniform(-0.2, 0.2)),
        offsets={band: tuple(rng.normal(0.0, 2e-4, 2).tolist()) for band in BANDS},
        mjd=float(rng.uniform(52900.2, 54400.4)),
        plate=int(rng.integers(3600, 7500)),
        night=int(rng.integers(55200, 57800)),
    )


def _camera(rng: np.random.Generator) -> Camera:
    part = dict(zip(BANDS, rng.uniform(0.95, 1.05, (len(BANDS), 2)).tolist(), strict=True))
    return Camera(
        gain={band: round(GAIN[band] * part[band][0], 3) for band in BANDS},
        dark_variance={
            band: round((READ_NOISE_DN[band] * part[band][1]) ** 2, 4) for band in BANDS
        },
        sky={band: SKY_DN[band] * float(rng.uniform(0.9, 1.1)) for band in BANDS},
        flux_per_dn={band: FLUX_PER_DN[band] * float(rng.uniform(0.97, 1.03)) for band in BANDS},
    )


def _stars(rng: np.random.Generator, options: Options, geometry: Geometry) -> Stars:
    """Return stars inside of the frames of a field, with the colours of real ones."""
    margin = 20.0
    x = rng.uniform(margin, options.columns - margin, options.stars)
    y = rng.uniform(margin, options.rows - margin, options.stars)
    ra, dec = geometry.to_sky("r", x, y)
    magnitude = rng.uniform(16.5, 21.5, options.stars)
    blueness = rng.normal(0.0, 0.3, options.stars)
    steps = {"u": 1.9, "g": 0.55, "r": 0.0, "i": -0.2, "z": -0.3}
    flux = {
        band: 10.0 ** (0.4 * (22.5 - magnitude - step * (1.0 + blueness)))
        for band, step in steps.items()
    }
    return Stars(geometry, ra, dec, flux)


def _frame(
    rng: np.random.Generator,
    options: Options,
    geometry: Geometry,
    camera: Camera,
    band: str,
    x: Floats,
    y: Floats,
    flux: Floats,
) -> tuple[FrameContent, npt.NDArray[np.intp]]:
    """Return what a frame file holds, and the dead pixels as (row, column)."""
    shape = (options.rows, options.columns)
    truth = _star_image(shape, x, y, flux, _sigma(band))
    columns = np.arange(2048.0)
    wiggles = 0.01 * np.sin(columns / float(rng.uniform(40.0, 90.0)) + float(rng.uniform(0, 6.28)))
    per_dn = (camera.flux_per_dn[band] * (1.0 + wiggles)).astype(np.float32)[: options.columns]
    grid, sky = _sky(rng, camera.sky[band], shape)
    gain, dark = camera.gain[band], camera.dark_variance[band]
    mean = truth / per_dn + sky
    counts = np.rint(rng.poisson(gain * mean) / gain + rng.normal(0.0, math.sqrt(dark), shape))
    dead = np.zeros((0, 2), np.intp)
    if options.dead_pixels:
        column = int(rng.integers(0, options.columns))
        first = int(rng.integers(0, options.rows - options.dead_pixels + 1))
        counts[first : first + options.dead_pixels, column] = -np.ceil(2.0 * gain * dark + 2.0)
        dead = np.stack(
            [np.arange(first, first + options.dead_pixels), np.full(options.dead_pixels, column)],
            axis=1,
        )
    image = ((counts - sky) * per_dn).astype(np.float32)
    delay = READ_ORDER.index(band) * 2 * NEW_ROWS * ROW_SECONDS / 86400.0
    content = FrameContent(
        geometry=geometry,
        band=band,
        image=_compress(image),
        flux_per_dn=per_dn,
        sky=grid,
        mjd=geometry.mjd + delay,
    )
    return content, dead


def _psfs() -> list[npt.NDArray[np.float32]]:
    """Return the PSF of each filter: what a star at the centre of a pixel gives each pixel."""
    side = simulated_files.PSF_PIXELS
    middle, one = np.array([side // 2], np.float64), np.ones(1)
    return [
        _star_image((side, side), middle, middle, one, _sigma(band)).astype(np.float32)
        for band in BANDS
    ]


def _sigma(band: str) -> float:
    """Return the sigma of a star, pixels."""
    return FWHM_ARCSEC[band] / PIXEL_ARCSEC / 2.3548


def _star_image(shape: tuple[int, int], x: Floats, y: Floats, flux: Floats, sigma: float) -> Floats:
    """Return stars as Gaussians integrated over pixels, so that their flux is exact."""
    image = np.zeros(shape)
    reach = math.ceil(6.0 * sigma)
    for column, row, total in zip(x, y, flux, strict=True):
        first_x, first_y = round(column) - reach, round(row) - reach
        parts = []
        for centre, first, size in ((row, first_y, shape[0]), (column, first_x, shape[1])):
            low, high = max(first, 0), min(first + 2 * reach + 1, size)
            edges = (np.arange(low, max(high, low) + 1) - 0.5 - centre) / (sigma * math.sqrt(2.0))
            integral = np.array([math.erf(edge) for edge in edges]) / 2.0
            parts.append((low, np.diff(integral)))
        (low_y, along_y), (low_x, along_x) = parts
        window = (slice(low_y, low_y + len(along_y)), slice(low_x, low_x + len(along_x)))
        image[window] += total * along_y[:, None] * along_x[None, :]
    return image


def _sky(
    rng: np.random.Generator, level: float, shape: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], Floats]:
    """Return the sky grid of a field, and the sky at each pixel, from one smooth surface."""
    slope_x, slope_y, bow = rng.normal(0.0, 0.004, 3)

    def surface(column: Floats, row: Floats) -> Floats:
        u, v = column / 1024.0 - 1.0, row / 744.5 - 1.0
        return np.asarray(level * (1.0 + slope_x * u + slope_y * v + bow * (u * u - 0.5)))

    # The grid points lie 8 pixels apart: place = (pixel + 0.5) / 8 - 0.5 (+ 1 along y).
    x = (np.arange(256.0) + 0.5) * 8.0 - 0.5
    y = (np.arange(192.0) - 0.5) * 8.0 - 0.5
    grid = surface(x[None, :], y[:, None]).astype(np.float32)
    columns, rows = np.arange(float(shape[1])), np.arange(float(shape[0]))
    place_x = np.clip((columns + 0.5) / 8.0 - 0.5, 0.0, 255.0)
    place_y = np.clip((rows + 0.5) / 8.0 + 0.5, 0.0, 191.0)
    by_columns = np.array([np.interp(place_x, np.arange(256.0), line) for line in grid])
    below = np.minimum(place_y.astype(int), 190)
    part = (place_y - below)[:, None]
    return grid, by_columns[below] * (1.0 - part) + by_columns[below + 1] * part


def _compress(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Keep ten binary digits of each value, as the survey did to make files pack well."""
    with np.errstate(divide="ignore"):
        exponent = np.ceil(np.log2(np.abs(image.astype(np.float64))))
    step = np.exp2(np.where(np.isfinite(exponent), exponent, 0.0) - 10.0)
    return (np.rint(image / step) * step).astype(np.float32)


def _spectrum(
    rng: np.random.Generator,
    geometry: Geometry,
    number: int,
    place: tuple[float, float],
    flux: Mapping[str, float],
) -> tuple[SpecContent, dict[str, Any]]:
    """Return what a spec file holds, and its truth."""
    first, size = 35520 + int(rng.integers(0, 40)), 4600
    wavelength = 10.0 ** (1e-4 * np.arange(first, first + size))
    bands = sorted(BANDS, key=lambda band: PIVOT[band])
    points = [math.log(flux[band] * FLAMBDA / PIVOT[band] ** 2) for band in bands]
    true = np.exp(np.interp(np.log(wavelength), [math.log(PIVOT[b]) for b in bands], points))
    for line, depth in ((4862.7, 0.4), (6564.6, 0.3), (8500.4, 0.15)):
        true *= 1.0 - depth * np.exp(-0.5 * ((wavelength - line) / (4.0 * line / 5000.0)) ** 2)
    sky = 2.0 + 6.0 * (wavelength / 1e4) ** 3
    sky[np.abs(wavelength - 5578.9) < 4.0] += 60.0
    sigma = np.sqrt(0.08 * (true + sky) + 0.05) * float(rng.uniform(0.8, 1.2))
    ivar = (1.0 / sigma**2).astype(np.float32)
    measured = true + rng.normal(0.0, 1.0, size) * sigma
    # No data: the pipeline leaves an interpolation that looks real.
    lost = np.sort(rng.choice(size, 6, replace=False))
    ivar[lost] = 0.0
    measured[lost] = true[lost]
    and_mask = np.where(np.abs(wavelength - 5578.9) < 4.0, 1 << 23, 0).astype(np.int32)
    or_mask = and_mask | np.where(rng.random(size) < 0.05, 1 << 19, 0).astype(np.int32)
    content = SpecContent(
        plate=geometry.plate,
        mjd=geometry.night,
        fiber=number + 1,
        run2d="v5_13_2",
        ra=place[0],
        dec=place[1],
        first=first,
        flux=measured.astype(np.float32),
        ivar=ivar,
        and_mask=and_mask,
        or_mask=or_mask,
        sky=sky.astype(np.float32),
        model=true.astype(np.float32),
        redshift=float(rng.normal(0.0, 1e-4)),
        spectroflux=[float(flux[band]) for band in BANDS],
    )
    truth = {
        "key": f"{content.plate:04d}-{content.mjd}-{content.run2d}",
        "id": f"{content.fiber:04d}",
        "first": first,
        "flux": [round(float(value), 7) for value in true],
        "sigma": [round(float(value), 7) for value in sigma],
        "no_data": lost.tolist(),
    }
    return content, truth


def _write_frame(directory: Path, options: Options, content: FrameContent) -> str:
    data = simulated_files.frame_bytes(content)
    name = content.file_name + (".bz2" if options.packed else "")
    (directory / name).write_bytes(bz2.compress(data) if options.packed else data)
    return name
