"""Exported shots, read by h5py without plugins, are what the archive gives, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import corecube
from corecube.archive import plainfile
from corecube.archive.plainfile import export_plain
from corecube.archive.writer import create
from corecube.errors import ArchiveDamaged, NoSpace
from corecube.frames import Array, Bits, Column
from corecube.masks import MaskSpan, value
from corecube.recipes import Recipe
from corecube.spectral import Spectral
from corecube.tracesets import TraceSet

HDF5_ITSELF = {1, 2, 3}
"""Filters by their numbers: deflate, shuffle, fletcher32 (HDF5 reference, H5Z)."""


def datasets(file: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    file.visititems(
        lambda name, item: (
            found.update({f"/{name}": item}) if isinstance(item, h5py.Dataset) else None
        )
    )
    return found


def same(one: Any, two: Any) -> bool:
    one, two = np.ascontiguousarray(one), np.ascontiguousarray(two)
    return bool(
        one.dtype == two.dtype and one.shape == two.shape and one.tobytes() == two.tobytes()
    )


def said(item: Any, name: str) -> str:
    """Give an attribute: text of a fixed length, UTF-8; "" if there is none."""
    found: str = bytes(item.attrs.get(name, b"")).decode()
    return found


@pytest.fixture(scope="module", params=["plain", "small"])
def exported(
    request: Any, tmp_path_factory: pytest.TempPathFactory, store_in: Callable[..., Any]
) -> Iterator[tuple[Any, Any]]:
    """A shot with links, late masks, a recipe, traces and texts; and its exported file."""
    folder = tmp_path_factory.mktemp("plain")
    archive = folder / "a.corecube"
    create(archive, request.param)
    rng = np.random.default_rng(1)
    shape = (300, 530)

    def image(name: str, **more: Any) -> Any:
        flux = rng.normal(5, 1, shape).astype("f4")
        flux[3, 5] = -0.0
        return corecube.frames.Image(
            name=name, flux=flux, unit="adu", error=np.sqrt(np.abs(flux)),
            mask=(rng.integers(0, 9, shape) == 8).astype("u4"), **more,
        )  # fmt: skip

    store_in(archive, "bias/1", [image("bias")], kind="calibration")
    with corecube.open(archive) as opened:
        bias = opened.shot("lab/bias/1").linked("bias", "flux")
    own = {
        "scale": Array(rng.uniform(0.002, 0.006, shape[1]).astype("f4"), "adu", ("x",)),
        "sky": Array(rng.uniform(20, 200, (39, 68)).astype("f4"), "adu", ("a", "b"), "Sky, é."),
        "sky_x": Array((np.arange(shape[1]) / 8).astype("f4")),
        "sky_y": Array((np.arange(shape[0]) / 8).astype("f4")),
        "gain": Array(np.array(4.72)), "dark_variance": Array(np.array(1.3225)),
    }  # fmt: skip
    recipe = Recipe("counts 1", {name: name for name in own})
    first = image("r 1.a", calibration={**own, "bias": bias}, layers={"model": bias})
    arrays = {key: array.values for key, array in own.items()}
    error = recipe.apply(first.flux, arrays, (0, shape[0]), (0, shape[1]))
    first = replace(
        first, recipe=recipe, error=error,
        bits={"own": Bits(rng.integers(0, 4, shape).astype("u1"), ("a", "b"))},
    )  # fmt: skip

    def stars(name: str, wave: Spectral, **more: Any) -> Any:
        flux = rng.normal(5, 1, (40, 200)).astype("f4")
        return corecube.frames.Fibers(
            name=name, flux=flux, unit="adu", error=np.ones_like(flux), wave=wave,
            mask=np.zeros(flux.shape, "u4"), id=tuple(f"{name}{i}" for i in range(40)),
            ra=np.arange(40.0), dec=np.zeros(40), **more,
        )  # fmt: skip

    traces = TraceSet("legendre", 0.0, 199.0, rng.uniform(0.1, 0.2, (40, 2)) + np.array([3.5, 0.0]))
    text = Column("class", "text")
    frames = [
        first, image("g", calibration={"bias": bias}),
        stars("grid", Spectral(first=35000, step=1e-4, count=200), columns={text: ["é"] * 40}),
        stars("traced", Spectral(traces=traces, count=200), calibration={"bias": bias}),
        stars("own", Spectral(np.linspace(4000.0, 5000.0, 200))),
    ]  # fmt: skip
    pixel = np.array([7], "i4")
    spans = [MaskSpan(name, "list", pixel, pixel, pixel + 2) for name in ("g", "own")]
    store_in(archive, "night/1", frames, spans=spans)
    with corecube.open(archive) as opened:
        shot = opened.shot("lab/night/1")
        export_plain(shot, folder / "out.h5")
        with h5py.File(folder / "out.h5", "r") as file:
            yield shot, file


def test_there_is_no_filter_but_those_of_hdf5(exported: tuple[Any, Any]) -> None:
    found = datasets(exported[1])
    assert len(found) > 40
    for name, item in found.items():
        pipeline = item.id.get_create_plist()
        used = {pipeline.get_filter(n)[0] for n in range(pipeline.get_nfilters())}
        assert used <= HDF5_ITSELF, name
        assert item.external is None and not item.is_virtual


def test_images_are_those_of_the_archive(exported: tuple[Any, Any]) -> None:
    shot, file = exported
    for name in shot.images:
        image, where = shot.frame(name), f"/images/{name}"
        for part in ("flux", "error", "mask"):
            assert same(file[f"{where}/{part}"][:], getattr(image, part)), part
        for key, bits in image.bits.items():
            assert same(file[f"{where}/bits/{key}"][:], bits.values)
        for key, layer in image.layers.items():
            assert same(file[f"{where}/layers/{key}"][:], layer.values)
        assert shot.image(name)["levels"] == 2
        for number in (1, 2):
            level = shot.level(name, number)
            for part in ("flux", "error", "mask", "coverage"):
                path = f"{where}/pyramid/{number}/{part}"
                assert same(file[path][:], getattr(level, part)), path
    assert file["/images/g/mask"][7, 7] & value("late")
    assert said(file["/images/g/flux"], "unit") == "adu"
    assert said(file["/images/g/flux"], "axes") == "y,x"


def test_fibres_are_those_of_the_archive(exported: tuple[Any, Any]) -> None:
    shot, file = exported
    for name in shot.groups:
        fibers, where = shot.rows(name, 0, 40), f"/fibers/{name}"
        for part in ("flux", "error", "mask", "ra", "dec"):
            assert same(file[f"{where}/{part}"][:], getattr(fibers, part)), part
        assert same(file[f"{where}/wave"][:], fibers.wave.wavelength())
        assert tuple(text.decode() for text in file[f"{where}/id"][:]) == fibers.id
    assert file["/fibers/grid/columns/class"][0].decode() == "é"
    assert file["/fibers/own/mask"][7, 7] & value("late")
    assert said(file["/fibers/grid/wave"], "axes") == "wave"


def test_the_description_fits_and_names_every_array(exported: tuple[Any, Any]) -> None:
    shot, file = exported
    about = json.loads(file["/description"][:].tobytes())
    history = json.loads(file["/provenance"][:].tobytes())
    there = {n for n in datasets(file) if n not in ("/description", "/provenance")}
    assert set(about["arrays"]) == there
    for name, listed in about["arrays"].items():
        assert tuple(listed["shape"]) == file[name].shape
    assert about["links"] == []
    for name, described in about["images"].items():
        for key, digest in described["calibration"].items():
            kept = shot.frame(name).calibration[key]
            found = file[f"/calibration/{digest}"]
            assert same(found[:].reshape(kept.values.shape), kept.values)
            assert said(found, "description") == kept.description
    (block,) = history["blocks"]["traced"]
    bias = shot.rows("traced", 0, 40).calibration["bias"]
    assert same(file[f"/calibration/{block['calibration']['bias']}"][:], bias.values)
    assert said(file, "corecube_key") == "night/1"


def test_what_cannot_be_read_back_is_not_kept(
    exported: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shot, _ = exported
    crc, calls = plainfile._crc, []

    def other(values: Any) -> int:
        calls.append(1)
        return crc(values) + (len(calls) == 60)  # as if the disk had kept something else

    monkeypatch.setattr(plainfile, "_crc", other)
    (tmp_path / "out.h5").write_bytes(b"before")
    with pytest.raises(NoSpace, match="full or failing"):
        export_plain(shot, tmp_path / "out.h5")
    assert [item.name for item in tmp_path.iterdir()] == ["out.h5"]
    assert (tmp_path / "out.h5").read_bytes() == b"before"


def test_a_damaged_shot_gives_no_file(
    tmp_path: Path, store_in: Callable[..., Any], image: Callable[..., Any]
) -> None:
    archive = tmp_path / "a.corecube"
    create(archive)
    record = store_in(archive, "night/1", [image("r", (300, 300))])
    with corecube.open(archive) as opened:
        shot = opened.shot(record)
        place = shot._file.get_node("/images/r/error").chunk_info((0, 0))
        with (archive / record.file).open("r+b") as file:
            file.seek(place.offset + 100)
            byte = file.read(1)
            file.seek(place.offset + 100)
            file.write(bytes([byte[0] ^ 1]))
        with pytest.raises(ArchiveDamaged, match="images/r/error"):
            export_plain(shot, tmp_path / "out.h5")
    assert not list(tmp_path.glob("*.h5")) and not list(tmp_path.glob(".tmp*"))
