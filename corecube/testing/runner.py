"""Running checks, one by one or all."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from corecube.errors import ConfigurationError
from corecube.testing.case import Case
from corecube.testing.model import Check, DoesNotApply, Outcome, Status, Summary, checks

_SHOWN = 8
"""So many reasons of one check are listed."""


class Run:
    """The checks of one case; each is run once, when it is asked for.

    Parameters
    ----------
    case : Case
    expected_failures : mapping of str to str
        Checks that are known to fail, by id, and why.

    Raises
    ------
    ConfigurationError
        If there is no check of such an id, or no reason.
    """

    def __init__(self, case: Case, expected_failures: Mapping[str, str] | None = None) -> None:
        self.case = case
        self.expected = dict(expected_failures or {})
        self.checks = checks()
        self._outcomes: dict[str, Outcome] = {}
        self._blocked: dict[str, str] = {}
        for name, reason in self.expected.items():
            if name not in self.checks:
                known = ", ".join(self.checks)
                raise ConfigurationError(f"there is no check '{name}'; there are {known}")
            if not reason.strip():
                raise ConfigurationError(f"the expected failure of {name} needs a reason")

    @property
    def declared(self) -> dict[str, bool]:
        """For each kind of check, whether the instrument has what it is about."""
        return {
            "plugin": True, "frame": True, "calibrator": self.case.has_calibrator(),
            "noise": self.case.has_noise_model(), "archive": True,
        }  # fmt: skip

    def outcome(self, name: str) -> Outcome:
        """Return what came of a check; it is run if it was not yet."""
        if name not in self._outcomes:
            self._outcomes[name] = self._run(self.checks[name])
        return self._outcomes[name]

    def _run(self, check: Check) -> Outcome:
        started = time.perf_counter()
        status, reasons = self._tried(check)
        if name := self.expected.get(check.id):
            if status == "FAIL":
                status, reasons = "XFAIL", (name, *reasons)
            elif status == "PASS":
                status, reasons = "FAIL", (f"it passes, but was expected to fail: {name}",)
        seconds = time.perf_counter() - started
        return Outcome(check.id, check.kind, check.text, status, reasons, seconds)

    def _tried(self, check: Check) -> tuple[Status, tuple[str, ...]]:
        if not self.declared[check.kind]:
            missing = "noise model" if check.kind == "noise" else check.kind
            return "SKIP", (f"the instrument has no {missing}",)
        for name in check.needs:
            failed = self.outcome(name).status in ("FAIL", "XFAIL")
            cause = name if failed else self._blocked.get(name)
            if cause:
                self._blocked[check.id] = cause
                return "SKIP", (f"not before {cause} passes",)
        found: list[str] = []
        try:
            found.extend(check.function(self.case))
        except DoesNotApply as reason:
            if not found:
                return "SKIP", (str(reason),)
        except Exception as error:  # of the instrument: an answer as good as others
            return "FAIL", (told(error),)
        if not found:
            return "PASS", ()
        if len(found) > _SHOWN:
            found[_SHOWN:] = [f"and {len(found) - _SHOWN} more"]
        return "FAIL", tuple(found)

    def summary(self, watch: Callable[[Outcome], None] | None = None) -> Summary:
        """Run all checks that were not yet.

        Parameters
        ----------
        watch : callable, optional
            Is told each outcome.
        """
        outcomes = []
        for name in self.checks:
            outcomes.append(self.outcome(name))
            if watch is not None:
                watch(outcomes[-1])
        return Summary(self.case.name, tuple(outcomes), self.declared)


def told(error: BaseException) -> str:
    """Return one line for an exception: its type, its text, and where it was raised."""
    text = " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{place}" if text else f"{type(error).__name__}{place}"
