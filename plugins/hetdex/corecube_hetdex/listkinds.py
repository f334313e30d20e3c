"""Say in a few words what a text of the survey is that is not ingested."""

from __future__ import annotations

import re
from typing import Final

_SETTINGS: Final = {
    "ifuslot ampid multiframe date_start date_end": ("bad amplifiers", "badamps"),
    "shotid multiframe": ("bad amplifiers of single shots", "badamps_single"),
    "multiframe fibnum": ("bad fibres", "badfib"),
    "shotid a b": ("tracks of meteors", "meteors"),
}
"""Header lines of lists, what they list, and the setting that names them."""

_NUMBER: Final = r"[-+]?[\d.]+(?:[Ee][-+]?\d+)?"
_ROWS: Final = (
    (re.compile(r"multi_\w{14} \d+ \d+ \d+ \d+"), ("bad boxes of pixels", "badpix")),
    (re.compile(rf"\d{{11}} \d {_NUMBER} {_NUMBER}"), ("tracks of satellites", "satellites")),
    (re.compile(r"0|\d{11}"), ("bad shots", "badshots")),
)


def what_it_is(name: str, lines: list[list[str]]) -> str:
    """Return the reason why a text is not ingested.

    Parameters
    ----------
    name : str
        Of the file.
    lines : list of list of str
        Words of its first lines, at least one.
    """
    first = " ".join(lines[0])
    found = _SETTINGS.get(first)
    if found is None:
        found = next((what for pattern, what in _ROWS if pattern.fullmatch(first)), None)
    if first.startswith("Coords,PGC"):
        found = "large galaxies", "galaxies"
    if found is not None:
        what, setting = found
        return f"a list of {what}; name it with --set hetdex.{setting}=PATH"
    if first == "wave corr" or name.startswith("wdcor"):
        return "a correction of the flux by release, which is not applied"
    if first.startswith("multiframe,ra,dec,"):
        return "a table of values of fibres, not their spectra"
    if first.startswith("NL NX NY"):
        return "a list of stars of daophot, which is not used"
    if ".addin" in name:
        return "places of fibres in a bundle, which the files of amplifiers have themselves"
    if name.endswith(".json"):
        return "JSON, which is not used"
    return "a text that is none of the tables beside HETDEX spectra"
