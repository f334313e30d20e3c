"""The point spread function of a field as its psField file has it, at any place of a frame.

Sources: SDSS data model page "psField", and the SDSS page "PSF" on reconstructing it: a sum of
eigenimages whose weights are polynomials of row and column.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood, FrameError
from corecube.fits import BinTable, Fits
from corecube.frames import Array, Image
from corecube_sdss.frames import FILTERS, Field

EIGENIMAGES: Final = "psf_eigenimages"
COEFFICIENTS: Final = "psf_coefficients"
WIDTH: Final = "psf_width"

_SCALE: Final = 1e-3
"""Row and column are multiplied by it before they are raised to a power (`RC_SCALE` of photo)."""

_LARGEST: Final = 512
"""Pixels along a side that are believed; those of real files have 51."""


def read_psf(fits: Fits, field: Field, name: str = "") -> dict[str, Array]:
    """Return the PSF of one filter as arrays of its image; none if the file holds none.

    Parameters
    ----------
    fits : Fits
        Of the psField file of the field.
    field : Field
        With its band.
    name : str, optional
        Name of the file, for errors.

    Raises
    ------
    FileNotUnderstood
        If the tables are damaged.
    """
    place = FILTERS.index(field.band)
    table = fits.table(1 + place)
    if not table.rows or "RROWS" not in table:
        return {}
    ny, nx = (_same(table, name) for name in ("RNROW", "RNCOL"))
    column = table.describe("RROWS")
    flat = table.arrays("RROWS") if column.descriptor else list(table.column("RROWS"))
    if not (0 < ny <= _LARGEST and 0 < nx <= _LARGEST) or any(e.size != ny * nx for e in flat):
        raise FileNotUnderstood(f"{name}: the eigenimages of {field.band} are not {ny} x {nx}")
    given = table.column("c").reshape(table.rows, 5, 5).astype(np.float64)
    powers = np.arange(5)
    used = (powers[:, None] < table.column("nrow_b")[:, None, None]) & (
        powers < table.column("ncol_b")[:, None, None]
    )
    images = np.stack([np.reshape(e, (ny, nx)) for e in flat]).astype(np.float32)
    about = f"of the psField file, HDU {1 + place}"
    arrays = {
        EIGENIMAGES: Array(images, "", ("component", "y", "x"), f"Eigenimages of the PSF {about}."),
        COEFFICIENTS: Array(
            np.where(used, given, 0.0), "", ("component", "row power", "column power"),
            f"Weights of the eigenimages {about}: times (row / 1000)^i (column / 1000)^j.",
        ),
    }  # fmt: skip
    if "psf_width" in fits.table(6):
        width = np.array(fits.table(6).column("psf_width")[0, place], dtype=np.float64)
        arrays[WIDTH] = Array(width, "arcsec", (), "Effective full width at half maximum (HDU 6).")
    return arrays


def _same(table: BinTable, name: str) -> int:
    values = np.unique(table.column(name))
    if values.size != 1:
        raise FileNotUnderstood(f"column {name} of a psField file says {values.tolist()}, not one")
    return int(values[0])


def psf_at(image: Image, x: float, y: float) -> npt.NDArray[np.float64]:
    """Return the PSF at a place of a frame.

    Parameters
    ----------
    image : Image
        Of an archive or as read, with a psField beside it.
    x, y : float
        Pixel, 0-based: the centre of the first pixel is (0, 0).

    Returns
    -------
    float64 array (ny, nx)
        Centred on the middle pixel, of sum 1.

    Raises
    ------
    FrameError
        If the image has no PSF.
    """
    calibration: Mapping[str, Array] = image.calibration
    if EIGENIMAGES not in calibration:
        raise FrameError(
            f"image '{image.name}' has no PSF; ingest it with the psField file of its field beside "
            "it"
        )
    left, low = calibration["origin"].values.tolist()
    # The centre of a pixel of SDSS has the coordinate one half.
    row, column = (_SCALE * (place + 0.5) for place in (y + low, x + left))
    coefficients = calibration[COEFFICIENTS].values
    powers = np.arange(coefficients.shape[1])
    weights = np.einsum("kij,i,j->k", coefficients, row**powers, column**powers)
    psf = np.tensordot(weights, calibration[EIGENIMAGES].values.astype(np.float64), axes=1)
    return np.asarray(psf / psf.sum())
