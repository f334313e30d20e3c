"""Spectra of the older reduction by Cure: 224 fibres of one spectrograph, on a linear grid.

``Fepses<time>_<slot>_sci_<side>.fits`` has the counts, ``e.Fepses...`` their 1-sigma errors; zero
means no data. Positions stand in a text, ``ifuPos084.txt``: a line a fibre with RA, Dec and radius,
of both spectrographs of the IFU, in most slots the left one first. The wavelengths are taken to be
in air, of which the files say nothing: H beta of the stars in M3 lies there to 0.2 Angstrom.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood
from corecube.fits import Fits, Header
from corecube.frames import Fibers
from corecube.provenance import Provenance
from corecube.shots import Context, FileHead, FileInfo, NotMine, ShotPlan, Source
from corecube.spectral import Spectral
from corecube_hetdex import columns
from corecube_hetdex.names import ShotName, three_digits
from corecube_hetdex.settings import HetdexConfig
from corecube_hetdex.times import times_of

GROUP: Final = "cure"
ROWS: Final = 224
"""Fibres of a spectrograph."""
UNIT: Final = "ct"
"""Counts; the header's gain of 1 does not say whether they are electrons."""

REACH: Final = 0.5
"""Degrees between the pointing and the positions of one of its IFUs at most; the farthest IFU is
495 arcsec from the centre of the focal plane, and the telescope's word is good to arcminutes."""

_NAME: Final = re.compile(r"(ifuPos|IFUpos)(\d{3})\.txt")


def looks_like_cure(header: Header) -> bool:
    """Tell by a header whether this is a file of extracted spectra by Cure."""
    return (
        header.get("NAXIS") == 2
        and str(header.get("CTYPE1", "")).strip() == "LINEAR"
        and str(header.get("CUNIT2", "")).strip() == "FiberN"
    )


def identify(file: FileHead, header: Header) -> FileInfo | NotMine:
    """Say what a Cure file belongs to: the night and number of its observation.

    Raises
    ------
    FileNotUnderstood
        If the header does not tell slot, side or observation.
    """
    slot, side = three_digits(header.get("IFUSLOT", "")), str(header.get("CCDPOS", "")).strip()
    date, number = str(header.get("DATE-OBS", ""))[:10].replace("-", ""), header.get("OBSID")
    clock = re.fullmatch(r"(\d\d):(\d\d):(\d\d)(?:\.(\d)\d*)?", str(header.get("UT", "")).strip())
    if not (slot and side in ("L", "R") and date.isdecimal() and isinstance(number, int) and clock):
        raise FileNotUnderstood(
            f"{file.source.path}: spectra of Cure whose header does not tell slot, side (CCDPOS), "
            "time (DATE-OBS, UT) or number (OBSID)"
        )
    entry = f"{date}T{clock[1]}{clock[2]}{clock[3]}.{clock[4] or 0}_{slot}_{side}"
    kind = "cure-error" if file.name.startswith("e.") else "cure"
    if kind == "cure-error":  # a companion: must be whole
        Fits(file.read(), file.source.path).image(0)
    return FileInfo(
        replace(file.source, kind=kind), f"cure/{ShotName(int(date), number)}", entry,
        facts={
            "slot": slot,
            "ra": _sexagesimal(header.get("TELRA")) * 15.0,
            "dec": _sexagesimal(header.get("TELDEC")),
        },
    )  # fmt: skip


def _sexagesimal(text: Any) -> float:
    """Return degrees of ``-12:30:00``; -999 if it is none, for JSON has no NaN."""
    match = re.fullmatch(r"([-+]?)(\d+):(\d+):([\d.]+)", str(text).strip())
    if match is None:
        return -999.0
    size = int(match[2]) + int(match[3]) / 60.0 + float(match[4]) / 3600.0
    return -size if match[1] == "-" else size


def identify_positions(file: FileHead) -> FileInfo | None:
    """Say whether a text holds the positions of an IFU's fibres.

    Parameters
    ----------
    file : FileHead

    Raises
    ------
    FileNotUnderstood
        If it is named like one, and a line is not as it should be.
    """
    match = _NAME.match(file.name)
    if match is None:
        return None
    table = _table(file.read().decode("latin-1"), file.source.path)
    facts = {"slot": match[2], "ra": float(table[0, 0]), "dec": float(table[0, 1])}
    return FileInfo(replace(file.source, kind="cure-positions"), facts=facts)


def _table(text: str, name: str) -> npt.NDArray[np.float64]:
    """Return RA, Dec, radius and a 1 of each fibre, float64 (n, 4)."""
    try:
        rows = [[float(word) for word in line.split()] for line in text.splitlines()]
        table = np.array([row for row in rows if row], dtype=np.float64)
    except ValueError:
        table = np.empty(0)
    if table.ndim != 2 or table.shape[1] != 4:
        raise FileNotUnderstood(
            f"{name}: should have RA, Dec, radius and a 1 in each line; fetch the file again"
        )
    return table


