"""Real spec files: pixels, and the noise of their exposures against golden figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from corecube.frames import Fibers
from corecube.shots import FileHead, FileInfo
from corecube_boss import plugin
from corecube_boss.checks import expected_floor, first_row, spec_numbers
from corecube_boss.columns import COLUMNS
from corecube_boss.settings import BossConfig
from corecube_sdssfiles.specnoise import in_electrons
from corecube_sdssfiles.summary import COLUMNS as SHARED

Spec = Callable[[str], Mapping[str, Fibers]]
CONFIG = BossConfig()

# file, exposure: pixels, valid, used, slope, floor, expected floor
FIGURES = [
    ("spec-7338-57159-0233", "r1-00199760", 3116, 2445, 1570, 1.1482, 50.590, 52.453),
    ("spec-7338-57159-0233", "r1-00199761", 3116, 2513, 1708, 1.1431, 50.436, 52.252),
    ("spec-7338-57159-0233", "r1-00199762", 3116, 2534, 1664, 1.1432, 50.443, 52.290),
    ("spec-7338-57159-0233", "r1-00199763", 3116, 2484, 1641, 1.1410, 50.744, 52.387),
    ("spec-7338-57159-0233", "r1-00199764", 3116, 2550, 1709, 1.1394, 50.998, 52.625),
    ("spec-7338-57159-0233", "r1-00199765", 3116, 2547, 1667, 1.1398, 51.279, 52.955),
    ("spec-7338-57159-0233", "b1-00199760", 2513, 2468, 2336, 1.2002, 18.101, 15.259),
    ("spec-7338-57159-0233", "b1-00199761", 2513, 2441, 2225, 1.1683, 18.413, 15.167),
    ("spec-7338-57859-0739", "b2-00241937", 2503, 2415, 2092, 1.1650, 16.594, 14.240),
    ("spec-7338-57859-0739", "r2-00241937", 3095, 2397, 1792, 1.1847, 33.126, 31.818),
    ("spec-7338-57859-0739", "r2-00241939", 3095, 2515, 1609, 1.1681, 31.635, 31.629),
    ("spec-1325-52762-0133", "b1-00020756", 2043, 2005, 1430, 1.0706, 79.985, None),
]


@pytest.mark.parametrize("row", FIGURES, ids=lambda row: f"{row[0]}-{row[1]}")
def test_noise_of_exposures(spec: Spec, row: tuple[Any, ...]) -> None:
    name, exposure, pixels, valid, used, slope, floor, expected = row
    fibers = spec(name)[exposure]
    assert fibers.flux.shape == (1, pixels)
    numbers = spec_numbers(fibers, CONFIG)
    found = in_electrons(fibers)
    assert found is not None and fibers.error is not None
    clean = np.isfinite(fibers.error) & (fibers.bits["mask"].values == 0)
    assert int((clean & (fibers.layers["calib"].values > 0)).sum()) == valid
    assert numbers["used"] == used
    # four and three decimals are given
    assert_allclose(
        (numbers["slope"], numbers["floor_electron2"]), (slope, floor), atol=6e-4, rtol=0
    )
    check = plugin.corecube_check_noise(fibers, CONFIG)
    assert check is not None and (check.slope, check.floor) == (
        numbers["slope"],
        numbers["floor_electron2"],
    )
    if expected is None:
        assert "not modelled" in numbers["prediction"] and "not modelled" in check.recipe
    else:
        assert_allclose(numbers["expected_floor_electron2"], expected, atol=6e-4, rtol=0)


def test_rows_of_red_exposures_by_the_jump(spec: Spec) -> None:
    for name, row in (
        ("spec-7338-57159-0233", 549), ("spec-7338-57166-0233", 548), ("spec-7338-57859-0739", 557),
    ):  # fmt: skip
        for group, fibers in spec(name).items():
            values = fibers.wave.values
            if values is None:
                continue
            expected = row if group.startswith("r") else None
            assert first_row(values if values.ndim == 1 else values[0]) == expected, (name, group)
    assert first_row(np.geomspace(6000.0, 9000.0, 2000)) is None


def test_amplifiers_of_real_data(spec: Spec) -> None:
    """The files follow the pipeline's convention; the physical one gives 0.90 to 0.92."""
    exposures = [f"r1-{number:08d}" for number in range(199761, 199766)]
    ratios = []
    for name in exposures:
        fibers = spec("spec-7338-57159-0233")[name]
        found = in_electrons(fibers)
        assert found is not None and fibers.error is not None
        counts, variance, _ = found
        valid = np.isfinite(fibers.error[0]) & (fibers.bits["mask"].values[0] == 0)
        rows = np.arange(fibers.flux.shape[1]) + 549
        rest = variance[0] - 1.1545 * np.maximum(counts[0], 0)
        halves = [
            np.median(rest[valid & (rows >= low) & (rows <= high)])
            for low, high in ((1851, 2059), (2069, 2279))
        ]
        ratios.append(halves[1] / halves[0])
        pipeline = expected_floor(fibers, CONFIG)
        physical = expected_floor(fibers, BossConfig(amplifiers="physical"))
        assert pipeline is not None and physical is not None and pipeline != physical
    assert_allclose(ratios, (0.794, 0.779, 0.795, 0.791, 0.792), rtol=0, atol=6e-4)


