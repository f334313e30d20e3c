"""The planes of the core's mask: one table, the same meaning for all instruments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FrameError

MaskArray = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Plane:
    """One named bit of the mask.

    Attributes
    ----------
    name : str
        As users write it.
    bit : int
        0 to 31; the value in the mask is ``1 << bit``.
    excludes : bool
        True: such a pixel is left out of statistics. False: the plane only informs.
    description : str
        One sentence.
    """

    name: str
    bit: int
    excludes: bool
    description: str


PLANES: Final[tuple[Plane, ...]] = (
    Plane("no_data", 0, True, "Nothing was measured here."),
    Plane("bad_detector", 1, True, "A defect of the detector."),
    Plane("saturated", 2, True, "Too bright for the detector or its electronics."),
    Plane("cosmic_ray", 3, True, "Hit by a cosmic ray."),
    Plane("no_error", 4, False, "The error is not known; it is NaN."),
    Plane("negative_variance", 5, True, "The noise model or the file gives a variance below zero."),
    Plane("not_calibrated", 6, True, "The calibration does not reach this pixel."),
    Plane("interpolated", 7, True, "The value was made from neighbours, not measured."),
    Plane("not_primary", 8, False, "Another frame or fibre is the primary one here."),
    Plane("scattered", 9, False, "Scattered light or a ghost."),
    Plane("bright_sky", 10, False, "On a bright sky line."),
    Plane("rejected", 11, False, "Rejected by the pipeline in some or all exposures."),
    Plane("source", 12, False, "A detected object covers this pixel."),
    Plane("late", 13, True, "Named by a list that came after ingest."),
    Plane("outside", 14, True, "Padding: outside of the detector, the image or the spectrum."),
    Plane("low_throughput", 15, False, "Low throughput."),
)

_BITS: Final = {plane.name: plane.bit for plane in PLANES}

EXCLUDING: Final[int] = sum(1 << plane.bit for plane in PLANES if plane.excludes)
"""Mask value of all planes that exclude a pixel from statistics."""


@dataclass(frozen=True)
class MaskSpan:
    """Pixels that a list names after their frame was made.

    Attributes
    ----------
    frame : str
        Name of the group of fibres or of the image.
    source : str
        The list, and what it says: ``badamps.list: multi_319_083_023_RL``.
    row, first, last : int32 arrays (k,)
        Row of the group or image, and its first and last pixel, inclusive.
    plane : str
        A plane of the core.
    """

    frame: str
    source: str
    row: npt.NDArray[np.int32]
    first: npt.NDArray[np.int32]
    last: npt.NDArray[np.int32]
    plane: str = "late"

    def __post_init__(self) -> None:
        value(self.plane)
        shapes = {np.shape(part) for part in (self.row, self.first, self.last)}
        if len(shapes) != 1 or len(shapes.pop()) != 1:
            raise FrameError(f"late mask of '{self.frame}': row, first and last differ in shape")
        for name in ("row", "first", "last"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.int32))
        if np.any(self.first < 0) or np.any(self.last < self.first) or np.any(self.row < 0):
            raise FrameError(f"late mask of '{self.frame}': a span ends before it begins")


def value(*names: str) -> int:
    """Return the mask value that has these planes set.

    Raises
    ------
    FrameError
        If there is no plane of that name.
    """
    result = 0
    for name in names:
        if name not in _BITS:
            raise FrameError(f"there is no mask plane '{name}'; the planes are {', '.join(_BITS)}")
        result |= 1 << _BITS[name]
    return result


def names(mask: int) -> tuple[str, ...]:
    """Return the names of the planes set in a mask value, by rising bit."""
    return tuple(plane.name for plane in PLANES if mask >> plane.bit & 1)


def valid(mask: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return True where no excluding plane is set; same shape as `mask`."""
    good: npt.NDArray[np.bool_] = (np.asarray(mask) & np.uint32(EXCLUDING)) == 0
    return good


def counts(mask: npt.ArrayLike, planes: Iterable[str] | None = None) -> dict[str, int]:
    """Count the pixels of each plane that is set anywhere in `mask`.

    Parameters
    ----------
    mask : uint array, any shape
    planes : iterable of str, optional
        The names of bits 0, 1, ... instead of the core's (for an instrument's own bits).
    """
    array = np.asarray(mask)
    seen = int(np.bitwise_or.reduce(array, axis=None)) if array.size else 0
    table = list(planes) if planes is not None else [plane.name for plane in PLANES]
    return {
        name: int(np.count_nonzero(array & array.dtype.type(1 << bit)))
        for bit, name in enumerate(table)
        if name and seen >> bit & 1
    }
