"""``corecube remove``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from corecube_cli.console import confirm, console, count, is_terminal, size_text
from corecube_cli.parameters import Archive, command, help_text, new_app

app = new_app()

_HELP = help_text(
    "Remove shots from an archive.",
    "corecube remove s82.corecube sdss/2820-3-0122",
    "corecube remove s82.corecube 2820-3-0122 4948-3-0199 --yes",
    more="Only whole shots can be removed. On a terminal it asks first; elsewhere --yes is needed.",
)


@command(app, "remove", _HELP)
def remove_shots(
    archive: Archive,
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Of shots.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    now: Annotated[
        bool, typer.Option("--now", help="Delete their files at once, not after ten minutes.")
    ] = False,
) -> int:
    """Remove shots and return the exit code."""
    from corecube.archive import leftovers, open_archive
    from corecube.archive.names import ShotRow
    from corecube.archive.writer import ArchiveWriter
    from corecube.errors import QueryError
    from corecube_cli.failures import UsageProblem
    from corecube_cli.naming import the_one

    with open_archive(archive) as opened:
        rows = [the_one(opened, name) for name in names]
        for row in rows:
            if not isinstance(row, ShotRow):
                raise QueryError(f"{row.name} is a part of a shot; only whole shots can be removed")
        records = {row.name: row.record for row in rows}
    if not yes:
        if not is_terminal(sys.stdin):
            raise UsageProblem("nothing was removed: stdin is no terminal; give --yes")
        for name, record in records.items():
            console.say(f"{name}: {record.title}, {size_text(record.size)}")
        if not confirm(f"remove {count(len(records), 'shot')} from {archive}?"):
            console.say("nothing was removed")
            return 0
    with ArchiveWriter(Path(archive)) as writer:
        there = [name for name in records if name in writer.catalogue.by_identity]
        writer.commit(removed=there)
        writer.join_runs()
        writer.clean(0.0 if now else leftovers.GRACE)
    for name in there:
        console.say(f"removed {name}")
    if there and not now:
        minutes = round(leftovers.GRACE / 60)
        console.tell(
            f"their files stay for {count(minutes, 'minute')}, for those who read just now; a "
            "later command that writes deletes them; with --now they are deleted at once"
        )
    return 0
