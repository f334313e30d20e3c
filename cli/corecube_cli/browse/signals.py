"""Ends that come from outside: signals, and a terminal that has gone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import threading
from typing import TYPE_CHECKING, Any, Final

from corecube_cli.failures import INTERRUPTED, TERMINATED

if TYPE_CHECKING:
    from textual.app import App

HUNG_UP: Final = 129
"""128 + SIGHUP, as shells say it."""
_PATIENCE: Final = 4.0
"""Seconds after which the program ends without tidying up: writing to a terminal that has gone,
or a read from a disk that is dead, may never return."""
_CODES: Final = {
    signal.SIGINT: INTERRUPTED,
    signal.SIGTERM: TERMINATED,
    signal.SIGHUP: HUNG_UP,
}


def end_on_signals(app: App[Any]) -> None:
    """End the app with its screen tidied up when one of the usual signals comes."""
    loop = asyncio.get_running_loop()
    for number, code in _CODES.items():
        loop.add_signal_handler(number, end, app, code)


def end(app: App[Any], code: int) -> None:
    """End the app, and the program even if that does not work."""
    last = threading.Timer(_PATIENCE, os._exit, (code,))
    last.daemon = True
    last.start()
    app.exit(code)


def terminal_gone() -> bool:
    """Say whether the terminal has been closed without a signal, as under ``nohup``."""
    try:
        termios.tcgetattr(sys.__stdin__ or 0)
    except (termios.error, OSError, ValueError):
        return True
    return False
