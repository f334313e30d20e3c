"""The checks as tests of pytest. The only module of ours that imports it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from corecube import config as configuration
from corecube.plugins import load
from corecube.testing.case import Case
from corecube.testing.model import checks
from corecube.testing.runner import Run


class InstrumentTests:
    """Subclass it, name the instrument and its files, and run pytest.

    There is a test for each check, ``test_check[P1]``, and one that asserts their number: it fails
    where a kind of check that the instrument declares did not run at all. What does not apply is
    skipped with its reason.

    Attributes
    ----------
    instrument : str
        Name of the entry point.
    files : sequence of path
        A handful of small files, and folders; better, override the fixture `instrument_files`
        where they come from another fixture.
    not_mine : sequence of path
        Files of others, which must be refused.
    settings : mapping
        Settings that are not the defaults, plain JSON.
    simulate : mapping or None
        Options for the simulator, chosen for small files; None leaves it out.
    expected_failures : mapping of str to str
        Checks that are known to fail, by id, and why. One that passes is an error.
    at_least : int
        So many checks must run.
    """

    instrument: ClassVar[str] = ""
    files: ClassVar[Sequence[Path | str]] = ()
    not_mine: ClassVar[Sequence[Path | str]] = ()
    settings: ClassVar[Mapping[str, Any]] = {}
    simulate: ClassVar[Mapping[str, Any] | None] = None
    expected_failures: ClassVar[Mapping[str, str]] = {}
    at_least: ClassVar[int] = 1

    @pytest.fixture(scope="class")
    @classmethod
    def instrument_files(cls) -> Sequence[Path | str]:
        """Return the files; override it where they come from another fixture."""
        return cls.files

    @pytest.fixture(scope="class")
    @classmethod
    def conformance(
        cls,
        instrument_files: Sequence[Path | str],
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Iterator[Run]:
        """Return the run of all checks of this class."""
        caller = load(cls.instrument)
        plain = configuration.to_json(caller.instrument.config()) | dict(cls.settings)
        case = Case(
            cls.instrument,
            instrument_files,
            not_mine=cls.not_mine,
            config=configuration.from_json(caller.instrument.config, plain),
            simulate=cls.simulate,
            scratch=tmp_path_factory.mktemp(f"conformance-{cls.instrument}"),
        )
        yield Run(case, cls.expected_failures)
        case.close()

    @pytest.mark.parametrize("check", list(checks()))
    def test_check(self, conformance: Run, check: str) -> None:
        """One check of the kit."""
        outcome = conformance.outcome(check)
        reasons = "\n".join(outcome.reasons)
        if outcome.status == "SKIP":
            pytest.skip(f"does not apply: {reasons}")
        if outcome.status == "XFAIL":
            pytest.xfail(reasons)
        if outcome.status == "FAIL":
            pytest.fail(f"{outcome.id} {outcome.text}:\n{reasons}", pytrace=False)

    def test_enough_was_checked(self, conformance: Run) -> None:
        """A kit that skips everything is green too: the numbers are asserted."""
        summary = conformance.summary()
        assert not summary.unchecked, (
            f"no check ran of what the instrument declares: {summary.unchecked}"
        )
        ran = sum(outcome.ran for outcome in summary.outcomes)
        assert ran >= self.at_least, f"{ran} checks ran instead of {self.at_least}"
