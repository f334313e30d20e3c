"""Which file is taken where several fit, and what is remembered of those that failed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import corecube
from corecube.archive.writer import ArchiveWriter
from corecube.frames import Image
from corecube.pipeline import Report
from corecube.pipeline.planning import default_plans
from corecube.shots import FileInfo, Source

Run = Callable[..., Report]
States = Callable[[Report], dict[str, str]]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw"


def reasons(report: Report) -> dict[str, str]:
    return {file.path.rsplit("/", 1)[-1]: file.reason for file in report.files}


def flux(archive: Path, name: str = "r", identity: str = "toy/field/1") -> Any:
    with corecube.open(archive) as opened:
        frame = opened.shot(identity).frame(name)
        assert isinstance(frame, Image)
        return frame.flux.copy()


def test_a_copy_is_a_duplicate(
    run: Run, toy: Any, raw: Path, states: States, compare: Any, tmp_path: Path
) -> None:
    toy.image(raw / "a" / "r.toy")
    shutil.copytree(raw / "a", raw / "b")
    (raw / "b" / "r.toy").rename(raw / "b" / "copy.toy")
    report = run(raw)
    assert states(report) == {"r.toy": "ingested", "copy.toy": "duplicate"}
    assert reasons(report)["copy.toy"] == f"the same as {raw}/a/r.toy"
    before = compare.listing(tmp_path / "a.corecube")
    assert states(run(raw)) == {"r.toy": "unchanged", "copy.toy": "duplicate"}
    assert compare.listing(tmp_path / "a.corecube") == before


@pytest.mark.parametrize("order", [("low", "high"), ("high", "low"), ("both",)])
def test_the_higher_rank_is_taken_in_whatever_order(
    run: Run, toy: Any, raw: Path, states: States, tmp_path: Path, order: tuple[str, ...]
) -> None:
    toy.image(raw / "low" / "low.toy", seed=1, rank=0)
    toy.image(raw / "high" / "high.toy", seed=2, rank=1)
    for name in order:
        report = run(raw if name == "both" else raw / name)
    run(raw / "high", archive="only")
    assert np.array_equal(flux(tmp_path / "a.corecube"), flux(tmp_path / "only.corecube"))
    report = run(raw)
    assert states(report) == {"low.toy": "outranked", "high.toy": "unchanged"}
    assert reasons(report)["low.toy"] == f"less than {raw}/high/high.toy"


def test_a_higher_rank_that_is_broken_takes_nothing_away(
    run: Run, toy: Any, raw: Path, states: States, compare: Any, tmp_path: Path
) -> None:
    toy.image(raw / "low.toy", seed=1, rank=0)
    toy.image(raw / "other.toy", entry="g", seed=2)
    run(raw)
    before = flux(tmp_path / "a.corecube")
    high = toy.image(raw / "high.toy", seed=2, rank=1, fault="raise")
    toy.image(raw / "new.toy", entry="i", seed=3)
    report = run(raw)
    assert states(report) == {
        "low.toy": "outranked", "high.toy": "failed", "new.toy": "ingested",
        "other.toy": "unchanged",
    }  # fmt: skip
    assert np.array_equal(flux(tmp_path / "a.corecube"), before)
    listed = compare.listing(tmp_path / "a.corecube")
    again = run(raw)
    assert states(again)["high.toy"] == "failed"
    assert compare.listing(tmp_path / "a.corecube") == listed, "tried again though nothing changed"
    high.unlink()
    report = run(raw)
    assert set(states(report).values()) == {"unchanged"}
    assert report.exit_code() == 0


def test_two_files_for_one_place_are_both_named_and_the_entry_fails(
    run: Run, toy: Any, raw: Path, states: States, tmp_path: Path
) -> None:
    toy.image(raw / "one.toy", seed=1)
    toy.image(raw / "two.toy", seed=2)
    toy.image(raw / "g.toy", entry="g")
    report = run(raw)
    assert states(report) == {"one.toy": "failed", "two.toy": "failed", "g.toy": "ingested"}
    for name in ("one.toy", "two.toy"):
        assert f"{raw}/one.toy, {raw}/two.toy" in reasons(report)[name]
    assert report.exit_code() == 3
    with corecube.open(tmp_path / "a.corecube") as archive:
        assert list(archive.record("toy/field/1").images) == ["g"]


@pytest.mark.parametrize("alone", [True, False])
def test_a_conflict_with_what_is_stored_takes_nothing_away(
    run: Run, toy: Any, raw: Path, states: States, tmp_path: Path, alone: bool
) -> None:
    toy.image(raw / "one.toy", seed=1)
    if not alone:
        toy.image(raw / "g.toy", entry="g")
    run(raw)
    before = flux(tmp_path / "a.corecube")
    toy.image(raw / "two.toy", seed=2)
    report = run(raw / "two.toy")
    assert states(report) == {"two.toy": "failed"}
    assert "one.toy" in reasons(report)["two.toy"]
    assert np.array_equal(flux(tmp_path / "a.corecube"), before)
    report = run(raw)
    assert (states(report)["one.toy"], states(report)["two.toy"]) == ("unchanged", "failed")
    assert np.array_equal(flux(tmp_path / "a.corecube"), before)
    report = run(raw / "two.toy", replace=True)
    assert states(report) == {"two.toy": "ingested"}
    assert not np.array_equal(flux(tmp_path / "a.corecube"), before)


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "state", "said"),
    [
        ("raise", "failed", "holds nonsense; fetch the file again"),
        ("bug", "failed", "KeyError"),
        ("sys.exit", "failed", "asks to exit (code 0)"),
        ("identify", "failed", "instrument 'toy' failed to look at it: RuntimeError"),
    ],
)
def test_a_bad_file_costs_its_entry(
    run: Run, toy: Any, raw: Path, states: States, fault: str, state: str, said: str
) -> None:
    toy.image(raw / "bad.toy", entry="r", fault=fault)
    toy.image(raw / "good.toy", entry="g")
    toy.image(raw / "other.toy", key="field/2")
    report = run(raw)
    assert states(report) == {"bad.toy": state, "good.toy": "ingested", "other.toy": "ingested"}
    assert said in reasons(report)["bad.toy"]
    assert "\n" not in reasons(report)["bad.toy"]
    assert report.exit_code() == 3
    assert report.failures == [(f"{raw}/bad.toy", reasons(report)["bad.toy"])]


@pytest.mark.parametrize(
    ("name", "said"),
    [({"key": "plate/1("}, "shot key '1(' is no name"), ({"entry": "r/x"}, "entry 'r/x' is no")],
)
def test_what_cannot_be_a_name_costs_its_file_alone(
    run: Run, toy: Any, raw: Path, states: States, name: dict[str, str], said: str
) -> None:
    toy.image(raw / "good.toy", "field/1", "g")
    toy.image(raw / "bad.toy", **{"key": "field/2", "entry": "r", **name})
    report = run(raw)
    assert report.counts == {"ingested": 1, "failed": 1}
    reasons = [file.reason for file in report.files if file.state == "failed"]
    assert said in reasons[0]


@pytest.mark.parametrize(("fault", "jobs"), [("io", 1), ("memory", 1), ("kill", 2), ("exit", 2)])
def test_trouble_of_the_machine_costs_the_shot_and_is_not_remembered(
    run: Run, toy: Any, raw: Path, states: States, tmp_path: Path, fault: str, jobs: int
) -> None:
    bad = toy.image(raw / "bad.toy", entry="r", fault=fault)
    toy.image(raw / "good.toy", entry="g")
    for number in range(2, 5):
        toy.image(raw / f"other{number}.toy", key=f"field/{number}")
    report = run(raw, jobs=jobs)
    assert states(report) == {
        "bad.toy": "failed", "good.toy": "failed",
        "other2.toy": "ingested", "other3.toy": "ingested", "other4.toy": "ingested",
    }  # fmt: skip
    assert report.exit_code() == 3
    assert not list((tmp_path / "a.corecube").rglob(".tmp-*")) or jobs > 1
    # the same bytes, but now all goes well: as when the machine is mended
    data = bad.read_bytes()
    bad.write_bytes(data.replace(f'"fault": "{fault}"'.encode(), b'"fault": ""'))
    assert states(run(raw))["bad.toy"] == "ingested"
    assert not list((tmp_path / "a.corecube").rglob(".tmp-*"))


def test_what_failed_is_remembered_and_not_tried_again(
    run: Run, toy: Any, raw: Path, states: States, compare: Any, tmp_path: Path
) -> None:
    # the whole shot failed; if it were tried again it would wait
    bad = toy.image(raw / "bad.toy", fault="raise")
    assert run(raw).exit_code() == 4
    before = compare.listing(tmp_path / "a.corecube")
    for report in (run(raw), run(bad)):
        assert states(report) == {"bad.toy": "failed"}
        assert "holds nonsense" in reasons(report)["bad.toy"]
        assert report.exit_code() == 4
        assert [(s.state, list(s.failed)) for s in report.shots] == [("failed", ["r"])]
    assert compare.listing(tmp_path / "a.corecube") == before
    # a change of configuration, and --force, try again
    assert run(raw, scale=2.0).shots[0].seconds > 0
    assert run(raw, scale=2.0).shots[0].seconds == 0
    assert run(raw, scale=2.0, force=True).shots[0].seconds > 0
    toy.image(bad)
    assert states(run(raw)) == {"bad.toy": "ingested"}
    assert compare.content(tmp_path / "a.corecube")["failed"] == {}


def test_what_failed_of_a_shot_is_forgotten_with_it(
    run: Run, toy: Any, raw: Path, states: States, compare: Any, tmp_path: Path
) -> None:
    toy.image(raw / "bad.toy", entry="r", fault="raise")
    toy.image(raw / "good.toy", entry="g")
    toy.image(raw / "worse.toy", key="field/2", fault="raise")
    run(raw)
    archive = tmp_path / "a.corecube"

    def failed() -> set[str]:
        return {f["shot"] for f in compare.content(archive)["failed"]["toy"].values()}

    assert failed() == {"toy/field/1", "toy/field/2"}
    with ArchiveWriter(archive) as writer:
        writer.commit(removed=["toy/field/1"])
        assert {f["shot"] for f in writer.state["toy"].failed.values()} == {"toy/field/2"}
    assert failed() == {"toy/field/2"}, "of a shot that is not there nothing is told"
    run(raw)
    assert failed() == {"toy/field/1", "toy/field/2"}
    assert compare.damages(archive) == []


def test_a_broken_file_that_is_gone_does_not_stop_later_ones(
    run: Run, toy: Any, raw: Path, states: States, tmp_path: Path
) -> None:
    toy.image(raw / "g.toy", entry="g")
    bad = toy.image(raw / "bad.toy", entry="r", fault="raise")
    assert run(raw).exit_code() == 3
    bad.unlink()
    (raw / "g.toy").unlink()
    toy.image(raw / "i.toy", entry="i")
    report = run(raw)
    assert (states(report), report.exit_code()) == ({"i.toy": "ingested"}, 0)
    toy.image(raw / "better.toy", entry="r")
    report = run(raw)
    assert (states(report), report.exit_code()) == (
        {"i.toy": "unchanged", "better.toy": "ingested"}, 0,
    )  # fmt: skip
    with corecube.open(tmp_path / "a.corecube") as archive:
        assert sorted(archive.record("toy/field/1").images) == ["g", "i", "r"]


def test_a_frame_that_does_not_fit_costs_its_entry(
    run: Run, toy: Any, raw: Path, states: States
) -> None:
    toy.fibers(raw / "a.toy", entry="a", unit="nanomaggy")
    toy.fibers(raw / "b.toy", entry="b", unit="adu")
    toy.image(raw / "x.toy", key="field/1", entry="x", name="same")
    toy.image(raw / "y.toy", key="field/1", entry="y", name="same")
    report = run(raw)
    assert states(report) == {
        "a.toy": "ingested", "b.toy": "failed", "x.toy": "ingested", "y.toy": "failed",
    }  # fmt: skip
    assert "unit of a block differ" in reasons(report)["b.toy"]
    assert "two images have the name 'same'" in reasons(report)["y.toy"]


def test_a_column_that_was_promised_and_is_missing_costs_the_entry(
    run: Run, toy: Any, raw: Path, states: States
) -> None:
    toy.fibers(raw / "a.toy", lacks="class")
    toy.fibers(raw / "b.toy", key="plate/2", lacks="alias")  # which was not promised
    report = run(raw)
    assert states(report) == {"a.toy": "failed", "b.toy": "ingested"}
    assert reasons(report)["a.toy"] == "group 'stars' lacks the promised column 'class'"


# -- options ---------------------------------------------------------------------------------------


def test_limit_makes_so_many_shots_and_the_rest_later(
    run: Run, toy: Any, raw: Path, states: States, compare: Any, tmp_path: Path
) -> None:
    for number in range(5):
        toy.image(raw / f"{number}.toy", key=f"field/{number}")
    report = run(raw, limit=2)
    assert sorted(states(report).values()) == ["ingested"] * 2 + ["not done"] * 3
    report = run(raw, limit=2)
    assert sorted(states(report).values()) == ["ingested"] * 2 + ["not done"] + ["unchanged"] * 2
    run(raw)
    run(raw, archive="at_once")
    assert compare.content(tmp_path / "a.corecube") == compare.content(
        tmp_path / "at_once.corecube"
    )


def test_a_dry_run_makes_nothing(
    run: Run, toy: Any, raw: Path, states: States, compare: Any, tmp_path: Path
) -> None:
    toy.image(raw / "r.toy")
    toy.gain(raw / "gain.toy")
    report = run(raw, dry_run=True)
    assert states(report) == {"r.toy": "planned", "gain.toy": "companion"}
    assert [(s.identity, s.state) for s in report.shots] == [("toy/field/1", "planned")]
    assert not (tmp_path / "a.corecube").exists()
    run(raw)
    toy.image(raw / "g.toy", entry="g")
    before = compare.listing(tmp_path / "a.corecube")
    run(raw, dry_run=True)
    assert compare.listing(tmp_path / "a.corecube") == before


def test_on_error_stop_begins_no_further_shot(
    run: Run, toy: Any, raw: Path, states: States, compare: Any, tmp_path: Path
) -> None:
    toy.image(raw / "1.toy", key="field/1")
    toy.image(raw / "2.toy", key="field/2", fault="raise")
    toy.image(raw / "3.toy", key="field/3")
    report = run(raw, on_error="stop")
    assert states(report) == {"1.toy": "ingested", "2.toy": "failed", "3.toy": "not done"}
    assert report.exit_code() == 3
    assert compare.damages(tmp_path / "a.corecube") == []


def test_nothing_readable(run: Run, raw: Path, tmp_path: Path) -> None:
    raw.mkdir()
    assert run(raw).exit_code() == 4
    (raw / "README").write_text("hello")
    report = run(raw, raw / "missing.toy")
    assert [(f.state, f.reason) for f in report.files] == [
        ("passed over", "not recognised"), ("failed", "there is no such file; check the path"),
    ]  # fmt: skip
    assert report.exit_code() == 4
    assert not (tmp_path / "a.corecube").exists()


def test_the_report_is_plain_json(run: Run, toy: Any, raw: Path) -> None:
    import json

    toy.image(raw / "r.toy", notes=["doubtful gain"])
    toy.image(raw / "g.toy", entry="g", fault="raise")
    data = json.loads(json.dumps(run(raw).to_json()))
    assert data["counts"] == {"ingested": 1, "failed": 1}
    by_name = {file["path"].rsplit("/", 1)[-1]: file for file in data["files"]}
    assert by_name["r.toy"] == {
        "path": f"{raw}/r.toy", "state": "ingested", "kind": "main", "shot": "toy/field/1",
        "entry": "r", "notes": ["doubtful gain"],
    }  # fmt: skip
    assert data["shots"][0]["failed"] == {"g": by_name["g.toy"]["reason"]} or (
        by_name["g.toy"]["reason"] in data["shots"][0]["failed"]["g"]
    )


def test_the_default_plan_is_a_shot_per_key_and_an_entry_per_main_file() -> None:
    def info(path: str, key: str, entry: str) -> FileInfo:
        return FileInfo(Source(path, 1, 1), key, entry)

    infos = [
        info("/4", "b", "y"), info("/1", "a", ""), info("/3", "b", "x"), info("/0", "", ""),
        info("/2", "c", ""),
    ]  # fmt: skip
    plans = default_plans(infos)
    assert [(p.key, list(p.entries), [s.path for s in p.companions]) for p in plans] == [
        ("b", ["x", "y"], [])
    ]
    assert default_plans(reversed(infos)) == plans
