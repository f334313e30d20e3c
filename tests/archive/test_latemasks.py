"""Late masks: exactly the pixels of the spans, lazily, beside shot files that stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import corecube
from corecube.archive import latemasks, levels, pyramid
from corecube.archive.latemasks import LateMasks
from corecube.archive.shotfile import StoredShot
from corecube.archive.verify import verify
from corecube.archive.writer import ArchiveWriter
from corecube.errors import ArchiveDamaged, FrameError, QueryError
from corecube.masks import PLANES, MaskSpan, value

Store = Callable[..., Any]
Make = Callable[..., Any]
Grid = npt.NDArray[np.uint32]


def span(frame: str, *rows: tuple[int, int, int], source: str = "list", plane: str = "late") -> Any:
    row, first, last = np.array(rows, "i4").reshape(-1, 3).T
    return MaskSpan(frame, source, row, first, last, plane)


def mask_of(frame: Any) -> Grid:
    assert frame.mask is not None
    found: Grid = frame.mask
    return found


def painted(spans: list[MaskSpan], frame: str, shape: tuple[int, int]) -> Grid:
    """Set the planes pixel by pixel."""
    mask = np.zeros(shape, "u4")
    for each in spans:
        if each.frame == frame:
            for row, first, last in zip(each.row, each.first, each.last, strict=True):
                for pixel in range(first, last + 1):
                    mask[row, pixel] |= value(each.plane)
    return mask


HEIGHT, WIDTH = 7, 11
one_row = st.tuples(
    st.integers(0, HEIGHT - 1), st.integers(0, WIDTH - 1), st.integers(0, WIDTH - 1)
).map(lambda t: (t[0], min(t[1:]), max(t[1:])))
some_spans = st.lists(
    st.builds(
        lambda frame, rows, source, plane: span(frame, *rows, source=source, plane=plane),
        st.sampled_from(["a", "b"]), st.lists(one_row, max_size=6),
        st.sampled_from(["x", "y é\n"]), st.sampled_from([plane.name for plane in PLANES]),
    ),
    max_size=5,
)  # fmt: skip


class _Named:
    instrument, key, generation, identity = "lab", "k/1", 3, "lab/k/1"


@given(
    spans=some_spans,
    part=st.tuples(*[st.integers(0, HEIGHT)] * 2, *[st.integers(0, WIDTH)] * 2),
)
def test_any_part_has_the_planes_of_a_search_pixel_by_pixel(
    spans: list[MaskSpan], part: tuple[int, int, int, int]
) -> None:
    late = LateMasks.of(spans)
    expected = painted(spans, "a", (HEIGHT, WIDTH))
    top, bottom = sorted(part[:2])
    left, right = sorted(part[2:])
    before = np.full((bottom - top, right - left), 1 << 7, "u4")
    found = before.copy()
    late.apply("a", found, top, left)
    np.testing.assert_array_equal(found, before | expected[top:bottom, left:right])
    assert late.pixels().get("a", 0) == np.count_nonzero(expected)
    for row in range(HEIGHT):
        listed = {(s["source"], s["plane"]): s["pixels"] for s in late.sources("a", row)}
        for source in ("x", "y é\n"):
            for plane in PLANES:
                mine = [s for s in spans if (s.source, s.plane) == (source, plane.name)]
                count = np.count_nonzero(painted(mine, "a", (HEIGHT, WIDTH))[row])
                assert listed.get((source, plane.name), 0) == count


@given(spans=some_spans, seed=st.randoms(use_true_random=False))
def test_the_file_comes_back_and_does_not_depend_on_the_order(
    tmp_path_factory: pytest.TempPathFactory, spans: list[MaskSpan], seed: Any
) -> None:
    late = LateMasks.of(spans)
    data = latemasks.encoded(_Named(), late)  # type: ignore[arg-type]
    mixed = list(spans)
    seed.shuffle(mixed)
    assert latemasks.encoded(_Named(), LateMasks.of(mixed)) == data  # type: ignore[arg-type]
    path = tmp_path_factory.mktemp("m") / "a.mask"
    path.write_bytes(data)
    found = latemasks.read(path, "lab/k/1", 3)
    assert len(found.spans) == len(late.spans)
    for one, two in zip(found.spans, late.spans, strict=True):
        assert (one.frame, one.source, one.plane) == (two.frame, two.source, two.plane)
        for name in ("row", "first", "last"):
            assert getattr(one, name).dtype == np.int32
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_every_damaged_byte_and_every_shorter_file_is_found(tmp_path: Path) -> None:
    late = LateMasks.of([span("a", (0, 1, 2), (3, 0, 9)), span("b", (1, 1, 1))])
    data = latemasks.encoded(_Named(), late)  # type: ignore[arg-type]
    path = tmp_path / "a.mask"
    for place in range(len(data)):
        for damaged in (data[:place], data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :]):
            path.write_bytes(damaged)
            with pytest.raises(ArchiveDamaged, match="make it anew with 'corecube masks'"):
                latemasks.read(path, "lab/k/1", 3)
    path.write_bytes(data)
    with pytest.raises(ArchiveDamaged, match="is the late mask of lab/k/1, generation 3"):
        latemasks.read(path, "lab/k/1", 4)
    with pytest.raises(ArchiveDamaged, match="is missing or damaged"):
        latemasks.read(tmp_path / "none", "lab/k/1", 3)


# -- in an archive ---------------------------------------------------------------------------------

SPANS = [
    span("r", (3, 5, 9), (39, 0, 49), source="tracks: satellite"),
    span("stars", *((row, 0, 19) for row in range(4, 8)), source="bad: RU"),
    span("stars", (5, 2, 3), source="hot", plane="bad_detector"),
]


@pytest.fixture
def made(store: Store, image: Make, fibers: Make) -> Any:
    frames = [image("r", cards=None), fibers("stars", 10, 20), fibers("stars", 5, 20, 10)]
    return store("night/1", frames, spans=SPANS)


def test_masks_are_read_with_the_late_ones_and_nothing_else_changes(
    place: Path, made: Any, image: Make
) -> None:
    with corecube.open(place) as archive, StoredShot(place / made.file) as plain:
        shot = archive.shot(made)
        before, found = plain.frame("r"), shot.frame("r")
        expected = mask_of(before) | painted(SPANS, "r", (40, 50))
        np.testing.assert_array_equal(found.mask, expected)
        assert found.flux.tobytes() == before.flux.tobytes()
        part = shot.part("r", (2, 5), (4, 12))
        np.testing.assert_array_equal(part.mask, expected[2:5, 4:12])
        stars = painted(SPANS, "stars", (15, 20))
        for first, last in ((0, 15), (3, 6), (12, 15), (5, 6)):
            rows = shot.rows("stars", first, last)
            np.testing.assert_array_equal(rows.mask, stars[first:last])
        for row in (3, 5, 14):
            fiber: Any = archive.get(f"lab/night/1/stars/stars-{row}")
            np.testing.assert_array_equal(fiber.spectrum().mask, stars[row : row + 1])
        assert shot.late.sources("stars", 5) == [
            {"source": "bad: RU", "plane": "late", "pixels": 20},
            {"source": "hot", "plane": "bad_detector", "pixels": 2},
        ]
        # what others link to is the mask without late ones
        assert shot.linked("r", "mask").link == plain.linked("r", "mask").link


def test_cutouts_have_them(place: Path, store: Store, image: Make) -> None:
    cards = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0,
        "CRPIX1": 25.5, "CRPIX2": 20.5, "CD1_1": -1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4,
    }  # fmt: skip
    record = store("n", [image("r", cards=cards)], spans=[span("r", (20, 0, 49), plane="source")])
    with corecube.open(place) as archive:
        row: Any = archive.get("lab/n/r")
        cutout, window = row.cutout(10.0, 20.0, 8)
        rows = slice(window.y0, window.y0 + 8)
        expected = np.zeros((40, 1), "u4")
        expected[20] = value("source")
        assert cutout.mask is not None
        both = cutout.mask & np.uint32(value("source"))
        np.testing.assert_array_equal(both, np.broadcast_to(expected[rows], (8, 8)))
    assert record.masks["size"] > 0


LEVELS = [
    [span("r", (0, 0, 599)), span("r", (299, 590, 599), plane="bad_detector")],
    [span("r", *[(row, 2 * row, 2 * row + 3) for row in range(250)])],  # a satellite
    [span("r", (100, 10, 10), plane="source")],  # informs: no pixel is left out
    [span("r", *[(row, 100, 355) for row in range(40, 104)]), span("r", (150, 3, 4))],
    [span("stars", (0, 0, 0))],
]


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("spans", LEVELS)
def test_pyramids_are_what_they_would_be_had_the_lists_been_there(
    place: Path, store: Store, image: Make, fibers: Make, spans: list[MaskSpan], clean: bool
) -> None:
    given = image("r", (301, 603))
    if clean:  # its file has neither masks nor coverage for the levels
        given = replace(given, mask=np.zeros_like(given.mask))
    record = store("n", [given, fibers("stars", 1, 5)], spans=spans)
    mask = mask_of(given) | painted(spans, "r", (301, 603))
    with corecube.open(place) as archive:
        shot = archive.shot(record)
        wanted = {found.level: found for found in pyramid.levels(given.flux, given.error, mask)}
        assert list(wanted) == [1, 2]
        for level, expected in wanted.items():
            ny, nx = expected.flux.shape
            for rows, columns in (
                (None, None), ((0, 1), (0, nx)), ((ny - 9, ny), (nx - 7, nx)), ((20, 41), (9, 90)),
            ):  # fmt: skip
                found = shot.level("r", level, rows, columns)
                key = (slice(*(rows or (0, ny))), slice(*(columns or (0, nx))))
                np.testing.assert_array_equal(found.flux, expected.flux[key])
                np.testing.assert_array_equal(found.error, expected.error[key])
                planes = np.zeros((ny, nx), "u4") if expected.mask is None else expected.mask
                np.testing.assert_array_equal(
                    np.zeros_like(planes[key]) if found.mask is None else found.mask, planes[key]
                )
                whole = pyramid.size_coverage((301, 603), level)
                covered = whole if expected.coverage is None else expected.coverage
                np.testing.assert_array_equal(
                    whole[key] if found.coverage is None else found.coverage, covered[key]
                )
        for level in (0, 3):
            with pytest.raises(QueryError, match=f"has no level {level}; it has 2"):
                shot.level("r", level)


def test_a_level_of_many_rows_is_read_in_stripes(
    place: Path, store: Store, image: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = LEVELS[1]
    given = image("r", (301, 603))
    record = store("n", [given], spans=spans)
    mask = mask_of(given) | painted(spans, "r", (301, 603))
    monkeypatch.setattr(levels, "_PIXELS", 603 * 8)
    with corecube.open(place) as archive:
        found = archive.shot(record).level("r", 1)
    expected = next(iter(pyramid.levels(given.flux, given.error, mask)))
    np.testing.assert_array_equal(found.flux, expected.flux)
    np.testing.assert_array_equal(found.mask, expected.mask)


def test_a_row_found_before_the_masks_changed_can_be_read_after(place: Path, made: Any) -> None:
    with corecube.open(place) as archive:
        row: Any = archive.get("lab/night/1/stars/stars-5")
        (image_row,) = archive.find("lab/night/1/r")
        for number in range(3):
            with ArchiveWriter(place) as writer:
                writer.clean()
                with StoredShot(place / made.file) as shot:
                    late = LateMasks.of([span("stars", (5, number, number))])
                    masks = latemasks.write(place, shot, late)
                writer.commit(masks={"lab/night/1": masks})
                writer.clean()
            archive.close()
            # the file of masks that the row knows of is gone; the newer one is of the same shot
            assert np.flatnonzero(mask_of(row.spectrum())).tolist() == [number]
            image_row.frame()  # type: ignore[union-attr]
        with ArchiveWriter(place) as writer:
            writer.commit(masks={"lab/night/1": {}})
            writer.clean()
        archive.close()
        assert not mask_of(row.spectrum()).any()
        with ArchiveWriter(place) as writer:
            writer.commit(removed=["lab/night/1"])
            writer.clean()
        archive.close()
        with pytest.raises(ArchiveDamaged):
            row.spectrum()


def test_a_commit_of_masks_keeps_number_file_and_index(place: Path, made: Any) -> None:
    def commit(spans: list[MaskSpan]) -> Any:
        with ArchiveWriter(place) as writer:
            with StoredShot(place / made.file) as shot:
                masks = latemasks.write(place, shot, LateMasks.of(spans))
            index, number = writer.manifest.runs, writer.manifest.next_number
            assert writer.commit(masks={"lab/night/1": masks}) == []
            assert (writer.manifest.runs, writer.manifest.next_number) == (index, number)
        return masks

    with corecube.open(place) as archive:
        old = archive.shot(made)
        assert len(archive.cone((5.0, 0.0), 0.1).fibers) == 1
        masks = commit([span("stars", (0, 0, 0))])
        record = archive.record("lab/night/1")
        assert replace(record, masks={}) == replace(made, masks={}) and record.masks == masks
        assert archive.shot(record) is not old
        assert mask_of(archive.shot(record).rows("stars", 0, 1)).tolist() == [
            [value("late")] + [0] * 19
        ]
        # whoever has the shot open keeps the state that it saw
        assert mask_of(old.rows("stars", 5, 6)).any()
        assert len(archive.cone((5.0, 0.0), 0.1).fibers) == 1
        with ArchiveWriter(place) as writer:
            assert writer.clean() == [made.masks["file"]]
        commit([])
        assert archive.record("lab/night/1").masks == {}
        assert not mask_of(archive.shot("lab/night/1").rows("stars", 0, 15)).any()
    with ArchiveWriter(place) as writer:
        assert writer.clean() == [masks["file"]]
        writer.commit(removed=["lab/night/1"])


def test_remove_takes_the_file_along(place: Path, made: Any) -> None:
    with ArchiveWriter(place) as writer:
        writer.commit(removed=["lab/night/1"])
        assert set(writer.clean()) == {made.file, made.masks["file"]}


def test_verify_and_readers_find_damage(place: Path, made: Any) -> None:
    path = place / made.masks["file"]
    whole = path.read_bytes()

    def found(quick: bool = False) -> list[str]:
        with corecube.open(place) as archive:
            return [d.what for _, part in verify(archive, quick=quick) for d in part]

    assert found() == [] and found(quick=True) == []
    path.write_bytes(whole[:50] + bytes([whole[50] ^ 1]) + whole[51:])
    assert found(quick=True) == []
    (line,) = found()
    assert (
        line == f"its late mask {made.masks['file']} is damaged; make it anew with 'corecube masks'"
    )
    with corecube.open(place) as archive, pytest.raises(ArchiveDamaged, match="'corecube masks'"):
        archive.shot(made)
    path.unlink()
    for quick in (True, False):
        assert "is missing; make it anew" in found(quick)[0]
    path.write_bytes(whole)
    assert found() == []


def test_spans_outside_of_the_frames_are_refused(made: Any, place: Path) -> None:
    with StoredShot(place / made.file) as shot:
        shapes = latemasks.shapes_of(shot)
        assert shapes == {"r": (40, 50), "stars": (15, 20)}
        for spans, says in (
            ([span("none", (0, 0, 0))], "names 'none', which is neither an image nor a group"),
            ([span("r", (40, 0, 0))], "names row 40 and pixel 0 of 'r', which has 40 rows of 50"),
            ([span("stars", (0, 3, 20))], "names row 0 and pixel 20 of 'stars'"),
        ):
            with pytest.raises(FrameError, match=says) as caught:
                latemasks.check(LateMasks.of(spans), shapes)
            assert str(caught.value).startswith("late mask 'list'")
        latemasks.check(LateMasks.of([span("none")]), shapes)  # no pixels, no span
