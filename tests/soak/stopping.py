"""Stop an ingest of a night's size with Ctrl-C, let it go on, and compare with one without a stop.

    python tests/soak/stopping.py [--fields N] [--spectra N] [--images N] [--rows N] [--columns N]
                                  [--folder FOLDER]

37 fields in five filters and 11 spectra are simulated: 185 frames of full size, 0.8 GB; with both
archives 7.6 GB of scratch files. `ingest --jobs 2`, a process group of its own as in a terminal,
gets SIGINT when 60 images are stored. It must end as documented and leave an archive that `verify`
finds good; run again it must read the rest and nothing else, and touch no file of a shot that is
there. Then the archive must equal one made without a stop: shots, rows and arrays, but for times
and generation numbers.
Prints what it counted; ends with 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

CONTENT: Final = Path(__file__).resolve().parents[1] / "instruments" / "content.py"
STOPPED: Final = 130
"""The documented exit code after Ctrl-C."""
PATIENCE: Final = 3600.0
"""Seconds that a run may take."""


class Wrong(Exception):
    """A promise that was not kept."""


def check(kept: bool, line: str) -> None:
    if not kept:
        raise Wrong(line)


def start(folder: Path, *arguments: object) -> subprocess.Popen[bytes]:
    """Start the program in a process group of its own; what it says is kept in ``said.txt``."""
    with (folder / "said.txt").open("wb") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "corecube_cli", *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
            env=os.environ | {"TMPDIR": str(folder), "XDG_CONFIG_HOME": str(folder)},
        )  # fmt: skip


def end(process: subprocess.Popen[bytes]) -> int:
    """Wait for the program; nothing of its process group may be left."""
    code = process.wait(PATIENCE)
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return code
        time.sleep(0.01)  # who has ended must still be waited for by its new parent
    raise Wrong("a process of its group has outlived the program")


def succeed(folder: Path, *arguments: object) -> float:
    """Run the program; return the seconds it took."""
    began = time.monotonic()
    code = end(start(folder, *arguments))
    said = (folder / "said.txt").read_text(errors="replace")
    check(code == 0, f"corecube {arguments[0]} ended with {code}:\n{said}")
    return time.monotonic() - began


def stored(archive: Path) -> tuple[int, int]:
    """Return how many images and rows are in the archive just now."""
    import corecube
    from corecube.archive.regions import Cone

    if not (archive / "manifest.json").exists():
        return 0, 0
    with corecube.open(archive) as opened:
        records = opened.state.catalogue.by_identity.values()
        rows = opened.state.sky.search(Cone(0, 0, 180))["row"]
        return sum(len(r.images) for r in records), len(rows)


def shot_files(archive: Path) -> dict[str, tuple[int, int, int]]:
    """Return inode, time of change and size of each shot file."""
    return {
        str(path.relative_to(archive)): (s.st_ino, s.st_mtime_ns, s.st_size)
        for path in (archive / "shots").rglob("*.h5")
        for s in [path.stat()]
    }


def states(report: Path, kinds: tuple[str, ...] = ("frame", "spec")) -> Counter[str]:
    """Return how many frames and spectra came to each state, by the report of an ingest."""
    files = json.loads(report.read_text())["files"]
    return Counter(file["state"] for file in files if file.get("kind") in kinds)


def differences(first: Any, second: Any, where: str = "") -> Iterator[str]:
    """Yield what differs between the contents of two archives."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for name in dict.fromkeys((*first, *second)):
            if (name in first) != (name in second):
                yield f"{where}: '{name}' is in one of them only"
            else:
                yield from differences(first[name], second[name], f"{where} {name}".strip())
    elif first != second:
        yield f"{where}: {str(first)[:80]} and {str(second)[:80]}"


