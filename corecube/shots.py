"""Files, plans and shots: what goes between an instrument and the core before pixels are read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Literal

from corecube.errors import FrameError
from corecube.files import Head, open_unpacked, read_unpacked, unpacked_path
from corecube.fits import Fits, Header
from corecube.frames import Array, Fibers, Image, Link, check_name, digest_of

Kind = Literal["science", "calibration"]


@dataclass(frozen=True, order=True)
class Source:
    """One input file.

    Attributes
    ----------
    path : str
        Absolute path.
    size : int
        Bytes.
    mtime_ns : int
        Time of the last change, ns.
    kind : str
        What the instrument takes it for: ``frame``, ``psField``, ``spec``.
    digest : str
        sha256 of the file's bytes (as stored, not unpacked); filled in by the core.
    """

    path: str
    size: int
    mtime_ns: int
    kind: str = ""
    digest: str = ""


@dataclass(frozen=True)
class FileHead:
    """The beginning of a file, for recognising it.

    Attributes
    ----------
    source : Source
    head : bytes
        The first 64 kB, unpacked.
    packing : str
        "", ``bz2``, ``gzip`` or ``xz``.
    """

    source: Source
    head: bytes
    packing: str = ""

    @property
    def name(self) -> str:
        """The file's name without folders."""
        return self.source.path.rsplit("/", 1)[-1]

    def cards(self, hdu: int = 0) -> Header:
        """Return the header of a FITS HDU that lies within the head.

        Raises
        ------
        FileNotUnderstood
            If it is no FITS file, or the header is damaged or beyond the head.
        """
        return Fits(self.head, self.source.path, partial=True).header(hdu)

    def open(self) -> BinaryIO:
        """Return a seekable file on the unpacked bytes, for when the head does not decide."""
        return open_unpacked(self.source.path)

    def read(self) -> bytes:
        """Return all unpacked bytes."""
        return read_unpacked(self.source.path)

    @classmethod
    def of(cls, path: str) -> FileHead:
        """Read the head of a file.

        Raises
        ------
        FileNotUnderstood
            If a packed file's beginning cannot be unpacked.
        OSError
            If it cannot be read.
        """
        head = Head.read(path)
        return cls(Source(path, head.size, head.mtime_ns), head.data, head.packing)


@dataclass(frozen=True)
class FileInfo:
    """What an instrument says of a file that it knows.

    Attributes
    ----------
    source : Source
        With `kind` filled in.
    key : str
        Key of the shot it belongs to; "" if it serves many.
    entry : str
        Entry of the shot it belongs to; "" if it serves all of them.
    rank : int
        Of two files of one key, entry and kind the higher rank is taken.
    observation : str
        Names what was observed where several instruments may know the file: the same text in two
        instruments is the same observed spectrum, and is stored once.
    facts : mapping
        Plain JSON that planning needs; ``waiting_for`` is text for the report, should the file be
        in no plan.
    """

    source: Source
    key: str = ""
    entry: str = ""
    rank: int = 0
    observation: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "source": vars(self.source) | {}, "key": self.key, "entry": self.entry,
            "rank": self.rank, "observation": self.observation, "facts": dict(self.facts),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FileInfo:
        """Return what `to_json` was given."""
        return cls(**{**data, "source": Source(**data["source"])})

    def with_digest(self, digest: str) -> FileInfo:
        """Return a copy whose source has this digest."""
        return replace(self, source=replace(self.source, digest=digest))


@dataclass(frozen=True)
class NotMine:
    """The instrument has looked at a file and does not take it.

    Attributes
    ----------
    reason : str
        Half a sentence for the report: ``an uncalibrated fpC image, which is not supported``.
    """

    reason: str


@dataclass(frozen=True)
class ShotPlan:
    """Which files make a shot. Plain JSON, made before any pixel is read.

    Attributes
    ----------
    key : str
        Unique for the instrument; names joined by ``/``.
    title : str
        For people.
    entries : mapping of str to tuple of Source
        What is read, one after another in this order: an entry is one detector, image or spectrum.
        Its first source is the main file, others are its companions.
    companions : tuple of Source
        Files that serve all entries.
    kind : {"science", "calibration"}
    needs : tuple of str
        Keys of calibration shots of this instrument, which are made before this one.
    grids : mapping of str to (int, int)
        For groups of fibres: first and last pixel, that the core widens all blocks to.
        For log-lambda groups these are grid indices, else 0 and the last pixel.
    settings : mapping
        Plain JSON that reading needs and the configuration does not have.
    """

    key: str
    title: str
    entries: Mapping[str, tuple[Source, ...]]
    companions: tuple[Source, ...] = ()
    kind: Kind = "science"
    needs: tuple[str, ...] = ()
    grids: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for part in self.key.split("/"):
            check_name(part, "shot key")
        object.__setattr__(self, "needs", tuple(self.needs))
        for entry in self.entries:
            check_name(entry, "entry")

    @property
    def sources(self) -> tuple[Source, ...]:
        """All sources: entry by entry, then the companions."""
        return tuple(s for sources in self.entries.values() for s in sources) + self.companions

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "key": self.key, "title": self.title, "kind": self.kind,
            "entries": {name: [vars(s) | {} for s in part] for name, part in self.entries.items()},
            "companions": [vars(s) | {} for s in self.companions],
            "needs": list(self.needs),
            "grids": {name: list(grid) for name, grid in self.grids.items()},
            "settings": dict(self.settings),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ShotPlan:
        """Return what `to_json` was given."""
        return cls(
            key=data["key"],
            title=data["title"],
            kind=data["kind"],
            entries={
                name: tuple(Source(**s) for s in part) for name, part in data["entries"].items()
            },
            companions=tuple(Source(**s) for s in data["companions"]),
            needs=tuple(data["needs"]),
            grids={name: (grid[0], grid[1]) for name, grid in data["grids"].items()},
            settings=data["settings"],
        )

    def map_sources(self, new: Mapping[str, Source]) -> ShotPlan:
        """Return a copy in which sources are replaced by path."""

        def swap(sources: tuple[Source, ...]) -> tuple[Source, ...]:
            return tuple(new.get(s.path, s) for s in sources)

        return replace(
            self,
            entries={name: swap(part) for name, part in self.entries.items()},
            companions=swap(self.companions),
        )


