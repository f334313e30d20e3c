"""Finding instruments, keeping bad ones apart, and calling one at a time."""

from __future__ import annotations

import contextlib
import inspect
import os
import re
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, is_dataclass
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points, version
from typing import Any, Final, Literal

import pluggy

from corecube import hookspecs
from corecube.errors import PluginError
from corecube.hookspecs import API, ENTRY_POINT_GROUP, PROJECT, Instrument

State = Literal["ok", "disabled", "broken", "needs", "incompatible", "invalid", "duplicate"]

REQUIRED: Final = (
    "corecube_instrument",
    "corecube_identify",
    "corecube_read_frames",
    "corecube_archive_columns",
)
RESERVED: Final = frozenset(
    {
        "archive", "browse", "config", "core", "doctor", "export", "info", "ingest", "masks",
        "plot", "plugins", "query", "remove", "repair", "report", "serve", "show", "simulate",
        "verify",
    }
)  # fmt: skip
"""Names of commands and of configuration sections, which no instrument may take."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


class UnknownInstrument(PluginError):
    """No installed package provides an instrument of this name."""

    code = "unknown-instrument"


@dataclass(frozen=True)
class Plugin:
    """An installed instrument and what became of loading it.

    Attributes
    ----------
    name : str
    distribution, version : str
        The package that provides it.
    state : str
        "ok" or why it cannot be used.
    message : str
        The line for the user, "" if all is well.
    trace : str
        The traceback where loading failed.
    seconds : float
        Time that loading took.
    """

    name: str
    distribution: str
    version: str
    state: State
    message: str = ""
    trace: str = ""
    seconds: float = 0.0
    manager: pluggy.PluginManager | None = None
    instrument: Instrument | None = None

    @property
    def who(self) -> str:
        """``'sdss' (corecube 0.1.0)``."""
        return f"'{self.name}' ({self.distribution} {self.version})"


class Caller:
    """The hooks of one instrument.

    Parameters
    ----------
    plugin : Plugin
        In state "ok".
    """

    def __init__(self, plugin: Plugin) -> None:
        assert plugin.manager is not None and plugin.instrument is not None
        self.plugin = plugin
        self.instrument: Instrument = plugin.instrument
        self._hooks = plugin.manager.hook

    @property
    def name(self) -> str:
        """The instrument's name."""
        return self.plugin.name

    def has(self, hook: str) -> bool:
        """Say whether the instrument implements ``corecube_<hook>``."""
        return bool(getattr(self._hooks, f"corecube_{hook}").get_hookimpls())

    def call(self, hook: str, **arguments: Any) -> Any:
        """Call ``corecube_<hook>`` of this instrument; what it raises comes through unchanged.

        Raises
        ------
        PluginError
            If it wants to end the program, or raises what has no text: nothing of it must end a
            run, least of all with an exit code that means success.
        """
        with self._tamed(hook):
            found = getattr(self._hooks, f"corecube_{hook}")(**arguments)
        return self._drawn(hook, found) if isinstance(found, Iterator) else found

    def _drawn(self, hook: str, found: Iterator[Any]) -> Iterator[Any]:
        with self._tamed(hook):
            yield from found

    @contextlib.contextmanager
    def _tamed(self, hook: str) -> Iterator[None]:
        where = f"corecube_{hook} of {self.plugin.who}"
        try:
            yield
        except SystemExit as error:
            raise PluginError(f"{where} asks to exit (code {error.code!r})") from error
        except Exception as error:
            try:
                str(error)
            except Exception:
                kind = type(error).__name__
                raise PluginError(f"{where} raises a {kind} that has no text") from None
            raise


def installed() -> dict[str, list[EntryPoint]]:
    """Return the entry points of all installed instruments by name; imports none of them."""
    return _installed(os.environ.get("CORECUBE_PLUGINS"), tuple(sys.path))


