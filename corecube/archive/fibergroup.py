"""A group of fibres while its blocks come in: what they must agree in, and values per fibre."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from corecube.errors import FrameError
from corecube.frames import Array, Bits, Column, Fibers
from corecube.provenance import Provenance
from corecube.spectral import Spectral
from corecube.times import Times


class Part(NamedTuple):
    """Values and what the file's description says of them; as `Array`, but texts are allowed."""

    values: npt.NDArray[Any]
    unit: str = ""
    axes: tuple[str, ...] = ()
    description: str = ""

    @classmethod
    def of(cls, array: Array) -> Part:
        """Return the values of an array with what is said of them."""
        return cls(array.values, array.unit, tuple(array.axes), array.description)


@dataclass
class Rows:
    """An array (n, w) that grows by rows."""

    array: Any = None
    chunk: tuple[int, ...] = ()
    written: int = 0
    waiting: int = 0
    parts: list[npt.NDArray[Any]] = field(default_factory=list)


@dataclass
class Group:
    """What is known of a group while it grows; `block` is like its first one, without fibres."""

    block: Fibers
    width: int
    grid: tuple[int, int] | None
    rows: int = 0
    pixels: dict[str, Rows] = field(default_factory=dict)
    columns: dict[str, list[Part]] = field(default_factory=dict)
    named: dict[Column, list[npt.NDArray[Any]]] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    images: dict[str, int] = field(default_factory=dict)

    @classmethod
    def like(cls, block: Fibers, grid: tuple[int, int] | None) -> Group:
        """Return an empty group for blocks like this one."""
        width = block.flux.shape[1] if grid is None else grid[1] - grid[0] + 1
        return cls(_without_rows(block), width, grid)

    @property
    def wave(self) -> Spectral:
        """Wavelengths of the first block."""
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
            ("images", first.image is None, block.image is None),
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
            self.columns.setdefault(name, []).append(Part(_bytes(values), "", ("fiber",)))
        for name, numbers in (("ra", block.ra), ("dec", block.dec), ("start", start), ("end", end)):
            unit = "d" if name in ("start", "end") else "deg"
            part = Part(np.array(numbers, dtype=np.float64), unit, ("fiber",))
            self.columns.setdefault(name, []).append(part)
        if block.image is not None:
            # blocks count the images that they name; the group counts those of all its blocks
            places = [self.images.setdefault(name, len(self.images)) for name in block.images]
            image = np.array([*places, -1], dtype=np.int32)[block.image]
            self.columns.setdefault("image", []).append(Part(image, "", ("fiber",)))
        if block.wave.traces is not None:
            part = Part(block.wave.traces.coefficients, "", ("fiber", "term"))
            self.columns.setdefault("wave_coefficients", []).append(part)
        for column, values in block.columns.items():
            stored = _bytes(values) if column.dtype == "text" else np.asarray(values, column.dtype)
            self.named.setdefault(column, []).append(stored)
        self.rows += count

    def describe(self) -> dict[str, Any]:
        """Return what the file's description says of the group."""
        wave = self.block.wave.describe()
        if self.grid is not None and self.block.wave.is_grid:
            wave |= {"first": self.grid[0], "count": self.width}
        images = {} if self.block.image is None else {"images": list(self.images)}
        return {
            **images,
            "rows": self.rows, "width": self.width, "unit": self.block.unit,
            "parent": self.block.parent, "wave": wave,
            "bits": {name: bits.planes for name, bits in self.block.bits.items()},
            "layers": list(self.block.layers),
            "columns": [vars(column) | {} for column in self.named],
        }  # fmt: skip


def group_for(block: Fibers, groups: Mapping[str, Group], grid: tuple[int, int] | None) -> Group:
    """Return the group of a block, a new one for its first."""
    if block.error is None or block.mask is None:
        raise FrameError(f"group '{block.name}' has no error and mask")
    if block.parent and block.parent not in groups:
        raise FrameError(f"group '{block.name}' comes before its parent '{block.parent}'")
    return groups.get(block.name) or Group.like(block, grid)


def pixels_of(values: npt.NDArray[Any], unit: str = "") -> Part:
    """Return values per fibre and pixel."""
    return Part(values, unit, ("fiber", "wave"))


def _without_rows(block: Fibers) -> Fibers:
    """Return a block of no fibres: the pixels of a first one would stay until the shot ends."""
    wave = block.wave
    if wave.values is not None and wave.values.ndim == 2:
        wave = replace(wave, values=wave.values[:0].copy())
    if wave.traces is not None:
        coefficients = wave.traces.coefficients[:0].copy()
        wave = replace(wave, traces=replace(wave.traces, coefficients=coefficients))
    bits = {name: Bits(bits.values[:0].copy(), bits.planes) for name, bits in block.bits.items()}
    layers = {
        name: replace(layer, values=layer.values[:0].copy()) for name, layer in block.layers.items()
    }
    return replace(
        block, flux=block.flux[:0].copy(), error=None, mask=None, bits=bits, layers=layers,
        calibration={}, header="", times=Times(), provenance=Provenance(), wave=wave, id=(),
        ra=np.empty(0), dec=np.empty(0), target=(), parent_id=(),
        columns={column: values[:0] for column, values in block.columns.items()},
        image=None if block.image is None else block.image[:0].copy(),
    )  # fmt: skip


def _planes(block: Fibers) -> dict[str, tuple[str, ...]]:
    return {name: bits.planes for name, bits in block.bits.items()}


def _kind_of_wave(block: Fibers) -> tuple[Any, ...]:
    wave = block.wave
    rank = None if wave.values is None else wave.values.ndim
    traces: Any = None
    if wave.traces is not None:
        traces = wave.traces.describe(), wave.count, wave.traces.coefficients.shape[1]
    return wave.step, wave.unit, wave.medium, wave.specsys, rank, traces


def _bytes(texts: Sequence[str]) -> npt.NDArray[np.bytes_]:
    encoded = [str(text).encode() for text in texts]
    return np.array(encoded, dtype=f"S{max(1, *map(len, encoded))}" if encoded else "S1")
