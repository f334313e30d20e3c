"""All that an archive knows of the light of one position, in one unit.

Apertures on every image, the same through each fibre, spectra through passbands, and what
catalogues say: a row each, with sigma and unit. Panels are data; the command line draws them.
"""

from __future__ import annotations

from corecube.measuring.gathering import Flux, Measured, SpectrumThere, measure
from corecube.measuring.objects import object_pulls
from corecube.measuring.scales import SCALES, Scale, panel_of, table_of

__all__ = [
    "SCALES", "Flux", "Measured", "Scale", "SpectrumThere", "measure", "object_pulls", "panel_of",
    "table_of",
]  # fmt: skip
