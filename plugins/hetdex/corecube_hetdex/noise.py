"""The check of the errors, which come with the files."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.frames import Fibers, Frame, NoiseCheck
from corecube.masks import valid
from corecube_hetdex.frames import NATIVE, Floats

PERCENTILES: Final = (15.865525393145708, 84.13447460685429)
"""Of a normal distribution: one sigma on either side."""
_CLIP: Final = 4.0
"""Beyond so many times the width lie lines and cosmic rays; of noise one pixel in 16,000."""
_LEAST: Final = 100
"""Pixels below which nothing is said."""


def check_noise(frame: Frame) -> NoiseCheck | None:
    """Compare quoted errors with the scatter between neighbouring pixels.

    The differences along the spectrum over the error of the difference have a width of 1 where
    errors are right and neighbours independent; what is smooth drops out. For native spectra the
    quoted variance is also fitted as a line in the model of the sky, which made most of the
    photons: its slope should be 1, its floor the variance of the read noise in the rows that were
    added up.

    Parameters
    ----------
    frame : Image or Fibers
        With errors.

    Returns
    -------
    NoiseCheck or None
        None if there are no errors, or fewer than 100 valid pairs of pixels.
    """
    if frame.error is None or frame.mask is None:
        return None
    good = valid(frame.mask) & np.isfinite(frame.flux) & np.isfinite(frame.error)
    both = good[:, 1:] & good[:, :-1]
    flux, error = (part.astype(np.float64) for part in (frame.flux, frame.error))
    sample = (flux[:, 1:] - flux[:, :-1])[both]
    if sample.size < _LEAST:
        return None
    sample /= np.hypot(error[:, 1:][both], error[:, :-1][both])
    slope, floor = float("nan"), float("nan")
    recipe = (
        "rms of the differences of neighbouring pixels over their error, without those beyond "
        f"{_CLIP:g} times the rms"
    )
    if isinstance(frame, Fibers) and frame.name == NATIVE:
        slope, floor = _line(frame, good)
        recipe += "; line: quoted variance against the model of the sky"
    return NoiseCheck(
        name=frame.name,
        pixels=int(sample.size),
        width=_width(sample),
        slope=slope,
        floor=floor,
        recipe=recipe,
        pulls=sample,
    )


def _width(sample: Floats) -> float:
    """Return the rms without outliers.

    Not a half width between percentiles: flux that was stored in steps as large as its error has
    few values, and percentiles jump from one to the next.
    """
    low, high = np.percentile(sample, PERCENTILES)
    width = float(high - low) / 2.0 or float(sample.std())
    for _ in range(20):
        again = float(np.sqrt(np.mean(sample[np.abs(sample) <= _CLIP * width] ** 2)))
        if abs(again - width) < 1e-4 * width:
            break
        width = again
    return width


def _line(frame: Fibers, good: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and floor of variance against sky, float64; NaN where they cannot be had.

    A line through robust points: median variance and sky in ten parts by rising sky.
    """
    assert frame.error is not None
    sky = frame.layers["sky"].values.astype(np.float64)
    used = good & np.isfinite(sky)
    x, y = sky[used], frame.error[used].astype(np.float64) ** 2
    if x.size < 10 * _LEAST:
        return float("nan"), float("nan")
    order = np.argsort(x)
    points = np.array(
        [[np.median(x[part]), np.median(y[part])] for part in np.array_split(order, 10)]
    )
    spread: Any = np.ptp(points[:, 0])
    if not spread > 0:
        return float("nan"), float("nan")
    slope, floor = np.polyfit(points[:, 0], points[:, 1], 1)
    return float(slope), float(floor)
