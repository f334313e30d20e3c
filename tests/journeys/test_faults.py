"""What goes wrong in the world: killed processes, damaged files, a full disk."""

from __future__ import annotations

import bz2
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import corecube
from corecube.errors import NoSpace
from corecube.pipeline import Options, Report, ingest
from corecube.plugins import load

Start = Callable[..., "subprocess.Popen[str]"]
OPTIONS = {"rows": 64, "columns": 70, "stars": 3, "bands": "gri", "spectra": 2, "packed": False}


def run(paths: list[Path], archive: Path, **options: Any) -> Report:
    caller = load("sdss")
    config = caller.instrument.config()
    return ingest([str(p) for p in paths], archive, caller, config, Options(**options))


def simulate(folder: Path, seed: int, **options: Any) -> Path:
    folder.mkdir(parents=True)
    load("sdss").call("simulate", directory=folder, options=OPTIONS | options, seed=seed)
    return folder


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few simulated fields and plates."""
    folder = tmp_path_factory.mktemp("faults") / "raw"
    simulate(folder, 1)
    return folder


@pytest.fixture
def fields(toy: Any, tmp_path: Path) -> Path:
    """Eight shots of a toy instrument."""
    for number in range(4):
        folder = tmp_path / "fields"
        toy.image(folder / f"{number}.toy", f"field/{number}", shape=(300, 300), seed=number)
        toy.fibers(folder / f"f{number}.toy", f"plate/{number}", ra=[number], dec=[2.0 * number])
    return tmp_path / "fields"


# -- kill -9 ---------------------------------------------------------------------------------------


def assert_heals(
    archive: Path, fields: Path, whole: dict[str, Any], compare: Any, run_toy: Any
) -> int:
    """The archive opens, verifies, and the next ingest completes it; return what it had."""
    had = 0
    if (archive / "manifest.json").exists():
        assert compare.damages(archive) == []
        content = compare.content(archive)
        had = len(content["shots"])
        for identity, shot in content["shots"].items():
            assert shot == whole["shots"][identity]
    report = run_toy([fields], archive)
    assert report.exit_code() == 0
    assert compare.content(archive) == whole
    assert compare.damages(archive) == []
    left = [p for p in archive.rglob("*") if p.name.startswith(".tmp-")]
    assert left == []
    with corecube.open(archive) as opened:
        known = {record.file for record in opened.state.catalogue.by_number.values()}
    assert {str(p.relative_to(archive)) for p in archive.rglob("*.h5")} == known
    return had


@pytest.fixture
def run_toy(toy: Any) -> Callable[..., Report]:
    def run_one(paths: list[Path], archive: Path, **options: Any) -> Report:
        caller = load("toy")
        config = toy.ToyConfig()
        return ingest([str(p) for p in paths], archive, caller, config, Options(**options))

    return run_one


def test_kill_9_at_any_moment_leaves_a_good_archive(
    start_ingest: Start, fields: Path, compare: Any, tmp_path: Path, run_toy: Any
) -> None:
    started = start_ingest([fields], tmp_path / "whole.corecube")
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    began = time.monotonic()
    started.communicate(timeout=60)
    length = time.monotonic() - began
    whole = compare.content(tmp_path / "whole.corecube")
    assert len(whole["shots"]) == 8

    draw = random.Random(9)
    had = []
    for number in range(16):
        archive = tmp_path / f"{number}.corecube"
        process = start_ingest([fields], archive, options={"jobs": 1 + number % 2})
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(draw.uniform(0.0, length))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        had.append(assert_heals(archive, fields, whole, compare, run_toy))
        shutil.rmtree(archive)
    assert len(had) == 16


POINTS = [
    ("corecube.archive.shotwriter:ShotWriter.finish", 2, "before"),  # in writing a shot
    ("corecube.archive.shotwriter:ShotWriter._create", 20, "after"),
    ("corecube.pipeline.work:commit_file", 3, "before"),  # written, not renamed
    ("corecube.pipeline.work:commit_file", 3, "after"),  # renamed, not in the catalogue
    ("corecube.archive.recordlog:append", 1, "after"),  # in the log, not in the manifest
    ("corecube.archive.manifest:commit", 1, "before"),  # all written, but not committed
    ("corecube.archive.manifest:commit", 1, "after"),
    ("corecube.archive.writer:create", 1, "after"),
    ("corecube.archive.skyrun:write_run", 1, "after"),
]


@pytest.mark.parametrize(("target", "calls", "when"), POINTS)
def test_kill_9_at_the_worst_moments(
    start_ingest: Start, fields: Path, compare: Any, tmp_path: Path, run_toy: Any,
    target: str, calls: int, when: str,
) -> None:  # fmt: skip
    run_toy([fields], tmp_path / "whole.corecube")
    whole = compare.content(tmp_path / "whole.corecube")
    archive = tmp_path / "a.corecube"
    # some shots are registered before, so that there is something to lose
    first = [fields / f"{number}.toy" for number in range(2)]
    run_toy(first, archive)
    before = set(compare.content(archive)["shots"])
    process = start_ingest([fields], archive, sabotage=target, calls=calls, when=when)
    process.communicate(timeout=60)
    if "create" not in target or "_create" in target:
        assert process.returncode == -signal.SIGKILL, "it was not reached"
    assert before <= set(compare.content(archive)["shots"])
    assert_heals(archive, fields, whole, compare, run_toy)


def test_a_log_with_half_a_record_is_written_over(
    fields: Path, compare: Any, tmp_path: Path, run_toy: Any
) -> None:
    run_toy([fields], tmp_path / "whole.corecube")
    archive = tmp_path / "a.corecube"
    run_toy([fields / "0.toy"], archive)
    for path in (archive / "catalogue").glob("*.log"):
        with path.open("ab") as file:
            file.write(b'12345678 {"number": 9, "instr')
    assert compare.damages(archive) == []
    run_toy([fields], archive)
    assert compare.content(archive) == compare.content(tmp_path / "whole.corecube")


# -- bad files -------------------------------------------------------------------------------------


@pytest.fixture
def good(raw: Path, tmp_path: Path) -> tuple[Path, Path]:
    """An archive with good shots, and a folder for bad files."""
    archive = tmp_path / "a.corecube"
    assert run([raw], archive).exit_code() == 0
    bad = tmp_path / "bad"
    bad.mkdir()
    return archive, bad


def a_frame(raw: Path) -> Path:
    return next(iter(sorted(raw.rglob("frame-r-*.fits"))))


def a_spectrum(raw: Path) -> Path:
    return next(iter(sorted(raw.rglob("spec-*.fits"))))


def truncated_bz2(raw: Path, bad: Path) -> None:
    packed = bz2.compress(a_frame(raw).read_bytes())
    (bad / f"{a_frame(raw).name}.bz2").write_bytes(packed[: len(packed) * 2 // 3])


def truncated_plain(raw: Path, bad: Path) -> None:
    data = a_frame(raw).read_bytes()
    (bad / a_frame(raw).name).write_bytes(data[: len(data) // 2])


def empty(raw: Path, bad: Path) -> None:
    (bad / a_frame(raw).name).write_bytes(b"")


def web_page(raw: Path, bad: Path) -> None:
    (bad / a_frame(raw).name).write_text("<!DOCTYPE html><html><body>404</body></html>\n" * 99)


def without_hdu2(raw: Path, bad: Path) -> None:
    from astropy.io import fits

    with fits.open(a_frame(raw)) as hdus:
        del hdus[2]
        hdus.writeto(bad / a_frame(raw).name)


def other_unit(raw: Path, bad: Path) -> None:
    from astropy.io import fits

    with fits.open(a_frame(raw)) as hdus:
        hdus[0].header["BUNIT"] = "Jy"
        hdus.writeto(bad / a_frame(raw).name)


BAD = {
    "truncated bz2": (truncated_bz2, "truncated or damaged"),
    "truncated": (truncated_plain, "is cut: [0-9]+ of [0-9]+ data bytes"),
    "empty": (empty, "is empty"),
    "web page": (web_page, "web page"),
    "no HDU 2": (without_hdu2, "HDU"),
    "other unit": (other_unit, "unit|BUNIT"),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("company", [False, True])
def test_a_bad_file_is_one_line_and_an_exit_code(
    good: tuple[Path, Path], raw: Path, compare: Any, tmp_path: Path, what: str, company: bool
) -> None:
    import re

    archive, bad = good
    before = compare.content(archive)
    make, said = BAD[what]
    make(raw, bad)
    (path,) = bad.iterdir()
    # alone into a new archive, and beside good files into one that has the good frame already
    report = run([bad], tmp_path / "new.corecube")
    assert report.exit_code() == 4
    (file,) = report.files
    assert file.state == "failed"
    assert re.search(said, file.reason) and "\n" not in file.reason and str(path) not in file.reason
    assert report.failures == [(str(path), file.reason)]
    report = run([raw, bad] if company else [bad], archive)
    assert report.exit_code() == (3 if company else 4)
    assert compare.content(archive)["shots"] == before["shots"]
    assert compare.damages(archive) == []
    assert run([raw], archive).exit_code() == 0


def test_nan_in_ivar_is_no_error_known(raw: Path, tmp_path: Path) -> None:
    import numpy as np
    from astropy.io import fits

    path = tmp_path / a_spectrum(raw).name
    shutil.copy(a_spectrum(raw), path)
    with fits.open(path, mode="update") as hdus:
        hdus[1].data["ivar"][100:110] = np.nan
    archive = tmp_path / "a.corecube"
    report = run([path], archive)
    assert report.exit_code() == 0
    (file,) = report.files
    assert file.state == "ingested"
    assert file.notes == ["10 pixels with an inverse variance that is no number, taken as no data"]
    with corecube.open(archive) as opened:
        (record,) = opened.state.catalogue.by_number.values()
        spectrum = opened.shot(record).rows("coadd", 0, 1)
        assert spectrum.error is not None and spectrum.mask is not None
        assert np.isnan(spectrum.error[0, 100:110]).all()
        assert ((spectrum.mask[0, 100:110] & (1 << 4)) > 0).all()


def test_nothing_readable_makes_no_archive(tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    assert run([folder], tmp_path / "a.corecube").exit_code() == 4
    (folder / "notes.txt").write_text("hello")
    assert run([folder], tmp_path / "a.corecube").exit_code() == 4
    assert not (tmp_path / "a.corecube").exists()


# -- a full disk -----------------------------------------------------------------------------------


@pytest.fixture
def small_files() -> Iterator[Callable[[int], None]]:
    """Let no file grow beyond so many bytes; as on a disk that is full."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, old)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("size", [0, 1, 100, 1000, 4096, 20_000, 60_000, 100_000])
