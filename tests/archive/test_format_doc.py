"""docs/format.md is enough: its example reads an archive, and its tables name what is there."""

from __future__ import annotations

import json
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corecube import hdf5, plugins
from corecube.archive.manifest import load
from corecube.archive.ringgrid import ring_grid
from corecube.archive.shotfile import StoredShot
from corecube.archive.skyrun import RECORD
from corecube.masks import names
from corecube.pipeline import ingest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "format.md"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of simulated frames and spectra under the name that the page uses."""
    folder = tmp_path_factory.mktemp("format")
    caller = plugins.load("sdss")
    options = {"rows": 300, "columns": 300, "bands": "gr", "stars": 12, "spectra": 3}
    (folder / "in").mkdir()
    caller.call("simulate", directory=folder / "in", options=options, seed=5)
    path = folder / "sky.corecube"
    report = ingest([str(folder / "in")], path, caller, caller.instrument.config())
    assert report.counts["ingested"] == 5
    return path


@pytest.fixture(scope="module")
def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def described(text: str, heading: str) -> set[str]:
    """Give the words in code quotes of the first column of the table below a heading."""
    below = text.split(f"\n{heading}\n", 1)[1]
    table = below[below.index("\n| ") :].split("\n\n", 1)[0]
    cells = [line.split("|")[1] for line in table.strip().splitlines()[2:]]
    return {word for cell in cells for word in re.findall(r"`([^`]+)`", cell)}


def example(text: str, archive: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the page's program beside the archive and give its variables."""
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert "corecube" not in re.findall(r"^\s*(?:import|from) (\w+)", code, flags=re.MULTILINE)
    hdf5.library()  # the guard stays in place for the tests that follow
    monkeypatch.chdir(archive.parent)
    found: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), found)
    return found


def test_the_example_reads_an_image_and_a_spectrum(
    text: str, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = example(text, archive, monkeypatch)
    with StoredShot(archive / found["with_images"]["file"]) as shot:
        image = shot.frame(found["name"])
        assert np.array_equal(found["flux"], image.flux)
        assert image.error is not None and image.mask is not None
        assert np.array_equal(found["error"], image.error, equal_nan=True)
        assert found["header"] == image.header
    seen = int(np.bitwise_or.reduce(found["mask"], axis=None))
    assert {plane for plane, pixels in found["found"].items() if pixels} == set(names(seen))
    assert names((1 << 16) - 1) == tuple(found["planes"][bit] for bit in range(16))
    with StoredShot(archive / found["with_fibers"]["file"]) as shot:
        fibers = shot.rows(found["group"], 0, 1)
        assert np.array_equal(found["spectrum"], fibers.flux[0], equal_nan=True)
        assert fibers.error is not None
        assert np.array_equal(found["sigma"], fibers.error[0], equal_nan=True)
        assert (found["identifier"],) == fibers.id
        assert (found["ra"], found["dec"]) == (fibers.ra[0], fibers.dec[0])
        # 10 ** x of both is the same float64 to a few units of the last digit
        wave = np.atleast_2d(fibers.wave.wavelength())[0]
        np.testing.assert_allclose(found["wave"], wave, rtol=1e-14)


def test_the_tables_name_every_field(text: str, archive: Path) -> None:
    manifest, _ = load(archive)
    assert described(text, "### manifest.json") == {"format", "crc", *vars(manifest)}
    line = (archive / manifest.catalogue.file).read_bytes().split(b"\n")[0]
    record = json.loads(line.split(b" ", 1)[1])
    assert described(text, "### The logs") == set(record)
    with StoredShot(archive / record["file"]) as shot:
        assert described(text, "### /description") == set(shot.description)
        assert described(text, "### /provenance") == set(shot.history)


def test_every_field_of_images_and_groups_is_named(text: str, archive: Path) -> None:
    about = text.split("### /description", 1)[1].split("### /provenance", 1)[0]
    words = set(re.findall(r"`([^`]+)`", about))
    for path in archive.glob("shots/sdss/*.h5"):
        with StoredShot(path) as shot:
            parts = (*shot.description["images"].values(), *shot.description["groups"].values())
            arrays = shot.description["arrays"].values()
            for part in (*parts, *arrays):
                assert not set(part) - words


def test_a_run_of_the_sky_index_is_as_the_page_says(archive: Path) -> None:
    """Read a run with struct and the page's formulas alone."""
    manifest, _ = load(archive)
    (run,) = manifest.runs
    data = (archive / "index" / run.file).read_bytes()
    header = struct.unpack_from("<8sIId4Q4d3I", data)
    magic, version, zones, height, rows, cells, cells_at, records_at = header[:8]
    assert (magic, version, height) == (b"CCSKYRUN", 2, 3.0)
    assert struct.unpack("<I", data[4092:4096])[0] == zlib.crc32(data[:4092])
    records = np.frombuffer(data, RECORD, rows, records_at)
    directory = np.frombuffer(data, "<u4, <u4, <u8", cells + 1, cells_at)
    first, zone_crc = np.frombuffer(data, "<u4", 2 * (zones + 1), 4096).reshape(-1, 2).T

    h = height / 60.0
    assert zones == int(np.ceil(180.0 / h - 1e-6))
    edges = np.arange(zones + 1) * h - 90.0
    nearest = np.where(edges[:-1] >= 0, edges[:-1], np.maximum(-edges[1:], 0.0))
    count = np.maximum(1, np.floor(360 * np.cos(np.radians(nearest)) / h + 1e-6)).astype(int)
    before = np.concatenate([[0], np.cumsum(count)])
    assert np.array_equal(before, ring_grid(height).first_cell)
    zone = np.minimum(np.floor((records["dec"] + 90.0) * (60.0 / height)), zones - 1).astype(int)
    inside = np.floor(records["ra"] * count[zone] / 360.0).astype(int)
    cell = before[zone] + np.minimum(inside, count[zone] - 1)
    assert np.all(np.diff(cell) >= 0)
    assert np.array_equal(np.unique(cell), directory["f0"][:-1])
    assert directory[-1].tolist() == (before[-1], 0, rows)
    assert np.array_equal(np.searchsorted(directory["f0"][:-1], before), first)
    assert zlib.crc32(data[4096 : 4096 + 8 * (zones + 1)]) == run.zones_crc == header[-1]
    for z in np.flatnonzero(np.diff(first)):
        assert zlib.crc32(directory[first[z] : first[z + 1]].tobytes()) == zone_crc[z]
    assert not zone_crc[:-1][np.diff(first) == 0].any()
    for begin, end, crc in zip(directory["f2"], directory["f2"][1:], directory["f1"], strict=False):
        assert zlib.crc32(records[begin:end].tobytes()) == crc
    assert len(data) == records_at + 24 * rows
