"""Measuring the light of a position on everything in an archive that holds it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from corecube.archive.cutout import pixel_of
from corecube.archive.names import FiberRow, ImageRow
from corecube.archive.reader import Archive
from corecube.errors import FrameError, QueryError, UnitError
from corecube.frames import Fibers, Image
from corecube.instruments import Find, Instruments, find_installed
from corecube.masks import valid, value
from corecube.photometry import conversions
from corecube.photometry.apertures import aperture_flux, pixel_scale, separation
from corecube.photometry.passbands import Passbands
from corecube.photometry.synthetic import LEAST_COVERAGE, masked_by, synthetic_flux
from corecube.spectral import Spectral
from corecube.units import FLUX_DENSITY, factor

Kind = Literal["aperture", "fibre", "synthetic", "catalogue"]
FloatArray = npt.NDArray[np.float64]

APERTURE: Final = 3.0
"""Arcsec of radius: most of a star's light in a seeing of 1.4 arcsec, and little of others."""

MATCH: Final = 2.0
"""Arcsec within which fibres and objects of a catalogue are those of the position."""

LARGEST: Final = 600.0
"""Arcsec of radius that are taken; larger sums are no photometry of one position."""

FIBER_DIAMETER: Final = "fiber_diameter"
"""The column of fibres, in arcsec, by which their own apertures are summed on images."""

_NOT_PRIMARY: Final = np.uint32(value("not_primary"))


@dataclass(frozen=True)
class Flux:
    """One flux of the position.

    Attributes
    ----------
    kind : {"aperture", "fibre", "synthetic", "catalogue"}
    name : str
        Of the image or fibre in the archive that it comes from.
    what : str
        The aperture, the fibre, the passbands, or what the catalogue measured.
    band : str
    pivot : float, Angstrom
    flux, sigma : float, nanomaggies
    coverage : float
        Part of the aperture, or of the passband, that was measured.
    pixels : float
        Pixels in the aperture, NaN for others.
    x, y : float
        Its centre on the image, 0-based.
    distance : float, arcsec
        From the position.
    note : str
        What is to be known before it is used.
    """

    kind: Kind
    name: str
    what: str
    band: str
    pivot: float
    flux: float
    sigma: float
    coverage: float = np.nan
    pixels: float = np.nan
    x: float = np.nan
    y: float = np.nan
    distance: float = 0.0
    note: str = ""


@dataclass(frozen=True, eq=False)
class SpectrumThere:
    """A spectrum of the position, without padding.

    Attributes
    ----------
    name : str
    wavelength : float64 array (w,), Angstrom
    flux, error : float64 array (w,), 1e-17 erg / (s cm2 Angstrom)
    good : bool array (w,)
    distance : float, arcsec
    """

    name: str
    wavelength: FloatArray
    flux: FloatArray
    error: FloatArray
    good: npt.NDArray[np.bool_]
    distance: float


@dataclass(frozen=True)
class Measured:
    """What was found at a position.

    Attributes
    ----------
    ra, dec : float, degrees
    radius, match : float, arcsec
    fluxes : tuple of Flux
    spectra : tuple of SpectrumThere
    says : tuple of str
        A line for each part that is missing, and why.
    """

    ra: float
    dec: float
    radius: float
    match: float
    fluxes: tuple[Flux, ...]
    spectra: tuple[SpectrumThere, ...]
    says: tuple[str, ...] = ()


def measure(
    archive: Archive,
    ra: float,
    dec: float,
    radius: float = APERTURE,
    *,
    match: float = MATCH,
    exact: bool = False,
    least: float = LEAST_COVERAGE,
    find: Find = find_installed,
    curves: Passbands | None = None,
) -> Measured:
    """Measure all images, spectra and catalogues of an archive at a position.

    Parameters
    ----------
    archive : Archive
    ra, dec : float, degrees
    radius : float, arcsec
        Of the aperture on images.
    match : float, arcsec
        How far fibres and objects of a catalogue may lie.
    exact : bool
        Pixels count by their overlap with the aperture; else all whose centre is in it.
    least : float
        Coverage of a passband below which a spectrum gives no flux in it.
    find : callable
        Gives an instrument by its name, or why it cannot be asked.
    curves : Passbands, optional
        In place of those of the instruments.

    Raises
    ------
    QueryError
        If position or radius are not possible.
    ArchiveDamaged
    """
    if not 0 < radius <= LARGEST:
        raise QueryError(
            f"an aperture of {radius:g} arcsec is not possible; use up to {LARGEST:g} arcsec"
        )
    asked = Instruments(find, curves)
    around = archive.cone((ra, dec), max(radius, match) / 3600.0)
    images = [row for row in archive.rows(around) if isinstance(row, ImageRow)]
    near = archive.cone((ra, dec), match / 3600.0)
    fibers = [row for row in archive.rows(near) if isinstance(row, FiberRow)]
    fluxes: list[Flux] = []
    found: list[Flux] = []
    for row in images:
        fluxes += _of_image(row, (ra, dec), (ra, dec), radius, "aperture", "", exact, asked)
        found += _catalogue_of_image(row, (ra, dec), match, asked)
    spectra: list[SpectrumThere] = []
    synthetic: list[Flux] = []
    for fiber in fibers:
        block = fiber.spectrum()
        there = _spectrum(fiber, block, ra, dec, asked)
        if there is not None:
            spectra.append(there)
        synthetic += _through_bands(fiber, block, (ra, dec), least, asked)
        found += _catalogue_of_fiber(fiber, block, (ra, dec), asked)
        fluxes += _through_fiber(fiber, block, images, (ra, dec), exact, asked)
    fluxes.sort(key=lambda flux: (flux.kind, flux.what, flux.pivot))
    return Measured(
        ra, dec, radius, match, (*fluxes, *synthetic, *_once(found)), tuple(spectra),
        tuple(asked.says),
    )  # fmt: skip


