"""The columns of extracted spectra."""

from __future__ import annotations

from typing import Final

from corecube.frames import Column

EXTRACTED: Final = "extracted"
"""Name of the group."""

ALIAS: Final = Column("alias", "text", "", "Target and night: 59 Cyg 2020-11-02.")
RECIPE: Final = Column("recipe", "text", "", "How it was extracted: boxcar, rows-above-sky.")
PRESET: Final = Column("preset", "text", "", "Detector description by which the frames were read.")
DISPERSER: Final = Column("disperser", "text", "", "Grating or grism, as the header names it.")
EXPOSURES: Final = Column("exposures", "int32", "", "Number of exposures in the mean.")
EXPOSURE_TIME: Final = Column("exposure_time", "float64", "s", "Sum of the exposure times.")
FIRST_ROW: Final = Column(
    "first_row", "int32", "pix", "First row of the aperture across the dispersion, from 1."
)
LAST_ROW: Final = Column(
    "last_row", "int32", "pix", "Last row of the aperture across the dispersion, from 1."
)
SNR: Final = Column("sn_median", "float32", "", "Median of flux over error of the valid pixels.")

COLUMNS: Final = (
    ALIAS, RECIPE, PRESET, DISPERSER, EXPOSURES, EXPOSURE_TIME, FIRST_ROW, LAST_ROW, SNR,
)  # fmt: skip
