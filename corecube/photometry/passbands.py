"""Passbands: transmission curves, their pivot wavelengths, and several merged into one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from corecube.errors import FrameError

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Passband:
    """The response of telescope, filter and detector to photons, linear between its points.

    Attributes
    ----------
    name : str
        Of the band, as images have it.
    wavelength : float64 array (k,), Angstrom
        Rising.
    response : float64 array (k,)
        Electrons per photon, up to a factor; zero outside of the points.
    source : str
        Where the curve comes from.
    """

    name: str
    wavelength: FloatArray
    response: FloatArray
    source: str = ""

    def __post_init__(self) -> None:
        wavelength = np.asarray(self.wavelength, dtype=np.float64)
        response = np.asarray(self.response, dtype=np.float64)
        if wavelength.ndim != 1 or wavelength.shape != response.shape or wavelength.size < 2:
            raise FrameError(
                f"passband '{self.name}': wavelength {wavelength.shape} and response "
                f"{response.shape} must be of one dimension and of one length, at least 2"
            )
        if not (np.all(np.diff(wavelength) > 0) and wavelength[0] > 0):
            raise FrameError(f"passband '{self.name}': wavelengths must be positive and rise")
        if not (np.all(np.isfinite(response)) and np.all(response >= 0) and response.max() > 0):
            raise FrameError(
                f"passband '{self.name}': responses must be finite, not negative, and not all zero"
            )
        object.__setattr__(self, "wavelength", wavelength)
        object.__setattr__(self, "response", response)

    def at(self, wavelength: npt.ArrayLike) -> FloatArray:
        """Return the response at some wavelengths in Angstrom, zero outside of the curve."""
        where = np.asarray(wavelength, dtype=np.float64)
        return np.interp(where, self.wavelength, self.response, left=0.0, right=0.0)

    def reaches(self, low: float, high: float, part: float = 0.01) -> bool:
        """Tell whether the curve is above a part of its peak somewhere from `low` to `high`.

        Parameters
        ----------
        low, high : float, Angstrom
        part : float
        """
        inside = self.wavelength[(self.wavelength > low) & (self.wavelength < high)]
        there = self.at(np.concatenate([[low], inside, [high]]))
        return bool(there.max() > part * self.response.max())

    @cached_property
    def pivot(self) -> float:
        """The pivot wavelength in Angstrom, by which f_nu and f_lambda are converted.

        pivot^2 = int R lambda dlambda / int R / lambda dlambda, exact for the linear pieces
        (Koornneef et al. 1986, Highlights of Astronomy 7, 833).
        """
        a, b = self.wavelength[:-1], self.wavelength[1:]
        slope = np.diff(self.response) / (b - a)
        start = self.response[:-1] - slope * a
        upper = np.sum(start * (b**2 - a**2) / 2.0 + slope * (b**3 - a**3) / 3.0)
        lower = np.sum(start * np.log(b / a) + slope * (b - a))
        return float(np.sqrt(upper / lower))

    @cached_property
    def photons(self) -> float:
        """The integral of R dln(lambda), exact for the linear pieces."""
        a, b = self.wavelength[:-1], self.wavelength[1:]
        slope = np.diff(self.response) / (b - a)
        start = self.response[:-1] - slope * a
        return float(np.sum(start * np.log(b / a) + slope * (b - a)))


@dataclass(frozen=True, eq=False)
class Merged:
    """The largest of several responses at each wavelength, and whose it is.

    Attributes
    ----------
    wavelength, response : float64 arrays (k,)
    band : tuple of str, k
        "" where all are zero.
    """

    wavelength: FloatArray
    response: FloatArray
    band: tuple[str, ...]

    def at(self, wavelength: npt.ArrayLike) -> FloatArray:
        """Return the response at some wavelengths in Angstrom, zero outside."""
        where = np.asarray(wavelength, dtype=np.float64)
        return np.interp(where, self.wavelength, self.response, left=0.0, right=0.0)

    def weighted(
        self, wavelength: npt.ArrayLike, flux: npt.ArrayLike, error: npt.ArrayLike
    ) -> tuple[FloatArray, FloatArray]:
        """Return a spectrum and its 1-sigma error with the transmission applied.

        A weight without unit and without normalisation: it is no photometry.

        Parameters
        ----------
        wavelength : float array (w,), Angstrom
        flux, error : float arrays (..., w)
        """
        weight = self.at(wavelength)
        exact = (np.asarray(part, dtype=np.float64) for part in (flux, error))
        first, second = (part * weight for part in exact)
        return first, second


@dataclass(frozen=True, eq=False)
class Passbands:
    """The passbands of an instrument, and which pixels of its spectra are not to be trusted.

    Attributes
    ----------
    name : str
        Of the set.
    curves : tuple of Passband
        By rising wavelength.
    doubtful : mapping of str to tuple of str
        Planes of a spectrum's own bits, by name of the bits, whose pixels are bridged by
        interpolation when a spectrum goes through a passband.
    grow : int
        Pixels on either side of these that are bridged too.
    """

    name: str
    curves: tuple[Passband, ...]
    doubtful: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    grow: int = 0

    def __post_init__(self) -> None:
        names = [curve.name for curve in self.curves]
        if len(set(names)) != len(names):
            raise FrameError(f"passbands '{self.name}': two curves have the same name")

    def __getitem__(self, band: str) -> Passband:
        """Return a curve.

        Raises
        ------
        KeyError
            If there is none of this name.
        """
        for curve in self.curves:
            if curve.name == band:
                return curve
        raise KeyError(band)

    def __contains__(self, band: Any) -> bool:
        """Tell whether there is a curve of a band."""
        return any(curve.name == band for curve in self.curves)

    def merged(self) -> Merged:
        """Return the largest response at each wavelength that any curve names, and its band."""
        wavelength = np.unique(np.concatenate([curve.wavelength for curve in self.curves]))
        responses = np.stack([curve.at(wavelength) for curve in self.curves])
        best = responses.argmax(axis=0)
        highest = responses.max(axis=0)
        band = tuple(
            self.curves[place].name if value > 0 else ""
            for place, value in zip(best.tolist(), highest.tolist(), strict=True)
        )
        return Merged(wavelength, highest, band)
