"""The kit itself: expected failures, counts, pytest, the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from corecube.errors import ConfigurationError, PluginError
from corecube.testing import Case, Outcome, Run, Summary, checks
from corecube.testing.model import DoesNotApply

Specimen = Callable[..., list[Path]]

DECLARED = {"plugin": True, "frame": True, "calibrator": False, "noise": True, "archive": True}


def case_of(files: list[Path], tmp_path: Path) -> Case:
    (tmp_path / "scratch").mkdir()
    return Case("specimen", files, scratch=tmp_path / "scratch")


def outcome(name: str, kind: str, status: str) -> Outcome:
    return Outcome(name, kind, "something holds", status)  # type: ignore[arg-type]


# -- running ---------------------------------------------------------------------------------------


def test_ids_are_a_letter_of_the_kind_and_a_number() -> None:
    letters = {"plugin": "P", "frame": "F", "calibrator": "C", "noise": "N", "archive": "A"}
    found = checks()
    assert all(check.id[0] == letters[check.kind] for check in found.values())
    assert all(set(check.needs) <= set(found) for check in found.values())
    facts = {f"{letter}{n}" for letter, last in zip("PFCNA", (6, 15, 8, 7, 9), strict=True)
             for n in range(1, last + 1)}  # fmt: skip
    assert facts <= set(found)


def test_an_expected_failure(specimen: Specimen, tmp_path: Path) -> None:
    run = Run(case_of(specimen("title"), tmp_path), {"P2": "no title was agreed on"})
    found = run.outcome("P2")
    assert found.status == "XFAIL" and found.reasons[0] == "no title was agreed on"
    assert run.outcome("P3").status == "PASS"
    assert run.outcome("P2") is found  # it is not run again


def test_an_expected_failure_that_passes_is_an_error(specimen: Specimen, tmp_path: Path) -> None:
    found = Run(case_of(specimen(), tmp_path), {"P2": "no title was agreed on"}).outcome("P2")
    assert found.status == "FAIL"
    assert found.reasons == ("it passes, but was expected to fail: no title was agreed on",)


@pytest.mark.parametrize("expected", [{"P99": "why"}, {"P2": " "}])
def test_an_expectation_must_make_sense(
    specimen: Specimen, tmp_path: Path, expected: dict[str, str]
) -> None:
    with pytest.raises(ConfigurationError, match=r"P99|reason"):
        Run(case_of(specimen(), tmp_path), expected)


def test_what_would_only_say_the_same_again_waits(specimen: Specimen, tmp_path: Path) -> None:
    run = Run(case_of(specimen("unit"), tmp_path))
    assert run.outcome("F4").status == "FAIL"
    for name in ("F11", "A0", "A2", "A5"):
        assert run.outcome(name).status == "SKIP"
        assert run.outcome(name).reasons == ("not before F4 passes",)


def test_the_files_are_not_touched(specimen: Specimen, tmp_path: Path) -> None:
    files = specimen("writes")
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in files]
    case = case_of(files, tmp_path)
    assert Run(case).outcome("F12").status == "FAIL"
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in files] == before
    case.close()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_an_instrument_that_cannot_be_used(specimen: Specimen, tmp_path: Path) -> None:
    specimen()
    with pytest.raises(PluginError, match="no instrument 'specimem'"):
        Case("specimem", [])
    with pytest.raises(FileNotFoundError):
        Case("specimen", [tmp_path / "none"])


# -- counting --------------------------------------------------------------------------------------


def test_the_last_line() -> None:
    outcomes = (
        outcome("P1", "plugin", "PASS"), outcome("F1", "frame", "PASS"),
        outcome("C1", "calibrator", "SKIP"), outcome("N1", "noise", "XFAIL"),
        outcome("A1", "archive", "FAIL"),
    )  # fmt: skip
    summary = Summary("specimen", outcomes, DECLARED)
    assert summary.line() == ("2 passed, 1 failed, 1 failed as expected, 1 skipped (no calibrator)")
    assert not summary.good and summary.unchecked == ()
    assert summary.to_json()["skipped"] == 1


def test_a_declared_kind_that_was_not_checked_is_no_success() -> None:
    outcomes = tuple(
        outcome(f"{kind[0].upper()}1", kind, "SKIP" if kind == "noise" else "PASS")
        for kind in DECLARED
    )
    summary = Summary("specimen", outcomes, DECLARED)
    assert summary.unchecked == ("noise",) and not summary.good
    assert Summary("specimen", outcomes, DECLARED | {"noise": False}).good


def test_reasons_before_a_check_gives_up_count(specimen: Specimen, tmp_path: Path) -> None:
    run = Run(case_of(specimen(), tmp_path))

    def half(case: Case):  # type: ignore[no-untyped-def]
        yield "this is wrong"
        raise DoesNotApply("and there is nothing else")

    run.checks["P3"] = replace(run.checks["P3"], function=half)
    assert run.outcome("P3").status == "FAIL" and run.outcome("P3").reasons == ("this is wrong",)


# -- pytest ----------------------------------------------------------------------------------------

CLASS = """
from corecube.testing import InstrumentTests

