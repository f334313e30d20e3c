"""Positions that are asked for together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from corecube.archive.sphere import separation
from corecube.errors import QueryError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_NAMES = (("ra", "dec"), ("RA", "DEC"), ("RA", "Dec"), ("_RAJ2000", "_DEJ2000"))
"""Columns of tables, ICRS degrees."""


@dataclass(frozen=True, eq=False)
class Targets:
    """Positions, and the radius around each.

    Attributes
    ----------
    ra, dec : ndarray of float64, shape (m,)
        ICRS degrees.
    radius : ndarray of float64, shape (m,)
        Degrees, 0 to 180.

    Raises
    ------
    QueryError
        If the shapes differ, or a value is not in its range; the first such row is named.
    """

    ra: FloatArray
    dec: FloatArray
    radius: FloatArray

    def __post_init__(self) -> None:
        """Check."""
        if self.ra.ndim != 1 or self.ra.shape != self.dec.shape:
            raise QueryError(
                f"positions are two columns of one length; RA has the shape {self.ra.shape}, "
                f"declination {self.dec.shape}"
            )
        for what, bad in (
            ("RA is not finite", ~np.isfinite(self.ra)),
            ("declination is not between -90 and 90 degrees", ~(np.abs(self.dec) <= 90.0)),
            ("radius is not between 0 and 180 degrees",
             ~((self.radius >= 0.0) & (self.radius <= 180.0))),
        ):  # fmt: skip
            if bad.any():
                raise QueryError(
                    f"the {what} in {np.count_nonzero(bad)} of {len(bad)} positions, first in row "
                    f"{int(np.argmax(bad))} (from 0)"
                )

    def __len__(self) -> int:
        """Return the number of positions."""
        return len(self.ra)

    @classmethod
    def of(cls, positions: Any, radius: float | npt.ArrayLike) -> Targets:
        """Return the targets that a table or a pair of columns means.

        Parameters
        ----------
        positions : table, SkyCoord, or (ra, dec)
            A table has columns ``ra`` and ``dec`` in ICRS degrees (or ``RA`` and ``DEC``, or
            columns with a unit that astropy converts); a pair holds two arrays of degrees.
        radius : float or array_like of float, shape (m,)
            Degrees.

        Raises
        ------
        QueryError
            If it is nothing of this, or a position is not one.
        """
        ra, dec = _columns(positions)
        a, d = (np.atleast_1d(_degrees(part)) for part in (ra, dec))
        return cls(a, d, np.broadcast_to(np.asarray(radius, dtype=np.float64), a.shape))

    def place(self, number: int) -> tuple[float, float]:
        """Return RA and Dec of one position."""
        return float(self.ra[number]), float(self.dec[number])

    def separation(self, target: IntArray, ra: FloatArray, dec: FloatArray) -> FloatArray:
        """Return the distances in arcsec of positions from their targets."""
        return np.asarray(separation(ra, dec, self.ra[target], self.dec[target]) * 3600.0)


def _columns(positions: Any) -> tuple[Any, Any]:
    icrs = getattr(positions, "icrs", None)
    if icrs is not None:  # a SkyCoord
        return icrs.ra.deg, icrs.dec.deg
    if isinstance(positions, tuple | list) and len(positions) == 2:
        return positions[0], positions[1]
    there = getattr(positions, "colnames", None) or getattr(positions, "names", None)
    if there is None and isinstance(positions, np.ndarray):
        there = positions.dtype.names
    if isinstance(positions, np.ndarray) and positions.ndim == 2 and positions.shape[1] == 2:
        return positions[:, 0], positions[:, 1]
    if there is None and hasattr(positions, "keys"):
        there = list(positions.keys())
    for ra, dec in _NAMES:
        if there is not None and ra in there and dec in there:
            return positions[ra], positions[dec]
    raise QueryError(
        "positions are a table with the columns 'ra' and 'dec' in degrees, a SkyCoord, or a pair "
        f"(ra, dec); this is {type(positions).__name__}"
        + (f" with {', '.join(map(str, there))}" if there else "")
    )


def _degrees(column: Any) -> FloatArray:
    """Return a column in degrees; masked and missing values become NaN."""
    values = getattr(column, "values", column)  # of a Field
    missing = getattr(column, "missing", None)
    if isinstance(values, np.ma.MaskedArray):
        missing, values = np.ma.getmaskarray(values), values.data
    unit = getattr(column, "unit", None)
    if unit is not None and str(unit) not in ("", "deg", "degree"):
        from astropy.units import Quantity, UnitConversionError

        try:
            values = Quantity(values, unit).to_value("deg")
        except UnitConversionError as error:
            raise QueryError(f"positions are angles; this column is in {unit}") from error
    try:
        found = np.array(getattr(values, "value", values), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise QueryError("positions are numbers in degrees; this column holds text") from error
    if missing is not None:
        found[missing] = np.nan
    return found
