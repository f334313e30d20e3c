"""Frames come back from a shot file bit for bit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from shotmaking import (  # type: ignore[import-not-found]  # loaded by the conftest
    DESCRIPTION,
    HISTORY,
    same,
    spectra,
)

from corecube.archive.chunks import image_chunks
from corecube.archive.durable import sha256_file
from corecube.archive.shotfile import StoredShot
from corecube.archive.shotwriter import ShotWriter
from corecube.frames import Array, Bits, Column, Fibers, Frame, Image
from corecube.provenance import Provenance
from corecube.spectral import Spectral
from corecube.times import Times


@contextmanager
def stored(
    *frames: tuple[str, Frame], grids: dict[str, tuple[int, int]] | None = None
) -> Iterator[StoredShot]:
    """Write frames, each with its entry, and give the shot that was read back."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shot.h5"
        writer = ShotWriter(path)
        try:
            for entry, frame in frames:
                if isinstance(frame, Image):
                    writer.add_image(entry, frame)
                else:
                    assert isinstance(frame, Fibers)
                    writer.add_block(entry, frame, (grids or {}).get(frame.name))
            stamp = writer.finish(DESCRIPTION, HISTORY)
        finally:
            writer.close()
        assert (stamp.size, stamp.sha256) == (path.stat().st_size, sha256_file(path))
        with StoredShot(path) as shot:
            yield shot


def assert_same_frame(found: Frame, made: Frame) -> None:
    assert found.name == made.name and found.unit == made.unit
    assert same(found.flux, made.flux)
    assert found.error is not None and made.error is not None and same(found.error, made.error)
    assert found.mask is not None and made.mask is not None and same(found.mask, made.mask)
    assert found.bits.keys() == made.bits.keys()
    for name, bits in made.bits.items():
        assert same(found.bits[name].values, bits.values)
        assert found.bits[name].planes == tuple(bits.planes)
    for kind in ("layers", "calibration"):
        arrays, expected = getattr(found, kind), getattr(made, kind)
        assert arrays.keys() == expected.keys()
        for name, array in expected.items():
            assert same(arrays[name].values, array.values), (kind, name)
            for part in ("unit", "axes", "description"):
                assert getattr(arrays[name], part) == getattr(array, part), (kind, name, part)
    assert found.header == made.header
    assert found.provenance == made.provenance


# -- strategies ------------------------------------------------------------------------------------

names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9 ._+-]{0,11}[A-Za-z0-9 _+-])?", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
units = st.sampled_from(["", "nanomaggy", "adu", "Angstrom"])
BITS = ("u1", "u2", "u4", "u8")


def values(shape: tuple[int, ...], dtype: Any) -> st.SearchStrategy[npt.NDArray[Any]]:
    """Arrays of zeros (with chunks left out), of random numbers, or of any numbers."""
    dtype = np.dtype(dtype)
    plain = st.integers(0, 2**32 - 1).map(
        lambda seed: np.random.default_rng(seed).integers(0, 99, shape).astype(dtype)
    )
    some = st.just(np.zeros(shape, dtype)) | plain
    return some | hnp.arrays(dtype, shape) if np.prod(shape) < 500 else some


def numbers() -> st.SearchStrategy[Any]:
    return st.sampled_from(["f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"])


@st.composite
def arrays(draw: st.DrawFn, shape: tuple[int, ...] | None = None) -> Array:
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, max_side=5)) if shape is None else shape
    found = draw(values(shape, draw(numbers())))
    axes = draw(st.just(()) | st.just(tuple(f"axis{number}" for number in range(len(shape)))))
    return Array(found, draw(units), axes, draw(texts))


@st.composite
def pixels(draw: st.DrawFn, shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
    bits = draw(
        st.dictionaries(
            names,
            st.sampled_from(BITS).flatmap(
                lambda kind: st.builds(Bits, values(shape, kind), st.just(("a", "", "b c")))
            ),
            max_size=2,
        )
    )
    return {
        "flux": draw(values(shape, dtype)),
        "error": draw(values(shape, dtype)),
        "mask": draw(values(shape, "u4")),
        "unit": draw(units),
        "bits": bits,
        "calibration": draw(st.dictionaries(names, arrays(), max_size=3)),
        "header": draw(texts),
        "provenance": Provenance(
            tuple(draw(st.lists(texts, max_size=2))), steps=tuple(draw(st.lists(texts, max_size=2)))
        ),
    }


@st.composite
def images(draw: st.DrawFn) -> Image:
    shape = draw(st.tuples(st.integers(1, 300), st.integers(1, 300)))
    dtype = draw(st.sampled_from(["f4", "f8"]))
    days = st.floats(0, 1e5) | st.just(float("nan"))
    if draw(st.booleans()):
        start = draw(hnp.arrays("f8", shape[0], elements=st.floats(0, 1e5)))
        times = Times(start, start + 1, "exact")
    else:
        times = Times(draw(days), draw(days), "night")
    corners = draw(st.none() | hnp.arrays("f8", (4, 2), elements=st.floats(0, 90)))
    cards = draw(
        st.none()
        | st.dictionaries(
            st.sampled_from(["CRPIX1", "CRPIX2", "EQUINOX", "CTYPE1"]),
            st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9) | texts,
        )
    )
    return Image(
        name=draw(names),
        **draw(pixels(shape, dtype)),
        layers=draw(st.dictionaries(names, arrays() | arrays(shape), max_size=2)),
        times=times,
        cards=cards,
        band=draw(texts),
        target=draw(texts),
        footprint=corners,
    )


