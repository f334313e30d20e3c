"""One unit for images and spectra: flux densities per frequency, from those per wavelength too."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import QueryError, UnitError
from corecube.photometry.conversions import flambda_to_nmgy, jy_to_nmgy
from corecube.units import FLUX_DENSITY, factor

NANOMAGGY: Final = "nanomaggy"
STORED: Final = "stored"
UNITS: Final = (NANOMAGGY, STORED)


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
        return float(jy_to_nmgy(factor(unit, "Jy")))
    except UnitError:
        pass
    if wavelength is not None:
        try:
            return flambda_to_nmgy(factor(unit, FLUX_DENSITY), wavelength)
        except UnitError:
            pass
    raise QueryError(
        f"{name} is in '{unit}', which cannot be given in nanomaggies; ask for all as stored "
        f"(unit '{STORED}')"
    )


def scaled(values: npt.NDArray[Any], factor: float | npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """Return values times a factor, in their own type."""
    if isinstance(factor, float) and factor == 1.0:
        return values
    return np.asarray((values * factor).astype(values.dtype))
