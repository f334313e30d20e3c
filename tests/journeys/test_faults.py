"""What goes wrong beside a run: damaged shots, readers meanwhile, a disk that is full or fixed."""

from __future__ import annotations

import importlib.util
import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import corecube
from corecube import hdf5
from corecube.archive import manifest as manifests
from corecube.archive.repair import repair
from corecube.archive.writer import ArchiveWriter
from corecube.errors import ArchiveDamaged, NoSpace
from corecube.pipeline import Options, Report, ingest
from corecube.plugins import load

READING = Path(__file__).resolve().parents[1] / "soak" / "reading.py"
Run = Callable[..., Any]


@pytest.fixture
def fields(toy: Any, tmp_path: Path) -> Path:
    """Eight shots of a toy instrument."""
    for number in range(4):
        folder = tmp_path / "fields"
        toy.image(folder / f"{number}.toy", f"field/{number}", shape=(300, 300), seed=number)
        toy.fibers(folder / f"f{number}.toy", f"plate/{number}", ra=[number], dec=[2.0 * number])
    return tmp_path / "fields"


@pytest.fixture
def run_toy(toy: Any) -> Callable[..., Report]:
    def run_one(paths: list[Path], archive: Path, scale: float = 1.0, **options: Any) -> Report:
        caller = load("toy")
        config = toy.ToyConfig(scale=scale)
        return ingest([str(p) for p in paths], archive, caller, config, Options(**options))

    return run_one


# -- damage ----------------------------------------------------------------------------------------


def truncated(one: Path, two: Path) -> None:
    one.write_bytes(one.read_bytes()[:-5000])


