"""Images in half blocks: two pixels a cell, the first row of the image at the bottom."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from corecube_cli.browse.canvas import Canvas

FloatArray = npt.NDArray[np.floating]

STRETCHES: Final = ("asinh", "linear", "full range", "on screen")
_SOFT: Final = 10.0
"""asinh(10 t) / asinh(10): linear below a tenth of the range, logarithmic above."""
_SIGMAS: Final = 1.4826
"""Standard deviations of a normal distribution in a median absolute deviation, 1 / 0.67449."""
UPPER_HALF: Final = "▀"
RAMP: Final = " .:-=+*#%@"
"""From dark to bright, for terminals without colours."""


def limits(sample: FloatArray, stretch: str) -> tuple[float, float]:
    """Return the values that are black and white.

    Parameters
    ----------
    sample : float array
        Original pixels; what is not finite is passed over.
    stretch : str
        One of `STRETCHES`. asinh: from 1.5 sigma below the median to percentile 99.5 or 10 sigma
        above it, whichever is more, with sigma from the median absolute deviation; linear:
        percentiles 1 and 99; "on screen" the same, of what is shown; else the whole range.
    """
    values = sample[np.isfinite(sample)]
    if not values.size:
        return 0.0, 1.0
    borders = (1.0, 99.0) if stretch in ("linear", "on screen") else (0.0, 100.0)
    low, high = (float(part) for part in np.percentile(values, borders))
    if stretch == "asinh":
        median, bright = (float(part) for part in np.percentile(values, (50.0, 99.5)))
        sigma = _SIGMAS * float(np.median(np.abs(values - values.dtype.type(median))))
        low, high = max(low, median - 1.5 * sigma), max(bright, median + 10.0 * sigma)
    if not high > low:
        low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def levels(
    values: FloatArray, low: float, high: float, stretch: str, count: int
) -> npt.NDArray[np.uint8]:
    """Return the brightness of pixels, 0 to count - 1; 0 for what is not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        part = np.clip((values.astype(np.float64) - low) / (high - low), 0.0, 1.0)
        if stretch == "asinh":
            part = np.arcsinh(_SOFT * part) / np.arcsinh(_SOFT)
        part = np.where(np.isfinite(values), part, 0.0)
    return np.rint(part * (count - 1)).astype(np.uint8)


def block_means(values: FloatArray, size: int) -> FloatArray:
    """Return means over blocks of size x size pixels, without what is not finite."""
    if size == 1:
        return values
    finite = np.isfinite(values)
    sums, counts = (
        _block_sums(part, size) for part in (np.where(finite, values, 0.0), finite.astype(float))
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(counts > 0, sums / counts, np.nan))


def _block_sums(values: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    rows = np.arange(0, values.shape[0], size)
    columns = np.arange(0, values.shape[1], size)
    return np.asarray(np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1))


def half_blocks(
    bright: npt.NDArray[np.uint8],
    inside: npt.NDArray[np.bool_],
    marked: npt.NDArray[np.bool_],
    count: int,
    *,
    colored: bool = True,
) -> Canvas:
    """Draw pixels, two a cell.

    Parameters
    ----------
    bright : uint8 array (2 h, w)
        Brightness, 0 to count - 1; row 0 is at the bottom.
    inside : bool array (2 h, w)
        Whether there is a pixel at all.
    marked : bool array (2 h, w)
        Pixels that are shown as ``x``: masked.
    count : int
        Steps of brightness.
    colored : bool
        False: a character of `RAMP` for the mean of the two.

    Returns
    -------
    Canvas
        Styles: 0 outside; else 1 + upper * (count + 1) + lower, where `count` stands for outside;
        plus (count + 1)**2 where a cell is marked.
    """
    upper, lower = bright[::-1][0::2].astype(np.uint16), bright[::-1][1::2].astype(np.uint16)
    there_up, there_low = inside[::-1][0::2], inside[::-1][1::2]
    crossed = marked[::-1][0::2] & there_up | marked[::-1][1::2] & there_low
    canvas = Canvas.blank(*upper.shape)
    some = there_up | there_low
    if colored:
        canvas.chars[some] = ord(UPPER_HALF)
        same = there_up & there_low & (upper == lower)
        canvas.chars[same] = ord(" ")
    else:
        total = np.where(there_up, upper, 0) + np.where(there_low, lower, 0)
        mean = total / np.maximum(there_up.astype(int) + there_low, 1)
        ramp = np.frombuffer(RAMP.encode("utf-32-le"), "<u4")
        place = np.rint(mean / max(count - 1, 1) * (len(ramp) - 1)).astype(np.intp)
        canvas.chars[some] = ramp[place][some]
    upper = np.where(there_up, upper, count).astype(np.uint16)
    lower = np.where(there_low, lower, count).astype(np.uint16)
    style = 1 + upper * (count + 1) + lower
    canvas.styles[some] = style[some]
    canvas.chars[crossed] = ord("x")
    canvas.styles[crossed] += (count + 1) ** 2
    return canvas


def parts_of(style: int, count: int) -> tuple[int, int, bool]:
    """Return upper and lower brightness of a style and whether it is marked; see `half_blocks`."""
    marked, rest = divmod(style - 1, (count + 1) ** 2)
    upper, lower = divmod(rest, count + 1)
    return upper, lower, bool(marked)
