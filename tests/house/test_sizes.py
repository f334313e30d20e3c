"""Modules stay small enough to be read in one sitting."""

from __future__ import annotations

from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]

LARGEST = 600
MEDIAN = 200


def modules() -> dict[str, int]:
    """Give the lines of each module that is more than a docstring."""
    found = {}
    for folder in ("corecube", "cli", "plugins"):
        for path in (ROOT / folder).rglob("*.py"):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            if lines > 3:
                found[str(path.relative_to(ROOT))] = lines
    return found


def test_no_module_is_large() -> None:
    large = {name: lines for name, lines in modules().items() if lines > LARGEST}
    assert not large, f"above {LARGEST} lines"


def test_most_modules_are_small() -> None:
    assert median(modules().values()) < MEDIAN


def test_a_module_is_named_for_what_it_holds() -> None:
    assert not [name for name in modules() if Path(name).stem in ("utils", "util", "helpers")]
