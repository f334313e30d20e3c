"""The documentation names every option, hook and mask plane there is, and none that is not."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"

_HEADING = re.compile(r"#{1,6} +(.*?) *#*")
_FENCE = re.compile(r"\s*(```|~~~)")
_CODE = re.compile(r"`([^`]+)`")
_OPTION = re.compile(r"(?<![\w-])--?[A-Za-z][A-Za-z0-9-]*")


def page(name: str) -> list[str]:
    """Give the lines of a page outside of its code blocks."""
    path = DOCS / name
    assert path.is_file(), f"docs/{name} is missing"
    lines, inside = [], False
    for line in path.read_text(encoding="utf-8").splitlines():
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            lines.append(line)
    return lines


def sections(name: str, first_word: str) -> dict[str, list[str]]:
    """Give the text below each heading that begins with a word, up to the next such heading."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in page(name):
        heading = _HEADING.fullmatch(line)
        title = heading[1].replace("`", "") if heading else ""
        if title.startswith(first_word):
            assert title not in found, f"docs/{name} has two headings '{title}'"
            current = found[title] = []
        else:
            current.append(line)
    return found


def commands(command: Any, path: str) -> Iterator[tuple[str, set[str]]]:
    """Walk the command tree: the words to type, and the options that may follow."""
    options = {
        option
        for parameter in command.params
        if parameter.param_type_name == "option" and not parameter.hidden
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    yield path, options
    if hasattr(command, "list_commands"):
        context = command.context_class(command, info_name=path)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if not inner.hidden:
                yield from commands(inner, f"{path} {name}")


def test_every_command_and_option_is_in_cli_md() -> None:
    from typer.main import get_command

    from corecube_cli.main import app

    real = dict(commands(get_command(app), "corecube"))
    # `--help` is everywhere, and the root's own options may be spoken of anywhere.
    anywhere = real["corecube"] | {"--help", "-h"}
    described = sections("cli.md", "corecube")
    assert list(set(real) ^ set(described)) == [], "commands in the program or in docs/cli.md only"
    for path, options in real.items():
        text = "\n".join(described[path])
        named = {option for code in _CODE.findall(text) for option in _OPTION.findall(code)}
        assert not options - named, f"not in docs/cli.md below '{path}'"
        assert not named - options - anywhere, f"no options of '{path}'"


def hooks() -> dict[str, str]:
    """Give each hook's heading: its name and its arguments in order."""
    from corecube import hookspecs

    return {
        name: f"{name}({', '.join(inspect.signature(function).parameters)})"
        for name, function in vars(hookspecs).items()
        if hasattr(function, f"{hookspecs.PROJECT}_spec")
    }


def test_every_hook_is_in_plugins_md() -> None:
    real = hooks()
    assert "corecube_identify" in real
    described = sections("plugins.md", "corecube_")
    assert set(described) == set(real.values()), "headings `name(argument, ...)` of docs/plugins.md"
    empty = [title for title, text in described.items() if not "".join(text).strip()]
    assert not empty, "headings of docs/plugins.md without a word below them"


def test_every_mask_plane_is_in_format_md() -> None:
    """A table whose first cell is `bit`: bit, plane, excludes or informs, the sentence."""
    from corecube.masks import PLANES

    rows = [
        [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]
        for line in page("format.md")
        if line.lstrip().startswith("|")
    ]
    start = next((n for n, row in enumerate(rows) if row[:2] == ["bit", "plane"]), None)
    if start is None:
        pytest.fail("docs/format.md has no table | bit | plane | effect | meaning |")
    described = rows[start + 2 : start + 2 + len(PLANES)]
    real = [
        [str(p.bit), p.name, "excludes" if p.excludes else "informs", p.description] for p in PLANES
    ]
    assert described == real
    after = rows[start + 2 + len(PLANES) :]
    assert not (after and after[0][0].isdigit()), "docs/format.md has a plane too many"
