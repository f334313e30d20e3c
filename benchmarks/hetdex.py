"""Ingest of a full HETDEX shot: memory of worker and coordinator, fibres and amplifiers a second.

The shot has 78 IFUs with four amplifiers in three exposures, 936 files and 104,832 fibres, and
the images of all detectors. One IFU is simulated; the others have the same light with headers and
places of their own, so that making the files takes little time. They are packed, as one file of
many is on disk, and the shot is thrown away at the end; files and archive take 33 GB meanwhile.

A second shot without images is ingested with it: with one shot alone there is no worker, the
coordinator makes it itself. A smaller shot before tells how memory grows with the amplifiers.

    python benchmarks/hetdex.py --ingest FOLDER ARCHIVE   (used by itself)
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

from measuring import Figure, Result, Skipped, peak_memory, timed

MEMORY_MB = 400.0
"""Peak of a worker; the images of one amplifier are 13 MB, a cal file 28 MB."""

IFUS = (13, 78)
QUICK_IFUS = (3, 13)
AMPLIFIERS = 12
"""Of an IFU, in all exposures."""
IFU_BYTES = 420e6
"""Of files and archive."""
BLOCK = 2880


def measure(scratch: Path, quick: bool) -> Result:
    from corecube import plugins

    few, many = QUICK_IFUS if quick else IFUS
    if shutil.disk_usage(scratch).free < 1.1 * many * IFU_BYTES:
        needed = f"{1.1 * many * IFU_BYTES / 1e9:.0f} GB of free disk are needed"
        return [Skipped(f"HETDEX shot of {AMPLIFIERS * many} amplifiers", needed)]
    caller = plugins.load("hetdex")
    one, other = scratch / "one", scratch / "other"
    for folder, seed, options in (
        (one, 1, {"images": "all", "faults": False, "packed": False}),
        (other, 2, {"images": "none", "faults": False, "exposures": 1}),
    ):
        folder.mkdir()
        truth = caller.call("simulate", directory=folder, options=options, seed=seed)
        if folder is one:
            shot = truth["shot"]
    first = ingested(one / shot, other, few, scratch)
    found = ingested(one / shot, other, many, scratch)
    which = f"HETDEX shot of {AMPLIFIERS * many} amplifiers"
    more = AMPLIFIERS * (many - few)
    growth = (found["peak"] - first["peak"]) / more
    return [
        Figure(f"{which}: peak memory of a worker", found["peak"] / 1e6, "MB", MEMORY_MB),
        Figure(f"{which}: growth of it with each", growth / 1e3, "kB"),
        Figure(f"{which}: peak of the coordinator", found["coordinator"] / 1e6, "MB"),
        Figure(f"{which}: fibres a second", found["fibers"] / found["seconds"], "1/s"),
        Figure(f"{which}: amplifiers a second", AMPLIFIERS * many / found["seconds"], "1/s"),
        Figure(f"{which}: shot file", found["size"] / 1e6, "MB"),
        Figure(f"{which}: files given", found["given"], ""),
        Figure(f"{which}: files in the archive", found["files"], ""),
    ]


def ingested(one: Path, other: Path, ifus: int, scratch: Path) -> dict[str, Any]:
    """Make a shot of so many IFUs, ingest it in a process of its own, and throw it away."""
    folder, archive = scratch / "many", scratch / "many.corecube"
    replicate(one, folder / one.name, ifus)
    shutil.copytree(other, folder / "other")
    words = [sys.executable, __file__, "--ingest", str(folder), str(archive)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE)
    shutil.rmtree(folder)
    shutil.rmtree(archive)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def replicate(one: Path, many: Path, ifus: int) -> None:
    """Write a shot of many IFUs that all have the content of one."""
    many.mkdir(parents=True)
    plane = (one / "fplane.txt").read_text("ascii").splitlines()
    slot, _, _, specid, _, ifuid, *_ = plane[1].split()
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
        body = data[end:]
        packed = deflated(body, zlib.Z_FINISH)
        for new, spec, ifu in names:
            head = data[:end]
            for card, old, value in (
                ("SPECID", specid, spec), ("IFUSLOT", slot, new), ("IFUID", ifuid, ifu)
            ):  # fmt: skip
                head = head.replace(f"{card:8}= '{old}".encode(), f"{card:8}= '{value}".encode())
            name = path.name.replace(f"{specid}_{slot}_{ifuid}", f"{spec}_{new}_{ifu}")
            target = many / path.parent.relative_to(one) / f"{name}.gz"
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                file.writelines(gzipped(head, body, packed))
    lines = []
    table = (one / "dithall").glob("*.dithall")
    text = next(table).read_text("ascii").replace(f"ifu{slot}", "ifu@@@")
    for new, spec, ifu in names:
        old = f"multi_{specid}_{slot}_{ifuid}"
        lines.append(text.replace(old, f"multi_{spec}_{new}_{ifu}").replace("@@@", new))
    (many / "dithall").mkdir()
    (many / "dithall" / f"{many.name}.dithall").write_text("".join(lines), "ascii")


def deflated(data: bytes, end: int) -> bytes:
    """Pack a part of a gzip file, whose last part ends with ``zlib.Z_FINISH``."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush(end)


def gzipped(head: bytes, body: bytes, packed: bytes) -> tuple[bytes, ...]:
    """Return a gzip file of one member (RFC 1952) in which only the head is packed anew."""
    check = zlib.crc32(body, zlib.crc32(head)), (len(head) + len(body)) % 2**32
    return (
        b"\x1f\x8b\x08" + bytes(6) + b"\xff", deflated(head, zlib.Z_FULL_FLUSH), packed,
        b"".join(number.to_bytes(4, "little") for number in check),
    )  # fmt: skip


def header_end(data: bytes) -> int:
    """Return where the first header of a FITS file ends."""
    end = data.index(b"END" + b" " * 77)
    return -(-(end + 80) // BLOCK) * BLOCK


def ingest_here(folder: Path, archive: Path) -> dict[str, Any]:
    """Ingest with this process as the coordinator; say what the largest shot took."""
    from corecube import plugins
    from corecube.archive.reader import open_archive
    from corecube.pipeline import Options, ingest

    caller = plugins.load("hetdex")
    reports: list[Any] = []
    config = caller.instrument.config()
    timed(lambda: reports.append(ingest([str(folder)], archive, caller, config, Options(jobs=2))))
    peak = peak_memory()
    (report,) = reports
    shots = sorted(report.shots, key=lambda shot: len(shot.entries))
    if report.counts.get("failed", 0) or [shot.state for shot in shots] != ["ingested"] * 2:
        raise AssertionError(report.to_json())
    with open_archive(archive) as opened:
        fibers = opened.shot(shots[-1].identity).row_count("fibers")
    files = [path for path in archive.rglob("*") if path.is_file()]
    return {
        "fibers": fibers, "seconds": shots[-1].seconds, "peak": shots[-1].peak_bytes,
        "coordinator": peak, "size": max(path.stat().st_size for path in files),
        "files": len(files), "given": len(report.files),
    }  # fmt: skip


if __name__ == "__main__":
    _, _, folder, archive = sys.argv
    print(json.dumps(ingest_here(Path(folder), Path(archive))))
