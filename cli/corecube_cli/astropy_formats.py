"""Tables in the formats that astropy writes: ECSV, VOTable, FITS.

Kept apart, because importing astropy costs more time than a query.
"""

from __future__ import annotations

import io
import json
import warnings
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import QueryError
from corecube.tabular import Field, Rows
from corecube.text import printable

CREATOR: Final = "corecube"

UCDS: Final = {"ra": "pos.eq.ra;meta.main", "dec": "pos.eq.dec;meta.main"}
"""What the columns of the position are (UCD1+ controlled vocabulary of the IVOA)."""


def _facts(rows: Rows, command: str) -> dict[str, Any]:
    facts: dict[str, Any] = {"creator": CREATOR}
    if command:
        facts["command"] = command
    return {**facts, **rows.meta}


def _safe_text(field: Field) -> Field:
    """Return a text column with control characters as visible escapes."""
    if field.dtype.kind != "U":
        return field
    safe = [printable(text) for text in field.values.ravel().tolist()]
    values = np.array(safe, dtype=np.str_).reshape(field.values.shape)
    return Field(values, field.unit, field.description, field.missing)


def ecsv_bytes(rows: Rows, command: str) -> bytes:
    """Return a table as ECSV 1.0.

    Parameters
    ----------
    rows : Rows
        The table.
    command : str
        Command line that makes it again.
    """
    from astropy.table import MaskedColumn

    safe = Rows({name: _safe_text(rows[name]) for name in rows}, _facts(rows, command))
    table = safe.table()
    for name in safe:
        field = safe[name]
        if field.dtype.kind == "U" and bool(np.any((field.values == "") & ~field.mask)):
            # else an empty text would read back as missing
            table[name] = MaskedColumn(table[name])
            table[name].info.serialize_method["ecsv"] = "data_mask"
    stream = io.StringIO()
    table.write(stream, format="ascii.ecsv")
    lines = stream.getvalue().splitlines()
    head = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    for i in range(head + 1, len(lines)):
        if lines[i].startswith("#"):  # a reader would take the row for a comment
            first, blank, rest = lines[i].partition(" ")
            lines[i] = f'"{first}"{blank}{rest}'
    return ("\n".join(lines) + "\n").encode("utf-8")


def _widened(name: str, field: Field) -> Field:
    """Return a column of a type that VOTable has."""
    kinds: dict[str, type[np.generic]] = {
        "float16": np.float32,
        "int8": np.int16,
        "uint16": np.int32,
        "uint32": np.int64,
        "uint64": np.int64,
    }
    kind = kinds.get(str(field.dtype))
    if kind is None:
        return field
    if field.dtype == np.uint64:
        _check_int64(name, field, "votable")
    values = np.where(field.mask, 0, field.values).astype(kind)
    return Field(values, field.unit, field.description, field.missing)


def _check_int64(name: str, field: Field, format: str) -> None:
    there = field.values[~field.mask].astype(np.uint64)
    if len(there) and int(there.max()) > np.iinfo(np.int64).max:
        raise QueryError(
            f"column {name!r} holds integers beyond 2**63, which {format} cannot hold here; "
            "write ecsv or json"
        )


def votable_bytes(rows: Rows, command: str) -> bytes:
    """Return a table as VOTable 1.4 with a TABLEDATA part.

    Parameters
    ----------
    rows : Rows
        The table. ``ra`` and ``dec`` get the UCDs of the main position.
    command : str
        Command line that makes it again, kept as INFO.
    """
    from astropy.io.votable.tree import Info, VOTableFile

    safe = Rows({name: _widened(name, _safe_text(rows[name])) for name in rows})
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # erg and Angstrom are deprecated in VOUnit, nanomaggy and electron are not in it; readers
        # keep what is written
        warnings.simplefilter("ignore")
        file = VOTableFile.from_table(safe.table())
        table = file.get_first_table()
        for part, name in zip(table.fields, safe.names, strict=True):
            part.description = safe[name].description or None
            if safe[name].unit == "deg" and name in UCDS:
                part.ucd = UCDS[name]
        for key, value in _facts(rows, command).items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            table.infos.append(Info(name=printable(key), value=printable(text)))
        file.to_xml(stream)
    return stream.getvalue()


def _ascii(text: str) -> str:
    """Return printable ASCII, the only text of FITS (standard 4.0, sections 4.2.1 and 7.3.3)."""
    return printable(text).encode("ascii", "backslashreplace").decode("ascii")


