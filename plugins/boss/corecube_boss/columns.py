"""The columns of the coadds: those that all spectra of SDSS have, and those of BOSS.

Sources: SDSS data model pages "spec", "spAll" and "spPlate" (https://data.sdss.org/datamodel/).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.fits import BinTable, Fits
from corecube.frames import Column
from corecube.shots import Context, ShotPlan
from corecube_sdssfiles.spec import SpecFile
from corecube_sdssfiles.summary import COLUMNS as SHARED
from corecube_sdssfiles.summary import Lookup, Rows, columns_of, columns_of_fibers

_BITS: Final = {
    "boss_target1": "Bits of targets of BOSS (BOSS_TARGET1).",
    "boss_target2": "Bits of targets of BOSS (BOSS_TARGET2).",
    "ancillary_target1": "Bits of ancillary programmes (ANCILLARY_TARGET1).",
    "ancillary_target2": "Bits of ancillary programmes (ANCILLARY_TARGET2).",
    "eboss_target0": "Bits of targets of SEQUELS (EBOSS_TARGET0).",
    "eboss_target1": "Bits of targets of eBOSS (EBOSS_TARGET1).",
    "eboss_target2": "Bits of targets of eBOSS (EBOSS_TARGET2).",
    "thing_id": "Number of the object in the resolved imaging.",
}
_PLACES: Final = ("xfocal", "yfocal")

EXTRA: Final[tuple[Column, ...]] = (
    Column("spectrograph", "int32", "", "Number of the spectrograph, 1 or 2."),
    *(Column(name, "int64", "", text, -1) for name, text in _BITS.items()),
    Column("specprimary", "int32", "", "1 for the best of several spectra of an object.", -1),
    Column("xfocal", "float32", "mm", "Place of the fibre in the focal plane."),
    Column("yfocal", "float32", "mm", "Place of the fibre in the focal plane."),
)

COLUMNS: Final[tuple[Column, ...]] = (*SHARED, *EXTRA)


def of_spec(file: SpecFile, plan: ShotPlan, context: Context) -> Mapping[Column, Any]:
    """Return the columns of one spec file; what its HDU 2 does not have comes from the survey."""
    name = file.spec_name
    fibers = np.array([name.fiber])
    more = survey_rows(plan, context, fibers)
    own = Rows(file.summary, np.zeros(1, np.int64))
    return columns_of(file, *more) | _extra((own, *more), fibers, name.run2d)


def of_plate(
    plan: ShotPlan,
    context: Context,
    fibers: npt.NDArray[np.int64],
    plugmap: Rows,
    header: Mapping[str, Any],
) -> Mapping[Column, Any]:
    """Return the columns of fibres of a plate, from the survey's tables and the plug map.

    Parameters
    ----------
    plan : ShotPlan
    context : Context
    fibers : int array (n,)
    plugmap : Rows
        Row of each fibre.
    header : mapping
        Of the spPlate or camera frame.
    """
    plate, mjd, run2d = plan.key.split("-", 2)
    tables = (*survey_rows(plan, context, fibers), plugmap)
    shared = columns_of_fibers(tables, fibers, int(plate), int(mjd), run2d, header)
    return shared | _extra(tables, fibers, run2d)


def survey_rows(
    plan: ShotPlan, context: Context, fibers: npt.NDArray[np.integer[Any]]
) -> tuple[Rows, ...]:
    """Return the rows of spAll and platelist for fibres of the plate.

    Parameters
    ----------
    plan : ShotPlan
    context : Context
    fibers : int array (n,)
    """
    plate, mjd, run2d = plan.key.split("-", 2)
    found = []
    for source in plan.companions:
        table = Fits(context.read(source), source.path).table(1)
        here = (table.column("PLATE") == int(plate)) & (table.column("MJD") == int(mjd))
        here &= np.char.strip(table.column("RUN2D")) == run2d
        rows = np.flatnonzero(here)
        if not rows.size:
            continue
        if source.kind == "spAll":
            found.append(Rows(table, rows_of(table.column("FIBERID")[rows], fibers, rows)))
        else:
            found.append(Rows(table, np.full(len(fibers), rows[0])))
    return tuple(found)


def rows_of(
    known: npt.NDArray[Any],
    fibers: npt.NDArray[np.integer[Any]],
    rows: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.int64]:
    """Return where fibres stand in a list of fibres, -1 for those that are not in it.

    Parameters
    ----------
    known : int array (k,)
        FIBERID of each row.
    fibers : int array (n,)
    rows : int array (k,), optional
        Numbers of the rows, where they are not 0 to k - 1.
    """
    if not known.size:
        return np.full(len(fibers), -1, np.int64)
    order = np.argsort(known, kind="stable")
    place = np.clip(np.searchsorted(known[order], fibers), 0, known.size - 1)
    found = order[place]
    rows = np.arange(known.size) if rows is None else rows
    return np.where(known[found] == fibers, rows[found], -1)


def _extra(
    tables: Sequence[Rows], fibers: npt.NDArray[np.integer[Any]], run2d: str
) -> dict[Column, Any]:
    look = Lookup(tables, len(fibers))
    half = 500 if run2d.startswith("v") else 320  # reductions of BOSS are called vN_M_P
    values: dict[str, Any] = {name: look.numbers(name.upper(), -1) for name in _BITS}
    values |= {name: look.numbers(name.upper(), np.nan) for name in _PLACES}
    values["specprimary"] = look.numbers("SPECPRIMARY", -1)
    values["spectrograph"] = (fibers - 1) // half + 1
    return {column: np.asarray(values[column.name]).astype(column.dtype) for column in EXTRA}


def plugmap_of(table: BinTable, fibers: npt.NDArray[np.integer[Any]]) -> Rows:
    """Return the rows of a plug map for fibres."""
    return Rows(table, rows_of(table.column("FIBERID"), fibers))
