"""Values as they were written, with their place, and problems with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from corecube.errors import ConfigurationError
from corecube.text import printable


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was written.

    Parameters
    ----------
    source : str
        File, environment variable or option.
    line, column : int
        Counted from 1; 0 where the source has no lines.
    order : int
        Rank of the source: later ones win.
    folder : str
        What relative paths are relative to; empty for the current folder.
    """

    source: str
    line: int = 0
    column: int = 0
    order: int = 0
    folder: str = ""

    def __str__(self) -> str:
        """Return ``file:line:column``, or the source."""
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source

    @property
    def origin(self) -> str:
        """Return ``file:line``, or the source."""
        return f"{self.source}:{self.line}" if self.line else self.source


@dataclass(slots=True)
class Node:
    """A value as it was written.

    Parameters
    ----------
    place : Place
        Where.
    kind : {'scalar', 'list', 'map', 'null'}
        What it is.
    text : str
        The characters of a scalar.
    quoted : bool
        It was written in quotes, so it is text.
    loose : bool
        It comes from an environment variable or an option, where nothing can be quoted.
    items : list of Node
        Elements of a list.
    pairs : list of (str, Place, Node)
        Keys and values of a map, in order, with repetitions.
    """

    place: Place
    kind: Literal["scalar", "list", "map", "null"]
    text: str = ""
    quoted: bool = False
    loose: bool = False
    items: list[Node] = field(default_factory=list)
    pairs: list[tuple[str, Place, Node]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a value.

    Parameters
    ----------
    place : Place
        Where it was written.
    path : str
        Section and keys with dots; empty if it concerns the file.
    reason : str
        What is wrong and what to write.
    """

    place: Place
    path: str
    reason: str

    def __str__(self) -> str:
        """Return one line."""
        head = f"{self.place}: {printable(self.path, 120)}: " if self.path else f"{self.place}: "
        return head + self.reason


def raise_problems(problems: Sequence[Problem]) -> None:
    """Raise one ConfigurationError with all problems, a line each, sorted by place."""
    if problems:
        ordered = sorted(
            problems, key=lambda item: (item.place.order, item.place.line, item.place.column)
        )
        raise ConfigurationError("\n".join(str(problem) for problem in ordered))


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return a hint at the closest known name, or the list of names."""
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known are: {', '.join(sorted(known)) or 'none'}"


def node_of(data: Any, place: Place) -> Node:
    """Return JSON data as a node."""
    if data is None:
        return Node(place, "null")
    if isinstance(data, bool):
        return Node(place, "scalar", "true" if data else "false")
    if isinstance(data, str):
        return Node(place, "scalar", data, quoted=True)
    if isinstance(data, int | float):
        return Node(place, "scalar", repr(data))
    if isinstance(data, list | tuple):
        return Node(place, "list", items=[node_of(item, place) for item in data])
    if isinstance(data, Mapping):
        pairs = [(str(key), place, node_of(item, place)) for key, item in data.items()]
        return Node(place, "map", pairs=pairs)
    raise TypeError(f"JSON cannot hold {type(data).__name__}")
