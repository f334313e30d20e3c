"""Synthetic AB photometry: what a passband would have measured of the light of a spectrum.

The flux is the photon-weighted mean of f_nu, F = sum R f_nu dln(lambda) / sum R dln(lambda)
(Fukugita et al. 1996, AJ 111, 1748, equation 7). On a log-lambda grid these are plain sums, as in
the SDSS pipeline that makes SPECTROFLUX.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from corecube.frames import Fibers
from corecube.photometry.conversions import LIGHT_SPEED, NMGY_PER_CGS
from corecube.photometry.passbands import Passband, Passbands
from corecube.spectral import Spectral
from corecube.units import FLUX_DENSITY, factor

FloatArray = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

LEAST_COVERAGE = 0.95
"""Part of a passband below which a spectrum gives no flux in it, unless asked."""

ENOUGH_PIXELS = 4
"""Good pixels that a spectrum needs for interpolation over others to mean something."""


@dataclass(frozen=True)
class SyntheticFlux:
    """The flux of a spectrum in a passband.

    Attributes
    ----------
    band : str
    flux, sigma : float, nanomaggies
        NaN where the coverage is less than was asked for.
    coverage : float
        Part of the passband that the spectrum's pixels reach, 0 to 1.
    bridged : float
        Part of the passband whose pixels were interpolated, 0 to 1.
    """

    band: str
    flux: float
    sigma: float
    coverage: float
    bridged: float


def masked_by(fibers: Fibers, row: int, passbands: Passbands | None = None) -> Bools:
    """Return where pixels of a spectrum are bridged by interpolation in synthetic photometry.

    These are pixels without error, and those with a doubtful plane, with their neighbours. Without
    an instrument's word also those that an excluding plane of the core's mask names.

    Parameters
    ----------
    fibers : Fibers
        With errors.
    row : int
    passbands : Passbands, optional
        Of the instrument.

    Returns
    -------
    bool array (w,)
    """
    from corecube.masks import valid

    assert fibers.error is not None and fibers.mask is not None
    error, flux = fibers.error[row], fibers.flux[row]
    bad: Bools = ~(np.isfinite(error) & (error > 0) & np.isfinite(flux))
    if passbands is None or not any(name in fibers.bits for name in passbands.doubtful):
        return bad | ~valid(fibers.mask[row])
    doubtful = np.zeros(bad.shape, dtype=bool)
    for name, planes in passbands.doubtful.items():
        bits = fibers.bits.get(name)
        if bits is not None:
            value = sum(1 << bits.planes.index(plane) for plane in planes if plane in bits.planes)
            doubtful |= (bits.values[row] & bits.values.dtype.type(value)) != 0
    grown = doubtful.copy()
    for step in range(1, passbands.grow + 1):
        grown[step:] |= doubtful[:-step]
        grown[:-step] |= doubtful[step:]
    return bad | grown


def synthetic_flux(
    wave: Spectral | npt.ArrayLike,
    flux: npt.ArrayLike,
    error: npt.ArrayLike,
    passband: Passband,
    *,
    bridge: npt.ArrayLike | None = None,
    unit: str = FLUX_DENSITY,
    least: float = LEAST_COVERAGE,
    correlation: Sequence[float] = (),
) -> SyntheticFlux:
    """Return the AB flux of one spectrum in a passband.

    Parameters
    ----------
    wave : Spectral or float array (w,), Angstrom
        Of the pixels' centres; NaN is padding.
    flux, error : float arrays (w,)
        A flux per wavelength and its 1-sigma error.
    passband : Passband
    bridge : bool array (w,), optional
        Pixels whose f_nu is interpolated between their neighbours (the nearest at the ends), and
        which add nothing to sigma; without it those whose flux or error is not finite.
    unit : str
        Of flux and error.
    least : float
        Coverage below which flux and sigma are NaN; 0 takes all.
    correlation : sequence of float
        Of the errors of pixels 1, 2, ... apart; without it they are independent.

    Returns
    -------
    SyntheticFlux

    Raises
    ------
    UnitError
        If the unit is no flux per wavelength.
    """
    grid = wave if isinstance(wave, Spectral) else None
    centres = np.asarray(grid.wavelength() if grid is not None else wave, dtype=np.float64)
    centres = centres[0] if centres.ndim == 2 else centres
    scale = factor(unit, FLUX_DENSITY)
    values = np.asarray(flux, dtype=np.float64) * scale
    sigma = np.asarray(error, dtype=np.float64) * scale
    good = np.isfinite(values) & np.isfinite(sigma) & (sigma > 0)
    if bridge is not None:
        good = ~np.asarray(bridge, dtype=bool) & np.isfinite(values)
    inside = np.isfinite(centres)
    reach = np.flatnonzero(good & inside)
    if reach.size < ENOUGH_PIXELS:
        return SyntheticFlux(passband.name, np.nan, np.nan, 0.0, 0.0)
    # Padding beyond the spectrum is no part of it; what is bridged lies within, or at its ends.
    ends = np.flatnonzero(inside & np.isfinite(values))
    part = slice(int(ends[0]), int(ends[-1]) + 1)
    centres, values, sigma, good = centres[part], values[part], sigma[part], good[part]
    width, whole = _steps(centres, grid, passband)
    weight = passband.at(centres) * width
    total = float(weight.sum())
    coverage = min(total / whole, 1.0)
    if total <= 0 or coverage < least:
        return SyntheticFlux(passband.name, np.nan, np.nan, coverage, 0.0)
    to_nu = centres**2 / LIGHT_SPEED
    place = np.arange(centres.size)
    bridged = np.interp(place, place[good], (values * to_nu)[good])
    share = NMGY_PER_CGS * weight / total
    spread = np.where(good & np.isfinite(sigma), share * to_nu * sigma, 0.0)
    variance = float(np.sum(spread**2))
    for lag, rho in enumerate(correlation, 1):
        variance += 2.0 * rho * float(np.sum(spread[lag:] * spread[:-lag]))
    return SyntheticFlux(
        passband.name,
        float(np.sum(share * bridged)),
        float(np.sqrt(max(variance, 0.0))),
        coverage,
        float(weight[~good].sum() / total),
    )


def _steps(
    centres: FloatArray, grid: Spectral | None, passband: Passband
) -> tuple[FloatArray, float]:
    """Return the pixels' widths in ln(lambda), and the integral of the whole passband."""
    if grid is not None and grid.is_grid:
        first, last = np.log10(passband.wavelength[[0, -1]]) / grid.step
        index = np.arange(np.floor(first), np.ceil(last) + 1)
        whole = float(passband.at(np.power(10.0, grid.step * index)).sum())
        return np.ones(centres.size), whole
    logs = np.log(centres)
    middles = (logs[1:] + logs[:-1]) / 2.0
    edges = np.concatenate([[2 * logs[0] - middles[0]], middles, [2 * logs[-1] - middles[-1]]])
    return np.diff(edges), passband.photons
