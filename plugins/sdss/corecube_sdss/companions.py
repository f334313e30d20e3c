"""Read what comes with a frame: psField, photoField, photoObj.

Sources: SDSS data model pages "psField", "photoField", "photoObj" (https://data.sdss.org/datamodel/).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood
from corecube.fits import BinTable, Fits
from corecube.frames import Array
from corecube_sdss.frames import FILTERS, Field, field_of_cards
from corecube_sdss.noise import Electronics
from corecube_sdss.psf import read_psf


def psfield_electronics(buffer: bytes, field: Field, name: str = "") -> Electronics:
    """Return gain and dark variance from a psField file: those that the pipeline used.

    Parameters
    ----------
    buffer : bytes
        The unpacked file.
    field : Field
        Of the frame, with its band.
    name : str, optional
        Name of the file, for errors.

    Raises
    ------
    FileNotUnderstood
        If it is of another field or damaged.
    """
    return _electronics(_psfield(buffer, field, name).table(6), 0, field, "psField")


def psfield_psf(buffer: bytes, field: Field, name: str = "") -> dict[str, Array]:
    """Return the PSF of a psField file as arrays of the image of one filter.

    Parameters
    ----------
    buffer : bytes
        The unpacked file.
    field : Field
        Of the frame, with its band.
    name : str, optional
        Name of the file, for errors.

    Raises
    ------
    FileNotUnderstood
        If it is of another field or damaged.
    """
    return read_psf(_psfield(buffer, field, name), field, name)


def _psfield(buffer: bytes, field: Field, name: str) -> Fits:
    fits = Fits(buffer, name)
    said = field_of_cards(fits.header(0))
    if said.key != field.key:
        raise FileNotUnderstood(f"{name}: this psField is of {said.key}, not {field.key}")
    return fits


def photofield_electronics(buffer: bytes, field: Field, name: str = "") -> Electronics | None:
    """Return gain and dark variance from a photoField file.

    Parameters
    ----------
    buffer : bytes
        The unpacked file.
    field : Field
        Of the frame, with its band.
    name : str, optional
        Name of the file, for errors.

    Returns
    -------
    Electronics or None
        None if the file has no row for the field.

    Raises
    ------
    FileNotUnderstood
        If it is damaged.
    """
    table = Fits(buffer, name).table(1)
    row = _row(table, field)
    return None if row is None else _electronics(table, row, field, "photoField")


def last_field(buffer: bytes, field: Field, name: str = "") -> int | None:
    """Return the number of the last field of a run and camera column by its photoField file.

    Returns
    -------
    int or None
        None if the file is of another run or camera column.

    Raises
    ------
    FileNotUnderstood
        If it is damaged.
    """
    table = Fits(buffer, name).table(1)
    ours = _of_run(table, field)
    return int(table.column("FIELD")[ours].max()) if ours.any() else None


@dataclass(frozen=True)
class Objects:
    """The catalogued objects of one field.

    Attributes
    ----------
    objid : int64 array (n,)
    ra, dec : float64 array (n,), ICRS degrees
    type : int32 array (n,)
        3 galaxy, 6 star.
    x, y : float64 array (n, 5)
        Pixel in the frame of each filter, 0 at the centre of the first.
    psf_flux : float32 array (n, 5), nanomaggies
        u, g, r, i, z.
    psf_error : float32 array (n, 5), nanomaggies
        1-sigma, NaN where the file gives no weight.
    tai : float64 array (n, 5)
        Seconds TAI of the middle of the exposure; divide by 86400 for MJD.
    """

    objid: npt.NDArray[np.int64]
    ra: npt.NDArray[np.float64]
    dec: npt.NDArray[np.float64]
    type: npt.NDArray[np.int32]
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    psf_flux: npt.NDArray[np.float32]
    psf_error: npt.NDArray[np.float32]
    tai: npt.NDArray[np.float64]


def read_objects(buffer: bytes, name: str = "") -> Objects:
    """Read a photoObj file.

    Parameters
    ----------
    buffer : bytes
        The unpacked file.
    name : str, optional
        Name of the file, for errors.

    Returns
    -------
    Objects
        With n = 0 for a field without objects, whose file has no table at all.

    Raises
    ------
    FileNotUnderstood
        If it is no photoObj file or damaged.
    """
    fits = Fits(buffer, name)
    if fits.header(1).get("XTENSION") == "IMAGE" and not fits.shape(1):
        none, five = np.zeros(0), np.zeros((0, 5))
        return Objects(
            none.astype(np.int64), none, none, none.astype(np.int32), five, five,
            five.astype(np.float32), five.astype(np.float32), five,
        )  # fmt: skip
    table = fits.table(1)
    weight = table.column("PSFFLUX_IVAR").astype(np.float64)
    error = np.full(weight.shape, np.nan)
    error[weight > 0] = 1.0 / np.sqrt(weight[weight > 0])
    return Objects(
        objid=np.char.strip(table.column("OBJID")).astype(np.int64),
        ra=table.column("RA"),
        dec=table.column("DEC"),
        type=table.column("OBJC_TYPE"),
        x=table.column("COLC").astype(np.float64) - 0.5,
        y=table.column("ROWC").astype(np.float64) - 0.5,
        psf_flux=table.column("PSFFLUX"),
        psf_error=error.astype(np.float32),
        tai=table.column("TAI"),
    )


def _electronics(table: BinTable, row: int, field: Field, source: str) -> Electronics:
    band = FILTERS.index(field.band)
    values: Iterable[Any] = (table.column(name) for name in ("gain", "dark_variance"))
    # The files keep float32; to 6 digits these are the decimal numbers that were meant.
    gain, dark_variance = (float(f"{column[row][band]:.6g}") for column in values)
    return Electronics(gain, dark_variance, source)


def _of_run(table: BinTable, field: Field) -> npt.NDArray[np.bool_]:
    ours: npt.NDArray[np.bool_] = (table.column("RUN") == field.run) & (
        table.column("CAMCOL") == field.camcol
    )
    return ours


def _row(table: BinTable, field: Field) -> int | None:
    found = np.flatnonzero(_of_run(table, field) & (table.column("FIELD") == field.field))
    return int(found[0]) if found.size else None
