"""The settings of the instrument."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from corecube.config import about

Law = Literal["auto", "v5_7", "v5_8", "notebook"]
Amplifiers = Literal["pipeline", "physical"]


@dataclass(frozen=True)
class BossConfig:
    """Settings of the instrument `boss`.

    Attributes
    ----------
    exposures : bool
        Read the single exposures of full spec files, not only their coadd.
    law : {"auto", "v5_7", "v5_8", "notebook"}
        How the variance of extracted electrons is predicted; "auto" goes by the version of the
        reduction.
    amplifiers : {"pipeline", "physical"}
        Which amplifier's read noise a pixel has: as the reduction filled its variance image, with
        amplifiers 1 and 2 swapped, or as they lie on the detector.
    """

    exposures: bool = field(
        default=True,
        metadata=about("read the single exposures of full spec files too"),
    )
    law: Law = field(
        default="auto",
        metadata=about(
            "law that predicts the variance of electrons, for checks and reports",
            changes_numbers=False,
        ),
    )
    amplifiers: Amplifiers = field(
        default="pipeline",
        metadata=about(
            "amplifier of a pixel, for checks and reports: as the pipeline has it or physical",
            changes_numbers=False,
        ),
    )
