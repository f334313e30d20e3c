"""Simulated files, and the command line as a program that can be hurt."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from corecube.archive.manifest import load as load_manifest
from corecube.archive.reader import Archive
from corecube.plugins import load

HERE = Path(__file__).resolve().parent
DRIVER = HERE / "driver.py"


def _module(path: Path, name: str) -> Any:
    """Load a module that is in no package; tests may import it by this name."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


_module(HERE / "failingdisk.py", "failingdisk")


@dataclass(frozen=True)
class Done:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines on stderr."""
        return self.err.splitlines()

    def about(self, text: str) -> list[str]:
        """The lines on stderr in which `text` stands."""
        return [line for line in self.lines if text in line]

    @property
    def ingested(self) -> set[str]:
        """The shots that were reported as ingested."""
        words = [line.split() for line in self.lines if line.startswith("[")]
        return {word[1] for word in words if word[2].startswith(("ingested", "replaced"))}


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start_cli(tmp_path: Path) -> Iterator[Start]:
    """``start_cli("ingest", ..., faults=[...])``: a process group of its own; see driver.py."""
    started: list[subprocess.Popen[str]] = []
    (tmp_path / "tmp").mkdir()

    def start(*arguments: object, prefix: tuple[str, ...] = (), **order: Any) -> Any:
        environment = {
            **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "TMPDIR": str(tmp_path / "tmp"), "DRIVER": json.dumps(order),
        }  # fmt: skip
        program = [str(DRIVER)] if order else ["-m", "corecube_cli"]
        process = subprocess.Popen(
            [*prefix, sys.executable, *program, *map(os.fspath, map(_text, arguments))],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="surrogateescape", start_new_session=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _text(argument: object) -> Any:
    return argument if isinstance(argument, bytes) else str(argument)


@pytest.fixture
def cli(start_cli: Start, tmp_path: Path) -> Callable[..., Done]:
    """Run a command to its end; no traceback may show or be saved."""

    def call(*arguments: object, **order: Any) -> Done:
        process = start_cli(*arguments, **order)
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in err, err
        assert not list((tmp_path / "tmp").glob("*traceback*")), err
        return Done(process.returncode, out, err)

    return call


@pytest.fixture
def done_of(tmp_path: Path) -> Callable[[list[Any]], Done]:
    """Run another program that runs ours, to its end."""

    def call(command: list[Any]) -> Done:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(
            list(map(str, command)), env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def ingest(cli: Callable[..., Done]) -> Callable[..., Done]:
    """``ingest(archive, *paths_and_options, **order)`` with the instrument sdss."""

    def call(archive: Path, *arguments: object, **order: Any) -> Done:
        return cli("ingest", "--instrument", "sdss", "--archive", archive, *arguments, **order)

    return call


@pytest.fixture(scope="session")
def simulate(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``simulate(seed, rows=200, ...)``: a folder of simulated SDSS files."""

    def make(seed: int, **options: Any) -> Path:
        folder = tmp_path_factory.mktemp(f"simulated{seed}-")
        small = {"rows": 200, "columns": 256, "stars": 10, "spectra": 1, "packed": False}
        load("sdss").call("simulate", directory=folder, options=small | options, seed=seed)
        return folder

    return make


@pytest.fixture(scope="session")
def leftovers() -> Callable[[Path], list[str]]:
    """Files below an archive that its present state does not need."""

    def find(archive: Path) -> list[str]:
        manifest, _ = load_manifest(archive)
        with Archive(archive) as opened:
            shots = {record.file for record in opened.state.catalogue.by_number.values()}
        needed = manifest.files() | shots | {"archive.json", "manifest.json", "lock"}
        there = {str(i.relative_to(archive)) for i in archive.rglob("*") if not i.is_dir()}
        assert needed <= there | {"lock"}
        return sorted(there - needed)

    return find


@pytest.fixture(scope="session")
def wait_for() -> Callable[..., None]:
    """Wait until a condition holds."""

    def wait(condition: Callable[[], Any], seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it never came to that"
            time.sleep(0.005)

    return wait


@pytest.fixture(scope="session")
def living() -> Callable[[int], list[int]]:
    """The processes of a group that have not ended."""

    def find(group: int) -> list[int]:
        found = []
        for place in Path("/proc").glob("[0-9]*/stat"):
            try:
                text = place.read_text()
            except OSError:
                continue
            # pid (name) state parent group ...: the name may hold anything
            state, _, number, *_ = text.rpartition(")")[2].split()
            if int(number) == group and state not in "ZX":
                found.append(int(place.parent.name))
        return found

    if not Path("/proc/self/stat").exists():
        pytest.skip("processes of a group are found by /proc")
    return find


@pytest.fixture
def kill(living: Callable[[int], list[int]]) -> Callable[[subprocess.Popen[str]], Done]:
    """Kill a program (not its group) with SIGKILL and return what it had said."""

    def hit(process: subprocess.Popen[str]) -> Done:
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate(timeout=30)
        return Done(process.returncode, out, err)

    return hit


@pytest.fixture(scope="session")
def tmpfs(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """How to start a shell that may mount; what it mounts is gone with it."""
    folder = tmp_path_factory.mktemp("probe")
    shell = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-euc")
    try:
        done = subprocess.run(
            [*shell, f"mount -t tmpfs -o size=64k tmpfs {folder}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("no program 'unshare': a small disk cannot be mounted")
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted: {done.stderr.strip()}")
    return shell
