"""Asking an instrument for what only it knows; its faults are told, and cost only their part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from corecube import config
from corecube.errors import ConfigurationError
from corecube.figures import Figures, Subject
from corecube.frames import Factor, Frame, NoiseCheck
from corecube.plugins import Caller
from corecube.shots import Shot

_FAILED: Final = object()
"""What a hook that has failed gives."""


class Asked:
    """The hooks of one instrument, called with the settings that a shot was made with.

    Parameters
    ----------
    shot : Shot
    caller : Caller or None
        None: the instrument is not at hand, and every answer is None.
    missing : str
        Why it is not.

    Attributes
    ----------
    says : list of str
        A line for each part that is missing, and why.
    faults : list of str
        Those of them that are faults of the plugin.
    """

    def __init__(
        self, shot: Shot, caller: Caller | None, missing: str = "", current: Any = None
    ) -> None:
        self._shot = shot
        self._caller = caller
        self._settings: Any = None
        self.faults: list[str] = []
        self.says: list[str] = []
        if caller is None:
            reason = missing or f"the instrument '{shot.instrument}' is not at hand"
            self.says.append(
                f"without factors, check of the noise and figures of its own: {reason}"
            )
            return
        try:
            stored: Any = config.from_json(
                caller.instrument.config, shot.config, source=shot.identity, unknown="ignore"
            )
            self._settings = stored if current is None else config.with_current(stored, current)
        except ConfigurationError as error:
            self._caller = None
            self.says.append(f"without what '{caller.name}' says: {_line(error)}")

    @property
    def there(self) -> bool:
        """Whether the instrument can be asked."""
        return self._caller is not None

    def factors(self, frame: Frame) -> Sequence[Factor] | None:
        """Return the factors from counts to flux; None if the instrument cannot be asked."""
        found = self._ask("calibration_factors", frame=frame, make=tuple)
        if found is _FAILED or not self.there:
            return None
        found = found or ()
        if not all(isinstance(factor, Factor) for factor in found):
            self.fault("calibration_factors", "gives something that is no Factor")
            return None
        return found

    def check(self, frame: Frame) -> NoiseCheck | None:
        """Return the check of the noise, None if there is nothing to check."""
        found = self._ask("check_noise", frame=frame)
        if found is None or found is _FAILED:
            return None
        if not isinstance(found, NoiseCheck):
            self.fault("check_noise", f"gives {type(found).__name__} in place of a NoiseCheck")
            return None
        return found

    def figures(self, subject: Subject) -> Figures:
        """Return what the instrument reports itself."""
        found = self._ask("report", shot=self._shot, subject=subject)
        if found is None or found is _FAILED:
            return Figures()
        if not isinstance(found, Figures):
            self.fault("report", f"gives {type(found).__name__} in place of Figures")
            return Figures()
        return found

    def _ask(self, hook: str, *, make: Any = None, **arguments: Any) -> Any:
        if self._caller is None or not self._caller.has(hook):
            return None
        try:
            found = self._caller.call(hook, config=self._settings, **arguments)
            return found if found is None or make is None else make(found)
        except Exception as error:  # a plugin's fault must not hide what the archive knows
            self.fault(hook, f"failed: {_line(error)}")
            return _FAILED

    def fault(self, hook: str, what: str) -> None:
        """Tell a fault of the plugin in one of its hooks."""
        assert self._caller is not None
        line = f"corecube_{hook} of '{self._caller.name}' {what}"
        if line not in self.faults:
            self.faults.append(line)
            self.says.append(line)


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
