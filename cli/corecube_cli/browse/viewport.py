"""Which part of an image is on the screen, and at which scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from corecube_cli.browse.images import Region

_LARGEST: Final = -4
"""A pixel of the image is 16 x 16 of the screen at most."""
_SMALLEST: Final = 31
"""Blocks of 2**16 pixels."""
_THIN: Final = 8
"""Pixels of the screen that an image is wide and high when it is opened, if it has so many."""


def block_size(zoom: int) -> int:
    """Return the pixels along the side of a block: 1, 2, 3, 4, 6, 8, 12 ... for zoom 0, 1, 2 ...

    Powers of two are levels of the pyramid; three halves of them let whole images fill more of
    the screen.
    """
    if zoom <= 0:
        return 1
    return 1 << ((zoom + 1) // 2) if zoom % 2 else 3 << (zoom // 2 - 1)


@dataclass
class Viewport:
    """A window on an image; a cell of the terminal is one pixel wide and two high.

    Attributes
    ----------
    shape : (int, int)
        (ny, nx) of the image.
    zoom : int
        A pixel of the screen is a block of `block_size` pixels; below zero, a pixel of the image
        is 2**-zoom pixels of the screen.
    x, y : float
        The pixel of the image in the middle, 0-based.
    """

    shape: tuple[int, int]
    zoom: int = 0
    x: float = 0.0
    y: float = 0.0

    @property
    def step(self) -> int:
        """Pixels of the image that a pixel of the screen is at least."""
        return block_size(self.zoom)

    @property
    def scale(self) -> str:
        """How large the image is on the screen."""
        return f"1:{self.step}" if self.zoom >= 0 else f"{1 << -self.zoom}:1"

    @property
    def _factor(self) -> float:
        """Pixels of the screen for one of the image."""
        return 1 / self.step if self.zoom >= 0 else float(1 << -self.zoom)

    def fit(self, columns: int, lines: int) -> None:
        """Show the whole image, as large as it fits."""
        ny, nx = self.shape
        self.x, self.y = (nx - 1) / 2, (ny - 1) / 2
        self.zoom = _LARGEST
        while self.zoom < _SMALLEST and not self.whole(columns, lines):
            self.zoom += 1

    def thicken(self) -> None:
        """Zoom in on an image of which the whole is but a thin line, as of a long slit."""
        while self.zoom > 0 and min(self.shape) < _THIN * self.step:
            self.zoom -= 1

    def whole(self, columns: int, lines: int) -> bool:
        """Say whether the whole image fits at this zoom."""
        return all(
            -(-size // self.step) <= room if self.zoom >= 0 else size << -self.zoom <= room
            for size, room in zip(self.shape, (2 * lines, columns), strict=True)
        )

    def _origin(self, columns: int, lines: int) -> tuple[int, int]:
        """Return the screen pixel of the lower left corner; (0, 0) is that of pixel (0, 0)."""
        factor = self._factor
        return (
            int(np.floor((self.x + 0.5) * factor)) - columns // 2,
            int(np.floor((self.y + 0.5) * factor)) - lines,
        )

    def blocks(
        self, columns: int, lines: int, margin: float = 0.0
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the rows and columns of blocks on the screen, within the image.

        Parameters
        ----------
        columns, lines : int
            Cells.
        margin : float
            Part of the screen that is added at each side.
        """
        left, bottom = self._origin(columns, lines)
        spans = []
        for first, length, size in (
            (bottom, 2 * lines, self.shape[0]), (left, columns, self.shape[1])
        ):  # fmt: skip
            extra = int(length * margin)
            low, high = first - extra, first + length + extra
            if self.zoom < 0:
                low, high = low >> -self.zoom, -(-high >> -self.zoom)
            count = -(-size // self.step)
            low = max(0, min(low, count - 1))
            spans.append((low, max(low + 1, min(high, count))))
        return spans[0], spans[1]

    def pick(
        self, region: Region, columns: int, lines: int
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return the pixels of the screen, row 0 at the bottom.

        A region of another zoom is scaled by repeating or leaving out: it is shown until the
        right one comes.

        Returns
        -------
        values : float array (2 lines, columns)
        inside, masked : bool arrays
            Whether there is a pixel, and whether it is masked.
        """
        left, bottom = self._origin(columns, lines)
        size = block_size(region.zoom)
        found = []
        for first, length, span in (
            (bottom, 2 * lines, region.rows), (left, columns, region.columns)
        ):  # fmt: skip
            place = np.arange(first, first + length)
            pixel = place * self.step + self.step // 2 if self.zoom >= 0 else place >> -self.zoom
            place = pixel // size
            found.append((place - span[0], (place >= span[0]) & (place < span[1])))
        (rows, rows_in), (cols, cols_in) = found
        inside = rows_in[:, None] & cols_in
        key = np.ix_(np.where(rows_in, rows, 0), np.where(cols_in, cols, 0))
        values = np.where(inside, region.values[key], np.nan)
        return values, inside, inside & region.masked[key]

    def cell_of(self, x: int, y: int, columns: int, lines: int) -> tuple[int, int]:
        """Return column and row, counted in pixels of the screen from below, of a pixel."""
        left, bottom = self._origin(columns, lines)
        if self.zoom >= 0:
            return x // self.step - left, y // self.step - bottom
        half = (1 << -self.zoom) // 2  # as in `_origin`: the middle of a window is on the screen
        return (x << -self.zoom) + half - left, (y << -self.zoom) + half - bottom

    def pixel_of(self, column: int, line: int, columns: int, lines: int) -> tuple[int, int]:
        """Return the pixel in the middle of a cell."""
        left, bottom = self._origin(columns, lines)
        across, up = left + column, bottom + 2 * (lines - 1 - line)
        if self.zoom < 0:
            return across >> -self.zoom, up >> -self.zoom
        half = self.step // 2
        return tuple(  # type: ignore[return-value]
            min(part * self.step + half, size - 1) if part >= 0 else -1
            for part, size in ((across, self.shape[1]), (up, self.shape[0]))
        )

    def follow(self, x: int, y: int, columns: int, lines: int) -> bool:
        """Move the window if a pixel is not on the screen; say whether it was."""
        column, row = self.cell_of(x, y, columns, lines)
        moved = False
        if not 1 <= column < columns - 1:
            self.x, moved = float(x), True
        if not 0 <= row < 2 * lines:
            self.y, moved = float(y), True
        return moved

    def zoom_by(self, way: int, x: int, y: int, columns: int, lines: int) -> bool:
        """Zoom in (-1) or out (1) to the next power of two; a pixel stays where it is.

        Says whether it went.
        """
        zoom = self.zoom + way
        if zoom > 1 and zoom % 2 == 0:
            zoom += way
        if zoom < _LARGEST or (zoom > 0 and max(self.shape) < block_size(zoom)):
            return False
        factor = self._factor
        self.zoom = zoom
        factor /= self._factor
        self.x, self.y = x + (self.x - x) * factor, y + (self.y - y) * factor
        self.follow(x, y, columns, lines)
        return True
