"""One unit for images and spectra: flux densities per frequency, from those per wavelength too."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import QueryError, UnitError
from corecube.units import factor

NANOMAGGY: Final = "nanomaggy"
STORED: Final = "stored"
UNITS: Final = (NANOMAGGY, STORED)

JANSKY: Final = 3.631e-6
"""Jy in a nanomaggy: 3631 Jy is an AB magnitude of 0 (Oke and Gunn 1983, ApJ 266, 713)."""

LIGHT_SPEED: Final = 2.99792458e18
"""Angstrom / s, exact (SI)."""

_PER_WAVELENGTH: Final = "erg / (Angstrom s cm2)"
_TO_JANSKY: Final = 1e23
"""Jy in erg / (s cm2 Hz)."""


def to_nanomaggies(
    unit: str, wavelength: npt.NDArray[np.float64] | None, name: str
) -> float | npt.NDArray[np.float64]:
    """Return what values in a unit are multiplied by to be nanomaggies.

    A density per wavelength becomes one per frequency at the wavelength of each bin, f_nu =
    f_lambda lambda**2 / c: no filter is involved. Pixels of images in nanomaggies are what they
    were.

    Parameters
    ----------
    unit : str
    wavelength : float64 array (n,), Angstrom; or None
        None for images.
    name : str
        Of the image or spectrum, for errors.

    Raises
    ------
    QueryError
        If the unit is no flux density, or an image's density is one per wavelength.
    """
    if unit == NANOMAGGY:
        return 1.0
    try:
        return factor(unit, "Jy") / JANSKY
    except UnitError:
        pass
    if wavelength is not None:
        try:
            per_angstrom: Any = factor(unit, _PER_WAVELENGTH)
        except UnitError:
            pass
        else:
            return np.asarray(per_angstrom * wavelength**2 / LIGHT_SPEED * (_TO_JANSKY / JANSKY))
    raise QueryError(
        f"{name} is in '{unit}', which cannot be given in nanomaggies; ask for all as stored "
        f"(unit '{STORED}')"
    )
