"""The sky level that was subtracted from a frame, at any pixel.

The frame file keeps a coarse grid ALLSKY (DN) and, for each column and row of the image, the place
in the grid: XINTERP, YINTERP. The sky is the bilinear interpolation at these places, clipped to
the grid. Bilinear interpolation on a product grid is separable: columns first, then rows.

Source: SDSS data model page "frame" (https://data.sdss.org/datamodel/).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Places:
    """Where the lines of the image lie between the lines of the grid.

    Attributes
    ----------
    below : intp array (n,)
        Grid line before each image line.
    weight : float64 array (n,)
        Weight of the grid line after it, 0 to 1.
    """

    below: npt.NDArray[np.intp]
    weight: npt.NDArray[np.float64]

    @classmethod
    def of(cls, places: npt.NDArray[Any], size: int) -> Places:
        """Clip places to a grid of `size` lines.

        Parameters
        ----------
        places : float array (n,)
            XINTERP or YINTERP, in grid lines from 0.
        size : int
            Lines of the grid.
        """
        clipped = np.clip(places.astype(np.float64), 0.0, size - 1.0)
        below = np.minimum(clipped.astype(np.intp), max(size - 2, 0))
        return cls(below, clipped - below)


def along_columns(grid: npt.NDArray[Any], places: Places) -> npt.NDArray[np.float64]:
    """Interpolate each line of the grid at the image's columns.

    Parameters
    ----------
    grid : float array (ny_grid, nx_grid)
    places : Places
        Of the image's nx columns.

    Returns
    -------
    float64 array (ny_grid, nx)
    """
    exact = grid.astype(np.float64)
    left: npt.NDArray[np.float64] = np.take(exact, places.below, axis=1)
    right: npt.NDArray[np.float64] = np.take(
        exact, np.minimum(places.below + 1, grid.shape[1] - 1), axis=1
    )
    right -= left
    right *= places.weight
    right += left
    return right


def sky_image(
    grid: npt.NDArray[Any], x: npt.NDArray[Any], y: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """Return the sky of a whole image.

    Parameters
    ----------
    grid : float array (ny_grid, nx_grid), DN
        ALLSKY.
    x, y : float array (nx,), (ny,)
        XINTERP and YINTERP of the image's columns and rows.

    Returns
    -------
    float64 array (ny, nx), DN
    """
    columns = along_columns(grid, Places.of(x, grid.shape[1]))
    rows = Places.of(y, grid.shape[0])
    after = np.minimum(rows.below + 1, grid.shape[0] - 1)
    sky: npt.NDArray[np.float64] = np.take(columns, after, axis=0)
    before = np.take(columns, rows.below, axis=0)
    sky -= before
    sky *= rows.weight[:, None]
    sky += before
    return sky
