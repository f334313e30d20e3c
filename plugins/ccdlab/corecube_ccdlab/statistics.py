"""Statistics of pixels: clipped means, noise of pairs, medians of stacks, photon transfer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]

CLIP: Final = 5.0
"""Standard deviations beyond which a value is left out of means and scatters."""

_NODES: Final = 80
"""Of the Gauss-Legendre integration."""


@dataclass(frozen=True)
class Clipped:
    """Mean and scatter of the values within 5 standard deviations of their median.

    Attributes
    ----------
    mean, std : float
        The scatter with ddof 0.
    count : int
        Values that are left.
    """

    mean: float
    std: float
    count: int


def clipped(values: npt.NDArray[Any]) -> Clipped:
    """Return mean and scatter without outliers.

    Values farther than 5 standard deviations from the median are dropped, until none is.

    Parameters
    ----------
    values : array of any shape
    """
    left = np.asarray(values, dtype=np.float64).ravel()
    left = left[np.isfinite(left)]
    while left.size:
        std = float(left.std())
        good = np.abs(left - np.median(left)) <= CLIP * std
        if good.all():
            return Clipped(float(left.mean()), std, int(left.size))
        left = left[good]
    return Clipped(math.nan, math.nan, 0)


def clipped_means(values: npt.NDArray[Any], axis: int) -> npt.NDArray[np.float64]:
    """Return the mean along an axis without values 5 scatters (of all) from the median.

    Parameters
    ----------
    values : array (ny, nx)
    axis : int

    Returns
    -------
    float64 array
    """
    given = np.asarray(values, dtype=np.float64)
    middle = np.median(given, axis=axis, keepdims=True)
    distance = np.abs(given - middle)
    spread = clipped(given - middle).std
    with np.errstate(invalid="ignore"):
        good = distance <= max(CLIP * spread, 1.0)
    count = good.sum(axis=axis)
    total = np.where(good, given, 0.0).sum(axis=axis)
    plain = middle.squeeze(axis)
    return np.where(count > 0, total / np.maximum(count, 1), plain)


def pair_noise(first: Floats, second: Floats, valid: Bools | None = None) -> float:
    """Return the noise of one of two equal exposures: clipped scatter of the difference, /sqrt(2).

    Medians of absolute deviations are of no use here: differences of integers are integers.
    """
    difference = np.subtract(first, second, dtype=np.float64)
    if valid is not None:
        difference = difference[valid]
    return clipped(difference).std / math.sqrt(2.0)


@lru_cache(maxsize=256)
def median_factor(count: int) -> float:
    """Return c: the variance of the median of `count` equal Gaussian values is c sigma^2 / count.

    By numerical integration of the density of the middle order statistic (odd), or of the mean of
    the two middle ones (even); H. A. David, Order Statistics (1981), chapter 2.

    Parameters
    ----------
    count : int
        At least 1.
    """
    if count <= 2:
        return 1.0
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    reach = min(8.5, 12.0 * math.sqrt(math.pi / 2.0 / count))  # twelve sigma of the median
    u = reach * nodes
    erf = np.vectorize(math.erf, otypes=[np.float64])
    if count % 2:
        m = count // 2
        scale = math.lgamma(count + 1) - 2.0 * math.lgamma(m + 1)
        below = (1.0 + erf(u / math.sqrt(2.0))) / 2.0
        with np.errstate(divide="ignore"):
            log = scale + m * (np.log(below) + np.log1p(-below)) - u * u / 2.0
        density = np.exp(log) / math.sqrt(2.0 * math.pi)
        return float(count * reach * np.sum(weights * u * u * density))
    m = count // 2
    # half the distance of the two middle values, which falls like exp(-1.6 n t) or faster
    far = min(reach, 25.0 / count)
    t = far * (nodes + 1.0) / 2.0
    uu, tt = np.meshgrid(u, t, indexing="ij")
    scale = math.lgamma(count + 1) - 2.0 * math.lgamma(m)
    below = (1.0 + erf((uu - tt) / math.sqrt(2.0))) / 2.0
    above = (1.0 - erf((uu + tt) / math.sqrt(2.0))) / 2.0
    with np.errstate(divide="ignore"):
        log = scale + (m - 1) * (np.log(below) + np.log(above)) - uu * uu - tt * tt
    density = 2.0 * np.exp(log) / (2.0 * math.pi)
    inner = (far / 2.0) * (density * weights[None, :]).sum(axis=1)
    return float(count * reach * np.sum(weights * u * u * inner))


def median_factors(counts: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return `median_factor` of each count; NaN where it is 0."""
    table = np.full(int(counts.max(initial=0)) + 1, np.nan)
    for count in np.flatnonzero(np.bincount(counts.ravel())):  # the different counts, a few
        if count:
            table[count] = median_factor(int(count))
    return np.asarray(table[counts])


