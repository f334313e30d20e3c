"""What one image or one spectrum gives to a cube."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from corecube.masks import MaskArray


@dataclass(frozen=True, eq=False)
class CubePart:
    """What one image or one spectrum has in the region.

    Attributes
    ----------
    kind : {"image", "spectrum", "weighted"}
        The last is a spectrum times the merged passbands of its instrument.
    name : str
        Full name of the image or fibre.
    band, target : str
    level : int
        A pixel is the mean of 2**level x 2**level pixels of the image, or of 2**level pixels of
        the spectrum.
    unit : str
        Of flux and error: per original pixel for images, so that ``sum(flux * coverage) *
        4**level`` is the sum over the pixels; a density for spectra.
    flux, error : float array (ny, nx) or (n,)
        NaN where no good pixel is in the block or bin.
    mask : uint32 array
        All planes set anywhere in the block or bin.
    coverage : float32 array
        Part of the block or bin that good pixels cover.
    start, end : float64 array (), or (ny,) where rows have times of their own
        MJD TAI; of a row of blocks the mean of its rows.
    first : tuple of int
        Row and column of the level's pixel that the part begins with; number of the first bin.
    cards : dict or None
        WCS cards of an image's part.
    edges : float64 array (n + 1,) or None
        Edges of a spectrum's bins.
    ra, dec : float
        Of the fibre, ICRS degrees; NaN for images.
    about : dict
        Plain JSON: what else there is to say. For spectra the unit and medium of the wavelengths,
        and ``lag1``, ``lag2``: correlations of neighbouring pixels, with ``bin variance over
        independent``, by which the variance of a bin is larger; they are not applied.
    """

    kind: str
    name: str
    band: str
    target: str
    level: int
    unit: str
    flux: npt.NDArray[Any]
    error: npt.NDArray[Any]
    mask: MaskArray
    coverage: npt.NDArray[np.float32]
    start: npt.NDArray[np.float64]
    end: npt.NDArray[np.float64]
    first: tuple[int, ...]
    cards: dict[str, float | int | str] | None = None
    edges: npt.NDArray[np.float64] | None = None
    ra: float = float("nan")
    dec: float = float("nan")
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def wavelength(self) -> npt.NDArray[np.float64] | None:
        """Middle of each bin of a spectrum, float64 (n,); None for an image."""
        if self.edges is None:
            return None
        if self.about.get("wavelengths", {}).get("unit") == "pix":
            return np.asarray((self.edges[:-1] + self.edges[1:]) / 2.0)
        return np.asarray(np.sqrt(self.edges[:-1] * self.edges[1:]))

    @property
    def wcs(self) -> Any:
        """The `astropy.wcs.WCS` of an image's part; None for a spectrum."""
        if self.cards is None:
            return None
        from corecube.wcs import from_cards

        return from_cards(self.cards)

    def equals(self, other: CubePart) -> bool:
        """Tell whether two parts are the same in all values, NaN included."""
        for name in vars(self):
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, np.ndarray):
                if not isinstance(theirs, np.ndarray) or mine.dtype != theirs.dtype:
                    return False
                if not np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f"):
                    return False
            elif isinstance(mine, float) and isinstance(theirs, float):
                if not (mine == theirs or (mine != mine and theirs != theirs)):
                    return False
            elif mine != theirs:
                return False
        return True
