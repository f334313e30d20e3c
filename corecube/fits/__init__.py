"""Read FITS from bytes: header cards, images, columns of binary tables.

A small, strict parser for files that are already in memory, unpacked. It gives numbers exactly
as they stand in the file, reads one column of a wide table without touching the others, and
answers damage with one line. What it leaves out: ASCII tables, tile-compressed images, random
groups, and writing; use ``astropy.io.fits`` for those.

Source: FITS Standard 4.0, IAU FITS Working Group (2018), https://fits.gsfc.nasa.gov/.
"""

from __future__ import annotations

from corecube.fits.file import Fits, Hdu
from corecube.fits.header import Buffer, Header, Value, cards, data_size
from corecube.fits.table import BinTable, Column

__all__ = ["BinTable", "Buffer", "Column", "Fits", "Hdu", "Header", "Value", "cards", "data_size"]
