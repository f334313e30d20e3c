"""Fluxes that a catalogue gives of objects: what instruments hand over to be compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from corecube.errors import FrameError
from corecube.units import check


@dataclass(frozen=True, eq=False)
class CatalogueFlux:
    """The fluxes of n objects in a band.

    Attributes
    ----------
    kind : str
        What was measured: ``PSF flux``.
    band : str
    name : tuple of str, n
    ra, dec : float64 array (n,), ICRS degrees
    flux, sigma : float64 array (n,)
        NaN where not known.
    unit : str
    source : str
        File or columns that they come from.
    """

    kind: str
    band: str
    name: tuple[str, ...]
    ra: npt.NDArray[np.float64]
    dec: npt.NDArray[np.float64]
    flux: npt.NDArray[np.float64]
    sigma: npt.NDArray[np.float64]
    unit: str
    source: str = ""

    def __post_init__(self) -> None:
        check(self.unit)
        for name in ("ra", "dec", "flux", "sigma"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if values.shape != (len(self.name),):
                raise FrameError(
                    f"catalogue '{self.kind}' in {self.band}: {name} {values.shape} for "
                    f"{len(self.name)} objects"
                )
            object.__setattr__(self, name, values)
