"""From places in the focal plane to the sky.

A fibre lies at the place of its IFU plus its own place in the bundle plus the dither. The axes
cross: the slot's Y adds to the fibre's x, the slot's X to its y. The tangent plane has its point of
contact at the shot's (ra, dec) and is turned by ``360 - (90 + pa)`` degrees.

Sources: HETDEX/pyhetdex, coordinates/tangent_projection.py; HETDEX/vdrp, astrometry.py; the
dithers are those of HETDEX/karlspipe, hdr2.1/vdrp/vdrp.config.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube import tan

Floats = npt.NDArray[np.float64]

DITHERS: Final = {1: (0.0, 0.0), 2: (1.215, -0.70), 3: (1.215, 0.70)}
"""Offset (x, y) of each exposure in arcsec; stored positions of 2017 to 2022 agree with these."""


@dataclass(frozen=True)
class TangentPoint:
    """Where the focal plane touches the sky.

    Attributes
    ----------
    ra, dec : float
        ICRS degrees.
    pa : float
        Parallactic angle, degrees.
    """

    ra: float
    dec: float
    pa: float

    def to_sky(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return RA and Dec of places in the focal plane.

        Parameters
        ----------
        x, y : float arrays
            Arcsec: ``fpx`` and ``fpy``.

        Returns
        -------
        ra, dec : float64 arrays, degrees, 0 <= ra < 360
        """
        turn = np.radians(360.0 - (self.pa + 90.0))
        cosine, sine = float(np.cos(turn)), float(np.sin(turn))
        cards: dict[str, float | int | str] = {
            "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": self.ra, "CRVAL2": self.dec,
            "CRPIX1": 1.0, "CRPIX2": 1.0,  # pixels that count from 0 are arcsec
            "CD1_1": -cosine / 3600.0, "CD1_2": -sine / 3600.0,
            "CD2_1": -sine / 3600.0, "CD2_2": cosine / 3600.0,
        }  # fmt: skip
        return tan.to_sky(cards, x, y)


def focal_plane(
    ifupos: npt.NDArray[np.floating[Any]], slot: tuple[float, float], exposure: int
) -> tuple[Floats, Floats]:
    """Return places of fibres in the focal plane.

    Parameters
    ----------
    ifupos : float array (n, 2)
        Places in the bundle, arcsec.
    slot : (float, float)
        X_FP and Y_FP of the IFU, arcsec.
    exposure : int
        1, 2 or 3.

    Returns
    -------
    fpx, fpy : float64 arrays (n,), arcsec
    """
    dx, dy = DITHERS[exposure]
    # files have float32 of numbers with two decimals
    place: Floats = np.asarray(np.round(np.asarray(ifupos, dtype=np.float64), 5))
    fpx: Floats = place[:, 0] + slot[1] + dx
    fpy: Floats = place[:, 1] + slot[0] + dy
    return fpx, fpy


def separation(ra: Floats, dec: Floats, other_ra: Floats, other_dec: Floats) -> Floats:
    """Return distances of near positions on the sphere, arcsec, float64; NaN stays NaN."""
    one, two = np.radians(dec), np.radians(other_dec)
    half = np.sin((two - one) / 2.0) ** 2
    half += np.cos(one) * np.cos(two) * np.sin(np.radians(other_ra - ra) / 2.0) ** 2
    return np.asarray(np.degrees(2.0 * np.arcsin(np.sqrt(half))) * 3600.0)
