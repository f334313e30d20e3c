"""Which files are planned with: copies, files that serve many, and nothing is ever lost."""

from __future__ import annotations

import importlib
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import corecube
from corecube.pipeline import Report

Run = Callable[..., Report]
States = Callable[[Report], dict[str, str]]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw"


def shots(report: Report) -> dict[str, str]:
    return {shot.identity: shot.state for shot in report.shots}


def reasons(report: Report) -> dict[str, str]:
    return {file.path.rsplit("/", 1)[-1]: file.reason for file in report.files}


def same_as_at_once(run: Callable[..., Report], raw: Path, compare: Any, tmp_path: Path) -> None:
    run(raw, archive="at_once")
    assert compare.content(tmp_path / "a.corecube") == compare.content(
        tmp_path / "at_once.corecube"
    )


# -- files that serve many -------------------------------------------------------------------------


def test_companions_of_equal_content_do_not_displace_each_other(
    ingest_as: Run, nights: Any, raw: Path, states: States, tmp_path: Path
) -> None:
    nights.fill(raw)
    shutil.copy(raw / "linearity.toy", raw / "linearity2.toy")
    nights.write(raw / "linearity3.toy", "linearity", seed=41)
    found = states(ingest_as("nights", raw))
    assert {name: found[name] for name in found if "linearity" in name} == {
        "linearity.toy": "companion", "linearity2.toy": "companion", "linearity3.toy": "companion",
    }  # fmt: skip
    with corecube.open(tmp_path / "a.corecube") as archive:
        assert len(archive.shot("nights/n1/a").plan.companions) == 3


def test_a_copy_of_a_frame_that_serves_many_is_a_duplicate(
    ingest_as: Run, nights: Any, raw: Path, states: States, tmp_path: Path
) -> None:
    files = nights.fill(raw)
    (tmp_path / "copy").mkdir()
    shutil.copy(files["bias"][0], tmp_path / "copy")
    report = ingest_as("nights", raw, tmp_path / "copy")
    copies = [f.state for f in report.files if f.path.endswith("/bias0.toy")]
    assert sorted(copies) == ["duplicate", "ingested"]
    # the same name and other content: which is meant is for the instrument to say
    nights.write(tmp_path / "copy" / "bias0.toy", "bias", seed=99)
    report = ingest_as("nights", tmp_path / "copy")
    assert "duplicate" not in set(states(report).values())


def test_what_was_moved_is_the_same(
    ingest_as: Run, nights: Any, raw: Path, states: States, compare: Any, tmp_path: Path
) -> None:
    nights.fill(raw)
    shutil.copy(raw / "linearity.toy", raw / "linearity2.toy")
    ingest_as("nights", raw)
    before = compare.listing(tmp_path / "a.corecube")
    shutil.move(raw, tmp_path / "elsewhere")
    report = ingest_as("nights", tmp_path / "elsewhere")
    assert set(states(report).values()) == {"unchanged", "companion"}
    assert compare.listing(tmp_path / "a.corecube") == before


def test_one_of_two_equal_companions_that_is_gone_is_not_the_other(
    ingest_as: Run, nights: Any, raw: Path, states: States, compare: Any, tmp_path: Path
) -> None:
    nights.fill(raw)
    shutil.copy(raw / "linearity.toy", raw / "linearity2.toy")
    ingest_as("nights", raw)
    before = compare.listing(tmp_path / "a.corecube")
    (raw / "linearity.toy").unlink()
    assert set(states(ingest_as("nights", raw)).values()) == {"unchanged", "companion"}
    assert compare.listing(tmp_path / "a.corecube") == before


def test_what_serves_many_is_used_for_shots_that_come_later(
    ingest_as: Run, nights: Any, raw: Path, compare: Any, tmp_path: Path
) -> None:
    files = nights.fill(raw)
    ingest_as("nights", *files["bias"], *files["flat"], *files["linearity"], *files["target"][:2])
    files["bias"][0].rename(tmp_path / "bias0.toy")  # what is gone does not make a master of less
    report = ingest_as("nights", *files["target"][2:])
    assert shots(report) == {"nights/n1/b": "ingested"}
    (tmp_path / "bias0.toy").rename(files["bias"][0])
    same_as_at_once(lambda *a, **k: ingest_as("nights", *a, **k), raw, compare, tmp_path)


def test_shots_that_a_given_file_does_not_concern_are_left_in_peace(
    ingest_as: Run, nights: Any, raw: Path, tmp_path: Path
) -> None:
    nights.fill(raw)
    nights.fill(tmp_path / "other", night="n2")
    ingest_as("nights", raw, tmp_path / "other")
    shutil.rmtree(tmp_path / "other")
    report = ingest_as("nights", raw / "linearity.toy", settings={"scale": 2.0})
    assert shots(report) == {"nights/n1/a": "replaced", "nights/n1/b": "replaced"}
    assert report.exit_code() == 0
    report = ingest_as("nights", raw / "linearity.toy", force=True, settings={"scale": 2.0})
    assert shots(report) == {"nights/n1/a": "replaced", "nights/n1/b": "replaced"}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_companion_of_several_shots_is_named_with_one(
    ingest_as: Run, nights: Any, raw: Path, jobs: int
) -> None:
    files = nights.fill(raw)
    nights.write(files["target"][0], "target", "a", seed=20, fault="io")
    (file,) = (
        f for f in ingest_as("nights", raw, jobs=jobs).files if f.path.endswith("linearity.toy")
    )
    assert (file.state, file.shot, file.reason) == ("companion", "nights/n1/b", "")
    nights.write(files["target"][0], "target", "a", seed=20)
    for force in (False, True):
        report = ingest_as("nights", raw, jobs=jobs, force=force)
        (file,) = (f for f in report.files if f.path.endswith("linearity.toy"))
        assert (file.state, file.shot) == ("companion", "nights/n1/a")


