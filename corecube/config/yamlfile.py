"""YAML files as nodes with line and column, without YAML's guesses.

The parser's events are read, not its values: so ``no``, ``010``, ``2:33:12`` or a date are the
characters that were written, and the type of the setting decides. Aliases, merge keys and tags
are refused, so that no file can loop, grow or make objects.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from corecube.config.nodes import Node, Place, Problem
from corecube.text import printable

MAX_BYTES: Final = 1 << 20
"""Largest configuration file, in bytes."""
MAX_DEPTH: Final = 32
"""Deepest nesting of maps and lists."""

_NULLS: Final = ("", "~", "null", "Null", "NULL")
_TEXT_TAGS: Final = (None, "!", "tag:yaml.org,2002:str")


class _Stop(Exception):
    """The file cannot be read further."""


class _Builder:
    """Makes nodes of the events of one document."""

    def __init__(self, source: str, order: int, folder: str) -> None:
        self.source, self.order, self.folder = source, order, folder
        self.problems: list[Problem] = []
        self.root: Node | None = None
        self.documents = 0
        self._open: list[tuple[Node, list[tuple[Node, bool]]]] = []

    def place(self, mark: Any) -> Place:
        """Return a parser's mark as a place."""
        return Place(self.source, mark.line + 1, mark.column + 1, self.order, self.folder)

    def note(self, mark: Any, reason: str) -> None:
        """Note a problem at a mark."""
        self.problems.append(Problem(self.place(mark), "", reason))

    def add(self, node: Node, *, key_allowed: bool = True) -> None:
        """Put a finished or just begun node where it belongs."""
        if not self._open:
            self.root = node if self.root is None else self.root
            return
        self._open[-1][1].append((node, key_allowed))

    def begin(self, event: Any, kind: Any) -> None:
        """Begin a map or a list."""
        if len(self._open) >= MAX_DEPTH:
            self.note(event.start_mark, f"nested deeper than {MAX_DEPTH}")
            raise _Stop
        if event.tag not in (None, "!", f"tag:yaml.org,2002:{'seq' if kind == 'list' else 'map'}"):
            self.note(event.start_mark, f"the tag {printable(event.tag, 60)} is not allowed")
        node = Node(self.place(event.start_mark), kind)
        self.add(node, key_allowed=False)
        self._open.append((node, []))

    def end(self) -> None:
        """End a map or a list."""
        node, parts = self._open.pop()
        if node.kind == "list":
            node.items = [part for part, _ in parts]
            return
        for (key, is_scalar), (value, _) in zip(parts[::2], parts[1::2], strict=True):
            if not is_scalar:
                self.problems.append(Problem(key.place, "", "a key must be a word"))
            elif key.text == "<<" and not key.quoted:
                reason = "merge keys (<<) are not read; write the values out"
                self.problems.append(Problem(key.place, "", reason))
            else:
                node.pairs.append((key.text, key.place, value))

    def scalar(self, event: Any) -> None:
        """Add a scalar."""
        quoted = event.style not in (None, "")
        if event.tag not in _TEXT_TAGS:
            self.note(event.start_mark, f"the tag {printable(event.tag, 60)} is not allowed")
        quoted = quoted or event.tag is not None
        null = not quoted and event.value in _NULLS
        place = self.place(event.start_mark)
        self.add(Node(place, "null" if null else "scalar", event.value, quoted))


def _build(yaml: Any, text: str, builder: _Builder) -> None:
    """Feed the events of a text to the builder."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.AliasEvent):
            reason = f"aliases (*{printable(event.anchor, 30)}) are not read; write the value out"
            builder.note(event.start_mark, reason)
            builder.add(Node(builder.place(event.start_mark), "null"))
        elif isinstance(event, yaml.ScalarEvent):
            builder.scalar(event)
        elif isinstance(event, yaml.MappingStartEvent):
            builder.begin(event, "map")
        elif isinstance(event, yaml.SequenceStartEvent):
            builder.begin(event, "list")
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            builder.end()
        elif isinstance(event, yaml.DocumentStartEvent):
            builder.documents += 1
            if builder.documents > 1:
                builder.note(event.start_mark, "a second document (---); only one is read")
                raise _Stop


def read_text(
    text: str, source: str, order: int = 0, folder: str = ""
) -> tuple[Node | None, list[Problem]]:
    """Read YAML text.

    Parameters
    ----------
    text : str
        One document.
    source : str
        Name for messages.
    order : int
        Rank of the source; problems are sorted by it.
    folder : str
        What relative paths in it are relative to.

    Returns
    -------
    node : Node or None
        None if the text is empty or cannot be read.
    problems : list of Problem
        What is wrong with the text as YAML, or is refused.
    """
    import yaml

    builder = _Builder(source, order, folder)
    try:
        _build(yaml, text, builder)
    except _Stop:
        return None, builder.problems
    except yaml.MarkedYAMLError as error:
        reason = " ".join(part for part in (error.context, error.problem) if part)
        mark = error.problem_mark or error.context_mark
        place = builder.place(mark) if mark is not None else Place(source, order=order)
        return None, [*builder.problems, Problem(place, "", f"no YAML: {printable(reason, 200)}")]
    except yaml.YAMLError as error:
        reason = f"no YAML: {printable(str(error).splitlines()[0], 200)}"
        return None, [*builder.problems, Problem(Place(source, order=order), "", reason)]
    return builder.root, builder.problems


def read_file(path: Path, order: int = 0) -> tuple[Node | None, list[Problem]]:
    """Read a YAML file; see `read_text`. A file that cannot be read is a problem too."""
    source = printable(str(path), 200)
    nowhere = Place(source, order=order)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        reason = f"the file cannot be read: {error.strerror or type(error).__name__}"
        return None, [Problem(nowhere, "", reason)]
    if len(data) > MAX_BYTES:
        return None, [Problem(nowhere, "", f"larger than {MAX_BYTES >> 10} KiB")]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return None, [Problem(Place(source, line, 1, order), "", "not UTF-8 text; convert it")]
    return read_text(text, source, order, str(path.parent.absolute()))
