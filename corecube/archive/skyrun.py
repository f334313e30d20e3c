"""A run: an immutable, sorted file of the positions of the sky index.

Layout, little-endian, sections at multiples of 4096 bytes::

    header (4096)       magic, version, sizes, offsets, circle, checks, CRC-32 of these
    zone directory      (u4, u4) [zones + 1]       first entry of the cell directory of each zone,
                                                   CRC-32 of its entries
    cell directory      (u4, u4, u8) [cells + 1]   cell that is not empty, CRC-32 of its records,
                                                   its first row; end mark
    records             24 bytes [rows]            ra f8, dec f8, shot u4, row u4

The manifest has the CRC-32 of the zone directory, so whoever walks down from there has checked all
bytes that an answer is made of, without a read that the answer does not need.

Records are sorted by cell of the ring grid, inside a cell by (shot, row). A question needs reads
that depend on each other: zones, cells, records; small directories are kept after the first. They
are `pread`: a memory map would read far ahead around each page, and a damaged disk would kill the
process instead of raising.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.archive.durable import write_file
from corecube.archive.ringgrid import RingGrid, ring_grid
from corecube.archive.sphere import FloatArray, normalize_ra, positions, unit_vectors
from corecube.errors import FrameError

Records = npt.NDArray[np.void]

RECORD: Final = np.dtype([("ra", "<f8"), ("dec", "<f8"), ("shot", "<u4"), ("row", "<u4")])
"""A position: ICRS degrees, number of the shot, row counted through the shot's groups."""

CELL_ARCMIN: Final = 3.0
"""Cells of 3 arcmin hold some hundred fibres of a survey: one read of a page or two. Smaller ones
answer many cones a little faster, cones of a degree slower, and their directory is larger."""

ZONE: Final = np.dtype([("first", "<u4"), ("crc", "<u4")])
ENTRY: Final = np.dtype([("cell", "<u4"), ("crc", "<u4"), ("first", "<u8")])

