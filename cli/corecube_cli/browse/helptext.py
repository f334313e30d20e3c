"""The screen of ``?``."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rich.text import Text
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

if TYPE_CHECKING:
    from textual.app import ComposeResult

KEYS: Final = (
    ("everywhere", (
        ("?", "this help; the footer shows the keys that work now"),
        ("/", "go to a position or a name; 'row 12' goes to a row of the table"),
        ("Tab, Shift-Tab", "next, previous part of the screen"),
        ("Esc", "one step back: view, table, tree; gives up a table that is still being read"),
        ("d", "details: where it comes from, columns, units, notes, header"),
        ("] [", "next, previous row of the table, seen in its view"),
        ("q", "quit, from the tree; Ctrl-Q quits from everywhere"),
    )),
    ("tree", (
        ("↑ ↓ k j", "move"),
        ("→ ← l h", "open, close"),
        ("Enter", "open: a table of spectra or images, an image, a branch"),
    )),
    ("table", (
        ("↑ ↓ k j, Page", "move; the view follows"),
        ("← → h l", "more columns"),
        ("g G, Home End", "first, last row"),
        ("Enter", "go into the view"),
        ("e", "more spectra of this fibre: exposures, native pixels"),
        ("x", "what else lies at this place"),
    )),
    ("spectrum", (
        ("← → h l", "cursor, with Shift far: wavelength, flux ± 1 sigma, mask, bits"),
        ("+ -, ↑ ↓", "zoom; 0 shows all"),
        ("r", "y range: all valid pixels, or 0.5 to 99.5 % with ▲▼ for what lies beyond"),
        ("n N", "next, previous masked pixel"),
        ("masked", "x all pixels of the column are masked, · some; the line has a gap"),
        ("shade", "flux - sigma to flux + sigma"),
        ("bright", "the mean where a column holds many pixels; faint: least to greatest"),
    )),
    ("image", (
        ("arrows, h j k l", "cursor, with Shift far: value ± 1 sigma, mask, bits, RA Dec"),
        ("+ -", "zoom; 0 shows all of the image, 1 a pixel as a pixel; c centres"),
        ("s", "stretch: asinh, linear, full range, linear on screen"),
        ("m", "marks of masked pixels; where pixels are joined: less than half are valid"),
        ("⌈ ⌉, ⌊ ⌋", "cursor, in the upper or the lower half of a cell; row 0 is at the bottom"),
    )),
    ("mouse", (
        ("click", "moves the cursor; a second click on a row opens it"),
        ("wheel", "scrolls; zooms in spectrum and image"),
        ("Shift-drag", "selects text as the terminal does (Option-drag on macOS)"),
    )),
)  # fmt: skip

_KEY: Final = 18
"""Columns for the keys."""
_WIDEST: Final = 110
_FRAME: Final = 6
"""Columns of border, padding and scroll bar."""


class Help(ModalScreen[None]):
    """All keys."""

    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape,question_mark,q,enter", "dismiss", "Back"),
        Binding("j", "down", "Down", show=False),
        Binding("k", "up", "Up", show=False),
    ]

    def compose(self) -> ComposeResult:
        """Give the text."""
        width = min(self.app.size.width, _WIDEST) - _FRAME
        text = Text()
        for title, keys in KEYS:
            text.append(f"{title}\n", "bold underline")
            for key, meaning in keys:
                text.append(key.ljust(_KEY), "bold")
                lines = wrap(meaning, max(width - _KEY, 20))
                text.append(("\n" + " " * _KEY).join(lines) + "\n")
        with VerticalScroll(id="help"):
            yield Static(text, markup=False)

    def action_down(self) -> None:
        """Scroll."""
        self.query_one("#help").scroll_down(animate=False)

    def action_up(self) -> None:
        """Scroll."""
        self.query_one("#help").scroll_up(animate=False)
