"""Reading one shot file: frames, cutouts and fibres back, exactly as they were handed over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube import hdf5
from corecube.archive import chunkreading, chunks, links, seal
from corecube.archive.chunkcheck import ChunkCheck
from corecube.archive.described import as_written, check_description, check_history
from corecube.archive.jsontext import loads
from corecube.archive.latemasks import LateMasks
from corecube.archive.layout import FORMAT, archive_of
from corecube.archive.levels import read_level
from corecube.archive.pyramid import Level
from corecube.errors import (
    ArchiveDamaged,
    ArchiveTooNew,
    FrameError,
    QueryError,
)
from corecube.frames import Array, Bits, Column, Fibers, Image, Link, digest_of
from corecube.masks import MaskArray
from corecube.provenance import Provenance
from corecube.recipes import Recipe
from corecube.shots import FileInfo, Shot, ShotPlan
from corecube.spectral import Spectral
from corecube.times import Times
from corecube.tracesets import TraceSet

_DESCRIPTION_LIMIT: Final = 2**28
"""Bytes; 100,000 fibres in a thousand blocks need less than a hundredth of it."""


class StoredShot(Shot):
    """A shot in its file.

    Parameters
    ----------
    path : Path
    archive : Path, optional
        Folder of the archive, where the shots stand that it links to; found from the path of a
        file that has its place in an archive.
    late : LateMasks, optional
        What lists said later; `rows`, `frame` and `part` give masks with it.

    Raises
    ------
    ArchiveDamaged
        If it is no shot file, or its description is damaged.
    ArchiveTooNew
        If it was written by a newer corecube.
    FileNotFoundError
        If there is none.
    """

    _chunks: ChunkCheck | None = None

    def __init__(
        self, path: Path, archive: Path | None = None, late: LateMasks | None = None
    ) -> None:
        self.path = path
        self.late = late or LateMasks()
        seal.check(path)
        self._nodes: dict[str, tuple[Any, bool]] = {}
        self._file = hdf5.open_file(path)
        try:
            self._describe(self._described())
        except BaseException:
            self._file.close()
            raise
        self.archive = archive or archive_of(path, self.instrument, self.key, self.generation)
        self._chunks = ChunkCheck(path, lambda: hdf5.read(self._file, "/checksums"))

    def _describe(self, description: dict[str, Any]) -> None:
        self.description = description
        self.instrument = description["instrument"]
        self.key = description["key"]
        self.generation = description["generation"]
        self.images = tuple(description["images"])
        self.groups = tuple(description["groups"])

    def close(self) -> None:
        """Close the file."""
        self._nodes.clear()
        self._file.close()
        if self._chunks is not None:
            self._chunks.close()

    def __enter__(self) -> StoredShot:
        """Return itself; the file is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def _described(self) -> dict[str, Any]:
        attributes = self._file.root._v_attrs
        try:
            number = int(attributes["corecube_format"])
            expected = int(attributes["description_crc"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArchiveDamaged(f"{self.path}: is no shot file of corecube") from error
        if number > FORMAT:
            raise ArchiveTooNew(
                f"{self.path}: has format {number}, this corecube knows up to {FORMAT}; "
                "upgrade corecube"
            )
        if hdf5.node(self._file, "/description").size_in_memory > _DESCRIPTION_LIMIT:
            raise ArchiveDamaged(f"{self.path}: its description is too large to be one of ours")
        data = hdf5.read(self._file, "/description").tobytes()
        if chunks.crc(data) != expected:
            raise ArchiveDamaged(f"{self.path}: its description is damaged")
        try:
            description: dict[str, Any] = loads(data)
            check_description(description)
        except ValueError as error:
            raise ArchiveDamaged(f"{self.path}: is not as corecube writes it: {error}") from error
        return description

    @cached_property
    def history(self) -> dict[str, Any]:
        """Plan, file infos, configuration and provenance: what is needed rarely."""
        try:
            data: dict[str, Any] = loads(hdf5.read(self._file, "/provenance").tobytes())
            check_history(data, self.description)
        except ValueError as error:
            raise ArchiveDamaged(f"{self.path}: its provenance is damaged: {error}") from error
        return data

    @property
    @as_written
    def plan(self) -> ShotPlan:  # type: ignore[override]  # read when asked for
        """The plan that the shot was made by."""
        return ShotPlan.from_json(self.history["plan"])

    @property
    def config(self) -> Mapping[str, Any]:  # type: ignore[override]  # read when asked for
        """The instrument's configuration that was used."""
        config: dict[str, Any] = self.history["config"]
        return config

    @property
    @as_written
    def infos(self) -> list[FileInfo]:
        """What the instrument said of the files that the shot was planned from."""
        return [FileInfo.from_json(info) for info in self.history["infos"]]

    # -- arrays ------------------------------------------------------------------------------

    @as_written
    def read(self, path: str, key: Any = Ellipsis) -> npt.NDArray[Any]:
        """Return a part of an array of the file.

        Raises
        ------
        ArchiveDamaged
            If it is damaged, or is not what the description says.
        """
        listed = self.description["arrays"].get(path)
        if listed is None:
            raise ArchiveDamaged(f"{self.path}: has no array {path}")
        text = listed["dtype"] == "text"
        if 0 in listed["shape"]:
            empty = np.zeros(listed["shape"], dtype="S1" if text else listed["dtype"])
            return np.asarray(empty[key])
        node, ours = self._nodes.get(path) or self._node(path, listed, text)
        check, (first, count) = self._chunks, listed.get("checksums", (0, 0))
        values, wrong = None, False
        try:
            if ours:
                sums = check.sums(first, count) if count and check is not None else None
                values = chunkreading.read(node, key, sums)
            if values is None and count and check is not None:
                wrong = check.differs(node, first, count, key)
        except (chunkreading.ChunkDamaged, hdf5.library().HDF5ExtError, MemoryError):
            wrong = True
        if wrong:
            raise ArchiveDamaged(
                f"{self.path}: {path} is damaged; find out more with 'corecube verify'"
            )
        if values is None:
            values = hdf5.read(self._file, path, key)
        return values.reshape(()) if listed.get("scalar") else values

    def _node(self, path: str, listed: dict[str, Any], text: bool) -> tuple[Any, bool]:
        """Return an array that is as described, and whether we decode it ourselves; kept."""
        node = hdf5.node(self._file, path)
        same = node.dtype.kind == "S" if text else node.dtype == np.dtype(listed["dtype"])
        if list(node.shape) != listed["shape"] or not same:
            raise ArchiveDamaged(f"{self.path}: {path} is not as described")
        self._nodes[path] = node, chunkreading.is_ours(node)
        return self._nodes[path]

    @as_written
    def texts(self, path: str, key: Any = Ellipsis) -> tuple[str, ...]:
        """Return a text column, or a part of it."""
        return tuple(text.decode() for text in self.read(path, key).tolist())

    @as_written
    def header(self, place: list[int]) -> str:
        """Return a frame's header by its place among all headers."""
        if place[0] == place[1]:
            return ""
        return self.read("/headers", slice(*place)).tobytes().decode()

    def _array(self, path: str, key: Any = Ellipsis) -> Array:
        about = self.description["arrays"].get(path, {})
        return Array(
            self.read(path, key),
            about.get("unit", ""),
            tuple(about.get("axes", ())),
            about.get("description", ""),
        )

    def _calibration(self, names: Mapping[str, Any]) -> dict[str, Array]:
        return {name: self._kept(f"/calibration/{place}", place) for name, place in names.items()}

    def _kept(self, path: str, place: Any) -> Array:
        """Return an array of this file, or of the shot that a link leads to."""
        if isinstance(place, dict):
            return links.resolve(Link(**place), self.archive, str(self.path), StoredShot)
        return self._array(path)

    @as_written
    def links(self) -> list[Link]:
        """Return the links of all frames, each once."""
        return [Link(**link) for link in self.description.get("links", [])]

    # -- images ------------------------------------------------------------------------------

    def image(self, name: str) -> dict[str, Any]:
        """Return what the description says of an image.

        Raises
        ------
        QueryError
            If there is none of this name.
        """
        about: dict[str, Any] | None = self.description["images"].get(name)
        if about is None:
            raise QueryError(f"{self.identity} has no image '{name}'; it has: {self._names()}")
        return about

    def _names(self) -> str:
        return ", ".join((*self.images, *self.groups)) or "nothing"

    def frame(self, name: str) -> Image:
        """Return an image with all that belongs to it.

        Raises
        ------
        QueryError
            If there is none of this name.
        ArchiveDamaged
        """
        about = self.image(name)
        ny, nx = about["shape"]
        return self.part(name, (0, ny), (0, nx))

    @as_written
    def part(self, name: str, rows: tuple[int, int], columns: tuple[int, int]) -> Image:
        """Return the part of an image in these rows and columns, which must lie inside.

        Only the chunks of that part are read. Layers and calibration come whole.

        Raises
        ------
        QueryError
            If there is none of this name.
        ArchiveDamaged
            Also where an array that it links to is missing or has changed.
        """
        about = self.image(name)
        where = f"/images/{name}"
        key = (slice(*rows), slice(*columns))
        cards = about["cards"]
        if cards is not None and (rows[0] or columns[0]):
            cards = shifted(cards, columns[0], rows[0])
        whole = [list(rows), list(columns)] == [[0, length] for length in about["shape"]]
        flux = self.read(f"{where}/flux", key)
        start, end, quality = about["times"]
        times = Times(_number(start), _number(end), quality)
        if about["rows_timed"]:
            times = Times(
                self.read(f"{where}/start", slice(*rows)), self.read(f"{where}/end", slice(*rows)),
                quality,
            )  # fmt: skip
        return Image(
            name=name,
            flux=flux,
            unit=about["unit"],
            error=self.error(name, rows, columns, flux),
            mask=self._mask(name, self.read(f"{where}/mask", key), rows[0], columns[0]),
            bits={
                bits: Bits(self.read(f"{where}/bits/{bits}", key), tuple(planes))
                for bits, planes in about["bits"].items()
            },
            layers={
                layer: self._kept(f"{where}/layers/{layer}", place)
                for layer, place in about["layers"].items()
            },
            calibration=self._calibration(about["calibration"]),
            header=self.header(about["header"]),
            times=times,
            provenance=Provenance.from_json(self.history["images"][name]),
            cards=cards,
            band=about["band"],
            target=about["target"],
            footprint=None if about["footprint"] is None else np.array(about["footprint"]),
            recipe=self._recipe(about) if whole else None,
        )

    @as_written
    def error(
        self, name: str, rows: tuple[int, int], columns: tuple[int, int],
        flux: npt.NDArray[Any] | None = None,
    ) -> npt.NDArray[Any]:  # fmt: skip
        """Return the error of a part of an image: read, or made by the recipe that it is kept as.

        Parameters
        ----------
        name : str
            Of the image.
        rows, columns : (int, int)
            First and end; they must lie inside.
        flux : array, optional
            Of this part, if it is read already.

        Raises
        ------
        QueryError
            If there is no such image.
        ArchiveDamaged
        """
        about, where = self.image(name), f"/images/{name}"
        key = (slice(*rows), slice(*columns))
        recipe = self._recipe(about)
        if recipe is None or f"{where}/error" in self.description["arrays"]:
            return self.read(f"{where}/error", key)
        if name not in self._inputs:
            named = {array: about["calibration"].get(array) for array in recipe.inputs.values()}
            found = self._calibration({n: place for n, place in named.items() if place})
            self._inputs[name] = {array: kept.values for array, kept in found.items()}
        flux = self.read(f"{where}/flux", key) if flux is None else flux
        try:
            return recipe.apply(flux, self._inputs[name], rows, columns)
        except FrameError as error:
            raise ArchiveDamaged(f"{self.path}: error of {name}: {error}") from error

    @cached_property
    def _inputs(self) -> dict[str, dict[str, npt.NDArray[Any]]]:
        """By image the arrays that its recipe takes: many parts of an image are asked for."""
        return {}

    def _recipe(self, about: Mapping[str, Any]) -> Recipe | None:
        try:
            return Recipe(**about["recipe"]) if about.get("recipe") else None
        except (FrameError, TypeError) as error:
            raise ArchiveDamaged(f"{self.path}: {error}") from error

    @as_written
    def level(
        self,
        name: str,
        level: int,
        rows: tuple[int, int] | None = None,
        columns: tuple[int, int] | None = None,
    ) -> Level:
        """Return a part of a pyramid's level; see `corecube.archive.levels.read_level`."""
        return read_level(self, name, level, rows, columns)

    def _mask(self, name: str, mask: MaskArray, row: int, column: int = 0) -> MaskArray:
        self.late.apply(name, mask, row, column)
        return mask

    @as_written
    def linked(self, name: str, field: str) -> Array:
        """Return an array of an image as a link; see `Shot.linked`. Late masks are not in it."""
        array = self.field(name, field)
        if array.link is not None:  # a link leads to the array itself, never to another link
            return array
        link = Link(self.identity, self.generation, name, field, digest_of(array))
        return replace(array, link=link)

    @as_written
    def field(self, name: str, field: str) -> Array:
        """Return one array of an image by its name in a `Link`; nothing else is read.

        Raises
        ------
        QueryError
            If there is no such image.
        FrameError
            If it has no such field.
        """
        about, where = self.image(name), f"/images/{name}"
        kind, _, key = field.partition("/")
        if field in ("flux", "error", "mask"):
            unit = "" if field == "mask" else about["unit"]
            ny, nx = about["shape"]
            error = field == "error"
            found = self.error(name, (0, ny), (0, nx)) if error else self.read(f"{where}/{field}")
            return Array(found, unit, ("y", "x"))
        if kind in ("layers", "calibration") and key in about[kind]:
            place = about[kind][key]
            path = f"{where}/layers/{key}" if kind == "layers" else f"/calibration/{place}"
            return self._kept(path, place)
        raise FrameError(f"image '{name}' of {self.identity} has no field '{field}'")

    # -- fibres ------------------------------------------------------------------------------

    def group(self, name: str) -> dict[str, Any]:
        """Return what the description says of a group.

        Raises
        ------
        QueryError
            If there is none of this name.
        """
        about: dict[str, Any] | None = self.description["groups"].get(name)
        if about is None:
            raise QueryError(f"{self.identity} has no group '{name}'; it has: {self._names()}")
        return about

    def row_count(self, group: str) -> int:
        """Return the number of fibres of a group."""
        return int(self.group(group)["rows"])

    @as_written
    def rows(self, group: str, first: int, last: int) -> Fibers:
        """Return the rows `first` to `last` (exclusive) of a group, with all that belongs to them.

        Raises
        ------
        QueryError
            If there is no such group.
        ArchiveDamaged
        """
        about = self.group(group)
        where = f"/fibers/{group}"
        key = slice(first, last)
        blocks = [
            block for block in self.history["blocks"][group]
            if block["rows"][0] < last and block["rows"][1] > first
        ]  # fmt: skip
        qualities = set(self.texts(f"{where}/quality", key))

        columns: dict[Column, Any] = {}
        for described in about["columns"]:
            column = Column(**described)
            path = f"{where}/columns/{column.name}"
            texts = column.dtype == "text"
            columns[column] = self.texts(path, key) if texts else self.read(path, key)
        one = blocks[0] if len(blocks) == 1 else None
        images, image = self._images_of(about, where, key)
        return Fibers(
            name=group,
            flux=self.read(f"{where}/flux", key),
            unit=about["unit"],
            error=self.read(f"{where}/error", key),
            mask=self._mask(group, self.read(f"{where}/mask", key), first),
            bits={
                name: Bits(self.read(f"{where}/bits/{name}", key), tuple(planes))
                for name, planes in about["bits"].items()
            },
            layers={name: self._array(f"{where}/layers/{name}", key) for name in about["layers"]},
            calibration=self._calibration(one["calibration"]) if one else {},
            header=self.header(one["header"]) if one else "",
            times=Times(
                self.read(f"{where}/start", key), self.read(f"{where}/end", key),
                qualities.pop() if len(qualities) == 1 else "unknown",  # type: ignore[arg-type]
            ),
            provenance=joined([Provenance.from_json(block["provenance"]) for block in blocks]),
            wave=self._wave(group, about["wave"], key),
            id=self.texts(f"{where}/id", key),
            ra=self.read(f"{where}/ra", key),
            dec=self.read(f"{where}/dec", key),
            target=self.texts(f"{where}/target", key),
            columns=columns,
            parent=about["parent"],
            parent_id=self.texts(f"{where}/parent_id", key) if about["parent"] else (),
            images=images,
            image=image,
        )  # fmt: skip

    def _images_of(
        self, about: Mapping[str, Any], where: str, key: slice
    ) -> tuple[tuple[str, ...], npt.NDArray[np.int32] | None]:
        """Return the images that rows were extracted from, in the group's order, and which."""
        if "images" not in about:
            return (), None
        image = self.read(f"{where}/image", key)
        used = np.unique(image[image >= 0])
        if not len(used):
            return (), image
        # of a block, so that it can be carried over without the images of others
        image = np.where(image >= 0, np.searchsorted(used, image), -1).astype(np.int32)
        return tuple(about["images"][place] for place in used), image

    @as_written
    def locate(self, group: str, row: int, wavelength: float) -> tuple[str, float, float] | None:
        """Return where a wavelength of a fibre lies on its detector.

        Parameters
        ----------
        group : str
        row : int
            Of the fibre in its group.
        wavelength : float
            In the unit of the group's wavelengths.

        Returns
        -------
        (image, row, column) : str, float, float
            Name of the image; 0-based, the row from the layer ``trace``, both interpolated between
            pixel centres. None where the wavelength is outside of the spectrum, the fibre names no
            image, or the trace is not known there.

        Raises
        ------
        QueryError
            If there is no such group or row, or it has no images or no layer ``trace``.
        """
        about = self.group(group)
        if not 0 <= row < about["rows"]:
            raise QueryError(f"{self.identity}/{group} has no row {row}")
        if "images" not in about or "trace" not in about["layers"]:
            raise QueryError(
                f"{self.identity}/{group} names no images or has no layer 'trace'; its fibres have "
                "no place on a detector"
            )
        where, key = f"/fibers/{group}", slice(row, row + 1)
        images, image = self._images_of(about, where, key)
        waves = np.atleast_2d(self._wave(group, about["wave"], key).wavelength())[0]
        trace = self.read(f"{where}/layers/trace", key)[0].astype(np.float64)
        known = np.flatnonzero(np.isfinite(waves))
        if (
            image is None
            or image[0] < 0
            or not len(known)
            or not waves[known[0]] <= wavelength <= waves[known[-1]]
        ):
            return None
        column = float(np.interp(wavelength, waves[known], known.astype(np.float64)))
        place = float(np.interp(column, np.arange(len(trace)), trace))
        return (images[0], place, column) if np.isfinite(place) else None

    def _wave(self, group: str, about: Mapping[str, Any], key: slice) -> Spectral:
        if "step" in about:
            return Spectral(**about)
        if "traces" in about:
            coefficients = self.read(f"/fibers/{group}/wave_coefficients", key)
            traces = TraceSet(coefficients=coefficients, **about["traces"])
            return Spectral(**{**about, "traces": traces})
        values = self.read(f"/fibers/{group}/wave", *self._wave_key(group, key))
        return Spectral(values, **about)

    def _wave_key(self, group: str, key: slice) -> tuple[Any, ...]:
        shape = self.description["arrays"][f"/fibers/{group}/wave"]["shape"]
        return (key,) if len(shape) == 2 else ()


def _number(value: float | None) -> float:
    """Return a number of the description; null stands for NaN."""
    return float("nan") if value is None else value


def shifted(
    cards: Mapping[str, float | int | str], x: float, y: float
) -> dict[str, float | int | str]:
    """Return WCS cards for a part of an image that begins at pixel (x, y)."""
    moved = dict(cards)
    moved["CRPIX1"] = float(cards["CRPIX1"]) - x
    moved["CRPIX2"] = float(cards["CRPIX2"]) - y
    return moved


def joined(parts: list[Provenance]) -> Provenance:
    """Return one provenance of several, each line once."""
    if len(parts) == 1:
        return parts[0]

    def once(name: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(line for part in parts for line in getattr(part, name)))

    return Provenance(*(once(name) for name in vars(Provenance())))
