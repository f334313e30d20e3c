"""Ingest: from paths to registered shots."""

from __future__ import annotations

from corecube.pipeline.ingest import Options, ingest
from corecube.pipeline.report import Report

__all__ = ["Options", "Report", "ingest"]
