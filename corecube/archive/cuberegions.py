"""The region of a cube: what lies in it, and the outline by which images are cut to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from corecube.angles import Position, parse_radius
from corecube.archive.regions import Box, Cone, Region
from corecube.archive.sphere import positions
from corecube.errors import QueryError

if TYPE_CHECKING:
    from corecube.archive.answer import Result
    from corecube.archive.reader import Archive

_OUTLINE: Final = 64
"""Places along the edge of a region by which its box in an image is found."""


def region_of(
    archive: Archive, place: Any, radius: float | str | None, size: int | None, select: Any
) -> tuple[Result, Region | None]:
    """Return what lies around a position or in a region, and the region that images are cut to."""
    if isinstance(place, str | tuple | Position):
        only_cone = size is None and radius is not None
        result = archive.cone(
            place, "2 arcsec" if radius is None else radius,
            **({} if only_cone else {"size": cutout_size(size)}), **select,
        )  # fmt: skip
        if not only_cone:
            return result, None
        degrees = parse_radius(radius) if isinstance(radius, str) else float(radius or 0.0)
        assert result.center is not None
        return result, Cone(*result.center, degrees)
    if radius is not None or size is not None:
        raise QueryError("radius and size belong to a position; a region has its own extent")
    center = (place.ra, place.dec) if isinstance(place, Cone) else None
    return archive.region(place, center, **select), place


def cutout_size(size: int | None) -> int:
    """Return the pixels along the side of a square, 64 if not said."""
    from corecube.archive.answer import CUTOUT_SIZE

    return CUTOUT_SIZE if size is None else size


def outline_of(region: Region) -> list[tuple[float, float]]:
    """Return places along the edge of a region, ICRS degrees."""
    from corecube.archive.polygon import Polygon

    if isinstance(region, Polygon):  # great circles are lines in the tangent plane
        return [(float(ra), float(dec)) for ra, dec in region.vertices]
    part = np.linspace(0.0, 1.0, _OUTLINE)
    if isinstance(region, Box):
        ra = region.ra_min + part * region.width
        dec = region.dec_min + part * (region.dec_max - region.dec_min)
        low, high = np.full(_OUTLINE, region.dec_min), np.full(_OUTLINE, region.dec_max)
        left, right = np.full(_OUTLINE, ra[0]), np.full(_OUTLINE, ra[-1])
        ras, decs = (
            np.concatenate(sides) for sides in ((ra, ra, left, right), (low, high, dec, dec))
        )
    else:
        ras, decs = _circle(region if isinstance(region, Cone) else _around(region))
    return list(zip(ras.tolist(), decs.tolist(), strict=True))


def _around(region: Region) -> Cone:
    middle, radius = region.circle()
    ra, dec = positions(middle)
    return Cone(float(ra), float(dec), radius)


def _circle(cone: Cone) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    angle = np.linspace(0.0, 2.0 * np.pi, 4 * _OUTLINE, endpoint=False)
    dec, radius = np.radians(cone.dec), np.radians(cone.radius)
    sine = np.sin(dec) * np.cos(radius) + np.cos(dec) * np.sin(radius) * np.cos(angle)
    decs = np.arcsin(np.clip(sine, -1.0, 1.0))
    ras = np.arctan2(
        np.sin(angle) * np.sin(radius) * np.cos(dec), np.cos(radius) - np.sin(dec) * sine
    )
    return np.degrees(ras) + cone.ra, np.degrees(decs)
