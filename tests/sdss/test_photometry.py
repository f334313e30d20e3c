"""Passbands, synthetic fluxes, rebinning and apertures on real files, a row for each value.

Golden values: computed in float64 from the files by the formulas of the SDSS pipelines' code
(filter_thru of idlspec2d), independently of the code here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from corecube.frames import Fibers, Frame, Image
from corecube.photometry import (
    aperture_flux,
    log_bins,
    masked_by,
    pixel_edges,
    rebin,
    synthetic_flux,
)
from corecube.photometry.rebinning import centred_edges, log_edges
from corecube_sdss import plugin
from corecube_sdss.settings import SdssConfig
from corecube_sdssfiles.curvefigures import curve_figures
from corecube_sdssfiles.passbands import jun2001

Spectra = Callable[[str], Mapping[str, Fibers]]

# band, points, first, last, peak, its place, pivot (all in Angstrom)
CURVES = [
    ("u", 47, 2980, 4130, 0.1085, 3655, 3556.51),
    ("g", 89, 3630, 5830, 0.3613, 5105, 4702.48),
    ("r", 75, 5380, 7230, 0.4915, 6480, 6175.57),
    ("i", 89, 6430, 8630, 0.4233, 7105, 7489.97),
    ("z", 141, 7730, 11230, 0.0787, 8655, 8946.70),
]

# file, flux in g, r, i (nanomaggies), coverage of u and z
SYNTHETIC = [
    ("spec-1325-52762-0133", 5.725712, 12.968396, 23.888066, 0.112, 0.734),
    ("spec-7338-57859-0739", 30.928823, 31.359802, 40.884692, 0.405, 0.99),
    ("blue_star", 13349.584, 14611.991, 13137.411, 0.099, 0.747),
    ("spec-0411-51817-0119", 12.944343, 20.969039, 27.199473, 0.099, 0.738),
    ("spec-0411-51873-0101", 13.359279, 21.340587, 27.661008, 0.1, 0.739),
    ("spec-0412-51871-0308", 141.82967, 247.94966, 330.97481, 0.076, 0.733),
    ("spec-0412-52258-0302", 135.34992, 238.88646, 319.77459, 0.076, 0.734),
    ("spec-3126-54804-0211", 42.798263, 60.409178, 68.339661, 0.101, 0.727),
    ("spec-3127-54835-0622", 43.647634, 69.890317, 79.472116, 0.082, 0.74),
    ("spec-4238-55455-0037", 0.42928816, 2.021687, 5.6274808, 0.485, 0.99),
    ("spec-4500-55543-0331", 5.2810058, 21.336051, 37.904665, 0.502, 0.989),
    ("spec-5290-55862-0984", 2.3678409, 3.1101328, 3.3551573, 0.445, 0.991),
    ("spec-7330-56684-0434", 46.127286, 64.599101, 73.044616, 0.49, 0.99),
]

# file, full, partial and empty bins, integral, (flux, sigma) of bins 1000 and 3000, median sigma
REBINNED = [
    ("spec-7330-56684-0434", 4617, 2, 1, 89673.3781, (22.077821, 0.66964765),
     (15.351455, 0.34243434), 0.53689718),
    ("spec-3126-54804-0211", 4620, 0, 0, 83598.0947, (20.79847, 0.61109095),
     (14.107078, 0.25231578), 0.46299686),
    ("spec-4238-55455-0037", 4604, 6, 10, 3378.41493, (0.21126356, 0.21435365),
     (0.93060891, 0.13729421), 0.21503503),
]  # fmt: skip

NOTEBOOK_GRID = (3600.0, 10400.0, 4620)
"""Centres of the grid to which HiSS-Cube's notebook resamples all spectra at ingest, Angstrom."""

# level, bins, first, median sigma, first coverage, (number, flux, sigma) of the middle one
LEVELS = [
    (0, 4628, 35520, 0.71720007, 1.000000, (37834, 18.635702, 0.67367532)),
    (1, 2314, 17760, 0.50802949, 0.499942, (18917, 19.077381, 0.47597216)),
    (2, 1157, 8880, 0.3604977, 0.750029, (9458, 18.725981, 0.34296703)),
    (3, 579, 4440, 0.25544864, 0.875072, (4729, 18.767276, 0.23961184)),
    (4, 290, 2220, 0.18270137, 0.937594, (2365, 19.286499, 0.16732248)),
]

STAR = (38.301799, -0.133922)
# frame, flux within 7.36 arcsec of the star (nanomaggies)
APERTURES = [
    ("u-002820-3-0122", 19.937),
    ("g-002820-3-0122", 48.990),
    ("r-002820-3-0122", 70.892),
    ("i-002820-3-0122", 83.230),
    ("z-002820-3-0122", 87.266),
]


