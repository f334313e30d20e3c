"""Answers are exact: row for row what a float64 search of everything gives."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import corecube
from corecube.archive.reader import Archive
from corecube.errors import QueryError
from corecube.pipeline import Options, ingest
from corecube.plugins import load

Make = Callable[[Path], None]
QUICK = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def made(toy: Any) -> Callable[..., Archive]:
    """An archive of what a function writes, ingested in two halves."""
    opened: list[Archive] = []

    def make(folder: Path, *more: dict[str, Any], halves: bool = True) -> Archive:
        files = sorted((folder / "raw").iterdir())
        path = folder / "a.corecube"
        parts = [files[::2], files[1::2]] if halves else [files]
        for part in parts:
            if part:
                ingest([str(f) for f in part], path, load("toy"), toy.ToyConfig(), Options())
        opened.append(corecube.open(path))
        return opened[-1]

    return make


# -- positions -------------------------------------------------------------------------------------

# a width of 360 degrees less 1e-100 is 360 in float64: the whole turn
RA = st.floats(0, 360, exclude_max=True).map(lambda x: x if x > 1e-100 else 0.0) | st.sampled_from(
    [0.0, 359.9999999, 1e-9, 180.0]
)
DEC = st.floats(-90, 90) | st.sampled_from([-90.0, 90.0, 0.0, 89.99999999, -89.9999999])
NOWHERE = st.just((math.nan, math.nan)) | st.tuples(RA, st.just(math.nan))


@st.composite
def skies(draw: st.DrawFn) -> list[tuple[float, float]]:
    """Positions anywhere, near a place, the same twice, and none."""
    places = draw(st.lists(st.tuples(RA, DEC), min_size=1, max_size=12))
    ra, dec = draw(st.tuples(RA, DEC))
    near = st.tuples(st.floats(-1e-3, 1e-3), st.floats(-1e-3, 1e-3))
    for x, y in draw(st.lists(near, max_size=8)):
        places.append(((ra + x) % 360.0, min(90.0, max(-90.0, dec + y))))
    places += draw(st.lists(st.sampled_from(places), max_size=3))
    places += draw(st.lists(NOWHERE, max_size=2))
    return draw(st.permutations(places))


def vectors(ra: Any, dec: Any) -> npt.NDArray[np.longdouble]:
    """Unit vectors in extended precision."""
    a, d = (np.radians(np.asarray(v, dtype=np.longdouble)) for v in (ra, dec))
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)


def distances(ra: Any, dec: Any, center: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Angles in degrees by atan2 of cross and dot product: good at all angles."""
    one, two = vectors(ra, dec), vectors(*center)
    cross = np.sqrt((np.cross(one, two) ** 2).sum(axis=-1))
    angles = np.degrees(np.arctan2(cross, (one * two).sum(axis=-1)))
    return np.asarray(angles, dtype=np.float64)


def found_places(table: Any) -> list[tuple[str, str]]:
    return sorted(zip(table["shot"].values.tolist(), table["id"].values.tolist(), strict=True))


