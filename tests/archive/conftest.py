"""Archives made frame by frame, without an instrument; archives of strangers."""

from __future__ import annotations

import functools
import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
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
from corecube.pipeline import Options, ingest
from corecube.plugins import load
from corecube.shots import ShotPlan
from corecube.spectral import Spectral
from corecube_cli.main import run

Store = Callable[..., ShotRecord]
HERE = Path(__file__).resolve().parent
INSTRUMENTS = HERE.parent / "instruments"


def _module(path: Path, name: str) -> Any:
    """Load a module that is in no package; tests may import it by this name."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


_module(HERE / "shotmaking.py", "shotmaking")
_module(HERE / "skyrows.py", "skyrows")
strangers = _module(HERE / "strangers.py", "strangers")


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
    return _module(INSTRUMENTS / "forging.py", "forging_for_archives")


@pytest.fixture(scope="session")
def looking() -> Any:
    """The module tests/instruments/looking.py: what the browser reads."""
    return _module(INSTRUMENTS / "looking.py", "looking_for_archives")


@pytest.fixture(scope="session")
def reseal(forging: Any) -> Callable[[Path], None]:
    """Seal a shot file anew that was changed on purpose: a forgery, not a damage."""
    do: Callable[[Path], None] = forging.reseal
    return do


# -- archives of strangers -------------------------------------------------------------------------


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the archive is made once that the strangers' are copies of."""
    return tmp_path_factory.mktemp("stranger") / "sound.corecube"


@pytest.fixture
def archive(sound: Path, toy: Any, tmp_path: Path) -> Path:
    """A copy of an archive with an image, a plate with exposures, and a file that waits."""
    if not sound.exists():
        raw = sound.parent / "raw"
        toy.image(raw / "r.toy", "field/1", shape=(300, 310))
        toy.fibers(
            raw / "f.toy", "plate/1", ra=10 + np.arange(40) / 100, dec=np.full(40, 20.0),
            exposures=True,
        )  # fmt: skip
        toy.gain(raw / "w.toy", "field/9")
        assert ingest([str(raw)], sound, load("toy"), toy.ToyConfig(), Options()).exit_code() == 0
    place = tmp_path / "home" / "a.corecube"
    shutil.copytree(sound, place)
    return place


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Any]:
    """What lies beside the archive; afterwards it is as it was."""
    (tmp_path / "world").mkdir()
    around = strangers.World(tmp_path / "world")
    before = around.state()
    yield around
    assert not around.ran.exists(), "a pickle was run"
    assert around.state() == before, "files outside of the archive were changed"


@pytest.fixture
def use(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, looking: Any
) -> Callable[..., dict[str, int]]:
    """Do all that can be done with an archive; return exit codes by command."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    field, plate = strangers.FIELD, strangers.PLATE

    def all_of_it(archive: Path, *, skip: str = "") -> dict[str, int]:
        out = tmp_path / "out"
        commands: dict[str, list[Any]] = {
            "info": ["info", archive],
            "info json": ["info", archive, "--json"],
            "query": [
                "query", archive, "10", "20", "-r", "0.3deg", "--exposures", "--spectra",
                out / "spectra", "--cutouts", out / "cutouts", "--force",
            ],
            "query where": ["query", archive, "--where", "z > 0"],
            "show": ["show", archive, field],
            "show image": ["show", archive, f"{field}/r"],
            "show fibre": ["show", archive, f"{plate}/stars/a-0"],
            "report": ["report", archive, f"{field}/r", "-o", out / "report", "--json-only"],
            "cube": [
                "query", archive, "10", "20", "--size", "16", "--cube", out / "cube.h5", "--unit",
                "stored", "--level", "1", "--pixels", "9,1", "--bins", "own", "--force",
            ],
            "export": ["export", archive, field, plate, "--plain", "-o", out / "plain"],
            "verify": ["verify", archive],
            "repair": ["repair", archive],
            "info after": ["info", archive],
        }  # fmt: skip
        codes = {}
        for name, command in commands.items():
            if skip and name.startswith(skip):
                continue
            capfd.readouterr()
            codes[name] = run([str(part) for part in command])
            said, told = capfd.readouterr()
            assert codes[name] in (0, 2, 3, 5, 8), f"{name}: {told}"
            for text in (said, told):
                assert not strangers.HARMFUL.search(text), f"{name}: {text!r}"
                assert strangers.SECRET not in text and "Traceback" not in text
            if codes[name] in (2, 5):
                assert told.count("error:") == 1, f"{name}: {told}"
            if name == "verify":
                for step, found in looking.look(archive).items():
                    shown = repr(found) if "question" not in step else ""
                    assert strangers.SECRET not in shown, step
        for path in out.rglob("*"):
            if path.is_file():
                assert strangers.SECRET.encode() not in path.read_bytes()
                assert np.array([777], ">f4").tobytes() * 4 not in path.read_bytes()
        return codes

    return all_of_it
