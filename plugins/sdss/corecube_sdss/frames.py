"""Read frame files: one field in one filter, sky-subtracted and calibrated.

HDU 0 is the image (nanomaggies), HDU 1 the calibration of each column (nanomaggies per DN), HDU 2
the sky grid, HDU 3 the astrometric terms. HDU 1 to 3 have no names, so they are taken by number.

Source: SDSS data model page "frame" (https://data.sdss.org/datamodel/).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood
from corecube.fits import BinTable, Fits, Header
from corecube_sdss.astrom import AsTrans

UNIT: Final = "nanomaggy"
FILTERS: Final = "ugriz"

FIELD_ROWS: Final = 1489
"""Rows of a frame; the last 128 are the first of the next field (data model page "frame")."""
FIELD_COLUMNS: Final = 2048
NEW_ROWS: Final = 1361
"""Rows from one field to the next."""

FRAME_MINUS_FIELD: Final = {"r": 0, "i": 2, "u": 4, "z": 6, "g": 8}
"""Card FRAME minus field number: the filters see the sky in this order, two fields (71.7 s) apart.

Found in the files of runs 1000, 2583, 2820, 3565 and 4948; runs that were binned may differ.
"""

NAME: Final = re.compile(r"frame-([ugriz])-(\d{6})-([1-6])-(\d{4})\.fits?(?:\.(?:bz2|gz|xz))?\Z")


@dataclass(frozen=True)
class Field:
    """Which field of which run, and in which filter.

    Attributes
    ----------
    run, camcol, field : int
    band : str
        u, g, r, i or z; "" if it does not matter.
    """

    run: int
    camcol: int
    field: int
    band: str = ""

    @property
    def key(self) -> str:
        """Key of the shot: ``2820-3-0122``."""
        return f"{self.run}-{self.camcol}-{self.field:04d}"


@dataclass(frozen=True)
class FrameFile:
    """The content of a frame file.

    Attributes
    ----------
    identity : Field
    image : float32 array (ny, nx), native, nanomaggies
    flux_per_dn : float32 array (nx,), nanomaggies per DN
    sky : float32 array (ny_grid, nx_grid), DN
    sky_x, sky_y : float32 array (nx,), (ny,)
        Place of each column and row in the sky grid.
    astrans : AsTrans
    origin : (int, int)
        Column and row of the field that pixel (0, 0) is; not zero in some cut-outs.
    mjd : float
        MJD TAI at which row 0 of the field was read.
    header : Header
        Of HDU 0.
    notes : tuple of str
        What the user should know.
    """

    identity: Field
    image: npt.NDArray[np.float32]
    flux_per_dn: npt.NDArray[np.float32]
    sky: npt.NDArray[np.float32]
    sky_x: npt.NDArray[np.float32]
    sky_y: npt.NDArray[np.float32]
    astrans: AsTrans
    origin: tuple[int, int]
    mjd: float
    header: Header
    notes: tuple[str, ...]


def field_of_cards(header: Header) -> Field:
    """Return the field by the cards RUN, CAMCOL, FIELD of a psField, photoObj or fpM file.

    Raises
    ------
    FileNotUnderstood
        If a card is missing.
    """
    return Field(header.integer("RUN"), header.integer("CAMCOL"), header.integer("FIELD"))


def looks_like_frame(header: Header) -> bool:
    """Tell by the header of HDU 0 whether this is a frame file."""
    return (
        header.get("BITPIX") == -32
        and header.get("NAXIS") == 2
        and all(card in header for card in ("RUN", "CAMCOL", "FILTER", "NMGY"))
    )


def identity_of_head(header: Header, name: str) -> Field | None:
    """Return the field by the header and the file's name, if the two agree.

    The field number stands only behind the image, in HDU 3, and to get there a whole packed file
    must be unpacked. The header has a counter FRAME that tells nearly as much.

    Parameters
    ----------
    header : Header
        Of HDU 0.
    name : str
        The file's name.

    Returns
    -------
    Field or None
        None where name and header do not say the same: then HDU 3 must tell.

    Raises
    ------
    FileNotUnderstood
        If a card is missing.
    """
    match = NAME.search(name)
    if match is None:
        return None
    band = _band(header)
    named = Field(int(match[2]), int(match[3]), int(match[4]), match[1])
    frame = header.get("FRAME")
    said = Field(
        header.integer("RUN"),
        _camcol(header),
        frame - FRAME_MINUS_FIELD[band] if isinstance(frame, int) else -1,
        band,
    )
    return named if named == said else None


def identity_of_content(fits: Fits) -> Field:
    """Return the field as HDU 3 has it.

    Raises
    ------
    FileNotUnderstood
        If HDU 3 is missing, or HDU 0 and HDU 3 disagree.
    """
    header = fits.header(0)
    table = _one_row(fits, 3, ("RUN", "CAMCOL", "FILTER", "FIELD"))
    said = Field(header.integer("RUN"), _camcol(header), 0, _band(header))
    row = Field(
        int(table.column("RUN")[0]),
        int(table.column("CAMCOL")[0]),
        int(table.column("FIELD")[0]),
        str(table.column("FILTER")[0]).strip(),
    )
    if (said.run, said.camcol, said.band) != (row.run, row.camcol, row.band):
        raise FileNotUnderstood(
            f"{header.where}: the header is of {said.run}-{said.camcol}-{said.band}, HDU 3 of "
            f"{row.run}-{row.camcol}-{row.band}; fetch the file again"
        )
    return row


def read_frame(buffer: bytes, name: str = "") -> FrameFile:
    """Read a frame file.

    Parameters
    ----------
    buffer : bytes
        The unpacked file.
    name : str, optional
        Name of the file, for errors.

    Returns
    -------
    FrameFile

    Raises
    ------
    FileNotUnderstood
        If an HDU is missing, cut or does not fit the others, or the unit is not nanomaggy.
    """
    fits = Fits(buffer, name)
    header = fits.header(0)
    if not looks_like_frame(header):
        raise FileNotUnderstood(f"{header.where}: this is no SDSS frame; is this the right file?")
    notes = _check_unit(header)
    rows, columns = fits.shape(0)
    flux_per_dn = fits.image(1)
    if flux_per_dn.shape != (columns,) or not np.all(flux_per_dn > 0):
        raise FileNotUnderstood(
            f"{fits.header(1).where}: {flux_per_dn.shape} calibration factors for {columns} "
            "columns, or some are not positive; fetch the file again"
        )
    origin = _origin(header, rows, columns)
    grid, x, y = _sky(fits, rows, columns, origin)
    terms = _one_row(fits, 3, ("MJD", "NODE", "A"))
    mjd = float(terms.column("MJD")[0])
    if not np.isfinite(mjd) or mjd <= 0:
        # The header has the same clock to 0.1 s, in some old runs to 5 s.
        mjd = header.number("TAI") / 86400.0
        notes += ("HDU 3 has no MJD: the times are those of the card TAI",)
    return FrameFile(
        identity=identity_of_content(fits),
        image=fits.image(0),
        flux_per_dn=flux_per_dn.astype(np.float32, copy=False),
        sky=grid,
        sky_x=x,
        sky_y=y,
        astrans=AsTrans.from_table(terms),
        origin=origin,
        mjd=mjd,
        header=header,
        notes=notes,
    )


def _band(header: Header) -> str:
    band = header.string("FILTER")
    if len(band) != 1 or band not in FILTERS:
        raise FileNotUnderstood(
            f"{header.where}: FILTER {band!r} is none of u, g, r, i, z; fetch the file again"
        )
    return band


def _camcol(header: Header) -> int:
    camcol = header.integer("CAMCOL")
    if not 1 <= camcol <= 6:
        raise FileNotUnderstood(
            f"{header.where}: CAMCOL is {camcol}, camera columns go from 1 to 6; "
            "fetch the file again"
        )
    return camcol


def _check_unit(header: Header) -> tuple[str, ...]:
    unit = header.get("BUNIT")
    if unit is None:
        return ("no BUNIT card, as in data release 8: taken as nanomaggy",)
    if unit != UNIT:
        raise FileNotUnderstood(
            f"{header.where}: BUNIT is {unit!r} instead of 'nanomaggy'; is this a frame file?"
        )
    return ()


def _origin(header: Header, rows: int, columns: int) -> tuple[int, int]:
    """Return which pixel of the field is the first of the image, by the reference pixel.

    All whole frames have CRPIX at (1025, 745); a cut that kept the WCS right has moved it.
    """
    x, y = 1025.0 - header.number("CRPIX1"), 745.0 - header.number("CRPIX2")
    inside = 0 <= x <= FIELD_COLUMNS - columns and 0 <= y <= FIELD_ROWS - rows
    return (int(x), int(y)) if inside and x.is_integer() and y.is_integer() else (0, 0)


def _sky(
    fits: Fits, rows: int, columns: int, origin: tuple[int, int]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Return ALLSKY and the parts of XINTERP and YINTERP that belong to the image."""
    table = _one_row(fits, 2, ("ALLSKY", "XINTERP", "YINTERP"))
    grid, x, y = (table.column(name)[0] for name in ("ALLSKY", "XINTERP", "YINTERP"))
    if grid.ndim != 2:
        raise FileNotUnderstood(f"{fits.header(2).where}: ALLSKY has no TDIM; fetch the file again")
    # Cut-outs keep the vectors of the whole field.
    x = x[origin[0] : origin[0] + columns]
    y = y[origin[1] : origin[1] + rows]
    if (len(x), len(y)) != (columns, rows) or not (
        np.isfinite(grid).all() and np.isfinite(x).all() and np.isfinite(y).all()
    ):
        raise FileNotUnderstood(
            f"{fits.header(2).where}: XINTERP and YINTERP do not cover the image's {columns} "
            f"columns and {rows} rows, or the sky is no number; fetch the file again"
        )
    return grid, x, y


def _one_row(fits: Fits, hdu: int, names: tuple[str, ...]) -> BinTable:
    table = fits.table(hdu)
    missing = [name for name in names if name not in table]
    if table.rows != 1 or missing:
        what = f"no column {missing[0]}" if missing else f"{table.rows} rows instead of 1"
        raise FileNotUnderstood(f"{fits.header(hdu).where} has {what}; fetch the file again")
    return table
