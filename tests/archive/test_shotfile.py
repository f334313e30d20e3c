"""Frames come back from a shot file bit for bit; h5py and PyTables agree on what stands there."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from corecube import hdf5
from corecube.archive import proof, shotwriter
from corecube.archive.chunks import crc, image_chunks
from corecube.archive.durable import sha256_file
from corecube.archive.shotfile import StoredShot
from corecube.archive.shotwriter import ShotWriter
from corecube.errors import ArchiveDamaged, ArchiveTooNew, FrameError, NoSpace, QueryError
from corecube.frames import Array, Bits, Column, Fibers, Frame, Image
from corecube.provenance import Provenance
from corecube.shots import ShotPlan
from corecube.spectral import Spectral
from corecube.times import Times

DESCRIPTION: dict[str, Any] = {
    "instrument": "toy", "key": "a/b", "title": "Δ", "kind": "science", "generation": 3,
    "fingerprint": "f", "basis": "b", "entries": {}, "created": "", "raw_bytes": 0,
}  # fmt: skip
HISTORY: dict[str, Any] = {
    "plan": ShotPlan("a/b", "Δ", {}).to_json(), "config": {"x": 1}, "infos": [],
}  # fmt: skip


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


def same(one: npt.NDArray[Any], two: npt.NDArray[Any]) -> bool:
    """Say whether type, shape and bytes are equal: NaN and the sign of zero too."""
    one, two = np.asarray(one), np.asarray(two)
    return (one.dtype, one.shape, one.tobytes()) == (two.dtype, two.shape, two.tobytes())


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


def spectra(first: int, ids: tuple[str, ...], width: int = 10, **more: Any) -> Fibers:
    shape = (len(ids), width)
    rng = np.random.default_rng(first)
    return Fibers(
        name=more.pop("name", "coadd"), flux=rng.normal(size=shape).astype("f4"),
        error=rng.uniform(1, 2, shape).astype("f4"), mask=np.zeros(shape, "u4"), unit="adu",
        wave=more.pop("wave", Spectral.log_grid(first, width)), id=ids,
        ra=np.zeros(len(ids)), dec=np.zeros(len(ids)), **more,
    )  # fmt: skip


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


# -- refusals --------------------------------------------------------------------------------------

WAVE = Spectral(np.arange(1.0, 11))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"unit": "electron"}, "unit"),
        ({"id": ("a",)}, "the id 'a' comes twice"),
        ({"wave": Spectral.log_grid(900, 10)}, "beyond the planned grid"),
        ({"wave": WAVE}, "wavelengths"),
        ({"bits": {"own": Bits(np.zeros((1, 10), "u1"), ("a",))}}, "bits"),
        ({"layers": {"sky": Array(np.zeros((1, 10)))}}, "layers"),
        ({"columns": {Column("z", "float32"): np.zeros(1)}}, "columns"),
        ({"flux": np.zeros((1, 10)), "error": np.zeros((1, 10))}, "type of flux"),
        ({"error": None, "mask": None}, "no error and mask"),
        ({"parent": "other", "parent_id": ("a",)}, "before its parent"),
    ],
)
def test_a_block_that_does_not_fit_is_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    writer = ShotWriter(tmp_path / "shot.h5")
    try:
        writer.add_block("e", spectra(0, ("a",)))
        second = replace(spectra(0, ("b",)), **change)
        with pytest.raises(FrameError, match=said):
            writer.check([second], {})
        with pytest.raises(FrameError, match=said):
            writer.add_block("e", second)
        # the group is as it was: the next block that fits is taken
        writer.add_block("e", spectra(0, ("c",)))
        writer.finish(DESCRIPTION, HISTORY)
    finally:
        writer.close()
    with StoredShot(tmp_path / "shot.h5") as shot:
        assert shot.texts("/fibers/coadd/id") == ("a", "c")


def test_other_wavelengths_of_the_same_length_are_refused(tmp_path: Path) -> None:
    writer = ShotWriter(tmp_path / "shot.h5")
    try:
        writer.add_block("e", spectra(0, ("a",), wave=WAVE))
        other = spectra(0, ("b",), wave=Spectral(np.arange(2.0, 12)))
        with pytest.raises(FrameError, match="wavelengths"):
            writer.add_block("e", other)
        shorter = spectra(0, ("b",), 9, wave=Spectral(np.arange(2.0, 11)))
        with pytest.raises(FrameError, match="wavelengths"):
            writer.add_block("e", shorter)
    finally:
        writer.close()


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    image = Image(name="r", flux=np.zeros((2, 2), "f4"), unit="adu",
                  error=np.ones((2, 2), "f4"), mask=np.zeros((2, 2), "u4"))  # fmt: skip
    writer = ShotWriter(tmp_path / "shot.h5")
    try:
        with pytest.raises(FrameError, match="two images have the name 'r'"):
            writer.check([image, image], {})
        writer.add_image("e", image)
        with pytest.raises(FrameError, match="two images have the name 'r'"):
            writer.add_image("e", image)
        with pytest.raises(FrameError, match="no error and mask"):
            writer.add_image("e", replace(image, name="g", error=None))
    finally:
        writer.close()


@pytest.mark.parametrize("how", ["flip", "hole", "cut", "empty", "other"])
def test_what_stands_on_the_disk_is_proved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The bytes change between HDF5's last word and the proof, as on a full or failing disk."""
    path = tmp_path / "shot.h5"
    rng = np.random.default_rng(8)
    shape = (1100, 900)  # several megabytes: more than one window of the proof
    image = Image(
        name="r", flux=rng.normal(size=shape).astype("f4"), unit="", mask=np.zeros(shape, "u4"),
        error=rng.uniform(1, 2, shape).astype("f4"),
    )  # fmt: skip

    def prove(path: Path, *rest: Any) -> Any:
        data = bytearray(path.read_bytes())
        file = hdf5.open_file(path)
        nodes = [file.get_node(f"/images/r/{name}") for name in ("flux", "error")]
        places = [node.chunk_info((0, 0)) for node in nodes]
        file.close()
        place = places[-1]
        if how == "flip":
            data[place.offset + place.size - 1] ^= 1
        elif how == "hole":
            data[place.offset : place.offset + place.size] = bytes(place.size)
        elif how == "cut":
            data = data[: place.offset + 10]
        elif how == "empty":
            data.clear()
        elif how == "other":
            one, two = (slice(p.offset, p.offset + 500) for p in places)
            data[one], data[two] = data[two], data[one]
        path.write_bytes(data)
        return proof.prove(path, *rest)

    monkeypatch.setattr(shotwriter, "prove", prove)
    writer = ShotWriter(path)
    try:
        writer.add_image("e", image)
        with pytest.raises(NoSpace, match="what was written is not what stands on the disk"):
            writer.finish(DESCRIPTION, HISTORY)
    finally:
        writer.close()


