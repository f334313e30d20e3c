"""Cubes of archives made frame by frame: levels, units, regions, files that read back equal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from corecube.archive import open_archive
from corecube.archive.cubebins import stack_spectra
from corecube.archive.cubefiles import read_cube, write_cube
from corecube.archive.cubegrid import stack_images
from corecube.archive.cubeparts import CubePart
from corecube.archive.cubes import level_cards
from corecube.archive.cubeunits import to_nanomaggies
from corecube.archive.polygon import Polygon
from corecube.archive.regions import Box, Cone
from corecube.archive.spectrallevels import (
    correlations,
    spectrum_level,
    variance_factor,
)
from corecube.errors import ArchiveDamaged, QueryError
from corecube.frames import Array, Fibers, Image
from corecube.masks import EXCLUDING, MaskSpan
from corecube.photometry.rebinning import pixel_edges
from corecube.spectral import Spectral
from corecube.tan import outline, to_sky
from corecube.times import Times

CARDS: dict[str, float | int | str] = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg",
    "CRPIX1": 20.5, "CRPIX2": 30.0, "CRVAL1": 150.0, "CRVAL2": 20.0,
    "CD1_1": 1.0e-5, "CD1_2": 1.1e-4, "CD2_1": 1.1e-4, "CD2_2": -1.0e-5,
}  # fmt: skip


# -- spectra ---------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    st.integers(1, 90), st.integers(35500, 35600), st.integers(0, 7), st.integers(0, 99),
    st.sampled_from(["grid", "values"]), st.floats(0, 1),
)  # fmt: skip
def test_levels_of_spectra_are_weighted_means(
    width: int, first: int, level: int, seed: int, how: str, lost: float
) -> None:
    rng = np.random.default_rng(seed)
    flux, error = rng.normal(3, 1, width), rng.uniform(0.1, 1, width)
    mask = np.where(rng.random(width) < lost, 1 << int(rng.integers(0, 14)), 0).astype("u4")
    error[rng.random(width) < 0.1] = np.nan
    flux[rng.random(width) < 0.05] = np.inf
    grid = Spectral.log_grid(first, width)
    wave = grid if how == "grid" else Spectral(np.cumsum(rng.uniform(1, 2, width)))
    found = spectrum_level(flux, error, mask, wave, level, first=5)
    single = wave.wavelength()[0] + np.array([-0.5, 0.5])  # one pixel alone is taken as 1 wide
    edges = pixel_edges(wave) if how == "grid" or width > 1 else single
    start = first if how == "grid" else 5
    bins = sorted({(start + k) >> level for k in range(width)})
    assert found.first == bins[0] and len(found.flux) == len(bins)
    for place, number in enumerate(bins):
        members = [k for k in range(width) if (start + k) >> level == number]
        good = [
            k for k in members
            if not mask[k] & EXCLUDING and np.isfinite(flux[k]) and np.isfinite(error[k])
        ]  # fmt: skip
        w = np.array([edges[k + 1] - edges[k] for k in good])
        low, high = edges[members[0]], edges[members[-1] + 1]
        if how == "grid":
            low = 10 ** ((number * 2**level - 0.5) / 1e4)
            high = 10 ** (((number + 1) * 2**level - 0.5) / 1e4)
        assert_allclose(found.edges[place : place + 2], (low, high), rtol=1e-12)
        assert_allclose(found.coverage[place], w.sum() / (high - low), rtol=1e-6, atol=1e-7)
        assert found.mask[place] == np.bitwise_or.reduce(mask[members])
        if good:
            assert_allclose(found.flux[place], (w * flux[good]).sum() / w.sum(), rtol=1e-12)
            sigma = np.sqrt(((w * error[good]) ** 2).sum()) / w.sum()
            assert_allclose(found.error[place], sigma, rtol=1e-12)
        else:
            assert np.isnan(found.flux[place]) and np.isnan(found.error[place])


def test_correlated_neighbours_are_measured_and_not_applied() -> None:
    rng = np.random.default_rng(3)
    white = rng.normal(0, 1, 200_001)
    pulls = (white[1:] + 0.25 * white[:-1]) / np.sqrt(1 + 0.25**2)
    ones, zeros = np.ones(pulls.size), np.zeros(pulls.size, "u4")
    lags = correlations(pulls + 7, ones, zeros, 7 * ones)
    assert lags is not None
    # a moving average of two: 0.25 / (1 + 0.25**2), then nothing; 5 sigma of 200,000 pairs
    assert_allclose(lags, (0.25 / 1.0625, 0.0), atol=0.012)
    bins = pulls[: pulls.size // 4 * 4].reshape(-1, 4).mean(axis=1)
    assert_allclose(bins.var() * 4, variance_factor(lags, 4), rtol=0.03)
    assert variance_factor((0.22, -0.10), 2) == pytest.approx(1.22)
    assert variance_factor((0.22, -0.10), 1) == 1.0
    assert correlations(pulls[:150], ones[:150], zeros[:150], ones[:150]) is None


# -- units -----------------------------------------------------------------------------------------


def test_nanomaggies_of_densities() -> None:
    from astropy import units

    unit = "1e-17 erg / (Angstrom s cm2)"
    wave = np.array([3600.0, 6165.0, 10300.0])
    theirs = units.Unit(unit).to(units.Jy, np.ones(3), units.spectral_density(wave * units.AA))
    assert_allclose(to_nanomaggies(unit, wave, "x"), theirs / 10**-5.44, rtol=1e-12)
    assert to_nanomaggies("nanomaggy", None, "x") == 1.0
    assert to_nanomaggies("mJy", None, "x") == pytest.approx(1e-3 / 10**-5.44)
    for wrong, where in (("adu", wave), (unit, None), ("electron", None)):
        with pytest.raises(QueryError, match=r"lab/x is in .*as stored"):
            to_nanomaggies(wrong, where, "lab/x")


# -- cubes -----------------------------------------------------------------------------------------


@pytest.fixture
def night(place: Path, store: Any, image: Any, fibers: Any) -> Path:
    """An image of 53 x 41 pixels with a time per row, and three spectra in its middle."""
    row = np.arange(53.0)
    picture: Image = image(
        "r", (53, 41), unit="nanomaggy", cards=CARDS, band="r", footprint=outline(CARDS, (53, 41)),
        times=Times(55000.25 + row * 3e-7, 55000.26 + row * 3e-7),
    )  # fmt: skip
    spectra: Fibers = fibers(
        "stars", 3, 500, wave=Spectral.log_grid(36001, 500, "vacuum"),
        ra=np.full(3, 150.0), dec=np.array([20.0, 20.0001, 20.5]),
        times=Times(np.full(3, 55000.0), np.full(3, 55000.1)), target=("a", "b", "ä"),
        layers={"model": Array(np.full((3, 500), 5.0, "f4"), "nanomaggy")},
    )  # fmt: skip
    store("night", [picture, replace(spectra, unit="1e-17 erg / (Angstrom s cm2)")])
    return place


def test_parts_of_a_position(night: Path) -> None:
    with open_archive(night) as archive:
        frame = archive.shot("lab/night").frame("r")
        for level in range(6):
            image, *spectra = archive.cube(
                (150.0, 20.0), size=10, level=level, unit="stored", radius="1 arcsec"
            )
            step = 1 << level
            (top, bottom), (left, right) = image.about["pixels"].values()
            # the position is at (19.5, 29): columns 15 to 24, rows 24 to 33
            assert (top, left) == (24 // step * step, 15 // step * step)
            assert bottom == min(53, -(-34 // step) * step)
            assert right == min(41, -(-25 // step) * step)
            part = np.s_[top:bottom, left:right]
            assert frame.mask is not None
            good = ((frame.mask & EXCLUDING) == 0)[part]
            total = frame.flux[part][good].sum(dtype="f8")
            assert_allclose(np.nansum(image.flux.astype("f8") * image.coverage) * 4**level, total,
                            rtol=1e-6)  # fmt: skip
            assert (image.unit, image.kind, image.band) == ("nanomaggy", "image", "r")
            # the level's pixel (i, j) is the middle of its block
            x, y = (step - 1) / 2 + left, (step - 1) / 2 + top
            assert_allclose(image.wcs.wcs_pix2world(0, 0, 0), to_sky(CARDS, x, y), atol=1e-10)
            rows = [np.arange(k, min(k + step, bottom)).mean() for k in range(top, bottom, step)]
            assert_allclose(image.start - 55000.25, np.array(rows) * 3e-7, atol=2e-11)
            assert [part.target for part in spectra] == ["a", "b"]
            for spectrum in spectra:
                assert spectrum.first == (36001 >> level,)
                assert spectrum.about["lag1"] is not None


def test_wavelengths_choose_whole_bins(night: Path) -> None:
    with open_archive(night) as archive:
        _, whole, _ = archive.cube((150.0, 20.0), level=2, unit="stored")
        _, part, _ = archive.cube((150.0, 20.0), level=2, unit="stored", wavelength=(4000, 4010))
        assert whole.edges is not None and part.edges is not None
        assert part.edges[0] <= 4000 < part.edges[1] and part.edges[-2] < 4010 <= part.edges[-1]
        begin = part.first[0] - whole.first[0]
        assert np.array_equal(part.flux, whole.flux[begin : begin + part.flux.size])
        kinds = [p.kind for p in archive.cube((150.0, 20.0), wavelength=(100, 200))]
        assert kinds == ["image"]  # wavelengths do not choose images


def test_one_unit_or_a_clear_line(night: Path, store: Any, image: Any) -> None:
    with open_archive(night) as archive:
        stored = list(archive.cube((150.0, 20.0), unit="stored"))
        common = list(archive.cube((150.0, 20.0)))
        assert {part.unit for part in common} == {"nanomaggy"}
        wave = common[1].wavelength
        assert wave is not None
        factor = 1e-17 * wave**2 / 2.99792458e18 * 1e23 / 10**-5.44
        assert_allclose(common[1].flux, stored[1].flux * factor, rtol=2e-7)
        assert_allclose(common[1].error, stored[1].error * factor, rtol=2e-7)
        assert np.array_equal(common[0].flux, stored[0].flux, equal_nan=True)
    store("dome", [image("d", (53, 41), cards=CARDS, footprint=outline(CARDS, (53, 41)))])
    with (
        open_archive(night) as archive,
        pytest.raises(QueryError, match=r"lab/dome/d is in 'adu'"),
    ):
        list(archive.cube((150.0, 20.0)))


@pytest.mark.parametrize(
    "region",
    [
        Box(149.9995, 150.0005, 19.9996, 20.0004),
        Cone(150.0, 20.0, 0.0005),
        Polygon([(149.9996, 19.9996), (150.0004, 19.9996), (150.0, 20.0005)]),
    ],
    ids=lambda region: type(region).__name__,
)
def test_images_are_cut_to_the_box_around_a_region(night: Path, region: Any) -> None:
    y, x = np.mgrid[:53, :41]
    ra, dec = to_sky(CARDS, x.ravel(), y.ravel())
    inside = np.asarray(region.contains(ra, dec)).reshape(x.shape)
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    with open_archive(night) as archive:
        image = next(iter(archive.cube(region, unit="stored")))
        (top, bottom), (left, right) = image.about["pixels"].values()
        # all pixels whose middle is inside, and at most one more on each side that it touches
        assert rows[0] - 1 <= top <= rows[0] and rows[-1] + 1 <= bottom <= rows[-1] + 2
        assert columns[0] - 1 <= left <= columns[0] and columns[-1] + 1 <= right <= columns[-1] + 2
        with pytest.raises(QueryError, match="radius and size belong to a position"):
            archive.cube(region, size=64)


def test_late_masks_are_in_all_levels(place: Path, store: Any, image: Any) -> None:
    row, first, last = (np.array([number], "i4") for number in (20, 0, 30))
    span = MaskSpan("r", "bad.list", row, first, last)
    frame = replace(
        image("r", (53, 41), unit="nanomaggy", cards=CARDS, footprint=outline(CARDS, (53, 41))),
        mask=np.zeros((53, 41), "u4"),
    )
    store("night", [frame], spans=[span])
    with open_archive(place) as archive:
        for level in (0, 1, 3):
            (part,) = archive.cube((150.0, 20.0), size=60, level=level)
            assert part.coverage[20 >> level, 0] == pytest.approx(1 - 1 / 2**level)
            assert part.mask[20 >> level, 0] != 0


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".fits", ".fit"])
def test_files_read_back_equal(night: Path, tmp_path: Path, suffix: str) -> None:
    with open_archive(night) as archive:
        cube = archive.cube(Cone(150.0, 20.0, 0.6), level=2, wavelength=(3990.0, 4400.0))
        parts = list(cube)
        names = cube.write(tmp_path / f"cube{suffix}")
        about, back = read_cube(tmp_path / f"cube{suffix}")
    assert names == [part.name for part in parts] and len(parts) == 4
    assert about == cube.about and about["level"] == 2
    assert all(mine.equals(theirs) for mine, theirs in zip(parts, back, strict=True))
    assert all(isinstance(part, CubePart) for part in back)
    assert not parts[0].equals(parts[1])
    other = replace(back[1], flux=back[1].flux + np.float32(1))
    assert not parts[1].equals(other)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [f"cube{suffix}"]


def test_a_cube_of_nothing(night: Path, tmp_path: Path) -> None:
    with open_archive(night) as archive:
        for suffix in (".h5", ".fits"):
            path = tmp_path / f"empty{suffix}"
            assert archive.cube((10.0, -20.0)).write(path) == []
            assert read_cube(path)[1] == []


@pytest.mark.parametrize("suffix", [".h5", ".fits"])
def test_files_of_others_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"nothing")
    with pytest.raises(ArchiveDamaged, match=f"a{suffix}"):
        read_cube(path)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"level": -1}, "level -1 is not possible"),
        ({"level": 25}, "level 25 is not possible"),
        ({"unit": "Jy"}, "unit 'Jy' is none of nanomaggy, stored"),
        ({"wavelength": (5.0, 4.0)}, "wavelengths 5..4 hold nothing"),
        ({"wavelength": (float("nan"), 4.0)}, "hold nothing"),
        ({"size": 0}, "a cutout of 0 pixels"),
    ],
)
def test_what_is_not_possible(night: Path, given: dict[str, Any], line: str) -> None:
    with open_archive(night) as archive, pytest.raises(QueryError, match=line):
        archive.cube((150.0, 20.0), **given)


def test_other_ends_are_refused(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"\.h5, \.hdf5, \.fits, \.fit"):
        write_cube([], {}, tmp_path / "a.txt")


def test_cards_of_levels() -> None:
    cards = level_cards(CARDS, 3)
    assert cards["CRPIX1"] == (20.5 - 0.5) / 8 + 0.5 and cards["CD1_2"] == 8 * 1.1e-4
    assert {k: v for k, v in level_cards(CARDS, 0).items()} == CARDS


# -- one grid --------------------------------------------------------------------------------------


def test_spectra_on_common_bins(night: Path, store: Any, fibers: Any) -> None:
    other: Fibers = fibers(
        "more", 1, 300, wave=Spectral.log_grid(35903, 300, "vacuum"), ra=np.full(1, 150.0),
        dec=np.full(1, 20.0),
    )  # fmt: skip
    linear: Fibers = fibers("plain", 1, 50, ra=np.full(1, 150.0), dec=np.full(1, 20.0))
    unit = "1e-17 erg / (Angstrom s cm2)"
    store("other", [replace(other, unit=unit), replace(linear, unit=unit)])
    with open_archive(night) as archive:
        cube = archive.cube((150.0, 20.0), level=2)
        parts = list(cube)
        assert cube.on_bins().names == stack_spectra(parts).names
    stack = stack_spectra(parts)
    assert stack.left_out == ("lab/other/plain/plain-0",) and len(stack.names) == 3
    assert stack.edges is not None and stack.unit == "nanomaggy"
    first = 35903 >> 2
    for row, name in enumerate(stack.names):
        (part,) = (part for part in parts if part.name == name)
        where = np.s_[part.first[0] - first : part.first[0] - first + part.flux.size]
        assert np.array_equal(stack.flux[row, where], part.flux.astype("f8"), equal_nan=True)
        assert part.edges is not None
        assert_allclose(stack.edges[where.start : where.stop + 1], part.edges, rtol=1e-14)
        outside = np.ones(stack.flux.shape[1], bool)
        outside[where] = False
        assert np.isnan(stack.flux[row, outside]).all() and not stack.coverage[row, outside].any()


def test_images_on_common_pixels(place: Path, store: Any, image: Any) -> None:
    """A smooth sky stays what it is, its sum is conserved, and errors have the right size."""
    y, x = np.mgrid[:80, :90]
    cards = CARDS | {"CRPIX1": 45.0, "CRPIX2": 40.0}
    bump = 5 + 100 * np.exp(-((x - 44.0) ** 2 + (y - 39.0) ** 2) / (2 * 4.0**2))
    frame = replace(
        image("r", (80, 90), unit="nanomaggy", cards=cards, footprint=outline(cards, (80, 90))),
        flux=bump.astype("f4"), error=np.full((80, 90), 0.5, "f4"),
        mask=np.zeros((80, 90), "u4"),
    )  # fmt: skip
    store("night", [frame])
    pixel = float(np.sqrt(abs(np.linalg.det([[1.0e-5, 1.1e-4], [1.1e-4, -1.0e-5]])))) * 3600
    with open_archive(place) as archive:
        parts = list(archive.cube((150.0, 20.0), size=80))
    for scale in (0.45, 0.6):
        stack = stack_images(parts, 150.0, 20.0, 45, scale)
        (flux,), (error,), (coverage,) = stack.flux, stack.error, stack.coverage
        assert_allclose(coverage, 1.0, atol=1e-12)
        # 5 on the sky is 5 on every pixel; the bump moves by less than its curvature allows
        assert_allclose(flux[[0, -1], [0, -1]], 5.0, atol=0.3)
        total = ((flux - 5.0) * (scale / pixel) ** 2).sum()
        assert total == pytest.approx((bump - 5).sum(), rel=1e-6)
        pixels = stack.about["pixels"]["lab/night/r"]
        assert_allclose(np.median(error), 0.5 / np.sqrt(pixels), rtol=0.05)
        assert stack.cards is not None
        j, i = np.unravel_index(int(np.argmax(flux)), flux.shape)
        assert (int(i), int(j)) == (22, 22)
    with pytest.raises(QueryError, match="not possible"):
        stack_images(parts, 150.0, 20.0, 0, 1.0)
    with pytest.raises(QueryError, match="do not go into one array"):
        stack_images([parts[0], replace(parts[0], unit="adu")], 150.0, 20.0, 3, 1.0)


def test_the_own_grid_of_an_image_gives_the_image(place: Path, store: Any, image: Any) -> None:
    cards = CARDS | {
        "CRPIX1": 20.0, "CRPIX2": 20.0, "CD1_1": -1.1e-4, "CD1_2": 0.0, "CD2_1": 0.0,
        "CD2_2": 1.1e-4,
    }  # fmt: skip
    frame = image("r", (39, 39), unit="nanomaggy", cards=cards, footprint=outline(cards, (39, 39)))
    mask = np.zeros((39, 39), "u4")
    mask[10, 12] = 1
    store("night", [replace(frame, mask=mask)])
    with open_archive(place) as archive:
        parts = list(archive.cube((150.0, 20.0), size=39))
    stack = stack_images(parts, 150.0, 20.0, 39, 1.1e-4 * 3600)
    assert_allclose(stack.flux[0], parts[0].flux, rtol=1e-12)
    assert_allclose(stack.error[0], parts[0].error, rtol=1e-12)
    assert stack.coverage[0, 10, 12] == 0 and np.isnan(stack.flux[0, 10, 12])
    assert stack.mask[0, 10, 12] == 1 and np.count_nonzero(stack.mask) == 1
