"""From the files' units to the archive's, and the factors from counts to flux."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from corecube.frames import Array, Factor, Fibers, Frame, Image
from corecube.units import FLUX_DENSITY
from corecube_hetdex import raw
from corecube_hetdex.frames import GROUP, PER_PIXEL

BIN: Final = 2.0
"""Angstrom in a rectified pixel."""

CONVERSION: Final = "1e-17 erg / (electron s cm2)"


def calibrate(frame: Frame) -> Frame | None:
    """Return rectified spectra per Angstrom, and raw amplifiers in electrons without bias.

    Parameters
    ----------
    frame : Image or Fibers
        As read; its arrays are used again.

    Returns
    -------
    Frame or None
        None: nothing to do.
    """
    if isinstance(frame, Image):
        return raw.calibrate(frame)
    if frame.name != GROUP or frame.unit != PER_PIXEL:
        return None
    # halves of float32 numbers are exact
    frame.flux[...] *= np.float32(1.0 / BIN)
    if frame.error is not None:
        frame.error[...] *= np.float32(1.0 / BIN)
    layers = dict(frame.layers)
    sky = layers["ffsky"]
    layers["ffsky"] = Array(
        sky.values * np.float32(1.0 / BIN), FLUX_DENSITY, sky.axes, sky.description
    )
    return replace(
        frame,
        unit=FLUX_DENSITY,
        layers=layers,
        provenance=frame.provenance.add("divided by the 2 Angstrom of a pixel"),
    )


def factors(frame: Frame) -> Sequence[Factor]:
    """Return the factors from counts to flux.

    Of rectified spectra: the files have flux and counts, each with its error; the ratio of the two
    errors is the conversion, and the counts, which are another pair of arrays, must lead to the
    flux by it. Of raw amplifiers: bias and gain.

    Parameters
    ----------
    frame : Image or Fibers
        Calibrated, as stored.
    """
    if isinstance(frame, Image):
        return raw.factors(frame)
    if not isinstance(frame, Fibers) or frame.name != GROUP or frame.error is None:
        return ()
    counts_error = frame.layers["counts_error"].values.astype(np.float64)
    if not np.isfinite(counts_error).any():
        return ()
    with np.errstate(divide="ignore", invalid="ignore"):
        conversion = BIN * frame.error.astype(np.float64) / counts_error
    return (
        Factor(
            "conversion", "multiply", conversion, CONVERSION,
            "calfibe over calfibe_counts of the cal file",
        ),
        Factor("pixel", "divide", np.array(BIN), "Angstrom", "width of a rectified pixel"),
    )  # fmt: skip
