"""Factors and errors of the spectra of spec files, checked against the spectra themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from corecube.frames import Factor, Fibers, NoiseCheck
from corecube.masks import valid
from corecube_sdssfiles.spec import CALIB_UNIT

EXTRA_ERROR: Final = 0.03
"""Part of an object's counts that the pipeline adds to its error before the calibration.

Source: idlspec2d, spframe_read, argument adderr as set by spcombine_v5.
"""
NEIGHBOURS: Final = "half width of the differences of neighbouring pixels over their error"
"""How the width of an exposure's pulls is had."""

_EDGE_ROWS: Final = 100
"""First rows of an exposure in the file: in SDSS-I/II the pipeline tapers their weights."""


def factors(fibers: Fibers) -> Sequence[Factor]:
    """Return the step from electrons to flux of an exposure; a coadd has none.

    Parameters
    ----------
    fibers : Fibers
    """
    calib = fibers.layers.get("calib")
    if not fibers.parent or calib is None:
        return ()
    values = calib.values.astype(np.float64)
    return (Factor("calib", "multiply", values, CALIB_UNIT, "column calib of the spec file"),)


def check_noise(fibers: Fibers) -> NoiseCheck | None:
    """Compare the quoted errors with the spectra themselves.

    A coadd is compared with the pipeline's best model; the model's own misfit counts too. For an
    exposure the scatter of neighbouring pixels is taken, and the variance in electrons is fitted
    as a line in the counts: its slope should be a little above 1 and its floor the read noise of
    the pixels that were added up.

    Parameters
    ----------
    fibers : Fibers
        With errors.

    Returns
    -------
    NoiseCheck or None
        None if fewer than 100 pixels are valid.
    """
    if fibers.error is None or fibers.mask is None:
        return None
    good = valid(fibers.mask) & np.isfinite(fibers.error) & np.isfinite(fibers.flux)
    flux, error = fibers.flux.astype(np.float64), fibers.error.astype(np.float64)
    if fibers.parent:
        sample = neighbours(flux, error, good)
        recipe = (
            f"{NEIGHBOURS}; line: variance in electrons against counts with sky, outliers rejected"
        )
    elif "model" in fibers.layers:
        model = fibers.layers["model"].values.astype(np.float64)
        good &= (model != 0) & np.isfinite(model)
        sample = ((flux - model)[good]) / error[good]
        recipe = "half width of (flux - model) / error; what the model misses counts too"
    else:
        return None
    if sample.size < 100:
        return None
    low, high = np.percentile(sample, (15.87, 84.13))
    slope, floor = _line(fibers) if fibers.parent else (np.nan, np.nan)
    return NoiseCheck(
        name=fibers.name,
        pixels=int(sample.size),
        width=float(high - low) / 2.0,
        slope=slope,
        floor=floor,
        recipe=recipe,
        pulls=sample,
    )


def neighbours(
    flux: npt.NDArray[np.float64], error: npt.NDArray[np.float64], good: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Return differences of neighbouring pixels over the error of the difference, float64 (k,).

    Not differences of flux / error: where a pixel's error was estimated from its own noisy counts,
    the ratio goes as the root of the counts and scatters by half.

    Parameters
    ----------
    flux, error : float64 array (n, w)
    good : bool array (n, w)
        Both pixels of a pair must be.
    """
    both = good[:, 1:] & good[:, :-1]
    step = (flux[:, 1:] - flux[:, :-1])[both]
    return np.asarray(step / np.hypot(error[:, 1:][both], error[:, :-1][both]))


def in_electrons(
    fibers: Fibers,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.bool_]] | None:
    """Return the counts of an exposure of a spec file, and their variance, in electrons.

    The pipeline's extra error of 3 % of the object's counts is taken out of the variance.

    Parameters
    ----------
    fibers : Fibers
        With errors; an exposure.

    Returns
    -------
    counts, variance : float64 array (n, w)
        Object and sky, electron; electron^2.
    used : bool array (n, w)
        Pixels for a fit: valid, no bit set in the file, behind the tapered edge, counts above 0.
    None
        If the file had no calib and sky.
    """
    if not {"calib", "sky"} <= fibers.layers.keys() or fibers.error is None:
        return None
    assert fibers.mask is not None
    good = valid(fibers.mask) & np.isfinite(fibers.error) & np.isfinite(fibers.flux)
    calib = fibers.layers["calib"].values.astype(np.float64)
    sky = fibers.layers["sky"].values.astype(np.float64)
    clean = fibers.bits["mask"].values == 0 if "mask" in fibers.bits else good
    with np.errstate(divide="ignore", invalid="ignore"):
        electrons = fibers.flux / calib
        counts = (fibers.flux + sky) / calib
        variance = (fibers.error / calib) ** 2 - (EXTRA_ERROR * np.maximum(electrons, 0)) ** 2
    used = good & clean & (calib > 0) & np.isfinite(counts) & (counts > 0)
    used &= _behind_the_edge(fibers)
    return counts, variance, used


def line(x: npt.NDArray[np.float64], variance: npt.NDArray[np.float64]) -> tuple[float, float, int]:
    """Fit variances as a line, outliers rejected.

    Least squares with weights 1 / max(variance, 1); residuals beyond 5 robust sigma are left out
    and may come back, until the set repeats or ten rounds are over.

    Parameters
    ----------
    x, variance : float64 array (k,)

    Returns
    -------
    slope, floor : float
        NaN where fewer than 100 pixels are left.
    used : int
        Pixels that the last test kept.
    """
    if x.size < 100:
        return np.nan, np.nan, int(x.size)
    weight = 1.0 / np.maximum(variance, 1.0)
    kept = np.ones(x.shape, bool)
    slope, floor, used = np.nan, np.nan, 0
    for _ in range(10):
        design = np.stack([x[kept], np.ones(kept.sum())], axis=1) * weight[kept, None]
        slope, floor = np.linalg.lstsq(design, variance[kept] * weight[kept], rcond=None)[0]
        residual = (variance - slope * x - floor) * weight
        centre = np.median(residual[kept])
        spread = 1.4826 * np.median(np.abs(residual[kept] - centre))
        again = np.abs(residual - centre) < 5.0 * spread
        used = int(again.sum())
        if used < 100 or np.array_equal(again, kept):
            break
        kept = again
    return float(slope), float(floor), used


def _line(fibers: Fibers) -> tuple[float, float]:
    found = in_electrons(fibers)
    if found is None:
        return np.nan, np.nan
    counts, variance, used = found
    slope, floor, _ = line(counts[used], variance[used])
    return slope, floor


def _behind_the_edge(fibers: Fibers) -> npt.NDArray[np.bool_]:
    """Tell which pixels lie behind the first rows of the file."""
    measured = np.isfinite(fibers.flux)
    rank = np.cumsum(measured, axis=1) - 1
    turned = next(
        (np.asarray(v) for c, v in fibers.columns.items() if c.name == "reversed"),
        np.zeros(len(rank), bool),
    )
    from_other_end = rank[:, -1:] - rank
    behind: npt.NDArray[np.bool_] = (
        np.where(turned[:, None], from_other_end, rank) > _EDGE_ROWS
    ) & measured
    return behind
