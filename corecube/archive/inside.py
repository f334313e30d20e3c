"""Names of files in an archive, which a stranger may have chosen: none leads out of its folder.

Manifest, logs and shot files name other files of the archive. A name with ``..``, an absolute one,
or a symbolic link on the way would have a reader look at any file of the user's, a writer write
into it, and a repair move it. A pipe or a device in the place of a file would be read for ever.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, BinaryIO, Final

from corecube.archive.layout import CATALOGUE, DAMAGED, INDEX, LOCK, MASKS, SHOTS, shot_path
from corecube.errors import ArchiveDamaged

_SMALL: Final = 2**32
"""Bytes of a JSON file that are read: the catalogue of ten million shots is smaller."""


_LINK: Final = "{}: is a symbolic link; links in an archive are not followed"


def leads_inside(name: Any, folder: str) -> bool:
    """Say whether a name is one of a file in this folder of the archive, by its text alone."""
    return isinstance(name, str) and name.startswith(f"{folder}/") and _is_plain(name)


def _is_plain(name: str) -> bool:
    return "\0" not in name and not {"", ".", ".."}.intersection(name.split("/"))


def is_shot_path(name: Any, instrument: str, key: str, generation: int) -> bool:
    """Say whether a name is the one that the file of a shot has."""
    return leads_inside(name, SHOTS) and bool(name == shot_path(instrument, key, generation))


def inside(archive: Path, name: str) -> Path:
    """Return the path of a file of an archive, which need not be there.

    Parameters
    ----------
    archive : Path
        Its folder, which may itself be reached by links.
    name : str
        Path below it, with slashes.

    Raises
    ------
    ArchiveDamaged
        If the name leads out of the archive, there is a symbolic link on the way, or something
        stands there that is no file.
    """
    if not _is_plain(name):
        raise ArchiveDamaged(
            f"{archive}: names the file '{name}', which is none in it; run 'corecube repair'"
        )
    path = archive
    mode = 0
    for part in name.split("/"):
        if mode and not stat.S_ISDIR(mode):
            break  # a file where a folder should be: who opens it says so
        path = path / part
        try:
            mode = os.lstat(path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return archive / name
        if stat.S_ISLNK(mode):
            raise ArchiveDamaged(_LINK.format(path))
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ArchiveDamaged(f"{path}: is no file; it is not read")
    return archive / name


def check_folders(archive: Path) -> None:
    """Refuse an archive whose folders are symbolic links, before anything is written into it.

    Raises
    ------
    ArchiveDamaged
    """
    for name in (SHOTS, MASKS, INDEX, CATALOGUE, DAMAGED, LOCK):
        path = archive / name
        if path.is_symlink():
            raise ArchiveDamaged(
                f"{path}: is a symbolic link; nothing is written through it; put what it leads to "
                "in its place"
            )


def open_file(path: Path) -> BinaryIO:
    """Open a file of an archive for reading, whole and into memory.

    Raises
    ------
    ArchiveDamaged
        If it is a symbolic link, no file, or absurdly large.
    OSError
        If there is none, or it cannot be read.
    """
    if path.is_symlink():
        raise ArchiveDamaged(_LINK.format(path))
    # a pipe would wait for a writer
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size > _SMALL:
        os.close(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(f"{path}: is a folder")
        raise ArchiveDamaged(f"{path}: is no file of an archive; it is not read")
    return os.fdopen(descriptor, "rb")
