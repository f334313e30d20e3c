"""A dataclass in the making: layer upon layer, the later ones win."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from corecube.config.declare import default_of, has_default, is_dataclass_type, settings_of
from corecube.config.nodes import Node, Place
from corecube.config.reading import Bad, Reader

DEFAULT: Final = "default"
"""Origin of a setting that nothing has set."""


@dataclass
class Layered:
    """A dataclass in the making: what the layers said so far."""

    cls: type
    base: Any = None  # the default instance of a nested dataclass
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    children: dict[str, Layered] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, (item, hint) in settings_of(self.cls).items():
            if is_dataclass_type(hint):
                base = getattr(self.base, name) if self.base is not None else None
                if base is None and has_default(item):
                    base = default_of(item)
                self.children[name] = Layered(hint, base)

    @property
    def touched(self) -> bool:
        """Whether a layer said something."""
        return bool(self.values) or any(child.touched for child in self.children.values())

    @property
    def last(self) -> Place | None:
        """The place of the strongest value."""
        places = [*self.places.values()]
        places += [place for child in self.children.values() if (place := child.last) is not None]
        return max(places, key=lambda place: (place.order, place.line), default=None)

    def add(self, reader: Reader, node: Node, path: str) -> None:
        """Add a layer."""
        if node.kind == "null":
            return
        if node.kind != "map":
            reader.note(node.place, path, "it must be a map: {key: value}")
            return
        fields = settings_of(self.cls)
        for key, value in reader.entries(node, path, list(fields)):
            item, hint = fields[key]
            if key in self.children:
                self.children[key].add(reader, value, f"{path}.{key}")
                continue
            read = reader.read(value, hint, f"{path}.{key}", item.metadata)
            self.values[key] = read
            self.places[key] = value.place

    def make(self, reader: Reader, path: str) -> Any:
        """Make the instance, or return `Bad`."""
        values = dict(self.values)
        for name, child in self.children.items():
            item = settings_of(self.cls)[name][0]
            if child.touched or (child.base is None and not has_default(item)):
                values[name] = child.make(reader, f"{path}.{name}")
        place = self.last or Place("defaults")
        if self.base is not None and not any(isinstance(value, Bad) for value in values.values()):
            kept = {name: getattr(self.base, name) for name in settings_of(self.cls)}
            values = {**kept, **values}
        return reader.make(self.cls, values, place, path)

    def origins(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """Yield each setting with its origin."""
        for name in settings_of(self.cls):
            if name in self.children:
                yield from self.children[name].origins(f"{prefix}{name}.")
            else:
                place = self.places.get(name)
                yield f"{prefix}{name}", place.origin if place is not None else DEFAULT
