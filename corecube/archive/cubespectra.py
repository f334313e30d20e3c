"""What a spectrum gives to a cube: itself at a level, and on request times the passbands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from corecube.archive.cubeparts import CubePart
from corecube.archive.cubeunits import NANOMAGGY, scaled, to_nanomaggies
from corecube.archive.spectrallevels import correlations, spectrum_level, variance_factor
from corecube.frames import Fibers
from corecube.masks import MaskArray, value
from corecube.photometry.passbands import Passbands


def spectrum_parts(
    fibers: Fibers,
    name: str,
    level: int,
    wavelength: tuple[float, float] | None,
    unit: str,
    bands: Passbands | None = None,
) -> Iterator[CubePart]:
    """Yield the part of a spectrum, and with passbands the same times their merged curve.

    Each pixel and its error are multiplied by the response at its wavelength, and levels are made
    of the products, by the rule of all spectra. Pixels without any response are not good.

    Parameters
    ----------
    fibers : Fibers
        One row, with errors and mask.
    name : str
        Full name.
    level : int
    wavelength : (float, float) or None
        Bins that reach into it, Angstrom.
    unit : {"nanomaggy", "stored"}
    bands : Passbands or None
    """
    assert fibers.error is not None and fibers.mask is not None
    wave = np.atleast_2d(fibers.wave.wavelength())[0]
    outside = (fibers.mask[0] & np.uint32(value("outside"))) != 0
    places = np.flatnonzero(np.isfinite(wave) & ~outside)
    measured = fibers.wave.unit != "pix"
    if not places.size or (wavelength is not None and not measured):
        return
    use = slice(int(places[0]), int(places[-1]) + 1)
    flux, error = fibers.flux[0, use], fibers.error[0, use]
    about = _said(fibers, flux, error, fibers.mask[0, use], use, level)
    part = _part(fibers, name, use, flux, error, level, wavelength, about)
    if part is None:
        return
    yield _in_unit(part, unit, measured)
    if bands is None or not measured:
        return
    merged = bands.merged()
    response = merged.at(wave[use])
    products = merged.weighted(wave[use], flux, error)
    flux, error = (np.where(response > 0, product, np.nan) for product in products)
    about = about | {"weighted": bands.name}
    weighted = _part(fibers, name, use, flux, error, level, wavelength, about)
    assert weighted is not None
    yield _in_unit(
        replace(
            weighted, kind="weighted",
            flux=weighted.flux.astype(part.flux.dtype),
            error=weighted.error.astype(part.error.dtype),
        ),
        unit, measured,
    )  # fmt: skip


def _part(
    fibers: Fibers,
    name: str,
    pixels: slice,
    flux: npt.NDArray[Any],
    error: npt.NDArray[Any],
    level: int,
    wavelength: tuple[float, float] | None,
    about: dict[str, Any],
) -> CubePart | None:
    """Return a level of some pixels in the unit as stored, None if it has no bin there."""
    assert fibers.mask is not None
    mask = fibers.mask[0, pixels]
    found = spectrum_level(
        flux, error, mask, fibers.wave.part(pixels.start, pixels.stop), level, pixels.start
    )
    begin, end = 0, len(found.flux)
    if wavelength is not None:
        low, high = wavelength
        bins = np.flatnonzero((found.edges[:-1] < high) & (found.edges[1:] > low))
        if not bins.size:
            return None
        begin, end = int(bins[0]), int(bins[-1]) + 1
    use = slice(begin, end)
    start, end_time = (
        np.array(np.ravel(time)[0], dtype=np.float64)
        for time in (fibers.times.start, fibers.times.end)
    )
    return CubePart(
        "spectrum", name, "", fibers.target[0] if fibers.target else "", level, fibers.unit,
        found.flux[use], found.error[use], found.mask[use], found.coverage[use], start, end_time,
        (found.first + begin,), edges=found.edges[begin : end + 1],
        ra=float(fibers.ra[0]), dec=float(fibers.dec[0]), about=about,
    )  # fmt: skip


def _in_unit(part: CubePart, unit: str, measured: bool) -> CubePart:
    if unit != NANOMAGGY:
        return part
    factor = to_nanomaggies(part.unit, part.wavelength if measured else None, part.name)
    return replace(
        part, unit=NANOMAGGY, flux=scaled(part.flux, factor), error=scaled(part.error, factor)
    )


def _said(
    fibers: Fibers, flux: Any, error: Any, mask: MaskArray, part: slice, level: int
) -> dict[str, Any]:
    model = fibers.layers.get("model")
    lags = None
    if model is not None and model.values.shape == fibers.flux.shape:
        lags = correlations(flux, error, mask, model.values[0, part])
    grid = fibers.wave.is_grid
    return {
        "wavelengths": {
            "unit": fibers.wave.unit, "medium": fibers.wave.medium,
            "specsys": fibers.wave.specsys, "step": fibers.wave.step if grid else None,
        },
        "rule": "bin = index >> level" if grid else "bin = pixel >> level",
        "pixels": part.stop - part.start,
        "lag1": None if lags is None else lags[0],
        "lag2": None if lags is None else lags[1],
        "bin variance over independent":
            None if lags is None else variance_factor(lags, 1 << level),
    }  # fmt: skip