@st.composite
def blocks(draw: st.DrawFn) -> list[Fibers]:
    """Blocks of one group: same width, same columns, ids that differ."""
    width = draw(st.integers(0, 60))
    count = draw(st.integers(1, 4))
    dtype = draw(st.sampled_from(["f4", "f8"]))
    kind = draw(st.sampled_from(["grid", "one", "many"]))
    first = draw(st.integers(-5, 50_000))
    columns = draw(
        st.lists(
            st.builds(Column, names, numbers().map(lambda d: np.dtype(d).name) | st.just("text"),
                      units, texts),
            max_size=3, unique_by=lambda column: column.name,
        )
    )  # fmt: skip
    bit_kind = draw(st.sampled_from(BITS))
    made = []
    for number in range(count):
        rows = draw(st.integers(0, 70) if number else st.integers(0, 40))
        shape = (rows, width)
        step = np.arange(1.0, width + 1)
        wave = {
            "grid": Spectral.log_grid(first, width, "vacuum", "heliocentric"),
            "one": Spectral(np.cumsum(step), medium="air"),
            "many": Spectral(np.cumsum(np.ones(shape), axis=1) * np.arange(1, rows + 1)[:, None]),
        }[kind]
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        position = hnp.arrays("f8", rows, elements=st.floats(-90, 90) | st.just(float("nan")))
        content = draw(pixels(shape, dtype))
        content["unit"] = "adu"
        content["bits"] = {"own": Bits(draw(values(shape, bit_kind)), ("x",))}
        made.append(
            Fibers(
                name="the group.1",
                wave=wave,
                id=tuple(f"{number}-{row}" for row in range(rows)),
                ra=draw(position),
                dec=draw(position),
                target=tuple(draw(st.lists(texts, min_size=rows, max_size=rows))),
                times=Times(rng.uniform(0, 9, rows), rng.uniform(9, 99, rows), "exact"),
                columns={
                    c: draw(st.lists(texts, min_size=rows, max_size=rows))
                    if c.dtype == "text"
                    else draw(values((rows,), c.dtype))
                    for c in columns
                },
                layers={
                    "pixel": Array(
                        draw(values(shape, "f4")), "adu", ("fiber", "wave"), "of pixels"
                    ),
                    "value": Array(draw(values((rows,), "i4")), "s", ("fiber",), "of fibres"),
                    "vector": Array(draw(values((rows, width + 3), "f8")), "", ("fiber", "k"), ""),
                },
                **content,
            )
        )
    return made


# -- round trips -----------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.lists(images(), min_size=1, max_size=3, unique_by=lambda image: image.name))
def test_images_come_back(made: list[Image]) -> None:
    with stored(*(("r", image) for image in made)) as shot:
        assert shot.images == tuple(image.name for image in made)
        assert shot.groups == ()
        for image in made:
            found = shot.frame(image.name)
            assert_same_frame(found, image)
            assert (found.band, found.target) == (image.band, image.target)
            assert found.cards == image.cards
            if image.footprint is None:
                assert found.footprint is None
            else:
                assert found.footprint is not None and same(found.footprint, image.footprint)
            if np.ndim(image.times.start):
                assert same(np.asarray(found.times.start), np.asarray(image.times.start))
                assert same(np.asarray(found.times.end), np.asarray(image.times.end))
            else:
                assert np.array_equal(found.times.span, image.times.span, equal_nan=True)
            assert found.times.quality == image.times.quality
            chunk = shot._file.get_node(f"/images/{image.name}/flux").chunkshape
            assert chunk == image_chunks(image.flux.shape)
            assert all(c <= min(256, n) for c, n in zip(chunk, image.flux.shape, strict=True))


@pytest.mark.parametrize("value", [0.0, -0.0, np.nan, np.inf, 5e-324])
def test_every_bit_of_the_flux_comes_back(value: float) -> None:
    """A chunk of -0.0 is not one of zeros, which is left out."""
    flux = np.full((300, 20), value)
    flux[:5, :5] = 1.0
    image = Image(
        name="r", flux=flux, unit="", error=np.ones_like(flux), mask=np.zeros(flux.shape, "u4")
    )
    with stored(("e", image)) as shot:
        assert same(shot.frame("r").flux, flux)


