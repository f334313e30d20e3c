"""Real files through the plugin's hooks, each read once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from corecube.frames import Fibers, Frame, Image
from corecube.shots import Context, FileHead, FileInfo, ShotPlan
from corecube_sdss import plugin
from corecube_sdss.settings import SdssConfig

Read = Callable[..., list[Frame]]


@pytest.fixture(scope="session")
def read_frames(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Identify, plan, read and give errors to what some files hold."""
    scratch = str(tmp_path_factory.mktemp("scratch"))

    def read(*paths: Path, config: SdssConfig | None = None) -> list[Frame]:
        chosen = config or SdssConfig()
        frames: list[Frame] = []
        for plan in plans(paths, chosen):
            context = Context(scratch)
            for entry in plan.entries:
                for frame in plugin.corecube_read_frames(plan, entry, chosen, context):
                    frames.append(plugin.corecube_estimate_noise(frame, chosen) or frame)
        return frames

    return read


def plans(paths: tuple[Path, ...], config: SdssConfig) -> Iterator[ShotPlan]:
    infos = [plugin.corecube_identify(FileHead.of(str(path)), config) for path in paths]
    assert all(isinstance(info, FileInfo) for info in infos), infos
    yield from plugin.corecube_plan_shots([i for i in infos if isinstance(i, FileInfo)], {}, config)


@pytest.fixture(scope="session")
def image(sdss_data: Path, read_frames: Read) -> Callable[[str], Image]:
    """A real frame by band-run-camcol-field, errors with the gain of the table."""

    @lru_cache
    def get(label: str) -> Image:
        (path,) = sdss_data.rglob(f"frame-{label}.fits.bz2")
        (frame,) = read_frames(path, config=SdssConfig(gain="table"))
        assert isinstance(frame, Image)
        return frame

    return get


@pytest.fixture(scope="session")
def spectra(sdss_data: Path, read_frames: Read) -> Callable[[str], Mapping[str, Fibers]]:
    """The groups of a real spec file by the name of the file."""

    @lru_cache
    def get(name: str) -> Mapping[str, Fibers]:
        (path,) = (
            p
            for folder in ("spectra", "spectra-full")
            for p in (sdss_data / folder).glob(f"{name}*")
        )
        return {frame.name: frame for frame in read_frames(path) if isinstance(frame, Fibers)}

    return get


@pytest.fixture
def small_field(tmp_path: Path) -> dict[str, Any]:
    """A simulated field of 64 rows and 80 columns in r with one spectrum, and its truth."""
    options = {"rows": 64, "columns": 80, "stars": 2, "bands": "r", "spectra": 1, "packed": False}
    truth = plugin.corecube_simulate(tmp_path, options, 7)
    return {"folder": tmp_path, **truth}
