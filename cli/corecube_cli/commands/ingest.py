"""``corecube ingest``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from corecube_cli.console import console, count
from corecube_cli.parameters import ConfigFiles, Overrides, command, help_text, new_app

if TYPE_CHECKING:
    from corecube.pipeline import Report

app = new_app()

_HELP = help_text(
    "Read files of an instrument into an archive.",
    "corecube ingest --instrument sdss frames/ spectra/ --archive s82.corecube",
    "corecube ingest --instrument sdss . --archive s82.corecube --dry-run",
    "corecube ingest --instrument sdss . --archive s82.corecube --set gain=table --report r.json",
    more="Files are known by their content; what is not the instrument's is passed over. The same "
    "command again does only what is new; it also goes on after an interruption.",
)
_SIGNALS = {"SIGINT": 130, "SIGTERM": 143}


@command(app, "ingest", _HELP)
def ingest_files(
    paths: Annotated[list[str], typer.Argument(metavar="PATHS", help="Files and folders.")],
    instrument: Annotated[
        str, typer.Option("--instrument", "-i", metavar="NAME", help="'plugins list' has them.")
    ],
    archive: Annotated[
        str, typer.Option("--archive", "-a", metavar="ARCHIVE", help="Made if it is not there.")
    ],
    profile: Annotated[
        str | None,
        typer.Option("--profile", metavar="plain|small", help="Of a new archive; default: plain."),
    ] = None,
    round_errors: Annotated[
        int | None,
        typer.Option(
            "--round-errors", metavar="BITS", help="Bits that a new archive keeps; default: all."
        ),
    ] = None,
    levels: Annotated[
        int | None,
        typer.Option(
            "--levels",
            metavar="N",
            help="Levels of the images of a new archive; default: by their size.",
        ),
    ] = None,
    config: ConfigFiles = None,
    set_: Overrides = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", metavar="N", help="Worker processes; default: a core each."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only say what would be done.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Do shots again though nothing changed.")
    ] = False,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Make shots of the files given alone, older ones go."),
    ] = False,
    check_content: Annotated[
        bool,
        typer.Option("--check-content", help="Compare bytes, not only sizes and times of change."),
    ] = False,
    on_error: Annotated[
        str | None,
        typer.Option("--on-error", metavar="skip|stop", help="After a failure; default: skip."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", help="Make at most so many shots.")
    ] = None,
    report: Annotated[
        str | None,
        typer.Option("--report", metavar="FILE", help="Write what became of each file as JSON."),
    ] = None,
) -> int:
    """Ingest files and return the exit code."""
    from corecube.archive import networks
    from corecube.pipeline import Options
    from corecube.pipeline import ingest as run_ingest
    from corecube_cli.progress import watcher
    from corecube_cli.settings import cores, instrument_settings
    from corecube_cli.settings import instrument as load_instrument

    if on_error not in (None, "skip", "stop"):
        raise typer.BadParameter(f"'{on_error}' is neither skip nor stop", param_hint="--on-error")
    if profile not in (None, "plain", "small"):
        raise typer.BadParameter(f"'{profile}' is neither plain nor small", param_hint="--profile")
    if round_errors is not None and not 4 <= round_errors <= 22:
        raise typer.BadParameter(
            f"{round_errors} is not between 4 and 22", param_hint="--round-errors"
        )
    if levels is not None and not 0 <= levels <= 24:
        raise typer.BadParameter(f"{levels} is not between 0 and 24", param_hint="--levels")
    if not all(paths) or not archive:
        raise typer.BadParameter("it is empty", param_hint="--archive" if all(paths) else "PATHS")
    for name, number in (("--jobs", jobs), ("--limit", limit)):
        if number is not None and number < 1:
            raise typer.BadParameter(f"{number} is less than 1", param_hint=name)
    if report is not None:
        from corecube_cli.outputs import check_writable

        check_writable(report)
    caller = load_instrument(instrument, config)
    settings = instrument_settings(caller, config, set_)
    general = settings.section("ingest")
    options = Options(
        jobs=jobs or general.jobs or cores(),
        force=force,
        replace=replace,
        check_content=check_content,
        dry_run=dry_run,
        on_error=cast(Literal["skip", "stop"], on_error or general.on_error),
        limit=limit,
        profile=profile,
        error_bits=round_errors,
        levels=levels,
        apart=True,
    )
    kind = networks.network(Path(archive)) if general.network_disk == "warn" else ""
    if kind and not dry_run:
        console.warn(
            f"{archive} lies on a file system of type {kind}: let no two hosts write into it at "
            "the same time; set ingest.network_disk to 'fine' to be told no more"
        )
    eyes = watcher()
    started = time.monotonic()
    try:
        done = run_ingest(
            paths, Path(archive), caller, settings.section(caller.name), options, eyes
        )
    except KeyboardInterrupt:
        console.error("interrupted; what was ingested stays; run the same command again to go on")
        raise
    finally:
        eyes.end()
    _tell_passed_over(done)
    if dry_run and report != "-":
        _print_plan(done)
    if report is not None:
        from corecube_cli.outputs import write_text

        write_text(report, json.dumps(done.to_json(), indent=1) + "\n")
    _summary(done, time.monotonic() - started, dry_run)
    return _SIGNALS.get(done.interrupted, done.exit_code())


def _tell_passed_over(done: Report) -> None:
    waiting: dict[str, list[str]] = {}
    for file in done.files:
        if file.state in ("passed over", "duplicate", "outranked", "already here"):
            console.tell(f"{file.path}: {file.state}: {file.reason}")
        elif file.state == "waiting":
            waiting.setdefault(file.reason, []).append(file.path)
    for reason, paths in waiting.items():
        more = f" and {count(len(paths) - 1, 'more file')}" if len(paths) > 1 else ""
        console.say(f"{paths[0]}{more}: {reason}")


def _print_plan(done: Report) -> None:
    from corecube.text import printable
    from corecube_cli.progress import shot_line

    for shot in done.shots:
        print(printable(shot_line(shot)))
    for file in done.files:
        print(printable(f"  {file.state}: {file.path}" + (f": {file.reason}" * bool(file.reason))))


def _summary(done: Report, seconds: float, dry_run: bool) -> None:
    """Say what became of the files, and how to go on."""
    counts: dict[str, Any] = done.counts
    said = ", ".join(f"{number} {state}" for state, number in counts.items()) or "no files"
    console.say(f"{done.instrument}: {said} ({seconds:.1f} s)")
    again = "run the same command again"
    if done.interrupted:
        console.say(f"stopped by {done.interrupted}; what was ingested stays; {again} to go on")
    elif counts.get("not done"):
        console.say(f"{count(counts['not done'], 'file')} not done; {again} to go on")
    elif done.failures:
        console.say(f"{count(len(done.failures), 'failure')}; mend what is named above and {again}")
    elif set(counts) <= {"passed over"}:
        console.say(
            f"nothing here is a file of '{done.instrument}'; add -v for the reasons; "
            "'corecube plugins list' has the instruments"
        )
    elif not dry_run:
        console.say(f"next: corecube info {done.archive}")
