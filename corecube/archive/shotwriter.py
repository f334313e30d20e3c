"""Writing one shot file: frames in, one proved file out (`corecube.archive.proof`)."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from corecube import hdf5
from corecube.archive import chunks, pyramid
from corecube.archive.durable import FileStamp
from corecube.archive.layout import FORMAT, fiber_rows, to_text
from corecube.archive.proof import prove
from corecube.errors import FrameError
from corecube.frames import Array, Column, Fibers, Frame, Image, digest_of
from corecube.masks import value

_OUTSIDE = np.uint32(value("outside"))


class ShotWriter:
    """Writes a shot file.

    Parameters
    ----------
    path : Path
        A new file, usually a temporary one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = hdf5.open_file(path, "w")
        self._filters = hdf5.library().Filters(fletcher32=True, **chunks.COMPRESSION)
        self._arrays: dict[str, dict[str, Any]] = {}
        self._crcs: dict[str, list[int]] = {}
        self._headers = bytearray()
        self._images: dict[str, dict[str, Any]] = {}
        self._groups: dict[str, _Group] = {}
        self._provenance: dict[str, Any] = {"images": {}, "blocks": {}}

    def close(self) -> None:
        """Close the file if it is open; without `finish` it is worth nothing."""
        if self._file.isopen:
            self._file.close()

    # -- frames ------------------------------------------------------------------------------

    def check(self, frames: Sequence[Frame], grids: Mapping[str, tuple[int, int]]) -> None:
        """Refuse frames that cannot be added after those that were; nothing is written.

        Parameters
        ----------
        frames : sequence of Image or Fibers
            To be added together, in this order.
        grids : mapping of group to (int, int)
            As for `add_block`.

        Raises
        ------
        FrameError
            If a name comes twice, a block does not fit its group or comes before its parent, or
            error and mask are missing.
        """
        images, groups = set(self._images), dict(self._groups)
        for frame in frames:
            if isinstance(frame, Image):
                _check_image(frame, images)
                images.add(frame.name)
            elif isinstance(frame, Fibers):
                group = _group_for(frame, groups, grids.get(frame.name))
                group.check(frame)
                groups[frame.name] = replace(group, ids=group.ids.union(frame.id))
            else:
                raise FrameError(f"{type(frame).__name__} is neither an Image nor Fibers")

    def add_image(self, entry: str, image: Image) -> None:
        """Write an image with its pyramid.

        Parameters
        ----------
        entry : str
            The entry it came from.
        image : Image
            With error and mask.

        Raises
        ------
        FrameError
            If there is an image of this name already, or error and mask are missing.
        """
        _check_image(image, self._images)
        assert image.error is not None and image.mask is not None
        where = f"/images/{image.name}"
        tiles = chunks.image_chunks(image.flux.shape)
        planes: list[tuple[str, npt.NDArray[Any], str]] = [
            ("flux", image.flux, image.unit),
            ("error", image.error, image.unit),
            ("mask", image.mask, ""),
        ]
        planes += [(f"bits/{name}", bits.values, "") for name, bits in image.bits.items()]
        for name, values, unit in planes:
            self._store(f"{where}/{name}", values, tiles, unit=unit, axes=("y", "x"))
        self._layers(where, image)
        for level in pyramid.levels(image.flux, image.error, image.mask):
            below = f"{where}/pyramid/{level.level}"
            shape = chunks.image_chunks(level.flux.shape)
            self._store(f"{below}/flux", level.flux, shape, unit=image.unit, axes=("y", "x"))
            self._store(f"{below}/error", level.error, shape, unit=image.unit, axes=("y", "x"))
            if level.mask is not None:
                self._store(f"{below}/mask", level.mask, shape, axes=("y", "x"))
            if level.coverage is not None:
                self._store(f"{below}/coverage", level.coverage, shape, axes=("y", "x"))
        start, end = np.asarray(image.times.start), np.asarray(image.times.end)
        if start.ndim:
            self._store(f"{where}/start", start, unit="d", axes=("y",))
            self._store(f"{where}/end", end, unit="d", axes=("y",))
        self._images[image.name] = {
            "entry": entry, "shape": image.flux.shape, "unit": image.unit, "band": image.band,
            "target": image.target, "cards": image.cards, "footprint": image.footprint,
            "times": [*image.times.span, image.times.quality],
            "rows_timed": bool(start.ndim),
            "levels": pyramid.level_count((image.flux.shape[0], image.flux.shape[1])),
            "bits": {name: bits.planes for name, bits in image.bits.items()},
            "layers": list(image.layers),
            "calibration": self._calibration(image),
            "header": self._header(image.header),
        }  # fmt: skip
        self._provenance["images"][image.name] = image.provenance.to_json()

    def add_block(self, entry: str, block: Fibers, grid: tuple[int, int] | None = None) -> None:
        """Append fibres to their group.

        Parameters
        ----------
        entry : str
            The entry they came from.
        block : Fibers
            With error and mask.
        grid : (int, int), optional
            First and last pixel that all blocks of the group are widened to.

        Raises
        ------
        FrameError
            If the block does not fit the group's earlier blocks.
        """
        group = _group_for(block, self._groups, grid)
        group.check(block)
        assert block.error is not None and block.mask is not None
        self._groups[block.name] = group
        first = group.rows
        pad = group.padding(block)
        wave = block.wave.values
        pixels = {
            "flux": _pixels(block.flux, block.unit), "error": _pixels(block.error, block.unit),
            "mask": _pixels(block.mask),
        }  # fmt: skip
        if wave is not None and wave.ndim == 2:
            pixels["wave"] = _pixels(wave, block.wave.unit)
        for name, bits in block.bits.items():
            pixels[f"bits/{name}"] = _pixels(bits.values)
        for name, layer in block.layers.items():
            if layer.values.shape == block.flux.shape:
                pixels[f"layers/{name}"] = _Part.of(layer)
            else:
                group.columns.setdefault(f"layers/{name}", []).append(_Part.of(layer))
        for name, array in pixels.items():
            values = array.values
            if pad != (0, 0):
                blank = _OUTSIDE if name == "mask" else np.nan if values.dtype.kind == "f" else 0
                values = np.pad(values, ((0, 0), pad), constant_values=blank)
            path = f"/fibers/{block.name}/{name}"
            if name not in group.pixels:
                group.pixels[name] = _Rows()
                self._list(path, array._replace(values=values[:0]))
            self._append(path, group.pixels[name], values)
        group.append(block)
        self._provenance["blocks"].setdefault(block.name, []).append(
            {
                "entry": entry, "rows": [first, group.rows],
                "provenance": block.provenance.to_json(),
                "calibration": self._calibration(block),
                "header": self._header(block.header),
                "quality": block.times.quality,
            }
        )  # fmt: skip

    # -- the end -----------------------------------------------------------------------------

    def finish(self, description: Mapping[str, Any], history: Mapping[str, Any]) -> FileStamp:
        """Write what is left, close the file and prove it.

        Parameters
        ----------
        description : mapping
            Plain JSON: identity, title, kind, generation, fingerprint, ...
        history : mapping
            Plain JSON that is needed rarely: plan, file infos, configuration.

        Returns
        -------
        FileStamp
            Size and sha256; the file is on the disk (fsync).

        Raises
        ------
        NoSpace
            If the disk is full.
        """
        groups = {name: self._close_group(name, group) for name, group in self._groups.items()}
        if self._headers:
            text = np.frombuffer(bytes(self._headers), dtype=np.uint8)
            self._store("/headers", text, (min(len(text), 2**18),))
        self._text("/provenance", {**history, **self._provenance})
        first = 0
        for name, listed in self._arrays.items():
            count = len(self._crcs[name])
            listed["checksums"] = [first, count]
            first += count
        sums = np.array([c for part in self._crcs.values() for c in part], dtype=np.uint32)
        described = {
            "format": FORMAT, **description, "images": self._images, "groups": groups,
            "arrays": self._arrays,
        }  # fmt: skip
        self._store("/checksums", sums, (max(1, min(len(sums), 2**14)),))
        data = self._text("/description", described)
        # the CRC of the description is the only thing that it cannot say of itself
        self._file.root._v_attrs["description_crc"] = np.uint32(chunks.crc(data))
        self._file.root._v_attrs["corecube_format"] = np.int64(FORMAT)
        self._file.close()
        return prove(self.path, self._crcs, self._arrays)

    # -- arrays ------------------------------------------------------------------------------

    def _store(
        self,
        path: str,
        values: npt.NDArray[Any],
        shape: tuple[int, ...] | None = None,
        *,
        unit: str = "",
        axes: Sequence[str] = (),
        description: str = "",
    ) -> None:
        """Write a whole array; chunks of zeros are left out, HDF5 gives zeros for them."""
        scalar = values.ndim == 0
        values = values.reshape(1) if scalar else values  # HDF5 has no chunks in scalars
        self._list(path, _Part(values, unit, tuple(axes), description))
        if scalar:
            self._arrays[path]["scalar"] = True
        if values.size == 0:
            return
        if shape is None:
            shape = _small_chunks(values)
        array = self._create(path, values.dtype, values.shape, shape)
        crcs = self._crcs[path]
        for start, chunk in chunks.stripes(values, shape):
            if not chunk.view(np.uint8).any():  # bytes, for -0.0 is no chunk of zeros
                crcs.append(0)
                continue
            data = chunks.encode(chunk)
            array.write_chunk(start, data)
            crcs.append(chunks.crc(data))

    def _append(self, path: str, rows: _Rows, values: npt.NDArray[Any]) -> None:
        """Append rows to an array that grows; full chunks are written, the rest is kept."""
        rows.parts.append(values)
        rows.waiting += len(values)
        height = fiber_rows(values.shape[1])
        if rows.waiting >= height:
            self._flush(path, rows, rows.waiting - rows.waiting % height)

    def _flush(self, path: str, rows: _Rows, count: int) -> None:
        values = rows.parts[0] if len(rows.parts) == 1 else np.concatenate(rows.parts)
        ready, left = values[:count], values[count:]
        rows.parts, rows.waiting = ([left.copy()] if len(left) else []), len(left)
        written = rows.written + count
        if values.shape[1]:
            if rows.array is None:
                rows.chunk = (min(fiber_rows(values.shape[1]), written), values.shape[1])
                rows.array = self._create(path, values.dtype, (0, values.shape[1]), rows.chunk)
            rows.array.truncate(written)  # PyTables' name for setting the length
            for start, chunk in chunks.stripes(ready, rows.chunk):
                data = chunks.encode(chunk)
                rows.array.write_chunk((rows.written + start[0], start[1]), data)
                self._crcs[path].append(chunks.crc(data))
        rows.written = written
        self._arrays[path]["shape"] = [written, values.shape[1]]

    def _create(
        self, path: str, dtype: np.dtype[Any], shape: tuple[int, ...], chunk: tuple[int, ...]
    ) -> Any:
        where, name = path.rsplit("/", 1)
        create = self._file.create_earray if 0 in shape else self._file.create_carray
        with hdf5.quiet():
            return create(
                where or "/", name, hdf5.library().Atom.from_dtype(np.dtype(dtype)), shape,
                filters=self._filters, chunkshape=chunk, createparents=True, track_times=False,
            )  # fmt: skip

    def _list(self, path: str, array: _Part) -> None:
        values = array.values
        kind = "text" if values.dtype.kind == "S" else values.dtype.name
        about = {"unit": array.unit, "axes": list(array.axes), "description": array.description}
        self._arrays[path] = {"shape": list(values.shape), "dtype": kind} | {
            name: value for name, value in about.items() if value
        }
        self._crcs[path] = []

    def _text(self, path: str, data: Any) -> bytes:
        text = to_text(data).encode()
        self._store(path, np.frombuffer(text, dtype=np.uint8), (min(len(text), 2**18),))
        return text

    def _layers(self, where: str, frame: Frame) -> None:
        for name, layer in frame.layers.items():
            self._store(
                f"{where}/layers/{name}", layer.values, unit=layer.unit, axes=layer.axes,
                description=layer.description,
            )  # fmt: skip

    def _calibration(self, frame: Frame) -> dict[str, str]:
        """Store calibration arrays once by content; return their names in the file."""
        return {name: self._by_content(array) for name, array in frame.calibration.items()}

    def _by_content(self, array: Array) -> str:
        values = np.asarray(array.values, order="C")  # ascontiguousarray would make scalars (1,)
        digest = digest_of(array)
        path = f"/calibration/{digest}"
        if path not in self._arrays:
            self._store(
                path, values, unit=array.unit, axes=array.axes, description=array.description
            )
        return digest

    def _header(self, text: str) -> list[int]:
        first = len(self._headers)
        self._headers += text.encode()
        return [first, len(self._headers)]

    def _close_group(self, name: str, group: _Group) -> dict[str, Any]:
        where = f"/fibers/{name}"
        for part, rows in group.pixels.items():
            if rows.waiting:
                self._flush(f"{where}/{part}", rows, rows.waiting)
        for part, arrays in group.columns.items():
            self._store(
                f"{where}/{part}", np.concatenate([array.values for array in arrays]),
                unit=arrays[0].unit, axes=arrays[0].axes, description=arrays[0].description,
            )  # fmt: skip
        for column, values in group.named.items():
            self._store(
                f"{where}/columns/{column.name}", np.concatenate(values), unit=column.unit,
                axes=("fiber",), description=column.description,
            )  # fmt: skip
        if group.wave.values is not None and group.wave.values.ndim == 1:
            self._store(f"{where}/wave", group.wave.values, unit=group.wave.unit, axes=("wave",))
        return group.describe()


