"""Levels of spectra: weighted means over bins that all spectra of a grid share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.masks import MaskArray, valid
from corecube.photometry.logbins import bin_edges, bins_of, means
from corecube.photometry.rebinning import pixel_edges
from corecube.spectral import Spectral

FloatArray = npt.NDArray[np.float64]

FEWEST: Final = 200
"""Pairs of neighbours from which a correlation is taken; it then scatters by 0.07."""


@dataclass(frozen=True)
class SpectrumLevel:
    """One level of a spectrum.

    With the good pixels G of a bin (no excluding plane; flux and error finite) and their widths w:
    F = sum_G w f / sum_G w, sigma = sqrt(sum_G w**2 s**2) / sum_G w. Pixels are taken as
    independent; `correlations` says how far they are not.

    Attributes
    ----------
    level : int
    first : int
        Number of the first bin: of a grid index >> level, so that all spectra of the grid have
        their bins at the same wavelengths; else the pixel >> level.
    edges : float64 array (n + 1,)
        Of the bins, rising. Of a grid those of whole bins, also where the spectrum ends in one.
    flux, error : float array (n,)
        NaN where a bin has no good pixel.
    mask : uint32 array (n,)
        All planes set anywhere in the bin.
    coverage : float32 array (n,)
        sum_G w over the width of the bin.
    """

    level: int
    first: int
    edges: FloatArray
    flux: npt.NDArray[Any]
    error: npt.NDArray[Any]
    mask: MaskArray
    coverage: npt.NDArray[np.float32]


def spectrum_level(
    flux: npt.NDArray[Any],
    error: npt.NDArray[Any],
    mask: MaskArray,
    wave: Spectral,
    level: int,
    first: int = 0,
) -> SpectrumLevel:
    """Return a level of a spectrum, from its pixels.

    Parameters
    ----------
    flux, error : float array (w,)
        A density in wavelength.
    mask : uint32 array (w,)
    wave : Spectral
        Of these pixels, without NaN, at least one.
    level : int
        Bins of 2**level pixels; 0 gives the pixels themselves, NaN where one is not good.
    first : int
        Number of the first pixel where there is no grid.
    """
    edges = _edges(wave)
    widths = np.diff(edges)
    start = wave.first if wave.is_grid else first
    low, begins = bins_of(start, flux.size, level)
    if wave.is_grid:
        whole = bin_edges(low, begins.size, level, wave.step)
    else:
        whole = np.append(edges[begins], edges[-1])
    good = valid(mask) & np.isfinite(flux) & np.isfinite(error) & np.isfinite(widths)
    mean, sigma, covered = means(flux, error, good, widths, begins)
    return SpectrumLevel(
        level, low, whole,
        mean.astype(flux.dtype), sigma.astype(error.dtype),
        np.asarray(np.bitwise_or.reduceat(mask, begins), dtype=np.uint32),
        np.minimum(covered / np.diff(whole), 1.0).astype(np.float32),
    )  # fmt: skip


def _edges(wave: Spectral) -> FloatArray:
    """Return the edges of the pixels of one spectrum; a single one is taken as 1 wide."""
    if wave.is_grid or wave.wavelength().size > 1:
        return pixel_edges(wave)
    (centre,) = wave.wavelength().reshape(-1)
    return np.array([centre - 0.5, centre + 0.5])


def correlations(
    flux: npt.NDArray[Any], error: npt.NDArray[Any], mask: MaskArray, model: npt.NDArray[Any]
) -> tuple[float, float] | None:
    """Return how (flux - model) / error of a pixel is correlated with the next, and the one after.

    The means are over pairs of good pixels. Where the model misfits, as for bright objects, the
    numbers hold the misfit too.

    Parameters
    ----------
    flux, error, model : float array (w,)
        A model of 0 is none.
    mask : uint32 array (w,)

    Returns
    -------
    (lag1, lag2) or None
        None with fewer than 200 pairs.
    """
    good = valid(mask) & np.isfinite(flux) & np.isfinite(error) & np.isfinite(model)
    good &= (error > 0) & (model != 0)
    if np.count_nonzero(good[1:] & good[:-1]) < FEWEST:
        return None
    pulls = np.zeros(flux.size)
    pulls[good] = (flux[good].astype(np.float64) - model[good]) / error[good]
    pulls[good] -= pulls[good].mean()
    variance = float(np.mean(pulls[good] ** 2))
    found = []
    for lag in (1, 2):
        pairs = good[lag:] & good[:-lag]
        found.append(float(np.mean((pulls[lag:] * pulls[:-lag])[pairs])) / variance)
    return found[0], found[1]


def variance_factor(lags: tuple[float, float], pixels: int) -> float:
    """Return by how much correlated neighbours raise the variance of a mean of `pixels` pixels."""
    return 1.0 + 2.0 * sum(
        (1.0 - lag / pixels) * rho for lag, rho in enumerate(lags, start=1) if lag < pixels
    )
