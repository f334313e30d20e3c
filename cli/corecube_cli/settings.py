"""The settings of a command, and the instrument that it names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from corecube import config
from corecube.config import PluginSettings, Settings, about
from corecube.errors import PluginError
from corecube.plugins import Caller, Plugin, installed, load, load_all

_BY_CONFIGURATION = "plugins.disable in the configuration"


@dataclass(frozen=True)
class IngestSettings:
    """Section ``ingest``: what holds for all instruments.

    Attributes
    ----------
    jobs : int
        Worker processes; 0 is one for each core.
    on_error : {"skip", "stop"}
        Whether further shots are begun after a failure.
    network_disk : {"warn", "fine"}
        Whether it is said that an archive lies on a network file system.
    """

    jobs: int = field(
        default=0,
        metadata=about(
            "worker processes; 0 is one for each core", minimum=0, changes_numbers=False
        ),
    )
    on_error: Literal["skip", "stop"] = field(
        default="skip",
        metadata=about("what to do after a failure", changes_numbers=False),
    )
    network_disk: Literal["warn", "fine"] = field(
        default="warn",
        metadata=about(
            "whether to warn of an archive on a network file system", changes_numbers=False
        ),
    )


GENERAL: dict[str, type] = {"ingest": IngestSettings, "plugins": PluginSettings}
"""Sections that are not an instrument's."""


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_settings(
    sections: dict[str, type], files: Sequence[str] | None, overrides: Sequence[str] = ()
) -> Settings:
    """Read files, environment and options for some sections; those of others are not looked at.

    Raises
    ------
    ConfigurationError
    """
    return config.load_settings(
        sections,
        config.configuration_files(files or ()),
        overrides=overrides,
        others={*GENERAL, *installed()} - set(sections),
    )


def plugin_settings(files: Sequence[str] | None = None) -> tuple[PluginSettings, str]:
    """Return the section ``plugins``, and where its list of disabled instruments stands."""
    settings = read_settings({"plugins": PluginSettings}, files)
    found: PluginSettings = settings.section("plugins")
    return found, settings.origin("plugins", "disable")


def all_plugins(files: Sequence[str] | None = None) -> list[Plugin]:
    """Return all installed instruments; the message of a disabled one says where that stands."""
    chosen, origin = plugin_settings(files)
    return [
        Plugin(**{**vars(plugin), "message": plugin.message.replace(_BY_CONFIGURATION, origin)})
        for plugin in load_all(chosen.disable)
    ]


def instrument(name: str, files: Sequence[str] | None = None) -> Caller:
    """Load an instrument by name.

    Raises
    ------
    PluginError
        If it is not installed or cannot be used.
    """
    chosen, origin = plugin_settings(files)
    try:
        return load(name, chosen.disable)
    except PluginError as error:
        if _BY_CONFIGURATION in str(error):
            raise type(error)(str(error).replace(_BY_CONFIGURATION, origin)) from error
        raise


def own_overrides(name: str, overrides: Sequence[str] | None) -> list[str]:
    """Put the instrument's name before keys without a section: ``gain=table``."""
    sections = {*GENERAL, *installed()}
    return [
        text if text.partition("=")[0].partition(".")[0].strip() in sections else f"{name}.{text}"
        for text in overrides or ()
    ]


def found_instrument(name: str) -> tuple[Caller | None, str]:
    """Return an instrument by name, or why it cannot be asked."""
    try:
        return instrument(name), ""
    except PluginError as error:
        return None, str(error)


def instrument_settings(
    caller: Caller, files: Sequence[str] | None, overrides: Sequence[str] | None
) -> Settings:
    """Return the settings of an instrument and those that hold for all.

    Raises
    ------
    ConfigurationError
    """
    sections: dict[str, Any] = {caller.name: caller.instrument.config, **GENERAL}
    return read_settings(sections, files, own_overrides(caller.name, overrides))


def current_settings(
    caller: Caller, files: Sequence[str] | None, overrides: Sequence[str] | None
) -> Any:
    """Return the instrument's settings of today, for shots that are stored.

    Raises
    ------
    UsageProblem
        If an option sets one that changes numbers: for these the stored values count.
    ConfigurationError
    """
    from corecube.config.declare import settings_of
    from corecube_cli.failures import UsageProblem

    fields = settings_of(caller.instrument.config)
    for text in own_overrides(caller.name, overrides):
        section, _, rest = text.partition("=")[0].partition(".")
        item = fields.get(rest.partition(".")[0].strip())
        if section.strip() == caller.name and item is not None:
            nested = "." in rest
            if item[0].metadata.get("changes_numbers", True) and not nested:
                raise UsageProblem(
                    f"'{rest}' changes numbers, so the stored value counts; to change it, run "
                    "'corecube ingest' again"
                )
    return instrument_settings(caller, files, overrides).section(caller.name)