def _of_image(
    row: ImageRow,
    place: tuple[float, float],
    position: tuple[float, float],
    radius: float,
    kind: Kind,
    what: str,
    exact: bool,
    asked: Instruments,
) -> Iterator[Flux]:
    """Yield the sum over an aperture of an image, if any pixel lies in it."""
    shot = row.shot()
    about = shot.description["images"][row.image]
    bands = asked.passbands(shot)
    band = row.record.images[row.image]["band"]
    if about["cards"] is None:
        return
    if bands is None or band not in bands:
        asked.say(f"{row.name} is left out: its instrument gives no passband '{band}'")
        return
    pivot = bands[band].pivot
    x, y = pixel_of(about["cards"], *place)
    if not np.isfinite(x):
        return
    scale = pixel_scale(about["cards"], x, y)
    size = 2 * int(np.ceil(1.1 * radius / scale)) + 5
    try:
        part, window = row.cutout(*place, size)
    except QueryError:
        return  # no pixel of it lies there
    found = aperture_flux(part, *place, radius, exact)
    if not found.pixels > 0:
        return
    try:
        flux, sigma = (
            _nanomaggies(number, part.unit, pivot) for number in (found.flux, found.sigma)
        )
    except UnitError:
        asked.say(f"{row.name} is left out: its unit '{part.unit}' is no flux")
        return
    yield Flux(
        kind, row.name, what or f"{radius:g} arcsec radius", band, pivot, flux, sigma,
        found.coverage, found.pixels, found.x + window.x0, found.y + window.y0,
        _apart(place, position), _note_of(part, found.x, found.y, found.coverage),
    )  # fmt: skip


def _note_of(image: Image, x: float, y: float, coverage: float) -> str:
    assert image.mask is not None
    notes = []
    row, column = round(y), round(x)
    ny, nx = image.mask.shape
    if 0 <= row < ny and 0 <= column < nx and image.mask[row, column] & _NOT_PRIMARY:
        notes.append("not primary: the same exposure is in another image")
    if coverage < 1.0:
        notes.append("part of the aperture is masked or outside")
    return "; ".join(notes)


def _nanomaggies(number: float, unit: str, pivot: float) -> float:
    """Return a flux in nanomaggies."""
    try:
        return number * factor(unit, "nanomaggy")
    except UnitError:
        pass
    try:
        return float(conversions.jy_to_nmgy(number * factor(unit, "Jy")))
    except UnitError:
        return float(conversions.flambda_to_nmgy(number * factor(unit, FLUX_DENSITY), pivot))


def _through_fiber(
    fiber: FiberRow,
    block: Fibers,
    images: list[ImageRow],
    position: tuple[float, float],
    exact: bool,
    asked: Instruments,
) -> Iterator[Flux]:
    """Yield what each image has under a fibre, if its diameter is known."""
    columns = {column.name: values for column, values in block.columns.items()}
    diameter = float(columns[FIBER_DIAMETER][0]) if FIBER_DIAMETER in columns else np.nan
    if not diameter > 0:
        return
    place = (float(block.ra[0]), float(block.dec[0]))
    what = f"fibre {diameter:g} arcsec wide, {fiber.name}"
    for row in images:
        yield from _of_image(row, place, position, diameter / 2.0, "fibre", what, exact, asked)


