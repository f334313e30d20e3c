"""``corecube masks``: only masks change, and it is said which; ``remove`` of what others need."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def lab(install: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    install("corecube-lab", "0.1", {"lab": "lab"})
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "instruments"))
    monkeypatch.delitem(sys.modules, "lab", raising=False)
    return importlib.import_module("lab")


@pytest.fixture
def archive(lab: Any, tmp_path: Path, cli: Any) -> Path:
    raw = tmp_path / "raw"
    lab.write(raw / "m.lab", lab.MASTER, "bias", 100.0)
    for night in (1, 2):
        lab.write(raw / f"{night}.lab", f"night/{night}", "a", 3.0, needs=True)
    path = tmp_path / "lab.corecube"
    done = cli("ingest", "-i", "lab", raw, "-a", path, "--jobs", 1)
    assert done.code == 0, done.err
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.list"
    path.write_text("night/1 a 7\nnight/1 a 8\nnight/2 extracted 1\n", "utf-8")
    return path


def test_it_says_what_has_changed_and_then_nothing(cli: Any, archive: Path, bad: Path) -> None:
    done = cli("masks", archive, "--set", f"lists.bad={bad}")
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        "lab/night/1",
        "  a: 80 pixels named, before 0",
        "    bad rows: a 7: 40 pixels late in a",
        "    bad rows: a 8: 40 pixels late in a",
        "lab/night/2",
        "  extracted: 40 pixels named, before 0",
        "    bad rows: extracted 1: 40 pixels late in extracted",
    ]
    assert "2 shots with other masks, 1 unchanged, 0 failed" in done.err
    before = (archive / "manifest.json").read_bytes()
    done = cli("masks", archive, "--set", f"lab.lists.bad={bad}", "-i", "lab")
    assert (done.code, done.out) == (0, "") and "3 unchanged" in done.err
    assert (archive / "manifest.json").read_bytes() == before
    shown = json.loads(cli("show", archive, "lab/night/1/a", "--json").out)
    assert shown["mask"] == {"late": 80}
    assert shown["late masks"] == [
        {"source": f"bad rows: a {row}", "plane": "late", "pixels": 40} for row in (7, 8)
    ]
    assert "bad rows: a 7" in cli("show", archive, "lab/night/1/a").out
    fiber = json.loads(cli("show", archive, "lab/night/2/extracted/x", "--json").out)
    assert fiber["late masks"] == []
    assert cli("verify", archive).code == 0


def test_one_shot_and_a_configuration_file(cli: Any, archive: Path, bad: Path) -> None:
    config = bad.parent / "c.yaml"
    config.write_text("lab:\n  lists:\n    bad: bad.list\n  scale: 9.0\n", "utf-8")
    config.write_text(f"lab:\n  lists:\n    bad: {bad}\n  scale: 9.0\n", "utf-8")
    done = cli("masks", archive, "--shot", "night/2", "--config", config, "--json")
    assert done.code == 0, done.err
    (only,) = json.loads(done.out)
    assert (only["shot"], only["state"], only["pixels"]) == (
        "lab/night/2", "changed", {"extracted": 40},
    )  # fmt: skip
    flux = json.loads(cli("show", archive, "lab/night/2/a", "--json").out)["statistics"]["flux"]
    assert flux["mean"] == 3.0, "the scale of today is no matter of masks"


def test_what_fails_is_named_and_the_rest_is_done(cli: Any, archive: Path, bad: Path) -> None:
    bad.write_text("night/1 a 7\nnight/2 none 1\n", "utf-8")
    done = cli("masks", archive, "--set", f"lists.bad={bad}")
    assert done.code == 3
    assert "error: lab/night/2: lab/night/2: late mask" not in done.err
    assert (
        "names 'none'" in done.err and "1 shot with other masks, 1 unchanged, 1 failed" in done.err
    )
    assert "lab/night/1" in done.out and "lab/night/2" not in done.out


def test_what_has_no_meaning_is_refused(cli: Any, archive: Path, sky: Path) -> None:
    done = cli("masks", archive, "--set", "scale=2")
    assert done.code == 2 and "'scale' changes numbers, so the stored value counts" in done.err
    done = cli("masks", archive, "-i", "toy")
    assert done.code == 2 and "has no shot of 'toy'" in done.err
    done = cli("masks", archive, "--shot", "night/1/a")
    assert done.code == 2 and "is a part of a shot" in done.err
    done = cli("masks", archive, "--set", "lists.none=1")
    assert done.code == 2
    done = cli("masks", sky)
    assert (done.code, done.out) == (0, "")
    assert "no instrument of these shots has late masks" in done.err
    done = cli("masks", sky, "--set", "remark=x")
    assert done.code == 2 and "--set has no meaning" in done.err
    assert cli("masks", archive.parent / "none.corecube").code == 5


def test_a_shot_that_others_need_is_not_removed(cli: Any, archive: Path) -> None:
    done = cli("remove", archive, "masters/1", "night/1", "--yes")
    assert done.code == 5
    assert "lab/masters/1 is needed by lab/night/2, which have arrays in it" in done.err
    assert cli("verify", archive).code == 0
    done = cli("remove", archive, "masters/1", "night/1", "night/2", "--yes", "--now")
    assert done.code == 0, done.err
    assert not list((archive / "shots").rglob("*.h5"))
