"""The wheel, in an environment of its own: complete, sufficient, and no more than the packages."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = [
    ROOT / path for path in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
]
# As it was before the tests were given a home of their own: pip's settings and cache are there.
USER = dict(os.environ)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("wheel"),  # one worker: the wheel is built and installed once
]


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the sdist, so that a file lost by the sdist is missed."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel with its own dependencies only, and give the environment's programs."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", folder, cwd=folder)
    python = folder / "bin" / "python"
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "-qq", "--no-compile")
    run(*pip, "-c", ROOT / "constraints.txt", wheel, cwd=folder, env=USER)
    return folder / "bin"


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = {
        path.relative_to(package.parent).as_posix()
        for package in PACKAGES
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == files
    assert {f"{package.name}/py.typed" for package in PACKAGES} <= names
    assert not [name for name in names if {"tests", "conftest.py"} & set(name.split("/"))]


def test_the_program_runs_elsewhere(installed: Path, tmp_path: Path) -> None:
    version = PROJECT["project"]["version"]
    assert run(installed / "corecube", "--version", cwd=tmp_path) == f"corecube {version}\n"
    listing = run(installed / "corecube", "plugins", "list", cwd=tmp_path)
    for name in PROJECT["project"]["entry-points"]["corecube.instruments"]:
        (line,) = (line for line in listing.splitlines() if name in line.split())
        assert "ok" in line.split()


def test_every_module_imports_with_the_declared_dependencies_alone(
    installed: Path, tmp_path: Path
) -> None:
    """No extra, no test tool, no neighbour in the checkout is needed."""
    code = (
        "import importlib, pkgutil, sys\n"
        "for name in sys.argv[1:]:\n"
        "    package = importlib.import_module(name)\n"
        "    assert 'site-packages' in package.__file__, package.__file__\n"
        "    for module in pkgutil.walk_packages(package.__path__, name + '.'):\n"
        # the tests of an instrument's author need pytest, which no user does
        "        if not module.name.endswith(('.__main__', '.instrument_tests')):\n"
        "            importlib.import_module(module.name)\n"
    )
    run(installed / "python", "-c", code, *(p.name for p in PACKAGES), cwd=tmp_path)
