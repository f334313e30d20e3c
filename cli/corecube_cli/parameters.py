"""What all commands share: their class, their common options, how examples stand in the help."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from corecube_cli.console import console
from corecube_cli.failures import USAGE

NEGATIVE: Final = re.compile(r"[-\u2212\u2013]\.?\d")
"""How an argument begins that is a number and no option."""

_GUARD: Final = "\0"
"""Put before such an argument, so that the parser does not take it for an option; no argument
from the system can hold it."""

Archive = Annotated[str, typer.Argument(metavar="ARCHIVE", help="Folder NAME.corecube.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]
ConfigFiles = Annotated[
    list[str] | None,
    typer.Option("--config", metavar="FILE", help="Configuration file (YAML); may be repeated."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one value; may be repeated."),
]

CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Command(TyperCommand):
    """A command that takes negative numbers as arguments, and converts values without pydantic."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        read_plainly(self.params)

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option ``--help``."""
        option = super().get_help_option(ctx)
        read_plainly([option])
        return option

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return ``[OPTIONS] ARCHIVE [NAME]``."""
        pieces = ["[OPTIONS]"]
        for argument in self._arguments():
            name = argument.metavar + ("..." if argument.nargs == -1 else "")
            pieces.append(name if argument.required else f"[{name}]")
        return pieces

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments without the types of Python, then the options."""
        arguments = [(part.metavar, part.help or "") for part in self._arguments()]
        records = [
            part.get_help_record(ctx)
            for part in self.get_params(ctx)
            if part.param_type_name == "option"
        ]
        for title, lines in (("Arguments", arguments), ("Options", [r for r in records if r])):
            if lines:
                with formatter.section(title):
                    formatter.write_dl(lines)

    def _arguments(self) -> list[Any]:
        return [part for part in self.params if part.param_type_name == "argument"]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Guard negative numbers that are no option's value, then parse."""
        takes_value = {
            option
            for parameter in self.params
            if not getattr(parameter, "is_flag", True)
            for option in parameter.opts
        }
        guarded, before = [], ""
        for position, arg in enumerate(args):
            if before == "--":
                guarded += args[position:]
                break
            if NEGATIVE.match(arg) and before not in takes_value:
                arg = _GUARD + arg
            guarded.append(arg)
            before = arg
        rest: list[str] = super().parse_args(ctx, guarded)
        for name, value in ctx.params.items():
            if isinstance(value, str):
                ctx.params[name] = value.removeprefix(_GUARD)
            elif isinstance(value, list | tuple):
                ctx.params[name] = type(value)(
                    part.removeprefix(_GUARD) if isinstance(part, str) else part for part in value
                )
        return rest


class _Plain:
    """Converts the values of one parameter, as typer's own class of this kind does."""

    def __init__(self, read: Callable[[str], Any]) -> None:
        self._read = read

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        try:
            if param.multiple or param.nargs == -1:
                return tuple(self._read(part) for part in value)
            return self._read(value)
        except ValueError as error:
            raise typer.BadParameter(str(error), ctx=ctx, param=param) from None


def read_plainly(parameters: list[Any]) -> None:
    """Spare the import of pydantic, 70 ms and more, by which typer learns that a text is a text.

    Where a later typer has no place for this, it reads the values in its own way.
    """
    for parameter in parameters:
        about = getattr(parameter, "type_descriptor", None)
        kind = getattr(about, "annotation", None)
        if kind in _READERS and hasattr(parameter, "_runtime_param"):
            parameter._runtime_param = _Plain(_READERS[kind])


def _integer(text: object) -> int:
    try:
        return int(str(text))
    except ValueError:
        raise ValueError(f"'{text}' is not a whole number") from None


_READERS: Final[dict[Any, Callable[[Any], Any]]] = {
    str: str, list[str]: str, int: _integer, bool: bool,
}  # fmt: skip


def new_app(help: str = "", **settings: Any) -> typer.Typer:
    """Return a typer application with our settings: no markup, no boxes, no own tracebacks."""
    return typer.Typer(
        help=help or None,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings=dict(CONTEXT),
        **settings,
    )


class _Group(TyperGroup):
    """A command with commands of its own."""

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)
        read_plainly([option])
        return option


def new_group(help: str) -> typer.Typer:
    """Return an application of several commands; without one it prints its help and exits 2."""
    app = new_app(help, cls=_Group)

    @app.callback(invoke_without_command=True, help=help)
    def _show_help(ctx: typer.Context) -> None:
        if ctx.invoked_subcommand is None:
            sys.stderr.write(ctx.get_help() + "\n")
            raise typer.Exit(USAGE)

    return app


def help_text(summary: str, *examples: str, more: str = "") -> str:
    """Return a help text that leads with examples.

    Parameters
    ----------
    summary : str
        The first sentence.
    *examples : str
        Command lines.
    more : str
        Further paragraphs.
    """
    shown = "\n".join(f"  {example}" for example in examples)
    text = f"{summary}\n\n\b\nExamples:\n{shown}"
    return f"{text}\n\n{more}" if more else text


Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Only errors.", hidden=True)]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say more.", hidden=True)]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours.", hidden=True)]


def apply_common(quiet: bool, verbose: bool, no_color: bool) -> None:
    """Take the options that every command has; what was set before stays."""
    console.quiet |= quiet
    console.verbose |= verbose
    console.color &= not no_color


def command(
    app: typer.Typer, name: str, help: str, **settings: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as a command that also takes ``-q``, ``-v`` and ``--no-color``.

    Parameters
    ----------
    app : Typer
    name : str
    help : str
        See `help_text`.
    **settings
        Of typer.

    Returns
    -------
    callable
        A decorator; the function's result is the exit code, None is 0.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(function, eval_str=True)
        own = set(signature.parameters)
        common = {
            key: kind
            for key, kind in (("quiet", Quiet), ("verbose", Verbose), ("no_color", NoColor))
            if key not in own
        }

        @functools.wraps(function)
        def run(**values: Any) -> Any:
            flags = {
                key: bool(values.pop(key) if key in common else values[key])
                for key in ("quiet", "verbose", "no_color")
            }
            apply_common(**flags)
            return function(**values)

        extra = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
            for key, kind in common.items()
        ]
        run.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*signature.parameters.values(), *extra]
        )
        annotations = {key: part.annotation for key, part in signature.parameters.items()}
        run.__annotations__ = annotations | common
        del run.__wrapped__  # else the hints come from there
        app.command(name, help=help, cls=Command, context_settings=dict(CONTEXT), **settings)(run)
        return function

    return decorate


def words(values: list[str] | None) -> tuple[str, ...]:
    """Return the parts of ``r,i`` and of options that were repeated."""
    parts = (part.strip() for value in values or () for part in value.split(","))
    return tuple(part for part in parts if part)
