"""Packages with instruments, installed for a test."""

from __future__ import annotations

import importlib.util
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from corecube import plugins

Add = Callable[..., str]


def _module(path: Path, name: str) -> Any:
    """Load a module that is in no package; tests may import it by this name."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


toyplugin = _module(Path(__file__).with_name("toyplugin.py"), "toyplugin")
_numbers = iter(range(10_000))


@pytest.fixture
def add(install: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Add]:
    """Install a package with one instrument in a module of its own, and return the module."""
    monkeypatch.setenv("CORECUBE_PLUGINS", "")
    before = set(sys.modules)

    def add_one(
        source: str = toyplugin.GOOD, name: str = "toy", package: str = "corecube-toy",
        number: str = "1.2", value: str = "{}", requires: tuple[str, ...] = (),
    ) -> str:  # fmt: skip
        module = f"plugin_{os.getpid()}_{next(_numbers)}"
        entries = {name: value.format(module)}
        install(package, number, entries, {module: textwrap.dedent(source)}, requires)
        return module

    yield add_one
    plugins._load.cache_clear()
    for module in set(sys.modules) - before:
        if module.startswith("plugin_"):
            del sys.modules[module]
