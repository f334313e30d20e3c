"""A run: an immutable, sorted file of the positions of the sky index.

Layout, little-endian, sections at multiples of 4096 bytes::

    header (4096)       magic, version, sizes, offsets, circle, CRC-32 of these
    zone directory      u4 [zones + 1]         first entry of the cell directory of each zone
    cell directory      (u8, u8) [cells + 1]   cell that is not empty, its first row; end mark
    records             24 bytes [rows]        ra f8, dec f8, shot u4, row u4
    checks              u4 [n + 1]             CRC-32 of each MiB before them, CRC-32 of these n

Records are sorted by cell of the ring grid, inside a cell by (shot, row). A question needs reads
that depend on each other: zones, cells, records; small directories are kept after the first. They
are `pread`: a memory map would read far ahead around each page, and a damaged disk would kill the
process instead of raising.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.archive.durable import sha256_file, write_file
from corecube.archive.ringgrid import RingGrid, ring_grid
from corecube.archive.sphere import FloatArray, normalize_ra, positions, unit_vectors
from corecube.errors import ArchiveDamaged, FrameError

Records = npt.NDArray[np.void]

RECORD: Final = np.dtype([("ra", "<f8"), ("dec", "<f8"), ("shot", "<u4"), ("row", "<u4")])
"""A position: ICRS degrees, number of the shot, row counted through the shot's groups."""

CELL_ARCMIN: Final = 4.0
"""Cells of 4 arcmin hold some hundred fibres of a survey: one read of about 10 kB."""

PAGE: Final = 4096
_MAGIC: Final = b"CCSKYRUN"
_VERSION: Final = 1
# magic, version, zones, cell size, rows, cells, offsets of cells, records, checks, circle, shots
_HEADER: Final = struct.Struct("<8sIId5Q4d2I")
_BLOCK: Final = 1 << 20
_SLICE: Final = 1_000_000
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
    cells_offset, records_offset, checks_offset, size : int
        Where sections begin and the file ends, bytes. The zone directory begins at 4096.
    center : tuple of 3 float
        Unit vector of the middle of a circle around all positions.
    cos_radius : float
        Cosine of the circle's radius, rounded towards a larger circle.
    first_shot, last_shot : int
        Smallest and largest shot number; 1 and 0 in an empty run.
    header_crc : int
        CRC-32 of the header.
    sha256 : str
        Digest of the file.
    """

    file: str
    rows: int
    cells: int
    cell_arcmin: float
    cells_offset: int
    records_offset: int
    checks_offset: int
    size: int
    center: tuple[float, float, float]
    cos_radius: float
    first_shot: int
    last_shot: int
    header_crc: int
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
        wanted = {"rows", "cells", "cells_offset", "records_offset", "checks_offset", "size"}
        wanted |= {"first_shot", "last_shot", "header_crc"}
        if not wanted <= whole.keys() or min(whole.values()) < 0:
            raise ValueError(f"the sizes of the run {info.file!r} are not whole numbers")
        if len(data["center"]) != 3 or not np.isfinite([*info.center, info.cos_radius]).all():
            raise ValueError(f"the circle of the run {info.file!r} is not made of numbers")
        expected = _layout(ring_grid(float(info.cell_arcmin)), info.rows, info.cells)
        if expected != (info.cells_offset, info.records_offset, info.checks_offset, info.size):
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
    directory = np.empty((len(number) + 1, 2), dtype="<i8")
    directory[:-1, 0], directory[:-1, 1] = number, np.concatenate(firsts)
    directory[-1] = grid.first_cell[-1], rows
    zones = np.searchsorted(number, grid.first_cell).astype("<u4")
    cells_offset, records_offset, checks_offset, size = _layout(grid, rows, len(number))
    center, cos_radius = _circle(parts)
    info = RunInfo(
        file=path.name,
        rows=rows,
        cells=len(number),
        cell_arcmin=grid.cell_arcmin,
        cells_offset=cells_offset,
        records_offset=records_offset,
        checks_offset=checks_offset,
        size=size,
        center=center,
        cos_radius=cos_radius,
        first_shot=min((int(part["shot"].min()) for part in parts), default=1),
        last_shot=max((int(part["shot"].max()) for part in parts), default=0),
        header_crc=0,
        sha256="",
    )
    header = _header(info)
    info = replace(info, header_crc=_stored_crc(header))
    sections = [
        (0, [np.frombuffer(header, np.uint8)]),
        (PAGE, [zones]),
        (cells_offset, [directory]),
        (records_offset, parts),
    ]
    stamp = write_file(path, _with_checks(sections, checks_offset))
    return replace(info, sha256=stamp.sha256)


def read_info(path: Path) -> RunInfo:
    """Make what a manifest keeps from the run's own header, to rebuild an index.

    Parameters
    ----------
    path : Path
        The run; it should be verified with the result.

    Returns
    -------
    RunInfo
        As `write_run` gave it.

    Raises
    ------
    ArchiveDamaged
        The header is not one of a run.
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        header = file.read(PAGE)
    if len(header) < PAGE or _stored_crc(header) != zlib.crc32(header[:-4]):
        raise ArchiveDamaged(f"{path}: the header is damaged; run 'corecube repair'")
    magic, version, _, cell, rows, cells, *rest = _HEADER.unpack_from(header)
    if magic != _MAGIC or version != _VERSION:
        raise ArchiveDamaged(f"{path}: is not a run of the sky index; run 'corecube repair'")
    cells_offset, records_offset, checks_offset, x, y, z, cos_radius, first_shot, last_shot = rest
    size = path.stat().st_size
    sections = (cells_offset, records_offset, checks_offset, size)
    if not 0.5 <= cell <= 600.0 or _layout(ring_grid(cell), rows, cells) != sections:
        raise ArchiveDamaged(
            f"{path}: its {size} bytes do not fit its header; run 'corecube repair'"
        )
    return RunInfo(
        path.name, rows, cells, cell, *sections, (x, y, z), cos_radius, first_shot, last_shot,
        _stored_crc(header), sha256_file(path),
    )  # fmt: skip


