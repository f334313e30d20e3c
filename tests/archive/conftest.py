"""Archives made frame by frame, without an instrument."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corecube.archive import latemasks
from corecube.archive.about import error_bits_of, profile_of
from corecube.archive.catalogue import ShotRecord
from corecube.archive.latemasks import LateMasks
from corecube.archive.shotfile import StoredShot
from corecube.archive.shotwriter import ShotWriter
from corecube.archive.writer import ArchiveWriter, NewShot, create
from corecube.frames import Fibers, Frame, Image
from corecube.masks import MaskSpan
from corecube.shots import ShotPlan
from corecube.spectral import Spectral

Store = Callable[..., ShotRecord]


def described(instrument: str, key: str, kind: str, generation: int) -> tuple[Any, Any]:
    """Return description and history of a shot."""
    about = {
        "instrument": instrument, "key": key, "title": key, "kind": kind,
        "generation": generation, "fingerprint": f"{key}.{generation}", "basis": "b",
        "entries": {}, "created": "", "raw_bytes": 0,
    }  # fmt: skip
    return about, {"plan": ShotPlan(key, key, {}).to_json(), "config": {}, "infos": []}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty archive."""
    path = tmp_path / "a.corecube"
    create(path)
    return path


@pytest.fixture
def store(place: Path, store_in: Store) -> Store:
    """``store("night/1", [frames], kind="calibration", spans=[...])`` registers a shot."""
    return functools.partial(store_in, place)


@pytest.fixture(scope="session")
def store_in() -> Store:
    """``store_in(archive, "night/1", [frames], ...)`` registers a shot by the archive's profile."""

    def one(
        place: Path, key: str, frames: Sequence[Frame], kind: str = "science",
        spans: Sequence[MaskSpan] = (),
    ) -> ShotRecord:  # fmt: skip
        with ArchiveWriter(place) as writer:
            writer.clean()
            file = writer.new_path("lab", key)
            number = writer.next_generation(f"lab/{key}")
            shot = ShotWriter(place / file, profile_of(place), error_bits_of(place))
            try:
                shot.check(frames, {})
                for frame in frames:
                    if isinstance(frame, Image):
                        shot.add_image("e", frame)
                    else:
                        assert isinstance(frame, Fibers)
                        shot.add_block("e", frame)
                stamp = shot.finish(*described("lab", key, kind, number))
            finally:
                shot.close()
            masks = {}
            if spans:
                with StoredShot(place / file) as stored:
                    masks = latemasks.write(place, stored, LateMasks.of(spans))
            (record,) = writer.commit([NewShot(file, stamp, (), masks)])
        return record

    return one


@pytest.fixture
def image() -> Callable[..., Image]:
    """``image("r", (40, 50), seed=1, calibration=...)``."""

    def one(name: str, shape: tuple[int, int] = (40, 50), seed: int = 0, **more: Any) -> Image:
        rng = np.random.default_rng(seed)
        flux = rng.normal(5, 1, shape).astype("f4")
        mask = (rng.integers(0, 9, shape) == 8).astype("u4")
        return Image(
            name=name, flux=flux, unit=more.pop("unit", "adu"),
            error=np.sqrt(np.abs(flux)) + np.float32(1), mask=mask, **more,
        )  # fmt: skip

    return one


@pytest.fixture
def fibers() -> Callable[..., Fibers]:
    """``fibers("stars", 3, 20, first=0, wave=..., layers=...)``."""

    def one(name: str, count: int, width: int, first: int = 0, **more: Any) -> Fibers:
        flux = np.random.default_rng(first).normal(5, 1, (count, width)).astype("f4")
        wave = more.pop("wave", None) or Spectral(np.linspace(4000.0, 5000.0, width))
        zeros = np.zeros(flux.shape, "u4")
        given: dict[str, Any] = {
            "id": tuple(f"{name}-{first + row}" for row in range(count)),
            "ra": np.arange(count, dtype="f8") + first, "dec": np.zeros(count),
        }  # fmt: skip
        return Fibers(
            name=name, flux=flux, unit="adu", error=np.ones_like(flux), mask=zeros, wave=wave,
            **given | more,
        )  # fmt: skip

    return one


@pytest.fixture(scope="session")
def forging() -> Any:
    """The module tests/instruments/forging.py: archives of a stranger's."""
    return _module("forging")


@pytest.fixture(scope="session")
def looking() -> Any:
    """The module tests/instruments/looking.py: what the browser reads."""
    return _module("looking")


def _module(name: str) -> Any:
    path = Path(__file__).resolve().parents[1] / "instruments" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{name}_for_archives", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def reseal(forging: Any) -> Callable[[Path], None]:
    """Seal a shot file anew that was changed on purpose: a forgery, not a damage."""
    do: Callable[[Path], None] = forging.reseal
    return do