def _fits_null(name: str, field: Field) -> tuple[npt.NDArray[Any], int]:
    """Return integers in a type that can mark missing ones, and the mark."""
    kinds: dict[str, type[np.generic]] = {
        "bool": np.uint8,
        "int8": np.int16,
        "uint8": np.int16,
        "uint16": np.int32,
        "uint32": np.int64,
        "uint64": np.int64,
    }
    if field.dtype == np.uint64:
        _check_int64(name, field, "fits")
    kind = np.dtype(kinds.get(str(field.dtype), field.dtype.type))
    there = field.values[~field.mask].astype(kind)
    if kind == np.uint8:
        null = 255
    else:
        null = int(np.iinfo(kind).min)
        taken = {int(value) for value in there.ravel()[there.ravel() < null + len(there) + 1]}
        while null in taken:
            null += 1
    values = np.where(field.mask, 0, field.values).astype(kind)
    values[field.mask] = null
    return values, null


_FITS_CODES: Final = {
    "bool": "L", "uint8": "B", "int16": "I", "int32": "J", "int64": "K",
    "uint16": "I", "uint32": "J", "uint64": "K", "float32": "E", "float64": "D",
}  # fmt: skip
_FITS_OFFSETS: Final = {"uint16": 1 << 15, "uint32": 1 << 31, "uint64": 1 << 63}


def _fits_unit(unit: str) -> str:
    """Return a unit as FITS spells it, or as it is if FITS does not know it."""
    from astropy.units import Unit

    try:
        return str(Unit(unit).to_string("fits"))
    except ValueError:  # nanomaggy, electron: a reader keeps the text
        return _ascii(unit)


def _fits_column(name: str, field: Field) -> Any:
    """Return an astropy FITS column."""
    from astropy.io import fits

    null: int | None = None
    cells = field.values.shape[1:]
    count = int(np.prod(cells)) if cells else 1
    values: npt.NDArray[Any] = field.values
    if field.dtype.kind == "U":
        texts = [_ascii(text) for text in values.ravel().tolist()]
        values = np.array(texts, dtype=np.bytes_).reshape(values.shape)
        values[field.mask] = b""
        size = max(values.dtype.itemsize, 1)
        dim = f"({size},{','.join(str(n) for n in reversed(cells))})" if cells else None
        code = f"{size * count}A"
    else:
        dim = f"({','.join(str(n) for n in reversed(cells))})" if len(cells) > 1 else None
        if field.dtype.kind == "f":
            values = values.astype(np.float32) if field.dtype.itemsize < 4 else values
            values = np.where(field.mask, values.dtype.type(np.nan), values)
        elif field.missing is not None:
            values, null = _fits_null(name, field)
        elif field.dtype == np.int8:
            values = values.astype(np.int16)
        code = f"{'' if count == 1 and not cells else count}{_FITS_CODES[str(values.dtype)]}"
    return fits.Column(
        name=_ascii(name),
        format=code,
        unit=_fits_unit(field.unit) if field.unit else None,
        null=null,
        bzero=_FITS_OFFSETS.get(str(values.dtype)),
        dim=dim,
        array=values,
    )


def fits_bytes(rows: Rows, command: str) -> bytes:
    """Return a table as a FITS file with one binary table.

    Parameters
    ----------
    rows : Rows
        The table. A missing float is NaN, a missing integer TNULL, a missing text empty; a
        boolean column with missing values becomes bytes 0 and 1 with TNULL. Descriptions are in
        TCOMMn, UCDs in TUCDn.
    command : str
        Command line that makes it again, in COMMAND; other facts are JSON in META.
    """
    from astropy.io import fits

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        columns = [_fits_column(name, rows[name]) for name in rows]
        table = fits.BinTableHDU.from_columns(columns, nrows=len(rows))
    for i, name in enumerate(rows, start=1):
        if rows[name].description:
            table.header[f"TCOMM{i}"] = _ascii(rows[name].description)
        if rows[name].unit == "deg" and name in UCDS:
            table.header[f"TUCD{i}"] = UCDS[name]
    table.header["CREATOR"] = CREATOR
    if command:
        table.header["COMMAND"] = _ascii(command)
    if rows.meta:
        table.header["META"] = json.dumps(dict(rows.meta))
    stream = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(stream)
    return stream.getvalue()
