"""The files of the sky index: what is refused, what stands in them, what they say of themselves."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skyrows import (  # type: ignore[import-not-found]  # loaded by the conftest
    decs,
    in_order,
    positions,
    ras,
    write,
)

from corecube.archive import skyrun
from corecube.archive.regions import Cone
from corecube.archive.skyindex import RECORD, Run, RunInfo, SkyIndex, write_run
from corecube.archive.sphere import unit_vectors
from corecube.errors import FrameError


@given(ra=st.lists(ras, min_size=1, max_size=5))
def test_right_ascension_is_stored_as_given(
    tmp_path_factory: pytest.TempPathFactory, ra: list[float]
) -> None:
    path = tmp_path_factory.mktemp("ra") / "a.run"
    info = write_run(path, ra, np.zeros(len(ra)), 1, np.arange(len(ra)))
    stored = in_order(Run(path.parent, info).read_all())
    assert stored["ra"].tobytes() == np.array(ra).tobytes()


@pytest.mark.parametrize(
    ("ra", "dec", "shot", "row", "reason"),
    [
        ([np.nan], [0], 1, 0, "finite"),
        ([0.0], [np.inf], 1, 0, "finite"),
        ([0.0], [90.001], 1, 0, "declination"),
        ([0.0], [0.0], -1, 0, "number"),
        ([0.0], [0.0], 1, 1 << 32, "number"),
        ([[0.0]], [[0.0]], 1, 0, "column"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, ra: Any, dec: Any, shot: int, row: int, reason: str
) -> None:
    with pytest.raises(FrameError, match=reason):
        write_run(tmp_path / "a.run", ra, dec, shot, row)
    assert list(tmp_path.iterdir()) == []


def test_layout_of_the_file(tmp_path: Path) -> None:
    """What the module's text says of the bytes, read without its code."""
    records = positions()
    info = write(tmp_path / "a.run", records)
    content = (tmp_path / "a.run").read_bytes()
    assert content[:8] == b"CCSKYRUN" and len(content) == info.size
    assert info.cells_offset % 4096 == info.records_offset % 4096 == 0
    stored = np.frombuffer(content, RECORD, info.rows, info.records_offset)
    np.testing.assert_array_equal(in_order(stored), in_order(records))
    zones, zone_crcs = np.frombuffer(content, "<u4", 2 * 2701, 4096).reshape(-1, 2).T
    places = np.frombuffer(content, "<u8", 2 * (info.cells + 1), info.cells_offset)
    firsts = places[1::2].astype(np.int64)
    cells, crcs = places[::2] & 0xFFFFFFFF, places[::2] >> 32
    assert zlib.crc32(content[4096 : 4096 + 8 * 2701]) == info.zones_crc
    assert zones[-1] == info.cells and firsts[-1] == info.rows
    assert np.all(np.diff(cells.astype(np.int64)) > 0)
    zone = np.minimum(((stored["dec"] + 90) * 15).astype(int), 2699)
    assert np.all(np.diff(zone) >= 0)
    for z in np.unique(zone):
        first, last = firsts[zones[z]], firsts[zones[z + 1]]
        assert np.all(zone[first:last] == z)
        assert np.count_nonzero(zone == z) == last - first
        entries = places[2 * zones[z] : 2 * zones[z + 1]]
        assert zlib.crc32(entries.tobytes()) == zone_crcs[z]
    for first, last, crc in zip(firsts, firsts[1:], crcs, strict=False):
        inside = stored[first:last]
        assert zlib.crc32(inside.tobytes()) == crc
        np.testing.assert_array_equal(inside, in_order(inside))


def test_info_is_plain_json(tmp_path: Path) -> None:
    info = write(tmp_path / "a.run", positions())
    text = json.dumps(info.to_json())
    assert RunInfo.from_json(json.loads(text)) == info
    wrong: list[dict[str, Any]] = [
        {"file": "../a.run"},
        {"file": ".hidden"},
        {"file": 5},
        {"rows": info.rows + 10_000},
        {"rows": -1},
        {"rows": 1.5},
        {"cell_arcmin": 0.0},
        {"center": [1, 2]},
        {"center": [1, 2, float("nan")]},
        {"size": info.size + 1},
        {"sha256": None},
        {"more": 1},
    ]
    for change in wrong:
        with pytest.raises((ValueError, TypeError, KeyError)):
            RunInfo.from_json({**info.to_json(), **change})
    with pytest.raises(KeyError):
        RunInfo.from_json({})


@settings(max_examples=200)
@given(
    ra=ras,
    dec=decs,
    size=st.sampled_from([0.0, 1e-4, 0.2, 5.0, 60.0, 170.0]),
    seed=st.integers(0, 1000),
)
def test_the_circle_of_a_run_holds_its_rows(
    tmp_path_factory: pytest.TempPathFactory, ra: float, dec: float, size: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 30))
    a = (ra + size * rng.uniform(-1, 1, n)) % 360.0 % 360.0
    d = np.clip(dec + size * rng.uniform(-1, 1, n), -90.0, 90.0)
    info = write_run(tmp_path_factory.mktemp("circle") / "a.run", a, d, 1, np.arange(n))
    z = np.array(info.center)
    here = unit_vectors(a, d) @ z
    assert np.all(here >= info.cos_radius)
    if size <= 5.0 and abs(dec) + size < 89.0:  # and it is no larger than it must be
        reach = np.degrees(np.arccos(np.clip([here.min(), info.cos_radius], -1, 1)))
        assert reach[1] <= 2.0 * reach[0] + 1e-5


def test_large_runs_have_the_whole_sky_for_their_circle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ra, dec = np.linspace(10, 11, 50), np.linspace(20, 21, 50)
    small = write_run(tmp_path / "small.run", ra, dec, 1, np.arange(50))
    assert small.cos_radius > 0.999
    monkeypatch.setattr(skyrun, "_WIDE", 49)
    large = write_run(tmp_path / "large.run", ra, dec, 2, np.arange(50))
    assert large.cos_radius == -1.0
    index = SkyIndex(tmp_path, [small, large])
    assert len(index.search(Cone(10.5, 20.5, 1.0))) == 100
    assert len(index.search_many([10.5, 200.0], [20.5, -20.0], 1.0)[0]) == 100
    assert RunInfo.from_json(json.loads(json.dumps(large.to_json()))) == large


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from corecube.archive.skyindex import write_run, merge
from corecube.archive.skyverify import verify
from corecube.errors import NoSpace
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
here, i = Path(sys.argv[1]), np.arange(70_000)
kept = [write_run(here / f"{n}.run", i / 200, i / 1000, n, i) for n in (1, 2)]
failed = 0
for work in (
    lambda: write_run(here / "big.run", np.tile(i, 3) / 700, np.tile(i, 3) / 1000, 1, 0),
    lambda: merge(here, kept, (), here / "merged.run"),
):
    try:
        work()
    except NoSpace:
        failed += 1
for info in kept:
    verify(here / info.file, info)
sys.exit(failed + 5)
"""


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 7, done.stderr
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["1.run", "2.run"]


def test_header_has_room() -> None:
    assert skyrun._HEADER.size <= skyrun.PAGE - 4
