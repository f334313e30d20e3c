"""Paint the masks of an fpM file.

Each of its ten planes is a table of objects, and each object a list of spans: row, first and last
column (inclusive), big-endian uint16. The bounding boxes beside them are not the mask.

Source: SDSS data model page "fpM" (https://data.sdss.org/datamodel/).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood
from corecube.fits import Fits, Header
from corecube_sdss.frames import Field, field_of_cards
from corecube_sdssfiles.maskbits import FPM

SPAN_BYTES: Final = 6


def looks_like_fpm(header: Header) -> bool:
    """Tell by the header of HDU 0 whether this is an fpM file."""
    return "NPLANE" in header and "MASKROWS" in header


def read_fpm(
    buffer: bytes,
    field: Field,
    shape: tuple[int, int],
    origin: tuple[int, int] = (0, 0),
    name: str = "",
) -> npt.NDArray[np.uint16]:
    """Return the mask of an fpM file, bit k for plane k of `FPM`.

    Parameters
    ----------
    buffer : bytes
        The unpacked file.
    field : Field
        Of the frame.
    shape : (int, int)
        Rows and columns of the image.
    origin : (int, int), optional
        Column and row of the field that is pixel (0, 0) of the image, for cut-outs.
    name : str, optional
        Name of the file, for errors.

    Returns
    -------
    uint16 array of `shape`

    Raises
    ------
    FileNotUnderstood
        If it is of another field, or damaged.
    """
    fits = Fits(buffer, name)
    header = fits.header(0)
    if not looks_like_fpm(header):
        raise FileNotUnderstood(f"{header.where}: this is no fpM file")
    said = field_of_cards(header)
    if said.key != field.key:
        raise FileNotUnderstood(f"{name}: this fpM is of {said.key}, not {field.key}")
    planes = header.integer("NPLANE")
    if planes != len(FPM):
        raise FileNotUnderstood(f"{header.where}: {planes} planes, {len(FPM)} were expected")
    full = header.integer("MASKROWS"), header.integer("MASKCOLS")
    mask = np.zeros(shape, np.uint16)
    for plane in range(planes):
        spans = _spans(fits, plane + 1, full)
        _paint(mask, spans - np.array([origin[1], origin[0], origin[0]]), 1 << plane)
    return mask


def _spans(fits: Fits, hdu: int, full: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Return the spans of one plane: row, first and last column, shape (n, 3)."""
    table = fits.table(hdu)
    octets, counts = table.ragged("s")
    number = table.column("nspan").astype(np.int64)
    if not np.array_equal(counts, SPAN_BYTES * number):
        raise _damaged(fits, hdu, "the spans do not have the length that NSPAN says")
    spans = octets.view(">u2").astype(np.int64).reshape(-1, 3)
    corner = np.stack([table.column(name) for name in ("row0", "col0", "col0")], axis=1)
    spans += np.repeat(corner, number, axis=0)
    if spans.size and not (
        spans.min() >= 0 and spans[:, 0].max() < full[0] and spans[:, 1:].max() < full[1]
    ):
        raise _damaged(fits, hdu, f"spans reach beyond {full[0]} rows and {full[1]} columns")
    return spans


def _paint(mask: npt.NDArray[np.uint16], spans: npt.NDArray[Any], bit: int) -> None:
    """Set a bit in the pixels of all spans that lie in the image."""
    rows, columns = mask.shape
    row, first, last = spans.T
    first, last = np.maximum(first, 0), np.minimum(last, columns - 1)
    inside = (row >= 0) & (row < rows) & (first <= last)
    row, first, last = row[inside], first[inside], last[inside]
    lengths = last - first + 1
    before = np.cumsum(lengths) - lengths
    pixels = np.repeat(row * columns + first - before, lengths) + np.arange(lengths.sum())
    # Spans overlap; setting the same bit twice does no harm.
    mask.reshape(-1)[pixels] |= np.uint16(bit)


def _damaged(fits: Fits, hdu: int, what: str) -> FileNotUnderstood:
    return FileNotUnderstood(f"{fits.header(hdu).where}: {what}; fetch the file again")
