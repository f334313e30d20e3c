"""Writing one shot file: frames in, one proved file out (`corecube.archive.proof`)."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from corecube import hdf5
from corecube.archive import chunks, pyramid, rounding
from corecube.archive.durable import FileStamp
from corecube.archive.fibergroup import Group, Part, Rows, group_for, pixels_of
from corecube.archive.latemasks import LateMasks
from corecube.archive.layout import FORMAT, PLAIN, SMALL, fiber_rows, to_text
from corecube.archive.proof import prove
from corecube.archive.shotfile import StoredShot
from corecube.errors import FrameError
from corecube.frames import Array, Fibers, Frame, Image, Link, digest_of
from corecube.masks import value

_OUTSIDE = np.uint32(value("outside"))


_Frame = TypeVar("_Frame", Image, Fibers)


class _Mark(NamedTuple):
    """What a writer has written until a moment."""

    headers: int
    tables: tuple[frozenset[Any], ...]


class ShotWriter:
    """Writes a shot file.

    Parameters
    ----------
    path : Path
        A new file, usually a temporary one.
    profile : str
        That of the archive: `layout.PLAIN` or `layout.SMALL`.
    error_bits : int, optional
        Bits of the mantissa that are kept of errors; all if not given.
    levels : int, optional
        Levels of the pyramid of each image; as many as suit its size if not given.
    """

    def __init__(
        self,
        path: Path,
        profile: str = PLAIN,
        error_bits: int | None = None,
        levels: int | None = None,
    ) -> None:
        self.path = path
        self.levels = levels
        self.error_bits = error_bits
        self.small = profile == SMALL
        self._file = hdf5.open_file(path, "w")
        self._filters = [
            hdf5.library().Filters(fletcher32=True, **kind)
            for kind in (chunks.COMPRESSION, chunks.COMPACT)
        ]
        self._arrays: dict[str, dict[str, Any]] = {}
        self._crcs: dict[str, list[int]] = {}
        self._headers = bytearray()
        self._images: dict[str, dict[str, Any]] = {}
        self._groups: dict[str, Group] = {}
        self._closed: dict[str, dict[str, Any]] = {}
        self._links: dict[Link, None] = {}
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
                group = self._group(frame, groups, grids.get(frame.name))
                group.check(frame)
                groups[frame.name] = replace(group, ids=group.ids.union(frame.id))
            else:
                raise FrameError(f"{type(frame).__name__} is neither an Image nor Fibers")
            _check_links(frame)

    def add_image(self, entry: str, image: Image) -> None:
        """Write an image with its pyramid, or what both can be made from (profile ``small``).

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
        assert image.error is not None
        where = f"/images/{image.name}"
        recipe = image.recipe
        if self.small and recipe is not None:
            given = {name: array.values for name, array in image.calibration.items()}
            if not recipe.gives(image.flux, given, image.error):
                recipe = None
        if self.error_bits is not None and not (self.small and recipe is not None):
            image, recipe = self._rounded(image), None
        assert image.error is not None and image.mask is not None
        planes: list[tuple[str, npt.NDArray[Any], str]] = [
            ("flux", image.flux, image.unit),
            ("error", image.error, image.unit),
            ("mask", image.mask, ""),
        ]
        if self.small and recipe is not None:
            del planes[1]
        planes += [(f"bits/{name}", bits.values, "") for name, bits in image.bits.items()]
        for name, values, unit in planes:
            self._plane(f"{where}/{name}", values, unit)
        self._layers(where, image)
        parts = None
        if self.small:
            masked, whole = pyramid.state(image.flux, image.mask)
            parts = [*(["mask"] if masked else []), *([] if whole else ["coverage"])]
        else:
            self._pyramid(where, image)
        start, end = np.asarray(image.times.start), np.asarray(image.times.end)
        if start.ndim:
            self._store(f"{where}/start", start, unit="d", axes=("y",))
            self._store(f"{where}/end", end, unit="d", axes=("y",))
        self._images[image.name] = {
            "entry": entry, "shape": image.flux.shape, "unit": image.unit, "band": image.band,
            "target": image.target, "cards": image.cards, "footprint": image.footprint,
            "times": [*image.times.span, image.times.quality],
            "rows_timed": bool(start.ndim),
            "recipe": None if recipe is None else vars(recipe) | {},
            "levels": self._count(image),
            "level_parts": parts,
            "bits": {name: bits.planes for name, bits in image.bits.items()},
            "layers": {name: self._linked(layer) for name, layer in image.layers.items()},
            "calibration": self._calibration(image),
            "header": self._header(image.header),
        }  # fmt: skip
        self._provenance["images"][image.name] = image.provenance.to_json()

    def _rounded(self, frame: _Frame) -> _Frame:
        """Return a frame with errors of as many bits as the archive keeps."""
        bits = self.error_bits
        assert frame.error is not None and bits is not None
        line, provenance = rounding.said(bits), frame.provenance
        if line not in provenance.steps:  # it may come from this archive
            provenance = provenance.add(line)
        return replace(frame, error=rounding.rounded(frame.error, bits), provenance=provenance)

    def _plane(self, path: str, values: npt.NDArray[Any], unit: str = "") -> None:
        tiles = chunks.image_chunks(values.shape)
        self._store(path, values, tiles, unit=unit, axes=("y", "x"), compact=self.small)

    def _count(self, image: Image) -> int:
        return pyramid.level_count((image.flux.shape[0], image.flux.shape[1]), self.levels)

    def _pyramid(self, where: str, image: Image) -> None:
        assert image.error is not None and image.mask is not None
        for level in pyramid.levels(image.flux, image.error, image.mask, self._count(image)):
            below = f"{where}/pyramid/{level.level}"
            self._plane(f"{below}/flux", level.flux, image.unit)
            self._plane(f"{below}/error", level.error, image.unit)
            if level.mask is not None:
                self._plane(f"{below}/mask", level.mask)
            if level.coverage is not None:
                self._plane(f"{below}/coverage", level.coverage)

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
        group = self._group(block, self._groups, grid)
        group.check(block)
        block = self._rounded(block) if self.error_bits is not None else block
        assert block.error is not None and block.mask is not None
        self._groups[block.name] = group
        first = group.rows
        pad = group.padding(block)
        wave = block.wave.values
        pixels = {
            "flux": pixels_of(block.flux, block.unit), "error": pixels_of(block.error, block.unit),
            "mask": pixels_of(block.mask),
        }  # fmt: skip
        if wave is not None and wave.ndim == 2:
            pixels["wave"] = pixels_of(wave, block.wave.unit)
        for name, bits in block.bits.items():
            pixels[f"bits/{name}"] = pixels_of(bits.values)
        for name, layer in block.layers.items():
            if layer.values.shape == block.flux.shape:
                pixels[f"layers/{name}"] = Part.of(layer)
            else:
                group.columns.setdefault(f"layers/{name}", []).append(Part.of(layer))
        for name, array in pixels.items():
            values = array.values
            if pad != (0, 0):
                blank = _OUTSIDE if name == "mask" else np.nan if values.dtype.kind == "f" else 0
                values = np.pad(values, ((0, 0), pad), constant_values=blank)
            path = f"/fibers/{block.name}/{name}"
            if name not in group.pixels:
                group.pixels[name] = Rows()
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

    def readable(
        self, description: Mapping[str, Any], history: Mapping[str, Any], archive: Path
    ) -> StoredShot:
        """Return the shot as far as it is written, for making frames from its frames.

        The groups that there are take no more blocks. It reads from the file that is being
        written and is worth nothing after `finish`.

        Parameters
        ----------
        description, history : mapping
            As for `finish`.
        archive : Path
            Folder of the archive, where the shots stand that it links to.
        """
        self._close_groups()
        # copies: frames that are added from now on are not in it
        described = {
            name: dict(part) if isinstance(part, dict) else part
            for name, part in self._description(description).items()
        }
        provenance = {name: dict(part) for name, part in self._provenance.items()}
        return _Unfinished(
            self.path, self._file, archive, described, {**history, **provenance},
            bytes(self._headers),
        )  # fmt: skip

    def mark(self) -> _Mark:
        """Return what is written now, for `undo`; the groups that there are take no more blocks."""
        self._close_groups()
        parts = self._provenance.values()
        return _Mark(
            len(self._headers),
            tuple(frozenset(part) for part in (*self._tables(), *parts)),
        )

    def undo(self, mark: _Mark) -> None:
        """Forget the images and groups that were added since a mark; their space is used again."""
        new = self._arrays.keys() - mark.tables[0]
        with hdf5.quiet():
            # an image or a group of fibres is a node, with all of its arrays below it
            for path in sorted({"/".join(path.split("/")[:3]) for path in new}):
                if path in self._file:
                    self._file.remove_node(path, recursive=True)
        del self._headers[mark.headers :]
        for table, kept in zip(
            (*self._tables(), *self._provenance.values()), mark.tables, strict=True
        ):
            for name in table.keys() - kept:
                del table[name]

    def _tables(self) -> tuple[dict[Any, Any], ...]:
        return (
            self._arrays, self._crcs, self._images, self._groups, self._closed, self._links,
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
        self._close_groups()
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
        described = self._description(description)
        self._store("/checksums", sums, (max(1, min(len(sums), 2**14)),))
        data = self._text("/description", described)
        # the CRC of the description is the only thing that it cannot say of itself
        self._file.root._v_attrs["description_crc"] = np.uint32(chunks.crc(data))
        self._file.root._v_attrs["corecube_format"] = np.int64(FORMAT)
        self._file.close()
        return prove(self.path, self._crcs, self._arrays)

    def _description(self, more: Mapping[str, Any]) -> dict[str, Any]:
        links = [vars(link) | {} for link in self._links]
        return {
            "format": FORMAT, "profile": SMALL if self.small else PLAIN,
            "error_bits": self.error_bits, "levels": self.levels, **more,
            "images": self._images, "groups": self._closed, "links": links,
            "arrays": self._arrays,
        }  # fmt: skip

    def _close_groups(self) -> None:
        for name, group in self._groups.items():
            if name not in self._closed:
                self._closed[name] = self._close_group(name, group)

    def _group(
        self, block: Fibers, groups: Mapping[str, Group], grid: tuple[int, int] | None
    ) -> Group:
        """Return the group of a block, a new one for its first."""
        if block.name in self._closed:
            raise FrameError(
                f"group '{block.name}' was read already; derived frames need names of their own"
            )
        return group_for(block, groups, grid)

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
        compact: bool = False,
    ) -> None:
        """Write a whole array; chunks of zeros are left out, HDF5 gives zeros for them."""
        scalar = values.ndim == 0
        values = values.reshape(1) if scalar else values  # HDF5 has no chunks in scalars
        self._list(path, Part(values, unit, tuple(axes), description))
        if scalar:
            self._arrays[path]["scalar"] = True
        if values.size == 0:
            return
        if shape is None:
            shape = _small_chunks(values)
        array = self._create(path, values.dtype, values.shape, shape, compact)
        crcs = self._crcs[path]
        for start, chunk in chunks.stripes(values, shape):
            if not chunk.view(np.uint8).any():  # bytes, for -0.0 is no chunk of zeros
                crcs.append(0)
                continue
            data = chunks.encode(chunk, compact)
            array.write_chunk(start, data)
            crcs.append(chunks.crc(data))

    def _append(self, path: str, rows: Rows, values: npt.NDArray[Any]) -> None:
        """Append rows to an array that grows; full chunks are written, the rest is kept."""
        rows.parts.append(values)
        rows.waiting += len(values)
        height = fiber_rows(values.shape[1])
        if rows.waiting >= height:
            self._flush(path, rows, rows.waiting - rows.waiting % height)

    def _flush(self, path: str, rows: Rows, count: int) -> None:
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
        self, path: str, dtype: np.dtype[Any], shape: tuple[int, ...], chunk: tuple[int, ...],
        compact: bool = False,
    ) -> Any:  # fmt: skip
        where, name = path.rsplit("/", 1)
        create = self._file.create_earray if 0 in shape else self._file.create_carray
        with hdf5.quiet():
            return create(
                where or "/", name, hdf5.library().Atom.from_dtype(np.dtype(dtype)), shape,
                filters=self._filters[compact], chunkshape=chunk, createparents=True,
                track_times=False,
            )  # fmt: skip

    def _list(self, path: str, array: Part) -> None:
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
            if layer.link is not None:
                continue
            self._store(
                f"{where}/layers/{name}", layer.values, unit=layer.unit, axes=layer.axes,
                description=layer.description,
            )  # fmt: skip

    def _calibration(self, frame: Frame) -> dict[str, Any]:
        """Store calibration arrays once by content; return their names in the file, or links."""
        return {
            name: self._linked(array) or self._by_content(array)
            for name, array in frame.calibration.items()
        }  # fmt: skip

    def _linked(self, array: Array) -> dict[str, Any] | None:
        if array.link is None:
            return None
        self._links[array.link] = None
        return vars(array.link) | {}

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

    def _close_group(self, name: str, group: Group) -> dict[str, Any]:
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


