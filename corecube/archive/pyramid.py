"""Image pyramids: means of blocks of pixels, with the errors of those means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.masks import EXCLUDING, MaskArray, valid

SMALLEST: Final = 128
"""Pixels along the longer side below which no further level is made."""

MOST_LEVELS: Final = 24
"""2**24 pixels along a side: more than any image has."""

_ROWS: Final = 64
"""Rows of the full image that are worked on together; even."""


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
    mask : uint32 array, or None
        All planes set anywhere in the block; None where no plane is set in the whole image.
    coverage : float32 array, or None
        |G| / 4**level; None where it follows from the image's size alone.
    """

    level: int
    flux: npt.NDArray[Any]
    error: npt.NDArray[Any]
    mask: MaskArray | None
    coverage: npt.NDArray[np.float32] | None

    def arrays(
        self, shape: tuple[int, int]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any], MaskArray, npt.NDArray[np.float32]]:
        """Return flux, error, mask and coverage, the last two also where they are None.

        Parameters
        ----------
        shape : (int, int)
            Of level 0.
        """
        mask = np.zeros(self.flux.shape, np.uint32) if self.mask is None else self.mask
        coverage = size_coverage(shape, self.level) if self.coverage is None else self.coverage
        return self.flux, self.error, mask, coverage


def level_count(shape: tuple[int, int], wanted: int | None = None) -> int:
    """Return how many levels an image of this shape has.

    Parameters
    ----------
    shape : (int, int)
    wanted : int, optional
        So many, but none beyond that of a single pixel; if not given, those whose longer side
        has 128 pixels or more.
    """
    if wanted is not None:
        return min(wanted, (max(*shape, 1) - 1).bit_length())
    count = 0
    while max(shape) >> (count + 1) >= SMALLEST:
        count += 1
    return count


def levels(
    flux: npt.NDArray[Any], error: npt.NDArray[Any], mask: MaskArray, count: int | None = None
) -> Iterator[Level]:
    """Yield the levels from 1 on, each from sums over level-0 pixels.

    Parameters
    ----------
    flux, error : float array (ny, nx)
    mask : uint32 array (ny, nx)
    count : int, optional
        How many; as many as an image of this shape has if not given. A part of an image that
        begins at multiples of 2**count, and ends so or with the image, has the image's own levels.
    """
    if count is None:
        count = level_count((flux.shape[0], flux.shape[1]))
    if count == 0:
        return
    masked, whole = state(flux, mask)
    good = None if whole else valid(mask) & np.isfinite(flux)
    total, variance = _first_sums(flux, good), _first_sums(error, good, np.square)
    pixels = _first_sums(good.astype(np.float32), None) if good is not None else None
    planes = mask
    for level in range(1, count + 1):
        if level > 1:
            total, variance = _sums(total), _sums(variance)
            pixels = None if pixels is None else _sums(pixels)
        if masked:
            planes = _joined(planes)
        if pixels is None:
            divisor = _pixels(flux.shape[0], level)[:, None] * _pixels(flux.shape[1], level)
        else:
            divisor = pixels
        with np.errstate(divide="ignore", invalid="ignore"):
            yield Level(
                level,
                total / divisor,
                np.sqrt(variance) / divisor,
                planes if masked else None,
                None if pixels is None else pixels * np.float32(0.25**level),
            )


def state(flux: npt.NDArray[Any], mask: MaskArray) -> tuple[bool, bool]:
    """Tell whether any plane is set in an image, and whether all of its pixels are good.

    They decide whether levels have a mask and a coverage.
    """
    seen = int(np.bitwise_or.reduce(mask, axis=None))
    with np.errstate(over="ignore", invalid="ignore"):
        return seen != 0, not seen & EXCLUDING and bool(np.isfinite(flux.sum()))


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


def _first_sums(
    values: npt.NDArray[Any], good: npt.NDArray[np.bool_] | None, change: Any = None
) -> npt.NDArray[Any]:
    """Sum 2 x 2 pixels of the full image, a few rows at a time: they stay in the cache."""
    shape = (-(-values.shape[0] // 2), -(-values.shape[1] // 2))
    result = np.empty(shape, dtype=values.dtype)
    for top in range(0, values.shape[0], _ROWS):
        part = values[top : top + _ROWS]
        if change is not None:
            with np.errstate(over="ignore"):
                part = change(part)
        if good is not None:
            part = np.where(good[top : top + _ROWS], part, 0)
        result[top // 2 : (top + _ROWS) // 2] = _sums(part)
    return result


def _sums(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large becomes infinite
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
