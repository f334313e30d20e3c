"""Chunks decoded outside of HDF5 against HDF5's own reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corecube import hdf5
from corecube.archive import chunkreading, chunks

DTYPES = ("<f4", "<f8", "<u4", "<i8", "|u1", "|S7")


def made(path: Path, values: Any, shape: tuple[int, ...], own: bool = True) -> Any:
    """Write an array and return its node in the file opened again."""
    tables = hdf5.library()
    with hdf5.open_file(path, "w") as file:
        filters = tables.Filters(fletcher32=True, **chunks.COMPRESSION)
        atom = tables.Atom.from_dtype(values.dtype)
        array = file.create_carray("/", "a", atom, values.shape, filters=filters, chunkshape=shape)
        if own:
            for start, part in chunks.stripes(values, shape):
                if part.any():
                    array.write_chunk(start, chunks.encode(part))
        else:
            array[...] = values
    return hdf5.node(hdf5.open_file(path), "/a")


@st.composite
def cases(draw: st.DrawFn) -> tuple[Any, tuple[int, ...], tuple[slice, ...]]:
    shape = tuple(draw(st.lists(st.integers(1, 40), min_size=1, max_size=3)))
    chunk = tuple(draw(st.integers(1, length)) for length in shape)
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    rng = np.random.default_rng(draw(st.integers(0, 5)))
    values = rng.integers(0, 3, shape).astype(dtype)
    values[: shape[0] // 2] = np.zeros((), dtype)  # chunks of zeros are not written
    ends = st.none() | st.integers(-45, 45)
    key = tuple(slice(draw(ends), draw(ends)) for _ in range(draw(st.integers(0, len(shape)))))
    return values, chunk, key


@settings(max_examples=150)
@given(case=cases(), own=st.booleans())
def test_any_part_is_what_hdf5_reads(
    tmp_path_factory: pytest.TempPathFactory, case: Any, own: bool
) -> None:
    values, chunk, key = case
    node = made(tmp_path_factory.mktemp("part") / "a.h5", values, chunk, own)
    assert chunkreading.is_ours(node)
    found = chunkreading.read(node, key)
    if found is not None:  # HDF5 does not pack what packing makes larger; ours does
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, values[key])
    assert found is not None or not own
    whole = chunkreading.read(node, ...)
    assert whole is None or whole.tobytes() == values.tobytes()
    node._v_file.close()


@pytest.mark.parametrize("key", [3, slice(None, None, 2), [1, 2], (slice(None),) * 3])
def test_what_is_left_to_hdf5(tmp_path: Path, key: Any) -> None:
    node = made(tmp_path / "a.h5", np.arange(100.0).reshape(10, 10), (4, 4))
    assert chunkreading.read(node, key) is None
    node._v_file.close()


@pytest.mark.parametrize(
    "filters",
    [
        {"complevel": 1, "complib": "zlib", "fletcher32": True},
        {**chunks.COMPRESSION, "fletcher32": False},
        {"fletcher32": True},
    ],
)
def test_other_filters_are_left_to_hdf5(tmp_path: Path, filters: dict[str, Any]) -> None:
    tables = hdf5.library()
    with hdf5.open_file(tmp_path / "a.h5", "w") as file:
        file.create_carray(
            "/", "a", obj=np.arange(100.0), filters=tables.Filters(**filters), chunkshape=(10,)
        )
    with hdf5.open_file(tmp_path / "a.h5") as file:
        assert not chunkreading.is_ours(hdf5.node(file, "/a"))


@settings(max_examples=80)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), again=st.booleans())
def test_a_damaged_chunk_is_never_a_wrong_value(
    tmp_path_factory: pytest.TempPathFactory, where: float, bit: int, again: bool
) -> None:
    """`again`: by someone who made the checksum fit; then the decoder's own limits must hold."""
    path = tmp_path_factory.mktemp("damage") / "a.h5"
    values = np.random.default_rng(1).normal(size=(30, 30)).astype("f4")
    node = made(path, values, (16, 16))
    stored = bytearray(node.read_chunk((0, 0)))
    node._v_file.close()
    stored[int(where * (len(stored) - 4 * again))] ^= 1 << bit
    if again:
        _, fletcher32 = chunks.codecs()
        stored = bytearray(fletcher32.encode(bytes(stored[:-4])))
    with hdf5.library().open_file(str(path), "r+") as file:
        file.root.a.write_chunk((0, 0), bytes(stored))
    node = hdf5.node(hdf5.open_file(path), "/a")
    try:
        found = chunkreading.read(node, ...)
    except chunkreading.ChunkDamaged:
        found = None
    if found is not None and not again:
        assert found.tobytes() == values.tobytes()
    node._v_file.close()
