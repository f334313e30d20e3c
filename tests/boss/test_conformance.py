"""The conformance kit on a simulated plate, spec files and a raw frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from corecube.testing import InstrumentTests

pytestmark = pytest.mark.xdist_group("boss")


class TestBoss(InstrumentTests):
    instrument = "boss"
    simulate: ClassVar[Mapping[str, Any] | None] = {"fibers": 2, "cameras": "b1,r1"}
    at_least = 30

    @pytest.fixture(scope="class")
    @classmethod
    def instrument_files(cls, boss_data: Path) -> Sequence[Path | str]:
        plate = boss_data / "simulated" / "plate6642"
        wanted = ("r2-", "spPlate", "spFluxdistort", "spAll", "spec-")
        files = [
            path for path in sorted(plate.iterdir()) if any(part in path.name for part in wanted)
        ]
        files = [path for path in files if "spArc" not in path.name]
        return [*files, boss_data / "spec_full" / "spec-7338-57859-0739.fits"]