def near(one: Any, other: Any) -> bool:
    """Say whether positions of an IFU may belong to a pointing, by slot and distance."""
    if one["slot"] != other["slot"]:
        return False
    turn = (one["ra"] - other["ra"] + 180.0) % 360.0 - 180.0
    east = turn * np.cos(np.radians(other["dec"]))
    return bool(np.hypot(east, one["dec"] - other["dec"]) < REACH)


def read_spectra(
    plan: ShotPlan, entry: str, config: HetdexConfig, context: Context
) -> Iterator[Fibers]:
    """Read the spectra of one spectrograph in one exposure.

    Parameters
    ----------
    plan : ShotPlan
    entry : str
    config : HetdexConfig
    context : Context

    Yields
    ------
    Fibers
        Without errors where there is no file of errors.

    Raises
    ------
    FileNotUnderstood
        If data and errors differ in shape, or the grid is not linear.
    """
    main, *beside = plan.entries[entry]
    flux, header = _image(main, context)
    error = None
    notes: tuple[str, ...] = ()
    errors = next((source for source in beside if source.kind == "cure-error"), None)
    empty = flux == 0
    if errors is not None:
        error = _image(errors, context)[0]
        if error.shape != flux.shape:
            raise FileNotUnderstood(
                f"{errors.path}: errors {error.shape} do not fit the spectra {flux.shape}"
            )
        empty &= error == 0
        error[empty] = np.nan
    else:
        notes += ("no file of errors (e.Fepses...): the errors are not known",)
    flux[empty] = np.nan
    count, width = flux.shape
    if str(header.get("CTYPE1", "")).strip() != "LINEAR":
        raise FileNotUnderstood(f"{header.where}: the wavelengths are not LINEAR")
    start, step = header.number("CRVAL1"), header.number("CDELT1")
    pixel = np.arange(width, dtype=np.float64) + 1.0 - header.number("CRPIX1", 1.0)
    wave = start + step * pixel
    side = str(header.get("CCDPOS", "")).strip()
    source = next((source for source in beside if source.kind == "cure-positions"), None)
    ra, dec, more = _positions(source, entry, side, count, config, context)
    shot = ShotName.of_text(plan.key)
    shotid = shot.shotid if shot is not None else 0
    values = {
        columns.SHOTID: np.full(count, shotid, np.int64),
        columns.IFUSLOT: (three_digits(header.get("IFUSLOT", "")),) * count,
        columns.SPECID: (three_digits(header.get("SPECID", "")),) * count,
        columns.IFUID: (three_digits(header.get("IFUID", "")),) * count,
        columns.SIDE: (side,) * count,
        columns.FIBNUM: np.arange(1, count + 1, dtype=np.int32),
        columns.OBJECT: (str(header.get("OBJECT", "")).strip(),) * count,
        columns.ALIAS: tuple(f"{entry}_{number}" for number in range(1, count + 1)),
    }
    yield Fibers(
        name=GROUP,
        flux=flux,
        error=error,
        unit=UNIT,
        wave=Spectral(wave, medium="air"),
        id=tuple(f"{shotid}_{entry}_{number:03d}" for number in range(1, count + 1)),
        ra=ra,
        dec=dec,
        columns={column: values[column] for column in columns.CURE},
        header=header.lines(),
        times=times_of(header),
        provenance=Provenance(
            sources=tuple(s.path.rsplit("/", 1)[-1] for s in (main, *beside)),
            steps=("counts and errors as in the files; zero is no data, and is NaN",),
            not_modelled=(
                "wavelengths: the files do not say that they are in air; lines in M3 agree",
            ),
            notes=notes + more,
        ),
    )


def _image(source: Source, context: Context) -> tuple[npt.NDArray[np.float32], Header]:
    with context.open(source) as file:
        fits = Fits(file.read(), source.path)
    return fits.image(0).astype(np.float32, copy=False), fits.header(0)


def _positions(
    source: Source | None,
    entry: str,
    side: str,
    count: int,
    config: HetdexConfig,
    context: Context,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], tuple[str, ...]]:
    """Return RA and Dec of the fibres of one side; NaN where they cannot be joined."""
    blank = np.full(count, np.nan)
    if source is None:
        return blank, blank.copy(), ("no ifuPos text of this slot: positions are not known",)
    with context.open(source) as file:
        text = file.read().decode("latin-1")
    table = _table(text, source.path)
    if count != ROWS or len(table) != 2 * ROWS:
        return blank, blank.copy(), (
            f"{count} fibres and {len(table)} positions instead of {ROWS} and {2 * ROWS}: which "
            "belong together is not known",
        )  # fmt: skip
    slot = entry.rsplit("_", 2)[1]
    second = (side == "R") != (slot in config.cure_right_first)
    mine = table[ROWS:] if second else table[:ROWS]
    ra, dec = mine[:, 0].copy(), mine[:, 1].copy()
    east, north = config.cure_offset
    if east or north:
        dec += north / 3600.0
        ra = np.mod(ra + east / 3600.0 / np.cos(np.radians(dec)), 360.0)
        return ra, dec, (f"positions moved by {east:g}, {north:g} arcsec (cure_offset)",)
    return ra, dec, ("positions as in the ifuPos text, which is off by up to 15 arcsec in M3",)
