"""Late masks: pixels that lists name after their shot was stored, in a small file beside it.

The file is a line ``corecube late mask 1``, a line of JSON (shot, generation, and the spans'
frame, source, plane and count), for each of these the little-endian int32 arrays row, first and
last, and the CRC-32 of all before. It is written whole under a new name; the catalogue names it.
"""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from corecube.archive.durable import make_directory, write_file
from corecube.archive.inside import inside, open_file
from corecube.archive.jsontext import conform, loads
from corecube.archive.layout import mask_path, to_text
from corecube.errors import ArchiveDamaged, FrameError
from corecube.masks import MaskArray, MaskSpan, value
from corecube.shots import Shot

if TYPE_CHECKING:
    from corecube.archive.shotfile import StoredShot

_MAGIC: Final = b"corecube late mask 1\n"
_LIMIT: Final = 2**30
"""Bytes of a file that are accepted; 100,000 spectra with ten spans each need 12 million."""


@dataclass(frozen=True)
class LateMasks:
    """The late masks of a shot.

    Attributes
    ----------
    spans : tuple of MaskSpan
        One per frame, source and plane, in this order; rows rise.
    """

    spans: tuple[MaskSpan, ...] = ()

    @classmethod
    def of(cls, spans: Iterable[MaskSpan]) -> LateMasks:
        """Return the same pixels in the one order that the file has, so that files compare."""
        parts: dict[tuple[str, str, str], list[MaskSpan]] = {}
        for span in spans:
            parts.setdefault((span.frame, span.source, span.plane), []).append(span)
        return cls(tuple(_joined(parts[name]) for name in sorted(parts) if _size(parts[name])))

    def of_frame(self, frame: str) -> tuple[MaskSpan, ...]:
        """Return the spans of an image or a group."""
        return tuple(span for span in self.spans if span.frame == frame)

    def apply(self, frame: str, mask: MaskArray, row: int = 0, column: int = 0) -> None:
        """Set the planes of a frame's spans in a part of its mask.

        Parameters
        ----------
        frame : str
            Of the image or group.
        mask : uint32 array (n, w)
            Changed in place.
        row, column : int
            Of the frame where the part begins.
        """
        height, width = mask.shape
        planes: dict[str, list[MaskSpan]] = {}
        for span in self.of_frame(frame):
            planes.setdefault(span.plane, []).append(span)
        for plane, spans in planes.items():
            for rows, covered in _covered(
                spans, slice(row, row + height), (column, column + width)
            ):
                mask[rows - row] |= np.where(covered, np.uint32(value(plane)), np.uint32(0))

    def sources(self, frame: str, row: int | None = None) -> list[dict[str, Any]]:
        """Say which lists name pixels of a frame, or of one of its rows.

        Returns
        -------
        list of dict
            ``source``, ``plane`` and ``pixels``, by source.
        """
        rows = slice(0, 2**31) if row is None else slice(row, row + 1)
        found = []
        for span in self.of_frame(frame):
            pixels = _pixels([span], rows)
            if pixels:
                found.append({"source": span.source, "plane": span.plane, "pixels": pixels})
        return found

    def pixels(self) -> dict[str, int]:
        """Return the number of pixels that any list names, by frame."""
        frames = dict.fromkeys(span.frame for span in self.spans)
        return {name: _pixels(self.of_frame(name), slice(0, 2**31)) for name in frames}


def check(late: LateMasks, shapes: Mapping[str, tuple[int, int]]) -> None:
    """Refuse spans that do not lie in the shot's frames.

    Parameters
    ----------
    late : LateMasks
    shapes : mapping of str to (int, int)
        Rows and pixels of each image and group.

    Raises
    ------
    FrameError
    """
    for span in late.spans:
        where = f"late mask '{span.source}'"
        if span.frame not in shapes:
            raise FrameError(
                f"{where} names '{span.frame}', which is neither an image nor a group of it; it "
                f"has: {', '.join(shapes) or 'nothing'}"
            )
        rows, width = shapes[span.frame]
        if int(span.row.max()) >= rows or int(span.last.max()) >= width:
            raise FrameError(
                f"{where} names row {span.row.max()} and pixel {span.last.max()} of "
                f"'{span.frame}', which has {rows} rows of {width} pixels"
            )


def shapes_of(shot: StoredShot) -> dict[str, tuple[int, int]]:
    """Return rows and pixels of each image and group."""
    images = {name: shot.description["images"][name]["shape"] for name in shot.images}
    groups = {name: (shot.group(name)["rows"], shot.group(name)["width"]) for name in shot.groups}
    return {name: (int(shape[0]), int(shape[1])) for name, shape in (images | groups).items()}


def write(archive: Path, shot: Shot, late: LateMasks) -> dict[str, Any]:
    """Write the late masks of a shot to a new file.

    Returns
    -------
    dict
        For the catalogue: ``file`` (below the archive), ``size``, ``sha256``; {} if there is
        nothing to write.

    Raises
    ------
    NoSpace
    """
    if not late.spans:
        return {}
    file = mask_path(shot.instrument, shot.key, shot.generation, secrets.token_hex(4))
    make_directory(inside(archive, file).parent, below=archive)
    stamp = write_file(archive / file, [encoded(shot, late)])
    return {"file": file, "size": stamp.size, "sha256": stamp.sha256}