def flipped(one: Path, two: Path) -> None:
    data = bytearray(one.read_bytes())
    data[len(data) // 2] ^= 16
    one.write_bytes(data)


def swapped(one: Path, two: Path) -> None:
    shutil.copy(two, one)


def exchanged(one: Path, two: Path) -> None:
    data = one.read_bytes()
    shutil.copy(two, one)
    two.write_bytes(data)


def gone(one: Path, two: Path) -> None:
    one.unlink()


@pytest.mark.parametrize("damage", [truncated, flipped, swapped, exchanged, gone])
def test_a_damaged_shot_is_named_set_aside_and_made_again(
    cli: Run, fields: Path, run_toy: Run, compare: Any, tmp_path: Path,
    damage: Callable[[Path, Path], None],
) -> None:  # fmt: skip
    archive = tmp_path / "a.corecube"
    run_toy([fields], archive)
    whole = compare.content(archive)
    with corecube.open(archive) as opened:
        one, two = (archive / opened.record(f"toy/field/{n}").file for n in (1, 2))
    sound = {n: path.read_bytes() for n, path in (("toy/field/1", one), ("toy/field/2", two))}
    damage(one, two)
    wrong = {n for n, path in (("toy/field/1", one), ("toy/field/2", two))
             if not path.exists() or path.read_bytes() != sound[n]}  # fmt: skip
    found = cli("verify", archive)
    assert found.code == 8
    lines = [line for line in found.out.splitlines() if line.startswith("DAMAGE")]
    assert {line.split()[1].rstrip(":") for line in lines} == wrong
    # the others are as good as ever
    assert len([line for line in found.out.splitlines() if line.startswith("ok ")]) == 9 - len(
        wrong
    )
    mended = cli("repair", archive)
    assert mended.code == 3
    for name in wrong:
        assert f"set aside  {name}: " in mended.out
        assert f"ingest again: {fields / name[-1]}.toy" in mended.out
    assert cli("verify", archive).code == 0
    left = compare.content(archive)["shots"]
    assert left == {n: shot for n, shot in whole["shots"].items() if n not in wrong}
    assert run_toy([fields], archive).exit_code() == 0
    assert compare.content(archive) == whole
    assert compare.damages(archive) == []


def test_a_repair_that_did_not_end_has_lost_nothing(
    fields: Path, run_toy: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "a.corecube"
    run_toy([fields], archive)
    with corecube.open(archive) as opened:
        file = opened.record("toy/field/1").file
    flipped(archive / file, archive / file)
    damaged = (archive / file).read_bytes()

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(manifests, "commit", die)
        repair(archive)
    (aside,) = repair(archive).aside
    assert (aside.name, aside.file) == ("toy/field/1", f"damaged/{file}")
    assert aside.what == "was set aside by a repair that did not end"
    assert aside.sources == (str(fields / "1.toy"),)
    assert (archive / aside.file).read_bytes() == damaged


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


# -- readers meanwhile -----------------------------------------------------------------------------


@pytest.fixture
def reading() -> Any:
    """The module of the reader."""
    spec = importlib.util.spec_from_file_location("soak_reading", READING)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_readers_see_the_old_or_the_new(
    toy: Any, run_toy: Run, reading: Any, tmp_path: Path, wait_for: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Whatever writers do, also those that die, no answer fails and none is of two states."""
    # all shots of a command are registered together: then an answer is of one command or another
    monkeypatch.setattr(sys.modules["corecube.pipeline.ingest"], "_BATCH_SECONDS", 60.0)
    archive, raw = tmp_path / "a.corecube", tmp_path / "raw"
    for number in range(3):
        toy.image(raw / f"{number}.toy", f"field/{number}", shape=(60, 50), seed=number)
        toy.fibers(
            raw / f"f{number}.toy", f"plate/{number}", ra=[number, number + 0.5], dec=[2.0, 3.0]
        )

    def remove() -> None:
        with ArchiveWriter(archive) as writer:
            writer.commit(removed=["toy/plate/1", "toy/field/2"])
            writer.clean()

    def die() -> None:
        def fail(*_: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(manifests, "commit", fail)
            run_toy([raw], archive, scale=3.0)

    steps: list[Callable[[], object]] = [
        lambda: run_toy([raw], archive, scale=2.0), die, remove,
        lambda: run_toy([raw], archive, scale=2.0), lambda: run_toy([raw], archive, scale=1.0),
    ]  # fmt: skip
    run_toy([raw], archive)
    truths = []
    for step in [lambda: None, *steps]:
        step()
        truths.append(reading.state(archive))
    truths = [{n: v for n, v in truth.items() if n != "again"} for truth in truths]
    assert len({json.dumps(truth, sort_keys=True) for truth in truths}) == 3
    answers, stop = tmp_path / "answers", tmp_path / "stop"
    errors = (tmp_path / "errors").open("w")
    process = subprocess.Popen(
        [sys.executable, str(READING), str(archive), str(answers), str(stop)], stderr=errors
    )
    try:
        wait_for(lambda: answers.exists() and answers.stat().st_size)
        end = time.monotonic() + 6
        while time.monotonic() < end or len(answers.read_text().splitlines()) < 20:
            for step in steps:
                step()
            assert process.poll() is None, (tmp_path / "errors").read_text()
    finally:
        stop.touch()
        process.wait(60)
        errors.close()
    assert process.returncode == 0, (tmp_path / "errors").read_text()
    given = [json.loads(line) for line in answers.read_text().splitlines()]
    for part in ("digests", "filtered", "shots", "damages"):
        known = [truth[part] for truth in truths]
        assert [g[part] for g in given if g[part] not in known] == []
    assert len({json.dumps(g["digests"], sort_keys=True) for g in given}) > 1, "nothing happened"


def test_a_shot_that_is_deleted_while_it_is_opened_is_not_damaged(
    fields: Path, run_toy: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "a.corecube"
    run_toy([fields], archive)
    tables = hdf5.library()
    opens = tables.open_file

    def late(name: str, *args: Any, **more: Any) -> Any:
        if Path(name).exists():
            # PyTables has seen that it is there, HDF5 has not opened it yet
            Path(name).unlink()
            raise tables.HDF5ExtError("unable to open file")
        return opens(name, *args, **more)

    with corecube.open(archive) as opened:
        monkeypatch.setattr(tables, "open_file", late)
        with pytest.raises(ArchiveDamaged, match=r"is missing; it was replaced since.*ask again"):
            opened.shot("toy/field/1")


# -- a disk that is fixed --------------------------------------------------------------------------


def test_what_may_not_be_written_can_be_read(
    done_of: Run, tmpfs: tuple[str, ...], fields: Path, run_toy: Run, compare: Any, tmp_path: Path
) -> None:
    archive = tmp_path / "a.corecube"
    run_toy([fields], archive)
    before = compare.listing(archive)
    script = """
    mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"
    for command in info verify "query 1 2 --radius 1deg" "remove toy/field/1 --yes" repair masks; do
        code=0
        set -- "$1" "$2" $command
        first=$3
        one=$1 two=$2; shift 3
        "$two" -m corecube_cli "$first" "$one" "$@" >&2 || code=$?
        echo "$first $code"
        set -- "$one" "$two"
    done
    """
    done = done_of([*tmpfs, script, "sh", archive, sys.executable])
    codes = dict(line.split() for line in done.out.splitlines())
    assert codes == {
        "info": "0", "verify": "0", "query": "0", "remove": "5", "repair": "5", "masks": "0",
    }, done.err  # fmt: skip
    assert "space" not in done.err
    assert compare.listing(archive) == before


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
