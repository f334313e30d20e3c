"""Asking instruments for passbands and catalogue fluxes; a fault costs only its part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from corecube import config
from corecube.errors import PluginError
from corecube.frames import Frame
from corecube.photometry.catalogue import CatalogueFlux
from corecube.photometry.passbands import Passbands
from corecube.plugins import Caller, load
from corecube.shots import Shot

Find = Callable[[str], tuple[Caller | None, str]]


def find_installed(name: str) -> tuple[Caller | None, str]:
    """Return an installed instrument, or why it cannot be asked."""
    try:
        return load(name), ""
    except PluginError as error:
        return None, str(error)


class Instruments:
    """The instruments of an archive's shots.

    Parameters
    ----------
    find : callable
        Gives an instrument by its name, or why it cannot be asked.
    curves : Passbands, optional
        Taken in place of those of all instruments, whose rules for doubtful pixels stay.

    Attributes
    ----------
    says : list of str
        A line for each part that is missing, and why.
    """

    def __init__(self, find: Find = find_installed, curves: Passbands | None = None) -> None:
        self._find = find
        self._curves = curves
        self._callers: dict[str, Caller | None] = {}
        self._bands: dict[str, Passbands | None] = {}
        self.says: list[str] = []

    def say(self, line: str) -> None:
        """Note a line once."""
        if line not in self.says:
            self.says.append(line)

    def passbands(self, shot: Shot) -> Passbands | None:
        """Return the passbands of a shot's instrument."""
        if shot.instrument not in self._bands:
            found = self._ask(shot, "passbands")
            if found is not None and not isinstance(found, Passbands):
                self.say(f"corecube_passbands of '{shot.instrument}' gives {type(found).__name__}")
                found = None
            if self._curves is not None:
                rules = {} if found is None else {"doubtful": found.doubtful, "grow": found.grow}
                found = replace(self._curves, **rules)
            self._bands[shot.instrument] = found
        return self._bands[shot.instrument]

    def any_passbands(self, shot: Shot) -> Passbands | None:
        """Return the passbands of a shot's instrument, else the first of another that has some."""
        own = self.passbands(shot)
        return own or next((bands for bands in self._bands.values() if bands is not None), None)

    def catalogue(self, shot: Shot, frame: Frame) -> Sequence[CatalogueFlux]:
        """Return the catalogue fluxes that a frame holds."""
        try:
            found = tuple(self._ask(shot, "catalogue", frame=frame) or ())
        except TypeError:
            found = (None,)
        if not all(isinstance(part, CatalogueFlux) for part in found):
            self.say(f"corecube_catalogue of '{shot.instrument}' gives no CatalogueFlux")
            return ()
        return found

    def _ask(self, shot: Shot, hook: str, **arguments: Any) -> Any:
        name = shot.instrument
        if name not in self._callers:
            self._callers[name], missing = self._find(name)
            if missing:
                self.say(f"without passbands and catalogue of '{name}': {missing}")
        caller = self._callers[name]
        if caller is None or not caller.has(hook):
            return None
        try:
            settings: Any = config.from_json(
                caller.instrument.config, shot.config, source=shot.identity, unknown="ignore"
            )
            return caller.call(hook, config=settings, **arguments)
        except Exception as error:  # a plugin's fault must not hide what the archive knows
            line = " ".join(str(error).split())
            self.say(f"corecube_{hook} of '{name}' failed: {type(error).__name__}: {line}")
            return None
