"""Tasks in workers: a dead one costs its task, stopping ends in order, nothing is left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from corecube.scheduler import Outcome, run

WORK = """
import os, signal, sys, time
from pathlib import Path

SEEN_BEFORE = []

def work(task):
    SEEN_BEFORE.append(task["number"])
    if "began" in task:
        (Path(task["began"]) / str(task["number"])).write_text(str(os.getpid()))
    if "signal" in task:
        os.kill(os.getpid(), task["signal"])
    if "exit" in task:
        os._exit(task["exit"])
    if "raise" in task:
        raise RuntimeError(task["raise"])
    time.sleep(task.get("sleep", 0))
    until = time.monotonic() + 60
    while "meet" in task and len(list(Path(task["meet"]).glob("[01]"))) < 2:
        assert time.monotonic() < until, "the other task did not begin"
        time.sleep(0.01)
    return {
        "number": task["number"], "pid": os.getpid(), "seen": SEEN_BEFORE,
        "text": "x" * task.get("size", 0),
        "blocked": signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []),
    }
"""
_names = iter(range(1000))


@pytest.fixture
def function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a function in a module that workers find too."""
    module = f"scheduler_work_{os.getpid()}_{next(_names)}"
    (tmp_path / f"{module}.py").write_text(WORK, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return f"{module}:work"


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


def tasks(count: int, **special: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"number": n} | special.get(f"t{n}", {}) for n in range(count)]


def by_task(outcomes: list[Outcome]) -> dict[int, Outcome]:
    numbers = [outcome.task for outcome in outcomes]
    assert len(set(numbers)) == len(numbers), "a task has two outcomes"
    return dict(zip(numbers, outcomes, strict=True))


# -- in this process -----------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 0, -1])
def test_one_job_runs_here_and_in_order(function: str, jobs: int) -> None:
    outcomes = list(run(function, tasks(3), jobs))
    assert [outcome.task for outcome in outcomes] == [0, 1, 2]
    for outcome in outcomes:
        assert outcome.result is not None and outcome.error == ""
        assert outcome.result["number"] == outcome.task and outcome.result["pid"] == os.getpid()
    assert outcomes[-1].result["seen"] == [0, 1, 2]  # type: ignore[index]


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_tasks_have_no_outcomes(function: str, jobs: int) -> None:
    assert list(run(function, [], jobs)) == []


def test_here_each_outcome_is_given_before_the_next_task_begins(
    function: str, tmp_path: Path
) -> None:
    began = str(tmp_path)
    outcomes = run(function, [task | {"began": began} for task in tasks(3)], 1)
    for number in range(3):
        assert next(outcomes).task == number
        assert not (tmp_path / str(number + 1)).exists()


# -- in workers ----------------------------------------------------------------------------------


def test_workers_are_others_and_are_used_again(function: str) -> None:
    outcomes = by_task(list(run(function, tasks(8), 2)))
    results = [outcomes[n].result for n in range(8)]
    assert all(outcome.error == "" for outcome in outcomes.values())
    assert [result["number"] for result in results if result] == list(range(8))
    pids = {result["pid"] for result in results if result}
    assert 1 <= len(pids) <= 2 and os.getpid() not in pids


def test_workers_start_afresh(function: str) -> None:
    import importlib

    module = importlib.import_module(function.partition(":")[0])
    module.SEEN_BEFORE.append("from the coordinator")
    for outcome in run(function, tasks(2), 2):
        assert outcome.result is not None and "from the coordinator" not in outcome.result["seen"]


def test_two_workers_work_at_the_same_time(function: str, tmp_path: Path) -> None:
    folder = tmp_path / "began"
    folder.mkdir()
    given = [task | {"began": str(folder), "meet": str(folder)} for task in tasks(2)]
    for outcome in run(function, given, 2):  # each waits for the other
        assert outcome.result is not None


@pytest.mark.parametrize(
    ("death", "says"),
    [
        ({"signal": int(signal.SIGKILL)}, "the worker process was ended by SIGKILL"),
        ({"signal": int(signal.SIGSEGV)}, "the worker process was ended by SIGSEGV"),
        ({"exit": 3}, "the worker process ended with exit code 3"),
        ({"exit": 0}, "the worker process ended with exit code 0"),
        ({"raise": "what nobody caught"}, "the worker process ended with exit code 1"),
    ],
    ids=["SIGKILL", "SIGSEGV", "exit", "exit 0", "exception"],
)
def test_a_dead_worker_costs_its_task_alone(
    function: str, death: dict[str, Any], says: str
) -> None:
    outcomes = by_task(list(run(function, tasks(6, t1=death), 2)))
    assert sorted(outcomes) == list(range(6))
    assert outcomes[1].result is None
    assert outcomes[1].error.startswith(says) and "\n" not in outcomes[1].error
    for number in (0, 2, 3, 4, 5):
        result = outcomes[number].result
        assert result is not None and result["number"] == number and not outcomes[number].error


def test_every_worker_may_die(function: str) -> None:
    given = [task | {"signal": int(signal.SIGKILL)} for task in tasks(4)]
    outcomes = by_task(list(run(function, given, 2)))
    assert sorted(outcomes) == [0, 1, 2, 3]
    assert all(outcome.result is None and outcome.error for outcome in outcomes.values())


def test_a_function_that_is_not_there_is_an_outcome_too(function: str) -> None:
    module = function.partition(":")[0]
    outcomes = by_task(list(run(f"{module}:nothing", tasks(2), 2)))
    assert sorted(outcomes) == [0, 1]
    assert all("exit code 1" in outcome.error for outcome in outcomes.values())


def test_large_tasks_and_results_go_through(function: str) -> None:
    given = [task | {"size": 3_000_000, "ballast": "y" * 3_000_000} for task in tasks(3)]
    for outcome in run(function, given, 2):
        assert outcome.result is not None and len(outcome.result["text"]) == 3_000_000


# -- stopping ------------------------------------------------------------------------------------


def flag_after(count: int) -> tuple[Callable[[], bool], list[int]]:
    seen: list[int] = []
    return (lambda: len(seen) >= count), seen


@pytest.mark.parametrize("jobs", [1, 2])
def test_stopping_begins_no_task_and_finishes_those_that_run(
    function: str, tmp_path: Path, jobs: int
) -> None:
    stopping, seen = flag_after(2)
    given = [task | {"began": str(tmp_path), "sleep": 0.1} for task in tasks(10)]
    for outcome in run(function, given, jobs, stopping):
        assert outcome.result is not None
        seen.append(outcome.task)
    # A task that began has an outcome; with two jobs one runs while the second one ends.
    assert {int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()} == set(seen)
    assert 2 <= len(seen) <= 1 + jobs


@pytest.mark.parametrize("jobs", [1, 2])
def test_stopped_before_the_beginning(function: str, jobs: int) -> None:
    assert list(run(function, tasks(3), jobs, lambda: True)) == []


def test_leaving_early_ends_the_workers(function: str, tmp_path: Path) -> None:
    began = time.monotonic()
    given = tasks(2, t1={"sleep": 60})
    outcomes = run(function, [task | {"began": str(tmp_path)} for task in given], 2)
    assert next(outcomes).task == 0
    while not (tmp_path / "1").exists() or not (tmp_path / "1").read_text():
        time.sleep(0.01)
    pid = int((tmp_path / "1").read_text())
    outcomes.close()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert time.monotonic() - began < 30


def test_ctrl_c_is_for_the_coordinator_alone(function: str) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    for outcome in run(function, tasks(3), 2):
        assert outcome.result is not None and outcome.result["blocked"]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
    assert signal.SIGINT not in before
