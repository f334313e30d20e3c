"""Parts of a cube on one grid: images on common pixels, spectra on common bins.

A part itself is never resampled; this is for those who need one array. Errors of neighbouring
pixels of the common grid are correlated where these share pixels of the image.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube import tan
from corecube.archive.cubeparts import CubePart
from corecube.archive.cutout import pixel_of
from corecube.errors import QueryError
from corecube.masks import MaskArray

_FINE: Final = 8
"""Places along each side of a pixel of the common grid by which areas are taken: 1/64 each."""

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Stack:
    """Images or spectra on one grid.

    Attributes
    ----------
    names : tuple of str
        Of the parts.
    unit : str
        Of flux and error: of images per original pixel, as in the parts.
    flux, error : float64 array (n, ny, nx) or (n, w)
        NaN where a part has nothing.
    mask : uint32 array, likewise
        All planes set in any pixel that takes part.
    coverage : float64 array, likewise
        Part of the common pixel or bin that good pixels cover.
    cards : dict or None
        WCS cards of the common pixels.
    edges : float64 array (w + 1,) or None
        Edges of the common bins.
    left_out : tuple of str
        Spectra that are not on the grid of the others.
    about : dict
        Plain JSON. For images ``pixels``, the effective number of pixels of each image that a
        common pixel is the mean of: below 1.5 neighbours are nearly the same measurement.
    """

    names: tuple[str, ...]
    unit: str
    flux: FloatArray
    error: FloatArray
    mask: MaskArray
    coverage: FloatArray
    cards: dict[str, float | int | str] | None = None
    edges: FloatArray | None = None
    left_out: tuple[str, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)


def stack_spectra(parts: Iterable[CubePart]) -> Stack:
    """Put spectra of one logarithmic grid into one array, over all of their bins.

    Nothing is resampled: bin b of a level is the same in all of them.

    Parameters
    ----------
    parts : iterable of CubePart
        Images are passed over.

    Raises
    ------
    QueryError
        If units or levels differ.
    """
    spectra = [part for part in parts if part.kind == "spectrum"]
    steps = {_grid(part) for part in spectra} - {None}
    chosen = min(steps, key=str) if steps else None
    used = [part for part in spectra if chosen is not None and _grid(part) == chosen]
    left = tuple(part.name for part in spectra if chosen is None or _grid(part) != chosen)
    unit = _one_unit(used)
    first = min((part.first[0] for part in used), default=0)
    last = max((part.first[0] + part.flux.size for part in used), default=first)
    shape = (len(used), last - first)
    flux, error = np.full(shape, np.nan), np.full(shape, np.nan)
    mask, coverage = np.zeros(shape, np.uint32), np.zeros(shape)
    edges = np.full(last - first + 1, np.nan)
    for row, part in enumerate(used):
        where = slice(part.first[0] - first, part.first[0] - first + part.flux.size)
        flux[row, where], error[row, where] = part.flux, part.error
        mask[row, where], coverage[row, where] = part.mask, part.coverage
    if used:
        assert chosen is not None
        index = (np.arange(first, last + 1, dtype=np.int64) << used[0].level) - 0.5
        edges = np.power(10.0, chosen[0] * index)
    about = {} if chosen is None else {"step": chosen[0], "level": chosen[1], "medium": chosen[2]}
    names = tuple(part.name for part in used)
    return Stack(names, unit, flux, error, mask, coverage, None, edges, left, about)


def _grid(part: CubePart) -> tuple[float, int, str] | None:
    wave = part.about["wavelengths"]
    return None if wave["step"] is None else (wave["step"], part.level, wave["medium"])


def stack_images(
    parts: Iterable[CubePart], ra: float, dec: float, size: int, scale: float
) -> Stack:
    """Resample images onto common pixels by the areas that they share.

    With the area a_i of pixel i of a part in a common pixel, c_i its coverage, and the good ones G:
    F = sum_G a c I / sum_G a c, sigma**2 = sum_G (a c s)**2 / (sum_G a c)**2, coverage =
    sum_G a c. Areas are counted by 8 x 8 places in each common pixel.

    Parameters
    ----------
    parts : iterable of CubePart
        Spectra, and images without WCS, are passed over.
    ra, dec : float
        Middle of the grid, ICRS degrees.
    size : int
        Pixels along each side, 1 to 2000. The grid is in the tangent plane, north up, east left.
    scale : float
        Arcsec of a common pixel.

    Raises
    ------
    QueryError
        If size or scale are not possible, or units differ.
    """
    if not (1 <= size <= 2000 and 0 < scale < 3600):
        raise QueryError(f"a grid of {size} pixels of {scale} arcsec is not possible")
    images = [part for part in parts if part.kind == "image" and part.cards is not None]
    unit = _one_unit(images)
    middle = (size - 1) / 2.0
    cards: dict[str, float | int | str] = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg",
        "CRPIX1": middle + 1.0, "CRPIX2": middle + 1.0, "CRVAL1": ra, "CRVAL2": dec,
        "CD1_1": -scale / 3600.0, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": scale / 3600.0,
    }  # fmt: skip
    shape = (len(images), size, size)
    flux, error = np.full(shape, np.nan), np.full(shape, np.nan)
    mask, coverage = np.zeros(shape, np.uint32), np.zeros(shape)
    effective: dict[str, float | None] = {}
    for number, part in enumerate(images):
        share, target, source = _shares(cards, part, size)
        _mean(share, target, source, part, (flux[number], error[number], coverage[number]))
        np.bitwise_or.at(mask[number].reshape(-1), target, part.mask.reshape(-1)[source])
        sums = np.bincount(target, share, size * size)
        squares = np.bincount(target, share**2, size * size)
        inside = sums > 0.999
        effective[part.name] = (
            float(np.median(sums[inside] ** 2 / squares[inside])) if inside.any() else None
        )
    names = tuple(part.name for part in images)
    about = {"pixels": effective, "scale arcsec": scale}
    return Stack(names, unit, flux, error, mask, coverage, cards, None, (), about)


def _shares(
    cards: dict[str, float | int | str], part: CubePart, size: int
) -> tuple[FloatArray, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return pairs of a common pixel and a pixel of the part, and the share of the former."""
    fine = (np.arange(size * _FINE) + 0.5) / _FINE - 0.5
    x, y = np.meshgrid(fine, fine)
    ra, dec = tan.to_sky(cards, x.ravel(), y.ravel())
    assert part.cards is not None
    if tan.is_plain(part.cards):
        column, row = (np.asarray(axis) for axis in tan.to_pixel(part.cards, ra, dec))
    else:
        found = [pixel_of(part.cards, *place) for place in zip(ra, dec, strict=True)]
        column, row = np.array(found).T
    ny, nx = part.flux.shape
    with np.errstate(invalid="ignore"):
        inside = (column >= -0.5) & (column < nx - 0.5) & (row >= -0.5) & (row < ny - 0.5)
    cell = np.repeat(np.arange(size), _FINE)
    target = (cell[:, None] * size + cell[None, :]).ravel()[inside].astype(np.int64)
    j, i = (np.floor(axis[inside] + 0.5).astype(np.int64) for axis in (row, column))
    pairs, counts = np.unique(target * (ny * nx) + j * nx + i, return_counts=True)
    share: FloatArray = np.divide(counts, _FINE**2, dtype=np.float64)
    return share, pairs // (ny * nx), pairs % (ny * nx)


def _mean(
    share: FloatArray,
    target: npt.NDArray[np.int64],
    source: npt.NDArray[np.int64],
    part: CubePart,
    into: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    flux, error, coverage = into
    values = part.flux.reshape(-1)[source].astype(np.float64)
    sigma = part.error.reshape(-1)[source].astype(np.float64)
    weight = np.where(np.isfinite(values), share * part.coverage.reshape(-1)[source], 0.0)

    def summed(of: FloatArray) -> FloatArray:
        found: npt.NDArray[Any] = np.bincount(target, of, flux.size)
        return found.astype(np.float64).reshape(flux.shape)

    total = summed(weight)
    with np.errstate(divide="ignore", invalid="ignore"):
        flux[...] = summed(np.where(weight > 0, weight * values, 0.0)) / total
        error[...] = np.sqrt(summed(np.where(weight > 0, weight * sigma, 0.0) ** 2)) / total
    coverage[...] = total


def _one_unit(parts: list[CubePart]) -> str:
    units = sorted({part.unit for part in parts})
    if len(units) > 1:
        raise QueryError(f"{' and '.join(units)} do not go into one array; ask for one unit")
    return units[0] if units else ""
