"""Reads the sources of the settings, in their order."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from corecube.config.declare import about, is_dataclass_type, optional_of, settings_of
from corecube.config.layers import Layered
from corecube.config.nodes import Node, Place, Problem, did_you_mean, raise_problems
from corecube.config.plain import to_json
from corecube.config.reading import Reader
from corecube.errors import ConfigurationError
from corecube.text import printable

PREFIX: Final = "CORECUBE_"
PROJECT_FILE: Final = "corecube.yaml"


@dataclass(frozen=True)
class PluginSettings:
    """Section ``plugins``."""

    disable: list[str] = field(
        default_factory=list,
        metadata=about("instruments or packages that are not used", changes_numbers=False),
    )


def user_file(environ: Mapping[str, str] | None = None) -> Path:
    """Return where the user's configuration file is, whether or not it exists.

    Parameters
    ----------
    environ : mapping, optional
        Environment; that of the process by default. ``XDG_CONFIG_HOME`` counts only if it is an
        absolute path (XDG Base Directory Specification).
    """
    environ = os.environ if environ is None else environ
    base = environ.get("XDG_CONFIG_HOME", "")
    home = environ.get("HOME", "")
    if base and Path(base).is_absolute():
        return Path(base) / "corecube" / "config.yaml"
    return (Path(home) if home else Path.home()) / ".config" / "corecube" / "config.yaml"


def configuration_files(
    explicit: Sequence[str | Path] = (),
    *,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> list[Path]:
    """Return the files to read, later ones win.

    Parameters
    ----------
    explicit : sequence of path
        Files given with ``--config``; they must exist, which `load_settings` checks.
    folder : Path, optional
        Where the project's ``corecube.yaml`` is looked for; the current folder by default.
    environ : mapping, optional
        Environment; that of the process by default.
    """
    project = Path(PROJECT_FILE) if folder is None else folder / PROJECT_FILE
    files = [path for path in (user_file(environ), project) if path.is_file()]
    return [*files, *(Path(path) for path in explicit)]


class Settings:
    """The settings of all sections, and where each comes from.

    Made by `load_settings`.
    """

    def __init__(
        self, instances: Mapping[str, Any], origins: Mapping[str, Mapping[str, str]]
    ) -> None:
        self._instances = dict(instances)
        self._origins = {name: dict(values) for name, values in origins.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sections."""
        return tuple(self._instances)

    def section(self, name: str) -> Any:
        """Return the instance of a section.

        Raises
        ------
        ConfigurationError
            If there is no such section.
        """
        if name not in self._instances:
            hint = did_you_mean(name, list(self._instances))
            raise ConfigurationError(f"no section {printable(name, 60)!r}; {hint}")
        return self._instances[name]

    def origin(self, name: str, setting_name: str) -> str:
        """Return where a setting comes from.

        Parameters
        ----------
        name : str
            Section.
        setting_name : str
            Key; nested keys with dots.

        Returns
        -------
        str
            ``file:line``, ``environment CORECUBE_...``, ``--set section.key``, or ``default``.

        Raises
        ------
        ConfigurationError
            If there is no such section or setting.
        """
        self.section(name)
        origins = self._origins[name]
        if setting_name not in origins:
            hint = did_you_mean(setting_name, list(origins))
            raise ConfigurationError(f"no setting {name}.{printable(setting_name, 60)}; {hint}")
        return origins[setting_name]

    def rows(self) -> Iterator[tuple[str, Any, str]]:
        """Yield ``section.key``, value as plain JSON, and origin of every setting."""
        for name, origins in self._origins.items():
            for key, origin in origins.items():
                value = self._instances[name]
                for part in key.split("."):
                    value = getattr(value, part)
                yield f"{name}.{key}", to_json(value), origin


def _value_node(text: str, place: Place, problems: list[Problem], path: str) -> Node | None:
    """Return the text of an option or environment variable as a node."""
    if text.lstrip()[:1] in ("[", "{"):
        from corecube.config.yamlfile import read_text

        node, found = read_text(text, place.source, place.order)
        if found:
            problems += [Problem(place, path, problem.reason) for problem in found]
            return None
        if node is not None:
            _replace_places(node, place)
        return node
    return Node(place, "scalar", text, loose=True)


def _replace_places(node: Node, place: Place) -> None:
    node.place = place
    node.pairs = [(key, place, value) for key, _, value in node.pairs]
    for child in (*node.items, *(value for _, _, value in node.pairs)):
        _replace_places(child, place)


def _wrap(keys: Sequence[str], node: Node) -> Node:
    """Return ``{a: {b: node}}`` for the keys a, b."""
    for key in reversed(keys):
        node = Node(node.place, "map", pairs=[(key, node.place, node)])
    return node


