"""A damaged archive is made whole: what is sound stays, nothing is deleted."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import corecube
from corecube.archive.repair import repair
from corecube.archive.verify import verify
from corecube.errors import (
    ArchiveBusy,
    ArchiveDamaged,
    ArchiveMissing,
    ArchiveTooNew,
    ArchiveTooOld,
)
from corecube.pipeline import Options, ingest
from corecube.plugins import load

Break = Callable[[Path], Any]


@pytest.fixture
def raw(toy: Any, tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    toy.image(folder / "r.toy", "field/1", shape=(60, 50))
    toy.image(folder / "g.toy", "field/2", shape=(60, 50), seed=7)
    for number in range(2):
        toy.fibers(
            folder / f"f{number}.toy", f"plate/{number}",
            ra=np.arange(70.0) + number / 2, dec=np.zeros(70), exposures=True, seed=number,
        )  # fmt: skip
    toy.gain(folder / "w.toy", "field/7")  # nothing needs it yet: it waits
    return folder


@pytest.fixture
def again(toy: Any, raw: Path, tmp_path: Path) -> Callable[..., Any]:
    def do(**options: Any) -> Any:
        path = tmp_path / "a.corecube"
        return ingest([str(raw)], path, load("toy"), toy.ToyConfig(), Options(**options))

    return do


@pytest.fixture
def archive(again: Callable[..., Any], tmp_path: Path) -> Path:
    assert again().exit_code() == 0
    return tmp_path / "a.corecube"


def damages(path: Path) -> list[str]:
    with corecube.open(path) as opened:
        return [f"{d.where}: {d.what}" for _, part in verify(opened) for d in part]


def file_of(path: Path, identity: str) -> Path:
    with corecube.open(path) as opened:
        return path / opened.record(identity).file


def everything(path: Path) -> dict[str, str]:
    """Digests of all that can be asked for by name."""
    found = {}
    with corecube.open(path) as opened:
        for row in opened.rows(opened.everything(exposures=True)):
            frame: Any = row.spectrum() if hasattr(row, "spectrum") else row.frame()  # type: ignore[union-attr]
            parts = (frame.flux, frame.error, frame.mask)
            found[row.name] = hashlib.sha256(b"".join(p.tobytes() for p in parts)).hexdigest()
    return found


def flip(path: Path, part: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * part)] ^= 1
    path.write_bytes(data)


def newest(path: Path, pattern: str) -> Path:
    return max(path.glob(pattern), key=lambda item: item.stat().st_mtime_ns)


def test_a_sound_archive_is_not_changed(archive: Path, compare: Any) -> None:
    before = compare.listing(archive)
    done = repair(archive)
    assert (done.kept, done.changed) == (4, False)
    after = compare.listing(archive)
    assert {name: after[name] for name in before if name != "lock"} == {
        name: before[name] for name in before if name != "lock"
    }


def only_shots(path: Path) -> None:
    for item in path.iterdir():
        if item.is_file():
            item.unlink()
        elif item.name != "shots":
            shutil.rmtree(item)


CATALOGUE: dict[str, Break] = {
    "manifest gone": lambda a: (a / "manifest.json").unlink(),
    "manifest empty": lambda a: (a / "manifest.json").write_bytes(b""),
    "manifest damaged": lambda a: (a / "manifest.json").write_bytes(b'{"format": 2}'),
    "catalogue damaged": lambda a: flip(newest(a, "catalogue/shots.*.log")),
    "catalogue gone": lambda a: shutil.rmtree(a / "catalogue"),
    "sources damaged": lambda a: flip(newest(a, "catalogue/sources.*.log")),
    "state gone": lambda a: newest(a, "catalogue/state.*.json").unlink(),
    "index gone": lambda a: shutil.rmtree(a / "index"),
    "index damaged": lambda a: flip(newest(a, "index/*.run"), 0.9),
    "description gone": lambda a: (a / "archive.json").unlink(),
    "only shots": lambda a: only_shots(a),
}


@pytest.mark.parametrize("what", CATALOGUE)
def test_everything_but_shots_is_made_anew(
    archive: Path, again: Callable[..., Any], what: str
) -> None:
    before = everything(archive)
    CATALOGUE[what](archive)
    done = repair(archive)
    assert done.kept == 4 and not done.aside and done.changed
    assert done.made
    assert damages(archive) == []
    assert everything(archive) == before
    with corecube.open(archive) as opened:
        assert len(opened.cone((3.0, 0.0), 0.1).fibers) == 1
        assert len(opened.cone((10.0, 20.0), 1e-3).images) == 2
    assert not repair(archive).changed
    report = again()  # the sources are known: nothing is read or written again
    assert report.counts == {"unchanged": 4, "waiting": 1}
    assert everything(archive) == before


def test_an_older_archive_says_how_to_upgrade_and_does(
    archive: Path, again: Callable[..., Any]
) -> None:
    """Format 1 had other runs of the sky index; its shots are those of format 2."""
    before = everything(archive)
    for name in ("archive.json", "manifest.json"):
        text = (archive / name).read_text()
        assert '"format":2' in text
        (archive / name).write_text(text.replace('"format":2', '"format":1'))
    for run in archive.glob("index/*.run"):
        run.write_bytes(b"CCSKYRUN" + b"\1\0\0\0" + bytes(5000))
    with pytest.raises(ArchiveTooOld, match=r"older format 1; .* 'corecube repair .*\.corecube'"):
        corecube.open(archive)
    with pytest.raises(ArchiveTooOld):
        again()
    done = repair(archive)
    assert done.kept == 4 and not done.aside
    assert "format 2 of format 1" in done.made
    assert everything(archive) == before
    assert json.loads((archive / "archive.json").read_bytes())["format"] == 2
    assert again().counts == {"unchanged": 4, "waiting": 1}


SHOTS: dict[str, Break] = {
    "flip": flip,
    "structure": lambda p: flip(p, 0.02),
    "cut": lambda p: p.write_bytes(p.read_bytes()[:-500]),
    "empty": lambda p: p.write_bytes(b""),
    "gone": lambda p: p.unlink(),
    "web page": lambda p: p.write_bytes(b"<html>" * 100),
}


@pytest.mark.parametrize("catalogue", ["kept", "lost"])
@pytest.mark.parametrize("what", SHOTS)
def test_a_damaged_shot_is_set_aside_and_can_be_ingested_again(
    archive: Path, again: Callable[..., Any], raw: Path, what: str, catalogue: str
) -> None:
    before = everything(archive)
    path = file_of(archive, "toy/plate/1")
    SHOTS[what](path)
    bytes_then = path.read_bytes() if path.exists() else None
    if catalogue == "lost":
        (archive / "manifest.json").unlink()
    done = repair(archive)
    assert done.kept == 3
    if not (what == "gone" and catalogue == "lost"):  # then nothing is left that could name it
        (aside,) = done.aside
        assert aside.name == "toy/plate/1" and "\n" not in aside.what
        if bytes_then is not None:
            assert (archive / aside.file).read_bytes() == bytes_then
            assert not path.exists()
        if catalogue == "kept":
            assert aside.sources == (str(raw / "f1.toy"),)
    assert damages(archive) == []
    assert everything(archive) == {k: v for k, v in before.items() if "plate/1" not in k}
    assert not repair(archive).changed
    again()
    assert everything(archive) == before
    assert damages(archive) == []


def test_of_two_generations_the_newer_counts_unless_it_is_damaged(
    archive: Path, again: Callable[..., Any]
) -> None:
    old = file_of(archive, "toy/field/1")
    kept = old.read_bytes()
    again(force=True)
    new = file_of(archive, "toy/field/1")
    old.write_bytes(kept)  # not cleaned up yet
    (archive / "manifest.json").unlink()
    repair(archive)
    assert file_of(archive, "toy/field/1") == new
    flip(new)
    old.write_bytes(kept)
    (archive / "manifest.json").unlink()
    done = repair(archive)
    assert [shot.name for shot in done.aside] == ["toy/field/1"]
    assert file_of(archive, "toy/field/1") == old
    assert damages(archive) == []


def test_a_swapped_file_is_set_aside(archive: Path) -> None:
    one, two = (file_of(archive, f"toy/plate/{n}") for n in range(2))
    shutil.copy(one, two)
    with corecube.open(archive) as opened, pytest.raises(ArchiveDamaged, match="toy/plate/0"):
        opened.shot("toy/plate/1")
    (archive / "manifest.json").unlink()
    done = repair(archive)
    assert done.kept == 3 and "it is toy/plate/0" in done.aside[0].what


def test_what_cannot_be_repaired_is_refused(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveMissing):
        repair(tmp_path / "none.corecube")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ArchiveMissing):
        repair(tmp_path / "folder")
    assert list((tmp_path / "folder").iterdir()) == []
    from corecube.archive.lock import WriterLock

    with WriterLock(archive), pytest.raises(ArchiveBusy):
        repair(archive)
    about = (archive / "archive.json").read_text()
    (archive / "archive.json").write_text(about.replace('"format":2', '"format":3'))
    with pytest.raises(ArchiveTooNew):
        repair(archive)
