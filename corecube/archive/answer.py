"""Answers: the tables of fibres and images, and what their columns mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from corecube.archive.catalogue import ShotRecord
from corecube.archive.imageindex import ImagePlace
from corecube.tabular import Field, Rows

CUTOUT_SIZE = 64
"""Pixels along each side of a cutout, unless said otherwise."""

FIBER_COLUMNS: dict[str, tuple[str, str]] = {
    "instrument": ("", "Instrument that the shot belongs to."),
    "shot": ("", "Key of the shot."),
    "group": ("", "Group of fibres in the shot."),
    "id": ("", "Fibre in the group."),
    "target": ("", "Name of the target."),
    "ra": ("deg", "Right ascension (ICRS)."),
    "dec": ("deg", "Declination (ICRS)."),
    "separation": ("arcsec", "Distance from the position asked for."),
    "start": ("d", "Start of the exposures, MJD (TAI)."),
    "end": ("d", "End of the exposures, MJD (TAI)."),
    "unit": ("", "Unit of flux and error."),
    "source": ("", "Shot file below the archive."),
}
IMAGE_COLUMNS: dict[str, tuple[str, str]] = {
    "instrument": FIBER_COLUMNS["instrument"],
    "shot": FIBER_COLUMNS["shot"],
    "id": ("", "Image in the shot."),
    "band": ("", "Filter or channel."),
    "target": FIBER_COLUMNS["target"],
    "ra": ("deg", "Right ascension of the image's middle (ICRS)."),
    "dec": ("deg", "Declination of the image's middle (ICRS)."),
    "separation": ("arcsec", "Distance of the image's middle from the position asked for."),
    "start": FIBER_COLUMNS["start"],
    "end": FIBER_COLUMNS["end"],
    "contains": ("", "Whether the position asked for lies in the image."),
    "coverage": ("", "Part of a cutout around that position that lies in the image."),
    "unit": FIBER_COLUMNS["unit"],
    "source": FIBER_COLUMNS["source"],
}
TEXT_COLUMNS = {"instrument", "shot", "group", "id", "target", "unit", "source", "band"}
"""Core columns that hold text."""


@dataclass(frozen=True)
class Result:
    """An answer: two tables, and where each row stands.

    Attributes
    ----------
    fibers, images : Rows
        With the core's columns, and those asked for.
    center : (float, float) or None
        The position asked for, degrees.
    size : int
        Of cutouts, pixels.
    """

    fibers: Rows
    images: Rows
    center: tuple[float, float] | None = None
    size: int = CUTOUT_SIZE
    fiber_places: tuple[tuple[ShotRecord, str, int], ...] = field(default=(), repr=False)
    image_places: tuple[ImagePlace, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        """Return the number of fibres and images."""
        return len(self.fibers) + len(self.images)


def fields_of(
    values: dict[str, npt.NDArray[Any]], columns: dict[str, tuple[str, str]]
) -> dict[str, Field]:
    """Give columns their units and descriptions."""
    return {name: Field(values[name], *columns[name]) for name in columns}


def empty_table(columns: dict[str, tuple[str, str]]) -> Rows:
    """Return a table without rows, with the types of the core's columns."""
    kinds = {name: "U1" if name in TEXT_COLUMNS else "f8" for name in columns} | {"contains": "?"}
    values = {name: np.empty(0, dtype=kinds[name]) for name in columns}
    return Rows(fields_of(values, columns))


def ordered(table: Rows, center: tuple[float, float] | None) -> tuple[Rows, npt.NDArray[np.intp]]:
    """Sort by separation if there is a centre; ties and the rest keep the archive's order."""
    if center is None or not len(table):
        return table, np.arange(len(table))
    order = np.argsort(table["separation"].values, kind="stable")
    return table.take(order), order
