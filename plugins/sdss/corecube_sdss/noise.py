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

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood
from corecube.masks import MaskArray, value
from corecube.recipes import STRIPE, Recipe, counts_error
from corecube_sdss.frames import FILTERS, Field

RECIPE: Final = Recipe(
    "counts 1",
    {
        "scale": "flux_per_dn", "sky": "sky", "sky_x": "sky_x", "sky_y": "sky_y", "gain": "gain",
        "dark_variance": "dark_variance",
    },
)  # fmt: skip
"""The error as the core's formula, with the calibration arrays of an image."""

Floats = npt.NDArray[np.float64]
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
"""What the formula leaves out; the last not where each amplifier has values of its own."""


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
    each : tuple of (float, float)
        Gain and dark variance of the amplifiers of columns 0 to 1023 and of the others, to be used
        in place of the values for the whole chip; empty if there are none.
    """

    gain: float
    dark_variance: float
    source: str
    note: str = ""
    each: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if not (0 < self.gain < np.inf and 0 <= self.dark_variance < np.inf):
            raise FileNotUnderstood(
                f"{self.source}: gain {self.gain} or dark variance {self.dark_variance} cannot be; "
                "leave this file out and the table is used"
            )

    def noted(self, note: str) -> Electronics:
        """Return the same with one more note."""
        return replace(self, note="; ".join(filter(None, (self.note, note))))


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
    gain : float, or float64 array (nx,)
        Electrons per DN; an array if each half of the columns has an amplifier of its own.
    dark_variance : float, or float64 array (nx,)
        DN^2.
    """

    flux_per_dn: npt.NDArray[Any]
    sky: npt.NDArray[Any]
    sky_x: npt.NDArray[Any]
    sky_y: npt.NDArray[Any]
    gain: float | Floats
    dark_variance: float | Floats

    def halves(self) -> tuple[slice, ...]:
        """Return the columns of each amplifier, all of them if there is one value for the chip."""
        size = len(self.flux_per_dn)
        if isinstance(self.gain, float):
            return (slice(0, size),)
        return slice(0, size // 2), slice(size // 2, size)

    def of_half(self, half: slice) -> tuple[float, float]:
        """Return gain and dark variance of the columns of an amplifier."""
        gain, dark = (
            value if isinstance(value, float) else float(value[half.start])
            for value in (self.gain, self.dark_variance)
        )
        return gain, dark


def error_image(
    image: npt.NDArray[np.float32], inputs: NoiseInputs
) -> tuple[npt.NDArray[np.float32], list[tuple[slice, MaskArray]]]:
    """Return the 1-sigma error of each pixel, by the core's formula ``counts 1``.

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
    given = {
        "scale": inputs.flux_per_dn, "sky": inputs.sky, "sky_x": inputs.sky_x,
        "sky_y": inputs.sky_y,
    }  # fmt: skip
    parts = []
    for half in inputs.halves():
        gain, dark = inputs.of_half(half)
        both = {"gain": np.array(gain), "dark_variance": np.array(dark)}
        span = (half.start, half.stop)
        parts.append(counts_error(image[:, half], given | both, (0, len(image)), span))
    error = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    planes = []
    for first in range(0, len(image), STRIPE):
        stripe = slice(first, min(first + STRIPE, len(image)))
        if np.isnan(error[stripe].min()):
            planes.append((stripe, _exceptions(image[stripe], error[stripe])))
    return error, planes


def _exceptions(flux: npt.NDArray[np.float32], error: npt.NDArray[np.float32]) -> MaskArray:
    """Return the planes that say why an error is no number."""
    lost = ~np.isfinite(flux)
    mask = np.zeros(flux.shape, np.uint32)
    mask[np.isnan(error)] = value("negative_variance", "no_error")
    mask[lost] = value("no_data", "no_error")
    return mask
