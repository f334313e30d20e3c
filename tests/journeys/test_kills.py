"""kill -9, Ctrl-C and SIGTERM in the middle of a run, and two runs at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import corecube
from corecube.pipeline import Options, ingest
from corecube.plugins import load

Start = Callable[..., "subprocess.Popen[str]"]
Run = Callable[..., Any]

SOAK = Path(__file__).resolve().parents[1] / "soak" / "kills.py"
KILLS = 50
WRITER = "corecube.archive.shotwriter:ShotWriter"
COMMIT = "corecube.archive.manifest:commit"
CERTAIN = {
    "first array of a shot": {"target": f"{WRITER}._store"},
    "in the middle of a shot": {"target": f"{WRITER}._store", "call": 37},
    "in the middle of the last shot": {"target": f"{WRITER}.add_block", "call": 2, "when": "after"},
    "before a shot is closed": {"target": f"{WRITER}.finish", "call": 2},
    "between close and rename": {"target": f"{WRITER}.finish", "call": 2, "when": "after"},
    "between rename and commit": {
        "target": "corecube.pipeline.work:commit_file", "call": 2, "when": "after",
    },
    "before the first commit": {"target": COMMIT},
    "between archive and first shot": {"target": COMMIT, "when": "after"},
    "between logs and manifest": {"target": COMMIT, "call": 3},
    "between manifest and report": {"target": COMMIT, "call": 3, "when": "after"},
    "before the last commit": {"target": COMMIT, "call": 5},
    "between index and logs": {
        "target": "corecube.archive.skyrun:write_run", "call": 2, "when": "after",
    },
    "in the log": {"target": "corecube.archive.recordlog:append", "call": 4, "when": "after"},
}  # fmt: skip


@pytest.fixture(scope="module")
def raw(simulate: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two fields and two plates; one field is packed."""
    folder = tmp_path_factory.mktemp("raw")
    for seed in (1, 2):
        simulate(seed, packed=seed == 1, bands="gri").rename(folder / str(seed))
    return folder


@pytest.fixture(scope="module")
def undisturbed(raw: Path, compare: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the archive should hold in the end."""
    path = tmp_path_factory.mktemp("undisturbed") / "a.corecube"
    complete(raw, path)
    return compare.content(path)


def complete(raw: Path, archive: Path) -> None:
    caller = load("sdss")
    report = ingest([str(raw)], archive, caller, caller.instrument.config(), Options())
    assert report.exit_code() == 0


def arguments(raw: Path, archive: Path, *more: object) -> tuple[object, ...]:
    return "ingest", "--instrument", "sdss", raw, "--archive", archive, "--jobs", 1, *more


@pytest.fixture
def check(
    raw: Path, undisturbed: Any, compare: Any, leftovers: Callable[[Path], list[str]]
) -> Callable[[Path, set[str]], None]:
    """Say whether all promises hold after a kill, then go on, and look again."""

    def look(archive: Path, reported: set[str]) -> None:
        left, stored = set(), {}
        if (archive / "manifest.json").exists():
            left = set(leftovers(archive))
            assert compare.damages(archive) == []
            stored = compare.content(archive)["shots"]
            assert reported <= set(stored)
            for identity, shot in stored.items():
                assert shot == undisturbed["shots"][identity]
        else:
            assert not reported
        complete(raw, archive)
        assert compare.damages(archive) == []
        assert compare.content(archive) == undisturbed
        # runs of the index that it has merged itself stay for readers until the next writer
        now = set(leftovers(archive))
        assert len(stored) == len(undisturbed["shots"]) or not now & left
        assert all(name.startswith("index/") and name.endswith(".run") for name in now)

    return look


@pytest.mark.parametrize("moment", CERTAIN)
def test_killed_at_a_certain_moment(
    start_cli: Start, check: Run, raw: Path, tmp_path: Path, moment: str
) -> None:
    archive = tmp_path / "a.corecube"
    process = start_cli(*arguments(raw, archive), batch=0, faults=[CERTAIN[moment]])
    _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, "it never came to that moment"
    check(archive, shots_of(err))


@pytest.mark.slow
def test_fifty_kills_at_moments_drawn_over_the_run(tmp_path: Path) -> None:
    """`make soak` does a thousand; on new archives and old ones, with all commands that write."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, str(SOAK), "--kills", str(KILLS), "--seed", "9", "--folder", tmp_path],
        env=environment, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    counts = dict(line.rsplit(maxsplit=1) for line in done.stdout.split("\n\n")[0].splitlines())
    assert counts.pop("all") == str(KILLS)
    assert len(counts) >= 8, "too few phases were met"
    assert f"{KILLS} kills -9 (seed 9)" in done.stdout and " 0 with losses" in done.stdout


def shots_of(err: str) -> set[str]:
    """Return the shots that were reported as ingested."""
    return {line.split()[1] for line in err.splitlines() if " ingested: " in line}


# -- worker processes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        {"target": f"{WRITER}._store", "call": 20},
        {"target": f"{WRITER}.finish", "call": 2, "when": "after"},
    ],
    ids=["while it writes", "before it renames"],
)
def test_workers_do_not_outlive_the_coordinator(
    start_cli: Start, check: Run, raw: Path, tmp_path: Path, living: Run, wait_for: Run,
    fault: dict[str, Any],
) -> None:  # fmt: skip
    archive = tmp_path / "a.corecube"
    process = start_cli(
        *arguments(raw, archive, "--jobs", 2), batch=0,
        # the worker's hand is stayed after its master's death: what it does then is seen
        faults=[{**fault, "do": "kill-parent"}],
    )  # fmt: skip
    assert process.wait(60) == -signal.SIGKILL
    wait_for(lambda: not living(process.pid), 10)
    _, err = process.communicate(timeout=10)
    assert "Traceback" not in err
    check(archive, shots_of(err))