def verify(path: Path, info: RunInfo) -> None:
    """Check every byte of a run.

    Parameters
    ----------
    path : Path
        The file.
    info : RunInfo
        What the manifest says of it.

    Raises
    ------
    ArchiveDamaged
        Something differs; the message names the part.
    OSError
        The file cannot be read.
    """
    hint = "run 'corecube repair'"
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise ArchiveDamaged(f"{path}: the run of the sky index is missing; {hint}") from error
    with file:
        size = os.fstat(file.fileno()).st_size
        if size != info.size:
            raise ArchiveDamaged(f"{path}: has {size} bytes instead of {info.size}; {hint}")
        header = file.read(PAGE)
        if header != _header(info) or _stored_crc(header) != info.header_crc:
            raise ArchiveDamaged(f"{path}: the header is damaged; {hint}")
        file.seek(info.checks_offset)
        checks = np.frombuffer(file.read(), dtype="<u4")
        if zlib.crc32(checks[:-1].tobytes()) != checks[-1]:
            raise ArchiveDamaged(f"{path}: the table of checks is damaged; {hint}")
        file.seek(0)
        digest = hashlib.sha256()
        for number, expected in enumerate(checks[:-1]):
            start = number * _BLOCK
            block = file.read(min(_BLOCK, info.checks_offset - start))
            if zlib.crc32(block) != expected:
                where = _section(info, start, start + len(block))
                raise ArchiveDamaged(f"{path}: MiB {number} ({where}) is damaged; {hint}")
            digest.update(block)
        digest.update(checks.tobytes())
    if digest.hexdigest() != info.sha256:
        raise ArchiveDamaged(f"{path}: is another run than the manifest says; {hint}")


def _cells(records: Records, grid: RingGrid) -> npt.NDArray[np.int64]:
    return grid.cell(grid.zone(records["dec"]), records["ra"])


