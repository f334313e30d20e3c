"""All images and spectra of a region at one resolution: a sparse cube, part by part.

Nothing is resampled: an image's blocks begin at its pixel (0, 0), a spectrum's bins at fixed
indices of its grid, so levels are exact means of what was measured, and bins of one grid are the
same in all spectra.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from corecube.archive import cutout, pyramid
from corecube.archive.cubebands import ByBand, PassbandsOf, choose_images, some
from corecube.archive.cubebins import edges_of, stack_spectra
from corecube.archive.cubegrid import PixelGrid
from corecube.archive.cubeparts import CubePart
from corecube.archive.cuberegions import outline_of
from corecube.archive.cubespectra import spectrum_parts
from corecube.archive.cubestacks import Stack
from corecube.archive.cubeunits import NANOMAGGY, UNITS, scaled, to_nanomaggies
from corecube.archive.names import FiberRow, ImageRow
from corecube.archive.regions import Region
from corecube.archive.shotfile import shifted
from corecube.errors import QueryError
from corecube.instruments import Instruments
from corecube.masks import MaskArray, valid

if TYPE_CHECKING:
    from pathlib import Path

    from corecube.archive.answer import Result
    from corecube.archive.reader import Archive


class Cube:
    """The parts of a region; iterating reads them one at a time, images first.

    Parameters
    ----------
    archive : Archive
    result : Result
        What lies in the region.
    region : Region or None
        None: the square of `result.size` pixels around its position.
    level : int
    wavelength : (float, float) or None
        Angstrom: spectra give the bins that reach into it, images are left out where their
        passband is below 1 % of its peak all over it. Images in a band of which no curve is known
        stay.
    unit : {"nanomaggy", "stored"}
    weighted : bool
        After each spectrum the same times the merged passbands of its instrument, a part of the
        kind "weighted".
    passbands : callable or None
        Gives the passbands of a shot's instrument; None asks the installed instruments.

    Raises
    ------
    QueryError
        If level, wavelengths or unit are not possible.
    """

    def __init__(
        self,
        archive: Archive,
        result: Result,
        region: Region | None,
        level: int = 0,
        wavelength: tuple[float, float] | None = None,
        unit: str = NANOMAGGY,
        *,
        weighted: bool = False,
        passbands: PassbandsOf | None = None,
    ) -> None:
        if not 0 <= level <= pyramid.MOST_LEVELS:
            raise QueryError(
                f"level {level} is not possible; use 0 (all pixels) to {pyramid.MOST_LEVELS}"
            )
        if unit not in UNITS:
            raise QueryError(f"unit '{unit}' is none of {', '.join(UNITS)}")
        if wavelength is not None and not wavelength[0] < wavelength[1]:
            raise QueryError(f"wavelengths {wavelength[0]:g}..{wavelength[1]:g} hold nothing")
        self.archive = archive
        self.result = result
        self.region = region
        self.level = level
        self.wavelength = wavelength
        self.unit = unit
        self.weighted = weighted
        self._installed = Instruments()
        self._passbands = self._installed.passbands if passbands is None else passbands

    @cached_property
    def about(self) -> dict[str, Any]:
        """What was asked, as plain JSON, and what is to be known of the answer.

        ``other bands`` are the names of images that the wavelengths leave out, ``unknown bands``
        those of images that stay as no curve of their band is known, ``says`` a line for each thing
        that is missing; the last is complete when all parts have been read.
        """
        center = self.result.center
        return {
            "archive": self.archive.path.name,
            "level": self.level,
            "unit": self.unit,
            "position": None if center is None else list(center),
            "size": self.result.size if self.region is None else None,
            "wavelength": None if self.wavelength is None else list(self.wavelength),
            "other bands": self._by_band.other,
            "unknown bands": self._by_band.unknown,
            "says": self._installed.says,
        }

    @cached_property
    def _by_band(self) -> ByBand:
        rows = (row for row in self.archive.rows(self.result) if isinstance(row, ImageRow))
        found = choose_images(rows, self.wavelength, self._passbands)
        if found.unknown:
            self._installed.say(
                f"kept at all wavelengths, as no curve of their band is known: "
                f"{some(found.unknown)}"
            )
        return found

    def __iter__(self) -> Iterator[CubePart]:
        """Read the parts.

        Raises
        ------
        QueryError
            If something cannot be given in the unit asked for.
        ArchiveDamaged
        """
        yield from self._images()
        yield from self._spectra()

    def _images(self) -> Iterator[CubePart]:
        for row in self._by_band.rows:
            part = self._image(row)
            if part is not None:
                yield part

    def _spectra(self) -> Iterator[CubePart]:
        for row in self.archive.rows(self.result):
            if isinstance(row, FiberRow):
                bands = self._passbands(row.shot()) if self.weighted else None
                if self.weighted and bands is None:
                    self._installed.say(
                        f"{row.record.instrument} gives no passbands: its spectra are not weighted"
                    )
                yield from spectrum_parts(
                    row.spectrum(), row.name, self.level, self.wavelength, self.unit, bands
                )

    def write(
        self,
        path: Path | str,
        pixels: tuple[int, float] | None = None,
        bins: npt.ArrayLike | Literal["own"] | None = None,
    ) -> list[str]:
        """Write all parts into one file, HDF5 or FITS by its name; return their names.

        `corecube.archive.cubefiles.read_cube` gives them back as they are here, `read_stacks` of
        the same module what is on common grids.

        Parameters
        ----------
        path : path
        pixels : (int, float), optional
            Also the images on common pixels, as `on_pixels` gives them.
        bins : "own" or float array (w + 1,), optional
            Also the spectra on common bins, as `on_bins` gives them: their own or given edges. With
            weighted spectra these too.

        Raises
        ------
        QueryError
            If the name ends with none of ``.h5 .hdf5 .fits .fit``, or a grid is not possible.
        """
        from pathlib import Path

        from corecube.archive.cubefiles import write_cube

        grid = None if pixels is None else self._grid(*pixels)
        edges = None if bins is None or isinstance(bins, str) else edges_of(bins)
        spectra: list[CubePart] = []

        def watched() -> Iterator[CubePart]:
            for part in self:
                if grid is not None:
                    grid.add(part)
                if bins is not None and part.kind != "image":
                    spectra.append(part)
                yield part

        def stacks() -> Iterator[tuple[str, Stack]]:
            if grid is not None:
                yield "pixels", self._told(grid.stack())
            if bins is not None:
                yield "bins", self._told(stack_spectra(spectra, edges))
                if self.weighted:
                    yield "weighted", stack_spectra(spectra, edges, "weighted")

        return write_cube(watched(), self.about, Path(path), stacks)

    def on_pixels(self, size: int, scale: float) -> Stack:
        """Return the images resampled onto common pixels around the position that was asked for.

        See `corecube.archive.cubegrid.PixelGrid`.

        Parameters
        ----------
        size : int
            Pixels along each side.
        scale : float
            Arcsec of a pixel.

        Raises
        ------
        QueryError
            If no one position was asked for, or size or scale are not possible.
        """
        grid = self._grid(size, scale)
        for part in self._images():
            grid.add(part)
        return self._told(grid.stack())

    def _grid(self, size: int, scale: float) -> PixelGrid:
        if self.result.center is None:
            raise QueryError("common pixels lie around one position; none was asked for")
        return PixelGrid(*self.result.center, size, scale)

    def on_bins(self, edges: npt.ArrayLike | None = None, *, weighted: bool = False) -> Stack:
        """Return the spectra in one array: on all bins of their own grid, or on given ones.

        See `corecube.archive.cubebins.stack_spectra`; on their own bins nothing is resampled.

        Parameters
        ----------
        edges : float array (w + 1,), Angstrom; optional
            Of the bins.
        weighted : bool
            The weighted spectra in their place; the cube must have them.

        Raises
        ------
        QueryError
            If units differ, edges do not rise, or weighted spectra were not asked for.
        """
        if weighted and not self.weighted:
            raise QueryError("the cube has no weighted spectra; ask for it with weighted=True")
        kind = "weighted" if weighted else "spectrum"
        return self._told(stack_spectra(self._spectra(), edges, kind))

    def _told(self, stack: Stack) -> Stack:
        """Say what a stack lacks, and return it."""
        square = stack.about.get("square", 0)
        if self.region is None and square > self.result.size:
            self._installed.say(
                f"the common pixels reach beyond the squares of {self.result.size} pixels; a size "
                f"of {square} covers them"
            )
        if stack.left_out:
            self._installed.say(
                f"not on the common bins, as their wavelengths are others: {some(stack.left_out)}"
            )
        return stack

    # -- images ------------------------------------------------------------------------------

    def _image(self, row: ImageRow) -> CubePart | None:
        about = row.shot().image(row.image)
        ny, nx = about["shape"]
        pixels = self._pixels(about["cards"], (ny, nx))
        if pixels is None:
            return None
        step = 1 << self.level
        (top, bottom), (left, right) = pixels
        rows = (top // step * step, min(ny, -(-bottom // step) * step))
        columns = (left // step * step, min(nx, -(-right // step) * step))
        frame = row.shot().part(row.image, rows, columns)
        assert frame.error is not None and frame.mask is not None
        flux, error, mask, coverage = _blocks(frame.flux, frame.error, frame.mask, self.level)
        unit = frame.unit
        if self.unit == NANOMAGGY:
            factor = to_nanomaggies(unit, None, row.name)
            flux, error, unit = scaled(flux, factor), scaled(error, factor), NANOMAGGY
        start, end = (
            _row_means(np.asarray(part, dtype=np.float64), step)
            for part in (frame.times.start, frame.times.end)
        )
        first = (rows[0] >> self.level, columns[0] >> self.level)
        cards = None if about["cards"] is None else level_cards(about["cards"], self.level)
        return CubePart(
            "image", row.name, frame.band, frame.target, self.level, unit, flux, error, mask,
            coverage, start, end, first,
            cards=None if cards is None else shifted(cards, first[1], first[0]),
            about={
                "pixels": {"rows": list(rows), "columns": list(columns)},
                "rule": "means of blocks from pixel (0, 0) of the image on, per original pixel",
            },
        )  # fmt: skip

    def _pixels(
        self, cards: Any, shape: tuple[int, int]
    ) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """Return the rows and columns of an image that the region touches; None for none."""
        ny, nx = shape
        if self.region is None and self.result.center is None:
            return (0, ny), (0, nx)
        if cards is None:
            return None
        if self.region is None:
            assert self.result.center is not None
            place = cutout.window(
                *cutout.pixel_of(cards, *self.result.center), self.result.size, shape
            )
            return None if place is None or not place.pixels else (place.rows, place.columns)
        edge = [cutout.pixel_of(cards, ra, dec) for ra, dec in outline_of(self.region)]
        x, y = np.array(edge).T
        if not (np.isfinite(x).all() and np.isfinite(y).all()):  # beyond the image's hemisphere
            return (0, ny), (0, nx)
        low_y, high_y = (int(np.clip(np.floor(v + 0.5), -1, ny)) for v in (y.min(), y.max()))
        low_x, high_x = (int(np.clip(np.floor(v + 0.5), -1, nx)) for v in (x.min(), x.max()))
        rows, columns = (max(0, low_y), min(ny, high_y + 1)), (max(0, low_x), min(nx, high_x + 1))
        return (rows, columns) if rows[0] < rows[1] and columns[0] < columns[1] else None


def level_cards(cards: dict[str, float | int | str], level: int) -> dict[str, float | int | str]:
    """Return the WCS cards of a level: of pixel (0, 0) the middle of the first block.

    Parameters
    ----------
    cards : dict
        Of the image; CD or CDELT.
    level : int
    """
    side = 1 << level
    found = dict(cards)
    for name, number in cards.items():
        if name in ("CRPIX1", "CRPIX2"):
            found[name] = (float(number) - 0.5) / side + 0.5
        elif name.startswith(("CD1_", "CD2_", "CDELT")):
            found[name] = float(number) * side
    return found


def _blocks(
    flux: npt.NDArray[Any], error: npt.NDArray[Any], mask: MaskArray, level: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], MaskArray, npt.NDArray[np.float32]]:
    """Return flux, error, mask and coverage of a level of a part that begins with a block."""
    if level == 0:
        good = valid(mask) & np.isfinite(flux)
        return (
            np.where(good, flux, np.nan).astype(flux.dtype),
            np.where(good, error, np.nan).astype(error.dtype),
            mask, good.astype(np.float32),
        )  # fmt: skip
    *_, made = pyramid.levels(flux, error, mask, level)
    return made.arrays((flux.shape[0], flux.shape[1]))


def _row_means(times: npt.NDArray[np.float64], step: int) -> npt.NDArray[np.float64]:
    if times.ndim == 0 or step == 1:
        return times
    begins = np.arange(0, times.size, step)
    counts = np.diff(np.append(begins, times.size))
    # of differences: an MJD has too few digits for sums
    return np.asarray(times[0] + np.add.reduceat(times - times[0], begins) / counts)


__all__ = ["Cube", "CubePart", "level_cards"]
