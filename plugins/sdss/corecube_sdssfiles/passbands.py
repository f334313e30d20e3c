"""The passbands of SDSS's camera as its pipelines use them, June 2001.

Spectra of SDSS have vacuum wavelengths, and the curves are used as such, as the pipeline does for
SPECTROFLUX.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np

from corecube.photometry.passbands import Passband, Passbands

SOFTENING: Final[Mapping[str, float]] = {
    "u": 1.4e-10, "g": 0.9e-10, "r": 1.2e-10, "i": 1.8e-10, "z": 7.4e-10,
}  # fmt: skip
"""Maggies, of asinh magnitudes (SDSS algorithm page "magnitudes")."""

DOUBTFUL: Final = ("BADSKYCHI", "REDMONSTER")
"""Bits of or_mask whose pixels the pipeline bridges when it makes SPECTROFLUX."""

GROW: Final = 2
"""Pixels on either side of these that it bridges too."""


@cache
def jun2001() -> Passbands:
    """Return the five curves."""
    points: dict[str, list[tuple[float, float]]] = {}
    text = files("corecube_sdssfiles").joinpath("curves/jun2001.csv").read_text("utf-8")
    for row in csv.DictReader(text.splitlines()):
        points.setdefault(row["band"], []).append(
            (float(row["wavelength"]), float(row["response"]))
        )
    curves = []
    for band, part in points.items():
        wavelength, response = np.array(part).T
        curves.append(Passband(band, wavelength, response, "sdss_jun2001, SDSS idlutils"))
    return Passbands("sdss jun2001", tuple(curves), {"or_mask": DOUBTFUL}, GROW)
