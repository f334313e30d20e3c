"""Tables without astropy: named columns with unit, description and missing values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from corecube.errors import FrameError

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
Values: TypeAlias = npt.NDArray[np.generic]
Mask: TypeAlias = npt.NDArray[np.bool_]


def _text(values: npt.NDArray[Any]) -> tuple[Values, Mask | None]:
    """Return bytes or objects as text, and where an object is None."""
    if values.dtype.kind == "S":
        return np.strings.decode(values, "utf-8", "replace"), None
    flat = values.ravel().tolist()
    missing = np.array([value is None for value in flat], dtype=bool).reshape(values.shape)
    for value in flat:
        if value is not None and not isinstance(value, str):
            raise FrameError(
                f"a column of objects may hold text or None only, not {type(value).__name__}; "
                "give an array of numbers or of text"
            )
    texts = np.array(["" if value is None else value for value in flat], dtype=np.str_)
    return texts.reshape(values.shape), missing


def _normal(values: npt.ArrayLike) -> tuple[Values, Mask | None]:
    """Return values of an allowed type in native byte order, and where they were masked."""
    missing: Mask | None = None
    if isinstance(values, np.ma.MaskedArray):
        missing = np.ma.getmaskarray(values)
        values = values.data
    array: npt.NDArray[Any] = np.asarray(values)
    if array.dtype.kind in "SO":
        text, none = _text(array)
        array = text
        if none is not None:
            missing = none if missing is None else missing | none
    too_long = array.dtype.kind == "f" and array.dtype.itemsize > 8
    if array.dtype.kind not in "biufU" or too_long:
        raise FrameError(
            f"a column cannot be of type {array.dtype}; allowed are boolean, integer, "
            "float up to 64 bits, and text"
        )
    if array.ndim == 0:
        raise FrameError("a column needs an axis of rows; got a single value")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array, missing


@dataclass(frozen=True, eq=False)
class Field:
    """One column: values, unit, and what is missing.

    Parameters
    ----------
    values : array_like, shape (n, ...)
        Boolean, integer, float (16 to 64 bits) or text; the first axis counts rows. Bytes are
        read as UTF-8; None among objects and the mask of a masked array become `missing`. Kept
        as a read-only view, in native byte order.
    unit : str
        Unit as text, empty for none.
    description : str
        One line.
    missing : array_like of bool, shape of values, optional
        True where there is no value; what `values` holds there means nothing. None if all are
        there. A NaN is not marked here by itself, but filters treat it as missing.

    Raises
    ------
    FrameError
        If the type is not allowed, or the shapes differ.
    """

    values: Values
    unit: str = ""
    description: str = ""
    missing: Mask | None = None

    def __post_init__(self) -> None:
        """Normalise and check."""
        values, missing = _normal(self.values)
        if self.missing is not None:
            given = np.asarray(self.missing, dtype=bool)
            if given.shape != values.shape:
                raise FrameError(
                    f"missing has the shape {given.shape}, the values have {values.shape}"
                )
            missing = given if missing is None else missing | given
        if missing is not None:
            missing = missing.view() if missing.any() else None
        values = values.view()
        values.flags.writeable = False
        if missing is not None:
            missing.flags.writeable = False
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "missing", missing)

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.values.shape[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.values.dtype

    @property
    def mask(self) -> Mask:
        """Where values are missing, as an array of the shape of the values, also if none is."""
        if self.missing is None:
            return np.zeros(self.values.shape, dtype=bool)
        return self.missing

    def take(self, index: Any) -> Field:
        """Return some rows.

        Parameters
        ----------
        index : slice, array of int, or array of bool with shape (n,)
            As numpy indexes the first axis.
        """
        missing = None if self.missing is None else self.missing[index]
        return Field(self.values[index], self.unit, self.description, missing)

    def masked(self) -> np.ma.MaskedArray[Any, Any]:
        """Return the column as a numpy masked array (a copy)."""
        return np.ma.MaskedArray(self.values.copy(), mask=self.mask.copy())


def _scalar(value: Any) -> Any:
    """Return a Python value; a float32 keeps its type, because its shortest text needs it."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, np.floating) and value.dtype.itemsize < 8:
        return value
    return value.item()


