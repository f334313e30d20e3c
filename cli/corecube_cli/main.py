"""The program `corecube`.

Only what the command needs is imported: the group knows the names and the first sentences of its
commands, their modules are loaded when they run.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from corecube.errors import CorecubeError
from corecube_cli import failures
from corecube_cli.console import PROGRAM, console
from corecube_cli.parameters import CONTEXT, apply_common, read_plainly

COMMANDS: Final = {
    "ingest": "Read files of an instrument into an archive.",
    "query": "Find images and spectra by position, time and other values.",
    "info": "Say what is in an archive.",
    "show": "Show a shot, an image or a spectrum with all that is known of it.",
    "browse": "Look at an archive in the terminal.",
    "report": "Report on a shot, an image or a fibre: numbers as JSON, and drawings.",
    "plot": "Draw all fluxes of one position in one unit, and list them.",
    "export": "Write shots as HDF5 files for other tools, or spectra in other bins.",
    "masks": "Ask again for masks by lists that change, as of bad amplifiers.",
    "remove": "Remove shots from an archive.",
    "verify": "Check that every byte of an archive is as it was written.",
    "repair": "Set damaged shots aside, and make catalogue and sky index whole again.",
    "plugins": "List the installed instruments.",
    "config": "Make, show and check configuration files.",
    "simulate": "Write simulated files of an instrument, with known truth.",
    "doctor": "Check this installation.",
}
"""In the order of the help. Each is a module of `corecube_cli.commands` with an `app`."""


_COMPLETE: Final = "_CORECUBE_COMPLETE"
"""Variable by which the scripts of ``--show-completion`` ask."""


class _Commands(TyperGroup):
    """Loads a command when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            module = import_module(f"corecube_cli.commands.{cmd_name}")
            command = typer.main.get_command(module.app)
            command.name = cmd_name
            self.commands[cmd_name] = command
        return self.commands[cmd_name]

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)
        read_plainly([option])
        return option

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[OPTIONS]", "COMMAND ..."]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(COMMANDS)}"
            ctx.fail(f"there is no command '{args[0]}'; {hint}")
        return super().resolve_command(ctx, args)


_HELP = """Images and spectra of many instruments in one archive.

\b
Examples:
  corecube ingest --instrument sdss frames/ spectra/ --archive s82.corecube
  corecube query s82.corecube 38.301799 -0.133922 --radius 2arcsec
  corecube query s82.corecube 38.301799 -0.133922 --cutouts cutouts --spectra spectra
  corecube show s82.corecube 2820-3-0122/r
"""

app = typer.Typer(
    cls=_Commands,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=dict(CONTEXT),
)


@app.callback(
    invoke_without_command=True,
    help=_HELP,
    epilog="'corecube COMMAND --help' says more. Exit codes: docs/cli.md.",
)
def _root(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print only errors.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say more.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="Use no colours.")] = False,
) -> None:
    apply_common(quiet, verbose, no_color)
    if version:
        from importlib.metadata import version as version_of

        print(f"{PROGRAM} {version_of('corecube')}")
        raise typer.Exit()
    if ctx.invoked_subcommand is None:
        sys.stderr.write(ctx.get_help() + "\n")
        raise typer.Exit(failures.USAGE)


class _Terminated(BaseException):
    """SIGTERM has come."""


def run(arguments: Sequence[str]) -> int:
    """Run a command line.

    Parameters
    ----------
    arguments : sequence of str
        Without the program's name.

    Returns
    -------
    int
        The exit code; see `corecube_cli.failures`.
    """
    console.reset(tuple(arguments))
    try:
        code = _invoke(list(arguments))
        sys.stdout.flush()
        return code
    except typer.Exit as end:
        return end.exit_code
    except CorecubeError as error:
        return failures.tell_error(error)
    except BrokenPipeError as error:
        gone = [s for s in (sys.stdout, sys.stderr) if failures.reader_gone(s)]
        if not gone:
            return failures.tell_bug(error)
        for stream in gone:
            failures.silence(stream)
        return failures.PIPE_CLOSED
    except OSError as error:
        return failures.tell_os_error(error)
    except (KeyboardInterrupt, typer.Abort):
        return failures.INTERRUPTED
    except _Terminated:
        return failures.TERMINATED
    except typer.TyperException as error:
        console.error(_usage(error))
        return failures.USAGE
    except Exception as error:
        return failures.tell_bug(error)


def _invoke(arguments: list[str]) -> int:
    """Run a command; what it raises comes through, which typer's own way does not let it."""
    command: Any = typer.main.get_command(app)
    read_plainly(command.params)
    if _COMPLETE in os.environ:  # a shell asks what may follow
        return int(command.main(arguments, prog_name=PROGRAM, standalone_mode=False) or 0)
    with command.make_context(PROGRAM, arguments) as context:
        return int(command.invoke(context) or 0)


def _usage(error: Any) -> str:
    """Return one line for an error that typer has found in the command line."""
    text = " ".join(error.format_message().split())
    near = getattr(error, "possibilities", None)
    if near:
        text = f"{error.message}; did you mean {' or '.join(repr(name) for name in near)}?"
    text = text[:1].lower() + text[1:].rstrip(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else _command_path()
    return f"{text}; see '{path} --help'"


def _command_path() -> str:
    found = next((word for word in console.arguments if word in COMMANDS), "")
    return f"{PROGRAM} {found}".rstrip()


def main() -> int:
    """Run the program with the arguments of the process."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # a locale that cannot write a character gets an escape, not an exception
            stream.reconfigure(errors="backslashreplace")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # of libraries, on what they read; ours are lines of text
    gc.set_threshold(50_000)  # what imports and the catalogue make, stays: 15 ms of a query
    signal.signal(signal.SIGTERM, _terminate)
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        failures.silence(sys.stdout)
        failures.silence(sys.stderr)
        code = code or failures.PIPE_CLOSED
    return code


def _terminate(number: int, frame: object) -> None:
    raise _Terminated
