"""What differs between two frames, two archives, or a frame and the archive."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.archive.reader import Archive
from corecube.archive.shotfile import StoredShot
from corecube.frames import Column, Fibers, Frame
from corecube.masks import value
from corecube.spectral import Spectral
from corecube.times import Times

_OUTSIDE: Final = np.uint32(value("outside"))
_MADE: Final = ("/provenance", "/checksums", "/description")
"""Arrays of a shot file that say when and from where it was made."""


def same(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> bool:
    """Say whether two arrays are equal in type, shape and value; NaN equals NaN."""
    return (
        first.dtype == second.dtype
        and first.shape == second.shape
        and bool(np.array_equal(first, second, equal_nan=first.dtype.kind == "f"))
    )


def differences(first: Any, second: Any, where: str = "") -> Iterator[str]:
    """Yield what differs between two frames, or parts of them, field by field."""
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        one, two = np.asarray(first), np.asarray(second)
        if not same(one, two):
            yield f"{where}: {_array(one, two)}"
    elif isinstance(first, Spectral) and isinstance(second, Spectral):
        yield from differences(first.wavelength(), second.wavelength(), where)
        yield from differences(first.describe(), second.describe(), where)
    elif dataclasses.is_dataclass(first) and type(first) is type(second):
        for name in (item.name for item in dataclasses.fields(first)):
            inner = f"{where}.{name}" if where else name
            yield from differences(getattr(first, name), getattr(second, name), inner)
    elif isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in dict.fromkeys((*first, *second)):
            name = key.name if isinstance(key, Column) else key
            if (key in first) != (key in second):
                yield f"{where}: '{name}' is only in one of them"
            else:
                yield from differences(first[key], second[key], f"{where}['{name}']")
    elif _has_parts(first) and _has_parts(second) and len(first) == len(second):
        for number, (one, two) in enumerate(zip(first, second, strict=True)):
            yield from differences(one, two, f"{where}[{number}]")
    elif first != second and not (_is_nan(first) and _is_nan(second)):
        yield f"{where}: {_short(first)} and {_short(second)}"


def _has_parts(value: Any) -> bool:
    """Say whether it is a sequence of something else than numbers and texts."""
    return isinstance(value, tuple | list) and any(
        dataclasses.is_dataclass(part) or isinstance(part, np.ndarray) for part in value
    )


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:77]}..."


def _array(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> str:
    if first.dtype != second.dtype or first.shape != second.shape:
        return f"{first.dtype} {first.shape} and {second.dtype} {second.shape}"
    differs = first != second
    if first.dtype.kind == "f":
        differs &= ~(np.isnan(first) & np.isnan(second))
    place = tuple(int(part[0]) for part in np.nonzero(np.atleast_1d(differs)))
    values = (np.atleast_1d(part)[place] for part in (first, second))
    return f"{np.count_nonzero(differs)} values differ, at {place}: " + " and ".join(
        str(part) for part in values
    )


# -- a frame and the archive -----------------------------------------------------------------------


def as_stored(block: Fibers) -> Fibers:
    """Return a block of fibres in the form in which the archive gives it back."""
    count = len(block.id)
    return replace(
        block,
        target=block.target or ("",) * count,
        times=Times(
            np.broadcast_to(np.asarray(block.times.start), (count,)),
            np.broadcast_to(np.asarray(block.times.end), (count,)),
            block.times.quality,
        ),
        columns={
            column: tuple(map(str, values))
            if column.dtype == "text"
            else np.asarray(values, column.dtype)
            for column, values in block.columns.items()
        },
    )


def stored_block(shot: StoredShot, block: Fibers) -> Fibers | None:
    """Return the rows of the archive that a block became, None if they are not there in order."""
    if block.name not in shot.groups or not block.id:
        return None
    ids = shot.texts(f"/fibers/{block.name}/id")
    if block.id[0] not in ids:
        return None
    first = ids.index(block.id[0])
    last = first + len(block.id)
    return shot.rows(block.name, first, last) if ids[first:last] == block.id else None


def narrowed(stored: Fibers, block: Fibers) -> tuple[Fibers, str]:
    """Take the padding of a common grid from stored fibres.

    Returns
    -------
    fibers, problem : Fibers, str
        With the wavelengths of `block`; "" or what is wrong with the padding.
    """
    width, full = block.flux.shape[1], stored.flux.shape[1]
    if width == full:
        return stored, ""
    before = block.wave.first - stored.wave.first if block.wave.is_grid else 0
    key = (slice(None), slice(before, before + width))
    assert stored.error is not None and stored.mask is not None
    padding = np.ones(full, dtype=bool)
    padding[key[1]] = False
    problem = ""
    if not np.all(stored.mask[:, padding] & _OUTSIDE):
        problem = "pixels of the padding are not in the plane 'outside'"
    cut = replace(
        stored,
        flux=stored.flux[key],
        error=stored.error[key],
        mask=stored.mask[key],
        bits={n: replace(b, values=b.values[key]) for n, b in stored.bits.items()},
        layers={
            name: replace(layer, values=layer.values[key])
            if layer.values.shape == stored.flux.shape
            else layer
            for name, layer in stored.layers.items()
        },
        wave=block.wave,
    )
    return cut, problem


# -- two archives ----------------------------------------------------------------------------------


def contents(path: Path) -> dict[str, dict[str, Any]]:
    """Return all that users can get out of the shots of an archive, comparable with ``==``.

    Left out is when and from which folder they were made.
    """
    with Archive(path) as archive:
        return {
            identity: content(archive.shot(record))
            for identity, record in archive.state.catalogue.by_identity.items()
        }


def content(shot: StoredShot) -> dict[str, Any]:
    """Return all that users can get out of a shot, comparable with ``==``."""
    described = {n: v for n, v in shot.description.items() if n != "arrays"}
    arrays = {
        name: {n: v for n, v in about.items() if n != "checksums"}
        | {"values": hashlib.sha256(shot.read(name).tobytes()).hexdigest()}
        for name, about in shot.description["arrays"].items()
        if name not in _MADE
    }
    history = {n: shot.history[n] for n in ("images", "blocks", "config")}
    found: dict[str, Any] = _without_making(
        {"description": described, "arrays": arrays, "history": history}
    )
    return found


def _without_making(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {
            name: _without_making(part)
            for name, part in data.items() if name not in ("generation", "created")
        }  # fmt: skip
    if isinstance(data, list | tuple):
        return [_without_making(part) for part in data]
    return data


def other_content(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    """Yield what differs between two archives (`contents`), a few lines for each shot."""
    for identity in dict.fromkeys((*first, *second)):
        if (identity in first) != (identity in second):
            yield f"{identity} is only in one of the archives"
            continue
        found = list(_leaves(first[identity], second[identity], ""))
        for line in found[:3]:
            yield f"{identity}: {line}"
        if len(found) > 3:
            yield f"{identity}: and {len(found) - 3} more"


def _leaves(first: Any, second: Any, where: str) -> Iterator[str]:
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for name in dict.fromkeys((*first, *second)):
            inner = f"{where} {name}".strip()
            if (name in first) != (name in second):
                yield f"{inner} is only in one of them"
            else:
                yield from _leaves(first[name], second[name], inner)
    elif first != second:
        yield f"{where}: {_short(first)} and {_short(second)}"


def listing(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return inode, time of change in ns and size of all below a folder."""
    found = {}
    for item in sorted(folder.rglob("*")):
        status = item.lstat()
        found[str(item.relative_to(folder))] = (
            status.st_ino, status.st_mtime_ns, status.st_size,
        )  # fmt: skip
    return found


