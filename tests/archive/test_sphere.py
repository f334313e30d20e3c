"""Geometry against 80-bit arithmetic, brute force and shapes that are known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from corecube.archive.footprints import Footprints
from corecube.archive.polygon import Polygon
from corecube.archive.regions import Box, Cone, Region
from corecube.archive.ringgrid import RingGrid
from corecube.archive.sphere import (
    ARCSEC,
    half_width,
    half_widths,
    haversine,
    normalize_ra,
    positions,
    separation,
    unit_vectors,
)
from corecube.errors import QueryError

# Corners of HEALPix base cells, poles, the turn of RA.
RAS = [0.0, 45.0, 90.0, 180.0, 270.0, 315.0, 359.9999999, 360.0, 1e-9, -1e-20, -10.0]
DECS = [0.0, 90.0, -90.0, 89.9999, -89.9999, 41.8103148957786, -41.8103148957786, 60.0]
ras = st.one_of(st.sampled_from(RAS), st.floats(-360.0, 720.0))
decs = st.one_of(st.sampled_from(DECS), st.floats(-90.0, 90.0))
radii = st.one_of(
    st.sampled_from([0.0, ARCSEC, 3 * ARCSEC, 1 / 60, 1.0, 30.0, 90.0, 179.0, 180.0]),
    st.floats(0.0, 180.0),
)

LONG = np.finfo(np.longdouble).eps < 1e-18
PI = np.longdouble("3.14159265358979323846264338327950288")


def long_separation(ra1: Any, dec1: Any, ra2: Any, dec2: Any) -> Any:
    """Vincenty's formula in 80-bit arithmetic: another formula, 2000 times finer."""
    a1, d1, a2, d2 = (np.asarray(x, np.longdouble) * (PI / 180) for x in (ra1, dec1, ra2, dec2))
    da = a2 - a1
    y = np.hypot(
        np.cos(d2) * np.sin(da),
        np.cos(d1) * np.sin(d2) - np.sin(d1) * np.cos(d2) * np.cos(da),
    )
    x = np.sin(d1) * np.sin(d2) + np.cos(d1) * np.cos(d2) * np.cos(da)
    return np.arctan2(y, x) * (180 / PI)


def sky(rng: np.random.Generator, number: int) -> tuple[Any, Any]:
    return rng.uniform(0, 360, number), np.degrees(np.arcsin(rng.uniform(-1, 1, number)))


def offset(ra: Any, dec: Any, angle: Any, distance: Any) -> tuple[Any, Any]:
    """Walk a distance (degrees) from positions, at a position angle (radians)."""
    v = unit_vectors(ra, dec)
    north = unit_vectors(ra, np.asarray(dec) + 90.0)
    east = np.cross(north, v)
    s = np.radians(distance)[..., np.newaxis]
    angle = np.asarray(angle)[..., np.newaxis]
    return positions(np.cos(s) * v + np.sin(s) * (np.cos(angle) * north + np.sin(angle) * east))


@given(ra=ras)
def test_normalize_ra(ra: float) -> None:
    value = float(normalize_ra(ra))
    assert 0.0 <= value < 360.0
    if 0.0 <= ra < 360.0:
        assert value == ra
    else:
        assert math.isclose(math.cos(math.radians(value - ra)), 1.0, abs_tol=1e-12)


def test_normalize_ra_at_the_end_of_the_turn() -> None:
    assert np.mod(-1e-20, 360.0) == 360.0  # the trap
    np.testing.assert_array_equal(normalize_ra([-1e-20, 360.0, 720.0, -360.0]), 0.0)
    assert np.isnan(normalize_ra([np.nan, np.inf, -np.inf])).all()


@pytest.mark.parametrize(
    ("one", "other", "degrees", "tolerance"),
    [
        ((10, 89.9999), (190, 89.9999), 2.0e-4, 1e-13),
        ((359.99999, -45), (0.00001, -45), 1.41421356e-5, 1e-13),
        ((150.1, 2.2), (150.2, 2.3), 0.14136684235864, 1e-13),
        ((0, 0), (180, 1e-7), 179.9999999, 3e-14),
        ((0, 0), (180, 0), 180.0, 0.0),
        ((77, 90), (200, 90), 0.0, 1e-13),
        ((12.5, -30), (12.5, -30), 0.0, 0.0),
    ],
)
def test_golden_separations(
    one: tuple[float, float], other: tuple[float, float], degrees: float, tolerance: float
) -> None:
    assert abs(float(separation(*one, *other)) - degrees) <= tolerance
    assert abs(float(separation(*other, *one)) - degrees) <= tolerance


