"""What is seen of ``corecube plugins check``."""

from __future__ import annotations

import json as jsons
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from corecube.errors import ConfigurationError
from corecube.text import printable
from corecube_cli.console import console, is_terminal
from corecube_cli.failures import CHECK_FAILED, UsageProblem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from corecube.testing import Outcome, Run

_CLEAR: Final = "\r\x1b[K"


def expectations(texts: Sequence[str] | None) -> dict[str, str]:
    """Return the expected failures of ``ID=REASON``.

    Raises
    ------
    ConfigurationError
        If one has no reason.
    """
    found = {}
    for text in texts or ():
        name, _, reason = text.partition("=")
        if not reason.strip():
            raise ConfigurationError(f"--expect '{text}' is not ID=REASON, as in F13=no checksums")
        found[name.strip()] = reason.strip()
    return found


def check_instrument(
    name: str,
    files: Sequence[str],
    config: Sequence[str] | None,
    overrides: Sequence[str] | None,
    not_mine: Sequence[str] | None,
    expected: Mapping[str, str],
    json: bool,
) -> int:
    """Run all checks, print what came of them, and return the exit code.

    Raises
    ------
    PluginError
        If the instrument cannot be used.
    UsageProblem
        If a file is missing.
    """
    from corecube.testing import Case, Run
    from corecube_cli.settings import instrument, instrument_settings

    caller = instrument(name, list(config or ()))
    for path in (*files, *(not_mine or ())):
        if not Path(path).exists():
            raise UsageProblem(f"{path}: there is no such file; check the path")
    settings = instrument_settings(caller, config, overrides)
    case = Case(name, files, not_mine=not_mine or (), config=settings.section(name))
    try:
        run = Run(case, expected)
        for number, check in enumerate(run.checks, 1):
            _progress(f"[{number}/{len(run.checks)}] {check} {run.checks[check].text}")
            outcome = run.outcome(check)
            if not json:
                _show(outcome)
        return _end(run, json)
    finally:
        _progress("")
        case.close()


def _progress(text: str) -> None:
    if is_terminal(sys.stderr) and not console.quiet:
        sys.stderr.write(_CLEAR + text[:79])
        sys.stderr.flush()


def _show(outcome: Outcome) -> None:
    if console.quiet and outcome.status in ("PASS", "SKIP"):
        return
    _progress("")
    print(f"{outcome.status:5} {outcome.id:3} {printable(outcome.text)}")
    for reason in outcome.reasons:
        print(f"      {printable(reason)}")
    sys.stdout.flush()


def _end(run: Run, json: bool) -> int:
    summary = run.summary()
    _progress("")
    if json:
        print(jsons.dumps(summary.to_json(), indent=1, ensure_ascii=False))
    else:
        for kind in summary.unchecked:
            print(f"FAIL  no check of the kind '{kind}' could run, though the instrument has it")
        print(summary.line())
    return 0 if summary.good else CHECK_FAILED
