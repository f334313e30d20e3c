"""The columns of a spectrum that are kept from HDU 2 of its spec file, and from the header.

HDU 2 has 126 columns in SDSS-I/II (SPECOBJ) and 236 in BOSS and eBOSS (SPALL); those that a
query needs are kept, under one name for both. Sources: SDSS data model pages "specObj" and
"spAll" (https://data.sdss.org/datamodel/).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from corecube.fits import BinTable
from corecube.frames import Column
from corecube_sdssfiles.maskbits import ZWARNING, bit
from corecube_sdssfiles.objectid import number_of
from corecube_sdssfiles.spec import SpecFile

BANDS: Final = "ugriz"

_NO_FIT: Final = 1 << bit(ZWARNING, "UNPLUGGED") | 1 << bit(ZWARNING, "NODATA")
_NAN: Final = float("nan")

COLUMNS: Final[tuple[Column, ...]] = (
    Column("alias", "text", "", "Plate, MJD and fibre, by which users know the spectrum."),
    Column("plate", "int32", "", "Number of the plate."),
    Column("mjd", "int32", "d", "MJD of the last night that went in."),
    Column("fiber", "int32", "", "Number of the fibre on its plate, from 1."),
    Column("run2d", "text", "", "Name of the reduction."),
    Column("objtype", "text", "", "What the fibre was put on for.", ""),
    Column("class", "text", "", "Best spectral class: GALAXY, QSO or STAR.", ""),
    Column("subclass", "text", "", "Spectral subclass.", ""),
    Column("z", "float32", "", "Redshift of the best fit."),
    Column("z_err", "float32", "", "1-sigma error of z; missing where the fit failed."),
    Column("zwarning", "int32", "", "Bits of doubt about z (ZWARNING).", -1),
    Column("rchi2", "float32", "", "Reduced chi squared of the best fit."),
    Column("sn_median", "float32", "", "Median signal to noise per pixel over all pixels."),
    Column("vdisp", "float32", "km / s", "Velocity dispersion; missing where not fitted."),
    Column("vdisp_err", "float32", "km / s", "1-sigma error of vdisp."),
    *(
        Column(
            f"spectroflux_{band}", "float32", "nanomaggy", f"Spectrum through the {band} filter."
        )
        for band in BANDS
    ),
    Column("objid", "int64", "", "objID of the matched object in the imaging.", -1),
    Column("specobjid", "uint64", "", "specObjID of the spectrum.", 0),
    Column("program", "text", "", "Programme that the plate belongs to.", ""),
    Column("platequality", "text", "", "Quality of the plate: good, marginal or bad.", ""),
    Column("fiber_diameter", "float32", "arcsec", "Diameter of the fibre on the sky."),
    Column("exptime", "float32", "s", "Exposure time, the least of the cameras."),
    Column("nexp", "int32", "", "Number of exposures, each camera counted.", -1),
    Column("helio_rv", "float32", "km / s", "Heliocentric correction that was applied."),
)


def columns_of(file: SpecFile) -> dict[Column, Any]:
    """Return the kept columns of one spectrum, each an array or list of one value.

    Parameters
    ----------
    file : SpecFile

    Returns
    -------
    dict of Column to array or list
        Missing numbers are NaN or the column's `missing`, never 0.

    Raises
    ------
    FileNotUnderstood
        If HDU 0 or HDU 2 are damaged.
    """
    values = _values(file)
    return {
        column: [values[column.name]]
        if column.dtype == "text"
        else np.array([values[column.name]], dtype=column.dtype)
        for column in COLUMNS
    }


def _values(file: SpecFile) -> Mapping[str, Any]:
    name, table, header = file.spec_name, file.summary, file.header
    zwarning = _number(table, "ZWARNING", -1)
    fitted = zwarning < 0 or not int(zwarning) & _NO_FIT
    vdisp_err = _number(table, "VDISP_ERR", _NAN)
    z_err = _number(table, "Z_ERR", _NAN)
    helio_rv, exptime, nexp = (header.get(card) for card in ("HELIO_RV", "EXPTIME", "NEXP"))
    return {
        "alias": f"{name.plate:04d}-{name.mjd}-{name.fiber:04d}",
        "plate": name.plate,
        "mjd": name.mjd,
        "fiber": name.fiber,
        "run2d": name.run2d,
        "objtype": _text(table, "OBJTYPE", "SOURCETYPE"),
        "class": _text(table, "CLASS"),
        "subclass": _text(table, "SUBCLASS"),
        "z": _number(table, "Z", _NAN) if fitted else _NAN,
        # A fit that fails has an error of 0 or below.
        "z_err": z_err if fitted and z_err > 0 else _NAN,
        "zwarning": zwarning,
        "rchi2": _number(table, "RCHI2", _NAN) if _number(table, "DOF", 1) > 0 else _NAN,
        "sn_median": _number(table, "SN_MEDIAN_ALL", _NAN),
        "vdisp": _number(table, "VDISP", _NAN) if vdisp_err > 0 else _NAN,
        "vdisp_err": vdisp_err if vdisp_err > 0 else _NAN,
        **_fluxes(table),
        "objid": _identifier(table, "BESTOBJID", "OBJID") or -1,
        "specobjid": _identifier(table, "SPECOBJID") or 0,
        "program": _text(table, "PROGRAMNAME"),
        "platequality": _text(table, "PLATEQUALITY"),
        # 3 arcsec in SDSS-I/II, 2 arcsec since BOSS, whose reductions are called vN_M_P
        # (Smee et al. 2013, AJ 146, 32, table 1).
        "fiber_diameter": 2.0 if name.run2d.startswith("v") else 3.0,
        "exptime": exptime if isinstance(exptime, int | float) else _NAN,
        "nexp": nexp if isinstance(nexp, int) else -1,
        "helio_rv": helio_rv if isinstance(helio_rv, int | float) else _NAN,
    }


def _number(table: BinTable, name: str, missing: float) -> float:
    return table.column(name)[0].item() if name in table else missing


def _text(table: BinTable, *names: str) -> str:
    for name in names:
        if name in table:
            return str(table.column(name)[0]).strip()
    return ""


def _identifier(table: BinTable, *names: str) -> int | None:
    """Return a 64-bit number that some tables keep as text, some as an integer."""
    for name in names:
        if name not in table:
            continue
        value = table.column(name)[0]
        # OBJID of SPECOBJ is something else: run, rerun, camcol, field, id.
        if np.ndim(value):
            continue
        return number_of(str(value))
    return None


def _fluxes(table: BinTable) -> dict[str, float]:
    fluxes = dict.fromkeys((f"spectroflux_{band}" for band in BANDS), _NAN)
    if "SPECTROFLUX" in table:
        row = table.column("SPECTROFLUX")[0]
        weights = table.column("SPECTROFLUX_IVAR")[0] if "SPECTROFLUX_IVAR" in table else row
        for band, flux, weight in zip(BANDS, row, weights, strict=False):
            if flux != 0 or weight != 0:
                fluxes[f"spectroflux_{band}"] = float(flux)
    return fluxes
