"""Names of shots, amplifiers and fibres.

A shot is a night and a number, ``20180124v010``; an amplifier is ``multi_SSS_LLL_III_AA`` with
spectrograph, slot in the focal plane, IFU and amplifier, four independent numbers whose relation
changes with time; a fibre is ``{shotid}_{exposure}_{amplifier}_{fibnum}``.

Source: HETDEX/hetdex_api, h5tools/create_shot_hdf5.py (https://github.com/HETDEX/hetdex_api).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

from corecube.errors import FileNotUnderstood

AMPS: Final = ("LL", "LU", "RL", "RU")
"""Amplifiers of an IFU: left and right spectrograph, lower and upper half of the detector."""

FIBERS: Final = 112
"""Fibres of an amplifier."""

_SHOT: Final = re.compile(r"(?<!\d)(\d{8})v(\d{3})(?!\d)")
_MULTIFRAME: Final = re.compile(r"multi_(\d{3})_(\d{3})_(\d{3})_([LR][LU])")
_EXPOSURE: Final = re.compile(r"exp(\d{2})")

_FIELDS: Final = (
    ("par", "parallel"),
    ("COS|cos|DEXcos|DEXcs", "cosmos"),
    ("EGS|DEXeg", "egs"),
    ("GN|DEXgn", "goods-n"),
    ("DEX0|DEXfl|HF|DEXsh", "dex-fall"),
    ("HS|DEXsp", "dex-spring"),
    ("NEP", "nep"),
    ("SSA22", "ssa22"),
)
"""Beginning of the card OBJECT, and the field of the survey; the first that fits."""


@dataclass(frozen=True, order=True)
class ShotName:
    """A shot: night (UTC) and number of the observation.

    Attributes
    ----------
    date : int
        YYYYMMDD.
    number : int
    """

    date: int
    number: int

    def __str__(self) -> str:
        return f"{self.date:08d}v{self.number:03d}"

    @property
    def shotid(self) -> int:
        """The number of 11 digits that lists use."""
        return self.date * 1000 + self.number

    @classmethod
    def of_text(cls, text: str) -> ShotName | None:
        """Return the shot that a text like ``20180124v010`` names somewhere, None without one."""
        match = _SHOT.search(text)
        return cls(int(match[1]), int(match[2])) if match else None

    @classmethod
    def of_path(cls, path: str) -> ShotName | None:
        """Return the shot that a file's name, or else its nearest folder, names."""
        for part in reversed(PurePath(path).parts):
            found = cls.of_text(part)
            if found is not None:
                return found
        return None


@dataclass(frozen=True, order=True)
class Amplifier:
    """An amplifier of one spectrograph.

    Attributes
    ----------
    ifuslot, specid, ifuid : str
        Three digits.
    amp : str
        LL, LU, RL or RU.
    """

    ifuslot: str
    specid: str
    ifuid: str
    amp: str

    @property
    def multiframe(self) -> str:
        """The name of 20 characters."""
        return f"multi_{self.ifu}_{self.amp}"

    @property
    def ifu(self) -> str:
        """Spectrograph, slot and IFU: ``319_074_052``."""
        return f"{self.specid}_{self.ifuslot}_{self.ifuid}"

    @classmethod
    def of_text(cls, text: str) -> Amplifier | None:
        """Return the amplifier whose name a text begins with, None without one."""
        match = _MULTIFRAME.match(text)
        return cls(match[2], match[1], match[3], match[4]) if match else None


@dataclass(frozen=True, order=True)
class Exposure:
    """One amplifier in one exposure of a shot: what is read at a time.

    Attributes
    ----------
    shot : ShotName
    amplifier : Amplifier
    number : int
        1, 2 or 3.
    """

    shot: ShotName
    amplifier: Amplifier
    number: int

    @property
    def entry(self) -> str:
        """Name of the entry and of the detector image: ``exp01_multi_319_074_052_LL``."""
        return f"exp{self.number:02d}_{self.amplifier.multiframe}"

    def fiber_ids(self, fibnum: Sequence[int]) -> tuple[str, ...]:
        """Return the names of 38 characters of fibres."""
        begin = f"{self.shot.shotid}_{self.number}_{self.amplifier.multiframe}_"
        return tuple(f"{begin}{number:03d}" for number in fibnum)

    def aliases(self, fibnum: Sequence[int]) -> tuple[str, ...]:
        """Return short names: ``20260101v007_1_074_LL_056``."""
        begin = f"{self.shot}_{self.number}_{self.amplifier.ifuslot}_{self.amplifier.amp}_"
        return tuple(f"{begin}{number:03d}" for number in fibnum)


def exposure_of_entry(shot: ShotName, entry: str) -> Exposure:
    """Return what an entry names.

    Raises
    ------
    FileNotUnderstood
        If it is no entry of fibres.
    """
    amplifier = Amplifier.of_text(entry[6:])
    if amplifier is None:
        raise FileNotUnderstood(f"entry '{entry}' names no amplifier")
    return Exposure(shot, amplifier, int(entry[3:5]))


def exposure_of_path(path: str) -> int:
    """Return the number of the nearest folder or file name with ``expNN``, 0 without one."""
    for part in reversed(PurePath(path).parts):
        match = _EXPOSURE.search(part)
        if match:
            return int(match[1])
    return 0


def three_digits(value: Any) -> str:
    """Return a number of a spectrograph, slot or IFU as three digits, "" if it is none.

    Headers have 84, '84' and '084'.
    """
    text = str(value).strip()
    return f"{int(text):03d}" if text.isdecimal() and len(text) <= 3 else ""


def field_of(name: str) -> str:
    """Return the field of the survey that an OBJECT card means, ``other`` if none."""
    return next((field for begin, field in _FIELDS if re.match(begin, name)), "other")
