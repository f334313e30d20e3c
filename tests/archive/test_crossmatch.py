"""Many positions at once: the same answers as one cone after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import corecube
from corecube.archive.footprints import Footprints
from corecube.archive.reader import Archive
from corecube.archive.regions import Cone
from corecube.errors import QueryError
from corecube.pipeline import Options, ingest
from corecube.plugins import load

PLACES = [(0.0, 0.0), (359.9999, 0.0), (45.0, 41.8), (10.0, 89.999), (190.0, 89.999)]
"""Where fibres and images are crowded."""


@pytest.fixture
def archive(toy: Any, tmp_path: Path) -> Iterator[Archive]:
    """Three shots of fibres, two of them in two groups of files, and images, at awkward places."""
    rng = np.random.default_rng(3)
    for number in range(3):
        ra, dec = np.repeat(PLACES, 6, axis=0).T + rng.normal(0, 2e-3, (2, 30))
        toy.fibers(
            tmp_path / f"{number}.toy", f"plate/{number}", f"e{number}", seed=number,
            ra=[*(ra % 360.0), np.nan], dec=[*np.clip(dec, -90, 90), np.nan],
        )  # fmt: skip
    for number, (ra, dec) in enumerate(PLACES[:4]):
        toy.image(tmp_path / f"i{number}.toy", f"field/{number}", "r", ra=ra, dec=dec, seed=number)
    path = tmp_path / "a.corecube"
    ingest([str(f) for f in tmp_path.glob("*.toy")], path, load("toy"), toy.ToyConfig(), Options())
    with corecube.open(path) as opened:
        yield opened


@st.composite
def targets(draw: st.DrawFn) -> tuple[Any, Any, Any]:
    """Positions near the crowded places, and anywhere, with a radius each."""
    near = st.tuples(st.sampled_from(PLACES), st.floats(-4e-3, 4e-3), st.floats(-4e-3, 4e-3))
    ra, dec, radius = [], [], []
    for (a, d), x, y in draw(st.lists(near, max_size=6)):
        ra.append((a + x) % 360.0)
        dec.append(min(90.0, d + y))
    for a, d in draw(
        st.lists(st.tuples(st.floats(0, 360), st.floats(-90, 90)), min_size=1, max_size=3)
    ):
        ra.append(a)
        dec.append(d)
    sizes = st.sampled_from([0.0, 5e-4, 3e-3, 0.1, 89.0, 91.0, 180.0])
    radius = draw(st.lists(sizes, min_size=len(ra), max_size=len(ra)))
    return np.array(ra), np.array(dec), np.array(radius)


def same(one: Any, other: Any) -> None:
    """Two tables with the same columns and values."""
    assert one.names == other.names and len(one) == len(other)
    for name in one:
        equal_nan = one[name].dtype.kind == "f"
        assert np.array_equal(one[name].values, other[name].values, equal_nan=equal_nan), name


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(targets(), st.sampled_from([{}, {"size": 30}, {"where": "z > 2"}, {"exposures": True}]))
def test_a_crossmatch_is_a_cone_for_each_position(
    archive: Archive, asked: tuple[Any, Any, Any], select: dict[str, Any]
) -> None:
    ra, dec, radius = asked
    found = archive.crossmatch((ra, dec), radius, columns=["z"], **select)
    empty = []
    for number in range(len(ra)):
        alone = archive.cone((ra[number], dec[number]), float(radius[number]), columns=["z"],
                             **select)  # fmt: skip
        same(found.fibers.take(found.fiber_matches.target == number), alone.fibers)
        same(found.images.take(found.image_matches.target == number), alone.images)
        empty += [] if len(alone) else [number]
    assert found.unmatched.tolist() == empty
    assert len(found) == len(found.fibers) + len(found.images)
    places = found.fiber_places
    assert [p[0].key for p in places] == found.fibers["shot"].values.tolist()


@given(st.integers(0, 10**6))
def test_footprints_and_circles_in_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, many = int(rng.integers(1, 12)), int(rng.integers(1, 20))
    corners: list[Any] = []
    for _ in range(count):
        middle = np.array([rng.uniform(0, 360), rng.choice([-89.9, -30.0, 0.0, 60.0, 89.95])])
        size = rng.choice([0.05, 0.5, 5.0])
        square = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * size / 2
        square[:, 0] /= max(np.cos(np.radians(middle[1])), 0.01)
        square += middle
        good = np.abs(square[:, 1]) <= 90
        corners.append(square if good.all() else None)
    prints = Footprints(corners)
    ra, dec = rng.uniform(0, 360, many), rng.uniform(-90, 90, many)
    known = [c for c in corners if c is not None]
    for number in range(0, many, 2):  # half of them at a footprint
        if known:
            place = known[int(rng.integers(len(known)))].mean(axis=0) + rng.normal(0, 1, 2)
            ra[number], dec[number] = place[0] % 360, np.clip(place[1], -90, 90)
    radius = rng.choice([0.0, 0.01, 1.0, 20.0, 180.0], many)
    pairs = set(zip(*(part.tolist() for part in prints.touches_many(ra, dec, radius)), strict=True))
    expected = {
        (print_, circle)
        for circle in range(many)
        for print_ in np.flatnonzero(
            prints.touches(Cone(ra[circle], dec[circle], radius[circle]))
        ).tolist()
    }
    assert pairs == expected
    rows = np.repeat(np.arange(count), many)
    holds = prints.hold(rows, np.tile(ra, count), np.tile(dec, count)).reshape(count, many)
    for circle in range(many):
        assert np.array_equal(holds[:, circle], prints.contains_point(ra[circle], dec[circle]))


def test_targets_in_parts_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs are looked at in blocks, of which a wide footprint fills several."""
    from corecube.archive import footprints

    corners = [np.array([(0, 0), (9, 0), (9, 9), (0, 9)]) + shift for shift in range(5)]
    ra, dec = np.random.default_rng(0).uniform(-2, 15, (2, 500))
    whole = Footprints(corners).touches_many(ra % 360, dec, np.full(500, 0.3))
    monkeypatch.setattr(footprints, "_BLOCK", 37)
    parts = Footprints(corners).touches_many(ra % 360, dec, np.full(500, 0.3))
    assert len(whole[0]) > 500
    assert all(np.array_equal(one, other) for one, other in zip(whole, parts, strict=True))


