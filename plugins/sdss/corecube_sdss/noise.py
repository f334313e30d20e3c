"""The error of each pixel of a frame, from the noise model of the SDSS data model.

With the image I (nanomaggies), c the nanomaggies per DN of its column, S the sky level (DN), g the
gain (electrons per DN) and d the dark variance (DN^2):

    DN = I / c + S,    variance of DN = DN / g + d,    error = c * sqrt(variance of DN).

Electrons are Poisson distributed, so var(DN) = DN / g; the sky is added before, since its photons
make noise though it was subtracted.

Source: SDSS data model page "frame" (https://data.sdss.org/datamodel/), which has the formula and
both tables. It says ">1100" and "<1100" and leaves the threshold itself open; here the threshold
run takes the later value. No such run was ever released.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood
from corecube.masks import MaskArray, value
from corecube_sdss.frames import FILTERS, Field
from corecube_sdss.sky import Places, along_columns

STRIPE: Final = 64
"""Rows worked on at a time, so that they stay in the processor's cache."""

Row = tuple[float, float, float, float, float]

GAIN: Final[dict[int, tuple[tuple[int, Row], ...]]] = {
    1: ((0, (1.62, 3.32, 4.71, 5.165, 4.745)),),
    2: (
        (0, (1.595, 3.855, 4.6, 6.565, 5.155)),
        (1100, (1.825, 3.855, 4.6, 6.565, 5.155)),
    ),
    3: ((0, (1.59, 3.845, 4.72, 4.86, 4.885)),),
    4: ((0, (1.6, 3.995, 4.76, 4.885, 4.775)),),
    5: ((0, (1.47, 4.05, 4.725, 4.64, 3.48)),),
    6: ((0, (2.17, 4.035, 4.895, 4.76, 4.69)),),
}
"""Gain in electrons per DN, by camcol; from a run on; for u, g, r, i, z."""

DARK_VARIANCE: Final[dict[int, tuple[tuple[int, Row], ...]]] = {
    1: ((0, (9.61, 15.6025, 1.8225, 7.84, 0.81)),),
    2: (
        (0, (12.6025, 1.44, 1.0, 5.76, 1.0)),
        (1500, (12.6025, 1.44, 1.0, 6.25, 1.0)),
    ),
    3: ((0, (8.7025, 1.3225, 1.3225, 4.6225, 1.0)),),
    4: (
        (0, (12.6025, 1.96, 1.3225, 6.25, 9.61)),
        (1500, (12.6025, 1.96, 1.3225, 7.5625, 12.6025)),
    ),
    5: (
        (0, (9.3025, 1.1025, 0.81, 7.84, 1.8225)),
        (1500, (9.3025, 1.1025, 0.81, 7.84, 2.1025)),
    ),
    6: ((0, (7.0225, 1.8225, 0.9025, 5.0625, 1.21)),),
}
"""Dark variance in DN^2 (read noise and dark current), by camcol; from a run on; u, g, r, i, z."""

NOT_MODELLED: Final = (
    "noise of the sky estimate and of the flat field",
    "calibration error, common to the whole frame",
    "rounding of counts to integers with a random dither, 0.17 to 0.19 DN^2",
    "two amplifiers with different gains in some chips",
)
"""What the formula leaves out. The gain of the table is the mean of both amplifiers."""


@dataclass(frozen=True)
class Electronics:
    """Gain and dark variance of one frame, and where they come from.

    Attributes
    ----------
    gain : float
        Electrons per DN.
    dark_variance : float
        DN^2.
    source : str
        ``psField``, ``photoField`` or ``table``.
    note : str
        A doubt about the values, "" for none.
    """

    gain: float
    dark_variance: float
    source: str
    note: str = ""

    def __post_init__(self) -> None:
        if not (0 < self.gain < np.inf and 0 <= self.dark_variance < np.inf):
            raise FileNotUnderstood(
                f"{self.source}: gain {self.gain} or dark variance {self.dark_variance} cannot be; "
                "leave this file out and the table is used"
            )


