"""Positions against real fibres, against vectors, and against astropy."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corecube_hetdex.astrometry import DITHERS, TangentPoint, focal_plane, separation

# The solution of shot 20190407v021 that its 29 published fibres give: one for all three exposures.
REAL = TangentPoint(182.25233093, 50.79466731, 291.669135)


def table(path: Path) -> dict[str, np.ndarray]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def test_real_fibres(hetdex_data: Path) -> None:
    rows = table(hetdex_data / "real_fibres" / "fibres29.csv")
    fpx, fpy, ra, dec = (rows[name].astype(float) for name in ("fpx", "fpy", "ra", "dec"))
    found_ra, found_dec = REAL.to_sky(fpx, fpy)
    east = (found_ra - ra) * np.cos(np.radians(dec)) * 3600
    north = (found_dec - dec) * 3600
    # 0.0117 arcsec in all: what float32 of the published ra and dec leaves
    assert np.sqrt(np.mean(east**2 + north**2)) == pytest.approx(0.0117, abs=0.0005)
    off = separation(found_ra, found_dec, ra, dec)
    np.testing.assert_allclose(off, np.hypot(east, north), atol=1e-6)


@pytest.mark.parametrize("name", ["fibres29.csv", "fibres_other_shots.csv"])
def test_dithers_of_real_fibres(hetdex_data: Path, name: str) -> None:
    rows = table(hetdex_data / "real_fibres" / name)
    for slot in np.unique(np.char.add(rows["shotid"], rows["ifuslot"])):
        mine = np.char.add(rows["shotid"], rows["ifuslot"]) == slot
        exposures = rows["expnum"][mine].astype(int)
        x = (rows["fpx"].astype(float) - rows["ifux"].astype(float))[mine]
        y = (rows["fpy"].astype(float) - rows["ifuy"].astype(float))[mine]
        for number, (dx, dy) in DITHERS.items():
            x[exposures == number] -= dx
            y[exposures == number] -= dy
        # the place of the IFU is one for all its fibres; files have float32 of three decimals
        assert np.ptp(x) < 2e-3 and np.ptp(y) < 2e-3


def test_slot_and_fibre_axes_are_swapped(hetdex_data: Path) -> None:
    rows = table(hetdex_data / "real_fibres" / "fibres29.csv")
    mine = rows["ifuslot"] == "092"
    ifupos = np.stack([rows[name][mine].astype(float) for name in ("ifux", "ifuy")], axis=1)
    for number in (1, 2, 3):
        these = rows["expnum"][mine].astype(int) == number
        # X_FP 349.802 and Y_FP 249.858 in the fplane of that night
        fpx, fpy = focal_plane(ifupos[these], (349.802, 249.858), number)
        np.testing.assert_allclose(fpx, rows["fpx"][mine][these].astype(float), atol=2e-3)
        np.testing.assert_allclose(fpy, rows["fpy"][mine][these].astype(float), atol=2e-3)


@given(
    st.floats(0, 360), st.floats(-89, 89), st.floats(0, 360),
    st.floats(-600, 600), st.floats(-600, 600),
)  # fmt: skip
def test_against_vectors(ra: float, dec: float, pa: float, x: float, y: float) -> None:
    from corecube_hetdex.simulate import to_sky

    one = TangentPoint(ra, dec, pa).to_sky([x], [y])
    other = to_sky((ra, dec, pa), np.array([x]), np.array([y]))
    assert float(separation(*one, *other)[0]) < 1e-6


def test_against_astropy() -> None:
    from astropy import units
    from astropy.coordinates import SkyCoord

    centre = SkyCoord(359.9961002573034, 51.35, unit="deg")
    x, y = np.array([48.79, 0.0, -300.0]), np.array([149.71, 0.0, 411.0])
    turn = np.radians(360 - (291.67 + 90))
    east = -(np.cos(turn) * x + np.sin(turn) * y)
    north = np.cos(turn) * y - np.sin(turn) * x
    distance = np.degrees(np.arctan(np.radians(np.hypot(east, north) / 3600)))
    expected = centre.directional_offset_by(np.arctan2(east, north) * units.rad,
                                            distance * units.deg)  # fmt: skip
    ra, dec = TangentPoint(359.9961002573034, 51.35, 291.67).to_sky(x, y)
    off = SkyCoord(ra, dec, unit="deg").separation(expected).arcsec
    assert off.max() < 1e-6