# -- the file itself -------------------------------------------------------------------------------


@pytest.fixture
def example(tmp_path: Path) -> Path:
    path = tmp_path / "shot.h5"
    rng = np.random.default_rng(0)
    image = Image(
        name="r 1.5", flux=rng.normal(size=(150, 260)).astype("f4"), unit="nanomaggy",
        error=np.ones((150, 260), "f4"), mask=np.zeros((150, 260), "u4"), header="A = 1",
        bits={"own": Bits(np.ones((150, 260), "u2"), ("a",))},
        calibration={"gain": Array(np.array(4.7), "electron / adu")},
        cards={"CRPIX1": 1.5, "CRPIX2": 2}, footprint=np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]),
    )  # fmt: skip
    writer = ShotWriter(path)
    writer.add_image("r", image)
    writer.add_block("a", spectra(0, ("a", "ß"[:0] + "b"), target=("größer 星", "")))
    writer.finish(DESCRIPTION, HISTORY)
    return path


def test_h5py_reads_the_description_and_the_chunks_say_what_they_are(example: Path) -> None:
    with h5py.File(example) as file:
        assert dict(file.attrs)["corecube_format"] == 2
        dataset = file["/description"]
        # h5py has no blosc filter; the raw chunk is a blosc-1 buffer and a checksum
        info = dataset.id.get_create_plist()
        filters = [info.get_filter(number)[0] for number in range(info.get_nfilters())]
        assert filters == [32001, 3]  # blosc, fletcher32
        pieces = []
        for number in range(dataset.id.get_num_chunks()):
            place = dataset.id.get_chunk_info(number).chunk_offset
            _, raw = dataset.id.read_direct_chunk(place)
            from numcodecs import blosc

            pieces.append(blosc.decompress(raw[:-4]))
        text = b"".join(pieces)[: dataset.shape[0]]
        assert crc(text) == file.attrs["description_crc"]
        described = json.loads(text)
        for name, about in described["arrays"].items():
            if 0 not in about["shape"]:
                assert list(file[name].shape) == about["shape"]
                assert file[name].dtype == about["dtype"] or about["dtype"] == "text"
                assert file[name].chunks is not None


