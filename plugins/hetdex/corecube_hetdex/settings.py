"""The settings of the instrument."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corecube.config import about


def _list(what: str) -> dict[str, Any]:
    return about(what, changes_numbers=False)


@dataclass(frozen=True)
class HetdexConfig:
    """Settings of the instrument `hetdex`.

    The lists name pixels after ingest: ``corecube masks`` reads them anew and changes nothing
    else.

    Attributes
    ----------
    badamps, badamps_single, badfib, badpix, badshots, satellites, meteors, galaxies : Path or None
        Lists in the formats of HETDEX/hetdex_api, known_issues.
    native : bool
        Keep the native spectra beside the rectified ones.
    images : bool
        Keep the images of the detectors.
    cure_offset : (float, float)
        Added to the positions of Cure spectra, arcsec: RA times cos(dec), and Dec.
    cure_right_first : list of str
        Slots whose file of positions begins with the right spectrograph.
    """

    badamps: Path | None = field(
        default=None, metadata=_list("list of bad amplifiers by range of dates, as badamps.list")
    )
    badamps_single: Path | None = field(
        default=None, metadata=_list("list of bad amplifiers by shot, as badamps_single.list")
    )
    badfib: Path | None = field(default=None, metadata=_list("list of bad fibres, as badfib.tab"))
    badpix: Path | None = field(
        default=None, metadata=_list("list of bad boxes of pixels, as badpix.list")
    )
    badshots: Path | None = field(
        default=None, metadata=_list("list of bad shots, as badshots.list")
    )
    satellites: Path | None = field(
        default=None, metadata=_list("list of tracks of satellites, as satellite_tracks.txt")
    )
    meteors: Path | None = field(
        default=None, metadata=_list("list of tracks of meteors, as meteor.txt")
    )
    galaxies: Path | None = field(
        default=None, metadata=_list("table of large galaxies, as rc3.ugc.hetdex.both.v8.csv")
    )
    native: bool = field(
        default=True,
        metadata=about("keep the native spectra beside the rectified ones"),
    )
    images: bool = field(default=True, metadata=about("keep the images of the detectors"))
    cure_offset: tuple[float, float] = field(
        default=(0.0, 0.0),
        metadata=about("added to positions of Cure spectra: RA cos(dec), Dec", unit="arcsec"),
    )
    cure_right_first: list[str] = field(
        default_factory=lambda: ["094"],
        metadata=about("slots whose file of positions has the right spectrograph first"),
    )
