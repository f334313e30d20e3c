"""A full disk: one line, exit code 5, and nothing that was stored is lost."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corecube.pipeline import ingest as ingest_files
from corecube.plugins import load

Run = Callable[..., Any]

LIMITED = """
import os, resource, signal, sys
limit = int(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
os.execv(sys.argv[2], sys.argv[2:])
"""
LIMITS = ((50, 1), (250, 1), (3_000, 2), (90_000, 1), (250_000, 2))
"""Bytes and jobs; the spectrum's shot has 0.17 MB, the field's 0.8 MB, with a filter more 1.2."""


@pytest.fixture(scope="module")
def raw(simulate: Callable[..., Path]) -> Path:
    """A field in two filters, and a spectrum."""
    return simulate(4, bands="gri")


@pytest.fixture(scope="module")
def later(simulate: Callable[..., Path], raw: Path) -> Path:
    """The third filter of the field, and another field with its spectrum."""
    folder = simulate(5, bands="r", packed=True)
    for path in raw.glob("frame-i-*"):
        path.rename(folder / path.name)
    return folder


@pytest.fixture(scope="module")
def undisturbed(
    raw: Path, later: Path, compare: Any, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """What the archive should hold in the end."""
    caller = load("sdss")
    archive = tmp_path_factory.mktemp("undisturbed") / "a.corecube"
    ingest_files([str(raw), str(later)], archive, caller, caller.instrument.config())
    return compare.content(archive)


def one_line(done: Any) -> None:
    assert done.code == 5, done.err
    wrong = [line for line in done.lines if not line.startswith("[")]
    assert len(wrong) == 1, done.err
    assert wrong[0].startswith("corecube: error: ")
    assert "space" in wrong[0] and "run the same command again" in wrong[0]


@pytest.fixture
def full(
    ingest: Run, raw: Path, later: Path, undisturbed: Any, compare: Any, leftovers: Run,
    tmp_path: Path,
) -> Callable[..., None]:  # fmt: skip
    """Ingest with too little space into nothing and into an archive, look, and go on with space."""

    def check(limit: tuple[str, ...], jobs: int) -> None:
        archive = tmp_path / "a.corecube"
        done = ingest(archive, raw, "--jobs", jobs, prefix=limit)
        one_line(done)
        if (archive / "manifest.json").exists():
            assert compare.damages(archive) == []
            assert set(compare.content(archive)["shots"]) == done.ingested
        else:
            assert not done.ingested
        assert ingest(archive, raw, "--jobs", jobs).code == 0
        assert leftovers(archive) == []
        before = compare.content(archive)["shots"]
        done = ingest(archive, later, "--jobs", jobs, prefix=limit)
        one_line(done)
        assert compare.damages(archive) == []
        now = compare.content(archive)["shots"]
        assert {name: now[name] for name in before if name not in done.ingested} == {
            name: shot for name, shot in before.items() if name not in done.ingested
        }
        left = {name for name in leftovers(archive) if ".tmp-" in name}
        assert ingest(archive, later, "--jobs", jobs).code == 0
        assert not left & set(leftovers(archive))
        assert not list(archive.rglob(".tmp-*"))
        assert compare.damages(archive) == []
        assert compare.content(archive) == undisturbed

    return check


@pytest.mark.parametrize(("size", "jobs"), LIMITS)
def test_a_limit_of_the_file_size(full: Run, size: int, jobs: int) -> None:
    full((sys.executable, "-c", LIMITED, str(size)), jobs)


# -- a real one ------------------------------------------------------------------------------------


SMALL_DISK = """
disk=$1 size=$2 jobs=$3 python=$4 keep=$5; shift 5
mount -t tmpfs -o "$size" tmpfs "$disk"
run() { "$python" -m corecube_cli ingest --instrument sdss --archive "$disk/a.corecube" \
        --jobs "$jobs" "$@"; }
code=0; run "$@" || code=$?
cp -a "$disk/a.corecube" "$keep/full.corecube" || true
mount -o remount,size=64m,nr_inodes=0 "$disk"
echo === >&2
run "$@" >&2
cp -a "$disk/a.corecube" "$keep/mended.corecube"
exit $code
"""


@pytest.mark.parametrize(
    ("size", "jobs", "stored"),
    [
        ("size=8k", 1, 0), ("size=140k", 2, 0), ("size=940k", 1, 1), ("size=1400k", 2, None),
        ("size=64m,nr_inodes=4", 1, 0), ("size=64m,nr_inodes=9", 1, 0),
        ("size=64m,nr_inodes=13", 1, None), ("size=64m,nr_inodes=14", 2, None),
    ],
)  # fmt: skip
def test_a_small_disk(
    start_cli: Run, done_of: Run, tmpfs: tuple[str, ...], raw: Path, later: Path, compare: Any,
    leftovers: Run, tmp_path: Path, size: str, jobs: int, stored: int | None,
) -> None:  # fmt: skip
    disk = tmp_path / "disk"
    disk.mkdir()
    done = done_of(
        [*tmpfs, SMALL_DISK, "sh", disk, size, jobs, sys.executable, tmp_path, raw, later]
    )
    said, again = done.err.split("===\n")
    first = type(done)(done.code, "", said)
    one_line(first)
    full, mended = tmp_path / "full.corecube", tmp_path / "mended.corecube"
    if (full / "manifest.json").exists():
        assert compare.damages(full) == []
        assert set(compare.content(full)["shots"]) == first.ingested
    else:
        assert not first.ingested
    assert stored is None or len(first.ingested) == stored
    assert "error" not in again and "next: corecube info" in again
    assert not list(mended.rglob(".tmp-*"))
    assert compare.damages(mended) == []
    assert len(compare.content(mended)["shots"]) == 4


# -- what HDF5 does not say ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "jobs"),
    [
        ({"do": "lose", "at": 0}, 1), ({"do": "lose", "at": 100_000}, 1),
        ({"do": "lose", "at": -5_000}, 2), ({"do": "cut", "bytes": 1}, 2),
        ({"do": "cut", "bytes": 100_000}, 1),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_not_on_the_disk_is_not_registered(
    ingest: Run, raw: Path, compare: Any, tmp_path: Path, loss: dict[str, Any], jobs: int
) -> None:
    """PyTables reports no error for chunks that a full disk has lost: the proof finds them."""
    archive, report = tmp_path / "a.corecube", tmp_path / "r.json"
    fault = {"target": "corecube.archive.shotwriter:prove", **loss, "match": ""}
    done = ingest(archive, raw, "--jobs", jobs, "--report", report, faults=[fault])
    one_line(done)
    assert not done.ingested
    assert compare.content(archive)["shots"] == {}
    assert ingest(archive, raw, "--report", report).code == 0
    assert json.loads(report.read_text())["counts"]["ingested"] == 3
    assert compare.damages(archive) == []
    assert not list(archive.rglob(".tmp-*"))
