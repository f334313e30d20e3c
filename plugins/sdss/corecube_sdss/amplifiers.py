"""Gain and read noise of each amplifier of the imaging camera, by its electronics of MJD 51371.

A chip is read by one amplifier or by two: then the first reads columns 0 to 1023 of a frame and the
second the others. The tables of the data model page "frame" have one value for a chip. All of their
values for early runs follow from what stands here: their gain is the mean of the two gains, their
dark variance the square of the mean of the two read noises.

Source: the survey's files ``opECalib-50000.par`` (gain and read noise when drifting, MJD 51371) and
``opConfig-50000.par`` (which amplifiers are used, and their columns), as kept in the folder ``etc``
of https://github.com/lsst-dm/legacy-obs_sdss.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from corecube_sdss.frames import FIELD_COLUMNS, Field
from corecube_sdss.noise import Electronics

FIRST_COLUMNS: Final = FIELD_COLUMNS // 2
"""Columns that the first of two amplifiers reads."""


@dataclass(frozen=True)
class Amplifier:
    """One amplifier.

    Attributes
    ----------
    gain : float
        Electrons per DN.
    read_noise : float
        DN, 1 sigma.
    """

    gain: float
    read_noise: float


def _chips(*rows: tuple[float, ...]) -> tuple[tuple[Amplifier, ...], ...]:
    return tuple(tuple(Amplifier(*row[k : k + 2]) for k in range(0, len(row), 2)) for row in rows)


AMPLIFIERS: Final[dict[str, tuple[tuple[Amplifier, ...], ...]]] = {
    "u": _chips(
        (1.63, 2.6, 1.61, 3.6), (1.65, 4.5, 1.54, 2.6), (1.53, 3.2, 1.65, 2.7),
        (1.6, 3.55), (1.49, 3.1, 1.45, 3.0), (2.17, 2.65),
    ),
    "g": _chips(
        (3.32, 3.95), (4.2, 1.1, 3.51, 1.3), (3.79, 1.3, 3.9, 1.0),
        (3.85, 1.6, 4.14, 1.2), (4.2, 1.0, 3.9, 1.1), (3.99, 1.4, 4.08, 1.3),
    ),
    "r": _chips(
        (4.71, 1.35), (4.62, 1.1, 4.58, 0.9), (4.72, 1.15),
        (4.76, 1.2, 4.76, 1.1), (4.96, 1.0, 4.49, 0.8), (4.95, 1.0, 4.84, 0.9),
    ),
    "i": _chips(
        (5.46, 1.1, 4.87, 4.5), (4.39, 4.0, 8.74, 0.8), (5.09, 3.2, 4.63, 1.1),
        (4.9, 3.1, 4.87, 1.9), (4.64, 2.8), (4.37, 3.3, 5.15, 1.2),
    ),
    "z": _chips(
        (4.68, 0.9, 4.81, 0.9), (5.68, 1.0, 4.63, 1.0), (4.66, 1.0, 5.11, 1.0),
        (4.74, 3.1, 4.81, 3.1), (3.41, 1.5, 3.55, 1.2), (4.96, 1.1, 4.42, 1.1),
    ),
}  # fmt: skip
"""By filter, for camera columns 1 to 6: gain and read noise of the first, and of the second."""

_NEAR: Final = 1e-5
"""Relative difference within which two means are the same: companions keep float32."""


def of_each(electronics: Electronics, field: Field, origin: int, columns: int) -> Electronics:
    """Return electronics with the values of both amplifiers where these can be relied on.

    That is where their means are the gain and the dark variance that would be used for the whole
    chip: what the survey's pipeline said of the field itself goes before a file of one night.

    Parameters
    ----------
    electronics : Electronics
        Of the whole chip.
    field : Field
        With its band.
    origin, columns : int
        First column of the frame in its field, and how many it has.

    Returns
    -------
    Electronics
        With `each`; or as they were, for a chip with one amplifier; or with a note that says why
        not.
    """
    chip = AMPLIFIERS[field.band][field.camcol - 1]
    if len(chip) == 1:
        return electronics
    gain = sum(amplifier.gain for amplifier in chip) / len(chip)
    dark = (sum(amplifier.read_noise for amplifier in chip) / len(chip)) ** 2
    reason = ""
    if (origin, columns) != (0, FIELD_COLUMNS):
        reason = "the frame does not have all columns of the chip"
    elif not np.allclose(
        (gain, dark), (electronics.gain, electronics.dark_variance), rtol=_NEAR, atol=0
    ):
        reason = (
            f"their means on MJD 51371 were {gain:g} electron / adu and {dark:g} adu2, "
            f"the {electronics.source} has {electronics.gain:g} and {electronics.dark_variance:g}"
        )
    if reason:
        return electronics.noted(f"not by amplifier: {reason}")
    if (field.band, field.camcol) == ("u", 3):
        electronics = electronics.noted(
            "gain and read noise by amplifier uncertain: the noise of run 2820 has no such step"
        )
    first, second = chip
    return replace(
        electronics,
        each=((first.gain, first.read_noise**2), (second.gain, second.read_noise**2)),
    )