def test_positions_come_as_tables_of_any_kind(archive: Archive) -> None:
    from astropy import units
    from astropy.coordinates import SkyCoord
    from astropy.table import QTable, Table

    ra, dec = np.array([0.0, 45.0, 120.0]), np.array([0.0, 41.8, 5.0])
    expected = archive.crossmatch((ra, dec), "20 arcsec")
    assert len(expected.fiber_matches) > 0 and expected.unmatched.tolist() == [2]
    for positions in (
        Table({"ra": ra, "dec": dec, "name": ["a", "b", "c"]}),
        QTable({"RA": (ra / 15) * units.hourangle, "DEC": dec * units.deg}),
        SkyCoord(ra, dec, unit="deg"),
        SkyCoord(ra, dec, unit="deg").galactic,
        np.stack([ra, dec], axis=1),
        {"ra": ra.tolist(), "dec": dec.tolist()},
    ):
        found = archive.crossmatch(positions, "20 arcsec").fiber_matches
        assert np.array_equal(found.target, expected.fiber_matches.target)
        assert np.array_equal(found.row, expected.fiber_matches.row)


@pytest.mark.parametrize(
    ("positions", "said"),
    [
        (([1.0, np.nan], [0.0, 0.0]), "RA is not finite in 1 of 2 positions, first in row 1"),
        (([1.0, 2.0], [0.0, 91.0]), "declination .* first in row 1"),
        (([1.0, 2.0], [0.0]), "two columns of one length"),
        (SimpleNamespace(names=("alpha", "delta")), "with alpha, delta"),
        (7, "this is int"),
        ((["x"], ["y"]), "holds text"),
    ],
)
def test_wrong_positions_are_refused(archive: Archive, positions: Any, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        archive.crossmatch(positions, "1 arcsec")


def test_tables_are_read_when_looked_at(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without filters a cone opens no shot file; an unknown column is refused at once."""
    asked: list[str] = []
    shot = Archive.shot

    def watched(self: Archive, record: Any) -> Any:
        asked.append(record.identity)
        return shot(self, record)

    monkeypatch.setattr(Archive, "shot", watched)
    found = archive.cone((0.0, 0.0), "20 arcsec")
    assert len(found.fiber_matches) > 3 and not asked
    assert np.all(np.diff(found.fiber_matches.separation) >= 0)
    assert len(found.fibers) == len(found.fiber_matches) and asked
    with pytest.raises(QueryError, match="no column 'zz'"):
        archive.cone((0.0, 0.0), 1.0, columns=["zz"])


def test_no_positions_at_all(archive: Archive) -> None:
    found = archive.crossmatch(([], []), "1 arcsec", size=20)
    assert len(found) == 0 and len(found.fibers) == 0 and found.unmatched.tolist() == []
