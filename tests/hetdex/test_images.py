"""Images of detectors: of the simulated shot, and real raw amplifiers."""

from __future__ import annotations

import bz2
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corecube.archive.reader import Archive
from corecube.frames import Image
from corecube.masks import value
from corecube_hetdex import plugin, raw
from corecube_hetdex.settings import HetdexConfig

pytestmark = pytest.mark.xdist_group("hetdex")

Read = Callable[..., Any]


def cutout(values: Any, row: int, column: int, size: int = 40) -> Any:
    """A box around a pixel, NaN outside of the detector."""
    padded = np.pad(values.astype(np.float64), size, constant_values=np.nan)
    half = size // 2
    first_row, first_column = row - half + size, column - half + size
    return padded[first_row : first_row + size, first_column : first_column + size]


@pytest.mark.parametrize(
    ("fibnum", "wave", "place", "clean", "error", "lost"),
    [
        (64, 4321.55, (584, 430), 15090.0, 7304.0, 0),
        (1, 3500.0, (10, 0), 4155.0, None, 1000),  # bluer than the fibre: clamped
        (112, 5480.0, (1020, 1016), 4555.0, None, 448),
    ],
)
def test_golden_cutouts(
    archive: Archive, fibnum: int, wave: float, place: tuple[int, int], clean: float,
    error: float | None, lost: int,
) -> None:  # fmt: skip
    shot = archive.shot("hetdex/20260101v007")
    name = f"20260101007_1_multi_319_074_052_RU_{fibnum:03d}"
    row = shot.texts("/fibers/native/id").index(name)
    native = shot.rows("native", row, row + 1)
    column = round(float(np.interp(wave, native.wave.wavelength()[0], np.arange(1032))))
    assert (round(float(native.layers["trace"].values[0, column])), column) == place
    image = shot.frame(native.images[0])
    box = cutout(image.layers["clean_image"].values, *place)
    assert np.count_nonzero(np.isnan(box)) == lost
    assert np.nansum(box) == clean
    if error is not None:
        assert image.error is not None
        assert np.nansum(cutout(image.error, *place)) == error
    assert np.count_nonzero(image.flux != image.layers["clean_image"].values) == 90


def test_image_is_as_in_the_file(archive: Archive, shot_folder: Path) -> None:
    from astropy.io import fits

    path = shot_folder / "virus0000007/exp01/virus/multi_319_074_052_RU.fits.bz2"
    image = archive.shot("hetdex/20260101v007").frame("exp01_multi_319_074_052_RU")
    with bz2.open(path) as file, fits.open(file) as opened:
        np.testing.assert_array_equal(image.flux, opened[0].data)
        np.testing.assert_array_equal(image.error, opened["ERROR"].data)
    assert image.unit == "electron" and image.cards is None


# -- raw amplifiers ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def amplifiers(hetdex_data: Path, read: Read) -> dict[str, Image]:
    frames = read(*sorted((hetdex_data / "raw").glob("*.bz2")))
    return {entry[21:23]: found[entry] for entry, found in frames.items()}


def test_real_bias(amplifiers: dict[str, Image], hetdex_data: Path) -> None:
    from astropy.io import fits

    image = amplifiers["RU"]
    assert image.flux.shape == (1032, 1032) and image.unit == "electron"
    bias = float(image.calibration["bias"].values)
    # mean of all overscan pixels 2071.7946; without the few outliers it moves by hundredths
    assert bias == pytest.approx(2071.79, abs=0.03)
    gain = float(image.calibration["gain"].values)
    assert gain == pytest.approx(0.867) and float(
        image.calibration["read_noise"].values
    ) == pytest.approx(2.93)
    assert float(image.flux.mean(dtype=float)) / gain == pytest.approx(0.0053, abs=0.03)
    (path,) = (hetdex_data / "raw").glob("*053RU*")
    with bz2.open(path) as file, fits.open(file) as opened:
        data = opened[0].data[:1032, :1032]
    # RU is not turned, but AMPNAME is UL, so that its columns are reversed
    expected = (data[:, ::-1].astype(np.float64) - bias) * gain
    np.testing.assert_allclose(image.flux, expected, rtol=1e-6, atol=1e-4)
    model = np.sqrt(float(image.calibration["read_noise"].values) ** 2 + np.maximum(expected, 0))
    assert image.error is not None
    np.testing.assert_allclose(image.error, model, rtol=1e-6)
    assert image.mask is not None and not image.mask.any()


def test_dead_amplifier_is_flagged(amplifiers: dict[str, Image]) -> None:
    image = amplifiers["LU"]
    assert image.mask is not None
    assert (image.mask & np.uint32(value("bad_detector")) != 0).all()
    assert np.mean(image.mask & np.uint32(value("saturated")) != 0) > 0.99
    assert any("dead" in note for note in image.provenance.notes)


def test_factors_of_raw_replay(amplifiers: dict[str, Image]) -> None:
    image = amplifiers["RU"]
    factors = plugin.corecube_calibration_factors(image, HetdexConfig())
    counts: Any = image.flux.astype(np.float64)
    for factor in reversed(factors):
        counts = counts - factor.values if factor.operation == "add" else counts / factor.values
    # what comes out are the converter's integers
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-3)
    for factor in factors:
        counts = factor.apply(counts)
    np.testing.assert_allclose(counts, image.flux, rtol=1e-6)


@pytest.mark.parametrize(
    ("amp", "name", "expected"),
    [
        ("LL", "LL", [[0, 1], [2, 3]]), ("RU", "RU", [[0, 1], [2, 3]]),
        ("LU", "LL", [[3, 2], [1, 0]]), ("RL", "RU", [[3, 2], [1, 0]]),
        ("RU", "UL", [[1, 0], [3, 2]]), ("LU", "LR", [[2, 3], [0, 1]]),
    ],
)  # fmt: skip
def test_orientation(amp: str, name: str, expected: list[list[int]]) -> None:
    assert raw.oriented(np.arange(4).reshape(2, 2), amp, name).tolist() == expected


def test_overscan_is_robust() -> None:
    rng = np.random.default_rng(2)
    values = np.rint(rng.normal(2000, 3.4, (1032, 32)))
    spoilt = values.copy()
    spoilt[rng.integers(0, 1032, 200), rng.integers(0, 32, 200)] = 60000
    assert raw.clipped_mean(spoilt) == pytest.approx(values.mean(), abs=0.05)
    assert raw.clipped_mean(np.full((10, 10), 65535)) == 65535


def test_raw_of_the_laboratory_is_one_shot(data: Path, plan_of: Callable[..., Any]) -> None:
    (plan,) = plan_of(*sorted((data / "ccdlab" / "virus").glob("*.bz2")))
    assert plan.key == "raw/20180522/053" and plan.kind == "calibration"
    assert [entry[19:] for entry in plan.entries] == [
        "53LL_zro",
        "53LU_zro",
        "53RL_zro",
        "53RU_zro",
    ]
