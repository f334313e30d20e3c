"""Levels of spectra on a log-lambda grid: bins of 2^level pixels, numbered index >> level.

All spectra of a grid share their bins at every level. A bin's flux is the mean of its good pixels,
weighted by their widths in wavelength; no pixel is cut in two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from corecube.photometry.rebinning import log_edges

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LogBins:
    """A level of one spectrum, or of many on the same pixels.

    Attributes
    ----------
    level : int
    first : int
        Number of the first bin.
    edges : float64 array (m + 1,), Angstrom
    flux : float64 array (..., m)
        NaN where there is no good pixel.
    error : float64 array (..., m)
        1-sigma for independent pixels, infinite where there is none.
    coverage : float64 array (..., m)
        Part of the bin that good pixels cover.
    """

    level: int
    first: int
    edges: FloatArray
    flux: FloatArray
    error: FloatArray
    coverage: FloatArray


def log_bins(
    first: int,
    flux: npt.ArrayLike,
    error: npt.ArrayLike,
    level: int,
    good: npt.ArrayLike | None = None,
    step: float = 1e-4,
) -> LogBins:
    """Return a level of spectra; level 0 are the pixels themselves.

    Parameters
    ----------
    first : int
        Grid index of the first pixel.
    flux, error : float arrays (..., w)
    level : int
    good : bool array (..., w), optional
        Without it all with a finite flux and a positive, finite error.
    step : float
        Of the grid in log10(wavelength).
    """
    values, sigma = (np.asarray(part, dtype=np.float64) for part in (flux, error))
    use = np.isfinite(values) & np.isfinite(sigma) & (sigma > 0)
    if good is not None:
        use &= np.asarray(good, dtype=bool)
    width = np.diff(log_edges(first, values.shape[-1], step))
    number = np.arange(first, first + values.shape[-1]) >> level
    starts = np.flatnonzero(np.diff(number, prepend=number[0] - 1))
    weight = np.where(use, width, 0.0)

    def summed(part: FloatArray) -> FloatArray:
        return np.asarray(np.add.reduceat(part, starts, axis=-1), dtype=np.float64)

    covered = summed(weight)
    total = summed(weight * np.where(use, values, 0.0))
    variance = summed((weight * np.where(use, sigma, 0.0)) ** 2)
    count = starts.size
    start = int(number[0])
    index = np.arange(start, start + count + 1, dtype=np.float64) * 2.0**level
    edges = np.power(10.0, step * (index - 0.5))
    with np.errstate(invalid="ignore", divide="ignore"):
        something = covered > 0
        return LogBins(
            level,
            start,
            edges,
            np.where(something, total / covered, np.nan),
            np.where(something, np.sqrt(variance) / covered, np.inf),
            covered / np.diff(edges),
        )