@pytest.mark.skipif(not LONG, reason="needs the 80-bit numbers of x86 to be the reference")
@pytest.mark.parametrize(
    "distance",
    [1e-6 * ARCSEC, 0.1 * ARCSEC, 1.0, 89.9999, 90.0001, 179, 179.99, 180 - 1e-3 * ARCSEC],
)
def test_separation_everywhere(distance: float) -> None:
    rng = np.random.default_rng(5)
    ra, dec = sky(rng, 3000)
    dec[:1000] = np.copysign(90 - 10 ** rng.uniform(-6, 1, 1000), dec[:1000])
    ra2, dec2 = offset(ra, dec, rng.uniform(0, 2 * np.pi, 3000), np.full(3000, distance))
    error = np.abs(separation(ra, dec, ra2, dec2) - long_separation(ra, dec, ra2, dec2)) / ARCSEC
    # Numbers near 180 are 1.0e-10 arcsec apart, RA differences near 360 twice that.
    assert float(error.max()) < 3e-10


def test_separation_of_nothing() -> None:
    assert np.isnan(separation(np.nan, 0, 1, 1))
    assert np.isnan(separation([np.inf], 0, 1, 1)).all()
    assert separation(np.zeros(0), np.zeros(0), 1, 1).shape == (0,)


def brute(ra: Any, dec: Any, cone: Cone) -> Any:
    """Decide by the haversine formula written out, or that of the antipode beyond 90 degrees."""
    if cone.radius >= 180:
        return np.isfinite(ra) & np.isfinite(dec)
    with np.errstate(invalid="ignore"):
        if cone.radius <= 90:
            edge = np.sin(np.radians(cone.radius) * 0.5)
            return haversine(cone.ra, cone.dec, ra, dec) <= edge * edge
        return separation(cone.ra, cone.dec, ra, dec) <= cone.radius


@given(ra=ras, dec=decs, radius=radii)
def test_cone_decides_by_distance(ra: float, dec: float, radius: float) -> None:
    rng = np.random.default_rng(7)
    cone = Cone(ra, dec, radius)
    near = offset(np.full(200, ra), dec, rng.uniform(0, 7, 200), radius * rng.uniform(0, 1.5, 200))
    far = sky(rng, 200)
    a, d = np.concatenate([near[0], far[0]]), np.concatenate([near[1], far[1]])
    inside = cone.contains(a, d)
    apart = separation(ra, dec, a, d)
    # 1e-12 degrees are 4e-9 arcsec: what rounding leaves open.
    clear = np.abs(apart - radius) > 1e-12
    np.testing.assert_array_equal(inside[clear], (apart <= radius)[clear])
    one_by_one = [bool(cone.contains(x, y)) for x, y in zip(a, d, strict=True)]
    np.testing.assert_array_equal(inside, one_by_one)


def test_cone_edges() -> None:
    nan, inf = np.nan, np.inf
    ra = np.array([10.0, 10.0, 10.0, nan, 10.0, inf, 370.0])
    dec = np.array([20.0, 20.5, np.nextafter(20.5, 21), 20.0, nan, 20.0, 20.0])
    yes, no = True, False
    assert Cone(10, 20, 0).contains(ra, dec).tolist() == [yes, no, no, no, no, no, no]
    assert Cone(10, 20, 0.5).contains(ra, dec).tolist() == [yes, yes, no, no, no, no, yes]
    assert Cone(10, 20, 180).contains(ra, dec).tolist() == [yes, yes, yes, no, no, no, yes]
    assert Cone(10, 20, 180).contains(190.0, -20.0)
    assert not Cone(10, 20, 179.9999999).contains(190.0, -20.0)
    assert Cone(0, 90, 1).contains(np.array([[1.0, 200.0]]), np.array([[89.5, 88.0]])).tolist() == [
        [yes, no]
    ]


