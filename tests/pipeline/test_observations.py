"""One observation is one row, whichever instrument brought it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corecube.archive.writer import ArchiveWriter
from corecube.pipeline import Report

Run = Callable[..., Report]
States = Callable[[Report], dict[str, str]]

SEEN = "seen on 2015-10-23"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw"


def shots(report: Report) -> dict[str, str]:
    return {shot.identity: shot.state for shot in report.shots}


@pytest.mark.parametrize(("first", "second"), [("toy", "twin"), ("twin", "toy")])
@pytest.mark.parametrize("rank", [0, 1])
def test_what_came_first_stays(
    ingest_as: Run, toy: Any, twin: str, raw: Path, states: States, compare: Any, tmp_path: Path,
    first: str, second: str, rank: int,
) -> None:  # fmt: skip
    toy.fibers(raw / "1" / "one.toy", "plate/1", "a", observation=SEEN)
    toy.fibers(raw / "2" / "same.toy", "plate/7", "x", observation=SEEN, rank=rank, seed=1)
    toy.fibers(raw / "2" / "other.toy", "plate/7", "y", observation="another", seed=2)
    archive = tmp_path / "a.corecube"
    ingest_as(first, raw / "1")
    for _ in range(2):
        report = ingest_as(second, raw / "2")
        found = {file.path.rsplit("/", 1)[-1]: file for file in report.files}
        assert found["same.toy"].state == "already here"
        assert found["same.toy"].reason == f"{first}/plate/1 has this observation, as entry a"
        assert (found["same.toy"].shot, found["same.toy"].entry) == (f"{first}/plate/1", "a")
        assert report.exit_code() == 0
        content = compare.content(archive)
        assert content["waiting"] == {}
        assert set(content["shots"]) == {f"{first}/plate/1", f"{second}/plate/7"}
        assert list(content["records"][f"{second}/plate/7"]["entries"]) == ["y"]
    before = compare.listing(archive)
    only = ingest_as(second, raw / "2" / "same.toy")
    assert (states(only), only.exit_code()) == ({"same.toy": "already here"}, 0)
    ingest_as(second, raw / "2", dry_run=True)
    ingest_as(first, raw / "1")
    assert compare.listing(archive) == before
    assert compare.damages(archive) == []
    with ArchiveWriter(archive) as writer:
        writer.commit(removed=[f"{first}/plate/1"])
    report = ingest_as(second, raw / "2")
    assert states(report) == {"same.toy": "ingested", "other.toy": "unchanged"}


def test_the_ranks_of_one_instrument_hold(
    ingest_as: Run, toy: Any, twin: str, raw: Path, states: States
) -> None:
    toy.fibers(raw / "lite.toy", "plate/1", "a", observation=SEEN, rank=0)
    ingest_as("toy", raw)
    toy.fibers(raw / "full.toy", "plate/1", "a", observation=SEEN, rank=1, seed=1)
    report = ingest_as("toy", raw)
    assert states(report) == {"lite.toy": "outranked", "full.toy": "ingested"}
    assert set(states(ingest_as("twin", raw)).values()) == {"already here"}


def test_what_failed_elsewhere_is_not_here(
    ingest_as: Run, toy: Any, twin: str, raw: Path, states: States
) -> None:
    toy.fibers(raw / "bad.toy", "plate/1", "a", observation=SEEN, fault="raise")
    toy.fibers(raw / "good.toy", "plate/1", "b", observation="another")
    ingest_as("toy", raw)
    toy.fibers(raw / "good2.toy", "plate/1", "a", observation=SEEN)
    (raw / "bad.toy").unlink()
    report = ingest_as("twin", raw)
    assert states(report) == {"good.toy": "already here", "good2.toy": "ingested"}


def test_what_waits_is_dropped_when_another_instrument_has_it(
    ingest_as: Run, toy: Any, twin: str, raw: Path, compare: Any, tmp_path: Path
) -> None:
    toy.gain(raw / "1" / "gain.toy")
    path = raw / "1" / "gain.toy"
    header = {"kind": "gain", "key": "plate/1", "entry": "", "value": 2.0, "observation": SEEN}
    toy.write(path, header)
    ingest_as("twin", path)
    assert list(compare.content(tmp_path / "a.corecube")["waiting"]) == ["twin"]
    toy.fibers(raw / "2" / "one.toy", "plate/1", "a", observation=SEEN)
    ingest_as("toy", raw / "2")
    ingest_as("twin", path)
    assert compare.content(tmp_path / "a.corecube")["waiting"] == {}


def test_what_both_have_is_not_taken_away(
    ingest_as: Run, toy: Any, twin: str, raw: Path, states: States, compare: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from corecube.pipeline.joining import Stored

    toy.fibers(raw / "one.toy", "plate/1", "a", observation=SEEN)
    ingest_as("toy", raw)
    of = Stored.of

    def blind(*args: Any) -> Stored:
        found = of(*args)
        found.elsewhere = {}
        return found

    with monkeypatch.context() as patch:  # as no run of today would do it
        patch.setattr(Stored, "of", blind)
        ingest_as("twin", raw)
    before = compare.content(tmp_path / "a.corecube")
    assert set(before["shots"]) == {"toy/plate/1", "twin/plate/1"}
    toy.fibers(raw / "two.toy", "plate/1", "b", observation="another")
    for name in ("toy", "twin"):
        report = ingest_as(name, raw / "one.toy")
        assert states(report) == {"one.toy": "unchanged"}
    (raw / "one.toy").unlink()
    report = ingest_as("twin", raw)
    assert shots(report) == {"twin/plate/1": "replaced"}
    records = compare.content(tmp_path / "a.corecube")["records"]
    assert list(records["twin/plate/1"]["entries"]) == ["a", "b"]
