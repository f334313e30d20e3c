"""Ingest of a full HETDEX shot: memory of the worker, fibres and amplifiers a second.

The shot has 78 IFUs with four amplifiers in three exposures, 936 files and 104,832 fibres, and
the images of all detectors. One IFU is simulated; the others have the same light with headers and
places of their own, so that making the files takes little time. They are packed, as one file of
many is on disk, and the shot is thrown away at the end.
"""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

from measuring import Figure, Result, timed

MEMORY_MB = 400.0
"""Peak of a worker; the images of one amplifier are 13 MB, a cal file 28 MB."""

IFUS = 78
QUICK_IFUS = 13
BLOCK = 2880


def measure(scratch: Path, quick: bool) -> Result:
    from corecube import plugins

    ifus = QUICK_IFUS if quick else IFUS
    caller = plugins.load("hetdex")
    one = scratch / "one"
    one.mkdir()
    options = {"images": "all", "faults": False, "packed": False}
    truth = caller.call("simulate", directory=one, options=options, seed=1)
    folder = replicate(one / truth["shot"], scratch / "many" / truth["shot"], ifus)
    found = ingested(caller, folder, scratch / "full.corecube")
    fibers, seconds, peak, size = found
    shutil.rmtree(scratch / "many")
    which = f"HETDEX shot of {12 * ifus} amplifiers"
    return [
        Figure(f"{which}: peak memory of a worker", peak / 1e6, "MB", MEMORY_MB),
        Figure(f"{which}: fibres a second", fibers / seconds, "1/s"),
        Figure(f"{which}: amplifiers a second", 12 * ifus / seconds, "1/s"),
        Figure(f"{which}: shot file", size / 1e6, "MB"),
    ]


def replicate(one: Path, many: Path, ifus: int) -> Path:
    """Write a shot of many IFUs that all have the content of one; return its folder."""
    many.mkdir(parents=True)
    plane = (one / "fplane.txt").read_text("ascii").splitlines()
    _, _, _, specid, _, ifuid, *_ = plane[1].split()
    slot = plane[1].split()[0]
    names = [(f"{100 + k:03d}", f"{400 + k:03d}", f"{200 + k:03d}") for k in range(ifus)]
    rows = [
        f"{new} {100.0 * (k % 9 - 4):.3f} {100.0 * (k // 9 - 4):.3f} {spec} 118 {ifu} 0.0 1.0"
        for k, (new, spec, ifu) in enumerate(names)
    ]
    for path in one.iterdir():
        if path.is_file():
            shutil.copy(path, many)
    (many / "fplane.txt").write_text("\n".join([plane[0], *rows]) + "\n", "ascii")
    for path in sorted(one.rglob("*.fits")):
        data = path.read_bytes()
        end = header_end(data)
        body = gzip.compress(data[end:], 1, mtime=0)
        for new, spec, ifu in names:
            head = data[:end]
            for card, old, value in (
                ("SPECID", specid, spec), ("IFUSLOT", slot, new), ("IFUID", ifuid, ifu)
            ):  # fmt: skip
                head = head.replace(f"{card:8}= '{old}".encode(), f"{card:8}= '{value}".encode())
            name = path.name.replace(f"{specid}_{slot}_{ifuid}", f"{spec}_{new}_{ifu}")
            target = many / path.parent.relative_to(one) / f"{name}.gz"
            target.parent.mkdir(parents=True, exist_ok=True)
            # a gzip file may have several members: only the header is packed for each IFU
            target.write_bytes(gzip.compress(head, 1, mtime=0) + body)
    lines = []
    table = (one / "dithall").glob("*.dithall")
    text = next(table).read_text("ascii").replace(f"ifu{slot}", "ifu@@@")
    for new, spec, ifu in names:
        old = f"multi_{specid}_{slot}_{ifuid}"
        lines.append(text.replace(old, f"multi_{spec}_{new}_{ifu}").replace("@@@", new))
    (many / "dithall").mkdir()
    (many / "dithall" / f"{many.name}.dithall").write_text("".join(lines), "ascii")
    return many


def header_end(data: bytes) -> int:
    """Return where the first header of a FITS file ends."""
    end = data.index(b"END" + b" " * 77)
    return -(-(end + 80) // BLOCK) * BLOCK


def ingested(caller: Any, folder: Path, archive: Path) -> tuple[int, float, int, int]:
    """Ingest by a worker process; return fibres, seconds, its peak memory, bytes of the shot."""
    from corecube.archive.reader import open_archive
    from corecube.pipeline import Options, ingest

    reports: list[Any] = []
    config = caller.instrument.config()
    wall, _ = timed(
        lambda: reports.append(
            ingest([str(folder)], archive, caller, config, Options(jobs=2))  # a worker process
        )
    )
    (shot,) = reports[0].shots
    if reports[0].counts.get("failed", 0) or shot.state != "ingested":
        raise AssertionError(reports[0].to_json())
    with open_archive(archive) as opened:
        fibers = opened.shot(shot.identity).row_count("fibers")
    (file,) = (archive / "shots").rglob("*.h5")
    return fibers, wall, shot.peak_bytes, file.stat().st_size
