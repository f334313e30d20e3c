"""Names of shots, images and fibres, and the rows that they lead to.

A full name is ``instrument/key``, ``instrument/key/image`` or ``instrument/key/group/id``. Keys may
hold slashes, so names are resolved against the catalogue, the longest key first. Shorter forms are
the end of a full name, a target, or the value of a column ``alias`` that an instrument gives its
fibres (``0412-51871-0308``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np

from corecube.archive import cutout
from corecube.archive.catalogue import ShotRecord
from corecube.archive.shotfile import StoredShot
from corecube.errors import QueryError
from corecube.frames import Fibers, Image

if TYPE_CHECKING:
    from corecube.archive.query import Result
    from corecube.archive.reader import Archive

ALIAS = "alias"
"""Column with the short name by which users know a fibre."""


@dataclass(frozen=True)
class ShotRow:
    """A shot by name."""

    archive: Archive
    record: ShotRecord

    @property
    def name(self) -> str:
        """Full name."""
        return self.record.identity

    def shot(self) -> StoredShot:
        """Return the shot, opened."""
        return self.archive.shot(self.record)


@dataclass(frozen=True)
class ImageRow:
    """An image by name."""

    archive: Archive
    record: ShotRecord
    image: str

    @property
    def name(self) -> str:
        """Full name."""
        return f"{self.record.identity}/{self.image}"

    def shot(self) -> StoredShot:
        """Return the shot, opened."""
        return self.archive.shot(self.record)

    def frame(self) -> Image:
        """Return the whole image with all that belongs to it."""
        return self.shot().frame(self.image)

    def cutout(self, ra: float, dec: float, size: int = 64) -> tuple[Image, cutout.Window]:
        """Return a cutout around a position; see `corecube.archive.cutout.cut`."""
        return cutout.cut(self.archive.shot(self.record), self.image, ra, dec, size)


@dataclass(frozen=True)
class FiberRow:
    """A fibre by name; `row` counts in its group."""

    archive: Archive
    record: ShotRecord
    group: str
    row: int

    @property
    def id(self) -> str:
        """Id in the group."""
        shot = self.archive.shot(self.record)
        return shot.texts(f"/fibers/{self.group}/id", slice(self.row, self.row + 1))[0]

    @property
    def name(self) -> str:
        """Full name."""
        return f"{self.record.identity}/{self.group}/{self.id}"

    def shot(self) -> StoredShot:
        """Return the shot, opened."""
        return self.archive.shot(self.record)

    def locate(self, wavelength: float) -> tuple[str, float, float] | None:
        """Return image, row and column of a wavelength; see `StoredShot.locate`."""
        return self.shot().locate(self.group, self.row, wavelength)

    def spectrum(self) -> Fibers:
        """Return the spectrum with all that belongs to it: `Fibers` of one row."""
        return self.archive.shot(self.record).rows(self.group, self.row, self.row + 1)

    def related(self) -> list[FiberRow]:
        """Return more spectra of this fibre: the rows whose parent it is."""
        shot = self.archive.shot(self.record)
        found = []
        for group, about in self.record.groups.items():
            if about["parent"] == self.group:
                parents = np.array(shot.texts(f"/fibers/{group}/parent_id"), dtype=np.str_)
                for row in np.flatnonzero(parents == self.id).tolist():
                    found.append(FiberRow(self.archive, self.record, group, row))
        return found


Row = ShotRow | ImageRow | FiberRow


def get(archive: Archive, name: str) -> Row:
    """Return what a full name means; see `Archive.get`."""
    found = _exact(archive, name)
    if found is None:
        raise missing_shot(archive, name)
    return found


def find(archive: Archive, text: str) -> list[Row]:
    """Return all that a name may mean; see `Archive.find`."""
    text = text.strip().strip("/")
    if not text:
        raise missing_shot(archive, text)
    exact = _exact(archive, text)
    if exact is not None:
        return [exact]
    found = list(_by_end(archive, text)) or list(_by_text(archive, text))
    if not found:
        raise missing_shot(archive, text)
    return found


def missing_shot(archive: Archive, name: str) -> QueryError:
    """Return the error for a name that nothing has."""
    shots = archive.state.catalogue.by_identity
    names = list(shots) + [f"{i}/{image}" for i, shot in shots.items() for image in shot.images]
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "'corecube info ARCHIVE' lists the shots"
    return QueryError(f"there is nothing named '{name}' in {archive.path}; {hint}")


def rows_of(archive: Archive, result: Result) -> Iterator[ImageRow | FiberRow]:
    """Yield the rows of a result, fibres first."""
    for record, group, row in result.fiber_places:
        yield FiberRow(archive, record, group, row)
    for place in result.image_places:
        yield ImageRow(archive, place.shot, place.name)


def _exact(archive: Archive, name: str) -> Row | None:
    shots = archive.state.catalogue.by_identity
    parts = name.split("/")
    for length in range(len(parts), 1, -1):
        record = shots.get("/".join(parts[:length]))
        if record is not None:
            found = _inside(archive, record, parts[length:])
            if found is not None:
                return found
    return None


def _inside(archive: Archive, record: ShotRecord, rest: list[str]) -> Row | None:
    if not rest:
        return ShotRow(archive, record)
    if len(rest) == 1 and rest[0] in record.images:
        return ImageRow(archive, record, rest[0])
    if len(rest) == 2 and rest[0] in record.groups:
        ids = archive.shot(record).texts(f"/fibers/{rest[0]}/id")
        if rest[1] in ids:
            return FiberRow(archive, record, rest[0], ids.index(rest[1]))
    return None


def _by_end(archive: Archive, text: str) -> Iterator[Row]:
    """Yield what the end of a full name fits: ``KEY``, ``KEY/image``, ``image``, ``group/id``."""
    parts = text.split("/")
    for record in archive.state.catalogue.by_identity.values():
        inside = _inside(archive, record, parts)
        if inside is not None:
            yield inside
            continue
        for length in range(len(parts), 0, -1):
            head = "/".join(parts[:length])
            if record.identity.endswith(f"/{head}"):
                found = _inside(archive, record, parts[length:])
                if found is not None:
                    yield found
                    break


def _by_text(archive: Archive, text: str) -> Iterator[Row]:
    """Yield images and indexed fibres by target or alias, without regard to case."""
    wanted = text.casefold()
    for record in archive.state.catalogue.by_identity.values():
        for image, about in record.images.items():
            if about["target"].casefold() == wanted:
                yield ImageRow(archive, record, image)
        for group, _, _ in record.indexed:
            shot = archive.shot(record)
            columns = ["target"]
            if ALIAS in record.groups[group]["columns"]:
                columns.append(f"columns/{ALIAS}")
            rows: set[int] = set()
            for column in columns:
                texts = shot.texts(f"/fibers/{group}/{column}")
                rows.update(row for row, t in enumerate(texts) if t.casefold() == wanted)
            yield from (FiberRow(archive, record, group, row) for row in sorted(rows))
