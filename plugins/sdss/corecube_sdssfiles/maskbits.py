"""Names of the mask bits in SDSS files.

Sources: ``data/sdss/sdssMaskbits.par`` of idlutils (SPPIXMASK, ZWARNING) and the SDSS data model
pages "spec" and "fpM" (https://data.sdss.org/datamodel/).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.masks import MaskArray, value

SPPIXMASK: Final[tuple[str, ...]] = (
    *("NOPLUG", "BADTRACE", "BADFLAT", "BADARC", "MANYBADCOLUMNS", "MANYREJECTED", "LARGESHIFT"),
    *("BADSKYFIBER", "NEARWHOPPER", "WHOPPER", "SMEARIMAGE", "SMEARHIGHSN", "SMEARMEDSN"),
    *("", "", ""),
    *("NEARBADPIXEL", "LOWFLAT", "FULLREJECT", "PARTIALREJECT", "SCATTEREDLIGHT", "CROSSTALK"),
    *("NOSKY", "BRIGHTSKY", "NODATA", "COMBINEREJ", "BADFLUXFACTOR", "BADSKYCHI", "REDMONSTER"),
)
"""Bits of `mask`, `and_mask` and `or_mask`; 0 to 15 hold for the fibre, 16 and up for a pixel."""

ZWARNING: Final[tuple[str, ...]] = (
    *("SKY", "LITTLE_COVERAGE", "SMALL_DELTA_CHI2", "NEGATIVE_MODEL", "MANY_OUTLIERS"),
    *("Z_FITLIMIT", "NEGATIVE_EMISSION", "UNPLUGGED", "BAD_TARGET", "NODATA"),
)
"""Bits of ZWARNING, the doubts about a redshift."""

FPM: Final[tuple[str, ...]] = (
    *("INTERP", "SATUR", "NOTCHECKED", "OBJECT", "BRIGHTOBJECT", "BINOBJECT"),
    *("CATOBJECT", "SUBTRACTED", "GHOST", "CR"),
)
"""Planes of an fpM file; plane k is HDU k + 1, and bit k of the mask made from it."""

SPECTRUM_PLANES: Final[Mapping[str, str]] = {
    "BRIGHTSKY": "bright_sky",
    "SCATTEREDLIGHT": "scattered",
    "FULLREJECT": "rejected",
    "COMBINEREJ": "rejected",
    "LOWFLAT": "low_throughput",
}
"""Core plane of an SPPIXMASK bit; bits that are not named stay in the file's own mask only."""

IMAGE_PLANES: Final[Mapping[str, str]] = {
    "INTERP": "interpolated",
    "SATUR": "saturated",
    "CR": "cosmic_ray",
    "GHOST": "scattered",
    "OBJECT": "source",
    "BRIGHTOBJECT": "source",
    "BINOBJECT": "source",
}
"""Core plane of an fpM plane; NOTCHECKED, CATOBJECT and SUBTRACTED are no faults of a pixel."""


def bit(names: Sequence[str], name: str) -> int:
    """Return the number of a bit.

    Raises
    ------
    ValueError
        If the table has no such name.
    """
    return names.index(name)


def core_planes(
    bits: npt.NDArray[Any], names: Sequence[str], planes: Mapping[str, str]
) -> MaskArray:
    """Return the core's mask planes that follow from a file's own bits.

    Parameters
    ----------
    bits : unsigned integer array, any shape
    names : sequence of str
        The name of each bit.
    planes : mapping of str to str
        Core plane of each bit that has one.

    Returns
    -------
    uint32 array
        Shape of `bits`.
    """
    if bits.dtype.itemsize <= 2:
        # One look-up in a table that has an entry per combination of bits.
        combinations = np.arange(1 << len(names), dtype=bits.dtype)
        table: MaskArray = _by_bit(combinations, names, planes)
        return np.take(table, bits)
    return _by_bit(bits, names, planes)


def _by_bit(bits: npt.NDArray[Any], names: Sequence[str], planes: Mapping[str, str]) -> MaskArray:
    mask = np.zeros(bits.shape, np.uint32)
    for name, plane in planes.items():
        flag = bits.dtype.type(1 << bit(names, name))
        mask |= np.where(bits & flag, np.uint32(value(plane)), np.uint32(0))
    return mask