@pytest.mark.parametrize(
    "numbers",
    [(0, 0, -1), (0, 0, math.nan), (0, 0, 180.1), (0, 91, 1), (0, math.nan, 1), (math.inf, 0, 1)],
)
def test_cone_refuses(numbers: tuple[float, float, float]) -> None:
    with pytest.raises(QueryError):
        Cone(*numbers)


@pytest.mark.parametrize(
    ("numbers", "points", "inside"),
    [
        ((350, 10, -5, 5), [(0, 0), (355, 5), (10, -5), (10.0001, 0), (180, 0)], "11100"),
        ((-10, 10, -5, 5), [(0, 0), (350, 0), (-10, 0), (349.9, 0)], "1110"),
        ((0, 360, 80, 90), [(0, 80), (359, 90), (180, 79)], "110"),
        ((-180, 180, 0, 1), [(180, 0), (0, 1), (-180, 1)], "111"),
        ((10, 360, 0, 1), [(0, 0), (360, 0), (9.9, 0), (10, 0), (-1e-20, 0)], "11011"),
        ((10, 10, 0, 1), [(10, 0), (370, 1), (190, 0)], "110"),
        ((360, 0, 0, 1), [(0, 0), (1, 0)], "10"),
        ((0, 1, 0, 0), [(0.5, 0), (0.5, 1e-300)], "10"),
        ((0, 1, -90, 90), [(0.5, 90), (math.nan, 0), (0.5, math.nan), (math.inf, 0)], "1000"),
        ((0, 360, -90, 90), [(math.nan, 0), (math.inf, 0), (5, 5)], "001"),
    ],
)
def test_box(
    numbers: tuple[float, float, float, float], points: list[tuple[float, float]], inside: str
) -> None:
    ra, dec = np.array(points).T
    assert "".join("01"[int(x)] for x in Box(*numbers).contains(ra, dec)) == inside


@pytest.mark.parametrize(
    "numbers",
    [(0, 1, 2, 1), (0, 1, -91, 0), (0, 361, 0, 1), (math.nan, 1, 0, 1), (0, 1, 0, math.nan)],
)
def test_box_refuses(numbers: tuple[float, float, float, float]) -> None:
    with pytest.raises(QueryError):
        Box(*numbers)


STAR = [(0, 3), (0.7, 1), (3, 1), (1.2, -0.4), (2, -3), (0, -1.2), (-2, -3), (-1.2, -0.4), (-3, 1),
        (-0.7, 1)]  # fmt: skip


def placed(plane: Any, ra: float, dec: float) -> Any:
    """Put a figure of a tangent plane, in degrees, on the sky."""
    x, y = np.radians(np.asarray(plane, dtype=np.float64)).T
    v, north = unit_vectors(ra, dec), unit_vectors(ra, dec + 90.0)
    east = np.cross(north, v)
    return np.stack(positions(v + x[:, None] * east + y[:, None] * north), axis=-1)


def in_plane(plane: Any, points: Any) -> Any:
    """Winding number in the plane, an algorithm other than that of Polygon."""
    plane, points = np.asarray(plane, np.float64), np.asarray(points, np.float64)
    towards = plane[np.newaxis] - points[:, np.newaxis]
    angle = np.arctan2(towards[..., 1], towards[..., 0])
    turn = np.mod(np.roll(angle, -1, axis=1) - angle + np.pi, 2 * np.pi) - np.pi
    return np.abs(turn.sum(axis=1)) > np.pi


@given(
    ra=ras,
    dec=decs,
    scale=st.sampled_from([1e-4, 0.01, 1.0, 10.0]),
    reverse=st.booleans(),
    shift=st.integers(0, 9),
)
def test_polygon_concave(ra: float, dec: float, scale: float, reverse: bool, shift: int) -> None:
    rng = np.random.default_rng(11)
    figure = np.roll(np.array(STAR) * scale, shift, axis=0)
    points = rng.uniform(-3.5 * scale, 3.5 * scale, (500, 2))
    polygon = Polygon(placed(figure[::-1] if reverse else figure, ra, dec))
    a, d = placed(points, ra, dec).T
    np.testing.assert_array_equal(polygon.contains(a, d), in_plane(figure, points))
    assert polygon.contains(*polygon.vertices.T).all()
    assert not polygon.contains(*sky_away(ra, dec)).any()
    assert not polygon.contains([np.nan, a[0], np.inf], [d[0], np.nan, d[0]]).any()


