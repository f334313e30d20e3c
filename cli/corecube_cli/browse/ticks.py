"""Round numbers along an axis."""

from __future__ import annotations

import itertools
import math


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return up to `most` round numbers in a range, in steps of 1, 2 or 5 times a power of ten.

    Parameters
    ----------
    low, high : float
        Finite; `low` < `high`.
    most : int
        At least 1 is tried.
    """
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return []
    step = _step(span, max(most, 1))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    found = [round(n * step, 12 - math.floor(math.log10(step))) for n in range(first, last + 1)]
    return found[:most] if len(found) > most else found


def _step(span: float, most: int) -> float:
    """Return the smallest round step that needs no more than `most` ticks."""
    power = 10.0 ** math.floor(math.log10(span / most))
    for factor in (1.0, 2.0, 5.0, 10.0, 20.0, 50.0):
        step: float = factor * power
        if span / step <= most:
            return step
    return span


def labels(values: list[float]) -> list[str]:
    """Return the texts of ticks, with the decimals that their step needs.

    Very large and very small ones are written with an exponent.
    """
    if not values:
        return []
    largest = max(abs(value) for value in values)
    step = min((b - a for a, b in itertools.pairwise(values)), default=largest)
    if largest == 0:
        return ["0"] * len(values)
    if largest >= 1e6 or largest < 1e-3:
        digits = max(0, math.floor(math.log10(largest)) - math.floor(math.log10(step or largest)))
        return [f"{value:.{digits}e}".replace("e+0", "e").replace("e-0", "e-") for value in values]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    return [f"{value:.{decimals}f}" for value in values]
