"""Cutouts: a square of pixels around a position, NaN where the image does not reach."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from corecube import wcs
from corecube.archive.shotfile import StoredShot, shifted
from corecube.errors import QueryError
from corecube.frames import Bits, Image
from corecube.masks import value
from corecube.times import Times

_OUTSIDE = np.uint32(value("outside", "no_error"))


@dataclass(frozen=True)
class Window:
    """A square of pixels and the part of it that lies in the image.

    Attributes
    ----------
    x0, y0 : int
        The image's pixel at the square's lower left corner; may be negative.
    size : int
    rows, columns : (int, int)
        Of the image, clipped to it; empty if the square lies outside.
    """

    x0: int
    y0: int
    size: int
    rows: tuple[int, int]
    columns: tuple[int, int]

    @property
    def pixels(self) -> int:
        """Number of pixels that lie in the image."""
        height, width = self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]
        return max(height, 0) * max(width, 0)

    @property
    def coverage(self) -> float:
        """Part of the square that lies in the image, 0 to 1."""
        return self.pixels / self.size**2


def window(x: float, y: float, size: int, shape: tuple[int, int]) -> Window | None:
    """Return the square of `size` pixels whose middle is nearest to pixel (x, y).

    Its lower left corner is floor(x + 0.5) - size // 2, likewise in y.

    Parameters
    ----------
    x, y : float
        0-based; NaN (the other hemisphere) gives None.
    size : int
    shape : (int, int)
        (ny, nx) of the image.
    """
    if not (np.isfinite(x) and np.isfinite(y) and abs(x) < 2**31 and abs(y) < 2**31):
        return None
    x0 = int(np.floor(x + 0.5)) - size // 2
    y0 = int(np.floor(y + 0.5)) - size // 2
    ny, nx = shape
    rows = (max(0, y0), min(ny, y0 + size))
    columns = (max(0, x0), min(nx, x0 + size))
    return Window(x0, y0, size, rows, columns)


def pixel_of(cards: Any, ra: float, dec: float) -> tuple[float, float]:
    """Return the 0-based pixel (x, y) of a position."""
    x, y = wcs.to_pixel(cards, ra, dec)
    return float(x), float(y)


def cut(shot: StoredShot, name: str, ra: float, dec: float, size: int) -> tuple[Image, Window]:
    """Read a cutout; only the chunks that it touches are read.

    Parameters
    ----------
    shot : StoredShot
    name : str
        Of the image.
    ra, dec : float, degrees
    size : int
        Pixels along each side.

    Returns
    -------
    image : Image
        (size, size); outside of the image flux and error are NaN and the planes ``outside`` and
        ``no_error`` are set; its WCS is that of the cutout.
    window : Window

    Raises
    ------
    QueryError
        If the image has no WCS, `size` is not between 1 and 20000, or the square does not touch
        the image.
    """
    if not 1 <= size <= 20000:
        raise QueryError(f"a cutout of {size} pixels is not possible; use 1 to 20000")
    about = shot.description["images"].get(name)
    if about is None or about["cards"] is None:
        raise QueryError(f"{shot.identity}/{name} is no image with a WCS; it has no cutouts")
    ny, nx = about["shape"]
    place = window(*pixel_of(about["cards"], ra, dec), size, (ny, nx))
    if place is None or place.pixels == 0:
        raise QueryError(f"{shot.identity}/{name} has no pixel within {size} pixels of there")
    part = shot.part(name, place.rows, place.columns)
    assert part.error is not None and part.mask is not None
    bits = {
        key: Bits(_padded(plane.values, place, 0), plane.planes)
        for key, plane in part.bits.items()
    }  # fmt: skip
    return (
        replace(
            part,
            flux=_padded(part.flux, place, np.nan),
            error=_padded(part.error, place, np.nan),
            mask=_padded(part.mask, place, _OUTSIDE),
            bits=bits,
            times=_timed(part.times, place),
            cards=shifted(about["cards"], place.x0, place.y0),
            footprint=None,
            recipe=None,
        ),
        place,
    )


def _timed(times: Times, place: Window) -> Times:
    """Return times per row with NaN for the rows outside of the image."""
    if np.ndim(times.start) == 0:
        return times
    pad = (place.rows[0] - place.y0, place.y0 + place.size - place.rows[1])
    start, end = (np.pad(part, pad, constant_values=np.nan) for part in (times.start, times.end))
    return Times(start, end, times.quality)


def _padded(values: npt.NDArray[Any], place: Window, fill: Any) -> npt.NDArray[Any]:
    if values.shape == (place.size, place.size):
        return values
    full = np.full((place.size, place.size), fill, dtype=values.dtype)
    top, left = place.rows[0] - place.y0, place.columns[0] - place.x0
    full[top : top + values.shape[0], left : left + values.shape[1]] = values
    return full
