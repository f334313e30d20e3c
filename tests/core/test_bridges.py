"""Frames as objects of astropy and specutils."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from corecube import bridges
from corecube.errors import FrameError
from corecube.frames import Fibers, Image
from corecube.spectral import Spectral

CARDS: dict[str, Any] = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 1.0, "CRPIX2": 1.0, "CRVAL1": 10.0,
    "CRVAL2": 20.0, "CD1_1": -1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4,
}  # fmt: skip
MASK = np.array([[0, 1 << 8, 1], [0, 1 << 3, 1 << 12]], "u4")
FLUX = np.arange(6, dtype="f4").reshape(2, 3)


def image(**more: Any) -> Image:
    content: dict[str, Any] = {"error": FLUX + 1, "mask": MASK, "cards": CARDS, "band": "r"}
    return Image(name="r", flux=FLUX, unit="nanomaggy", **{**content, **more})


def test_ccddata_has_flux_error_mask_unit_and_wcs() -> None:
    made = bridges.to_ccddata(image())
    assert np.shares_memory(made.data, FLUX)
    assert str(made.unit) == "nmgy" or made.unit.to_string() == "nanomaggy"
    assert made.uncertainty.uncertainty_type == "std"
    assert np.array_equal(made.uncertainty.array, FLUX + 1)
    # planes that only inform do not mask
    assert made.mask.tolist() == [[False, False, True], [False, True, False]]
    assert np.array_equal(made.meta["mask"], MASK)
    ra, dec = made.wcs.pixel_to_world_values(0, 0)
    assert [float(ra), float(dec)] == pytest.approx([10.0, 20.0])
    assert bridges.to_ccddata(image(cards=None)).wcs is None


def test_without_errors_there_is_no_ccddata() -> None:
    with pytest.raises(FrameError, match="image 'r' has no error yet"):
        bridges.to_ccddata(image(error=None))


def fibers(**more: Any) -> Fibers:
    flux = np.arange(10, dtype="f4").reshape(2, 5)
    mask = np.zeros((2, 5), "u4")
    mask[0, [0, 4]] = 1 << 14
    mask[0, 2] = 1
    mask[1] = 1 << 14
    content: dict[str, Any] = {"flux": flux, "error": flux + 1, "mask": mask}
    return Fibers(
        name="coadd", unit="1e-17 erg / (Angstrom s cm2)", id=("a", "b"), ra=np.zeros(2),
        dec=np.zeros(2), wave=Spectral.log_grid(35000, 5, "vacuum"), **{**content, **more},
    )  # fmt: skip


def test_a_spectrum_without_its_padding() -> None:
    pytest.importorskip("specutils", reason="the extra 'spectra' is not installed")
    block = fibers()
    made = bridges.to_spectrum(block, 0)
    assert made.flux.value.tolist() == [1, 2, 3]
    assert made.uncertainty.array.tolist() == [2, 3, 4]
    assert made.mask.tolist() == [False, True, False]
    assert np.allclose(made.spectral_axis.to_value("Angstrom"), block.wave.wavelength()[1:4])
    assert made.flux.unit.to_string() == "1e-17 erg / (Angstrom s cm2)"
    assert made.meta["id"] == "a" and made.meta["medium"] == "vacuum"
    with pytest.raises(FrameError, match="fibre 'b' of 'coadd' has no pixels"):
        bridges.to_spectrum(block, 1)
    with pytest.raises(FrameError, match="has no error yet"):
        bridges.to_spectrum(fibers(error=None))
