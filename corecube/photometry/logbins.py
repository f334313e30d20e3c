"""Levels of spectra on a log-lambda grid: bins of 2^level pixels, numbered index >> level.

All spectra of a grid share their bins at every level. A bin's flux is the mean of its good pixels,
weighted by their widths in wavelength; no pixel is cut in two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    start, starts = bins_of(first, values.shape[-1], level)
    edges = bin_edges(start, starts.size, level, step)
    mean, spread, covered = means(values, sigma, use, width, starts)
    spread = np.where(covered > 0, spread, np.inf)
    return LogBins(level, start, edges, mean, spread, covered / np.diff(edges))


def bins_of(first: int, count: int, level: int) -> tuple[int, npt.NDArray[np.intp]]:
    """Return the number of the first bin, and where each begins among the pixels.

    Parameters
    ----------
    first, count : int
        Index of the first pixel, and how many there are.
    level : int
    """
    number = np.arange(first, first + count, dtype=np.int64) >> level
    starts = np.flatnonzero(np.diff(number, prepend=number[0] - 1))
    return int(number[0]), starts


def bin_edges(first: int, count: int, level: int, step: float) -> FloatArray:
    """Return the edges of bins of a log-lambda grid, float64 (count + 1,), Angstrom.

    Parameters
    ----------
    first, count : int
        Number of the first bin, and how many there are.
    level : int
    step : float
        Of the grid in log10(wavelength).
    """
    index = (np.arange(first, first + count + 1, dtype=np.int64) << level) - 0.5
    return np.asarray(np.power(10.0, step * index, dtype=np.float64))


def means(
    flux: npt.NDArray[Any],
    error: npt.NDArray[Any],
    good: npt.NDArray[np.bool_],
    width: FloatArray,
    starts: npt.NDArray[np.intp],
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return flux and error of bins of whole pixels, and the width that good pixels cover.

    F = sum_G w f / sum_G w and sigma = sqrt(sum_G w**2 s**2) / sum_G w over the good pixels G of
    a bin; NaN where there is none.

    Parameters
    ----------
    flux, error : float arrays (..., w)
    good : bool array (..., w)
    width : float64 array (w,)
    starts : int array (m,)
        First pixel of each bin.

    Returns
    -------
    flux, error, covered : float64 arrays (..., m)
    """
    weight = np.where(good, width, 0.0)

    def summed(part: FloatArray) -> FloatArray:
        return np.asarray(np.add.reduceat(part, starts, axis=-1), dtype=np.float64)

    covered = summed(weight)
    total = summed(weight * np.where(good, flux, 0.0))
    variance = summed((weight * np.where(good, error, 0.0)) ** 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / covered, np.sqrt(variance) / covered, covered
