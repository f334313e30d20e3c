"""The settings of the instrument."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from corecube.config import about


@dataclass(frozen=True)
class SdssConfig:
    """Settings of the instrument `sdss`.

    Attributes
    ----------
    gain : {"companion", "table"}
        Where gain and dark variance of a frame come from: its psField, else its photoField, else
        the table of the data model page; or always from the table.
    amplifiers : {"mean", "each"}
        Gain and dark variance of chips that two amplifiers read: one value for both halves of a
        frame, as in the tables, or one for each. Theirs are of MJD 51371, and used where their
        means are the values for the whole chip.
    exposures : bool
        Read the single exposures of full spec files, not only their coadd.
    """

    gain: Literal["companion", "table"] = field(
        default="companion",
        metadata=about("gain and dark variance from psField or photoField, or always the table"),
    )
    amplifiers: Literal["mean", "each"] = field(
        default="mean",
        metadata=about("of chips read by two amplifiers the mean of both, or the values of each"),
    )
    exposures: bool = field(
        default=True,
        metadata=about("read the single exposures of full spec files too"),
    )
