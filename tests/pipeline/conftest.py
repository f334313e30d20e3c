"""Ingest with the toy instrument."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from corecube.pipeline import Options, Report, ingest
from corecube.plugins import load

Run = Callable[..., Report]


@pytest.fixture
def run(toy: Any, tmp_path: Path) -> Run:
    """``run(paths, archive="a", scale=2.0, force=True)``: archive below tmp_path, then settings."""

    def run_once(
        *paths: Path | str,
        archive: str = "a",
        options: Options | None = None,
        watcher: Any = None,
        scale: float = 1.0,
        remark: str = "",
        **more: Any,
    ) -> Report:
        caller = load("toy")
        chosen = replace(options or Options(), **more)
        config = toy.ToyConfig(scale=scale, remark=remark)
        place = tmp_path / f"{archive}.corecube"
        return ingest([str(path) for path in paths], place, caller, config, chosen, watcher)

    return run_once


@pytest.fixture
def states() -> Callable[[Report], dict[str, str]]:
    """The state of each file by its name."""
    return lambda report: {file.path.rsplit("/", 1)[-1]: file.state for file in report.files}


@pytest.fixture
def nights(toy: Any, install: Any) -> Any:
    """The module of the instrument ``nights``, whose shots need each other."""
    install("corecube-nights", "0.1", {"nights": "nights"})
    # pytest's own import system does not look at the path; the plugin's loading does
    sys.modules.pop("nights", None)
    return importlib.import_module("nights")


@pytest.fixture
def twin(toy: Any, install: Any) -> str:
    """An instrument that knows the same files as ``toy``."""
    install("corecube-twin", "0.1", {"twin": "toy"})
    return "twin"


@pytest.fixture
def ingest_as(tmp_path: Path) -> Run:
    """``ingest_as("nights", paths, archive="a", settings={"scale": 2.0}, force=True)``."""

    def run_once(
        instrument: str,
        *paths: Path | str,
        archive: str = "a",
        settings: dict[str, Any] | None = None,
        watcher: Any = None,
        **options: Any,
    ) -> Report:
        caller = load(instrument)
        config = caller.instrument.config(**settings or {})
        place = tmp_path / f"{archive}.corecube"
        given = [str(path) for path in paths]
        return ingest(given, place, caller, config, Options(**options), watcher)

    return run_once
