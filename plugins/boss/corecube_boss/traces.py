"""Trace sets in binary tables.

A table of one row: FUNC, XMIN, XMAX, COEFF (trace, coefficient), and for red cameras with a
two-phase read-out XJUMPLO, XJUMPHI, XJUMPVAL. Source: idlutils, ``pro/trace/traceset2xy.pro``.
"""

from __future__ import annotations

from typing import cast, get_args

import numpy as np

from corecube.errors import FileNotUnderstood
from corecube.fits import BinTable
from corecube.tracesets import Function, TraceSet

_JUMP = ("XJUMPLO", "XJUMPHI", "XJUMPVAL")


def trace_set(table: BinTable, where: str) -> TraceSet:
    """Read a trace set.

    Parameters
    ----------
    table : BinTable
    where : str
        File and HDU, for errors.

    Raises
    ------
    FileNotUnderstood
        If it has another function, or its coefficients are no (trace, coefficient).
    """
    function = str(table.column("FUNC")[0]).strip().lower()
    if function not in get_args(Function):
        raise FileNotUnderstood(
            f"{where}: a trace set with function '{function}', which is none of "
            f"{', '.join(get_args(Function))}; it cannot be evaluated"
        )
    xmin, xmax = (float(table.column(name)[0]) for name in ("XMIN", "XMAX"))
    coefficients = table.column("COEFF")[0].astype(np.float64)
    if coefficients.ndim == 1:  # one trace
        coefficients = coefficients[None, :]
    if coefficients.ndim != 2 or not xmax > xmin:
        raise FileNotUnderstood(
            f"{where}: a trace set with coefficients {coefficients.shape} over {xmin} to {xmax}; "
            "fetch the file again"
        )
    jump = None
    if all(name in table for name in _JUMP):
        low, high, value = (float(table.column(name)[0]) for name in _JUMP)
        jump = (low, high, value)
    return TraceSet(cast(Function, function), xmin, xmax, coefficients, jump)


def upside_down(traces: TraceSet) -> TraceSet:
    """Return the trace set of the same functions for pixels counted from the other end.

    Legendre and Chebyshev polynomials and powers of odd order change their sign with t.

    Raises
    ------
    FileNotUnderstood
        If the set has a jump, which is not symmetric.
    """
    if traces.jump is not None:
        raise FileNotUnderstood(
            "a trace set with a two-phase jump has falling wavelengths; no known detector has that"
        )
    signs = (-1.0) ** np.arange(traces.coefficients.shape[1])
    return TraceSet(traces.function, traces.xmin, traces.xmax, traces.coefficients * signs)
