"""Whole archives of strangers, whose seals and digests are right: nothing in them is obeyed.

A stranger computes checksums as we do, so these archives pass them all. Every command looks at
each: nothing runs, nothing outside of the folder is read, moved or written, no control character
reaches the terminal, and where it cannot go on it says so in one line.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import corecube
from corecube.archive.verify import verify
from corecube.archive.writer import ArchiveWriter, load_sources
from corecube.errors import ArchiveDamaged, ArchiveTooNew, CorecubeError
from corecube.pipeline import Options, ingest
from corecube.plugins import load
from corecube_cli.main import run

SECRET = "s3cr3t-that-must-not-be-told"
ESCAPES = "a\x1b]0;owned\x07\n\x9b31m\u202eb"
HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
FIELD, PLATE = "toy/field/1", "toy/plate/1"

Hostile = Callable[[Any, "World"], object]


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


class World:
    """What lies beside the archive and must stay as it is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ran = folder / "RAN"
        self.secret = folder / "secret.txt"
        self.secret.write_text(SECRET * 20)
        self.h5 = folder / "secret.h5"
        with h5py.File(self.h5, "w") as file:
            file.create_dataset("d", data=np.full((300, 310), 777, "f4"), chunks=(64, 64))
        (folder / "victims").mkdir()
        for name in ("1.7.h5", "2-aa.run", "state.3.json"):
            (folder / "victims" / name).write_text("precious")

    def pickle(self) -> np.bytes_:
        return np.bytes_(pickle.dumps(Evil(self.ran), 0))

    def state(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.folder.rglob("*")) if path.is_file()
        }  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stranger") / "sound.corecube"


@pytest.fixture
def archive(made: Path, toy: Any, tmp_path: Path) -> Path:
    """A copy of an archive with an image, a plate with exposures, and a file that waits."""
    if not made.exists():
        raw = made.parent / "raw"
        toy.image(raw / "r.toy", "field/1", shape=(300, 310))
        toy.fibers(
            raw / "f.toy", "plate/1", ra=10 + np.arange(40) / 100, dec=np.full(40, 20.0),
            exposures=True,
        )  # fmt: skip
        toy.gain(raw / "w.toy", "field/9")
        assert ingest([str(raw)], made, load("toy"), toy.ToyConfig(), Options()).exit_code() == 0
    place = tmp_path / "home" / "a.corecube"
    shutil.copytree(made, place)
    return place


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "world").mkdir()
    around = World(tmp_path / "world")
    before = around.state()
    yield around
    assert not around.ran.exists(), "a pickle was run"
    assert around.state() == before, "files outside of the archive were changed"


