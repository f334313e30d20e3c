"""Real and simulated files through the plugin's hooks, each read once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import pytest

from corecube.frames import Fibers, Frame
from corecube.shots import Context, FileHead, FileInfo, ShotPlan
from corecube_boss import plugin
from corecube_boss.settings import BossConfig

CONFIG = BossConfig()
Read = Callable[..., list[Frame]]


@pytest.fixture(scope="session")
def boss_data(data: Path) -> Path:
    """The files of BOSS among the real files."""
    folder = data / "boss"
    if not folder.is_dir():
        pytest.skip("the real data have no folder boss")
    return folder


@pytest.fixture(scope="session")
def plans() -> Callable[..., list[ShotPlan]]:
    """Plans of files and folders; what is not the instrument's is passed over."""

    def plan(*paths: Path, config: BossConfig = CONFIG) -> list[ShotPlan]:
        infos = []
        for path in paths:
            for file in sorted(path.rglob("*")) if path.is_dir() else (path,):
                found = plugin.corecube_identify(FileHead.of(str(file)), config)
                if isinstance(found, FileInfo):
                    infos.append(found)
        return list(plugin.corecube_plan_shots(infos, {}, config))

    return plan


@pytest.fixture(scope="session")
def read(plans: Callable[..., list[ShotPlan]], tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Frames of files and folders, of some entries only where they are named."""
    scratch = str(tmp_path_factory.mktemp("scratch"))

    def read_files(*paths: Path, entries: Iterable[str] = ()) -> list[Frame]:
        wanted = set(entries)
        frames = []
        for plan in plans(*paths):
            context = Context(scratch)
            for entry in plan.entries:
                if wanted and entry not in wanted:
                    continue
                for frame in plugin.corecube_read_frames(plan, entry, CONFIG, context):
                    frames.append(plugin.corecube_estimate_noise(frame, CONFIG) or frame)
        return frames

    return read_files


@pytest.fixture(scope="session")
def plate(boss_data: Path, read: Read) -> Callable[[int], Mapping[str, list[Fibers]]]:
    """The blocks of a simulated plate by group."""

    @lru_cache
    def get(number: int) -> Mapping[str, list[Fibers]]:
        groups: dict[str, list[Fibers]] = {}
        for frame in read(boss_data / "simulated" / f"plate{number}"):
            assert isinstance(frame, Fibers)
            groups.setdefault(frame.name, []).append(frame)
        return groups

    return get


@pytest.fixture(scope="session")
def spec(boss_data: Path, read: Read) -> Callable[[str], Mapping[str, Fibers]]:
    """The groups of a real spec file by the name of the file."""

    @lru_cache
    def get(name: str) -> Mapping[str, Fibers]:
        (path,) = (
            p
            for folder in ("spec_full", "spec_lite")
            for p in (boss_data / folder).glob(f"{name}*")
        )
        return {frame.name: frame for frame in read(path) if isinstance(frame, Fibers)}

    return get
