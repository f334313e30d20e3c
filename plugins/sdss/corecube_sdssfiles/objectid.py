"""The 64-bit numbers of SDSS: objID of the imaging, specObjID of the spectra.

Source: SDSS DR17, "Understanding SDSS ObjIDs and Primaries" and the glossary entry on specObjID
(https://www.sdss.org/dr17/help/glossary/).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from corecube.errors import FileNotUnderstood

_VERSION = re.compile(r"v(\d+)_(\d+)_(\d+)\Z")


@dataclass(frozen=True)
class ObjID:
    """The parts of an imaging objID.

    Attributes
    ----------
    sky_version, rerun, run, camcol, first_field, field, id : int
        Bits 59-62, 48-58, 32-47, 29-31, 28, 16-27 and 0-15.
    """

    sky_version: int
    rerun: int
    run: int
    camcol: int
    first_field: int
    field: int
    id: int

    @classmethod
    def from_number(cls, number: int) -> ObjID:
        """Take an objID apart."""
        return cls(
            sky_version=number >> 59 & 0xF,
            rerun=number >> 48 & 0x7FF,
            run=number >> 32 & 0xFFFF,
            camcol=number >> 29 & 0x7,
            first_field=number >> 28 & 0x1,
            field=number >> 16 & 0xFFF,
            id=number & 0xFFFF,
        )

    def number(self) -> int:
        """Return the objID."""
        return (
            self.sky_version << 59
            | self.rerun << 48
            | self.run << 32
            | self.camcol << 29
            | self.first_field << 28
            | self.field << 16
            | self.id
        )


@dataclass(frozen=True)
class SpecObjID:
    """The parts of a specObjID, which needs 64 bits without a sign.

    Attributes
    ----------
    plate, fiber, mjd : int
        Bits 50-63, 38-49, 24-37 (MJD - 50000).
    run2d : int
        Bits 10-23: the number of an SDSS-I/II reduction, or (N - 5) 10000 + 100 M + P for
        ``vN_M_P``.
    line : int
        Bits 0-9.
    """

    plate: int
    fiber: int
    mjd: int
    run2d: int
    line: int = 0

    @classmethod
    def from_number(cls, number: int) -> SpecObjID:
        """Take a specObjID apart."""
        return cls(
            plate=number >> 50 & 0x3FFF,
            fiber=number >> 38 & 0xFFF,
            mjd=(number >> 24 & 0x3FFF) + 50000,
            run2d=number >> 10 & 0x3FFF,
            line=number & 0x3FF,
        )

    def number(self) -> int:
        """Return the specObjID."""
        night = self.mjd - 50000
        return self.plate << 50 | self.fiber << 38 | night << 24 | self.run2d << 10 | self.line


def run2d_number(run2d: str) -> int:
    """Return the number that stands for a reduction in a specObjID.

    Parameters
    ----------
    run2d : str
        ``26``, ``103``, ``104``, or ``vN_M_P``.

    Raises
    ------
    FileNotUnderstood
        If it is neither.
    """
    match = _VERSION.match(run2d)
    if match:
        major, minor, patch = map(int, match.groups())
        return (major - 5) * 10000 + minor * 100 + patch
    if run2d.isdecimal():
        return int(run2d)
    raise FileNotUnderstood(f"RUN2D {run2d!r} is neither a number nor like v5_10_0")


def number_of(text: str) -> int | None:
    """Return an objID that a table keeps as text, None if there is none.

    Parameters
    ----------
    text : str
        19 digits, with blanks around them in some tables; empty or 0 where nothing matched.
    """
    digits = text.strip()
    return int(digits) if digits.isdecimal() and int(digits) > 0 else None
