"""The factors from counts to flux, undone and done again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.frames import Factor, Frame
from corecube.masks import valid
from corecube.reports.numbers import number

TOLERANCE: Final = 1e-6
"""Largest relative difference of a flux that counts as reproduced: sixteen times the rounding of
float32, in which counts and factors of most files stand."""

COUNTS: Final = ("counts", "electrons")
"""Names of layers that hold what the first factor is applied to; the first that is there counts."""

_PIXELS: Final = 2**20
"""Pixels that are worked on together."""


def replay(frame: Frame, factors: Sequence[Factor]) -> dict[str, Any]:
    """Undo the factors from the flux, do them again, and compare.

    Where the frame has a layer ``counts`` or ``electrons``, they are done on it instead: then
    nothing of the result is taken from the flux.

    Parameters
    ----------
    frame : Frame
        With the flux that the factors lead to.
    factors : sequence of Factor

    Returns
    -------
    dict
        ``from`` ("flux" or "layer counts"); ``pixels`` compared, those of finite flux that no plane
        excludes; ``not reversible``, those for which a factor is zero or not finite; ``largest
        relative
        difference``, relative to the flux, or to a thousandth of its median where it is smaller;
        ``reproduced``; ``says``, a line for each factor that does not replay.
    """
    flux = frame.flux
    says = [line for line in (_misfit(factor, flux.shape) for factor in factors) if line]
    start = next((name for name in COUNTS if _fits(frame, name)), "")
    counts = frame.layers[start].values if start else None
    found: dict[str, Any] = {
        "from": f"layer {start}" if start else "flux", "pixels": 0, "not reversible": 0,
        "largest relative difference": None, "reproduced": False, "says": says,
    }  # fmt: skip
    if says:
        return found
    size = np.abs(flux[np.isfinite(flux) & (flux != 0)])
    least = 1e-3 * float(np.median(size)) if size.size else 1.0
    step = max(1, _PIXELS // max(1, flux[:1].size))
    lost = [0] * len(factors)
    largest = 0.0
    for first in range(0, flux.shape[0], step):
        rows = slice(first, first + step)
        true = flux[rows].astype(np.float64)
        parts = [_rows(factor, flux.shape, rows) for factor in factors]
        measured = np.isfinite(true)
        if frame.mask is not None:
            measured &= valid(frame.mask[rows])
        kept = measured.copy()
        for place, part in enumerate(parts):
            bad = measured & ~_reversible(part)
            lost[place] += int(np.count_nonzero(bad))
            kept &= ~bad
        with np.errstate(all="ignore"):
            values = _undone(true, parts) if counts is None else counts[rows].astype(np.float64)
            for part in parts:
                values = np.asarray(part.apply(values))
            off = np.abs(values - true) / np.maximum(np.abs(true), least)
        found["pixels"] += int(np.count_nonzero(kept))
        found["not reversible"] += int(np.count_nonzero(measured & ~kept))
        if kept.any():
            largest = max(largest, float(np.max(np.nan_to_num(off[kept], nan=np.inf))))
    for factor, missing in zip(factors, lost, strict=True):
        if missing:
            says.append(f"factor '{factor.name}' is zero or not finite in {missing} valid pixels")
    if found["pixels"]:
        found["largest relative difference"] = number(largest)
        found["reproduced"] = largest <= TOLERANCE and not any(lost)
        if largest > TOLERANCE:
            says.append(
                f"the factors do not lead to the flux: off by {largest:.3g}, {TOLERANCE:g} is "
                "allowed"
            )
    elif not any(lost):
        says.append("no pixel is valid: nothing was compared")
    return found


def _fits(frame: Frame, name: str) -> bool:
    return name in frame.layers and frame.layers[name].values.shape == frame.flux.shape


def _misfit(factor: Factor, shape: tuple[int, ...]) -> str:
    values = np.shape(factor.values)
    try:
        fits = np.broadcast_shapes(values, shape) == shape
    except ValueError:
        fits = False
    return "" if fits else f"factor '{factor.name}' {values} does not fit the flux {shape}"


def _rows(factor: Factor, shape: tuple[int, ...], rows: slice) -> Factor:
    """Return a factor for some rows of the flux, float64."""
    values = np.broadcast_to(np.asarray(factor.values), shape)[rows].astype(np.float64)
    return Factor(factor.name, factor.operation, values, factor.unit, factor.source)


def _reversible(factor: Factor) -> npt.NDArray[np.bool_]:
    good = np.isfinite(factor.values)
    return good if factor.operation == "add" else good & (factor.values != 0)


def _undone(flux: npt.NDArray[np.float64], factors: Sequence[Factor]) -> npt.NDArray[np.float64]:
    for factor in reversed(factors):
        if factor.operation == "add":
            flux = flux - factor.values
        elif factor.operation == "multiply":
            flux = flux / factor.values
        else:
            flux = flux * factor.values
    return flux
