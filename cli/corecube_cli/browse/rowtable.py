"""A table of any number of rows: only what is on the screen is read and drawn."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from corecube_cli.browse.fitting import cut, cut_middle
from corecube_cli.browse.paint import ACCENT, DIM, MARK, TEXT

if TYPE_CHECKING:
    from textual import events

    from corecube_cli.browse.loading import Loader
    from corecube_cli.browse.rowsources import Cells, RowSource

BLOCK: Final = 256
"""Rows that are read at a time."""
_KEPT: Final = 64
"""Blocks that are kept in memory."""
_WIDEST: Final = 40
"""Columns of the terminal that one column of the table takes at most where not all have room."""
_WIDEST_NAME: Final = 64
_NAMES: Final = ("name", "id", "shot")
"""Columns whose texts differ at their ends."""
_GAP: Final = 2
_HEADS: Final = 2
"""Lines that do not scroll: names and units."""


class RowTable(ScrollView, can_focus=True):
    """Rows of a `RowSource`; the lines of the head stay where they are.

    Drawing touches only what has been read: a block that is missing is shown as dots, asked for,
    and drawn when it comes.
    """

    BINDINGS: ClassVar[list[Any]] = [
        Binding("enter", "open", "Open"),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False),
        Binding("pagedown,ctrl+f,space", "page(1)", "Page down", show=False),
        Binding("home,g", "jump(0)", "First", show=False),
        Binding("end,G,shift+g", "jump(-1)", "Last", show=False),
        Binding("left,h", "sideways(-1)", "Left", show=False),
        Binding("right,l", "sideways(1)", "Right", show=False),
        Binding("e", "exposures", "Exposures"),
        Binding("x", "same_place", "Same place"),
    ]

    class Moved(Message):
        """The cursor stands on another row, or on the first of a new table."""

        def __init__(self, row: int) -> None:
            self.row = row
            super().__init__()

    class Opened(Message):
        """Enter, or a click on the row of the cursor."""

        def __init__(self, row: int, wish: str = "open") -> None:
            self.row = row
            self.wish = wish
            super().__init__()

    def __init__(self, loader: Loader, *, colored: bool = True, **named: Any) -> None:
        super().__init__(**named)
        self._loader = loader
        self._colored = colored
        self.source: RowSource | None = None
        self.cursor = 0
        self.problem = ""
        self._blocks: OrderedDict[int, Cells] = OrderedDict()
        self._asked: int | None = None
        self._natural: list[int] = []
        self._widths: list[int] = []

    # -- what is shown ---------------------------------------------------------------------------

    def show(self, source: RowSource, cursor: int = 0) -> None:
        """Show another table."""
        self._loader.forget("rows")
        self.source, self.problem = source, ""
        self._blocks.clear()
        self._asked = None
        self._natural = [max(len(head.name), len(head.unit), 2) for head in source.heads]
        self.cursor = max(0, min(cursor, source.count - 1))
        self._measure()
        self.scroll_to(0, 0, animate=False, force=True, immediate=True)
        self._follow()
        self.refresh()
        if source.count:
            self._need(self.cursor // BLOCK)
            self.post_message(self.Moved(self.cursor))

    def cells(self, row: int) -> tuple[str, ...] | None:
        """Return the cells of a row, None if it has not been read."""
        block = self._blocks.get(row // BLOCK)
        place = row % BLOCK
        return block[place] if block is not None and place < len(block) else None

    def _measure(self) -> None:
        """Give each column its natural width, or cut the widest where there is no room."""
        room = self.size.width - _GAP * len(self._natural) - 2
        heads = self.source.heads if self.source else ()
        most = max(self._natural, default=_WIDEST)
        while most > _WIDEST and sum(min(wide, most) for wide in self._natural) > room:
            most -= 1
        self._widths = [
            min(wide, max(most, _WIDEST_NAME) if head.name in _NAMES else most)
            for wide, head in zip(self._natural, heads, strict=True)
        ]
        width = sum(self._widths) + _GAP * len(self._widths) + 1
        count = self.source.count if self.source else 0
        self.virtual_size = Size(width, count + _HEADS)

    @property
    def _page(self) -> int:
        return max(1, self.scrollable_content_region.height - _HEADS)

    # -- reading ---------------------------------------------------------------------------------

    def _need(self, number: int) -> None:
        """Ask for a block unless it is there or on its way."""
        source = self.source
        if source is None or number in self._blocks or self._asked == number or self.problem:
            return
        self._asked = number
        first, last = number * BLOCK, min((number + 1) * BLOCK, source.count)

        def then(cells: Cells) -> None:
            self._asked = None
            self._take(number, cells)

        def failed(problem: str) -> None:
            self._asked = None
            self.problem = problem
            self.refresh()

        self._loader.ask("rows", lambda archive: source.read(archive, first, last), then, failed)

    def _take(self, number: int, cells: Cells) -> None:
        self._blocks[number] = cells
        while len(self._blocks) > _KEPT:
            self._blocks.popitem(last=False)
        for column in range(len(self._natural)):
            wide = max((cell_len(row[column]) for row in cells), default=0)
            self._natural[column] = max(self._natural[column], wide)
        self._measure()
        self._follow()
        self.refresh()

    # -- drawing ---------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """Return a line: two of the head, then rows."""
        width = self.scrollable_content_region.width
        left = self.scroll_offset.x
        base = self.rich_style
        if self.source is None:
            return Strip.blank(width, base)
        if y < _HEADS:
            line = self._head(y)
            style = Style(color=ACCENT if y == 0 else DIM, bold=y == 0)
            return self._line(line, left, width, base + self._plain(style))
        row = y - _HEADS + self.scroll_offset.y
        if self.problem and y == _HEADS:
            return self._line(f"! {self.problem}", 0, width, base + self._plain(Style(color=MARK)))
        if row >= self.source.count:
            text = "  nothing found" if not self.source.count and y == _HEADS else ""
            return self._line(text, 0, width, base)
        cells = self.cells(row)
        if cells is None:
            if not self.problem:
                self.call_later(self._need, row // BLOCK)
            cells = tuple("·" * min(3, wide) for wide in self._widths)
            style = base + self._plain(Style(color=DIM))
        else:
            style = base + self._plain(Style(color=TEXT))
        here = row == self.cursor
        if here:
            colored = Style(bgcolor="#2a5a7d" if self.has_focus else "#24323d")
            plain = Style(reverse=self.has_focus, bold=True)
            style += colored if self._colored else plain
        mark = "▶" if here else " "
        return self._line(mark + self._row(cells), left, width, style)

    def _plain(self, style: Style) -> Style:
        return style if self._colored else Style(bold=style.bold)

    @staticmethod
    def _line(text: str, left: int, width: int, style: Style) -> Strip:
        strip = Strip([Segment(text, style)])
        return strip.crop_extend(left, left + width, style)

    def _head(self, line: int) -> str:
        assert self.source is not None
        heads = self.source.heads
        return " " + self._row(tuple(head.name if line == 0 else head.unit for head in heads))

    def _row(self, cells: tuple[str, ...]) -> str:
        assert self.source is not None
        found = []
        for text, wide, head in zip(cells, self._widths, self.source.heads, strict=True):
            long = cell_len(text)
            if long > wide:
                text = cut_middle(text, wide) if head.name in _NAMES else cut(text, wide)
                text += " " * (wide - cell_len(text))
            elif head.right:
                text = " " * (wide - long) + text
            else:
                text += " " * (wide - long)
            found.append(text)
        return (" " * _GAP).join(found)

    # -- moving ----------------------------------------------------------------------------------

    def move_to(self, row: int) -> None:
        """Put the cursor on a row."""
        source = self.source
        if source is None or not source.count:
            return
        row = max(0, min(row, source.count - 1))
        if row == self.cursor:
            return
        old, self.cursor = self.cursor, row
        if not self._follow():
            for line in (old, row):
                y = line - self.scroll_offset.y + _HEADS
                self.refresh(Region(0, y, self.size.width, 1))
        self._need(row // BLOCK)
        self.post_message(self.Moved(row))

    def _follow(self) -> bool:
        """Scroll so that the cursor is on the screen; say whether that moved anything."""
        top, page = self.scroll_offset.y, self._page
        wanted = min(max(top, self.cursor - page + 1), self.cursor)
        if wanted == top:
            return False
        self.scroll_to(y=wanted, animate=False, force=True, immediate=True)
        return True

    def action_move(self, by: int) -> None:
        """Move by rows."""
        self.move_to(self.cursor + by)

    def action_page(self, by: int) -> None:
        """Move by pages."""
        self.move_to(self.cursor + by * self._page)

    def action_jump(self, to: int) -> None:
        """Move to the first or the last row."""
        if self.source is not None:
            self.move_to(0 if to == 0 else self.source.count - 1)

    def action_sideways(self, by: int) -> None:
        """Scroll by a column of the table."""
        edges = [0]
        for wide in self._widths[:-1]:
            edges.append(edges[-1] + wide + _GAP)
        left = self.scroll_offset.x
        if by > 0:
            wanted = next((edge for edge in edges if edge > left), left)
        else:
            wanted = next((edge for edge in reversed(edges) if edge < left), 0)
        self.scroll_to(x=wanted, animate=False, force=True, immediate=True)

    def action_open(self) -> None:
        """Open the row of the cursor."""
        self._wish("open")

    def action_exposures(self) -> None:
        """List more spectra of this fibre."""
        self._wish("exposures")

    def action_same_place(self) -> None:
        """List what else lies at this place."""
        self._wish("same place")

    def _wish(self, wish: str) -> None:
        if self.source is not None and self.source.count:
            self.post_message(self.Opened(self.cursor, wish))

    def on_click(self, event: events.Click) -> None:
        """Move to the row; a second click opens it."""
        row = event.y - _HEADS + self.scroll_offset.y
        if self.source is None or event.y < _HEADS or row >= self.source.count:
            return
        if row == self.cursor:
            self.action_open()
        else:
            self.move_to(row)

    def on_resize(self) -> None:
        """Keep the cursor on the screen, and the columns as wide as there is room for."""
        self._measure()
        self._follow()

    def on_focus(self) -> None:
        """Draw the cursor anew."""
        self.refresh()

    def on_blur(self) -> None:
        """Draw the cursor anew."""
        self.refresh()