def _text_hint(cls: type, keys: Sequence[str]) -> Any:
    """Return the type of a nested setting, or None if there is none."""
    hint: Any = cls
    for key in keys:
        if not is_dataclass_type(hint) or key not in settings_of(hint):
            return None
        hint = settings_of(hint)[key][1]
    return hint


def _spelled(cls: type, keys: Sequence[str]) -> list[str]:
    """Return keys of an environment variable in the spelling of the dataclass."""
    result: list[str] = []
    hint: Any = cls
    for key in keys:
        names = settings_of(hint) if is_dataclass_type(hint) else {}
        found = next((name for name in names if name.lower() == key.lower()), key.lower())
        hint = names[found][1] if found in names else None
        result.append(found)
    return result


class _Loader:
    """Adds layer after layer to the sections."""

    def __init__(self, sections: Mapping[str, type], others: Collection[str]) -> None:
        self.reader = Reader()
        self.layers = {name: Layered(cls) for name, cls in sections.items()}
        self.others = set(others)
        self.order = 0

    def unknown(self, place: Place, name: str) -> None:
        hint = did_you_mean(name, [*self.layers, *self.others])
        self.reader.note(place, printable(name, 60), f"unknown section; {hint}")

    def file(self, path: Path) -> None:
        from corecube.config.yamlfile import read_file

        self.order += 1
        node, problems = read_file(path, self.order)
        self.reader.problems += problems
        if node is None or node.kind == "null":
            return
        if node.kind != "map":
            self.reader.note(node.place, "", "it must be a map of sections, such as sdss:")
            return
        places = {key: place for key, place, _ in reversed(node.pairs)}
        for name, value in self.reader.entries(node, "", None):
            if name in self.layers:
                self.layers[name].add(self.reader, value, name)
            elif name not in self.others:
                self.unknown(places[name], name)

    def text(self, place: Place, name: str, keys: Sequence[str], text: str) -> None:
        """Add one value of the environment or of an option."""
        if name not in self.layers:
            if name not in self.others:
                self.unknown(place, name)
            return
        layer = self.layers[name]
        hint = _text_hint(layer.cls, keys)
        path = ".".join((name, *keys))
        if is_dataclass_type(hint):
            self.reader.note(place, path, "it has keys of its own; give one of them")
            return
        node: Node | None = Node(place, "scalar", text, loose=True)
        if optional_of(hint)[0] not in (str, Path):
            node = _value_node(text, place, self.reader.problems, path)
        if node is not None:
            layer.add(self.reader, _wrap(keys, node), name)

    def environment(self, environ: Mapping[str, str]) -> None:
        for variable in sorted(environ):
            rest = variable[len(PREFIX) :]
            if not variable.upper().startswith(PREFIX) or "__" not in rest:
                continue
            self.order += 1
            name, *keys = rest.split("__")
            name = name.lower()
            if name in self.layers:
                keys = _spelled(self.layers[name].cls, keys)
            place = Place(f"environment {printable(variable, 120)}", order=self.order)
            self.text(place, name, keys, environ[variable])

    def option(self, override: str) -> None:
        self.order += 1
        target, equals, text = override.partition("=")
        target = target.strip()
        place = Place(f"--set {printable(target, 120)}", order=self.order)
        name, *keys = target.split(".")
        if not equals or not keys or not all((name, *keys)):
            self.reader.note(place, "", "write --set section.key=value, such as sdss.gain=4.7")
            return
        self.text(place, name, keys, text)


def load_settings(
    sections: Mapping[str, type],
    files: Sequence[str | Path] = (),
    environ: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
    *,
    others: Collection[str] = (),
) -> Settings:
    """Read and check the settings of all sections.

    Parameters
    ----------
    sections : mapping of str to type
        A dataclass per section; ``plugins`` is added if it is not given.
    files : sequence of path
        YAML files, later ones win; see `configuration_files`.
    environ : mapping, optional
        Environment; that of the process by default.
    overrides : sequence of str
        ``section.key=value``, later ones win.
    others : collection of str
        Sections that may stand in the files and are not read, such as those of instruments
        that are not loaded.

    Returns
    -------
    Settings
        An instance per section. YAML is imported only if there is a file, or a value in brackets.

    Raises
    ------
    ConfigurationError
        With all problems, a line each, sorted by source and line:
        ``corecube.yaml:12:3: sdss.gian: unknown key; did you mean 'gain'?``.
    """
    if "plugins" not in sections:
        sections = {**sections, "plugins": PluginSettings}
    loader = _Loader(sections, others)
    for path in files:
        loader.file(Path(path))
    loader.environment(os.environ if environ is None else environ)
    for override in overrides:
        loader.option(override)
    instances = {name: layer.make(loader.reader, name) for name, layer in loader.layers.items()}
    raise_problems(loader.reader.problems)
    return Settings(
        instances, {name: dict(layer.origins()) for name, layer in loader.layers.items()}
    )
