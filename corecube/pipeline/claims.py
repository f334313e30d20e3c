"""A file may serve several shots: what each says of it, and what the report says."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from corecube.pipeline.report import FileReport
from corecube.shots import ShotPlan

_MAIN: Final = ("failed", "ingested", "unchanged", "planned", "not done", "waiting")
"""Of a frame's own file a failure is never hidden behind another shot."""
_COMPANION: Final = ("companion", "planned", "waiting", "not done", "failed")
"""A companion that was of use somewhere is one."""


@dataclass(frozen=True)
class Place:
    """Where a plan uses a file.

    Attributes
    ----------
    entry : str
        The first entry that uses it; "": all of them.
    main : tuple of str
        Entries that are read from it.
    """

    entry: str
    main: tuple[str, ...] = ()

    def among(self, entries: Collection[str]) -> str:
        """Return the first of `entries` that is read from the file, "" if none is."""
        return next((entry for entry in self.main if entry in entries), "")


def places_of(plan: ShotPlan) -> dict[str, Place]:
    """Return where a plan uses each of its files, by path."""
    found = {source.path: Place("") for source in plan.companions}
    for entry, sources in plan.entries.items():
        for number, source in enumerate(sources):
            place = found.get(source.path, Place(entry))
            if number == 0:
                first = place.main[0] if place.main else entry
                place = Place(first, (*place.main, entry))
            found[source.path] = place
    return found


class Claims:
    """What shots say of files."""

    def __init__(self) -> None:
        self._found: dict[str, list[tuple[tuple[bool, int, bool, str], FileReport]]] = {}

    def add(self, report: FileReport, *, main: bool = False, own: bool = False) -> None:
        """Note what became of a file in a shot.

        Parameters
        ----------
        report : FileReport
        main : bool
            It is the main file of an entry, whose shots count before those that it accompanies.
        own : bool
            Of several, the shot of the file's own key is named.
        """
        states = _MAIN if main else _COMPANION
        order = states.index(report.state) if report.state in states else 0
        claim = (not main, order, not own, report.shot), report
        self._found.setdefault(report.path, []).append(claim)

    def of(self, path: str) -> FileReport | None:
        """Return what the report says of a file; the same whatever the order of the claims."""
        found = self._found.get(path)
        return min(found, key=lambda claim: claim[0])[1] if found else None

    def all(self) -> list[FileReport]:
        """Return what the report says of every file."""
        return [report for path in self._found if (report := self.of(path)) is not None]