@pytest.fixture
def use(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, looking: Any
) -> Callable[..., dict[str, int]]:
    """Do all that can be done with an archive; return exit codes by command."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def all_of_it(archive: Path, *, skip: str = "") -> dict[str, int]:
        out = tmp_path / "out"
        commands: dict[str, list[Any]] = {
            "info": ["info", archive],
            "info json": ["info", archive, "--json"],
            "query": [
                "query", archive, "10", "20", "-r", "0.3deg", "--exposures", "--spectra",
                out / "spectra", "--cutouts", out / "cutouts", "--force",
            ],
            "query where": ["query", archive, "--where", "z > 0"],
            "show": ["show", archive, FIELD],
            "show image": ["show", archive, f"{FIELD}/r"],
            "show fibre": ["show", archive, f"{PLATE}/stars/a-0"],
            "report": ["report", archive, f"{FIELD}/r", "-o", out / "report", "--json-only"],
            "verify": ["verify", archive],
            "repair": ["repair", archive],
            "info after": ["info", archive],
        }  # fmt: skip
        codes = {}
        for name, command in commands.items():
            if skip and name.startswith(skip):
                continue
            capfd.readouterr()
            codes[name] = run([str(part) for part in command])
            said, told = capfd.readouterr()
            assert codes[name] in (0, 2, 3, 5, 8), f"{name}: {told}"
            for text in (said, told):
                assert not HARMFUL.search(text), f"{name}: {text!r}"
                assert SECRET not in text and "Traceback" not in text
            if codes[name] in (2, 5):
                assert told.count("error:") == 1, f"{name}: {told}"
            if name == "verify":
                for step, found in looking.look(archive).items():
                    shown = repr(found) if "question" not in step else ""
                    assert SECRET not in shown, step
        for path in out.rglob("*"):
            if path.is_file():
                assert SECRET.encode() not in path.read_bytes()
                assert np.array([777], ">f4").tobytes() * 4 not in path.read_bytes()
        return codes

    return all_of_it


# -- in the shot file ------------------------------------------------------------------------------


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
SHAPE = (300, 310)


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


# -- names and texts -------------------------------------------------------------------------------


def texts(about: Any) -> None:
    for image in about["images"].values():
        image |= {"target": ESCAPES, "band": ESCAPES, "unit": "nanomaggy"}
    about |= {"title": ESCAPES, "kind": ESCAPES}


def keys(about: Any) -> None:
    about["images"] = {f"r{ESCAPES}": image for image in about["images"].values()}


def provenance(about: Any) -> None:
    about["images"]["r"] |= {"steps": [ESCAPES], "sources": [ESCAPES], "notes": [ESCAPES]}
    about["config"] = {ESCAPES: ESCAPES}
    about["infos"][0]["source"]["path"] = f"/{ESCAPES}"


def columns(about: Any) -> None:
    group = about["groups"]["stars"]
    for column in group["columns"]:
        column |= {"unit": ESCAPES, "description": ESCAPES}
    group["unit"] = ESCAPES


def test_texts_of_a_stranger_are_printed_harmless(
    archive: Path, world: World, forging: Any, use: Any
) -> None:
    forger = forging.Forger(archive)
    forger.described(FIELD, texts)
    forger.described(FIELD, provenance, "provenance")
    forger.described(PLATE, columns)

    def record(record: Any) -> None:
        texts(record)
        for group in record["groups"].values():
            group["unit"] = ESCAPES
            group["columns"] = {f"{n}{ESCAPES}": [d, ESCAPES] for n, (d, _) in
                                group["columns"].items()} | group["columns"]  # fmt: skip

    forger.record(FIELD, record)
    forger.record(PLATE, record)

    def header(file: Any) -> None:
        first = file["headers"]
        data = np.frombuffer(ESCAPES.encode().ljust(first.shape[0], b" ")[: first.shape[0]], "u1")
        del file["headers"]
        file.create_dataset("headers", data=data, chunks=data.shape)

    forger.hdf5(FIELD, header)
    forger.described(FIELD, lambda about: about["arrays"]["/headers"].pop("checksums") and None)
    codes = use(archive)
    assert codes["info"] == codes["show image"] == 0


def test_names_of_images_are_printed_harmless(
    archive: Path, world: World, forging: Any, use: Any
) -> None:
    forger = forging.Forger(archive)
    forger.described(FIELD, keys)
    forger.record(FIELD, keys)
    assert use(archive)["info"] == 0


# -- names of files --------------------------------------------------------------------------------

AWAY = (
    "../../etc/passwd", "/etc/passwd", "shots/../../world/victims/1.7.h5", "shots//x.1.h5",
    "shots/./toy/field/1.1.h5", "", "shots", "..", "shots/toy/field/1.1.h5\0",
)  # fmt: skip


@pytest.mark.parametrize(
    "field", ["catalogue", "sources", "state", "run", "file", "masks", "links", "key"]
)
def test_a_name_that_leads_elsewhere(
    archive: Path, world: World, forging: Any, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is read there, and nobody writes there, moves it or deletes it."""
    forger = forging.Forger(archive)
    monkeypatch.chdir(archive)
    sound = {path: path.read_bytes() for path in archive.rglob("*") if path.is_file()}
    for away in AWAY:
        for path, data in sound.items():
            path.write_bytes(data)
        if field in ("catalogue", "sources"):
            forger.manifest(lambda m: m[field].update(file=away, length=10))  # noqa: B023
        elif field == "state":
            forger.manifest(lambda m: m.update(state=away or "x"))  # noqa: B023
        elif field == "run":
            forger.manifest(lambda m: m["runs"][0].update(file=f"../{away}"))  # noqa: B023
        elif field == "links":
            forger.record(FIELD, lambda r: r.update(links=[away]))  # noqa: B023
        elif field == "masks":
            about = {"file": away, "size": 1, "sha256": "0"}
            forger.record(FIELD, lambda r: r.update(masks=about))  # noqa: B023
        else:
            forger.record(FIELD, lambda r: r.update({field: away}))  # noqa: B023
        with pytest.raises(ArchiveDamaged) as caught, corecube.open(archive) as opened:
            if field == "sources":  # readers need them not
                load_sources(archive, opened.state.manifest)
            list(opened.shots())
        assert "\n" not in str(caught.value) and "repair" in str(caught.value)
        if field != "sources":
            with pytest.raises(ArchiveDamaged), ArchiveWriter(archive):
                pass
    assert run(["repair", str(archive)]) in (0, 3)
    with corecube.open(archive) as opened:
        assert len(opened.shots()) == 2, "the shots themselves are sound"
        assert [d for _, found in verify(opened) for d in found] == []


