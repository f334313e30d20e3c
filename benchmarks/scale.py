"""Large archives, really made: ingested, asked, verified, damaged, repaired, ingested again.

    python benchmarks/scale.py [--output FOLDER] [--part 0.05] [--only fibers|frames] [--keep]

One archive of 1e7 fibres in 3,000 shots, 64 pixels of flux, error and mask each, on fields that
overlap as in `survey`; one of 500 images of the size of an SDSS frame. Their files are lines of
text, their pixels come from seeds (`scaleinstrument`), so that the truth is known. `--part` makes
both smaller. What would not fit on the disk is left out, and said. Every step but a few reads of
pixels is a `corecube` command. Prints a table, and writes scale.json beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import scaleinstrument
from exactness import Formula
from measuring import Figure, compiled, show
from survey import awkward, centres

from corecube.archive.reader import Archive

SHOTS, FIBRES, WIDTH, FRAMES = 3000, 10_000_000, 64, 500
DAMAGED = 8
CONES = 40
SPARE = 1.15
"""Free space that is asked for, as a multiple of what will be written."""


class Failure(Exception):
    """Something is not as it should be."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Make large archives and look after them.")
    parser.add_argument("--output", type=Path, default=Path("bench-results"))
    parser.add_argument("--part", type=float, default=1.0, help="of the numbers of shots")
    parser.add_argument("--only", choices=("fibers", "frames"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--keep", action="store_true", help="do not delete the archives")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    figures: list[Figure] = []
    for name in (options.only,) if options.only else ("fibers", "frames"):
        scratch = Path(tempfile.mkdtemp(prefix=f".scale-{name}-", dir=options.output)).resolve()
        try:
            figures += Scale(scratch, name, options.part, options.jobs).run()
        finally:
            if not options.keep:
                shutil.rmtree(scratch)
    figures.append(Figure("all", (time.perf_counter() - started) / 3600, "h"))
    table = show(list(figures))
    print(table)
    (options.output / "scale.txt").write_text(table + "\n", "utf-8")
    (options.output / "scale.json").write_text(json.dumps([asdict(f) for f in figures], indent=1))
    return 0


class Scale:
    """One archive and its way."""

    def __init__(self, scratch: Path, name: str, part: float, jobs: int) -> None:
        self.scratch, self.name, self.jobs = scratch, name, jobs
        self.archive, self.raw = scratch / "a.corecube", scratch / "raw"
        installed = scaleinstrument.install(scratch / "instruments")
        paths = [installed["PYTHONPATH"], os.environ.get("PYTHONPATH", "")]
        self.environment = compiled(scratch) | {"PYTHONPATH": ":".join(filter(None, paths))}
        self.figures: list[Figure] = []
        whole = SHOTS if name == "fibers" else FRAMES
        self.headers = self._headers(max(DAMAGED + 2, round(part * whole)), whole)

    def _headers(self, number: int, whole: int) -> list[dict[str, Any]]:
        ra, dec = centres(whole, np.random.default_rng(whole))
        headers = []
        for seed, (a, d) in enumerate(
            zip(ra[:number].tolist(), dec[:number].tolist(), strict=True)
        ):
            key = f"{seed // 100:03d}/{seed:05d}"
            header = scaleinstrument.header_for(key, seed, -(-FIBRES // SHOTS), WIDTH, a, d)
            if self.name == "frames":
                header |= {"kind": "image", "entry": "r"}
            headers.append(header)
        return headers

    def run(self) -> list[Figure]:
        self._fit()
        self._write(self.headers)
        self._ingest("ingest", len(self.headers))
        self._sizes()
        self._ask("after ingest")
        self._command("verify", ["verify", str(self.archive)], 0)
        names = self._damage()
        said = self._command("verify, damaged", ["verify", str(self.archive)], 8)
        missing = [name for name in names if name not in said]
        if missing:
            raise Failure(f"verify does not name {missing}")
        self._command("repair", ["repair", str(self.archive)], 3)
        self._command("verify, repaired", ["verify", str(self.archive)], 0)
        self._shots("after repair", len(self.headers) - len(names))
        self._ingest("ingest again what was damaged", len(names))
        self._shots("in the end", len(self.headers))
        self._ask("in the end")
        self._command("verify, in the end", ["verify", str(self.archive)], 0)
        return self.figures

    # -- making ------------------------------------------------------------------------------

    def _fit(self) -> None:
        """Make two shots to know what all will need; leave out what does not fit."""
        trial = Scale.__new__(Scale)
        trial.__dict__ |= vars(self) | {
            "archive": self.scratch / "trial.corecube", "raw": self.scratch / "trial",
            "figures": [],
        }  # fmt: skip
        trial._write(self.headers[:2])
        trial._ingest("trial", 2)
        each = _bytes(trial.archive) / 2
        shutil.rmtree(trial.archive)
        free = shutil.disk_usage(self.scratch).free
        fit = min(len(self.headers), int(free / SPARE / each))
        self._note("bytes expected", each * len(self.headers) / 1e9, "GB")
        self._note("shots left out for want of space", len(self.headers) - fit, "")
        self.headers = self.headers[:fit]

    def _write(self, headers: list[dict[str, Any]]) -> None:
        for header in headers:
            scaleinstrument.write(self.raw / f"{header['key']}.scale", header)

    def _ingest(self, step: str, expected: int) -> None:
        report = self.scratch / "report.json"
        self._command(
            step,
            ["ingest", "-i", "scale", str(self.raw), "-a", str(self.archive),
             "--jobs", str(self.jobs), "--report", str(report)],
            0,
        )  # fmt: skip
        shots = json.loads(report.read_bytes())["shots"]
        made = sum(shot["state"] in ("ingested", "replaced") for shot in shots)
        if made != expected:
            raise Failure(f"{step}: {made} shots instead of {expected}")

    def _damage(self) -> list[str]:
        """Damage some shot files, each in its own way, and a run of the index."""
        rng = np.random.default_rng(7)
        chosen = sorted(rng.choice(len(self.headers), DAMAGED, replace=False).tolist())
        for number, way in zip(chosen, ["bit", "bit", "bit", "cut", "gone", "bit", "zeros", "bit"],
                               strict=True):  # fmt: skip
            (path,) = self.archive.glob(f"shots/scale/{self.headers[number]['key']}.*.h5")
            size = path.stat().st_size
            with path.open("r+b") as file:
                at = int(rng.integers(0, size - 4096))
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                if way == "bit":
                    file.write(bytes([byte ^ 1 << int(rng.integers(8))]))
                elif way == "zeros":
                    file.write(bytes(4096))
                elif way == "cut":
                    file.truncate(at)
            if way == "gone":
                path.unlink()
        for run in sorted((self.archive / "index").glob("*.run"))[:1]:
            with run.open("r+b") as file:
                file.seek(run.stat().st_size // 2)
                file.write(b"\xff\x00\xff\x00")
        return [f"scale/{self.headers[number]['key']}" for number in chosen]

    # -- asking ------------------------------------------------------------------------------

    def _ask(self, when: str) -> None:
        rng = np.random.default_rng(3)
        picks = rng.integers(0, len(self.headers), CONES)
        with Archive(self.archive) as archive:
            times = (
                self._cones(archive, rng)
                if self.name == "fibers"
                else self._cutouts(archive, picks)
            )
            self._note(f"{when}: a cone (call)", float(np.median(times)) * 1e3, "ms")
            started = time.perf_counter()
            for number in picks[:5].tolist():
                self._pixels(archive, self.headers[number])
            self._note(
                f"{when}: a whole shot read and compared", (time.perf_counter() - started) / 5, "s"
            )
        place = f"{self.headers[0]['ra']:.6f} {self.headers[0]['dec']:+.6f}"
        said = self._command(
            f"{when}: query of 1 arcmin",
            ["query", str(self.archive), place, "--radius", "1arcmin"],
            0,
        )
        if not said.strip():
            raise Failure("the query found nothing")

    def _cones(self, archive: Archive, rng: np.random.Generator) -> list[float]:
        """Ask awkward cones and compare the numbers of fibres with all positions."""
        parts = [
            scaleinstrument.places(header, np.random.default_rng(header["seed"]))
            for header in self.headers
        ]
        ra, dec = (np.concatenate(axis) for axis in zip(*parts, strict=True))
        formula, times = Formula(ra, dec), []
        for cone in zip(*awkward(ra, dec, CONES, 0.0, rng), strict=True):
            a, d, r = (float(value) for value in cone)
            started = time.perf_counter()
            found = len(archive.cone((a, d), r))
            times.append(time.perf_counter() - started)
            expected = len(formula.all(a, d, r))
            if found != expected:
                raise Failure(f"{found} fibres instead of {expected} at {cone}")
        return times

    def _cutouts(self, archive: Archive, picks: Any) -> list[float]:
        times = []
        for number in picks.tolist():
            header = self.headers[number]
            started = time.perf_counter()
            found = archive.cone((header["ra"], header["dec"]), 1 / 3600)
            times.append(time.perf_counter() - started)
            keys = {place.shot.key for place in found.image_places}
            if header["key"] not in keys:
                raise Failure(f"the image {header['key']} is not found in its middle")
        return times

    def _pixels(self, archive: Archive, header: Mapping[str, Any]) -> None:
        shot = archive.shot(f"scale/{header['key']}")
        truth = scaleinstrument.made(header)
        where = "/images/r" if self.name == "frames" else "/fibers/fibers"
        for name in ("flux", "error", "mask"):
            if not np.array_equal(shot.read(f"{where}/{name}"), getattr(truth, name)):
                raise Failure(f"{name} of {header['key']} differs from what was ingested")

    def _shots(self, when: str, expected: int) -> None:
        with Archive(self.archive) as archive:
            found = len(archive.state.catalogue.by_number)
        if found != expected:
            raise Failure(f"{when}: {found} shots instead of {expected}")
        self._note(f"{when}: shots", found, "")

    # -- figures -----------------------------------------------------------------------------

    def _sizes(self) -> None:
        shots = len(self.headers)
        pixels = shots * (
            self.headers[0]["rows"] * WIDTH if self.name == "fibers"
            else int(np.prod(scaleinstrument.FRAME))
        )  # fmt: skip
        total = _bytes(self.archive)
        self._note("shots", shots, "")
        if self.name == "fibers":
            self._note("fibres", shots * self.headers[0]["rows"], "")
            with Archive(self.archive) as archive:
                index = sum(run.size for run in archive.state.manifest.runs)
            self._note("index, a fibre", index / shots / self.headers[0]["rows"], "bytes", 32.0)
        self._note("archive", total / 1e9, "GB")
        self._note("archive / flux, error and mask as arrays", total / (12 * pixels), "times")

    def _command(self, step: str, arguments: list[str], expected: int) -> str:
        program = str(Path(sys.executable).with_name("corecube"))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        done = subprocess.run(
            [program, *arguments], check=False, capture_output=True, text=True,
            env=self.environment,
        )  # fmt: skip
        spent = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode != expected:
            tail = (done.stdout + done.stderr)[-2000:]
            raise Failure(f"{step}: exit code {done.returncode} instead of {expected}\n{tail}")
        self._note(step, spent, "s")
        worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self._note(f"{step}: processors", worked, "s")
        print(f"{self.name}: {step}: {spent:.1f} s", file=sys.stderr, flush=True)
        return done.stdout + done.stderr

    def _note(self, name: str, value: float, unit: str, target: float | None = None) -> None:
        self.figures.append(Figure(f"{self.name}: {name}", value, unit, target))


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