def test_a_worker_that_hangs_ends_with_the_coordinator(
    start_cli: Start, check: Run, raw: Path, tmp_path: Path, living: Run, wait_for: Run, kill: Run
) -> None:
    archive, mark = tmp_path / "a.corecube", tmp_path / "hangs"
    fault = {"target": f"{WRITER}.finish", "call": 2, "do": "wait", "path": str(mark)}
    process = start_cli(*arguments(raw, archive, "--jobs", 2), batch=0, faults=[fault])
    wait_for(mark.exists)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    wait_for(lambda: not living(process.pid), 10)
    check(archive, shots_of(process.communicate(timeout=10)[1]))


def test_a_killed_worker_costs_its_shot_alone(
    cli: Run, check: Run, raw: Path, undisturbed: Any, compare: Any, tmp_path: Path
) -> None:
    victim = min(undisturbed["shots"])
    archive = tmp_path / "a.corecube"
    fault = {"target": f"{WRITER}.finish", "match": victim.removeprefix("sdss/")}
    report = tmp_path / "report.json"
    done = cli(*arguments(raw, archive, "--jobs", 2, "--report", report), faults=[fault])
    assert done.code == 3
    lines = [line for line in done.about(victim) if line.startswith(victim)]
    assert len(lines) == 1 and "SIGKILL" in lines[0] and "run the same command again" in lines[0]
    assert "semaphore" not in done.err
    others = set(undisturbed["shots"]) - {victim}
    assert done.ingested == others
    assert set(compare.content(archive)["shots"]) == others
    said = {s["identity"]: s["state"] for s in json.loads(report.read_text())["shots"]}
    assert said == {**dict.fromkeys(others, "ingested"), victim: "failed"}
    check(archive, others)


# -- Ctrl-C and SIGTERM ----------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_once_ends_in_order(
    start_cli: Start, check: Run, raw: Path, tmp_path: Path, living: Run, wait_for: Run,
    number: signal.Signals, jobs: int,
) -> None:  # fmt: skip
    archive = tmp_path / "a.corecube"
    process = start_cli(*arguments(raw, archive, "--jobs", jobs), batch=0, faults=[])
    wait_for(lambda: list(archive.rglob("*.h5")))
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert f"stopped by {number.name}; what was ingested stays; run the same command again" in err
    assert "Traceback" not in err
    assert shots_of(err)
    wait_for(lambda: not living(process.pid), 10)
    assert not list(archive.rglob(".tmp-*"))
    check(archive, shots_of(err))


@pytest.mark.parametrize("jobs", [1, 2])
def test_twice_ends_at_once(
    start_cli: Start, check: Run, raw: Path, tmp_path: Path, living: Run, wait_for: Run, jobs: int
) -> None:
    archive, mark = tmp_path / "a.corecube", tmp_path / "hangs"
    fault = {"target": f"{WRITER}.finish", "call": 2, "do": "wait", "path": str(mark)}
    process = start_cli(*arguments(raw, archive, "--jobs", jobs), batch=0, faults=[fault])
    wait_for(mark.exists)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.2)
    assert process.poll() is None, "it waits for the shot that has begun"
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - began < 5
    assert process.returncode == 130
    assert "interrupted; what was ingested stays; run the same command again" in err
    assert "Traceback" not in err
    wait_for(lambda: not living(process.pid), 10)
    check(archive, shots_of(err))


def shots_in(archive: Path) -> list[str]:
    with corecube.open(archive) as opened:
        return list(opened.state.catalogue.by_identity)


# -- two at once -----------------------------------------------------------------------------------


def test_two_that_make_the_same_archive_lose_nothing(
    start_cli: Start, cli: Run, raw: Path, compare: Any, tmp_path: Path, wait_for: Run
) -> None:
    archive, mark = tmp_path / "a.corecube", tmp_path / "waits"
    fault = {"target": "corecube.archive.writer:write_file", "do": "wait", "path": str(mark)}
    slow = start_cli(*arguments(raw / "1", archive), faults=[fault])
    wait_for(mark.exists)
    fast = cli(*arguments(raw / "2", archive))
    mark.unlink()
    _, err = slow.communicate(timeout=60)
    assert slow.returncode == 0, err
    assert fast.code in (0, 5)
    assert fast.code == 0 or ("is writing into it" in fast.err and len(fast.lines) == 1)
    assert fast.ingested | shots_of(err) == set(shots_in(archive))
    assert compare.damages(archive) == []


def test_one_writer_at_a_time(
    start_cli: Start, cli: Run, check: Run, raw: Path, tmp_path: Path, wait_for: Run
) -> None:
    archive, mark = tmp_path / "a.corecube", tmp_path / "waits"
    fault = {"target": f"{WRITER}.finish", "call": 2, "do": "wait", "path": str(mark)}
    slow = start_cli(*arguments(raw / "1", archive), batch=0, faults=[fault])
    wait_for(mark.exists)
    busy = cli(*arguments(raw / "2", archive))
    assert busy.code == 5
    assert len(busy.lines) == 1
    assert f"process {slow.pid}" in busy.err and "run the same command again" in busy.err
    mark.unlink()
    _, err = slow.communicate(timeout=60)
    assert slow.returncode == 0, err
    check(archive, shots_of(err))
