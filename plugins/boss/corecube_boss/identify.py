"""Say what a file is, by its content; some files of a plate say who they are in their name alone.

Source: SDSS data model, BOSS_SPECTRO_REDUX/RUN2D/PLATE4 and BOSS_SPECTRO_DATA
(https://data.sdss.org/datamodel/). The files of idlspec2d v5 have no names of HDUs: their order
tells.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePath
from typing import Any, Final

import numpy as np

from corecube.errors import FileNotUnderstood
from corecube.fits import Fits, Header
from corecube.shots import FileHead, FileInfo, NotMine
from corecube_boss import raw
from corecube_boss.names import (
    CAMERAS,
    CameraName,
    camera_name,
    exposure_of,
    plate_file_kind,
    plate_key,
    to_ranges,
)
from corecube_sdssfiles.fibers import identify_spec
from corecube_sdssfiles.spec import column_names, looks_like_spec

LARGEST_TABLE: Final = 7 * 2**20
"""Bytes of a table of many plates that is kept from fibre to fibre; a release's has gigabytes."""

_EXPOSURE_ID: Final = re.compile(r"EXPID[\d*]+\Z")
_NAMELESS: Final = {
    "spFluxcalib": "a vector of flux calibration", "spFluxcorr": "a vector of flux correction",
    "spXYthrucorr": "a vector of throughput", "spFlat": "a flat",
}  # fmt: skip


def identify(file: FileHead) -> FileInfo | NotMine | None:
    """Say what a file is and what it belongs to.

    Parameters
    ----------
    file : FileHead

    Returns
    -------
    FileInfo, NotMine or None

    Raises
    ------
    FileNotUnderstood
        If it is one of ours and damaged.
    """
    if not file.head.startswith(b"SIMPLE  ="):
        return NotMine(_what_else(file.head))
    fits = Fits(file.head, file.source.path, partial=True)
    named = camera_name(file.name)
    plate_kind = plate_file_kind(file.name)
    first: Header | None = None
    try:
        header = fits.header(0)
        axes = header.get("NAXIS")
        if axes == 0 and fits.data_offset(1) is not None:
            first = fits.header(1)
    except FileNotUnderstood as error:
        if named or plate_kind:
            raise
        return NotMine(str(error).removeprefix(f"{file.source.path}: "))
    if first is not None:
        return _table(file, first)
    if axes != 2:
        return _damaged(file, named.kind if named else plate_kind) if named or plate_kind else None
    if raw.looks_like_raw(header):
        return _raw(file, header, named)
    if header.get("BITPIX") != -32:
        return None
    if named is None and not plate_kind and "PLATEID" not in header:
        return None
    return _image(file, named, plate_kind)


def _what_else(head: bytes) -> str:
    if not head.strip():
        return "an empty file"
    if b"typedef struct" in head and b"SPEXP" in head:
        return "a plan of exposures (spPlan), which stand in the headers of spPlate too"
    if head[:200].lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page or XML"
    return "not a FITS file"


def _raw(file: FileHead, header: Header, named: CameraName | None) -> FileInfo | NotMine:
    """Take camera and exposure from the name: the cards of real files are wrong in places."""
    if named is None:
        return NotMine("a raw frame whose name does not tell its camera, as in sdR-b1-00158842")
    refused = raw.refusal(header, named.camera)
    if refused:
        return NotMine(refused)
    key = f"raw/{header.integer('MJD'):05d}/{named.exposure}"
    return FileInfo(replace(file.source, kind="sdR"), key, named.entry)


def _table(file: FileHead, first: Header) -> FileInfo | NotMine | None:
    if first.get("XTENSION") != "BINTABLE":
        return None
    if looks_like_spec(first):
        return identify_spec(file)
    columns = column_names(first)
    if {"FUNC", "XMIN", "XMAX", "COEFF"} <= columns:
        return NotMine("a trace set alone, of no plate and camera")
    if {"PLATE", "MJD", "RUN2D"} <= columns:
        if {"FIBERID", "CLASS", "Z"} <= columns:
            return _survey_table(file, "spAll")
        if "PLATEQUALITY" in columns:
            return _survey_table(file, "platelist")
    return None


def _survey_table(file: FileHead, kind: str) -> FileInfo | NotMine:
    """Name the plates that a table of the survey has rows of."""
    table = Fits(file.head, file.source.path, partial=True).header(1)
    size = table.integer("NAXIS1") * table.integer("NAXIS2")
    if size > LARGEST_TABLE:
        return NotMine(
            f"the survey's {kind} table of {size >> 20} MB; its rows stand in the spec files too"
        )
    rows = Fits(file.read(), file.source.path).table(1)
    names = zip(
        rows.column("PLATE").tolist(),
        rows.column("MJD").tolist(),
        (str(text).strip() for text in rows.column("RUN2D")),
        strict=True,
    )
    plates = sorted({plate_key(*name) for name in names})
    return FileInfo(replace(file.source, kind=kind), facts={"plates": plates})


