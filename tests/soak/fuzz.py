"""Damage sound archives at random, and see that nothing crashes and nothing wrong is returned.

    python tests/soak/fuzz.py --minutes 60 --seed 1

A small archive with images, fibres, exposures and what waits is copied, one or more of its files
are changed, and a child process opens it, asks it, reads everything, looks at it as the browser
does, verifies it, repairs it, and asks again. Each answer must be the right one or an error of
ours. After the repair the archive must be sound, and what it still has must be right.

Bytes are flipped, exchanged, cut off and put in; so are offsets in the structure of shot files and
whole chunks. A third of the archives are forged instead: any value of the JSON becomes another, and
checksums, seals and digests are made right again, as a stranger would. These may say what they
like, but every command must end with an answer or an error of ours.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "instruments"))

LIMIT = 2 << 30
"""Bytes of memory that a child may use beyond what it has."""

SECONDS = 60


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for archives that showed a fault")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        home = Path(folder)
        sound = home / "sound.corecube"
        build(sound, home)
        truth = contents(sound, complete=True)
        end = time.monotonic() + 60 * options.minutes
        counts: Counter[str] = Counter()
        faults: list[str] = []
        number = 0
        while time.monotonic() < end:
            seed = options.seed * 1_000_000 + number
            copy = home / "a.corecube"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(sound, copy)
            if number % 3 == 2:
                outcome, message = in_child(partial(forged, copy, seed))
                what = f"forged {message}"
            else:
                what = damage(copy, random.Random(seed))
                outcome, message = in_child(partial(attack, copy, truth))
            counts[f"{what.partition(' ')[0]}: {outcome}"] += 1
            if outcome in ("CRASH", "WRONG", "BUG"):
                faults.append(f"seed {seed}: {what}: {outcome}: {message}")
                print(faults[-1], flush=True)
                if options.keep:
                    shutil.copytree(copy, options.keep / f"{seed}.corecube", dirs_exist_ok=True)
            number += 1
    for name, count in sorted(counts.items()):
        print(f"{count:7d}  {name}")
    print(f"{number} damaged archives, {len(faults)} faults")
    return 1 if faults else 0


def build(path: Path, home: Path) -> None:
    """Make the archive: masters with links, targets with late masks, images, fibres, exposures."""
    import numpy as np
    import toy  # type: ignore[import-not-found]

    from corecube.pipeline import Options, ingest
    from corecube.plugins import load

    install()
    raw = home / "raw"
    toy.image(raw / "r.toy", "field/1", shape=(300, 290))
    toy.image(raw / "g.toy", "field/2", shape=(60, 50), seed=7)
    for number in range(2):
        toy.fibers(
            raw / f"f{number}.toy", f"plate/{number}", exposures=True, seed=number,
            ra=10 + np.arange(40) / 10 + number / 50, dec=np.full(40, 20.0),
        )  # fmt: skip
    toy.gain(raw / "w.toy", "field/9")
    report = ingest([str(raw)], path, load("toy"), toy.ToyConfig(), Options())
    assert report.exit_code() == 0, report.to_json()


def install() -> None:
    """Make the test instrument known, as an installed distribution would be."""
    site = Path(tempfile.mkdtemp(prefix="fuzz-site-"))
    info = site / "corecube_toy-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: corecube-toy\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[corecube.instruments]\ntoy = toy\n")
    sys.path.insert(0, str(site))
    os.environ["CORECUBE_PLUGINS"] = "toy"


def contents(path: Path, complete: bool = False) -> dict[str, str]:
    """Return digests of all that can be asked, by what was asked; "error" where that failed."""
    import corecube
    from corecube.errors import CorecubeError

    found: dict[str, str] = {}

    def ask(name: str, get: Callable[[], Any]) -> None:
        try:
            found[name] = digest(get())
        except CorecubeError:
            if complete:
                raise
            found[name] = "error"

    try:
        archive = corecube.open(path)
    except CorecubeError:
        if complete:
            raise
        return {"open": "error"}
    with archive:
        ask("shots", lambda: table(archive.shots(), ("shot", "kind", "images", "fibers")))
        for ra in (10.0, 11.0, 12.5, 200.0):
            ask(f"cone {ra}", partial(cone, archive, ra))
        ask("where", lambda: tables(archive.everything(where="z > 1", exposures=True)))
        ask("cube", lambda: cube(archive))
        ask("match", lambda: archive.crossmatch(([10.0, 11.0], [20.0, 20.0]), 0.1).fibers["id"])
        for identity in sorted(archive.state.catalogue.by_identity):
            try:
                shot = archive.shot(identity)
                images, groups = shot.images, shot.groups
            except CorecubeError:
                found[f"shot {identity}"] = "error"
                continue
            ask(f"{identity} exported", partial(exported, shot))
            for image in images:
                ask(f"{identity}/{image}", partial(image_of, shot, image))
                ask(f"{identity}/{image} level", partial(level, shot, image))
            for group in groups:
                ask(f"{identity}/{group}", partial(rows_of, shot, group))
    return found


def cone(archive: Any, ra: float) -> Any:
    return tables(archive.cone((ra, 20.0), 0.3))


def cube(archive: Any) -> Any:
    return [
        [part.name, part.flux, part.error, part.mask, part.coverage]
        for part in archive.cube((10.0, 20.0), size=16, level=1, unit="stored")
    ]


def exported(shot: Any) -> bytes:
    """Return what `export --plain` writes; the file is that of the same shot, byte for byte."""
    from corecube.archive.plainfile import export_plain

    path = Path(tempfile.mkdtemp()) / "plain.h5"
    export_plain(shot, path)
    written = path.read_bytes()
    path.unlink()
    path.parent.rmdir()
    return written


def image_of(shot: Any, image: str) -> Any:
    return frame(shot.frame(image))


def rows_of(shot: Any, group: str) -> Any:
    return frame(shot.rows(group, 0, 40))


def level(shot: Any, image: str) -> Any:
    return shot.level(image, 1).flux if shot.image(image)["levels"] else 0


def frame(one: Any) -> list[Any]:
    parts = [one.flux, one.error, one.mask, one.provenance.steps, one.header]
    if hasattr(one, "ra"):
        parts += [one.ra, one.dec, one.id, one.wave.wavelength()]
        parts += list(one.columns.values())
    return parts


def table(rows: Any, names: tuple[str, ...] = ()) -> list[Any]:
    return [rows[name].values for name in names or rows.names if name != "source"]


def tables(result: Any) -> list[Any]:
    return [*table(result.fibers), *table(result.images)]


def digest(value: Any) -> str:
    sha = hashlib.sha256()

    def add(part: Any) -> None:
        if isinstance(part, list | tuple):
            for one in part:
                add(one)
        elif hasattr(part, "tobytes"):
            sha.update(repr((part.dtype.str, part.shape)).encode() + part.tobytes())
        elif hasattr(part, "values") and hasattr(part.values, "tobytes"):
            add(part.values)
        else:
            sha.update(repr(part).encode())

    add(value)
    return sha.hexdigest()


def attack(path: Path, truth: dict[str, str]) -> str:
    """Do everything to a damaged archive; return what became of it. Runs in a child."""
    import corecube
    from corecube.archive.repair import repair
    from corecube.archive.verify import verify
    from corecube.errors import CorecubeError

    wrong = compare(contents(path), truth)
    if wrong:
        return f"WRONG {wrong}"
    seen = 0
    try:
        with corecube.open(path) as archive:
            seen = sum(len(found) for _, found in verify(archive))
    except CorecubeError:
        seen = 1
    browse(path)
    try:
        done = repair(path)
    except CorecubeError as error:
        return f"refused {error}"
    with corecube.open(path) as archive:
        left = [d.what for _, found in verify(archive) for d in found]
    if left:
        return f"WRONG damaged after the repair: {left[0]}"
    after = contents(path)
    wrong = compare({k: v for k, v in after.items() if "cone" not in k and k not in MANY}, truth)
    if wrong or any(v == "error" for k, v in after.items() if k not in MANY):
        return f"WRONG after the repair: {wrong or after}"
    if after.keys() == truth.keys():
        wrong = compare(after, truth)
        if wrong:
            return f"WRONG after the repair of all: {wrong}"
    if not done.changed and seen:
        return "WRONG verify saw a damage that the repair did not"
    return "repaired" if done.changed else "harmless"


MANY = ("shots", "where", "match", "cube")
"""What depends on several shots: others than before are right where one was set aside."""


def browse(path: Path) -> None:
    """Look at the archive as the browser's thread does."""
    from looking import look  # type: ignore[import-not-found]

    look(path)


VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**40, 2**63, 10**30, 1.5, 1e308, "", "x", "../../x",
    "/etc/passwd", "a\x1b[31m\n\u202e", [], {}, [[]], [None], [1, 2], {"a": 1}, "float64", "object",
    [2**40, 2],
)  # fmt: skip


def forged(path: Path, seed: int) -> str:
    """Change values of JSON under right checksums, and do everything. Runs in a child."""
    import forging  # type: ignore[import-not-found]
    import numpy as np

    from corecube.errors import CorecubeError

    rng = np.random.default_rng(seed)
    forger = forging.Forger(path)
    parts = (
        "manifest", "catalogue", "sources", "about", "state", "description", "description",
        "description", "provenance", "provenance",
    )  # fmt: skip
    identity = ("toy/field/1", "toy/plate/0")[int(rng.integers(2))]
    part = parts[int(rng.integers(len(parts)))]
    said: str = forging.mutate(forger, part, identity, VALUES, rng)
    try:
        for look in (contents, browse, _verified, _repaired, contents):
            with contextlib.suppress(CorecubeError):
                look(path)
    except BaseException as error:
        raise RuntimeError(f"forged {said}") from error
    return f"answered {said}"


def _verified(path: Path) -> None:
    import corecube
    from corecube.archive.verify import verify

    with corecube.open(path) as archive:
        list(verify(archive))


