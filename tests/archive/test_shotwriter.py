"""What the writer of a shot file refuses, and that it proves what stands on the disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shotmaking import (  # type: ignore[import-not-found]  # loaded by the conftest
    DESCRIPTION,
    HISTORY,
    spectra,
)

from corecube import hdf5
from corecube.archive import proof, shotwriter
from corecube.archive.shotfile import StoredShot
from corecube.archive.shotwriter import ShotWriter
from corecube.errors import FrameError, NoSpace
from corecube.frames import Array, Bits, Column, Image
from corecube.spectral import Spectral

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