@cache
def _installed(only: str | None, path: tuple[str, ...]) -> dict[str, list[EntryPoint]]:
    """Scan all packages once: it costs more than looking at a file."""
    found: dict[str, list[EntryPoint]] = {}
    wanted = None if only is None else {name.strip() for name in only.split(",")}
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda e: (e.name, e.value)):
        if wanted is None or entry.name in wanted:
            same = found.setdefault(entry.name, [])
            if (_package(entry), entry.value) not in [(_package(e), e.value) for e in same]:
                same.append(entry)
    return found


def load_all(disabled: Iterable[str] = ()) -> list[Plugin]:
    """Load every installed instrument, by name; bad ones are set aside with their state."""
    off = frozenset(disabled)
    return [_load(name, off) for name in installed()]


def load(name: str, disabled: Iterable[str] = ()) -> Caller:
    """Load one instrument.

    Parameters
    ----------
    name : str
    disabled : iterable of str
        Names of instruments or packages that the configuration switches off.

    Raises
    ------
    UnknownInstrument
        If none of this name is installed.
    PluginError
        If it is set aside; the message says why and what to do.
    """
    found = installed()
    if name not in found:
        near = get_close_matches(name, found, n=1)
        hint = f" did you mean '{near[0]}'?" if near else ""
        names = ", ".join(found) or "none"
        raise UnknownInstrument(f"no instrument '{name}' is installed;{hint} installed: {names}")
    plugin = _load(name, frozenset(disabled))
    if plugin.state != "ok":
        raise PluginError(plugin.message)
    return Caller(plugin)


@cache
def _load(name: str, disabled: frozenset[str]) -> Plugin:
    entries = installed()[name]
    variable = os.environ.get("CORECUBE_DISABLE_PLUGINS", "")
    switched_off = {part.strip() for part in variable.split(",")}
    left = [
        entry
        for entry in entries
        if not {name, _package(entry)[0]} & (disabled | switched_off)
    ]  # fmt: skip
    entry = (left or entries)[0]
    package, number = _package(entry)
    plugin = Plugin(name, package, number, "ok")
    if not left:
        by = "plugins.disable in the configuration"
        if {name, package} & switched_off:
            by = "CORECUBE_DISABLE_PLUGINS"
        return _aside(plugin, "disabled", f"instrument {plugin.who} is disabled by {by}")
    if len(left) > 1:
        several = " and ".join(" ".join(_package(e)) for e in left)
        return _aside(
            plugin,
            "duplicate",
            f"two installed packages provide the instrument '{name}': {several}; neither is used; "
            f"uninstall one, or disable one with plugins.disable: [{_package(left[-1])[0]}]",
        )
    if not _NAME.fullmatch(name) or name in RESERVED:
        return _aside(
            plugin,
            "invalid",
            f"instrument {plugin.who} has a name that corecube keeps for itself or that is not "
            "lower-case letters, digits and '_'; its author must rename it",
        )
    return _import(plugin, entry)


def _import(plugin: Plugin, entry: EntryPoint) -> Plugin:
    started = time.perf_counter()
    try:
        # what a plugin prints while it is imported must not get into results on stdout
        with contextlib.redirect_stdout(sys.stderr):
            # a plugin's code runs when its attributes are looked at, too
            checked = _validate(plugin, entry.load())
    except (Exception, SystemExit) as error:
        if os.environ.get("CORECUBE_RAISE_PLUGIN_ERRORS"):
            raise
        extra = _missing_extra(entry, error)
        if extra:
            module = getattr(error, "name", "") or ""
            return _aside(
                plugin,
                "needs",
                f"instrument {plugin.who} needs '{module}', which is not installed; run: "
                f"pip install '{plugin.distribution}[{extra}]'",
                traceback.format_exc(),
            )
        return _aside(
            plugin,
            "broken",
            f"instrument {plugin.who} could not be loaded: {_one_line(error)}; "
            f"see 'corecube plugins info {plugin.name}'",
            traceback.format_exc(),
        )
    return Plugin(**{**vars(checked), "seconds": time.perf_counter() - started})