def sky_away(ra: float, dec: float) -> tuple[Any, Any]:
    a, d = sky(np.random.default_rng(2), 300)
    far = separation(ra, dec, a, d) > 45
    return np.append(a[far], ra + 180), np.append(d[far], -dec)


@given(ra=ras, dec=decs, scale=st.sampled_from([ARCSEC, 0.1, 20.0]))
def test_polygon_edges_are_inside(ra: float, dec: float, scale: float) -> None:
    polygon = Polygon(placed(np.array(STAR) * scale, ra, dec))
    share = np.linspace(0, 1, 7)[:, None, None]
    middle = polygon.vectors + share * (polygon.ends - polygon.vectors)
    assert polygon.contains(*positions(middle)).all()


def test_polygon_golden() -> None:
    square = Polygon([(359, -1), (1, -1), (1, 1), (359, 1), (359, -1)])
    assert len(square.vertices) == 4
    # The upper edge is a great circle: it rises to atan(tan(1 deg) / cos(1 deg)) at RA 0.
    top = math.degrees(math.atan(math.tan(math.radians(1)) / math.cos(math.radians(1))))
    ra = [0, 0, 0, 1, 359, 180, 1.0001]
    dec = [0, top - 1e-9, top + 1e-9, 0, 0, 0, 0]
    assert square.contains(ra, dec).tolist() == [True, True, False, True, True, False, False]
    low, high = square.dec_range()
    assert low == pytest.approx(-top, abs=1e-6) and high == pytest.approx(top, abs=1e-6)
    cap = Polygon([(0, 80), (120, 80), (240, 80)])
    assert cap.contains([0, 60, 0], [90, 84.9, 79]).tolist() == [True, False, False]
    # An edge rises between its ends, here to:
    lowest = math.degrees(math.atan(math.tan(math.radians(80)) / math.cos(math.radians(60))))
    assert cap.contains([60, 60], [lowest + 1e-9, lowest - 1e-9]).tolist() == [True, False]
    assert cap.dec_range()[1] == 90.0
    octant = Polygon([(0, 0), (90, 0), (0, 90)])
    a, d = sky(np.random.default_rng(3), 5000)
    np.testing.assert_array_equal(octant.contains(a, d), (a <= 90) & (d >= 0))
    wide = Polygon([(0, -1), (120, -1), (240, -1)])  # a hemisphere and more
    assert wide.contains(0, -90) and not wide.contains(0, 90)


@pytest.mark.parametrize(
    ("vertices", "reason"),
    [
        ([(0, 0), (1, 0)], "3 to"),
        ([(0, 0), (1, 0), (0, 0), (1, 0)], "no area"),
        ([(0, 0), (1, 0), (1, 0), (0, 0)], "3 to"),
        ([(0, 0), (1, 0), (2, 0)], "no area"),
        ([(0, 0), (1, 1), (1, 0), (0, 1)], "cross"),
        ([(0, 0), (1, 0), (0, math.nan)], "finite"),
        ([(0, 0), (1, 0), (0, 91)], "declination"),
        ([(0, 0), (120, 0), (240, 0)], "89.9"),
        ([(0, 0, 1), (1, 0, 1), (0, 1, 1)], "pairs"),
        ("square", "pairs"),
        ([(0, 0), (1,)], "pairs"),
    ],
)
def test_polygon_refuses(vertices: Any, reason: str) -> None:
    with pytest.raises(QueryError, match=reason):
        Polygon(vertices)


