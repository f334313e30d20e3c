"""Trace sets: smooth functions of the detector row, one per fibre, kept as coefficients.

The form is that of idlutils' ``traceset2xy`` (SDSS software, file ``pro/trace/traceset2xy.pro``):
a polynomial in a scaled position, with a jump where a CCD was read in two phases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from corecube.errors import FrameError

Function = Literal["legendre", "chebyshev", "poly"]


@dataclass(frozen=True)
class TraceSet:
    """Functions y(x) of a set of fibres.

    Attributes
    ----------
    function : {"legendre", "chebyshev", "poly"}
        The polynomials in t = 2 (x' - (xmin + xmax) / 2) / (xmax - xmin); ``poly`` are powers of t.
    xmin, xmax : float
        Positions that t = -1 and t = 1 stand for; t may go a little beyond.
    coefficients : float64 array (n, k)
    jump : (float, float, float) or None
        Low and high end of the rows where a two-phase read-out shifts positions, and the shift:
        x' = x + value * clip((x - low) / (high - low), 0, 1).
    """

    function: Function
    xmin: float
    xmax: float
    coefficients: npt.NDArray[np.float64]
    jump: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        if self.function not in get_args(Function):
            raise FrameError(
                f"trace set: function '{self.function}' is none of {get_args(Function)}"
            )
        if not self.xmax > self.xmin:
            raise FrameError(f"trace set: xmax {self.xmax} is not above xmin {self.xmin}")
        coefficients = np.asarray(self.coefficients, dtype=np.float64)
        if coefficients.ndim != 2 or coefficients.shape[1] < 1:
            raise FrameError(f"trace set: coefficients {coefficients.shape} are not (n, k)")
        if self.jump is not None:
            low, high, value = map(float, self.jump)
            if not high > low:
                raise FrameError(f"trace set: the jump ends at {high}, before it begins at {low}")
            object.__setattr__(self, "jump", (low, high, value))
        object.__setattr__(self, "xmin", float(self.xmin))
        object.__setattr__(self, "xmax", float(self.xmax))
        object.__setattr__(self, "coefficients", coefficients)

    @property
    def size(self) -> int:
        """Number of whole positions from xmin to xmax."""
        return int(self.xmax - self.xmin + 1)

    def evaluate(self, x: npt.ArrayLike | None = None) -> npt.NDArray[np.float64]:
        """Return y of all fibres.

        Parameters
        ----------
        x : float array (m,), optional
            Positions; all whole ones from xmin to xmax where not given.

        Returns
        -------
        float64 array (n, m)
        """
        where = np.arange(self.size) + self.xmin if x is None else np.asarray(x, dtype=np.float64)
        if self.jump is not None:
            low, high, value = self.jump
            where = where + value * np.clip((where - low) / (high - low), 0.0, 1.0)
        t = 2.0 * (where - 0.5 * (self.xmin + self.xmax)) / (self.xmax - self.xmin)
        terms = self.coefficients.shape[1] - 1
        if self.function == "legendre":
            basis = np.polynomial.legendre.legvander(t, terms)
        elif self.function == "chebyshev":
            basis = np.polynomial.chebyshev.chebvander(t, terms)
        else:
            basis = np.vander(t, terms + 1, increasing=True)
        return np.asarray(self.coefficients @ basis.T)

    def describe(self) -> dict[str, Any]:
        """Return everything but the coefficients as plain JSON."""
        return {
            "function": self.function, "xmin": self.xmin, "xmax": self.xmax,
            "jump": None if self.jump is None else list(self.jump),
        }  # fmt: skip

    def rows(self, key: slice) -> TraceSet:
        """Return the trace set of some of the fibres."""
        return TraceSet(self.function, self.xmin, self.xmax, self.coefficients[key], self.jump)
