"""Stacks in the files of cubes: ``pixels``, ``bins`` and ``weighted``.

HDF5: the group ``/NAME`` has flux, error, mask, coverage, edges and covariance as far as the stack
has them, and ``parts``, a name for each plane or row. FITS: the extensions NAME_FLUX, NAME_ERROR,
NAME_MASK, NAME_COVERAGE and NAME_COVARIANCE, with the WCS of common pixels; the table NAME_PARTS
with a name for each plane or row; the table NAME_EDGES with wavelength, low and high. All else is
JSON in what the file says of itself.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube import hdf5
from corecube.archive.cubestacks import ARRAYS, Stack
from corecube.text import printable

_FILTERS: Final = {"complevel": 1, "complib": "zlib", "shuffle": True, "fletcher32": True}
_CHUNK: Final = 256
"""Pixels along each axis of a chunk of an image."""


def _said(stack: Stack) -> dict[str, Any]:
    """Return all of a stack but the values of its arrays, as plain JSON."""
    arrays = {name: getattr(stack, name) for name in ARRAYS}
    return {
        "names": list(stack.names), "unit": stack.unit, "cards": stack.cards,
        "left_out": list(stack.left_out), "about": stack.about,
        "arrays": {
            name: {"shape": list(values.shape), "type": values.dtype.name}
            for name, values in arrays.items() if values is not None
        },
    }  # fmt: skip


def _stack(said: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Stack:
    for name, kind in said["arrays"].items():
        if name not in ARRAYS:
            raise ValueError(f"a stack has no array '{name}'")
        if 0 in kind["shape"]:
            arrays[name] = np.zeros(tuple(kind["shape"]), dtype=kind["type"])
    return Stack(
        names=tuple(said["names"]), unit=said["unit"], cards=said["cards"],
        left_out=tuple(said["left_out"]), about=said["about"], **arrays,
    )  # fmt: skip


def _stored(said: dict[str, Any]) -> list[str]:
    """Return the names of the arrays that have values."""
    return [name for name, kind in said["arrays"].items() if 0 not in kind["shape"]]


def _unit(stack: Stack, name: str) -> str:
    return {"flux": stack.unit, "error": stack.unit, "edges": "Angstrom"}.get(name, "")


# -- HDF5 ------------------------------------------------------------------------------------------


def array(file: Any, where: str, name: str, values: npt.NDArray[Any], unit: str = "") -> Any:
    """Write an array into an open HDF5 file, compressed, and return it.

    Parameters
    ----------
    file : tables.File
    where, name : str
    values : array of one axis or more, not empty
    unit : str
    """
    tables = hdf5.library()
    chunk: tuple[int, ...] = (min(values.size, 2**16),)
    if values.ndim > 1:
        *layers, ny, nx = values.shape
        chunk = (*(1 for _ in layers), min(ny, _CHUNK), min(nx, _CHUNK))
    with hdf5.quiet():
        found = file.create_carray(
            where, name, tables.Atom.from_dtype(values.dtype), values.shape,
            filters=tables.Filters(**_FILTERS), chunkshape=chunk, createparents=True,
            track_times=False,
        )  # fmt: skip
    found[...] = values
    if unit:
        found._v_attrs["unit"] = unit
    return found


def to_hdf5(file: Any, name: str, stack: Stack) -> dict[str, Any]:
    """Write a stack into an open HDF5 file and return what else there is to say."""
    said = _said(stack)
    for kind in _stored(said):
        found = array(file, f"/{name}", kind, getattr(stack, kind), _unit(stack, kind))
        if stack.cards is not None:
            for card, value in stack.cards.items():
                found._v_attrs[card] = value
    if stack.names:
        names = np.array([one.encode() for one in stack.names])
        array(file, f"/{name}", "parts", names)
    return said


def from_hdf5(file: Any, name: str, said: dict[str, Any]) -> Stack:
    """Return a stack from an open HDF5 file."""
    return _stack(said, {kind: hdf5.read(file, f"/{name}/{kind}") for kind in _stored(said)})


# -- FITS ------------------------------------------------------------------------------------------


def to_fits(name: str, stack: Stack) -> tuple[dict[str, Any], list[Any]]:
    """Return what there is to say of a stack, and its extensions."""
    from astropy.io import fits

    said = _said(stack)
    hdus = []
    for kind in _stored(said):
        if kind == "edges":
            continue
        hdu = fits.ImageHDU(getattr(stack, kind), name=f"{name}_{kind}".upper())
        for card, value in (stack.cards or {}).items():
            hdu.header[card] = value
        if stack.cards is not None:
            for card, number in (("CRPIX3", 1.0), ("CRVAL3", 1.0), ("CD3_3", 1.0)):
                hdu.header[card] = number
            hdu.header["CTYPE3"] = ("PART", f"row of {name.upper()}_PARTS")
        if kind in ("flux", "error"):
            hdu.header["BUNIT"] = ascii_text(stack.unit)
        hdus.append(hdu)
    longest = max((len(ascii_text(one)) for one in stack.names), default=1)
    columns = [
        fits.Column("row", "J", array=np.arange(1, len(stack.names) + 1)),
        fits.Column("name", f"{longest}A", array=[ascii_text(one) for one in stack.names]),
    ]
    hdus.append(
        fits.BinTableHDU.from_columns(columns, nrows=len(stack.names), name=f"{name}_PARTS".upper())
    )
    if stack.wavelength is not None and stack.edges is not None:
        bins = {
            "wavelength": stack.wavelength, "low": stack.edges[:-1], "high": stack.edges[1:]
        }  # fmt: skip
        columns = [
            fits.Column(column, "D", unit="Angstrom", array=values)
            for column, values in bins.items()
        ]
        hdus.append(
            fits.BinTableHDU.from_columns(
                columns, nrows=stack.wavelength.size, name=f"{name}_EDGES".upper()
            )
        )
    return said, hdus


def from_fits(file: Any, name: str, said: dict[str, Any]) -> Stack:
    """Return a stack from an open FITS file."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for kind in _stored(said):
        if kind == "edges":
            bins = file[f"{name}_EDGES".upper()].data
            high = native(bins["high"])
            arrays[kind] = (
                np.append(native(bins["low"]), high[-1:]) if high.size else np.full(1, np.nan)
            )
        else:
            arrays[kind] = native(file[f"{name}_{kind}".upper()].data)
    return _stack(said, arrays)


def native(values: Any) -> npt.NDArray[Any]:
    """Return an array of a FITS file in the byte order of this machine."""
    found = np.array(values)
    return found.astype(found.dtype.newbyteorder("="), copy=False)


def ascii_text(text: str) -> str:
    """Return a text as FITS headers can hold it."""
    return printable(text).encode("ascii", "backslashreplace").decode("ascii")
