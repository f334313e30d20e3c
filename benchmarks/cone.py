"""Cone searches against the two ways that astronomers use today, in one run on one machine.

The others:

* brute: `SkyCoord.separation` from one position to all rows, which are in memory.
* table: a PyTables table with float32 positions and completely sorted indexes of a HEALPix number
  (order 15, ring) and of RA. Below 1 arcmin the rows of each pixel of
  `healpy.query_disc(radius + 4 arcsec)`, from there on the rows of a strip of RA; then
  `SkyCoord.separation` of these. This is how the index of the HETDEX API works, described in its
  documentation (https://hetdex-api.readthedocs.io); the code is ours. Its table is smaller here
  (66 bytes a row), and what it misses is not held against it.

Warm: each question is asked once before. Cold: the pages of the files are dropped from the memory
of the system (fsync, posix_fadvise DONTNEED) while archive and table are open. The library keeps
what it has read of an open table, so the table is opened again before; "opened" counts this too,
and for the sky index the opening of its files. Times are medians over different positions, each
within 2 arcsec of a fibre.

Needs healpy for the second way; without it only the first is measured.
"""

from __future__ import annotations

import importlib
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from measuring import Figure, Result, Skipped, forget, has

from corecube.archive.regions import Cone
from corecube.archive.skyindex import SkyIndex, write_run

Positions = npt.NDArray[np.float64]

ARCSEC = 1.0 / 3600.0
RADII = {"3 arcsec": 3 * ARCSEC, "1 arcmin": 1 / 60, "1 deg": 1.0}
FIBRES_PER_SHOT = 3300
# Degrees: the radius of a field, and of the largest pixel's padding in the recipe.
FIELD = 11 / 60
RECIPE_PADDING = 4 * ARCSEC
NSIDE = 1 << 15


def measure(scratch: Path, quick: bool) -> Result:
    results: Result = []
    for number in (100_000,) if quick else (100_000, 1_000_000):
        results += _survey(scratch, number, 20 if quick else 50)
        shutil.rmtree(scratch / str(number))
    if not has("healpy"):
        results.append(Skipped("cone against the table", "healpy is not installed"))
    return results


