"""Values as cells of a table: harmless, and with the digits that are stored."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.text import MISSING_TEXT, column_text, number_text, printable
from corecube_cli.formats import POSITION_DECIMALS

UNKNOWN: Final = "?"
"""What stands where a value is not known."""
_LONGEST: Final = 200
"""Characters of a text that are shown."""


def cells(values: npt.NDArray[Any], missing: Any = None) -> list[str]:
    """Return a column as texts; NaN and the value that means missing are ``--``."""
    texts = [printable(text, _LONGEST) for text in column_text(values)]
    gone = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
    if missing is not None:
        gone = gone | (values == missing)
    for place in np.flatnonzero(gone).tolist():
        texts[place] = MISSING_TEXT
    return texts


def text_cells(values: tuple[str, ...] | list[str], missing: Any = None) -> list[str]:
    """Return texts as cells; an empty one, or one that means missing, is ``--``."""
    return [MISSING_TEXT if text in ("", missing) else printable(text, _LONGEST) for text in values]


def degrees(values: npt.NDArray[np.float64]) -> list[str]:
    """Return angles with 7 decimals of a degree."""
    return [
        f"{value:.{POSITION_DECIMALS}f}" if math.isfinite(value) else MISSING_TEXT
        for value in values.tolist()
    ]


def fixed(values: npt.NDArray[np.float64], decimals: int) -> list[str]:
    """Return numbers with a fixed number of decimals."""
    return [
        f"{value:.{decimals}f}" if math.isfinite(value) else MISSING_TEXT
        for value in values.tolist()
    ]


def measured(value: Any, error: Any) -> str:
    """Return a value and its 1-sigma error with all digits of their type."""
    sigma = number_text(error) if np.isfinite(error) else UNKNOWN
    shown = number_text(value) if not np.isnan(value) else MISSING_TEXT
    return f"{shown} ± {sigma}"