@QUICK
@given(skies(), st.data())
def test_cones_boxes_and_polygons_give_what_a_search_of_all_rows_gives(
    toy: Any, made: Callable[..., Archive], sky: list[tuple[float, float]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        rows: list[tuple[str, str, float, float]] = []
        parts = [sky[0::3], sky[1::3], sky[2::3]]
        for number, part in enumerate(parts):
            if part:
                ra, dec = np.array(part).T
                toy.fibers(
                    raw / f"{number}.toy", f"plate/{number % 2}", f"e{number}", ra=ra, dec=dec
                )
                rows += [
                    (f"plate/{number % 2}", f"e{number}-{row}", *place)
                    for row, place in enumerate(part)
                ]
        with made(Path(folder)) as archive:
            ra, dec = np.array([row[2:] for row in rows]).T
            names = [row[:2] for row in rows]

            def expected(inside: npt.NDArray[np.bool_]) -> list[tuple[str, str]]:
                return sorted(name for name, one in zip(names, inside, strict=True) if one)

            assert found_places(archive.fibers()) == sorted(names)
            known = np.isfinite(ra) & np.isfinite(dec)
            everything = archive.cone((12.0, 34.0), 180.0).fibers
            assert found_places(everything) == expected(known)

            center = data.draw(st.tuples(RA, DEC) | st.sampled_from(sky))
            if not all(map(math.isfinite, center)):
                center = (0.0, 90.0)
            apart = distances(ra, dec, center)
            radius = data.draw(
                st.sampled_from([0.0, 1e-4, 0.5, 10.0, 89.0, 90.0, 91.0, 179.9, 180.0])
                | st.floats(0, 180)
                | st.sampled_from([*apart[known].tolist(), 1.0])
            )
            radius = min(radius, 180.0)
            found = set(found_places(archive.cone(center, radius).fibers))
            # within 1e-11 degrees (40 nanoarcseconds) of the edge float64 may decide either way
            assert set(expected(apart < radius - 1e-11)) <= found
            assert found <= set(expected(apart <= radius + 1e-11))
            if radius == 0.0:
                same = (ra % 360.0 == center[0] % 360.0) & (dec == center[1])
                assert set(expected(same)) <= found

            ra_min, ra_max = data.draw(st.tuples(RA, RA))
            dec_min, dec_max = sorted(data.draw(st.tuples(DEC, DEC)))
            turned = ra % 360.0  # a position at 360 is one at 0
            turn = (turned >= ra_min) & (turned <= ra_max)
            if ra_min > ra_max:
                turn = (turned >= ra_min) | (turned <= ra_max)
            inside = known & turn & (dec >= dec_min) & (dec <= dec_max)
            answer = archive.box(ra_min, ra_max, dec_min, dec_max).fibers
            assert found_places(answer) == expected(inside)

            # a convex polygon around a centre away from the poles
            middle = (data.draw(st.floats(0, 360)), data.draw(st.floats(-60, 60)))
            size = data.draw(st.floats(0.001, 20.0))
            angles = np.array([0.3, 1.7, 3.1, 4.9])
            corners = around(middle, size, angles)
            side = polygon_sides(corners, ra, dec)
            found = set(found_places(archive.polygon(corners.tolist()).fibers))
            assert set(expected(known & (side > 1e-12))) <= found
            assert found <= set(expected(known & (side >= -1e-12)))


def around(
    center: tuple[float, float], radius: float, angles: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return points on a circle, anticlockwise as seen from outside."""
    normal = vectors(*center).astype(np.float64)
    east = np.cross([0.0, 0.0, 1.0], normal)
    east /= np.linalg.norm(east)
    north = np.cross(normal, east)
    turned = np.cos(angles)[:, None] * east + np.sin(angles)[:, None] * north
    points = np.cos(np.radians(radius)) * normal + np.sin(np.radians(radius)) * turned
    ra = np.degrees(np.arctan2(points[:, 1], points[:, 0])) % 360.0
    return np.stack([ra, np.degrees(np.arcsin(points[:, 2]))], axis=1)


def polygon_sides(corners: npt.NDArray[np.float64], ra: Any, dec: Any) -> npt.NDArray[np.float64]:
    """Return the least distance (sine) to the sides: positive inside a convex polygon."""
    points = vectors(corners[:, 0], corners[:, 1])
    normals = np.cross(points, np.roll(points, -1, axis=0))
    normals /= np.sqrt((normals**2).sum(axis=1))[:, None]
    return np.asarray((vectors(ra, dec) @ normals.T).min(axis=1), dtype=np.float64)


# -- filters ---------------------------------------------------------------------------------------


@pytest.fixture
def archive(toy: Any, made: Callable[..., Archive], tmp_path: Path) -> Iterator[Archive]:
    raw = tmp_path / "raw"
    for number in range(2):
        toy.fibers(
            raw / f"f{number}.toy", f"plate/{number}", "e",
            ra=np.linspace(10, 11, 20), dec=np.linspace(-1, 1, 20), seed=number,
            exposures=bool(number),
        )  # fmt: skip
    for number, band in enumerate("gri"):
        toy.image(
            raw / f"{band}.toy", "field/1", band, ra=10.5, dec=0.0, shape=(40, 50), seed=number,
            start=52000.0 + number, end=52000.5 + number, target="M 1" if band == "r" else "",
        )  # fmt: skip
    toy.image(raw / "lab.toy", "lab/1", "x", ra=None, dec=None)
    with made(tmp_path) as opened:
        yield opened


def brute(archive: Archive) -> dict[str, Any]:
    """All rows, with their own columns, read from the shots one by one."""
    columns: dict[str, list[Any]] = {}
    for identity in ("toy/plate/0", "toy/plate/1"):
        block = archive.shot(identity).rows("stars", 0, 20)
        values = {c.name: v for c, v in block.columns.items()}
        values |= {"start": block.times.start, "end": block.times.end, "id": block.id}
        values["shot"] = [identity.removeprefix("toy/")] * 20
        for name, part in values.items():
            columns.setdefault(name, []).extend(np.asarray(part).tolist())
    return {name: np.array(part) for name, part in columns.items()}


def test_a_filter_on_columns_and_missing_values(archive: Archive) -> None:
    rows = brute(archive)
    z, count = rows["z"], rows["count"]
    known = count != -1
    assert np.isnan(z).any() and not known.all() and (rows["class"] == "").any()
    with np.errstate(invalid="ignore"):
        cases = {
            "z > 2": z > 2,
            "not z > 2": z <= 2,
            "z is missing": np.isnan(z),
            "count > 3": known & (count > 3),
            "count is missing": ~known,
            "not count in (1, 2)": known & ~np.isin(count, [1, 2]),
            "class == 'QSO'": rows["class"] == "QSO",
            "not class == 'QSO'": (rows["class"] != "QSO") & (rows["class"] != ""),
            "class is missing": rows["class"] == "",
            "toy.z > 2 and class == 'STAR'": (z > 2) & (rows["class"] == "STAR"),
            "z > 2 or count < 5": (z > 2) | (known & (count < 5)),
            "shot == 'plate/1'": rows["shot"] == "plate/1",
            "ra < 10.2 and group == 'stars'": np.tile(np.linspace(10, 11, 20) < 10.2, 2),
            "band == 'r'": np.zeros(40, bool),  # fibres have none: unknown
        }
    for where, expected in cases.items():
        found = archive.fibers(where)
        assert found_places(found) == sorted(
            zip(rows["shot"][expected].tolist(), rows["id"][expected].tolist(), strict=True)
        ), where


def test_columns_come_with_unit_and_missing(archive: Archive) -> None:
    rows = brute(archive)
    found = archive.fibers(columns=["z", "toy.count", "class"])
    order = [found_places(found).index(p) for p in zip(
        found["shot"].values.tolist(), found["id"].values.tolist(), strict=True)]  # fmt: skip
    assert len(set(order)) == 40
    key = {(s, i): n for n, (s, i) in enumerate(zip(rows["shot"], rows["id"], strict=True))}
    same = [key[p] for p in zip(found["shot"].values, found["id"].values, strict=True)]
    assert np.array_equal(found["z"].values, rows["z"][same], equal_nan=True)
    assert np.array_equal(found["toy.count"].mask, rows["count"][same] == -1)
    assert np.array_equal(found["class"].mask, rows["class"][same] == "")
    assert found["toy.count"].description == "Number of exposures."


def test_a_filter_on_time(archive: Archive) -> None:
    rows = brute(archive)
    for first, last in [(52003.2, 52005.1), (0.0, 52000.0), (52003.5, 52003.5), (6e4, 7e4)]:
        expected = (rows["start"] <= last) & (rows["end"] >= first)
        for time in ((first, last), f"{first!r}..{last!r}"):
            assert len(archive.fibers(time=time)) == np.count_nonzero(expected)
        images = archive.images(time=(first, last))
        starts = np.arange(3) + 52000.0
        spans = (starts <= last) & (starts + 0.5 >= first)
        assert sorted(images["band"].values) == [b for b, s in zip("gri", spans, strict=True) if s]


def test_filters_on_band_instrument_and_kind_of_group(archive: Archive) -> None:
    cone = ((10.5, 0.0), 0.1)
    assert sorted(archive.cone(*cone).images["band"].values) == ["g", "i", "r"]
    assert sorted(archive.cone(*cone, bands=("r", "g")).images["band"].values) == ["g", "r"]
    assert len(archive.cone(*cone, instruments=("other",))) == 0
    assert list(archive.images("band == 'r'")["target"].values) == ["M 1"]
    assert len(archive.images("z > 1")) == 0  # images have no z: unknown
    assert len(archive.images()) == 4  # that without a place too
    alone = archive.box(9.5, 11.5, -2, 2).fibers
    both = archive.box(9.5, 11.5, -2, 2, exposures=True).fibers
    assert (len(alone), len(both)) == (40, 80)
    single = both["group"].values == "single"
    assert {name[-2:] for name in both["id"].values[single]} == {".0", ".1"}


def test_exposures_have_the_columns_of_their_fibre(archive: Archive) -> None:
    """A filter on what only the coadd has takes the exposures of the same fibres."""
    asked = "z > 2 and shot == 'plate/1'"
    alone = archive.fibers(asked, columns=["z"])
    both = archive.fibers(asked, columns=["z"], exposures=True)
    single = both["group"].values == "single"
    wanted = dict(zip(alone["id"].values.tolist(), alone["z"].values.tolist(), strict=True))
    assert single.any() and len(both) > len(alone) > 0
    for row in np.flatnonzero(single).tolist():
        about = both.row(row)
        assert about["z"] == wanted[about["id"][:-2]]
    assert np.count_nonzero(single) == 2 * len(alone)


def test_nothing_found_is_an_empty_table_with_the_columns(archive: Archive) -> None:
    result = archive.cone((200.0, 50.0), 0.1, columns=["z"])
    assert len(result) == 0
    for name in ("ra", "dec", "separation", "start", "unit", "z"):
        assert len(result.fibers[name]) == 0
    for name in ("band", "coverage", "contains"):
        assert len(result.images[name]) == 0


def test_rows_are_sorted_by_separation(archive: Archive) -> None:
    found = archive.cone((10.4, -0.2), 0.5).fibers
    expected = distances(found["ra"].values, found["dec"].values, (10.4, -0.2)) * 3600
    assert len(found) > 10
    assert np.all(np.diff(found["separation"].values) >= 0)
    assert np.allclose(found["separation"].values, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (lambda a: a.fibers("zz > 1"), "there is no column 'zz'.*did you mean 'z'"),
        (lambda a: a.fibers("other.z > 1"), "there is no column 'other.z'"),
        (lambda a: a.fibers(columns=["clas"]), "did you mean 'class'"),
        (lambda a: a.fibers("z >"), "z >"),
        (lambda a: a.fibers(time="tomorrow"), "is no range of times"),
        (lambda a: a.cone((1.0, 2.0), -1.0), "radius"),
        (lambda a: a.cone((1.0, 91.0), 1.0), "declination"),
        (lambda a: a.cone((1.0, 2.0), 1.0, size=0), "a cutout of 0 pixels"),
    ],
)
def test_wrong_questions_are_refused(
    archive: Archive, question: Callable[[Archive], Any], said: str
) -> None:
    with pytest.raises(QueryError, match=said):
        question(archive)


# -- names -----------------------------------------------------------------------------------------


def test_names_lead_to_shots_images_and_fibres(archive: Archive) -> None:
    for name in (
        "toy/field/1",
        "toy/field/1/r",
        "toy/plate/1/stars/e-7",
        "toy/plate/1/single/e-7.1",
    ):
        assert archive.get(name).name == name
        assert [row.name for row in archive.find(name)] == [name]
    fiber = archive.get("toy/plate/1/stars/e-7")
    assert fiber.spectrum().id == ("e-7",)  # type: ignore[union-attr]
    assert [r.name for r in fiber.related()] == [  # type: ignore[union-attr]
        "toy/plate/1/single/e-7.0", "toy/plate/1/single/e-7.1",
    ]  # fmt: skip
    assert [r.name for r in archive.find("plate/1/stars/e-7")] == ["toy/plate/1/stars/e-7"]
    assert [r.name for r in archive.find("m 1")] == ["toy/field/1/r"]  # a target
    assert [r.name for r in archive.find("PLATE-1-e-3")] == ["toy/plate/1/stars/e-3"]  # an alias
    assert [r.name for r in archive.find("T3")] == [
        "toy/plate/0/stars/e-3", "toy/plate/1/stars/e-3",
    ]  # fmt: skip
    assert [r.name for r in archive.find("1")] == ["toy/field/1", "toy/lab/1", "toy/plate/1"]
    for wrong in ("toy/field/1/u", "toy/plate/1/stars/e-99", "nothing"):
        with pytest.raises(QueryError, match=f"there is nothing named '{wrong}'"):
            archive.get(wrong)
        with pytest.raises(QueryError, match="there is nothing named"):
            archive.find(wrong)
    with pytest.raises(QueryError, match="did you mean 'toy/field/1/r'"):
        archive.get("toy/field/1/R")


# -- cutouts ---------------------------------------------------------------------------------------


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(-90, 140), st.integers(-90, 130), st.integers(1, 90), st.floats(-0.49, 0.49))
def test_cutouts_are_the_pixels_of_the_image_with_nan_around(
    archive: Archive, x: int, y: int, size: int, shift: float
) -> None:
    row = archive.get("toy/field/1/r")
    whole = row.frame()  # type: ignore[union-attr]
    ra, dec = whole.wcs.pixel_to_world_values(x + shift, y - shift)
    x0, y0 = x - size // 2, y - size // 2
    ny, nx = whole.flux.shape
    inside = (
        max(0, min(nx, x0 + size) - max(0, x0)), max(0, min(ny, y0 + size) - max(0, y0)),
    )  # fmt: skip
    if 0 in inside:
        with pytest.raises(QueryError, match="has no pixel within"):
            row.cutout(float(ra), float(dec), size)  # type: ignore[union-attr]
        return
    image, window = row.cutout(float(ra), float(dec), size)  # type: ignore[union-attr]
    assert (window.x0, window.y0) == (x0, y0)
    assert window.coverage == inside[0] * inside[1] / size**2
    assert image.error is not None and image.mask is not None
    big = np.full((ny + 400, nx + 400), np.nan, dtype=whole.flux.dtype)
    big[200 : 200 + ny, 200 : 200 + nx] = whole.flux
    expected = big[200 + y0 : 200 + y0 + size, 200 + x0 : 200 + x0 + size]
    assert np.array_equal(image.flux, expected, equal_nan=True)
    assert np.isnan(image.error[np.isnan(expected)]).all()
    assert (image.mask[np.isnan(expected)] == (1 << 14 | 1 << 4)).all()
    assert (image.mask[~np.isnan(expected)] == 0).all()
    px, py = image.wcs.world_to_pixel_values(ra, dec)
    assert px + x0 == pytest.approx(x + shift, abs=1e-6)
    assert py + y0 == pytest.approx(y - shift, abs=1e-6)