class _Part(NamedTuple):
    """Values and what the file's description says of them; as `Array`, but texts are allowed."""

    values: npt.NDArray[Any]
    unit: str = ""
    axes: tuple[str, ...] = ()
    description: str = ""

    @classmethod
    def of(cls, array: Array) -> _Part:
        return cls(array.values, array.unit, tuple(array.axes), array.description)


@dataclass
class _Rows:
    """An array (n, w) that grows by rows."""

    array: Any = None
    chunk: tuple[int, ...] = ()
    written: int = 0
    waiting: int = 0
    parts: list[npt.NDArray[Any]] = field(default_factory=list)


@dataclass
class _Group:
    """What is known of a group while it grows."""

    block: Fibers
    width: int
    grid: tuple[int, int] | None
    rows: int = 0
    pixels: dict[str, _Rows] = field(default_factory=dict)
    columns: dict[str, list[_Part]] = field(default_factory=dict)
    named: dict[Column, list[npt.NDArray[Any]]] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)

    @classmethod
    def like(cls, block: Fibers, grid: tuple[int, int] | None) -> _Group:
        width = block.flux.shape[1] if grid is None else grid[1] - grid[0] + 1
        return cls(block, width, grid)

    @property
    def wave(self) -> Any:
        return self.block.wave

    def check(self, block: Fibers) -> None:
        """Refuse a block that does not fit the first one."""
        first = self.block
        where = f"group '{block.name}'"
        for what, old, new in (
            ("unit", first.unit, block.unit),
            ("parent", first.parent, block.parent),
            ("type of flux", first.flux.dtype, block.flux.dtype),
            ("columns", set(first.columns), set(block.columns)),
            ("layers", set(first.layers), set(block.layers)),
            ("bits", _planes(first), _planes(block)),
            ("wavelengths", _kind_of_wave(first), _kind_of_wave(block)),
        ):
            if old != new:
                raise FrameError(f"{where}: {what} of a block differ from those of earlier ones")
        if first.wave.values is not None and first.wave.values.ndim == 1:
            assert block.wave.values is not None
            if not np.array_equal(first.wave.values, block.wave.values):
                raise FrameError(
                    f"{where}: wavelengths of a block differ from those of earlier ones"
                )
        again = self.ids.intersection(block.id)
        if again:
            raise FrameError(f"{where}: the id '{min(again)}' comes twice")
        before, behind = self.padding(block)
        if before < 0 or behind < 0:
            raise FrameError(f"{where}: a block reaches beyond the planned grid {self.grid}")

    def padding(self, block: Fibers) -> tuple[int, int]:
        """Return the pixels to add before and behind a block."""
        width = block.flux.shape[1]
        before = 0
        if block.wave.is_grid:
            first = self.grid[0] if self.grid is not None else self.block.wave.first
            before = block.wave.first - first
        return before, self.width - width - before

    def append(self, block: Fibers) -> None:
        """Take the values per fibre of a block."""
        count = len(block.id)
        self.ids.update(block.id)
        start = np.broadcast_to(np.asarray(block.times.start), (count,))
        end = np.broadcast_to(np.asarray(block.times.end), (count,))
        texts = {
            "id": block.id, "target": block.target or ("",) * count,
            "quality": (block.times.quality,) * count,
        }  # fmt: skip
        if block.parent:
            texts["parent_id"] = block.parent_id
        for name, values in texts.items():
            self.columns.setdefault(name, []).append(_Part(_bytes(values), "", ("fiber",)))
        for name, numbers in (("ra", block.ra), ("dec", block.dec), ("start", start), ("end", end)):
            unit = "d" if name in ("start", "end") else "deg"
            part = _Part(np.array(numbers, dtype=np.float64), unit, ("fiber",))
            self.columns.setdefault(name, []).append(part)
        for column, values in block.columns.items():
            stored = _bytes(values) if column.dtype == "text" else np.asarray(values, column.dtype)
            self.named.setdefault(column, []).append(stored)
        self.rows += count

    def describe(self) -> dict[str, Any]:
        """Return what the file's description says of the group."""
        wave = self.block.wave.describe()
        if self.grid is not None and self.block.wave.is_grid:
            wave |= {"first": self.grid[0], "count": self.width}
        return {
            "rows": self.rows, "width": self.width, "unit": self.block.unit,
            "parent": self.block.parent, "wave": wave,
            "bits": {name: bits.planes for name, bits in self.block.bits.items()},
            "layers": list(self.block.layers),
            "columns": [vars(column) | {} for column in self.named],
        }  # fmt: skip