def frame_digest(frame: Frame) -> str:
    """Return a digest of all that a frame holds, the same in every process."""
    sha = hashlib.sha256()
    for path, part in _walk(frame, frame.name):
        sha.update(path.encode())
        if isinstance(part, np.ndarray):
            sha.update(f"{part.dtype.str}{part.shape}".encode())
            sha.update(np.ascontiguousarray(part).tobytes())
        else:
            sha.update(json.dumps(part, default=repr, sort_keys=True).encode())
    return sha.hexdigest()


def _walk(part: Any, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(part, Column):
        yield where, vars(part)
    elif dataclasses.is_dataclass(part):
        for item in dataclasses.fields(part):
            yield from _walk(getattr(part, item.name), f"{where}.{item.name}")
    elif isinstance(part, Mapping):
        for key, inner in part.items():
            name = key.name if isinstance(key, Column) else key
            yield from _walk(inner, f"{where}[{name}]")
    else:
        yield where, part


def texts_of(frame: Frame) -> Iterator[tuple[str, str]]:
    """Yield all texts of a frame and where they stand."""
    for where, part in _walk(frame, frame.name):
        if isinstance(part, str):
            yield where, part
        elif isinstance(part, tuple | list):
            yield from ((where, text) for text in part if isinstance(text, str))
