"""The command line, called in this process and as a program of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from corecube_cli.main import run

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Done:
    """What a command gave."""

    code: int
    out: str
    err: str


Cli = Callable[..., Done]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run a command line in this process; tracebacks are saved below tmp_path."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def call(*arguments: object) -> Done:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return call


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the program in a process group of its own; it knows what this process knows."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object, **more: Any) -> subprocess.Popen[str]:
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
        process = subprocess.Popen(
            [sys.executable, "-m", "corecube_cli", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=more.pop("stdout", subprocess.PIPE),
            stderr=more.pop("stderr", subprocess.PIPE),
            text=True,
            env=environ | more.pop("env", {}),
            start_new_session=True,
            **more,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def raw(toy: Any, tmp_path: Path) -> Path:
    """Two images of one place, one beside it, and a plate of spectra with single exposures."""
    folder = tmp_path / "raw"
    times: dict[str, Any] = {"start": 52000.0, "end": 52000.001}
    toy.image(folder / "r.toy", "field/1", "r", ra=10.0, dec=-20.0, **times)
    toy.image(folder / "g.toy", "field/1", "g", ra=10.0, dec=-20.0, seed=1, **times)
    toy.image(folder / "far.toy", "field/2", "r", ra=50.0, dec=30.0, seed=2, **times)
    toy.fibers(
        folder / "plate.toy", "plate/1", "a", ra=(10.0, 10.0001, 80.0), dec=(-20.0, -20.0, 5.0),
        exposures=True,
    )  # fmt: skip
    return folder


@pytest.fixture
def sky(raw: Path, cli: Cli, tmp_path: Path) -> Path:
    """The archive of them."""
    archive = tmp_path / "sky.corecube"
    done = cli("ingest", "-i", "toy", raw, "-a", archive, "--jobs", 1)
    assert done.code == 0, done.err
    return archive
