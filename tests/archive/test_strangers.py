"""Whole archives of strangers, whose seals and digests are right: nothing in them is obeyed.

A stranger computes checksums as we do, so these archives pass them all. Every command looks at
each: nothing runs, nothing outside of the folder is read, moved or written, no control character
reaches the terminal, and where it cannot go on it says so in one line.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from strangers import (  # type: ignore[import-not-found]  # loaded by the conftest
    FIELD,
    PLATE,
    SHAPE,
    Evil,
    World,
)

import corecube
from corecube.errors import ArchiveDamaged

Hostile = Callable[[Any, "World"], object]


def attribute(place: str, name: str) -> Hostile:
    def do(forger: Any, world: World) -> None:
        forger.hdf5(FIELD, lambda file: file[place].attrs.update({name: world.pickle()}))
        forger.hdf5(PLATE, lambda file: file["/"].attrs.update({name: world.pickle()}))

    return do


def objects(forger: Any, world: World) -> None:
    """Put rows of pickles in the place of the flux."""

    def do(file: Any) -> None:
        del file["images/r/flux"]
        kind = h5py.vlen_dtype(np.uint8)
        rows = file.create_dataset("images/r/flux", (1,), dtype=kind, chunks=(1,))
        rows[0] = np.frombuffer(pickle.dumps(Evil(world.ran)), np.uint8)
        rows.attrs.update(
            CLASS=np.bytes_("VLARRAY"), PSEUDOATOM=np.bytes_("object"), VERSION=np.bytes_("1.4")
        )

    forger.hdf5(FIELD, do)


def flux(make: Callable[[Any, World], Any], shape: list[int] | None = None) -> Hostile:
    """Put something else in the place of an image's flux."""

    def do(forger: Any, world: World) -> None:
        def change(file: Any) -> None:
            del file["images/r/flux"]
            make(file, world)

        forger.hdf5(FIELD, change)

        def unsummed(about: Any) -> None:
            del about["arrays"]["/images/r/flux"]["checksums"]

        forger.described(FIELD, unsummed)
        if shape is not None:

            def describe(about: Any) -> None:
                about["arrays"]["/images/r/flux"]["shape"] = shape
                about["images"]["r"]["shape"] = shape
                for plane in ("error", "mask"):  # which would not fit any more
                    del about["arrays"][f"/images/r/{plane}"]

            forger.described(FIELD, describe)
            forger.record(FIELD, lambda r: r["images"]["r"].update(shape=shape))

    return do


NAME = "images/r/flux"


def external_link(file: Any, world: World) -> None:
    file[NAME] = h5py.ExternalLink(str(world.h5), "/d")


def passwd(file: Any, world: World) -> None:
    file[NAME] = h5py.ExternalLink("/etc/passwd", "/")


def loop(file: Any, world: World) -> None:
    file[NAME] = h5py.SoftLink("/images/r/flux")


def cycle(file: Any, world: World) -> None:
    file["images/r/flux"] = file["images"]


def outside(file: Any, world: World) -> None:
    size = SHAPE[0] * SHAPE[1] * 4
    file.create_dataset(NAME, SHAPE, "f4", external=[(str(world.secret), 0, size)])


def virtual(file: Any, world: World) -> None:
    layout = h5py.VirtualLayout(SHAPE, "f4")
    layout[:] = h5py.VirtualSource(str(world.h5), "d", SHAPE)
    file.create_virtual_dataset(NAME, layout)


def huge(file: Any, world: World) -> None:
    file.create_dataset(NAME, (2**30, 2**30), "f4", chunks=(64, 64))


def nothing_stored(file: Any, world: World) -> None:
    """Store nothing: 64 GB of zeros by chunks that are small enough."""
    file.create_dataset(NAME, (2**17, 2**17), "f4", chunks=(2048, 2048))


def large_chunks(file: Any, world: World) -> None:
    file.create_dataset(NAME, SHAPE, "f4", chunks=SHAPE, maxshape=(None, None))
    del file[NAME]
    file.create_dataset(NAME, (2**15, 2**15), "f4", chunks=(2**15, 2**14))


