"""What the instrument adds to a report, from the archive alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from corecube.archive.reader import Archive
from corecube.figures import Figures, Subject
from corecube_hetdex import plugin
from corecube_hetdex.settings import HetdexConfig

pytestmark = pytest.mark.xdist_group("hetdex")

SHOT = "hetdex/20260101v007"


def report(archive: Archive, shot: str, subject: Subject) -> Figures:
    found = plugin.corecube_report(archive.shot(shot), subject, HetdexConfig())
    assert found is not None
    json.dumps(dict(found.numbers), allow_nan=False)
    return found


def test_shot(archive: Archive) -> None:
    figures = report(archive, SHOT, Subject("shot"))
    numbers = figures.numbers
    assert numbers["fibres"] == 2576 and numbers["fibres without data"] == 3
    assert numbers["amplifiers"]["missing"] == ["exp02_multi_404_073_071_LU"]
    assert numbers["amplifiers"]["by exposure"] == {"exp01": 8, "exp02": 7, "exp03": 8}
    assert numbers["relative flux"] == [1.0, 0.88, 1.12]
    assert numbers["fwhm_arcsec"] == pytest.approx(1.7)
    assert numbers["measured dithers_arcsec"] == [[0, 0], [1.215, -0.7], [1.215, 0.7]]
    assert numbers["offsets of the astrometry"][0]["stars"] == 9
    assert numbers["positions"]["largest distance_arcsec"] < 0.0004
    assert numbers["pixels by bit"]["BADCAL"] == 2576 * 12
    assert numbers["pixels by bit"]["CHI2FIB"] == 23 * 1036
    assert [panel.name for panel in figures.panels] == ["focal-plane", "throughput"]
    points = figures.panels[0].series
    assert [len(series.y) for series in points] == [896, 784, 896]


def test_fibre_and_image(archive: Archive) -> None:
    figures = report(archive, SHOT, Subject("fiber", "fibers", 0))
    assert figures.numbers["multiframe"] == "multi_404_073_071_LL"
    assert [panel.name for panel in figures.panels] == ["native", "profile"]
    native = report(archive, SHOT, Subject("fiber", "native", 0))
    assert dict(native.numbers) == dict(figures.numbers)
    image = report(archive, SHOT, Subject("image", "exp01_multi_319_074_052_RU"))
    assert image.numbers["pixels changed by cleaning"] == 90
    raw = report(
        archive, "hetdex/raw/20180522/053", Subject("image", "20180522T023753.4_053RU_zro")
    )
    assert raw.numbers["bias_adu"] == pytest.approx(2071.79, abs=0.03)


def test_nothing_to_add(archive: Archive) -> None:
    shot = archive.shot("hetdex/cure/20160409v301")
    for subject in (Subject("shot"), Subject("fiber", "cure", 3)):
        assert plugin.corecube_report(shot, subject, HetdexConfig()) is None


def test_noise_of_real_spectra(archive: Archive, hetdex_data: Path) -> None:
    """Rows of real fibres: error1D^2 is the sky's electrons and 66 more."""
    import csv

    with (hetdex_data / "real_fibres" / "fibres19_array_ends.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    error, sky = (
        np.array([[float(part) for part in row[name].split("..")] for row in rows])
        for name in ("error1D", "sky_spectrum")
    )
    floor = error**2 - sky
    assert floor.mean() == pytest.approx(66.5, abs=0.3) and floor.std() < 2.6


def test_errors_of_the_shot_are_right(archive: Archive) -> None:
    """Though its flux is stored in steps as large as the error: percentiles would say 0.88."""
    shot = archive.shot(SHOT)
    frames = [shot.rows(name, 0, 2576) for name in ("fibers", "native")]
    for frame in (*frames, shot.frame("exp01_multi_319_074_052_RU")):
        check = plugin.corecube_check_noise(frame, HetdexConfig())
        # a million pixels and more: 0.1 %; sources and the slope of the sky add a little
        assert check is not None and check.width == pytest.approx(1.0, abs=0.01), frame.name