LINKS: dict[str, tuple[str, str]] = {
    "a shot": ("shots/toy/field/1.1.h5", "victims/1.7.h5"),
    "a folder of shots": ("shots/toy", "victims"),
    "all shots": ("shots", "victims"),
    "the index": ("index", "victims"),
    "the catalogue": ("catalogue", "victims"),
    "a log": ("catalogue/shots.1.log", "victims/state.3.json"),
    "the manifest": ("manifest.json", "secret.txt"),
    "the description": ("archive.json", "secret.txt"),
    "the lock": ("lock", "secret.txt"),
    "a folder of masks": ("masks", "victims"),
    "a folder of damaged files": ("damaged", "victims"),
}


@pytest.mark.parametrize("name", LINKS)
def test_a_symbolic_link_out_of_the_archive(
    archive: Path, world: World, use: Any, toy: Any, tmp_path: Path, name: str
) -> None:
    place, target = LINKS[name]
    path = archive / place
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.symlink_to(world.folder / target)
    use(archive)
    toy.image(tmp_path / "new.toy", "field/5")
    run(["ingest", "-i", "toy", str(tmp_path / "new.toy"), "-a", str(archive), "-j", "1"])
    if archive.joinpath("manifest.json").exists():
        run(["remove", str(archive), PLATE, "--yes", "--now"])


@pytest.mark.parametrize("place", ["shots/toy/field/1.1.h5", "shots/toy/field", "index"])
def test_a_link_is_refused_also_where_all_is_well_behind_it(
    archive: Path, tmp_path: Path, place: str
) -> None:
    """It may lead to a shot of the user's that the stranger knows of."""
    (archive / place).rename(tmp_path / "elsewhere")
    (archive / place).symlink_to(tmp_path / "elsewhere")
    with corecube.open(archive) as opened:
        with pytest.raises(ArchiveDamaged, match="is a symbolic link") as caught:
            opened.cone((10.0, 20.0), 0.3) if place == "index" else opened.shot(FIELD)
        assert "\n" not in str(caught.value)
        assert any("symbolic link" in d.what for _, found in verify(opened) for d in found)
    assert run(["repair", str(archive)]) in (0, 3, 5)
    assert (tmp_path / "elsewhere").exists()


def test_a_symbolic_link_to_an_archive_is_as_good_as_the_archive(
    archive: Path, tmp_path: Path
) -> None:
    (tmp_path / "link.corecube").symlink_to(archive)
    with corecube.open(tmp_path / "link.corecube") as opened:
        assert opened.shot(FIELD).frame("r").flux.shape == SHAPE
        assert [d for _, found in verify(opened) for d in found] == []


@pytest.mark.parametrize("place", ["manifest.json", "archive.json", "catalogue/shots.1.log",
                                   "shots/toy/field/1.1.h5", "index"])  # fmt: skip
def test_a_pipe_is_not_waited_for(archive: Path, use: Any, world: World, place: str) -> None:
    path = archive / place
    if place == "index":
        (path,) = path.iterdir()
    path.unlink()
    os.mkfifo(path)
    use(archive)


# -- JSON ------------------------------------------------------------------------------------------

JSON = {
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "long number": b'{"format": ' + b"9" * 5000 + b"}",
    "large number": b'{"format": 1' + b"0" * 400 + b"}",
    "NaN": b'{"format": NaN}', "infinity": b'{"format": 1, "generation": 1e999}',
    "a list": b"[1, 2]", "null": b"null", "a text": b'"x"', "empty": b"",
    "no UTF-8": b'{"format": "\xff\xfe"}', "lone": b'{"format": "\\ud800"}', "true": b"true",
    "format true": b'{"format": true}', "format text": b'{"format": "1"}',
}  # fmt: skip


