"""The specimen: an instrument with one fault, installed like a stranger's."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent


@pytest.fixture
def specimen(install: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """``specimen(fault)``: the files of the instrument ``specimen``, which now has this fault."""

    def make(fault: str = "") -> list[Path]:
        monkeypatch.delenv("SPECIMEN_FAULT", raising=False)
        monkeypatch.syspath_prepend(str(FOLDER))
        monkeypatch.delitem(sys.modules, "specimen", raising=False)
        good: Any = importlib.import_module("specimen")
        folder = tmp_path / "files"
        folder.mkdir()
        files = [
            good.write(folder, "image", "n1", "g", 1),
            good.write(folder, "image", "n1", "r", 2),
            good.write(folder, "spectra", "n2", "a", 3),
            good.write(folder, "spectra", "n2", "b", 4),
        ]
        (tmp_path / "secret.txt").write_text("x")
        monkeypatch.setenv("SPECIMEN_FILE", str(tmp_path / "secret.txt"))
        monkeypatch.setenv("SPECIMEN_FAULT", fault)
        monkeypatch.delitem(sys.modules, "specimen")
        install("corecube-specimen", "1.0", {"specimen": "specimen"})
        return files

    return make
