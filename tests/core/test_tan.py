"""The gnomonic projection against astropy's (wcslib)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy.io.fits import Header
from astropy.wcs import WCS
from hypothesis import assume, given
from hypothesis import strategies as st

from corecube import tan


@st.composite
def cards(draw: st.DrawFn) -> dict[str, Any]:
    scale = draw(st.floats(1e-5, 1e-2)) * draw(st.sampled_from([1, -1]))
    angle = np.radians(draw(st.floats(0, 360)))
    stretch = draw(st.floats(0.5, 2))
    return {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg",
        "CRPIX1": draw(st.floats(-500, 2500)), "CRPIX2": draw(st.floats(-500, 2500)),
        "CRVAL1": draw(st.floats(0, 360)), "CRVAL2": draw(st.floats(-90, 90)),
        "CD1_1": scale * np.cos(angle), "CD1_2": -abs(scale) * stretch * np.sin(angle),
        "CD2_1": scale * np.sin(angle), "CD2_2": abs(scale) * stretch * np.cos(angle),
    }  # fmt: skip


def wcs(of: dict[str, Any]) -> Any:
    return WCS(Header(of.items()))


def apart(ra1: Any, dec1: Any, ra2: Any, dec2: Any) -> Any:
    """Distance in degrees by half angles: RA near a pole means little."""
    a1, d1, a2, d2 = np.radians([ra1, dec1, ra2, dec2])
    half = np.sin((d2 - d1) / 2) ** 2 + np.cos(d1) * np.cos(d2) * np.sin((a2 - a1) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(half)))


pixel = st.floats(-500, 3000)


@given(cards(), pixel, pixel)
def test_pixels_to_sky_and_back(of: dict[str, Any], x: float, y: float) -> None:
    assert tan.is_plain(of)
    ra, dec = tan.to_sky(of, x, y)
    assert 0 <= ra < 360
    expected = wcs(of).all_pix2world(x, y, 0)
    assert apart(ra, dec, *expected) < 1e-9
    x2, y2 = tan.to_pixel(of, ra, dec)
    # 1e-6 pixels, and what float64 degrees can hold: 6e-14 degrees near RA 360
    near = 1e-6 + 1e-12 / abs(of["CD1_1"] * of["CD2_2"] - of["CD1_2"] * of["CD2_1"]) ** 0.5
    assume(abs(of["CRVAL2"]) < 89.9)
    assert abs(x2 - x) < near and abs(y2 - y) < near
    theirs = wcs(of).all_world2pix(ra, dec, 0)
    assert abs(x2 - theirs[0]) < near and abs(y2 - theirs[1]) < near


@given(cards(), pixel, pixel)
def test_declination_may_come_first(of: dict[str, Any], x: float, y: float) -> None:
    of = {**of, "CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN"}
    of |= {"CRVAL1": of["CRVAL2"], "CRVAL2": of["CRVAL1"]}
    if not tan.is_plain(of):
        return
    dec, ra = wcs(of).all_pix2world(x, y, 0)
    assert apart(*tan.to_sky(of, x, y), ra, dec) < 1e-9


@given(cards(), st.integers(1, 3000), st.integers(1, 3000))
def test_the_outline_is_that_of_the_outer_pixel_edges(of: dict[str, Any], ny: int, nx: int) -> None:
    corners = tan.outline(of, (ny, nx))
    edges = [(-0.5, -0.5), (nx - 0.5, -0.5), (nx - 0.5, ny - 0.5), (-0.5, ny - 0.5)]
    for corner, edge in zip(corners, edges, strict=True):
        assert apart(*corner, *wcs(of).all_pix2world(*edge, 0)) < 1e-9


def test_the_other_hemisphere_has_no_pixel() -> None:
    of: dict[str, Any] = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 1.0, "CRPIX2": 1.0, "CRVAL1": 10.0,
        "CRVAL2": 20.0, "CD1_1": 1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4,
    }  # fmt: skip
    x, y = tan.to_pixel(of, np.array([10.0, 190.0, 100.1]), np.array([20.0, -20.0, 0.0]))
    assert np.isfinite(x[0]) and np.isnan(x[1:]).all() and np.isnan(y[1:]).all()


@pytest.mark.parametrize(
    "change",
    [
        {"CTYPE1": "RA---TAN-SIP"}, {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"}, {"CD1_1": None},
        {"PV2_1": 1.0}, {"LONPOLE": 10.0}, {"A_ORDER": 2},
    ],
)  # fmt: skip
def test_what_is_more_than_tan_is_left_to_astropy(change: dict[str, Any]) -> None:
    of: dict[str, Any] = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 1.0, "CRPIX2": 1.0, "CRVAL1": 10.0,
        "CRVAL2": 20.0, "CD1_1": 1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4,
    }  # fmt: skip
    assert tan.is_plain(of)
    assert not tan.is_plain({k: v for k, v in {**of, **change}.items() if v is not None})