# -- passbands -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("band", "points", "first", "last", "peak", "place", "pivot"), CURVES)
def test_curves(
    band: str, points: int, first: float, last: float, peak: float, place: float, pivot: float
) -> None:
    curve = jun2001()[band]
    assert (curve.wavelength.size, curve.wavelength[0], curve.wavelength[-1]) == (
        points, first, last,
    )  # fmt: skip
    assert (curve.response.max(), curve.wavelength[curve.response.argmax()]) == (peak, place)
    assert curve.pivot == pytest.approx(pivot, abs=0.01)


@pytest.mark.parametrize("band", "ugriz")
def test_curves_are_those_of_the_files(band: str, sdss_data: Path) -> None:
    table = np.loadtxt(sdss_data / f"filters/sdss_jun2001_{band}_atm.dat")
    curve = jun2001()[band]
    np.testing.assert_array_equal(curve.wavelength, table[:, 0])
    np.testing.assert_array_equal(curve.response, table[:, 1])


def test_merged_curve() -> None:
    curves = jun2001()
    merged = curves.merged()
    np.testing.assert_array_equal(merged.wavelength, 2980 + 25.0 * np.arange(331))
    for wavelength, response, band in zip(
        merged.wavelength.tolist(), merged.response.tolist(), merged.band, strict=True
    ):
        every = {curve.name: float(curve.at(wavelength)) for curve in curves.curves}
        assert response == max(every.values())
        assert every[band] == response if band else response == 0.0
    labels = [band for band in merged.band if band]
    changes = [labels[0], *(b for a, b in pairwise(labels) if a != b)]
    assert changes == list("ugriz")


# -- synthetic fluxes ------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "g", "r", "i", "u_coverage", "z_coverage"), SYNTHETIC)
def test_synthetic_fluxes(
    name: str, g: float, r: float, i: float, u_coverage: float, z_coverage: float, spectra: Spectra
) -> None:
    fibers = spectra(name)["coadd"]
    assert fibers.error is not None
    curves = jun2001()
    bridge = masked_by(fibers, 0, curves)
    found = {
        band: synthetic_flux(fibers.wave, fibers.flux[0], fibers.error[0], curves[band],
                             bridge=bridge)
        for band in "ugriz"
    }  # fmt: skip
    for band, value, tolerance in (("g", g, 4e-4), ("r", r, 1e-5), ("i", i, 1e-5)):
        assert found[band].flux == pytest.approx(value, rel=3e-7)
        (column,) = (c for c in fibers.columns if c.name == f"spectroflux_{band}")
        assert found[band].flux == pytest.approx(float(fibers.columns[column][0]), rel=tolerance)
        assert 0 < found[band].sigma < 0.2 * found[band].flux
    assert found["u"].coverage == pytest.approx(u_coverage, abs=6e-4)
    assert found["z"].coverage == pytest.approx(z_coverage, abs=6e-4)
    assert np.isnan(found["u"].flux) and np.isnan(found["u"].sigma)
    assert np.isnan(found["z"].flux) == (z_coverage < 0.95)


def test_synthetic_flux_with_its_error(spectra: Spectra) -> None:
    """All bands of 7330 with nothing but ivar = 0 bridged, whatever the coverage."""
    fibers = spectra("spec-7330-56684-0434")["coadd"]
    assert fibers.error is not None
    golden = [
        ("u", 25.779499, 0.161649), ("g", 46.127307, 0.047691), ("r", 64.610757, 0.078886),
        ("i", 73.045234, 0.094562), ("z", 72.796681, 0.198890),
    ]  # fmt: skip
    for band, flux, sigma in golden:
        found = synthetic_flux(
            fibers.wave, fibers.flux[0], fibers.error[0], jun2001()[band], least=0.0
        )
        assert found.flux == pytest.approx(flux, rel=3e-7)
        assert found.sigma == pytest.approx(sigma, abs=6e-7)


def test_weighted_spectrum_and_its_levels(spectra: Spectra) -> None:
    fibers = spectra("spec-7330-56684-0434")["coadd"]
    assert fibers.error is not None
    wave = fibers.wave.wavelength()
    merged = jun2001().merged()
    flux, error = merged.weighted(wave, fibers.flux[0], fibers.error[0])
    # between the two points where two curves cross, the merged curve is linear too
    weight = np.interp(wave, merged.wavelength, merged.response)
    inside = np.isfinite(error)
    np.testing.assert_allclose(flux, fibers.flux[0] * weight, rtol=1e-12)
    np.testing.assert_allclose(error[inside] * fibers.flux[0][inside],
                               flux[inside] * fibers.error[0][inside], rtol=1e-12)  # fmt: skip
    level = log_bins(fibers.wave.first, flux, error, 2)
    number = np.arange(fibers.wave.first, fibers.wave.first + fibers.wave.count) >> 2
    width = np.diff(log_edges(fibers.wave.first, fibers.wave.count))
    good = np.isfinite(error) & (error > 0)
    for place in (0, 500, 1156):
        mine = (number == level.first + place) & good
        expected = np.sum(width[mine] * flux[mine]) / np.sum(width[mine])
        assert level.flux[place] == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(("level", "bins", "first", "sigma", "coverage", "middle"), LEVELS)
