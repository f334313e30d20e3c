"""``corecube config``."""

from __future__ import annotations

import json as jsons
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from corecube_cli import failures
from corecube_cli.console import console, count
from corecube_cli.parameters import ConfigFiles, Json, Overrides, command, help_text, new_group

app = new_group(
    help_text(
        "Make, show and check configuration files.",
        "corecube config init",
        "corecube config show --origin",
        "corecube config validate corecube.yaml",
        more="Later ones win: built in, the user's file, corecube.yaml in this folder, --config, "
        "CORECUBE_SECTION__KEY in the environment, --set.",
    )
)


def _sections() -> dict[str, type]:
    """Return the sections of all instruments that can be used, and the general ones."""
    from corecube_cli.settings import GENERAL, all_plugins

    found: dict[str, type] = dict(GENERAL)
    for plugin in all_plugins():
        if plugin.instrument is not None and plugin.state == "ok":
            found[plugin.name] = plugin.instrument.config
    return found


@command(
    app,
    "init",
    help_text(
        "Write a configuration file in which every setting is commented out.",
        "corecube config init",
        "corecube config init --user",
        "corecube config init -",
    ),
)
def init_file(
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="Default: corecube.yaml; - is stdout."),
    ] = None,
    user: Annotated[
        bool, typer.Option("--user", help="The user's file, for all projects.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file if it is there.")
    ] = False,
) -> None:
    """Write a configuration file."""
    from corecube.config import template, user_file
    from corecube.config.sources import PROJECT_FILE
    from corecube_cli.outputs import folder_for, refuse_existing, write_text

    if user and file is not None:
        raise failures.UsageProblem("FILE and --user do not go together; give one")
    target = str(user_file()) if user else file or PROJECT_FILE
    text = template(_sections())
    if target != "-":
        folder_for(str(Path(target).parent))
        refuse_existing([Path(target)], force)
    write_text(target, text)
    if target != "-":
        console.say(f"{target} written; 'corecube config show --origin' says what holds")


@command(
    app,
    "show",
    help_text(
        "Print every setting as it holds now.",
        "corecube config show",
        "corecube config show --origin --set sdss.gain=table",
    ),
)
def show_settings(
    config: ConfigFiles = None,
    set_: Overrides = None,
    origin: Annotated[
        bool, typer.Option("--origin", help="Say where each value comes from.")
    ] = False,
    json: Json = False,
) -> None:
    """Print all settings."""
    from corecube_cli.settings import read_settings
    from corecube_cli.shown import columns

    settings = read_settings(_sections(), config, set_ or ())
    rows = sorted(settings.rows(), key=lambda row: row[0])
    if json:
        found: dict[str, Any] = {
            key: {"value": value, "origin": place} if origin else value
            for key, value, place in rows
        }
        print(jsons.dumps(found, indent=1, ensure_ascii=False))
        return
    table = [
        {"setting": key, "value": jsons.dumps(value, ensure_ascii=False)}
        | ({"origin": place} if origin else {})
        for key, value, place in rows
    ]
    print("\n".join(columns(table)))


@command(
    app,
    "validate",
    help_text(
        "Check configuration files; every problem is a line with its place.",
        "corecube config validate",
        "corecube config validate my.yaml",
        more="Without FILE the files that hold here are checked, and the environment. Exit code 8 "
        "if something is wrong.",
    ),
)
def validate_files(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE", help="Configuration files.")
    ] = None,
    set_: Overrides = None,
) -> int:
    """Check configuration files and return the exit code."""
    from corecube import config as configuration
    from corecube.errors import ConfigurationError
    from corecube.plugins import installed

    sections = _sections()
    try:
        paths = [Path(file) for file in files] if files else configuration.configuration_files()
        environ: dict[str, str] | None = {} if files else None
        configuration.load_settings(
            sections, paths, environ, set_ or (), others=set(installed()) - set(sections)
        )
    except ConfigurationError as error:
        problems = str(error).splitlines()
        from corecube.text import printable

        for problem in problems:
            print(printable(problem))
        console.say(count(len(problems), "problem"))
        return failures.CHECK_FAILED
    console.say(f"{', '.join(str(path) for path in paths) or 'no file'}: no problem")
    return 0


@command(
    app,
    "schema",
    help_text(
        "Print the JSON schema of configuration files, for editors.",
        "corecube config schema > corecube.schema.json",
        "corecube config schema sdss",
    ),
)
def print_schema(
    section: Annotated[
        str | None, typer.Argument(metavar="SECTION", help="Only of this section.")
    ] = None,
) -> None:
    """Print a JSON schema."""
    from corecube.config import schema

    sections = _sections()
    if section is None:
        found: dict[str, Any] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "corecube.yaml",
            "type": "object",
            "properties": {name: schema(cls) for name, cls in sections.items()},
        }
    elif section in sections:
        found = schema(sections[section])
    else:
        raise failures.UsageProblem(
            f"there is no section '{section}'; there are: {', '.join(sorted(sections))}"
        )
    sys.stdout.write(jsons.dumps(found, indent=1, ensure_ascii=False) + "\n")