def _spectrum(
    fiber: FiberRow, block: Fibers, ra: float, dec: float, asked: Instruments
) -> SpectrumThere | None:
    assert block.error is not None and block.mask is not None
    try:
        scale = factor(block.unit, FLUX_DENSITY)
        to_angstrom = factor(block.wave.unit, "Angstrom")
    except UnitError:
        asked.say(f"{fiber.name} is left out: '{block.unit}' is no flux per wavelength")
        return None
    wave = block.wave.wavelength()
    wave = (wave[0] if wave.ndim == 2 else wave) * to_angstrom
    inside = np.isfinite(wave) & (block.mask[0] & np.uint32(value("outside")) == 0)
    if not inside.any():
        return None
    error = block.error[0].astype(np.float64) * scale
    return SpectrumThere(
        fiber.name,
        wave[inside],
        (block.flux[0].astype(np.float64) * scale)[inside],
        error[inside],
        (valid(block.mask[0]) & np.isfinite(error) & np.isfinite(block.flux[0]))[inside],
        _apart((float(block.ra[0]), float(block.dec[0])), (ra, dec)),
    )


def _through_bands(
    fiber: FiberRow,
    block: Fibers,
    position: tuple[float, float],
    least: float,
    asked: Instruments,
) -> Iterator[Flux]:
    """Yield the synthetic flux of a spectrum in each passband that it touches."""
    shot = fiber.shot()
    bands = asked.any_passbands(shot)
    assert block.error is not None
    if bands is None:
        asked.say(f"{fiber.name} goes through no passband: no instrument here gives any")
        return
    try:
        factor(block.unit, FLUX_DENSITY)
        wave = _in_angstrom(block.wave)
    except (UnitError, FrameError):
        return
    bridge = masked_by(block, 0, bands)
    for curve in bands.curves:
        found = synthetic_flux(
            wave, block.flux[0], block.error[0], curve, bridge=bridge, unit=block.unit, least=least
        )
        if not found.coverage > 0:
            continue
        notes = []
        if not np.isfinite(found.flux):
            notes.append(f"only {found.coverage:.3g} of the band, less than {least:g}")
        if found.bridged > 0.01:
            notes.append(f"{found.bridged:.2g} of the band interpolated")
        yield Flux(
            "synthetic", fiber.name, bands.name, curve.name, curve.pivot, found.flux, found.sigma,
            found.coverage, note="; ".join(notes),
            distance=_apart((float(block.ra[0]), float(block.dec[0])), position),
        )  # fmt: skip


def _in_angstrom(wave: Spectral) -> Spectral:
    scale = factor(wave.unit, "Angstrom")
    if scale == 1.0:
        return wave
    return replace(wave, values=wave.wavelength() * scale, first=0, count=0, step=0.0, traces=None,
                   unit="Angstrom")  # fmt: skip


def _catalogue_of_image(
    row: ImageRow, position: tuple[float, float], match: float, asked: Instruments
) -> Iterator[Flux]:
    shot = row.shot()
    try:
        part, _ = row.cutout(*position, 1)
    except QueryError:
        return
    for given in asked.catalogue(shot, part):
        distance = separation(given.ra, given.dec, *position)
        for place in np.flatnonzero(distance <= match).tolist():
            yield from _catalogued(row.name, shot, given, place, float(distance[place]), asked)


def _catalogue_of_fiber(
    row: FiberRow, block: Fibers, position: tuple[float, float], asked: Instruments
) -> Iterator[Flux]:
    shot = row.shot()
    for given in asked.catalogue(shot, block):
        distance = _apart((float(given.ra[0]), float(given.dec[0])), position)
        yield from _catalogued(row.name, shot, given, 0, distance, asked)


def _catalogued(
    name: str, shot: Any, given: Any, place: int, distance: float, asked: Instruments
) -> Iterator[Flux]:
    bands = asked.any_passbands(shot)
    if bands is None or given.band not in bands or not np.isfinite(given.flux[place]):
        return
    pivot = bands[given.band].pivot
    flux, sigma = (
        _nanomaggies(float(part[place]), given.unit, pivot) for part in (given.flux, given.sigma)
    )
    note = "" if np.isfinite(sigma) else "the catalogue gives no error"
    what = f"{given.kind}, {given.source}" if given.source else given.kind
    yield Flux(
        "catalogue", name, what, given.band, pivot, flux, sigma, distance=distance, note=note
    )


def _once(found: list[Flux]) -> Iterator[Flux]:
    """Leave out what several frames say in the same words and numbers."""
    seen = set()
    for flux in found:
        key = (flux.what, flux.band, flux.flux, flux.sigma if np.isfinite(flux.sigma) else None)
        if key not in seen:
            seen.add(key)
            yield flux


def _apart(first: tuple[float, float], second: tuple[float, float]) -> float:
    return float(separation(np.array(first[0]), np.array(first[1]), *second))
