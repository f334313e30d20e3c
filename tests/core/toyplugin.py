"""A good instrument as source, and what tests do with it."""

from __future__ import annotations

from collections.abc import Callable

from corecube.plugins import Plugin, load_all

GOOD = """
from dataclasses import dataclass
from corecube.hookspecs import Instrument, hookimpl

@dataclass(frozen=True)
class Config:
    pass

@hookimpl
def corecube_instrument():
    return Instrument("A toy", (1, 1), 1, Config)

@hookimpl
def corecube_identify(file, config):
    return None

@hookimpl
def corecube_read_frames(plan, entry, config, context):
    yield from ()

@hookimpl
def corecube_archive_columns(config):
    return {"group": (entry_point, config)}

entry_point = __name__
"""
Add = Callable[..., str]


def only() -> Plugin:
    """Return the one instrument that is installed."""
    (plugin,) = load_all()
    return plugin


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)
