"""Folders of dead processes are removed, those of living ones are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from corecube import scratch

HOLD = "from corecube import scratch; print(scratch.make_folder(), flush=True); input()"


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


def started(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(parent), "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    assert folder.is_dir() and folder.parent == parent
    return process, folder


def test_what_a_killed_process_left_is_removed_and_a_living_one_keeps_its_own(
    parent: Path,
) -> None:
    dead, gone = started(parent)
    (gone / "unpacked.h5").write_bytes(b"x" * 1000)
    alive, kept = started(parent)
    try:
        dead.send_signal(signal.SIGKILL)
        # not waited for: a zombie is dead as well
        os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
        assert scratch.remove_dead(parent) == [gone.name]
        assert kept.is_dir() and not gone.exists()
        dead.wait()
        assert scratch.remove_dead(parent) == []
    finally:
        for process in (dead, alive):
            process.kill()
            process.communicate()
    assert scratch.remove_dead(parent) == [kept.name]


def test_a_new_process_removes_what_a_killed_one_left(parent: Path) -> None:
    first, gone = started(parent)
    first.kill()
    first.communicate()
    second, kept = started(parent)
    second.communicate("\n")
    assert not gone.exists() and kept.exists()


def test_what_cannot_be_judged_is_left_alone(parent: Path) -> None:
    here, me = scratch._here(), os.getpid()
    own = scratch._started(me)
    names = [
        f"{scratch.PREFIX}000000000000-1-1-aa",  # of another host, boot or container
        f"{scratch.PREFIX}{here}-{me}-{own}-aa",  # alive
        "corecube-abcdef", "corecube-1-traceback.txt", f"{scratch.PREFIX}{here}-x-1-aa",
    ]  # fmt: skip
    for name in names:
        (parent / name).mkdir()
    (parent / "elsewhere").mkdir()
    link = f"{scratch.PREFIX}{here}-999999999-1-link"
    (parent / link).symlink_to(parent / "elsewhere")
    reused = f"{scratch.PREFIX}{here}-{me}-{own + 1}-aa"  # the number of a dead process
    (parent / reused).mkdir()
    assert scratch.remove_dead(parent) == [reused]
    assert sorted(p.name for p in parent.iterdir()) == sorted([*names, link, "elsewhere"])


def test_a_folder_ends_with_its_block(parent: Path) -> None:
    with pytest.raises(ValueError, match="x"), scratch.folder() as folder:
        (Path(folder) / "file").write_bytes(b"x")
        raise ValueError("x")
    assert not Path(folder).exists()


def test_a_process_that_is_gone_has_not_started() -> None:
    assert scratch._started(os.getpid()) > 0
    assert scratch._started(2**22 + 1) == 0  # above the largest number that Linux gives
