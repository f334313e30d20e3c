"""Where the pixels of a frame are on the sky, and when its rows were exposed.

Pixels (x, y) count from 0 at the centre of the first pixel; SDSS's (col, row) are x + 0.5 and
y + 0.5. Sources: SDSS DR7 flat file page "asTrans"; SDSS algorithm page "Astrometric calibration";
Pier et al. 2003, AJ 125, 1559; for the TAN projection Calabretta and Greisen 2002, A&A 395, 1077.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood
from corecube.fits import BinTable, Header
from corecube.times import Times

Floats = npt.NDArray[np.float64]

ROW_SECONDS: Final = 0.026322
"""Seconds from one row to the next: card C_OBS."""
EXPOSURE_SECONDS: Final = 53.907456
"""Seconds that a row is exposed: 2048 rows; card EXPTIME."""
WCS_COLOUR: Final = 0.3
"""mag; the TAN WCS of the header equals asTrans at this colour in the centre of the field."""

WCS_CARDS: Final = (
    *("CTYPE1", "CTYPE2", "CUNIT1", "CUNIT2", "CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2"),
    *("CD1_1", "CD1_2", "CD2_1", "CD2_2", "EQUINOX"),
)


@dataclass(frozen=True)
class AsTrans:
    """The astrometric transformation of one frame, all terms float64.

    Attributes
    ----------
    NODE, INCL : float
        Node and inclination of the great circle, degrees. Those of HDU 0 are of the survey stripe,
        only those of HDU 3 belong to the terms.
    A, B, C, D, E, F : float
        Affine terms to great circle coordinates mu and nu, degrees.
    DROW0, ... DCOL3 : float
        Cubic distortion along the columns, pixels.
    CSROW, CSCOL, CCROW, CCCOL, RICUT : float
        Colour terms, pixels per mag, pixels, mag.
    """

    NODE: float
    INCL: float
    A: float
    B: float
    C: float
    D: float
    E: float
    F: float
    DROW0: float
    DROW1: float
    DROW2: float
    DROW3: float
    DCOL0: float
    DCOL1: float
    DCOL2: float
    DCOL3: float
    CSROW: float
    CSCOL: float
    CCROW: float
    CCCOL: float
    RICUT: float

    @classmethod
    def from_table(cls, table: BinTable) -> AsTrans:
        """Read the terms from HDU 3 of a frame file.

        Raises
        ------
        FileNotUnderstood
            If a term is missing or no number.
        """
        terms = {name: float(table.column(name)[0]) for name in TERMS}
        if not np.isfinite(list(terms.values())).all():
            raise FileNotUnderstood(f"{table.header.where}: a term is no number")
        return cls(**terms)

    def values(self) -> Floats:
        """Return the terms in the order of `TERMS`."""
        return np.array([getattr(self, name) for name in TERMS])

    @classmethod
    def from_values(cls, values: npt.ArrayLike) -> AsTrans:
        """Return what `values` was called on."""
        return cls(**dict(zip(TERMS, map(float, np.asarray(values)), strict=True)))

    def to_sky(
        self, x: npt.ArrayLike, y: npt.ArrayLike, colour: npt.ArrayLike = WCS_COLOUR
    ) -> tuple[Floats, Floats]:
        """Return the positions of pixels.

        Parameters
        ----------
        x, y : float array
            Pixels of the field, 0 at the centre of the first.
        colour : float array, optional
            mag: u - g in u, g - r in g, r - i in r, i and z.

        Returns
        -------
        ra, dec : float64 array
            ICRS degrees, 0 <= ra < 360.
        """
        column = np.asarray(x, dtype=np.float64) + 0.5
        row = np.asarray(y, dtype=np.float64) + 0.5
        shift_row, shift_column = self._colour_terms(colour)
        bent_row = row + _cubic(self._row_terms, column) + shift_row
        bent_column = column + _cubic(self._column_terms, column) + shift_column
        mu = np.radians(self.A + self.B * bent_row + self.C * bent_column - self.NODE)
        nu = np.radians(self.D + self.E * bent_row + self.F * bent_column)
        ra, dec = _rotate(mu, nu, np.radians(self.INCL))
        return np.mod(np.degrees(ra) + self.NODE, 360.0), np.degrees(dec)

    def to_pixel(
        self, ra: npt.ArrayLike, dec: npt.ArrayLike, colour: npt.ArrayLike = WCS_COLOUR
    ) -> tuple[Floats, Floats]:
        """Return the pixels of positions; the inverse of `to_sky`.

        Parameters
        ----------
        ra, dec : float array
            ICRS degrees.
        colour : float array, optional
            As for `to_sky`.

        Returns
        -------
        x, y : float64 array
            Pixels of the field.
        """
        alpha = np.radians(np.asarray(ra, dtype=np.float64) - self.NODE)
        delta = np.radians(np.asarray(dec, dtype=np.float64))
        mu, nu = _rotate(alpha, delta, -np.radians(self.INCL))
        # mu of the field's centre decides the turn: A is not kept between 0 and 360.
        right = np.degrees(mu) + self.NODE - self.A
        right -= 360.0 * np.rint(right / 360.0)
        up = np.degrees(nu) - self.D
        determinant = self.B * self.F - self.C * self.E
        shift_row, shift_column = self._colour_terms(colour)
        bent_row = (self.F * right - self.C * up) / determinant - shift_row
        bent_column = (self.B * up - self.E * right) / determinant - shift_column
        column = bent_column.copy()
        _, d1, d2, d3 = self._column_terms
        # Newton's method; the distortion is below a pixel, so that three steps reach rounding.
        for _ in range(4):
            slope = 1.0 + d1 + column * (2.0 * d2 + column * 3.0 * d3)
            column -= (column + _cubic(self._column_terms, column) - bent_column) / slope
        row = bent_row - _cubic(self._row_terms, column)
        return column - 0.5, row - 0.5

    @property
    def _row_terms(self) -> tuple[float, float, float, float]:
        return self.DROW0, self.DROW1, self.DROW2, self.DROW3

    @property
    def _column_terms(self) -> tuple[float, float, float, float]:
        return self.DCOL0, self.DCOL1, self.DCOL2, self.DCOL3

    def _colour_terms(self, colour: npt.ArrayLike) -> tuple[Floats, Floats]:
        value = np.asarray(colour, dtype=np.float64)
        blue = value < self.RICUT
        return (
            np.where(blue, self.CSROW * value, self.CCROW),
            np.where(blue, self.CSCOL * value, self.CCCOL),
        )


TERMS: Final = tuple(item.name for item in fields(AsTrans))
"""Columns of HDU 3 that make the transformation, in this order."""


def _cubic(terms: tuple[float, float, float, float], column: Floats) -> Floats:
    d0, d1, d2, d3 = terms
    return d0 + column * (d1 + column * (d2 + column * d3))


def _rotate(longitude: Floats, latitude: Floats, inclination: float) -> tuple[Floats, Floats]:
    """Turn coordinates about their x axis, radians."""
    s, c = np.sin(inclination), np.cos(inclination)
    sin_long, sin_lat, cos_lat = np.sin(longitude), np.sin(latitude), np.cos(latitude)
    y = sin_long * cos_lat * c - sin_lat * s
    z = sin_long * cos_lat * s + sin_lat * c
    x = np.cos(longitude) * cos_lat
    # arctan2 keeps its digits at the pole, arcsin does not.
    return np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))


def wcs_cards(header: Header) -> dict[str, float | int | str]:
    """Return the WCS of a frame as cards, with RADESYS in today's spelling.

    Raises
    ------
    FileNotUnderstood
        If a card is missing, or the projection is not TAN.
    """
    cards: dict[str, float | int | str] = {}
    for name in WCS_CARDS:
        if name.startswith(("CTYPE", "CUNIT")):
            cards[name] = header.string(name)
        else:
            cards[name] = header.number(name)
    kinds = str(cards["CTYPE1"]), str(cards["CTYPE2"])
    if kinds not in (("RA---TAN", "DEC--TAN"), ("DEC--TAN", "RA---TAN")):
        raise FileNotUnderstood(f"{header.where}: the projection is {kinds}, TAN was expected")
    cards["RADESYS"] = header.string("RADESYS", header.string("RADECSYS", "ICRS"))
    return cards


def middle_of_exposure(mjd: float, y: npt.ArrayLike) -> Floats:
    """Return when the rows of a field were in the middle of their exposure.

    Each row of a drift scan has its own time: it is read 26.322 ms after the row before it, and was
    exposed for the 53.9 s before.

    Parameters
    ----------
    mjd : float
        MJD TAI at which row 0 was read: column MJD of HDU 3.
    y : float array
        Rows of the field, 0 at the centre of the first.

    Returns
    -------
    float64 array
        MJD TAI.
    """
    rows = np.asarray(y, dtype=np.float64)
    return mjd + (rows * ROW_SECONDS - EXPOSURE_SECONDS / 2.0) / 86400.0


def row_times(mjd: float, first_row: int, rows: int) -> Times:
    """Return start and end of the exposure of each row of an image.

    Parameters
    ----------
    mjd : float
        MJD TAI at which row 0 of the field was read.
    first_row, rows : int
        First row of the image in the field, and number of rows.
    """
    middle = middle_of_exposure(mjd, np.arange(first_row, first_row + rows))
    half = EXPOSURE_SECONDS / 2.0 / 86400.0
    return Times(middle - half, middle + half, "exact")
