"""Spectra of a cube on common bins: their own where they share a grid, or given ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from corecube.archive.cubeparts import CubePart
from corecube.archive.cubestacks import Stack, one_unit
from corecube.archive.cubeunits import NANOMAGGY
from corecube.errors import FrameError, QueryError
from corecube.masks import MaskArray
from corecube.photometry.logbins import bin_edges
from corecube.photometry.rebinning import Rebinned, rebin

FloatArray = npt.NDArray[np.float64]


def stack_spectra(
    parts: Iterable[CubePart], edges: npt.ArrayLike | None = None, kind: str = "spectrum"
) -> Stack:
    """Put spectra into one array.

    Without `edges` these are the spectra of one logarithmic grid, that of the most, over all of
    their bins: bin b of a level is the same in all of them, and nothing is resampled.

    With `edges` the flux of each spectrum is kept: the integral over a given bin is that of the
    density per wavelength over the part of it that good pixels cover
    (`corecube.photometry.rebinning`). Nanomaggies are made of it in the middle of the given bin.
    Spectra are all in vacuum or all in air, as the most are.

    Parameters
    ----------
    parts : iterable of CubePart
    edges : float array (w + 1,), Angstrom; or None
    kind : {"spectrum", "weighted"}
        Other parts are passed over.

    Raises
    ------
    QueryError
        If units differ, or edges do not rise.
    """
    spectra = [part for part in parts if part.kind == kind]
    grid = _own if edges is None else _medium
    counts = Counter(found for found in map(grid, spectra) if found is not None)
    chosen = min(counts, key=lambda found: (-counts[found], str(found))) if counts else None
    used = [part for part in spectra if chosen is not None and grid(part) == chosen]
    left = tuple(part.name for part in spectra if chosen is None or grid(part) != chosen)
    return _on_own(used, left) if edges is None else _on_given(used, left, edges)


def edges_of(edges: npt.ArrayLike) -> FloatArray:
    """Return edges of bins as float64 (w + 1,).

    Raises
    ------
    QueryError
        If they are fewer than 2, or do not rise.
    """
    found = np.asarray(edges, dtype=np.float64)
    if found.ndim != 1 or found.size < 2 or not (found[0] > 0 and np.all(np.diff(found) > 0)):
        raise QueryError("bins are given by 2 edges or more, in Angstrom, positive and rising")
    return found


def _own(part: CubePart) -> Hashable:
    wave = part.about["wavelengths"]
    return None if wave["step"] is None else (wave["step"], part.level, wave["medium"])


def _medium(part: CubePart) -> Hashable:
    wave = part.about["wavelengths"]
    return wave["medium"] if wave["unit"] == "Angstrom" else None


def _on_own(used: list[CubePart], left: tuple[str, ...]) -> Stack:
    first = min((part.first[0] for part in used), default=0)
    last = max((part.first[0] + part.flux.size for part in used), default=first)
    flux, error, mask, coverage = _empty(len(used), last - first)
    for row, part in enumerate(used):
        where = slice(part.first[0] - first, part.first[0] - first + part.flux.size)
        flux[row, where], error[row, where] = part.flux, part.error
        mask[row, where], coverage[row, where] = part.mask, part.coverage
    edges, about = np.full(1, np.nan), {}
    if used:
        wave, level = used[0].about["wavelengths"], used[0].level
        edges = bin_edges(first, last - first, level, wave["step"])
        about = {"step": wave["step"], "level": level, "first": first, "medium": wave["medium"]}
    names = tuple(part.name for part in used)
    return Stack(
        names, one_unit(used), flux, error, mask, coverage, edges=edges, left_out=left, about=about
    )


def _on_given(used: list[CubePart], left: tuple[str, ...], edges: npt.ArrayLike) -> Stack:
    new = edges_of(edges)
    unit = one_unit(used)
    flux, error, mask, coverage = _empty(len(used), new.size - 1)
    covariance = np.zeros((len(used), new.size - 2))
    numbers: dict[str, dict[str, float | None]] = {"n_eff": {}, "correlation": {}}
    middle = (new[:-1] + new[1:]) / 2.0
    for row, part in enumerate(used):
        found = _rebinned(part, new)
        scale = middle**2 if unit == NANOMAGGY else np.ones(middle.size)
        there = found.covered > 0
        flux[row] = found.flux * scale
        error[row] = np.where(there, found.error * scale, np.nan)
        coverage[row] = found.coverage
        covariance[row] = found.covariance * scale[1:] * scale[:-1]
        assert part.edges is not None
        mask[row] = _planes(part.edges, part.mask, new)
        known = found.correlation[np.isfinite(found.correlation)]
        numbers["n_eff"][part.name] = int(found.n_eff)
        numbers["correlation"][part.name] = float(np.median(known)) if known.size else None
    about: dict[str, Any] = dict(numbers)
    if used:
        about |= {"level": used[0].level, "medium": used[0].about["wavelengths"]["medium"]}
    names = tuple(part.name for part in used)
    return Stack(
        names, unit, flux, error, mask, coverage, edges=new, covariance=covariance, left_out=left,
        about=about,
    )  # fmt: skip


def _rebinned(part: CubePart, edges: FloatArray) -> Rebinned:
    assert part.edges is not None and part.wavelength is not None
    # of nanomaggies the density per wavelength, up to a factor, as it was before
    scale = 1.0 / part.wavelength**2 if part.unit == NANOMAGGY else 1.0
    try:
        return rebin(part.edges, part.flux * scale, part.error * scale, edges, part=part.coverage)
    except FrameError as error:
        raise QueryError(f"{part.name}: {error}") from error


def _planes(edges: FloatArray, mask: MaskArray, new: FloatArray) -> MaskArray:
    """Return all planes of the pixels that reach into each bin."""
    found = np.zeros(new.size - 1, np.uint32)
    both = np.unique(np.concatenate([edges, new]))
    both = both[(both >= max(edges[0], new[0])) & (both <= min(edges[-1], new[-1]))][:-1]
    pixel = np.searchsorted(edges, both, side="right") - 1
    np.bitwise_or.at(found, np.searchsorted(new, both, side="right") - 1, mask[pixel])
    return found


def _empty(rows: int, bins: int) -> tuple[FloatArray, FloatArray, MaskArray, FloatArray]:
    shape = (rows, bins)
    return (
        np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, np.uint32), np.zeros(shape)
    )  # fmt: skip
