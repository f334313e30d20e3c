"""``corecube doctor``."""

from __future__ import annotations

import json as jsons
from typing import Annotated

import typer

from corecube_cli.failures import CHECK_FAILED
from corecube_cli.parameters import Json, command, help_text, new_app

app = new_app()

_HELP = help_text(
    "Check this installation.",
    "corecube doctor",
    "corecube doctor /data/archives",
    more="Versions, HDF5 filters, a test of writing in DIR, optional packages, instruments. Exit "
    "code 8 if something is wrong.",
)


@command(app, "doctor", _HELP)
def run_doctor(
    directory: Annotated[
        str, typer.Argument(metavar="DIR", help="Where archives will be; default: this folder.")
    ] = ".",
    json: Json = False,
) -> int:
    """Check the installation and return the exit code."""
    from corecube_cli.health import BAD, examine
    from corecube_cli.shown import columns

    found = list(examine(directory))
    if json:
        print(jsons.dumps([vars(item) for item in found], indent=1, ensure_ascii=False))
    else:
        print("\n".join(columns([vars(item) for item in found])))
    return CHECK_FAILED if any(item.state == BAD for item in found) else 0
