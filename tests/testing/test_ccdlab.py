"""The instrument `ccdlab` keeps the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from corecube.testing import InstrumentTests


@pytest.mark.xdist_group("conformance-ccdlab")
class TestCcdlab(InstrumentTests):
    """Biases and flats of SpUpNIC: masters, and what needs them."""

    instrument = "ccdlab"
    simulate: ClassVar[Mapping[str, Any] | None] = {
        "camera": "barber-sbig", "rows": 64, "columns": 160, "calibrations": 3, "exposures": 2,
        "packed": False,
    }  # fmt: skip
    at_least = 40

    @pytest.fixture(scope="class")
    @classmethod
    def instrument_files(cls, data: Path) -> Sequence[Path | str]:
        folder = data / "ccdlab" / "saao"
        if not folder.is_dir():
            pytest.skip("the real data have no frames of SpUpNIC")
        return [*sorted(folder.glob("a63810*")), folder / "HILT600_science.fits.bz2"]