def _layout(grid: RingGrid, rows: int, cells: int) -> tuple[int, int, int, int]:
    cells_offset = _next_page(PAGE + 4 * (grid.zones + 1))
    records_offset = _next_page(cells_offset + 16 * (cells + 1))
    checks_offset = _next_page(records_offset + RECORD.itemsize * rows)
    return (
        cells_offset,
        records_offset,
        checks_offset,
        checks_offset + 4 * (-(-checks_offset // _BLOCK) + 1),
    )


def _next_page(offset: int) -> int:
    return -(-offset // PAGE) * PAGE


def _header(info: RunInfo) -> bytes:
    fields = _HEADER.pack(
        _MAGIC, _VERSION, ring_grid(info.cell_arcmin).zones, info.cell_arcmin, info.rows,
        info.cells, info.cells_offset, info.records_offset, info.checks_offset, *info.center,
        info.cos_radius, info.first_shot, info.last_shot,
    )  # fmt: skip
    padded = fields.ljust(PAGE - 4, b"\0")
    return padded + struct.pack("<I", zlib.crc32(padded))


def _stored_crc(header: bytes) -> int:
    return int.from_bytes(header[-4:], "little")


def _with_checks(
    sections: Sequence[tuple[int, Sequence[npt.NDArray[Any]]]], end: int
) -> Iterator[memoryview]:
    """Give the sections with the padding between them, and at last the checks of all."""
    checks: list[int] = []
    offset = crc = 0
    for start, pieces in [*sections, (end, [])]:
        for piece in [np.zeros(start - offset, np.uint8), *pieces]:
            view = np.ascontiguousarray(piece).view(np.uint8).reshape(-1).data
            yield view
            while view:
                part = view[: _BLOCK - offset % _BLOCK]
                crc = zlib.crc32(part, crc)
                offset += len(part)
                view = view[len(part) :]
                if offset % _BLOCK == 0:
                    checks.append(crc)
                    crc = 0
    if offset % _BLOCK:
        checks.append(crc)
    table = np.array(checks, dtype="<u4").tobytes()
    yield memoryview(table)
    yield memoryview(struct.pack("<I", zlib.crc32(table)))


def _circle(parts: Sequence[Records]) -> tuple[tuple[float, float, float], float]:
    rows = sum(len(part) for part in parts)
    if rows == 0:
        return (1.0, 0.0, 0.0), 1.0
    if rows > _WIDE:
        return (1.0, 0.0, 0.0), -1.0
    # Some of the rows are enough for the middle; all of them count for the radius.
    step = 1 + rows // 10_000
    middle: FloatArray = sum(
        (unit_vectors(part["ra"][::step], part["dec"][::step]).sum(axis=0) for part in parts),
        np.zeros(3),
    )
    size = float(np.sqrt(middle @ middle))
    if size < 0.1 * (rows / step):  # all over the sky
        return (1.0, 0.0, 0.0), -1.0
    ra0, dec0 = (float(value) for value in positions(middle))
    center = unit_vectors(ra0, dec0)
    least = 1.0
    for part in parts:
        for first in range(0, len(part), _SLICE):
            rows_here = part[first : first + _SLICE]
            d = np.radians(rows_here["dec"])
            cosine = np.cos(d) * np.cos(np.radians(rows_here["ra"] - ra0))
            cosine = np.hypot(center[0], center[1]) * cosine + center[2] * np.sin(d)
            least = min(least, float(np.min(cosine)))
    # 1e-14 is 30 times the rounding of the cosines.
    x, y, z = (float(value) for value in center)
    return (x, y, z), max(-1.0, least - 1e-14)


def _section(info: RunInfo, start: int, end: int) -> str:
    names = []
    if start < PAGE:
        names.append("header")
    if start < info.cells_offset and end > PAGE:
        names.append("zone directory")
    if start < info.records_offset and end > info.cells_offset:
        names.append("cell directory")
    if end > info.records_offset:
        first = max(0, start - info.records_offset) // RECORD.itemsize
        last = min(info.rows - 1, (end - info.records_offset - 1) // RECORD.itemsize)
        names.append(f"records {first} to {last}")
    return ", ".join(names)
