"""The details: everything known of what the cursor stands on, to be scrolled through."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rich.style import Style
from rich.text import Text
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import Static

from corecube_cli.browse.paint import ACCENT, DIM, MARK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from corecube_cli.browse.facts import Section

_LINES: Final = 2000
"""Lines of one section that are shown; a header can have any number."""
_NAMES: Final = 14
"""Columns for the names of values."""


class Details(VerticalScroll, can_focus=True):
    """Sections of names and values."""

    BINDINGS: ClassVar[list[Any]] = [
        Binding("j", "scroll_down", "Scroll", key_display="↓↑"),
        Binding("k", "scroll_up", "Up", show=False),
        Binding("g", "scroll_home", "Top", show=False),
        Binding("G,shift+g", "scroll_end", "Bottom", show=False),
    ]

    def __init__(self, *, colored: bool = True, **named: Any) -> None:
        super().__init__(**named)
        self._colored = colored
        self._body = Static(Text(""), markup=False)
        self._sections: list[Section] = []
        self._width = 0
        self.plain = ""
        """The text that is shown."""

    def compose(self) -> Any:
        """Give the one child."""
        yield self._body

    def show(self, sections: Sequence[Section]) -> None:
        """Show sections; those without content are left out."""
        self._sections = list(sections)
        self._put(self._text())

    def on_resize(self) -> None:
        """Break the lines anew."""
        if self._sections and self.size.width != self._width:
            self._body.update(self._text())

    def _text(self) -> Text:
        self._width = self.size.width
        width = max(20, self._width - 2) if self._width else 78
        text = Text(no_wrap=True)
        for section in self._sections:
            if not section.pairs and not section.lines:
                continue
            if text:
                text.append("\n")
            text.append(f"{section.title}\n", self._style(ACCENT, bold=True))
            column = min(max((len(name) for name, _ in section.pairs), default=0), _NAMES)
            for name, value in section.pairs:
                lines = wrap(value, max(width - column - 1, 10), break_on_hyphens=False) or [""]
                long = len(name) > column
                text.append(name if long else name.ljust(column), self._style(DIM))
                text.append("\n" + " " * (column + 1) if long else " ")
                text.append(("\n" + " " * (column + 1)).join(lines) + "\n")
            verbatim = section.title == "header"
            for line in section.lines[:_LINES]:
                pieces = [line] if verbatim else wrap_line(line, width)
                text.append("\n".join(pieces) + "\n")
            if len(section.lines) > _LINES:
                text.append(f"... {len(section.lines) - _LINES} more lines\n", self._style(DIM))
        return text

    def fail(self, problem: str) -> None:
        """Show what went wrong, in one line."""
        self._sections = []
        self._put(Text(f"! {problem}", self._style(MARK)))

    def _put(self, text: Text) -> None:
        self.plain = text.plain
        self._body.update(text)
        self.scroll_home(animate=False)

    def _style(self, color: str, *, bold: bool = False) -> Style:
        return Style(color=color, bold=bold) if self._colored else Style(bold=bold)


def wrap_line(line: str, width: int) -> list[str]:
    """Return a line in pieces; those after the first are indented, folders break at slashes."""
    indent = line[: len(line) - len(line.lstrip())] + "  "
    if not line.endswith("/"):
        return wrap(line, width, subsequent_indent=indent, break_on_hyphens=False)
    gap = "\x00"  # cannot be in a text that has been made printable
    parts = line.replace(" ", gap).replace("/", "/ ")
    pieces = wrap(parts, width, subsequent_indent=indent, break_on_hyphens=False)
    return [piece.replace("/ ", "/").replace(gap, " ") for piece in pieces]