def test_a_full_disk_is_said_and_harms_nothing(
    toy: Any, run_toy: Any, compare: Any, tmp_path: Path, small_files: Any, size: int
) -> None:
    archive = tmp_path / "a.corecube"
    toy.image(tmp_path / "raw" / "a.toy", "field/1", shape=(20, 20))
    run_toy([tmp_path / "raw"], archive)
    before = compare.content(archive)
    toy.image(tmp_path / "raw" / "b.toy", "field/2", shape=(400, 400))
    small_files(size)
    try:
        with pytest.raises(NoSpace) as caught:
            run_toy([tmp_path / "raw"], archive)
    finally:
        small_files(resource.RLIM_INFINITY)
    assert "disk" in str(caught.value) or "space" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert compare.content(archive) == before
    assert compare.damages(archive) == []
    assert run_toy([tmp_path / "raw"], archive).exit_code() == 0
    assert len(compare.content(archive)["shots"]) == 2
    assert not [p for p in archive.rglob(".tmp-*")]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB, where one may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "corecube", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_small_disk_fills_up(
    toy: Any, run_toy: Any, compare: Any, tmp_path: Path, small_disk: Path, jobs: int
) -> None:
    archive = small_disk / "a.corecube"
    toy.image(tmp_path / "raw" / "a.toy", "field/1", shape=(20, 20))
    run_toy([tmp_path / "raw"], archive)
    before = compare.content(archive)["shots"]
    for number in range(2, 5):
        toy.image(tmp_path / "raw" / f"{number}.toy", f"field/{number}", shape=(500, 500))
    with pytest.raises(NoSpace, match=r"disk|space"):
        run_toy([tmp_path / "raw"], archive, jobs=jobs)
    after = compare.content(archive)["shots"]
    assert {name: after[name] for name in before} == before
    assert compare.damages(archive) == []
    for path in archive.rglob("*.toy"):
        path.unlink()
    (tmp_path / "raw").rename(tmp_path / "old")
    toy.image(tmp_path / "raw" / "small.toy", "field/9", shape=(20, 20))
    assert run_toy([tmp_path / "raw"], archive).exit_code() == 0, "it heals when there is space"


