"""Rows that are missed, and rows too many, where coverings go wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from measuring import Figure, Result, Skipped, has
from survey import Numbers, Positions, awkward, vectors

from corecube.archive.regions import Cone
from corecube.archive.skyindex import SkyIndex

MANY = 10_000
FEW = 200
RECIPE = 500
_BLOCK = 1 << 16
Rows = npt.NDArray[np.int64]


class Formula:
    """The haversine formula on all rows in float64; beyond 90 degrees that of the antipode."""

    def __init__(self, ra: Positions, dec: Positions) -> None:
        self.ra, self.dec, self.cos = ra, dec, np.cos(np.radians(dec))

    def inside(self, ra: float, dec: float, radius: float, rows: Any) -> npt.NDArray[np.bool_]:
        """Decide some rows: a slice, or numbers."""
        d, a, flat = self.dec[rows], self.ra[rows], np.cos(np.radians(np.array([dec])))
        if radius > 90.0:
            u, v = np.sin(np.radians(d + dec) * 0.5), np.cos(np.radians(a - ra) * 0.5)
            edge = np.sin(np.radians(180.0 - radius) * 0.5)
            found = u * u + flat * self.cos[rows] * (v * v) >= edge * edge
            return np.asarray(found | (radius >= 180.0))
        u, v = np.sin(np.radians(d - dec) * 0.5), np.sin(np.radians(a - ra) * 0.5)
        edge = np.sin(np.radians(radius) * 0.5)
        return np.asarray(u * u + flat * self.cos[rows] * (v * v) <= edge * edge)

    def all(self, ra: float, dec: float, radius: float) -> Rows:
        parts = []
        for first in range(0, len(self.ra), _BLOCK):
            here = self.inside(ra, dec, radius, slice(first, first + _BLOCK))
            parts.append(np.flatnonzero(here) + first)
        return np.concatenate(parts)


class Padded:
    """A tree that is asked for a little more; the formula decides."""

    def __init__(self, formula: Formula) -> None:
        from scipy.spatial import cKDTree

        self.formula = formula
        self.tree: Any = cKDTree(
            vectors(formula.ra, formula.dec), balanced_tree=False, compact_nodes=False
        )

    def all(self, ra: float, dec: float, radius: float) -> Rows:
        chord = 2.0 * np.sin(np.radians(min(radius + 1e-6, 180.0)) * 0.5) + 1e-9
        found = self.tree.query_ball_point(vectors(ra, dec), chord, return_sorted=True)
        rows = np.array(found, dtype=np.int64)
        return rows[self.formula.inside(ra, dec, radius, rows)]


def exactness(
    sky: SkyIndex, recipe: Any, ra: Positions, dec: Positions, shot: Numbers, label: str
) -> Result:
    """Compare the index with all rows; at 1e5 rows the recipe too."""
    formula = Formula(ra, dec)
    first = np.searchsorted(shot, np.arange(int(shot[-1]) + 1))

    def numbered(records: Any) -> Rows:
        return first[records["shot"].astype(np.int64) - 1] + records["row"]

    def index(a: float, d: float, r: float) -> Rows:
        return numbered(sky.search(Cone(a, d, r)))

    if len(ra) <= 100_000:
        cones = _cones(ra, dec, MANY, 0.05)
        results = _compare(index, formula.all, cones, f"index against all rows, {label}")
        results += _many(sky, numbered, formula.all, cones, f"many against all rows, {label}")
        if recipe is not None:
            some = [cone for cone in cones if cone[2] <= 1.0][:RECIPE]
            results += _compare(
                lambda a, d, r: np.sort(recipe.search(a, d, r)["fibidx"].astype(np.int64)),
                formula.all, some, f"the recipe against all rows, {label}", promised=False,
            )  # fmt: skip
        return results
    # Each cone costs a pass over all rows; at 5e7 some are enough beside those at 1e7.
    few = FEW if len(ra) <= 10_000_000 else FEW // 10
    cones = _cones(ra, dec, few, 0.05)
    results = _compare(index, formula.all, cones, f"index against all rows, {label}")
    if len(ra) != 10_000_000:
        return results
    if not has("scipy"):
        return [*results, Skipped(f"index against a tree, {label}", "scipy is not installed")]
    padded = Padded(formula)
    cones = _cones(ra, dec, MANY, 0.002)
    results += _compare(index, padded.all, cones, f"index against a padded cKDTree, {label}")
    small = [cone for cone in cones if cone[2] <= 1.0]
    return results + _many(sky, numbered, padded.all, small, f"many against the tree, {label}")


def _cones(
    ra: Positions, dec: Positions, number: int, large: float
) -> list[tuple[float, float, float]]:
    parts = awkward(ra, dec, number, large, np.random.default_rng(number))
    return list(zip(*(part.tolist() for part in parts), strict=True))


def _compare(
    asked: Callable[[float, float, float], Rows],
    truth: Callable[[float, float, float], Rows],
    cones: list[tuple[float, float, float]],
    name: str,
    promised: bool = True,
) -> Result:
    missed = extra = total = wrong = 0
    for cone in cones:
        expected, found = truth(*cone), asked(*cone)
        total += len(expected)
        if not np.array_equal(found, expected):
            lost, more = len(np.setdiff1d(expected, found)), len(np.setdiff1d(found, expected))
            more += len(found) - len(np.unique(found))
            missed, extra, wrong = missed + lost, extra + more, wrong + 1
    return _figures(f"{name}, {len(cones):,} cones", missed, extra, wrong, total, promised)


def _many(
    sky: SkyIndex,
    numbered: Callable[[Any], Rows],
    truth: Callable[[float, float, float], Rows],
    cones: list[tuple[float, float, float]],
    name: str,
) -> Result:
    """Ask some hundred at once: radii differ, and large answers must fit into memory."""
    missed = extra = total = wrong = 0
    for begin in range(0, len(cones), 250):
        some = cones[begin : begin + 250]
        query, records = sky.search_many(*np.array(some).T)
        rows = numbered(records)
        edges = np.searchsorted(query, np.arange(len(some) + 1)).tolist()
        for number, cone in enumerate(some):
            expected, found = truth(*cone), rows[edges[number] : edges[number + 1]]
            total += len(expected)
            if not np.array_equal(found, expected):
                missed += len(np.setdiff1d(expected, found))
                extra += len(found) - len(np.intersect1d(found, expected))
                wrong += 1
    return _figures(f"{name}, {len(cones):,} cones", missed, extra, wrong, total, True)


def _figures(name: str, missed: int, extra: int, wrong: int, total: int, promised: bool) -> Result:
    goal = 0.0 if promised else None
    return [
        Figure(f"{name}: missed of {total:,}", missed, "rows", goal),
        Figure(f"{name}: too many", extra, "rows", goal),
        Figure(f"{name}: wrong answers", wrong, "cones", goal),
    ]
