"""Raw frames: overscan, gain, read noise and pixels of synthetic ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose

from corecube.frames import Image
from corecube.masks import value
from corecube.shots import FileHead, NotMine
from corecube_boss import plugin
from corecube_boss.raw import SECTIONS, gains, overscan
from corecube_boss.settings import BossConfig

CONFIG = BossConfig()
# bias, adu; read noise, electrons; pixels (y, x): electrons
FIGURES: Mapping[str, Any] = {
    "b1": (
        (1099.677127, 1202.677780, 997.676347, 1050.676262),
        (2.023704, 2.023585, 1.965214, 1.942206),
        {(0, 0): 28.634371, (100, 2500): 29.681686, (3000, 100): 45.121479},
    ),
    "r1": (
        (1310.016218, 1275.015945, 1190.016026, 1402.016026),
        (4.317027, 3.390469, 3.304452, 3.374974),
        {(0, 0): 50.026575, (100, 2500): 343.245287},
    ),
}


@pytest.fixture(scope="module")
def images(boss_data: Path, read: Callable[..., list[Any]]) -> Mapping[str, Image]:
    return {frame.band: frame for frame in read(boss_data / "simulated" / "raw")}


@pytest.mark.parametrize("camera", ["b1", "r1"])
def test_figures(images: Mapping[str, Image], camera: str) -> None:
    image = images[camera]
    bias, noise, pixels = FIGURES[camera]
    assert image.flux.shape == ((4112, 4096) if camera == "b1" else (4128, 4114))
    assert (image.name, image.unit) == (f"{camera}-00158842", "electron")
    assert_allclose(image.calibration["bias"].values, bias, rtol=0, atol=6e-7)
    assert_allclose(image.calibration["readnoise"].values, noise, rtol=0, atol=6e-7)
    for place, electrons in pixels.items():
        assert_allclose(image.flux[place], electrons, rtol=1e-6)
    assert image.error is not None and image.mask is not None
    # amplifiers where they lie: the noise of [100, 2500] is that of amplifier 1
    electrons = float(image.flux[100, 2500])
    assert_allclose(image.error[100, 2500] ** 2, noise[1] ** 2 + electrons, rtol=1e-5)
    assert int(np.count_nonzero(image.mask & value("saturated"))) == 1


def test_sum_of_an_amplifier(images: Mapping[str, Image]) -> None:
    assert_allclose(images["b1"].flux[:2056, :2048].sum(dtype=np.float64), 233088244.74, rtol=1e-7)


def test_factors_give_the_electrons(boss_data: Path, images: Mapping[str, Image]) -> None:
    image = images["r1"]
    with fits.open(boss_data / "simulated/raw/sdR-r1-00158842.fit.gz") as hdus:
        raw = hdus[0].data
    parts = [raw[section.data] for section in SECTIONS["r"]]
    values: Any = np.block([[parts[0], parts[1]], [parts[2], parts[3]]]).astype(np.float64)
    for factor in plugin.corecube_calibration_factors(image, CONFIG):
        values = factor.apply(values)
    assert_allclose(values, image.flux, rtol=1e-6, atol=5e-4)  # adu of 1e4 in float32


def test_overscan_leaves_out_cosmic_rays() -> None:
    values = np.random.default_rng(5).normal(1000.0, 2.0, (200, 50))
    clean = overscan(values)
    values[3, 4:8] = 30000.0
    assert_allclose(overscan(values), clean, rtol=0, atol=0.01)
    assert overscan(np.full((3, 3), 7.0)) == (7.0, 0.0)


def test_gains() -> None:
    assert gains("r1", 55799) == (1.966, 1.566, 1.542, 1.546)
    assert gains("r1", 55800) == (1.9253, 1.5122, 1.4738, 1.5053)
    assert gains("b1", 57000) is None  # changed in 2014


def test_old_frames_are_refused(boss_data: Path, tmp_path: Path) -> None:
    with fits.open(boss_data / "simulated/raw/sdR-b1-00158842.fit.gz") as hdus:
        hdus[0].header["MJD"] = 55112
        hdus.writeto(tmp_path / "sdR-b1-00158842.fit")
    found = plugin.corecube_identify(FileHead.of(str(tmp_path / "sdR-b1-00158842.fit")), CONFIG)
    assert isinstance(found, NotMine) and "55113" in found.reason
