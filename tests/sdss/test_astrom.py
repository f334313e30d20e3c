"""The astrometric transformation: there and back anywhere on the sky."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from corecube.tan import outline, to_sky
from corecube_sdss.astrom import TERMS, AsTrans


def terms(draw: st.DrawFn) -> AsTrans:
    """Draw terms of a size as in real files, anywhere on the sky, in any orientation."""
    number = {name: 0.0 for name in TERMS}
    angle = draw(st.floats(0, 2 * np.pi))
    scale = draw(st.floats(1.05e-4, 1.15e-4))
    nu = draw(st.floats(-2.5, 2.5))
    number |= {
        "NODE": draw(st.floats(0, 360)),
        "INCL": draw(st.floats(-90, 90)),
        "A": draw(st.floats(-10, 370)),
        "D": nu,
        "B": scale * np.cos(angle),
        "C": -scale * np.sin(angle),
        "E": scale * np.sin(angle),
        "F": scale * np.cos(angle),
        "RICUT": draw(st.sampled_from([1.5, 3.0, 100.0])),
    }
    for name, size in (("0", 0.5), ("1", 1e-3), ("2", 1e-6), ("3", 5e-10)):
        number[f"DROW{name}"] = draw(st.floats(-size, size))
        number[f"DCOL{name}"] = draw(st.floats(-size, size))
    for name in ("CSROW", "CSCOL"):
        number[name] = draw(st.floats(-0.1, 0.1))
        number[f"CC{name[2:]}"] = number[name] * number["RICUT"]
    return AsTrans(**number)


PIXELS = st.lists(st.tuples(st.floats(-50, 2100), st.floats(-50, 1540)), min_size=1, max_size=20)


@given(st.composite(terms)(), PIXELS, st.floats(-1, 5))
def test_there_and_back(astrans: AsTrans, pixels: list[tuple[float, float]], colour: float) -> None:
    x, y = np.array(pixels).T
    ra, dec = astrans.to_sky(x, y, colour)
    assert np.all((ra >= 0) & (ra < 360 + 1e-12) & (np.abs(dec) <= 90))
    # 1e-6 px; at a pole of the sky a pixel's right ascension loses digits, but not its place.
    assert_allclose(astrans.to_pixel(ra, dec, colour), (x, y), rtol=0, atol=1e-6)


@given(st.composite(terms)())
def test_terms_go_through_an_array(astrans: AsTrans) -> None:
    assert AsTrans.from_values(astrans.values()) == astrans


@given(st.composite(terms)())
def test_the_colour_term_is_continuous(astrans: AsTrans) -> None:
    below = astrans.to_sky(700.0, 400.0, astrans.RICUT - 1e-9)
    above = astrans.to_sky(700.0, 400.0, astrans.RICUT + 1e-9)
    assert_allclose(np.cos(np.radians(above)), np.cos(np.radians(below)), atol=1e-9)


# Exactly at the pole the standard turns the image round (LONPOLE); SDSS ends at +84.
@given(st.floats(0, 360), st.floats(-89.9, 89.9), st.floats(0, 2 * np.pi), st.booleans())
def test_tan_is_astropys(ra: float, dec: float, angle: float, swapped: bool) -> None:
    from corecube.wcs import from_cards

    names = ("DEC--TAN", "RA---TAN") if swapped else ("RA---TAN", "DEC--TAN")
    first, second = (dec, ra) if swapped else (ra, dec)
    cards: dict[str, float | int | str] = {
        "CTYPE1": names[0], "CTYPE2": names[1], "CUNIT1": "deg", "CUNIT2": "deg",
        "CRPIX1": 1025.0, "CRPIX2": 745.0, "CRVAL1": first, "CRVAL2": second,
        "CD1_1": 1.1e-4 * np.cos(angle), "CD1_2": -1.1e-4 * np.sin(angle),
        "CD2_1": 1.1e-4 * np.sin(angle), "CD2_2": 1.1e-4 * np.cos(angle), "RADESYS": "ICRS",
    }  # fmt: skip
    x, y = np.array([0.0, 2047.0, 1024.0, 3.5]), np.array([0.0, 1488.0, 744.0, 900.25])
    ours = np.radians(to_sky(cards, x, y))
    theirs = np.radians(np.array(from_cards(cards).wcs_pix2world(x, y, 0)))
    if swapped:
        theirs = theirs[::-1]

    def vector(position: np.ndarray) -> np.ndarray:
        longitude, latitude = position
        return np.array(
            [
                np.cos(latitude) * np.cos(longitude),
                np.cos(latitude) * np.sin(longitude),
                np.sin(latitude),
            ]
        )

    # 1e-9 deg as a length on the unit sphere; near the poles coordinates are no measure.
    assert_allclose(vector(ours), vector(theirs), rtol=0, atol=np.radians(1e-9))
    assert outline(cards, (1489, 2048)).shape == (4, 2)
