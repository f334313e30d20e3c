"""``corecube report``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corecube_cli.console import console, count
from corecube_cli.parameters import Archive, ConfigFiles, Overrides, command, help_text, new_app

if TYPE_CHECKING:
    from corecube.reports import Report

app = new_app()

_HELP = help_text(
    "Report on a shot, an image or a fibre: numbers as JSON, and drawings.",
    "corecube report s82.corecube 2820-3-0122/r -o report",
    "corecube report s82.corecube 7338-57859-0739 -o report --format pdf",
    "corecube report s82.corecube sdss/2820-3-0122 -o report --json-only",
    more="NAME is a full name as 'query' prints it, the end of one, a target, or a short name that "
    "the instrument gives. Nothing but the archive is needed; factors, the check of the noise and "
    "figures of its own are asked of the instrument if it is installed, with the settings that the "
    "shot was made with; --set changes those on which no stored number depends. Drawings need "
    "matplotlib.",
)
_FORMATS = ("png", "svg", "pdf")


@command(app, "report", _HELP)
def write_report(
    archive: Archive,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a shot, an image or a fibre.")],
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="DIR", help="Folder; made if it is not there."),
    ],
    format: Annotated[
        str,
        typer.Option(
            "--format", "-f", metavar="FORMAT", help="Of the drawings: png (default), svg or pdf."
        ),
    ] = "png",
    levels: Annotated[
        int | None,
        typer.Option(
            "--levels", metavar="N", min=0, max=24, help="Levels of lower resolution to report on."
        ),
    ] = None,
    json_only: Annotated[bool, typer.Option("--json-only", help="Draw nothing.")] = False,
    config: ConfigFiles = None,
    set_: Overrides = None,
) -> int:
    """Write a report and return the exit code."""
    from corecube.archive import open_archive
    from corecube.archive.names import FiberRow
    from corecube.measuring import objects_of
    from corecube.reports import plain, report
    from corecube_cli.drawing import can_draw
    from corecube_cli.failures import PLUGIN, UsageProblem
    from corecube_cli.naming import the_one
    from corecube_cli.outputs import folder_for, write_text
    from corecube_cli.settings import current_settings, found_instrument

    if format not in _FORMATS:
        raise UsageProblem(f"'{format}' is no format of drawings; there are: {', '.join(_FORMATS)}")
    with open_archive(archive) as opened:
        row = the_one(opened, name)
        folder = folder_for(output)
        caller, missing = found_instrument(row.record.instrument)
        current = None if caller is None else current_settings(caller, config, set_)
        made = report(row, caller, missing, current, levels)
        objects = None
        listed = caller is not None and caller.has("catalogue")
        if listed and not isinstance(row, FiberRow):
            objects = objects_of(row, find=lambda _: (caller, ""))
    for line in (*made.says, *(objects.says if objects else ())):
        console.warn(line)
    numbers = made.numbers | ({"objects": plain(objects.numbers())} if objects else {})
    text = json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False)
    write_text(str(folder / "report.json"), text + "\n")
    written = [folder / "report.json"]
    if objects:
        written.append(folder / "objects.csv")
        _write_table(objects.rows, written[-1])
    good = not made.faults
    if not json_only and can_draw():
        drawn = _draw(made, folder, format)
        written += drawn
        good = good and len(drawn) == len(made.panels)
    for path in written:
        print(path)
    console.say(f"{row.name}: {count(len(written), 'file')} written into {folder}")
    return 0 if good else PLUGIN


def _write_table(rows: Any, path: Path) -> None:
    import io

    from corecube_cli.formats import write_rows
    from corecube_cli.outputs import write_text

    text = io.StringIO()
    write_rows(rows, "csv", text)
    write_text(str(path), text.getvalue())


def _draw(made: Report, folder: Path, format: str) -> list[Path]:
    from corecube_cli.drawing import draw
    from corecube_cli.outputs import write_whole

    paths = []
    for panel in made.panels:
        try:
            data = draw(panel, format)
        except Exception as error:  # values beyond what can be drawn; the others are
            line = " ".join(str(error).split())
            console.warn(f"'{panel.name}' cannot be drawn: {type(error).__name__}: {line}")
            continue
        path = folder / f"{panel.name}.{format}"
        write_whole(path, lambda file, data=data: _all(file, data))  # type: ignore[misc]
        console.tell(f"written: {path}")
        paths.append(path)
    return paths


def _all(file: Any, data: bytes) -> None:
    file.write(data)
