from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import Any

import pytest

from corecube import errors
from corecube_cli import failures, main
from corecube_cli.console import console

Cli = Any

# Kept for later: no command may have one of these names yet.
RESERVED = ("serve",)


def test_the_help_leads_with_examples(cli: Cli) -> None:
    done = cli("--help")
    assert done.code == 0 and done.err == ""
    assert done.out.index("Examples:") < done.out.index("Options:") < done.out.index("Commands:")
    assert cli("-h").out == done.out


@pytest.mark.parametrize("command", main.COMMANDS)
def test_each_command_has_help_with_examples(cli: Cli, command: str) -> None:
    done = cli(command, "-h")
    assert done.code == 0
    assert done.out.startswith(f"Usage: corecube {command} ")
    assert f"\n    corecube {command}" in done.out
    assert main.COMMANDS[command].removesuffix(".") in done.out
    assert not [line for line in done.out.splitlines() if len(line) > 100]


def test_version(cli: Cli, project: dict[str, Any]) -> None:
    assert cli("--version").out == f"corecube {project['project']['version']}\n"


def test_without_a_command_the_help_stands_on_stderr(cli: Cli) -> None:
    done = cli()
    assert (done.code, done.out) == (2, "")
    assert "Commands:" in done.err


@pytest.mark.parametrize("name", RESERVED)
def test_names_of_later_commands_are_free(cli: Cli, name: str) -> None:
    assert cli(name).code == 2
    assert name not in cli("--help").out


def test_every_command_is_a_name_that_no_instrument_may_take() -> None:
    from corecube.plugins import RESERVED as kept

    assert set(main.COMMANDS) <= kept


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("qurey",),
            "corecube: error: there is no command 'qurey'; did you mean 'query'?; "
            "see 'corecube --help'\n",
        ),
        (
            ("query", "a", "--raduis", "3"),
            "corecube: error: no such option: --raduis; did you mean '--radius'?; "
            "see 'corecube query --help'\n",
        ),
        (
            ("query",),
            "corecube: error: missing argument 'ARCHIVE'; see 'corecube query --help'\n",
        ),
        (
            ("query", "a", "1 2", "--size", "x"),
            "corecube: error: invalid value for '--size': 'x' is not a whole number; "
            "see 'corecube query --help'\n",
        ),
        (
            ("ingest", "f", "-i", "toy"),
            "corecube: error: missing option '--archive' / '-a'; see 'corecube ingest --help'\n",
        ),
        (
            ("query", "a", "1 2", "--radius"),
            "corecube: error: option '--radius' requires an argument; "
            "see 'corecube query --help'\n",
        ),
        (
            ("info", "a", "b", "c"),
            "corecube: error: got unexpected extra argument(s) (c); see 'corecube info --help'\n",
        ),
    ],
)
def test_a_wrong_command_line_is_one_line_and_2(
    cli: Cli, arguments: tuple[str, ...], line: str
) -> None:
    done = cli(*arguments)
    assert (done.code, done.out, done.err) == (2, "", line)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ArchiveMissing("x"), 5),
        (errors.ArchiveDamaged("x"), 5),
        (errors.ArchiveBusy("x"), 5),
        (errors.ArchiveTooNew("x"), 5),
        (errors.NoSpace("x"), 5),
        (errors.PluginError("x"), 6),
        (errors.QueryError("x"), 2),
        (errors.AmbiguousName("x", ("a", "b")), 2),
        (errors.ConfigurationError("x"), 2),
        (OSError(errno.ENOSPC, "No space left on device", "/a/b"), 5),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), 2),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("x"), 1),
    ],
)
def test_each_error_has_its_code(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def fail(path: object) -> None:
        raise error

    monkeypatch.setattr("corecube.archive.open_archive", fail)
    done = cli("info", "a.corecube")
    assert (done.code, done.out) == (code, "")
    if code == 130:
        assert done.err == ""
    else:
        assert done.err.startswith("corecube: error: ")


def test_an_unknown_instrument_is_usage(cli: Cli, tmp_path: Path) -> None:
    done = cli("ingest", "-i", "sdsx", tmp_path, "-a", tmp_path / "a.corecube")
    assert done.code == 2
    assert "did you mean 'sdss'?" in done.err


def test_a_bug_names_the_saved_traceback(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(path: object) -> None:
        raise KeyError("what")

    monkeypatch.setattr("corecube.archive.open_archive", fail)
    done = cli("info", "a.corecube")
    match = re.search(r"the traceback is in (\S+);", done.err)
    assert match and Path(match[1]).parent == tmp_path
    text = Path(match[1]).read_text(encoding="utf-8")
    assert text.startswith("corecube info a.corecube\npython ")
    assert "Traceback (most recent call last)" in text and "KeyError: 'what'" in text
    assert "Traceback" not in done.err
    assert "Traceback" in cli("-v", "info", "a.corecube").err


def test_what_fits_a_name_is_listed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: object) -> None:
        raise errors.AmbiguousName("'r' fits 25 rows", tuple(f"a/{n}" for n in range(25)))

    monkeypatch.setattr("corecube.archive.open_archive", fail)
    lines = cli("info", "a.corecube").err.splitlines()
    assert lines[1] == "  a/0" and lines[20] == "  a/19" and lines[21] == "  ... and 5 more"


def test_control_characters_of_a_name_do_not_reach_the_terminal(cli: Cli, tmp_path: Path) -> None:
    done = cli("info", tmp_path / "\x1b]52;c;eA==\x07\u202e.corecube")
    assert done.code == 5
    assert "\\x1b]52;c;eA==\\x07\\u202e.corecube" in done.err
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", done.err)


def test_a_long_path_is_not_wrapped(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / ("x" * 200) / "a.corecube"
    done = cli("info", path)
    assert str(path) in done.err and done.err.count("\n") == 1


@pytest.mark.parametrize("where", ["before", "behind"])
def test_quiet_may_stand_before_or_behind_the_command(cli: Cli, sky: Path, where: str) -> None:
    words = ["query", sky, "10 -20"]
    done = cli("-q", *words) if where == "before" else cli(*words, "--quiet")
    assert (done.code, done.err) == (0, "")
    assert done.out


def test_colours_only_where_they_are_wanted(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = tmp_path / "a.corecube"
    assert "\x1b" not in cli("info", missing).err
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1;31merror\x1b[0m" in cli("info", missing).err
    assert "\x1b" not in cli("--no-color", "info", missing).err
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in cli("info", missing).err
    monkeypatch.setenv("NO_COLOR", "")
    assert "\x1b" in cli("info", missing).err


def test_exit_codes_of_the_table_are_those_of_the_program() -> None:
    named = {
        int(match) for match in re.findall(r"^(\d+)  ", failures.__doc__ or "", flags=re.MULTILINE)
    }
    assert named == {0, 1, 2, 3, 4, 5, 6, 7, 8, 130, 141, 143}
    console.reset()
