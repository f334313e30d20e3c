from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corecube.archive.durable import (
    commit_file,
    make_directory,
    sha256_file,
    sync_directory,
    temporary_path,
    write_file,
)
from corecube.errors import NoSpace


def leftovers(directory: Path) -> list[str]:
    return [entry.name for entry in directory.iterdir() if entry.name.startswith(".tmp-")]


@given(pieces=st.lists(st.binary(max_size=50), max_size=6))
def test_write_file_holds_the_pieces_in_order(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("write") / "file.bin"
    stamp = write_file(path, pieces)
    content = b"".join(pieces)
    assert path.read_bytes() == content
    assert stamp.size == len(content)
    assert stamp.sha256 == hashlib.sha256(content).hexdigest() == sha256_file(path)
    assert leftovers(path.parent) == []


def test_write_file_takes_arrays_of_any_shape(tmp_path: Path) -> None:
    values = np.arange(12, dtype="<f8").reshape(3, 4)
    empty = np.zeros((0, 4))
    stamp = write_file(tmp_path / "a", [empty.data, values.data, bytearray(b"end")])
    assert (tmp_path / "a").read_bytes() == values.tobytes() + b"end"
    assert stamp.size == 99


def test_write_file_replaces_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "manifest"
    write_file(path, [b"old"])

    def pieces() -> Iterator[bytes]:
        yield b"ne"
        # While the new content is being written a reader sees the old one.
        assert path.read_bytes() == b"old"
        (name,) = leftovers(tmp_path)
        assert name.startswith(f".tmp-{os.getpid()}-")
        yield b"w"

    write_file(path, pieces())
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failing_source_leaves_what_was_there(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    path = tmp_path / "manifest"
    write_file(path, [b"old"])

    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise failure

    with pytest.raises(failure):
        write_file(path, pieces())
    assert path.read_bytes() == b"old"
    assert leftovers(tmp_path) == []


def test_order_of_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are forced out before the name changes, the directory after it."""
    steps: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        kind = "directory" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file"  # noqa: PTH112
        steps.append(f"fsync {kind}")
        real_fsync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    write_file(tmp_path / "a", [b"1"])
    assert steps == ["fsync file", "rename", "fsync directory"]
    steps.clear()
    (tmp_path / "b.tmp").write_bytes(b"2")
    commit_file(tmp_path / "b.tmp", tmp_path / "b")
    assert steps == ["fsync file", "rename", "fsync directory"]
    assert (tmp_path / "b").read_bytes() == b"2"
    steps.clear()
    make_directory(tmp_path / "x" / "y")
    assert steps == ["fsync directory", "fsync directory"]
    steps.clear()
    make_directory(tmp_path / "x" / "y")
    assert steps == []
    # whoever made it may have been killed before its name was on the disk
    make_directory(tmp_path / "x" / "y", below=tmp_path)
    assert steps == ["fsync directory", "fsync directory"]


def test_commit_file_across_directories(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    source = tmp_path / "in" / "a"
    source.write_bytes(b"x")
    commit_file(source, tmp_path / "out" / "a")
    assert not source.exists()
    assert (tmp_path / "out" / "a").read_bytes() == b"x"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("call", ["write", "fsync", "close"])
def test_a_full_disk_is_no_space_wherever_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    real_close = os.close

    def fail(descriptor: int, *_: object) -> int:
        if call == "close":
            real_close(descriptor)
            monkeypatch.undo()
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(NoSpace) as caught:
        write_file(tmp_path / "a", [b"1"])
    monkeypatch.undo()
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "a") in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_other_failures_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        write_file(tmp_path / "missing" / "a", [b"1"])
    with pytest.raises(FileNotFoundError):
        sync_directory(tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        commit_file(tmp_path / "missing", tmp_path / "a")

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        write_file(tmp_path / "a", [b"1"])
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:3]))
    content = bytes(range(50))
    stamp = write_file(tmp_path / "a", [content])
    monkeypatch.undo()
    assert (tmp_path / "a").read_bytes() == content
    assert stamp.sha256 == hashlib.sha256(content).hexdigest()


def test_temporary_names_are_unique(tmp_path: Path) -> None:
    names = {temporary_path(tmp_path / "a") for _ in range(100)}
    assert len(names) == 100
    assert {name.parent for name in names} == {tmp_path}


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from corecube.archive.durable import write_file
from corecube.errors import NoSpace
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
path = Path(sys.argv[1])
write_file(path / "small", [b"kept"])
try:
    write_file(path / "large", (bytes(1_000_000) for _ in range(60)))
except NoSpace as error:
    print(error)
    sys.exit(7)
"""


def test_a_real_limit_of_the_file_size(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 7, done.stderr
    assert "no space for" in done.stdout
    assert [entry.name for entry in tmp_path.iterdir()] == ["small"]
    assert (tmp_path / "small").read_bytes() == b"kept"
