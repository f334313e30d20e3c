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
_SMALLEST: Final = 16


@dataclass
class Viewport:
    """A window on an image; a cell of the terminal is one pixel wide and two high.

    Attributes
    ----------
    shape : (int, int)
        (ny, nx) of the image.
    zoom : int
        A pixel of the screen is a block of 2**zoom pixels; below zero, a pixel of the image is
        2**-zoom pixels of the screen.
    x, y : float
        The pixel of the image in the middle, 0-based.
    """

    shape: tuple[int, int]
    zoom: int = 0
    x: float = 0.0
    y: float = 0.0

    @property
    def scale(self) -> str:
        """What a pixel of the screen is."""
        if self.zoom > 0:
            size = 1 << self.zoom
            return f"1:{size}, means of {size} x {size}"
        return "1:1" if self.zoom == 0 else f"{1 << -self.zoom}:1"

    def fit(self, columns: int, lines: int) -> None:
        """Show the whole image, as large as it fits."""
        ny, nx = self.shape
        self.x, self.y = (nx - 1) / 2, (ny - 1) / 2
        self.zoom = _LARGEST
        while self.zoom < _SMALLEST and not self._fits(columns, 2 * lines):
            self.zoom += 1

    def _fits(self, width: int, height: int) -> bool:
        ny, nx = self.shape
        if self.zoom >= 0:
            return -(-nx >> self.zoom) <= width and -(-ny >> self.zoom) <= height
        return nx << -self.zoom <= width and ny << -self.zoom <= height

    def _origin(self, columns: int, lines: int) -> tuple[int, int]:
        """Return the screen pixel of the lower left corner; (0, 0) is that of pixel (0, 0)."""
        factor = 2.0**-self.zoom
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
            count = -(-size >> max(self.zoom, 0))
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
        shift = self.zoom - region.zoom
        found = []
        for first, length, span in (
            (bottom, 2 * lines, region.rows), (left, columns, region.columns)
        ):  # fmt: skip
            place = np.arange(first, first + length)
            place = place << shift if shift >= 0 else place >> -shift
            found.append((place - span[0], (place >= span[0]) & (place < span[1])))
        (rows, rows_in), (cols, cols_in) = found
        inside = rows_in[:, None] & cols_in
        key = np.ix_(np.where(rows_in, rows, 0), np.where(cols_in, cols, 0))
        values = np.where(inside, region.values[key], np.nan)
        return values, inside, inside & region.masked[key]

    def cell_of(self, x: int, y: int, columns: int, lines: int) -> tuple[int, int]:
        """Return column and row, counted in pixels of the screen from below, of a pixel."""
        left, bottom = self._origin(columns, lines)
        factor = 2.0**-self.zoom
        half = (factor - 1) / 2 if self.zoom < 0 else 0.0
        return int(x * factor + half) - left, int(y * factor + half) - bottom

    def pixel_of(self, column: int, line: int, columns: int, lines: int) -> tuple[int, int]:
        """Return the pixel in the middle of a cell."""
        left, bottom = self._origin(columns, lines)
        across, up = left + column, bottom + 2 * (lines - 1 - line)
        if self.zoom < 0:
            return across >> -self.zoom, up >> -self.zoom
        half = (1 << self.zoom) // 2
        return tuple(  # type: ignore[return-value]
            min((part << self.zoom) + half, size - 1) if part >= 0 else -1
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
        """Zoom in (-1) or out (1), so that a pixel stays where it is; say whether it went."""
        zoom = self.zoom + way
        ny, nx = self.shape
        if zoom < _LARGEST or (zoom > 0 and max(nx, ny) >> zoom == 0):
            return False
        factor = 2.0**way
        self.zoom = zoom
        self.x, self.y = x + (self.x - x) * factor, y + (self.y - y) * factor
        self.follow(x, y, columns, lines)
        return True
