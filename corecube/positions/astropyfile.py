"""Tables that astropy reads: FITS, VOTable, ECSV."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from corecube.errors import QueryError
from corecube.positions.columns import find_position
from corecube.positions.table import Raw
from corecube.tabular import Field
from corecube.text import printable


def read_with_astropy(data: bytes, kind: str, source: str) -> Raw:
    """Read FITS, VOTable or ECSV with astropy."""
    import warnings

    from astropy import units
    from astropy.table import Column, Table

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # units that astropy does not know, old VOTables
            if kind == "ascii.ecsv":
                table = Table.read(data.decode("utf-8").splitlines(), format=kind)
            else:
                table = Table.read(io.BytesIO(data), format=kind)
    except Exception as error:
        # any reader's exception means the same here: the file is not what it claims to be
        reason = printable(f"{type(error).__name__}: {error}", 160)
        raise QueryError(f"{source}: it cannot be read as {kind}: {reason}") from error
    taken = find_position(table.colnames, source)
    if taken is None:
        shown = ", ".join(printable(name, 40) for name in table.colnames[:12])
        raise QueryError(f"{source}: there are no columns ra and dec; it has: {shown}")
    rows = list(range(1, len(table) + 1))
    lines: list[int] = []
    if kind == "ascii.ecsv":
        numbers = [
            number
            for number, line in enumerate(data.decode("utf-8").splitlines(), start=1)
            if line.strip() and not line.startswith("#")
        ][1:]
        lines = numbers if len(numbers) == len(table) else []
    raw = Raw(source, [], [], lines, rows, ra_column=taken[0], dec_column=taken[1])
    angles = []
    for name in taken:
        column = table[name]
        values: np.ma.MaskedArray[Any, Any] = np.ma.MaskedArray(
            column.value if hasattr(column, "value") else column
        )
        values = np.ma.MaskedArray(values.data, mask=np.ma.getmaskarray(column))
        unit = getattr(column, "unit", None)
        if unit is not None and values.dtype.kind in "iuf" and unit != units.deg:
            try:
                factor = float(unit.to(units.deg))
            except (units.UnitConversionError, AttributeError, TypeError):
                raise QueryError(
                    f"{source}: the column {name} has the unit {printable(str(unit))}, "
                    "which is no angle"
                ) from None
            values = np.ma.MaskedArray(values.data * factor, mask=values.mask)
        if values.ndim != 1:
            raise QueryError(f"{source}: the column {name} has several values in a row")
        angles.append(values)
    raw.ra, raw.dec = angles
    for name in table.colnames:
        if name in taken:
            continue
        column = table[name]
        try:
            if not isinstance(column, Column) and not hasattr(column, "to_value"):
                raise ValueError("a column of objects")
            masked = np.ma.MaskedArray(np.asarray(column), mask=np.ma.getmaskarray(column))
            raw.columns[name] = Field(
                masked,
                str(column.unit or ""),
                str(getattr(column.info, "description", "") or ""),
            )
        except ValueError:  # FrameError is one: a type that has no place in a table of ours
            raw.left_out.append(name)
    return raw
