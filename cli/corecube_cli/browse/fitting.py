"""Making texts fit into the columns there are."""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len, set_cell_size


def joined(parts: Iterable[str], width: int, gap: str = "  ") -> str:
    """Return the parts that are not empty in one line; an ellipsis says where it was cut."""
    return cut(gap.join(part for part in parts if part), width)


def cut(text: str, width: int) -> str:
    """Return a text of at most `width` columns; an ellipsis says where it was cut."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(width - 1, 0)) + "…" if width > 0 else ""
