"""Say what a file is, by its content.

People rename files, and lite and full spec files have the same name. Only the filter of an fpM
file stands nowhere but in its name.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

from corecube.errors import FileNotUnderstood
from corecube.fits import Fits, Header
from corecube.shots import FileHead, FileInfo, NotMine
from corecube_sdss.frames import (
    Field,
    field_of_cards,
    identity_of_content,
    identity_of_head,
    looks_like_frame,
)
from corecube_sdss.masks import looks_like_fpm
from corecube_sdssfiles.fibers import identify_spec
from corecube_sdssfiles.spec import column_names, looks_like_spec

_FPM_NAME: Final = re.compile(r"fpM-(\d{6})-([ugriz])([1-6])-(\d{4})\.")
_OURS: Final = ("RUN", "CAMCOL", "PLATEID")
"""Cards by which a damaged file still shows that it is of this survey."""


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
    try:
        header = fits.header(0)
    except FileNotUnderstood as error:
        if any(f"{card:8}=".encode() in file.head for card in _OURS):
            raise
        return NotMine(str(error).removeprefix(f"{file.source.path}: "))
    if header.get("NAXIS") == 2:
        return _image(file, header)
    if looks_like_fpm(header):
        return _fpm(file, header)
    if file.name.startswith("fpAtlas") and "CAMCOL" in header:
        return NotMine("an fpAtlas file of object stamps, which is not used")
    if fits.data_offset(1) is None:
        return None
    return _by_first_extension(file, header, fits)


def _what_else(head: bytes) -> str:
    start = head[:200].lstrip().lower()
    if not start:
        return "an empty file"
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page or XML"
    return "not a FITS file"


def _info(
    file: FileHead, kind: str, key: str, entry: str = "", rank: int = 0, **facts: Any
) -> FileInfo:
    return FileInfo(replace(file.source, kind=kind), key, entry, rank, facts=facts)


def _image(file: FileHead, header: Header) -> FileInfo | NotMine | None:
    if looks_like_frame(header):
        field = identity_of_head(header, file.name)
        if field is None:
            field = identity_of_content(Fits(file.read(), file.source.path))
        return _info(file, "frame", field.key, field.band)
    if {"FILTER", "CAMCOL", "RUN"} <= set(header) and header.get("BITPIX") == 16:
        return NotMine(
            "an uncalibrated fpC image of data releases 1 to 7, which is not supported; "
            "take the frame file of the same field"
        )
    if {"PLATEID", "FIBERID"} <= set(header) and header.get("NAXIS2") == 5:
        return NotMine(
            "an spSpec spectrum of data releases 1 to 7, which is not supported; "
            "take the spec file of the same plate, MJD and fibre"
        )
    return None


def _fpm(file: FileHead, header: Header) -> FileInfo | NotMine:
    field = field_of_cards(header)
    match = _FPM_NAME.search(file.name)
    if match is None:
        return NotMine("an fpM mask whose name does not tell its filter, as in fpM-002583-r2-0136")
    if Field(int(match[1]), int(match[3]), int(match[4])).key != field.key:
        raise FileNotUnderstood(
            f"{file.source.path}: HDU 0 is of {field.key}, not of the field in the name, so that "
            "the filter is in doubt; give it its own name back"
        )
    return _info(file, "fpM", field.key, match[2])


def _by_first_extension(file: FileHead, header: Header, fits: Fits) -> FileInfo | NotMine | None:
    first = fits.header(1)
    if first.get("XTENSION") == "IMAGE":
        # A field without objects: the table is an image without data.
        if first.get("NAXIS") == 0 and {"POBJ_VER", "RUN", "CAMCOL", "FIELD"} <= set(header):
            return _info(file, "photoObj", field_of_cards(header).key)
        return None
    columns = column_names(first)
    if "OBJC_COLC" in columns and "OBJID" in columns:
        return _info(file, "photoObj", field_of_cards(header).key)
    if {"FIELD", "NMGYPERCOUNT", "GAIN", "DARK_VARIANCE"} <= columns:
        # CAMCOL is a text in these files.
        run, camcol = (str(header.get(card)).strip() for card in ("RUN", "CAMCOL"))
        if run.isdecimal() and camcol.isdecimal():
            return _info(file, "photoField", "", run=int(run), camcol=int(camcol))
    if "RROWS" in columns and {"RUN", "CAMCOL", "FIELD"} <= set(header):
        return _info(file, "psField", field_of_cards(header).key)
    if looks_like_spec(first):
        return identify_spec(file)
    return None
