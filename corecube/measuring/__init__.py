"""All that an archive knows of the light of one position, in one unit.

Apertures on every image, the same through each fibre, spectra through passbands, and what
catalogues say: a row each, with sigma and unit. Panels are data; the command line draws them.
"""

from __future__ import annotations

from corecube.measuring.gathering import Flux, Measured, SpectrumThere, measure
from corecube.measuring.objects import Objects, object_pulls, objects_of
from corecube.measuring.scales import SCALES, Scale, panel_of, table_of

__all__ = [
    "SCALES", "Flux", "Measured", "Objects", "Scale", "SpectrumThere", "measure", "object_pulls",
    "objects_of", "panel_of", "table_of",
]  # fmt: skip
