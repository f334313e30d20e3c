"""The header-data units of a file in memory, and their images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood
from corecube.fits.header import AGAIN, BLOCK, Buffer, Header, axis_lengths, cards, data_size
from corecube.fits.table import BinTable
from corecube.fits.values import IMAGE_TYPES, scaled


@dataclass(frozen=True, slots=True)
class Hdu:
    """One header-data unit: where it is in the buffer.

    Attributes
    ----------
    header : Header
    offset : int
        First byte of the data.
    size : int
        Bytes of data, without padding.
    """

    header: Header
    offset: int
    size: int


class Fits:
    """The HDUs of a FITS file in memory; headers are read when asked for.

    Parameters
    ----------
    buffer : bytes-like
        The unpacked file, or its head.
    name : str, optional
        The file's name, put in front of every error.
    partial : bool, optional
        The buffer is only the head of a file: HDUs that begin beyond it are unknown, no error.
    """

    def __init__(self, buffer: Buffer, name: str = "", partial: bool = False) -> None:
        self._view = memoryview(buffer).cast("B")
        self._prefix = f"{name}: " if name else ""
        self._partial = partial
        self._hdus: list[Hdu] = []
        self._complete = False

    def __len__(self) -> int:
        """Return the number of HDUs, reading all headers."""
        while self._next():
            pass
        return len(self._hdus)

    def __getitem__(self, hdu: int) -> Hdu:
        """Return an HDU by number.

        Raises
        ------
        FileNotUnderstood
            If the file has no such HDU or is damaged before it.
        """
        while len(self._hdus) <= hdu and self._next():
            pass
        if not 0 <= hdu < len(self._hdus):
            have = len(self._hdus)
            raise self._error(f"HDU {hdu} is missing, the file has {have}; {AGAIN}")
        return self._hdus[hdu]

    def header(self, hdu: int = 0) -> Header:
        """Return the header of an HDU."""
        return self[hdu].header

    def data_offset(self, hdu: int = 0) -> int | None:
        """Return where the data of an HDU begin.

        Parameters
        ----------
        hdu : int, optional

        Returns
        -------
        int or None
            Bytes from the start; None if only the head is at hand and the HDU lies beyond it.

        Raises
        ------
        FileNotUnderstood
            If the file has no such HDU.
        """
        while len(self._hdus) <= hdu and self._next():
            pass
        if self._partial and len(self._hdus) <= hdu:
            return None
        return self[hdu].offset

    def index(self, extname: str) -> int | None:
        """Return the number of the first HDU with this EXTNAME (case-blind), or None."""
        number = 0
        while number < len(self._hdus) or self._next():
            if str(self._hdus[number].header.get("EXTNAME", "")).upper() == extname.upper():
                return number
            number += 1
        return None

    def shape(self, hdu: int = 0) -> tuple[int, ...]:
        """Return the shape of an image, slowest axis first; empty if there are no data."""
        return tuple(reversed(axis_lengths(self[hdu].header)))

    def raw_image(self, hdu: int = 0) -> npt.NDArray[Any]:
        """Return an image as it stands in the file: no copy, big-endian, not scaled, read only.

        Parameters
        ----------
        hdu : int, optional

        Returns
        -------
        ndarray
            Shape (..., NAXIS2, NAXIS1), of the type that BITPIX says.

        Raises
        ------
        FileNotUnderstood
            If the HDU has no image or its data are cut.
        """
        header = self[hdu].header
        kind = header.get("XTENSION", "IMAGE")
        if kind != "IMAGE":
            packed = header.get("ZIMAGE") is True
            what = "a tile-compressed image; unpack it with funpack" if packed else f"a {kind}"
            raise self._error(
                f"HDU {hdu} holds {what}, an image was expected; fetch the file again"
            )
        lengths = axis_lengths(header)
        if not lengths:
            raise self._error(f"HDU {hdu} holds no image; is this the right file?")
        dtype = np.dtype(IMAGE_TYPES[header.integer("BITPIX")])
        shape = tuple(reversed(lengths))
        return np.frombuffer(self._data(hdu), dtype, math.prod(shape)).reshape(shape)

    def image(self, hdu: int = 0) -> npt.NDArray[Any]:
        """Return an image in native byte order, as an array of its own.

        BSCALE and BZERO are applied only where they change something. Integers with the
        BZERO of the unsigned convention (standard, table 11) stay exact integers. Scaled
        integers of up to 16 bits and float32 give float32, all else float64; BLANK becomes NaN
        where integers are scaled, and stays a number where they are not.

        Parameters
        ----------
        hdu : int, optional

        Returns
        -------
        ndarray
            Shape (..., NAXIS2, NAXIS1).

        Raises
        ------
        FileNotUnderstood
            If the HDU has no image or its data are cut.
        """
        raw = self.raw_image(hdu)
        header = self[hdu].header
        scale, zero = header.number("BSCALE", 1.0), header.number("BZERO", 0.0)
        blank = header.get("BLANK")
        return scaled(raw, scale, zero, blank if isinstance(blank, int) else None)

    def table(self, hdu: int = 1) -> BinTable:
        """Return a binary table; no column is read yet.

        Parameters
        ----------
        hdu : int, optional

        Returns
        -------
        BinTable

        Raises
        ------
        FileNotUnderstood
            If the HDU is no binary table, its columns do not fit its rows, or its data are cut.
        """
        header = self[hdu].header
        kind = header.get("XTENSION", "the primary array")
        if kind not in ("BINTABLE", "A3DTABLE"):
            raise self._error(f"HDU {hdu} is {kind}, a binary table was expected")
        return BinTable(header, self._data(hdu), f"{self._prefix}HDU {hdu}")

    def _data(self, hdu: int) -> memoryview:
        unit = self[hdu]
        have = max(0, len(self._view) - unit.offset)
        if have < unit.size:
            raise self._error(f"HDU {hdu} is cut: {have} of {unit.size} data bytes; {AGAIN}")
        return self._view[unit.offset : unit.offset + unit.size]

    def _next(self) -> bool:
        """Read one more header; False at the end of the file."""
        if self._complete:
            return False
        number = len(self._hdus)
        start = 0
        if number:
            last = self._hdus[-1]
            start = last.offset + -(-last.size // BLOCK) * BLOCK
            missing = last.offset + last.size - len(self._view)
            if missing > 0 and not self._partial:
                raise self._error(
                    f"HDU {number - 1} is cut: {missing} of {last.size} data bytes are missing;"
                    f" {AGAIN}"
                )
            # Anything else after an HDU is "special records", which readers pass over (3.5).
            if bytes(self._view[start : start + 9]) != b"XTENSION=":
                self._complete = True
                return False
        elif bytes(self._view[:9]) != b"SIMPLE  =":
            begin = bytes(self._view[:24]).decode("latin-1")
            what = f"begins with {begin!r}" if begin else "the file is empty"
            raise self._error(f"not a FITS file: {what}; is this the right file?")
        try:
            header = cards(self._view, start, f"{self._prefix}HDU {number}")
            size = data_size(header)
        except FileNotUnderstood:
            if self._partial and number:
                self._complete = True
                return False
            raise
        self._hdus.append(Hdu(header, header.end, size))
        return True

    def _error(self, line: str) -> FileNotUnderstood:
        return FileNotUnderstood(self._prefix + line)