class TestSpecimen(InstrumentTests):
    instrument = "specimen"
    files = {files}
    expected_failures = {expected}
    at_least = {at_least}
"""


def test_a_subclass_is_all_that_pytest_needs(specimen: Specimen, tmp_path: Path) -> None:
    files = [str(path) for path in specimen("title")]

    def run(only: str, expected: dict[str, str], at_least: int = 1) -> tuple[int, str]:
        text = CLASS.format(files=files, expected=expected, at_least=at_least)
        path = tmp_path / "test_specimen.py"
        path.write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "-W", "error",
             "-c", os.devnull, "--rootdir", tmp_path, path, "-k", only],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200,
        )  # fmt: skip
        return done.returncode, done.stdout

    code, out = run("P2 or P3 or N2", {})
    assert code == 1
    assert "FAILED test_specimen.py::TestSpecimen::test_check[P2]" in out
    assert "P2 says what it is" in out and "is not one line for people" in out
    assert "PASSED test_specimen.py::TestSpecimen::test_check[P3]" in out
    assert "does not apply: the contract does not say of a noise model" in out
    code, out = run("P2 or P3 or enough", {"P2": "not agreed on", "P3": "wrongly"}, at_least=1000)
    assert code == 1
    assert "XFAIL test_specimen.py::TestSpecimen::test_check[P2] - not agreed on" in out
    assert "it passes, but was expected to fail: wrongly" in out
    assert "checks ran instead of 1000" in out


# -- the command line ------------------------------------------------------------------------------


def program(*arguments: object, without_pytest: bool = False) -> tuple[int, str, str]:
    block = "import sys; sys.modules['pytest'] = None; " if without_pytest else "import sys; "
    code = f"{block}from corecube_cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_plugins_check_needs_no_pytest(specimen: Specimen) -> None:
    code, out, err = program("plugins", "check", "specimen", *specimen(), without_pytest=True)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.split()[:2] for line in lines if not line.startswith(" ")][:-1] == [
        ["SKIP" if name in ("P7", "N2", "N3", "N4", "N5") else "PASS", name] for name in checks()
    ]
    assert lines[-1] == f"{len(checks()) - 5} passed, 0 failed, 5 skipped"


def test_plugins_check_fails_with_reasons(specimen: Specimen, tmp_path: Path) -> None:
    files = specimen("column")
    code, out, _ = program("plugins", "check", "specimen", files[0])
    assert code == 8
    lines = out.splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("FAIL"))
    assert lines[place] == "FAIL  P3  its hooks are valid, its columns have types and descriptions"
    assert lines[place + 1] == "      group 'stars': column 'mag' has no description"
    expected = ("--expect", "P3=columns are not described yet")
    code, out, _ = program("plugins", "check", "specimen", files[0], *expected, "--json")
    found = json.loads(out)
    assert code == 0 and found["good"] and found["failed as expected"] == 1
    (third,) = (check for check in found["checks"] if check["id"] == "P3")
    assert third["status"] == "XFAIL"
    assert third["reasons"][0] == "columns are not described yet"


def test_plugins_check_with_wrong_words(specimen: Specimen, tmp_path: Path) -> None:
    (file, *_) = specimen()
    for words, code, text in (
        (("specimem", file), 2, "did you mean 'specimen'?"),
        (("specimen", tmp_path / "none"), 2, "there is no such file"),
        (("specimen", file, "--expect", "P3"), 2, "is not ID=REASON"),
        (("specimen", file, "--expect", "P99=why"), 2, "there is no check 'P99'"),
        (("specimen",), 2, "missing argument"),
    ):
        found = program("plugins", "check", *words)
        assert found[0] == code and text in found[2] and found[1] == ""
