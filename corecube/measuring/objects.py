"""The objects of a catalogue beside what an image has at their places."""

from __future__ import annotations

import numpy as np

from corecube.frames import Image
from corecube.photometry.apertures import aperture_flux
from corecube.photometry.catalogue import CatalogueFlux
from corecube.tabular import Field, Rows


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
        both, the pull. An aperture has the light of neighbours too and not all of the object's:
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
        pull = (flux - catalogue.flux[where]) / both
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
            "pull": Field(pull, "", "Difference over the sigma of both."),
            "coverage": Field(coverage, "", "Part of the aperture that was measured."),
        }
    )
