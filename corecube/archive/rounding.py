"""Errors of fewer bits, for archives that were made so: they take less space."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

MOST: Final = 22
"""Bits of the mantissa that may be kept; float32 has 23."""
FEWEST: Final = 4

_MANTISSA: Final = {4: 23, 8: 52}
_WORD: Final[dict[int, Any]] = {4: np.uint32, 8: np.uint64}


def rounded(errors: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    """Return errors with so many explicit bits of the mantissa, rounded half to even.

    What would become zero (a weight without end) or infinite stays as it is, and so does what is
    not finite. Rounding again changes nothing.

    Parameters
    ----------
    errors : float32 or float64 array
    bits : int
        Values change by 2 ** -(bits + 1) of themselves at most, subnormal ones by more.

    Returns
    -------
    array of the same type and shape
    """
    size = errors.dtype.itemsize
    word = _WORD[size]
    drop = word(_MANTISSA[size] - bits)
    number = np.ascontiguousarray(errors).view(word)
    half = (word(1) << (drop - word(1))) - word(1)
    up = number + half + ((number >> drop) & word(1))
    result = (up >> drop << drop).view(errors.dtype)
    good = np.isfinite(errors) & np.isfinite(result) & (result != 0)
    return np.where(good, result, errors)


def said(bits: int) -> str:
    """Return the line of a provenance."""
    return (
        f"error rounded to {bits} bits of the mantissa, half to even: by {2.0 ** -(bits + 1):.1e} "
        "of itself at most"
    )
