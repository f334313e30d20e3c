"""``corecube browse``."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from corecube_cli.console import console, is_terminal
from corecube_cli.failures import UsageProblem
from corecube_cli.parameters import Archive, command, help_text, new_app

app = new_app()

_HELP = help_text(
    "Look at an archive in the terminal.",
    "corecube browse s82.corecube",
    "corecube browse s82.corecube 38.301799 -0.133922 --radius 5arcsec",
    "corecube browse s82.corecube 0412-51871-0308",
    more="A position is written as for 'query', a name as for 'show'. Press ? for the keys; "
    "q quits. Archives are only read.",
)


@command(app, "browse", _HELP)
def browse_archive(
    archive: Archive,
    position: Annotated[
        list[str] | None,
        typer.Argument(metavar="POSITION", help="A position, or a name, to begin with."),
    ] = None,
    radius: Annotated[
        str,
        typer.Option("--radius", "-r", metavar="R", help="Default: 2arcsec.", show_default=False),
    ] = "2arcsec",
) -> int:
    """Show the screen until the user leaves it."""
    from corecube.angles import parse_radius
    from corecube.archive import manifest

    parse_radius(radius)  # a slip is said before the screen changes
    manifest.load(Path(archive))  # and so is a missing archive
    missing = [s for s in (sys.stdin, sys.stdout, sys.stderr) if not is_terminal(s)]
    if missing or os.environ.get("TERM", "dumb") == "dumb":
        raise UsageProblem(
            "browse needs a terminal; use 'corecube info', 'corecube query' or 'corecube show'"
        )
    logging.getLogger().addHandler(logging.NullHandler())  # a library's log would spoil the screen
    from corecube_cli.browse.app import BrowseApp, colors_wanted

    colored = colors_wanted(console.color)
    browser = BrowseApp(Path(archive), " ".join(position or ()), radius, colored=colored)
    code = browser.run()
    if browser.failure is not None:
        raise browser.failure
    return code or 0
