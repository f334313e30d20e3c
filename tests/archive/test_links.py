"""Links to arrays of other shots: stored once, checked when followed, kept while needed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import corecube
from corecube.archive import links
from corecube.archive.shotfile import StoredShot
from corecube.archive.verify import verify
from corecube.archive.writer import ArchiveWriter
from corecube.errors import ArchiveDamaged, ArchiveError, FrameError, QueryError
from corecube.frames import Array, Image, Link

Store = Callable[..., Any]
Make = Callable[..., Any]


@pytest.fixture
def master(place: Path, store: Store, image: Make) -> Image:
    """A stored master with calibration and a layer of its own."""
    made: Image = image(
        "bias", (300, 310), seed=3,
        calibration={"gain": Array(np.array(1.5), "electron / adu", (), "Gain.")},
        layers={"sigma": Array(np.ones((300, 310), "f4"), "adu", ("y", "x"))},
    )  # fmt: skip
    store("masters/1", [made], kind="calibration")
    return made


def linked(place: Path, field: str, generation: int | None = None) -> Array:
    with corecube.open(place) as archive:
        return archive.shot("lab/masters/1").linked("bias", field)


def damages(place: Path, quick: bool = False) -> list[tuple[str, str]]:
    with corecube.open(place) as archive:
        return [(d.where, d.what) for _, part in verify(archive, quick=quick) for d in part]


FIELDS = ("flux", "error", "mask", "layers/sigma", "calibration/gain")


def test_linked_arrays_are_not_stored_and_come_back(
    place: Path, store: Store, image: Make, fibers: Make, master: Image
) -> None:
    arrays = {field.replace("/", " "): linked(place, field) for field in FIELDS}
    own = Array(np.arange(5.0))
    target = image(
        "night", seed=4, calibration={"own": own, **arrays}, layers={"bias": arrays["flux"]}
    )
    spectra = fibers("extracted", 2, 9, calibration=arrays)
    record = store("night/1", [target, spectra])
    assert record.size < 120_000, "the masters' 300 x 310 pixels are not in it"
    with corecube.open(place) as archive:
        shot = archive.shot("lab/night/1")
        for frame in (shot.frame("night"), shot.rows("extracted", 0, 2)):
            for name, given in arrays.items():
                found = frame.calibration[name]
                np.testing.assert_array_equal(found.values, given.values)
                assert found.values.dtype == given.values.dtype
                assert (found.unit, found.axes, found.description, found.link) == (
                    given.unit, given.axes, given.description, given.link,
                )  # fmt: skip
        assert list(shot.frame("night").calibration) == ["own", *arrays], "their order too"
        found = shot.frame("night").layers["bias"]
        np.testing.assert_array_equal(found.values, master.flux)
        assert record.links == [archive.record("lab/masters/1").file]
        # a link to a link leads to the array itself
        again = shot.linked("night", "calibration/flux")
        assert again.link == arrays["flux"].link
        np.testing.assert_array_equal(again.values, master.flux)
    assert damages(place) == []


def test_an_archive_may_be_named_by_a_path_with_dots(
    place: Path, store: Store, image: Make, master: Image
) -> None:
    store("night/1", [image("night", calibration={"bias": linked(place, "flux")})])
    dotted = place / ".." / place.name
    assert damages(dotted) == []
    with corecube.open(dotted) as archive:
        values = archive.shot("lab/night/1").frame("night").calibration["bias"].values
        np.testing.assert_array_equal(values, master.flux)


def test_linked_reads_as_the_contract_says(place: Path, master: Image) -> None:
    with corecube.open(place) as archive:
        shot = archive.shot("lab/masters/1")
        for field in FIELDS:
            mine = shot.linked("bias", field)
            whole = super(StoredShot, shot).linked("bias", field)
            assert mine.link == whole.link, "the general way gives the same digest"
        with pytest.raises(FrameError, match="has no field 'layers/none'"):
            shot.linked("bias", "layers/none")
        with pytest.raises(QueryError, match="has no image 'none'"):
            shot.linked("none", "flux")


def test_a_link_whose_values_were_changed_is_refused(
    place: Path, store: Store, image: Make, fibers: Make, master: Image
) -> None:
    array = linked(place, "flux")
    cut = replace(array, values=array.values[:50])
    with pytest.raises(FrameError, match="is not the array that it links to"):
        store("night/1", [image("night", calibration={"bias": cut})])
    with pytest.raises(FrameError, match="a group's layers are stored with its rows"):
        store("night/1", [fibers("stars", 300, 310, layers={"x": array})])


def test_generations_that_are_linked_to_stay_and_others_go(
    place: Path, store: Store, image: Make, master: Image
) -> None:
    first = linked(place, "flux")
    with corecube.open(place) as archive:
        old = archive.record("lab/masters/1").file
    store("night/1", [image("night", calibration={"bias": first})])
    new = store("masters/1", [image("bias", seed=8)], kind="calibration")
    store("night/2", [image("night", calibration={"bias": linked(place, "flux")})])
    with ArchiveWriter(place) as writer:
        assert writer.clean() == []
        assert writer.needed_by("lab/masters/1") == ["lab/night/1", "lab/night/2"]
    assert (place / old).exists() and old != new.file
    with corecube.open(place) as archive:
        for key, array in (("night/1", master.flux), ("night/2", None)):
            bias = archive.shot(f"lab/{key}").frame("night").calibration["bias"]
            assert np.array_equal(bias.values, master.flux) == (array is not None)
    assert damages(place) == []
    store("night/1", [image("night", seed=9)])  # without links now
    with ArchiveWriter(place) as writer:
        assert old in writer.clean()
        assert writer.needed_by("lab/masters/1") == ["lab/night/2"]
    assert damages(place) == []


def test_a_shot_that_others_need_is_not_removed(
    place: Path, store: Store, image: Make, master: Image
) -> None:
    for number in range(6):
        store(f"night/{number}", [image("n", calibration={"b": linked(place, "mask")})])
    before = (place / "manifest.json").read_bytes()
    says = r"lab/masters/1 is needed by lab/night/0, .*lab/night/3 and 2 more, which have arrays"
    with ArchiveWriter(place) as writer, pytest.raises(ArchiveError, match=says):
        writer.commit(removed=["lab/masters/1", "lab/night/1", "nothing"][:1])
    assert (place / "manifest.json").read_bytes() == before
    everything = [f"lab/night/{number}" for number in range(6)]
    with ArchiveWriter(place) as writer:
        writer.commit(removed=["lab/masters/1", *everything])
        writer.clean()
    assert not list((place / "shots").rglob("*.h5"))


def test_a_link_that_fails_is_one_clear_line(
    place: Path, store: Store, image: Make, master: Image, tmp_path: Path
) -> None:
    record = store("night/1", [image("night", calibration={"bias": linked(place, "flux")})])
    file = place / record.links[0]
    whole = file.read_bytes()

    def says(match: str, quick: bool = False) -> None:
        with corecube.open(place) as archive, pytest.raises(ArchiveDamaged, match=match) as caught:
            archive.shot("lab/night/1").frame("night")
        assert "\n" not in str(caught.value) and "--force" in str(caught.value)
        found = [what for where, what in damages(place, quick) if where == "lab/night/1"]
        assert found and "links to" in found[0], "verify follows links"

    file.unlink()
    says("links to flux of bias in lab/masters/1, but .* is missing", quick=True)
    # another array in a sound file of the same name
    other = store("masters/2", [image("bias", (300, 310), seed=99)], kind="calibration")
    shutil.copy(place / other.file, file)
    says("is lab/masters/2, generation")
    file.write_bytes(whole[: len(whole) // 2])
    says("which cannot be read .*is truncated")
    file.write_bytes(whole)
    assert damages(place) == []


def test_a_link_out_of_the_archive_is_not_followed(
    place: Path, store: Store, image: Make, master: Image, tmp_path: Path
) -> None:
    """A stranger may name one in a shot file; the file that it leads to is not opened."""
    record = store("night/1", [image("night", calibration={"bias": linked(place, "flux")})])
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(place / record.links[0], tmp_path / "elsewhere" / Path(record.links[0]).name)
    generation = int(record.links[0].split(".")[-2])
    away = Link("lab/../../../elsewhere/1", generation, "bias", "flux", "0" * 16)
    assert (place / links.path_of(away)).exists()

    def opener(path: Path, archive: Path) -> StoredShot:
        raise AssertionError(f"{path} was opened")

    with pytest.raises(ArchiveDamaged, match="which is none in it"):
        links.resolve(away, place, "here", opener)


def test_an_array_that_is_another_one_now_is_refused(
    place: Path, store: Store, image: Make, master: Image
) -> None:
    record = store("night/1", [image("night", calibration={"bias": linked(place, "flux")})])
    file = place / record.links[0]
    from corecube.archive.shotwriter import ShotWriter

    with StoredShot(file) as shot:
        description, history, generation = shot.description, shot.history, shot.generation
    about = {k: description[k] for k in ("instrument", "key", "title", "kind", "generation")}
    about |= {k: description[k] for k in ("fingerprint", "basis", "entries", "created")}
    file.unlink()
    writer = ShotWriter(file)
    writer.add_image("e", image("bias", (300, 310), seed=5))
    writer.finish({**about, "raw_bytes": 0}, {k: history[k] for k in ("plan", "config", "infos")})
    assert generation == about["generation"]
    with (
        corecube.open(place) as archive,
        pytest.raises(ArchiveDamaged, match="that array is another one now"),
    ):
        archive.shot("lab/night/1").frame("night")


def test_outside_of_an_archive_a_link_says_so(
    place: Path, store: Store, image: Make, master: Image, tmp_path: Path
) -> None:
    record = store("night/1", [image("night", calibration={"bias": linked(place, "flux")})])
    alone = tmp_path / "alone.h5"
    shutil.copy(place / record.file, alone)
    with (
        StoredShot(alone) as shot,
        pytest.raises(ArchiveDamaged, match="does not stand in an archive"),
    ):
        shot.frame("night")
    with StoredShot(alone, place) as shot:
        np.testing.assert_array_equal(shot.frame("night").calibration["bias"].values, master.flux)


def test_what_is_kept_is_bounded_and_cannot_be_written_to(
    place: Path, store: Store, image: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "_KEEP", 100_000)
    for number in range(5):
        store(f"masters/{number}", [image("bias", (100, 110), seed=number)], kind="calibration")
        with corecube.open(place) as archive:
            array = archive.shot(f"lab/masters/{number}").linked("bias", "flux")
        store(f"night/{number}", [image("n", calibration={"bias": array})])
    with corecube.open(place) as archive:
        for number in range(5):
            found = archive.shot(f"lab/night/{number}").frame("n").calibration["bias"]
            with pytest.raises(ValueError, match="read-only"):
                found.values[0, 0] = 0
        assert sum(array.values.nbytes for array in links._kept.values()) <= 100_000


def test_links_that_go_round_end(place: Path, store: Store, image: Make, master: Image) -> None:
    """A stranger's archive may have them; ours never do."""
    array = linked(place, "flux")
    assert array.link is not None
    file = "shots/lab/loop.1.h5"
    loop = replace(array.link, shot="lab/loop", generation=1, frame="n", field="calibration/b")
    from corecube.archive.shotwriter import ShotWriter

    (place / file).parent.mkdir(exist_ok=True, parents=True)
    writer = ShotWriter(place / file)
    writer.add_image("e", image("n", calibration={"b": replace(array, link=loop)}))
    about = {
        "instrument": "lab", "key": "loop", "title": "", "kind": "science", "generation": 1,
        "fingerprint": "", "basis": "", "entries": {}, "created": "", "raw_bytes": 0,
    }  # fmt: skip
    writer.finish(about, {"plan": {}, "config": {}, "infos": []})
    with (
        StoredShot(place / file) as shot,
        pytest.raises(ArchiveDamaged, match="a link to a link to a link"),
    ):
        shot.frame("n")
