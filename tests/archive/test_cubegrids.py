"""Cubes on common grids: areas, means and errors against slow implementations of the formulas."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from corecube import tan
from corecube.archive.cubeareas import cell_areas, shared_areas
from corecube.archive.cubebins import stack_spectra
from corecube.archive.cubegrid import stack_images
from corecube.archive.cubeparts import CubePart
from corecube.errors import QueryError

Corner = tuple[float, float]
FloatArray = npt.NDArray[np.float64]


# -- areas -----------------------------------------------------------------------------------------


def clipped(corners: list[Corner], left: float, low: float) -> float:
    """The area of a convex polygon in a unit square: Sutherland and Hodgman 1974, CACM 17, 32."""
    for axis, limit, sign in ((0, left, 1), (0, left + 1, -1), (1, low, 1), (1, low + 1, -1)):
        kept: list[Corner] = []
        for place, here in enumerate(corners):
            before = corners[place - 1]
            inside, was = (sign * (point[axis] - limit) >= 0 for point in (here, before))
            if inside != was:
                along = (limit - before[axis]) / (here[axis] - before[axis])
                other = before[1 - axis] + along * (here[1 - axis] - before[1 - axis])
                kept.append((limit, other) if axis == 0 else (other, limit))
            if inside:
                kept.append(here)
        corners = kept
    pairs = zip(corners, corners[1:] + corners[:1], strict=True)
    return abs(sum(a[0] * b[1] - a[1] * b[0] for a, b in pairs)) / 2


def slow_areas(x: FloatArray, y: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Return the areas of all cells in all pixels, (n, m, ny, nx)."""
    n, m = x.shape[0] - 1, x.shape[1] - 1
    found = np.zeros((n, m, *shape))
    for row, column in np.ndindex(n, m):
        around = [(row, column), (row, column + 1), (row + 1, column + 1), (row + 1, column)]
        corners = [(float(x[place]), float(y[place])) for place in around]
        for j, i in np.ndindex(*shape):
            found[row, column, j, i] = clipped(corners, i - 0.5, j - 0.5)
    return found


def dense(x: FloatArray, y: FloatArray, shape: tuple[int, int]) -> FloatArray:
    found = np.zeros((x.shape[0] - 1) * (x.shape[1] - 1) * shape[0] * shape[1])
    for cell, pixel, area in shared_areas(x, y, shape):
        found[cell * shape[0] * shape[1] + pixel] += area
    return found.reshape(x.shape[0] - 1, x.shape[1] - 1, *shape)


