"""Fluxes that can be compared: passbands, synthetic fluxes, rebinning, conversions, apertures.

Numbers and arrays in, numbers and arrays out; no instrument, archive or file is known here.
"""

from __future__ import annotations

from corecube.photometry.apertures import ApertureFlux, aperture_flux, aperture_weights
from corecube.photometry.logbins import LogBins, log_bins
from corecube.photometry.passbands import Merged, Passband, Passbands
from corecube.photometry.rebinning import Rebinned, log_edges, pixel_edges, rebin
from corecube.photometry.synthetic import SyntheticFlux, masked_by, synthetic_flux

__all__ = [
    "ApertureFlux", "LogBins", "Merged", "Passband", "Passbands", "Rebinned", "SyntheticFlux",
    "aperture_flux", "aperture_weights", "log_bins", "log_edges", "masked_by", "pixel_edges",
    "rebin", "synthetic_flux",
]  # fmt: skip
