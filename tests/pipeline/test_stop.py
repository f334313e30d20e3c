"""Ctrl-C and SIGTERM: once is an orderly end, twice ends at once; the archive is good."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corecube.pipeline import Report

Run = Callable[..., Report]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def slow(toy: Any, tmp_path: Path) -> Path:
    """Six shots, a third of a second each."""
    for number in range(6):
        toy.image(tmp_path / "raw" / f"{number}.toy", key=f"field/{number}", fault="slow0.3")
    return tmp_path / "raw"


def wait_for(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("jobs", [1, 2])
def test_once_finishes_what_has_begun_and_says_so(
    start_ingest: Start,
    run: Run,
    slow: Path,
    compare: Any,
    tmp_path: Path,
    number: signal.Signals,
    jobs: int,
) -> None:
    archive = tmp_path / "a.corecube"
    process = start_ingest([slow], archive, options={"jobs": jobs})
    wait_for(lambda: list(archive.rglob("*.h5")))
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    out, err = process.communicate(timeout=30)
    report = json.loads(out.splitlines()[-1])
    assert err == ""
    assert report["interrupted"] == number.name
    done = [s["identity"] for s in report["shots"] if s["state"] == "ingested"]
    assert 1 <= len(done) < 6
    assert {s["state"] for s in report["shots"]} == {"ingested", "not done"}
    assert set(compare.content(archive)["shots"]) == set(done)
    assert compare.damages(archive) == []
    left = run(slow)
    assert left.exit_code() == 0
    assert sorted(f.state for f in left.files) == sorted(
        ["unchanged"] * len(done) + ["ingested"] * (6 - len(done))
    )
    run(slow, archive="at_once")
    assert compare.content(archive) == compare.content(tmp_path / "at_once.corecube")


def test_twice_ends_at_once(
    start_ingest: Start, run: Run, toy: Any, compare: Any, tmp_path: Path
) -> None:
    toy.image(tmp_path / "raw" / "0.toy", key="field/0", fault="slow1.2")
    for number in range(1, 4):
        toy.image(tmp_path / "raw" / f"{number}.toy", key=f"field/{number}", fault="slow20")
    archive = tmp_path / "a.corecube"
    process = start_ingest([tmp_path / "raw"], archive, options={"jobs": 2})
    wait_for(lambda: list(archive.rglob("*.h5")))
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=15)
    assert time.monotonic() - began < 10
    assert "KeyboardInterrupt" in err
    assert compare.damages(archive) == []
    wait_for(lambda: not alive(process.pid))  # no worker is left


@pytest.mark.parametrize("after", [0.0, 0.1, 0.25])
def test_a_signal_while_workers_start_kills_none(
    start_ingest: Start, slow: Path, compare: Any, tmp_path: Path, after: float
) -> None:
    # the workers need some tenths of a second for their imports
    archive = tmp_path / "a.corecube"
    process = start_ingest([slow], archive, options={"jobs": 2})
    wait_for(lambda: (archive / "lock").exists())
    time.sleep(after)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert err == ""
    report = json.loads(out.splitlines()[-1])
    assert {s["state"] for s in report["shots"]} <= {"ingested", "not done"}
    assert compare.damages(archive) == []
