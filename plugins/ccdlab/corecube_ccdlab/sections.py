"""Sections of images as FITS headers write them: ``[x1:x2,y1:y2]``, from 1, both ends included.

Source: IRAF's conventions for DATASEC, BIASSEC, TRIMSEC and CCDSEC (help page ``ccdgeometry`` of
the package ccdred).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood

T = TypeVar("T", bound=np.generic)

ABSENT: Final = ("", "UNKNOWN", "N/A", "NONE")
"""What cameras write where they have no section; the same as no card."""

_SECTION: Final = re.compile(r"\[([^,\[\]]*),([^,\[\]]*)\]")
_RANGE: Final = re.compile(r"(?:(\d+)?\s*:\s*(\d+)?|(\d+)|\*)")


@dataclass(frozen=True)
class Section:
    """A rectangle of pixels, as numpy counts them.

    Attributes
    ----------
    x0, x1, y0, y1 : int
        From 0, the second of each pair excluded.
    flip_x, flip_y : bool
        It was written from the far end: the pixels belong into the other order when an image is
        put together; which pixels they are is the same.
    """

    x0: int
    x1: int
    y0: int
    y1: int
    flip_x: bool = False
    flip_y: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.y1 - self.y0, self.x1 - self.x0

    def of(self, image: npt.NDArray[T]) -> npt.NDArray[T]:
        """Return the pixels of the section in the order of the frame, a view."""
        return image[self.y0 : self.y1, self.x0 : self.x1]

    def turned(self, image: npt.NDArray[T]) -> npt.NDArray[T]:
        """Return an array of the section's shape in the order in which it was written, a view."""
        return image[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]

    def __str__(self) -> str:
        """Return it as a header writes it."""
        x = f"{self.x1}:{self.x0 + 1}" if self.flip_x else f"{self.x0 + 1}:{self.x1}"
        y = f"{self.y1}:{self.y0 + 1}" if self.flip_y else f"{self.y0 + 1}:{self.y1}"
        return f"[{x},{y}]"


def is_absent(value: Any) -> bool:
    """Tell whether the value of a card says that there is no section."""
    return value is None or str(value).strip().upper() in ABSENT


def parse_section(
    text: str,
    shape: tuple[int, int],
    where: str,
    binning: tuple[int, int] = (1, 1),
) -> Section:
    """Return the pixels that a section names.

    Blanks may stand anywhere; ``*``, ``:`` or a missing end mean the axis from its begin or to its
    end, a single number the one pixel.

    Parameters
    ----------
    text : str
    shape : (int, int)
        Rows and columns of the image, NAXIS2 and NAXIS1.
    where : str
        File and keyword, for messages.
    binning : (int, int)
        Detector pixels per image pixel along x and y. A section that runs beyond the image is
        taken for one in detector pixels, and shortened to the whole image pixels inside of it.

    Raises
    ------
    FileNotUnderstood
        If it is no section, or lies beyond the image.
    """
    match = _SECTION.fullmatch(re.sub(r"\s+", "", text))
    if match is None:
        raise FileNotUnderstood(f"{where}: {text!r} is no section; write it like [1:1024,1:512]")
    ends = [
        _axis(match[axis + 1], length, text, where)
        for axis, length in enumerate((shape[1], shape[0]))
    ]
    lengths = (shape[1], shape[0])
    if any(max(pair) > length for pair, length in zip(ends, lengths, strict=True)):
        binned = [_binned(pair, factor) for pair, factor in zip(ends, binning, strict=True)]
        if max(binning) == 1 or any(
            max(pair) > length or min(pair) < 1
            for pair, length in zip(binned, lengths, strict=True)
        ):
            raise FileNotUnderstood(
                f"{where}: section {text.strip()} runs beyond the image of {shape[1]} columns and "
                f"{shape[0]} rows (NAXIS1, NAXIS2); correct the section in the detector description"
            )
        ends = binned
    (xa, xb), (ya, yb) = ends
    return Section(min(xa, xb) - 1, max(xa, xb), min(ya, yb) - 1, max(ya, yb), xa > xb, ya > yb)


def _axis(text: str, length: int, section: str, where: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise FileNotUnderstood(
            f"{where}: {section!r} is no section: {text!r} is no range; write it like "
            "[1:1024,1:512]"
        )
    low, high, single = match[1], match[2], match[3]
    if single is not None:
        low = high = single
    first, last = int(low) if low else 1, int(high) if high else length
    if min(first, last) < 1:
        raise FileNotUnderstood(
            f"{where}: section {section.strip()} begins before pixel 1; correct the section in "
            "the detector description"
        )
    return first, last


def _binned(ends: tuple[int, int], factor: int) -> tuple[int, int]:
    """Return the whole image pixels inside of a range of detector pixels, in its order."""
    low, high = min(ends), max(ends)
    first, last = -(-(low - 1) // factor) + 1, high // factor
    if first > last:
        return (0, 0)
    return (first, last) if ends[0] <= ends[1] else (last, first)
