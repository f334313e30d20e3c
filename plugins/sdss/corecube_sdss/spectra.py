"""Spectra of spec files; how they are read is shared with other instruments."""

from __future__ import annotations

from corecube_sdssfiles.fibers import COADD, read_fibers
from corecube_sdssfiles.specnoise import check_noise, factors

__all__ = ["COADD", "check_noise", "factors", "read_fibers"]
