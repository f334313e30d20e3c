"""Cubes as one HDF5 or FITS file, and back, equal in all values.

HDF5: ``/parts/N`` holds flux, error, mask, coverage, edges, start and end of part N, ``/about`` the
rest as JSON (UTF-8). FITS: the table PARTS has a row and the JSON of each part; part N is the
extensions FLUX, ERROR, MASK and COVERAGE (and the table TIMES), or the table SPECTRUM, with N as
EXTVER. Numbers of parts begin with 1. Arrays have no filter but HDF5's own. What is on common grids
stands beside them; see `corecube.archive.cubestackfiles`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from corecube import hdf5
from corecube.archive import cubestackfiles
from corecube.archive.cubeparts import CubePart
from corecube.archive.cubestackfiles import array, ascii_text, native
from corecube.archive.cubestacks import Stack
from corecube.archive.durable import commit_file, temporary_path
from corecube.archive.jsontext import loads
from corecube.archive.layout import to_text
from corecube.errors import ArchiveDamaged, NoSpace, QueryError

LAYOUT: Final = 1
"""Steps when names in the files change their meaning."""

_ARRAYS: Final = ("flux", "error", "mask", "coverage", "edges", "start", "end")
_PLANES: Final = ("flux", "error", "mask", "coverage")
_HDF5: Final = (".h5", ".hdf5")
_FITS: Final = (".fits", ".fit")

Stacks = Callable[[], Iterable[tuple[str, Stack]]]
"""Gives stacks by name, when all parts have been looked at."""


def write_cube(
    parts: Iterable[CubePart], about: Mapping[str, Any], path: Path, stacks: Stacks = tuple
) -> list[str]:
    """Write parts into one file, and stacks of them; return the names of the parts.

    Parameters
    ----------
    parts : iterable of CubePart
        Looked at one at a time; only FITS files are put together in memory.
    about : mapping
        Plain JSON: what the cube is of.
    path : Path
        A file that is there is replaced, when the new one is complete.
    stacks : callable, optional

    Raises
    ------
    QueryError
        If the name ends with none of ``.h5 .hdf5 .fits .fit``.
    NoSpace
        If the disk is full.
    """
    check_name(path)
    temporary = temporary_path(path)
    try:
        write = _write_hdf5 if path.suffix.lower() in _HDF5 else _write_fits
        names = write(parts, dict(about), temporary, stacks)
        commit_file(temporary, path)
    except OSError as error:
        raise NoSpace(
            f"{path}: cannot be written: {error.strerror or error}; free some space there, or "
            "choose another folder"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return names


def check_name(path: Path) -> None:
    """Refuse a name whose end says neither HDF5 nor FITS."""
    if path.suffix.lower() not in (*_HDF5, *_FITS):
        raise QueryError(
            f"{path}: a cube is written as {', '.join((*_HDF5, *_FITS))}; choose one of these ends"
        )


def read_cube(path: Path | str) -> tuple[dict[str, Any], list[CubePart]]:
    """Return what a cube is of, and its parts, as they were written.

    Raises
    ------
    ArchiveDamaged
        If it is no cube of ours, or damaged.
    """
    path = Path(path)
    check_name(path)
    return _read_hdf5(path) if path.suffix.lower() in _HDF5 else _read_fits(path)


def read_stacks(path: Path | str) -> dict[str, Stack]:
    """Return what a cube has on common grids, as it was written.

    These are ``pixels``, ``bins`` and ``weighted``, as far as they were asked for.

    Raises
    ------
    ArchiveDamaged
        If it is no cube of ours, or damaged.
    """
    path = Path(path)
    check_name(path)
    return _stacks_hdf5(path) if path.suffix.lower() in _HDF5 else _stacks_fits(path)


def _said(part: CubePart) -> dict[str, Any]:
    """Return all of a part but its arrays, and single times, as plain JSON."""
    said = {name: value for name, value in vars(part).items() if name not in _ARRAYS}
    return said | {
        name: float(getattr(part, name)) for name in ("start", "end")
        if getattr(part, name).ndim == 0
    }  # fmt: skip


def _part(said: dict[str, Any], arrays: Mapping[str, Any]) -> CubePart:
    values = {name: None if array is None else np.asarray(array) for name, array in arrays.items()}
    for name in ("start", "end"):
        if name not in values:
            values[name] = np.array(_number(said.pop(name)), dtype=np.float64)
    said["ra"], said["dec"] = _number(said["ra"]), _number(said["dec"])
    return CubePart(**{**said, "first": tuple(said["first"])}, **values)  # type: ignore[arg-type]  # JSON


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


# -- HDF5 ------------------------------------------------------------------------------------------


def _write_hdf5(
    parts: Iterable[CubePart], about: dict[str, Any], path: Path, stacks: Stacks
) -> list[str]:
    tables = hdf5.library()
    said = []
    file = hdf5.open_file(path, "w")
    try:
        for number, part in enumerate(parts, start=1):
            said.append(_said(part))
            for name in _ARRAYS:
                values = getattr(part, name)
                if values is not None and values.ndim:
                    unit = {"flux": part.unit, "error": part.unit, "start": "d", "end": "d"}
                    where = f"/parts/{number}"
                    array(file, where, name, values, unit.get(name, ""))
        grids = {name: cubestackfiles.to_hdf5(file, name, stack) for name, stack in stacks()}
        text = to_text({"cube": LAYOUT, **about, "parts": said, "stacks": grids})
        array(file, "/", "about", np.frombuffer(text.encode(), np.uint8))
    except tables.HDF5ExtError as error:
        raise NoSpace(
            f"{path}: cannot be written; the disk is full or failing; free some space there, or "
            "choose another folder"
        ) from error
    finally:
        file.close()
    return [part["name"] for part in said]


def _read_hdf5(path: Path) -> tuple[dict[str, Any], list[CubePart]]:
    file = hdf5.open_file(path)
    try:
        about = _json(hdf5.read(file, "/about").tobytes(), path)
        about.pop("stacks", None)
        parts = []
        for number, said in enumerate(about.pop("parts"), start=1):
            there = hdf5.children(file, f"/parts/{number}")
            arrays = {name: hdf5.read(file, f"/parts/{number}/{name}") for name in there}
            parts.append(_part(said, {"edges": None, **arrays}))
        return about, parts
    except (KeyError, TypeError) as error:
        raise ArchiveDamaged(f"{path}: is no cube of corecube, or damaged: {error}") from error
    finally:
        file.close()


def _stacks_hdf5(path: Path) -> dict[str, Stack]:
    file = hdf5.open_file(path)
    try:
        about = _json(hdf5.read(file, "/about").tobytes(), path)
        return {
            name: cubestackfiles.from_hdf5(file, name, said)
            for name, said in about.get("stacks", {}).items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArchiveDamaged(f"{path}: is no cube of corecube, or damaged: {error}") from error
    finally:
        file.close()


def _json(data: bytes, path: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = loads(data)
        known = about.pop("cube") == LAYOUT
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ArchiveDamaged(f"{path}: is no cube of corecube, or damaged") from error
    if not known:
        raise ArchiveDamaged(f"{path}: is a cube of a newer corecube; upgrade corecube")
    return about


# -- FITS ------------------------------------------------------------------------------------------


def _write_fits(
    parts: Iterable[CubePart], about: dict[str, Any], path: Path, stacks: Stacks
) -> list[str]:
    from importlib.metadata import version

    from astropy.io import fits

    primary = fits.PrimaryHDU()
    primary.header["CREATOR"] = f"corecube {version('corecube')}"
    primary.header["LEVEL"] = (about.get("level", 0), "pixels are means of 2**LEVEL")
    hdus: list[Any] = []
    said = []
    for number, part in enumerate(parts, start=1):
        said.append(_said(part))
        hdus += _spectrum(part, number) if part.edges is not None else _image(part, number)
    texts = [json.dumps(json.loads(to_text(one))).encode("ascii") for one in said]
    width = max((len(text) for text in texts), default=1)
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("part", "J", array=np.arange(1, len(said) + 1)),
            fits.Column("kind", "8A", array=[one["kind"] for one in said]),
            fits.Column("name", "200A", array=[ascii_text(one["name"])[:200] for one in said]),
            fits.Column("json", f"{width}A", array=np.array(texts, dtype=f"S{width}")),
        ],
        nrows=len(said), name="PARTS",
    )  # fmt: skip
    grids = {}
    for name, stack in stacks():
        grids[name], more = cubestackfiles.to_fits(name, stack)
        hdus += more
    text = to_text({"cube": LAYOUT, **about, "stacks": grids})
    whole = np.frombuffer(text.encode(), np.uint8)
    asked = fits.ImageHDU(whole, name="ABOUT")
    asked.header["COMMENT"] = "JSON (UTF-8), a byte a pixel: what the cube is of"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        fits.HDUList([primary, table, asked, *hdus]).writeto(path)
    return [one["name"] for one in said]


def _cards(header: Any, part: CubePart) -> None:
    header["PARTNAME"] = ascii_text(part.name)
    header["KIND"] = part.kind
    header["LEVEL"] = (part.level, "pixels are means of 2**LEVEL")
    if part.band:
        header["FILTER"] = ascii_text(part.band)
    for card, values in (("MJD-BEG", part.start), ("MJD-END", part.end)):
        middle = float(np.mean(values))
        if np.isfinite(middle):
            header[card] = (middle, "[d] TAI" + (", mean of rows" if values.ndim else ""))


def _image(part: CubePart, number: int) -> list[Any]:
    from astropy.io import fits

    hdus = []
    for name in _PLANES:
        hdu = fits.ImageHDU(getattr(part, name), name=name.upper(), ver=number)
        for card, value in (part.cards or {}).items():
            hdu.header[card] = value
        if name in ("flux", "error"):
            hdu.header["BUNIT"] = ascii_text(part.unit)
        _cards(hdu.header, part)
        hdus.append(hdu)
    if part.start.ndim:
        columns = [
            fits.Column(name, "D", unit="d", array=getattr(part, name)) for name in ("start", "end")
        ]
        hdus.append(fits.BinTableHDU.from_columns(columns, name="TIMES", ver=number))
    return hdus


def _spectrum(part: CubePart, number: int) -> list[Any]:
    from astropy.io import fits

    assert part.edges is not None and part.wavelength is not None
    unit = part.about.get("wavelengths", {}).get("unit", "")
    columns = [
        fits.Column("wavelength", "D", unit=unit, array=part.wavelength),
        fits.Column("low", "D", unit=unit, array=part.edges[:-1]),
        fits.Column("high", "D", unit=unit, array=part.edges[1:]),
    ]
    for name in _PLANES:
        values = getattr(part, name)
        code = {"float32": "E", "float64": "D", "uint32": "J"}[values.dtype.name]
        columns.append(
            fits.Column(
                name, code, unit=ascii_text(part.unit) if name in ("flux", "error") else None,
                bzero=1 << 31 if code == "J" else None, array=values,
            )
        )  # fmt: skip
    table = fits.BinTableHDU.from_columns(columns, name="SPECTRUM", ver=number)
    table.header["RA"], table.header["DEC"] = (
        (number if np.isfinite(number) else None, "[deg] ICRS") for number in (part.ra, part.dec)
    )
    _cards(table.header, part)
    return [table]


def _read_fits(path: Path) -> tuple[dict[str, Any], list[CubePart]]:
    from astropy.io import fits

    try:
        with fits.open(path, memmap=False) as file:
            about = _json(file["ABOUT"].data.tobytes(), path)
            about.pop("stacks", None)
            parts = []
            for number, row in zip(
                file["PARTS"].data["part"], file["PARTS"].data["json"], strict=True
            ):
                said = loads(row)
                arrays: dict[str, Any] = {"edges": None}
                if said["kind"] != "image":
                    table = file["SPECTRUM", number].data
                    arrays |= {name: native(table[name]) for name in _PLANES}
                    arrays["edges"] = np.append(native(table["low"]), table["high"][-1:])
                else:
                    arrays |= {name: native(file[name.upper(), number].data) for name in _PLANES}
                    if "start" not in said:
                        times = file["TIMES", number].data
                        arrays |= {name: native(times[name]) for name in ("start", "end")}
                parts.append(_part(said, arrays))
            return about, parts
    except (KeyError, OSError, TypeError, ValueError) as error:
        line = " ".join(str(error).split())
        raise ArchiveDamaged(f"{path}: is no cube of corecube, or damaged: {line}") from error


def _stacks_fits(path: Path) -> dict[str, Stack]:
    from astropy.io import fits

    try:
        with fits.open(path, memmap=False) as file:
            about = _json(file["ABOUT"].data.tobytes(), path)
            return {
                name: cubestackfiles.from_fits(file, name, said)
                for name, said in about.get("stacks", {}).items()
            }
    except (KeyError, OSError, TypeError, ValueError, AttributeError) as error:
        line = " ".join(str(error).split())
        raise ArchiveDamaged(f"{path}: is no cube of corecube, or damaged: {line}") from error
