"""One writer at a time."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from corecube.archive.layout import LOCK
from corecube.errors import ArchiveBusy, ArchiveError


class WriterLock:
    """Held by the process that changes an archive; the kernel frees it when the process dies.

    The file is never deleted: a process that still waits on the old file would share it with one
    that made a new one (see ``flock(2)``).

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
            If another process holds it; the message says which.
        ArchiveError
            If the archive cannot be written to, or its file system has no locks.
        """
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise self._refused("written to", error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(handle, 500, 0).decode(errors="replace").strip() or "another process"
            os.close(handle)
            raise ArchiveBusy(
                f"{self._path.parent}: {holder} is writing into it; wait for it to end, then run "
                "the same command again"
            ) from error
        except OSError as error:
            os.close(handle)
            raise self._refused("locked", error) from error
        self._handle = handle
        now = datetime.now(UTC).isoformat(timespec="seconds")
        text = f"process {os.getpid()} of {_user()} on {socket.gethostname()} since {now}\n"
        with contextlib.suppress(OSError):  # only for people: a full disk is told by what follows
            os.ftruncate(handle, 0)
            os.pwrite(handle, text.encode(), 0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Free the lock."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _refused(self, what: str, error: OSError) -> ArchiveError:
        return ArchiveError(
            f"{self._path.parent}: cannot be {what} ({error.strerror}); nothing has been changed; "
            "mend this, or choose another place"
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return f"user {os.getuid()}"
