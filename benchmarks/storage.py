"""The measurements behind the choices of the archive's format; docs/format.md quotes them.

Times are in percent of the time that `bz2.decompress` needs for the same frame, measured by turns
with it: so much longer does an ingest take. "Cold": the pages of the file were dropped from the
memory of the system, and opening it is counted.
"""

from __future__ import annotations

import bz2
import hashlib
import statistics
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from measuring import Figure, Result, by_turns, forget, frames, spectra

from corecube import hdf5
from corecube.archive import chunks, pyramid
from corecube.archive.rounding import rounded

Plane = npt.NDArray[Any]
OURS = "blosc:lz4 5 bitshuffle"
FILTERS = (
    "none", "zlib 1 shuffle", "blosc:lz4 1 bitshuffle", "blosc:lz4 5 shuffle", OURS,
    "blosc:lz4 9 bitshuffle", "blosc:zstd 1 shuffle", "blosc:zstd 5 bitshuffle",
    "blosc2:lz4 5 bitshuffle", "blosc2:zstd 1 shuffle",
)  # fmt: skip
SHAPES = ((64, 64), (128, 128), (256, 256), (512, 512), (64, 2048))
BITS = (23, 14, 12, 10)
ROWS = (1, 8, 32, 128)


@dataclass(frozen=True)
class Sample:
    """A frame as it is stored."""

    packed: bytes
    flux: Plane
    error: Plane
    mask: Plane

    def unpack(self) -> None:
        bz2.decompress(self.packed)


def measure(scratch: Path, quick: bool) -> Result:
    _, files = frames(scratch, 1 if quick else 3)
    samples = [_sample(path) for path in files]
    rounds = 1 if quick else 3
    return [
        *_filters(scratch, samples, rounds, quick),
        *_shapes(scratch, samples, rounds, quick),
        *_bits(scratch, samples, rounds),
        *_steps(scratch, samples, rounds),
        *_fibres(scratch, quick),
    ]


def _sample(path: Path) -> Sample:
    from corecube import plugins
    from corecube.pipeline.work import completed
    from corecube.shots import Context, FileHead

    caller = plugins.load("sdss")
    config = caller.instrument.config()
    info = caller.call("identify", file=FileHead.of(str(path)), config=config)
    (plan,) = caller.call("plan_shots", infos=[info], known={}, config=config)
    read = caller.call(
        "read_frames", plan=plan, entry=info.entry, config=config, context=Context("")
    )
    (frame,) = (caller.call("estimate_noise", frame=frame, config=config) for frame in read)
    frame = completed(frame)
    assert frame.error is not None and frame.mask is not None
    return Sample(path.read_bytes(), frame.flux, frame.error, frame.mask)


# -- filters, chunks, errors -----------------------------------------------------------------------


def _filters(scratch: Path, samples: Sequence[Sample], rounds: int, quick: bool) -> Result:
    results: Result = []
    for name in FILTERS[2:6] if quick else FILTERS:
        sizes, writing, reading = _planes(scratch, samples, rounds, name, (256, 256), own=False)
        results += _sizes(f"HDF5's filter {name}", sizes, writing, reading)
    sizes, writing, reading = _planes(scratch, samples, rounds, OURS, (256, 256), own=True)
    return [*results, *_sizes(f"own encoder, {OURS}", sizes, writing, reading)]


def _sizes(label: str, sizes: list[float], writing: float, reading: float) -> Result:
    return [
        Figure(f"{label}: flux, raw / stored", sizes[0], "times"),
        Figure(f"{label}: error, raw / stored", sizes[1], "times"),
        Figure(f"{label}: write both", writing * 100, "%"),
        Figure(f"{label}: read both", reading * 100, "%"),
    ]


def _planes(
    scratch: Path, samples: Sequence[Sample], rounds: int, name: str, shape: Any, own: bool
) -> tuple[list[float], float, float]:
    """Raw over stored for flux and error; times of writing and reading both over unpacking."""
    path = scratch / "planes.h5"
    sizes: list[list[float]] = []
    writing, reading = [], []
    for sample in samples:
        planes = {"flux": sample.flux, "error": sample.error}

        def write(planes: dict[str, Plane] = planes) -> None:
            _write(path, planes, name, shape, own)

        def read() -> None:
            file = hdf5.open_file(path)
            for plane in ("flux", "error"):
                file.get_node(f"/{plane}")[:]  # our own way refuses filters that are not ours
            file.close()

        write()
        times = by_turns({"write": write, "read": read, "unpack": sample.unpack}, rounds)
        writing.append(times["write"] / times["unpack"])
        reading.append(times["read"] / times["unpack"])
        file = hdf5.open_file(path)
        sizes.append([values.nbytes / _stored(file, plane) for plane, values in planes.items()])
        file.close()
    middle = [statistics.median(column) for column in zip(*sizes, strict=True)]
    return middle, statistics.median(writing), statistics.median(reading)


