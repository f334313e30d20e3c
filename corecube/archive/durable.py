"""Files that are either complete and on the disk, or not there.

Every file of an archive is written under a temporary name in its own directory, forced to the
disk, renamed, and the directory is forced to the disk as well. After a crash there is the old
file or the new one, and at worst a temporary that nobody reads (POSIX ``rename`` is atomic; see
``rename(2)`` and ``fsync(2)``).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from corecube.errors import NoSpace

# A quota and a limit on the size of a file (`ulimit -f`) are the same trouble to the user.
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

TEMPORARY_PREFIX = ".tmp-"


@dataclass(frozen=True, slots=True)
class FileStamp:
    """Size and digest of a file.

    Parameters
    ----------
    size : int
        Bytes.
    sha256 : str
        SHA-256 of all bytes, 64 hexadecimal digits.
    """

    size: int
    sha256: str


def temporary_path(path: Path) -> Path:
    """Return an unused name beside `path` for a file that is being written.

    The name is ``.tmp-<pid>-<random>``, so that whoever holds the archive's lock can tell the
    leftovers of dead writers.

    Parameters
    ----------
    path : Path
        Where the file will be in the end.

    Returns
    -------
    Path
        A name in the same directory; nothing is created.
    """
    return path.parent / f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(8)}"


def write_file(path: Path, pieces: Iterable[bytes | bytearray | memoryview]) -> FileStamp:
    """Write a file so that `path` holds all of it, or what it held before.

    A file that stands at `path` is replaced. The temporary is removed when anything fails, an
    interrupt and an exception of `pieces` included.

    Parameters
    ----------
    path : Path
        The file; its directory must exist.
    pieces : iterable of bytes-like
        The content in order; a memoryview must be C-contiguous.

    Returns
    -------
    FileStamp
        Size and digest of what was written.

    Raises
    ------
    NoSpace
        The disk, the quota or the limit of the file size is full.
    OSError
        Any other failure of the operating system.
    """
    temporary = temporary_path(path)
    digest = hashlib.sha256()
    size = 0
    with _space(path):
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            for piece in pieces:
                view = memoryview(piece)
                if view.nbytes == 0:  # an empty view cannot be cast
                    continue
                view = view.cast("B")
                digest.update(view)
                size += view.nbytes
                with _space(path):
                    _write_all(descriptor, view)
            with _space(path):
                os.fsync(descriptor)
        finally:
            # Some file systems report a full disk only here.
            with _space(path):
                os.close(descriptor)
        with _space(path):
            temporary.replace(path)
    except BaseException:
        # The first failure is the one to tell; a temporary that stays is swept up later.
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_directory(path.parent)
    return FileStamp(size, digest.hexdigest())


def commit_file(temporary: Path, final: Path) -> None:
    """Give a finished file its final name, durably.

    For files that another library wrote: the bytes are forced to the disk first, because closing
    an HDF5 file does not do so. When this fails before the renaming, `temporary` stays and is
    the caller's to remove.

    Parameters
    ----------
    temporary : Path
        The closed file, on the file system of `final`.
    final : Path
        Its name from now on; a file of this name is replaced.

    Raises
    ------
    NoSpace
        The disk turned out to be full.
    OSError
        Any other failure of the operating system.
    """
    with _space(final):
        descriptor = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(final)
    sync_directory(final.parent)
    if temporary.parent != final.parent:
        sync_directory(temporary.parent)


def make_directory(path: Path, below: Path | None = None) -> None:
    """Make a directory and its missing parents, durably.

    A file in a new directory survives a crash only if the directory's own entry does.

    Parameters
    ----------
    path : Path
        The directory; it may exist.
    below : Path, optional
        An existing parent. All names from there down are forced to the disk, also of directories
        that exist: a process that made one may have been killed before it could do so.

    Raises
    ------
    NoSpace
        The disk or the quota is full.
    OSError
        Any other failure, such as a file of this name.
    """
    if path == below or (below is None and path.is_dir()):
        return
    make_directory(path.parent, below)
    with _space(path):
        path.mkdir(exist_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Force the entries of a directory (names made, changed and removed) to the disk.

    Parameters
    ----------
    path : Path
        The directory.

    Raises
    ------
    NoSpace
        The disk turned out to be full.
    OSError
        Any other failure of the operating system.
    """
    with _space(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            # Some network file systems have no fsync of a directory and need none: their
            # renames are durable when they return.
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(descriptor)


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_all(descriptor: int, view: memoryview) -> None:
    # A write may be short, most of all just before the disk is full.
    while view:
        view = view[os.write(descriptor, view) :]


@contextlib.contextmanager
def _space(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        raise NoSpace(
            f"no space for {path} ({os.strerror(error.errno)}): nothing that was stored before "
            "is lost; free some space or raise the quota, then run the same command again"
        ) from error
