"""Cameras of simulated plates in the real formats: identity, variance, truth."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose

from corecube.frames import Fibers
from corecube.masks import valid, value
from corecube_boss import plugin
from corecube_boss.checks import check_noise, electrons_of
from corecube_boss.factors import identity
from corecube_boss.noise import predicted
from corecube_boss.settings import BossConfig
from corecube_sdssfiles.specnoise import neighbours

Plate = Callable[[int], Mapping[str, list[Fibers]]]
CONFIG = BossConfig()
CAMERAS = [
    *((6641, f"{camera}-{exposure}") for camera in ("b1", "b2", "r1", "r2")
      for exposure in ("00158842", "00158843")),
    *((6642, f"{camera}-00199760") for camera in ("b2", "r1", "r2")),
]  # fmt: skip


def one(plate: Plate, number: int, name: str) -> Fibers:
    (block,) = plate(number)[name]
    return block


def open_file(boss_data: Path, number: int, name: str) -> Any:
    (path,) = (boss_data / "simulated" / f"plate{number}").glob(f"{name}.fits*")
    return fits.open(path)


def largest(fibers: Fibers) -> dict[str, float]:
    """The largest deviation of each fibre that has a valid pixel."""
    deviation = identity(fibers)
    assert deviation is not None
    known = np.isfinite(deviation)
    worst = np.where(known, np.abs(deviation), -1).max(axis=1)
    return {name: w for name, w in zip(fibers.id, worst.tolist(), strict=True) if w >= 0}


@pytest.mark.parametrize(("number", "name"), CAMERAS)
def test_factors_replayed_give_the_flux(plate: Plate, number: int, name: str) -> None:
    fibers = one(plate, number, name)
    assert max(largest(fibers).values()) < 1e-6
    assert set(largest(fibers)) == set(fibers.id) - {"0777"}  # unplugged
    factors = plugin.corecube_calibration_factors(fibers, CONFIG)
    names = [factor.name for factor in factors]
    xy = ["xy"] if number == 6642 else []
    assert names == ["flat", *xy, "dlam", "fluxcalib", "fluxcorr", "add", "distort"]
    flux: npt.NDArray[Any] = fibers.layers["electrons"].values.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        for factor in factors:
            flux = factor.apply(flux)
    assert fibers.error is not None
    good = np.isfinite(fibers.error)
    # float32 in the files; where what is added nearly cancels, of the flux's size
    assert_allclose(flux[good], fibers.flux[good], rtol=1e-6, atol=1e-6 * np.abs(fibers.flux).max())
    if number == 6642:
        assert np.any(factors[-2].values != 0)  # so that it is seen to be added


@pytest.mark.parametrize(("number", "name"), CAMERAS)
def test_pixels_are_the_files(boss_data: Path, plate: Plate, number: int, name: str) -> None:
    fibers = one(plate, number, name)
    rows = 4112 if name.startswith("b") else 4128
    with open_file(boss_data, number, f"spCFrame-{name}") as theirs:
        assert theirs[0].data.shape[1] == 4128  # blue ones are padded
        assert np.array_equal(fibers.flux, theirs[0].data[:, :rows])
        ivar = theirs[1].data[:, :rows].astype(np.float64)
        assert fibers.error is not None and fibers.mask is not None
        assert np.array_equal(np.isfinite(fibers.error), ivar > 0)
        assert_allclose(fibers.error[ivar > 0] ** -2.0, ivar[ivar > 0], rtol=3e-7)  # float32
        assert np.array_equal(fibers.bits["mask"].values, theirs[2].data[:, :rows])
        rejected = theirs[2].data[:, :rows] & (1 << 25 | 1 << 18) != 0
        assert np.array_equal(fibers.mask & value("rejected") != 0, rejected)
        # the trace set against the evaluated image, float64
        assert fibers.wave.traces is not None
        loglam = np.log10(fibers.wave.wavelength())
        assert_allclose(loglam, theirs[3].data[:, :rows], rtol=1e-14)
        assert np.array_equal(fibers.layers["sky"].values, theirs[6].data[:, :rows])
        plugmap = theirs[5].data
        assert list(fibers.id) == [f"{fiber:04d}" for fiber in plugmap["FIBERID"]]
        assert np.array_equal(fibers.ra, plugmap["RA"]) and np.array_equal(
            fibers.dec, plugmap["DEC"]
        )
        start = theirs[0].header["TAI-BEG"] / 86400
        assert_allclose(fibers.times.span[0], start, rtol=0, atol=1e-9)
    with open_file(boss_data, number, f"spFrame-{name}") as frame:
        assert np.array_equal(fibers.bits["frame_mask"].values, frame[2].data)
        combined = frame[2].data & 1 << 25 != 0
        assert not combined.any()  # only set in the spCFrame


@pytest.mark.parametrize("kind", ["spFluxcorr", "spFluxcalib", "spFluxdistort", "traces"])
@pytest.mark.parametrize("camera", ["b2", "r1"])
def test_one_row_of_one_file_shows_in_one_fibre(
    boss_data: Path, read: Any, tmp_path: Path, kind: str, camera: str
) -> None:
    folder = boss_data / "simulated" / "plate6641"
    fiber, row = ("0534", 1) if camera == "b2" else ("0486", 2)
    for path in folder.glob("*"):
        if f"{camera}-00158842" in path.name or "spFlat" in path.name or "-6641-" in path.name:
            shutil.copy(path, tmp_path)
    name = {"spFluxdistort": "spFluxdistort-6641-56383", "traces": f"spFrame-{camera}-00158842"}
    (path,) = tmp_path.glob(f"{name.get(kind, f'{kind}-{camera}-00158842')}.fits*")
    with fits.open(path) as hdus:
        if kind == "traces":
            hdus[3].data["COEFF"][0, row, 1:] *= 1.01
        else:
            in_file = (
                row if kind != "spFluxdistort" else [1, 12, 486, 500, 501, 534].index(int(fiber))
            )
            hdus[0].data[in_file] *= 1.01
        hdus.writeto(path, overwrite=True)
    (fibers,) = (f for f in read(tmp_path) if f.name == f"{camera}-00158842")
    deviation = identity(fibers)
    assert deviation is not None
    place = fibers.id.index(fiber)
    off = np.abs(deviation[place][np.isfinite(deviation[place])])
    assert off.size > 2000
    assert off.min() > 0.01 - 5e-4 and off.max() < 0.01 + 5e-4
    others = np.delete(deviation, place, axis=0)
    assert np.abs(others[np.isfinite(others)]).max() < 1e-6


# plate, camera, exposure, fibre: valid pixels, median S, median variance, ratio notebook to
# pipeline, ratio physical to pipeline, ratio of ivar without the 3 % term, mean and std of pulls
FIGURES = [
    (6641, "b1-00158842", 1, 2700, 59.87, 82.71, 0.9494, 0.9822, 0.9828, -0.062, 0.987),
    (6641, "b1-00158842", 12, 2699, 19.03, 39.88, 0.9554, 0.9631, 1.0, -0.112, 1.037),
    (6641, "r1-00158842", 1, 3127, 60.62, 96.72, 0.9700, 0.9881, 0.9896, -0.033, 0.991),
    (6641, "r1-00158842", 486, 3132, 26.87, 56.42, 1.0016, 1.0, 1.0, -0.092, 1.037),
    (6641, "b2-00158842", 501, 2693, 504.1, 531.4, 0.9811, 0.9927, 0.7157, -0.023, 0.879),
    (6641, "r2-00158842", 534, 3128, 88.99, 126.8, 0.9702, 0.9650, 0.9724, -0.064, 1.022),
    (6641, "r2-00158842", 1000, 3136, 63.39, 104.6, 0.9883, 1.0, 0.9895, -0.029, 1.006),
    (6642, "b2-00199760", 534, 2695, 100.4, 133.8, 0.8851, 0.9876, 0.9573, -0.065, 0.984),
    (6642, "r1-00199760", 12, 3119, 26.51, 61.90, 0.9811, 0.9844, 1.0, -0.086, 1.025),
]


@pytest.mark.parametrize("row", FIGURES, ids=lambda row: f"{row[1]}-{row[2]}")
def test_variance_is_predicted(boss_data: Path, plate: Plate, row: tuple[Any, ...]) -> None:
    number, name, fiber, pixels, counts, variance, notebook, physical, without, mean, std = row
    fibers = one(plate, number, name)
    place = fibers.id.index(f"{fiber:04d}")
    found = electrons_of(fibers, CONFIG)
    assert found is not None and fibers.error is not None
    used = found.used[place]
    assert int(used.sum()) == pixels
    quoted, expected = found.quoted[place, used], found.predicted[place, used]
    assert_allclose(np.median(found.counts[place, used]), counts, rtol=6e-4)  # four digits
    assert_allclose(np.median(quoted), variance, rtol=6e-4)
    assert_allclose(quoted, expected, rtol=5e-7)  # float32
    for law, convention, ratio in (
        ("notebook", "pipeline", notebook), ("auto", "physical", physical),
    ):  # fmt: skip
        other = predicted(fibers, law, convention)  # type: ignore[arg-type]
        assert other is not None
        assert_allclose(np.median(other[place, used] / expected), ratio, rtol=0, atol=6e-5)
    # the calibrated inverse variance: 3 % of the object's electrons are added, then all is scaled
    layers = {key: layer.values[place, used].astype(float) for key, layer in fibers.layers.items()
              if layer.values.shape == fibers.flux.shape}  # fmt: skip
    eflux = layers["electrons"] / layers["flat"]
    plain = quoted / layers["flat"] ** 2
    scale = np.ones(pixels)
    for factor in plugin.corecube_calibration_factors(fibers, CONFIG):
        if factor.operation != "add" and factor.name != "flat":
            scale = (
                factor.apply(scale)
                if factor.values.size == 1
                else _scaled(scale, factor, place, used)
            )
    full = (plain + (0.03 * np.maximum(eflux, 0)) ** 2) * scale**2
    error = fibers.error[place, used].astype(float)
    assert_allclose(error**2, full, rtol=1e-6)
    assert_allclose(np.median(plain * scale**2 / error**2), without, rtol=0, atol=6e-5)
    truth = json.loads((boss_data / f"simulated/plate{number}/truth.json").read_text())
    (source,) = (part for part in truth["fibers"] if part["fiber"] == fiber)
    wavelength = fibers.wave.wavelength()[place, used]
    true = source["A"] * (wavelength / 6000) ** source["al"]
    for centre, peak, sigma in source["lines"]:
        true += peak * np.exp(-0.5 * ((wavelength - centre) / sigma) ** 2)
    pulls = (fibers.flux[place, used] - true) / error
    assert_allclose((pulls.mean(), pulls.std()), (mean, std), rtol=0, atol=6e-4)


def _scaled(scale: Any, factor: Any, place: int, used: Any) -> Any:
    values = factor.values[place, used]
    return scale * values if factor.operation == "multiply" else scale / values


def test_noise_check_of_a_camera(plate: Plate) -> None:
    fibers = one(plate, 6641, "r2-00158842")
    check = plugin.corecube_check_noise(fibers, CONFIG)
    assert check is not None and "v5_7" in check.recipe
    assert_allclose((check.slope, check.floor), (1.0, 0.0), rtol=0, atol=1e-5)
    other = check_noise(fibers, BossConfig(law="v5_8"))
    assert other is not None and other.slope < 0.95  # a law that does not hold is seen


def test_width_of_pulls_is_that_of_the_truth(plate: Plate) -> None:
    """By neighbours alone; where errors follow noisy counts, flux / error would say 0.35 to 0.8."""
    for camera, fiber, width in (
        ("b1", "0001", 0.987), ("b1", "0012", 1.037), ("r1", "0001", 0.991), ("r1", "0486", 1.037),
        ("b2", "0501", 0.879), ("r2", "0534", 1.022), ("r2", "1000", 1.006),
    ):  # fmt: skip
        fibers = one(plate, 6641, f"{camera}-00158842")
        place = fibers.id.index(fiber)
        assert fibers.error is not None and fibers.mask is not None
        good = np.isfinite(fibers.error)[place : place + 1]
        good &= valid(fibers.mask[place : place + 1])
        flux, error = (
            part[place : place + 1].astype(float) for part in (fibers.flux, fibers.error)
        )
        sample = neighbours(flux, error, good)
        low, high = np.percentile(sample, (15.87, 84.13))
        # standard deviations of (flux - truth) / error; of 3,000 pixels each is good to 1.5 %
        assert (high - low) / 2 == pytest.approx(width, abs=0.07), (camera, fiber)


def test_valid_rows_and_the_unplugged_fibre(plate: Plate) -> None:
    for name, fiber, ends in (
        ("b1-00158842", "0001", (810, 3516)), ("r1-00158842", "0001", (532, 3668)),
        ("r2-00158842", "1000", (526, 3668)),
    ):  # fmt: skip
        fibers = one(plate, 6641, name)
        assert fibers.error is not None
        known = np.flatnonzero(np.isfinite(fibers.error[fibers.id.index(fiber)]))
        assert (known[0], known[-1]) == ends
    fibers = one(plate, 6641, "b2-00158842")
    place = fibers.id.index("0777")
    assert fibers.error is not None and np.isnan(fibers.error[place]).all()
    assert np.all(fibers.bits["mask"].values[place] & 1)  # NOPLUG