def from_table(field: Field) -> Electronics:
    """Return gain and dark variance from the tables of the data model page.

    Parameters
    ----------
    field : Field
        With its band.

    Raises
    ------
    FileNotUnderstood
        If there is no such camera column.
    """
    if field.camcol not in GAIN:
        raise FileNotUnderstood(f"there is no camera column {field.camcol}, they go from 1 to 6")
    band = FILTERS.index(field.band)
    doubtful = field.camcol == 2 and field.band == "i" and field.run >= 1100
    return Electronics(
        gain=_since(GAIN[field.camcol], field.run)[band],
        dark_variance=_since(DARK_VARIANCE[field.camcol], field.run)[band],
        source="table",
        # 5.195 also is what the pixels' noise says; when it changed is not known.
        note="gain uncertain: 6.565 in the table, 5.195 in run 2583" if doubtful else "",
    )


def _since(rows: tuple[tuple[int, Row], ...], run: int) -> Row:
    return [row for first, row in rows if run >= first][-1]


@dataclass(frozen=True)
class NoiseInputs:
    """What the noise model needs beside the image.

    Attributes
    ----------
    flux_per_dn : float array (nx,), nanomaggies per DN
    sky : float array (ny_grid, nx_grid), DN
    sky_x, sky_y : float array (nx,), (ny,)
    gain : float
        Electrons per DN.
    dark_variance : float
        DN^2.
    """

    flux_per_dn: npt.NDArray[Any]
    sky: npt.NDArray[Any]
    sky_x: npt.NDArray[Any]
    sky_y: npt.NDArray[Any]
    gain: float
    dark_variance: float


def error_image(
    image: npt.NDArray[np.float32], inputs: NoiseInputs
) -> tuple[npt.NDArray[np.float32], list[tuple[slice, MaskArray]]]:
    """Return the 1-sigma error of each pixel.

    Parameters
    ----------
    image : float32 array (ny, nx), nanomaggies
    inputs : NoiseInputs

    Returns
    -------
    error : float32 array (ny, nx), nanomaggies
        NaN where the variance is not positive or the image is no number. Otherwise within 5e-7
        of the same formula in float64.
    planes : list of (slice of rows, uint32 array)
        Mask planes of the stripes that have such pixels: ``negative_variance`` or ``no_data``,
        each with ``no_error``. Empty for nearly all frames.
    """
    rows, columns = image.shape
    factor = inputs.flux_per_dn.astype(np.float64)
    # error^2 = I * (c / g) + c^2 * (S / g + d): what depends on the column alone is done once, for
    # the few rows of the sky grid; each row of the image then mixes two of these.
    base = along_columns(inputs.sky, Places.of(inputs.sky_x, inputs.sky.shape[1]))
    base /= inputs.gain
    base += inputs.dark_variance
    base *= factor * factor
    step = np.zeros_like(base)
    np.subtract(base[1:], base[:-1], out=step[:-1])
    base32, step32 = base.astype(np.float32), step.astype(np.float32)
    slope = (factor / inputs.gain).astype(np.float32)
    lines = Places.of(inputs.sky_y, inputs.sky.shape[0])
    weight = lines.weight.astype(np.float32)[:, None]
    error = np.empty((rows, columns), np.float32)
    part = np.empty((min(STRIPE, rows), columns), np.float32)
    planes = []
    for first in range(0, rows, STRIPE):
        stripe = slice(first, min(first + STRIPE, rows))
        below = lines.below[stripe]
        flux, out = image[stripe], error[stripe]
        mixed = part[: len(below)]
        np.take(step32, below, axis=0, out=mixed, mode="clip")
        mixed *= weight[stripe]
        np.multiply(flux, slope, out=out)
        out += mixed
        np.take(base32, below, axis=0, out=mixed, mode="clip")
        out += mixed
        # A NaN makes the minimum NaN and an infinity the maximum infinite: two quick looks.
        if not (out.min() > 0 and out.max() < np.inf):
            planes.append((stripe, _exceptions(flux, out)))
        np.sqrt(out, out=out)
    return error, planes


def _exceptions(flux: npt.NDArray[np.float32], variance: npt.NDArray[np.float32]) -> MaskArray:
    """Set impossible variances to NaN and return the planes that say why."""
    lost = ~np.isfinite(flux)
    negative = ~lost & ~(variance > 0)
    variance[lost | negative] = np.nan
    mask = np.zeros(flux.shape, np.uint32)
    mask[lost] = value("no_data", "no_error")
    mask[negative] = value("negative_variance", "no_error")
    return mask
