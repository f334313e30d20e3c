"""Parts of images as plain data, and what is said of each of their pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from corecube import masks, wcs
from corecube.errors import FrameError, QueryError
from corecube.frames import Bits
from corecube.text import printable
from corecube_cli.browse.cells import measured
from corecube_cli.browse.halfblocks import block_means
from corecube_cli.browse.places import Picture
from corecube_cli.browse.spectra import bit_texts
from corecube_cli.browse.viewport import block_size

if TYPE_CHECKING:
    from corecube.archive import Archive
    from corecube.archive.shotfile import StoredShot

Span = tuple[int, int]
ToSky = Callable[[float, float], tuple[float, float]]

TILE: Final = 64
"""Pixels along each side of what is read around the cursor."""
_WHOLE: Final = 2**22
"""Pixels of an image that is read whole to find black and white; of larger ones, stripes."""
_STRIPES: Final = 16
_STRIPE_ROWS: Final = 16
_SAMPLE: Final = 200_000
"""Pixels from which the percentiles are taken."""


@dataclass(frozen=True)
class Facts:
    """What is known of an image before it is drawn.

    Attributes
    ----------
    place : Picture
    name : str
        Full name.
    shape : (int, int)
        (ny, nx).
    levels : int
        Of its pyramid.
    unit : str
    sample : float array
        Valid pixels of the original, from which black and white are found.
    to_sky : callable or None
        From (x, y), 0-based, to ICRS degrees.
    look_at : (float, float) or None
        Pixel (x, y) of the position that was asked for.
    file : str
        The shot file; another one after the shot was replaced.
    """

    place: Picture
    name: str
    shape: tuple[int, int]
    levels: int
    unit: str
    sample: npt.NDArray[Any]
    to_sky: ToSky | None
    look_at: tuple[float, float] | None
    file: str = ""


@dataclass(frozen=True)
class Region:
    """A part of an image in blocks.

    Attributes
    ----------
    zoom : int
        0 or more; the blocks are of `block_size` of it.
    rows, columns : (int, int)
        In blocks, last exclusive.
    values : float array
        Means of the valid pixels; at zoom 0 the pixels themselves.
    masked : bool array
        At zoom 0 pixels with an excluding plane; else blocks of which less than half is valid.
    """

    zoom: int
    rows: Span
    columns: Span
    values: npt.NDArray[Any]
    masked: npt.NDArray[np.bool_]

    def holds(self, zoom: int, rows: Span, columns: Span) -> bool:
        """Say whether another part lies within this one."""
        return (
            zoom == self.zoom
            and self.rows[0] <= rows[0] and rows[1] <= self.rows[1]
            and self.columns[0] <= columns[0] and columns[1] <= self.columns[1]
        )  # fmt: skip


@dataclass(frozen=True)
class Tile:
    """Original pixels around the cursor: flux, error, mask with late ones, bits.

    Attributes
    ----------
    rows, columns : (int, int)
    flux, error : float array
    mask : uint32 array
    bits : mapping of name to Bits
    unit : str
    """

    rows: Span
    columns: Span
    flux: npt.NDArray[Any]
    error: npt.NDArray[Any]
    mask: npt.NDArray[np.uint32]
    bits: dict[str, Bits]
    unit: str

    def holds(self, x: int, y: int) -> bool:
        """Say whether a pixel lies in it."""
        return self.rows[0] <= y < self.rows[1] and self.columns[0] <= x < self.columns[1]

    def readout(self, x: int, y: int) -> list[str]:
        """Return what is stored at a pixel: value with error."""
        place = (y - self.rows[0], x - self.columns[0])
        return [f"{measured(self.flux[place], self.error[place])} {self.unit}".rstrip()]

    def flags(self, x: int, y: int) -> list[str]:
        """Return the planes of the core that are set at a pixel, and the instrument's bits."""
        place = (y - self.rows[0], x - self.columns[0])
        names = ", ".join(masks.names(int(self.mask[place]))) or "none"
        return [f"mask {names}", *bit_texts(self.bits, place)]


def read_facts(archive: Archive, place: Picture) -> Facts:
    """Read what is needed to draw an image; runs in the archive's thread.

    Raises
    ------
    QueryError
        If the shot or the image is gone.
    ArchiveDamaged
    """
    record = archive.record(place.shot)
    shot = archive.shot(record)
    if place.name not in shot.images:
        raise QueryError(f"{place.shot} has no image '{place.name}' any more")
    about = shot.description["images"][place.name]
    ny, nx = (int(size) for size in about["shape"])
    cards = about["cards"]
    look_at = None
    if cards is not None and place.center is not None:
        from corecube.archive.cutout import pixel_of

        x, y = pixel_of(cards, *place.center)
        if np.isfinite([x, y]).all():
            look_at = (x, y)
    return Facts(
        place, printable(f"{place.shot}/{place.name}"), (ny, nx), int(about["levels"]),
        about["unit"], _sample(shot, place.name, (ny, nx)), _sky_of(cards), look_at,
        record.file,
    )  # fmt: skip


def _sky_of(cards: Any) -> ToSky | None:
    if cards is None:
        return None
    try:
        wcs.to_sky(cards, 0.0, 0.0)
    except FrameError:  # of detector coordinates, or of a stranger's making
        return None

    def position(x: float, y: float) -> tuple[float, float]:
        ra, dec = wcs.to_sky(cards, x, y)
        return float(ra), float(dec)

    return position


