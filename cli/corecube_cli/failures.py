"""From exceptions to exit codes and one line for the user.

====  ==============================================================================
code  meaning
====  ==============================================================================
0     all done; also a query that found nothing
1     a bug; the path of a saved traceback is printed
2     usage: unknown option, bad value, unknown instrument, invalid configuration
3     partly done: something was ingested or was there already, something failed;
      a repair that had to set shots aside; an export of an archive with damaged shots
4     no input could be ingested
5     the archive is missing, damaged, locked, of a newer format; or the disk is full
6     the plugin cannot be used
7     nothing found, with ``--fail-empty``
8     a check has found something wrong
130   Ctrl-C
141   the reader of a pipe has gone
143   SIGTERM
====  ==============================================================================
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from typing import IO, Any, Final

from corecube.errors import (
    AmbiguousName,
    ArchiveError,
    ConfigurationError,
    CorecubeError,
    NoSpace,
    PluginError,
)
from corecube.text import printable
from corecube_cli.console import console

BUG: Final = 1
USAGE: Final = 2
PARTLY: Final = 3
ARCHIVE: Final = 5
PLUGIN: Final = 6
NOTHING_FOUND: Final = 7
CHECK_FAILED: Final = 8
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141
TERMINATED: Final = 143

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DISK: Final = (errno.EROFS, errno.EIO)
_LISTED: Final = 20
"""Names that fit are listed up to this number."""


class UsageProblem(CorecubeError, ValueError):
    """Options or arguments that do not fit together, or a file that cannot be written there."""

    code = "usage"


def no_space(error: OSError, path: object = "") -> CorecubeError:
    """Return the error for a file of the user's that could not be written."""
    where = error.filename or path
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return NoSpace(f"{where}: {reason}; free some space and run the same command again")
    if error.errno in _DISK:
        return NoSpace(f"{where}: {reason}; see to the disk and run the same command again")
    return UsageProblem(f"{where}: {reason}")


def code_of(error: CorecubeError) -> int:
    """Return the exit code of one of our errors."""
    if isinstance(error, ArchiveError):
        return ARCHIVE
    if isinstance(error, PluginError):
        return USAGE if error.code == "unknown-instrument" else PLUGIN
    return USAGE


def tell_error(error: CorecubeError) -> int:
    """Print one of our errors and return its exit code."""
    text = str(error)
    if not isinstance(error, ConfigurationError):  # which has a line for each setting
        text = text.replace("\n", "\\n")  # of names in files: it is one error all the same
    console.error(text)
    if isinstance(error, AmbiguousName):
        for name in error.matches[:_LISTED]:
            sys.stderr.write(f"  {printable(name)}\n")
        if len(error.matches) > _LISTED:
            sys.stderr.write(f"  ... and {len(error.matches) - _LISTED} more\n")
    return code_of(error)


def tell_bug(error: BaseException) -> int:
    """Save the traceback of what must not happen, say where it is, and return the exit code."""
    text = "".join(traceback.format_exception(error))
    if console.verbose:
        sys.stderr.write(text)
    try:
        handle, path = tempfile.mkstemp(prefix="corecube-", suffix="-traceback.txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{console.command}\n{_versions()}\n\n{text}")
        saved = f"the traceback is in {path}; please report it"
    except OSError:
        sys.stderr.write(text)
        saved = "please report it"
    line = " ".join(str(error).split())
    kind = type(error).__name__
    console.error(f"this is a bug: {kind}: {line}; {saved}" if line else f"{kind}; {saved}")
    return BUG


def tell_os_error(error: OSError) -> int:
    """Print an error of the operating system that nobody caught, and return its exit code."""
    of_a_file = isinstance(error, PermissionError | FileNotFoundError | NotADirectoryError)
    if error.errno in _FULL + _DISK or (error.filename and of_a_file):
        return tell_error(no_space(error))
    return tell_bug(error)


def reader_gone(stream: IO[Any] | None) -> bool:
    """Say whether the other end of an output stream has been closed."""
    import select

    try:
        assert stream is not None
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))
    except (OSError, ValueError, AssertionError):
        return True


def silence(stream: IO[Any] | None) -> None:
    """Send what is still to be written to a closed pipe to nowhere."""
    try:
        assert stream is not None
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AssertionError):
        return


def _versions() -> str:
    from importlib.metadata import PackageNotFoundError, version

    found = [f"python {sys.version.split()[0]}"]
    for name in ("corecube", "numpy", "astropy", "tables", "typer"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} ?")
    return ", ".join(found)
