"""What the cursor can stand on: names of things in the archive, without anything read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fiber:
    """A row of a group.

    Attributes
    ----------
    shot : str
        Identity, ``instrument/key``.
    group : str
    row : int
        Counts in the group.
    center : (float, float) or None
        The position that it answers, ICRS degrees.
    """

    shot: str
    group: str
    row: int
    center: tuple[float, float] | None = None


@dataclass(frozen=True)
class Picture:
    """An image of a shot, and where to look in it (ICRS degrees)."""

    shot: str
    name: str
    center: tuple[float, float] | None = None


@dataclass(frozen=True)
class Group:
    """A group of fibres of a shot."""

    shot: str
    name: str


@dataclass(frozen=True)
class Shot:
    """A whole shot."""

    identity: str


@dataclass(frozen=True)
class Spectra:
    """All indexed fibres of an instrument, or of all for ""."""

    instrument: str


@dataclass(frozen=True)
class Pictures:
    """All images of an instrument, or of all for ""."""

    instrument: str


@dataclass(frozen=True)
class Instrument:
    """An instrument."""

    name: str


@dataclass(frozen=True)
class Folder:
    """The shots of an instrument whose keys begin alike; `prefix` ends with a slash."""

    instrument: str
    prefix: str


@dataclass(frozen=True)
class More:
    """The children of a place from a number on."""

    parent: Instrument | Folder | Shot
    first: int


Place = Fiber | Picture | Group | Shot | Spectra | Pictures | Instrument | Folder | More
