"""Rebinning of spectra that keeps their flux, with propagated errors and coverage.

Output bin j has of input pixel i the overlap o_ij in wavelength. Over the good pixels

    T_j = sum o_ij,  F_j = sum o_ij f_i / T_j,  var_j = sum o_ij^2 var_i / T_j^2

so that sum F_j T_j is the integral of the input over the output's range. An output bin and an
input pixel share at most one interval of the edges of both, which makes every sum one over
intervals: nothing is lost to differences of cumulative sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from corecube.errors import FrameError
from corecube.frames import Fibers
from corecube.masks import valid
from corecube.spectral import Spectral
from corecube.tabular import Field, Rows
from corecube.units import FLUX_DENSITY

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rebinned:
    """A spectrum, or many, in other bins.

    Attributes
    ----------
    edges : float64 array (m + 1,)
    flux : float64 array (..., m)
        NaN where no good pixel reaches.
    error : float64 array (..., m)
        1-sigma, infinite where no good pixel reaches.
    coverage : float64 array (..., m)
        Part of the bin that good pixels cover, 0 to 1.
    covered : float64 array (..., m)
        The same as a width: flux times covered is the integral over the bin.
    covariance : float64 array (..., m - 1)
        Of the fluxes of a bin and the next, which share an input pixel; 0 where they do not.
    n_eff : int array (...)
        Good input pixels that reach into the output: so many values are independent, however many
        bins there are.
    """

    edges: FloatArray
    flux: FloatArray
    error: FloatArray
    coverage: FloatArray
    covered: FloatArray
    covariance: FloatArray
    n_eff: npt.NDArray[np.int64]

    @property
    def centres(self) -> FloatArray:
        """Middles of the bins."""
        return (self.edges[1:] + self.edges[:-1]) / 2.0

    def rows(self, unit: str = FLUX_DENSITY, wavelength: str = "Angstrom") -> Rows:
        """Return one spectrum as a table, to be written in any format.

        Parameters
        ----------
        unit : str
            Of the flux.
        wavelength : str
            Unit of the edges.

        Raises
        ------
        FrameError
            If these are many spectra.
        """
        if self.flux.ndim != 1:
            raise FrameError(f"a table is of one spectrum, not of {self.flux.shape}")
        shared = np.append(self.covariance, 0.0)
        return Rows(
            {
                "wavelength": Field(self.centres, wavelength, "Middle of the bin."),
                "low": Field(self.edges[:-1], wavelength, "Lower edge of the bin."),
                "high": Field(self.edges[1:], wavelength, "Upper edge of the bin."),
                "flux": Field(self.flux, unit, "Mean of the good pixels, by overlap."),
                "error": Field(self.error, unit, "1-sigma error; infinite where nothing is."),
                "coverage": Field(self.coverage, "", "Part of the bin that good pixels cover."),
                "covariance": Field(shared, "", "Of flux with that of the next bin, unit squared."),
            },
            {
                "n_eff": int(self.n_eff),
                "note": "bins share pixels: no more than n_eff values are independent",
            },
        )

    @property
    def correlation(self) -> FloatArray:
        """Correlation of a bin with the next, NaN where one of them is empty."""
        with np.errstate(invalid="ignore"):
            norm = self.error[..., 1:] * self.error[..., :-1]
            return np.where(np.isfinite(norm), self.covariance / norm, np.nan)


def log_edges(first: int, count: int, step: float = 1e-4) -> FloatArray:
    """Return the edges of `count` pixels of a log-lambda grid, float64 (count + 1,)."""
    index = np.arange(first, first + count + 1, dtype=np.float64)
    return np.power(10.0, step * (index - 0.5))


def centred_edges(first: float, last: float, count: int) -> FloatArray:
    """Return the edges of `count` equal bins whose centres reach from `first` to `last`.

    Raises
    ------
    FrameError
        If there are fewer than 2 bins, or `last` is not above `first`.
    """
    if count < 2 or not last > first:
        raise FrameError(f"bins from {first} to {last}, {count} of them: there must be 2, rising")
    half = (last - first) / (count - 1) / 2.0
    return np.linspace(first - half, last + half, count + 1)


def pixel_edges(wave: Spectral) -> FloatArray:
    """Return the edges of the pixels of one spectrum.

    Those of a log-lambda grid lie half a step from the index of the centre; else they are the
    middles between centres.

    Raises
    ------
    FrameError
        If there are wavelengths of several spectra, or fewer than two.
    """
    if wave.is_grid:
        return log_edges(wave.first, wave.count, wave.step)
    centres = wave.wavelength()
    centres = centres[0] if centres.ndim == 2 and len(centres) == 1 else centres
    if centres.ndim != 1 or centres.size < 2 or not np.isfinite(centres).all():
        raise FrameError(
            f"the edges of pixels need the wavelengths of one spectrum, not {centres.shape}; cut "
            "off the padding"
        )
    middles = (centres[1:] + centres[:-1]) / 2.0
    ends = 2.0 * centres[[0, -1]] - middles[[0, -1]]
    return np.concatenate([ends[:1], middles, ends[1:]])


def rebin(
    edges: npt.ArrayLike,
    flux: npt.ArrayLike,
    error: npt.ArrayLike,
    new_edges: npt.ArrayLike,
    good: npt.ArrayLike | None = None,
    part: npt.ArrayLike | None = None,
) -> Rebinned:
    """Return spectra in other bins.

    Parameters
    ----------
    edges : float array (w + 1,)
        Of the pixels, rising.
    flux, error : float arrays (..., w)
        A flux per wavelength and its 1-sigma error; pixels are taken as independent.
    new_edges : float array (m + 1,)
        Of the bins, rising, in the unit of `edges`.
    good : bool array (..., w), optional
        Which pixels count; without it all with a finite flux and a positive, finite error. Others
        are left out in any case.
    part : float array (..., w), optional
        Which part of each pixel was measured, 0 to 1, where pixels are bins themselves: overlaps
        count by it.

    Returns
    -------
    Rebinned

    Raises
    ------
    FrameError
        If edges do not rise or do not fit the flux.
    """
    old, new = (np.asarray(part, dtype=np.float64) for part in (edges, new_edges))
    values, sigma = (np.asarray(part, dtype=np.float64) for part in (flux, error))
    for what, ends in (("edges", old), ("new edges", new)):
        if ends.ndim != 1 or ends.size < 2 or not np.all(np.diff(ends) > 0):
            raise FrameError(f"rebinning: {what} must be of one dimension, rise, and be 2 or more")
    if values.shape != sigma.shape or values.shape[-1:] != (old.size - 1,):
        raise FrameError(
            f"rebinning: flux {values.shape} and error {sigma.shape} do not fit {old.size} edges"
        )
    use = np.isfinite(values) & np.isfinite(sigma) & (sigma > 0)
    if good is not None:
        use &= np.asarray(good, dtype=bool)
    weight = np.where(use, 1.0 if part is None else np.asarray(part, dtype=np.float64), 0.0)
    use = weight > 0
    count = new.size - 1
    both = np.unique(np.concatenate([old, new]))
    both = both[(both >= max(old[0], new[0])) & (both <= min(old[-1], new[-1]))]
    covered, total, variance = (np.zeros((*values.shape[:-1], count)) for _ in range(3))
    covariance = np.zeros((*values.shape[:-1], max(count - 1, 0)))
    n_eff = np.zeros(values.shape[:-1], dtype=np.int64)
    if both.size > 1:
        length = np.diff(both)
        pixel = np.searchsorted(old, both[:-1], side="right") - 1
        into = np.searchsorted(new, both[:-1], side="right") - 1
        overlap = weight[..., pixel] * length
        share = overlap * np.where(use, sigma, 0.0)[..., pixel]
        starts = np.flatnonzero(np.diff(into, prepend=-1))
        bins = into[starts]
        covered[..., bins] = np.add.reduceat(overlap, starts, axis=-1)
        fluxes = overlap * np.where(use, values, 0.0)[..., pixel]
        total[..., bins] = np.add.reduceat(fluxes, starts, axis=-1)
        variance[..., bins] = np.add.reduceat(share**2, starts, axis=-1)
        # two intervals of one pixel on both sides of an edge between bins
        split = np.flatnonzero((pixel[1:] == pixel[:-1]) & (into[1:] != into[:-1]))
        covariance[..., into[split]] = share[..., split] * share[..., split + 1]
        reached = np.unique(pixel)
        n_eff = np.count_nonzero(use[..., reached], axis=-1).astype(np.int64)
    with np.errstate(invalid="ignore", divide="ignore"):
        something = covered > 0
        mean = np.where(something, total / covered, np.nan)
        spread = np.where(something, np.sqrt(variance) / covered, np.inf)
        shared = covariance / (covered[..., 1:] * covered[..., :-1])
    return Rebinned(
        edges=new,
        flux=mean,
        error=spread,
        coverage=np.minimum(covered / np.diff(new), 1.0),
        covered=covered,
        covariance=np.where(covariance > 0, shared, 0.0),
        n_eff=np.asarray(n_eff),
    )


def rebin_fiber(fibers: Fibers, row: int, new_edges: npt.ArrayLike) -> Rebinned:
    """Return a spectrum in other bins, without its padding and what an excluding plane names.

    Parameters
    ----------
    fibers : Fibers
        With errors.
    row : int
    new_edges : float array (m + 1,), in the unit of the wavelengths

    Raises
    ------
    FrameError
        If it has no pixels.
    """
    assert fibers.error is not None and fibers.mask is not None
    wave = fibers.wave
    if wave.is_grid:
        edges, part = pixel_edges(wave), slice(None)
    else:
        centres = wave.wavelength()
        centres = centres[row] if centres.ndim == 2 else centres
        inside = np.flatnonzero(np.isfinite(centres))
        if inside.size < 2:
            raise FrameError(f"fibre '{fibers.id[row]}' of '{fibers.name}' has no pixels")
        part = slice(int(inside[0]), int(inside[-1]) + 1)
        edges = pixel_edges(Spectral(values=centres[part], unit=wave.unit))
    return rebin(
        edges, fibers.flux[row, part], fibers.error[row, part], new_edges,
        good=valid(fibers.mask[row, part]),
    )  # fmt: skip
