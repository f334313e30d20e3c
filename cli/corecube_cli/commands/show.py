"""``corecube show``."""

from __future__ import annotations

import json as jsons
import sys
from typing import Annotated

import typer

from corecube_cli.parameters import Archive, Json, command, help_text, new_app

app = new_app()

_HELP = help_text(
    "Show a shot, an image or a spectrum with all that is known of it.",
    "corecube show s82.corecube sdss/2820-3-0122",
    "corecube show s82.corecube 2820-3-0122/r",
    "corecube show s82.corecube 0412-51871-0308 --json",
    "corecube show s82.corecube 2820-3-0122/r --header",
    more="NAME is a full name as 'query' prints it, the end of one, a target, or a short name that "
    "the instrument gives. Nothing but the archive is needed; factors and the check of the noise "
    "are asked of the instrument if it is installed.",
)


@command(app, "show", _HELP)
def show_row(
    archive: Archive,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a shot, an image or a fibre.")],
    header: Annotated[
        bool, typer.Option("--header", help="Print the header of the file it comes from.")
    ] = False,
    json: Json = False,
) -> None:
    """Print what is known of a name."""
    from corecube.archive import open_archive
    from corecube.text import printable
    from corecube_cli.described import describe, header_of
    from corecube_cli.failures import UsageProblem
    from corecube_cli.naming import the_one
    from corecube_cli.shown import text_of

    with open_archive(archive) as opened:
        row = the_one(opened, name)
        if header:
            try:
                text = header_of(row)
            except ValueError as error:
                raise UsageProblem(str(error)) from error
            lines = [printable(line.rstrip()) for line in text.splitlines()]
            sys.stdout.write("\n".join(lines) + "\n")
            return
        found = describe(row)
    if json:
        print(jsons.dumps(found, indent=1, allow_nan=False))
    else:
        sys.stdout.write(text_of(found))
