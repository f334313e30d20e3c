"""The list of instruments stands whatever is installed; each state has its line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Any
Install = Callable[..., Path]

GOOD = """
from dataclasses import dataclass
from corecube.hookspecs import API, Instrument, hookimpl

print("hello from the plugin")

@dataclass(frozen=True)
class Config:
    pass

@hookimpl
def corecube_instrument():
    return Instrument("A foo", {api}, 1, Config)

@hookimpl
def corecube_identify({identify}):
    return None

@hookimpl
def corecube_read_frames(plan, entry, config, context):
    return iter(())

@hookimpl
def corecube_archive_columns(config):
    return {{}}
"""


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of our own instruments only one, so that a list stays what it is here."""
    monkeypatch.setenv("CORECUBE_PLUGINS", "sdss")


def source(api: str = "(API, API)", identify: str = "file, config") -> str:
    return GOOD.format(api=api, identify=identify)


STATES = [
    pytest.param(source(), "ok", "", 0, id="ok"),
    pytest.param(
        "import nothing_of_this_name\n", "broken",
        "instrument 'foo' (corecube-foo 1.2) could not be loaded: ModuleNotFoundError: "
        "No module named 'nothing_of_this_name'; see 'corecube plugins info foo'", 6, id="broken",
    ),
    pytest.param(
        "raise SystemExit(3)\n", "broken",
        "instrument 'foo' (corecube-foo 1.2) could not be loaded: SystemExit: 3; "
        "see 'corecube plugins info foo'", 6, id="exit",
    ),
    pytest.param(
        "import extra_thing\n", "needs extra_thing",
        "instrument 'foo' (corecube-foo 1.2) needs 'extra_thing', which is not installed; run: "
        "pip install 'corecube-foo[more]'", 6, id="extra",
    ),
    pytest.param(
        source(api="(2, 2)"), "incompatible",
        "instrument 'foo' (corecube-foo 1.2) was made for plugin API 2; this corecube {version} "
        "has plugin API 1; upgrade corecube or install an older corecube-foo", 6,
        id="incompatible",
    ),
    pytest.param(
        source(identify="file, foo"), "invalid",
        "instrument 'foo' (corecube-foo 1.2) does not match the plugin API: "
        "hook 'corecube_identify' has no argument 'foo'", 6, id="invalid",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("code", "state", "message", "exit_code"), STATES)
def test_each_state_is_listed_with_its_line(
    cli: Cli,
    install: Install,
    project: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    state: str,
    message: str,
    exit_code: int,
) -> None:
    message = message.format(version=project["project"]["version"])
    monkeypatch.delitem(sys.modules, "foo_plugin", raising=False)
    install(
        "corecube-foo", "1.2", {"foo": "foo_plugin"}, {"foo_plugin": code},
        requires=("extra-thing; extra == 'more'",),
    )  # fmt: skip
    done = cli("plugins", "list")
    assert done.code == 0
    rows = {line.split()[0]: line for line in done.out.splitlines()[1:]}
    assert list(rows) == ["foo", "sdss"]
    assert f"foo   {state} " in rows["foo"] and "corecube-foo  1.2" in rows["foo"]
    assert "sdss  ok " in rows["sdss"]
    assert "hello" not in done.out
    found = {row["name"]: row for row in json.loads(cli("plugins", "list", "--json").out)}
    assert (found["foo"]["state"], found["foo"]["message"]) == (state, message)
    verbose = cli("plugins", "list", "--verbose").out
    assert message in verbose and "loaded in" in verbose

    asked = cli("ingest", "-i", "foo", tmp_path / "none", "-a", tmp_path / "a.corecube")
    if message:
        assert (asked.code, asked.err) == (exit_code, f"corecube: error: {message}\n")
    else:
        assert asked.code == 4
    other = cli("ingest", "-i", "sdss", tmp_path / "none", "-a", tmp_path / "a.corecube")
    assert other.code == 4  # a bad plugin stops nothing that does not need it

    info = cli("plugins", "info", "foo")
    assert info.code == 0
    assert ("Traceback (most recent call last)" in info.out) == (state[:6] in ("broken", "needs "))


def test_two_of_one_name_are_both_set_aside(cli: Cli, install: Install, tmp_path: Path) -> None:
    install("corecube-foo", "1.2", {"foo": "foo_plugin"}, {"foo_plugin": source()})
    install("foo-fork", "0.3", {"foo": "fork_plugin"}, {"fork_plugin": source()})
    assert "foo   duplicate" in cli("plugins", "list").out
    done = cli("ingest", "-i", "foo", "x", "-a", tmp_path / "a.corecube")
    assert done.code == 6
    assert done.err == (
        "corecube: error: two installed packages provide the instrument 'foo': corecube-foo 1.2 "
        "and foo-fork 0.3; neither is used; uninstall one, or disable one with "
        "plugins.disable: [foo-fork]\n"
    )


def test_disabled_ones_say_where(
    cli: Cli, toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("sdss: {}\nplugins:\n  disable: [toy]\n", encoding="utf-8")
    words = ("ingest", "-i", "toy", "x", "-a", tmp_path / "a.corecube")
    done = cli(*words, "--config", file)
    assert (done.code, done.err) == (
        6,
        f"corecube: error: instrument 'toy' (corecube-toy 0.1) is disabled by {file}:3\n",
    )
    assert "toy   disabled" in cli("plugins", "list", "--config", file).out
    monkeypatch.setenv("CORECUBE_DISABLE_PLUGINS", "corecube-toy")
    from corecube import plugins

    plugins._load.cache_clear()
    done = cli(*words)
    assert done.code == 6
    assert done.err.endswith("is disabled by CORECUBE_DISABLE_PLUGINS\n")


def test_an_unknown_name(cli: Cli, toy: Any) -> None:
    done = cli("plugins", "info", "tov")
    assert (done.code, done.err) == (
        2,
        "corecube: error: no instrument 'tov' is installed; did you mean 'toy'? "
        "installed: sdss, toy\n",
    )


def test_info_says_what_an_instrument_can_do(cli: Cli, toy: Any) -> None:
    found = json.loads(cli("plugins", "info", "toy", "--json").out)
    assert (found["title"], found["distribution"]) == ("A toy", "corecube-toy")
    assert "corecube_calibrate" in found["hooks"] and "corecube_simulate" not in found["hooks"]
    assert [setting["setting"] for setting in found["settings"]] == ["scale", "remark"]
    assert [column["column"] for column in found["columns"]] == ["z", "count", "class"]


def test_no_plugin_at_all(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORECUBE_PLUGINS", "")
    done = cli("plugins", "list")
    assert (done.code, done.out) == (0, "")
    assert json.loads(cli("plugins", "list", "--json").out) == []


def test_the_group_alone_shows_its_help(cli: Cli) -> None:
    done = cli("plugins")
    assert (done.code, done.out) == (2, "") and "Commands:" in done.err
    assert cli("plugins", "new").code == 2  # of a later release
