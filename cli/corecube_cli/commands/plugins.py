"""``corecube plugins``."""

from __future__ import annotations

import json as jsons
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corecube_cli.failures import USAGE
from corecube_cli.parameters import (
    ConfigFiles,
    Json,
    Overrides,
    command,
    help_text,
    new_group,
)

if TYPE_CHECKING:
    from corecube.plugins import Plugin

app = new_group(
    help_text(
        "List and check the installed instruments.",
        "corecube plugins list",
        "corecube plugins check sdss frame-r-001000-1-0100.fits.bz2",
    )
)

SLOW = 1.0
"""Seconds; what takes longer to load is shown with its time."""


@command(
    app,
    "list",
    help_text(
        "List the installed instruments and their state.",
        "corecube plugins list",
        "corecube plugins list --verbose",
    ),
)
def list_plugins(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Why one cannot be used; times of loading.")
    ] = False,
    config: ConfigFiles = None,
    json: Json = False,
) -> None:
    """Print a line per instrument."""
    from corecube_cli.settings import all_plugins
    from corecube_cli.shown import columns

    plugins = sorted(all_plugins(config), key=lambda plugin: plugin.name)
    rows = [_row(plugin, verbose) for plugin in plugins]
    if json:
        print(jsons.dumps([_facts(plugin) for plugin in plugins], indent=1, ensure_ascii=False))
    elif rows:
        print("\n".join(columns(rows)))
        if verbose:
            for plugin in plugins:
                if plugin.message:
                    from corecube.text import printable

                    print(printable(plugin.message))


def _row(plugin: Plugin, verbose: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": plugin.name, "state": _state(plugin), "package": plugin.distribution,
        "version": plugin.version,
        "title": plugin.instrument.title if plugin.instrument is not None else "",
    }  # fmt: skip
    if verbose:
        row["loaded in"] = f"{plugin.seconds:.2f} s" + (" (slow)" * (plugin.seconds > SLOW))
    return row


def _state(plugin: Plugin) -> str:
    """Return ``ok``, ``broken``, ``needs specutils``, ..."""
    if plugin.state == "needs":
        return f"needs {plugin.message.split(chr(39))[3]}" if plugin.message.count("'") > 3 else (
            "needs"
        )  # fmt: skip
    return plugin.state


def _facts(plugin: Plugin) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": plugin.name, "state": _state(plugin), "distribution": plugin.distribution,
        "version": plugin.version, "message": plugin.message, "seconds": round(plugin.seconds, 4),
    }  # fmt: skip
    if plugin.instrument is not None:
        found |= {
            "title": plugin.instrument.title,
            "api": "{} to {}".format(*plugin.instrument.api),
            "data version": plugin.instrument.data_version,
        }  # fmt: skip
    return found


@command(
    app,
    "info",
    help_text("Say what an instrument is and can do, or why not.", "corecube plugins info sdss"),
)
def plugin_info(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the instrument.")],
    config: ConfigFiles = None,
    json: Json = False,
) -> int:
    """Print all that is known of an instrument and return the exit code."""
    from corecube.plugins import Caller, installed, load
    from corecube_cli.settings import all_plugins
    from corecube_cli.shown import text_of

    if name not in installed():
        load(name)  # says which are installed
        return USAGE
    plugin = next(plugin for plugin in all_plugins(config) if plugin.name == name)
    facts = _facts(plugin)
    if plugin.state == "ok":
        facts |= _abilities(Caller(plugin))
    elif plugin.trace:
        facts["traceback"] = plugin.trace.splitlines()
    if json:
        print(jsons.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        print(text_of({**facts, "what": "instrument"}), end="")
    return 0


def _abilities(caller: Any) -> dict[str, Any]:
    """Return the hooks, settings and columns of an instrument."""
    from corecube import config as configuration
    from corecube import hookspecs

    hooks = [
        name
        for name, function in vars(hookspecs).items()
        if hasattr(function, f"{hookspecs.PROJECT}_spec")
        and caller.has(name.removeprefix("corecube_"))
    ]
    schema = configuration.schema(caller.instrument.config)
    settings = [
        {
            "setting": key, "default": about.get("default"), "unit": about.get("x-unit", ""),
            "description": about.get("description", ""),
        }
        for key, about in schema.get("properties", {}).items()
    ]  # fmt: skip
    found: dict[str, Any] = {"hooks": hooks, "settings": settings}
    promised = caller.call("archive_columns", config=caller.instrument.config()) or {}
    found["columns"] = [
        {
            "group": group, "column": column.name, "type": column.dtype, "unit": column.unit,
            "description": column.description,
        }
        for group, columns in promised.items() for column in columns
    ]  # fmt: skip
    return found


@command(
    app,
    "check",
    help_text(
        "Check that an instrument keeps the contract, on files of its own.",
        "corecube plugins check sdss frame-r-001000-1-0100.fits.bz2 spec-0412-51871-0308.fits",
        "corecube plugins check mycam night1/ --expect 'F13=the format has no checksums'",
        more="The files are copied first and stay as they are; choose a handful of small ones. "
        "Exit code 8 if a check fails, or a part that the instrument has was not checked at all.",
    ),
)
def check_plugin(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the instrument.")],
    files: Annotated[
        list[str], typer.Argument(metavar="FILES", help="Its files, and folders with such.")
    ],
    not_mine: Annotated[
        list[str] | None,
        typer.Option("--not-mine", metavar="FILE", help="A file of others; may be repeated."),
    ] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option("--expect", metavar="ID=REASON", help="A failure that is known; repeated."),
    ] = None,
    config: ConfigFiles = None,
    set_: Overrides = None,
    json: Json = False,
) -> int:
    """Run the checks and return the exit code."""
    from corecube_cli.checking import check_instrument, expectations

    return check_instrument(name, files, config, set_, not_mine, expectations(expect), json)
