"""What is really loaded by what users start, and what we declare that we need.

The import linter sees the text of the imports; here a fresh interpreter says what came of them.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import pytest

from corecube.archive.writer import create

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
INSTRUMENTS: dict[str, str] = PROJECT["project"]["entry-points"]["corecube.instruments"]
PACKAGES = sorted(
    ROOT / path for path in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
)
OURS = {path.name for path in PACKAGES}
SCRIPTS = Path(sysconfig.get_path("scripts"))

INSTRUMENT_PACKAGES = OURS - {"corecube", "corecube_cli"}
SCREEN = {"textual", "rich"}
SLOW = {"astropy", "tables", "specutils", "scipy", "matplotlib", "h5py", "numexpr", "dask"}
TERMINAL = {"typer", "corecube_cli"}

# What is started: a statement, or a command line. What must not be loaded by it.
STATEMENTS = {
    "import corecube": SCREEN | SLOW | TERMINAL | INSTRUMENT_PACKAGES | {"numpy", "pluggy"},
    "import corecube.errors": SCREEN | SLOW | TERMINAL | INSTRUMENT_PACKAGES | {"numpy", "pluggy"},
    "import corecube.plugins": SCREEN | SLOW | TERMINAL | INSTRUMENT_PACKAGES,
    "import corecube_cli.main": SCREEN | SLOW | INSTRUMENT_PACKAGES | {"numpy"},
}
COMMANDS = {
    "corecube --help": SCREEN | SLOW | INSTRUMENT_PACKAGES | {"numpy"},
    "corecube --version": SCREEN | SLOW | INSTRUMENT_PACKAGES | {"numpy"},
    "corecube plugins list": SCREEN | SLOW,
    "corecube info empty.corecube": SCREEN | SLOW | INSTRUMENT_PACKAGES,
    "corecube query empty.corecube 10 -20 --format csv": SCREEN | SLOW | INSTRUMENT_PACKAGES,
}


def loaded(start: str, argv: list[str], folder: Path) -> set[str]:
    """Give the top-level modules, and ours in full, at the end of a fresh interpreter."""
    listing = folder / "modules.txt"
    code = (
        "import atexit, sys\n"
        f"argv = {argv!r}\n"
        "def write():\n"
        f"    with open({str(listing)!r}, 'w') as file:\n"
        "        file.write('\\n'.join(name for name, module in sys.modules.items() if module))\n"
        "atexit.register(write)\n"
        "sys.argv = argv or sys.argv\n"
        f"{start}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    names = set(listing.read_text(encoding="utf-8").split())
    return names | {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_an_import_loads_only_what_it_needs(statement: str, tmp_path: Path) -> None:
    assert loaded(statement, [], tmp_path) & STATEMENTS[statement] == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_loads_only_what_it_needs(command: str, tmp_path: Path) -> None:
    create(tmp_path / "empty.corecube")
    program, *arguments = command.split()
    script = str(SCRIPTS / program)
    start = f"import runpy; runpy.run_path({script!r}, run_name='__main__')"
    modules = loaded(start, [script, *arguments], tmp_path)
    assert "corecube_cli.main" in modules
    assert modules & COMMANDS[command] == set()


@pytest.mark.parametrize("name", sorted(INSTRUMENTS))
def test_an_instrument_loads_fast(name: str, tmp_path: Path) -> None:
    """`corecube plugins list` loads them all."""
    module = INSTRUMENTS[name].partition(":")[0]
    others = {other.partition(".")[0] for key, other in INSTRUMENTS.items() if key != name}
    modules = loaded(f"import {module}", [], tmp_path)
    assert module in modules
    assert modules & (SCREEN | SLOW | TERMINAL | others) == set()


def imports(path: Path) -> set[str]:
    """Give the top-level modules that a file imports anywhere, not only for types."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


# Declared for what is being built; a name goes from here when the first import comes.
NOT_YET: set[str] = set()

# The name on the package index, where it is not the name of the module.
MODULES = {"pyyaml": "yaml"}


def required(requirements: list[str]) -> set[str]:
    names = {re.split(r"[^A-Za-z0-9_.-]", line, maxsplit=1)[0].lower() for line in requirements}
    return {MODULES.get(name, name) for name in names}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    declared = required(PROJECT["project"]["dependencies"])
    for name, requirements in extras.items():
        if name not in ("all", "bench", "dev"):
            declared |= required(requirements)
    used = {
        name
        for package in PACKAGES
        for path in package.rglob("*.py")
        for name in imports(path)
        if name not in OURS and name not in sys.stdlib_module_names
    }
    # The conformance kit is the one place that may know pytest and hypothesis.
    undeclared = used - declared - {"pytest", "hypothesis"}
    assert undeclared == set(), "imported, but not in pyproject.toml"
    assert declared - used == NOT_YET, "in pyproject.toml, but imported nowhere"


def test_the_command_line_names_no_instrument_package() -> None:
    """The import linter does not see a name inside a string."""
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "cli").rglob("*.py")
        for name in INSTRUMENT_PACKAGES
        if name in path.read_text(encoding="utf-8")
    }
    assert not found
