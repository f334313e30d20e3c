"""Later files add to a shot, and never take away; raw files may be gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import corecube
from corecube.frames import Image
from corecube.pipeline import Report

Run = Callable[..., Report]
States = Callable[[Report], dict[str, str]]


def entries(archive: Path, identity: str) -> list[str]:
    with corecube.open(archive) as opened:
        return sorted(opened.record(identity).entries)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw"


def test_a_companion_that_comes_later_is_used(
    run: Run, toy: Any, raw: Path, states: States, compare: Any, tmp_path: Path
) -> None:
    toy.image(raw / "r.toy")
    run(raw)
    toy.gain(raw / "gain.toy", value=3.0)
    report = run(raw / "gain.toy")  # alone: the frame is known from the archive
    assert states(report) == {"gain.toy": "companion"}
    assert [(s.identity, s.state) for s in report.shots] == [("toy/field/1", "replaced")]
    run(raw, archive="at_once")
    assert compare.content(tmp_path / "a.corecube") == compare.content(
        tmp_path / "at_once.corecube"
    )


def test_a_companion_waits_for_its_frame(
    run: Run, toy: Any, raw: Path, states: States, compare: Any, tmp_path: Path
) -> None:
    toy.gain(raw / "gain.toy", value=3.0)
    report = run(raw)
    assert (states(report), report.exit_code()) == ({"gain.toy": "waiting"}, 0)
    before = compare.listing(tmp_path / "a.corecube")
    assert states(run(raw)) == {"gain.toy": "waiting"}
    assert compare.listing(tmp_path / "a.corecube") == before
    toy.image(raw / "r.toy")
    report = run(raw / "r.toy")
    assert states(report) == {"r.toy": "ingested"}
    with corecube.open(tmp_path / "a.corecube") as archive:
        frame = archive.shot("toy/field/1").frame("r")
        assert frame.calibration["gain"].values == 3.0
        assert compare.content(tmp_path / "a.corecube")["waiting"] == {}


def test_a_companion_that_waits_and_is_gone_does_no_harm(
    run: Run, toy: Any, raw: Path, states: States
) -> None:
    toy.gain(raw / "gain.toy", value=3.0)
    run(raw)
    (raw / "gain.toy").unlink()
    toy.image(raw / "r.toy")
    assert states(run(raw)) == {"r.toy": "ingested"}
    toy.gain(raw / "back.toy", value=3.0)
    assert states(run(raw)) == {"r.toy": "ingested", "back.toy": "companion"}


def test_entries_whose_files_are_gone_are_carried_over(
    run: Run, toy: Any, raw: Path, states: States, compare: Any, tmp_path: Path
) -> None:
    archive = tmp_path / "a.corecube"
    toy.image(raw / "g.toy", entry="g", seed=1)
    toy.fibers(raw / "a.toy", entry="a", seed=2, ra=[10.0, 11.0, 12.0], dec=[1.0, 2.0, np.nan],
               exposures=True)  # fmt: skip
    run(raw)
    copy = tmp_path / "copy"
    raw.rename(copy)
    toy.image(raw / "r.toy", entry="r", seed=3)
    toy.fibers(raw / "b.toy", entry="b", seed=4, ra=[10.5], dec=[1.5], exposures=True)
    report = run(raw)
    assert states(report) == {"r.toy": "ingested", "b.toy": "ingested"}
    assert entries(archive, "toy/field/1") == ["g", "r"]
    for path in copy.iterdir():
        path.rename(raw / path.name)
    run(raw, archive="at_once")
    assert compare.content(archive) == compare.content(tmp_path / "at_once.corecube")
    assert compare.damages(archive) == []


@pytest.mark.parametrize("how", ["configuration", "data version", "companion", "force"])
def test_a_shot_stays_when_it_cannot_be_made_anew(
    run: Run,
    toy: Any,
    raw: Path,
    compare: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    from corecube import plugins

    toy.image(raw / "g.toy", entry="g")
    toy.image(raw / "r.toy", entry="r")
    run(raw)
    before = compare.content(tmp_path / "a.corecube")
    listed = compare.listing(tmp_path / "a.corecube")
    (raw / "g.toy").unlink()
    options: dict[str, Any] = {}
    why = ""
    if how == "configuration":
        options, why = {"scale": 2.0}, "the configuration or the instrument's data version"
    elif how == "data version":
        monkeypatch.setenv("TOY_DATA_VERSION", "2")
        plugins._load.cache_clear()
        why = "the configuration or the instrument's data version has changed"
    elif how == "companion":
        toy.gain(raw / "gain.toy", value=5.0)
        why = f"{raw}/gain.toy is new or has changed"
    elif how == "force":
        options, why = {"force": True}, "--force asks for it again"
    report = run(raw, **options)
    (shot,) = report.shots
    assert (shot.identity, shot.state) == ("toy/field/1", "kept")
    assert shot.reason.startswith(why)
    assert f"{raw}/g.toy is gone" in shot.reason
    assert "--replace" in shot.reason
    assert report.exit_code() == 4  # nothing was done of what was asked
    assert {file.state for file in report.files} == {"not done"}
    assert compare.content(tmp_path / "a.corecube") == before
    assert compare.listing(tmp_path / "a.corecube") == listed


def test_replace_takes_only_what_is_given(
    run: Run, toy: Any, raw: Path, tmp_path: Path, compare: Any
) -> None:
    toy.image(raw / "g.toy", entry="g")
    toy.image(raw / "r.toy", entry="r")
    toy.image(raw / "other.toy", key="field/2")
    run(raw)
    (raw / "g.toy").unlink()
    report = run(raw / "r.toy", replace=True, scale=2.0)
    assert [(s.identity, s.state) for s in report.shots] == [("toy/field/1", "replaced")]
    assert entries(tmp_path / "a.corecube", "toy/field/1") == ["r"]
    assert entries(tmp_path / "a.corecube", "toy/field/2") == ["r"]
    assert compare.damages(tmp_path / "a.corecube") == []


def test_a_changed_configuration_makes_the_given_shots_anew(
    run: Run, toy: Any, raw: Path, tmp_path: Path, compare: Any
) -> None:
    toy.image(raw / "r.toy")
    run(raw)
    report = run(raw, scale=2.0)
    assert [s.state for s in report.shots] == ["replaced"]
    with corecube.open(tmp_path / "a.corecube") as archive:
        shot = archive.shot("toy/field/1")
        assert shot.config == {"scale": 2.0, "remark": ""}
        frame = shot.frame("r")
        assert isinstance(frame, Image)
        factors = toy.corecube_calibration_factors(frame, toy.ToyConfig())
        assert [f.name for f in factors] == ["gain", "scale"]
    run(raw, archive="at_once", scale=2.0)
    assert compare.content(tmp_path / "a.corecube") == compare.content(
        tmp_path / "at_once.corecube"
    )


def test_force_makes_the_same_shot_again(
    run: Run, toy: Any, raw: Path, states: States, compare: Any, tmp_path: Path
) -> None:
    archive = tmp_path / "a.corecube"
    toy.image(raw / "r.toy")
    run(raw)
    before, old = compare.content(archive), sorted(archive.rglob("*.h5"))
    report = run(raw, force=True)
    assert states(report) == {"r.toy": "ingested"}
    assert [s.state for s in report.shots] == ["replaced"]
    assert compare.content(archive) == before
    assert [p for p in sorted(archive.rglob("*.h5")) if p not in old], "no new file"


def test_bytes_changed_behind_size_and_time_are_seen_by_check_content(
    run: Run, toy: Any, raw: Path, states: States
) -> None:
    import os

    path = toy.image(raw / "r.toy", seed=1)
    run(raw)
    status = path.stat()
    toy.image(path, seed=2)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert states(run(raw)) == {"r.toy": "unchanged"}
    report = run(raw, check_content=True)
    assert [s.state for s in report.shots] == ["replaced"]


def test_a_changed_file_replaces_its_entry(
    run: Run, toy: Any, raw: Path, states: States, compare: Any, tmp_path: Path
) -> None:
    toy.image(raw / "g.toy", entry="g")
    path = toy.image(raw / "r.toy", entry="r", seed=1)
    run(raw)
    toy.image(path, entry="r", seed=2)
    assert states(run(raw)) == {"g.toy": "unchanged", "r.toy": "ingested"}
    run(raw, archive="at_once")
    assert compare.content(tmp_path / "a.corecube") == compare.content(
        tmp_path / "at_once.corecube"
    )


def test_a_file_that_broke_later_takes_nothing_away(
    run: Run, toy: Any, raw: Path, states: States, compare: Any, tmp_path: Path
) -> None:
    toy.image(raw / "g.toy", entry="g")
    path = toy.image(raw / "r.toy", entry="r")
    run(raw)
    before = compare.content(tmp_path / "a.corecube")["shots"]
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    report = run(raw)
    assert states(report)["r.toy"] == "failed"
    assert report.exit_code() == 3
    assert compare.content(tmp_path / "a.corecube")["shots"] == before
    again = run(raw)
    assert states(again)["r.toy"] == "failed"
    assert compare.content(tmp_path / "a.corecube")["shots"] == before
    path.write_bytes(data)
    assert states(run(raw)) == {"g.toy": "unchanged", "r.toy": "unchanged"}
    assert compare.content(tmp_path / "a.corecube")["shots"] == before
