"""One file per key, entry and kind: duplicates, ranks, conflicts, and what is already here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from corecube.archive.layout import to_text
from corecube.pipeline.joining import Digests, Stored, exists, place_in
from corecube.pipeline.report import FileReport, State
from corecube.shots import FileInfo

_NAMED: Final = 4
"""So many files for one place are named."""


class Rivals:
    """Chooses among files for one place, and says what becomes of the others.

    Parameters
    ----------
    instrument : str
    stored : Stored
    digests : Digests
    """

    def __init__(self, instrument: str, stored: Stored, digests: Digests) -> None:
        self.instrument = instrument
        self.stored = stored
        self.digests = digests
        ingested = [info for _, info in stored.ingested()]
        self._here = {info.source.path for info in ingested}
        self._own = {info.observation for info in ingested}

    def choose(self, infos: Sequence[FileInfo]) -> tuple[list[FileInfo], list[FileReport]]:
        """Leave the files to plan with, and report those that are not taken."""
        said: list[FileReport] = []
        places: dict[tuple[str, ...], list[FileInfo]] = defaultdict(list)
        many: dict[tuple[str, ...], list[FileInfo]] = defaultdict(list)
        for info in infos:
            where = self.stored.elsewhere.get(info.observation)
            if info.observation and where and info.observation not in self._own:
                said.append(
                    FileReport(
                        info.source.path, "already here", info.source.kind, *where,
                        f"{where[0]} has this observation, as entry {where[1]}",
                    )
                )  # fmt: skip
            elif info.key:
                places[place_in(info)].append(info)
            else:
                same = info.entry, info.source.kind, str(info.source.size), to_text(info.facts)
                many[same].append(info)
        taken = []
        for rivals in places.values():
            taken += rivals if len(rivals) == 1 else self._best(rivals, said)
        for alike in many.values():
            taken += alike if len(alike) == 1 else self._copies(alike, said)
        return taken, said

    def _best(self, same: list[FileInfo], said: list[FileReport]) -> list[FileInfo]:
        """Take the highest rank; of equal rank, all must have the same content."""
        same.sort(key=self._preference)
        best = same[0]
        conflict = [
            info for info in same[1:]
            if info.rank == best.rank and not self._equal(info, best)
        ]  # fmt: skip
        taken = [best]
        if conflict:
            rivals = (best, *conflict)
            names = ", ".join(info.source.path for info in rivals[:_NAMED])
            if len(rivals) > _NAMED:
                names += f" and {len(rivals) - _NAMED} more"
            # what was ingested is not taken away by what comes later
            taken = [info for info in rivals if info.source.path in self._here][:1]
            said += [
                self._fate(
                    info, "failed",
                    f"differs from another file for the same place ({names}); remove one of them, "
                    "or name the one to take with --replace",
                )
                for info in rivals if info not in taken
            ]  # fmt: skip
        for info in same[1:]:
            if info in conflict:
                continue
            if self._equal(info, best):
                said.append(self._fate(info, "duplicate", f"the same as {best.source.path}"))
            else:
                said.append(self._fate(info, "outranked", f"less than {best.source.path}"))
        return taken

    def _copies(self, alike: list[FileInfo], said: list[FileReport]) -> list[FileInfo]:
        """Leave out copies of files that serve many.

        Companions may be equal in every byte and mean something else by their names; of them only
        as many are left out as have been moved.
        """
        taken = []
        contents: dict[str, list[FileInfo]] = defaultdict(list)
        for info in alike:
            contents[self.digests.of(info.source)].append(info)
        for same in contents.values():
            same.sort(key=self._preference)
            new = sum(info.source.path not in self._here and exists(info) for info in same)
            gone = [info for info in same if not exists(info)]
            copies = same[1:] if same[0].entry else gone[:new]
            taken += [info for info in same if info not in copies]
            said += [
                self._fate(info, "duplicate", f"the same as {same[0].source.path}")
                for info in copies
            ]
        return taken

    def _equal(self, one: FileInfo, other: FileInfo) -> bool:
        found = self.digests.of(one.source)
        return found != "" and found == self.digests.of(other.source)

    def _preference(self, info: FileInfo) -> tuple[int, bool, bool, str]:
        """Of equal rank that which is still there, and of these that which was ingested."""
        path = info.source.path
        return -info.rank, not exists(info), path not in self._here, path

    def _fate(self, info: FileInfo, state: State, reason: str) -> FileReport:
        shot = f"{self.instrument}/{info.key}" if info.key else ""
        return FileReport(info.source.path, state, info.source.kind, shot, info.entry, reason)