@dataclass(frozen=True, eq=False)
class Rows:
    """A table: named columns of one length, and what is known about the whole.

    Parameters
    ----------
    fields : mapping of str to Field
        Columns in order.
    meta : mapping of str to JSON
        Facts about the table.

    Raises
    ------
    FrameError
        If the columns differ in length.
    """

    fields: Mapping[str, Field]
    meta: Mapping[str, JSON] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Freeze and check."""
        fields = dict(self.fields)
        lengths = {name: len(column) for name, column in fields.items()}
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise FrameError(f"the columns of a table differ in length: {shown}")
        object.__setattr__(self, "fields", MappingProxyType(fields))
        object.__setattr__(self, "meta", MappingProxyType(dict(self.meta)))

    def __len__(self) -> int:
        """Return the number of rows."""
        return next((len(column) for column in self.fields.values()), 0)

    def __getitem__(self, name: str) -> Field:
        """Return the column `name`.

        Raises
        ------
        FrameError
            If there is none of this name; the message lists those that are there.
        """
        try:
            return self.fields[name]
        except KeyError:
            there = ", ".join(self.fields) or "none"
            raise FrameError(f"no column {name!r}; the table has: {there}") from None

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a column `name`."""
        return name in self.fields

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self.fields)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(self.fields)

    def take(self, index: Any) -> Rows:
        """Return some rows, with the same columns and meta.

        Parameters
        ----------
        index : slice, array of int, or array of bool with shape (n,)
            As numpy indexes.
        """
        return Rows({name: column.take(index) for name, column in self.fields.items()}, self.meta)

    def select(self, names: Sequence[str]) -> Rows:
        """Return some columns, in the order given."""
        return Rows({name: self[name] for name in names}, self.meta)

    def row(self, i: int) -> dict[str, Any]:
        """Return row `i` as a dictionary.

        Returns
        -------
        dict
            Python values; None where missing; a float32 stays ``numpy.float32``, so that its
            text stays short; an array where a cell holds several values.
        """
        result: dict[str, Any] = {}
        for name, column in self.fields.items():
            gone = column.missing is not None and bool(np.all(column.missing[i]))
            result[name] = None if gone else _scalar(column.values[i])
        return result

    def table(self, *, quantities: bool = False) -> Any:
        """Return an astropy table (a copy).

        Parameters
        ----------
        quantities : bool
            Make a ``QTable``, whose columns with a unit are quantities.

        Returns
        -------
        astropy.table.Table
            A column with missing values is a ``MaskedColumn``; units come from their text, and
            one that astropy does not know is kept as it is written.
        """
        from astropy.table import Column, MaskedColumn, QTable, Table
        from astropy.units import Unit

        columns = []
        for name, column in self.fields.items():
            unit = Unit(column.unit, parse_strict="silent") if column.unit else None
            about = {"name": name, "unit": unit, "description": column.description or None}
            if column.missing is None:
                columns.append(Column(column.values.copy(), **about))
            else:
                columns.append(
                    MaskedColumn(column.values.copy(), mask=column.missing.copy(), **about)
                )
        kind = QTable if quantities else Table
        return kind(columns, meta=dict(self.meta), copy=False)


def _blank(dtype: np.dtype[Any]) -> Any:
    """Return what stands under a missing value: never a number that could pass for one."""
    if dtype.kind == "f":
        return np.nan
    if dtype.kind == "i":
        return np.iinfo(dtype).min
    if dtype.kind == "u":
        return np.iinfo(dtype).max
    return False if dtype.kind == "b" else ""


def _common_type(name: str, columns: Sequence[Field]) -> np.dtype[Any]:
    """Return the type that holds all values exactly."""
    kinds = {"i" if column.dtype.kind == "u" else column.dtype.kind for column in columns}
    if len(kinds) > 1 and kinds != {"i", "f"}:
        types = ", ".join(sorted({str(column.dtype) for column in columns}))
        raise FrameError(f"column {name!r} is of different kinds in the tables: {types}")
    common = np.result_type(*(column.dtype for column in columns))
    if common.kind == "f":
        for column in columns:
            if column.dtype.kind not in "iu" or not len(column):
                continue
            there = column.values[~column.mask]
            with np.errstate(invalid="ignore"):  # a value beyond the range fails the comparison
                back = there.astype(common).astype(there.dtype)
            if not np.array_equal(back, there):
                raise FrameError(
                    f"column {name!r} holds integers that do not fit into {common} exactly"
                )
    return common


def concatenate(tables: Sequence[Rows], meta: Mapping[str, JSON] | None = None) -> Rows:
    """Join tables row after row; what a table lacks is missing.

    Parameters
    ----------
    tables : sequence of Rows
        Tables in order. Columns are united in the order of their first appearance.
    meta : mapping, optional
        Meta of the result; without it what all tables with meta say alike.

    Returns
    -------
    Rows
        The rows of all tables.

    Raises
    ------
    FrameError
        If a column has different units, kinds (text, number, boolean) or shapes of a cell, or
        integers that the common type cannot hold.
    """
    names = list(dict.fromkeys(name for table in tables for name in table.names))
    fields: dict[str, Field] = {}
    for name in names:
        present = [table[name] for table in tables if name in table]
        units = {column.unit for column in present}
        if len(units) > 1:
            shown = ", ".join(repr(unit) for unit in sorted(units))
            raise FrameError(f"column {name!r} has different units in the tables: {shown}")
        shapes = {column.values.shape[1:] for column in present}
        if len(shapes) > 1:
            raise FrameError(f"column {name!r} has cells of different shapes: {sorted(shapes)}")
        dtype, shape = _common_type(name, present), shapes.pop()
        values, missing = [], []
        for table in tables:
            if name in table:
                values.append(table[name].values.astype(dtype))
                missing.append(table[name].mask)
            else:
                values.append(np.full((len(table), *shape), _blank(dtype), dtype=dtype))
                missing.append(np.ones((len(table), *shape), dtype=bool))
        description = next((column.description for column in present if column.description), "")
        fields[name] = Field(
            np.concatenate(values), present[0].unit, description, np.concatenate(missing)
        )
    if meta is None:
        known = [table.meta for table in tables if table.meta]
        first = known[0] if known else {}
        meta = {
            key: value
            for key, value in first.items()
            if all(key in other and other[key] == value for other in known[1:])
        }
    return Rows(fields, meta)
