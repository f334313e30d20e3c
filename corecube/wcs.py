"""Pixels and positions by the WCS cards of an image: plain TAN by ourselves, the rest by astropy.

Cards may come from a file of a stranger: whatever is wrong with them is one line.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from corecube import tan
from corecube.errors import FrameError

Cards = Mapping[str, float | int | str]
FloatArray = npt.NDArray[np.float64]


def to_pixel(cards: Cards, ra: npt.ArrayLike, dec: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return the pixels of positions.

    Parameters
    ----------
    cards : mapping
        WCS cards.
    ra, dec : float arrays, degrees

    Returns
    -------
    x, y : float64 arrays
        0-based; NaN where a position has no pixel.

    Raises
    ------
    FrameError
        If the cards are no celestial WCS, or have no inverse there.
    """
    if tan.is_plain(cards):
        return _tried(lambda: tan.to_pixel(cards, ra, dec))
    wcs = from_cards(cards)
    return _tried(lambda: wcs.all_world2pix(ra, dec, 0, ra_dec_order=True))


def to_sky(cards: Cards, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return RA and Dec of pixels.

    Parameters
    ----------
    cards : mapping
        WCS cards.
    x, y : float arrays
        0-based.

    Returns
    -------
    ra, dec : float64 arrays, degrees

    Raises
    ------
    FrameError
        If the cards are no celestial WCS.
    """
    if tan.is_plain(cards):
        return _tried(lambda: tan.to_sky(cards, x, y))
    wcs = from_cards(cards)
    return _tried(lambda: wcs.all_pix2world(x, y, 0, ra_dec_order=True))


def from_cards(cards: Cards) -> Any:
    """Return the `astropy.wcs.WCS` of FITS cards.

    Parameters
    ----------
    cards : mapping
        CTYPE1, CRPIX1, CRVAL1, CD1_1, ... ; float64.

    Raises
    ------
    FrameError
        If they are none of a WCS.
    """
    from astropy.io.fits import Header
    from astropy.io.fits.verify import VerifyWarning
    from astropy.wcs import WCS, FITSFixedWarning

    header = Header()
    with warnings.catch_warnings():
        # astropy reports the old spellings that it mends (RADECSYS, an invented MJD-OBS)
        warnings.simplefilter("ignore", FITSFixedWarning)
        warnings.simplefilter("ignore", VerifyWarning)
        try:
            for name, card in cards.items():
                header[name] = card
            return WCS(header)
        except Exception as error:  # of cards of other types also an AttributeError
            raise _none(error) from error


def _tried(convert: Callable[[], Any]) -> tuple[FloatArray, FloatArray]:
    try:
        first, second = convert()
    except Exception as error:  # astropy's NoConvergence is nothing more special
        raise _none(error) from error
    return np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)


def _none(error: Exception) -> FrameError:
    text = " ".join(str(error).split()) or type(error).__name__
    return FrameError(f"the WCS cards of the image place no pixels on the sky ({text[-120:]})")
