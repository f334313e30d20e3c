"""The columns of fibres, and their units."""

from __future__ import annotations

from typing import Final

from corecube.frames import Column

ALIAS: Final = Column("alias", "text", "", "Shot, exposure, slot, amplifier and fibre, in short.")
SHOTID: Final = Column("shotid", "int64", "", "Night times 1000 plus number of the shot.")
EXPNUM: Final = Column("expnum", "int32", "", "Exposure of the shot, 1 to 3.")
MULTIFRAME: Final = Column("multiframe", "text", "", "Name of the amplifier.")
IFUSLOT: Final = Column("ifuslot", "text", "", "Slot of the IFU in the focal plane.")
SPECID: Final = Column("specid", "text", "", "Number of the spectrograph.")
IFUID: Final = Column("ifuid", "text", "", "Number of the IFU.")
AMP: Final = Column("amp", "text", "", "Amplifier: LL, LU, RL or RU.")
FIBNUM: Final = Column("fibnum", "int32", "", "Fibre of the amplifier, 1 to 112.")
FPX: Final = Column("fpx", "float64", "arcsec", "Place in the focal plane, x.")
FPY: Final = Column("fpy", "float64", "arcsec", "Place in the focal plane, y.")
IFUX: Final = Column("ifux", "float64", "arcsec", "Place in the IFU, x.")
IFUY: Final = Column("ifuy", "float64", "arcsec", "Place in the IFU, y.")
CONTID: Final = Column("contid", "text", "", "Controller of the detector.")
OBJECT: Final = Column("object", "text", "", "Name of the pointing, card OBJECT.")
FIELD: Final = Column("field", "text", "", "Field of the survey.")
RELFLUX: Final = Column("relflux", "float32", "", "Relative flux of the exposure.")
FWHM: Final = Column("fwhm", "float32", "arcsec", "Seeing of the shot.")
RESPONSE: Final = Column("response_4540", "float32", "", "Throughput of the shot at 4540 Angstrom.")
THROUGHPUT: Final = Column(
    "fiber_to_fiber", "float32", "", "Median of the fibre's relative throughput."
)
TABLE_OFFSET: Final = Column(
    "table_offset", "float32", "arcsec",
    "Distance of the position from that of the file's or shot's table of positions.",
)  # fmt: skip

FIBERS: Final = (
    ALIAS, SHOTID, EXPNUM, MULTIFRAME, IFUSLOT, SPECID, IFUID, AMP, FIBNUM, FPX, FPY, IFUX, IFUY,
    CONTID, OBJECT, FIELD, RELFLUX, FWHM, RESPONSE, THROUGHPUT, TABLE_OFFSET,
)  # fmt: skip
"""Of the group ``fibers``."""

SIDE: Final = Column("side", "text", "", "Spectrograph of the IFU, L or R.")

CURE: Final = (ALIAS, SHOTID, IFUSLOT, SPECID, IFUID, SIDE, FIBNUM, OBJECT)
"""Of the group ``cure``; fibres count from 1 to 224 in each spectrograph."""