PAGE: Final = 4096
_MAGIC: Final = b"CCSKYRUN"
_VERSION: Final = 2
# magic, version, zones, cell size, rows, cells, offsets of cells and records, circle, shots, CRC
_HEADER: Final = struct.Struct("<8sIId4Q4d3I")
# Rows from which a run gets the whole sky for its circle: there are few such runs, and looking into
# their directory costs a question less than the circle costs whoever writes.
_WIDE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What must be known of a run to ask it without reading its header.

    Attributes
    ----------
    file : str
        Name inside the directory of the index.
    rows, cells : int
        Numbers of records and of cells that are not empty.
    cell_arcmin : float
        Height of the grid's zones, arcminutes.
    cells_offset, records_offset, size : int
        Where sections begin and the file ends, bytes. The zone directory begins at 4096.
    center : tuple of 3 float
        Unit vector of the middle of a circle around all positions.
    cos_radius : float
        Cosine of the circle's radius, rounded towards a larger circle.
    first_shot, last_shot : int
        Smallest and largest shot number; 1 and 0 in an empty run.
    zones_crc : int
        CRC-32 of the zone directory.
    sha256 : str
        Digest of the file.
    """

    file: str
    rows: int
    cells: int
    cell_arcmin: float
    cells_offset: int
    records_offset: int
    size: int
    center: tuple[float, float, float]
    cos_radius: float
    first_shot: int
    last_shot: int
    zones_crc: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; `from_json` gives an equal object."""
        return {**asdict(self), "center": list(self.center)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunInfo:
        """Make it from plain JSON, which may come from a stranger.

        Parameters
        ----------
        data : mapping
            What `to_json` gave.

        Returns
        -------
        RunInfo
            The same.

        Raises
        ------
        KeyError, TypeError, ValueError
            A field is missing, unknown, of the wrong type or impossible.
        """
        for name in ("file", "sha256"):
            if not isinstance(data[name], str):
                raise TypeError(f"the {name} of a run, {data[name]!r}, is not a text")
        info = cls(**{**data, "center": tuple(data["center"])})
        if not re.fullmatch(r"\w[\w.+-]*", info.file):
            raise ValueError(f"{info.file!r} is not the name of a run")
        whole = {name: value for name, value in asdict(info).items() if type(value) is int}
        wanted = {"rows", "cells", "cells_offset", "records_offset", "size"}
        wanted |= {"first_shot", "last_shot", "zones_crc"}
        if not wanted <= whole.keys() or min(whole.values()) < 0:
            raise ValueError(f"the sizes of the run {info.file!r} are not whole numbers")
        if len(data["center"]) != 3 or not np.isfinite([*info.center, info.cos_radius]).all():
            raise ValueError(f"the circle of the run {info.file!r} is not made of numbers")
        expected = _layout(ring_grid(float(info.cell_arcmin)), info.rows, info.cells)
        if expected != (info.cells_offset, info.records_offset, info.size):
            raise ValueError(f"the sections of the run {info.file!r} do not fit its sizes")
        return info


def write_run(
    path: Path,
    ra: npt.ArrayLike,
    dec: npt.ArrayLike,
    shot: npt.ArrayLike,
    row: npt.ArrayLike,
    cell_arcmin: float = CELL_ARCMIN,
) -> RunInfo:
    """Sort positions and write them as a run, durably.

    A right ascension in [0, 360) is stored as given, bit for bit; another one brought into this
    range.

    Parameters
    ----------
    path : Path
        The new file.
    ra, dec : array_like of float, shape (n,)
        ICRS degrees, finite.
    shot, row : array_like of int, shape (n,) or scalar
        Number of the shot and of the row in it, 0 to 2^32 - 1.
    cell_arcmin : float
        Height of a zone, 0.5 to 600 arcminutes.

    Returns
    -------
    RunInfo
        What a manifest keeps.

    Raises
    ------
    FrameError
        A position is not finite, a declination not between -90 and 90, or a number too large.
    NoSpace
        The disk is full.
    """
    a, d, s, r = np.broadcast_arrays(np.asarray(ra, np.float64), dec, shot, row)
    if a.ndim != 1:
        raise FrameError(f"positions for the sky index must be one column, not of shape {a.shape}")
    if not (np.isfinite(a).all() and np.isfinite(d).all()):
        raise FrameError("a position for the sky index is not finite; leave such rows out")
    if a.size and not (np.min(d) >= -90.0 and np.max(d) <= 90.0):
        raise FrameError("a declination for the sky index is not between -90 and 90 degrees")
    if a.size and not (min(np.min(s), np.min(r)) >= 0 and max(np.max(s), np.max(r)) < 1 << 32):
        raise FrameError("a shot or row number for the sky index is not between 0 and 2^32 - 1")
    records = np.empty(a.shape, dtype=RECORD)
    inside = a.size == 0 or (np.min(a) >= 0.0 and np.max(a) < 360.0)
    records["ra"], records["dec"] = a if inside else normalize_ra(a), d
    records["shot"], records["row"] = s, r
    return store(path, ring_grid(cell_arcmin), [sort_records(records, ring_grid(cell_arcmin))])


def sort_records(records: Records, grid: RingGrid) -> tuple[Records, npt.NDArray[np.int64]]:
    """Return records sorted by cell, inside a cell by (shot, row), and their cells.

    Parameters
    ----------
    records : ndarray of RECORD, shape (n,)
        In any order; quick when they are sorted by (shot, row).
    grid : RingGrid
        Gives the cells.

    Returns
    -------
    records : ndarray of RECORD, shape (n,)
        A copy.
    cells : ndarray of int64, shape (n,)
        Their cells, rising.
    """
    name = record_keys(records)
    if np.any(name[1:] < name[:-1]):
        records = records[np.argsort(name, kind="stable")]
    # Cell and place in one number: sorting numbers takes a fifth of the time of sorting their
    # places, and keeps the order within a cell. A grid has less than 2^30 cells.
    bits = len(records).bit_length()
    key = _cells(records, grid)
    key <<= bits
    key |= np.arange(len(records))
    key.sort()
    cells = key >> bits
    key &= (1 << bits) - 1
    return records.take(key), cells


def record_keys(records: Records) -> npt.NDArray[np.uint64]:
    """Return one number for (shot, row), in the same order: shot 2^32 + row.

    Parameters
    ----------
    records : ndarray of RECORD, shape (n,)
        Any.

    Returns
    -------
    ndarray of uint64, shape (n,)
        The keys.
    """
    shots: npt.NDArray[np.uint64] = records["shot"].astype(np.uint64)
    keys: npt.NDArray[np.uint64] = (shots << np.uint64(32)) | records["row"]
    return keys


def store(
    path: Path, grid: RingGrid, sorted_parts: Sequence[tuple[Records, npt.NDArray[np.int64]]]
) -> RunInfo:
    """Write sorted records as a run, durably.

    Parameters
    ----------
    path : Path
        The new file.
    grid : RingGrid
        The grid they are sorted by.
    sorted_parts : sequence of (ndarray of RECORD, ndarray of int64)
        Of `sort_records`, one behind the other; no cell may lie in two of them.

    Returns
    -------
    RunInfo
        What a manifest keeps.

    Raises
    ------
    NoSpace
        The disk is full.
    """
    sorted_parts = [part for part in sorted_parts if len(part[0])]
    parts = [part for part, _ in sorted_parts]
    rows = sum(len(part) for part in parts)
    numbers, firsts, done = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
    for part, cell in sorted_parts:
        starts = np.flatnonzero(np.concatenate([[True], cell[1:] != cell[:-1]]))
        numbers.append(cell[starts])
        firsts.append(starts + done)
        done += len(part)
    number = np.concatenate(numbers)
    cells = len(number)
    directory = np.empty(cells + 1, ENTRY)
    directory["cell"][:-1], directory["first"][:-1] = number, np.concatenate(firsts)
    directory["crc"][:-1] = np.fromiter(_record_crcs(sorted_parts, firsts[1:]), np.uint32, cells)
    directory[-1] = grid.first_cell[-1], 0, rows
    zones = np.zeros(grid.zones + 1, ZONE)
    zones["first"] = np.searchsorted(number, grid.first_cell)
    used = np.flatnonzero(np.diff(zones["first"].astype(np.int64)))
    zones["crc"][used] = list(crcs(directory, zones["first"][used], zones["first"][used + 1]))
    cells_offset, records_offset, size = _layout(grid, rows, cells)
    center, cos_radius = _circle(parts)
    info = RunInfo(
        file=path.name,
        rows=rows,
        cells=cells,
        cell_arcmin=grid.cell_arcmin,
        cells_offset=cells_offset,
        records_offset=records_offset,
        size=size,
        center=center,
        cos_radius=cos_radius,
        first_shot=min((int(part["shot"].min()) for part in parts), default=1),
        last_shot=max((int(part["shot"].max()) for part in parts), default=0),
        zones_crc=zlib.crc32(zones.tobytes()),
        sha256="",
    )
    sections: list[tuple[int, Sequence[npt.NDArray[Any]]]] = [
        (0, [np.frombuffer(header(info), np.uint8)]),
        (PAGE, [zones]),
        (cells_offset, [directory]),
        (records_offset, parts),
    ]
    return replace(info, sha256=write_file(path, _with_gaps(sections)).sha256)


def header(info: RunInfo) -> bytes:
    """Return the first 4096 bytes of a run.

    Parameters
    ----------
    info : RunInfo

    Returns
    -------
    bytes
    """
    fields = _HEADER.pack(
        _MAGIC, _VERSION, ring_grid(info.cell_arcmin).zones, info.cell_arcmin, info.rows,
        info.cells, info.cells_offset, info.records_offset, *info.center,
        info.cos_radius, info.first_shot, info.last_shot, info.zones_crc,
    )  # fmt: skip
    padded = fields.ljust(PAGE - 4, b"\0")
    return padded + struct.pack("<I", zlib.crc32(padded))


def crcs(rows: npt.NDArray[Any], starts: npt.ArrayLike, stops: npt.ArrayLike) -> Iterator[int]:
    """Yield the CRC-32 of ranges of rows.

    Parameters
    ----------
    rows : ndarray, shape (n,)
        Contiguous.
    starts, stops : array_like of int, shape (m,)
        First row of each range and the one behind its last.

    Yields
    ------
    int
    """
    view, size = rows.view(np.uint8).data, rows.itemsize
    begins, ends = (np.asarray(place).astype(np.int64) * size for place in (starts, stops))
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        yield zlib.crc32(view[begin:end])


def _record_crcs(
    sorted_parts: Sequence[tuple[Records, npt.NDArray[np.int64]]],
    firsts: Sequence[npt.NDArray[np.int64]],
) -> Iterator[int]:
    done = 0
    for (part, _), first in zip(sorted_parts, firsts, strict=True):
        starts = first - done
        done += len(part)
        yield from crcs(np.ascontiguousarray(part), starts, np.append(starts[1:], len(part)))


def _cells(records: Records, grid: RingGrid) -> npt.NDArray[np.int64]:
    return grid.cell(grid.zone(records["dec"]), records["ra"])


def _layout(grid: RingGrid, rows: int, cells: int) -> tuple[int, int, int]:
    cells_offset = _next_page(PAGE + ZONE.itemsize * (grid.zones + 1))
    records_offset = _next_page(cells_offset + ENTRY.itemsize * (cells + 1))
    return cells_offset, records_offset, records_offset + RECORD.itemsize * rows


def _next_page(offset: int) -> int:
    return -(-offset // PAGE) * PAGE


def _with_gaps(
    sections: Sequence[tuple[int, Sequence[npt.NDArray[Any]]]],
) -> Iterator[memoryview]:
    """Give the sections, and zeros between them."""
    offset = 0
    for start, pieces in sections:
        for piece in [np.zeros(start - offset, np.uint8), *pieces]:
            view = np.ascontiguousarray(piece).view(np.uint8).reshape(-1).data
            offset += len(view)
            yield view


def _circle(parts: Sequence[Records]) -> tuple[tuple[float, float, float], float]:
    rows = sum(len(part) for part in parts)
    if rows == 0:
        return (1.0, 0.0, 0.0), 1.0
    if rows > _WIDE:
        return (1.0, 0.0, 0.0), -1.0
    # Some of the rows are enough for the middle; all of them count for the radius. Where RA and Dec
    # go how far from it is quickly found. Of such a box a corner is farthest from the middle: along
    # a meridian less than 90 degrees aside the cosine of the separation is least at an end.
    step = 1 + rows // 10_000
    middle: FloatArray = sum(
        (unit_vectors(part["ra"][::step], part["dec"][::step]).sum(axis=0) for part in parts),
        np.zeros(3),
    )
    size = float(np.sqrt(middle @ middle))
    if size < 0.1 * (rows / step):  # all over the sky
        return (1.0, 0.0, 0.0), -1.0
    ra0, dec0 = (float(value) for value in positions(middle))
    width, low, high = 0.0, 90.0, -90.0
    for part in parts:
        aside = np.abs(part["ra"] - ra0)
        np.minimum(aside, 360.0 - aside, out=aside)
        width = max(width, float(aside.max()))
        low, high = min(low, float(part["dec"].min())), max(high, float(part["dec"].max()))
    if width > 90.0:  # around a pole, or wide
        pole = math.copysign(1.0, low + high)
        away = max(0.0, min(low * pole, high * pole))
        least = math.sin(math.radians(away)) if away else -1.0
        return (0.0, 0.0, pole), max(-1.0, least - 1e-14)
    least = 1.0
    for corner in (math.radians(low), math.radians(high)):
        flat = math.cos(math.radians(dec0)) * math.cos(corner)
        rise = math.sin(math.radians(dec0)) * math.sin(corner)
        least = min(least, rise + flat * math.cos(math.radians(width)))
    # 1e-14 is 30 times the rounding of the cosines.
    x, y, z = (float(value) for value in unit_vectors(ra0, dec0))
    return (x, y, z), max(-1.0, least - 1e-14)
