"""Parts of a cube as one array each of flux, error, mask and coverage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.archive.cubeparts import CubePart
from corecube.errors import QueryError
from corecube.masks import MaskArray

FloatArray = npt.NDArray[np.float64]

ARRAYS: Final = ("flux", "error", "mask", "coverage", "edges", "covariance")


@dataclass(frozen=True, eq=False)
class Stack:
    """Images or spectra on one grid.

    Attributes
    ----------
    names : tuple of str
        Of the parts, in the order of the arrays.
    unit : str
        Of flux and error: of images per original pixel, as in the parts.
    flux, error : float64 array (n, ny, nx) or (n, w)
        NaN where a part has nothing.
    mask : uint32 array, likewise
        All planes set in any pixel that takes part.
    coverage : float64 array, likewise
        Part of the common pixel or bin that good pixels cover.
    cards : dict or None
        WCS cards of the common pixels.
    edges : float64 array (w + 1,) or None
        Edges of the common bins, Angstrom.
    covariance : float64 array (n, w - 1) or None
        Of a given bin and the next, which share a pixel of the spectrum; None where no pixel is
        cut in two.
    left_out : tuple of str
        Spectra that cannot be on this grid.
    about : dict
        Plain JSON. For images, by name: ``area``, pixels of the image in a common pixel, so that
        ``sum(flux * coverage) * area`` is the sum over the pixels; ``pixels``, the effective
        number of the part's pixels that a common pixel is the mean of: below 1.5 neighbours are
        nearly the same measurement. ``square`` is the side of a square of pixels that covers the
        grid in each image. For given bins, by name: ``n_eff``, pixels of the part that
        went in, so many values are independent; ``correlation``, the median of neighbours.
    """

    names: tuple[str, ...]
    unit: str
    flux: FloatArray
    error: FloatArray
    mask: MaskArray
    coverage: FloatArray
    cards: dict[str, float | int | str] | None = None
    edges: FloatArray | None = None
    covariance: FloatArray | None = None
    left_out: tuple[str, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def wavelength(self) -> FloatArray | None:
        """Middle of each bin, float64 (w,): in log10 where they are the spectra's own."""
        if self.edges is None:
            return None
        if "step" in self.about:
            return np.asarray(np.sqrt(self.edges[:-1] * self.edges[1:]))
        return np.asarray((self.edges[:-1] + self.edges[1:]) / 2.0)

    @property
    def wcs(self) -> Any:
        """The `astropy.wcs.WCS` of the common pixels; None for bins."""
        if self.cards is None:
            return None
        from corecube.wcs import from_cards

        return from_cards(self.cards)

    def equals(self, other: Stack) -> bool:
        """Tell whether two stacks are the same in all values, NaN included."""
        for name in ARRAYS:
            mine, theirs = getattr(self, name), getattr(other, name)
            if (mine is None) != (theirs is None):
                return False
            if mine is not None and not (
                mine.dtype == theirs.dtype and np.array_equal(mine, theirs, equal_nan=True)
            ):
                return False
        return all(
            getattr(self, name) == getattr(other, name)
            for name in ("names", "unit", "cards", "left_out", "about")
        )


def one_unit(parts: list[CubePart]) -> str:
    """Return the unit of parts, "" of none.

    Raises
    ------
    QueryError
        If they have several.
    """
    units = sorted({part.unit for part in parts})
    if len(units) > 1:
        raise QueryError(f"{' and '.join(units)} do not go into one array; ask for one unit")
    return units[0] if units else ""
