"""All images and spectra of a region at one resolution: a sparse cube, part by part.

Nothing is resampled: an image's blocks begin at its pixel (0, 0), a spectrum's bins at fixed
indices of its grid, so levels are exact means of what was measured, and bins of one grid are the
same in all spectra.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from corecube.angles import Position, parse_radius
from corecube.archive import cutout, pyramid
from corecube.archive.cubeparts import CubePart
from corecube.archive.cubeunits import NANOMAGGY, UNITS, to_nanomaggies
from corecube.archive.names import FiberRow, ImageRow
from corecube.archive.regions import Box, Cone, Region
from corecube.archive.shotfile import shifted
from corecube.archive.spectrallevels import correlations, spectrum_level, variance_factor
from corecube.archive.sphere import positions
from corecube.errors import QueryError
from corecube.masks import MaskArray, valid, value

if TYPE_CHECKING:
    from pathlib import Path

    from corecube.archive.answer import Result
    from corecube.archive.cubegrid import Stack
    from corecube.archive.reader import Archive
    from corecube.frames import Fibers

_OUTLINE: Final = 64
"""Places along the edge of a region by which its box in an image is found."""


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
        Spectra give the bins that reach into it, Angstrom; images are not concerned.
    unit : {"nanomaggy", "stored"}

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

    @cached_property
    def about(self) -> dict[str, Any]:
        """What was asked, as plain JSON."""
        center = self.result.center
        return {
            "archive": self.archive.path.name,
            "level": self.level,
            "unit": self.unit,
            "position": None if center is None else list(center),
            "size": self.result.size if self.region is None else None,
            "wavelength": None if self.wavelength is None else list(self.wavelength),
        }

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
        for row in self.archive.rows(self.result):
            part = self._image(row) if isinstance(row, ImageRow) else None
            if part is not None:
                yield part

    def _spectra(self) -> Iterator[CubePart]:
        for row in self.archive.rows(self.result):
            part = self._spectrum(row) if isinstance(row, FiberRow) else None
            if part is not None:
                yield part

    def write(self, path: Path | str) -> list[str]:
        """Write all parts into one file, HDF5 or FITS by its name; return their names.

        `corecube.archive.cubefiles.read_cube` gives them back as they are here.

        Raises
        ------
        QueryError
            If the name ends with none of ``.h5 .hdf5 .fits .fit``.
        """
        from pathlib import Path

        from corecube.archive.cubefiles import write_cube

        return write_cube(self, self.about, Path(path))

    def on_pixels(self, size: int, scale: float) -> Stack:
        """Return the images resampled onto common pixels around the position that was asked for.

        See `corecube.archive.cubegrid.stack_images`.

        Raises
        ------
        QueryError
            If no one position was asked for, or size or scale are not possible.
        """
        from corecube.archive.cubegrid import stack_images

        if self.result.center is None:
            raise QueryError("common pixels lie around one position; none was asked for")
        return stack_images(self._images(), *self.result.center, size, scale)

    def on_bins(self) -> Stack:
        """Return the spectra of one logarithmic grid in one array, over all of their bins.

        See `corecube.archive.cubegrid.stack_spectra`; nothing is resampled.
        """
        from corecube.archive.cubegrid import stack_spectra

        return stack_spectra(self._spectra())

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
            flux, error, unit = _times(flux, factor), _times(error, factor), NANOMAGGY
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
        edge = [cutout.pixel_of(cards, ra, dec) for ra, dec in _outline(self.region)]
        x, y = np.array(edge).T
        if not (np.isfinite(x).all() and np.isfinite(y).all()):  # beyond the image's hemisphere
            return (0, ny), (0, nx)
        low_y, high_y = (int(np.clip(np.floor(v + 0.5), -1, ny)) for v in (y.min(), y.max()))
        low_x, high_x = (int(np.clip(np.floor(v + 0.5), -1, nx)) for v in (x.min(), x.max()))
        rows, columns = (max(0, low_y), min(ny, high_y + 1)), (max(0, low_x), min(nx, high_x + 1))
        return (rows, columns) if rows[0] < rows[1] and columns[0] < columns[1] else None

    # -- spectra -----------------------------------------------------------------------------

    def _spectrum(self, row: FiberRow) -> CubePart | None:
        fibers = row.spectrum()
        assert fibers.error is not None and fibers.mask is not None
        wave = np.atleast_2d(fibers.wave.wavelength())[0]
        outside = (fibers.mask[0] & np.uint32(value("outside"))) != 0
        places = np.flatnonzero(np.isfinite(wave) & ~outside)
        if not places.size:
            return None
        part = slice(int(places[0]), int(places[-1]) + 1)
        flux, error, mask = fibers.flux[0, part], fibers.error[0, part], fibers.mask[0, part]
        found = spectrum_level(
            flux, error, mask, fibers.wave.part(part.start, part.stop), self.level, part.start
        )
        measured = fibers.wave.unit != "pix"
        use = slice(None)
        if self.wavelength is not None:
            if not measured:
                return None
            low, high = self.wavelength
            inside = (found.edges[:-1] < high) & (found.edges[1:] > low)
            if not inside.any():
                return None
            bins = np.flatnonzero(inside)
            use = slice(int(bins[0]), int(bins[-1]) + 1)
        begin = use.start or 0
        edges = found.edges[begin : (use.stop or len(found.flux)) + 1]
        mean, sigma, unit = found.flux[use], found.error[use], fibers.unit
        if self.unit == NANOMAGGY:
            middle = np.sqrt(edges[:-1] * edges[1:]) if measured else None
            factor = to_nanomaggies(unit, middle, row.name)
            mean, sigma, unit = _times(mean, factor), _times(sigma, factor), NANOMAGGY
        start, end = (
            np.array(np.ravel(part)[0], dtype=np.float64)
            for part in (fibers.times.start, fibers.times.end)
        )
        return CubePart(
            "spectrum", row.name, "", fibers.target[0] if fibers.target else "", self.level, unit,
            mean, sigma, found.mask[use], found.coverage[use], start, end,
            (found.first + begin,), edges=edges, ra=float(fibers.ra[0]), dec=float(fibers.dec[0]),
            about=_said(fibers, flux, error, mask, part, self.level),
        )  # fmt: skip


def region_of(
    archive: Archive, place: Any, radius: float | str | None, size: int | None, select: Any
) -> tuple[Result, Region | None]:
    """Return what lies around a position or in a region, and the region that images are cut to."""
    if isinstance(place, str | tuple | Position):
        only_cone = size is None and radius is not None
        result = archive.cone(
            place, "2 arcsec" if radius is None else radius,
            **({} if only_cone else {"size": cutout_size(size)}), **select,
        )  # fmt: skip
        if not only_cone:
            return result, None
        degrees = parse_radius(radius) if isinstance(radius, str) else float(radius or 0.0)
        assert result.center is not None
        return result, Cone(*result.center, degrees)
    if radius is not None or size is not None:
        raise QueryError("radius and size belong to a position; a region has its own extent")
    center = (place.ra, place.dec) if isinstance(place, Cone) else None
    return archive.region(place, center, **select), place


def cutout_size(size: int | None) -> int:
    """Return the pixels along the side of a square, 64 if not said."""
    from corecube.archive.answer import CUTOUT_SIZE

    return CUTOUT_SIZE if size is None else size


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


def _times(values: npt.NDArray[Any], factor: Any) -> npt.NDArray[Any]:
    if isinstance(factor, float) and factor == 1.0:
        return values
    return np.asarray((values * factor).astype(values.dtype))


def _said(
    fibers: Fibers, flux: Any, error: Any, mask: MaskArray, part: slice, level: int
) -> dict[str, Any]:
    model = fibers.layers.get("model")
    lags = None
    if model is not None and model.values.shape == fibers.flux.shape:
        lags = correlations(flux, error, mask, model.values[0, part])
    grid = fibers.wave.is_grid
    return {
        "wavelengths": {
            "unit": fibers.wave.unit, "medium": fibers.wave.medium,
            "specsys": fibers.wave.specsys, "step": fibers.wave.step if grid else None,
        },
        "rule": "bin = index >> level" if grid else "bin = pixel >> level",
        "pixels": part.stop - part.start,
        "lag1": None if lags is None else lags[0],
        "lag2": None if lags is None else lags[1],
        "bin variance over independent":
            None if lags is None else variance_factor(lags, 1 << level),
    }  # fmt: skip


def _outline(region: Region) -> list[tuple[float, float]]:
    """Return places along the edge of a region, ICRS degrees."""
    from corecube.archive.polygon import Polygon

    if isinstance(region, Polygon):  # great circles are lines in the tangent plane
        return [(float(ra), float(dec)) for ra, dec in region.vertices]
    part = np.linspace(0.0, 1.0, _OUTLINE)
    if isinstance(region, Box):
        ra = region.ra_min + part * region.width
        dec = region.dec_min + part * (region.dec_max - region.dec_min)
        low, high = np.full(_OUTLINE, region.dec_min), np.full(_OUTLINE, region.dec_max)
        left, right = np.full(_OUTLINE, ra[0]), np.full(_OUTLINE, ra[-1])
        ras, decs = (
            np.concatenate(sides) for sides in ((ra, ra, left, right), (low, high, dec, dec))
        )
    else:
        ras, decs = _circle(region if isinstance(region, Cone) else _around(region))
    return list(zip(ras.tolist(), decs.tolist(), strict=True))


def _around(region: Region) -> Cone:
    middle, radius = region.circle()
    ra, dec = positions(middle)
    return Cone(float(ra), float(dec), radius)


def _circle(cone: Cone) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    angle = np.linspace(0.0, 2.0 * np.pi, 4 * _OUTLINE, endpoint=False)
    dec, radius = np.radians(cone.dec), np.radians(cone.radius)
    sine = np.sin(dec) * np.cos(radius) + np.cos(dec) * np.sin(radius) * np.cos(angle)
    decs = np.arcsin(np.clip(sine, -1.0, 1.0))
    ras = np.arctan2(
        np.sin(angle) * np.sin(radius) * np.cos(dec), np.cos(radius) - np.sin(dec) * sine
    )
    return np.degrees(ras) + cone.ra, np.degrees(decs)


__all__ = ["Cube", "CubePart", "level_cards", "region_of"]
