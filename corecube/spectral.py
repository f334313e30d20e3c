"""Wavelengths of spectra, and the one convention for log-lambda grids.

A grid that is uniform in log10(wavelength) is two integers and a step: pixel k has the wavelength
``10 ** (step * (first + k))``. With SDSS's step of 1e-4 the integer is
``round(1e4 * log10(wavelength / Angstrom))``; the float32 ``loglam`` of the files is up to 2.4e-7
off it and never compares equal between files (SDSS data model, page "spec").
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from corecube.errors import FrameError
from corecube.tracesets import TraceSet
from corecube.units import check

Medium = Literal["air", "vacuum", ""]
SpecSys = Literal["topocentric", "heliocentric", "barycentric", ""]

LOG_STEP = 1e-4
"""Step of the SDSS and BOSS grids in log10(wavelength / Angstrom)."""

_LAST_INDEX = 10**6
"""Beyond all wavelengths: 1e100 Angstrom."""

_GRID_TOLERANCE = 0.01
"""Steps; float32 rounding of `loglam` is 0.0024 steps at most in real files."""


def log_index(loglam: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the integer grid index of log10(wavelength / Angstrom).

    Parameters
    ----------
    loglam : float array, any shape
        log10 of the wavelength in Angstrom.

    Raises
    ------
    FrameError
        If a value is farther than 0.01 steps from the grid.
    """
    exact = np.asarray(loglam, dtype=np.float64) / LOG_STEP
    index = np.rint(np.clip(exact, -_LAST_INDEX, _LAST_INDEX))
    if not np.all(np.abs(exact - index) <= _GRID_TOLERANCE):
        raise FrameError("wavelengths are not on the grid round(1e4 log10 wavelength)")
    return index.astype(np.int64)


@dataclass(frozen=True)
class Spectral:
    """The wavelengths of the pixels of one or many spectra.

    Either `values`, or `first`, `count` and `step`, or `traces` with `count`.

    Attributes
    ----------
    values : float64 array (w,) or (n, w), rising; or None
        NaN is allowed as padding.
    first, count : int
        Grid index of the first pixel, and the number of pixels.
    step : float
        Step of the grid in log10(wavelength).
    traces : TraceSet or None
        log10(wavelength) of n fibres at the positions ``xmin + k`` of pixels k = 0 .. count - 1;
        only the coefficients are stored.
    unit : str
        ``Angstrom``, or ``pix`` where there is no wavelength solution.
    medium : {"air", "vacuum", ""}
    specsys : {"topocentric", "heliocentric", "barycentric", ""}
    """

    values: npt.NDArray[np.float64] | None = None
    first: int = 0
    count: int = 0
    step: float = 0.0
    unit: str = "Angstrom"
    medium: Medium = ""
    specsys: SpecSys = ""
    traces: TraceSet | None = None

    def __post_init__(self) -> None:
        check(self.unit)
        for name, allowed in (("medium", Medium), ("specsys", SpecSys)):
            if getattr(self, name) not in get_args(allowed):
                raise FrameError(
                    f"wavelengths: {name} '{getattr(self, name)}' is none of {get_args(allowed)}"
                )
        given = (self.values is not None, self.step != 0.0, self.traces is not None)
        if sum(given) != 1:
            raise FrameError(
                "wavelengths are either values, a grid (first, count, step), or traces"
            )
        if self.traces is not None:
            if self.count < 1:
                raise FrameError("wavelengths by traces need count >= 1")
            _rising(self.wavelength())
            return
        if self.values is None:
            if self.count < 0 or not self.step > 0:
                raise FrameError("a wavelength grid needs count >= 0 and step > 0")
            return
        values = np.asarray(self.values, dtype=np.float64)
        if values.ndim not in (1, 2):
            raise FrameError(f"wavelengths must be (w,) or (n, w), not {values.shape}")
        _rising(values)
        object.__setattr__(self, "values", values)

    @classmethod
    def log_grid(
        cls, first: int, count: int, medium: Medium = "", specsys: SpecSys = ""
    ) -> Spectral:
        """Return the SDSS grid (step 1e-4, Angstrom) from index `first` on."""
        return cls(first=first, count=count, step=LOG_STEP, medium=medium, specsys=specsys)

    @property
    def is_grid(self) -> bool:
        """True if only `first`, `count` and `step` are kept."""
        return self.step != 0.0

    @property
    def size(self) -> int:
        """Number of pixels of a spectrum."""
        return self.count if self.values is None else int(self.values.shape[-1])

    def wavelength(self) -> npt.NDArray[np.float64]:
        """Return the wavelengths of the pixel centres, float64 (w,) or (n, w)."""
        if self.values is not None:
            return self.values
        if self.traces is not None:
            where = self.traces.xmin + np.arange(self.count)
            return np.power(10.0, self.traces.evaluate(where), dtype=np.float64)
        exponent = self.step * np.arange(self.first, self.first + self.count, dtype=np.float64)
        return np.power(10.0, exponent, dtype=np.float64)

    def part(self, first: int, last: int) -> Spectral:
        """Return the wavelengths of the pixels `first` to `last` (exclusive) of one spectrum.

        Of several rows the first is taken; traces become values.
        """
        if self.is_grid:
            return replace(self, first=self.first + first, count=last - first)
        values = np.atleast_2d(self.wavelength())[0, first:last]
        return Spectral(values, unit=self.unit, medium=self.medium, specsys=self.specsys)

    def describe(self) -> dict[str, Any]:
        """Return everything but `values` and the traces' coefficients as plain JSON."""
        description: dict[str, Any] = {
            "unit": self.unit, "medium": self.medium, "specsys": self.specsys,
        }  # fmt: skip
        if self.is_grid:
            description |= {"first": self.first, "count": self.count, "step": self.step}
        if self.traces is not None:
            description |= {"count": self.count, "traces": self.traces.describe()}
        return description


def _rising(values: npt.NDArray[np.float64]) -> None:
    highest = np.fmax.accumulate(values, axis=-1)  # looks over NaN
    if np.any(values[..., 1:] <= highest[..., :-1]):
        raise FrameError("wavelengths must rise along the spectrum")