def test_levels_of_a_spectrum(
    level: int, bins: int, first: int, sigma: float, coverage: float,
    middle: tuple[int, float, float], spectra: Spectra,
) -> None:  # fmt: skip
    fibers = spectra("spec-7330-56684-0434")["coadd"]
    assert fibers.error is not None
    found = log_bins(fibers.wave.first, fibers.flux[0], fibers.error[0], level)
    assert (found.flux.size, found.first) == (bins, first)
    number, flux, error = middle
    assert found.flux[number - first] == pytest.approx(flux, rel=1e-7)
    assert found.error[number - first] == pytest.approx(error, rel=1e-7)
    seen = np.isfinite(found.error)
    assert np.median(found.error[seen]) == pytest.approx(sigma, rel=1e-7)
    assert found.coverage[0] == pytest.approx(coverage, abs=1e-6)


# -- rebinning -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "full", "part", "empty", "integral", "bin_1000", "bin_3000", "sigma"), REBINNED
)
def test_rebinning(
    name: str, full: int, part: int, empty: int, integral: float, bin_1000: tuple[float, float],
    bin_3000: tuple[float, float], sigma: float, spectra: Spectra,
) -> None:  # fmt: skip
    fibers = spectra(name)["coadd"]
    assert fibers.error is not None
    found = rebin(
        pixel_edges(fibers.wave), fibers.flux[0], fibers.error[0],
        centred_edges(3839.7244, 8914.597, 4620),
    )  # fmt: skip
    whole = found.coverage > 1 - 1e-9
    nothing = found.coverage == 0
    assert (whole.sum(), (~whole & ~nothing).sum(), nothing.sum()) == (full, part, empty)
    assert np.isnan(found.flux[nothing]).all() and np.isinf(found.error[nothing]).all()
    some = ~nothing
    assert np.sum(found.flux[some] * found.covered[some]) == pytest.approx(integral, rel=1e-8)
    for place, (flux, error) in ((1000, bin_1000), (3000, bin_3000)):
        assert found.flux[place] == pytest.approx(flux, rel=2e-7)
        assert found.error[place] == pytest.approx(error, rel=2e-7)
    assert np.median(found.error[some]) == pytest.approx(sigma, rel=2e-7)
    assert 3000 < found.n_eff < 4620


@pytest.mark.parametrize("name", [row[0] for row in SYNTHETIC])
def test_rebinning_keeps_the_flux(name: str, spectra: Spectra) -> None:
    fibers = spectra(name)["coadd"]
    assert fibers.error is not None
    old, new = pixel_edges(fibers.wave), centred_edges(*NOTEBOOK_GRID)
    found = rebin(old, fibers.flux[0], fibers.error[0], new)
    assert (found.flux.size, found.centres[0], found.centres[-1]) == (
        4620, pytest.approx(3600.0), pytest.approx(10400.0),
    )  # fmt: skip
    good = np.isfinite(fibers.error[0])
    inside = np.maximum(np.minimum(old[1:], new[-1]) - np.maximum(old[:-1], new[0]), 0.0)
    expected = np.sum((fibers.flux[0].astype(np.float64) * inside)[good])
    some = found.covered > 0
    kept = np.sum(found.flux[some] * found.covered[some])
    assert kept == pytest.approx(expected, rel=1e-12)


# -- apertures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("label", "flux"), APERTURES)
def test_apertures(label: str, flux: float, image: Callable[[str], Image]) -> None:
    found = aperture_flux(image(label), *STAR, 7.36)
    assert found.flux == pytest.approx(flux, rel=1e-3)
    assert found.coverage == 1.0 and found.pixels == pytest.approx(np.pi * 18.58**2, rel=0.01)
    frame = image(label)
    assert frame.error is not None
    assert frame.wcs is not None and frame.error is not None
    x0, y0 = int(found.x) - 25, int(found.y) - 25
    y, x = np.mgrid[y0 : y0 + 51, x0 : x0 + 51]
    ra, dec = frame.wcs.all_pix2world(x, y, 0)
    inside = SkyCoord(ra, dec, unit="deg").separation(SkyCoord(*STAR, unit="deg")).arcsec <= 7.36
    assert found.pixels == inside.sum()
    assert found.sigma == pytest.approx(
        float(np.sqrt(np.sum(frame.error[y, x][inside].astype(np.float64) ** 2))), rel=1e-12
    )
    exact = aperture_flux(frame, *STAR, 7.36, exact=True)
    assert exact.pixels == pytest.approx(np.pi * exact.radius**2, rel=1e-12)
    assert exact.flux == pytest.approx(flux, rel=0.02)


