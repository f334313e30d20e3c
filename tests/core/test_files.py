"""Packed files: their head, all their bytes, and damage, with each decoder."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corecube import files
from corecube.errors import FileNotUnderstood
from corecube.files import HEAD_SIZE, Head, digest, open_unpacked, packing_of, read_unpacked

PACK: dict[str, Callable[[bytes], bytes]] = {
    "bz2": lambda data: bz2.compress(data, 1),
    "gzip": lambda data: gzip.compress(data, 6, mtime=0),
    "xz": lzma.compress,
}
MAGIC = {"bz2": 3, "gzip": 2, "xz": 6}
# Not all of it can be packed away, and bzip2 has several blocks of 100 kB of it.
PLAIN = random.Random(1).randbytes(60_000) + b"spectrum " * 20_000 + b"the end"


@pytest.fixture(params=["bz2", "bz2 of rapidgzip", "gzip", "xz"])
def packing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a packing; bzip2 with each of its decoders."""
    name: str = request.param
    if name == "bz2":
        monkeypatch.setitem(sys.modules, "rapidgzip", None)  # as if it were not installed
    elif name == "bz2 of rapidgzip":
        pytest.importorskip("rapidgzip", reason="the extra 'fast' is not installed")
    return name.partition(" ")[0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "any name.dat"


def outcome(path: Path) -> bytes | None:
    """Return the bytes, or None for the error that is promised."""
    try:
        return read_unpacked(str(path))
    except FileNotUnderstood as error:
        text = str(error)
        assert text.startswith(f"{path}: the ") and text.endswith("; fetch the file again")
        assert "data are truncated or damaged (" in text and "\n" not in text
        assert error.__cause__ is not None
        return None


# -- what is whole -------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"x", PLAIN[:HEAD_SIZE], PLAIN], ids=len)
def test_packed_bytes_come_back(packing: str, path: Path, data: bytes) -> None:
    packed = PACK[packing](data)
    path.write_bytes(packed)
    assert packing_of(packed) == packing
    assert read_unpacked(str(path)) == data
    with open_unpacked(str(path)) as file:
        assert file.read() == data
        file.seek(len(data) // 2)
        assert file.read() == data[len(data) // 2 :]
    head = Head.read(str(path))
    assert head.data == data[:HEAD_SIZE] and head.packing == packing
    assert head.size == len(packed) and head.mtime_ns == path.stat().st_mtime_ns


@pytest.mark.parametrize("data", [b"", b"\x1f", b"BZ", b"SIMPLE  =", PLAIN], ids=len)
def test_plain_bytes_come_back(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    assert read_unpacked(str(path)) == data
    with open_unpacked(str(path)) as file:
        assert file.read() == data and file.seek(0) == 0
    head = Head.read(str(path))
    assert head.data == data[:HEAD_SIZE] and head.packing == "" and head.size == len(data)


def test_the_name_says_nothing(tmp_path: Path) -> None:
    for name, data in {
        "a.gz": bz2.compress(b"x"),
        "b.bz2": b"x",
        "c.fits": gzip.compress(b"x"),
    }.items():
        (tmp_path / name).write_bytes(data)
        assert read_unpacked(str(tmp_path / name)) == b"x"


def test_rapidgzip_is_used_if_it_is_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rapidgzip", reason="the extra 'fast' is not installed")
    monkeypatch.setattr(bz2, "decompress", lambda data: pytest.fail("not by rapidgzip"))
    path.write_bytes(bz2.compress(PLAIN))
    assert read_unpacked(str(path)) == PLAIN


def test_several_streams_one_after_the_other_are_one_file(packing: str, path: Path) -> None:
    path.write_bytes(PACK[packing](PLAIN[:1000]) + PACK[packing](PLAIN[1000:]))
    assert read_unpacked(str(path)) == PLAIN


@given(st.binary(max_size=200))
def test_any_bytes_are_taken_as_they_are_if_nothing_packed_them(data: bytes) -> None:
    known = data[:3] == b"BZh" or data[:2] == b"\x1f\x8b" or data[:6] == b"\xfd7zXZ\0"
    assert bool(packing_of(data)) == known


def test_the_head_of_a_large_file_needs_a_small_part_of_it(path: Path) -> None:
    # What is behind the first block of bzip2 (100 kB here) is not looked at.
    whole = bz2.compress(random.Random(2).randbytes(400_000), 1)
    path.write_bytes(whole[:150_000] + b"damage" * 1000)
    assert len(Head.read(str(path)).data) == HEAD_SIZE
    assert outcome(path) is None


def test_a_bomb_is_unpacked_no_further_than_its_head(path: Path) -> None:
    path.write_bytes(gzip.compress(bytes(50_000_000), 1))
    peak = _peak_of(lambda: Head.read(str(path)))
    assert Head.read(str(path)).data == bytes(HEAD_SIZE)
    assert peak < 2_000_000  # head, pieces and the decoder; the whole has 50 MB


def _peak_of(work: Callable[[], object]) -> int:
    import tracemalloc

    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_digest_is_that_of_the_stored_bytes(path: Path) -> None:
    packed = bz2.compress(PLAIN)
    path.write_bytes(packed)
    assert digest(str(path)) == hashlib.sha256(packed).hexdigest()


# -- what is not ---------------------------------------------------------------------------------


def test_a_truncated_file_is_refused_wherever_it_ends(packing: str, path: Path) -> None:
    whole = PACK[packing](PLAIN)
    step = len(whole) // 40
    places = {*range(MAGIC[packing], 40), *range(40, len(whole), step), *range(-20, 0)}
    for place in sorted(places):
        path.write_bytes(whole[:place])
        assert outcome(path) is None, f"{place} of {len(whole)} bytes were taken as a whole file"


def test_a_truncated_head_is_refused(packing: str, path: Path) -> None:
    whole = PACK[packing](PLAIN)
    for place in (MAGIC[packing], 20, 1000):
        path.write_bytes(whole[:place])
        with pytest.raises(FileNotUnderstood, match="truncated or damaged"):
            Head.read(str(path))


def test_a_flipped_bit_is_refused_or_changes_nothing(packing: str, path: Path) -> None:
    whole = PACK[packing](PLAIN)
    draw = random.Random(3)
    size = len(whole)
    near_ends = [*range(MAGIC[packing], 30), *range(size - 20, size)]
    refused = 0
    places = near_ends + [draw.randrange(30, size - 20) for _ in range(60)]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        found = outcome(path)
        # Some bits of the formats mean nothing: gzip's time and system, bzip2's last padding.
        assert found is None or found == PLAIN, f"a bit of byte {place} changed the data unseen"
        refused += found is None
    assert refused >= len(places) - 12


def test_a_damaged_head_is_refused(packing: str, path: Path) -> None:
    damaged = bytearray(PACK[packing](PLAIN))
    damaged[MAGIC[packing] + 12 : MAGIC[packing] + 40] = b"\xff" * 28
    path.write_bytes(damaged)
    with pytest.raises(FileNotUnderstood, match="truncated or damaged") as caught:
        Head.read(str(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("packing", ["bz2", "gzip", "xz"])
def test_opening_finds_damage_too(packing: str, path: Path) -> None:
    path.write_bytes(PACK[packing](PLAIN)[:-9])
    with pytest.raises(FileNotUnderstood, match="truncated or damaged"):
        open_unpacked(str(path))


@pytest.mark.parametrize("work", [read_unpacked, open_unpacked, Head.read, digest])
def test_what_the_system_says_comes_through(tmp_path: Path, work: Callable[[str], object]) -> None:
    with pytest.raises(FileNotFoundError):
        work(str(tmp_path / "none"))
    with pytest.raises(IsADirectoryError):
        work(str(tmp_path))


def test_an_error_of_the_disk_is_no_damage(path: Path) -> None:
    failing = OSError(5, "Input/output error")
    with pytest.raises(OSError, match="Input/output error") as caught:
        raise files._damaged(str(path), "gzip", failing)
    assert caught.value is failing
