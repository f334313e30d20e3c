"""The line behind ``/``: where to go, and how far around."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Static

from corecube_cli.browse.questions import RADIUS

if TYPE_CHECKING:
    from textual.app import ComposeResult

_HINT = "38.3018 -0.1339, 02:33:12.4 -00:08:02, a name, row 12"


class Prompt(Vertical):
    """Two fields, text and radius, and a line for what went wrong."""

    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape", "close", "Close"),
        Binding("up", "history(-1)", "Earlier", show=False),
        Binding("down", "history(1)", "Later", show=False),
    ]

    class Asked(Message):
        """Enter."""

        def __init__(self, text: str, radius: str) -> None:
            self.text = text
            self.radius = radius
            super().__init__()

    class Closed(Message):
        """Esc."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self._past: list[str] = []
        self._place = 0
        self.problem = ""

    def compose(self) -> ComposeResult:
        """Give the fields."""
        with Horizontal():
            yield Static(Text("go to "), classes="word")
            yield Input(placeholder=_HINT, id="where", compact=True)
            yield Static(Text(" radius "), classes="word")
            yield Input(value=RADIUS, id="radius", compact=True)
        yield Static(Text(""), id="problem", markup=False)

    def open(self) -> None:
        """Show the fields, empty text first."""
        self.display = True
        self.say("")
        field = self.query_one("#where", Input)
        field.value = ""
        self._place = len(self._past)
        field.focus()

    def say(self, problem: str) -> None:
        """Show what went wrong below the fields; "" for nothing."""
        self.problem = problem
        line = self.query_one("#problem", Static)
        line.update(Text(f"! {problem}" if problem else "", "bold"))
        line.display = bool(problem)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Ask."""
        event.stop()
        text = self.query_one("#where", Input).value.strip()
        if not text:
            return
        if not self._past or self._past[-1] != text:
            self._past.append(text)
        self.post_message(self.Asked(text, self.query_one("#radius", Input).value.strip()))

    def action_close(self) -> None:
        """Close without asking."""
        self.post_message(self.Closed())

    def action_history(self, by: int) -> None:
        """Bring back what was asked before."""
        self._place = max(0, min(self._place + by, len(self._past)))
        field = self.query_one("#where", Input)
        field.value = self._past[self._place] if self._place < len(self._past) else ""
        field.cursor_position = len(field.value)
