"""Shots that need calibration shots: order, waiting, changes, and ends in between."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import corecube
from corecube.errors import PluginError
from corecube.pipeline import Report

Run = Callable[..., Report]
States = Callable[[Report], dict[str, str]]

BIAS, FLAT = "nights/masters/n1/bias", "nights/masters/n1/flat"
SHOTS = {BIAS, FLAT, "nights/n1/a", "nights/n1/b"}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw"


@pytest.fixture
def at_once(ingest_as: Run, raw: Path, compare: Any, tmp_path: Path) -> Callable[[], Any]:
    """What an archive holds that all files are given to at once."""

    def content() -> Any:
        ingest_as("nights", raw, archive="at_once")
        return compare.content(tmp_path / "at_once.corecube")

    return content


def shots(report: Report) -> dict[str, str]:
    return {shot.identity: shot.state for shot in report.shots}


def reasons(report: Report) -> dict[str, str]:
    return {file.path.rsplit("/", 1)[-1]: file.reason for file in report.files}


def generations(archive: Path) -> dict[str, int]:
    with corecube.open(archive) as opened:
        return {i: r.generation for i, r in opened.state.catalogue.by_identity.items()}


# -- order -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_is_needed_is_made_and_registered_first(
    ingest_as: Run, nights: Any, raw: Path, compare: Any, tmp_path: Path, jobs: int
) -> None:
    nights.fill(raw)
    report = ingest_as("nights", raw, jobs=jobs)
    assert report.exit_code() == 0
    assert {s: state for s, state in shots(report).items()} == dict.fromkeys(SHOTS, "ingested")
    archive = tmp_path / "a.corecube"
    with corecube.open(archive) as opened:
        records = opened.state.catalogue.by_identity
        bias, flat = records[BIAS], records[FLAT]
        assert bias.needs == {}
        assert flat.needs == {"masters/n1/bias": bias.fingerprint}
        assert records["nights/n1/a"].needs == {
            "masters/n1/bias": bias.fingerprint, "masters/n1/flat": flat.fingerprint,
        }  # fmt: skip
        assert bias.number < flat.number < records["nights/n1/a"].number
        # worked out here from what was written into the files
        rng = {seed: np.random.default_rng(seed) for seed in (0, 1, 10, 11, 20, 40)}
        level = {0: 100, 1: 100, 10: 1100, 11: 1100, 20: 150, 40: 0}
        file = {s: r.normal(level[s], 1, nights.SHAPE).astype("<f4") for s, r in rng.items()}
        mean_bias = (file[0] + file[1]) / 2
        mean_flat = (file[10] + file[11]) / 2 - mean_bias
        expected = (file[20] - mean_bias) / mean_flat + file[40].mean()
        # a few float32 operations
        assert np.allclose(opened.shot("nights/n1/a").frame("a0").flux, expected, rtol=0, atol=1e-5)
    assert compare.damages(archive) == []
    before = compare.listing(archive)
    again = ingest_as("nights", raw, jobs=jobs)
    assert compare.listing(archive) == before
    assert {f.state for f in again.files} == {"unchanged", "companion"}
    assert set(shots(again).values()) == {"unchanged"}


@pytest.mark.parametrize("keyed", [False, True])
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_order_and_any_parts_give_the_same_archive(
    ingest_as: Run, nights: Any, raw: Path, compare: Any, tmp_path: Path, keyed: bool,
    data: st.DataObject,
) -> None:  # fmt: skip
    files = [path for paths in nights.fill(raw, keyed=keyed).values() for path in paths]
    order = data.draw(st.permutations(files))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(files) - 1), max_size=3)))
    if not (tmp_path / "whole.corecube").exists():
        ingest_as("nights", raw, archive="whole")
    shutil.rmtree(tmp_path / "parts.corecube", ignore_errors=True)
    for first, last in zip([0, *cuts], [*cuts, len(files)], strict=True):
        report = ingest_as("nights", *order[first:last], archive="parts")
        assert report.exit_code() == 0
    whole, parts = (compare.content(tmp_path / f"{n}.corecube") for n in ("whole", "parts"))
    assert whole == parts
    assert compare.damages(tmp_path / "parts.corecube") == []
    before = compare.listing(tmp_path / "parts.corecube")
    ingest_as("nights", raw, archive="parts")
    assert compare.listing(tmp_path / "parts.corecube") == before


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("first", ["masters", "targets"])
def test_masters_and_targets_in_either_order(
    ingest_as: Run, nights: Any, raw: Path, states: States, compare: Any, tmp_path: Path,
    at_once: Callable[[], Any], first: str, keyed: bool,
) -> None:  # fmt: skip
    files = nights.fill(raw, keyed=keyed)
    parts = {
        "masters": files["bias"] + files["flat"], "targets": files["target"] + files["linearity"],
    }  # fmt: skip
    archive = tmp_path / "a.corecube"
    if first == "masters":
        ingest_as("nights", *parts["masters"])
        report = ingest_as("nights", *parts["targets"])
        assert shots(report)["nights/n1/a"] == "ingested"
    else:
        report = ingest_as("nights", *parts["targets"])
        assert set(states(report).values()) == {"waiting"}
        assert set(reasons(report).values()) == {"waiting for masters/n1/bias"}
        assert shots(report) == {"nights/n1/a": "waiting", "nights/n1/b": "waiting"}
        assert report.exit_code() == 0
        before = compare.listing(archive)
        ingest_as("nights", *parts["targets"])
        assert compare.listing(archive) == before
        report = ingest_as("nights", *files["bias"])
        assert reasons(ingest_as("nights", *parts["targets"]))["a0.toy"] == (
            "waiting for masters/n1/flat"
        )
        report = ingest_as(
            "nights", *files["flat"]
        )  # alone: the targets are known from the archive
        assert shots(report) | {BIAS: ""} == {
            BIAS: "", FLAT: "ingested", "nights/n1/a": "ingested", "nights/n1/b": "ingested",
        }  # fmt: skip
    assert compare.content(archive)["waiting"] == {}
    assert compare.content(archive) == at_once()


# -- changes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_changed_master_makes_anew_what_needs_it(
    ingest_as: Run, nights: Any, raw: Path, compare: Any, tmp_path: Path,
    at_once: Callable[[], Any], keyed: bool, jobs: int,
) -> None:  # fmt: skip
    nights.fill(raw, keyed=keyed)
    nights.fill(tmp_path / "other", night="n2", keyed=keyed)
    ingest_as("nights", raw, jobs=jobs)
    ingest_as("nights", tmp_path / "other")
    archive = tmp_path / "a.corecube"
    before = generations(archive)
    more = nights.write(raw / "bias2.toy", "bias", seed=2, keyed=keyed)
    report = ingest_as("nights", more, jobs=jobs)
    assert {s for s, state in shots(report).items() if state == "replaced"} == SHOTS
    after = generations(archive)
    changed = {identity for identity in after if after[identity] != before[identity]}
    assert changed == SHOTS, "another night was touched"
    listed = compare.listing(archive)
    ingest_as("nights", more)
    ingest_as("nights", raw)
    assert compare.listing(archive) == listed
    assert compare.damages(archive) == []
    with corecube.open(archive) as opened:
        for name in ("n2/a", "n2/b", "masters/n2/bias", "masters/n2/flat"):
            assert opened.record(f"nights/{name}").generation == before[f"nights/{name}"]
    ingest_as("nights", tmp_path / "other", archive="at_once")
    assert compare.content(archive) == at_once()


@pytest.mark.parametrize("keyed", [False, True])
def test_forcing_a_master_makes_anew_what_needs_it(
    ingest_as: Run, nights: Any, raw: Path, tmp_path: Path, compare: Any,
    at_once: Callable[[], Any], keyed: bool,
) -> None:  # fmt: skip
    files = nights.fill(raw, keyed=keyed)
    ingest_as("nights", raw)
    before = generations(tmp_path / "a.corecube")
    report = ingest_as("nights", *files["bias"], force=True)
    assert shots(report) == dict.fromkeys(SHOTS, "replaced")
    after = generations(tmp_path / "a.corecube")
    assert all(after[identity] > before[identity] for identity in SHOTS)
    assert compare.content(tmp_path / "a.corecube") == at_once()


@pytest.mark.parametrize("how", ["more", "force"])
@pytest.mark.parametrize("keyed", [False, True])
def test_a_shot_whose_files_are_gone_keeps_what_it_was_made_with(
    ingest_as: Run, nights: Any, raw: Path, compare: Any, tmp_path: Path, keyed: bool, how: str,
) -> None:  # fmt: skip
    files = nights.fill(raw, keyed=keyed)
    ingest_as("nights", raw)
    archive = tmp_path / "a.corecube"
    old = compare.content(archive)["shots"]["nights/n1/a"]
    hidden = files["target"][0].rename(tmp_path / "hidden")
    more = files["bias"]
    if how == "more":
        more = [nights.write(raw / "bias2.toy", "bias", seed=2, keyed=keyed)]
    report = ingest_as("nights", *more, force=how == "force")
    assert shots(report) == {
        BIAS: "replaced", FLAT: "replaced", "nights/n1/a": "kept", "nights/n1/b": "replaced",
    }  # fmt: skip
    (kept,) = (shot for shot in report.shots if shot.state == "kept")
    assert kept.reason.startswith("masters/n1/bias, which it needs, has changed, but ")
    assert f"{files['target'][0]} is gone" in kept.reason
    assert report.exit_code() == 3
    assert compare.content(archive)["shots"]["nights/n1/a"] == old  # its links are followed here
    assert compare.damages(archive) == []
    with corecube.open(archive) as opened:
        frame = opened.shot("nights/n1/a").frame("a0")
        stale = frame.calibration["bias"].values
        assert frame.calibration["bias"].link is not None
        fresh = opened.shot(BIAS).frame("mean").flux
        assert np.array_equal(stale, fresh) == (how == "force")
    # what has changed is no longer said of a run that it does not concern
    other = ingest_as("nights", files["target"][2])
    assert (shots(other), other.exit_code()) == ({"nights/n1/b": "unchanged"}, 0)
    hidden.rename(files["target"][0])
    ingest_as("nights", raw)
    ingest_as("nights", raw, archive="at_once")
    assert compare.content(archive) == compare.content(tmp_path / "at_once.corecube")


def test_replacing_a_master_makes_anew_what_needs_it(
    ingest_as: Run, nights: Any, raw: Path, compare: Any, tmp_path: Path
) -> None:
    files = nights.fill(raw)
    ingest_as("nights", raw)
    report = ingest_as("nights", files["bias"][0], replace=True)
    assert shots(report) == dict.fromkeys(SHOTS, "replaced")
    entries = {shot.identity: shot.entries for shot in report.shots}
    assert entries[BIAS] == ["bias0"]
    assert entries["nights/n1/a"] == ["a0", "a1"]
    files["bias"][1].unlink()
    ingest_as("nights", raw, archive="at_once")
    assert compare.content(tmp_path / "a.corecube") == compare.content(
        tmp_path / "at_once.corecube"
    )


def test_a_shot_that_can_do_without_takes_masters_that_come_later(
    ingest_as: Run, nights: Any, raw: Path, compare: Any, tmp_path: Path,
    at_once: Callable[[], Any], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("NIGHTS_TRICK", "optional")
    files = nights.fill(raw, keyed=True)  # nothing that the targets share with them
    ingest_as("nights", *files["target"], *files["linearity"])
    ingest_as("nights", *files["flat"])
    report = ingest_as("nights", *files["bias"])
    assert shots(report) == {BIAS: "ingested"} | dict.fromkeys(SHOTS - {BIAS}, "replaced")
    assert compare.content(tmp_path / "a.corecube") == at_once()


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["raise", "io"])
def test_what_needs_a_master_that_fails_waits(
    ingest_as: Run, nights: Any, raw: Path, states: States, compare: Any, tmp_path: Path,
    at_once: Callable[[], Any], fault: str,
) -> None:  # fmt: skip
    files = nights.fill(raw)
    for number, path in enumerate(files["bias"]):
        nights.write(path, "bias", seed=number, fault=fault)
    report = ingest_as("nights", raw)
    assert shots(report) == {BIAS: "failed"} | dict.fromkeys(SHOTS - {BIAS}, "waiting")
    found = states(report)
    assert {n for n, state in found.items() if state == "failed"} == {
        "bias0.toy",
        "bias1.toy",
    }
    assert {n for n, state in found.items() if state == "waiting"} == set(found) - {
        "bias0.toy", "bias1.toy",
    }  # fmt: skip
    assert reasons(report)["flat0.toy"] == "waiting for masters/n1/bias, which failed"
    if fault == "raise":  # remembered: not tried again
        before = compare.listing(tmp_path / "a.corecube")
        again = ingest_as("nights", raw)
        assert compare.listing(tmp_path / "a.corecube") == before
        assert (states(again), reasons(again)) == (found, reasons(report))
    for number, path in enumerate(files["bias"]):
        nights.write(path, "bias", seed=number)
    report = ingest_as("nights", *files["bias"])
    assert shots(report) == dict.fromkeys(SHOTS, "ingested")
    assert compare.content(tmp_path / "a.corecube") == at_once()


def test_a_master_that_fails_later_leaves_what_was_made_with_it(
    ingest_as: Run, nights: Any, raw: Path, states: States, compare: Any, tmp_path: Path
) -> None:
    files = nights.fill(raw)
    ingest_as("nights", *files["bias"], *files["flat"], *files["target"][:2], *files["linearity"])
    bad = nights.write(raw / "bias2.toy", "bias", seed=2, fault="io")
    report = ingest_as("nights", bad, *files["target"])
    assert shots(report) == {
        BIAS: "failed", "nights/n1/a": "unchanged", "nights/n1/b": "ingested",
    }  # fmt: skip
    assert report.exit_code() == 3
    bad.unlink()
    ingest_as("nights", raw, archive="at_once")
    assert compare.content(tmp_path / "a.corecube") == compare.content(
        tmp_path / "at_once.corecube"
    )


@pytest.mark.parametrize(
    ("trick", "said"),
    [
        (
            "circle",
            "shots need each other: 'masters/n1/bias' needs 'masters/n1/flat' needs "
            "'masters/n1/bias'",
        ),
        (
            "science",
            "'n1/b' needs 'n1/a', which is a science shot; only shots of the kind 'calibration' "
            "can be needed",
        ),
        ("twice", "it gave two plans of the key 'masters/n1/bias'"),
    ],
)
def test_plans_that_cannot_be_followed(
    ingest_as: Run, nights: Any, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    trick: str, said: str,
) -> None:  # fmt: skip
    nights.fill(raw)
    monkeypatch.setenv("NIGHTS_TRICK", trick)
    with pytest.raises(PluginError) as caught:
        ingest_as("nights", raw)
    text = str(caught.value)
    assert text.startswith("instrument 'nights' (corecube-nights 0.1) failed to plan its shots: ")
    assert text.endswith(said) or trick == "circle"
    assert "\n" not in text
    if trick == "circle":
        assert "masters/n1/bias' needs 'masters/n1/flat' needs" in text
    assert not (tmp_path / "a.corecube").exists()


# -- ends in between -------------------------------------------------------------------------------


def test_a_dry_run_tells_of_all_levels(
    ingest_as: Run, nights: Any, raw: Path, states: States, compare: Any, tmp_path: Path
) -> None:
    files = nights.fill(raw)
    report = ingest_as("nights", raw, dry_run=True)
    assert shots(report) == dict.fromkeys(SHOTS, "planned")
    assert not (tmp_path / "a.corecube").exists()
    ingest_as("nights", raw)
    before = compare.listing(tmp_path / "a.corecube")
    more = nights.write(raw / "bias2.toy", "bias", seed=2)
    files["target"][0].unlink()
    report = ingest_as("nights", more, dry_run=True)
    assert shots(report) == dict.fromkeys(SHOTS, "planned") | {"nights/n1/a": "kept"}
    assert states(report) == {"bias2.toy": "planned"}
    assert compare.listing(tmp_path / "a.corecube") == before


@pytest.mark.parametrize("jobs", [1, 2])
def test_limit_counts_shots_of_all_levels(
    ingest_as: Run, nights: Any, raw: Path, tmp_path: Path, compare: Any,
    at_once: Callable[[], Any], jobs: int,
) -> None:  # fmt: skip
    nights.fill(raw)
    done: list[set[str]] = []
    for limit in (1, 2, 2):
        report = ingest_as("nights", raw, limit=limit, jobs=jobs)
        done.append({s for s, state in shots(report).items() if state == "ingested"})
        left = {s for s, state in shots(report).items() if state == "not done"}
        assert left == SHOTS - set().union(*done)
        assert {f.state for f in report.files} <= {"ingested", "unchanged", "not done", "companion"}
    assert [len(part) for part in done] == [1, 2, 1]
    assert done[0] == {BIAS}
    assert FLAT in done[1]
    assert compare.content(tmp_path / "a.corecube") == at_once()


def test_on_error_stop_ends_before_the_next_level(
    ingest_as: Run, nights: Any, raw: Path, states: States
) -> None:
    nights.fill(raw)
    nights.write(raw / "bias1.toy", "bias", seed=1, fault="raise")
    report = ingest_as("nights", raw, on_error="stop")
    assert shots(report) == {BIAS: "ingested"} | dict.fromkeys(SHOTS - {BIAS}, "not done")
    assert states(report)["a0.toy"] == "not done"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("commit", [1, 2, 3])
@pytest.mark.parametrize("half", ["all", "masters"])
def test_a_kill_between_levels(
    ingest_as: Run, nights: Any, raw: Path, start_ingest: Any, compare: Any, tmp_path: Path,
    at_once: Callable[[], Any], half: str, commit: int, when: str,
) -> None:  # fmt: skip
    files = nights.fill(raw)
    paths = [raw]
    if half == "masters":  # the targets wait in the archive
        ingest_as("nights", *files["target"], *files["linearity"])
        paths = files["bias"] + files["flat"]
    process = start_ingest(
        paths, tmp_path / "a.corecube", "nights", when=when, calls=commit,
        sabotage="corecube.archive.writer:ArchiveWriter.commit",
    )  # fmt: skip
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    done = len(compare.content(tmp_path / "a.corecube")["shots"])
    assert done == {0: 0, 1: 1, 2: 2, 3: 4}[commit - (when == "before")]
    report = ingest_as("nights", *paths)
    assert report.exit_code() == 0
    assert compare.content(tmp_path / "a.corecube") == at_once()
    assert compare.damages(tmp_path / "a.corecube") == []


def test_ctrl_c_between_levels(
    ingest_as: Run, nights: Any, raw: Path, start_ingest: Any, compare: Any, tmp_path: Path,
    at_once: Callable[[], Any],
) -> None:  # fmt: skip
    files = nights.fill(raw)
    for number, path in enumerate(files["bias"]):
        nights.write(path, "bias", seed=number, fault="slow1")
    archive = tmp_path / "a.corecube"
    process = start_ingest([raw], archive, "nights")
    assert process.stdout.readline() == "ready\n"
    end = time.monotonic() + 30
    while not (archive / "manifest.json").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    time.sleep(0.7)  # now the biases are being read, which takes two seconds
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert err == ""
    report = json.loads(out.splitlines()[-1])
    assert report["interrupted"] == "SIGINT"
    assert {s["identity"]: s["state"] for s in report["shots"]} == {BIAS: "ingested"} | (
        dict.fromkeys(SHOTS - {BIAS}, "not done")
    )
    assert ingest_as("nights", raw).exit_code() == 0
    assert compare.content(archive) == at_once()


def test_late_masks_and_derived_frames_ride_along(
    ingest_as: Run, nights: Any, raw: Path, tmp_path: Path
) -> None:
    nights.fill(raw)
    ingest_as("nights", raw, settings={"bad_row": 2})
    with corecube.open(tmp_path / "a.corecube") as opened:
        shot = opened.shot("nights/n1/a")
        assert shot.images == ("a0", "a1", "mean")
        mask = shot.frame("mean").mask
        assert mask is not None
        assert (mask[2] >> 13 & 1).all() and not (mask[[0, 1, 3]] >> 13 & 1).any()