def _write(path: Path, planes: dict[str, Plane], name: str, shape: Any, own: bool) -> None:
    tables = hdf5.library()
    file = tables.open_file(str(path), "w", pytables_sys_attrs=False)
    for plane, values in planes.items():
        chunk = tuple(min(c, n) for c, n in zip(shape, values.shape, strict=True))
        atom = tables.Atom.from_dtype(values.dtype)
        array = file.create_carray(
            "/", plane, atom, values.shape, filters=_filter(tables, name), chunkshape=chunk
        )
        if own:
            for start, part in chunks.stripes(values, chunk):
                if part.any():
                    array.write_chunk(start, chunks.encode(part))
        else:
            array[:] = values
    file.close()


def _filter(tables: Any, name: str) -> Any:
    if name == "none":
        return tables.Filters(fletcher32=True)
    library, level, shuffle = name.split()
    return tables.Filters(
        complevel=int(level), complib=library, shuffle=shuffle == "shuffle",
        bitshuffle=shuffle == "bitshuffle", fletcher32=True,
    )  # fmt: skip


def _stored(file: Any, plane: str) -> int:
    return int(file.get_node(f"/{plane}").size_on_disk)


def _shapes(scratch: Path, samples: Sequence[Sample], rounds: int, quick: bool) -> Result:
    results: Result = []
    for shape in SHAPES[1:3] if quick else SHAPES:
        sizes, writing, reading = _planes(scratch, samples, rounds, OURS, shape, own=True)
        warm, cold = _cutouts(scratch / "planes.h5", samples[-1].flux.shape, 50 if quick else 200)
        label = f"chunks of {shape[0]} x {shape[1]}"
        results += [
            *_sizes(label, sizes, writing, reading),
            Figure(f"{label}: cutout of 64 x 64, warm", warm * 1e3, "ms"),
            Figure(f"{label}: cutout of 64 x 64, cold", cold * 1e3, "ms"),
        ]
    return results


def _cutouts(path: Path, size: tuple[int, ...], number: int) -> tuple[float, float]:
    """Median seconds of cutouts of one plane at random places.

    Warm: the pages are in the system's memory and the file is open, but without HDF5's cache of
    decoded chunks, which a small survey would find everything in.
    """
    rng = np.random.default_rng(1)
    places = rng.integers(0, [size[0] - 64, size[1] - 64], (number, 2)).tolist()
    file = hdf5.library().open_file(str(path), chunk_cache_size=0)
    array = file.root.flux

    def cut(y: int, x: int) -> None:
        array[y : y + 64, x : x + 64]

    cut(0, 0)
    warm = [_seconds(lambda y=y, x=x: cut(y, x)) for y, x in places]
    file.close()

    def cold_cut(y: int, x: int) -> None:
        opened = hdf5.open_file(path)
        opened.root.flux[y : y + 64, x : x + 64]
        opened.close()

    cold = []
    for y, x in places[:40]:
        forget(path)
        cold.append(_seconds(lambda y=y, x=x: cold_cut(y, x)))
    return statistics.median(warm), statistics.median(cold)


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _bits(scratch: Path, samples: Sequence[Sample], rounds: int) -> Result:
    results: Result = []
    for bits in BITS:
        coarse = [
            Sample(s.packed, s.flux, s.error if bits == 23 else rounded(s.error, bits), s.mask)
            for s in samples
        ]
        sizes, writing, _ = _planes(scratch, coarse, rounds, OURS, (256, 256), own=True)
        worst = max(
            float(np.nanmax(np.abs(new.error / old.error - 1.0)))
            for new, old in zip(coarse, samples, strict=True)
        )
        label = f"error of {bits} bits"
        results += [
            Figure(f"{label}: raw / stored", sizes[1], "times"),
            Figure(f"{label}: write flux and error", writing * 100, "%"),
            Figure(f"{label}: largest change, relative", worst, ""),
        ]
    return results


# -- single steps ----------------------------------------------------------------------------------


