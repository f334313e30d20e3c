"""Answers: which fibres and images match, and their tables, which are read when looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from corecube.archive.catalogue import ShotRecord
from corecube.archive.imageindex import ImagePlace
from corecube.tabular import Field, Rows

if TYPE_CHECKING:
    from corecube.archive.targets import Targets

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

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


@dataclass(frozen=True, eq=False)
class FiberMatches:
    """Fibres that match, as the sky index knows them.

    Attributes
    ----------
    groups : tuple of (ShotRecord, str)
        Groups of fibres with a match.
    group : ndarray of int64, shape (n,)
        Place in `groups`.
    row : ndarray of int64, shape (n,)
        Row in the group.
    target : ndarray of int64, shape (n,)
        Number of the position asked for; 0 where there is one or none.
    separation : ndarray of float64, shape (n,)
        Arcsec from it; NaN where no position was asked for.
    """

    groups: tuple[tuple[ShotRecord, str], ...]
    group: IntArray
    row: IntArray
    target: IntArray
    separation: FloatArray

    def __len__(self) -> int:
        """Return the number of matches."""
        return len(self.row)

    def take(self, index: npt.NDArray[Any]) -> FiberMatches:
        """Return some, by numbers or by a mask of shape (n,)."""
        return FiberMatches(
            self.groups, self.group[index], self.row[index], self.target[index],
            self.separation[index],
        )  # fmt: skip

    @property
    def places(self) -> tuple[tuple[ShotRecord, str, int], ...]:
        """Shot, group and row in it of each."""
        return tuple(
            (*self.groups[group], row)
            for group, row in zip(self.group.tolist(), self.row.tolist(), strict=True)
        )


@dataclass(frozen=True, eq=False)
class ImageMatches:
    """Images that match.

    Attributes
    ----------
    places : tuple of ImagePlace
        An image each; several times if it matches several positions.
    target : ndarray of int64, shape (n,)
        Number of the position asked for; 0 where there is one or none.
    contains : ndarray of bool, shape (n,)
        Whether that position lies in it.
    """

    places: tuple[ImagePlace, ...]
    target: IntArray
    contains: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of matches."""
        return len(self.places)

    def take(self, index: npt.NDArray[np.intp]) -> ImageMatches:
        """Return some, by numbers."""
        return ImageMatches(
            tuple(self.places[i] for i in index.tolist()), self.target[index], self.contains[index]
        )


class Result:
    """An answer: what matches, and the tables of it.

    The matches come from the index and the catalogue. The tables need the shot files, which are
    read when `fibers` or `images` is looked at for the first time; both are of the state of the
    archive that the question saw. If a shot has been replaced and its old file deleted meanwhile,
    this raises `ArchiveDamaged`, which says to ask again. Filters on columns and times read
    tables at once.

    Parameters
    ----------
    targets : Targets or None
        The positions asked for.
    fiber_matches : FiberMatches
    image_matches : ImageMatches
    read_fibers, read_images : callable
        Return the table of the matches.
    size : int
        Of cutouts, pixels.
    """

    def __init__(
        self,
        targets: Targets | None,
        fiber_matches: FiberMatches,
        image_matches: ImageMatches,
        read_fibers: Callable[[FiberMatches], Rows],
        read_images: Callable[[ImageMatches], Rows],
        size: int = CUTOUT_SIZE,
    ) -> None:
        self.targets = targets
        self.fiber_matches = fiber_matches
        self.image_matches = image_matches
        self.size = size
        self._read_fibers = read_fibers
        self._read_images = read_images

    def __len__(self) -> int:
        """Return the number of fibres and images."""
        return len(self.fiber_matches) + len(self.image_matches)

    def __repr__(self) -> str:
        """Return a line with the numbers of fibres and images."""
        return f"<Result with {len(self.fiber_matches)} fibres, {len(self.image_matches)} images>"

    @property
    def center(self) -> tuple[float, float] | None:
        """The one position asked for, ICRS degrees; None if there was none, or several."""
        if self.targets is None or len(self.targets) != 1:
            return None
        return self.targets.place(0)

    @cached_property
    def fibers(self) -> Rows:
        """The table of the fibres, a row for each of `fiber_matches`.

        Raises
        ------
        ArchiveDamaged
        """
        return self._read_fibers(self.fiber_matches)

    @cached_property
    def images(self) -> Rows:
        """The table of the images, a row for each of `image_matches`.

        Raises
        ------
        ArchiveDamaged
        """
        return self._read_images(self.image_matches)

    @property
    def fiber_places(self) -> tuple[tuple[ShotRecord, str, int], ...]:
        """Shot, group and row of each fibre."""
        return self.fiber_matches.places

    @property
    def image_places(self) -> tuple[ImagePlace, ...]:
        """The image of each row of `images`."""
        return self.image_matches.places

    @property
    def unmatched(self) -> IntArray:
        """Numbers of the positions that neither a fibre nor an image matches, rising."""
        found = np.zeros(0 if self.targets is None else len(self.targets), dtype=bool)
        if len(found):
            found[self.fiber_matches.target] = True
            found[self.image_matches.target] = True
        return np.flatnonzero(~found)


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
