"""The tree of an archive, a level at a time; from the catalogue alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from corecube_cli.browse.places import (
    Folder,
    Group,
    Instrument,
    More,
    Picture,
    Pictures,
    Place,
    Shot,
    Spectra,
)
from corecube_cli.console import count

if TYPE_CHECKING:
    from corecube.archive import Archive
    from corecube.archive.catalogue import ShotRecord

LIMIT: Final = 200
"""Children that are listed at a time; the rest stands behind a line of its own."""


@dataclass(frozen=True)
class Entry:
    """A line of the tree.

    Attributes
    ----------
    label, about : str
        Name, and what is said behind it.
    place : Place
    children : bool
        Whether there is something below it.
    """

    label: str
    about: str
    place: Place
    children: bool = False


@dataclass(frozen=True)
class Overview:
    """The first level of the tree.

    Attributes
    ----------
    generation : int
        Of the archive's state.
    shots, fibers, images : int
    entries : list of Entry
        The instruments.
    """

    generation: int
    shots: int
    fibers: int
    images: int
    entries: list[Entry]


def overview(archive: Archive) -> Overview:
    """Return the instruments of the newest state."""
    state = archive.state
    by_instrument: dict[str, list[ShotRecord]] = {}
    for record in state.catalogue.by_identity.values():
        by_instrument.setdefault(record.instrument, []).append(record)
    return Overview(
        state.manifest.generation,
        len(state.catalogue.by_identity),
        sum(_fibers(record) for record in state.catalogue.by_identity.values()),
        sum(len(record.images) for record in state.catalogue.by_identity.values()),
        [
            Entry(name, count(len(records), "shot"), Instrument(name), True)
            for name, records in by_instrument.items()
        ],
    )


def children(archive: Archive, place: Place) -> list[Entry]:
    """Return what stands below a place of the tree.

    Raises
    ------
    QueryError
        If a shot is gone.
    """
    first = place.first if isinstance(place, More) else 0
    branch = place.parent if isinstance(place, More) else place
    if isinstance(branch, Instrument):
        found = _instrument(archive, branch)[first:]
    elif isinstance(branch, Folder):
        found = _keys(_records(archive, branch.instrument), branch.prefix)[first:]
    elif isinstance(branch, Shot):
        found = _shot(archive.record(branch.identity))[first:]
    else:
        return []
    left = len(found) - LIMIT
    if left > 0:
        more = Entry("more ...", f"{left} left", More(branch, first + LIMIT))
        found = [*found[:LIMIT], more]
    return found


def _records(archive: Archive, instrument: str) -> list[ShotRecord]:
    every = archive.state.catalogue.by_identity.values()
    return [record for record in every if record.instrument == instrument]


def _instrument(archive: Archive, place: Instrument) -> list[Entry]:
    records = _records(archive, place.name)
    every: list[Entry] = []
    fibers, images = sum(map(_fibers, records)), sum(len(r.images) for r in records)
    if fibers:
        every.append(Entry("all spectra", str(fibers), Spectra(place.name)))
    if images:
        every.append(Entry("all images", str(images), Pictures(place.name)))
    return [*every, *_keys(records, "")]


def _keys(records: list[ShotRecord], prefix: str) -> list[Entry]:
    """Return shots and folders of shots below a prefix of their keys.

    A folder of one shot is left out: the shot stands there with the rest of its key.
    """
    parts: dict[str, list[ShotRecord]] = {}
    for record in records:
        if record.key.startswith(prefix):
            head, slash, _ = record.key[len(prefix) :].partition("/")
            parts.setdefault(head + slash, []).append(record)
    found = []
    for head, members in parts.items():
        if head.endswith("/") and len(members) > 1:
            folder = Folder(members[0].instrument, prefix + head)
            found.append(Entry(head, count(len(members), "shot"), folder, True))
            continue
        for record in members:
            label = record.key[len(prefix) :]
            found.append(Entry(label, _about(record), Shot(record.identity), True))
    return found


def _shot(record: ShotRecord) -> list[Entry]:
    images = [
        Entry(name, _image_about(about), Picture(record.identity, name))
        for name, about in record.images.items()
    ]
    return [*images, *_groups(record, "", 0)]


def _groups(record: ShotRecord, parent: str, depth: int) -> list[Entry]:
    """Return the groups of a parent, each followed by those that have it as theirs."""
    found: list[Entry] = []
    for name, about in record.groups.items():
        if about["parent"] == parent:
            text = count(int(about["rows"]), "spectrum", "spectra")
            label = ("└ " * (depth > 0)) + name
            found.append(Entry(label, text, Group(record.identity, name)))
            if depth < 8:  # a damaged catalogue may go in circles
                found += _groups(record, name, depth + 1)
    return found


def _about(record: ShotRecord) -> str:
    parts = []
    if record.images:
        parts.append(count(len(record.images), "image"))
    if record.groups:
        spectra = sum(int(about["rows"]) for about in record.groups.values())
        parts.append(count(spectra, "spectrum", "spectra"))
    if record.kind != "science":
        parts.append(record.kind)
    return ", ".join(parts) or "empty"


def _image_about(about: dict[str, Sequence[int]]) -> str:
    return " x ".join(str(size) for size in reversed(about["shape"]))


def _fibers(record: ShotRecord) -> int:
    return sum(rows for *_, rows in record.indexed)