def encoded(shot: Shot, late: LateMasks) -> bytes:
    """Return the bytes of the file."""
    about = {
        "shot": shot.identity, "generation": shot.generation,
        "spans": [
            {"frame": s.frame, "source": s.source, "plane": s.plane, "count": len(s.row)}
            for s in late.spans
        ],
    }  # fmt: skip
    parts = [_MAGIC, to_text(about).encode(), b"\n"]
    for span in late.spans:
        parts += [part.astype("<i4").tobytes() for part in (span.row, span.first, span.last)]
    data = b"".join(parts)
    return data + zlib.crc32(data).to_bytes(4, "little")


_SCHEMA: Final = {
    "shot": str, "generation": int,
    "spans": [{"frame": str, "source": str, "plane": str, "count": int}],
}  # fmt: skip


def read(path: Path, identity: str, generation: int) -> LateMasks:
    """Read a file of late masks.

    Parameters
    ----------
    path : Path
    identity, generation : str, int
        Of the shot that it must belong to.

    Raises
    ------
    ArchiveDamaged
        If it is missing, damaged, or of another shot.
    """
    damaged = f"{path}: is missing or damaged; make it anew with 'corecube masks'"
    try:
        if path.stat().st_size > _LIMIT:
            raise ValueError(path)
        with open_file(path) as file:
            data = file.read()
        if not data.startswith(_MAGIC) or zlib.crc32(data[:-4]) != int.from_bytes(
            data[-4:], "little"
        ):
            raise ValueError(path)
        text, _, body = data[len(_MAGIC) : -4].partition(b"\n")
        about = loads(text)
        conform(about, _SCHEMA)
        if (about["shot"], about["generation"]) != (identity, generation):
            raise ArchiveDamaged(
                f"{path}: is the late mask of {about['shot']}, generation {about['generation']}; "
                "make it anew with 'corecube masks'"
            )
        numbers = np.frombuffer(body, "<i4").astype(np.int32)
        spans, first = [], 0
        for described in about["spans"]:
            count = described.pop("count")
            if count < 0:
                raise ValueError(path)
            rows, firsts, lasts = numbers[first : first + 3 * count].reshape(3, count)
            spans.append(MaskSpan(row=rows, first=firsts, last=lasts, **described))
            first += 3 * count
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise ArchiveDamaged(damaged) from error
    return LateMasks(tuple(spans))


def _joined(spans: list[MaskSpan]) -> MaskSpan:
    row, first, last = (
        np.concatenate([getattr(span, name) for span in spans]) for name in ("row", "first", "last")
    )
    order = np.lexsort((last, first, row))
    return replace(spans[0], row=row[order], first=first[order], last=last[order])


def _size(spans: Iterable[MaskSpan]) -> int:
    return sum(len(span.row) for span in spans)


_BLOCK: Final = 4096
"""Rows whose pixels are looked at together."""


def _covered(
    spans: Iterable[MaskSpan], rows: slice, columns: tuple[int, int]
) -> Iterator[tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]]:
    """Yield rows with spans, and which of their pixels in these columns lie in one."""
    joined = list(spans)
    row, first, last = (
        np.concatenate([getattr(span, name) for span in joined] or [np.empty(0, np.int32)])
        for name in ("row", "first", "last")
    )
    low, high = columns
    inside = (row >= rows.start) & (row < rows.stop) & (last >= low) & (first < high)
    row, first, last = row[inside], first[inside], last[inside]
    names, place = np.unique(row, return_inverse=True)
    order = np.argsort(place, kind="stable")
    for start in range(0, len(names), _BLOCK):
        count = min(_BLOCK, len(names) - start)
        here = order[
            np.searchsorted(place, start, sorter=order) : np.searchsorted(
                place, start + count, sorter=order
            )
        ]
        # +1 where a span begins, -1 behind its end: the sum along the row is above 0 inside
        steps = np.zeros((count, high - low + 1), np.int32)
        where = place[here] - start
        np.add.at(steps, (where, np.maximum(first[here] - low, 0)), 1)
        np.add.at(steps, (where, np.minimum(last[here] + 1, high) - low), -1)
        yield names[start : start + count], np.cumsum(steps, axis=1)[:, :-1] > 0


def _pixels(spans: Sequence[MaskSpan], rows: slice) -> int:
    """Count the pixels that lie in at least one span."""
    ends: list[npt.NDArray[np.int64]] = []
    for name in ("row", "first", "last"):
        parts = [getattr(span, name).astype(np.int64) for span in spans]
        ends.append(np.concatenate(parts) if parts else np.empty(0, np.int64))
    row, first, last = ends
    inside = (row >= rows.start) & (row < rows.stop)
    # all rows on one line, far enough apart that no span reaches into the next
    begin, end = ((row << 32) + part for part in (first, last + 1))
    begin, end = begin[inside], end[inside]
    order = np.argsort(begin, kind="stable")
    begin, end = begin[order], end[order]
    before = np.maximum.accumulate(np.concatenate(([-1], end)))[:-1]
    return int(np.clip(end - np.maximum(begin, before), 0, None).sum())