def _survey(directory: Path, rows: int, queries: int) -> Result:
    from astropy import units
    from astropy.coordinates import SkyCoord

    home = directory / str(rows)
    home.mkdir()
    rng = np.random.default_rng(20240601)
    ra, dec, shot = survey(rows, rng)
    started = time.perf_counter()
    info = write_run(home / "all.run", ra, dec, shot, np.arange(rows))
    written = time.perf_counter() - started
    index = SkyIndex(home, [info])
    near = rng.integers(0, rows, queries)
    at_dec = np.clip(dec[near] + rng.uniform(-1, 1, queries) * ARCSEC, -90, 90)
    at_ra = np.mod(ra[near] + rng.uniform(-1, 1, queries) * ARCSEC, 360.0)
    places = list(zip(at_ra.tolist(), at_dec.tolist(), strict=True))
    sky = SkyCoord(ra * units.deg, dec * units.deg)
    apart: list[Positions] = []

    def brute(a: float, d: float) -> None:
        apart.append(sky.separation(SkyCoord(a * units.deg, d * units.deg)).deg)
        del apart[:-1]

    some = places[: max(5, min(queries, 20_000_000 // rows))]
    for a, d in places:
        brute(a, d)
        for radius in RADII.values():
            expected = int(np.count_nonzero(apart[0] <= radius))
            found = len(index.search(Cone(a, d, radius)))
            if found != expected:
                raise AssertionError(f"{found} rows instead of {expected} at {a} {d} {radius}")
    brute_time = _median(brute, some)

    label = f"{rows:,} rows"
    results: Result = [
        Figure(f"sky index, {label}: write", written, "s"),
        Figure(f"sky index, {label}: size of a row", info.size / rows, "bytes", 32.0),
        Figure(f"SkyCoord.separation, {label}", brute_time * 1e3, "ms"),
    ]
    recipe = _Recipe(home / "table.h5", ra, dec, shot) if has("healpy") else None
    for name, radius in RADII.items():

        def ours(a: float, d: float, radius: float = radius) -> None:
            index.search(Cone(a, d, radius))

        def ours_opened(a: float, d: float, radius: float = radius) -> None:
            with SkyIndex(home, [info]) as fresh:
                fresh.search(Cone(a, d, radius))

        def ours_forgotten() -> None:
            forget(home / "all.run")

        warm = _median(ours, places, repeat=2)
        cold = _median(ours, places, ours_forgotten)
        opened = _median(ours_opened, places, ours_forgotten)
        cone = f"cone of {name}, {label}"
        limit = 1.0 if radius < 1.0 else None
        results += [
            Figure(f"{cone}, warm", warm * 1e3, "ms", limit),
            Figure(f"{cone}, cold", cold * 1e3, "ms", limit),
            Figure(f"{cone}, cold and opened", opened * 1e3, "ms", limit),
            Figure(f"{cone}, warm, SkyCoord / ours", brute_time / warm, "times", None, False),
            Figure(f"{cone}, cold, SkyCoord / ours", brute_time / cold, "times", None, False),
        ]
        if recipe is None:
            continue

        def table(a: float, d: float, radius: float = radius) -> None:
            recipe.search(a, d, radius)

        def table_opened(a: float, d: float, radius: float = radius) -> None:
            recipe.open()
            recipe.search(a, d, radius)

        def table_closed() -> None:
            recipe.close()
            forget(recipe.path)

        def table_forgotten() -> None:
            recipe.close()
            recipe.open()
            forget(recipe.path)

        table_warm = _median(table, places, repeat=2)
        table_cold = _median(table, places, table_forgotten)
        table_open = _median(table_opened, places, table_closed)
        target = 40.0 if name == "3 arcsec" else None
        results += [
            Figure(f"{cone}, table, warm", table_warm * 1e3, "ms"),
            Figure(f"{cone}, table, cold", table_cold * 1e3, "ms"),
            Figure(f"{cone}, table, cold and opened", table_open * 1e3, "ms"),
            Figure(f"{cone}, warm, table / ours", table_warm / warm, "times", None, False),
            Figure(f"{cone}, cold, table / ours", table_cold / cold, "times", target, False),
            Figure(
                f"{cone}, cold and opened, table / ours", table_open / opened, "times", None, False
            ),
        ]
    if recipe is not None:
        recipe.close()
    index.close()
    return results


def survey(rows: int, rng: np.random.Generator) -> tuple[Positions, Positions, Any]:
    """Fields of 11 arcmin radius, a quarter of the shots on a field that has one already."""
    shots = -(-rows // FIBRES_PER_SHOT)
    field_ra = rng.uniform(0, 360, shots)
    field_dec = np.degrees(np.arcsin(rng.uniform(-0.3, 0.95, shots)))
    again = rng.uniform(size=shots) < 0.25
    field = np.where(again, rng.integers(0, shots, shots), np.arange(shots))
    shot = np.repeat(np.arange(shots), FIBRES_PER_SHOT)[:rows]
    distance, angle = FIELD * np.sqrt(rng.uniform(size=rows)), rng.uniform(0, 2 * np.pi, rows)
    dec = field_dec[field[shot]] + distance * np.sin(angle)
    ra = field_ra[field[shot]] + distance * np.cos(angle) / np.cos(np.radians(dec))
    return np.mod(ra, 360.0), dec, shot


def _median(
    ask: Callable[[float, float], None],
    places: Sequence[tuple[float, float]],
    prepare: Callable[[], None] | None = None,
    repeat: int = 1,
) -> float:
    times = []
    for a, d in places:
        for _ in range(repeat):  # the last one counts
            if prepare is not None:
                prepare()
            started = time.perf_counter()
            ask(a, d)
            elapsed = time.perf_counter() - started
        times.append(elapsed)
    return float(np.median(times))


class _Recipe:
    """The table way."""

    def __init__(self, path: Path, ra: Positions, dec: Positions, shot: Any) -> None:
        import tables

        self.healpy: Any = importlib.import_module("healpy")
        self.path = path
        kind = np.dtype(
            [("ra", "f4"), ("dec", "f4"), ("healpix", "i8"), ("shotid", "i8"),
             ("fiber_id", "S38"), ("fibidx", "i4")]
        )  # fmt: skip
        values = np.zeros(len(ra), kind)
        values["ra"], values["dec"], values["shotid"] = ra, dec, shot
        values["healpix"] = self.healpy.ang2pix(NSIDE, values["ra"], values["dec"], lonlat=True)
        with tables.open_file(path, "w") as file:
            table = file.create_table("/", "fibers", obj=values, expectedrows=len(ra))
            table.cols.healpix.create_csindex()
            table.cols.ra.create_csindex()
        self.open()

    def open(self) -> None:
        import tables

        self.file: Any = tables.open_file(self.path, "r")
        self.file.root.fibers  # noqa: B018 - loads the table's description

    def search(self, ra: float, dec: float, radius: float) -> Any:
        from astropy import units
        from astropy.coordinates import SkyCoord

        table = self.file.root.fibers
        if radius < 1 / 60:
            center = self.healpy.ang2vec(ra, dec, lonlat=True)
            disc = self.healpy.query_disc(NSIDE, center, np.radians(radius + RECIPE_PADDING))
            found = [table.read_where("healpix == pixel", {"pixel": pixel}) for pixel in disc]
            near = np.concatenate(found) if found else np.zeros(0, table.dtype)
        else:
            width = radius / np.cos(np.radians(dec))
            near = table.read_where(
                "(ra >= low) & (ra <= high)", {"low": ra - width, "high": ra + width}
            )
        sky = SkyCoord(near["ra"] * units.deg, near["dec"] * units.deg)
        apart = sky.separation(SkyCoord(ra * units.deg, dec * units.deg))
        return near[apart.deg <= radius]

    def close(self) -> None:
        self.file.close()
