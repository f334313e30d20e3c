"""Lists of bad amplifiers, fibres, pixels and shots, and of tracks, as the survey keeps them.

Lines that begin with # and empty lines are comments. In ``badamps.list`` the name of the amplifier
counts: four real entries have another one in the column ampid. Tracks are straight lines in RA and
Dec (degrees): of meteors as intercept and slope, of satellites as slope and intercept.

Source: HETDEX/hetdex_api, known_issues/hdr3.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from corecube.errors import ConfigurationError, FileNotUnderstood
from corecube.shots import FileHead

_ANGLE: Final = re.compile(r"([-+]?)(\d+)[hd](\d+)m([\d.]+)s")


@dataclass(frozen=True)
class BadAmplifier:
    """An amplifier that is bad on some nights, dates YYYYMMDD inclusive."""

    multiframe: str
    first: int
    last: int


@dataclass(frozen=True)
class BadBox:
    """Bad pixels of an amplifier: columns x1 to x2 and rows y1 to y2, from 0, inclusive."""

    multiframe: str
    x1: int
    x2: int
    y1: int
    y2: int


@dataclass(frozen=True)
class Track:
    """A straight line ``dec = intercept + slope ra`` in degrees; exposure 0 is all exposures."""

    shotid: int
    exposure: int
    intercept: float
    slope: float


@dataclass(frozen=True)
class Galaxy:
    """An ellipse: degrees; semi-axes in arcmin, position angle from north to east."""

    name: str
    ra: float
    dec: float
    major: float
    minor: float
    angle: float


def bad_amplifiers(path: Path) -> list[BadAmplifier]:
    """Read ``badamps.list``: ifuslot ampid multiframe date_start date_end."""
    return [
        BadAmplifier(words[2], int(words[3]), int(words[4]))
        for words in _rows(path, 5, "ifuslot", check=(3, 4))
    ]


def bad_amplifiers_of_shots(path: Path) -> set[tuple[int, str]]:
    """Read ``badamps_single.list``: shotid multiframe."""
    return {(int(words[0]), words[1]) for words in _rows(path, 2, "shotid", check=(0,))}


def bad_fibers(path: Path) -> set[tuple[str, int]]:
    """Read ``badfib.tab``: multiframe fibnum."""
    return {(words[0], int(words[1])) for words in _rows(path, 2, "multiframe", check=(1,))}


def bad_boxes(path: Path) -> list[BadBox]:
    """Read ``badpix.list``: multiframe x1 x2 y1 y2."""
    return [
        BadBox(words[0], *(int(word) for word in words[1:5]))
        for words in _rows(path, 5, "multiframe", check=(1, 2, 3, 4))
    ]


def bad_shots(path: Path) -> set[int]:
    """Read ``badshots.list``: shotid; 0 is no shot."""
    return {int(words[0]) for words in _rows(path, 1, "shotid", check=(0,))} - {0}


def satellites(path: Path) -> list[Track]:
    """Read ``satellite_tracks.txt``: shotid expnum slope intercept."""
    return [
        Track(int(words[0]), int(words[1]), float(words[3]), float(words[2]))
        for words in _rows(path, 4, "shotid", check=(0, 1, 2, 3))
    ]


def meteors(path: Path) -> list[Track]:
    """Read ``meteor.txt``: shotid a b, a line ``dec = a + b ra``; the exposure is not known."""
    return [
        Track(int(words[0]), 0, float(words[1]), float(words[2]))
        for words in _rows(path, 3, "shotid", check=(0, 1, 2))
    ]


def galaxies(path: Path) -> list[Galaxy]:
    """Read the table of large galaxies: Coords, SemiMajorAxis, SemiMinorAxis, PositionAngle."""
    found = []
    for row in csv.DictReader(io.StringIO(_text(path))):
        try:
            ra, dec = (_degrees(part) for part in row["Coords"].split())
            found.append(
                Galaxy(
                    row["PGC"].strip(), ra * 15.0, dec, float(row["SemiMajorAxis"]),
                    float(row["SemiMinorAxis"]), float(row["PositionAngle"] or 0.0),
                )
            )  # fmt: skip
        except (KeyError, ValueError, TypeError) as error:
            raise FileNotUnderstood(f"{path}: a row is no galaxy: {str(row)[:80]}") from error
    return found


def _degrees(text: str) -> float:
    match = _ANGLE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    size = int(match[2]) + int(match[3]) / 60.0 + float(match[4]) / 3600.0
    return -size if match[1] == "-" else size


def _text(path: Path) -> str:
    try:
        return FileHead.of(str(path)).read().decode("utf-8", "replace")
    except OSError as error:
        raise ConfigurationError(
            f"{path}: the list cannot be read ({error.strerror}); correct the setting of hetdex"
        ) from error


def _rows(path: Path, count: int, header: str, check: tuple[int, ...]) -> Iterator[list[str]]:
    """Yield the words of the lines of a list, without header and comments.

    Parameters
    ----------
    path : Path
    count : int
        Words that a line has at least.
    header : str
        First word of the header line, if there is one.
    check : tuple of int
        Columns that must be numbers.
    """
    for number, line in enumerate(_text(path).splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#") or words[0] == header:
            continue
        try:
            if len(words) < count:
                raise ValueError(line)
            [float(words[column]) for column in check]
        except ValueError as error:
            raise FileNotUnderstood(
                f"{path}: line {number} '{line.strip()[:60]}' is not of this list; it should have "
                f"{count} columns"
            ) from error
        yield words