def test_no_attribute_is_a_pickle(example: Path) -> None:
    seen = []

    def look(name: str, item: Any) -> None:
        for key, value in item.attrs.items():
            seen.append(key)
            raw = bytes(value) if isinstance(value, bytes | np.bytes_) else str(value).encode()
            # what pickles of protocols 0 to 5 begin or end with
            assert not raw.startswith(b"\x80") and not raw.endswith(b"."), (name, key)

    with h5py.File(example) as file:
        look("/", file)
        file.visititems(look)
    assert {"corecube_format", "description_crc"} <= set(seen)


def test_what_is_not_there_is_said(example: Path) -> None:
    with StoredShot(example) as shot:
        assert shot.identity == "toy/a/b"
        assert shot.texts("/fibers/coadd/target") == ("größer 星", "")
        with pytest.raises(QueryError, match=r"toy/a/b has no image 'g'; it has: r 1.5, coadd"):
            shot.frame("g")
        with pytest.raises(QueryError, match="has no group 'b'"):
            shot.rows("b", 0, 1)
        with pytest.raises(ArchiveDamaged, match="has no array /x"):
            shot.read("/x")


def test_a_newer_or_a_foreign_file_is_refused(example: Path, reseal: Any) -> None:
    with h5py.File(example, "r+") as file:
        file.attrs["corecube_format"] = 3
    reseal(example)
    with pytest.raises(ArchiveTooNew, match="has format 3, this corecube knows up to 2; upgrade"):
        StoredShot(example)
    for sealed in (False, True):
        with h5py.File(example, "w") as file:
            file["x"] = 1
        if sealed:
            reseal(example)
        with pytest.raises(ArchiveDamaged, match="no shot file of corecube"):
            StoredShot(example)
    with pytest.raises(FileNotFoundError):
        StoredShot(example.parent / "none.h5")


def test_a_description_that_is_not_the_written_one_is_refused(example: Path, reseal: Any) -> None:
    with h5py.File(example, "r+") as file:
        file.attrs["description_crc"] = np.uint32(file.attrs["description_crc"] ^ 1)
    reseal(example)
    with pytest.raises(ArchiveDamaged, match="its description is damaged"):
        StoredShot(example)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_a_damaged_file_is_refused_or_reads_as_it_was(example: Path, data: st.DataObject) -> None:
    """Never another value, and never a crash: whatever bytes change, move, or end early."""
    sound = example.read_bytes()
    changed = bytearray(sound)
    place = data.draw(st.integers(0, len(sound) - 1))
    how = data.draw(st.sampled_from(["flip", "zero", "cut", "move", "append"]))
    if how == "flip":
        for _ in range(data.draw(st.integers(1, 3))):
            changed[data.draw(st.integers(0, len(sound) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    elif how == "zero":
        changed[place : place + 4096] = bytes(len(changed[place : place + 4096]))
    elif how == "cut":
        changed = changed[:place]
    elif how == "move":
        other = data.draw(st.integers(0, len(sound) - 8))
        changed[place : place + 8] = sound[other : other + len(changed[place : place + 8])]
    else:
        changed += bytes(data.draw(st.integers(1, 5000)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shot.h5"
        path.write_bytes(changed)
        with StoredShot(example) as right:
            arrays = {name: right.read(name) for name in right.description["arrays"]}
        try:
            with StoredShot(path) as shot:
                assert list(shot.description["arrays"]) == list(arrays)
                for name, expected in arrays.items():
                    try:
                        assert same(shot.read(name), expected), name
                    except ArchiveDamaged:
                        continue
        except ArchiveDamaged as error:
            assert "\n" not in str(error)


def test_a_part_of_an_image_has_its_own_pixels_and_wcs(example: Path) -> None:
    with StoredShot(example) as shot:
        whole = shot.frame("r 1.5")
        part = shot.part("r 1.5", (10, 140), (100, 259))
        assert same(part.flux, whole.flux[10:140, 100:259])
        assert same(part.bits["own"].values, whole.bits["own"].values[10:140, 100:259])
        assert part.cards == {"CRPIX1": 1.5 - 100, "CRPIX2": 2 - 10}
