"""The shot file itself: h5py and PyTables agree on what stands there; damage is refused."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shotmaking import (  # type: ignore[import-not-found]  # loaded by the conftest
    DESCRIPTION,
    HISTORY,
    same,
    spectra,
)

from corecube.archive.chunks import crc
from corecube.archive.shotfile import StoredShot
from corecube.archive.shotwriter import ShotWriter
from corecube.errors import ArchiveDamaged, ArchiveTooNew, QueryError
from corecube.frames import Array, Bits, Image


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
