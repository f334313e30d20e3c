"""Colours of the screen, and what takes their place where there are none."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from rich.cells import cell_len
from rich.style import Style

from corecube_cli.browse import braille, halfblocks
from corecube_cli.browse.canvas import Canvas
from corecube_cli.browse.fitting import cut_middle

GROUND: Final = "#10161c"
"""Behind spectra and images."""
ACCENT: Final = "#4fc3f7"
MARK: Final = "#ffb454"
"""Cursors, masks, warnings; each with a glyph of its own."""
ON_BRIGHT: Final = "#a01010"
"""Marks on bright pixels."""
DIM: Final = "#8494a3"
TEXT: Final = "#d8dee4"
BAND: Final = "#27506b"
FAINT: Final = "#7f97aa"
LINE: Final = "#ffffff"

TEXT_STYLE: Final = 20
DIM_STYLE: Final = 21
MARK_STYLE: Final = 22
STRONG_STYLE: Final = 23
_LEAST: Final = 16
"""Columns that a text keeps."""
CURSOR: Final = 32
"""Added to the number of a style: the column of the cursor."""

_SPECTRUM: Final = {
    braille.BLANK: Style(color=DIM, bgcolor=GROUND),
    braille.LINE: Style(color=LINE, bgcolor=GROUND),
    braille.LINE_ON_BAND: Style(color=LINE, bgcolor=BAND),
    braille.BAND: Style(color=BAND, bgcolor=GROUND),
    braille.BAND_ABOVE: Style(color=GROUND, bgcolor=BAND),
    braille.BEYOND: Style(color=MARK, bgcolor=GROUND, bold=True),
    braille.FAINT: Style(color=FAINT, bgcolor=GROUND),
    braille.FAINT_ON_BAND: Style(color=FAINT, bgcolor=BAND),
    TEXT_STYLE: Style(color=TEXT, bgcolor=GROUND),
    DIM_STYLE: Style(color=DIM, bgcolor=GROUND),
    MARK_STYLE: Style(color=MARK, bgcolor=GROUND, bold=True),
    STRONG_STYLE: Style(color=ACCENT, bgcolor=GROUND, bold=True),
}
_PLAIN: Final = {
    braille.LINE: Style(bold=True),
    braille.LINE_ON_BAND: Style(bold=True),
    TEXT_STYLE: Style(),
    DIM_STYLE: Style(dim=True),
    MARK_STYLE: Style(bold=True),
    STRONG_STYLE: Style(bold=True),
}


def headline(
    canvas: Canvas, row: int, text: str, infos: Sequence[str], style: int, *, keep: int = 0
) -> None:
    """Write a line with a text at its left and infos at its right, as many as there is room for.

    Parameters
    ----------
    canvas : Canvas
    row : int
    text : str
    infos : sequence of str
        The most important first; those that do not fit are left out whole.
    style : int
        Of the text.
    keep : int
        So many infos stay even if the text must be cut in its middle for them.
    """
    width = canvas.size[1]
    infos = [info for info in infos if info]
    while len(infos) > keep and cell_len("  ".join(infos)) + cell_len(text) + 3 > width:
        infos.pop()
    info = "  ".join(infos)
    room = width - cell_len(info) - 3
    if info and room < min(cell_len(text), _LEAST):
        info, room = "", width
    canvas.write(row, 0, cut_middle(text, room if info else width), style)
    canvas.write(row, width - 1 - cell_len(info), info, DIM_STYLE)


@lru_cache(maxsize=256)
def spectrum_style(number: int, colored: bool) -> Style:
    """Return the style of a number of `braille.draw` or of this module."""
    here, number = divmod(number, CURSOR)
    if not colored:
        style = _PLAIN.get(number, Style())
        return style + Style(bold=True) if here else style
    style = _SPECTRUM.get(number, _SPECTRUM[TEXT_STYLE])
    return style + Style(bgcolor="#5a4a1f") if here else style


@lru_cache(maxsize=16384)
def image_style(number: int, count: int, colored: bool) -> Style:
    """Return the style of a number of `halfblocks.half_blocks`."""
    if not colored:
        return Style(bold=bool(number and halfblocks.parts_of(number, count)[2]))
    if not number:
        return Style(color=DIM, bgcolor=GROUND)
    upper, lower, marked = halfblocks.parts_of(number, count)
    below = _grey(lower, count)
    if marked:
        return Style(color=MARK if lower < 0.55 * count or lower == count else ON_BRIGHT,
                     bgcolor=below, bold=True)  # fmt: skip
    return Style(color=_grey(upper, count), bgcolor=below)


def _grey(level: int, count: int) -> str:
    """Return a grey; `count` stands for the ground."""
    if level >= count:
        return GROUND
    part = round(255 * level / max(count - 1, 1))
    return f"#{part:02x}{part:02x}{part:02x}"
