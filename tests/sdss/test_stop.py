"""That the soak of `tests/soak/stopping.py` sees what differs; `make soak` runs it whole.

`tests/pipeline/test_stop.py` keeps its promise on six shots.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "soak" / "stopping.py"


@pytest.mark.parametrize(
    ("second", "line"),
    [
        ({"a": {"b": 1, "c": (1, 2)}}, ""),
        ({"a": {"b": 1, "c": (1, 3)}}, "a c: (1, 2) and (1, 3)"),
        ({"a": {"b": 1}}, "a: 'c' is in one of them only"),
        ({"a": {"b": 1, "c": (1, 2)}, "d": {}}, ": 'd' is in one of them only"),
    ],
)
def test_a_difference_is_seen(second: object, line: str) -> None:
    spec = importlib.util.spec_from_file_location("soak_stopping", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    first = {"a": {"b": 1, "c": (1, 2)}}
    assert list(module.differences(first, second)) == ([line] if line else [])
