"""What the soak interrupts: commands, the archives they begin with, and what they should lead to.

Two small instruments of the tests are used: ``toy`` (images, fibres, several entries, companions)
and ``lab`` (masters and links to them, derived frames, late masks).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

INSTRUMENTS: Final = Path(__file__).resolve().parents[1] / "instruments"


@dataclass(frozen=True)
class Scenario:
    """A command that is interrupted.

    Attributes
    ----------
    name : str
    base : tuple of tuple of str
        Commands that make the archive it begins with; none: there is no archive.
    command : tuple of str
        ``ARCHIVE`` stands for the archive.
    workers : bool
        Whether it takes ``--jobs``.
    damage : callable
        What is done to the archive before; it is damaged then.
    """

    name: str
    base: tuple[tuple[str, ...], ...]
    command: tuple[str, ...]
    workers: bool = True
    damage: Callable[[Path], None] | None = None


def install(folder: Path) -> None:
    """Make the instruments known to this process and those that it forks.

    Files of former states go with the next writer, so that what it leaves behind can be counted.
    """
    from corecube.archive import leftovers

    leftovers.GRACE = 0.0  # type: ignore[misc]
    for name in ("toy", "lab"):
        info = folder / f"corecube_{name}-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: corecube-{name}\nVersion: 1\n"
        )
        (info / "entry_points.txt").write_text(f"[corecube.instruments]\n{name} = {name}\n")
    sys.path[:0] = [str(folder), str(INSTRUMENTS)]


def make_files(raw: Path, toy: Any, lab: Any) -> None:
    """Write all files that the scenarios need."""
    for version in (1, 2):
        folder = raw / f"toy{version}"
        more = {"rank": version, "seed": version}
        for number in range(2):
            toy.image(
                folder / f"r{number}.toy", f"field/{number}", ra=10.0 + number,
                shape=(70, 60), **more,
            )  # fmt: skip
            toy.fibers(
                folder / f"f{number}.toy", f"plate/{number}",
                ra=[number + 0.1 * i for i in range(5)], dec=[2.0] * 5, exposures=number == 1,
                **more,
            )  # fmt: skip
        toy.image(folder / "g0.toy", "field/0", "g", ra=10.0, shape=(70, 60), **more)
        toy.fibers(folder / "f2.toy", "plate/0", "b", ra=[9.0, 9.1], dec=[3.0, 3.0], **more)
        gain = {"kind": "gain", "key": "field/1", "entry": "", "value": float(version)}
        toy.write(folder / "gain.toy", gain | {"rank": version})
        nights = raw / f"lab{version}"
        lab.write(nights / "bias.lab", lab.MASTER, "bias", float(version))
        for night in ("night/1", "night/2"):
            for entry in ("a", "b"):
                lab.write(nights / f"{night[-1]}{entry}.lab", night, entry, 5.0, needs=True)
    (raw / "bad1").write_text("night/1 a 3\nnight/2 mean 4\n")
    (raw / "bad2").write_text("night/1 a 5\nnight/2 b 6\nnight/1 mean 7\n")


def scenarios(raw: Path) -> list[Scenario]:
    """Return all."""
    toy, lab = (("ingest", "--instrument", name, "--archive", "ARCHIVE") for name in ("toy", "lab"))
    first = (*toy, str(raw / "toy1"))
    nights = (*lab, str(raw / "lab1"), "--set", f"lists.bad={raw / 'bad1'}")
    some = (*toy, *(str(raw / "toy1" / name) for name in ("r0.toy", "f0.toy", "g0.toy")))
    full = ((*first, "--jobs", "1"), (*nights, "--jobs", "1"))
    return [
        Scenario("ingest, new archive", (), first),
        Scenario("ingest, some are there", ((*some, "--jobs", "1"),), first),
        Scenario("ingest --force", full, (*first, "--force")),
        Scenario("ingest, all replaced", full, (*toy, str(raw / "toy2"))),
        Scenario("ingest --replace", full, (*toy, str(raw / "toy2" / "g0.toy"), "--replace")),
        Scenario("ingest with links", full[:1], nights),
        Scenario(
            "ingest, masters replaced", full,
            (*lab, str(raw / "lab2"), "--set", f"lists.bad={raw / 'bad1'}", "--replace"),
        ),
        Scenario(
            "remove", full, ("remove", "ARCHIVE", "toy/field/0", "toy/plate/1", "--yes"), False
        ),
        Scenario(
            "masks", full, ("masks", "ARCHIVE", "-i", "lab", "--set", f"lists.bad={raw / 'bad2'}"),
            False,
        ),
        Scenario("repair", full, ("repair", "ARCHIVE"), False, _damage),
    ]  # fmt: skip


def _damage(archive: Path) -> None:
    """Damage a shot, the sky index and the catalogue."""
    (shot,) = (archive / "shots" / "toy" / "plate").glob("1.*.h5")
    data = bytearray(shot.read_bytes())
    data[len(data) // 2] ^= 1
    shot.write_bytes(data)
    for run in (archive / "index").glob("*.run"):
        run.unlink()
    (log,) = (archive / "catalogue").glob("sources.*.log")
    with log.open("r+b") as file:
        file.seek(100)
        file.write(b"#")


def fresh(base: Path, archive: Path) -> None:
    """Put a copy of a base archive, which may be none, into the place of an archive."""
    shutil.rmtree(archive, ignore_errors=True)
    if base.exists():
        shutil.copytree(base, archive)
