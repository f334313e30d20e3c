"""Which file system an archive lies on, and whether other hosts may write there at the same time.

The lock of the one writer is ``flock``. Within one host it is the kernel's word. On a network file
system it may reach other hosts (NFS since Linux 2.6.12, where the server has locks; Lustre mounted
with ``flock``), or only this one (``local_lock``, Lustre's ``localflock``, sshfs), and a program
cannot tell which (``flock(2)``, ``nfs(5)``).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

MOUNTS: Final = Path("/proc/self/mountinfo")

NETWORKS: Final = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "davfs", "glusterfs", "gpfs", "lustre", "ncpfs",
        "nfs", "nfs4", "ocfs2", "gfs2", "orangefs", "panfs", "pvfs2", "smb3", "smbfs", "vboxsf",
        "virtiofs", "wekafs",
    }
)  # fmt: skip
"""Types of file systems that several hosts mount at once, as the kernel names them."""

_FUSE: Final = frozenset(
    {
        "fuse.beegfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.davfs", "fuse.davfs2", "fuse.gcsfuse",
        "fuse.glusterfs", "fuse.goofys", "fuse.juicefs", "fuse.moosefs", "fuse.mfs", "fuse.rclone",
        "fuse.s3fs", "fuse.sshfs", "fuse.vmhgfs-fuse", "fuse.xrootdfs",
    }
)  # fmt: skip


def file_system(path: Path, mounts: Path = MOUNTS) -> str:
    """Return the type of the file system that a path lies on, "" where nobody says.

    Parameters
    ----------
    path : Path
        It need not be there; then its nearest parent counts.
    mounts : Path
        The table of mounts (``proc_pid_mountinfo(5)``).
    """
    try:
        text = mounts.read_bytes()
    except OSError:
        return ""
    place = os.fsencode(os.path.realpath(path))
    found, longest = "", -1
    for line in text.splitlines():
        before, separator, behind = line.partition(b" - ")
        fields = before.split(b" ")
        if not separator or len(fields) < 5 or not behind:
            continue
        point = _unescaped(fields[4])
        inside = place == point or place.startswith(point.rstrip(b"/") + b"/")
        # of two mounts on the same point the later one is seen
        if inside and len(point) >= longest:
            found, longest = behind.split(b" ")[0].decode("ascii", "replace"), len(point)
    return found


def network(path: Path, mounts: Path = MOUNTS) -> str:
    """Return the type of the network file system that a path lies on, "" if it lies on none."""
    kind = file_system(path, mounts)
    return kind if kind in NETWORKS or kind in _FUSE else ""


def _unescaped(text: bytes) -> bytes:
    """Return a mount point; blanks, tabs, line ends and backslashes stand as octal numbers."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8) & 255]), text)


def boot() -> str:
    """Return the id of this start of this machine's kernel, "" where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, ValueError):
        return ""