class Context:
    """What reading may use beside the plan.

    Parameters
    ----------
    scratch : str
        A folder for temporary files, emptied after the shot.
    shots : mapping of str to Shot, optional
        The shots that the plan needs, by key.
    """

    _KEEP = 64 * 2**20

    def __init__(self, scratch: str, shots: Mapping[str, Shot] | None = None) -> None:
        self.scratch = scratch
        self.shots: Mapping[str, Shot] = shots or {}
        self._kept: dict[str, bytes] = {}
        self._unpacked: dict[str, str] = {}

    def read(self, source: Source) -> bytes:
        """Return the unpacked bytes of a source.

        Small companions are kept, so that each entry may ask for them again.

        Raises
        ------
        FileNotUnderstood
            If a packed file is truncated or damaged.
        OSError
            If it cannot be read.
        """
        data = self._kept.get(source.path)
        if data is None:
            data = read_unpacked(source.path)
            if len(data) <= self._KEEP // 8:
                self._kept[source.path] = data
                while sum(map(len, self._kept.values())) > self._KEEP:
                    del self._kept[next(iter(self._kept))]
        return data

    def open(self, source: Source) -> BinaryIO:
        """Return a seekable file on the unpacked bytes of a source; see `read`."""
        return open_unpacked(source.path)

    def path(self, source: Source) -> str:
        """Return the path of a file with the unpacked bytes of a source.

        The source itself where it is not packed, else a copy in `scratch`, made once per shot in
        bounded memory: for formats that a library opens by name, as HDF5.

        Raises
        ------
        FileNotUnderstood, OSError
            As `read`.
        """
        found = self._unpacked.get(source.path)
        if found is None:
            found = unpacked_path(source.path, self.scratch)
            self._unpacked[source.path] = found
        return found


class Shot(ABC):
    """A shot, read only: the same while it is made and from the archive.

    Attributes
    ----------
    instrument, key : str
    generation : int
    plan : ShotPlan
    config : mapping
        The configuration used, plain JSON.
    images, groups : tuple of str
        Names of the image frames and of the groups of fibres.
    """

    instrument: str
    key: str
    generation: int
    plan: ShotPlan
    config: Mapping[str, Any]
    images: tuple[str, ...]
    groups: tuple[str, ...]

    @property
    def identity(self) -> str:
        """``instrument/key``."""
        return f"{self.instrument}/{self.key}"

    @abstractmethod
    def frame(self, name: str) -> Image:
        """Return an image frame with all that belongs to it."""

    @abstractmethod
    def rows(self, group: str, first: int, last: int) -> Fibers:
        """Return the rows `first` to `last` (exclusive) of a group."""

    def blocks(self, group: str, rows: int = 1024) -> Iterator[Fibers]:
        """Yield the fibres of a group in blocks of at most `rows`."""
        for first in range(0, self.row_count(group), rows):
            yield self.rows(group, first, min(first + rows, self.row_count(group)))

    @abstractmethod
    def row_count(self, group: str) -> int:
        """Return the number of fibres of a group."""

    def linked(self, name: str, field: str) -> Array:
        """Return an array of an image, to be kept in other shots' calibration as a link.

        Parameters
        ----------
        name : str
            Of the image.
        field : str
            ``flux``, ``error``, ``mask``, ``layers/NAME`` or ``calibration/NAME``.

        Raises
        ------
        QueryError
            If there is no such image.
        FrameError
            If it has no such field.
        """
        array = field_of(self.frame(name), field)
        link = Link(self.identity, self.generation, name, field, digest_of(array))
        return replace(array, link=link)


def field_of(image: Image, field: str) -> Array:
    """Return an array of an image by its name in a `Link`.

    Raises
    ------
    FrameError
        If there is none of this name.
    """
    kind, _, name = field.partition("/")
    found: Array | None = None
    if kind in ("layers", "calibration"):
        found = getattr(image, kind).get(name)
    elif field in ("flux", "error", "mask"):
        unit = "" if field == "mask" else image.unit
        found = Array(getattr(image, field), unit, ("y", "x"))
    if found is None:
        raise FrameError(f"image '{image.name}' has no field '{field}'")
    return replace(found, link=None)
