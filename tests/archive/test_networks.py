"""On which file system an archive lies, and what the lock does where it may not reach others."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from corecube.archive import lock, networks
from corecube.archive.lock import WriterLock
from corecube.errors import ArchiveBusy, ArchiveError

MOUNTS = r"""
22 28 0:20 / /proc rw,nosuid - proc proc rw
28 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 28 0:40 / /net/home rw,relatime shared:20 master:1 - nfs4 server:/home rw,vers=4.2
32 31 0:41 / /net/home/local rw - ext4 /dev/vdb rw
33 28 0:42 /sub /mnt/with\040blank rw - fuse.sshfs me@host:/x rw
34 28 0:43 / /mnt/a rw - ext4 /dev/vdc rw
35 28 0:44 / /mnt/a rw - lustre 10.0.0.1@tcp:/l rw,flock
36 28 0:45 / /share rw - cifs //server/share rw
37 28 0:46 / /mnt/fuse rw - fuse.portal portal rw
broken line
38 28 0:47 / - no
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTS)
    return path


@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [
        ("/data/a.corecube", "ext4", ""),
        ("/net/home/a.corecube", "nfs4", "nfs4"),
        ("/net/homes/a.corecube", "ext4", ""),
        ("/net/home/local/a.corecube", "ext4", ""),
        ("/mnt/with blank/x/y", "fuse.sshfs", "fuse.sshfs"),
        ("/mnt/a/b", "lustre", "lustre"),  # mounted over the other
        ("/share", "cifs", "cifs"),
        ("/mnt/fuse/x", "fuse.portal", ""),
    ],
)
def test_the_mount_that_a_path_lies_on(mounts: Path, path: str, kind: str, network: str) -> None:
    assert networks.file_system(Path(path), mounts) == kind
    assert networks.network(Path(path), mounts) == network


def test_links_to_a_network_are_followed(mounts: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/net/home/me")
    assert networks.network(tmp_path / "link" / "a.corecube", mounts) == "nfs4"


def test_without_a_table_of_mounts_nothing_is_claimed(tmp_path: Path) -> None:
    assert networks.file_system(tmp_path, tmp_path / "none") == ""
    assert networks.network(tmp_path, tmp_path / "none") == ""


def test_this_machine_says_where_it_writes(tmp_path: Path) -> None:
    assert networks.file_system(tmp_path) or not networks.MOUNTS.exists()


# -- the lock --------------------------------------------------------------------------------------

OTHER = "process 77 of ann on far.away since 2026-01-02T03:04:05+00:00, boot 1234\n"


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of which the table of mounts says that it is shared by NFS."""
    monkeypatch.setattr(networks, "network", lambda *_: "nfs4")
    monkeypatch.setattr(lock, "_SETTLE", 0.01)
    return tmp_path


def test_a_holder_on_another_host_is_believed_on_a_network(shared: Path) -> None:
    (shared / "lock").write_text(OTHER)
    with pytest.raises(ArchiveBusy) as caught, WriterLock(shared):
        pass
    said = str(caught.value)
    assert "process 77 of ann on far.away" in said and "type nfs4" in said and "\n" not in said
    assert f"empty the file {shared / 'lock'} and run the same command again" in said
    assert (shared / "lock").read_text() == OTHER, "it is not ours to change"
    (shared / "lock").write_text("")  # as the message says
    with WriterLock(shared):
        assert socket.gethostname() in (shared / "lock").read_text()
    assert (shared / "lock").read_text() == "", "the next one need not ask whether we live"


def test_a_dead_holder_on_this_host_is_not(shared: Path) -> None:
    (shared / "lock").write_text(OTHER.replace("far.away", socket.gethostname()))
    with WriterLock(shared):
        pass


def test_on_a_local_disk_the_kernel_s_word_counts(tmp_path: Path) -> None:
    """A container may have had another name; its lock has gone with it."""
    (tmp_path / "lock").write_text(OTHER)
    with WriterLock(tmp_path):
        text = (tmp_path / "lock").read_text()
        assert text.startswith(f"process {os.getpid()} of ")
        if networks.boot():
            assert text.endswith(f", boot {networks.boot()}\n")


def test_two_hosts_that_begin_together_are_found(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's lock does not reach the other one, which writes its name after ours."""

    def other(_: float) -> None:
        (shared / "lock").write_text(OTHER)

    monkeypatch.setattr("time.sleep", other)
    with pytest.raises(ArchiveBusy, match=r"far\.away"), WriterLock(shared):
        pass


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_nothing_is_written_through_a_lock_that_is_none(tmp_path: Path, kind: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "archive"
    folder.mkdir()
    if kind == "link":
        (folder / "lock").symlink_to(victim)
    else:
        os.mkfifo(folder / "lock")
    if kind == "link":
        with pytest.raises(ArchiveError, match="cannot be written to"), WriterLock(folder):
            pass
    else:
        with WriterLock(folder):  # harmless, and it does not wait
            pass
    assert victim.read_text() == "precious"


# -- the command -----------------------------------------------------------------------------------


def test_ingest_warns_once_unless_told_that_all_is_well(
    toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from corecube_cli.main import run

    monkeypatch.setattr(networks, "network", lambda *_: "cifs")
    monkeypatch.setattr(lock, "_SETTLE", 0.0)
    toy.image(tmp_path / "r.toy")
    place = tmp_path / "a.corecube"
    order = ["ingest", "-i", "toy", str(tmp_path / "r.toy"), "-a", str(place)]
    assert run(order) == 0
    said = capsys.readouterr().err
    assert said.count("file system of type cifs: let no two hosts write") == 1
    assert run([*order, "--force", "--set", "ingest.network_disk=fine"]) == 0
    assert "cifs" not in capsys.readouterr().err
