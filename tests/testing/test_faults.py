"""Each fault of an instrument is caught, by exactly the check that is there for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corecube.testing import Case, Run, checks

FAULTS = {
    "prints": "P1", "opens": "P1", "slow": "P1",
    "title": "P2",
    "column": "P3", "passbands": "P3",
    "memory": "P4",
    "imports": "P5",
    "warns": "P6",
    "seed": "P7",
    "bug": "F0",
    "greedy": "F1", "crash": "F1", "exit": "F1", "blind": "F1",
    "reads": "F2",
    "shape": "F3", "fortran": "F3",
    "unit": "F4",
    "negative": "F5",
    "unnamed": "F6", "twice": "F6",
    "footprint": "F7",
    "falling": "F8", "medium": "F8",
    "order": "F9", "same id": "F9",
    "julian": "F10",
    "nondeterministic": "F11",
    "writes": "F12", "beside": "F12",
    "keyerror": "F13", "nameless": "F13",
    "provenance": "F14",
    "surrogate": "F15",
    "lossy": "C1",
    "adaptive": "C2",
    "error": "C3",
    "mask": "C4",
    "replay": "C5", "source": "C5",
    "factor unit": "C6",
    "zero": "C7",
    "in place": "C8",
    "no errors": "N1",
    "wide": "N3",
    "half": "N6",
    "picky": "N7",
    "check": "N8",
    "title by order": "A2",
    "ascii": "A7",
    "needs file": "A10", "no flux": "A10",
    "report": "A11",
    "late": "A12",
}  # fmt: skip
"""The fault of the specimen, and the check that must see it."""

PROCESSES = {"P1", "P4", "P5", "P6", "F13", "A3", "A6"}
"""Checks that start processes, half a second each: run where they are asked for."""

OF_THE_CORE = {"A0", "A1", "A3", "A4", "A5", "A6", "A8", "A9"}
"""Checks that only a fault of the core, or one that another check names first, can fail."""

NOT_DECLARED = {"N2", "N4", "N5"}

Specimen = Callable[..., list[Path]]


def run_of(files: list[Path], folder: Path, **named: Any) -> Run:
    folder.mkdir()
    case = Case("specimen", files, simulate={"entries": "r"}, scratch=folder)
    return Run(case, named.get("expected"))


def test_without_a_fault_everything_passes(specimen: Specimen, tmp_path: Path) -> None:
    summary = run_of(specimen(), tmp_path / "scratch").summary()
    assert [(o.id, o.reasons) for o in summary.outcomes if o.status == "FAIL"] == []
    skipped = {outcome.id for outcome in summary.outcomes if outcome.status == "SKIP"}
    assert skipped == NOT_DECLARED
    assert summary.good
    assert summary.line() == f"{len(checks()) - 3} passed, 0 failed, 3 skipped"


def test_every_check_has_a_fault() -> None:
    assert set(FAULTS.values()) | OF_THE_CORE | NOT_DECLARED == set(checks())


@pytest.mark.parametrize(("fault", "expected"), FAULTS.items(), ids=FAULTS)
def test_a_fault_is_caught(specimen: Specimen, tmp_path: Path, fault: str, expected: str) -> None:
    run = run_of(specimen(fault), tmp_path / "scratch")
    wanted = [name for name in checks() if name not in PROCESSES or name == expected]
    failed = {name: o.reasons for name in wanted if (o := run.outcome(name)).status == "FAIL"}
    assert set(failed) == {expected}, failed
    assert run.outcome(expected).reasons
