"""Real and simulated files of the survey: one archive of all, and single amplifiers by hooks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

import corecube
from corecube.archive.reader import Archive
from corecube.frames import Fibers, Frame, Image
from corecube.pipeline import Report, ingest
from corecube.plugins import load
from corecube.shots import Context, FileHead, FileInfo, ShotPlan
from corecube_hetdex import plugin
from corecube_hetdex.settings import HetdexConfig

Read = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def hetdex_data(data: Path) -> Path:
    """The HETDEX files among the real ones."""
    folder = data / "hetdex"
    if not folder.is_dir():
        pytest.skip("the real data have no folder hetdex")
    return folder


@pytest.fixture(scope="session")
def shot_folder(hetdex_data: Path) -> Path:
    """The shot that was simulated for this project, by others than our simulator."""
    return hetdex_data / "simulated" / "20260101v007"


@pytest.fixture(scope="session")
def truth(shot_folder: Path) -> Any:
    return json.loads((shot_folder / "truth.json").read_bytes())


@pytest.fixture(scope="session")
def first(hetdex_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """The archive of all files, and the report of the ingest that made it."""
    path = tmp_path_factory.mktemp("hetdex") / "all.corecube"
    caller = load("hetdex")
    return path, ingest([str(hetdex_data)], path, caller, caller.instrument.config())


@pytest.fixture(scope="session")
def archive(first: tuple[Path, Report]) -> Iterator[Archive]:
    with corecube.open(first[0]) as opened:
        yield opened


def infos_of(*paths: Path, config: HetdexConfig | None = None) -> list[FileInfo]:
    found = [
        plugin.corecube_identify(FileHead.of(str(path)), config or HetdexConfig()) for path in paths
    ]
    return [info for info in found if isinstance(info, FileInfo)]


def planned(*paths: Path, config: HetdexConfig | None = None) -> list[ShotPlan]:
    chosen = config or HetdexConfig()
    infos = infos_of(*paths, config=chosen)
    return list(plugin.corecube_plan_shots(infos, {}, chosen))


@pytest.fixture(scope="session")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Identify, plan, read, calibrate and give errors; frames by entry and name."""
    from corecube.pipeline.work import completed

    scratch = str(tmp_path_factory.mktemp("scratch"))

    def read_files(
        *paths: Path, config: HetdexConfig | None = None, entries: tuple[str, ...] = ()
    ) -> dict[str, dict[str, Frame]]:
        chosen = config or HetdexConfig()
        found: dict[str, dict[str, Frame]] = {}
        for plan in planned(*paths, config=chosen):
            context = Context(scratch)
            for entry in entries or plan.entries:
                frames = found.setdefault(entry, {})
                for frame in plugin.corecube_read_frames(plan, entry, chosen, context):
                    frame = plugin.corecube_calibrate(frame, chosen) or frame
                    frame = plugin.corecube_estimate_noise(frame, chosen) or frame
                    frames[frame.name] = completed(frame)
        return found

    return read_files


@pytest.fixture(scope="session")
def amplifier(shot_folder: Path, read: Read) -> Callable[[str], dict[str, Any]]:
    """Frames of an amplifier of the simulated shot by its entry."""
    paths = [path for path in sorted(shot_folder.rglob("*")) if path.is_file()]

    @lru_cache
    def get(entry: str) -> dict[str, Any]:
        frames: dict[str, Any] = read(*paths, entries=(entry,))[entry]
        assert isinstance(frames["fibers"], Fibers)
        assert all(isinstance(frame, Fibers | Image) for frame in frames.values())
        return frames

    return get


@pytest.fixture
def plan_of() -> Callable[..., list[ShotPlan]]:
    return planned


@pytest.fixture
def identified() -> Callable[..., list[FileInfo]]:
    return infos_of


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder with a shot of one IFU by our own simulator, and its truth."""
    folder = tmp_path_factory.mktemp("simulated")
    return folder, plugin.corecube_simulate(folder, {"sources": 3}, 11)
