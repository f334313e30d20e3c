"""Catalogue fluxes among the columns of spectra."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from corecube.frames import Fibers
from corecube.photometry.catalogue import CatalogueFlux
from corecube_sdssfiles.summary import BANDS

UNIT: Final = "nanomaggy"


def fluxes_of_fibers(fibers: Fibers) -> Sequence[CatalogueFlux]:
    """Return what the pipelines say of the object of each fibre: its PSF flux and SPECTROFLUX.

    SPECTROFLUX has no error: what the files call its inverse variance is none.

    Parameters
    ----------
    fibers : Fibers
        A block of coadds; exposures have no such columns.
    """
    columns = {column.name: values for column, values in fibers.columns.items()}
    nothing = np.full(len(fibers.id), np.nan)
    found = []
    for kind, column, source in (
        ("PSF flux", "psfflux", "PSFFLUX of the spec file"),
        ("SPECTROFLUX", "spectroflux", "the pipeline's flux of the spectrum"),
    ):
        for band in BANDS:
            flux = columns.get(f"{column}_{band}")
            if flux is None or not np.isfinite(np.asarray(flux)).any():
                continue
            sigma = columns.get(f"{column}_err_{band}", nothing)
            found.append(
                CatalogueFlux(
                    kind,
                    band,
                    fibers.id,
                    fibers.ra,
                    fibers.dec,
                    np.asarray(flux),
                    np.asarray(sigma),
                    UNIT,
                    source,
                )
            )
    return found
