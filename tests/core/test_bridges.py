"""Frames as objects of astropy and specutils: nothing lost, nothing turned around."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy.units import Unit

from corecube import bridges
from corecube.errors import FrameError
from corecube.frames import Fibers, Image
from corecube.masks import PLANES, value
from corecube.spectral import Spectral

CARDS: dict[str, float | int | str] = {
    "CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CUNIT1": "deg", "CUNIT2": "deg",
    "CRVAL1": 20.0, "CRVAL2": 10.0, "CRPIX1": 3.0, "CRPIX2": 2.0,
    "CD1_1": 1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4,
}  # fmt: skip


def image(**changed: Any) -> Image:
    count = len(PLANES)
    mask = np.zeros((3, count), np.uint32)
    mask[1] = [1 << plane.bit for plane in PLANES]
    given: dict[str, Any] = {
        "name": "r", "flux": np.arange(3 * count, dtype=np.float32).reshape(3, count),
        "error": np.full((3, count), 2, np.float32), "mask": mask, "unit": "nanomaggy",
        "band": "r", "cards": CARDS,
    }  # fmt: skip
    return Image(**given | changed)


def fibers(wave: Spectral, **changed: Any) -> Fibers:
    width = wave.size
    given: dict[str, Any] = {
        "name": "coadd", "flux": np.arange(2 * width, dtype=np.float32).reshape(2, width),
        "error": np.arange(2 * width, dtype=np.float32).reshape(2, width) / 10,
        "mask": np.zeros((2, width), np.uint32), "unit": "1e-17 erg / (Angstrom s cm2)",
        "wave": wave, "id": ("0001", "0002"), "ra": np.zeros(2), "dec": np.zeros(2),
    }  # fmt: skip
    return Fibers(**given | changed)


# -- CCDData -------------------------------------------------------------------------------------


def test_an_image_becomes_ccddata() -> None:
    frame = image()
    made = bridges.to_ccddata(frame)
    assert made.unit == Unit("nanomaggy")
    np.testing.assert_array_equal(made.data, frame.flux)
    assert np.shares_memory(made.data, frame.flux)
    assert made.uncertainty.uncertainty_type == "std"
    np.testing.assert_array_equal(made.uncertainty.array, frame.error)
    excluded = [plane.excludes for plane in PLANES]
    np.testing.assert_array_equal(
        made.mask, [[False] * len(PLANES), excluded, [False] * len(PLANES)]
    )
    np.testing.assert_array_equal(made.meta["mask"], frame.mask)
    assert made.meta["name"] == "r" and made.meta["band"] == "r"


def test_the_wcs_of_ccddata_is_that_of_the_cards() -> None:
    wcs = bridges.to_ccddata(image()).wcs
    assert wcs.wcs.ctype[0] == "DEC--TAN"
    # One pixel along the first axis is 1e-4 degrees of declination.
    dec, ra = wcs.all_pix2world([[2, 1], [3, 1]], 0).T
    np.testing.assert_allclose(dec, [20, 20.0001], atol=1e-11)
    np.testing.assert_allclose(ra, [10, 10], atol=1e-9)
    assert bridges.to_ccddata(image(cards=None)).wcs is None


def test_the_arithmetic_of_ccddata_propagates_our_errors() -> None:
    made = bridges.to_ccddata(image())
    total = made.add(made)
    np.testing.assert_allclose(total.uncertainty.array, np.sqrt(8), rtol=1e-6)


@pytest.mark.parametrize("missing", ["error", "mask"])
def test_an_image_without_errors_is_refused(missing: str) -> None:
    with pytest.raises(FrameError, match="image 'r' has no error yet"):
        bridges.to_ccddata(image(**{missing: None}))


# -- specutils -----------------------------------------------------------------------------------


@pytest.fixture
def specutils() -> Any:
    return pytest.importorskip("specutils", reason="the extra 'spectra' is not installed")


def test_a_fibre_becomes_a_spectrum(specutils: Any) -> None:
    group = fibers(Spectral.log_grid(35785, 5, "vacuum"))
    group.mask[1] = [0, value("cosmic_ray"), value("source"), 0, value("late", "no_error")]  # type: ignore[index]
    made = bridges.to_spectrum(group, 1)
    assert isinstance(made, specutils.Spectrum)
    np.testing.assert_array_equal(made.flux.value, group.flux[1])
    assert made.flux.unit == Unit(group.unit)
    np.testing.assert_array_equal(made.spectral_axis.value, group.wave.wavelength())
    assert made.spectral_axis.unit.to_string() == "Angstrom"
    assert made.uncertainty.uncertainty_type == "std"
    np.testing.assert_array_equal(made.uncertainty.array, group.error[1])  # type: ignore[index]
    np.testing.assert_array_equal(made.mask, [False, True, False, False, True])
    assert made.meta["id"] == "0002" and made.meta["medium"] == "vacuum"


def test_padding_is_cut_off_at_both_ends_and_nowhere_else(specutils: Any) -> None:
    group = fibers(Spectral.log_grid(35785, 6))
    outside = value("outside", "no_error")
    group.mask[0] = [outside, 0, outside, 0, outside, outside]  # type: ignore[index]
    made = bridges.to_spectrum(group)
    np.testing.assert_array_equal(made.flux.value, group.flux[0, 1:4])
    np.testing.assert_array_equal(made.spectral_axis.value, group.wave.wavelength()[1:4])
    np.testing.assert_array_equal(made.mask, [False, True, False])


def test_each_fibre_may_have_its_own_wavelengths(specutils: Any) -> None:
    wave = np.array([[4000.0, 4001, 4002, np.nan], [5000, 5001, 5002, 5003]])
    group = fibers(Spectral(wave))
    np.testing.assert_array_equal(bridges.to_spectrum(group, 0).spectral_axis.value, wave[0, :3])
    np.testing.assert_array_equal(bridges.to_spectrum(group, 1).spectral_axis.value, wave[1])


def test_a_fibre_without_pixels_or_errors_is_refused(specutils: Any) -> None:
    grid = Spectral.log_grid(35785, 3)
    empty = fibers(grid, mask=np.full((2, 3), value("outside"), np.uint32))
    with pytest.raises(FrameError, match="fibre '0002' of 'coadd' has no pixels"):
        bridges.to_spectrum(empty, 1)
    for missing in ("error", "mask"):
        with pytest.raises(FrameError, match="group 'coadd' has no error yet"):
            bridges.to_spectrum(fibers(grid, **{missing: None}))
