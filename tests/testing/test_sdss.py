"""The instrument `sdss` keeps the contract, on real files and on simulated ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from corecube.plugins import load
from corecube.testing import InstrumentTests

SMALL = {"rows": 200, "columns": 256, "stars": 10, "spectra": 2, "packed": False}


@pytest.mark.xdist_group("conformance-sdss-real")
class TestRealFiles(InstrumentTests):
    """A small field with all companions, lite and full spectra of three plates."""

    instrument = "sdss"
    at_least = 38

    @pytest.fixture(scope="class")
    @classmethod
    def instrument_files(cls, sdss_data: Path) -> Sequence[Path | str]:
        return [
            sdss_data / "1000-1-0100",
            *sorted((sdss_data / "spectra").glob("spec-041*.fits.gz")),
            sdss_data / "spectra" / "spec-4238-55455-0037.fits",
            sdss_data / "spectra-full" / "spec-1325-52762-0133.fits.gz",
        ]


@pytest.mark.xdist_group("conformance-sdss-simulated")
class TestSimulatedFiles(InstrumentTests):
    """Files of its own simulator."""

    instrument = "sdss"
    simulate = SMALL
    at_least = 40

    @pytest.fixture(scope="class")
    @classmethod
    def instrument_files(cls, tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path | str]:
        folder = tmp_path_factory.mktemp("simulated")
        load("sdss").call("simulate", directory=folder, options=SMALL, seed=11)
        return [folder]
