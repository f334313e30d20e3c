"""The sky level that was subtracted from a frame, at any pixel.

The frame file keeps a coarse grid ALLSKY (DN) and, for each column and row of the image, the place
in the grid: XINTERP, YINTERP. The sky is the bilinear interpolation at these places, clipped to
the grid. Bilinear interpolation on a product grid is separable: columns first, then rows.

Source: SDSS data model page "frame" (https://data.sdss.org/datamodel/).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from corecube.recipes import Places, along_columns


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
