"""``corecube repair``."""

from __future__ import annotations

import json as jsons
from dataclasses import asdict
from pathlib import Path

from corecube_cli.console import console, count
from corecube_cli.failures import PARTLY
from corecube_cli.parameters import Archive, Json, command, help_text, new_app

app = new_app()

_SHOWN = 5
"""Input files that are named for each damaged shot."""

_HELP = help_text(
    "Set damaged shots aside, and make catalogue and sky index whole again.",
    "corecube repair s82.corecube",
    more="Reads all of the archive. Nothing is deleted: damaged files are moved into the folder "
    "'damaged' of the archive, and it is said which files to ingest again. Exit code 3 if a shot "
    "was set aside. A sound archive is not changed.",
)


@command(app, "repair", _HELP)
def repair_archive(archive: Archive, json: Json = False) -> int:
    """Repair an archive and return the exit code."""
    from corecube.archive.repair import repair
    from corecube.text import printable

    done = repair(Path(archive), progress=lambda name: console.tell(f"checking {name}"))
    if json:
        print(jsons.dumps(asdict(done), indent=1))
        return PARTLY if done.aside else 0
    for part in done.made:
        print(f"made anew  {printable(part)}")
    for shot in done.aside:
        where = f"; its file is now {shot.file}" if shot.file else "; its file is missing"
        print(f"set aside  {printable(shot.name)}: {printable(shot.what)}{printable(where)}")
        for source in shot.sources[:_SHOWN]:
            print(f"           ingest again: {printable(source)}")
        if len(shot.sources) > _SHOWN:
            print(f"           and {count(len(shot.sources) - _SHOWN, 'more file')}; see --json")
    for note in done.notes:
        print(f"note       {printable(note)}")
    if done.cleaned:
        console.say(f"deleted {count(done.cleaned, 'file')} that nothing needs any more")
    how = "was sound and is unchanged" if not done.changed else "is whole again"
    console.say(f"the archive {how}: {count(done.kept, 'shot')}, {len(done.aside)} set aside")
    return PARTLY if done.aside else 0
