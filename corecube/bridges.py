"""From frames to the objects of astropy and specutils."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from corecube.errors import FrameError
from corecube.masks import valid, value

if TYPE_CHECKING:
    from corecube.frames import Fibers, Image


def to_ccddata(image: Image) -> Any:
    """Return an `astropy.nddata.CCDData` of an image.

    Parameters
    ----------
    image : Image
        With error and mask.

    Returns
    -------
    CCDData
        Flux (shared, not copied), `StdDevUncertainty`, a boolean mask that is True where an
        excluding plane is set, the WCS, and the integer planes in ``flags``' place in
        ``meta["mask"]``.

    Raises
    ------
    FrameError
        If the image has no error yet.
    """
    from astropy.nddata import CCDData, StdDevUncertainty

    if image.error is None or image.mask is None:
        raise FrameError(f"image '{image.name}' has no error yet")
    return CCDData(
        image.flux,
        unit=image.unit,
        uncertainty=StdDevUncertainty(image.error),
        mask=~valid(image.mask),
        wcs=image.wcs,
        meta={"name": image.name, "band": image.band, "mask": image.mask},
    )


def to_spectrum(fibers: Fibers, row: int = 0) -> Any:
    """Return a `specutils.Spectrum` of one fibre (extra ``spectra``).

    Parameters
    ----------
    fibers : Fibers
        With error and mask.
    row : int
        Which fibre.

    Returns
    -------
    specutils.Spectrum
        Padding (plane ``outside``) cut off at both ends; mask True where an excluding plane is set.

    Raises
    ------
    FrameError
        If there is no error yet, or no pixel.
    ImportError
        If specutils is not installed.
    """
    from astropy import units
    from astropy.nddata import StdDevUncertainty
    from specutils import Spectrum

    if fibers.error is None or fibers.mask is None:
        raise FrameError(f"group '{fibers.name}' has no error yet")
    wave = fibers.wave.wavelength()
    wave = wave[row] if wave.ndim == 2 else wave
    inside = np.flatnonzero(
        np.isfinite(wave) & ((fibers.mask[row] & np.uint32(value("outside"))) == 0)
    )
    if inside.size == 0:
        raise FrameError(f"fibre '{fibers.id[row]}' of '{fibers.name}' has no pixels")
    part = slice(int(inside[0]), int(inside[-1]) + 1)
    return Spectrum(
        flux=units.Quantity(fibers.flux[row, part], fibers.unit),
        spectral_axis=units.Quantity(wave[part], fibers.wave.unit),
        uncertainty=StdDevUncertainty(fibers.error[row, part]),
        mask=~valid(fibers.mask[row, part]),
        meta={"id": fibers.id[row], "medium": fibers.wave.medium},
    )
