"""Conversions of fluxes by name: nanomaggies, Jy, AB and asinh magnitudes, flux per wavelength.

1 maggy is the flux of AB magnitude 0, and AB = -2.5 log10(f_nu) - 48.6 with f_nu in
erg / (s cm2 Hz) (Oke and Gunn 1983, ApJ 266, 713), so that 1 nanomaggy is 10^-28.44 of these or
3.6307805e-6 Jy. Files that say 3.631e-6 are off by 6e-5. Asinh magnitudes: Lupton, Gunn and Szalay
1999, AJ 118, 1406. Negative fluxes are legal in all but AB magnitudes, where they give NaN.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

LIGHT_SPEED: Final = 2.99792e18
"""Angstrom / s, with the digits of the SDSS pipeline (7e-7 below the exact value)."""

NMGY_PER_CGS: Final = 10.0 ** ((22.5 + 48.6 - 42.5) / 2.5)
"""Nanomaggies in 1e-17 erg / (s cm2 Hz): 2.7542287e11."""

JY_PER_NMGY: Final = 10.0 ** (-28.44 + 23.0)
"""3.6307805e-6."""

FLAMBDA_PER_NMGY: Final = 10.0 ** (-28.44 + 17.0) * 2.99792458e18  # the exact speed of light
"""1.0884806e7: 1e-17 erg / (s cm2 Angstrom) of 1 nanomaggy, times the square of the pivot."""

MAG_PER_RELATIVE: Final = 2.5 / np.log(10.0)
"""1.0857362."""


def nmgy_to_jy(flux: npt.ArrayLike) -> FloatArray:
    """Return nanomaggies in Jy."""
    return np.asarray(flux, dtype=np.float64) * JY_PER_NMGY


def jy_to_nmgy(flux: npt.ArrayLike) -> FloatArray:
    """Return Jy in nanomaggies."""
    return np.asarray(flux, dtype=np.float64) / JY_PER_NMGY


def nmgy_to_flambda(flux: npt.ArrayLike, pivot: npt.ArrayLike) -> FloatArray:
    """Return nanomaggies in 1e-17 erg / (s cm2 Angstrom), by the pivot wavelength in Angstrom."""
    return np.asarray(flux, dtype=np.float64) * FLAMBDA_PER_NMGY / np.square(pivot)


def flambda_to_nmgy(flux: npt.ArrayLike, pivot: npt.ArrayLike) -> FloatArray:
    """Return 1e-17 erg / (s cm2 Angstrom) in nanomaggies; see `nmgy_to_flambda`."""
    return np.asarray(flux, dtype=np.float64) * np.square(pivot) / FLAMBDA_PER_NMGY


def nmgy_to_ab(flux: npt.ArrayLike, sigma: npt.ArrayLike = np.nan) -> tuple[FloatArray, FloatArray]:
    """Return AB magnitudes and their 1-sigma errors; NaN where the flux is not positive.

    Parameters
    ----------
    flux, sigma : float arrays, nanomaggies
    """
    values, spread = (np.asarray(part, dtype=np.float64) for part in (flux, sigma))
    with np.errstate(invalid="ignore", divide="ignore"):
        positive = np.where(values > 0, values, np.nan)
        return 22.5 - 2.5 * np.log10(positive), MAG_PER_RELATIVE * spread / positive


def ab_to_nmgy(magnitude: npt.ArrayLike) -> FloatArray:
    """Return the flux in nanomaggies of AB magnitudes."""
    return np.power(10.0, (22.5 - np.asarray(magnitude, dtype=np.float64)) / 2.5)


def nmgy_to_asinh(
    flux: npt.ArrayLike, softening: npt.ArrayLike, sigma: npt.ArrayLike = np.nan
) -> tuple[FloatArray, FloatArray]:
    """Return asinh magnitudes and their 1-sigma errors, of negative fluxes too.

    Parameters
    ----------
    flux, sigma : float arrays, nanomaggies
    softening : float array
        b of the band, in maggies.
    """
    b = np.asarray(softening, dtype=np.float64)
    values, spread = (1e-9 * np.asarray(part, dtype=np.float64) for part in (flux, sigma))
    magnitude = -MAG_PER_RELATIVE * (np.arcsinh(values / (2.0 * b)) + np.log(b))
    return magnitude, MAG_PER_RELATIVE * spread / np.sqrt(values**2 + 4.0 * b**2)


def asinh_to_nmgy(magnitude: npt.ArrayLike, softening: npt.ArrayLike) -> FloatArray:
    """Return the flux in nanomaggies of asinh magnitudes; `softening` is in maggies."""
    b = np.asarray(softening, dtype=np.float64)
    values = np.asarray(magnitude, dtype=np.float64)
    result: Any = 2e9 * b * np.sinh(-values / MAG_PER_RELATIVE - np.log(b))
    return np.asarray(result, dtype=np.float64)
