"""Bits of a fibre's pixels by the survey's rules, and the core's planes that they mean.

The survey keeps one number per rectified pixel, 0 for good. Those of its bits that follow from the
file itself are set here by its rules; the others come from lists that change, and are late masks.

Source: HETDEX/hetdex_api, h5tools/create_fiber_mask_hdf5.py.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.frames import Bits
from corecube.masks import MaskArray, value

Flags = npt.NDArray[np.uint16]

NAMES: Final = (
    "MAIN", "FTF", "CHI2FIB", "BADPIX", "BADAMP", "LARGEGAL", "METEOR", "BADSHOT", "THROUGHPUT",
    "BADFIB", "SATELLITE", "BADCAL", "PIXMASK", "MANUAL",
)  # fmt: skip
"""Name of each bit, from bit 0 on."""

MAIN, FTF, CHI2FIB = (np.uint16(1 << NAMES.index(name)) for name in ("MAIN", "FTF", "CHI2FIB"))
THROUGHPUT, BADCAL, PIXMASK = (
    np.uint16(1 << NAMES.index(name)) for name in ("THROUGHPUT", "BADCAL", "PIXMASK")
)

PLANES: Final = {
    "MAIN": value("no_data"),
    "FTF": value("bad_detector", "low_throughput"),
    "CHI2FIB": value("bad_detector"),
    "BADPIX": value("bad_detector"),
    "BADAMP": value("bad_detector"),
    "LARGEGAL": value("source"),
    "METEOR": value("bad_detector"),
    "BADSHOT": value("bad_detector"),
    "THROUGHPUT": value("low_throughput"),
    "BADFIB": value("bad_detector"),
    "SATELLITE": value("bad_detector"),
    "BADCAL": value("not_calibrated"),
    "PIXMASK": value("bad_detector"),
    "MANUAL": value("bad_detector"),
}
"""Planes of the core that each bit sets."""

NO_ERROR: Final = 1e-8
"""An error that is smaller means no data where the flux is 0."""

LOW_FIBER: Final = 0.5
"""Median of fiber_to_fiber up to which a fibre is bad."""

HIGH_CHI2: Final = 5.0
"""chi2 of the profile's fit from which on a pixel is bad (150 before 2025-03-28)."""

LOW_RESPONSE: Final = 0.08
"""Throughput at 4540 Angstrom below which a shot is poor."""

BADCAL_RANGE: Final = (3534.0, 3556.0)
"""Angstrom, inclusive: the flux calibration fails there in all amplifiers."""


def no_data(flux: npt.NDArray[Any], error: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return True where a file has no data: flux 0 and error 0."""
    empty: npt.NDArray[np.bool_] = (flux == 0) & (np.abs(error) < NO_ERROR)
    return empty


def fiber_medians(fiber_to_fiber: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the median of each fibre's throughput, NaN where it has no value.

    Parameters
    ----------
    fiber_to_fiber : float32 array (n, 1032)
    """
    good = np.isfinite(fiber_to_fiber)
    with np.errstate(invalid="ignore"):
        middle = np.median(np.where(good, fiber_to_fiber, np.nan), axis=1)
    lacking = good.any(axis=1) & ~good.all(axis=1)
    if lacking.any():
        middle[lacking] = np.nanmedian(fiber_to_fiber[lacking], axis=1)
    return middle.astype(np.float32)


def nearest_native(
    wavelength: npt.NDArray[np.float64], wave: npt.NDArray[np.float64]
) -> npt.NDArray[np.intp]:
    """Return for each fibre and rectified pixel the nearest native pixel.

    Parameters
    ----------
    wavelength : float64 array (n, 1032), Angstrom, rising
        A row without wavelengths (NaN) gives pixel numbers that mean nothing.
    wave : float64 array (w,), Angstrom

    Returns
    -------
    int array (n, w)
        0 to 1031; beyond the ends the end.
    """
    rows, width = wavelength.shape
    known: npt.NDArray[np.bool_] = np.asarray(np.isfinite(wavelength).all(axis=1))
    rising = np.where(known[:, None], wavelength, np.arange(width, dtype=np.float64))
    # one sorted sequence of all rows: each row has a range of its own
    start = np.arange(rows, dtype=np.float64)[:, None] * 1e5
    borders = (rising[:, 1:] + rising[:, :-1]) / 2.0 + start
    places = np.searchsorted(borders.ravel(), (wave[None, :] + start).ravel(), side="left")
    return np.asarray(places.reshape(rows, -1) - np.arange(rows)[:, None] * (width - 1))


def native_flags(
    spectrum: npt.NDArray[np.float32],
    chi2: npt.NDArray[np.float32],
    medians: npt.NDArray[np.float32],
) -> Flags:
    """Return the bits of native pixels: FTF, CHI2FIB, PIXMASK.

    Parameters
    ----------
    spectrum, chi2 : float32 arrays (n, 1032)
        NaN where the file has none.
    medians : float32 array (n,)
        See `fiber_medians`.
    """
    flags: Flags = np.where(spectrum == 0, PIXMASK, np.uint16(0))
    with np.errstate(invalid="ignore"):
        flags |= np.where(chi2 >= HIGH_CHI2, CHI2FIB, np.uint16(0))
        flags |= np.where(np.asarray(medians <= LOW_FIBER)[:, None], FTF, np.uint16(0))
    return flags


def rectified_flags(
    native: Flags,
    wavelength: npt.NDArray[np.float64],
    wave: npt.NDArray[np.float64],
    empty: npt.NDArray[np.bool_],
    response: float,
) -> Flags:
    """Return the bits of rectified pixels: those of the nearest native pixel, and their own.

    Parameters
    ----------
    native : uint16 array (n, 1032)
    wavelength : float64 array (n, 1032)
    wave : float64 array (w,)
    empty : bool array (n, w)
        No data.
    response : float
        Throughput of the shot at 4540 Angstrom, NaN if not known.
    """
    places = nearest_native(wavelength, wave)
    flags: Flags = np.take_along_axis(native, places, axis=1)
    unknown = ~np.isfinite(wavelength).all(axis=1)
    flags[unknown] &= FTF  # which is of the fibre, not of a pixel
    flags |= np.where(empty, MAIN, np.uint16(0))
    flags[:, (wave >= BADCAL_RANGE[0]) & (wave <= BADCAL_RANGE[1])] |= BADCAL
    if response < LOW_RESPONSE:
        flags |= THROUGHPUT
    return flags


def planes_of(flags: npt.NDArray[Any]) -> MaskArray:
    """Return the core's mask of bits."""
    mask = np.zeros(flags.shape, dtype=np.uint32)
    seen = int(np.bitwise_or.reduce(flags, axis=None)) if flags.size else 0
    for bit, name in enumerate(NAMES):
        if seen >> bit & 1:
            mask |= np.where(flags & np.uint16(1 << bit), np.uint32(PLANES[name]), np.uint32(0))
    return mask


def bits_of(flags: Flags) -> Bits:
    """Return the bits with their names."""
    return Bits(flags, NAMES)
