"""Damaged, wrong and hostile input: one clear line each, and nothing is lost."""

from __future__ import annotations

import bz2
import ctypes
import gzip
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import corecube
from corecube.masks import value
from corecube.pipeline import Report
from corecube.pipeline import ingest as ingest_files
from corecube.plugins import load

Run = Callable[..., Any]
Make = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def field(simulate: Callable[..., Path]) -> Path:
    """A field in three filters and two spectra; a frame has two blocks of bzip2."""
    return simulate(6, rows=700, columns=512, bands="gri", spectra=2)


@pytest.fixture(scope="module")
def frame(field: Path) -> Path:
    """The frame that is spoilt."""
    return next(field.glob("frame-g-*"))


@pytest.fixture(scope="module")
def good(field: Path, frame: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder without that frame."""
    folder = tmp_path_factory.mktemp("good")
    shutil.copytree(field, folder, ignore=shutil.ignore_patterns(frame.name), dirs_exist_ok=True)
    return folder


def here(archive: Path, *paths: Path) -> Report:
    """Ingest in this process, which is quicker."""
    caller = load("sdss")
    return ingest_files(list(map(str, paths)), archive, caller, caller.instrument.config())


@pytest.fixture(scope="module")
def stored(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of the good files."""
    archive = tmp_path_factory.mktemp("stored") / "a.corecube"
    assert here(archive, good).exit_code() == 0
    return archive


@pytest.fixture
def archive(stored: Path, tmp_path: Path) -> Path:
    return shutil.copytree(stored, tmp_path / "a.corecube")


@pytest.fixture
def untouched(stored: Path, compare: Any) -> Callable[[Path], None]:
    """Say that an archive holds what it held, and is good."""

    def check(archive: Path) -> None:
        assert compare.damages(archive) == []
        before, now = compare.content(stored), compare.content(archive)
        for part in ("images", "blocks", "arrays"):
            for name, shot in before["shots"].items():
                kept = now["shots"][name][part]
                assert {key: kept[key] for key in shot[part]} == shot[part]
        assert now["sky"] == before["sky"]

    return check


# -- damaged files -------------------------------------------------------------------------------


def part(data: bytes, fraction: float) -> bytes:
    return data[: int(len(data) * fraction)]


def flipped(data: bytes, place: float) -> bytes:
    spot = int(len(data) * place)
    return data[:spot] + bytes([data[spot] ^ 0x10]) + data[spot + 1 :]


def edited(change: Callable[[Any], None]) -> Make:
    """Write a FITS file anew after a change of its list of HDUs."""

    def make(data: bytes) -> bytes:
        import io

        from astropy.io import fits

        result = io.BytesIO()
        with fits.open(io.BytesIO(data)) as hdus:
            change(hdus)
            hdus.writeto(result)
        return result.getvalue()

    return make


def without(hdu: int) -> Make:
    return edited(lambda hdus: hdus.pop(hdu))


def with_card(name: str, text: Any) -> Make:
    return edited(lambda hdus: hdus[0].header.set(name, text))


HTML = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>\n"
DAMAGE: dict[str, tuple[str, Make, str]] = {
    "bz2 cut at 3 %": (".bz2", lambda d: part(bz2.compress(d), 0.03), "truncated"),
    "bz2 cut at 60 %": (".bz2", lambda d: part(bz2.compress(d), 0.6), "truncated"),
    "bz2 without 1000 bytes": (".bz2", lambda d: bz2.compress(d)[:-1000], "truncated"),
    "bz2 without a byte": (".bz2", lambda d: bz2.compress(d)[:-1], "truncated"),
    "bz2 with a flipped bit early": (".bz2", lambda d: flipped(bz2.compress(d), 0.1), "damaged"),
    "bz2 with a flipped bit late": (".bz2", lambda d: flipped(bz2.compress(d), 0.9), "damaged"),
    "bz2 of nothing": (".bz2", lambda _: bz2.compress(b""), "is empty"),
    "gz cut at 60 %": (".gz", lambda d: part(gzip.compress(d, 1), 0.6), "truncated"),
    "gz with a flipped bit": (".gz", lambda d: flipped(gzip.compress(d, 1), 0.5), "damaged"),
    "empty": ("", lambda _: b"", "is empty"),
    "empty bz2": (".bz2", lambda _: b"", "is empty"),
    "web page": ("", lambda _: HTML, "web page"),
    "web page as bz2": (".bz2", lambda _: HTML, "web page"),
    "text": ("", lambda _: b"hello\n", "does not begin like"),
    "plain, cut in the header": ("", lambda d: d[:1500], "header"),
    "plain, cut behind the header": ("", lambda d: d[:8640], "cut"),
    "plain, cut in the image": ("", lambda d: d[: len(d) * 3 // 5], "HDU 0 is cut"),
    "plain, cut before HDU 3": ("", lambda d: d[: -3 * 2880], "HDU 3"),
    "no HDU 1": ("", without(1), "HDU 1"),
    "no HDU 2": ("", without(2), "HDU 2"),
    "no HDU 3": ("", without(3), "HDU 3"),
    "another unit": ("", with_card("BUNIT", "counts"), "BUNIT is 'counts'"),
    "zero calibration vector": (
        "", edited(lambda hdus: hdus[1].data.__setitem__(slice(None), 0.0)), "are not positive",
    ),
    "unknown filter": ("", with_card("FILTER", "w"), "FILTER 'w' is none of u, g, r, i, z"),
    "unknown camera column": ("", with_card("CAMCOL", 9), "camera columns go from 1 to 6"),
    "another field": (
        "", edited(lambda hdus: hdus[3].data["FIELD"].__setitem__(0, 99)), "HDU 3 says",
    ),
}  # fmt: skip


def said_once(done: Any, path: Path | str, *texts: str) -> str:
    """Return the one line that names a file."""
    lines = done.about(f"{path}: ")
    assert len(lines) == 1, done.err
    for text in texts:
        assert text in lines[0], lines[0]
    assert "std::" not in done.err and "Errno" not in done.err
    return str(lines[0])


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_frame_costs_itself_alone(
    ingest: Run, field: Path, frame: Path, good: Path, archive: Path, untouched: Run,
    tmp_path: Path, what: str,
) -> None:  # fmt: skip
    suffix, make, text = DAMAGE[what]
    bad = tmp_path / "new" / (frame.name + suffix)
    bad.parent.mkdir()
    bad.write_bytes(make(frame.read_bytes()))
    report = tmp_path / "r.json"
    # with a file of another place, so that there is something to do
    done = ingest(archive, bad.parent, good, "--report", report)
    assert done.code == 3, done.err
    line = said_once(done, bad, text)
    assert line.endswith(("fetch the file again", "right file?", "frame file?")), line
    untouched(archive)
    files = {f["path"]: f["state"] for f in json.loads(report.read_text())["files"]}
    assert files.pop(str(bad)) == "failed"
    assert "failed" not in files.values() and "ingested" not in files.values()
    # alone, into nothing: nothing can be ingested, and the same is said again
    for _ in range(2):
        again = here(tmp_path / "b.corecube", bad)
        assert again.exit_code() == 4
        ((path, reason),) = again.failures
        assert f"{path}: {reason}" == line
    # the good file in its place
    bad.unlink()
    assert here(archive, frame, good).exit_code() == 0
    with corecube.open(archive) as opened:
        records = opened.state.catalogue.by_identity.values()
        assert [sorted(r.images) for r in records if r.images] == [["g", "i", "r"]]


# -- numbers that are none -----------------------------------------------------------------------


def test_nan_in_the_image_is_no_data(ingest: Run, frame: Path, tmp_path: Path) -> None:
    def spoil(hdus: Any) -> None:
        hdus[0].data[10:20, 30:40] = np.nan
        hdus[0].data[50, 60] = np.inf

    bad = tmp_path / frame.name
    bad.write_bytes(edited(spoil)(frame.read_bytes()))
    done = ingest(tmp_path / "a.corecube", bad)
    assert done.code == 0, done.err
    with corecube.open(tmp_path / "a.corecube") as opened:
        (record,) = opened.state.catalogue.by_identity.values()
        image = opened.shot(record).frame("g")
    assert image.mask is not None and image.error is not None
    lost = np.zeros(image.flux.shape, bool)
    lost[10:20, 30:40] = lost[50, 60] = True
    assert np.array_equal((image.mask & value("no_data")) > 0, lost)
    assert np.array_equal(~np.isfinite(image.flux), lost)
    assert np.isnan(image.error[lost]).all()


def test_nan_in_an_inverse_variance_is_noted(ingest: Run, field: Path, tmp_path: Path) -> None:
    spec = min(field.glob("spec-*"))

    def spoil(hdus: Any) -> None:
        hdus[1].data["ivar"][100:110] = np.nan

    bad = tmp_path / spec.name
    bad.write_bytes(edited(spoil)(spec.read_bytes()))
    done = ingest(tmp_path / "a.corecube", bad)
    assert done.code == 0, done.err
    assert "10 pixels" in said_once(done, bad, "note: ")
    with corecube.open(tmp_path / "a.corecube") as opened:
        (record,) = opened.state.catalogue.by_identity.values()
        fibers = opened.shot(record).rows("coadd", 0, 1)
    assert fibers.error is not None and fibers.mask is not None
    assert np.isnan(fibers.error[0, 100:110]).all()
    assert (fibers.mask[0, 100:110] & value("no_data")).all()


# -- nothing there -------------------------------------------------------------------------------


def test_nothing_readable(ingest: Run, stored: Path, compare: Any, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "readme").mkdir()
    (tmp_path / "readme" / "README").write_text("hello\n")
    nothing = tmp_path / "a.corecube"
    for folder in ("none", "readme"):
        done = ingest(nothing, tmp_path / folder)
        assert (done.code, len(done.about("nothing here is a file of 'sdss'"))) == (4, 1)
    missing = tmp_path / "missing.fits"
    done = ingest(nothing, missing)
    assert done.code == 4
    said_once(done, missing, "there is no such file; check the path")
    assert not nothing.exists(), "an archive was made for nothing"
    archive = shutil.copytree(stored, tmp_path / "b.corecube")
    before = compare.listing(archive)
    for path in ("none", "readme", "missing.fits"):
        assert ingest(archive, tmp_path / path).code == 4
    assert compare.listing(archive) == before


def test_an_empty_path_is_a_mistake(ingest: Run, cli: Run, field: Path, tmp_path: Path) -> None:
    assert ingest(tmp_path / "a.corecube", "").code == 2
    assert cli("ingest", "-i", "sdss", field, "--archive", "").code == 2
    assert cli("ingest", "-i", "sdss", "--archive", tmp_path / "a.corecube").code == 2
    done = cli("ingest", "-i", "nothing", field, "--archive", tmp_path / "a.corecube")
    assert done.code == 2 and len(done.lines) == 1
    assert not (tmp_path / "a.corecube").exists()


# -- what is no file, and names that no one can read -----------------------------------------------


def test_what_lies_about_in_folders(
    ingest: Run, frame: Path, good: Path, tmp_path: Path, compare: Any
) -> None:
    raw = tmp_path / "raw"
    (raw / "below").mkdir(parents=True)
    shutil.copy(frame, raw)
    os.mkfifo(raw / "pipe.fits")
    (raw / "below" / "loop").symlink_to(raw)
    (raw / "below" / "up").symlink_to("..")
    (raw / "self.fits").symlink_to("self.fits")
    (raw / "dangling.fits").symlink_to("nowhere")
    report = tmp_path / "r.json"
    done = ingest(tmp_path / "a.corecube", raw, raw / "pipe.fits", "--report", report)
    assert done.code == 3, done.err
    said_once(done, raw / "dangling.fits", "there is no such file")
    said_once(done, raw / "self.fits")
    states = {f["path"]: f["state"] for f in json.loads(report.read_text())["files"]}
    assert states == {
        str(raw / frame.name): "ingested", str(raw / "pipe.fits"): "passed over",
        str(raw / "self.fits"): "failed", str(raw / "dangling.fits"): "failed",
    }  # fmt: skip


def test_names_that_no_one_can_read(
    ingest: Run, cli: Run, field: Path, frame: Path, compare: Any, tmp_path: Path
) -> None:
    raw = tmp_path / "raw"
    hostile = raw / os.fsdecode(b"caf\xe9 \x1b[31mred\nline\x07\xc2\x9b\xe2\x80\xae")
    hostile.mkdir(parents=True)
    for path in field.iterdir():
        shutil.copy(path, hostile)
    (hostile / os.fsdecode(b"\xff\x1b]0;title\x07.fits")).write_bytes(b"")
    report = tmp_path / "r.json"
    archive = tmp_path / "a.corecube"
    # the companion alone waits in the archive, with its name
    done = ingest(archive, next(hostile.glob("psField-*")))
    assert_harmless(done.err)
    assert done.code == 0, done.err
    done = ingest(archive, raw, "--report", report, "--jobs", 2)
    assert done.code == 3, done.err
    assert_harmless(done.err)
    data = report.read_bytes()
    assert_harmless(data.decode("utf-8", "strict"))
    files = {f["path"]: f["state"] for f in json.loads(data)["files"]}
    assert {path for path in files} == {str(path) for path in hostile.iterdir()}
    assert sorted(set(files.values())) == ["companion", "failed", "ingested", "passed over"]
    assert compare.damages(archive) == []
    counts = here(archive, raw).counts
    assert (counts["unchanged"], counts["failed"]) == (5, 1)
    here(tmp_path / "b.corecube", field)
    plain = compare.content(tmp_path / "b.corecube")
    assert compare.content(archive)["shots"] == plain["shots"]
    commands = [["info"], ["verify"], ["show", max(plain["shots"])]]
    for (name, *rest), more in product(commands, ([], ["--json"])):
        done = cli(name, archive, *rest, *more)
        assert done.code == 0, done.err
        assert_harmless(done.out + done.err)


def assert_harmless(text: str) -> None:
    """No character that a terminal obeys, and no byte that is not UTF-8."""
    assert not [c for c in text if c != "\n" and (not c.isprintable() or "\ud800" <= c <= "\udfff")]


PLAIN_USER = """
import ctypes, os, sys
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture(scope="module")
def plain_user() -> tuple[str, ...]:
    """How to run a program for which permissions hold, also when we are root."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(libc, "prctl") or libc.prctl(23, 8, 0, 0, 0) != 1:  # CAP_SETPCAP
            pytest.skip("root may read and write all, and cannot give this up here")
    return sys.executable, "-c", PLAIN_USER


@pytest.fixture
def modes() -> Iterator[Callable[[Path, int], None]]:
    changed = []

    def change(path: Path, mode: int) -> None:
        changed.append((path, path.stat().st_mode))
        path.chmod(mode)

    yield change
    for path, mode in reversed(changed):
        path.chmod(mode)


def test_what_may_not_be_read(
    ingest: Run, frame: Path, good: Path, plain_user: tuple[str, ...], modes: Run, tmp_path: Path
) -> None:
    raw = shutil.copytree(good, tmp_path / "raw")
    (raw / "closed").mkdir()
    shutil.copy(frame, raw / "closed")
    locked = next(raw.glob("frame-r-*"))
    modes(raw / "closed", 0)
    modes(locked, 0)
    done = ingest(tmp_path / "a.corecube", raw, prefix=plain_user)
    assert done.code == 3
    said_once(done, raw / "closed", "cannot be read (Permission denied)")
    said_once(done, locked, "cannot be read (Permission denied)")
    with corecube.open(tmp_path / "a.corecube") as opened:
        assert len(opened.state.catalogue.by_identity) == 2


# -- several files for one place, and files that change --------------------------------------------


def test_two_files_for_one_frame(
    ingest: Run, frame: Path, archive: Path, good: Path, untouched: Run, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        data = with_card("COMMENT", name)(frame.read_bytes())
        (tmp_path / name / frame.name).write_bytes(data)
    paths = [tmp_path / name / frame.name for name in ("one", "two")]
    done = ingest(archive, *paths, good)
    assert done.code == 3
    for path in paths:
        (line,) = (line for line in done.lines if line.startswith(f"{path}: "))
        assert all(str(other) in line for other in paths)
        assert "remove one of them" in line
    untouched(archive)
    assert ingest(archive, *paths).code == 4
    assert ingest(archive, paths[0], good).code == 0


READ = "corecube.pipeline.work:_Maker.make"
"""The first that happens after planning."""


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_file_that_vanishes(
    ingest: Run, frame: Path, field: Path, archive: Path, untouched: Run, tmp_path: Path, jobs: int
) -> None:
    raw = shutil.copytree(field, tmp_path / "raw")
    gone = raw / frame.name
    fault = {"target": READ, "do": "remove", "path": str(gone), "call": 1, "match": ""}
    if jobs == 2:  # two shots: both are made anew
        fault["target"] = "corecube.scheduler:_run_in_processes"
    done = ingest(archive, raw, "--jobs", jobs, "--force", faults=[fault])
    assert done.code == 3, done.err
    lines = [line for line in done.about(str(gone)) if not line.startswith("[")]
    assert len(lines) == 1, done.err
    assert "No such file" in lines[0] and "run the same command again" in lines[0]
    assert "Errno" not in done.err
    untouched(archive)
    assert not list(archive.rglob(".tmp-*"))
    done = ingest(archive, raw)
    assert done.code == 0, done.err


@pytest.mark.parametrize("when", ["before", "while"])
@pytest.mark.parametrize("what", ["damaged", "another"])
def test_a_file_that_changes(
    ingest: Run, frame: Path, good: Path, archive: Path, untouched: Run, compare: Any,
    tmp_path: Path, what: str, when: str,
) -> None:  # fmt: skip
    """What is stored is what the digest says, whether its shot is new or made anew."""
    path, other = Path(shutil.copy(frame, tmp_path)), tmp_path / "other"
    data = frame.read_bytes()
    other.write_bytes(data[:500_000] if what == "damaged" else with_card("OBJECT", "?")(data))
    target = READ if when == "before" else "corecube.shots:Context.read"
    fault = {"target": target, "do": "change", "path": str(path), "other": str(other)}
    done = ingest(archive, path, faults=[fault])
    assert done.code == 4
    lines = [line for line in done.about(str(path)) if not line.startswith("[")]
    assert len(lines) == 1, done.err
    assert "change" in lines[0] and "run the same command again" in lines[0]
    untouched(archive)
    assert here(archive, path).exit_code() == (4 if what == "damaged" else 0)
    shutil.copy(frame, path)
    assert here(archive, path).exit_code() == 0
    # into nothing: its digest is first read with it
    new = tmp_path / "new.corecube"
    done = ingest(new, path, faults=[fault])
    assert done.code == (0 if (what, when) == ("another", "before") else 4), done.err
    shutil.copy(frame, path)
    assert here(new, path).exit_code() == 0
    here(tmp_path / "plain.corecube", path)
    assert compare.content(new) == compare.content(tmp_path / "plain.corecube")


def test_a_companion_that_changed_unsaid(
    ingest: Run, simulate: Run, frame: Path, good: Path, archive: Path, untouched: Run,
    tmp_path: Path,
) -> None:  # fmt: skip
    companion = next(good.glob("psField-*"))
    before, status = companion.read_bytes(), companion.stat()
    try:
        os.utime(companion)  # the same bytes
        assert ingest(archive, frame, "--dry-run").code == 0
        companion.write_bytes(before + bytes(2880))
        done = ingest(archive, frame)
        assert done.code == 4
        assert len([line for line in done.about(str(companion)) if "has changed" in line]) == 1
        untouched(archive)
        done = ingest(archive, frame, companion)
        assert done.code == 0, done.err
    finally:
        companion.write_bytes(before)
        os.utime(companion, ns=(status.st_atime_ns, status.st_mtime_ns))


# -- archives --------------------------------------------------------------------------------------


def newer(archive: Path) -> None:
    manifest = archive / "manifest.json"
    text = manifest.read_text()
    assert '"format":2' in text
    manifest.write_text(text.replace('"format":2', '"format":3'))


def spoilt(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def spoil(archive: Path) -> None:
        (path,) = archive.glob(name)
        path.write_bytes(change(path.read_bytes()))

    return spoil


ARCHIVES: dict[str, tuple[Callable[[Path], None], str]] = {
    "newer": (newer, "upgrade corecube"),
    "manifest cut": (spoilt("manifest.json", lambda d: d[:100]), "manifest.json: is damaged"),
    "manifest empty": (spoilt("manifest.json", lambda _: b""), "manifest.json: is damaged"),
    "manifest of another kind": (spoilt("manifest.json", lambda _: b"[1]"), "is damaged"),
    "manifest no text": (spoilt("manifest.json", lambda _: b"\xff\xfe"), "is damaged"),
    "manifest gone": (lambda a: (a / "manifest.json").unlink(), "its manifest is missing"),
    "catalogue cut": (spoilt("catalogue/shots.*", lambda d: d[:-9]), "is shorter"),
    "catalogue flipped": (spoilt("catalogue/shots.*", lambda d: flipped(d, 0.5)), "damaged"),
    "catalogue gone": (lambda a: next(a.glob("catalogue/shots.*")).unlink(), "is missing"),
    "sources flipped": (spoilt("catalogue/sources.*", lambda d: flipped(d, 0.5)), "damaged"),
}


@pytest.mark.parametrize("what", ARCHIVES)
def test_an_archive_that_cannot_be_used(
    ingest: Run, archive: Path, frame: Path, compare: Any, what: str
) -> None:
    spoil, text = ARCHIVES[what]
    spoil(archive)
    before = compare.listing(archive)
    done = ingest(archive, frame)
    assert done.code == 5, done.err
    assert len(done.lines) == 1
    assert done.err.startswith("corecube: error: ") and str(archive) in done.err
    assert text in done.err
    assert compare.listing(archive) == before


@pytest.mark.parametrize("place", ["file", "file/a.corecube", "folder", "link"])
def test_an_archive_where_none_can_be(ingest: Run, frame: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    done = ingest(tmp_path / place, frame)
    assert done.code == 5, done.err
    assert len(done.lines) == 1
    assert str(tmp_path / place) in done.err and "choose another" in done.err
    assert (tmp_path / "file").read_text() == "mine"
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["mine"]


def test_an_archive_that_may_not_be_written(
    ingest: Run, archive: Path, frame: Path, good: Path, untouched: Run, compare: Any,
    plain_user: tuple[str, ...], modes: Run, tmp_path: Path,
) -> None:  # fmt: skip
    for folder in (archive, archive / "shots" / "sdss"):
        modes(folder, 0o500)
        assert ingest(archive, good, prefix=plain_user).code == 0, "there is nothing to do"
        before = compare.content(archive)
        done = ingest(archive, frame, prefix=plain_user)
        assert done.code == 5, done.err
        assert len(done.lines) == 1
        assert str(folder) in done.err
        assert "cannot be written to" in done.err or "see to its permissions" in done.err
        assert compare.content(archive) == before
        modes(folder, 0o755)
    (tmp_path / "r").mkdir(0o500)
    done = ingest(tmp_path / "r" / "a.corecube", frame, prefix=plain_user)
    assert (done.code, len(done.lines)) == (5, 1)
    assert "Permission denied" in done.err and "choose another place" in done.err
    untouched(archive)


def test_an_archive_on_a_read_only_disk(
    done_of: Run, tmpfs: tuple[str, ...], archive: Path, frame: Path, good: Path, tmp_path: Path
) -> None:
    script = """
    mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"
    "$2" -m corecube_cli ingest -i sdss "$4" --archive "$1" >&2
    echo === >&2
    "$2" -m corecube_cli ingest -i sdss "$3" --archive "$1"
    """
    done = done_of([*tmpfs, script, "sh", archive, sys.executable, frame, good])
    before, said = done.err.split("===\n")
    assert done.code == 5, done.err
    assert "unchanged" in before
    assert len(said.splitlines()) == 1
    assert "cannot be written to" in said and "space" not in said
