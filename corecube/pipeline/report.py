"""What became of every file that an ingest was given."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, Literal

State = Literal[
    "ingested", "unchanged", "companion", "duplicate", "outranked", "already here", "waiting",
    "passed over", "failed", "planned", "not done",
]  # fmt: skip

STATES: Final[dict[str, str]] = {
    "ingested": "its frame is in the archive now",
    "unchanged": "its frame was in the archive already",
    "companion": "it was used for the frames of others",
    "duplicate": "another file of the same content is used",
    "outranked": "a fuller file of the same observation is used",
    "already here": "another instrument has stored the same observation",
    "waiting": "it is remembered until the files that it goes with, or needs, come",
    "passed over": "it does not belong to this instrument",
    "failed": "it could not be read; the reason stands beside it",
    "planned": "it would be ingested (--dry-run)",
    "not done": "the run ended before its turn",
}
"""The states of a file, and what they mean."""

SHOT_STATES: Final[dict[str, str]] = {
    "ingested": "it is in the archive now",
    "replaced": "it was made anew; what was stored of it before is gone",
    "unchanged": "it was in the archive already",
    "waiting": "it needs a calibration shot that is not there yet; its files are remembered",
    "kept": "it should be made anew but cannot be; it stays as it is",
    "failed": "it is not in the archive; the reason stands beside it or its entries",
    "planned": "it would be made (--dry-run)",
    "not done": "the run ended before its turn",
}
"""The states of a shot, and what they mean."""

DERIVED: Final = "derived"
LATE_MASKS: Final = "late masks"
SHOT_STEPS: Final = (DERIVED, LATE_MASKS)
"""Steps of a whole shot that fail like an entry: they cost only what they make."""


@dataclass
class FileReport:
    """One file.

    Attributes
    ----------
    path : str
    state : str
        One of `STATES`.
    kind : str
        What the instrument takes it for.
    shot, entry : str
    reason : str
        For what is not ingested: why, and what to do.
    notes : list of str
        What a user should know of the values.
    """

    path: str
    state: State
    kind: str = ""
    shot: str = ""
    entry: str = ""
    reason: str = ""
    notes: list[str] = field(default_factory=list)


@dataclass
class ShotReport:
    """One shot.

    Attributes
    ----------
    identity : str
    state : str
        One of `SHOT_STATES`.
    reason : str
    entries : list of str
        Entries in the archive.
    failed : dict of str to str
        Entries that failed, and why.
    seconds : float
    peak_bytes : int
        Largest memory of the worker until then.
    """

    identity: str
    state: str
    reason: str = ""
    entries: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    peak_bytes: int = 0


@dataclass
class Report:
    """All that an ingest did.

    Attributes
    ----------
    instrument, archive : str
    files : list of FileReport
        Every file seen, by path.
    shots : list of ShotReport
    interrupted : str
        "" or the signal that ended the run early.
    """

    instrument: str
    archive: str
    files: list[FileReport] = field(default_factory=list)
    shots: list[ShotReport] = field(default_factory=list)
    interrupted: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """Number of files by state, only states that occur."""
        counted = Counter(file.state for file in self.files)
        return {state: counted[state] for state in STATES if counted[state]}  # type: ignore[index]

    @property
    def failures(self) -> list[tuple[str, str]]:
        """What failed or was kept, and why; each once."""
        lines = {file.path: file.reason for file in self.files if file.state == "failed"}
        lines |= {
            shot.identity: shot.reason
            for shot in self.shots
            if shot.state == "kept" or (shot.state == "failed" and not shot.failed)
        }
        lines |= {
            f"{shot.identity}, {step}": shot.failed[step]
            for shot in self.shots for step in SHOT_STEPS if step in shot.failed
        }  # fmt: skip
        return list(lines.items())

    def exit_code(self) -> int:
        """Return the documented exit code: 0 all well, 3 partly done, 4 nothing done."""
        if not self.failures:
            done = any(f.state not in ("passed over",) for f in self.files)
            return 0 if done else 4
        good = {"ingested", "unchanged", "companion", "duplicate", "outranked", "already here"}
        return 3 if any(file.state in good for file in self.files) else 4

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; empty values are left out."""
        return {
            "report": 1,
            "instrument": self.instrument,
            "archive": self.archive,
            "interrupted": self.interrupted,
            "counts": self.counts,
            "files": [_short(file) for file in self.files],
            "shots": [_short(shot) for shot in self.shots],
        }


def _short(part: FileReport | ShotReport) -> dict[str, Any]:
    return {name: value for name, value in vars(part).items() if value}
