"""Binary tables, one column at a time.

Source: FITS Standard 4.0, section 7.3, https://fits.gsfc.nasa.gov/.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood
from corecube.fits.header import AGAIN, Buffer, Header, axis_lengths
from corecube.fits.values import ITEM_SIZES, TABLE_TYPES, scaled, text_cells

_TFORM = re.compile(r"(\d*)([LXBIJKAEDCMPQ])(.*)\Z")
_TDIM = re.compile(r"\(\s*\d+\s*(?:,\s*\d+\s*)*\)\Z")


@dataclass(frozen=True, slots=True)
class Column:
    """How one column lies in the rows of a binary table.

    Attributes
    ----------
    name, unit : str
        TTYPE and TUNIT, as written.
    code : str
        The data type letter of TFORM; for variable-length columns that of the elements.
    repeat : int
        Elements in a row.
    offset, width : int
        Bytes from the start of a row, and in a row.
    shape : tuple of int
        Of one row, slowest axis first: from TDIM, or (repeat,), or () for a single element.
    descriptor : str
        ``P`` or ``Q`` for variable-length columns, else empty.
    scale, zero : float
        TSCAL, TZERO.
    null : int or None
        TNULL.
    """

    name: str
    unit: str
    code: str
    repeat: int
    offset: int
    width: int
    shape: tuple[int, ...]
    descriptor: str
    scale: float
    zero: float
    null: int | None


class BinTable:
    """A binary table whose columns are read one by one.

    Parameters
    ----------
    header : Header
        Of the table's HDU.
    data : bytes-like
        Its data: rows, then the heap.
    where : str, optional
        How errors name the table.

    Attributes
    ----------
    header : Header
    rows : int
        Number of rows.
    names : tuple of str
        Columns, as written in TTYPE; a column without a name is ``col1``, ``col2``, ...

    Raises
    ------
    FileNotUnderstood
        If the columns do not fit the rows.
    """

    def __init__(self, header: Header, data: Buffer, where: str = "table") -> None:
        self.header = header
        self._data = memoryview(data)
        self._where = where
        lengths = axis_lengths(header)
        if len(lengths) != 2 or header.integer("BITPIX") != 8:
            raise self._error("BITPIX and NAXIS are not those of a binary table")
        self._width, self.rows = lengths
        count = header.integer("TFIELDS")
        if not 0 <= count <= 999:
            raise self._error(f"TFIELDS {count} is not allowed")
        # Wide tables are common and few of their columns are read: only what fixes the offsets
        # and the names is parsed for all.
        self._forms: list[tuple[str, int, int, str, int]] = []
        offset = 0
        for number in range(1, count + 1):
            form = self._form(number, offset)
            self._forms.append(form)
            offset += form[2]
        if offset != self._width or self._width * self.rows > len(self._data):
            raise self._error(f"columns of {offset} bytes do not fit rows of {self._width} bytes")
        self.names = tuple(self._name(number) for number in range(1, count + 1))
        self._exact: dict[str, int] = {}
        self._blind: dict[str, int] = {}
        for k, name in enumerate(self.names):
            self._exact.setdefault(name, k)
            self._blind.setdefault(name.upper(), k)

    def __contains__(self, name: object) -> bool:
        """Tell whether there is such a column (case-blind)."""
        return isinstance(name, str) and name.upper() in self._blind

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.rows

    @property
    def units(self) -> dict[str, str]:
        """Unit of each column as written in TUNIT, empty where there is none."""
        return {name: self._unit(number) for number, name in enumerate(self.names, start=1)}

    def describe(self, name: str) -> Column:
        """Return how a column is stored.

        Parameters
        ----------
        name : str
            Case-blind; where two names differ only in case, the exact one.

        Raises
        ------
        FileNotUnderstood
            If there is no such column.
        """
        place = self._exact.get(name, self._blind.get(name.upper()))
        if place is None:
            raise self._error(f"column {name} is missing")
        code, repeat, width, descriptor, offset = self._forms[place]
        number = place + 1
        null = self.header.get(f"TNULL{number}")
        return Column(
            name=self.names[place],
            unit=self._unit(number),
            code=code,
            repeat=repeat,
            offset=offset,
            width=width,
            shape=self._shape(number, code, repeat, bool(descriptor)),
            descriptor=descriptor,
            scale=self.header.number(f"TSCAL{number}", 1.0),
            zero=self.header.number(f"TZERO{number}", 0.0),
            null=null if isinstance(null, int) else None,
        )

    def column(self, name: str) -> npt.NDArray[Any]:
        """Read one column.

        Text is str without trailing blanks; L and X are bool; TSCAL and TZERO are applied where
        they change something (unsigned integers stay exact, E stays float32, other integers
        become float64 with NaN for TNULL).

        Parameters
        ----------
        name : str
            Case-blind.

        Returns
        -------
        ndarray
            Shape (rows,) or (rows, ...), native byte order, an array of its own.

        Raises
        ------
        FileNotUnderstood
            If there is no such column or it has variable length (then use `arrays`).
        """
        column = self.describe(name)
        if column.descriptor:
            raise self._error(f"column {name} has a variable length, one value was expected")
        return self._convert(column, self._cells(column, column.code, column.repeat), column.shape)

    def ragged(self, name: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        """Read a variable-length column as one array.

        Parameters
        ----------
        name : str
            Case-blind.

        Returns
        -------
        values : ndarray
            The rows' elements one after the other, native byte order.
        counts : ndarray of int64, shape (rows,)
            Elements of each row.

        Raises
        ------
        FileNotUnderstood
            If the column is missing, has a fixed length, or points outside the heap.
        """
        column = self.describe(name)
        if not column.descriptor:
            raise self._error(f"column {name} has a fixed length, a variable one was expected")
        kind = ">i4" if column.descriptor == "P" else ">i8"
        pairs = self._strided(column.offset, kind, 2).astype(np.int64)
        counts, starts = pairs[:, 0], pairs[:, 1]
        itemsize = np.dtype(TABLE_TYPES[column.code]).itemsize
        heap_start = self.header.integer("THEAP", self._width * self.rows)
        if not self._width * self.rows <= heap_start <= len(self._data):
            raise self._error("the heap lies outside the data")
        heap = self._data[heap_start:]
        filled = counts > 0
        # Compared by division: a hostile 64-bit count must not overflow.
        room = (len(heap) - starts) // itemsize
        if np.any(counts < 0) or np.any(filled & ((starts < 0) | (room < counts))):
            raise self._error(f"column {name} points outside the heap")
        total = int(counts.sum())
        if total > len(heap):
            raise self._error(f"column {name} claims {total} elements, more than the heap has")
        octets = np.frombuffer(heap, np.uint8)
        lengths = counts * itemsize
        before = np.cumsum(lengths) - lengths
        place = np.repeat(starts - before, lengths) + np.arange(total * itemsize)
        flat = octets[place].view(TABLE_TYPES[column.code])
        return self._convert(column, flat, None), counts

    def arrays(self, name: str) -> list[npt.NDArray[Any]]:
        """Read a variable-length column as a list with one array for each row.

        Parameters
        ----------
        name : str
            Case-blind.

        Raises
        ------
        FileNotUnderstood
            As `ragged`.
        """
        values, counts = self.ragged(name)
        return np.split(values, np.cumsum(counts)[:-1]) if self.rows else []

    def _cells(self, column: Column, code: str, repeat: int) -> npt.NDArray[Any]:
        """Return the raw elements of a fixed-length column, shape (rows, elements), no copy."""
        return self._strided(
            column.offset, TABLE_TYPES[code], -(-repeat // 8) if code == "X" else repeat
        )

    def _strided(self, offset: int, kind: str, repeat: int) -> npt.NDArray[Any]:
        dtype = np.dtype(kind)
        if self.rows * repeat == 0:
            return np.zeros((self.rows, repeat), dtype)
        strides = (self._width, dtype.itemsize)
        return np.ndarray((self.rows, repeat), dtype, self._data, offset, strides)

    def _convert(
        self, column: Column, cells: npt.NDArray[Any], shape: tuple[int, ...] | None
    ) -> npt.NDArray[Any]:
        values: npt.NDArray[Any]
        if column.code == "A" and shape is not None:
            return text_cells(cells, shape)
        if column.code == "L":
            values = cells == ord("T")
        elif column.code == "X" and shape is not None:
            values = np.unpackbits(cells, axis=1, count=column.repeat).astype(bool)
        else:
            values = scaled(cells, column.scale, column.zero, column.null)
        return values if shape is None else values.reshape(self.rows, *shape)

    def _form(self, number: int, offset: int) -> tuple[str, int, int, str, int]:
        """Return type letter, repeat, width in bytes, descriptor letter and offset of a column."""
        form = self.header.string(f"TFORM{number}").strip().upper()
        match = _TFORM.match(form)
        if match is None:
            raise self._error(f"TFORM{number} {form!r} cannot be read")
        repeat, code, rest = int(match[1] or 1), match[2], match[3]
        if code in "PQ":
            if rest[:1] not in TABLE_TYPES or repeat > 1:
                raise self._error(f"TFORM{number} {form!r} cannot be read")
            return rest[0], repeat, repeat * (8 if code == "P" else 16), code, offset
        width = -(-repeat // 8) if code == "X" else repeat * ITEM_SIZES[code]
        return code, repeat, width, "", offset

    def _name(self, number: int) -> str:
        name = self.header.get(f"TTYPE{number}")
        return str(name) if name not in (None, "") else f"col{number}"

    def _unit(self, number: int) -> str:
        unit = self.header.get(f"TUNIT{number}")
        return str(unit) if unit is not None else ""

    def _shape(self, number: int, code: str, repeat: int, variable: bool) -> tuple[int, ...]:
        dimensions = self.header.get(f"TDIM{number}")
        if isinstance(dimensions, str) and _TDIM.match(dimensions.strip()) and not variable:
            shape = tuple(int(n) for n in reversed(dimensions.strip()[1:-1].split(",")))
            if math.prod(shape) != repeat:
                raise self._error(f"TDIM{number} {dimensions} does not fit {repeat} elements")
            return shape
        if code == "A":
            return (repeat,)
        return () if repeat == 1 else (repeat,)

    def _error(self, line: str) -> FileNotUnderstood:
        return FileNotUnderstood(f"{self._where}: {line}; {AGAIN}")
