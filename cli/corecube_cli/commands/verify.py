"""``corecube verify``."""

from __future__ import annotations

import json as jsons
from typing import Annotated

import typer

from corecube_cli.console import console, count
from corecube_cli.failures import CHECK_FAILED
from corecube_cli.parameters import Archive, Json, command, help_text, new_app

app = new_app()

_HELP = help_text(
    "Check that every byte of an archive is as it was written.",
    "corecube verify s82.corecube",
    "corecube verify s82.corecube --quick",
    more="A line for each shot; damages with what to do. Exit code 8 if there is one.",
)


@command(app, "verify", _HELP)
def verify_archive(
    archive: Archive,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only that files are there, their size and structure.")
    ] = False,
    json: Json = False,
) -> int:
    """Check an archive and return the exit code."""
    from corecube.archive import open_archive
    from corecube.pipeline.checking import verify_apart
    from corecube.text import printable

    parts, damages = 0, []
    with open_archive(archive) as opened:
        for name, found in verify_apart(opened, quick=quick):
            parts += 1
            damages += found
            if json:
                continue
            if not found and not console.quiet:
                print(f"ok      {printable(name)}", flush=True)
            for damage in found:
                print(f"DAMAGE  {printable(damage.where)}: {printable(damage.what)}", flush=True)
    if json:
        listed = [{"where": damage.where, "what": damage.what} for damage in damages]
        print(jsons.dumps({"parts": parts, "damages": listed}, indent=1))
    how = " (quick)" if quick else ""
    console.say(f"{count(parts, 'part')} checked{how}: {count(len(damages), 'damage')}")
    return CHECK_FAILED if damages else 0
