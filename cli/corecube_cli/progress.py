"""What is seen of an ingest while it runs, on stderr."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from corecube.text import printable
from corecube_cli.console import console, is_terminal, width_of

if TYPE_CHECKING:
    from corecube.pipeline.report import ShotReport

_BAR: Final = 20
"""Columns of the bar."""
_CLEAR: Final = "\r\x1b[K"


class Lines:
    """A line per shot, failure and note, for logs and pipes."""

    def __init__(self) -> None:
        self.total = 0
        self.done = 0
        self.said: set[tuple[str, str]] = set()

    def begin(self, shots: int) -> None:
        """Hear how many shots will be made."""
        self.total = shots

    def shot(self, report: ShotReport) -> None:
        """Print a line for a shot that has ended."""
        self.done += 1
        console.say(f"[{self.done}/{self.total}] {shot_line(report)}")

    def trouble(self, where: str, reason: str) -> None:
        """Print a failure once."""
        if (where, reason) not in self.said:
            self.said.add((where, reason))
            console.failure(where, reason)

    def note(self, where: str, text: str) -> None:
        """Print a note."""
        console.say(f"{where}: note: {text}")

    def end(self) -> None:
        """Leave stderr at the beginning of a line."""


class Bar(Lines):
    """One line that is drawn anew, for terminals; failures and notes stand above it."""

    def __init__(self) -> None:
        super().__init__()
        self.started = time.monotonic()
        self.last = ""

    def begin(self, shots: int) -> None:
        """Draw the empty bar."""
        super().begin(shots)
        self._draw()

    def shot(self, report: ShotReport) -> None:
        """Move on by a shot."""
        self.done += 1
        self.last = report.identity
        self._draw()

    def trouble(self, where: str, reason: str) -> None:
        """Print a failure above the bar."""
        self._write(_CLEAR)
        super().trouble(where, reason)
        self._draw()

    def note(self, where: str, text: str) -> None:
        """Print a note above the bar."""
        self._write(_CLEAR)
        super().note(where, text)
        self._draw()

    def end(self) -> None:
        """Remove the bar."""
        self._write(_CLEAR)

    def _draw(self) -> None:
        if not self.total:
            return
        filled = _BAR * self.done // self.total
        seconds = int(time.monotonic() - self.started)
        text = (
            f"[{'#' * filled}{'.' * (_BAR - filled)}] {self.done}/{self.total} shots "
            f"{seconds // 60}:{seconds % 60:02d} {printable(self.last)}"
        )
        self._write(_CLEAR + text[: (width_of(sys.stderr) or 80) - 1])

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def watcher() -> Lines:
    """Return what fits: a bar on a terminal, lines elsewhere; both keep quiet where told to."""
    return Bar() if is_terminal(sys.stderr) and not console.quiet else Lines()


def shot_line(report: ShotReport) -> str:
    """Return what became of a shot, in one line."""
    entries = " ".join(report.entries[:8]) + (" ..." if len(report.entries) > 8 else "")
    text = f"{report.identity} {report.state}"
    if entries:
        text += f": {entries}"
    if report.failed:
        text += f"; failed: {' '.join(report.failed)}"
    if report.state in ("waiting", "kept"):
        text += f"; {report.reason}"
    return f"{text} ({report.seconds:.1f} s)" if report.seconds else text