def test_two_runs_agree_in_u(image: Callable[[str], Image]) -> None:
    first, second = (
        aperture_flux(image(label), *STAR, 7.36) for label in ("u-002820-3-0122", "u-004948-3-0199")
    )
    assert abs(first.flux - second.flux) < 3 * np.hypot(first.sigma, second.sigma)


def test_masked_pixels_are_left_out_and_said(image: Callable[[str], Image]) -> None:
    frame = image("r-002820-3-0122")
    assert frame.mask is not None
    whole = aperture_flux(frame, *STAR, 7.36)
    mask = frame.mask.copy()
    mask[round(whole.y) + 12, round(whole.x)] |= np.uint32(1 << 3)  # a cosmic ray
    found = aperture_flux(replace(frame, mask=mask), *STAR, 7.36)
    assert found.pixels == whole.pixels - 1
    assert found.coverage == pytest.approx(1 - 1 / whole.pixels)
    galaxy = aperture_flux(frame, 38.265354, -0.218451, 7.36)
    assert 0.7 < galaxy.coverage < 1.0  # across the left edge
    assert aperture_flux(frame, 38.0, -0.2, 7.36).pixels == 0


def test_pulls_of_simulated_stars(tmp_path: Path, read_frames: Callable[..., list[Frame]]) -> None:
    """Fluxes of 200 stars that lie apart, against the truth: 0 +- 1."""
    truth = plugin.corecube_simulate(tmp_path, {"stars": 420, "bands": "r", "spectra": 0}, 5)
    (frame,) = read_frames(*sorted(tmp_path.glob("frame-*")), config=SdssConfig(gain="table"))
    companion = sorted(tmp_path.glob("psField*"))
    if companion:
        (frame,) = read_frames(*sorted(tmp_path.glob("frame-*")), *companion)
    assert isinstance(frame, Image)
    sources = truth["sources"]
    ra, dec = (np.array([star[name] for star in sources]) for name in ("ra", "dec"))
    places = SkyCoord(ra, dec, unit="deg")
    _, nearest, _ = places.match_to_catalog_sky(places, nthneighbor=2)
    pulls = []
    for star, apart in zip(sources, nearest.arcsec.tolist(), strict=True):
        found = aperture_flux(frame, star["ra"], star["dec"], 3.0)  # 5.4 sigma of the seeing
        if apart > 7.0 and found.coverage == 1.0:
            pulls.append((found.flux - star["flux"]["r"]) / found.sigma)
    pulls = pulls[:200]
    assert len(pulls) == 200
    # of 200 the mean is known to 0.07 and the width to 0.05
    assert abs(np.mean(pulls)) < 0.2 and 0.88 < np.std(pulls) < 1.12


def test_figures_of_passbands(spectra: Spectra) -> None:
    fibers = spectra("spec-7330-56684-0434")["coadd"]
    figures = curve_figures(fibers)
    names = [panel.name for panel in figures.panels]
    levels = [f"-level-{level}" for level in (1, 2, 3, 4)]
    assert names == [
        "curves", "merged-curve", "weighted", *(f"weighted{level}" for level in levels),
        "rebinned", *(f"rebinned{level}" for level in levels),
    ]  # fmt: skip
    by_name = dict(zip(names, figures.panels, strict=True))
    assert [series.label for series in by_name["curves"].series] == list("ugriz")
    assert sum(series.y.size for series in by_name["merged-curve"].series) == sum(
        band != "" for band in jun2001().merged().band
    )
    numbers = figures.numbers
    assert numbers["rebinned"]["shape"] == [4620] and numbers["rebinned"]["n_eff"] > 3000
    assert numbers["weighted, level 1"]["shape"] == [2314]
    bands = numbers["passbands"]["bands"]
    assert bands["r"]["flux"] == pytest.approx(64.599101, rel=3e-7) and bands["u"]["flux"] is None
    json.dumps(dict(numbers), allow_nan=False)
    exposures = spectra("spec-7338-57859-0739")
    assert all(not curve_figures(exposures[name]).panels for name in exposures if name != "coadd")
