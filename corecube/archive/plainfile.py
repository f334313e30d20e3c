"""A shot as an HDF5 file that any HDF5 library reads: no filter but those that HDF5 itself has.

All arrays stand under the names of docs/format.md, also those that an archive does not store:
errors that a recipe gives, levels of pyramids, arrays of other shots that links lead to (as
layers and as calibration), wavelengths of grids and traces. Masks are those of the archive's
readers, with what lists named later. Arrays are packed by deflate and have the checksum
fletcher32, which are parts of HDF5 itself; not packed, frames would need more than twice the
space, most of it for zeros in masks.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube import hdf5
from corecube.archive import chunks
from corecube.archive.durable import commit_file, temporary_path
from corecube.archive.layout import fiber_rows, to_text
from corecube.archive.shotfile import StoredShot
from corecube.errors import NoSpace
from corecube.frames import Array, digest_of

_FILTERS: Final = {"complevel": 1, "complib": "zlib", "shuffle": True, "fletcher32": True}
_SLAB: Final = 2**24
"""Bytes that are read and written at a time, about."""

_OWN: Final = ("/description", "/provenance", "/checksums")
"""Arrays that are made anew, or speak of the shot file as it is packed."""

Values = npt.NDArray[Any]


@dataclass(frozen=True)
class _Part:
    """An array to be written: `read` gives its rows from a first to an end."""

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[int, int], Values]
    about: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, path: str, values: Values, **about: Any) -> _Part:
        """Return a part whose values are there already."""
        values = np.atleast_1d(values)
        return cls(path, values.shape, values.dtype, lambda a, b: values[a:b], about)

    def slabs(self) -> Iterator[tuple[int, int]]:
        """Yield first and end of rows that are handled together, whole chunks each."""
        height = self.chunk[0]
        row = max(1, self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64)))
        step = max(height, _SLAB // row // height * height)
        for first in range(0, self.shape[0], step):
            yield first, min(self.shape[0], first + step)

    @property
    def chunk(self) -> tuple[int, ...]:
        """The chunk shape: as in shot files for pixels, else up to 1 MB of rows."""
        if self.path.startswith("/images/") and len(self.shape) == 2:
            return chunks.image_chunks(self.shape)
        if self.path.startswith("/fibers/") and len(self.shape) == 2:
            return min(fiber_rows(self.shape[1]), self.shape[0]), self.shape[1]
        row = max(1, self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64)))
        return (max(1, min(self.shape[0], 2**20 // row)), *self.shape[1:])


def export_plain(shot: StoredShot, path: Path) -> int:
    """Write a shot as an HDF5 file without filters of others; return its size in bytes.

    Parameters
    ----------
    shot : StoredShot
        With its late masks, in its archive.
    path : Path
        A file that is there is replaced. What is written is read back and compared before the
        file gets its name.

    Raises
    ------
    ArchiveDamaged
        If an array of the shot, or one that it links to, is damaged.
    NoSpace
        If the disk is full.
    """
    tables = hdf5.library()
    temporary = temporary_path(path)
    written: dict[str, list[tuple[int, int, int]]] = {}
    full = f"{path}: cannot be written; the disk is full or failing; free some space"
    try:
        try:
            file = hdf5.open_file(temporary, "w")
            try:
                for name in ("instrument", "key", "title"):
                    file.root._v_attrs[f"corecube_{name}"] = str(shot.description.get(name, ""))
                for part in _parts(shot):
                    if 0 not in part.shape:
                        written[part.path] = list(_write(tables, file, part, shot.path))
            finally:
                file.close()
        except tables.HDF5ExtError as error:
            raise NoSpace(full) from error
        file = hdf5.open_file(temporary)
        try:
            for name, slabs in written.items():
                for first, end, crc in slabs:
                    if _crc(hdf5.read(file, name, slice(first, end))) != crc:
                        raise NoSpace(full)
        finally:
            file.close()
        commit_file(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path.stat().st_size


def _write(tables: Any, file: Any, part: _Part, source: Path) -> Iterator[tuple[int, int, int]]:
    """Write an array; yield the rows of each slab and the CRC-32 of its bytes."""
    # An array of zeros takes no room in a shot file, and all that it claims in this one.
    hdf5.check_amount(f"{source}: {part.path}", part.shape, ..., part.dtype.itemsize)
    where, name = part.path.rsplit("/", 1)
    with hdf5.quiet():
        array = file.create_carray(
            where or "/", name, tables.Atom.from_dtype(part.dtype), part.shape,
            filters=tables.Filters(**_FILTERS), chunkshape=part.chunk, createparents=True,
            track_times=False,
        )  # fmt: skip
    for key in ("unit", "axes", "description"):
        if part.about.get(key):
            said = part.about[key]
            array._v_attrs[key] = said if isinstance(said, str) else ",".join(said)
    for first, end in part.slabs():
        values = np.ascontiguousarray(part.read(first, end))
        array[first:end] = values
        yield first, end, _crc(values)


def _crc(values: Values) -> int:
    return zlib.crc32(values.tobytes())


# -- what there is ---------------------------------------------------------------------------------


def _parts(shot: StoredShot) -> Iterator[_Part]:
    """Yield all arrays of a shot, and a description that fits them."""
    description = copy.deepcopy({k: v for k, v in shot.description.items() if k != "arrays"})
    history = copy.deepcopy(shot.history)
    listed: dict[str, Any] = {}
    for part in chain(
        _stored(shot), _of_images(shot, description), _of_groups(shot, description, history)
    ):
        if part.path in listed:  # an array that several frames link to
            continue
        listed[part.path] = {
            "shape": part.shape, "dtype": "text" if part.dtype.kind == "S" else part.dtype.name,
            **part.about,
        }  # fmt: skip
        yield part
    described = {**description, "links": [], "arrays": listed}
    for path, data in (("/provenance", history), ("/description", described)):
        yield _Part.of(path, np.frombuffer(to_text(data).encode(), np.uint8))


def _stored(shot: StoredShot) -> Iterator[_Part]:
    for path, about in shot.description["arrays"].items():
        parts = path.split("/")
        if path in _OWN or "/pyramid/" in path:
            continue
        text, empty = about["dtype"] == "text", 0 in about["shape"]
        if text and not empty:
            dtype = hdf5.node(shot._file, path).dtype  # its length stands in the file alone
        else:
            dtype = np.dtype("S1" if text else about["dtype"])
        late = parts[2] if parts[1] in ("images", "fibers") and parts[3:] == ["mask"] else ""
        said = {k: about[k] for k in ("unit", "axes", "description", "scalar") if k in about}
        read = partial(_rows_of, shot, path, late)
        yield _Part(path, tuple(about["shape"]), dtype, read, said)


def _rows_of(shot: StoredShot, path: str, late: str, first: int, end: int) -> Values:
    values = np.atleast_1d(shot.read(path, slice(first, end)))
    if late:
        shot.late.apply(late, values, first, 0)
    return values


def _of_images(shot: StoredShot, description: dict[str, Any]) -> Iterator[_Part]:
    for name in shot.images:
        about, where = description["images"][name], f"/images/{name}"
        pixels = {"unit": about["unit"], "axes": ["y", "x"]}
        if f"{where}/error" not in shot.description["arrays"]:
            ny, nx = about["shape"]
            read = partial(_error, shot, name, nx)
            yield _Part(f"{where}/error", (ny, nx), np.dtype(np.float32), read, pixels)
        for layer, place in about["layers"].items():
            if place is not None:
                yield _linked(f"{where}/layers/{layer}", shot.field(name, f"layers/{layer}"))
                about["layers"][layer] = None
        yield from _calibration(shot, about["calibration"])
        for number in range(1, about["levels"] + 1):
            level = shot.level(name, number)
            for kind in ("flux", "error", "mask", "coverage"):
                values = getattr(level, kind)
                if values is not None:
                    said = pixels if kind in ("flux", "error") else {"axes": ["y", "x"]}
                    yield _Part.of(f"{where}/pyramid/{number}/{kind}", values, **said)
        about["level_parts"] = None


def _error(shot: StoredShot, name: str, width: int, first: int, end: int) -> Values:
    return shot.error(name, (first, end), (0, width))


def _of_groups(
    shot: StoredShot, description: dict[str, Any], history: dict[str, Any]
) -> Iterator[_Part]:
    for name in shot.groups:
        about = description["groups"][name]
        for block in history["blocks"].get(name, ()):
            yield from _calibration(shot, block["calibration"])
        path = f"/fibers/{name}/wave"
        if path not in shot.description["arrays"] and about["rows"] and about["width"]:
            grid = "traces" not in about["wave"]
            shape = (about["width"],) if grid else (about["rows"], about["width"])
            axes = ["wave"] if grid else ["fiber", "wave"]
            yield _Part(
                path, shape, np.dtype(np.float64), partial(_wave, shot, name),
                {"unit": about["wave"]["unit"], "axes": axes},
            )  # fmt: skip


def _wave(shot: StoredShot, name: str, first: int, end: int) -> Values:
    about, rows = shot.group(name)["wave"], slice(first, end)
    found = shot._wave(name, about, rows).wavelength()
    return found if "traces" in about else found[rows]


def _calibration(shot: StoredShot, places: dict[str, Any]) -> Iterator[_Part]:
    """Yield the arrays of other shots, and name them in their places by their digests."""
    for name, place in places.items():
        if isinstance(place, dict):
            array = shot._kept("", place)
            places[name] = digest_of(array)
            yield _linked(f"/calibration/{places[name]}", array)


def _linked(path: str, array: Array) -> _Part:
    about = {"unit": array.unit, "axes": list(array.axes), "description": array.description}
    return _Part.of(path, array.values, **{k: v for k, v in about.items() if v})