def _check_image(image: Image, names: Container[str]) -> None:
    if image.name in names:
        raise FrameError(f"two images have the name '{image.name}'")
    if image.error is None or image.mask is None:
        raise FrameError(f"image '{image.name}' has no error and mask")


def _check_links(frame: Frame) -> None:
    """Refuse links whose array is another one: what is read back would not be what was given."""
    for kind in ("layers", "calibration"):
        for name, array in getattr(frame, kind).items():
            if array.link is None:
                continue
            where = f"frame '{frame.name}': {kind[:-1] if kind == 'layers' else kind} '{name}'"
            if isinstance(frame, Fibers) and kind == "layers":
                raise FrameError(f"{where} is a link; a group's layers are stored with its rows")
            if digest_of(array) != array.link.digest:
                raise FrameError(
                    f"{where} is not the array that it links to; give it whole and unchanged, or "
                    "without the link"
                )


class _Unfinished(StoredShot):
    """A shot whose file is still being written."""

    def __init__(
        self, path: Path, file: Any, archive: Path, description: dict[str, Any],
        history: dict[str, Any], headers: bytes,
    ) -> None:  # fmt: skip
        self.path = path
        self.archive = archive
        self.late = LateMasks()
        self._file = file
        self._nodes = {}
        self._headers = headers
        self._describe(description)
        self.history = history

    def close(self) -> None:
        """Leave the file to its writer."""

    def header(self, place: list[int]) -> str:
        """Return a frame's header by its place among all headers."""
        return self._headers[slice(*place)].decode()

    def _node(self, path: str, listed: dict[str, Any], text: bool) -> tuple[Any, bool]:
        """Leave reading to HDF5, which may still hold chunks that are not in the file."""
        self._nodes[path] = super()._node(path, listed, text)[0], False
        return self._nodes[path]


def _small_chunks(values: npt.NDArray[Any]) -> tuple[int, ...]:
    """One chunk up to 1 MB, else pieces along the first axis."""
    row = max(1, values.itemsize * int(np.prod(values.shape[1:], dtype=np.int64)))
    return (max(1, min(values.shape[0], 2**20 // row)), *values.shape[1:])