def corners_of(
    cells: int, angle: float, scale: float, shift: Corner, bend: float, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Return corners of a turned grid, each moved by up to `bend` of a cell."""
    places = (np.arange(cells + 1) - cells / 2) * scale
    u, v = np.meshgrid(places, places)
    x = u * np.cos(angle) - v * np.sin(angle) + shift[0]
    y = u * np.sin(angle) + v * np.cos(angle) + shift[1]
    rng = np.random.default_rng(seed)
    moved = (axis + rng.uniform(-bend, bend, axis.shape) * scale for axis in (x, y))
    first, second = moved
    return first, second


angles = st.one_of(
    st.floats(0, 6.3), st.sampled_from([0.0, np.pi / 2, np.pi, 1e-13, 1e-9, np.pi / 4])
)
shifts = st.one_of(st.floats(-2, 6), st.sampled_from([0.0, 0.5, 1.5, 2.0, 2.5 + 1e-12]))


@settings(max_examples=120, deadline=None)
@given(
    st.integers(1, 3), angles, st.floats(0.2, 3), shifts, shifts, st.sampled_from([0.0, 0.02, 0.1]),
    st.integers(0, 99),
)  # fmt: skip
def test_areas_are_those_of_clipped_polygons(
    cells: int, angle: float, scale: float, x0: float, y0: float, bend: float, seed: int
) -> None:
    x, y = corners_of(cells, angle, scale, (x0, y0), bend, seed)
    found, expected = dense(x, y, (4, 5)), slow_areas(x, y, (4, 5))
    # slivers below 1e-8 of a cell are left out
    assert_allclose(found, expected, rtol=1e-9, atol=1.1e-8 * scale**2)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), angles, st.floats(0.3, 4), st.floats(35, 36), st.floats(35, 36),
       st.integers(0, 99))  # fmt: skip
def test_areas_add_up_on_both_sides(
    cells: int, angle: float, scale: float, x0: float, y0: float, seed: int
) -> None:
    x, y = corners_of(cells, angle, scale, (x0, y0), 0.05, seed)
    found = dense(x, y, (70, 70))
    sums = found.sum(axis=(2, 3))
    assert_allclose(sums, cell_areas(x, y), rtol=1e-6)  # all cells lie within 70 x 70
    per_pixel = found.sum(axis=(0, 1))
    assert per_pixel.max() < 1 + 1e-9
    # pixels whose four corners are inside the grid, and more than one pixel from its edge
    reach = cells * scale / 2 * 0.85 - 2
    j, i = np.mgrid[:70, :70]
    u = (i - x0) * np.cos(angle) + (j - y0) * np.sin(angle)
    v = -(i - x0) * np.sin(angle) + (j - y0) * np.cos(angle)
    inner = (np.abs(u) < reach) & (np.abs(v) < reach)
    assert_allclose(per_pixel[inner], 1.0, atol=1e-6)


def test_many_cells_and_large_cells_in_parts() -> None:
    """More pairs than are looked at in one go, and one cell that has more than that alone."""
    x, y = corners_of(300, 0.4, 1.3, (300.0, 310.0), 0.0)
    total = sum(float(part.area.sum()) for part in shared_areas(x, y, (600, 600)))
    assert total == pytest.approx(float(cell_areas(x, y).sum()), rel=1e-9)
    x, y = corners_of(1, 0.3, 600.0, (500.0, 500.0), 0.0)
    (only,) = shared_areas(x, y, (1000, 1000))
    assert only.area.sum() == pytest.approx(600.0**2, rel=1e-9) and only.area.max() <= 1 + 1e-12


def test_cells_without_a_place_share_nothing() -> None:
    x, y = corners_of(3, 0.3, 1.0, (5.0, 5.0), 0.0)
    x[0, 0] = np.nan
    y[3, 3] = np.inf
    found = dense(x, y, (12, 12)).sum(axis=(2, 3))
    assert found[0, 0] == 0 and found[2, 2] == 0
    assert_allclose(found[1], 1.0)
    assert not dense(*corners_of(2, 0.0, 1.0, (40.0, 5.0), 0.0), (12, 12)).any()


# -- images ----------------------------------------------------------------------------------------


def image_part(
    angle: float, pixel: float, shape: tuple[int, int], level: int = 0, seed: int = 0
) -> CubePart:
    """Return an image around RA 150, Dec 20 with pixels of `pixel` arcsec, some of them bad."""
    rng = np.random.default_rng(seed)
    ny, nx = shape
    side = pixel / 3600.0
    cards: dict[str, float | int | str] = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg",
        "CRPIX1": nx / 2 + 0.3, "CRPIX2": ny / 2, "CRVAL1": 150.0, "CRVAL2": 20.0,
        "CD1_1": -side * np.cos(angle), "CD1_2": side * np.sin(angle),
        "CD2_1": side * np.sin(angle), "CD2_2": side * np.cos(angle),
    }  # fmt: skip
    flux = rng.normal(3, 1, shape)
    error = rng.uniform(0.5, 1.5, shape)
    coverage = np.where(rng.random(shape) < 0.2, rng.random(shape), 1.0)
    bad = rng.random(shape) < 0.1
    flux[bad], error[bad], coverage[bad] = np.nan, np.nan, 0.0
    mask = np.where(bad, 1, 0).astype("u4") | (rng.random(shape) < 0.1).astype("u4") * 256
    time = np.array(55000.0)
    return CubePart(
        "image", f"lab/night/{seed}", "r", "", level, "nanomaggy", flux, error, mask.astype("u4"),
        coverage.astype("f4"), time, time, (0, 0), cards=cards,
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    st.floats(0, 6.3), st.floats(0.2, 1.5), st.floats(0.2, 3.0), st.integers(0, 3),
    st.integers(0, 99),
)  # fmt: skip
def test_the_sum_over_the_pixels_is_kept(
    angle: float, pixel: float, scale: float, level: int, seed: int
) -> None:
    shape = (17, 23)
    part = image_part(angle, pixel, shape, level, seed)
    size = int(np.ceil(1.1 * np.hypot(*shape) * pixel / scale)) + 2
    assume(size <= 300)
    stack = stack_images([part], 150.0, 20.0, size, scale)
    total = np.nansum(part.flux * part.coverage) * 4**level
    found = np.nansum(stack.flux[0] * stack.coverage[0]) * stack.about["area"][part.name]
    assert found == pytest.approx(total, rel=1e-6)
    assert stack.about["area"][part.name] == pytest.approx(
        4**level * (scale / pixel) ** 2, rel=1e-6
    )


@pytest.mark.parametrize("scale", [0.3, 0.8, 2.5])
def test_means_errors_and_masks_of_common_pixels(scale: float) -> None:
    part, size = image_part(0.7, 0.5, (9, 8), seed=4), 5
    stack = stack_images([part], 150.0, 20.0, size, scale)
    assert stack.cards is not None and part.cards is not None
    corners = np.meshgrid(np.arange(size + 1) - 0.5, np.arange(size + 1) - 0.5)
    x, y = tan.to_pixel(part.cards, *tan.to_sky(stack.cards, *corners))
    ny, nx = part.flux.shape
    share = slow_areas(x, y, (ny, nx)) / cell_areas(x, y)[:, :, None, None]
    for row, column in np.ndindex(size, size):
        a = share[row, column]
        weight = np.where(np.isfinite(part.flux), a * part.coverage, 0.0)
        values, sigma = np.nan_to_num(part.flux), np.nan_to_num(part.error)
        here = (0, row, column)
        if weight.sum() > 1e-6:
            mean = (weight * values).sum() / weight.sum()
            assert stack.flux[here] == pytest.approx(mean, rel=1e-6)
            spread = np.sqrt(((weight * sigma) ** 2).sum()) / weight.sum()
            assert stack.error[here] == pytest.approx(spread, rel=1e-6)
        assert stack.mask[here] == np.bitwise_or.reduce(part.mask[a > 1e-7], initial=0)
        assert stack.coverage[here] == pytest.approx(weight.sum(), abs=2e-6)


def test_the_square_that_a_grid_needs() -> None:
    """In pixels of the image, also where the part is a level; and wherever its middle falls."""
    part = image_part(np.pi / 4, 0.5, (200, 200))
    stack = stack_images([part], 150.0, 20.0, 40, 0.5)
    diagonal = 40 * np.sqrt(2)
    assert diagonal <= stack.about["square"] <= diagonal + 3
    coarse = stack_images([image_part(np.pi / 4, 2.0, (50, 50), 2)], 150.0, 20.0, 40, 0.5)
    assert diagonal <= coarse.about["square"] <= diagonal + 12


def test_a_wcs_with_distortion_goes_through_astropy() -> None:
    part = image_part(0.2, 0.5, (30, 30))
    assert part.cards is not None
    sip: dict[str, float | int | str] = {
        "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2,
        "A_2_0": 0.0, "B_0_2": 0.0,
    }  # fmt: skip
    bent = replace(part, cards=part.cards | sip)
    plain, other = (stack_images([one], 150.0, 20.0, 9, 0.7) for one in (part, bent))
    assert_allclose(other.flux, plain.flux, rtol=1e-6)
    assert_allclose(other.coverage, plain.coverage, rtol=1e-6)


def test_a_grid_wider_than_a_distorted_image() -> None:
    """Where the distortion has no inverse there is nothing, and the image is there once."""
    part = image_part(0.2, 0.5, (40, 40))
    assert part.cards is not None
    sip: dict[str, float | int | str] = {
        "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2,
        "A_2_0": 2e-3, "A_0_2": 1e-3, "B_0_2": 3e-3,
    }  # fmt: skip
    flat = replace(
        part, cards=part.cards | sip, flux=np.full((40, 40), 3.0), mask=np.zeros((40, 40), "u4"),
        coverage=np.ones((40, 40), "f4"),
    )  # fmt: skip
    for ra in (150.0, 359.9999):  # the image may lie across RA 0
        moved = replace(flat, cards={**(flat.cards or {}), "CRVAL1": ra})
        stack = stack_images([moved], ra, 20.0, 300, 0.5)
        (flux,), (coverage,) = stack.flux, stack.coverage
        assert_allclose(flux[coverage > 0], 3.0)
        assert np.isnan(flux[coverage == 0]).all()
        # 40 x 40 pixels; the distortion makes those at the edge larger or smaller by 12 %
        assert coverage.sum() == pytest.approx(1600, rel=0.05)


# -- spectra ---------------------------------------------------------------------------------------


def spectrum_part(
    count: int, level: int = 0, seed: int = 0, unit: str = "1e-17 erg / (Angstrom s cm2)",
    medium: str = "vacuum", wave: str = "Angstrom",
) -> CubePart:  # fmt: skip
    rng = np.random.default_rng(seed)
    edges = np.cumsum(rng.uniform(0.5, 2.0, count + 1)) + 4000.0
    flux, error = rng.normal(5, 1, count), rng.uniform(0.2, 1, count)
    coverage = np.where(rng.random(count) < 0.3, rng.random(count), 1.0).astype("f4")
    bad = rng.random(count) < 0.1
    flux[bad], error[bad], coverage[bad] = np.nan, np.nan, 0.0
    mask = bad.astype("u4") | ((rng.random(count) < 0.1).astype("u4") << 9)
    time = np.array(55000.0)
    return CubePart(
        "spectrum", f"lab/night/stars/{seed}", "", "", level, unit, flux, error,
        mask.astype("u4"), coverage, time, time, (0,), edges=edges,
        about={"wavelengths": {"unit": wave, "medium": medium, "specsys": "", "step": None}},
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 40), st.integers(1, 30), st.floats(0.3, 20), st.floats(3990, 4030),
       st.integers(0, 99))  # fmt: skip
def test_given_bins_keep_the_flux(
    count: int, bins: int, width: float, start: float, seed: int
) -> None:
    part = spectrum_part(count, seed=seed)
    assert part.edges is not None
    edges = start + width * np.arange(bins + 1)
    stack = stack_spectra([part], edges)
    overlap = np.minimum.outer(edges[1:], part.edges[1:])
    overlap = np.clip(overlap - np.maximum.outer(edges[:-1], part.edges[:-1]), 0, None)
    good = np.isfinite(part.flux)
    share = np.where(good, overlap * part.coverage, 0.0)
    covered = share.sum(axis=1)
    there = covered > 1e-9
    values, sigma = np.nan_to_num(part.flux), np.nan_to_num(part.error)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, spread = share @ values / covered, np.sqrt(share**2 @ sigma**2) / covered
    assert_allclose(stack.flux[0][there], mean[there], rtol=1e-9)
    assert_allclose(stack.error[0][there], spread[there], rtol=1e-9)
    assert_allclose(stack.coverage[0], covered / width, atol=1e-9)
    empty = covered == 0
    assert np.isnan(stack.flux[0][empty]).all() and np.isnan(stack.error[0][empty]).all()
    expected = [np.bitwise_or.reduce(part.mask[row > 1e-9], initial=0) for row in overlap]
    sure = ~((overlap > 0) & (overlap < 1e-9)).any(axis=1)
    assert np.array_equal(stack.mask[0][sure], np.array(expected, "u4")[sure])
    # of a bin and the next: the pixels that both have
    assert stack.covariance is not None
    both = there[1:] & there[:-1]
    shared = (share[1:] * share[:-1]) @ sigma**2
    with np.errstate(invalid="ignore", divide="ignore"):
        shared = shared / (covered[1:] * covered[:-1])
    assert_allclose(stack.covariance[0][both], shared[both], rtol=1e-8, atol=1e-12)
    total = np.nansum(stack.flux[0] * stack.coverage[0] * width)
    assert total == pytest.approx((share @ values).sum(), rel=1e-9, abs=1e-9)


def test_nanomaggies_on_given_bins_hold_the_same_energy() -> None:
    """A density per frequency at the middle of a bin is that of the mean density per wavelength."""
    from corecube.archive.cubeunits import to_nanomaggies

    stored = spectrum_part(80, seed=3)
    assert stored.wavelength is not None
    unit = stored.unit
    factor = to_nanomaggies(unit, stored.wavelength, "x")
    common = replace(stored, unit="nanomaggy", flux=stored.flux * factor,
                     error=stored.error * factor)  # fmt: skip
    edges = np.linspace(4010.0, 4080.0, 12)
    mine, theirs = stack_spectra([common], edges), stack_spectra([stored], edges)
    middle = mine.wavelength
    assert middle is not None
    assert_allclose(middle, (edges[1:] + edges[:-1]) / 2)
    back = to_nanomaggies(unit, middle, "x")
    for name in ("flux", "error"):
        assert_allclose(getattr(mine, name), getattr(theirs, name) * back, rtol=1e-12)
    assert mine.covariance is not None and theirs.covariance is not None
    assert isinstance(back, np.ndarray)
    assert_allclose(mine.covariance, theirs.covariance * back[1:] * back[:-1], rtol=1e-12)
    assert np.array_equal(mine.coverage, theirs.coverage)


def test_air_pixels_and_other_spectra_are_left_out_of_common_bins() -> None:
    parts = [
        spectrum_part(30, seed=1), spectrum_part(30, seed=2),
        spectrum_part(30, seed=3, medium="air"), spectrum_part(30, seed=4, wave="pix"),
        image_part(0, 1, (3, 3)),
        replace(spectrum_part(30, seed=5), kind="weighted"),
    ]  # fmt: skip
    stack = stack_spectra(parts, np.array([4000.0, 4010.0, 4020.0]))
    assert [name[-1] for name in stack.names] == ["1", "2"]
    assert [name[-1] for name in stack.left_out] == ["3", "4"]
    assert stack.about["medium"] == "vacuum" and set(stack.about["n_eff"]) == set(stack.names)
    own = stack_spectra(parts)  # none lies on a logarithmic grid
    assert own.names == () and len(own.left_out) == 4 and own.flux.shape == (0, 0)
    weighted = stack_spectra(parts, np.array([4000.0, 4010.0]), "weighted")
    assert [name[-1] for name in weighted.names] == ["5"]


@pytest.mark.parametrize(
    "edges", [[4000.0], [4000.0, 3000.0], [[1.0, 2.0]], [0.0, 1.0], [4000.0, np.nan], []]
)
def test_edges_that_cannot_be(edges: Any) -> None:
    with pytest.raises(QueryError, match="2 edges or more"):
        stack_spectra([spectrum_part(9)], edges)


def test_units_do_not_mix() -> None:
    with pytest.raises(QueryError, match="do not go into one array"):
        stack_spectra([spectrum_part(9), spectrum_part(9, unit="Jy")], [4000.0, 4001.0])


def test_stacks_differ_in_any_value(tmp_path: Path) -> None:
    stack = stack_spectra([spectrum_part(9)], [4000.0, 4005.0, 4010.0])
    assert stack.equals(replace(stack, flux=stack.flux.copy()))
    changed = stack.coverage.copy()
    changed[0, 0] += 1e-12
    assert not stack.equals(replace(stack, coverage=changed))
    assert not stack.equals(replace(stack, covariance=None))
    assert not stack.equals(replace(stack, names=("x",)))
