"""Files for the user: whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from corecube_cli.failures import UsageProblem, no_space

SUFFIXES = {
    ".csv": "csv", ".json": "json", ".ecsv": "ecsv", ".vot": "votable", ".votable": "votable",
    ".xml": "votable", ".fits": "fits", ".fit": "fits", ".txt": "table",
}  # fmt: skip
"""Formats by the end of a file's name."""


def write_whole(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file under a temporary name and give it its own name when it is complete.

    Parameters
    ----------
    path : Path
        A file that is there is replaced.
    write : callable
        Gets the open file.

    Raises
    ------
    NoSpace
        If the disk is full.
    UsageProblem
        If nothing can be written there.
    """
    if path.is_dir():
        raise UsageProblem(f"{path}: is a folder; name a file")
    if path.exists() and not path.is_file():  # /dev/null, a named pipe: nothing to be replaced
        try:
            with path.open("wb") as file:
                write(file)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            raise no_space(error, path) from error
        return
    path = Path(os.path.realpath(path))  # what a link points to is replaced, not the link
    temporary = path.parent / f".tmp-{secrets.token_hex(6)}"
    try:
        with temporary.open("xb") as file:
            write(file)
        temporary.replace(path)
    except OSError as error:
        error.filename = str(path)
        raise no_space(error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(target: str, text: str) -> None:
    """Write text into a file, or to stdout if it is called ``-``."""
    if target == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    write_whole(Path(target), lambda file: _all(file, text.encode("utf-8", "backslashreplace")))


def check_writable(target: str) -> None:
    """See to it that a file can be written, before the work whose result it is to hold.

    Raises
    ------
    UsageProblem
        If its folder is missing or cannot be written to, or it is a folder itself.
    """
    path = Path(target)
    if target == "-" or (path.exists() and not path.is_file() and not path.is_dir()):
        return
    if path.is_dir():
        raise UsageProblem(f"{path}: is a folder; name a file")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UsageProblem(f"{path}: its folder is missing or cannot be written to")


def _all(file: BinaryIO, data: bytes) -> None:
    file.write(data)


def folder_for(name: str) -> Path:
    """Return a folder for files, made if it is not there.

    Raises
    ------
    UsageProblem
        If it cannot be made or written to.
    """
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise UsageProblem(f"{folder}: is a file; name a folder") from error
    except OSError as error:
        raise no_space(error, folder) from error
    if not os.access(folder, os.W_OK):
        raise UsageProblem(f"{folder}: cannot be written to")
    return folder


def refuse_existing(paths: Iterable[Path], force: bool) -> None:
    """See to it that no file is replaced unasked.

    Raises
    ------
    UsageProblem
        If one of them is there and `force` is not given.
    """
    there = [path for path in paths if path.exists()]
    if there and not force:
        more = f" and {len(there) - 1} more files are" if len(there) > 1 else " is"
        raise UsageProblem(
            f"{there[0]}{more} there already; give --force to replace them, or another folder"
        )
