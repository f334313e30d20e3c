"""The instrument `hetdex` keeps the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from corecube.testing import InstrumentTests

SHOT = "20260101v007"


@pytest.mark.xdist_group("conformance-hetdex")
class TestHetdex(InstrumentTests):
    """Three amplifiers of two dithers with what serves them, a shot file, a raw frame."""

    instrument = "hetdex"
    simulate: ClassVar[Mapping[str, Any] | None] = {
        "exposures": 1, "images": "none", "packed": False,
    }  # fmt: skip
    at_least = 44

    @pytest.fixture(scope="class")
    @classmethod
    def instrument_files(cls, data: Path) -> Sequence[Path | str]:
        folder = data / "hetdex"
        shot = folder / "simulated" / SHOT
        if not shot.is_dir():
            pytest.skip("the real data have no simulated HETDEX shot")
        multi = shot / "virus0000007"
        return [
            *(multi / "exp01" / "virus" / f"multi_319_074_052_{a}.fits.bz2" for a in ("LL", "LU")),
            multi / "exp02" / "virus" / "multi_319_074_052_LL.fits.bz2",
            shot / "dithall" / f"{SHOT}.dithall",
            shot / "fplane.txt",
            folder / "raw" / "20180522T023753.4_053LU_zro.fits.bz2",
            folder / "shot_h5" / f"{SHOT}_oneamp.h5.xz",
        ]
