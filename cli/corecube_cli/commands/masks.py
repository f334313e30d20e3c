"""``corecube masks``."""

from __future__ import annotations

import json as jsons
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corecube_cli.console import console, count
from corecube_cli.parameters import (
    Archive,
    ConfigFiles,
    Json,
    Overrides,
    command,
    help_text,
    new_app,
)

if TYPE_CHECKING:
    from corecube.pipeline.latemasks import Remasked
    from corecube.plugins import Caller

app = new_app()

_HELP = help_text(
    "Ask again for masks by lists that change, as of bad amplifiers.",
    "corecube masks virus.corecube",
    "corecube masks virus.corecube --shot 20260101v007 --set hetdex.badamps=badamps.list",
    more="Asks the instruments for the late masks of stored shots, with the settings that these "
    "were made with and today's values of those that change no number. Only masks that have "
    "changed are stored; nothing is ingested again. A line for each shot whose masks have changed.",
)
_PARTLY = 3


@command(app, "masks", _HELP)
def remask_shots(
    archive: Archive,
    instrument: Annotated[
        str | None, typer.Option("--instrument", "-i", metavar="NAME", help="Only of this one.")
    ] = None,
    shot: Annotated[
        list[str] | None,
        typer.Option("--shot", metavar="KEY", help="Only this shot; may be repeated."),
    ] = None,
    config: ConfigFiles = None,
    set_: Overrides = None,
    json: Json = False,
) -> int:
    """Make late masks anew and return the exit code."""
    from corecube.archive import open_archive
    from corecube.archive.names import ShotRow
    from corecube.errors import PluginError, QueryError
    from corecube.pipeline.latemasks import remask
    from corecube_cli.failures import UsageProblem
    from corecube_cli.naming import the_one
    from corecube_cli.settings import instrument as load_instrument

    with open_archive(archive) as opened:
        rows = [the_one(opened, name) for name in shot or ()]
        for row in rows:
            if not isinstance(row, ShotRow):
                raise QueryError(f"{row.name} is a part of a shot; name the shot")
        records = [row.record for row in rows] or list(
            opened.state.catalogue.by_identity.values()
        )  # fmt: skip
        names = sorted({record.instrument for record in records})
        if instrument is not None:
            if instrument not in names:
                raise QueryError(f"{archive} has no shot of '{instrument}' among these")
            names = [instrument]
    callers, trouble = [], 0
    for name in names:
        try:
            callers.append(load_instrument(name, config))
        except PluginError as error:
            if len(names) == 1:
                raise
            trouble += 1
            console.error(str(error))
    callers = [caller for caller in callers if caller.has("late_masks")]
    if not callers:
        if set_:
            raise UsageProblem("no instrument of these shots has late masks; --set has no meaning")
        console.say("no instrument of these shots has late masks")
        return _PARTLY if trouble else 0
    chosen = {caller.name: (caller, _settings(caller, callers, config, set_)) for caller in callers}
    done = remask(Path(archive), chosen, {row.record.identity for row in rows})
    if json:
        print(jsons.dumps([asdict(result) for result in done], indent=1))
    for result in done:
        if result.state == "failed":
            console.error(f"{result.shot}: {result.reason}")
        elif result.state == "changed" and not json:
            _print(result)
    states = [result.state for result in done]
    console.say(
        f"{count(states.count('changed'), 'shot')} with other masks, "
        f"{states.count('unchanged')} unchanged, {states.count('failed')} failed"
    )
    return _PARTLY if trouble or "failed" in states else 0


def _settings(
    caller: Caller, callers: list[Caller], files: list[str] | None, overrides: list[str] | None
) -> Any:
    """Return the instrument's settings of today; refuse those that would change numbers."""
    from corecube_cli.failures import UsageProblem
    from corecube_cli.settings import current_settings, own_overrides

    if len(callers) > 1 and own_overrides(caller.name, overrides) != (overrides or []):
        raise UsageProblem(
            "--set needs the instrument's name here, as in "
            f"{caller.name}.{(overrides or [''])[0]}; or give --instrument"
        )
    return current_settings(caller, files, overrides)


def _print(result: Remasked) -> None:
    from corecube.text import printable

    print(printable(result.shot))
    for frame in sorted({*result.pixels, *result.before}):
        now, before = result.pixels.get(frame, 0), result.before.get(frame, 0)
        print(printable(f"  {frame}: {count(now, 'pixel')} named, before {before}"))
    for source in result.sources:
        print(
            printable(
                f"    {source['source']}: {count(source['pixels'], 'pixel')} {source['plane']} in "
                f"{source['frame']}"
            )
        )