@st.composite
def regions(draw: st.DrawFn) -> Region:
    kind = draw(st.sampled_from(["cone", "box", "polygon"]))
    ra, dec = draw(ras), draw(decs)
    if kind == "cone":
        return Cone(ra, dec, draw(radii))
    if kind == "box":
        other = draw(decs)
        width = draw(st.one_of(st.sampled_from([0.0, 1e-9, 180.0, 360.0]), st.floats(0, 360)))
        end = ra + width
        assume(abs(end - ra) <= 360)
        return Box(ra, end, min(dec, other), max(dec, other))
    scale = draw(st.sampled_from([1e-3, 0.1, 1.0, 10.0, 25.0]))
    squeeze = draw(st.sampled_from([1.0, 0.01]))
    return Polygon(placed(np.array(STAR) * scale * [squeeze, 1.0], ra, dec))


@given(region=regions(), cell=st.sampled_from([4.0, 7.3, 60.0, 600.0]))
def test_coverage_is_inclusive(region: Region, cell: float) -> None:
    """Whatever a region contains lies in its circle, its zones and their RA intervals."""
    rng = np.random.default_rng(13)
    center, radius = region.circle()
    ra0, dec0 = positions(center)
    angle, share = rng.uniform(0, 7, 400), rng.uniform(0, 1, 400) ** 0.5
    near = offset(np.full(400, float(ra0)), float(dec0), angle, share * radius)
    a, d = (np.concatenate(pair) for pair in zip(near, sky(rng, 400), strict=True))
    if isinstance(region, Polygon):
        share3 = np.linspace(0, 1, 20)[:, None, None]
        edge = positions(region.vectors + share3 * (region.ends - region.vectors))
        a, d = (np.concatenate([p, q.ravel()]) for p, q in zip((a, d), edge, strict=True))
    a = normalize_ra(a)
    inside = region.contains(a, d)
    a, d = a[inside], d[inside]
    assert np.all(separation(ra0, dec0, a, d) <= radius + 1e-6)
    low, high = region.dec_range()
    assert np.all((d >= low) & (d <= high))
    grid = RingGrid(cell)
    first, last = grid.zone_of(low), grid.zone_of(high)
    zone, ra_from, ra_to = region.ra_intervals(*grid.zone_edges(first, last))
    assert np.all((ra_from >= 0) & (ra_from <= ra_to) & (ra_to <= 360))
    begin, end = grid.cell_ranges(zone + first, ra_from, ra_to)
    cell_number = grid.cell(grid.zone(d), a)
    held = (cell_number[:, None] >= begin) & (cell_number[:, None] < end)
    assert held.any(axis=1).all()


@given(dec=decs, radius=st.floats(0, 89), ra=ras)
def test_half_widths_hold_the_circle(dec: float, radius: float, ra: float) -> None:
    edge_ra, edge_dec = offset(
        np.full(500, ra), dec, np.linspace(0, 2 * np.pi, 500), np.full(500, radius)
    )
    away = np.abs(np.mod(edge_ra - ra + 180, 360) - 180)
    assert np.all(away <= half_width(dec, radius))
    low = np.floor(edge_dec)
    assert np.all(away <= half_widths(dec, radius, low, low + 1))


def test_half_width_is_not_the_flat_one() -> None:
    # asin(sin R / cos d), against R / cos d = 28.65 degrees
    assert half_width(89.9, 0.05) == pytest.approx(30.0, abs=1e-3)
    assert half_width(89.9, 0.1) == 180.0


@pytest.mark.parametrize("cell", [0.5, 4.0, 60.0, 7.3])
def test_grid_counts_do_not_hang_on_the_last_digit(cell: float) -> None:
    """No number of cells is so near a whole one that another cosine could change it."""
    grid = RingGrid(cell)
    height = cell / 60
    low = np.arange(grid.zones) * height - 90
    nearest = np.where(low >= 0, low, np.maximum(-low - height, 0))
    exact = 360 * np.cos(np.radians(nearest)) / height + 1e-6
    assert np.min(np.abs(exact - np.round(exact))) > 1e-10
    assert grid.zones == round(180 / height + (0.49 if cell == 7.3 else 0))
    assert grid.zone(90.0) == grid.zone_of(90.0) == grid.zones - 1
    assert grid.zone(-90.0) == grid.zone_of(-90.0) == 0
    # Cells are as wide as high, at most.
    wide = 360 / grid.cells_in_zone * np.cos(np.radians(nearest))
    assert np.all(wide[grid.cells_in_zone > 1] >= height * (1 - 1e-9))