@pytest.mark.parametrize(
    "place", ["manifest", "about", "catalogue", "sources", "state", "description", "provenance"]
)
def test_hostile_json(archive: Path, forging: Any, looking: Any, place: str) -> None:
    forger = forging.Forger(archive)
    sound = {path: path.read_bytes() for path in archive.rglob("*") if path.is_file()}
    for name, text in JSON.items():
        for path, data in sound.items():
            path.write_bytes(data)
        if place in ("manifest", "about"):
            file = {"manifest": "manifest.json", "about": "archive.json"}[place]
            (archive / file).write_bytes(text)
        elif place in ("catalogue", "sources"):
            forger.log_texts(place, [text.replace(b"\n", b"")])
        elif place == "state":
            next((archive / "catalogue").glob("state.*.json")).write_bytes(text)
        else:
            forger.described_text(FIELD, text or b" ", place)
        looking.look(archive)
        assert run(["info", str(archive)]) in (0, 5), name
        assert run(["repair", str(archive)]) in (0, 3, 5), name


# -- formats ---------------------------------------------------------------------------------------


def test_a_newer_shot_file_is_refused_with_one_line(
    archive: Path, forging: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    forger = forging.Forger(archive)
    forger.hdf5(FIELD, lambda file: file.attrs.modify("corecube_format", np.int64(99)))
    with corecube.open(archive) as opened:
        with pytest.raises(ArchiveTooNew, match="has format 99, this corecube knows up to"):
            opened.shot(FIELD)
        assert opened.shot(PLATE).groups == ("stars", "single")
    capfd.readouterr()
    assert run(["show", str(archive), FIELD]) == 5
    assert capfd.readouterr().err.count("\n") == 1
    before = sorted(archive.rglob("*"))
    assert run(["repair", str(archive)]) in (0, 5), "a newer file is not damaged"
    assert [path for path in sorted(archive.rglob("*")) if "damaged" in path.parts] == []
    assert {path for path in before if path.suffix == ".h5"} <= set(archive.rglob("*.h5"))


def test_a_newer_archive_is_refused_by_every_command(
    archive: Path, forging: Any, toy: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    forging.Forger(archive).manifest(lambda m: m.update(format=99, new={"x": 1}))
    about = json.loads((archive / "archive.json").read_text())
    (archive / "archive.json").write_text(json.dumps(about | {"format": 99}))
    before = {path: path.read_bytes() for path in archive.rglob("*") if path.is_file()}
    toy.image(tmp_path / "new.toy", "field/5")
    for command in (
        ["info", archive], ["query", archive, "10", "20"], ["show", archive, FIELD],
        ["verify", archive], ["repair", archive], ["remove", archive, FIELD, "--yes"],
        ["ingest", "-i", "toy", tmp_path / "new.toy", "-a", archive],
    ):  # fmt: skip
        capfd.readouterr()
        assert run([str(part) for part in command]) == 5, command
        said = capfd.readouterr().err
        assert "has format 99" in said and said.count("\n") == 1, said
    assert {path: path.read_bytes() for path in archive.rglob("*") if path.is_file()} == before


# -- any change of any value -----------------------------------------------------------------------

VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2**31, 2**40, 2**63, 10**30, 1.5, 1e308, "", "../../x", "/etc/passwd",
    ESCAPES, [], {}, [[]], [None], {"a": 1}, "object",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("part", ["manifest", "catalogue", "sources", "description", "provenance"])
def test_any_value_anywhere_is_an_error_of_ours_or_harmless(
    archive: Path, forging: Any, looking: Any, part: str, seed: int
) -> None:
    """Thousands of these run in ``tests/soak/fuzz.py``."""
    rng = np.random.default_rng([seed, *part.encode()])
    forger = forging.Forger(archive)
    forging.mutate(forger, part, (FIELD, PLATE)[seed % 2], VALUES, rng)
    looking.look(archive)
    try:
        with corecube.open(archive) as opened:
            list(verify(opened))
            result = opened.cone((10.0, 20.0), 0.3)
            len(result.fibers), len(result.images)
            for row in opened.rows(result):
                row.shot().close()
    except CorecubeError:
        pass
    assert run(["repair", str(archive)]) in (0, 3, 5)
