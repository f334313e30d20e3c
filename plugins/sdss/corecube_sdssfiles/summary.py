"""The columns of a spectrum that are kept from HDU 2 of its spec file, and from the header.

HDU 2 has 126 columns in SDSS-I/II (SPECOBJ) and 236 in BOSS and eBOSS (SPALL); those that a
query needs are kept, under one name for both. Sources: SDSS data model pages "specObj" and
"spAll" (https://data.sdss.org/datamodel/).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

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
    *(
        Column(f"psfflux{kind}_{band}", "float32", "nanomaggy", f"{what} of the matched object.")
        for kind, what in (("", "PSF flux"), ("_err", "1-sigma error of the PSF flux"))
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


@dataclass(frozen=True)
class Rows:
    """Rows of a table, one per fibre.

    Attributes
    ----------
    table : BinTable
    rows : int array (n,)
        Row of the table for each fibre, -1 for none.
    """

    table: BinTable
    rows: npt.NDArray[np.int64]


def columns_of(file: SpecFile, *more: Rows) -> dict[Column, Any]:
    """Return the kept columns of one spectrum, each an array or list of one value.

    Parameters
    ----------
    file : SpecFile
    *more : Rows
        Of other tables, for what HDU 2 does not have.

    Returns
    -------
    dict of Column to array or list
        Missing numbers are NaN or the column's `missing`, never 0.

    Raises
    ------
    FileNotUnderstood
        If HDU 0 or HDU 2 are damaged.
    """
    name = file.spec_name
    own = Rows(file.summary, np.zeros(1, np.int64))
    return columns_of_fibers(
        (own, *more), np.array([name.fiber]), name.plate, name.mjd, name.run2d, file.header
    )


def columns_of_fibers(
    tables: Sequence[Rows],
    fibers: npt.NDArray[np.integer[Any]],
    plate: int,
    mjd: int,
    run2d: str,
    header: Mapping[str, Any],
) -> dict[Column, Any]:
    """Return the kept columns of n fibres of a plate, each an array or list of n values.

    Parameters
    ----------
    tables : sequence of Rows
        A value comes from the first that has its column and a row for the fibre.
    fibers : int array (n,)
        Numbers of the fibres.
    plate, mjd : int
    run2d : str
    header : mapping
        Cards EXPTIME, NEXP and HELIO_RV.

    Returns
    -------
    dict of Column to array or list
        Missing numbers are NaN or the column's `missing`, never 0.

    Raises
    ------
    FileNotUnderstood
        If a table is damaged.
    """
    look = Lookup(tables, len(fibers))
    zwarning = look.numbers("ZWARNING", -1).astype(np.int64)
    fitted = (zwarning < 0) | (zwarning & _NO_FIT == 0)
    vdisp_err, z_err = look.numbers("VDISP_ERR", _NAN), look.numbers("Z_ERR", _NAN)
    helio_rv, exptime, nexp = (header.get(card) for card in ("HELIO_RV", "EXPTIME", "NEXP"))
    values: dict[str, Any] = {
        "alias": [f"{plate:04d}-{mjd}-{fiber:04d}" for fiber in fibers.tolist()],
        "plate": plate,
        "mjd": mjd,
        "fiber": fibers,
        "run2d": [run2d] * len(fibers),
        "objtype": look.texts("OBJTYPE", "SOURCETYPE"),
        "class": look.texts("CLASS"),
        "subclass": look.texts("SUBCLASS"),
        "z": np.where(fitted, look.numbers("Z", _NAN), _NAN),
        # A fit that fails has an error of 0 or below.
        "z_err": np.where(fitted & (z_err > 0), z_err, _NAN),
        "zwarning": zwarning,
        "rchi2": np.where(look.numbers("DOF", 1) > 0, look.numbers("RCHI2", _NAN), _NAN),
        "sn_median": look.numbers("SN_MEDIAN_ALL", _NAN),
        "vdisp": np.where(vdisp_err > 0, look.numbers("VDISP", _NAN), _NAN),
        "vdisp_err": np.where(vdisp_err > 0, vdisp_err, _NAN),
        **_fluxes(look),
        "objid": look.identifiers(-1, "BESTOBJID", "OBJID"),
        "specobjid": look.identifiers(0, "SPECOBJID"),
        "program": look.texts("PROGRAMNAME"),
        "platequality": look.texts("PLATEQUALITY"),
        # 3 arcsec in SDSS-I/II, 2 arcsec since BOSS, whose reductions are called vN_M_P
        # (Smee et al. 2013, AJ 146, 32, table 1).
        "fiber_diameter": 2.0 if run2d.startswith("v") else 3.0,
        "exptime": exptime if isinstance(exptime, int | float) else _NAN,
        "nexp": nexp if isinstance(nexp, int) else -1,
        "helio_rv": helio_rv if isinstance(helio_rv, int | float) else _NAN,
    }
    return {
        column: values[column.name]
        if column.dtype == "text"
        else _array(values[column.name], column.dtype, len(fibers))
        for column in COLUMNS
    }


def _array(values: Any, dtype: str, count: int) -> npt.NDArray[Any]:
    return np.broadcast_to(np.asarray(values, dtype=dtype), (count,)).copy()


class Lookup:
    """Values of n fibres, each from the first table that has it.

    Parameters
    ----------
    tables : sequence of Rows
    count : int
        Number of fibres.
    """

    def __init__(self, tables: Sequence[Rows], count: int) -> None:
        self._tables = tables
        self._count = count

    def numbers(self, name: str, missing: float) -> npt.NDArray[Any]:
        """Return a column of numbers, `missing` where no table has one; (n,) or (n, k)."""
        found: npt.NDArray[Any] | None = None
        wanted = np.ones(self._count, bool)
        for part, values in self._columns(name):
            if found is None:
                kind = np.result_type(values.dtype, np.min_scalar_type(missing))
                found = np.full((self._count, *values.shape[1:]), missing, dtype=kind)
            if values.shape[1:] != found.shape[1:]:
                continue  # a column of this name, but of another kind
            here = wanted & (part.rows >= 0)
            found[here] = values[part.rows[here]]
            wanted &= ~here
        return np.full(self._count, missing) if found is None else found

    def texts(self, *names: str) -> list[str]:
        """Return a column of text under the first of these names, "" where there is none."""
        found = [""] * self._count
        wanted = np.ones(self._count, bool)
        for name in names:
            for part, values in self._columns(name):
                here = wanted & (part.rows >= 0)
                for place in np.flatnonzero(here).tolist():
                    found[place] = str(values[part.rows[place]]).strip()
                wanted &= ~here
        return found

    def identifiers(self, missing: int, *names: str) -> list[int]:
        """Return 64-bit numbers that some tables keep as text, some as integers."""
        found = [missing] * self._count
        wanted = np.ones(self._count, bool)
        for name in names:
            for part, values in self._columns(name):
                # OBJID of SPECOBJ and of plug maps is something else: run, rerun, camcol, ...
                if values.ndim != 1:
                    continue
                here = wanted & (part.rows >= 0)
                for place in np.flatnonzero(here).tolist():
                    found[place] = number_of(str(values[part.rows[place]])) or missing
                wanted &= ~here
        return found

    def _columns(self, name: str) -> Iterator[tuple[Rows, npt.NDArray[Any]]]:
        for part in self._tables:
            if name in part.table:
                yield part, part.table.column(name)


def _fluxes(look: Lookup) -> dict[str, Any]:
    """Return the fluxes of the spectrum, and those of its object in the imaging if it was found.

    SPECTROFLUX_IVAR is no inverse variance but the scatter of a plate's sky fibres, and not kept.
    """
    spectrum, _ = _five(look, "SPECTROFLUX")
    psf, weight = _five(look, "PSFFLUX")
    error = np.full(psf.shape, np.nan)
    measured = np.isfinite(psf) & (weight > 0)
    error[measured] = 1.0 / np.sqrt(weight[measured])
    psf = np.where(measured, psf, np.nan)
    kinds = (("spectroflux", spectrum), ("psfflux", psf), ("psfflux_err", error))
    return {
        f"{kind}_{band}": values[:, place]
        for kind, values in kinds
        for place, band in enumerate(BANDS)
    }


def _five(look: Lookup, name: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return a flux and its weight in five bands, NaN where a file has none."""
    flux = look.numbers(name, _NAN)
    weight = look.numbers(f"{name}_IVAR", _NAN)
    found = []
    for values in (flux, weight):
        whole = np.full((flux.shape[0], len(BANDS)), _NAN)
        if values.ndim == 2:
            width = min(values.shape[1], len(BANDS))
            whole[:, :width] = values[:, :width]
        found.append(whole)
    known = (found[0] != 0) | (np.isfinite(found[1]) & (found[1] != 0))
    return np.where(known, found[0], _NAN), found[1]