def _image(file: FileHead, named: CameraName | None, plate_kind: str) -> FileInfo | NotMine | None:
    """Recognise the files of a plate by the order of their HDUs."""
    fits = Fits(file.read(), file.source.path)
    header = fits.header(0)
    count = len(fits)
    kinds = [_kind_of_hdu(fits, hdu) for hdu in range(count)]
    plugmap = count > 5 and kinds[5] == "plugmap"
    if plugmap and "COEFF0" in header:
        return _plate(file, fits)
    if plugmap and kinds[3] in ("traces", "wavelengths"):
        return _camera(file, fits, "spFrame" if kinds[3] == "traces" else "spCFrame", named)
    if count > 3 and kinds[1] == kinds[3] == "traces":
        return _companion(file, header, "spFlat", named)
    if count > 4 and kinds[2] == kinds[4] == "traces":
        return NotMine("an arc solution (spArc); the wavelengths stand in the spFrame too")
    if {"CRVAL1", "CD1_1", "PLATEID", "MJD"} <= set(header) and "CAMERAS" not in header:
        info = FileInfo(replace(file.source, kind="spFluxdistort"), _key(header))
        return info if plate_kind != "spPlate" else _damaged(file, "spPlate")
    if named is not None and named.kind in ("spFluxcalib", "spFluxcorr", "spXYthrucorr"):
        if named.kind == "spFluxcorr" and (count < 2 or fits.shape(1) != fits.shape(0)):
            return _damaged(file, named.kind)
        return _companion(file, header, named.kind, named)
    if "WAVEMIN" in header and "WAVEMAX" in header:
        return _companion(file, header, "spFluxcalib", named)
    if named is not None or plate_kind:
        return _damaged(file, named.kind if named is not None else plate_kind)
    return None


def _damaged(file: FileHead, kind: str) -> FileInfo:
    raise FileNotUnderstood(
        f"{file.source.path}: named {kind}, but its HDUs are not those of such a file; fetch it "
        "again or give it its own name"
    )


def _kind_of_hdu(fits: Fits, hdu: int) -> str:
    header = fits.header(hdu)
    if header.get("XTENSION") == "BINTABLE":
        columns = column_names(header)
        if {"FUNC", "COEFF"} <= columns:
            return "traces"
        return "plugmap" if {"FIBERID", "RA", "DEC"} <= columns else "table"
    return "wavelengths" if header.get("BITPIX") == -64 else "image"


def _key(header: Header) -> str:
    run2d = str(header.get("RUN2D", header.get("VERS2D", ""))).strip()
    return plate_key(header.integer("PLATEID"), header.integer("MJD"), run2d)


def _plate(file: FileHead, fits: Fits) -> FileInfo:
    header = fits.header(0)
    first = round(header.number("COEFF0") * 1e4)
    exposures = [
        "-".join(str(header[card]).strip().lower().split("-")[:2])
        for card in header if _EXPOSURE_ID.match(card)
    ]  # fmt: skip
    facts: dict[str, Any] = {
        "first": first, "count": header.integer("NAXIS1"), "fibers": _fibers(fits),
        "exposures": sorted(exposures),
    }  # fmt: skip
    return FileInfo(replace(file.source, kind="spPlate"), _key(header), "spPlate", facts=facts)


def _camera(file: FileHead, fits: Fits, kind: str, named: CameraName | None) -> FileInfo | NotMine:
    header = fits.header(0)
    if named is None:
        camera = str(header.get("CAMERAS", "")).strip().lower()
        if camera not in CAMERAS:
            return NotMine(f"an {kind} whose name and cards do not tell its camera")
        named = CameraName(kind, camera, f"{header.integer('EXPOSURE'):08d}")
    facts = {
        "fibers": _fibers(fits), "flat": exposure_of(header.get("FLATFILE")),
        "folder": _folder(file),
    }  # fmt: skip
    return FileInfo(replace(file.source, kind=kind), _key(header), named.entry, facts=facts)


def _fibers(fits: Fits) -> str:
    return to_ranges(np.asarray(fits.table(5).column("FIBERID")).tolist())


def _folder(file: FileHead) -> str:
    return str(PurePath(file.source.path).parent)


def _companion(
    file: FileHead, header: Header, kind: str, named: CameraName | None
) -> FileInfo | NotMine:
    """Take what serves exposures of one camera; which plate it is of, the plan finds out."""
    if named is None:
        camera = str(header.get("CAMERAS", "")).strip().lower()
        if camera not in CAMERAS or "EXPOSURE" not in header:
            return NotMine(
                f"{_NAMELESS[kind]} whose name does not tell camera and exposure, as in "
                f"{kind}-b1-00158842"
            )
        named = CameraName(kind, camera, f"{header.integer('EXPOSURE'):08d}")
    facts = {"exposure": named.entry, "folder": _folder(file)}
    return FileInfo(replace(file.source, kind=kind), facts=facts)
