"""Passbands, rebinning, conversions and apertures against other ways to compute them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corecube.errors import FrameError, QueryError, UnitError
from corecube.frames import Image
from corecube.photometry import (
    Passband,
    Passbands,
    aperture_flux,
    aperture_weights,
    conversions,
    log_bins,
    pixel_edges,
    rebin,
    synthetic_flux,
)
from corecube.photometry.rebinning import centred_edges, log_edges
from corecube.spectral import Spectral

FloatArray = npt.NDArray[np.float64]

BOX = Passband("box", np.array([4999.0, 5000.0, 6000.0, 6001.0]), np.array([0.0, 1.0, 1.0, 0.0]))
PEAK = Passband("peak", np.array([5000.0, 6000.0, 6500.0]), np.array([0.0, 0.8, 0.0]))


def edges(draw: Any, first: float, last: float) -> FloatArray:
    count = draw(st.integers(1, 40))
    seed = draw(st.integers(0, 2**32 - 1))
    steps = np.random.default_rng(seed).uniform(0.05, 1.0, count)
    inner = np.concatenate([[0.0], np.cumsum(steps)])
    found: FloatArray = first + (last - first) * inner / inner[-1]
    return found


@st.composite
def spectra(draw: Any) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Edges, flux and error with some that do not count, and other edges that may lie anywhere."""
    old = edges(draw, 4000.0, 4000.0 + draw(st.floats(1.0, 3000.0)))
    low = draw(st.floats(3000.0, 6000.0))
    new = edges(draw, low, low + draw(st.floats(1.0, 4000.0)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    flux = rng.normal(10.0, 5.0, old.size - 1)
    error = rng.uniform(0.5, 2.0, flux.size)
    error[rng.random(flux.size) < 0.2] = rng.choice([np.nan, np.inf, 0.0])
    flux[rng.random(flux.size) < 0.1] = np.nan
    return old, flux, error, new


def overlaps(old: FloatArray, new: FloatArray) -> FloatArray:
    """The overlap of each new bin with each old pixel, one by one."""
    high = np.minimum(old[None, 1:], new[1:, None])
    found: FloatArray = np.maximum(high - np.maximum(old[None, :-1], new[:-1, None]), 0.0)
    return found


# -- rebinning -------------------------------------------------------------------------------------


@given(spectra())
def test_rebinning_is_the_matrix_of_overlaps(
    case: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
) -> None:
    old, flux, error, new = case
    found = rebin(old, flux, error, new)
    good = np.isfinite(flux) & np.isfinite(error) & (error > 0)
    matrix = overlaps(old, new) * good
    value, variance = np.where(good, flux, 0.0), np.where(good, error, 0.0) ** 2
    width = matrix.sum(axis=1)
    np.testing.assert_allclose(found.covered, width, rtol=1e-9, atol=1e-9)
    some = width > 1e-6
    expected = (matrix @ value)[some] / width[some]
    np.testing.assert_allclose(found.flux[some], expected, rtol=1e-6, atol=1e-6)
    full = matrix @ np.diag(variance) @ matrix.T
    sigma = np.sqrt(np.diag(full)[some]) / width[some]
    np.testing.assert_allclose(found.error[some], sigma, rtol=1e-6)
    next_to = np.flatnonzero(some[1:] & some[:-1])
    expected = full[next_to, next_to + 1] / (width[next_to] * width[next_to + 1])
    np.testing.assert_allclose(found.covariance[next_to], expected, rtol=1e-6, atol=1e-9)
    correlation = found.correlation[np.isfinite(found.correlation)]
    assert np.all((correlation >= 0) & (correlation <= 1 + 1e-9))
    empty = found.covered == 0
    assert np.isnan(found.flux[empty]).all() and np.isinf(found.error[empty]).all()
    assert np.isfinite(found.flux[~empty]).all()
    assert found.n_eff == np.count_nonzero(good & (overlaps(old, new).sum(axis=0) > 0))


@given(spectra())
def test_rebinning_keeps_the_flux(
    case: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
) -> None:
    old, flux, error, new = case
    flux = np.abs(flux)  # so that the sum is no difference of large numbers
    found = rebin(old, flux, error, new)
    good = np.isfinite(flux) & np.isfinite(error) & (error > 0)
    low, high = new[0], new[-1]
    inside = np.maximum(np.minimum(old[1:], high) - np.maximum(old[:-1], low), 0.0)
    some = found.covered > 0
    kept = np.sum(found.flux[some] * found.covered[some])
    # a width is the difference of wavelengths of 1e4 with an epsilon of 2e-12
    assert kept == pytest.approx(np.sum((flux * inside)[good]), rel=1e-12, abs=1e-8)


def test_rebinning_of_many_is_that_of_each() -> None:
    rng = np.random.default_rng(3)
    old, new = log_edges(36000, 500), np.linspace(3990.0, 4440.0, 333)
    flux, error = rng.normal(5, 1, (4, 500)), rng.uniform(0.5, 1, (4, 500))
    error[1, 100:180] = np.nan
    found = rebin(old, flux, error, new)
    for row in range(4):
        one = rebin(old, flux[row], error[row], new)
        for name in ("flux", "error", "coverage", "covariance"):
            np.testing.assert_array_equal(getattr(found, name)[row], getattr(one, name))
        assert found.n_eff[row] == one.n_eff
    assert found.n_eff[1] < found.n_eff[0]


def test_a_rebinned_spectrum_is_a_table(tmp_path: Path) -> None:
    from astropy.table import Table

    from corecube_cli.formats import write_rows

    old = log_edges(36000, 50)
    error = np.full(50, 0.3)
    error[:20] = np.nan
    found = rebin(old, np.arange(50.0), error, np.linspace(old[0], old[-1], 71))
    rows = found.rows()
    assert rows.meta["n_eff"] == 30
    for ending in ("fits", "ecsv"):
        path = tmp_path / f"s.{ending}"
        write_rows(rows, ending, path)
        back = Table.read(path)
        for name in ("low", "high", "flux", "error", "coverage", "covariance"):
            values = np.ma.filled(np.ma.asarray(back[name].data), np.nan)
            np.testing.assert_array_equal(values, rows[name].values)
        said = json.loads(back.meta["META"]) if ending == "fits" else back.meta
        assert said["n_eff"] == 30
    with pytest.raises(FrameError, match="one spectrum"):
        rebin(old, np.ones((2, 50)), np.ones((2, 50)), old).rows()


def test_finer_bins_are_wholly_correlated() -> None:
    old = np.array([4000.0, 4001.0, 4002.0])
    found = rebin(old, np.ones(2), np.ones(2), np.linspace(4000.0, 4002.0, 9))
    np.testing.assert_allclose(found.correlation, [1, 1, 1, 0, 1, 1, 1])
    assert int(found.n_eff) == 2 and found.flux.size == 8


def test_edges() -> None:
    grid = Spectral.log_grid(35520, 3)
    found = pixel_edges(grid)
    np.testing.assert_allclose(np.log10(found) * 1e4, 35519.5 + np.arange(4), rtol=1e-14)
    values = pixel_edges(Spectral(values=np.array([1.0, 2.0, 4.0])))
    np.testing.assert_array_equal(values, [0.5, 1.5, 3.0, 5.0])
    np.testing.assert_allclose(centred_edges(1.0, 3.0, 3), [0.5, 1.5, 2.5, 3.5])
    for wrong in (lambda: centred_edges(3.0, 1.0, 3), lambda: centred_edges(1.0, 3.0, 1),
                  lambda: pixel_edges(Spectral(values=np.array([1.0, 2.0, np.nan]))),
                  lambda: rebin([1.0, 2.0], [1.0], [1.0], [2.0, 1.0]),
                  lambda: rebin([1.0, 2.0], [1.0, 1.0], [1.0, 1.0], [1.0, 2.0])):  # fmt: skip
        with pytest.raises(FrameError):
            wrong()


@given(st.integers(0, 7), st.integers(0, 2**32 - 1))
def test_levels_keep_the_flux(level: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, count = int(rng.integers(35000, 36000)), int(rng.integers(1, 300))
    flux, error = rng.uniform(1, 9, count), rng.uniform(0.5, 1, count)
    error[rng.random(count) < 0.2] = np.nan
    found = log_bins(first, flux, error, level)
    width, good = np.diff(log_edges(first, count)), np.isfinite(error)
    assert found.first == first >> level
    assert found.flux.size == (first + count - 1 >> level) - (first >> level) + 1
    kept = np.nansum(found.flux * found.coverage * np.diff(found.edges))
    assert kept == pytest.approx(np.sum((flux * width)[good]), rel=1e-9)
    same = rebin(log_edges(first, count), flux, error, found.edges)
    some = found.coverage > 0
    np.testing.assert_allclose(found.flux[some], same.flux[some], rtol=1e-8)
    np.testing.assert_allclose(found.error[some], same.error[some], rtol=1e-8)


# -- passbands and synthetic fluxes ----------------------------------------------------------------


def test_a_passband_is_linear_and_zero_outside() -> None:
    np.testing.assert_allclose(PEAK.at([4000.0, 5500.0, 6250.0, 9000.0]), [0.0, 0.4, 0.4, 0.0])
    fine = np.linspace(5000.0, 6500.0, 300_001)
    response = PEAK.at(fine)
    pivot = np.sqrt(np.trapezoid(response * fine, fine) / np.trapezoid(response / fine, fine))
    assert PEAK.pivot == pytest.approx(pivot, rel=1e-9)
    assert PEAK.photons == pytest.approx(np.trapezoid(response / fine, fine), rel=1e-8)


@pytest.mark.parametrize(
    ("wavelength", "response"),
    [([1.0, 2.0], [1.0]), ([2.0, 1.0], [1.0, 1.0]), ([1.0, 2.0], [0.0, 0.0]),
     ([1.0, 2.0], [-1.0, 1.0]), ([1.0, 2.0], [np.nan, 1.0]), ([1.0], [1.0])],
)  # fmt: skip
def test_bad_passbands(wavelength: list[float], response: list[float]) -> None:
    with pytest.raises(FrameError, match="passband 'x'"):
        Passband("x", np.array(wavelength), np.array(response))


def test_sets_of_passbands() -> None:
    both = Passbands("two", (BOX, PEAK))
    assert both["peak"] is PEAK and "box" in both and "z" not in both
    with pytest.raises(KeyError):
        both["z"]
    with pytest.raises(FrameError, match="same name"):
        Passbands("two", (BOX, BOX))
    merged = both.merged()
    assert merged.band == ("", "box", "box", "peak", "")
    np.testing.assert_array_equal(merged.wavelength, [4999.0, 5000.0, 6000.0, 6001.0, 6500.0])


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("curve", [BOX, PEAK])
def test_a_source_of_one_ab_magnitude(curve: Passband, linear: bool) -> None:
    """f_nu = 1 nanomaggy everywhere gives 1 nanomaggy in each band, on any pixels."""
    centres = np.arange(4000.0, 8000.0, 0.9)
    wave = Spectral(values=centres) if linear else Spectral.log_grid(36000, 3500)
    at = wave.wavelength()
    flux = conversions.nmgy_to_flambda(np.ones(at.size), at)
    found = synthetic_flux(wave, flux, 0.1 * flux, curve)
    assert found.flux == pytest.approx(1.0, rel=2e-6)  # the pipeline's speed of light, cut off
    assert found.coverage == pytest.approx(1.0, abs=1e-3) and found.bridged == 0.0
    bad = (at > 5400) & (at < 5420)
    holed = synthetic_flux(wave, np.where(bad, 99.0, flux), 0.1 * flux, curve, bridge=bad)
    assert holed.flux == pytest.approx(1.0, rel=1e-4) and 0.005 < holed.bridged < 0.05


def test_the_sigma_of_a_synthetic_flux() -> None:
    wave = Spectral.log_grid(36000, 3500)
    rng = np.random.default_rng(11)
    flux, error = np.full(3500, 3.0), rng.uniform(0.1, 0.5, 3500)
    trials = [
        synthetic_flux(wave, flux + error * rng.normal(size=3500), error, PEAK) for _ in range(2000)
    ]
    scatter = np.std([trial.flux for trial in trials])
    # the standard deviation of 2000 trials is known to 1.6 %
    assert scatter == pytest.approx(trials[0].sigma, rel=0.06)
    error = np.full(3500, 0.3)
    alone = synthetic_flux(wave, flux, error, PEAK).sigma
    together = synthetic_flux(wave, flux, error, PEAK, correlation=(0.22, -0.1)).sigma
    assert together / alone == pytest.approx(np.sqrt(1.24), rel=0.01)


def test_too_little_of_a_band_gives_nothing_unless_asked() -> None:
    wave = Spectral(values=np.arange(5500.0, 7000.0))
    flux, error = np.ones(1500), np.full(1500, 0.1)
    found = synthetic_flux(wave, flux, error, BOX)
    assert np.isnan(found.flux) and np.isnan(found.sigma)
    assert found.coverage == pytest.approx(np.log(6000 / 5500) / np.log(6000 / 5000), rel=1e-2)
    assert np.isfinite(synthetic_flux(wave, flux, error, BOX, least=0.4).flux)
    nothing = synthetic_flux(wave, flux, np.full(1500, np.nan), BOX, least=0.0)
    assert np.isnan(nothing.flux) and nothing.coverage == 0.0
    with pytest.raises(UnitError):
        synthetic_flux(wave, flux, error, BOX, unit="electron")


def test_units_of_spectra_are_converted() -> None:
    wave = Spectral(values=np.arange(4500.0, 7000.0))
    flux, error = np.ones(2500), np.full(2500, 0.1)
    usual = synthetic_flux(wave, flux, error, BOX)
    other = synthetic_flux(wave, flux * 1e-17, error * 1e-17, BOX, unit="erg / (Angstrom s cm2)")
    assert (other.flux, other.sigma) == pytest.approx((usual.flux, usual.sigma))


# -- conversions -----------------------------------------------------------------------------------

PIVOTS = (3556.51, 4702.48, 6175.57, 7489.97, 8946.70)
FACTORS = (0.860544, 0.492228, 0.285408, 0.194026, 0.135986)
SOFTENING = (1.4e-10, 0.9e-10, 1.2e-10, 1.8e-10, 7.4e-10)
ZERO_FLUX = (24.6347, 25.1144, 24.8020, 24.3618, 22.8269)


def test_nanomaggies_in_other_units() -> None:
    assert conversions.nmgy_to_jy(1.0) == pytest.approx(3.6307805e-6, rel=1e-8)
    assert pytest.approx(2.754228703338e11, rel=1e-12) == conversions.NMGY_PER_CGS
    assert pytest.approx(1.08848062e7, rel=1e-8) == conversions.FLAMBDA_PER_NMGY
    found = conversions.nmgy_to_flambda(np.ones(5), np.array(PIVOTS))
    np.testing.assert_allclose(found, FACTORS, rtol=4e-6)
    magnitude, sigma = conversions.nmgy_to_ab(np.array([1.0, 100.0, -1.0, 0.0]), 0.1)
    np.testing.assert_allclose(magnitude, [22.5, 17.5, np.nan, np.nan])
    np.testing.assert_allclose(sigma[:2], [0.1085736, 0.001085736], rtol=1e-6)


def test_nanomaggies_are_those_of_astropy() -> None:
    units = pytest.importorskip("astropy.units")
    flux = units.Quantity(3.7, units.AB * 1e-9)  # a nanomaggy on the AB system
    assert conversions.nmgy_to_jy(3.7) == pytest.approx(flux.to_value(units.Jy), rel=1e-6)


@given(st.floats(-1e3, 1e5), st.sampled_from(SOFTENING), st.floats(2000.0, 20000.0))
def test_conversions_lead_back(flux: float, softening: float, pivot: float) -> None:
    near = pytest.approx(flux, rel=1e-9, abs=1e-9)
    assert conversions.jy_to_nmgy(conversions.nmgy_to_jy(flux)) == near
    assert conversions.flambda_to_nmgy(conversions.nmgy_to_flambda(flux, pivot), pivot) == near
    magnitude, _ = conversions.nmgy_to_asinh(flux, softening)
    assert conversions.asinh_to_nmgy(magnitude, softening) == near
    if flux > 0:
        assert conversions.ab_to_nmgy(conversions.nmgy_to_ab(flux)[0]) == near


def test_asinh_magnitudes() -> None:
    """Values of a photoObj file: PSFFLUX and PSFMAG in r."""
    magnitude, sigma = conversions.nmgy_to_asinh(np.array([541.6975, 5.45495]), 1.2e-10, 1.0)
    np.testing.assert_allclose(magnitude, [15.665608, 20.657498], atol=1.1e-6)
    assert sigma[0] == pytest.approx(1.085736 / 541.6975, rel=1e-5)
    zero, _ = conversions.nmgy_to_asinh(np.zeros(5), np.array(SOFTENING))
    np.testing.assert_allclose(zero, ZERO_FLUX, atol=6e-5)


# -- apertures -------------------------------------------------------------------------------------


@given(st.floats(-30, 80), st.floats(-30, 60), st.floats(0.05, 30))
def test_overlap_has_the_area_of_the_circle(x: float, y: float, radius: float) -> None:
    rows, columns, weights, whole = aperture_weights(x, y, radius, (40, 50), exact=True)
    assert whole == pytest.approx(np.pi * radius**2, rel=1e-9)
    assert weights.shape == (rows.stop - rows.start, columns.stop - columns.start)
    assert np.all(weights >= 0) and np.all(weights <= 1 + 1e-9)
    fits = min(x - radius, y - radius) > -0.5 and x + radius < 49.5 and y + radius < 39.5
    if fits:
        assert weights.sum() == pytest.approx(whole, rel=1e-12)
    elif x + radius < -0.5 or y + radius < -0.5 or x - radius > 49.5 or y - radius > 39.5:
        assert weights.sum() == 0


@given(st.floats(10, 20), st.floats(10, 20), st.floats(0.3, 8))
def test_overlap_is_that_of_many_small_pixels(x: float, y: float, radius: float) -> None:
    rows, columns, weights, _ = aperture_weights(x, y, radius, (30, 30), exact=True)
    fine = (np.arange(100) + 0.5) / 100 - 0.5
    for row in range(rows.start, rows.stop, 3):
        for column in range(columns.start, columns.stop, 3):
            inside = np.hypot(column + fine[None] - x, row + fine[:, None] - y) <= radius
            # the edge crosses some 200 of 10000 small pixels, half of each on average
            found = weights[row - rows.start, column - columns.start]
            assert found == pytest.approx(inside.mean(), abs=0.01)


def test_impossible_apertures() -> None:
    for radius in (0.0, -1.0, np.nan, np.inf, 1e6):
        with pytest.raises(QueryError, match="aperture"):
            aperture_weights(5.0, 5.0, radius, (10, 10))


def flat_image(cards: dict[str, float | str], value: float = 2.0) -> Image:
    shape = (60, 80)
    return Image(
        name="i", flux=np.full(shape, value, np.float32), unit="nanomaggy",
        error=np.full(shape, 0.5, np.float32), mask=np.zeros(shape, np.uint32), cards=cards,
    )  # fmt: skip


CARDS: dict[str, float | str] = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 40.0, "CRPIX2": 30.0, "CRVAL1": 0.0,
    "CRVAL2": 60.0, "CD1_1": -1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["TAN", "ARC"])
@pytest.mark.parametrize("exact", [False, True])
def test_apertures_on_a_flat_image(kind: str, exact: bool) -> None:
    """Across RA 0, with the projection of ours and with one of astropy's."""
    cards = {**CARDS, "CTYPE1": f"RA---{kind}", "CTYPE2": f"DEC--{kind}"}
    found = aperture_flux(flat_image(cards), 359.9999, 60.0002, 3.6, exact)
    assert found.radius == pytest.approx(10.0, rel=1e-6)
    assert found.x == pytest.approx(39.0 + 1e-4 * 0.5 / 1e-4, abs=1e-3)
    assert found.y == pytest.approx(31.0, abs=1e-3)
    assert found.pixels == pytest.approx(np.pi * 100, rel=1e-9 if exact else 0.03)
    assert found.flux == pytest.approx(2.0 * found.pixels) and found.coverage == 1.0
    if not exact:
        assert found.sigma == pytest.approx(0.5 * np.sqrt(found.pixels))
    with pytest.raises(QueryError, match="no WCS"):
        aperture_flux(Image(name="i", flux=np.ones((2, 2)), unit=""), 0.0, 0.0, 1.0)
    behind = aperture_flux(flat_image(CARDS), 180.0, -60.0, 3.6, exact)
    assert np.isnan(behind.flux) and behind.coverage == 0.0
