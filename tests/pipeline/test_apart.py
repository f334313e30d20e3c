"""What may crash is read in processes of their own: one message, and the rest goes on."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import corecube
from corecube.archive.verify import verify
from corecube.pipeline import Options, checking, ingest
from corecube.plugins import load

CRASHING = """
import os, signal
from dataclasses import dataclass
import numpy as np
from corecube.frames import Image
from corecube.hookspecs import API, Instrument, hookimpl
from corecube.shots import FileInfo

@dataclass(frozen=True)
class Settings:
    pass

@hookimpl
def corecube_instrument():
    return Instrument("Crashing", (API, API), 1, Settings)

@hookimpl
def corecube_identify(file, config):
    if "identify" in file.name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "long" in file.name:
        while True:
            pass
    return FileInfo(file.source, file.name.split(".")[0], "all")

@hookimpl
def corecube_archive_columns(config):
    return {}

@hookimpl
def corecube_read_frames(plan, entry, config, context):
    if "read" in plan.key:
        os.kill(os.getpid(), signal.SIGSEGV)
    yield Image(name="r", flux=np.ones((4, 5), "f4"), unit="adu")
"""


@pytest.fixture
def files(tmp_path: Path, install: Callable[..., Path]) -> Path:
    install("corecube-crashing", "1", {"crashing": "crashing_one"}, {"crashing_one": CRASHING})
    folder = tmp_path / "raw"
    folder.mkdir()
    for name in ("a", "identify", "read", "z"):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file.create_dataset("x", data=np.arange(3))
    return folder


def run(files: Path, archive: Path, **options: Any) -> Any:
    caller = load("crashing")
    config = caller.instrument.config()
    return ingest([str(files)], archive, caller, config, Options(apart=True, **options))


def test_a_file_that_crashes_its_reader_costs_itself_alone(files: Path, tmp_path: Path) -> None:
    report = run(files, tmp_path / "a.corecube")
    said = {Path(file.path).stem: (file.state, file.reason) for file in report.files}
    assert said["a"] == said["z"] == ("ingested", "")
    assert said["identify"] == ("failed", "looking at it crashed (the worker process was ended by "
                                "SIGSEGV); fetch it again")  # fmt: skip
    state, reason = said["read"]
    assert state == "failed" and "the worker process was ended by SIGSEGV" in reason
    assert report.exit_code() == 3
    with corecube.open(tmp_path / "a.corecube") as archive:
        assert sorted(archive.shots()["shot"].values.tolist()) == ["a", "z"]


def test_a_file_that_never_ends_is_ended(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit counts seconds of a processor; it is set in the worker."""
    from corecube import scheduler

    (files / "identify.h5").unlink()
    shutil.copy(files / "a.h5", files / "long.h5")
    (tmp_path / "short_of_time.py").write_text(
        "from corecube.pipeline import identify\n"
        "identify._SECONDS = 1.0\n"
        "identify_task = identify.identify_task\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    helper = scheduler.Helper
    monkeypatch.setattr(scheduler, "Helper", lambda _: helper("short_of_time:identify_task"))
    report = run(files, tmp_path / "a.corecube")
    (long,) = [file for file in report.files if "long" in file.path]
    assert long.state == "failed" and "SIGXCPU" in long.reason
    assert resource.getrlimit(resource.RLIMIT_CPU)[0] == resource.RLIM_INFINITY


def test_a_worker_has_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from corecube import scheduler

    (tmp_path / "tells_limits.py").write_text(
        "import resource\n"
        "def work(task):\n"
        "    names = ('CORE', 'NOFILE', 'AS')\n"
        "    return {n: resource.getrlimit(getattr(resource, 'RLIMIT_' + n))[0] for n in names}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    (one,) = scheduler.run("tells_limits:work", [{}], 1, apart=True)
    assert one.result is not None
    assert one.result["CORE"] == 0 and 0 < one.result["NOFILE"] <= 512
    assert 2**34 <= one.result["AS"] < 2**50


# -- verify ----------------------------------------------------------------------------------------


@pytest.fixture
def archive(toy: Any, tmp_path: Path) -> Path:
    raw = tmp_path / "raw"
    for number in range(3):
        toy.image(raw / f"{number}.toy", f"field/{number}", seed=number)
    toy.fibers(raw / "f.toy", "plate/1", ra=[1.0, 2.0], dec=[0.0, 0.0])
    path = tmp_path / "a.corecube"
    assert ingest([str(raw)], path, load("toy"), toy.ToyConfig(), Options()).exit_code() == 0
    return path


@pytest.mark.parametrize("quick", [False, True])
def test_apart_it_finds_what_it_finds_here(
    archive: Path, quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(task: Any) -> Any:
        raise AssertionError("this process has read a shot file")

    monkeypatch.setattr(checking, "check", never)  # not in workers
    path = next(archive.glob("shots/toy/field/1.*.h5"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data[:-3] if quick else data)
    with corecube.open(archive) as opened:
        here = list(verify(opened, quick=quick))
        assert list(checking.verify_apart(opened, quick=quick)) == here
        assert sorted(checking.verify_apart(opened, quick=quick, jobs=2)) == sorted(here)
    assert sum(len(damages) for _, damages in here) == 1


def test_a_shot_that_crashes_the_library_is_named_and_the_rest_is_checked(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "crashing_check.py").write_text(
        "import os, signal\n"
        "from corecube.pipeline import checking\n"
        "def check(task):\n"
        "    if task['part'] == 'toy/field/1':\n"
        "        os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    return checking.check(task)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(checking, "_CHECK", "crashing_check:check")
    with corecube.open(archive) as opened:
        found = dict(checking.verify_apart(opened))
    (damage,) = found.pop("toy/field/1")
    assert damage.where == "toy/field/1" and "\n" not in damage.what
    assert "checking it crashed (the worker process was ended by SIGSEGV)" in damage.what
    assert found == {"index": [], "toy/field/0": [], "toy/field/2": [], "toy/plate/1": []}