def _steps(scratch: Path, samples: Sequence[Sample], rounds: int) -> Result:
    """What mask, pyramid, checksums and proof of a frame cost."""
    collected: dict[str, list[float]] = {}
    fletcher32 = _fletcher32()
    stored_mask, stored_pyramid = [], []
    for sample in samples:
        made = list(pyramid.levels(sample.flux, sample.error, sample.mask))
        parts = {
            f"{name}_{level.level}": getattr(level, name)
            for level in made for name in ("flux", "error", "mask", "coverage")
            if getattr(level, name) is not None
        }  # fmt: skip
        encoded = [
            chunks.encode(part)
            for plane in (sample.flux, sample.error)
            for _, part in chunks.stripes(plane, (256, 256))
        ]
        whole = b"".join(encoded)
        mask = {"mask": sample.mask}
        works: dict[str, Callable[[], Any]] = {
            "mask, chunks of zeros left out": lambda mask=mask: _write(
                scratch / "mask.h5", mask, OURS, (256, 256), own=True
            ),
            "mask, all chunks, by HDF5's filter": lambda mask=mask: _write(
                scratch / "mask-all.h5", mask, OURS, (256, 256), own=False
            ),
            "pyramid, compute": lambda s=sample: list(pyramid.levels(s.flux, s.error, s.mask)),
            "pyramid, write": lambda parts=parts: _write(
                scratch / "pyramid.h5", parts, OURS, (256, 256), own=True
            ),
            "fletcher32 of flux and error": lambda e=encoded: [fletcher32(d) for d in e],
            "crc32 of flux and error": lambda e=encoded: [zlib.crc32(d) for d in e],
            "sha256 of flux and error": lambda w=whole: hashlib.sha256(w).digest(),
            "blake2b of flux and error": lambda w=whole: hashlib.blake2b(w).digest(),
            "unpack": sample.unpack,
        }
        for work in works.values():
            work()
        times = by_turns(works, 2 * rounds + 1)
        for name, seconds in times.items():
            collected.setdefault(name, []).append(seconds / times["unpack"])
        stored_mask.append((scratch / "mask.h5").stat().st_size)
        stored_pyramid.append((scratch / "pyramid.h5").stat().st_size)
    del collected["unpack"]
    return [
        *(Figure(name, statistics.median(part) * 100, "%") for name, part in collected.items()),
        Figure("mask, size", statistics.median(stored_mask) / 1e6, "MB"),
        Figure("pyramid, size", statistics.median(stored_pyramid) / 1e6, "MB"),
    ]


def _fletcher32() -> Callable[[bytes], Any]:
    from numcodecs import Fletcher32

    encode: Callable[[bytes], Any] = Fletcher32().encode
    return encode


# -- fibres ----------------------------------------------------------------------------------------


def _fibres(scratch: Path, quick: bool) -> Result:
    """Rows per chunk: a table of spectra like the real ones, each with noise of its own."""
    which, files = spectra(scratch)
    flux, error = _stacked(files, 500 if quick else 2000)
    path = scratch / "fibres.h5"
    results: Result = []
    for rows in ROWS[1:3] if quick else ROWS:
        planes = {"flux": flux, "error": error}
        shape = (rows, flux.shape[1])

        def write(planes: dict[str, Plane] = planes, shape: Any = shape) -> None:
            _write(path, planes, OURS, shape, own=True)

        writing = by_turns({"write": write}, 3)["write"]
        warm, cold, many = _fibre_reads(path, len(flux))
        size = sum(values.nbytes for values in planes.values()) / path.stat().st_size
        label = f"{which}, {rows} rows in a chunk"
        results += [
            Figure(f"{label}: raw / file", size, "times"),
            Figure(f"{label}: write", 2 * flux.nbytes / writing / 1e6, "MB/s"),
            Figure(f"{label}: one fibre, flux and error, warm", warm * 1e3, "ms"),
            Figure(f"{label}: the same, cold", cold * 1e3, "ms"),
            Figure(f"{label}: all of them", many * 1e3, "ms"),
        ]
    return results


def _stacked(files: Sequence[Path], rows: int) -> tuple[Plane, Plane]:
    from corecube.files import read_unpacked
    from corecube_sdssfiles.spec import SpecFile

    rng = np.random.default_rng(1)
    coadds = [SpecFile(read_unpacked(str(path)), str(path)).coadd() for path in files]
    width = min(coadd.flux.size for coadd in coadds)
    flux = np.stack([coadd.flux[:width] for coadd in coadds])[np.arange(rows) % len(coadds)]
    error = np.stack([coadd.error[:width] for coadd in coadds])[np.arange(rows) % len(coadds)]
    noise = rng.normal(size=flux.shape).astype(np.float32)
    scale = rng.uniform(0.7, 1.4, (rows, 1)).astype(np.float32)
    return flux + np.nan_to_num(error) * noise, error * scale


def _fibre_reads(path: Path, rows: int) -> tuple[float, float, float]:
    places = np.random.default_rng(2).integers(0, rows, 100).tolist()

    def read(file: Any, place: int) -> None:
        for plane in ("flux", "error"):
            file.get_node(f"/{plane}")[place]

    warm = []
    with hdf5.library().open_file(str(path), chunk_cache_size=0) as file:
        read(file, 0)
        warm += [_seconds(lambda place=place: read(file, place)) for place in places]
        many = statistics.median(
            _seconds(lambda: (file.root.flux[:], file.root.error[:])) for _ in range(5)
        )

    def opened(place: int) -> None:
        with hdf5.library().open_file(str(path)) as file:
            read(file, place)

    cold = []
    for place in places[:40]:
        forget(path)
        cold.append(_seconds(lambda place=place: opened(place)))
    return statistics.median(warm), statistics.median(cold), many
