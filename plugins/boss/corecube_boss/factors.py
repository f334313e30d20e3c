"""The way from detected electrons to flux, each factor from its own file.

The arithmetic of idlspec2d v5_7_0, ``pro/spec2d/spcoadd_v5.pro``::

    flux = (electrons / flat x XY x R / fluxcalib x corr + add) x distort

with R = 1e-4 / (extent of a row in log10 wavelength).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.frames import Factor, Fibers
from corecube.tracesets import TraceSet
from corecube.units import FLUX_DENSITY
from corecube_boss.camera import CALIB
from corecube_sdssfiles.specnoise import factors as spec_factors

GRID_STEP: Final = 1e-4
"""Step of log10 wavelength that spFluxcalib holds for."""

_NEEDED: Final = {"electrons", "flat", "fluxcalib", "fluxcorr", "fluxcorr_add", "fluxdistort"}

FloatArray = npt.NDArray[np.float64]


def row_factor(traces: TraceSet, count: int) -> FloatArray:
    """Return R, the step of the grid over the extent of each row, float64 (n, w).

    The trace set is evaluated half a row to each side, so that the taller rows of a two-phase
    read-out get what is theirs.

    Parameters
    ----------
    traces : TraceSet
        log10 wavelength.
    count : int
        Number of rows.
    """
    edges = traces.evaluate(traces.xmin + np.arange(count + 1) - 0.5)
    return np.asarray(GRID_STEP / np.abs(np.diff(edges, axis=1)))


def distortion(
    loglam: FloatArray, values: npt.NDArray[Any], first: float, step: float
) -> FloatArray:
    """Return the correction of distortion at wavelengths between those of its grid.

    Its inverse is interpolated linearly in log10 wavelength, and extrapolated outside.

    Parameters
    ----------
    loglam : float64 array (n, w)
    values : float array (n, m)
        On the grid ``first + step * k``.
    first, step : float
    """
    inverse = 1.0 / values.astype(np.float64)
    place = (loglam - first) / step
    below = np.clip(np.floor(place).astype(np.int64), 0, values.shape[1] - 2)
    low = np.take_along_axis(inverse, below, axis=1)
    high = np.take_along_axis(inverse, below + 1, axis=1)
    return np.asarray(1.0 / (low + (place - below) * (high - low)))


def factors(fibers: Fibers) -> Sequence[Factor]:
    """Return the steps from detected electrons (layer ``electrons``) to flux.

    Parameters
    ----------
    fibers : Fibers
        An exposure of a camera or of a spec file; a coadd has no factors.

    Returns
    -------
    sequence of Factor
        Empty if one of the files was not at hand.
    """
    if "electrons" not in fibers.layers:
        return spec_factors(fibers)
    traces = fibers.wave.traces
    if traces is None or not fibers.layers.keys() >= _NEEDED or fibers.unit != FLUX_DENSITY:
        return ()
    layers = {name: layer.values for name, layer in fibers.layers.items()}
    first, step = fibers.calibration["fluxdistort_grid"].values.tolist()
    count = fibers.wave.size
    loglam = traces.evaluate(traces.xmin + np.arange(count))
    steps = [Factor("flat", "divide", _double(layers["flat"]), "", "spFrame HDU 8 x spFlat HDU 0")]
    if "xythrucorr" in layers:
        steps.append(Factor("xy", "multiply", _double(layers["xythrucorr"]), "", "spXYthrucorr"))
    distort = distortion(loglam, layers["fluxdistort"], first, step)
    return (
        *steps,
        Factor("dlam", "multiply", row_factor(traces, count), "", "trace set of spFrame HDU 3"),
        Factor("fluxcalib", "divide", _double(layers["fluxcalib"]), CALIB, "spFluxcalib"),
        Factor("fluxcorr", "multiply", _double(layers["fluxcorr"]), "", "spFluxcorr HDU 0"),
        Factor("add", "add", _double(layers["fluxcorr_add"]), FLUX_DENSITY, "spFluxcorr HDU 1"),
        Factor("distort", "multiply", distort, "", "spFluxdistort"),
    )


def _double(values: npt.NDArray[Any]) -> FloatArray:
    return values.astype(np.float64)


def identity(fibers: Fibers) -> FloatArray | None:
    """Return flux over what the factors make of the electrons, less 1; float64 (n, w).

    What is added is first taken off the flux. NaN where a pixel has no electrons or no error.

    Parameters
    ----------
    fibers : Fibers

    Returns
    -------
    float64 array (n, w) or None
        None if there are no factors.
    """
    steps = factors(fibers)
    if not steps or "electrons" not in fibers.layers or fibers.error is None:
        return None
    electrons = _double(fibers.layers["electrons"].values)
    made: npt.NDArray[np.floating[Any]] = electrons
    added: npt.NDArray[np.floating[Any]] = np.zeros(electrons.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        for step in steps:
            if step.operation == "add":
                added = step.apply(added)
            else:
                made = step.apply(made)
                added = step.apply(added)
        ratio = (fibers.flux - added) / made
    known = (electrons != 0) & np.isfinite(fibers.error)
    known &= np.isfinite(fibers.layers["electrons_error"].values)
    return np.where(known, ratio - 1.0, np.nan)
