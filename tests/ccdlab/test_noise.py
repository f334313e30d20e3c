"""The error formula: the worked example, simulations with the truth, means of exposures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from corecube.frames import Array, Image
from corecube.masks import valid
from corecube_ccdlab import plugin
from corecube_ccdlab.calibrate import calibrated
from corecube_ccdlab.flats import lit_rows, response
from corecube_ccdlab.means import mean_image
from corecube_ccdlab.noise import terms, with_errors
from corecube_ccdlab.settings import CcdlabConfig
from corecube_ccdlab.statistics import combine, median_factor, median_factors

GAIN, READ, LEVEL, BIAS, FLAT = 1.5, 5.0, 1000.0, 20.0, 0.9
AMP = ("amplifier",)


def example(counts: np.ndarray[Any, Any]) -> Image:
    """Gain 1.5, read noise 5, overscan 1000 (median of 32), bias 20 (median of 10), flat 0.9."""
    shape = counts.shape
    bias_error = np.sqrt(median_factor(10) * READ**2 / GAIN**2 / 10)
    # median of five flats of 20000 adu, normalised: var = c5 / 5 (g F + s^2) / (g m)^2
    flat_error = np.sqrt(
        median_factor(5) / 5 * (GAIN * 20000 * FLAT + READ**2) / (GAIN * 20000) ** 2
    )

    def full(number: float) -> np.ndarray[Any, Any]:
        return np.full(shape, number, np.float64)

    return Image(
        name="example",
        flux=counts.astype(np.float32),
        unit="adu",
        mask=np.zeros(shape, np.uint32),
        calibration={
            "amplifiers": Array(np.array([[0, shape[1], 0, shape[0]]], np.int32)),
            "overscan": Array(np.array([LEVEL]), "adu", AMP),
            "overscan_factor": Array(np.array([median_factor(32) / 32]), "", AMP),
            "exposure_time": Array(np.array(10.0), "s"),
            "gain": Array(np.array([GAIN]), "electron / adu", AMP),
            "read_noise": Array(np.array([READ]), "electron", AMP, "Read noise."),
            "bias": Array(full(BIAS), "adu", ("y", "x")),
            "bias_error": Array(full(bias_error), "adu", ("y", "x")),
            "flat": Array(full(FLAT), "", ("y", "x")),
            "flat_error": Array(full(flat_error), "", ("y", "x")),
        },
    )


def test_the_worked_example() -> None:
    image = with_errors(calibrated(example(np.full((2, 3), 3000))))
    assert image.unit == "electron"
    assert_allclose(image.flux, 3300.0, rtol=1e-6)
    parts = terms(image)
    assert parts is not None
    flat = 3300.0**2 * parts.flat
    # photons 3666.667, read 30.864, overscan 1.451; bias 4.269; flat 115.797
    assert_allclose(parts.own, 3666.667 + 30.864 + 1.451, atol=2e-3)
    assert_allclose(parts.shared, 4.269, atol=5e-4)
    # the flat's own noise, with its value 0.9 in the photons: 115.797 within the rounding of c5
    assert_allclose(flat, 115.797, rtol=2e-3)
    assert image.error is not None
    assert_allclose(image.error, 61.798, rtol=1e-4)


def test_the_mean_of_four_does_not_average_the_masters() -> None:
    frames = [
        replace(with_errors(calibrated(example(np.full((2, 3), 3000)))), name=f"e{n}")
        for n in range(4)
    ]
    mean = mean_image(frames, "mean")
    assert mean.error is not None
    assert_allclose(mean.error**2, 1044.81, rtol=2e-4)
    assert np.all(mean.error**2 > 954.76 * 1.05)  # a quarter of the variance would be too small
    assert float(mean.calibration["exposure_time"].values) == 40.0
    assert mean.provenance.parents[:4] == ("e0", "e1", "e2", "e3")


def test_the_mean_leaves_masked_pixels_out() -> None:
    frames = []
    for number, counts in enumerate((3000, 3100, 60000)):
        image = with_errors(calibrated(example(np.full((1, 2), counts))))
        mask = np.zeros((1, 2), np.uint32)
        mask[0, 0] = 4 if number == 2 else 0  # saturated
        frames.append(replace(image, mask=mask, name=f"e{number}"))
    mean = mean_image(frames, "mean")
    two = (frames[0].flux[0, 0] + frames[1].flux[0, 0]) / 2
    assert mean.flux[0, 0] == pytest.approx(two)
    assert mean.flux[0, 1] == pytest.approx(sum(float(f.flux[0, 1]) for f in frames) / 3)
    assert mean.mask is not None and valid(mean.mask).all()


def test_pulls_of_simulated_exposures() -> None:
    rng = np.random.default_rng(5)
    shape = (400, 500)
    for level in (0.0, 100.0, 3000.0):
        electrons = np.full(shape, level) * FLAT
        overscan = LEVEL + rng.normal(0, np.sqrt(median_factor(32) / 32) * READ / GAIN)
        noise = rng.normal(0.0, READ, shape)
        counts = (rng.poisson(electrons) + noise) / GAIN + LEVEL + BIAS
        image = example(counts)
        # masters with the noise that they say they have
        calibration = dict(image.calibration)
        for name, spread in (("bias", "bias_error"), ("flat", "flat_error")):
            sigma = calibration[spread].values
            values = calibration[name].values + rng.normal(0, 1, shape) * sigma
            calibration[name] = Array(values, calibration[name].unit, ("y", "x"))
        calibration["overscan"] = Array(np.array([LEVEL]), "adu", AMP)
        del overscan  # one level for all pixels is a shift, no scatter
        calibration["overscan_factor"] = Array(np.array([0.0]), "", AMP)
        done = with_errors(calibrated(replace(image, calibration=calibration)))
        parts = terms(done)
        assert parts is not None and done.error is not None
        # With the true variance pulls are 0 +- 1: 200,000 of them, so within 0.011 and 0.008.
        truth = level * FLAT + READ**2
        sigma = np.sqrt(truth / FLAT**2 + parts.shared + level**2 * parts.flat)
        pulls = (done.flux - level) / sigma
        assert abs(pulls.mean()) < 0.011 and abs(pulls.std() - 1) < 0.008
        # With the quoted error, made of the noisy counts, the mean is low as the model says.
        quoted = (done.flux - level) / done.error
        assert -0.10 < quoted.mean() < 0.01 and abs(quoted.std() - 1) < 0.07


def test_median_factors(golden: Any) -> None:
    for count, factor in golden.MEDIAN_FACTORS.items():
        assert median_factor(count) == pytest.approx(factor, abs=6e-9)
    table = median_factors(np.array([[0, 1], [5, 30]]))
    assert np.isnan(table[0, 0]) and table[1, 0] == median_factor(5)
    # odd counts from below, even ones too, to pi / 2
    assert median_factor(1001) == pytest.approx(np.pi / 2 * (1 - 0.43 / 1001), abs=1e-4)


def test_combining_with_masks() -> None:
    rng = np.random.default_rng(1)
    stack = rng.normal(100, 3, (5, 40, 50))
    good = rng.random(stack.shape) > 0.2
    for how, function in (("median", np.nanmedian), ("mean", np.nanmean)):
        value, count, factor = combine(stack, good, how)
        some = count > 0
        expected = function(np.where(good, stack, np.nan)[:, some], axis=0)
        assert_allclose(value[some], expected, rtol=1e-14)
        assert_allclose(count, good.sum(axis=0))
        full = count == 5
        assert_allclose(factor[full], (median_factor(5) if how == "median" else 1.0) / 5)
    stack[:, 0, 0] = 7.0
    good[:, 0, 0] = False
    assert combine(stack, good, "median")[0][0, 0] == 7.0


def test_a_master_bias_is_as_noisy_as_it_says(tmp_path: Path, make_shots: Any) -> None:
    truth = plugin.corecube_simulate(tmp_path, {"calibrations": 5, "exposures": 1}, 12)
    shots = make_shots([tmp_path / name for name in truth["files"]])
    (bias,) = [s.frame("bias") for s in shots.values() if "bias" in s.images]
    measured = bias.calibration["read_noise"].values[0] * truth["camera"]["gain"]
    # 127 x 1987 pixels; the rounding of counts adds 1/12 adu^2, 1 % of the variance
    expected = np.hypot(truth["camera"]["read_noise"], truth["camera"]["gain"] / np.sqrt(12))
    assert measured == pytest.approx(expected, rel=0.005)
    frames = next(s for s in shots.values() if "bias" in s.images)
    width = bias.flux.std() / np.std([frames.frame(n).flux for n in frames.images if n != "bias"])
    # sqrt(c5 / 5) = 0.5356 for a median of five; the pattern of 0.4 adu is common to all
    single = measured / truth["camera"]["gain"]
    assert width == pytest.approx(np.hypot(0.5356 * single, 0.4) / np.hypot(single, 0.4), rel=0.01)


# -- flats -----------------------------------------------------------------------------------------


def test_the_response_is_right_at_both_ends() -> None:
    x = np.linspace(-1, 1, 2048)
    for degree in (0, 3, 7):
        lamp = 2e4 * np.exp(np.polynomial.legendre.legval(x, np.linspace(-0.6, 0.4, degree + 1)))
        found = response(lamp, np.sqrt(lamp), degree)
        assert_allclose(lamp / found, 1.0, atol=1e-6)
    assert_allclose(response(np.full(20, -1.0), np.ones(20), 3), 1.0)


def test_lit_rows_of_a_slit_that_fills_half() -> None:
    profile = np.r_[np.full(40, 3.0), np.full(50, 1e4), np.full(38, 3.0)]
    assert np.array_equal(np.flatnonzero(lit_rows(profile)), np.arange(40, 90))


def test_flats_of_the_simulation(tmp_path: Path, make_shots: Any) -> None:
    truth = plugin.corecube_simulate(tmp_path, {"calibrations": 9, "exposures": 1}, 4)
    shots = make_shots([tmp_path / name for name in truth["files"]])
    (flat,) = [s.frame("flat") for s in shots.values() if "flat" in s.images]
    good = valid(flat.mask)
    assert good[20:108].mean() > 0.999 and not good[:10].any()
    # the sensitivities scatter by 1 %, the flat's noise by its error
    noise = np.sqrt(np.mean(np.square(flat.error[good], dtype=np.float64)))
    assert np.std(flat.flux[good]) == pytest.approx(np.hypot(0.01, noise), rel=0.02)
    assert flat.flux[good].mean() == pytest.approx(1.0, abs=0.01)
    gain = flat.calibration["gain_measured"].values
    assert np.nanmean(gain) == pytest.approx(truth["camera"]["gain"], rel=0.02)


# -- the whole way ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [3, 8])
def test_the_simulated_star_comes_out(
    tmp_path: Path, make_shots: Callable[..., Any], seed: int
) -> None:
    truth = plugin.corecube_simulate(tmp_path, {"exposures": 4}, seed)
    shots = make_shots([tmp_path / name for name in truth["files"]])
    (fibers,) = [s.frames["extracted"] for s in shots.values() if s.groups]
    source = truth["sources"][0]
    assert_allclose((fibers.ra[0], fibers.dec[0]), (source["ra"], source["dec"]), atol=2e-6)
    assert fibers.target == (source["name"],) and fibers.unit == "electron"
    flux, error = fibers.flux[0], fibers.error[0]
    pulls = (flux - np.array(source["flux"])) / error
    # 1987 columns: the width scatters by 0.016. The mean is low by 0.1: the Poisson variance comes
    # from the data, and the aperture of 11 pixels misses 0.1 % of the star.
    assert pulls.std() == pytest.approx(1.0, abs=0.08)
    assert abs(np.median(pulls)) < 0.25
    check = plugin.corecube_check_noise(fibers, CcdlabConfig())
    assert check is not None and check.width == pytest.approx(1.0, abs=0.1)


def test_the_simulated_dark_camera(tmp_path: Path, make_shots: Callable[..., Any]) -> None:
    options = {"camera": "barber-sbig", "sensitivity": 0.0, "calibrations": 7}
    truth = plugin.corecube_simulate(tmp_path, options, 6)
    paths = [tmp_path / name for name in truth["files"]]
    source = truth["sources"][0]
    star = np.array(source["flux"])
    for recipe in ("rows-above-sky", "boxcar"):
        shots = make_shots(paths, recipe=recipe)
        (fibers,) = [s.frames["extracted"] for s in shots.values() if s.groups]
        assert np.isnan(fibers.ra[0])
        flux, error = fibers.flux[0].copy(), fibers.error[0].copy()
        if recipe == "rows-above-sky":
            # the mean of rows in adu; times their number and the gain it is the star, but for the
            # wings that the recipe leaves out
            rows = {c.name: v[0] for c, v in fibers.columns.items() if "row" in c.name}
            scale = (rows["last_row"] - rows["first_row"] + 1) * truth["camera"]["gain"]
            assert np.median(flux * scale / star) == pytest.approx(1.0, abs=0.01)
            residual = flux * scale - star * np.median(flux * scale / star)
            pulls = residual / (error * scale)
        else:
            pulls = (flux - star) / error
        good = valid(fibers.mask[0])
        # 320 columns: the width scatters by 0.04
        assert np.std(pulls[good]) == pytest.approx(1.0, abs=0.15), recipe


def test_a_seed_fixes_everything_and_another_changes_it(tmp_path: Path) -> None:
    folders = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        folder = tmp_path / name
        folder.mkdir()
        plugin.corecube_simulate(folder, {"calibrations": 1, "exposures": 1, "packed": True}, seed)
        folders.append({p.name: p.read_bytes() for p in folder.iterdir()})
    assert folders[0] == folders[1] != folders[2]
    assert all(name.endswith((".fits.bz2", ".json")) for name in folders[0])


@pytest.mark.parametrize(
    "options", [{"camera": "x"}, {"rows": 3}, {"nothing": 1}, {"electrons": -1}]
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any]) -> None:
    from corecube.errors import ConfigurationError

    with pytest.raises(ConfigurationError):
        plugin.corecube_simulate(tmp_path, options, 0)


def test_the_simulator_knows_no_noise_model() -> None:
    import ast

    import corecube_ccdlab

    folder = Path(corecube_ccdlab.__file__).parent
    for name in ("simulate.py", "simulated_files.py"):
        imported = {
            node.module
            for node in ast.walk(ast.parse((folder / name).read_text("utf-8")))
            if isinstance(node, ast.ImportFrom)
        }
        ours = {module for module in imported if module and module.startswith("corecube_ccdlab")}
        assert ours <= {"corecube_ccdlab.simulated_files"}