def _validate(plugin: Plugin, found: object) -> Plugin:
    def invalid(reason: str) -> Plugin:
        return _aside(
            plugin, "invalid", f"instrument {plugin.who} does not match the plugin API: {reason}"
        )

    if inspect.isclass(found):
        return invalid("it is a class; register an instance of it, or a module")
    reason = _wrong_signature(found)
    if reason:
        return invalid(reason)
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(found, plugin.name)
        manager.check_pending()
    except Exception as error:  # pluggy's message ends with a repr of the plugin
        return invalid(_one_line(error).partition(" in plugin ")[0])
    for hook in REQUIRED:
        if not getattr(manager.hook, hook).get_hookimpls():
            return invalid(f"hook '{hook}' is missing")
    instrument = manager.hook.corecube_instrument()
    if not isinstance(instrument, Instrument):
        return invalid("corecube_instrument() does not return a corecube.hookspecs.Instrument")
    first, last = instrument.api
    if not first <= API <= last:
        made_for = f"{first}" if first == last else f"{first} to {last}"
        todo = (
            f"upgrade corecube or install an older {plugin.distribution}"
            if first > API
            else f"install a newer {plugin.distribution}"
        )
        return _aside(
            plugin,
            "incompatible",
            f"instrument {plugin.who} was made for plugin API {made_for}; this corecube "
            f"{version('corecube')} has plugin API {API}; {todo}",
        )
    reason = _wrong_words(instrument)
    if reason:
        return invalid(reason)
    return Plugin(**{**vars(plugin), "manager": manager, "instrument": instrument})


def _wrong_words(instrument: Any) -> str:
    """Say what is wrong with what an instrument says of itself; later it looks like our bug."""
    from corecube.config import from_json, to_json

    if not isinstance(instrument.title, str):
        return f"its title is a {type(instrument.title).__name__}, not a text"
    if not isinstance(instrument.data_version, int):
        return f"its data_version is a {type(instrument.data_version).__name__}, not an integer"
    if not (inspect.isclass(instrument.config) and is_dataclass(instrument.config)):
        return "its config is no dataclass; settings are declared as one"
    try:
        from_json(instrument.config, to_json(instrument.config()), source="its defaults")
    except Exception as error:
        return f"its config cannot be used: {_one_line(error)}"
    return ""


def _wrong_signature(found: object) -> str:
    """Say what is wrong with a hook's arguments: pluggy lets one with a default pass unseen."""
    marker = f"{PROJECT}_impl"
    for name, function in inspect.getmembers(found, callable):
        if not name.startswith("corecube_") or not hasattr(function, marker):
            continue
        spec = getattr(hookspecs, name, None)
        if spec is None:
            return f"there is no hook '{name}'"
        known = inspect.signature(spec).parameters
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                return f"hook '{name}' takes *args or **kwargs; name its arguments"
            if parameter.name not in known:
                return f"hook '{name}' has no argument '{parameter.name}'"
            if parameter.default is not parameter.empty:
                return f"argument '{parameter.name}' of hook '{name}' must not have a default"
    return ""


def _missing_extra(entry: EntryPoint, error: BaseException) -> str:
    """Return the extra of the plugin's package that would bring the missing module, or ""."""
    if not isinstance(error, ImportError) or not error.name or entry.dist is None:
        return ""
    module = error.name.partition(".")[0].lower().replace("_", "-")
    for requirement in entry.dist.requires or ():
        name = re.split(r"[ ;<>=!~\[(]", requirement, maxsplit=1)[0].lower().replace("_", "-")
        extra = re.search(r"""extra\s*==\s*['"]([^'"]+)['"]""", requirement)
        if name == module and extra:
            return extra.group(1)
    return ""


def _aside(plugin: Plugin, state: State, message: str, trace: str = "") -> Plugin:
    return Plugin(**{**vars(plugin), "state": state, "message": message, "trace": trace})


def _package(entry: EntryPoint) -> tuple[str, str]:
    try:
        metadata: Any = entry.dist.metadata if entry.dist is not None else None
    except FileNotFoundError:  # so says the backport importlib_metadata, where it is installed
        metadata = None
    if metadata is None:  # a dist-info folder without METADATA
        return "unknown package", "?"
    return str(metadata.get("Name") or "unknown package"), str(metadata.get("Version") or "?")


def _one_line(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:  # a class of its own, whose text cannot be made
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
