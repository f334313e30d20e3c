"""Archives to browse, and ways to drive the browser without a terminal."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from corecube.archive.reader import Archive
from corecube.archive.shotfile import StoredShot
from corecube_cli.browse.app import BrowseApp
from corecube_cli.browse.loading import THREAD
from corecube_cli.main import run

HERE = Path(__file__).resolve().parent
SECONDS = 30
"""After which something that was waited for will not come; the machine may be busy."""


def ingest(instrument: str, source: Path, archive: Path) -> Path:
    assert run(["-q", "ingest", "-i", instrument, str(source), "-a", str(archive), "-j", "1"]) == 0
    return archive


@pytest.fixture
def toy_archive(toy: Any, tmp_path: Path) -> Path:
    """Two images, one large enough for a pyramid, and a plate with single exposures."""
    raw = tmp_path / "raw"
    toy.image(raw / "r.toy", "field/1", "r", ra=10.0, dec=-20.0, start=52000.0, end=52000.001)
    toy.image(raw / "far.toy", "field/2", "g", ra=50.0, dec=30.0, seed=2, shape=(300, 500))
    toy.fibers(
        raw / "plate.toy", "plate/1", "a", ra=(10.0, 10.0001, 80.0), dec=(-20.0, -20.0, 5.0),
        exposures=True,
    )  # fmt: skip
    return ingest("toy", raw, tmp_path / "toy.corecube")


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch, install: Any, tmp_path: Path) -> Any:
    """The module of the instrument ``odd``, whose archive is ``odd.path``."""
    install("corecube-odd", "0.1", {"odd": "odd"})
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.delitem(sys.modules, "odd", raising=False)
    (tmp_path / "odd.file").write_bytes(b"ODD")
    archive = ingest("odd", tmp_path / "odd.file", tmp_path / "odd.corecube")
    spec = importlib.util.spec_from_file_location("odd_for_tests", HERE / "odd.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.path = archive  # type: ignore[attr-defined]
    module.ingest = ingest  # type: ignore[attr-defined]
    return module


@pytest.fixture(scope="session")
def sdss_archive(sdss_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real SDSS files."""
    return ingest("sdss", sdss_data, tmp_path_factory.mktemp("browse") / "s82.corecube")


@pytest.fixture(autouse=True)
def only_the_archives_thread(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fail where the archive is touched outside of its thread while the browser runs."""
    wrong: list[str] = []
    running = threading.main_thread()

    def guard(owner: type, name: str) -> None:
        plain = getattr(owner, name)

        def guarded(*args: Any, **named: Any) -> Any:
            inside = threading.current_thread()
            if BROWSING and (inside is running or inside.name != THREAD):
                wrong.append(f"{owner.__name__}.{name} in {inside.name}")
                raise AssertionError(wrong[-1])
            return plain(*args, **named)

        monkeypatch.setattr(owner, name, guarded)

    for owner, names in (
        (StoredShot, ("__init__", "read", "texts", "rows", "part", "header", "group")),
        (
            Archive,
            ("__init__", "shot", "record", "region", "cone", "everything", "find", "get", "_retry"),
        ),
    ):
        for name in names:
            guard(owner, name)
    monkeypatch.setattr("corecube.hdf5.open_file", _guarded_open(wrong))
    OPENED.clear()
    return wrong


OPENED: list[str] = []
"""Files of an archive that were opened by another thread than the archive's."""


def _watch_files(event: str, arguments: tuple[Any, ...]) -> None:
    """Note every file of the archive that is opened, also by code that is not guarded by name."""
    if event in ("open", "os.listdir", "os.scandir") and BROWSING:
        place = str(arguments[0])
        if (
            place.startswith(str(BROWSING[0].path))
            and threading.current_thread().name == threading.main_thread().name
        ):
            OPENED.append(place)


sys.addaudithook(_watch_files)


def _guarded_open(wrong: list[str]) -> Callable[..., Any]:
    from corecube import hdf5

    plain = hdf5.open_file

    def guarded(*args: Any, **named: Any) -> Any:
        if BROWSING and threading.current_thread().name != THREAD:
            wrong.append("open_file")
            raise AssertionError("a file is opened outside of the archive's thread")
        return plain(*args, **named)

    return guarded


BROWSING: list[BrowseApp] = []
"""The browser that runs."""


class Screen:
    """A running browser: keys in, text out."""

    def __init__(self, app: BrowseApp, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    async def until(self, test: Callable[[], object], what: str = "") -> None:
        """Wait for something."""
        for _ in range(SECONDS * 50):
            await self.pilot.pause(0.02)
            if test():
                return
        raise AssertionError(f"{what or 'it'} did not come:\n{self.text}")

    async def quiet(self) -> None:
        """Wait until nothing is being read, also what a resting cursor asks for."""
        await self.pilot.pause()
        await self.until(lambda: self.app.idle, "an answer")

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.quiet()

    async def find(self, text: str) -> None:
        """Ask behind the slash, without typing each letter."""
        await self.press("slash")
        field = self.app.prompt.query_one("#where", Input)
        field.value = text
        field.cursor_position = len(text)
        await self.press("enter")

    @property
    def lines(self) -> list[str]:
        """What stands on the screen."""
        strips = self.app.screen._compositor.render_strips()
        return [strip.text for strip in strips]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


Browse = Callable[..., None]


@pytest.fixture
def browse(only_the_archives_thread: list[str]) -> Browse:
    """Run a scene in the browser: ``browse(archive, scene, size=(80, 24), question="")``."""

    def play(
        archive: Path,
        scene: Callable[[Screen], Awaitable[None]],
        size: tuple[int, int] = (80, 24),
        question: str = "",
        colored: bool = True,
    ) -> None:
        async def running() -> None:
            app = BrowseApp(archive, question, colored=colored)
            BROWSING.append(app)
            try:
                async with app.run_test(size=size, notifications=True) as pilot:
                    screen = Screen(app, pilot)
                    await screen.until(lambda: app.overview is not None, "the tree")
                    await screen.quiet()
                    await scene(screen)
            finally:
                BROWSING.clear()

        asyncio.run(running())
        assert not only_the_archives_thread and not OPENED

    return play
