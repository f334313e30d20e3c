"""From the big-endian numbers and texts of a file to native arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

IMAGE_TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
"""numpy type of each BITPIX (standard, table 8)."""
TABLE_TYPES = {
    **{"L": "u1", "X": "u1", "B": "u1", "A": "u1", "I": ">i2", "J": ">i4", "K": ">i8"},
    **{"E": ">f4", "D": ">f8", "C": ">c8", "M": ">c16"},
}
"""numpy type of an element of each TFORM letter (standard, table 18)."""
ITEM_SIZES = {letter: np.dtype(kind).itemsize for letter, kind in TABLE_TYPES.items()}


def scaled(raw: npt.NDArray[Any], scale: float, zero: float, null: int | None) -> npt.NDArray[Any]:
    """Return native values of an array of its own, scaled only where that changes something."""
    native = raw.dtype.newbyteorder("=")
    if scale == 1.0 and zero == 0.0:
        return raw.astype(native)
    bits = 8 * native.itemsize
    if native.kind == "i" and scale == 1.0 and zero == float(2 ** (bits - 1)):
        # Adding half the range to a two's complement number is flipping its highest bit.
        unsigned: npt.NDArray[Any] = raw.astype(native).view(f"u{native.itemsize}")
        unsigned ^= unsigned.dtype.type(1 << (bits - 1))
        return unsigned
    if native == np.uint8 and scale == 1.0 and zero == -128.0:
        return (raw.astype(native) ^ np.uint8(128)).view(np.int8)
    if native.kind in "fc":
        values = raw.astype(native)
    else:
        values = raw.astype(np.float32 if native.itemsize <= 2 else np.float64)
    if scale != 1.0:
        values *= values.dtype.type(scale)
    if zero != 0.0:
        values += values.dtype.type(zero)
    if native.kind in "iu" and null is not None:
        values[raw == null] = np.nan
    return values


def text_cells(cells: npt.NDArray[np.uint8], shape: tuple[int, ...]) -> npt.NDArray[np.str_]:
    """Return text of byte cells: it ends at the first NUL, trailing blanks do not count."""
    rows, length = len(cells), shape[-1] if shape else 1
    outer = shape[:-1]
    if cells.size == 0:
        return np.zeros((rows, *outer), "U1")
    points = cells.reshape(rows, *outer, length).astype(np.uint32)
    points[np.logical_or.accumulate(points == 0, axis=-1)] = 0
    blank = (points == 0) | (points == ord(" "))
    points[np.logical_and.accumulate(blank[..., ::-1], axis=-1)[..., ::-1]] = 0
    text: npt.NDArray[np.str_] = np.ascontiguousarray(points).view(f"U{length}")[..., 0]
    return text