FRAME = np.array([(-6.75, -4.9), (6.75, -4.9), (6.75, 4.9), (-6.75, 4.9)]) / 60


def test_footprints_that_match_nothing() -> None:
    good = placed(FRAME, 10, 10)
    prints = Footprints(
        [None, [], good, good[:2], np.full((4, 2), np.nan), [(0, 0), (1, 0), (0, 95)], good[:3]]
    )
    assert len(prints) == 7
    expected = [False, False, True, False, False, False, True]
    everything: list[Region] = [
        Cone(0, 0, 180),
        Box(0, 360, -90, 90),
        Polygon([(9, 9), (11, 9), (11, 11), (9, 11)]),
    ]
    for region in everything:
        assert prints.touches(region).tolist() == expected
    assert prints.contains_point(10.0, 10.0).tolist()[2]
    assert not prints.contains_point(math.nan, 10.0).any()
    assert not prints.contains_point(190.0, -10.0).any()
    assert Footprints([]).touches(Cone(0, 0, 1)).shape == (0,)
    assert Footprints([None]).touches(Cone(0, 0, 180)).tolist() == [False]
    with pytest.raises(ValueError, match="shape"):
        Footprints([np.zeros(3)])


def frames(rng: np.random.Generator, ra: float, dec: float, spread: float, size: float) -> Any:
    """Rotated frames and hexagons around a position, some of them mirrored."""
    made = []
    for number in range(25):
        turn = rng.uniform(0, 7)
        figure = FRAME if number % 3 else np.stack(
            [np.cos(np.arange(6) * np.pi / 3), np.sin(np.arange(6) * np.pi / 3)], axis=1
        ) / 10  # fmt: skip
        figure = figure @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
        figure = figure[:: rng.choice([1, -1])] * size
        made.append(placed(figure + rng.uniform(-spread, spread, 2), ra, dec))
    return made


def samples(corners: Any, number: int) -> tuple[Any, Any]:
    """Cover a convex footprint with points: its edges densely, its inside with a fan."""
    v = unit_vectors(*np.asarray(corners).T)
    share = np.linspace(0, 1, number)[:, None, None]
    edge = (v + share * (np.roll(v, -1, axis=0) - v)).reshape(-1, 3)
    middle = v.mean(axis=0)
    inner = middle + np.linspace(0, 1, 12)[:, None, None] * (edge - middle)
    return positions(inner.reshape(-1, 3))


