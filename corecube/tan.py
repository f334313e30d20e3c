"""The gnomonic (TAN) projection in float64, without astropy: for footprints and cutouts.

Formulas: Calabretta and Greisen 2002, A&A 395, 1077, sections 2 and 5.1.3. A WCS with anything
beyond CTYPE ``RA---TAN`` and ``DEC--TAN`` (in either order), CRPIX, CRVAL and a CD matrix is left
to astropy, and so is one whose reference point is a pole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Cards = Mapping[str, float | int | str]
FloatArray = npt.NDArray[np.float64]

_USED = ("CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2", "CD1_1", "CD1_2", "CD2_1", "CD2_2")


def is_plain(cards: Cards) -> bool:
    """Say whether the cards are a plain TAN projection on equatorial coordinates."""
    kinds = (str(cards.get("CTYPE1", "")).strip(), str(cards.get("CTYPE2", "")).strip())
    return (
        sorted(kinds) == ["DEC--TAN", "RA---TAN"]
        and all(isinstance(cards.get(name), int | float) for name in _USED)
        and abs(float(cards["CRVAL2" if kinds[0] == "RA---TAN" else "CRVAL1"])) < 90
        and not any(name.startswith(("PV", "A_", "B_", "LONPOLE", "LATPOLE")) for name in cards)
    )


def to_sky(cards: Cards, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return RA and Dec of pixels.

    Parameters
    ----------
    cards : mapping
        WCS cards; see `is_plain`.
    x, y : float arrays
        0-based: the centre of the first pixel is (0, 0).

    Returns
    -------
    ra, dec : float64 arrays, degrees, 0 <= ra < 360
    """
    cd, crpix, ra0, dec0 = _parts(cards)
    dx = np.asarray(x, dtype=np.float64) + 1 - crpix[0]
    dy = np.asarray(y, dtype=np.float64) + 1 - crpix[1]
    xi = np.radians(cd[0, 0] * dx + cd[0, 1] * dy)
    eta = np.radians(cd[1, 0] * dx + cd[1, 1] * dy)
    below = np.cos(dec0) - eta * np.sin(dec0)
    ra = ra0 + np.arctan2(xi, below)
    dec = np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(xi, below))
    return np.mod(np.degrees(ra), 360.0), np.degrees(dec)


def to_pixel(cards: Cards, ra: npt.ArrayLike, dec: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return the pixels of positions; NaN for the hemisphere that is not projected.

    Parameters
    ----------
    cards : mapping
        WCS cards; see `is_plain`.
    ra, dec : float arrays, degrees

    Returns
    -------
    x, y : float64 arrays
        0-based.
    """
    cd, crpix, ra0, dec0 = _parts(cards)
    difference = np.radians(np.asarray(ra, dtype=np.float64)) - ra0
    phi = np.radians(np.asarray(dec, dtype=np.float64))
    cosine = np.sin(phi) * np.sin(dec0) + np.cos(phi) * np.cos(dec0) * np.cos(difference)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = np.where(cosine > 0, cosine, np.nan)
        xi = np.cos(phi) * np.sin(difference) / cosine
        eta = (
            np.sin(phi) * np.cos(dec0) - np.cos(phi) * np.sin(dec0) * np.cos(difference)
        ) / cosine
    inverse = np.linalg.inv(cd)
    xi, eta = np.degrees(xi), np.degrees(eta)
    x = inverse[0, 0] * xi + inverse[0, 1] * eta + crpix[0] - 1
    y = inverse[1, 0] * xi + inverse[1, 1] * eta + crpix[1] - 1
    return x, y


def outline(cards: Cards, shape: tuple[int, int]) -> FloatArray:
    """Return the corners of an image's outer pixel edges, (4, 2) degrees, in order around it.

    Parameters
    ----------
    cards : mapping
    shape : (int, int)
        (ny, nx).
    """
    ny, nx = shape
    x = np.array([-0.5, nx - 0.5, nx - 0.5, -0.5])
    y = np.array([-0.5, -0.5, ny - 0.5, ny - 0.5])
    return np.stack(to_sky(cards, x, y), axis=1)


def _parts(cards: Cards) -> tuple[FloatArray, tuple[float, float], float, float]:
    def number(name: str) -> float:
        value: Any = cards[name]
        return float(value)

    cd = np.array(
        [[number("CD1_1"), number("CD1_2")], [number("CD2_1"), number("CD2_2")]], dtype=np.float64
    )
    crpix = (number("CRPIX1"), number("CRPIX2"))
    crval = (number("CRVAL1"), number("CRVAL2"))
    if str(cards["CTYPE1"]).startswith("DEC"):
        cd, crval = cd[::-1], crval[::-1]
    return cd, crpix, np.radians(crval[0]), np.radians(crval[1])
