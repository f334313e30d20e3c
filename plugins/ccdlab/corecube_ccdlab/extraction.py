"""Spectra from images: the recipe ``rows-above-sky``, and a boxcar with sky from both sides.

Both take an image with space along y and dispersion along x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FrameError
from corecube.masks import MaskArray, valid, value
from corecube_ccdlab.detector import Extraction
from corecube_ccdlab.statistics import median_factors

Floats = npt.NDArray[np.float64]

SKY_ROWS: Final = 50
"""Rows from the lower edge that the recipe takes for sky, and the gap above the star."""
SIGMA: Final = 4.0
"""Standard deviations of single sky pixels above the sky's mean that a row's mean must reach."""
MOST: Final = 0.5
"""A boxcar that misses more than this part of the light is made from neighbours, not measured."""


@dataclass(frozen=True)
class Spectrum:
    """An extracted spectrum.

    Attributes
    ----------
    flux : float64 array (w,)
        Sky subtracted.
    variance : float64 array (w,)
    mask : uint32 array (w,)
    raw : float64 array (w,)
        Sky not subtracted.
    sky : float64 array (w,)
        What was subtracted.
    first, last : int
        Rows of the aperture, from 0, both included.
    numbers : dict
        What a report says of it.
    notes : tuple of str
    """

    flux: Floats
    variance: Floats
    mask: MaskArray
    raw: Floats
    sky: Floats
    first: int
    last: int
    numbers: dict[str, float]
    notes: tuple[str, ...] = ()


def rows_above_sky(image: Floats, variance: Floats) -> Spectrum:
    """Return the mean of the rows that stand out of the sky at the lower edge.

    The recipe, as it was published with spectra of 59 Cyg (github.com/frog9800/astropy,
    calibration.py), is kept as it is: threshold = mean + 4 standard deviations of single pixels in
    rows 0 to 49 without the last column; all rows between the first and the last whose mean is
    above it; sky rows begin 50 rows above the last of them, and as many. Additions are made in the
    order of the rows, in float64, as numpy reduces the first axis of an image.

    Parameters
    ----------
    image : float64 array (ny, nx), C order
    variance : float64 array (ny, nx)
        Of each pixel; pixels are taken as independent.

    Raises
    ------
    FrameError
        If no row is above the sky, or there is no room for the sky rows.
    """
    sample = image[0:SKY_ROWS, 0:-1]
    level, spread = float(sample.mean()), SIGMA * float(sample.std())
    threshold = level + spread
    selected = np.flatnonzero(image.mean(axis=1) > threshold)
    if not selected.size:
        raise FrameError(
            f"no row is above the sky threshold {threshold:.3f}; take another recipe with the "
            "setting recipe"
        )
    first, last = int(selected[0]), int(selected[-1])
    count = last + 1 - first
    begin = last + SKY_ROWS
    if begin + count > len(image):
        raise FrameError(
            f"sky rows {begin + 1} to {begin + count} lie beyond the image of {len(image)} rows; "
            "take another recipe with the setting recipe"
        )
    star, sky = image[first : last + 1], image[begin : begin + count]
    flux = (star.sum(axis=0) - sky.sum(axis=0)) / selected.size
    noise = variance[first : last + 1].sum(axis=0) + variance[begin : begin + count].sum(axis=0)
    notes = []
    if selected.size != count:
        notes.append(
            f"{count - selected.size} rows between the first and the last are below the threshold"
        )
    return Spectrum(
        flux=flux,
        variance=noise / selected.size**2,
        mask=np.zeros(flux.shape, np.uint32),
        raw=star.mean(axis=0),
        sky=sky.sum(axis=0) / selected.size,
        first=first,
        last=last,
        numbers={
            "sky_mean": level, "four_sigma": spread, "threshold": threshold,
            "rows_selected": float(selected.size), "first_row": float(first + 1),
            "last_row": float(last + 1), "first_sky_row": float(begin + 1),
            "last_sky_row": float(begin + count),
        },
        notes=tuple(notes),
    )  # fmt: skip


def boxcar(
    image: npt.NDArray[Any], variance: npt.NDArray[Any], mask: MaskArray, settings: Extraction
) -> Spectrum:
    """Return the sum over a fixed aperture around the brightest row, sky from both sides.

    Sky: per column the median of the valid pixels on both sides, with the variance
    var_s = c_n mean(var) / n. It is common to all W pixels of the aperture:
    var = sum(var_i) + W^2 var_s. Masked pixels of the aperture are left out, and the sum is scaled
    by the part of the profile that they have.

    Parameters
    ----------
    image : float array (ny, nx)
    variance : float array (ny, nx)
    mask : uint32 array (ny, nx)
    settings : Extraction

    Raises
    ------
    FrameError
        If there is no valid row to look at.
    """
    good = valid(mask) & np.isfinite(image) & np.isfinite(variance)
    data, var = np.where(good, image, 0.0).astype(np.float64), np.where(good, variance, 0.0)
    profile = _profile(image, good)
    centre = brightest(profile, settings.edge)
    half = settings.width // 2
    first, last = max(centre - half, 0), min(centre + half, len(image) - 1)
    sky, var_sky, count = _sky(data, var.astype(np.float64), good, centre, settings.sky)
    inside = slice(first, last + 1)
    weights = np.maximum(np.nan_to_num(profile[inside]), 0.0)
    if not weights.sum() > 0:
        weights = np.ones(last + 1 - first)
    fraction = (good[inside] * (weights / weights.sum())[:, None]).sum(axis=0)
    number = good[inside].sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        raw = data[inside].sum(axis=0) / fraction
        below = number * sky / fraction
        total = (var[inside].sum(axis=0) + number**2 * var_sky) / fraction**2
    out = np.zeros(raw.shape, np.uint32)
    lost = (number == 0) | (count == 0) | ~np.isfinite(raw)
    out[(number < last + 1 - first) & ~lost] |= np.uint32(value("rejected"))
    out[(fraction < MOST) & ~lost] |= np.uint32(value("interpolated"))
    out[lost] |= np.uint32(value("no_data", "no_error"))
    flux = raw - below
    flux[lost], total[lost] = np.nan, np.nan
    return Spectrum(
        flux=flux,
        variance=total,
        mask=out,
        raw=raw,
        sky=below,
        first=first,
        last=last,
        numbers={
            "centre_row": float(centre + 1), "first_row": float(first + 1),
            "last_row": float(last + 1), "sky_pixels": float(np.median(count)),
            "sky_level": float(np.nanmedian(sky)) if np.isfinite(sky).any() else float("nan"),
        },
    )  # fmt: skip


def brightest(profile: Floats, edge: int) -> int:
    """Return the row of the highest point of a profile, smoothed over five rows.

    Parameters
    ----------
    profile : float64 array (ny,)
        NaN where a row has no valid pixels.
    edge : int
        Rows at both ends that are left out.
    """
    known = np.isfinite(profile)
    if not known[edge : len(profile) - edge].any():
        raise FrameError("no row has valid pixels; nothing can be extracted")
    filled = np.where(known, profile, np.nanmin(profile))
    smooth = np.convolve(np.pad(filled, 2, mode="edge"), np.full(5, 0.2), mode="valid")
    inner = np.where(known, smooth, -np.inf)[edge : len(profile) - edge]
    return int(np.argmax(inner)) + edge


def _profile(image: npt.NDArray[Any], good: npt.NDArray[np.bool_]) -> Floats:
    """Return the light per row above the background, a median along the dispersion."""
    rows = np.full(len(image), np.nan)
    some = good.sum(axis=1) > image.shape[1] // 4
    if some.any():
        rows[some] = np.nanmedian(np.where(good[some], image[some], np.nan), axis=1)
        rows -= np.nanmedian(rows)
    return rows


def _sky(
    data: Floats, variance: Floats, good: npt.NDArray[np.bool_], centre: int, reach: tuple[int, int]
) -> tuple[Floats, Floats, npt.NDArray[np.intp]]:
    """Return the sky of each column, its variance, and the number of pixels it was made of."""
    near, far = reach
    rows = np.array(
        [
            row
            for row in (
                *range(centre - far, centre - near + 1),
                *range(centre + near, centre + far + 1),
            )
            if 0 <= row < len(data)
        ],
        dtype=np.intp,
    )
    if not rows.size:
        raise FrameError("there are no sky rows beside the spectrum; change sky in the description")
    use = good[rows]
    count = use.sum(axis=0)
    sky, var = np.full(data.shape[1], np.nan), np.full(data.shape[1], np.nan)
    some = count > 0
    if some.any():
        sky[some] = np.nanmedian(np.where(use, data[rows], np.nan)[:, some], axis=0)
        mean = np.where(use, variance[rows], 0.0).sum(axis=0)[some] / count[some]
        var[some] = median_factors(count)[some] * mean / count[some]
    return sky, var, count
