"""The report on a shot, an image or a fibre, from the shot file alone.

What holds for any instrument is made here: sizes, values, masks, the factors and whether they
replay, the check of the noise, provenance, and drawings of them. What only the instrument knows it
adds by its hook ``corecube_report``. Nothing is drawn here: panels are data, and the command line
and the browser draw them.
"""

from __future__ import annotations

from corecube.reports.asking import Asked
from corecube.reports.making import LAYOUT, Report, report
from corecube.reports.numbers import plain
from corecube.reports.replay import replay

__all__ = ["LAYOUT", "Asked", "Report", "plain", "replay", "report"]