@settings(max_examples=40)
@given(
    ra=ras,
    dec=decs,
    size=st.sampled_from([0.3, 1.0, 20.0, 200.0]),
    kind=st.sampled_from(["cone", "box", "polygon"]),
    reach=st.sampled_from([0.0, 0.02, 0.3, 1.0, 2.0]),
    seed=st.integers(0, 1000),
)
def test_footprints_against_sampling(
    ra: float, dec: float, size: float, kind: str, reach: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    corners = frames(rng, ra, dec, 0.5 * size, size)
    prints = Footprints(corners)
    scale = reach * size
    if kind == "cone":
        region: Region = Cone(ra, dec, min(180.0, scale / 2))
    elif kind == "polygon":
        region = Polygon(placed(np.array(STAR) * max(0.02 * size, scale / 6), ra, dec))
    else:
        width = min(360.0, scale / max(0.01, math.cos(math.radians(dec))))
        low, high = max(-90.0, dec - scale / 2), min(90.0, dec + scale / 3)
        region = Box(ra - width / 2, ra - width / 2 + width, low, high)
    touched = prints.touches(region)
    for number, corner in enumerate(corners):
        a, d = samples(corner, 200)
        hit = bool(region.contains(a, d).any())
        if isinstance(region, Cone):
            hit = hit or bool(prints.contains_point(region.ra, region.dec)[number])
            nearest = float(separation(region.ra, region.dec, a, d).min())
            # Points on the edges are up to 0.2 / 200 of the frame apart.
            if not hit and abs(nearest - region.radius) < 1e-3 * size:
                continue
        elif not hit and touched[number]:
            # A sample may miss a corner of the region that just looks in: look closer there.
            hit = _just_inside(region, corner)
        assert touched[number] == hit, (region, corner)
    point = prints.contains_point(ra, dec)
    inside = [bool(Polygon(corner).contains(ra, dec)) for corner in corners]
    assert point.tolist() == inside


def _just_inside(region: Region, corner: Any) -> bool:
    """Look for a common point among points of the region's own."""
    frame = Polygon(corner)
    if isinstance(region, Polygon):
        share = np.linspace(0, 1, 2000)[:, None, None]
        outline = region.vectors + share * (region.ends - region.vectors)
        return bool(frame.contains(*positions(outline)).any())
    assert isinstance(region, Box)
    a = region.ra_min + np.linspace(0, region.width, 4000)
    d = np.linspace(region.dec_min, region.dec_max, 4000)
    a = np.concatenate([a, a, np.full(4000, region.ra_min), np.full(4000, region.ra_max)])
    d = np.concatenate([np.full(4000, region.dec_min), np.full(4000, region.dec_max), d, d])
    return bool(frame.contains(a, d).any())


def test_footprints_known_touches() -> None:
    square = [(359, -1), (1, -1), (1, 1), (359, 1)]
    polar = [(0, 89), (90, 89), (180, 89), (270, 89)]
    prints = Footprints([square, square[::-1], polar])

    def touched(region: Region) -> str:
        return "".join("01"[int(x)] for x in prints.touches(region))

    # The centre is 2 degrees away from the frame's centre, the edge 1 degree.
    assert touched(Cone(2, 0, 1 + 1e-8)) == "110"
    assert touched(Cone(2, 0, 1 - 1e-3)) == "000"
    assert touched(Cone(358, 0, 1 + 1e-8)) == "110"
    assert touched(Cone(0, 0, 0)) == "110"
    assert touched(Cone(77, 89.999, 0)) == "001"
    assert touched(Cone(180, 0, 179)) == "111"
    assert touched(Cone(180, 0, 178)) == "001"
    assert touched(Box(0, 360, 89.9999, 90)) == "001"
    assert touched(Box(0, 360, 88, 88.5)) == "000"
    assert touched(Box(0, 360, 89.5, 89.6)) == "001"
    assert touched(Box(359.9, 0.1, -0.1, 0.1)) == "110"
    assert touched(Box(-5, 5, 0.5, 0.6)) == "110"
    # Only the bulge of the frame's upper edge, above dec 1, reaches this box, and no corner.
    assert touched(Box(359.8, 0.2, 1.0001, 2)) == "110"
    assert touched(Box(359.8, 0.2, 1.001, 2)) == "000"
    assert touched(Polygon([(-3, -0.1), (3, -0.1), (3, 0.1), (-3, 0.1)])) == "110"
    # Corners 2 and 4 of this one lie on the frame's upper edge, on the great circle itself.
    top = math.degrees(math.atan(math.tan(math.radians(1)) / math.cos(math.radians(1))))
    assert touched(Polygon([(0, 3), (-0.5, top), (0, 0.5), (0.5, top)])) == "110"
    assert touched(Polygon([(0, 5), (-1, 4), (1, 4)])) == "000"


def test_many_footprints() -> None:
    """As many as a survey has; each is found from a point of its own."""
    rng = np.random.default_rng(23)
    number = 100_000
    ra, dec = sky(rng, number)
    v, north = unit_vectors(ra, dec), unit_vectors(ra, dec + 90.0)
    east = np.cross(north, v)
    x, y = np.radians(FRAME).T
    vectors = v[:, None] + x[:, None] * east[:, None] + y[:, None] * north[:, None]
    corners: npt.NDArray[np.float64] = np.stack(positions(vectors), axis=-1)
    prints = Footprints(corners)
    for row in rng.integers(0, number, 20).tolist():
        assert prints.contains_point(ra[row], dec[row])[row]
        found = np.flatnonzero(prints.touches(Cone(ra[row], dec[row], 0.5)))
        # 0.5 degrees and the 0.139 degrees of half a diagonal bound what can be found.
        apart = separation(ra[row], dec[row], ra, dec)
        assert set(np.flatnonzero(apart <= 0.5)) <= set(found)
        assert np.all(apart[found] <= 0.5 + 0.14)
    assert prints.touches(Cone(0, 0, 180)).all()
