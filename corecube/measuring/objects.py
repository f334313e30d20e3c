"""The objects of a catalogue beside what an image has at their places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from corecube.archive.names import ImageRow, ShotRow
from corecube.errors import QueryError
from corecube.frames import Image
from corecube.instruments import Find, Instruments, find_installed
from corecube.measuring.gathering import APERTURE
from corecube.photometry.apertures import aperture_flux
from corecube.photometry.catalogue import CatalogueFlux
from corecube.reports.whole import READ
from corecube.tabular import Field, Rows

LEAST_COVERAGE: Final = 0.95
"""Part of an aperture without which its flux is compared with nothing."""

FEWEST: Final = 20
"""Pulls of which a median and a width are given: of fewer they say too little."""


@dataclass(frozen=True)
class Objects:
    """The objects of a catalogue on one image or more.

    Attributes
    ----------
    rows : Rows
        As of `object_pulls`, with the name of the image.
    catalogued : int
        Objects that the catalogue has, on the images or beside them.
    says : tuple of str
        A line for each image that is left out, and why.
    """

    rows: Rows
    catalogued: int
    says: tuple[str, ...] = ()

    def numbers(self) -> dict[str, Any]:
        """Return counts, rows and, of `FEWEST` pulls or more, their median and width."""
        pulls = np.asarray(self.rows["pull"].values, dtype=np.float64)
        pulls = pulls[np.isfinite(pulls)]
        enough = pulls.size >= FEWEST
        low, middle, high = np.percentile(pulls, (15.87, 50.0, 84.13)) if enough else (np.nan,) * 3
        return {
            "aperture": {"radius": self.rows.meta["radius_arcsec"], "unit": "arcsec"},
            "catalogued": self.catalogued,
            "on the image": len(self.rows),
            "with a pull": int(pulls.size),
            "pulls": {"median": float(middle), "width": float((high - low) / 2.0)}
            if enough
            else f"no statistics of fewer than {FEWEST}",
            "rows": [
                {name: self.rows[name].values[row].item() for name in self.rows}
                for row in range(len(self.rows))
            ],
        }


def objects_of(
    row: ImageRow | ShotRow, radius: float = APERTURE, *, find: Find = find_installed
) -> Objects | None:
    """Return the catalogued objects of an image, or of a shot's first images, with their pulls.

    Parameters
    ----------
    row : ImageRow or ShotRow
    radius : float, arcsec
        Of the aperture.
    find : callable
        Gives an instrument by its name, or why it cannot be asked.

    Returns
    -------
    Objects or None
        None if no catalogue came with the images.

    Raises
    ------
    QueryError
        If the radius is not possible.
    ArchiveDamaged
    """
    shot = row.archive.shot(row.record)
    asked = Instruments(find)
    names = [row.image] if isinstance(row, ImageRow) else list(row.record.images)[:READ]
    parts: list[Rows] = []
    said: list[str] = []
    catalogued = 0
    for name in names:
        image = shot.frame(name)
        assert isinstance(image, Image)
        for catalogue in asked.catalogue(shot, image):
            where = f"{row.record.identity}/{name}"
            if catalogue.unit != image.unit:
                said.append(f"{where}: its objects are in '{catalogue.unit}', not '{image.unit}'")
                continue
            try:
                found = object_pulls(image, catalogue, radius)
            except QueryError as error:
                said.append(f"{where}: {error}")
                continue
            catalogued += len(catalogue.name)
            parts.append(
                Rows(
                    {
                        "image": Field(np.full(len(found), where)),
                        "band": Field(np.full(len(found), image.band)),
                        **{column: found[column] for column in found},
                    }
                )
            )
    if not parts and not said:
        return None
    return Objects(_joined(parts, radius), catalogued, (*said, *asked.says))


def _joined(parts: list[Rows], radius: float) -> Rows:
    if not parts:
        return Rows({"pull": Field(np.zeros(0))}, {"radius_arcsec": radius})
    first = parts[0]
    return Rows(
        {
            name: Field(
                np.concatenate([part[name].values for part in parts]),
                first[name].unit, first[name].description,
            )
            for name in first
        },
        {"radius_arcsec": radius},
    )  # fmt: skip


def object_pulls(
    image: Image, catalogue: CatalogueFlux, radius: float, exact: bool = False
) -> Rows:
    """Return a row for each object whose aperture lies on an image.

    Parameters
    ----------
    image : Image
        With errors and a WCS, in the unit of the catalogue.
    catalogue : CatalogueFlux
    radius : float, arcsec
    exact : bool
        See `corecube.photometry.aperture_flux`.

    Returns
    -------
    Rows
        Flux and sigma of the catalogue and of the aperture, and their difference over the sigma of
        both, the pull; NaN where less than `LEAST_COVERAGE` of the aperture was measured. An
        aperture has the light of neighbours too and not all of the object's:
        pulls are a list to look through, no statistics.

    Raises
    ------
    QueryError
        If the radius is not possible.
    """
    kept = []
    for place in range(len(catalogue.name)):
        found = aperture_flux(
            image, float(catalogue.ra[place]), float(catalogue.dec[place]), radius, exact
        )
        if found.pixels > 0:
            kept.append((place, found))
    where = np.array([place for place, _ in kept], dtype=np.int64)
    flux, sigma, coverage, x, y = (
        np.array([getattr(found, name) for _, found in kept], dtype=np.float64)
        for name in ("flux", "sigma", "coverage", "x", "y")
    )
    both = np.hypot(sigma, catalogue.sigma[where])
    with np.errstate(invalid="ignore", divide="ignore"):
        pull = np.where(coverage >= LEAST_COVERAGE, (flux - catalogue.flux[where]) / both, np.nan)
    unit = catalogue.unit
    return Rows(
        {
            "name": Field(np.array(catalogue.name, dtype=np.str_)[where]),
            "ra": Field(catalogue.ra[where], "deg"),
            "dec": Field(catalogue.dec[where], "deg"),
            "x": Field(x, "pix"),
            "y": Field(y, "pix"),
            "catalogue": Field(catalogue.flux[where], unit, catalogue.kind),
            "catalogue_sigma": Field(catalogue.sigma[where], unit),
            "aperture": Field(flux, unit, f"Within {radius:g} arcsec."),
            "aperture_sigma": Field(sigma, unit),
            "pull": Field(pull, "", "Difference over the sigma of both, of whole apertures."),
            "coverage": Field(coverage, "", "Part of the aperture that was measured."),
        }
    )
