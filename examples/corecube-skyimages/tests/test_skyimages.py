"""All that it takes to test an instrument: name it, name a few files, run pytest."""

from __future__ import annotations

import os
from pathlib import Path

from corecube.testing import InstrumentTests


class TestSkyImages(InstrumentTests):
    """The checks of corecube's conformance kit; SKYIMAGES_DATA is a folder with such images."""

    instrument = "skyimages"
    files = sorted(Path(os.environ.get("SKYIMAGES_DATA", ".")).rglob("*.fits*"))
