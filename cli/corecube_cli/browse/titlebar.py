"""The line at the top: which archive, what is in it, and whether something is being read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.text import Text
from textual.widgets import Static

from corecube.text import printable
from corecube_cli.browse.fitting import cut
from corecube_cli.console import count

if TYPE_CHECKING:
    from corecube_cli.browse.contents import Overview
    from corecube_cli.browse.loading import Loader

_TICK: Final = 0.1
_PATIENCE: Final = 0.1
"""Seconds after which it is said that something is being read."""
_TURNS: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ROOM: Final = 12
"""Columns that are kept for what is said at the end."""


class TitleBar(Static):
    """Name and contents of the archive, and at the end whether one waits for it."""

    def __init__(self, name: str, loader: Loader, **named: Any) -> None:
        super().__init__(Text(""), markup=False, **named)
        self._start = [" corecube browse", printable(name)]
        self._about: Overview | None = None
        self._loader = loader
        self._turn = 0
        self._said = ""

    def on_mount(self) -> None:
        """Begin to look whether something is being read."""
        self.set_interval(_TICK, self._tick)

    def on_resize(self) -> None:
        """Write as much as there is room for."""
        self._write()

    def tell(self, overview: Overview) -> None:
        """Say what is in the archive."""
        self._about = overview
        self._write()

    def _tick(self) -> None:
        waited = self._loader.busy()
        self._turn += 1
        said = f"{_TURNS[self._turn % len(_TURNS)]} reading" if waited > _PATIENCE else ""
        if said != self._said:
            self._said = said
            self._write()

    def _write(self) -> None:
        parts = list(self._start)
        if self._about is not None:
            about = self._about
            parts.append(
                f"{count(about.shots, 'shot')}, {count(about.fibers, 'fibre')}, "
                f"{count(about.images, 'image')}"
            )
        width = self.size.width
        text = cut("  ".join(parts), max(width - _ROOM, 0))
        end = self._said
        gap = " " * max(0, width - len(text) - len(end) - 1)
        self.update(Text(text + gap + end, no_wrap=True))
