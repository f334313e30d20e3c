"""The browser shows the same of a small archive as of a plain one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corecube.archive import open_archive
from corecube.pipeline import Options, ingest
from corecube.plugins import load
from corecube_cli.browse.images import read_facts, read_region, read_tile
from corecube_cli.browse.places import Picture


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("browse-small")
    caller = load("sdss")
    options = {"rows": 300, "columns": 530, "bands": "r", "stars": 12, "spectra": 0}
    (folder / "in").mkdir()
    caller.call("simulate", directory=folder / "in", options=options, seed=5)
    for profile in ("plain", "small"):
        report = ingest(
            [str(folder / "in")], folder / f"{profile}.corecube", caller,
            caller.instrument.config(), Options(profile=profile),
        )  # fmt: skip
        assert report.counts["ingested"] == 1
    return folder / "plain.corecube", folder / "small.corecube"


def test_regions_and_pixels_are_the_same(pair: tuple[Path, Path]) -> None:
    with open_archive(pair[0]) as plain, open_archive(pair[1]) as small:
        (identity,) = plain.state.catalogue.by_identity
        assert "/images/r/error" not in small.shot(identity).description["arrays"]
        facts = [read_facts(opened, Picture(identity, "r")) for opened in (plain, small)]
        assert facts[0].shape == facts[1].shape == (300, 530)
        for zoom in (0, 2, 3, 4):
            one, two = (
                read_region(opened, about, zoom, (3, 30), (5, 40))
                for opened, about in zip((plain, small), facts, strict=True)
            )
            assert np.array_equal(one.values, two.values, equal_nan=True)
            assert np.array_equal(one.masked, two.masked)
        for x, y in ((0, 0), (529, 299)):
            tiles = [
                read_tile(opened, about, x, y)
                for opened, about in zip((plain, small), facts, strict=True)
            ]
            for part in ("flux", "error", "mask"):
                first, second = (getattr(tile, part) for tile in tiles)
                assert first.tobytes() == second.tobytes(), part