def combine(
    stack: npt.NDArray[Any], valid: Bools, how: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Combine exposures pixel by pixel.

    Parameters
    ----------
    stack : float array (n, ny, nx)
    valid : bool array (n, ny, nx)
        Pixels without a single valid value are made of all values.
    how : {"median", "mean"}

    Returns
    -------
    value : float64 array (ny, nx)
    count : int array (ny, nx)
        Valid values.
    factor : float64 array (ny, nx)
        The variance of `value` over the mean variance of one of its values.
    """
    count = valid.sum(axis=0)
    function: Any = np.median if how == "median" else np.mean
    value = np.asarray(function(stack, axis=0), dtype=np.float64)
    partly = (count > 0) & (count < len(stack))
    if partly.any():
        part = np.where(valid[:, partly], stack[:, partly].astype(np.float64), np.nan)
        value[partly] = np.nanmedian(part, axis=0) if how == "median" else np.nanmean(part, axis=0)
    used = np.where(count > 0, count, len(stack))
    factor = 1.0 / used
    if how == "median":
        factor = factor * median_factors(used)
    return value, count, factor


@dataclass(frozen=True)
class Transfer:
    """Gain by photon transfer, in bins of brightness.

    Attributes
    ----------
    level : float64 array (k,)
        ADU above the bias.
    gain : float64 array (k,)
        Electrons per ADU; NaN where the scatter is below the read noise.
    """

    level: npt.NDArray[np.float64]
    gain: npt.NDArray[np.float64]

    @property
    def low(self) -> float:
        """Gain of the lowest third of the levels: it rises where bright pixels share charge."""
        good = np.isfinite(self.gain)
        if not good.any():
            return math.nan
        return float(np.mean(self.gain[good][: max(1, int(good.sum()) // 3)]))


def photon_transfer(
    first: Floats, second: Floats, read_noise: float, valid: Bools, bins: int = 6
) -> Transfer:
    """Return the gain that the scatter of two flats tells.

    With k = sum F2 / sum F1 and D = k F1 - F2, of which each bin's median is taken off,
    gain = (k^2 mean F1 + mean F2) / (var D - (1 + k^2) s^2)  (J. R. Janesick, Photon Transfer,
    SPIE 2007; the factor k takes off the drift of the lamp).

    Parameters
    ----------
    first, second : float array, any shape
        ADU, overscan and bias taken off.
    read_noise : float
        ADU.
    valid : bool array
    bins : int
        Of equal numbers of pixels.
    """
    a, b = first[valid].astype(np.float64), second[valid].astype(np.float64)
    level, gain = np.full(bins, np.nan), np.full(bins, np.nan)
    if a.size < 100 * bins or a.sum() <= 0 or b.sum() <= 0:
        return Transfer(level, gain)
    k = float(b.sum() / a.sum())
    difference, mean = k * a - b, (k * a + b) / 2.0
    edges = np.percentile(mean, np.linspace(0.0, 100.0, bins + 1))
    for number in range(bins):  # over bins, not over pixels
        here = (mean >= edges[number]) & (mean <= edges[number + 1])
        part = difference[here]
        variance = clipped(part - np.median(part)).std ** 2 - (1.0 + k * k) * read_noise**2
        level[number] = a[here].mean()
        if variance > 0:
            gain[number] = (k * k * a[here].mean() + b[here].mean()) / variance
    return Transfer(level, gain)
