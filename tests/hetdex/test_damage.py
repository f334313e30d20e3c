"""Companions that are missing or damaged: one line each, and the shot goes on without them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import corecube
from corecube.errors import FileNotUnderstood
from corecube.pipeline import ingest
from corecube.plugins import load
from corecube.shots import FileHead, FileInfo, NotMine
from corecube_hetdex import plugin
from corecube_hetdex.identify import LARGE, ends_whole
from corecube_hetdex.settings import HetdexConfig

pytestmark = pytest.mark.xdist_group("hetdex")

NAME = "20260101v007"
AMP = "virus0000007/exp01/virus/multi_319_074_052_LL.fits.bz2"
CAL = "cal/20260101v007_319_074_052_cal.fits.bz2"
WEB_PAGE = b"<!DOCTYPE html>\n<html><body><h1>404 Not Found</h1></body></html>\n"

TABLES = {
    "dithall/20260101v007.dithall": 0.9, "fplane.txt": 0.5, "radec2_final.dat": 0.5,
    "norm.dat": 0.5, "fwhm.all": 0.5, "20260101v007sedtp_f.dat": 0.5,
    "d20260101s007exp01sky.dat": 0.505, "all.mch": 0.9, "getoff2_exp01.out": 0.5,
}  # fmt: skip
"""Tables, and where they are cut in the middle of a line."""


def identify(path: Path) -> FileInfo | NotMine | None:
    return plugin.corecube_identify(FileHead.of(str(path)), HetdexConfig())


@pytest.fixture
def shot(shot_folder: Path, tmp_path: Path) -> Path:
    """One amplifier with all that belongs to it."""
    target = tmp_path / NAME
    for name in (AMP, CAL, *TABLES):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shot_folder / name, target / name)
    return target


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("damage", ["cut", "empty", "web page"])
def test_a_damaged_table_is_named(shot: Path, name: str, damage: str) -> None:
    path = shot / name
    whole = path.read_bytes()
    assert isinstance(identify(path), FileInfo)
    part = whole[: int(len(whole) * TABLES[name])]
    path.write_bytes({"cut": part, "empty": b"", "web page": WEB_PAGE}[damage])
    with pytest.raises(FileNotUnderstood, match=path.name) as caught:
        identify(path)
    assert "\n" not in str(caught.value)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data, ".bz2": bz2.compress, ".gz": gzip.compress, ".xz": lzma.compress,
}  # fmt: skip


@pytest.mark.parametrize("packed", PACKERS)
def test_a_cut_cal_file_is_named(shot: Path, packed: str) -> None:
    data = bz2.decompress((shot / CAL).read_bytes())
    path = (shot / CAL).with_suffix(packed)
    whole = PACKERS[packed](data) if packed != ".bz2" else (shot / CAL).read_bytes()
    path.write_bytes(whole)
    assert isinstance(identify(path), FileInfo)
    for part in (len(whole) // 10, len(whole) // 2, len(whole) * 9 // 10, len(whole) - 3000):
        path.write_bytes(whole[:part])
        with pytest.raises(FileNotUnderstood, match=r"cut|truncated"):
            identify(path)


def test_ends_of_packed_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for size in range(40):  # so that the mark of .bz2 begins at all bits of a byte
        data = rng.bytes(2880 * (1 + size % 3))
        for packed in (".bz2", ".gz", ".xz"):
            path = tmp_path / f"a.fits{packed}"
            path.write_bytes(PACKERS[packed](data))
            assert ends_whole(FileHead.of(str(path))), (size, packed)
            head = FileHead.of(str(path))
            path.write_bytes(path.read_bytes()[:-1])
            cut = replace(head, source=replace(head.source, size=head.source.size - 1))
            assert packed == ".gz" or not ends_whole(cut), (size, packed)


def test_a_large_table_of_positions_is_not_read_wholly(shot: Path) -> None:
    path = shot / "dithall" / "20260101v007.dithall"
    lines = path.read_bytes().splitlines(keepends=True)
    more = [
        line.replace(b"multi_319_074_052", b"multi_%03d_074_052" % number)
        for number in range(500, 505) for line in lines if b"multi_319" in line
    ]  # fmt: skip
    path.write_bytes(b"".join(lines + more))
    assert path.stat().st_size > LARGE
    assert isinstance(identify(path), FileInfo)
    path.write_bytes(b"".join(lines + more)[:-30])
    with pytest.raises(FileNotUnderstood, match="no table of positions"):
        identify(path)


def test_all_companions_damaged_at_once(shot: Path, tmp_path: Path) -> None:
    for name, part in TABLES.items():
        data = (shot / name).read_bytes()
        (shot / name).write_bytes(data[: int(len(data) * part)])
    data = (shot / CAL).read_bytes()
    (shot / CAL).write_bytes(data[: len(data) // 2])
    caller = load("hetdex")
    path = tmp_path / "a.corecube"
    report = ingest([str(shot)], path, caller, caller.instrument.config())
    failed = [file for file in report.files if file.state == "failed"]
    assert {Path(file.path).name for file in failed} == {Path(n).name for n in (CAL, *TABLES)}
    assert report.counts["ingested"] == 1
    with corecube.open(path) as archive:
        fibers = archive.shot(f"hetdex/{NAME}").rows("fibers", 0, 112)
    # nothing is known of the places, and nothing is made up
    assert np.isnan(fibers.ra).all() and np.isnan(fibers.dec).all() and np.isnan(fibers.flux).all()
    words = ("no positions", "no cal file", "norm.dat", "fwhm.all", "throughput", "sky of the")
    for word in words:
        assert any(word in note for note in fibers.provenance.notes), word


def test_a_number_that_may_be_cut_is_noted(shot: Path, read: Callable[..., Any]) -> None:
    path = shot / "radec2_final.dat"
    path.write_bytes(path.read_bytes().rstrip()[:-5])  # 291.670000 is left as 291.6
    paths = [p for p in shot.rglob("*") if p.is_file()]
    (frames,) = read(*paths).values()
    notes = frames["fibers"].provenance.notes
    assert any("radec2_final has no end of line" in note for note in notes)
    # and the table of positions does not agree: 0.07 degrees at 158 arcsec
    (note,) = (note for note in notes if "differ from the dithall table" in note)
    assert 0.15 < float(note.split()[-2]) < 0.25


@pytest.mark.parametrize("content", [b"", WEB_PAGE, b"\x89HDF\r\n\x1a\n" + b"\0" * 5000])
def test_a_damaged_shot_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "20260101v007.h5"
    path.write_bytes(content)
    with pytest.raises(FileNotUnderstood, match="named like a shot of a release"):
        identify(path)


def test_damaged_positions_and_errors_of_cure(hetdex_data: Path, tmp_path: Path) -> None:
    text = (hetdex_data / "m3" / "ifuPos084.txt").read_text()
    path = tmp_path / "ifuPos084.txt"
    for part in (text[:-20], "", WEB_PAGE.decode()):
        path.write_text(part)
        with pytest.raises(FileNotUnderstood, match=r"ifuPos084\.txt"):
            identify(path)
    (errors,) = (hetdex_data / "m3").glob("e.Fepses*")
    cut = tmp_path / errors.stem
    cut.write_bytes(bz2.decompress(errors.read_bytes())[:500_000])
    with pytest.raises(FileNotUnderstood, match="cut"):
        identify(cut)
