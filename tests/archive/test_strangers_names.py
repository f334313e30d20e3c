"""Names and texts of strangers: none leads elsewhere, none reaches the terminal as it is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strangers import (  # type: ignore[import-not-found]  # loaded by the conftest
    ESCAPES,
    FIELD,
    PLATE,
    SHAPE,
    World,
)

import corecube
from corecube.archive.verify import verify
from corecube.archive.writer import ArchiveWriter, load_sources
from corecube.errors import ArchiveDamaged
from corecube_cli.main import run

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
            forger.manifest(lambda m: m[field].update(file=away, length=10))  # noqa: B023 - called in this turn
        elif field == "state":
            forger.manifest(lambda m: m.update(state=away or "x"))  # noqa: B023 - called in this turn
        elif field == "run":
            forger.manifest(lambda m: m["runs"][0].update(file=f"../{away}"))  # noqa: B023 - called in this turn
        elif field == "links":
            forger.record(FIELD, lambda r: r.update(links=[away]))  # noqa: B023 - called in this turn
        elif field == "masks":
            about = {"file": away, "size": 1, "sha256": "0"}
            forger.record(FIELD, lambda r: r.update(masks=about))  # noqa: B023 - called in this turn
        else:
            forger.record(FIELD, lambda r: r.update({field: away}))  # noqa: B023 - called in this turn
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
