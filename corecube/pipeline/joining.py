"""Which files a run is about: those given, those that wait, and those of the shots they touch."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from corecube.archive.catalogue import Catalogue, ShotRecord
from corecube.archive.manifest import Manifest
from corecube.archive.writer import InstrumentState, load_sources, load_state
from corecube.files import digest
from corecube.shots import FileInfo, Source


@dataclass
class Stored:
    """What the archive has of one instrument, and of others what both may have.

    Attributes
    ----------
    shots : mapping of identity to ShotRecord
    infos : mapping of identity to list of FileInfo
        The files that each shot was planned from.
    state : InstrumentState
    elsewhere : mapping of str to (str, str)
        Observations that other instruments have stored: identity of the shot, and entry.
    """

    shots: Mapping[str, ShotRecord] = field(default_factory=dict)
    infos: Mapping[str, list[FileInfo]] = field(default_factory=dict)
    state: InstrumentState = field(default_factory=InstrumentState)
    elsewhere: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, archive: Path, manifest: Manifest, catalogue: Catalogue, name: str) -> Stored:
        """Read what the archive has of an instrument.

        Raises
        ------
        ArchiveDamaged
        """
        sources = load_sources(archive, manifest)
        states = load_state(archive, manifest)
        of_all = {record.instrument: cls() for record in catalogue.by_identity.values()}
        for instrument, part in of_all.items():
            mine = {i: r for i, r in catalogue.by_identity.items() if r.instrument == instrument}
            part.shots, part.infos = mine, {i: sources[i] for i in mine if i in sources}
            part.state = states.get(instrument, InstrumentState())
        stored = of_all.pop(name, cls(state=states.get(name, InstrumentState())))
        stored.elsewhere = {
            info.observation: (identity, info.entry)
            for other in of_all.values()
            for identity, info in other.ingested() if info.observation
        }  # fmt: skip
        return stored

    def known(self) -> dict[str, FileInfo]:
        """Return all infos by path."""
        found = {info.source.path: info for infos in self.infos.values() for info in infos}
        return found | {info.source.path: info for info in self.state.waiting}

    def identified(self, based_on: str) -> dict[str, FileInfo]:
        """Return the infos by path of shots made with this `fingerprint.basis`."""
        return {
            info.source.path: info
            for identity, infos in self.infos.items() if self.shots[identity].basis == based_on
            for info in infos
        }  # fmt: skip

    def ingested(self) -> list[tuple[str, FileInfo]]:
        """Return identities and the files that these shots were made of, failed ones left out."""
        failed = {(entry["shot"], entry["entry"]) for entry in self.state.failed.values()}
        return [
            (identity, info)
            for identity, infos in self.infos.items() for info in infos
            # a changed file that failed leaves what its entry was made of before
            if (identity, info.entry) not in failed or info.entry in self.shots[identity].entries
        ]  # fmt: skip


def exists(info: FileInfo) -> bool:
    """Say whether a file is there."""
    return os.path.exists(info.source.path)  # noqa: PTH110 - much faster than Path


def place_in(info: FileInfo) -> tuple[str, str, str]:
    """Return the place that a file has: two of one place are rivals."""
    return info.key, info.entry, info.source.kind


class Digests:
    """Digests of files, read only where they decide something.

    Parameters
    ----------
    stored : Stored
    check_content : bool
        Read bytes even where size and time of change are the same.
    """

    def __init__(self, stored: Stored, check_content: bool) -> None:
        self._gone = stored.known()
        self._known = {} if check_content else self._gone
        self._read: dict[str, str] = {}

    def of(self, source: Source) -> str:
        """Return the digest of a file, "" if it cannot be read."""
        if source.digest and source.path not in self._gone:
            return source.digest
        before = self._known.get(source.path)
        if before is not None and before.source.digest and same_file(before.source, source):
            return before.source.digest
        if source.path not in self._read:
            try:
                self._read[source.path] = digest(source.path)
            except OSError:
                stored = self._gone.get(source.path)
                self._read[source.path] = stored.source.digest if stored is not None else ""
        return self._read[source.path]


def same_file(before: Source, now: Source) -> bool:
    """Say whether a file is, by size and time of change, as it was."""
    return (before.size, before.mtime_ns) == (now.size, now.mtime_ns)


class Joining:
    """The files that are given to the instrument for planning.

    Stored shots are joined as a whole, with files that are gone: those that share a key with a
    file that is given or waits, and so on; all of them if a given file serves many. Files that
    serve many are joined even where their shots are not.

    Parameters
    ----------
    given : sequence of FileInfo
    stored : Stored
    replace : bool
        Leave out shots that the given files are for.

    Attributes
    ----------
    shots : set of str
        Identities of those joined.
    replaced : set of str
        Identities of those left out because they are replaced.
    lost : list of FileInfo
        Files that wait and are not there now; they wait on.
    """

    def __init__(self, given: Sequence[FileInfo], stored: Stored, *, replace: bool) -> None:
        self.given = {info.source.path: info for info in given}
        self.stored = stored
        self.replace = replace
        self.shots: set[str] = set()
        self.replaced: set[str] = set()
        places = {place_in(info) for info in given}
        self.waiting: dict[str, FileInfo] = {}
        self.lost: list[FileInfo] = []
        for info in stored.state.waiting:
            if exists(info):
                self.waiting[info.source.path] = info
            elif place_in(info) not in places:
                self.lost.append(info)
        self._by_key: dict[str, set[str]] = defaultdict(set)
        for identity in stored.shots:
            for key in self._keys(identity):
                self._by_key[key].add(identity)
        self._good = {id(info) for _, info in stored.ingested()}
        if replace:
            self.touch({i for info in given for i in self._by_key.get(info.key, ())})
        elif not all(info.key for info in given):
            self.touch(stored.shots)
        self._reach({info.key for info in (*given, *self.waiting.values())})

    @property
    def fresh(self) -> set[str]:
        """Paths of files that are given or wait."""
        return self.given.keys() | self.waiting.keys()

    def touch(self, identities: Iterable[str]) -> None:
        """Join shots that a given file is for; leave them out where they are replaced."""
        identities = set(identities)
        (self.replaced if self.replace else self.shots).update(identities)
        self._reach({key for identity in identities for key in self._keys(identity)})

    def join_all(self) -> None:
        """Join all shots but those that are replaced."""
        self.shots |= self.stored.shots.keys() - self.replaced

    def infos(self) -> list[FileInfo]:
        """Return the files, one info for each path."""
        found: dict[str, FileInfo] = {}
        for identity, infos in self.stored.infos.items():
            joined = identity in self.shots
            for info in infos:
                if joined:
                    # a file that failed and is gone says nothing any more
                    wanted = id(info) in self._good or exists(info)
                else:
                    wanted = not info.key and not self.replace and exists(info)
                if wanted:
                    found[info.source.path] = info
        return list((found | self.waiting | self.given).values())

    def overwritten(self, identity: str, entries: Collection[str]) -> FileInfo | None:
        """Return a file of an entry that a plan has no more, because another came in its place."""
        if identity in self.replaced:
            return None
        for info in self.stored.infos.get(identity, ()):
            now = self.given.get(info.source.path)
            if (
                now is not None
                and place_in(now) != place_in(info)
                and info.entry in self.stored.shots[identity].entries
                and info.entry not in entries
            ):
                return info
        return None

    def _keys(self, identity: str) -> set[str]:
        own = {info.key for info in self.stored.infos.get(identity, ())}
        return (own | {self.stored.shots[identity].key}) - {""}

    def _reach(self, keys: Iterable[str]) -> None:
        seen, left = set[str](), set(keys) - {""}
        while left:
            found = {i for key in left for i in self._by_key.get(key, ())}
            found -= self.shots | self.replaced
            self.shots |= found
            seen |= left
            left = {key for identity in found for key in self._keys(identity)} - seen