# file: pixels, first wavelength (to four or two decimals), first flux, pixels with and_mask
COADDS = [
    ("spec-7338-57859-0739", 4565, 3614.0994, 32.836563, 258),
    ("spec-7338-57159-0233", 4622, 3563.69, 12.660676, 204),
    ("spec-1325-52762-0133", 3843, 3794.8975, 5.6278777, 309),
    ("spec-3655-55240-0054", 4622, 3560.4106, -4.486491, 207),
    ("spec-3655-55240-0002", 4622, None, None, 190),
]


@pytest.mark.parametrize("row", COADDS, ids=lambda row: row[0])
def test_coadds(spec: Spec, row: tuple[Any, ...]) -> None:
    name, pixels, first, flux, masked = row
    coadd = spec(name)["coadd"]
    assert coadd.flux.shape == (1, pixels) and coadd.wave.is_grid
    assert (coadd.wave.medium, coadd.wave.specsys) == ("vacuum", "heliocentric")
    assert int(np.count_nonzero(coadd.bits["and_mask"].values)) == masked
    if first is not None:
        # the reader that the figures come from has wavelengths of float32 loglam
        assert_allclose(coadd.wave.wavelength()[0], first, rtol=2e-6)
        assert_allclose(coadd.flux[0, 0], flux, rtol=1e-6)


def test_columns(spec: Spec) -> None:
    coadd = spec("spec-3655-55240-0002")["coadd"]
    values = {column.name: part[0] for column, part in coadd.columns.items()}
    assert tuple(coadd.columns) == COLUMNS and COLUMNS[: len(SHARED)] == SHARED
    assert values["boss_target1"] == 149504  # bits 11, 14, 17: bonus, known, like a QSO
    assert (values["alias"], values["spectrograph"]) == ("3655-55240-0002", 1)
    assert values["class"] == "QSO" and values["z"] > 2
    assert (values["plate"], values["mjd"], values["fiber"]) == (3655, 55240, 2)
    other = spec("spec-1325-52762-0133")["coadd"]
    old = {column.name: part[0] for column, part in other.columns.items()}
    assert old["boss_target1"] == 0 and old["eboss_target1"] in (0, -1)
    assert old["fiber_diameter"] == 3.0  # before BOSS


def test_an_observation_is_called_as_by_sdss(boss_data: Path, data: Path) -> None:
    sdss = pytest.importorskip("corecube_sdss.plugin")
    from corecube_sdss.settings import SdssConfig

    for path in sorted((boss_data / "spec_full").glob("*")):
        head = FileHead.of(str(path))
        ours = plugin.corecube_identify(head, CONFIG)
        theirs = sdss.corecube_identify(head, SdssConfig())
        assert isinstance(ours, FileInfo) and isinstance(theirs, FileInfo)
        assert ours.observation == theirs.observation != ""
        assert (ours.key, ours.entry, ours.rank) == (theirs.key, theirs.entry, theirs.rank)
