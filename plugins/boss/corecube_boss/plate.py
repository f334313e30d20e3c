"""Coadds of a plate: rows of the spPlate, and fibres that have no coadd at all.

Source: SDSS data model page "spPlate" (https://data.sdss.org/datamodel/).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.fits import Fits
from corecube.frames import Array, Bits, Fibers
from corecube.provenance import Provenance
from corecube.shots import Context, ShotPlan
from corecube.spectral import Spectral
from corecube.times import Times
from corecube.units import FLUX_DENSITY
from corecube_boss.columns import of_plate
from corecube_boss.names import fiber_id, from_ranges
from corecube_sdssfiles.fibers import COADD, NOT_MODELLED
from corecube_sdssfiles.maskbits import SPECTRUM_PLANES, SPPIXMASK, core_planes
from corecube_sdssfiles.spec import NIGHT_BEFORE, error_of_ivar
from corecube_sdssfiles.summary import Rows

WDISP: Final = "Sigma of the line spread function; a pixel is 1e-4 in log10 wavelength."
_LAYERS: Final = {
    "sky": (FLUX_DENSITY, "Sky that was subtracted."),
    "wdisp": ("pix", WDISP),
    "model": (FLUX_DENSITY, "Best template of the pipeline, redshifted; 0 outside of it."),
}


def read_plate(plan: ShotPlan, entry: str, context: Context) -> Iterator[Fibers]:
    """Yield the coadds of the fibres that have no spec file of their own.

    Parameters
    ----------
    plan : ShotPlan
    entry : str
        ``spPlate``.
    context : Context

    Yields
    ------
    Fibers
        Its layer ``model`` is NaN: a spPlate has none.

    Raises
    ------
    FileNotUnderstood
        If the file is damaged.
    """
    (source,) = plan.entries[entry]
    fits = Fits(context.read(source), source.path)
    header = fits.header(0)
    table = fits.table(5)
    known = table.column("FIBERID").astype(np.int64)
    rows = np.flatnonzero(~np.isin(known, from_ranges(plan.settings["spec"])))
    fibers = known[rows]

    def pixels(hdu: int, dtype: type[np.generic]) -> npt.NDArray[Any]:
        return np.ascontiguousarray(fits.image(hdu)[rows], dtype=dtype)

    flux = pixels(0, np.float32)
    error, mask, notes = error_of_ivar(pixels(1, np.float64), flux)
    bits = {
        name: Bits(pixels(hdu, np.int32).view(np.uint32), SPPIXMASK)
        for name, hdu in (("and_mask", 2), ("or_mask", 3))
    }
    mask |= core_planes(bits["and_mask"].values, SPPIXMASK, SPECTRUM_PLANES)
    layers = {"sky": pixels(6, np.float32), "wdisp": pixels(4, np.float32)}
    yield Fibers(
        name=COADD, flux=flux, unit=FLUX_DENSITY, error=error, mask=mask, bits=bits,
        layers=_layers(layers, flux.shape), header=header.lines(),
        wave=_grid(round(header.number("COEFF0") * 1e4), flux.shape[1]),
        id=tuple(fiber_id(fiber) for fiber in fibers.tolist()),
        ra=table.column("RA").astype(np.float64)[rows],
        dec=table.column("DEC").astype(np.float64)[rows],
        columns=of_plate(plan, context, fibers, Rows(table, rows), header),
        times=_nights(plan, header),
        provenance=Provenance(
            sources=(PurePath(source.path).name,),
            steps=("flux, inverse variance and masks as in HDU 0 to 3 of the spPlate",),
            not_modelled=NOT_MODELLED,
            notes=notes,
        ),
    )  # fmt: skip


def bare_rows(
    plan: ShotPlan,
    context: Context,
    fibers: npt.NDArray[np.int64],
    ra: npt.NDArray[np.float64],
    dec: npt.NDArray[np.float64],
    plugmap: Rows,
    header: Mapping[str, Any],
) -> Fibers:
    """Return fibres that have exposures, but no coadd at hand: no pixels, only positions.

    Parameters
    ----------
    plan : ShotPlan
    context : Context
    fibers : int array (n,)
    ra, dec : float64 array (n,), degrees
    plugmap : Rows
    header : mapping
        Of a camera's frame.
    """
    shape = (len(fibers), 0)
    first = plan.grids[COADD][0] if COADD in plan.grids else 0
    empty = np.zeros(shape, np.uint32)
    cards = {"HELIO_RV": header.get("HELIO_RV")}  # EXPTIME is that of one exposure
    return Fibers(
        name=COADD, flux=np.zeros(shape, np.float32), unit=FLUX_DENSITY,
        error=np.zeros(shape, np.float32), mask=empty,
        bits={name: Bits(empty, SPPIXMASK) for name in ("and_mask", "or_mask")},
        layers=_layers({}, shape), wave=_grid(first, 0),
        id=tuple(fiber_id(fiber) for fiber in fibers.tolist()), ra=ra, dec=dec,
        columns=of_plate(plan, context, fibers, plugmap, cards),
        times=_nights(plan, {}),
        provenance=Provenance(
            steps=("positions of the plug map; no file has a coadd of these fibres",),
        ),
    )  # fmt: skip


def _grid(first: int, count: int) -> Spectral:
    return Spectral.log_grid(first, count, "vacuum", "heliocentric")


def _layers(known: Mapping[str, npt.NDArray[Any]], shape: tuple[int, ...]) -> dict[str, Array]:
    return {
        name: Array(
            known.get(name, np.full(shape, np.nan, np.float32)), unit, ("fiber", "wave"), text
        )
        for name, (unit, text) in _LAYERS.items()
    }


def _nights(plan: ShotPlan, header: Mapping[str, Any]) -> Times:
    """Return the borders of the nights; night N reaches from MJD N - 0.3 to N + 0.7."""
    nights = [int(night) for night in str(header.get("MJDLIST", "")).split()]
    nights = nights or [int(plan.key.split("-", 2)[1])]
    return Times(min(nights) - NIGHT_BEFORE, max(nights) + 1 - NIGHT_BEFORE, "night")
