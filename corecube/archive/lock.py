"""One writer at a time."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import os
import re
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final

from corecube.archive import networks
from corecube.archive.layout import LOCK
from corecube.errors import ArchiveBusy, ArchiveError

_SETTLE: Final = 0.5
"""Seconds until what was written on a network file system is read again: a writer of another host
that began at the same time has written its name by then."""

_HOLDER: Final = re.compile(r"process (\d+) of .* on (\S+) since .*", re.DOTALL)


class WriterLock:
    """Held by the process that changes an archive; the kernel frees it when the process dies.

    The file is never deleted: a process that still waits on the old file would share it with one
    that made a new one (see ``flock(2)``). It names its holder, and is empty when nobody holds it.
    On a network file system, where the kernel's lock may not reach other hosts, a holder on another
    host is believed: a line of a writer that died there must be taken away by hand.

    Parameters
    ----------
    archive : Path
    """

    def __init__(self, archive: Path) -> None:
        self._path = archive / LOCK
        self._handle: int | None = None

    def __enter__(self) -> WriterLock:
        """Take the lock.

        Raises
        ------
        ArchiveBusy
            If another process holds it, or one of another host may; the message says which.
        ArchiveError
            If the archive cannot be written to, or its file system has no locks.
        """
        try:
            # a link in its place would have another file written over
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            handle = os.open(self._path, flags, 0o666)
        except OSError as error:
            raise self._refused("written to", error) from error
        try:
            self._take(handle)
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle
        return self

    def _take(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ArchiveBusy(
                f"{self._path.parent}: {_read(handle) or 'another process'} is writing into it; "
                "wait for it to end, then run the same command again"
            ) from error
        except OSError as error:
            raise self._refused("locked", error) from error
        kind = networks.network(self._path)
        if kind:
            self._refuse_other_hosts(_read(handle), kind)
        text = _holder()
        with contextlib.suppress(OSError):  # only for people: a full disk is told by what follows
            os.ftruncate(handle, 0)
            os.pwrite(handle, text.encode(), 0)
            if kind:
                os.fsync(handle)
        if kind:
            time.sleep(_SETTLE)
            with contextlib.suppress(OSError):  # opened anew, it is read from the server
                again = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    self._refuse_other_hosts(_read(again), kind)
                finally:
                    os.close(again)

    def _refuse_other_hosts(self, holder: str, kind: str) -> None:
        match = _HOLDER.match(holder)
        if match and match[2] != socket.gethostname():
            raise ArchiveBusy(
                f"{self._path.parent}: {holder} is writing into it, or died there; this is a file "
                f"system of type {kind}, where locks may not reach other hosts; if it has ended, "
                f"empty the file {self._path} and run the same command again"
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Free the lock."""
        if self._handle is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None

    def _refused(self, what: str, error: OSError) -> ArchiveError:
        return ArchiveError(
            f"{self._path.parent}: cannot be {what} ({error.strerror}); nothing has been changed; "
            "mend this, or choose another place"
        )


def _read(handle: int) -> str:
    return os.pread(handle, 500, 0).decode(errors="replace").strip()


def _holder() -> str:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    started = f", boot {networks.boot()}" if networks.boot() else ""
    return f"process {os.getpid()} of {_user()} on {socket.gethostname()} since {now}{started}\n"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return f"user {os.getuid()}"
