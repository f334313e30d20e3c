"""What a check is, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

if TYPE_CHECKING:
    from corecube.testing.case import Case

Kind = Literal["plugin", "frame", "calibrator", "noise", "archive"]
Status = Literal["PASS", "FAIL", "SKIP", "XFAIL"]

KINDS: Final[tuple[str, ...]] = get_args(Kind)

READ: Final = ("F0", "F3", "F4", "F6", "F7", "F8", "F9", "F10", "F12", "F15")
"""Checks that say why a frame is refused: others that need it would only say it again."""

Function = Callable[["Case"], Iterator[str]]


class DoesNotApply(Exception):
    """Raised by a check that has nothing to look at; the text says why, half a sentence."""


@dataclass(frozen=True)
class Check:
    """One thing that must hold for every instrument.

    Attributes
    ----------
    id : str
        A letter of the kind and a number; it never changes its meaning.
    kind : {"plugin", "frame", "calibrator", "noise", "archive"}
    text : str
        What holds, half a sentence.
    function : callable
        Takes a `corecube.testing.Case` and yields what is wrong, a line each; yields nothing where
        all is well, raises `DoesNotApply` where there is nothing to look at.
    needs : tuple of str
        Checks without which this one would only say the same again: it is left out if one fails.
    """

    id: str
    kind: Kind
    text: str
    function: Function = field(repr=False)
    needs: tuple[str, ...] = ()


_REGISTERED: dict[str, Check] = {}


def check(
    id: str, kind: Kind, text: str, needs: tuple[str, ...] = ()
) -> Callable[[Function], Function]:
    """Register a function as a check; see `Check`."""

    def register(function: Function) -> Function:
        assert id not in _REGISTERED, id
        _REGISTERED[id] = Check(id, kind, text, function, needs)
        return function

    return register


def checks() -> dict[str, Check]:
    """Return all checks by id, in the order in which they are run."""
    from importlib import import_module

    for name in ("plugin", "files", "frames", "coordinates", "damage", "calibrator", "noise",
                 "archive", "changes", "afterwards"):  # fmt: skip
        import_module(f"corecube.testing.{name}")
    ordered = sorted(_REGISTERED.values(), key=lambda c: (KINDS.index(c.kind), int(c.id[1:])))
    return {found.id: found for found in ordered}


@dataclass(frozen=True)
class Outcome:
    """What came of one check.

    Attributes
    ----------
    id, kind, text : str
        Of the check.
    status : {"PASS", "FAIL", "SKIP", "XFAIL"}
        "XFAIL": it failed, as was expected. One that was expected to fail and passes is a FAIL.
    reasons : tuple of str
        What is wrong, or why it does not apply.
    seconds : float
    """

    id: str
    kind: str
    text: str
    status: Status
    reasons: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def ran(self) -> bool:
        """True if it looked at something."""
        return self.status != "SKIP"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return vars(self) | {"reasons": list(self.reasons), "seconds": round(self.seconds, 3)}


@dataclass(frozen=True)
class Summary:
    """What came of all checks.

    Attributes
    ----------
    instrument : str
    outcomes : tuple of Outcome
    declared : mapping of str to bool
        For each kind of check whether the instrument has what it is about.
    """

    instrument: str
    outcomes: tuple[Outcome, ...]
    declared: Mapping[str, bool]

    def count(self, status: Status) -> int:
        """Return the number of checks of a status."""
        return Counter(outcome.status for outcome in self.outcomes)[status]

    @property
    def unchecked(self) -> tuple[str, ...]:
        """The declared kinds of which no check ran."""
        ran = {outcome.kind for outcome in self.outcomes if outcome.ran}
        return tuple(kind for kind, has in self.declared.items() if has and kind not in ran)

    @property
    def good(self) -> bool:
        """True if nothing failed and of each declared kind at least one check ran."""
        return self.count("FAIL") == 0 and not self.unchecked

    def line(self) -> str:
        """Return ``31 passed, 0 failed, 4 skipped (no calibrator)``."""
        text = f"{self.count('PASS')} passed, {self.count('FAIL')} failed"
        if self.count("XFAIL"):
            text += f", {self.count('XFAIL')} failed as expected"
        text += f", {self.count('SKIP')} skipped"
        missing = [f"no {_SHOWN[kind]}" for kind, has in self.declared.items() if not has]
        return f"{text} ({', '.join(missing)})" if missing else text

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "instrument": self.instrument,
            "good": self.good,
            "passed": self.count("PASS"),
            "failed": self.count("FAIL"),
            "failed as expected": self.count("XFAIL"),
            "skipped": self.count("SKIP"),
            "declared": dict(self.declared),
            "unchecked": list(self.unchecked),
            "checks": [outcome.to_json() for outcome in self.outcomes],
        }


_SHOWN: Final = {kind: kind for kind in KINDS} | {"noise": "noise model"}
