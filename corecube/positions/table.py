"""The positions of a file, and the rows that have none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from corecube.tabular import Rows
from corecube.text import printable


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row that holds no position.

    Parameters
    ----------
    place : str
        ``file:line``, or ``file:row n`` where the format has no lines.
    row : int
        Number of the row, the first row of data is 1.
    reason : str
        One line.
    """

    place: str
    row: int
    reason: str

    def __str__(self) -> str:
        """Return one line for the user."""
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True, eq=False)
class PositionTable:
    """The positions of a file, and the user's other columns.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        ICRS degrees.
    row : ndarray of int64, shape (n,)
        Number of the row in the file; the first row of data is 1.
    line : ndarray of int64, shape (n,)
        Number of the line in the file, 0 where the format has no lines.
    names : ndarray of text, shape (n,)
        From the column `name_column`; empty where there is none.
    columns : Rows
        The other columns of the file, n rows. ``meta["left_out"]`` names those that cannot be
        kept.
    problems : tuple of RowProblem
        Rows that were skipped.
    ra_column, dec_column, name_column : str
        Which columns were taken; empty if the file has no header.
    source : str
        Name of the file for messages.
    """

    ra: npt.NDArray[np.float64]
    dec: npt.NDArray[np.float64]
    row: npt.NDArray[np.int64]
    line: npt.NDArray[np.int64]
    names: npt.NDArray[np.str_]
    columns: Rows
    problems: tuple[RowProblem, ...] = ()
    ra_column: str = ""
    dec_column: str = ""
    name_column: str = ""
    source: str = ""

    def __len__(self) -> int:
        """Return the number of positions."""
        return len(self.ra)

    @property
    def understood(self) -> str:
        """One line that says what was read, for the echo."""
        taken = (
            f"columns {printable(self.ra_column, 40)}, {printable(self.dec_column, 40)}"
            if self.ra_column
            else "one position a line, no header"
        )
        skipped = f", {len(self.problems)} rows skipped" if self.problems else ""
        return f"{len(self)} positions from {self.source} ({taken}; ICRS){skipped}"


@dataclass
class Raw:
    """What a file says, before positions are made of it."""

    source: str
    ra: Sequence[Any] | npt.NDArray[Any]
    dec: Sequence[Any] | npt.NDArray[Any]
    line: list[int]
    row: list[int]
    columns: dict[str, Any] = field(default_factory=dict)
    problems: list[RowProblem] = field(default_factory=list)
    ra_column: str = ""
    dec_column: str = ""
    left_out: list[str] = field(default_factory=list)

    def place(self, i: int) -> str:
        """Return where the row of index `i` stands, for messages."""
        if self.line and self.line[i]:
            return f"{self.source}:{self.line[i]}"
        return f"{self.source}:row {self.row[i]}"