def test_a_file_says_what_it_waits_for(ingest_as: Run, nights: Any, raw: Path) -> None:
    nights.write(raw / "l.toy", "linearity", facts={"waiting_for": "a target of this night"})
    nights.write(raw / "m.toy", "linearity")
    report = ingest_as("nights", raw)
    assert reasons(report) == {
        "l.toy": "waiting for a target of this night",
        "m.toy": "waiting for the files that it serves",
    }


# -- nothing is lost -------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["raise", "io"])
@pytest.mark.parametrize("early", [True, False])
def test_a_companion_waits_while_its_frame_cannot_be_read(
    run: Run, toy: Any, raw: Path, states: States, compare: Any, tmp_path: Path,
    early: bool, fault: str,
) -> None:  # fmt: skip
    gain = toy.gain(raw / "gain.toy", value=3.0)
    bad = toy.image(raw / "bad.toy", fault=fault)
    if early:
        run(gain)
        report = run(bad)
    else:
        report = run(raw)
    assert states(report)["bad.toy"] == "failed"
    if fault == "raise" and not early:
        assert states(report)["gain.toy"] == "waiting"
        assert reasons(report)["gain.toy"] == "waiting for a file of field/1 that can be read"
    if fault == "raise":
        before = compare.listing(tmp_path / "a.corecube")
        assert states(run(raw)) == {"bad.toy": "failed", "gain.toy": "waiting"}
        assert compare.listing(tmp_path / "a.corecube") == before
    bad.unlink()
    good = toy.image(raw / "good.toy")
    # after trouble of the machine the same command does it: what was given then is given again
    run(good) if early or fault == "raise" else run(raw)
    same_as_at_once(run, raw, compare, tmp_path)


def test_what_waited_still_does_when_the_run_is_killed_before_its_shot_is_stored(
    run: Run, toy: Any, raw: Path, start_ingest: Any, compare: Any, tmp_path: Path
) -> None:
    gain = toy.gain(raw / "gain.toy", value=3.0)
    run(gain)
    new = [
        toy.image(raw / "0.toy", key="field/0", fault="slow1.1"),  # commits go a second apart
        toy.image(raw / "1.toy", key="field/1", fault="slow1.1"),
    ]
    process = start_ingest(
        new, tmp_path / "a.corecube", calls=2, when="before",
        sabotage="corecube.archive.writer:ArchiveWriter.commit",
    )  # fmt: skip
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    content = compare.content(tmp_path / "a.corecube")
    assert set(content["shots"]) == {"toy/field/0"}
    assert len(content["waiting"]["toy"]) == 1
    run(*new)
    same_as_at_once(run, raw, compare, tmp_path)


def test_an_overwritten_file_does_not_take_its_entry_along(
    run: Run, toy: Any, raw: Path, states: States, compare: Any, tmp_path: Path
) -> None:
    path = toy.image(raw / "latest.toy", entry="g", seed=1)
    run(raw)
    before = compare.content(tmp_path / "a.corecube")
    toy.image(path, entry="r", seed=2)
    report = run(raw)
    (shot,) = report.shots
    assert (shot.state, states(report)) == ("kept", {"latest.toy": "not done"})
    assert shot.reason.startswith("entry 'g' would be lost, as another file is now at ")
    assert report.exit_code() == 4
    assert compare.content(tmp_path / "a.corecube") == before
    path.rename(raw / "other.toy")
    assert states(run(raw)) == {"other.toy": "ingested"}
    with corecube.open(tmp_path / "a.corecube") as archive:
        assert list(archive.record("toy/field/1").entries) == ["g", "r"]
    toy.image(raw / "other.toy", key="field/2", entry="r", seed=2)
    toy.image(raw / "i.toy", entry="i", seed=3)
    report = run(raw)
    assert shots(report) == {"toy/field/1": "kept", "toy/field/2": "ingested"}


def test_an_entry_stays_when_the_file_that_broke_later_is_gone(
    run: Run, toy: Any, raw: Path, compare: Any, tmp_path: Path
) -> None:
    toy.image(raw / "g.toy", entry="g")
    path = toy.image(raw / "r.toy", entry="r")
    run(raw)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert run(raw).exit_code() == 3
    path.unlink()
    toy.image(raw / "i.toy", entry="i")
    assert run(raw).exit_code() == 0
    with corecube.open(tmp_path / "a.corecube") as archive:
        assert list(archive.record("toy/field/1").entries) == ["g", "i", "r"]


def test_files_are_identified_again_when_settings_that_change_numbers_have_changed(
    run: Run, toy: Any, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("corecube.pipeline.identify")
    toy.image(raw / "r.toy")
    toy.gain(raw / "waits.toy", key="field/2")
    run(raw)
    remembered: list[set[str]] = []

    def watched(path: str, caller: Any, config: Any, known: Any) -> Any:
        remembered.append({name.rsplit("/", 1)[-1] for name in known})
        return original(path, caller, config, known)

    original = module.identify
    monkeypatch.setattr(module, "identify", watched)
    for more in ({}, {"remark": "x"}, {"scale": 2.0}):
        run(raw, dry_run=True, **more)
    assert remembered == [{"r.toy"}] * 4 + [set()] * 2
