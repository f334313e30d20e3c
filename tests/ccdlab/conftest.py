"""The way of raw frames through the hooks, without an archive."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from corecube.frames import Fibers, Frame, Image
from corecube.pipeline.work import completed
from corecube.shots import Context, FileHead, FileInfo, NotMine, Shot, ShotPlan
from corecube_ccdlab import plugin
from corecube_ccdlab.settings import CcdlabConfig


class MemoryShot(Shot):
    """A shot whose frames are kept in memory."""

    def __init__(self, plan: ShotPlan) -> None:
        self.instrument = "ccdlab"
        self.key = plan.key
        self.generation = 1
        self.plan = plan
        self.config: Mapping[str, Any] = {}
        self.images: tuple[str, ...] = ()
        self.groups: tuple[str, ...] = ()
        self.frames: dict[str, Frame] = {}

    def add(self, frame: Frame) -> None:
        assert frame.name not in self.frames
        self.frames[frame.name] = completed(frame)
        if isinstance(frame, Image):
            self.images = (*self.images, frame.name)
        else:
            self.groups = (*self.groups, frame.name)

    def frame(self, name: str) -> Image:
        image = self.frames[name]
        assert isinstance(image, Image)
        return image

    def rows(self, group: str, first: int, last: int) -> Fibers:
        fibers = self.frames[group]
        assert isinstance(fibers, Fibers) and first == 0 and last == len(fibers.id)
        return fibers

    def row_count(self, group: str) -> int:
        fibers = self.frames[group]
        assert isinstance(fibers, Fibers)
        return len(fibers.id)


def identified(path: Path, config: CcdlabConfig) -> FileInfo | NotMine | None:
    return plugin.corecube_identify(FileHead.of(str(path)), config)


def made(
    paths: Sequence[Path], config: CcdlabConfig, scratch: Path
) -> tuple[dict[str, MemoryShot], list[FileInfo]]:
    """Return the shots that files make by key, and the infos that wait."""
    said = [identified(path, config) for path in paths]
    infos = [info for info in said if isinstance(info, FileInfo)]
    shots: dict[str, MemoryShot] = {}
    used = set()
    for plan in plugin.corecube_plan_shots(infos, {}, config):
        shot = MemoryShot(plan)
        context = Context(str(scratch), {key: shots[key] for key in plan.needs})
        for entry in plan.entries:
            for frame in plugin.corecube_read_frames(plan, entry, config, context):
                finished = plugin.corecube_calibrate(frame, config) or frame
                shot.add(plugin.corecube_estimate_noise(finished, config) or finished)
        for frame in plugin.corecube_derive_frames(shot, config, context):
            shot.add(frame)
        shots[plan.key] = shot
        used |= {source.path for source in plan.sources}
    return shots, [info for info in infos if info.source.path not in used]


@pytest.fixture(scope="session")
def make_shots(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., dict[str, MemoryShot]]:
    """``make_shots(paths, **settings)``: the shots by key."""

    def make(paths: Sequence[Path], **settings: Any) -> dict[str, MemoryShot]:
        return made(paths, CcdlabConfig(**settings), tmp_path_factory.mktemp("scratch"))[0]

    return make


@pytest.fixture(scope="session")
def real(data: Path, make_shots: Any) -> Callable[[str], dict[str, MemoryShot]]:
    """``real("saao")``: the shots of one folder of real frames, made once."""
    kept: dict[str, dict[str, MemoryShot]] = {}

    def shots(folder: str) -> dict[str, MemoryShot]:
        if folder not in kept:
            kept[folder] = make_shots(sorted((data / "ccdlab" / folder).glob("*.bz2")))
        return kept[folder]

    return shots


@pytest.fixture(scope="session", name="identified")
def _identified() -> Callable[[Path, CcdlabConfig], FileInfo | NotMine | None]:
    return identified


@pytest.fixture(scope="session", name="made")
def _made() -> Callable[..., tuple[dict[str, MemoryShot], list[FileInfo]]]:
    return made


@pytest.fixture(scope="session")
def golden() -> Any:
    spec = importlib.util.spec_from_file_location("golden", Path(__file__).parent / "golden.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