def content_of(archive: Path) -> Any:
    """Return all that a user can get out of an archive, comparable with ``==``."""
    spec = importlib.util.spec_from_file_location("content", CONTENT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.content(archive)


def stop(folder: Path, ingest: tuple[object, ...], archive: Path, images: int) -> str:
    """Start an ingest and stop it when so many images are stored; return what there is then."""
    process = start(folder, *ingest, "--archive", archive, "--report", folder / "stopped.json")
    began = time.monotonic()
    try:
        while stored(archive)[0] < images:
            check(process.poll() is None, "the ingest ended before it could be stopped")
            check(time.monotonic() - began < PATIENCE, "so many images never came")
            time.sleep(0.05)
        seen = stored(archive)[0]
        os.killpg(process.pid, signal.SIGINT)
        at = time.monotonic()
        code = end(process)
    except BaseException:
        process.kill()
        raise
    said = (folder / "said.txt").read_text(errors="replace")
    check(code == STOPPED, f"after Ctrl-C it ended with {code} instead of {STOPPED}:\n{said}")
    check("Traceback" not in said, said)
    interrupted = json.loads((folder / "stopped.json").read_text())["interrupted"]
    check(interrupted == "SIGINT", f"the report says that it was ended by '{interrupted}'")
    return (
        f"Ctrl-C after {at - began:.1f} s, with {seen} images stored; exit code {code} "
        f"{time.monotonic() - at:.1f} s later"
    )


def run(folder: Path, options: argparse.Namespace) -> None:
    """Go through it all, printing what was counted.

    Raises
    ------
    Wrong
        If a promise was not kept.
    """
    raw, archive, whole = (folder / name for name in ("raw", "a.corecube", "whole.corecube"))
    frames, spectra = 5 * options.fields, options.spectra
    sizes = {
        "fields": options.fields, "spectra": spectra, "rows": options.rows,
        "columns": options.columns,
    }  # fmt: skip
    chosen = [f"--set={name}={value}" for name, value in sizes.items() if value]
    seconds = succeed(folder, "simulate", "-i", "sdss", raw, *chosen)
    made = Counter(path.name.partition("-")[0] for path in raw.iterdir())
    size = sum(path.stat().st_size for path in raw.iterdir())
    check(
        (made["frame"], made["spec"]) == (frames, spectra),
        f"{made['frame']} frames and {made['spec']} spectra were made",
    )
    print(
        f"simulated: {frames} frames, {spectra} spectra; {size / 1e6:.0f} MB in {seconds:.0f} s",
        flush=True,
    )

    ingest = ("ingest", "--instrument", "sdss", "--jobs", 2, raw)
    print(f"stopped: {stop(folder, ingest, archive, options.images)}", flush=True)
    succeed(folder, "verify", archive)
    first, kept = states(folder / "stopped.json"), shot_files(archive)
    images, rows = stored(archive)
    print(f"left: {images} images and {rows} rows, verified; {dict(first)}", flush=True)
    check(images >= options.images, "images are lost")
    check(set(first) == {"ingested", "not done"}, "files of other states")
    check(first["ingested"] == images + rows, "the report and the archive do not agree")
    check(images < frames, "nothing was left to be done")

    again = (*ingest, "--archive", archive, "--report", folder / "again.json")
    seconds = succeed(folder, *again)
    second = states(folder / "again.json")
    print(f"again: {dict(second)} in {seconds:.0f} s", flush=True)
    check(
        second == {"unchanged": first["ingested"], "ingested": first["not done"]},
        "the second run has not read the rest alone",
    )
    now = shot_files(archive)
    check({name: now.get(name) for name in kept} == kept, "shots that were there were written anew")
    check(stored(archive) == (frames, spectra), f"{stored(archive)} images and rows")
    succeed(folder, "verify", archive)

    seconds = succeed(folder, *ingest, "--archive", whole, "--report", folder / "whole.json")
    check(states(folder / "whole.json") == {"ingested": frames + spectra}, "not all was ingested")
    one, other = content_of(archive), content_of(whole)
    arrays = sum(len(shot["arrays"]) for shot in one["shots"].values())
    print(
        f"without a stop: {frames + spectra} ingested in {seconds:.0f} s; compared "
        f"{len(one['shots'])} shots, {len(one['sky'])} rows of the sky index, {arrays} arrays",
        flush=True,
    )
    found = list(differences(one, other))
    check(not found, f"{len(found)} differences, the first:\n" + "\n".join(found[:20]))
    print("equal")


def main() -> int:
    parser = argparse.ArgumentParser(description="Stop an ingest with Ctrl-C and let it go on.")
    parser.add_argument("--fields", type=int, default=37)
    parser.add_argument("--spectra", type=int, default=11)
    parser.add_argument("--images", type=int, default=60, help="stop when so many are stored")
    parser.add_argument("--rows", type=int, default=0, help="of a frame; default: full size")
    parser.add_argument("--columns", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="for scratch files; kept after a failure")
    options = parser.parse_args()
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="corecube-stop-", dir=options.folder))
    try:
        run(folder, options)
    except Wrong as wrong:
        print(f"WRONG: {wrong}\nwhat was found is in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