def _repaired(path: Path) -> None:
    from corecube.archive.repair import repair

    repair(path)


def compare(found: dict[str, str], truth: dict[str, str]) -> str:
    """Return the first answer that is neither right nor an error."""
    for name, value in found.items():
        if value != "error" and truth.get(name) != value:
            return name
    return ""


def in_child(work: Callable[[], str]) -> tuple[str, str]:
    """Run in a forked process with limits; return the outcome and a message."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read)
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + LIMIT, used + LIMIT))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.alarm(SECONDS)
            try:
                said = work()
            except BaseException:
                said = "BUG " + traceback.format_exc()[-800:]
            os.write(write, said.encode()[:4000])
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "CRASH", signal.Signals(os.WTERMSIG(status)).name
    outcome, _, message = said.partition(" ")
    return outcome, message


def damage(path: Path, rng: random.Random) -> str:
    """Change one to three files; return what was done."""
    said = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        files = sorted(p for p in path.rglob("*") if p.is_file() and p.name != "lock")
        shots = [p for p in files if p.suffix == ".h5"]
        file = rng.choice(shots if rng.random() < 0.7 and shots else files)
        data = bytearray(file.read_bytes())
        how = rng.choice(list(HOWS))
        if not data and how != "append":
            continue
        if how in ("chunks", "offsets") and file.suffix != ".h5":
            how = "flip"
        if how == "other":
            twin = rng.choice([p for p in files if p.suffix == file.suffix])
            shutil.copyfile(twin, file) if twin != file else None
        elif how == "gone":
            file.unlink()
        else:
            file.write_bytes(HOWS[how](data, rng))
        said.append(f"{how} {file.relative_to(path)}")
    return ", ".join(said) or "nothing"


def flip(data: bytearray, rng: random.Random) -> bytes:
    for _ in range(rng.choice([1, 1, 2, 8])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def number(data: bytearray, rng: random.Random) -> bytes:
    """Put an offset or length that means trouble somewhere aligned."""
    at = rng.randrange(max(1, len(data) // 8)) * 8
    value = rng.choice([0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, len(data), len(data) + 1])
    data[at : at + 8] = value.to_bytes(8, "little")[: len(data) - at]
    return bytes(data)


def swap(data: bytearray, rng: random.Random) -> bytes:
    """Exchange two aligned words, or two blocks."""
    size = rng.choice([4, 8, 16, 512, 4096])
    places = [rng.randrange(max(1, len(data) // size)) * size for _ in range(2)]
    one, two = (bytes(data[p : p + size]) for p in places)
    data[places[0] : places[0] + len(two)] = two
    data[places[1] : places[1] + len(one)] = one
    return bytes(data)


def chunks(data: bytearray, rng: random.Random) -> bytes:
    """Exchange the bytes of two chunks, or put one in the place of another, of one size if any."""
    import io

    import h5py

    places: list[tuple[int, int]] = []

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.chunks:
            for number in range(item.id.get_num_chunks()):
                chunk = item.id.get_chunk_info(number)
                places.append((chunk.byte_offset, chunk.size))

    try:
        with h5py.File(io.BytesIO(bytes(data)), "r") as file:
            file.visititems(look)
    except Exception:  # it was damaged before
        return flip(data, rng)
    sizes = Counter(size for _, size in places)
    alike = [place for place in places if sizes[place[1]] > 1] or places
    (one, size) = rng.choice(alike)
    two = rng.choice([offset for offset, length in alike if length == size])
    first, second = bytes(data[one : one + size]), bytes(data[two : two + size])
    data[two : two + size] = first
    if rng.random() < 0.7:
        data[one : one + size] = second
    return bytes(data)


def offsets(data: bytearray, rng: random.Random) -> bytes:
    """Exchange two words of the structure that look like places in the file."""
    words = [
        at for at in range(0, len(data) - 7, 8)
        if 96 <= int.from_bytes(data[at : at + 8], "little") < len(data)
    ]  # fmt: skip
    if len(words) < 2:
        return flip(data, rng)
    one, two = rng.sample(words, 2)
    data[one : one + 8], data[two : two + 8] = data[two : two + 8], data[one : one + 8]
    return bytes(data)


HOWS: dict[str, Callable[[bytearray, random.Random], bytes]] = {
    "flip": flip,
    "number": number,
    "swap": swap,
    "chunks": chunks,
    "offsets": offsets,
    "cut": lambda data, rng: bytes(data[: rng.randrange(len(data))]),
    "zeros": lambda data, rng: (
        lambda at: bytes(data[:at]) + bytes(min(4096, len(data) - at)) + bytes(data[at + 4096 :])
    )(rng.randrange(len(data))),
    "append": lambda data, rng: bytes(data) + rng.randbytes(rng.randrange(1, 5000)),
    "other": lambda data, rng: bytes(data),
    "gone": lambda data, rng: bytes(data),
}

if __name__ == "__main__":
    sys.exit(main())
