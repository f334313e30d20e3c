"""Our TAN projection against astropy's WCS."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.wcs import WCS
from hypothesis import assume, given
from hypothesis import strategies as st

from corecube import tan
from corecube.wcs import from_cards

Cards = dict[str, float | int | str]

# Scales from 0.04 arcsec to 18 arcsec a pixel, any rotation, either parity, a shear of up to 20 %.
SCALE = st.floats(1e-5, 5e-3)
ANGLE = st.floats(0, 2 * np.pi)
RA = st.floats(0, 360, exclude_max=True)
DEC = st.floats(-89.99, 89.99)
PIXELS = np.array([-0.5, 0.0, 17.25, 1023.5, 2047.5, 4000.0])


@st.composite
def headers(draw: st.DrawFn) -> Cards:
    scale, angle = draw(SCALE), draw(ANGLE)
    parity, shear = draw(st.sampled_from([1, -1])), draw(st.floats(-0.2, 0.2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    cd = scale * turn @ np.array([[parity, shear], [0, draw(st.floats(0.8, 1.2))]])
    made: Cards = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": draw(RA), "CRVAL2": draw(DEC),
        "CRPIX1": draw(st.floats(-3000, 5000)), "CRPIX2": draw(st.floats(-3000, 5000)),
        "CD1_1": float(cd[0, 0]), "CD1_2": float(cd[0, 1]),
        "CD2_1": float(cd[1, 0]), "CD2_2": float(cd[1, 1]),
    }  # fmt: skip
    return swapped(made) if draw(st.booleans()) else made


def swapped(cards: Cards) -> Cards:
    """Return the same projection with declination as the first axis, as some SDSS frames have."""
    other = {
        "CTYPE1": "CTYPE2", "CRVAL1": "CRVAL2", "CD1_1": "CD2_1", "CD1_2": "CD2_2",
    }  # fmt: skip
    other |= {new: old for old, new in other.items()}
    return {other.get(name, name): card for name, card in cards.items()}


def header(**changed: Any) -> Cards:
    made: Cards = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 120.0, "CRVAL2": 30.0,
        "CRPIX1": 500.0, "CRPIX2": 400.0, "CD1_1": -1e-4, "CD1_2": 2e-6,
        "CD2_1": 3e-6, "CD2_2": 1e-4,
    }  # fmt: skip
    return made | changed


def separation(ra1: Any, dec1: Any, ra2: Any, dec2: Any) -> npt.NDArray[np.float64]:
    """Return angles in degrees; good to 1e-13 where they are small, unlike an arc cosine."""
    ra1, dec1, ra2, dec2 = (np.radians(part) for part in (ra1, dec1, ra2, dec2))
    half = np.sin((dec2 - dec1) / 2) ** 2 + np.cos(dec1) * np.cos(dec2) * (
        np.sin((ra2 - ra1) / 2) ** 2
    )
    angle: npt.NDArray[np.float64] = np.degrees(2 * np.arcsin(np.sqrt(half)))
    return angle


@given(headers())
def test_pixels_lie_where_astropy_says(cards: Cards) -> None:
    wcs: Any = from_cards(cards)
    assert isinstance(wcs, WCS)
    x, y = (part.ravel() for part in np.meshgrid(PIXELS, PIXELS))
    ra, dec = tan.to_sky(cards, x, y)
    assert ra.dtype == dec.dtype == np.float64 and ra.shape == x.shape
    assert ((ra >= 0) & (ra < 360)).all() and (np.abs(dec) <= 90).all()
    expected = wcs.all_pix2world(x, y, 0, ra_dec_order=True)
    assert separation(ra, dec, *expected).max() < 1e-9


@given(headers())
def test_positions_lie_where_astropy_says(cards: Cards) -> None:
    wcs = from_cards(cards)
    x, y = (part.ravel() for part in np.meshgrid(PIXELS, PIXELS))
    ra, dec = wcs.all_pix2world(x, y, 0, ra_dec_order=True)
    first = tan.to_pixel(cards, ra, dec)
    expected = wcs.wcs_world2pix(ra, dec, 0, ra_dec_order=True)
    assert np.abs(np.subtract(first, expected)).max() < 1e-6
    assert np.abs(np.subtract(first, (x, y))).max() < 1e-6


@given(headers(), st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_there_and_back(cards: Cards, x: float, y: float) -> None:
    back = tan.to_pixel(cards, *tan.to_sky(cards, x, y))
    assert np.abs(np.subtract(back, (x, y))).max() < 1e-6


@given(headers())
def test_the_axes_may_come_in_either_order(cards: Cards) -> None:
    x, y = np.array([0.0, 100.0]), np.array([50.0, 7.0])
    for one, two in (
        (tan.to_sky(cards, x, y), tan.to_sky(swapped(cards), x, y)),
        (tan.to_pixel(cards, 10.0, 20.0), tan.to_pixel(swapped(cards), 10.0, 20.0)),
    ):
        np.testing.assert_array_equal(one, two)


@given(headers(), RA, st.floats(-90, 90))
def test_the_other_hemisphere_has_no_pixels(cards: Cards, ra: float, dec: float) -> None:
    ra0, dec0 = float(cards["CRVAL1"]), float(cards["CRVAL2"])
    if cards["CTYPE1"] != "RA---TAN":
        ra0, dec0 = dec0, ra0
    angle = float(separation(ra, dec, ra0, dec0))
    assume(abs(angle - 90) > 1e-6)
    pixel = tan.to_pixel(cards, ra, dec)
    assert np.isnan(pixel).all() if angle > 90 else np.isfinite(pixel).all()
    opposite = tan.to_pixel(cards, (ra0 + 180) % 360, -dec0)
    assert np.isnan(opposite).all()


def test_the_reference_pixel_is_the_reference_point() -> None:
    ra, dec = tan.to_sky(header(), 499.0, 399.0)  # CRPIX counts from 1
    np.testing.assert_allclose((ra, dec), (120, 30), rtol=0, atol=1e-12)


def test_right_ascension_does_not_leave_the_circle() -> None:
    x = np.linspace(0, 1000, 11)
    for ra0 in (0.0, 1e-9, 359.9999999, 360.0, -0.01, 719.0):
        ra, _ = tan.to_sky(header(CRVAL1=ra0), x, x)
        assert ((ra >= 0) & (ra < 360)).all()


def test_an_image_over_the_pole_is_projected() -> None:
    cards = header(CRVAL2=89.99, CD1_2=0.0, CD2_1=0.0)
    x, y = (part.ravel() for part in np.meshgrid(np.arange(0, 1000, 50), np.arange(0, 800, 50)))
    ra, dec = tan.to_sky(cards, x, y)
    assert ra.max() - ra.min() > 300  # the pole lies in the image
    expected = from_cards(cards).all_pix2world(x, y, 0)
    assert separation(ra, dec, *expected).max() < 1e-9


def test_the_outline_is_that_of_the_outer_pixel_edges() -> None:
    cards = header()
    corners = tan.outline(cards, (800, 1000))
    expected = from_cards(cards).all_pix2world(
        [[-0.5, -0.5], [999.5, -0.5], [999.5, 799.5], [-0.5, 799.5]], 0
    )
    assert corners.shape == (4, 2) and corners.dtype == np.float64
    assert separation(*corners.T, *expected.T).max() < 1e-9


# -- what is left to astropy ---------------------------------------------------------------------


def test_plain_cards_are_known_in_either_order() -> None:
    assert tan.is_plain(header()) and tan.is_plain(swapped(header()))
    assert tan.is_plain(header(CTYPE1="RA---TAN  ", RADESYS="ICRS", EQUINOX=2000.0))
    assert tan.is_plain(header(CRVAL2=-89.999))


@pytest.mark.parametrize(
    "changed",
    [
        {"CTYPE1": "RA---SIN"}, {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"},
        {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"}, {"CTYPE1": "DEC--TAN"},
        {"CTYPE2": "RA---TAN"}, {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"},
        {"PV1_1": 0.1}, {"A_ORDER": 2}, {"B_0_2": 1e-6}, {"LONPOLE": 90.0}, {"LATPOLE": 45.0},
        {"CRVAL2": 90.0}, {"CRVAL2": -90.0}, {"CRVAL2": 91.0},
    ],
    ids=str,
)  # fmt: skip
def test_other_projections_are_left_to_astropy(changed: Cards) -> None:
    assert not tan.is_plain(header(**changed))


@pytest.mark.parametrize("name", list(header()))
def test_cards_that_are_missing_are_left_to_astropy(name: str) -> None:
    cards = header()
    del cards[name]
    assert not tan.is_plain(cards)


def test_a_pole_as_first_axis_is_left_to_astropy() -> None:
    assert not tan.is_plain(swapped(header(CRVAL2=90.0)))
    assert tan.is_plain(swapped(header(CRVAL1=200.0)))
