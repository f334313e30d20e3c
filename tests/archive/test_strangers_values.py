"""JSON, formats and values of strangers: an error of ours in one line, or harmless."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strangers import (  # type: ignore[import-not-found]  # loaded by the conftest
    ESCAPES,
    FIELD,
    PLATE,
)

import corecube
from corecube.archive.verify import verify
from corecube.errors import ArchiveTooNew, CorecubeError
from corecube_cli.main import run

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