def _sample(shot: StoredShot, name: str, shape: tuple[int, int]) -> npt.NDArray[Any]:
    """Return valid original pixels, evenly taken; if there are none, those that are masked."""
    ny, nx = shape
    if ny * nx <= _WHOLE:
        spans = [(0, ny)]
    else:
        rows = min(ny, _STRIPE_ROWS)
        firsts = sorted(set(np.linspace(0, ny - rows, _STRIPES).astype(int).tolist()))
        spans = [(first, first + rows) for first in firsts]
    found, every = [], []
    for first, last in spans:
        flux = shot.read(f"/images/{name}/flux", slice(first, last))
        mask = shot.read(f"/images/{name}/mask", slice(first, last))
        found.append(np.where(masks.valid(mask), flux, np.nan).ravel())
        every.append(flux.ravel())
    sample = np.concatenate(found)
    if not np.isfinite(sample).any():
        sample = np.concatenate(every)
    sample = sample[:: max(1, sample.size // _SAMPLE)]
    return np.asarray(sample[np.isfinite(sample)])


def read_region(archive: Archive, facts: Facts, zoom: int, rows: Span, columns: Span) -> Region:
    """Read a part of an image in blocks of `block_size` pixels; runs in the archive's thread.

    They are taken from the pyramid, or are means of the blocks of its largest level that divides
    them.

    Parameters
    ----------
    rows, columns : (int, int)
        In blocks; they must lie in the image.
    """
    shot = archive.shot(archive.record(facts.place.shot))
    name = facts.place.name
    block = block_size(zoom)
    level = min((block & -block).bit_length() - 1, facts.levels)
    size = block >> level
    ny, nx = (-(-length >> level) for length in facts.shape)
    span = (
        (rows[0] * size, min(rows[1] * size, ny)), (columns[0] * size, min(columns[1] * size, nx))
    )  # fmt: skip
    key = (slice(*span[0]), slice(*span[1]))
    if level == 0:
        values = shot.read(f"/images/{name}/flux", key)
        bad = ~masks.valid(_mask(shot, name, key)) | ~np.isfinite(values)
        if size > 1:
            values = block_means(np.where(bad, np.nan, values), size)
            bad = block_means(bad.astype(np.float32), size) > 0.5
    else:
        found = shot.level(name, level, *span)
        values = found.flux
        bad = ~np.isfinite(values)
        if found.coverage is not None:
            bad |= found.coverage < 0.5
        if size > 1:
            values = block_means(values, size)
            bad = block_means(bad.astype(np.float32), size) > 0.5
    return Region(zoom, rows, columns, values, bad)


def read_tile(archive: Archive, facts: Facts, x: int, y: int) -> Tile:
    """Read the original pixels around a pixel; runs in the archive's thread."""
    shot = archive.shot(archive.record(facts.place.shot))
    ny, nx = facts.shape
    rows = (y // TILE * TILE, min(ny, y // TILE * TILE + TILE))
    columns = (x // TILE * TILE, min(nx, x // TILE * TILE + TILE))
    name = facts.place.name
    where, key = f"/images/{name}", (slice(*rows), slice(*columns))
    bits = {
        kind: Bits(shot.read(f"{where}/bits/{kind}", key), tuple(planes))
        for kind, planes in shot.description["images"][name]["bits"].items()
    }
    flux = shot.read(f"{where}/flux", key)
    error = shot.error(name, rows, columns, flux)
    return Tile(rows, columns, flux, error, _mask(shot, name, key), bits, facts.unit)


def _mask(shot: StoredShot, name: str, key: tuple[slice, slice]) -> npt.NDArray[np.uint32]:
    """Return the mask of a part of an image with what lists said later.

    `StoredShot.part` gives the same, but reads all calibration of the image, too.
    """
    mask: npt.NDArray[np.uint32] = shot.read(f"/images/{name}/mask", key)
    shot.late.apply(name, mask, key[0].start, key[1].start)
    return mask


_ARROWS: Final = "→↗↑↖←↙↓↘"


def compass(facts: Facts) -> str:
    """Return where north and east lie on the screen, as ``N↑ E←``; "" without a WCS."""
    if facts.to_sky is None:
        return ""
    ny, nx = facts.shape
    x, y = (nx - 1) / 2, (ny - 1) / 2
    try:
        (ra, dec), (ra_x, dec_x), (ra_y, dec_y) = (
            facts.to_sky(x, y), facts.to_sky(x + 1, y), facts.to_sky(x, y + 1)
        )  # fmt: skip
    except Exception:  # a WCS of a stranger that has no solution in the middle
        return ""
    shrink = np.cos(np.radians(dec))
    east = [((part - ra + 180.0) % 360.0 - 180.0) * shrink for part in (ra_x, ra_y)]
    north = [dec_x - dec, dec_y - dec]
    matrix = np.array([east, north])
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-300:
        return ""
    inverse = np.linalg.inv(matrix)  # columns: the pixel steps towards east, north

    def arrow(step: npt.NDArray[np.float64]) -> str:
        angle = np.arctan2(step[1], step[0])
        return _ARROWS[int(np.rint(angle / (np.pi / 4))) % 8]

    return f"N{arrow(inverse[:, 1])} E{arrow(inverse[:, 0])}"
