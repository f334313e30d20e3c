"""The instrument `boss` keeps the contract on real spec files; tests/boss has a whole plate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from corecube.testing import InstrumentTests


@pytest.mark.xdist_group("conformance-boss")
class TestBoss(InstrumentTests):
    """Lite and full spectra of three plates."""

    instrument = "boss"
    simulate: ClassVar[Mapping[str, Any] | None] = {"fibers": 2, "cameras": "b1,r1"}
    at_least = 42

    @pytest.fixture(scope="class")
    @classmethod
    def instrument_files(cls, data: Path) -> Sequence[Path | str]:
        folder = data / "boss"
        if not folder.is_dir():
            pytest.skip("the real data have no folder boss")
        return [
            folder / "spec_lite" / "spec-3655-55240-0002.fits.gz",
            folder / "spec_lite" / "spec-3655-55240-0026.fits.gz",
            folder / "spec_lite" / "spec-3657-55244-0552.fits.gz",
            folder / "spec_full" / "spec-7338-57859-0739.fits",
        ]