@pytest.mark.parametrize("side", [256, 300, 350, 400, 470, 700])
def test_a_small_disk_fills_up_at_any_point(
    start_ingest: Start, toy: Any, compare: Any, tmp_path: Path, small_disk: Path, side: int
) -> None:
    """PyTables says nothing of a full disk, and leaves files with holes that cannot be mapped."""
    archive = small_disk / "a.corecube"
    for number in range(3):
        toy.image(tmp_path / "raw" / f"{number}.toy", f"field/{number}", shape=(side, side))
    process = start_ingest([tmp_path / "raw"], archive)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    said = json.loads(out.splitlines()[-1])
    assert said.get("error") == "NoSpace", said
    assert err == ""
    if (archive / "manifest.json").exists():
        assert compare.damages(archive) == []


def test_the_report_of_a_killed_worker_names_it(
    start_ingest: Start, toy: Any, tmp_path: Path, compare: Any
) -> None:
    toy.image(tmp_path / "raw" / "a.toy", "field/1", fault="kill")
    toy.image(tmp_path / "raw" / "b.toy", "field/2")
    process = start_ingest([tmp_path / "raw"], tmp_path / "a.corecube", options={"jobs": 2})
    out, err = process.communicate(timeout=60)
    report = json.loads(out.splitlines()[-1])
    states = {file["path"][-5:]: file for file in report["files"]}
    assert states["a.toy"]["reason"].startswith(
        "toy/field/1: the worker process was ended by SIGKILL"
    )
    assert states["b.toy"]["state"] == "ingested"
    assert report["exit"] == 3 and err == ""
    assert compare.damages(tmp_path / "a.corecube") == []
