"""Cubes with passbands: spectra times them, images chosen by them, and all in one file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from corecube.archive import open_archive
from corecube.archive.cubefiles import read_cube, read_stacks
from corecube.archive.regions import Cone
from corecube.errors import ArchiveDamaged, QueryError
from corecube.masks import EXCLUDING
from corecube.photometry.passbands import Passband, Passbands
from corecube.photometry.rebinning import centred_edges, log_edges
from corecube.shots import Shot
from corecube.spectral import Spectral
from corecube.tan import outline

HERE = (150.0, 20.0)
SHAPE = (31, 27)
CARDS: dict[str, float | int | str] = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg",
    "CRPIX1": 14.0, "CRPIX2": 16.0, "CRVAL1": 150.0, "CRVAL2": 20.0,
    "CD1_1": 1.0e-5, "CD1_2": 1.1e-4, "CD2_1": 1.1e-4, "CD2_2": -1.0e-5,
}  # fmt: skip
UNIT = "1e-17 erg / (Angstrom s cm2)"
BANDS = Passbands(
    "two",
    (
        Passband("g", np.array([3900.0, 4000.0, 4100.0]), np.array([0.0, 0.5, 0.0])),
        # 1 % of its peak is crossed at 4150.5 and 4299
        Passband("r", np.array([4050.0, 4150.0, 4200.0, 4300.0]), np.array([0.0, 0.0, 1.0, 0.0])),
    ),
)


def bands_of(shot: Shot) -> Passbands | None:
    return BANDS if shot.instrument == "lab" else None


@pytest.fixture
def night(place: Path, store: Any, image: Any, fibers: Any) -> Path:
    """Images in g, r and a band without a curve, and two spectra; all have bad pixels."""
    rng = np.random.default_rng(8)
    pictures = [
        image(band, SHAPE, seed=k, unit="nanomaggy", cards=CARDS, band=band,
              footprint=outline(CARDS, SHAPE))
        for k, band in enumerate(("g", "r", "clear"))
    ]  # fmt: skip
    spectra = fibers(
        "stars", 2, 700, wave=Spectral.log_grid(35905, 700, "vacuum"), ra=np.full(2, 150.0),
        dec=np.full(2, 20.0), target=("ä", ""),
    )  # fmt: skip
    mask = (rng.random((2, 700)) < 0.05).astype("u4")
    error = rng.uniform(0.1, 1, (2, 700)).astype("f4")
    store("night", [*pictures, replace(spectra, unit=UNIT, mask=mask, error=error)])
    return place


def bands_in(cube: Any) -> list[str]:
    return sorted(part.band for part in cube if part.kind == "image")


# -- images by wavelength --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wavelength", "expected"),
    [
        ((3000, 9000), ["clear", "g", "r"]),
        ((3000, 3901), ["clear"]),  # exactly 1 % of the peak of g is not above it
        ((3000, 3901.1), ["clear", "g"]),
        ((4060, 4140), ["clear", "g"]),
        ((4098.9, 4150.4), ["clear", "g"]),
        ((4099.1, 4150.4), ["clear"]),
        ((4099.1, 4150.6), ["clear", "r"]),
        ((4190, 4191), ["clear", "r"]),
        ((4195, 4205), ["clear", "r"]),  # the peak is between
        ((4299.1, 9000), ["clear"]),
        ((100, 200), ["clear"]),
    ],
)
def test_images_are_chosen_by_their_bands(
    night: Path, wavelength: tuple[float, float], expected: list[str]
) -> None:
    with open_archive(night) as archive:
        cube = archive.cube(HERE, wavelength=wavelength, passbands=bands_of)
        assert bands_in(cube) == expected
        left = sorted({"clear", "g", "r"} - set(expected))
        assert cube.about["other bands"] == [f"lab/night/{band}" for band in left]
        assert cube.about["unknown bands"] == ["lab/night/clear"]
        (line,) = cube.about["says"]
        assert line.endswith("no curve of their band is known: lab/night/clear")


def test_without_wavelengths_all_images_stay_and_nothing_is_asked(night: Path) -> None:
    def never(shot: Shot) -> Passbands | None:
        raise AssertionError

    with open_archive(night) as archive:
        cube = archive.cube(HERE, passbands=never)
        assert bands_in(cube) == ["clear", "g", "r"]
        assert cube.about["unknown bands"] == cube.about["other bands"] == cube.about["says"] == []


def test_an_instrument_that_is_not_there_keeps_its_images(night: Path) -> None:
    with open_archive(night) as archive:
        cube = archive.cube(HERE, wavelength=(4160, 4170), weighted=True)
        assert [part.kind for part in cube] == ["image"] * 3 + ["spectrum"] * 2
        assert len(cube.about["unknown bands"]) == 3
        says = "\n".join(cube.about["says"])
    assert "passbands and catalogue of 'lab'" in says  # why it cannot be asked
    assert "kept at all wavelengths" in says and "its spectra are not weighted" in says


# -- weighted spectra ------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0, 1, 3, 5])
def test_levels_of_weighted_spectra_are_means_of_weighted_pixels(night: Path, level: int) -> None:
    curve_of = {k: BANDS[k] for k in ("g", "r")}
    with open_archive(night) as archive:
        parts = list(archive.cube(HERE, level=level, unit="stored", weighted=True,
                                  passbands=bands_of))  # fmt: skip
        frame = archive.shot("lab/night").rows("stars", 0, 2)
    spectra = [part for part in parts if part.kind != "image"]
    assert [part.kind for part in spectra] == ["spectrum", "weighted"] * 2
    edges = log_edges(35905, 700)
    wave = 10 ** (np.arange(35905, 36605) / 1e4)
    response = np.maximum(*(
        np.interp(wave, c.wavelength, c.response, left=0, right=0) for c in curve_of.values()
    ))  # fmt: skip
    assert (response == 0).any() and (response > 0).any()
    for row, (plain, part) in enumerate(zip(spectra[::2], spectra[1::2], strict=True)):
        assert (part.name, part.unit, part.first) == (plain.name, UNIT, plain.first)
        assert part.about["weighted"] == "two" and "weighted" not in plain.about
        assert part.edges is not None and plain.edges is not None
        assert np.array_equal(part.edges, plain.edges)
        assert frame.error is not None and frame.mask is not None
        good = ((frame.mask[row] & EXCLUDING) == 0) & (response > 0)
        for place in range(part.flux.size):
            number = part.first[0] + place
            members = [k for k in range(700) if (35905 + k) >> level == number and good[k]]
            if not members:
                assert np.isnan(part.flux[place]) and part.coverage[place] == 0
                continue
            w = np.diff(edges)[members]
            flux = (w * response[members] * frame.flux[row, members].astype("f8")).sum() / w.sum()
            sigma = w * response[members] * frame.error[row, members].astype("f8")
            # rounded to float32 once
            assert part.flux[place] == pytest.approx(flux, rel=1.2e-7)
            assert part.error[place] == pytest.approx(
                np.sqrt((sigma**2).sum()) / w.sum(), rel=1.2e-7
            )
            assert part.flux.dtype == plain.flux.dtype == np.float32


def test_weighted_spectra_in_nanomaggies(night: Path) -> None:
    with open_archive(night) as archive:
        given: dict[str, Any] = {"level": 2, "weighted": True, "passbands": bands_of}
        stored = list(archive.cube(HERE, unit="stored", **given))
        common = list(archive.cube(HERE, **given))
    for mine, theirs in zip(common[3:], stored[3:], strict=True):
        wave = mine.wavelength
        assert wave is not None and mine.kind == theirs.kind
        factor = 1e-17 * wave**2 / 2.99792458e18 * 1e23 / 10**-5.44
        assert_allclose(mine.flux, theirs.flux * factor, rtol=2e-7)


def test_weighted_spectra_on_common_bins(night: Path) -> None:
    with open_archive(night) as archive:
        cube = archive.cube(HERE, level=1, weighted=True, passbands=bands_of)
        stack = cube.on_bins(weighted=True)
        parts = [part for part in cube if part.kind == "weighted"]
        assert_allclose(stack.flux, [part.flux for part in parts])
        edges = centred_edges(3950.0, 4250.0, 40)
        given = cube.on_bins(edges, weighted=True)
        assert given.names == stack.names and given.flux.shape == (2, 40)
        assert not np.array_equal(given.flux, cube.on_bins(edges).flux)
        with pytest.raises(QueryError, match="weighted=True"):
            archive.cube(HERE).on_bins(weighted=True)


# -- one file --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".h5", ".fits"])
@pytest.mark.parametrize("given", [False, True])
def test_grids_stand_in_the_file_and_read_back_equal(
    night: Path, tmp_path: Path, suffix: str, given: bool
) -> None:
    path = tmp_path / f"cube{suffix}"
    edges = centred_edges(3950.0, 4250.0, 40) if given else None
    with open_archive(night) as archive:
        cube = archive.cube(HERE, size=24, level=1, weighted=True, passbands=bands_of)
        names = cube.write(path, pixels=(11, 0.7), bins="own" if edges is None else edges)
        expected = {
            "pixels": cube.on_pixels(11, 0.7), "bins": cube.on_bins(edges),
            "weighted": cube.on_bins(edges, weighted=True),
        }  # fmt: skip
        parts = list(cube)
        about, back = read_cube(path)
        assert about == cube.about
    assert names == [part.name for part in parts] and len(names) == 7
    assert all(mine.equals(theirs) for mine, theirs in zip(parts, back, strict=True))
    stacks = read_stacks(path)
    assert list(stacks) == list(expected)
    for name, stack in stacks.items():
        assert stack.equals(expected[name]), name
    assert stacks["pixels"].flux.shape == (3, 11, 11) and len(stacks["bins"].names) == 2
    assert (stacks["bins"].covariance is not None) == given
    assert np.isfinite(stacks["pixels"].flux).any() and np.isfinite(stacks["bins"].flux).any()


def test_other_programs_read_the_grids(night: Path, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    from astropy.io import fits
    from astropy.table import Table
    from astropy.wcs import WCS

    with open_archive(night) as archive:
        cube = archive.cube(HERE, size=24)
        stack, bins = cube.on_pixels(12, 0.7), cube.on_bins()
        for suffix in ("h5", "fits"):
            cube.write(tmp_path / f"a.{suffix}", pixels=(12, 0.7), bins="own")
    assert bins.edges is not None and bins.wavelength is not None
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.array_equal(file["pixels/flux"][:], stack.flux, equal_nan=True)
        assert [name.decode() for name in file["pixels/parts"][:]] == list(stack.names)
        assert file["pixels/flux"].attrs["CRPIX1"] == 6.5
        assert np.array_equal(file["bins/edges"][:], bins.edges)
    with fits.open(tmp_path / "a.fits") as hdus:
        hdus.verify("exception")
        assert np.array_equal(hdus["PIXELS_MASK"].data, stack.mask)
        sky = WCS(hdus["PIXELS_FLUX"].header).celestial
        assert_allclose(sky.all_pix2world(5.5, 5.5, 0), HERE, atol=1e-10)
        # the first pixel is in the south-east
        ra, dec = sky.all_pix2world(0, 0, 0)
        assert ra > 150 and dec < 20
        assert list(hdus["PIXELS_PARTS"].data["name"]) == list(stack.names)
    table = Table.read(tmp_path / "a.fits", hdu="BINS_EDGES")
    assert_allclose(table["wavelength"], bins.wavelength)


@pytest.mark.parametrize("suffix", [".h5", ".fits"])
def test_grids_of_nothing(night: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    with open_archive(night) as archive:
        cube = archive.cube((10.0, -20.0))
        assert cube.write(path, pixels=(5, 1.0), bins="own") == []
        stacks = read_stacks(path)
        assert stacks["pixels"].equals(cube.on_pixels(5, 1.0))
        assert stacks["bins"].equals(cube.on_bins()) and stacks["bins"].flux.shape == (0, 0)
        cube.write(path, bins=[4000.0, 4001.0])
        (stack,) = read_stacks(path).values()
        assert stack.equals(cube.on_bins([4000.0, 4001.0]))
        cube.write(path)
        assert read_stacks(path) == {}


@pytest.mark.parametrize("suffix", [".h5", ".fits"])
def test_a_cube_whose_grids_are_damaged(night: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"nothing")
    with pytest.raises(ArchiveDamaged, match=f"a{suffix}"):
        read_stacks(path)


def test_what_lies_beyond_what_was_read_is_told(night: Path) -> None:
    with open_archive(night) as archive:
        cube = archive.cube(HERE, size=10)
        square = cube.on_pixels(20, 0.5).about["square"]
        (line,) = cube.about["says"]
        assert line == (
            f"the common pixels reach beyond the squares of 10 pixels; a size of {square} covers "
            "them"
        )
        enough = archive.cube(HERE, size=square)
        # the images themselves end here or there: 27 x 31 pixels of 0.4 arcsec
        assert enough.on_pixels(20, 0.5).coverage.shape == (3, 20, 20)
        assert enough.about["says"] == []
        small = archive.cube(HERE, size=archive.cube(HERE).on_pixels(12, 0.5).about["square"])
        good = small.on_pixels(12, 0.5).mask == 0
        assert (small.on_pixels(12, 0.5).coverage[good] > 0.999).all()


def test_common_pixels_need_a_position(night: Path, tmp_path: Path) -> None:
    with open_archive(night) as archive:
        wide = archive.cube(Cone(*HERE, 0.01))
        assert wide.on_pixels(4, 1.0).flux.shape == (3, 4, 4)  # a cone has a middle
        from corecube.archive.regions import Box

        box = archive.cube(Box(149.99, 150.01, 19.99, 20.01))
        for ask in (lambda: box.on_pixels(4, 1.0), lambda: box.write(tmp_path / "a.h5", (4, 1.0))):
            with pytest.raises(QueryError, match="one position"):
                ask()
        for size, scale in ((0, 1.0), (2001, 1.0), (5, 0.0), (5, float("nan")), (5, 3600.0)):
            with pytest.raises(QueryError, match="is not possible; use 1 to 2000"):
                wide.on_pixels(size, scale)
    assert not list(tmp_path.glob("a.h5"))
