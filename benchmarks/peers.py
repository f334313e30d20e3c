"""What the sky index is compared with, on the same rows and the same file system.

* Recipe: a PyTables table with float32 positions and completely sorted indexes of a HEALPix number
  (order 15, ring) and of RA. Below 1 arcmin the rows of each pixel of
  `healpy.query_disc(radius + 4 arcsec)`, from there on the rows of a strip of RA; then
  `SkyCoord.separation` of these. This is how the index of the HETDEX API works, described in its
  documentation (https://hetdex-api.readthedocs.io); the code is ours. Its table is smaller here
  (66 bytes a row).
* Brute: `SkyCoord.separation` from one position to all rows, which are in memory.
* Sorted: a PyTables table with float64 positions and a completely sorted index of the number of a
  cell of our grid; a condition for each zone of the circle, then the haversine formula.
* Tree: scipy's cKDTree of unit vectors, in memory.
* Tiles: the bytes that our index reads for a question, and nothing else: the limit.
"""

from __future__ import annotations

import importlib
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from survey import ARCSEC, Numbers, Positions, vectors

from corecube.archive.regions import Cone
from corecube.archive.ringgrid import ring_grid
from corecube.archive.skycover import cover
from corecube.archive.skyindex import SkyIndex
from corecube.archive.skyrun import CELL_ARCMIN, RECORD
from corecube.archive.sphere import within

NSIDE = 1 << 15
RECIPE_PADDING = 4 * ARCSEC


class Table:
    """A table of PyTables that is open."""

    def __init__(self, path: Path, values: Any, indexed: tuple[str, ...]) -> None:
        import tables

        self.path = path
        started = time.perf_counter()
        with tables.open_file(path, "w") as file:
            table = file.create_table("/", "fibers", obj=values, expectedrows=len(values))
            for name in indexed:
                getattr(table.cols, name).create_csindex()
        self.build = time.perf_counter() - started
        self.open()

    def open(self) -> None:
        import tables

        self.file: Any = tables.open_file(self.path, "r")
        self.table: Any = self.file.root.fibers
        self.table.read(0, 1)  # loads the table's description

    def close(self) -> None:
        self.file.close()

    def forget(self) -> None:
        """Open it anew, for the library keeps what it has read of an open table."""
        self.close()
        self.open()


class Recipe(Table):
    def __init__(self, path: Path, ra: Positions, dec: Positions, shot: Numbers) -> None:
        self.healpy: Any = importlib.import_module("healpy")
        kind = np.dtype(
            [("ra", "f4"), ("dec", "f4"), ("healpix", "i8"), ("shotid", "i8"),
             ("fiber_id", "S38"), ("fibidx", "i4")]
        )  # fmt: skip
        values = np.zeros(len(ra), kind)
        values["ra"], values["dec"], values["shotid"] = ra, dec, shot
        values["fibidx"] = np.arange(len(ra))
        values["healpix"] = self.healpy.ang2pix(NSIDE, values["ra"], values["dec"], lonlat=True)
        super().__init__(path, values, ("healpix", "ra"))

    def search(self, ra: float, dec: float, radius: float) -> Any:
        from astropy import units
        from astropy.coordinates import SkyCoord

        if radius < 1 / 60:
            center = self.healpy.ang2vec(ra, dec, lonlat=True)
            disc = self.healpy.query_disc(NSIDE, center, np.radians(radius + RECIPE_PADDING))
            found = [self.table.read_where("healpix == pixel", {"pixel": pixel}) for pixel in disc]
            near = np.concatenate(found) if found else np.zeros(0, self.table.dtype)
        else:
            width = radius / max(np.cos(np.radians(dec)), 1e-12)
            near = self.table.read_where(
                "(ra >= low) & (ra <= high)", {"low": ra - width, "high": ra + width}
            )
        sky = SkyCoord(near["ra"] * units.deg, near["dec"] * units.deg)
        apart = sky.separation(SkyCoord(ra * units.deg, dec * units.deg))
        return near[apart.deg <= radius]


class Brute:
    def __init__(self, ra: Positions, dec: Positions) -> None:
        from astropy import units
        from astropy.coordinates import SkyCoord

        self._of: Any = lambda a, d: SkyCoord(a * units.deg, d * units.deg)
        self.sky = self._of(ra, dec)

    def search(self, ra: float, dec: float, radius: float) -> Any:
        return np.flatnonzero(self.sky.separation(self._of(ra, dec)).deg <= radius)


class Sorted(Table):
    def __init__(self, path: Path, ra: Positions, dec: Positions, shot: Numbers) -> None:
        self.grid = ring_grid(CELL_ARCMIN)
        values = np.zeros(len(ra), [("cell", "i8"), *RECORD.descr])
        values["ra"], values["dec"], values["shot"] = ra, dec, shot
        values["row"] = np.arange(len(ra))
        values["cell"] = self.grid.cell(self.grid.zone(dec), ra)
        super().__init__(path, values, ("cell",))

    def search(self, ra: float, dec: float, radius: float) -> Any:
        bounds = cover(Cone(ra, dec, radius), self.grid).bounds.tolist()
        near = np.concatenate(
            [
                self.table.read_where("(cell >= low) & (cell < high)", {"low": low, "high": high})
                for low, high in zip(bounds[::2], bounds[1::2], strict=True)
            ]
        )
        return near[within(near["ra"], near["dec"], ra, dec, radius)]


class Tree:
    """Built the quick way; answers are lists of rows, not sorted."""

    def __init__(self, ra: Positions, dec: Positions) -> None:
        from scipy.spatial import cKDTree

        before, started = _memory(), time.perf_counter()
        self.tree: Any = cKDTree(vectors(ra, dec), balanced_tree=False, compact_nodes=False)
        self.build, self.memory = time.perf_counter() - started, _memory() - before

    def search(self, ra: float, dec: float, radius: float) -> Any:
        return self.search_many(ra, dec, radius)

    def search_many(self, ra: Any, dec: Any, radius: Any) -> Any:
        chord = 2.0 * np.sin(np.radians(np.asarray(radius) * 0.5))
        return self.tree.query_ball_point(vectors(ra, dec), chord)


class Tiles:
    """Ranges of bytes are found beforehand; only reading them is timed."""

    def __init__(self, index: SkyIndex) -> None:
        self.index = index
        self.descriptors = [os.open(run.path, os.O_RDONLY) for run in index.runs]

    def ranges(self, ra: float, dec: float, radius: float) -> list[tuple[int, int, int]]:
        found = []
        for run, descriptor in zip(self.index.runs, self.descriptors, strict=True):
            for stretch in run.ranges(cover(Cone(ra, dec, radius), run.grid)):
                start, stop = stretch.begin, stretch.end
                place = run.info.records_offset + RECORD.itemsize * start
                found.append((descriptor, RECORD.itemsize * (stop - start), place))
        return found

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)


def _memory() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