def _check_image(image: Image, names: Container[str]) -> None:
    if image.name in names:
        raise FrameError(f"two images have the name '{image.name}'")
    if image.error is None or image.mask is None:
        raise FrameError(f"image '{image.name}' has no error and mask")


def _group_for(block: Fibers, groups: Mapping[str, _Group], grid: tuple[int, int] | None) -> _Group:
    """Return the group of a block, a new one for its first."""
    if block.error is None or block.mask is None:
        raise FrameError(f"group '{block.name}' has no error and mask")
    if block.parent and block.parent not in groups:
        raise FrameError(f"group '{block.name}' comes before its parent '{block.parent}'")
    return groups.get(block.name) or _Group.like(block, grid)


def _pixels(values: npt.NDArray[Any], unit: str = "") -> _Part:
    return _Part(values, unit, ("fiber", "wave"))


def _planes(block: Fibers) -> dict[str, tuple[str, ...]]:
    return {name: bits.planes for name, bits in block.bits.items()}


def _kind_of_wave(block: Fibers) -> tuple[Any, ...]:
    wave = block.wave
    rank = None if wave.values is None else wave.values.ndim
    return wave.step, wave.unit, wave.medium, wave.specsys, rank


def _bytes(texts: Sequence[str]) -> npt.NDArray[np.bytes_]:
    encoded = [str(text).encode() for text in texts]
    return np.array(encoded, dtype=f"S{max(1, *map(len, encoded))}" if encoded else "S1")


def _small_chunks(values: npt.NDArray[Any]) -> tuple[int, ...]:
    """One chunk up to 1 MB, else pieces along the first axis."""
    row = max(1, values.itemsize * int(np.prod(values.shape[1:], dtype=np.int64)))
    return (max(1, min(values.shape[0], 2**20 // row)), *values.shape[1:])
