"""Workers: in this process or in others, and what becomes of those that die."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from corecube import scheduler

TASKS = """
import os, signal, time

def work(task):
    if task.get("kill"):
        os.kill(os.getpid(), getattr(signal, task["kill"]))
    if task.get("exit"):
        os._exit(task["exit"])
    if task.get("raise"):
        raise RuntimeError("a bug")
    time.sleep(task.get("sleep", 0))
    return {"number": task["number"], "pid": os.getpid()}
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "scheduled_tasks.py").write_text(TASKS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "scheduled_tasks:work"


def run(work: str, tasks: list[dict[str, Any]], jobs: int, **more: Any) -> dict[int, Any]:
    numbered = [{"number": number, **task} for number, task in enumerate(tasks)]
    outcomes = list(scheduler.run(work, numbered, jobs, **more))
    assert len({o.task for o in outcomes}) == len(outcomes)
    return {outcome.task: outcome for outcome in outcomes}


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_every_task_has_its_own_result(work: str, jobs: int) -> None:
    found = run(work, [{}] * 7, jobs)
    assert {n: o.result["number"] for n, o in found.items()} == {n: n for n in range(7)}
    pids = {o.result["pid"] for o in found.values()}
    assert (pids == {os.getpid()}) == (jobs == 1)
    assert len(pids) <= jobs


def test_no_task_no_worker(work: str) -> None:
    assert run(work, [], 4) == {}


def test_one_task_needs_no_process(work: str) -> None:
    assert run(work, [{}], 8)[0].result["pid"] == os.getpid()


@pytest.mark.parametrize(
    ("death", "said"),
    [
        ({"kill": "SIGKILL"}, "the worker process was ended by SIGKILL"),
        ({"kill": "SIGSEGV"}, "the worker process was ended by SIGSEGV"),
        ({"exit": 3}, "the worker process ended with exit code 3"),
    ],
)
def test_a_worker_that_dies_costs_its_task_alone(
    work: str, death: dict[str, Any], said: str
) -> None:
    tasks = [{}, death, {}, {}, death, {}]
    found = run(work, tasks, 2)
    assert {n for n, o in found.items() if o.result is None} == {1, 4}
    for number in (1, 4):
        assert found[number].error.startswith(said)
        assert "run the same command again" in found[number].error
    assert all(found[n].result["number"] == n and found[n].error == "" for n in (0, 2, 3, 5))


def test_an_idle_worker_that_dies_costs_nothing_but_is_seen(work: str) -> None:
    """A worker that was killed between two tasks: the task that it was to get is not lost."""
    seen = []
    outcomes = scheduler.run(work, [{"number": n, "sleep": 0.05} for n in range(6)], 2)
    for outcome in outcomes:
        seen.append(outcome)
        if len(seen) == 1:
            assert outcome.result is not None
            os.kill(outcome.result["pid"], signal.SIGKILL)
            time.sleep(0.05)
    assert {o.task for o in seen} == set(range(6))
    assert all(o.result is not None or "SIGKILL" in o.error for o in seen)


@pytest.mark.parametrize("jobs", [1, 2])
def test_stopping_finishes_what_runs_and_begins_no_more(work: str, jobs: int) -> None:
    done: list[int] = []
    tasks = [{"number": n, "sleep": 0.02} for n in range(10)]
    for outcome in scheduler.run(work, tasks, jobs, lambda: len(done) >= 3):
        done.append(outcome.task)
    assert 3 <= len(done) <= 2 + jobs
    assert set(done) == set(range(len(done))), "tasks begin in their order"


def test_leaving_early_ends_the_workers(work: str) -> None:
    outcomes = scheduler.run(work, [{"number": n, "sleep": 0.3 * n} for n in range(4)], 2)
    first = next(iter(outcomes))
    assert first.result is not None
    outcomes.close()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.kill(first.result["pid"], 0)