def bomb(file: Any, world: World) -> None:
    size = 512 * 2**20
    pack = zlib.compressobj(1)
    data = b"".join(pack.compress(bytes(2**22)) for _ in range(size // 2**22)) + pack.flush()
    array = file.create_dataset(
        NAME, (2**14, 2**13), "f4", chunks=(2**14, 2**13), compression="gzip"
    )
    array.id.write_direct_chunk((0, 0), data)


def plugin(file: Any, world: World) -> None:
    """Use a filter that HDF5 would look for among shared libraries."""
    space = h5py.h5s.create_simple(SHAPE)
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((64, 64))
    plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
    array = h5py.h5d.create(file.id, NAME.encode(), h5py.h5t.IEEE_F32LE, space, plist)
    array.write_direct_chunk((0, 0), bytes(64 * 64 * 4), 0)


SHOT_FILES: dict[str, Hostile] = {
    **{f"pickle in {name} of {place}": attribute(place, name) for place, name in (
        ("/", "x"), ("/", "CLASS"), ("/", "TITLE"), ("/", "FILTERS"), ("images/r/flux", "FLAVOR"),
        ("images/r", "x"), ("images/r/flux", "NROWS"), ("description", "CLASS"),
        ("/", "corecube_format"), ("/", "description_crc"),
    )},
    "pickle in an array of objects": objects,
    "external link": flux(external_link), "link to a file of the system": flux(passwd),
    "soft link to itself": flux(loop), "a group in itself": flux(cycle),
    "external storage": flux(outside), "virtual array": flux(virtual),
    "2**60 elements": flux(huge, [2**30, 2**30]),
    "nothing stored": flux(nothing_stored, [2**17, 2**17]),
    "huge chunks": flux(large_chunks, [2**15, 2**15]),
    "bomb": flux(bomb, [2**14, 2**13]), "filter of a library": flux(plugin),
}  # fmt: skip
SAYS = {
    "pickle in an array of objects": "is no chunked array",
    "external link": "is no chunked array|link", "link to a file of the system": "no chunked|link",
    "soft link to itself": "is no chunked array|link", "a group in itself": "is no chunked array",
    "external storage": "is no chunked array", "virtual array": "is no chunked array",
    "2**60 elements": "has values of 4611686018427387904 bytes, more",
    "nothing stored": "has 68719476736 bytes, more than corecube reads at once",
    "huge chunks": "has chunks of 2147483648 bytes, more", "bomb": "has chunks of 536870912 bytes",
    "filter of a library": "is damaged|packed",
}  # fmt: skip


@pytest.mark.parametrize("name", SHOT_FILES)
def test_a_hostile_shot_file(
    name: str, archive: Path, world: World, forging: Any, use: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    library = tmp_path / "plugins"
    library.mkdir()
    (library / "libevil.so").write_bytes(b"no library")
    monkeypatch.setenv("HDF5_PLUGIN_PATH", str(library))
    SHOT_FILES[name](forging.Forger(archive), world)
    codes = use(archive)
    assert codes["info"] == 0
    if name in SAYS:
        with corecube.open(archive) as opened, pytest.raises(ArchiveDamaged, match=SAYS[name]):
            opened.shot(FIELD).frame("r")
    assert codes["info after"] == 0


def test_an_honest_chunk_of_zeros_is_read(archive: Path, forging: Any, use: Any) -> None:
    """It is a thousand times as large as its bytes, and nothing is wrong with it."""

    def zeros(file: Any, world: World) -> None:
        array = file.create_dataset(
            NAME, (2**12, 2**12), "f4", chunks=(2**12, 2**11), compression="gzip"
        )
        array[...] = np.zeros(array.shape, "f4")
        assert array.id.get_storage_size() * 900 < 2**26

    flux(zeros, [2**12, 2**12])(forging.Forger(archive), World.__new__(World))
    with corecube.open(archive) as opened:
        found = opened.shot(FIELD).read("/images/r/flux")
        assert found.shape == (2**12, 2**12) and not found.any()