@settings(max_examples=30)
@given(blocks())
def test_blocks_of_fibres_come_back(made: list[Fibers]) -> None:
    with stored(*((str(number), block) for number, block in enumerate(made))) as shot:
        assert shot.groups == ("the group.1",)
        total = sum(len(block.id) for block in made)
        assert shot.row_count("the group.1") == total
        first = 0
        for block in made:
            last = first + len(block.id)
            found = shot.rows("the group.1", first, last)
            if first < last:
                assert_same_frame(found, block)
            assert (found.id, found.target) == (block.id, block.target)
            for name in ("ra", "dec"):
                assert same(getattr(found, name), getattr(block, name))
            assert same(np.asarray(found.times.start), np.asarray(block.times.start))
            assert same(np.asarray(found.times.end), np.asarray(block.times.end))
            assert same(found.wave.wavelength(), block.wave.wavelength())
            assert (found.wave.medium, found.wave.specsys) == (
                block.wave.medium, block.wave.specsys,
            )  # fmt: skip
            assert found.columns.keys() == block.columns.keys()
            for column, given_values in block.columns.items():
                if column.dtype == "text":
                    assert found.columns[column] == tuple(given_values)
                else:
                    assert same(found.columns[column], given_values)
            first = last
        flux = np.concatenate([block.flux for block in made])
        assert same(shot.rows("the group.1", 0, total).flux, flux)
        middle = shot.rows("the group.1", total // 3, total // 2)
        assert same(middle.flux, flux[total // 3 : total // 2])
        if flux.size:
            chunk = shot._file.get_node("/fibers/the group.1/flux").chunkshape
            assert chunk[1] == flux.shape[1] and chunk[0] <= min(32, total)


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30)), min_size=1, max_size=4),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_blocks_are_widened_to_the_planned_grid(
    places: list[tuple[int, int]], before: int, behind: int
) -> None:
    grid = (min(f for f, _ in places) - before, max(f + n for f, n in places) - 1 + behind)
    width = grid[1] - grid[0] + 1
    made = [
        spectra(
            first, (f"{number}",), count,
            bits={"own": Bits(np.full((1, count), 3, "u2"), ("a",))},
            layers={
                "sky": Array(np.ones((1, count), "f8"), "adu", ("fiber", "wave")),
                "used": Array(np.ones((1, count), "i4"), "", ("fiber", "wave")),
            },
        )
        for number, (first, count) in enumerate(places)
    ]  # fmt: skip
    with stored(*(("e", block) for block in made), grids={"coadd": grid}) as shot:
        whole = shot.rows("coadd", 0, len(made))
        assert whole.wave.first == grid[0] and whole.wave.size == width
        assert whole.error is not None and whole.mask is not None
        for row, ((first, count), block) in enumerate(zip(places, made, strict=True)):
            inside = np.zeros(width, bool)
            inside[first - grid[0] : first - grid[0] + count] = True
            assert same(whole.flux[row, inside], block.flux[0])
            assert np.isnan(whole.flux[row, ~inside]).all()
            assert np.isnan(whole.error[row, ~inside]).all()
            assert (whole.mask[row] == np.where(inside, 0, 1 << 14)).all()
            assert (whole.bits["own"].values[row] == np.where(inside, 3, 0)).all()
            assert np.isnan(whole.layers["sky"].values[row, ~inside]).all()
            assert (whole.layers["used"].values[row] == inside).all()
            assert same(whole.wave.wavelength()[inside], block.wave.wavelength())


def test_a_child_group_has_ragged_rows_and_names_its_parents() -> None:
    parent = spectra(0, ("a", "b"))
    many = [
        spectra(
            number, ids, width, name="b1 - 1", parent="coadd", parent_id=parents,
            wave=Spectral(np.linspace(1, 2, width)[None].repeat(len(ids), 0)),
        )
        for number, ids, parents, width in [
            (1, ("a.1", "a.2"), ("a", "a"), 7), (2, ("b.1",), ("b",), 5),
        ]
    ]  # fmt: skip
    frames = (("e", parent), ("e", many[0]), ("f", many[1]))
    with stored(*frames, grids={"b1 - 1": (0, 8)}) as shot:
        assert shot.groups == ("coadd", "b1 - 1")
        found = shot.rows("b1 - 1", 0, 3)
        assert (found.parent, found.parent_id) == ("coadd", ("a", "a", "b"))
        assert found.flux.shape == (3, 9)
        assert same(found.flux[2, :5], many[1].flux[0]) and np.isnan(found.flux[2, 5:]).all()
        assert same(found.wave.wavelength()[2, :5], many[1].wave.wavelength()[0])
        assert np.isnan(found.wave.wavelength()[2, 5:]).all()


def test_calibration_is_stored_once_by_content() -> None:
    flat = np.arange(1000.0)
    frames = [
        spectra(0, (f"{number}",), calibration={"flat": Array(flat.copy(), "adu")})
        for number in range(3)
    ]
    other = spectra(0, ("x",), calibration={"flat": Array(flat.copy(), "electron")})
    with stored(*(("e", block) for block in (*frames, other))) as shot:
        listed = [name for name in shot.description["arrays"] if name.startswith("/calibration/")]
        assert len(listed) == 2
        assert shot.rows("coadd", 3, 4).calibration["flat"].unit == "electron"
