"""Links: arrays that stand in another shot of the archive, found, checked and kept for a while."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from corecube.archive.inside import inside
from corecube.archive.layout import shot_path
from corecube.errors import ArchiveDamaged, CorecubeError
from corecube.frames import Array, Link, digest_of

_KEEP: Final = 128 * 2**20
"""Bytes of linked arrays that are kept: a night's frames share two or three masters."""

Opener = Callable[[Path, Path], Any]

_Key = tuple[str, int, int, str, str, str]

_kept: OrderedDict[_Key, Array] = OrderedDict()
_lock = threading.Lock()
_depth = threading.local()

_DEPTH: Final = 4
"""Links to links that are followed: ours lead to the array itself, a stranger's may go round."""


def path_of(link: Link) -> str:
    """Return the path, below the archive, of the shot file that a link leads to."""
    instrument, _, key = link.shot.partition("/")
    return shot_path(instrument, key, link.generation)


def resolve(
    link: Link, archive: Path | None, where: str, opener: Opener, *, fresh: bool = False
) -> Array:
    """Return the array that a link leads to, with the link.

    Parameters
    ----------
    link : Link
    archive : Path or None
        Folder of the archive.
    where : str
        The file that has the link, for messages.
    opener : callable
        `StoredShot`: opens a shot file of an archive.
    fresh : bool
        Read it again though it is kept.

    Returns
    -------
    Array
        Its values are shared with other readers and cannot be written to.

    Raises
    ------
    ArchiveDamaged
        If the shot file is missing or damaged, has no such array, or the array is another one.
    """
    names = f"{where}: links to {link.field} of {link.frame} in {link.shot}"
    todo = "ingest the files of both shots again with --force"
    if archive is None:
        raise ArchiveDamaged(f"{names}, but does not stand in an archive; open it from its archive")
    path = archive / path_of(link)
    depth = getattr(_depth, "now", 0)
    try:
        status = path.stat()
        key = (
            str(path), status.st_ino, status.st_mtime_ns, link.frame, link.field, link.digest
        )  # fmt: skip
        with _lock:
            if key in _kept and not fresh:
                _kept.move_to_end(key)
                return _kept[key]
        inside(archive, path_of(link))
        if depth >= _DEPTH:
            raise ArchiveDamaged("it is a link to a link to a link, which is not followed")
        _depth.now = depth + 1
        with opener(path, archive) as shot:
            if (shot.identity, shot.generation) != (link.shot, link.generation):
                raise ArchiveDamaged(f"{path} is {shot.identity}, generation {shot.generation}")
            found: Array = shot.field(link.frame, link.field)
        if digest_of(found) != link.digest:
            raise ArchiveDamaged("that array is another one now")
    except FileNotFoundError as error:
        raise ArchiveDamaged(
            f"{names}, but {path} is missing; if others write just now, ask again, else {todo}"
        ) from error
    except (CorecubeError, OSError) as error:
        raise ArchiveDamaged(f"{names}, which cannot be read ({error}); {todo}") from error
    finally:
        _depth.now = depth
    array = Array(found.values, found.unit, found.axes, found.description, link)
    array.values.flags.writeable = False
    with _lock:
        _kept[key] = array
        while sum(each.values.nbytes for each in _kept.values()) > _KEEP and len(_kept) > 1:
            _kept.popitem(last=False)
    return array
