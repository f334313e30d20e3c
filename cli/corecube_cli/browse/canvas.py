"""A rectangle of characters, each with a number that stands for its style."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from textual.strip import Strip


@dataclass
class Canvas:
    """Characters and the numbers of their styles.

    Attributes
    ----------
    chars : uint32 array (h, w)
        Code points; all of them one column wide.
    styles : uint16 array (h, w)
        What a number means is known to who paints it.
    """

    chars: npt.NDArray[np.uint32]
    styles: npt.NDArray[np.uint16]

    @classmethod
    def blank(cls, height: int, width: int) -> Canvas:
        """Return a canvas of blanks in style 0."""
        shape = (max(height, 0), max(width, 0))
        return cls(np.full(shape, ord(" "), np.uint32), np.zeros(shape, np.uint16))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.chars.shape
        return height, width

    def write(self, row: int, column: int, text: str, style: int = 0) -> None:
        """Write a text into a row; what does not fit is cut off."""
        height, width = self.size
        if not 0 <= row < height:
            return
        if not text.isascii():
            text = "".join(c if _columns(c) == 1 else "□" for c in text)
        cut = text[max(0, -column) : max(0, width - column)]
        start = max(column, 0)
        if cut:
            self.chars[row, start : start + len(cut)] = codes(cut)
            self.styles[row, start : start + len(cut)] = style

    def text(self, row: int) -> str:
        """Return the characters of a row."""
        return decode(self.chars[row])


def _columns(character: str) -> int:
    """Return how many columns of a terminal a character takes."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def codes(text: str) -> npt.NDArray[np.uint32]:
    """Return the code points of a text."""
    return np.frombuffer(text.encode("utf-32-le", "replace"), dtype="<u4").astype(np.uint32)


def decode(chars: npt.NDArray[np.uint32]) -> str:
    """Return the text of code points."""
    return chars.astype("<u4").tobytes().decode("utf-32-le", "replace")


def strips(canvas: Canvas, style_of: Callable[[int], Any]) -> list[Strip]:
    """Return the rows as Textual's strips; neighbours of one style are one piece.

    Parameters
    ----------
    canvas : Canvas
    style_of : callable
        From a number to a `rich.style.Style`; should remember what it made.
    """
    from rich.segment import Segment
    from textual.strip import Strip

    width = canvas.size[1]
    lines = []
    for chars, styles in zip(canvas.chars, canvas.styles, strict=True):
        text = decode(chars)
        edges = [0, *(np.flatnonzero(styles[1:] != styles[:-1]) + 1).tolist(), width]
        lines.append(
            Strip(
                [
                    Segment(text[first:last], style_of(int(styles[first])))
                    for first, last in itertools.pairwise(edges)
                    if last > first
                ],
                width,
            )
        )
    return lines
