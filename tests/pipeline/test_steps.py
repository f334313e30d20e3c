"""Steps of a whole shot: derived frames, links to masters, late masks now and later."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import corecube
from corecube.archive import leftovers
from corecube.archive.verify import verify
from corecube.errors import ArchiveError
from corecube.masks import value
from corecube.pipeline import Options, Report, ingest
from corecube.pipeline.latemasks import Remasked, remask
from corecube.plugins import load

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., Report]


@pytest.fixture
def lab(install: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    install("corecube-lab", "0.1", {"lab": "lab"})
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "instruments"))
    monkeypatch.delitem(sys.modules, "lab", raising=False)
    return importlib.import_module("lab")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "a.corecube"


@pytest.fixture
def run(lab: Any, place: Path, tmp_path: Path) -> Run:
    def once(*, bad: str = "", plane: str = "late", force: bool = False, **settings: Any) -> Report:
        config = lab.LabConfig(lists=lab.Lists(bad), plane=plane, **settings)
        options = Options(force=force)
        return ingest([str(tmp_path / "raw")], place, load("lab"), config, options)

    return once


@pytest.fixture
def raw(lab: Any, tmp_path: Path) -> Path:
    for number, entry in enumerate("abc"):
        lab.write(tmp_path / "raw" / f"{entry}.lab", "night/1", entry, float(number + 1))
    return tmp_path / "raw"


def damages(place: Path) -> list[tuple[str, str]]:
    with corecube.open(place) as archive:
        return [(d.where, d.what) for _, part in verify(archive) for d in part]


def states(report: Report) -> dict[str, str]:
    return {shot.identity: shot.state for shot in report.shots}


def bytes_of(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != "lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


# -- derived frames --------------------------------------------------------------------------------


def test_derived_frames_are_in_the_shot_and_indexed(raw: Path, run: Run, place: Path) -> None:
    assert run().exit_code() == 0
    with corecube.open(place) as archive:
        shot = archive.shot("lab/night/1")
        assert shot.images == ("a", "b", "c", "mean") and shot.groups == ("extracted",)
        mean = shot.frame("mean")
        np.testing.assert_array_equal(mean.flux, np.full((300, 40), 2.0, "f4"))
        assert mean.provenance.parents == ("a", "b", "c")
        assert shot.description["images"]["mean"]["entry"] == ""
        assert archive.fibers()["id"].values.tolist() == ["x", "y"]
    assert damages(place) == []
    assert states(run()) == {"lab/night/1": "unchanged"}


def test_they_are_made_anew_when_the_shot_is(lab: Any, raw: Path, run: Run, place: Path) -> None:
    run()
    for path in raw.iterdir():
        path.unlink()
    lab.write(raw / "d.lab", "night/1", "d", 10.0)
    report = run()
    assert states(report) == {"lab/night/1": "replaced"}
    with corecube.open(place) as archive:
        shot = archive.shot("lab/night/1")
        assert shot.images == ("a", "b", "c", "d", "mean"), "the others were carried over"
        assert shot.frame("mean").flux[0, 0] == 4.0
        assert shot.frame("mean").provenance.parents == ("a", "b", "c", "d")
    assert damages(place) == []


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("bug", "KeyError: 'a bug while deriving'"),
        ("orphan", "derived frame 'mean' does not name its parents"),
        ("taken", "two images have the name 'a'"),
        ("lacks", "group 'extracted' lacks the promised column 'row'"),
    ],
)
def test_what_they_raise_costs_only_them(
    raw: Path, run: Run, place: Path, how: str, says: str
) -> None:
    report = run(derive=how)
    (shot,) = report.shots
    assert (shot.state, shot.failed) == ("ingested", {"derived": says})
    assert report.exit_code() == 3 and report.failures == [("lab/night/1, derived", says)]
    with corecube.open(place) as archive:
        stored = archive.shot("lab/night/1")
        assert stored.images == ("a", "b", "c") and stored.groups == ()
    assert damages(place) == []
    before = bytes_of(place)
    again = run(derive=how)
    assert states(again) == {"lab/night/1": "unchanged"}
    assert again.failures == report.failures, "it is reported again"
    assert bytes_of(place) == before
    # another configuration: it is tried again
    assert run(derive="mean").failures == []
    with corecube.open(place) as archive:
        assert archive.shot("lab/night/1").images[-1] == "mean"
    assert run(derive="mean").exit_code() == 0


def test_what_was_written_of_them_is_taken_back(raw: Path, run: Run, place: Path) -> None:
    report = run(derive="late")
    assert report.shots[0].failed == {"derived": "KeyError: 'a bug at the end'"}
    assert damages(place) == []
    with corecube.open(place) as archive:
        shot = archive.shot("lab/night/1")
        assert shot.images == ("a", "b", "c") and shot.groups == ()
        used = {
            digest for name in shot.images for digest in shot.image(name)["calibration"].values()
        }
        kept = {name for name in shot.description["arrays"] if name.startswith("/calibration/")}
        assert kept == {f"/calibration/{digest}" for digest in used}
        assert list(shot.history["images"]) == ["a", "b", "c"]
        nodes = {node._v_pathname for node in shot._file.walk_nodes("/images")}
        assert not any("mean" in name for name in nodes)
        assert "/fibers/extracted" not in shot._file and "/headers" not in shot._file
        assert {child._v_pathname for child in shot._file.root.calibration} == kept


def test_they_are_stored_one_at_a_time(lab: Any, raw: Path, run: Run, place: Path) -> None:
    lab.ALIVE.clear()
    assert run(derive="many").exit_code() == 0
    # all six were held until the last was made: what a shot derives had no bound but the memory
    assert lab.ALIVE and max(lab.ALIVE) <= 1
    with corecube.open(place) as archive:
        shot = archive.shot("lab/night/1")
        assert shot.images == ("a", "b", "c", *(f"m{n}" for n in range(6)))
        assert [shot.frame(f"m{n}").flux[0, 0] for n in range(6)] == list(range(6))
    assert damages(place) == []


@pytest.mark.parametrize("how", ["io", "memory"])
def test_a_failing_machine_fails_the_shot(raw: Path, run: Run, place: Path, how: str) -> None:
    report = run(derive=how)
    assert states(report) == {"lab/night/1": "failed"}
    assert not list((place / "shots").rglob("*.h5")) and not list(place.rglob(".tmp-*"))


def test_a_failed_entry_is_not_in_the_mean(lab: Any, raw: Path, run: Run, place: Path) -> None:
    lab.write(raw / "b.lab", "night/1", "b", 2.0, fault="it is broken")
    (shot,) = run().shots
    assert list(shot.failed) == ["b"]
    with corecube.open(place) as archive:
        assert archive.shot("lab/night/1").frame("mean").provenance.parents == ("a", "c")


# -- links -----------------------------------------------------------------------------------------


@pytest.fixture
def night(lab: Any, tmp_path: Path) -> Path:
    lab.write(tmp_path / "raw" / "m.lab", lab.MASTER, "bias", 100.0)
    for entry in "ab":
        lab.write(tmp_path / "raw" / f"{entry}.lab", "night/1", entry, 3.0, needs=True)
    return tmp_path / "raw"


def test_masters_are_linked_and_follow_their_own_generation(
    lab: Any, night: Path, run: Run, place: Path
) -> None:
    assert run().exit_code() == 0
    with corecube.open(place) as archive:
        first = archive.record("lab/night/1")
        assert first.links == [archive.record("lab/masters/1").file]
        assert archive.shot(first).frame("a").calibration["bias"].values[0, 0] == 100.0
    lab.write(night / "m.lab", lab.MASTER, "bias", 200.0)
    assert states(run()) == {"lab/masters/1": "replaced", "lab/night/1": "replaced"}
    with corecube.open(place) as archive:
        for name in "ab":
            frame = archive.shot("lab/night/1").frame(name)
            assert frame.calibration["bias"].values[0, 0] == 200.0
    assert damages(place) == []


def test_carried_entries_keep_their_links(lab: Any, night: Path, run: Run, place: Path) -> None:
    run()
    for path in night.iterdir():
        path.unlink()
    lab.write(night / "c.lab", "night/1", "c", 9.0, needs=True)
    assert states(run())["lab/night/1"] == "replaced"
    with corecube.open(place) as archive:
        record = archive.record("lab/night/1")
        shot = archive.shot(record)
        assert shot.images == ("a", "b", "c", "mean") and len(shot.links()) == 1
        for name in "abc":
            bias = shot.frame(name).calibration["bias"]
            assert bias.link is not None and bias.values[0, 0] == 100.0
    assert damages(place) == []


# -- late masks ------------------------------------------------------------------------------------


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.list"
    path.write_text("night/1 a 7\nnight/1 extracted 1\nnight/2 a 3\n", "utf-8")
    return path


def again(lab: Any, place: Path, bad: Path | str = "", **more: Any) -> list[Remasked]:
    config = lab.LabConfig(lists=lab.Lists(str(bad)), **more)
    return remask(place, {"lab": (load("lab"), config)})


def masked(place: Path, frame: str = "a", shot: str = "lab/night/1") -> dict[int, int]:
    """Return rows with a mask, and its value."""
    with corecube.open(place) as archive:
        stored = archive.shot(shot)
        image = frame in stored.images
        found = stored.frame(frame) if image else stored.rows(frame, 0, stored.row_count(frame))
    assert found.mask is not None
    rows = np.flatnonzero(found.mask.any(axis=1))
    assert all((found.mask[row] == found.mask[row, 0]).all() for row in rows)
    return {int(row): int(found.mask[row, 0]) for row in rows}


def test_masks_at_ingest(raw: Path, run: Run, place: Path, bad: Path) -> None:
    assert run(bad=str(bad)).exit_code() == 0
    late = value("late")
    assert masked(place) == {7: late} and masked(place, "extracted") == {1: late}
    assert masked(place, "mean") == {}, "of derived frames only those that are named"
    assert damages(place) == []
    assert len(list((place / "masks").rglob("*.mask"))) == 1
    # a changed list changes no fingerprint
    bad.write_text("", "utf-8")
    assert states(run(bad=str(bad))) == {"lab/night/1": "unchanged"}
    assert masked(place) == {7: late}


def test_masks_later_change_nothing_else(
    lab: Any, raw: Path, run: Run, place: Path, bad: Path
) -> None:
    lab.write(raw / "z.lab", "night/2", "a", 3.0)
    run(scale=2.0)
    before = bytes_of(place)
    with corecube.open(place) as archive:
        records = dict(archive.state.catalogue.by_identity)
    found = again(lab, place, bad)
    assert [(r.shot, r.state, dict(r.pixels)) for r in found] == [
        ("lab/night/1", "changed", {"a": 40, "extracted": 40}),
        ("lab/night/2", "changed", {"a": 40}),
    ]
    assert found[0].sources == [
        {"frame": "a", "source": "bad rows: a 7", "plane": "late", "pixels": 40},
        {"frame": "extracted", "source": "bad rows: extracted 1", "plane": "late", "pixels": 40},
    ]
    assert masked(place) == {7: value("late")} and masked(place, shot="lab/night/2") == {
        3: value("late")
    }
    after = bytes_of(place)
    kept = {name for name in before if name.startswith(("shots/", "index/"))}
    assert all(after[name] == before[name] for name in kept)
    with corecube.open(place) as archive:
        for identity, record in archive.state.catalogue.by_identity.items():
            assert record.number == records[identity].number
            assert record.file == records[identity].file
    assert damages(place) == []
    # nothing has changed: nothing is written
    assert {r.state for r in again(lab, place, bad)} == {"unchanged"}
    assert bytes_of(place) == after
    # today's plane counts, the stored scale does not matter
    again(lab, place, bad, plane="source", scale=7.0)
    assert masked(place) == {7: value("source")}
    # an empty list takes the masks away
    assert [r.state for r in again(lab, place)] == ["changed", "changed"]
    assert masked(place) == {}
    assert damages(place) == []


def test_a_damaged_mask_is_made_anew(lab: Any, raw: Path, run: Run, place: Path, bad: Path) -> None:
    run(bad=str(bad))
    (path,) = (place / "masks").rglob("*.mask")
    path.write_bytes(b"nonsense")
    assert damages(place)
    assert [r.state for r in again(lab, place, bad)] == ["changed"]
    assert damages(place) == [] and masked(place) == {7: value("late")}
    for path in (place / "masks").rglob("*.mask"):
        path.unlink()
    assert damages(place)
    assert [r.state for r in again(lab, place)] == ["changed"]
    assert damages(place) == [] and masked(place) == {}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("bug a 1", "RuntimeError: the list has no meaning"),
        ("night/1 none 1", "names 'none', which is neither an image nor a group of it"),
        ("night/1 a 300", "names row 300 and pixel 39 of 'a', which has 300 rows of 40 pixels"),
    ],
)
def test_a_bad_list_costs_only_the_masks(
    lab: Any, raw: Path, run: Run, place: Path, bad: Path, line: str, says: str
) -> None:
    good = bad.read_text("utf-8")
    bad.write_text(f"{good}{line}\n", "utf-8")
    report = run(bad=str(bad))
    (shot,) = report.shots
    assert shot.state == "ingested" and list(shot.failed) == ["late masks"]
    assert says in shot.failed["late masks"] and report.exit_code() == 3
    assert masked(place) == {} and damages(place) == []
    assert says in run(bad=str(bad)).failures[0][1], "it is reported again"
    (failed,) = again(lab, place, bad)
    assert failed.state == "failed" and says in failed.reason
    bad.write_text(good, "utf-8")
    assert [r.state for r in again(lab, place, bad)] == ["changed"]
    assert masked(place) == {7: value("late")}
    assert run(bad=str(bad)).failures == [], "that it failed is forgotten"
    # what fails later leaves what there is
    bad.write_text(line, "utf-8")
    assert [r.state for r in again(lab, place, bad)] == ["failed"]
    assert masked(place) == {7: value("late")}


def test_a_list_that_is_missing_fails_the_shot(raw: Path, run: Run, place: Path) -> None:
    report = run(bad="/none/bad.list")
    assert states(report) == {"lab/night/1": "failed"}
    assert "/none/bad.list: No such file or directory" in report.shots[0].reason
    assert not list((place / "shots").rglob("*.h5"))


def test_a_replaced_shot_gets_masks_of_its_own(
    raw: Path, run: Run, place: Path, bad: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "GRACE", 0.0)
    run(bad=str(bad))
    (old,) = (place / "masks").rglob("*.mask")
    run(bad=str(bad), scale=3.0)
    assert masked(place) == {7: value("late")}
    with corecube.open(place) as archive:
        new = archive.record("lab/night/1").masks["file"]
    assert place / new != old
    run(bad=str(bad), scale=4.0)  # a later writer cleans up
    assert not old.exists() and damages(place) == []


def test_a_kill_between_file_and_commit_leaves_the_old_masks(
    lab: Any, raw: Path, run: Run, place: Path, bad: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from corecube.archive.writer import ArchiveWriter

    monkeypatch.setattr(leftovers, "GRACE", 0.0)
    run(bad=str(bad))

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ArchiveWriter, "commit", killed)
        again(lab, place)
    assert masked(place) == {7: value("late")} and damages(place) == []
    bad.write_text("night/1 a 9", "utf-8")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ArchiveWriter, "commit", killed)
        again(lab, place, bad)
    assert len(list((place / "masks").rglob("*.mask"))) == 2
    again(lab, place, bad)
    assert masked(place) == {9: value("late")}
    again(lab, place, bad)
    assert len(list((place / "masks").rglob("*.mask"))) == 1


def test_a_master_that_is_needed_stays(night: Path, run: Run, place: Path) -> None:
    from corecube.archive.writer import ArchiveWriter

    run()
    with (
        ArchiveWriter(place) as writer,
        pytest.raises(ArchiveError, match="lab/masters/1 is needed by lab/night/1"),
    ):
        writer.commit(removed=["lab/masters/1"])
