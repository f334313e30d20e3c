"""Image pyramids: means of blocks of pixels, with the errors of those means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.masks import MaskArray, valid

SMALLEST: Final = 128
"""Pixels along the longer side below which no further level is made."""


@dataclass(frozen=True)
class Level:
    """One level of a pyramid; pixel (0, 0) is the mean of the first 2**level x 2**level pixels.

    Attributes
    ----------
    level : int
    flux, error : float array (ceil(ny / 2**level), ceil(nx / 2**level))
        Per original pixel: F = sum_G I / |G| and sigma = sqrt(sum_G s**2) / |G| over the good
        pixels G of the block (no excluding plane, finite flux); NaN where there is none. The
        pixels of a block are taken as independent.
    mask : uint32 array
        All planes set anywhere in the block.
    coverage : float32 array, or None
        |G| / 4**level; None where it follows from the image's size alone.
    """

    level: int
    flux: npt.NDArray[Any]
    error: npt.NDArray[Any]
    mask: MaskArray
    coverage: npt.NDArray[np.float32] | None


def level_count(shape: tuple[int, int]) -> int:
    """Return how many levels an image of this shape has."""
    count = 0
    while max(shape) >> (count + 1) >= SMALLEST:
        count += 1
    return count


def levels(flux: npt.NDArray[Any], error: npt.NDArray[Any], mask: MaskArray) -> Iterator[Level]:
    """Yield the levels from 1 on, each from sums over level-0 pixels.

    Parameters
    ----------
    flux, error : float array (ny, nx)
    mask : uint32 array (ny, nx)
    """
    count = level_count((flux.shape[0], flux.shape[1]))
    if count == 0:
        return
    masked = bool(mask.any())
    plain = not masked and bool(np.isfinite(flux.sum(dtype=np.float64)))
    if plain:
        total, variance = flux, np.square(error)
        good = None
    else:
        use = valid(mask) & np.isfinite(flux)
        total = np.where(use, flux, 0)
        variance = np.where(use, np.square(error), 0)
        good = use.astype(np.float32)
    planes = mask
    for level in range(1, count + 1):
        total, variance = _sums(total), _sums(variance)
        planes = _joined(planes) if masked else np.zeros(total.shape, dtype=np.uint32)
        if good is None:
            pixels = _pixels(flux.shape[0], level)[:, None] * _pixels(flux.shape[1], level)
            coverage = None
        else:
            good = _sums(good)
            pixels = good
            coverage = good * np.float32(0.25**level)
        with np.errstate(divide="ignore", invalid="ignore"):
            yield Level(level, total / pixels, np.sqrt(variance) / pixels, planes, coverage)


def size_coverage(shape: tuple[int, int], level: int) -> npt.NDArray[np.float32]:
    """Return the coverage of a level where every pixel of the image of `shape` is good."""
    fraction = np.float32(0.25**level)
    return fraction * _pixels(shape[0], level)[:, None] * _pixels(shape[1], level)


def _pixels(length: int, level: int) -> npt.NDArray[np.float32]:
    """Return the number of original pixels along one axis in each block."""
    size = 1 << level
    counts = np.full(-(-length // size), size, dtype=np.float32)
    counts[-1] = length - size * (len(counts) - 1)
    return counts


def _sums(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return _pairs(_pairs(values, np.add, 0), np.add, 1)


def _joined(mask: MaskArray) -> MaskArray:
    return _pairs(_pairs(mask, np.bitwise_or, 0), np.bitwise_or, 1)


def _pairs(values: npt.NDArray[Any], join: Any, axis: int) -> npt.NDArray[Any]:
    """Join neighbours along an axis; a last one without neighbour stays as it is."""
    length = values.shape[axis]
    half = length // 2
    shape = list(values.shape)
    shape[axis] = -(-length // 2)
    result = np.empty(shape, dtype=values.dtype)
    if axis == 0:
        join(values[0 : 2 * half : 2], values[1 : 2 * half : 2], out=result[:half])
        result[half:] = values[2 * half :]
    else:
        join(values[:, 0 : 2 * half : 2], values[:, 1 : 2 * half : 2], out=result[:, :half])
        result[:, half:] = values[:, 2 * half :]
    return result
