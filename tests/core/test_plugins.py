"""Every state that an installed instrument can have, and the line that says what to do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from corecube import plugins
from corecube.errors import PluginError
from corecube.plugins import Plugin, UnknownInstrument, load, load_all

Install = Callable[..., Path]

GOOD = """
from dataclasses import dataclass
from corecube.hookspecs import API, Instrument, hookimpl

@dataclass(frozen=True)
class Config:
    pass

@hookimpl
def corecube_instrument():
    return Instrument("An instrument", (API, API), 1, Config)

@hookimpl
def corecube_identify(file, config):
    return None

@hookimpl
def corecube_read_frames(plan, entry, config, context):
    return iter(())

@hookimpl
def corecube_archive_columns(config):
    return {}
"""


def state_of(name: str) -> Plugin:
    return next(plugin for plugin in load_all() if plugin.name == name)


def message(name: str) -> str:
    with pytest.raises(PluginError) as caught:
        load(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_good_one(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("corecube-good", "1.2", {"good": "good_one"}, {"good_one": 'print("hello")' + GOOD})
    caller = load("good")
    assert caller.name == "good"
    assert caller.plugin.who == "'good' (corecube-good 1.2)"
    assert caller.instrument.title == "An instrument"
    assert caller.has("identify") and not caller.has("simulate")
    plugin = state_of("good")
    assert (plugin.state, plugin.message) == ("ok", "") and plugin.seconds > 0
    out, err = capsys.readouterr()
    assert out == "" and "hello" in err  # what it prints must not get into results


def test_an_instance_is_as_good_as_a_module(install: Install) -> None:
    source = GOOD.replace("\n@hookimpl\ndef ", "\n    @staticmethod\n    @hookimpl\n    def ")
    source = re.sub(r"\n    return (?!Instrument\()", r"\n        return ", source)
    source = source.replace("    return Instrument(", "        return Instrument(")
    head, found, body = source.partition("\n    @staticmethod")
    source = head + "\nclass Made:" + found + body + "\nmade = Made()\n"
    install("corecube-made", "1", {"made": "made_one:made"}, {"made_one": source})
    assert load("made").instrument.title == "An instrument"
    install("corecube-class", "1", {"klass": "made_two:Made"}, {"made_two": source})
    assert message("klass") == (
        "instrument 'klass' (corecube-class 1) does not match the plugin API: it is a class; "
        "register an instance of it, or a module"
    )


SEE = "; see 'corecube plugins info bad'"


@pytest.mark.parametrize(
    ("source", "state", "said"),
    [
        ("import foo_missing", "broken",
         "could not be loaded: ModuleNotFoundError: No module named 'foo_missing'" + SEE),
        ("raise SystemExit(3)", "broken", "could not be loaded: SystemExit: 3" + SEE),
        ("import sys; sys.exit()", "broken", "could not be loaded: SystemExit" + SEE),
        ("raise ValueError('two\\nlines')", "broken",
         "could not be loaded: ValueError: two lines" + SEE),
        (GOOD.replace("(API, API)", "(2, 2)"), "incompatible",
         f"was made for plugin API 2; this corecube {version('corecube')} has plugin API 1; "
         "upgrade corecube or install an older corecube-bad"),
        (GOOD.replace("(API, API)", "(2, 4)"), "incompatible",
         f"was made for plugin API 2 to 4; this corecube {version('corecube')} has plugin API 1; "
         "upgrade corecube or install an older corecube-bad"),
        (GOOD.replace("(API, API)", "(0, 0)"), "incompatible",
         f"was made for plugin API 0; this corecube {version('corecube')} has plugin API 1; "
         "install a newer corecube-bad"),
        (GOOD.replace("(file, config)", "(file, config, foo)"), "invalid",
         "does not match the plugin API: hook 'corecube_identify' has no argument 'foo'"),
        (GOOD.replace("(file, config)", "(file, config=None)"), "invalid",
         "does not match the plugin API: argument 'config' of hook 'corecube_identify' must not "
         "have a default"),
        (GOOD.replace("(file, config)", "(file, *rest)"), "invalid",
         "does not match the plugin API: hook 'corecube_identify' takes *args or **kwargs; name "
         "its arguments"),
        (GOOD + "\n@hookimpl\ndef corecube_foo():\n    pass\n", "invalid",
         "does not match the plugin API: there is no hook 'corecube_foo'"),
        (GOOD.replace("corecube_read_frames", "read_frames"), "invalid",
         "does not match the plugin API: "),
        (GOOD.replace("@hookimpl\ndef corecube_read_frames", "def corecube_read_frames"), "invalid",
         "does not match the plugin API: hook 'corecube_read_frames' is missing"),
        (GOOD.replace('Instrument("An', '("An'), "invalid",
         "does not match the plugin API: corecube_instrument() does not return a "
         "corecube.hookspecs.Instrument"),
        (GOOD.replace("    return Instrument", "    raise KeyError('x')\n    return Instrument"),
         "broken", "could not be loaded: KeyError: 'x'" + SEE),
        ("def corecube_instrument(:", "broken", "could not be loaded: SyntaxError: "),
    ],
)  # fmt: skip
def test_bad_ones_are_set_aside_with_a_line(
    install: Install, source: str, state: str, said: str
) -> None:
    install("corecube-bad", "1.0", {"bad": "bad_one"}, {"bad_one": source})
    install("corecube-good", "1.2", {"good": "good_one"}, {"good_one": GOOD})
    sys.modules.pop("bad_one", None)
    text = message("bad")
    assert text.startswith("instrument 'bad' (corecube-bad 1.0) " + said)
    plugin = state_of("bad")
    assert (plugin.state, plugin.message) == (state, text)
    assert ("Traceback" in plugin.trace) == (state == "broken")
    assert state_of("good").state == "ok", "the others work"
    assert load("good").name == "good"


def test_a_missing_extra_says_what_to_install(install: Install) -> None:
    install(
        "corecube-hetdex", "1.2", {"hetdex": "hetdex_one"}, {"hetdex_one": "import spec_utils.x"},
        requires=("numpy>=2", 'spec-utils>=2 ; extra == "spectra"'),
    )  # fmt: skip
    assert message("hetdex") == (
        "instrument 'hetdex' (corecube-hetdex 1.2) needs 'spec_utils', which is not "
        "installed; run: pip install 'corecube-hetdex[spectra]'"
    ) or message("hetdex") == (
        "instrument 'hetdex' (corecube-hetdex 1.2) needs 'spec_utils.x', which is not "
        "installed; run: pip install 'corecube-hetdex[spectra]'"
    )
    assert state_of("hetdex").state == "needs"


def test_two_packages_with_one_name_are_both_set_aside(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("corecube-hetdex", "1.2", {"hetdex": "one_a"}, {"one_a": GOOD})
    install("hetdex-fork", "0.3", {"hetdex": "one_b"}, {"one_b": GOOD})
    text = message("hetdex")
    assert text == (
        "two installed packages provide the instrument 'hetdex': corecube-hetdex 1.2 and "
        "hetdex-fork 0.3; neither is used; uninstall one, or disable one with plugins.disable: "
        "[hetdex-fork]"
    )
    assert state_of("hetdex").state == "duplicate"
    assert load("hetdex", ["hetdex-fork"]).plugin.distribution == "corecube-hetdex"
    assert load("hetdex", ["corecube-hetdex"]).plugin.distribution == "hetdex-fork"
    monkeypatch.setenv("CORECUBE_DISABLE_PLUGINS", "hetdex-fork")
    plugins._load.cache_clear()
    assert load("hetdex").plugin.distribution == "corecube-hetdex"


def test_a_copy_of_a_built_in_disables_both(install: Install) -> None:
    install("sdss-fork", "9", {"sdss": "one_c"}, {"one_c": GOOD})
    assert message("sdss").startswith("two installed packages provide the instrument 'sdss'")


def test_the_same_distribution_twice_on_the_path_is_one(
    install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = install("corecube-good", "1.2", {"good": "good_one"}, {"good_one": GOOD})
    import shutil

    shutil.copytree(folder, tmp_path / "again")
    monkeypatch.syspath_prepend(str(tmp_path / "again"))
    plugins._load.cache_clear()
    assert load("good").name == "good"


def test_disabled_ones(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("corecube-good", "1.2", {"good": "good_one"}, {"good_one": GOOD})
    with pytest.raises(
        PluginError, match=r"'good' \(corecube-good 1.2\) is disabled by plugins.dis"
    ):
        load("good", ["good"])
    assert {p.name: p.state for p in load_all(["corecube-good"])}["good"] == "disabled"
    monkeypatch.setenv("CORECUBE_DISABLE_PLUGINS", "good")
    plugins._load.cache_clear()
    assert message("good") == (
        "instrument 'good' (corecube-good 1.2) is disabled by CORECUBE_DISABLE_PLUGINS"
    )


@pytest.mark.parametrize("name", ["query", "ingest", "Good", "go-od", "1good", "g" * 33, "plot"])
def test_names_of_commands_and_wrong_names_are_invalid(install: Install, name: str) -> None:
    install("corecube-bad", "1.0", {name: "good_one"}, {"good_one": GOOD})
    assert "has a name that corecube keeps for itself or that is not" in message(name)
    assert state_of(name).state == "invalid"


def test_unknown_names(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("corecube-hetdex", "1.2", {"hetdex": "good_one"}, {"good_one": GOOD})
    with pytest.raises(UnknownInstrument) as caught:
        load("hetdx")
    assert str(caught.value) == (
        "no instrument 'hetdx' is installed; did you mean 'hetdex'? installed: hetdex, sdss"
    )
    monkeypatch.setenv("CORECUBE_PLUGINS", "")
    with pytest.raises(UnknownInstrument) as caught:
        load("hetdx")
    assert str(caught.value).endswith("installed: none")


def test_metadata_in_disorder_does_not_stop_the_others(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = install("corecube-odd", "1", {"odd": "good_one", "worse": ":::"}, {"good_one": GOOD})
    (folder / "corecube_odd-1.dist-info" / "METADATA").unlink()
    plugin = state_of("odd")
    assert plugin.state == "ok" and plugin.distribution in ("unknown package", "corecube_odd")
    assert state_of("worse").state == "broken"
    assert state_of("sdss").state == "ok"


def test_errors_are_raised_where_one_wants_to_see_them(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("corecube-bad", "1.0", {"bad": "bad_two"}, {"bad_two": "import foo_missing"})
    monkeypatch.setenv("CORECUBE_RAISE_PLUGIN_ERRORS", "1")
    with pytest.raises(ModuleNotFoundError, match="foo_missing"):
        load("bad")


def test_nothing_is_imported_to_list_names(install: Install) -> None:
    install("corecube-bad", "1.0", {"bad": "bad_three"}, {"bad_three": "raise SystemExit"})
    assert "bad" in plugins.installed()
    assert "bad_three" not in sys.modules


def test_an_interrupt_is_not_swallowed(install: Install) -> None:
    install("corecube-bad", "1.0", {"bad": "bad_4"}, {"bad_4": "raise KeyboardInterrupt"})
    with pytest.raises(KeyboardInterrupt):
        load("bad")


def test_in_a_fresh_process_too(install: Install) -> None:
    install("corecube-bad", "1.0", {"bad": "bad_one"}, {"bad_one": "import foo_missing"})
    code = "from corecube.plugins import load_all; print({p.name: p.state for p in load_all()})"
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert found.stdout.strip() == "{'bad': 'broken', 'sdss': 'ok'}"
    assert found.stderr == ""
