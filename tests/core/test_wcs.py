"""WCS cards: astropy's answers, and one line for cards that place no pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from corecube import wcs
from corecube.errors import FrameError

CARDS: dict[str, float | int | str] = {
    "CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CUNIT1": "deg", "CUNIT2": "deg",
    "CRVAL1": 20.0, "CRVAL2": 10.0, "CRPIX1": 3.0, "CRPIX2": 2.0,
    "CD1_1": 1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4,
}  # fmt: skip


def test_old_spellings_of_cards_are_taken_without_a_remark() -> None:
    made = wcs.from_cards(CARDS | {"RADECSYS": "FK5", "EQUINOX": 2000.0, "MJD-OBS": 52261.2})
    assert made.wcs.radesys == "FK5"  # a warning would fail this test
    np.testing.assert_array_equal(made.wcs.crval, [20, 10])


@pytest.mark.parametrize("projection", ["TAN", "STG"])  # ours, and one of astropy's
def test_there_and_back(projection: str) -> None:
    cards = CARDS | {"CTYPE1": f"DEC--{projection}", "CTYPE2": f"RA---{projection}"}
    x, y = np.meshgrid([0.0, 10.5, 300.0], [0.0, 7.25])
    ra, dec = wcs.to_sky(cards, x, y)
    theirs = wcs.from_cards(cards).all_pix2world(x, y, 0, ra_dec_order=True)
    np.testing.assert_allclose((ra, dec), theirs, rtol=0, atol=1e-9)
    np.testing.assert_allclose(wcs.to_pixel(cards, ra, dec), (x, y), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "forged",
    [
        {"CTYPE1": "/etc/passwd"},  # the other axis alone is celestial
        {"CTYPE1": "PIXEL", "CTYPE2": "PIXEL"},
        {"CTYPE1": "DEC--XYZ", "CTYPE2": "RA---XYZ"},
        {"CTYPE1": "a\x1b[31m\n\u202e"},
        {"CD1_1": 0.0},  # has no inverse
        {"CRPIX1": True, "CTYPE1": ""},
        {"CUNIT1": "parrot", "LONPOLE": 180.0},
        {"a long name of a card\n": 1.0, "CTYPE1": ""},
    ],
)
def test_cards_that_place_no_pixels_are_one_line(forged: dict[str, Any]) -> None:
    with pytest.raises(FrameError, match="place no pixels on the sky") as caught:
        wcs.to_pixel(CARDS | forged, 10.0, 20.0)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "forged",
    [
        {"CD1_1": "x"}, {"CRVAL1": "../../x"}, {"CRVAL2": True}, {"LONPOLE": 1e308, "CD1_1": 0.0},
        {"CRPIX1": 1e308}, {"CD2_2": 1e-308}, {"CRVAL1": 10**30}, {"CTYPE2": 2**31},
    ],
)  # fmt: skip
def test_cards_of_other_kinds_raise_nothing_else(forged: dict[str, Any]) -> None:
    for convert in (wcs.to_pixel, wcs.to_sky):
        try:
            found = convert(CARDS | forged, 10.0, 20.0)
        except FrameError:
            continue
        assert np.shape(found) == (2,)
