"""Recipes: formulas by which an archive makes an error again, bit for bit, in place of storing it.

An instrument names the recipe of an image's error in `corecube.frames.Image.recipe`. An archive of
the profile ``small`` computes it at ingest and compares all bits with the error that was handed
over; only if they are the same the error is not stored, and made again when it is read.

Each formula has a number that steps when its bits would change; old numbers stay. A formula
consists of sums, differences, products, quotients and square roots, each rounded as IEEE 754 says,
so that a part of an image, another machine or another program gets the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FrameError

Span = tuple[int, int]
Float32 = npt.NDArray[np.float32]
Inputs = Mapping[str, npt.NDArray[Any]]

STRIPE: Final = 64
"""Rows worked on at a time, so that they stay in the processor's cache."""


@dataclass(frozen=True)
class Recipe:
    """How the error of an image follows from its flux.

    Attributes
    ----------
    formula : str
        One of `FORMULAS`, name and number.
    inputs : mapping of str to str
        For each input of the formula the name of a calibration array of the image.
    """

    formula: str
    inputs: Mapping[str, str]

    def __post_init__(self) -> None:
        known = FORMULAS.get(self.formula)
        if known is None:
            raise FrameError(
                f"there is no recipe '{self.formula}'; there are: {', '.join(FORMULAS)}; "
                "another version of corecube may know it"
            )
        if set(self.inputs) != set(known.inputs):
            raise FrameError(
                f"the recipe '{self.formula}' takes {', '.join(known.inputs)}, not "
                f"{', '.join(self.inputs)}"
            )

    def apply(
        self, flux: npt.NDArray[Any], arrays: Inputs, rows: Span, columns: Span
    ) -> npt.NDArray[np.float32]:
        """Return the error of a part of an image.

        Parameters
        ----------
        flux : float32 array (rows, columns)
            Of the part.
        arrays : mapping of str to array
            Calibration arrays of the whole image, by name.
        rows, columns : (int, int)
            First and end of the part in the image.

        Raises
        ------
        FrameError
            If the arrays are missing or do not fit the formula.
        """
        try:
            inputs = {name: np.asarray(arrays[array]) for name, array in self.inputs.items()}
            with np.errstate(all="ignore"):
                return FORMULAS[self.formula].compute(flux, inputs, rows, columns)
        except (KeyError, IndexError, ValueError, TypeError, MemoryError) as error:
            raise FrameError(
                f"the recipe '{self.formula}' cannot be computed: {type(error).__name__}: {error}"
            ) from error

    def gives(self, flux: npt.NDArray[Any], arrays: Inputs, error: npt.NDArray[Any]) -> bool:
        """Tell whether a whole image's error comes out of the recipe, bit for bit."""
        if not flux.dtype == error.dtype == np.float32 or flux.ndim != 2 or not flux.size:
            return False
        try:
            made = self.apply(flux, arrays, (0, flux.shape[0]), (0, flux.shape[1]))
        except FrameError:
            return False
        return made.shape == error.shape and bool(
            np.array_equal(made.view(np.uint32), np.ascontiguousarray(error).view(np.uint32))
        )


@dataclass(frozen=True)
class Formula:
    """A formula with the names of its inputs."""

    inputs: tuple[str, ...]
    compute: Callable[[Float32, Inputs, Span, Span], Float32]


@dataclass(frozen=True)
class Places:
    """Where the lines of an image lie between the lines of a coarse grid.

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
            In grid lines from 0.
        size : int
            Lines of the grid.
        """
        clipped = np.clip(places.astype(np.float64), 0.0, size - 1.0)
        below = np.minimum(clipped.astype(np.intp), max(size - 2, 0))
        return cls(below, clipped - below)


def along_columns(grid: npt.NDArray[Any], places: Places) -> npt.NDArray[np.float64]:
    """Interpolate each line of a grid at the image's columns.

    Parameters
    ----------
    grid : float array (ny_grid, nx_grid)
    places : Places
        Of nx columns.

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


def counts_error(flux: Float32, inputs: Inputs, rows: Span, columns: Span) -> Float32:
    """Return the error of a flux that is calibrated counts less a sky: the formula ``counts 1``.

    With the flux I, c flux per count of a column, S the sky in counts, g the gain (electrons per
    count) and d the dark variance (counts^2): the counts were I / c + S, their variance
    (I / c + S) / g + d, for electrons are Poisson distributed, and so

        error^2 = I c / g + c^2 (S / g + d).

    What depends on the column alone is made in float64 for the few rows of the sky grid and rounded
    to float32; each row of the image mixes two of these rows. docs/format.md has every step.

    Parameters
    ----------
    flux : float32 array, of the part `rows`, `columns` of the image
    inputs : mapping
        ``scale`` c (nx,); ``sky`` S (ny_grid, nx_grid); ``sky_x`` (nx,) and ``sky_y`` (ny,), the
        places of columns and rows in the grid; the numbers ``gain`` and ``dark_variance``.
    rows, columns : (int, int)

    Returns
    -------
    float32 array, of the flux's shape
        NaN where the variance is not positive or the flux is not finite. Else within 5e-7 of the
        same formula in float64.
    """
    sky = inputs["sky"]
    gain, dark = float(inputs["gain"]), float(inputs["dark_variance"])
    factor = inputs["scale"][slice(*columns)].astype(np.float64)
    across = Places.of(inputs["sky_x"][slice(*columns)], sky.shape[1])
    down = Places.of(inputs["sky_y"][slice(*rows)], sky.shape[0])
    if flux.shape != (len(down.below), len(across.below)) or flux.shape[1] != len(factor):
        raise ValueError(f"flux {flux.shape} and inputs differ in shape")
    if not flux.size:
        return np.empty(flux.shape, np.float32)
    # of the grid only the rows that this part lies between
    first = int(down.below.min())
    below = down.below - first
    base = along_columns(sky[first : int(down.below.max()) + 2], across)
    base /= gain
    base += dark
    base *= factor * factor
    step = np.zeros_like(base)
    np.subtract(base[1:], base[:-1], out=step[:-1])
    base32, step32 = base.astype(np.float32), step.astype(np.float32)
    slope = (factor / gain).astype(np.float32)
    weight = down.weight.astype(np.float32)[:, None]
    error = np.empty(flux.shape, np.float32)
    part = np.empty((min(STRIPE, flux.shape[0]), flux.shape[1]), np.float32)
    for top in range(0, flux.shape[0], STRIPE):
        lines = slice(top, top + STRIPE)
        between, counted, out = below[lines], flux[lines], error[lines]
        mixed = part[: len(between)]
        np.take(step32, between, axis=0, out=mixed, mode="clip")
        mixed *= weight[lines]
        np.multiply(counted, slope, out=out)
        out += mixed
        np.take(base32, between, axis=0, out=mixed, mode="clip")
        out += mixed
        # A NaN makes the minimum NaN and an infinity the maximum infinite: two quick looks.
        if not (out.min() > 0 and out.max() < np.inf):
            out[~((out > 0) & np.isfinite(counted))] = np.nan
        np.sqrt(out, out=out)
    return error


FORMULAS: Final[Mapping[str, Formula]] = {
    "counts 1": Formula(("scale", "sky", "sky_x", "sky_y", "gain", "dark_variance"), counts_error)
}
