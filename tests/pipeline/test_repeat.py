"""Ingest is idempotent, and the order in which files come does not matter."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corecube.pipeline import Report

Run = Callable[..., Report]
States = Callable[[Report], dict[str, str]]


@pytest.fixture
def files(toy: Any, tmp_path: Path) -> Path:
    """A field with three filters and a companion, two plates, what is not ours, what waits."""
    folder = tmp_path / "raw"
    for number, band in enumerate("gri"):
        toy.image(folder / f"{band}.toy", "field/1", band, seed=number, start=52000.0, end=52000.1)
    toy.gain(folder / "gain.toy", "field/1", value=2.0)
    toy.image(folder / "lone.toy", "field/2", "g", ra=200.0)
    for number, entry in enumerate("abc"):
        toy.fibers(
            folder / f"{entry}.toy", "plate/1", entry, seed=number,
            ra=[10.0 + number, 359.9999], dec=[20.0, -89.0], exposures=True,
        )  # fmt: skip
    toy.gain(folder / "waits.toy", "field/9", value=3.0)
    (folder / "README.md").write_text("no toy")
    return folder


def test_the_first_run_says_what_became_of_each_file(run: Run, files: Path, states: States) -> None:
    report = run(files)
    assert states(report) == {
        "README.md": "passed over", "a.toy": "ingested", "b.toy": "ingested", "c.toy": "ingested",
        "g.toy": "ingested", "gain.toy": "companion", "i.toy": "ingested", "lone.toy": "ingested",
        "r.toy": "ingested", "waits.toy": "waiting",
    }  # fmt: skip
    assert report.exit_code() == 0
    assert {(s.identity, s.state) for s in report.shots} == {
        ("toy/field/1", "ingested"), ("toy/field/2", "ingested"), ("toy/plate/1", "ingested"),
    }  # fmt: skip
    waits = next(file for file in report.files if file.state == "waiting")
    assert waits.reason == "waiting for the files of field/9 that it serves"


@pytest.mark.parametrize("what", ["files", "folder", "remark", "touched", "moved"])
def test_a_second_run_writes_nothing(
    run: Run, files: Path, states: States, compare: Any, tmp_path: Path, what: str
) -> None:
    if what == "moved":
        (files / "waits.toy").unlink()  # that it waits elsewhere now is written down
    run(files)
    archive = tmp_path / "a.corecube"
    before = compare.listing(archive)
    paths: list[Path | str] = [files]
    remark = ""
    if what == "files":
        paths = [*sorted(files.iterdir(), reverse=True)]
    elif what == "remark":
        remark = "a setting that changes no number"
    elif what == "touched":
        for path in files.iterdir():
            if path.name != "waits.toy":  # of what waits only size and time are known
                os.utime(path)
    elif what == "moved":
        paths = [shutil.move(files, tmp_path / "elsewhere")]
    report = run(*paths, remark=remark)
    assert compare.listing(archive) == before
    found = set(states(report).values())
    assert report.exit_code() == 0
    if what == "moved":
        assert found == {"unchanged", "companion", "passed over"}
    else:
        assert found == {"unchanged", "companion", "passed over", "waiting"}


def test_in_workers_and_in_this_process_the_same_archive(
    run: Run, files: Path, compare: Any, tmp_path: Path
) -> None:
    run(files, archive="one", jobs=1)
    run(files, archive="two", jobs=2)
    one, two = (compare.content(tmp_path / f"{name}.corecube") for name in ("one", "two"))
    assert one == two
    assert one["shots"].keys() == {"toy/field/1", "toy/field/2", "toy/plate/1"}


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_order_and_any_parts_give_the_same_archive(
    run: Run, files: Path, compare: Any, tmp_path: Path, data: st.DataObject
) -> None:
    names = sorted(path.name for path in files.iterdir())
    order = data.draw(st.permutations(names))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(names) - 1), max_size=3)))
    for name in ("whole", "parts"):
        shutil.rmtree(tmp_path / f"{name}.corecube", ignore_errors=True)
    run(files, archive="whole")
    for first, last in zip([0, *cuts], [*cuts, len(names)], strict=True):
        run(*(files / name for name in order[first:last]), archive="parts")
    whole, parts = (compare.content(tmp_path / f"{name}.corecube") for name in ("whole", "parts"))
    assert whole == parts
    assert compare.damages(tmp_path / "parts.corecube") == []
