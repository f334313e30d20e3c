"""Ingest with the toy instrument."""

from __future__ import annotations

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
