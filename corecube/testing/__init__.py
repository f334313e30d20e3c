"""The conformance kit: checks that an instrument keeps the contract, on files of its own.

With pytest::

    from corecube.testing import InstrumentTests

    class TestMyCam(InstrumentTests):
        instrument = "mycam"
        files = ["tests/data/night1.fits", "tests/data/night2.fits"]

From the command line: ``corecube plugins check mycam tests/data/*.fits``. In Python::

    from corecube.testing import Case, Run

    summary = Run(Case("mycam", files)).summary()
    print(summary.line())

The checks rest on nothing but the contract (`corecube.hookspecs`). Each has an id that never
changes its meaning: P for the plugin, F for its frames, C for its calibrator, N for its noise
model, A for its archive. Only `InstrumentTests` needs pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["Case", "Check", "InstrumentTests", "Outcome", "Run", "Summary", "checks"]

if TYPE_CHECKING:
    from corecube.testing.case import Case as Case
    from corecube.testing.instrument_tests import InstrumentTests as InstrumentTests
    from corecube.testing.model import Check as Check
    from corecube.testing.model import Outcome as Outcome
    from corecube.testing.model import Summary as Summary
    from corecube.testing.model import checks as checks
    from corecube.testing.runner import Run as Run
else:
    _WHERE = {
        "Case": "case",
        "Check": "model",
        "InstrumentTests": "instrument_tests",
        "Outcome": "model",
        "Run": "runner",
        "Summary": "model",
        "checks": "model",
    }

    def __getattr__(name: str) -> Any:
        from importlib import import_module

        if name not in _WHERE:
            raise AttributeError(f"module 'corecube.testing' has no attribute '{name}'")
        return getattr(import_module(f"corecube.testing.{_WHERE[name]}"), name)
