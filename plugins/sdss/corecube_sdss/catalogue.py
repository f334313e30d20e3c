"""The objects of a photoObj file, kept with each image of their field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from corecube.frames import Array, Image
from corecube.photometry.catalogue import CatalogueFlux
from corecube.shots import Context, ShotPlan
from corecube_sdss.companions import read_objects
from corecube_sdss.frames import FILTERS, UNIT

OBJECTS: Final = "objects"
OBJECT_ID: Final = "object_id"

VALUES: Final = ("ra", "dec", "x", "y", "psf_flux", "psf_error", "type")
"""What the second axis of `OBJECTS` holds."""


def objects_of(plan: ShotPlan, band: str, context: Context) -> dict[str, Array]:
    """Return the field's objects as arrays of its image in a band; none without a photoObj file.

    Parameters
    ----------
    plan : ShotPlan
        Of an imaging field.
    band : str
    context : Context

    Raises
    ------
    FileNotUnderstood
        If the file is damaged.
    """
    source = next((part for part in plan.companions if part.kind == "photoObj"), None)
    if source is None:
        return {}
    objects = read_objects(context.read(source), source.path)
    if not objects.objid.size:
        return {}
    place = FILTERS.index(band)
    values = np.stack(
        [
            objects.ra, objects.dec, objects.x[:, place], objects.y[:, place],
            objects.psf_flux[:, place], objects.psf_error[:, place], objects.type,
        ],
        axis=1,
    ).astype(np.float64)  # fmt: skip
    about = "RA and Dec (deg), x and y (pix), PSF flux and its error (nanomaggy), type (6 star)"
    return {
        OBJECTS: Array(values, "", ("object", "value"), f"Objects of the photoObj file: {about}."),
        OBJECT_ID: Array(objects.objid, "", ("object",), "objID of each of the objects."),
    }


def fluxes_of_image(image: Image) -> Sequence[CatalogueFlux]:
    """Return the PSF fluxes of the objects that an image was stored with.

    Parameters
    ----------
    image : Image
    """
    if OBJECTS not in image.calibration:
        return ()
    values = image.calibration[OBJECTS].values.astype(np.float64)
    columns = dict(zip(VALUES, values.T, strict=True))
    flux = np.where(np.isfinite(columns["psf_error"]), columns["psf_flux"], np.nan)
    names = tuple(str(number) for number in image.calibration[OBJECT_ID].values.tolist())
    return (
        CatalogueFlux(
            "PSF flux", image.band, names, columns["ra"], columns["dec"], flux,
            columns["psf_error"], UNIT, "PSFFLUX of the photoObj file",
        ),
    )  # fmt: skip
