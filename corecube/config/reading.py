"""Reads nodes by the type of the setting, never by how YAML would have guessed."""

from __future__ import annotations

import math
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from corecube.config.declare import has_default, is_dataclass_type, optional_of, settings_of
from corecube.config.nodes import Node, Place, Problem, did_you_mean
from corecube.text import printable

T = TypeVar("T")

_INTEGER: Final = re.compile(r"[+-]?(?:0|[1-9][0-9]*)")
_BASED: Final = re.compile(r"0x[0-9a-fA-F]+|0b[01]+")
_FLOAT: Final = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE: Final = {
    "nan": math.nan,
    "inf": math.inf,
    "+inf": math.inf,
    "-inf": -math.inf,
}
_TRUE: Final = ("true", "yes", "on")
_FALSE: Final = ("false", "no", "off")

_WANTED: Final[dict[Any, str]] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "text",
    Path: "the name of a file",
}


class Bad:
    """Stands for a value that could not be read; the problem was noted."""


BAD: Final = Bad()


def _shown(node: Node) -> str:
    if node.kind != "scalar":
        return {"list": "a list", "map": "a map", "null": "empty"}[node.kind]
    return repr(printable(node.text, 60))


class Reader:
    """Reads nodes by type and notes the problems.

    Parameters
    ----------
    unknown : {'refuse', 'ignore'}
        What to do with a key that the dataclass does not have.
    """

    def __init__(self, unknown: Literal["refuse", "ignore"] = "refuse") -> None:
        self.problems: list[Problem] = []
        self.unknown = unknown

    def note(self, place: Place, path: str, reason: str) -> Bad:
        """Note a problem and return `BAD`."""
        self.problems.append(Problem(place, path, reason))
        return BAD

    def entries(
        self, node: Node, path: str, known: Sequence[str] | None
    ) -> Iterator[tuple[str, Node]]:
        """Yield the keys and values of a map once each; note repetitions and unknown keys."""
        first: dict[str, Place] = {}
        for key, place, value in node.pairs:
            full = f"{path}.{key}" if path else key
            if key in first:
                self.note(place, full, f"this key is there twice; first in line {first[key].line}")
                continue
            first[key] = place
            if known is not None and key not in known:
                if self.unknown == "refuse":
                    self.note(place, full, f"unknown key; {did_you_mean(key, known)}")
                continue
            yield key, value

    def read(self, node: Node, hint: Any, path: str, about: Mapping[str, Any]) -> Any:
        """Return the value of a node for a type, or `BAD`.

        Parameters
        ----------
        node : Node
            What was written.
        hint : type
            Type of the field.
        path : str
            Section and keys, for messages.
        about : mapping
            Metadata of the field, see `about`.
        """
        hint, optional = optional_of(hint)
        if optional and _is_null(node):
            return None
        origin = typing.get_origin(hint)
        if is_dataclass_type(hint):
            return self._dataclass(node, hint, path)
        if origin in (list, tuple) or hint in (list, tuple):
            return self._list(node, hint, path, about)
        if origin is dict or hint is dict:
            return self._dict(node, hint, path, about)
        if node.kind != "scalar" and not (node.kind == "null" and node.loose):
            wanted = _WANTED.get(hint, "one value")
            return self.note(node.place, path, f"{_shown(node)}; it must be {wanted}")
        if origin is Literal:
            value = self._literal(node, typing.get_args(hint), path)
        elif hint is bool:
            value = self._bool(node, path)
        elif hint is int:
            value = self._int(node, path)
        elif hint is float:
            value = self._float(node, path)
        elif hint is str:
            value = node.text
        elif hint is Path:
            value = self._path(node, path)
        else:
            raise TypeError(f"{path}: a setting cannot be of type {hint}")
        return value if isinstance(value, Bad) else self._within(node, value, path, about)

    def _within(self, node: Node, value: Any, path: str, about: Mapping[str, Any]) -> Any:
        unit = f" {about['unit']}" if about.get("unit") else ""
        choices = about.get("choices") or ()
        if choices and value not in choices:
            shown = ", ".join(str(choice) for choice in choices)
            return self.note(node.place, path, f"{_shown(node)}; it must be one of: {shown}")
        low, high = about.get("minimum"), about.get("maximum")
        if low is not None and not value >= low:
            return self.note(node.place, path, f"{_shown(node)}; it must be at least {low}{unit}")
        if high is not None and not value <= high:
            return self.note(node.place, path, f"{_shown(node)}; it must be at most {high}{unit}")
        return value

    def _number_refused(self, node: Node, path: str, wanted: str) -> Bad:
        text = node.text
        hint = ""
        if node.quoted:
            hint = "; remove the quotes"
        elif re.fullmatch(r"[+-]?0[0-9_]+(\.\d*)?", text):
            hint = "; remove the leading zero, which would make it octal"
        elif re.fullmatch(r"[+-]?\d+(:\d+)+(\.\d*)?", text):
            hint = "; numbers with colons are not read, write one decimal number"
        elif "_" in text or "," in text:
            hint = "; write the digits without separators"
        elif wanted == _WANTED[int] and _FLOAT.fullmatch(text) and float(text).is_integer():
            hint = f"; write {int(float(text))}"
        return self.note(node.place, path, f"{_shown(node)}; it must be {wanted}{hint}")

    def _int(self, node: Node, path: str) -> int | Bad:
        if not node.quoted and _INTEGER.fullmatch(node.text) and len(node.text) <= 400:
            return int(node.text)
        if not node.quoted and _BASED.fullmatch(node.text):
            return int(node.text, 0)
        return self._number_refused(node, path, _WANTED[int])

    def _float(self, node: Node, path: str) -> float | Bad:
        special = node.text.lower().replace(".", "", 1) if node.text[-1:].isalpha() else ""
        if special in _NOT_FINITE:  # also in quotes, as JSON has to write it
            return _NOT_FINITE[special]
        if not node.quoted and _FLOAT.fullmatch(node.text):
            return float(node.text)
        return self._number_refused(node, path, _WANTED[float])

    def _bool(self, node: Node, path: str) -> bool | Bad:
        text = node.text.lower()
        if not node.quoted and (text in _TRUE or (node.loose and text == "1")):
            return True
        if not node.quoted and (text in _FALSE or (node.loose and text == "0")):
            return False
        hint = "; remove the quotes" if node.quoted and text in _TRUE + _FALSE else ""
        return self.note(node.place, path, f"{_shown(node)}; it must be true or false{hint}")

    def _literal(self, node: Node, choices: Sequence[object], path: str) -> Any:
        for choice in choices:
            if isinstance(choice, str) and node.text == choice:
                return choice
            if isinstance(choice, bool) and not node.quoted:
                if node.text.lower() in (_TRUE if choice else _FALSE):
                    return choice
            elif isinstance(choice, int) and not node.quoted and node.text == str(choice):
                return choice
        shown = ", ".join(str(choice) for choice in choices)
        return self.note(node.place, path, f"{_shown(node)}; it must be one of: {shown}")

    def _path(self, node: Node, path: str) -> Path | Bad:
        if not node.text or "\0" in node.text:
            return self.note(node.place, path, f"{_shown(node)}; it must be the name of a file")
        try:
            given = Path(node.text).expanduser()
        except RuntimeError:
            return self.note(node.place, path, f"{_shown(node)}; there is no such home folder")
        return Path(node.place.folder) / given if node.place.folder else given

    def _list(self, node: Node, hint: Any, path: str, about: Mapping[str, Any]) -> Any:
        arguments = typing.get_args(hint) or (str,)
        items = node.items
        if node.loose and node.kind in ("scalar", "null"):
            items = _loose_items(node, self, path)
        elif node.kind != "list":
            hint_text = f"; write [{node.text}]" if node.kind == "scalar" else ""
            return self.note(node.place, path, f"{_shown(node)}; it must be a list{hint_text}")
        is_tuple = typing.get_origin(hint) is tuple or hint is tuple
        fixed = is_tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis)
        if fixed and hint is not tuple and len(items) != len(arguments):
            reason = f"a list of {len(items)}; it must have {len(arguments)} elements"
            return self.note(node.place, path, reason)
        wanted = list(arguments) if fixed and hint is not tuple else [arguments[0]] * len(items)
        values = [
            self.read(item, kind, f"{path}[{i}]", about)
            for i, (item, kind) in enumerate(zip(items, wanted, strict=True))
        ]
        if any(isinstance(value, Bad) for value in values):
            return BAD
        return tuple(values) if is_tuple else values

    def _dict(self, node: Node, hint: Any, path: str, about: Mapping[str, Any]) -> Any:
        arguments = typing.get_args(hint) or (str, str)
        if arguments[0] is not str:
            raise TypeError(f"{path}: the keys of a setting must be text, not {arguments[0]}")
        if node.kind != "map":
            return self.note(node.place, path, f"{_shown(node)}; it must be a map: {{key: value}}")
        values = {
            key: self.read(value, arguments[1], f"{path}.{key}", about)
            for key, value in self.entries(node, path, None)
        }
        return BAD if any(isinstance(value, Bad) for value in values.values()) else values

    def _dataclass(self, node: Node, cls: type, path: str) -> Any:
        if node.kind == "null":
            node = Node(node.place, "map")
        if node.kind != "map":
            return self.note(node.place, path, f"{_shown(node)}; it must be a map: {{key: value}}")
        fields = settings_of(cls)
        values: dict[str, Any] = {}
        for key, value in self.entries(node, path, list(fields)):
            item, hint = fields[key]
            values[key] = self.read(value, hint, f"{path}.{key}" if path else key, item.metadata)
        return self.make(cls, values, node.place, path)

    def make(self, cls: type[T], values: Mapping[str, Any], place: Place, path: str) -> T | Bad:
        """Make an instance; note required fields that lack, and what its own check refuses."""
        lacks = [
            name
            for name, (item, _) in settings_of(cls).items()
            if name not in values and not has_default(item)
        ]
        for name in lacks:
            self.note(place, f"{path}.{name}" if path else name, "it must be given")
        if lacks or any(isinstance(value, Bad) for value in values.values()):
            return BAD
        try:
            return cls(**values)
        except ValueError as error:  # of the author's __post_init__
            return self.note(place, path, printable(str(error), 300))


def _is_null(node: Node) -> bool:
    if node.kind == "null":
        return True
    return node.loose and node.kind == "scalar" and node.text.lower() in ("", "null", "none", "~")


def _loose_items(node: Node, reader: Reader, path: str) -> list[Node]:
    """Split ``a,b`` of an option or environment variable."""
    if not node.text.strip():
        return []
    return [Node(node.place, "scalar", item.strip(), loose=True) for item in node.text.split(",")]
