"""What the user sees beside results: messages on stderr, one line each, harmless, in few colours.

Results go to stdout. Everything here goes to stderr.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from typing import IO, Any, Final

from corecube.text import printable

PROGRAM: Final = "corecube"

_RED: Final = "\x1b[1;31m"
_YELLOW: Final = "\x1b[33m"
_PLAIN: Final = "\x1b[0m"


@dataclass
class Console:
    """How much is said, and in which colours.

    Attributes
    ----------
    quiet : bool
        Only errors, warnings and failures.
    verbose : bool
    color : bool
        False: never any colour.
    arguments : tuple of str
        The command line behind the program's name.
    """

    quiet: bool = False
    verbose: bool = False
    color: bool = True
    arguments: tuple[str, ...] = ()

    def reset(self, arguments: tuple[str, ...] = ()) -> None:
        """Return to what holds before options are read."""
        self.quiet, self.verbose, self.color, self.arguments = False, False, True, arguments

    @property
    def command(self) -> str:
        """The command line that is being run, to be typed again."""
        return printable(shlex.join((PROGRAM, *self.arguments)))

    def say(self, text: str) -> None:
        """Write a line unless told to be quiet."""
        if not self.quiet:
            self._write(printable(text))

    def tell(self, text: str) -> None:
        """Write a line if asked to say more."""
        if self.verbose and not self.quiet:
            self._write(printable(text))

    def warn(self, text: str) -> None:
        """Write a warning."""
        self._write(f"{PROGRAM}: {self._paint('warning', _YELLOW)}: {printable(text)}")

    def error(self, text: str) -> None:
        """Write what went wrong; a message of several lines gives as many errors."""
        for line in text.splitlines() or [""]:
            self._write(f"{PROGRAM}: {self._paint('error', _RED)}: {printable(line)}")

    def failure(self, where: str, reason: str) -> None:
        """Write which input failed and why."""
        self._write(f"{self._paint(printable(where), _RED)}: {printable(reason)}")

    def colored(self, stream: IO[Any]) -> bool:
        """Say whether colours may go to a stream (no-color.org, force-color.org)."""
        if not self.color or os.environ.get("NO_COLOR"):
            return False
        if os.environ.get("FORCE_COLOR"):
            return True
        return is_terminal(stream) and os.environ.get("TERM", "dumb") != "dumb"

    def _paint(self, text: str, code: str) -> str:
        return f"{code}{text}{_PLAIN}" if self.colored(sys.stderr) else text

    @staticmethod
    def _write(line: str) -> None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


console: Final = Console()
"""The one of this process."""


def is_terminal(stream: IO[Any] | None) -> bool:
    """Say whether somebody sits at the other end of a stream."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def width_of(stream: IO[Any]) -> int | None:
    """Return the columns of the terminal behind a stream, None if it is none."""
    return shutil.get_terminal_size().columns if is_terminal(stream) else None


def confirm(question: str) -> bool:
    """Ask on stderr; only ``y`` or ``yes`` is a yes."""
    sys.stderr.write(f"{printable(question)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def count(number: int, one: str, many: str = "") -> str:
    """Return ``1 image``, ``6 images``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def size_text(size: float) -> str:
    """Return a number of bytes for people, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
