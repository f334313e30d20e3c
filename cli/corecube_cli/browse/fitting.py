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


def cut_middle(text: str, width: int) -> str:
    """Return a text of at most `width` columns; an ellipsis stands for its middle.

    Names of spectra differ at their ends, more than at their beginnings.
    """
    if cell_len(text) <= width:
        return text
    if width < 3:
        return cut(text, width)
    head = (width - 1) // 3
    tail = len(text)
    while tail > 0 and cell_len(text[tail - 1 :]) <= width - 1 - head:
        tail -= 1
    return set_cell_size(text, head) + "…" + text[tail:]
