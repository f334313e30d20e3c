"""Images of a cube on common pixels, by the areas that pixels share.

A part itself is never resampled; this is for those who need one array. Errors of neighbouring
pixels of the common grid are correlated where these share pixels of the image.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube import tan, wcs
from corecube.archive.cubeareas import cell_areas, shared_areas
from corecube.archive.cubeparts import CubePart
from corecube.archive.cubestacks import Stack, one_unit
from corecube.errors import QueryError
from corecube.masks import MaskArray

FloatArray = npt.NDArray[np.float64]

MOST_PIXELS: Final = 2000
"""Along each side of a common grid: 110 MB of arrays for each image."""

LARGEST: Final = 3600.0
"""Arcsec of a common pixel; the plane of the grid is no plane beyond some degrees."""


class PixelGrid:
    """Common pixels in a tangent plane, north up and east left, to which images are added.

    With the area a_i that pixel i of a part shares with a common pixel, as a part of the latter,
    c_i its coverage, and the good ones G: F = sum_G a c I / sum_G a c, sigma**2 =
    sum_G (a c s)**2 / (sum_G a c)**2, coverage = sum_G a c. The outlines of common pixels are
    straight lines in the image between corners that go through the sky exactly.

    Parameters
    ----------
    ra, dec : float
        Middle of the grid, ICRS degrees.
    size : int
        Pixels along each side, 1 to 2000.
    scale : float
        Arcsec of a common pixel, below 3600.

    Raises
    ------
    QueryError
        If size or scale are not possible.
    """

    def __init__(self, ra: float, dec: float, size: int, scale: float) -> None:
        if not (1 <= size <= MOST_PIXELS and 0 < scale < LARGEST):
            raise QueryError(
                f"a grid of {size} pixels of {scale:g} arcsec is not possible; use 1 to "
                f"{MOST_PIXELS} pixels of less than {LARGEST:g} arcsec"
            )
        middle = (size - 1) / 2.0
        self.size, self.scale = size, scale
        self.cards: dict[str, float | int | str] = {
            "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg",
            "CRPIX1": middle + 1.0, "CRPIX2": middle + 1.0, "CRVAL1": ra, "CRVAL2": dec,
            "CD1_1": -scale / 3600.0, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": scale / 3600.0,
        }  # fmt: skip
        places = np.arange(size + 1) - 0.5
        x, y = np.meshgrid(places, places)
        self._sky = tan.to_sky(self.cards, x, y)
        self._parts: list[CubePart] = []
        self._layers: list[tuple[FloatArray, FloatArray, MaskArray, FloatArray]] = []
        self._area: dict[str, float | None] = {}
        self._pixels: dict[str, float | None] = {}
        self._square = 0

    def add(self, part: CubePart) -> None:
        """Resample an image; spectra, and images without WCS, are passed over."""
        if part.kind != "image" or part.cards is None:
            return
        x, y = _pixels_of(part.cards, *self._sky)
        cells = cell_areas(x, y)
        sums = _Sums(self.size**2)
        for cell, pixel, area in shared_areas(x, y, (part.flux.shape[0], part.flux.shape[1])):
            if cell.size:
                sums.add(cell, area / cells.ravel()[cell], pixel, part)
        shape = (self.size, self.size)
        flux, error, mask, coverage, effective = sums.result()
        self._layers.append(
            (
                flux.reshape(shape),
                error.reshape(shape),
                mask.reshape(shape),
                coverage.reshape(shape),
            )
        )
        touched = cells[(coverage > 0).reshape(shape)]
        self._area[part.name] = float(np.mean(touched)) * 4**part.level if touched.size else None
        self._pixels[part.name] = effective
        self._square = max(self._square, _square(x, y) << part.level)
        self._parts.append(part)

    def stack(self) -> Stack:
        """Return the images that were added.

        Raises
        ------
        QueryError
            If their units differ.
        """
        unit = one_unit(self._parts)
        shape = (len(self._layers), self.size, self.size)
        flux, error, mask, coverage = (
            np.array([layer[k] for layer in self._layers], dtype=kind).reshape(shape)
            for k, kind in enumerate((np.float64, np.float64, np.uint32, np.float64))
        )
        return Stack(
            tuple(part.name for part in self._parts), unit, flux, error, mask, coverage,
            cards=self.cards,
            about={
                "scale": self.scale, "area": self._area, "pixels": self._pixels,
                "square": self._square,
            },
        )  # fmt: skip


class _Sums:
    """Sums over the pixels that common pixels are made of."""

    def __init__(self, count: int) -> None:
        self.share, self.square = np.zeros(count), np.zeros(count)
        self.weight, self.flux, self.variance = np.zeros(count), np.zeros(count), np.zeros(count)
        self.mask = np.zeros(count, np.uint32)

    def add(
        self,
        cell: npt.NDArray[np.int64],
        share: FloatArray,
        pixel: npt.NDArray[np.int64],
        part: CubePart,
    ) -> None:
        begin, end = int(cell[0]), int(cell[-1]) + 1
        here, within = slice(begin, end), cell - begin

        def summed(values: FloatArray) -> FloatArray:
            found: npt.NDArray[Any] = np.bincount(within, values, end - begin)
            return found

        values = part.flux.reshape(-1)[pixel].astype(np.float64)
        good = np.isfinite(values)
        weight = np.where(good, share * part.coverage.reshape(-1)[pixel], 0.0)
        sigma = np.where(good, part.error.reshape(-1)[pixel], 0.0).astype(np.float64)
        self.weight[here] += summed(weight)
        self.flux[here] += summed(weight * np.where(good, values, 0.0))
        self.variance[here] += summed((weight * sigma) ** 2)
        self.share[here] += summed(share)
        self.square[here] += summed(share**2)
        np.bitwise_or.at(self.mask, cell, part.mask.reshape(-1)[pixel])

    def result(self) -> tuple[FloatArray, FloatArray, MaskArray, FloatArray, float | None]:
        with np.errstate(divide="ignore", invalid="ignore"):
            flux, error = self.flux / self.weight, np.sqrt(self.variance) / self.weight
        inside = self.share > 0.999
        effective = self.share[inside] ** 2 / self.square[inside]
        median = float(np.median(effective)) if effective.size else None
        return flux, error, self.mask, self.weight, median


def stack_images(
    parts: Iterable[CubePart], ra: float, dec: float, size: int, scale: float
) -> Stack:
    """Resample images onto common pixels by the areas that they share; see `PixelGrid`.

    Parameters
    ----------
    parts : iterable of CubePart
        Looked at one at a time.
    ra, dec : float
    size : int
    scale : float

    Raises
    ------
    QueryError
        If size or scale are not possible, or units differ.
    """
    grid = PixelGrid(ra, dec, size, scale)
    for part in parts:
        grid.add(part)
    return grid.stack()


def _square(x: FloatArray, y: FloatArray) -> int:
    """Return the side of a square of pixels that covers a grid, wherever its middle falls."""
    away = [np.abs(axis - (axis[0, 0] + axis[-1, -1]) / 2.0).max() for axis in (x, y)]
    return 2 * int(np.ceil(max(away))) + 1 if np.isfinite(away).all() else 0


def _pixels_of(
    cards: dict[str, float | int | str], ra: FloatArray, dec: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the pixels of positions, NaN where there is none.

    A distortion holds on its image, and the grid may be wider: what astropy cannot invert there is
    told by going back.
    """
    if tan.is_plain(cards):
        return tan.to_pixel(cards, ra, dec)
    projection = wcs.from_cards(cards)
    x, y = projection.all_world2pix(ra, dec, 0, ra_dec_order=True, quiet=True)
    found = wcs.to_sky(cards, x, y)
    with np.errstate(invalid="ignore"):
        east = np.mod(found[0] - ra + 180.0, 360.0) - 180.0
        away = np.hypot(east * np.cos(np.radians(dec)), found[1] - dec)
        there = away < 1e-3 * np.sqrt(np.abs(np.linalg.det(projection.pixel_scale_matrix)))
    return np.where(there, x, np.nan), np.where(there, y, np.nan)
