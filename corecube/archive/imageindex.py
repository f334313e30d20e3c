"""The images of an archive by place: their footprints, tested together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from corecube.archive.catalogue import ShotRecord
from corecube.archive.footprints import Footprints
from corecube.archive.regions import Region
from corecube.archive.sphere import separation
from corecube.errors import ArchiveDamaged

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ImagePlace:
    """An image in the catalogue.

    Attributes
    ----------
    shot : ShotRecord
    name : str
    about : dict
        unit, band, target, shape, start, end, footprint.
    """

    shot: ShotRecord
    name: str
    about: dict[str, Any]

    @cached_property
    def center(self) -> tuple[float, float]:
        """Middle of the footprint, ICRS degrees; NaN without one."""
        if not self.about["footprint"]:
            return float("nan"), float("nan")
        corners = np.radians(np.array(self.about["footprint"]))
        ra, dec = corners[:, 0], corners[:, 1]
        x, y, z = (
            float(part.mean())
            for part in (np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec))
        )
        return (
            float(np.mod(np.degrees(np.arctan2(y, x)), 360.0)),
            float(np.degrees(np.arctan2(z, np.hypot(x, y)))),
        )

    @cached_property
    def scale(self) -> float:
        """Degrees per pixel along the longer of the footprint's first two sides."""
        corners = np.array(self.about["footprint"])
        ny, nx = self.about["shape"]
        sides = separation(corners[:2, 0], corners[:2, 1], corners[1:3, 0], corners[1:3, 1])
        return float(max(sides[0] / nx, sides[1] / ny))


class ImageIndex:
    """All images of one state of the archive.

    Parameters
    ----------
    shots : iterable of ShotRecord
    """

    def __init__(self, shots: Iterable[ShotRecord]) -> None:
        self.places = [
            ImagePlace(shot, name, about)
            for shot in shots for name, about in shot.images.items()
        ]  # fmt: skip
        self._footprints = Footprints(_corners(self.places))

    def touching(self, region: Region) -> npt.NDArray[np.intp]:
        """Return the numbers of the images that share a point with a region."""
        return np.flatnonzero(self._footprints.touches(region))

    def touching_many(
        self, ra: FloatArray, dec: FloatArray, radius: FloatArray
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return pairs of image and circle that share a point; see `Footprints.touches_many`."""
        return self._footprints.touches_many(ra, dec, radius)

    def contain(
        self, numbers: npt.NDArray[np.int64], ra: FloatArray, dec: FloatArray
    ) -> npt.NDArray[np.bool_]:
        """Return for each of some images whether a position lies in it; all of shape (n,)."""
        return self._footprints.hold(numbers, ra, dec)

    @cached_property
    def largest_scale(self) -> float:
        """Degrees per pixel of the coarsest image, 0 without images."""
        return max((p.scale for p in self.places if p.about["footprint"]), default=0.0)


def _corners(places: Sequence[ImagePlace]) -> list[FloatArray]:
    """Return the corners (n, 2) of each image; a stranger's catalogue may have anything there."""
    empty = np.empty((0, 2))
    found: list[FloatArray] = []
    for place in places:
        corners: FloatArray = empty
        if place.about["footprint"]:
            try:
                corners = np.array(place.about["footprint"])
            except ValueError:  # of different lengths
                corners = np.empty(0)
        if corners.ndim != 2 or corners.shape[1] != 2 or corners.dtype.kind not in "fi":
            raise ArchiveDamaged(_WRONG.format(place.shot.identity, place.name))
        found.append(corners)
    # all at once: one by one costs as much as to make them
    if found and not bool(np.all(np.abs(np.concatenate(found)) <= 360.0)):
        wrong = next(
            p for p, c in zip(places, found, strict=True) if not bool(np.all(np.abs(c) <= 360.0))
        )
        raise ArchiveDamaged(_WRONG.format(wrong.shot.identity, wrong.name))
    return found


_WRONG = "{}/{}: its footprint in the catalogue is none; run 'corecube verify'"
