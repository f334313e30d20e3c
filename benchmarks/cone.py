"""Cone searches and crossmatches against what astronomers use today, in one run on the same rows.

`peers` says who the others are. Times are medians over 50 positions, each within 2 arcsec of a
fibre; warm ones of the best of some questions after the first, asked by turns. Cold: archive,
index and tables are open, the pages of their files are dropped from the memory of the system and
seen to be gone. "Call" is `Archive.cone` or `Archive.crossmatch` on an archive whose catalogue and
index have all shots, but not their pixels (`surveyarchive`); the index has the runs that are left
when shots come one by one. Targets hold at 1e7 rows; at 5e7 they are in the theme ``conelarge``.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import surveyarchive
from exactness import exactness
from growth import growth
from measuring import Figure, Result, Skipped, compiled, has
from pages import drop
from peers import Brute, Recipe, Sorted, Table, Tiles, Tree
from startup import QUERY, TARGETS, run
from survey import ARCSEC, nearby, survey

from corecube.archive.reader import Archive
from corecube.archive.regions import Cone

RADII = {"3 arcsec": 3 * ARCSEC, "1 arcmin": 1 / 60, "1 deg": 1.0}
POSITIONS = 50
SEED = 20240601
Ask = Callable[[float, float, float], Any]


@dataclass(frozen=True)
class Targets:
    """Milliseconds, but for the many: seconds."""

    warm: float | None = None
    call: float | None = None
    cold: float | None = None
    minute: float | None = None
    degree: float | None = None
    degree_call: float | None = None
    batch: float | None = None
    batch_call: float | None = None
    match: float | None = None
    recipe: float | None = None
    recipe_batch: float | None = None
    tree: float | None = None
    rebuild: float | None = None


NONE = Targets()
COMMON: dict[str, float] = {
    "call": 0.3, "cold": 1.0, "minute": 2.0, "degree": 2.0, "degree_call": 10.0, "batch": 0.1,
    "batch_call": 0.3, "match": 0.5, "recipe": 30.0, "recipe_batch": 100.0, "tree": 1.0,
}  # fmt: skip
AT_1E7 = Targets(warm=0.05, rebuild=8.0, **COMMON)
AT_5E7 = Targets(warm=0.15, rebuild=4.0, **COMMON)


def measure(scratch: Path, quick: bool) -> Result:
    sizes = (100_000,) if quick else (100_000, 1_000_000, 10_000_000)
    found: list[Result] = []
    for rows in sizes:
        targets = AT_1E7 if rows == 10_000_000 else NONE
        found.append(at_size(scratch, rows, targets, POSITIONS if not quick else 20))
    growing = compared(found[0], found[-1]) if len(found) > 1 else []
    return [figure for results in (*found, growing) for figure in results]


def compared(small: Result, large: Result) -> Result:
    """How much longer questions take with many rows; they may take 4 times as long at 5e7."""
    first, last = (
        {f.name: f.value for f in results if isinstance(f, Figure)} for results in (small, large)
    )
    sizes = [name.split(", ")[1] for name in (next(iter(first)), next(iter(last)))]
    questions = [(f"{name}, {{}}, {how}: index", 4.0) for name in RADII for how in ("warm", "cold")]
    questions.append(("1,000 shots added, {}: 3 arcsec, warm, after", 4.0))
    return [
        Figure(
            f"{question.format(f'{sizes[1]} / {sizes[0]}')}",
            last[question.format(sizes[1])] / first[question.format(sizes[0])], "times", goal,
        )
        for question, goal in questions
    ]  # fmt: skip


def at_size(
    scratch: Path, rows: int, targets: Targets, positions: int, tables: bool = True
) -> Result:
    """Measure everything at one size; `tables`: also what needs the slower peers."""
    home = scratch / str(rows)
    home.mkdir()
    label = f"{rows:.0e} rows".replace("e+0", "e")
    rng = np.random.default_rng(SEED)
    ra, dec, shot = survey(rows, rng)
    infos = surveyarchive.make(home / "a.corecube", ra, dec, shot)
    size = sum(info.size for info in infos)
    results: Result = [
        Figure(f"index, {label}, {len(infos)} runs: a fibre", size / rows, "bytes", 32.0)
    ]
    places = list(zip(*(part.tolist() for part in nearby(ra, dec, positions, rng)), strict=True))
    peers: dict[str, Any] = {}
    if tables:
        if has("healpy"):
            peers["recipe"] = Recipe(home / "recipe.h5", ra, dec, shot)
        else:
            results.append(Skipped(f"the recipe, {label}", "healpy is not installed"))
        peers["sorted"] = Sorted(home / "sorted.h5", ra, dec, shot)
        results += [
            Figure(f"{name} table, {label}: build", peer.build, "s") for name, peer in peers.items()
        ]
    with Archive(home / "a.corecube") as archive:
        for name, radius in RADII.items():
            cone = f"{name}, {label}"
            results += _single(archive, peers, places, radius, cone, targets, name)
        if tables:
            results += _brute(Brute(ra, dec), archive, places, label)
        if has("scipy"):
            results += _many(archive, Tree(ra, dec), peers, ra, dec, label, targets)
        else:
            results.append(Skipped(f"many cones, {label}", "scipy is not installed"))
        results += exactness(archive.state.sky, peers.get("recipe"), ra, dec, shot, label)
    for peer in peers.values():
        peer.close()
    results += _command(home / "a.corecube", float(ra[0]), float(dec[0]), label, scratch)
    results += growth(home, ra, dec, shot, label, targets.rebuild)
    shutil.rmtree(home)
    return results


def _single(
    archive: Archive,
    peers: dict[str, Any],
    places: Sequence[tuple[float, float]],
    radius: float,
    cone: str,
    targets: Targets,
    name: str,
) -> Result:
    sky = archive.state.sky
    files = [run.path for run in sky.runs]
    tiles = Tiles(sky)
    ranges = {place: tiles.ranges(*place, radius) for place in places}

    def read(a: float, d: float, r: float) -> None:
        for descriptor, size, at in ranges[a, d]:
            os.pread(descriptor, size, at)

    asks: dict[str, Ask] = {
        "index": lambda a, d, r: sky.search(Cone(a, d, r)),
        "call": lambda a, d, r: archive.cone((a, d), r),
        "tiles": read,
        **{who: peer.search for who, peer in peers.items()},
    }
    warm = _warm(asks, places, radius)
    cold = {who: _cold(ask, places, radius, files, peers.get(who)) for who, ask in asks.items()}
    tiles.close()
    goals = {
        "3 arcsec": ((targets.warm, targets.call), (targets.cold, None)),
        "1 arcmin": ((None, None), (targets.minute, None)),
        "1 deg": ((targets.degree, targets.degree_call), (targets.degree, None)),
    }[name]
    results: Result = []
    for (how, times), (index, call) in zip((("warm", warm), ("cold", cold)), goals, strict=True):
        results += [
            Figure(f"{cone}, {how}: index", times["index"], "ms", index),
            Figure(f"{cone}, {how}: (call)", times["call"], "ms", call),
        ]
        results += [Figure(f"{cone}, {how}: {who}", times[who], "ms") for who in peers]
        results.append(Figure(f"{cone}, {how}: limit, the tiles' bytes", times["tiles"], "ms"))
        for who in peers:
            goal = targets.recipe if who == "recipe" else None
            gain = times[who] / times["index"]
            results.append(Figure(f"{cone}, {how}: {who} / index", gain, "times", goal, False))
    return results


def _warm(
    asks: dict[str, Ask], places: Sequence[tuple[float, float]], radius: float
) -> dict[str, float]:
    """Milliseconds: of each position the best of some, asked by turns; of these the median."""
    best: dict[str, list[float]] = {who: [] for who in asks}
    for a, d in places:
        for who, ask in asks.items():
            ask(a, d, radius)
            times = [_timed(ask, a, d, radius) for _ in range(2)]
            if times[0] < 0.01:
                times += [_timed(ask, a, d, radius) for _ in range(5)]
            best[who].append(min(times))
    return {who: statistics.median(times) * 1e3 for who, times in best.items()}


def _cold(
    ask: Ask,
    places: Sequence[tuple[float, float]],
    radius: float,
    files: Sequence[Path],
    table: Table | None,
) -> float:
    times = []
    for a, d in places:
        if table is not None:
            table.forget()
        drop(files if table is None else [table.path])
        times.append(_timed(ask, a, d, radius))
    return statistics.median(times) * 1e3


def _timed(ask: Ask, a: float, d: float, radius: float) -> float:
    started = time.perf_counter()
    ask(a, d, radius)
    return time.perf_counter() - started


def _brute(
    brute: Brute, archive: Archive, places: Sequence[tuple[float, float]], label: str
) -> Result:
    sky = archive.state.sky
    some = places[: max(3, min(len(places), 20_000_000 // len(brute.sky)))]
    times = {"brute": [], "index": []}  # type: dict[str, list[float]]
    for a, d in some:
        times["brute"].append(_timed(brute.search, a, d, RADII["3 arcsec"]))
        times["index"].append(_timed(lambda a, d, r: sky.search(Cone(a, d, r)), a, d, 3 * ARCSEC))
    whole, ours = (statistics.median(times[who]) for who in ("brute", "index"))
    name = f"any radius, {label}: SkyCoord.separation"
    return [
        Figure(name, whole * 1e3, "ms"),
        Figure(f"{name} / index at 3 arcsec", whole / ours, "times", None, False),
    ]


def _many(
    archive: Archive,
    tree: Tree,
    peers: dict[str, Any],
    ra: Any,
    dec: Any,
    label: str,
    targets: Targets,
) -> Result:
    """10,000 cones and a crossmatch of 1e5 positions, by turns with the tree."""
    rng = np.random.default_rng(SEED + 1)
    radius = RADII["3 arcsec"]
    sky = archive.state.sky
    files = [run.path for run in sky.runs]
    results: Result = [
        Figure(f"cKDTree, {label}: build", tree.build, "s"),
        Figure(f"cKDTree, {label}: memory", tree.memory / 1e6, "MB"),
    ]
    for number, name, index, call in (
        (10_000, "10,000 cones", targets.batch, targets.batch_call),
        (100_000, "crossmatch of 1e5", targets.match, targets.match),
    ):
        a, d = nearby(ra, dec, number, rng)
        works: dict[str, Callable[[], Any]] = {
            "index": lambda a=a, d=d: sky.search_many(a, d, radius),  # type: ignore[misc]
            "call": lambda a=a, d=d: archive.crossmatch((a, d), radius),  # type: ignore[misc]
            "tree": lambda a=a, d=d: tree.search_many(a, d, radius),  # type: ignore[misc]
        }
        times: dict[str, list[float]] = {who: [] for who in works}
        for turn in range(8):
            for who, work in works.items():
                started = time.perf_counter()
                work()
                if turn:  # the first fills the memory of the system
                    times[who].append(time.perf_counter() - started)
        best = {who: min(spent) for who, spent in times.items()}
        drop(files)
        started = time.perf_counter()
        works["index"]()
        cold = time.perf_counter() - started
        gain = statistics.median(t / i for t, i in zip(times["tree"], times["index"], strict=True))
        many = f"{name}, 3 arcsec, {label}"
        results += [
            Figure(f"{many}: index", best["index"], "s", index),
            Figure(f"{many}: (call)", best["call"], "s", call),
            Figure(f"{many}, cold: index", cold, "s"),
            Figure(f"{many}: cKDTree", best["tree"], "s"),
            Figure(f"{many}: cKDTree / index", gain, "times", targets.tree, False),
        ]
        recipe = peers.get("recipe")
        if recipe is not None and number == 10_000:
            started = time.perf_counter()
            for place in zip(a[:200].tolist(), d[:200].tolist(), strict=True):
                recipe.search(*place, radius)
            spent = (time.perf_counter() - started) * number / 200
            goal = targets.recipe_batch
            results += [
                Figure(f"{many}: recipe, one by one, from 200", spent, "s"),
                Figure(f"{many}: recipe / index", spent / best["index"], "times", goal, False),
            ]
    return results


def _command(archive: Path, ra: float, dec: float, label: str, scratch: Path) -> Result:
    """Time the whole program, asked for the one shot that has its file."""
    program, place = str(Path(sys.executable).with_name("corecube")), f"{ra:.6f} {dec:+.6f}"
    with Archive(archive) as opened:
        name = f"corecube query, {len(opened.state.catalogue.by_number):,} shots, {label}"
    environment = compiled(scratch)
    commands = ([sys.executable, "-c", "pass"], [program, "query", str(archive), place])
    times: list[tuple[float, ...]] = []
    for turn in range(14):
        spent = [run(command, environment) for command in commands]
        if any(code for _, code in spent):
            return [Skipped(name, f"exit codes {[code for _, code in spent]}")]
        if turn > 1:  # the first two fill the caches of the system
            times.append(tuple(seconds for seconds, _ in spent))
    goal = TARGETS["corecube query ARCHIVE POSITION"]
    gains = statistics.median(query / plain for plain, query in times)
    return [
        Figure(name, statistics.median(query for _, query in times) * 1e3, "ms", QUERY),
        Figure(f"{name} / python -c pass", gains, "times", goal),
    ]
