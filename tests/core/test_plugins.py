"""Every state that an instrument can be in, made with installed packages; one harms no other."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from corecube import hookspecs, plugins
from corecube.errors import PluginError
from corecube.plugins import RESERVED, Caller, Plugin, UnknownInstrument, installed, load, load_all

GOOD = """
from dataclasses import dataclass
from corecube.hookspecs import Instrument, hookimpl

@dataclass(frozen=True)
class Config:
    pass

@hookimpl
def corecube_instrument():
    return Instrument("A toy", (1, 1), 1, Config)

@hookimpl
def corecube_identify(file, config):
    return None

@hookimpl
def corecube_read_frames(plan, entry, config, context):
    yield from ()

@hookimpl
def corecube_archive_columns(config):
    return {"group": (entry_point, config)}

entry_point = __name__
"""
_numbers = iter(range(10_000))

Add = Callable[..., str]


@pytest.fixture
def add(install: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Add]:
    """Install a package with one instrument in a module of its own, and return the module."""
    monkeypatch.setenv("CORECUBE_PLUGINS", "")
    before = set(sys.modules)

    def add_one(
        source: str = GOOD, name: str = "toy", package: str = "corecube-toy",
        number: str = "1.2", value: str = "{}", requires: tuple[str, ...] = (),
    ) -> str:  # fmt: skip
        module = f"plugin_{os.getpid()}_{next(_numbers)}"
        entries = {name: value.format(module)}
        install(package, number, entries, {module: textwrap.dedent(source)}, requires)
        return module

    yield add_one
    plugins._load.cache_clear()
    for module in set(sys.modules) - before:
        if module.startswith("plugin_"):
            del sys.modules[module]


def only() -> Plugin:
    """Return the one instrument that is installed."""
    (plugin,) = load_all()
    return plugin


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


# -- ok ------------------------------------------------------------------------------------------


def test_a_good_one(add: Add) -> None:
    add()
    plugin = only()
    assert (plugin.name, plugin.distribution, plugin.version) == ("toy", "corecube-toy", "1.2")
    assert plugin.state == "ok" and plugin.message == "" and plugin.trace == ""
    assert plugin.who == "'toy' (corecube-toy 1.2)"
    caller = load("toy")
    assert caller.name == "toy" and caller.instrument.title == "A toy"
    assert caller.has("identify") and not caller.has("plan_shots") and not caller.has("simulate")
    assert caller.call("identify", file=None, config=None) is None


def test_an_instance_is_as_good_as_a_module(add: Add) -> None:
    source = (
        GOOD
        + """
class Toy:
    corecube_instrument = staticmethod(corecube_instrument)
    @hookimpl
    def corecube_identify(self, file):
        return ("seen by", file)
    @hookimpl
    def corecube_read_frames(self, entry):
        yield entry
    @hookimpl
    def corecube_archive_columns(self):
        return {}
toy = Toy()
"""
    )
    add(source, value="{}:toy")
    assert only().state == "ok"
    # A hook need not ask for all arguments: so the contract can grow.
    assert load("toy").call("identify", file="f", config=None) == ("seen by", "f")


def test_what_a_hook_raises_comes_through_unchanged(add: Add) -> None:
    add(changed("    return None\n", "    raise KeyError('of the plugin')\n"))
    with pytest.raises(KeyError, match="of the plugin"):
        load("toy").call("identify", file=None, config=None)


EXITS = """
class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")
"""


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("raise SystemExit(0)", r"asks to exit \(code 0\)"),
        ("import sys; sys.exit('bye')", r"asks to exit \(code 'bye'\)"),
        ("raise Mute", "raises a Mute that has no text"),
    ],
)
@pytest.mark.parametrize("hook", ["identify", "read_frames"])
def test_no_hook_ends_the_run(add: Add, what: str, says: str, hook: str) -> None:
    old = "    yield from ()" if hook == "read_frames" else "    return None"
    new = f"    {what}" + "\n    yield" * (hook == "read_frames")
    add(EXITS + GOOD.replace(old, new))
    caller = load("toy")
    with pytest.raises(PluginError, match=f"corecube_{hook} of 'toy' .corecube-toy 1.2. {says}"):
        if hook == "identify":
            caller.call("identify", file=None, config=None)
        else:
            found = caller.call("read_frames", plan=None, entry="", config=None, context=None)
            list(found)  # it is raised as late as a generator raises


def test_what_has_no_text_is_broken_when_it_is_imported(add: Add) -> None:
    add(EXITS + "raise Mute\n" + GOOD)
    (plugin,) = load_all()
    assert (plugin.state, "Mute" in plugin.message) == ("broken", True)


def test_an_instrument_is_called_alone(add: Add) -> None:
    first, second = add(name="one", package="a"), add(name="two", package="b")
    for name, module in (("one", first), ("two", second)):
        columns = load(name).call("archive_columns", config=name)
        assert columns == {"group": (module, name)}


def test_the_time_of_loading_is_known(add: Add) -> None:
    add("import time; time.sleep(0.1)\n" + GOOD)
    assert 0.1 <= only().seconds < 60


# -- disabled ------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["toy", "corecube-toy"])
def test_disabled_by_the_environment(add: Add, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    module = add()
    monkeypatch.setenv("CORECUBE_DISABLE_PLUGINS", f"other, {by} ,")
    plugin = only()
    assert plugin.state == "disabled"
    assert plugin.message == (
        "instrument 'toy' (corecube-toy 1.2) is disabled by CORECUBE_DISABLE_PLUGINS"
    )
    with pytest.raises(PluginError) as caught:
        load("toy")
    assert str(caught.value) == plugin.message
    assert module not in sys.modules


@pytest.mark.parametrize("by", ["toy", "corecube-toy"])
def test_disabled_by_the_configuration(add: Add, by: str) -> None:
    module = add()
    (plugin,) = load_all(disabled=["other", by])
    assert plugin.state == "disabled"
    assert plugin.message == (
        "instrument 'toy' (corecube-toy 1.2) is disabled by plugins.disable in the configuration"
    )
    with pytest.raises(PluginError, match=r"is disabled by plugins\.disable"):
        load("toy", disabled=[by])
    assert module not in sys.modules
    assert load("toy").name == "toy"


# -- broken --------------------------------------------------------------------------------------

BROKEN = {
    "import": ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    "name": ("from os import nothing_here", "ImportError: cannot import name 'nothing_here' from"),
    "SyntaxError": ("def (:", "SyntaxError: invalid syntax"),
    "SystemExit": ("raise SystemExit(3)", "SystemExit: 3"),
    "sys.exit": ("import sys; sys.exit()", "SystemExit"),
    "lines": ("raise RuntimeError('two\\nlines\\t')", "RuntimeError: two lines"),
    "silent": ("raise ValueError", "ValueError"),
    "assert": ("assert False, 'no'", "AssertionError: no"),
    "recursion": ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
}  # fmt: skip


@pytest.mark.parametrize(("source", "error"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_imported_is_broken(add: Add, source: str, error: str) -> None:
    add(source)
    plugin = only()
    assert plugin.state == "broken"
    start, end = "instrument 'toy' (corecube-toy 1.2) could not be loaded: ", (
        "; see 'corecube plugins info toy'"
    )  # fmt: skip
    assert plugin.message.startswith(start + error) and plugin.message.endswith(end)
    assert "\n" not in plugin.message and plugin.trace.startswith("Traceback")
    with pytest.raises(PluginError) as caught:
        load("toy")
    assert str(caught.value) == plugin.message


@pytest.mark.parametrize(
    "value", ["{}:nothing", "no_such_module_at_all", "{}:a b", "", ":", "{}:corecube_instrument.x"]
)
def test_an_entry_point_that_leads_nowhere_is_broken(add: Add, value: str) -> None:
    add(value=value)
    add(name="good", package="corecube-good")
    states = {plugin.name: plugin.state for plugin in load_all()}
    assert states["toy"] == "broken" and states["good"] == "ok"


LATE = {
    "instrument raises": changed('    return Instrument("A toy"', '    raise OSError("late")  # '),
    "instrument exits": changed('    return Instrument("A toy"', "    raise SystemExit(4)  # "),
    "property": GOOD + "class Toy:\n    @property\n    def corecube_extra(self):\n"
    "        raise RuntimeError('late')\ntoy = Toy()\n",
    "api is a number": changed("(1, 1)", "1"),
    "api is text": changed("(1, 1)", "('1', '1')"),
}  # fmt: skip


@pytest.mark.parametrize("source", LATE.values(), ids=LATE)
def test_what_fails_when_it_is_looked_at_is_set_aside(add: Add, source: str) -> None:
    add(source, value="{}:toy" if "toy = " in source else "{}")
    plugin = only()
    assert plugin.state == "broken" and "could not be loaded" in plugin.message
    assert plugin.trace.startswith("Traceback")


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("raise SystemExit(3)", SystemExit),
        ("import no_such_module", ModuleNotFoundError),
        (LATE["instrument raises"], OSError),
    ],
)
def test_errors_are_raised_when_the_author_asks(
    add: Add, monkeypatch: pytest.MonkeyPatch, source: str, error: type[BaseException]
) -> None:
    monkeypatch.setenv("CORECUBE_RAISE_PLUGIN_ERRORS", "1")
    add(source)
    with pytest.raises(error):
        load_all()


def test_ctrl_c_while_a_plugin_is_imported_is_no_fault_of_the_plugin(add: Add) -> None:
    add("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_all()


# -- prints --------------------------------------------------------------------------------------


def test_what_a_plugin_prints_does_not_get_into_results(add: Add, tmp_path: Path) -> None:
    noisy = "import sys\nprint('on import')\nsys.stdout.write('directly')\n"
    add(noisy + changed("    return Instrument", "    print('on call')\n    return Instrument"))
    add("print('before it breaks')\nraise SystemExit(1)", name="bad", package="corecube-bad")
    code = "from corecube.plugins import load_all\nfor p in load_all(): print(p.name, p.state)"
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": path}, timeout=60,
    )  # fmt: skip
    assert done.stdout == "bad broken\ntoy ok\n"
    for text in ("on import", "directly", "on call", "before it breaks"):
        assert text in done.stderr


# -- missing extra -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requires", "module"),
    [
        ("specfoo>=1; extra == 'spectra'", "specfoo"),
        ('specfoo ; extra == "spectra"', "specfoo.deep"),
        ("Spec-Foo[x]>=1,<2 ; python_version > '3' and extra == 'spectra'", "spec_foo"),
    ],
)
def test_a_missing_extra_is_named(add: Add, requires: str, module: str) -> None:
    add(f"import {module}\n{GOOD}", requires=("numpy", "other; extra == 'all'", requires))
    plugin = only()
    missing = module.partition(".")[0]
    assert plugin.state == "needs"
    assert plugin.message == (
        f"instrument 'toy' (corecube-toy 1.2) needs '{missing}', which is not installed; run: "
        "pip install 'corecube-toy[spectra]'"
    )


@pytest.mark.parametrize("requires", ["specfoo>=1", "specfoobar; extra == 'spectra'", "numpy"])
def test_what_no_extra_brings_is_broken(add: Add, requires: str) -> None:
    add("import specfoo", requires=(requires,))
    assert only().state == "broken"
    assert "ModuleNotFoundError: No module named 'specfoo'" in only().message


# -- incompatible --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("api", "made_for", "todo"),
    [
        ("(2, 2)", "2", "upgrade corecube or install an older corecube-toy"),
        ("(2, 3)", "2 to 3", "upgrade corecube or install an older corecube-toy"),
        ("(0, 0)", "0", "install a newer corecube-toy"),
    ],
)
def test_another_api_is_incompatible(add: Add, api: str, made_for: str, todo: str) -> None:
    add(changed("(1, 1)", api))
    plugin = only()
    assert plugin.state == "incompatible"
    assert plugin.message == (
        f"instrument 'toy' (corecube-toy 1.2) was made for plugin API {made_for}; this corecube "
        f"{version('corecube')} has plugin API 1; {todo}"
    )


@pytest.mark.parametrize("api", ["(1, 1)", "(0, 1)", "(1, 9)", "[0, 2]"])
def test_a_range_that_holds_our_api_is_good(add: Add, api: str) -> None:
    add(changed("(1, 1)", api))
    assert only().state == "ok"


# -- invalid -------------------------------------------------------------------------------------

INVALID = {
    "unknown argument": (
        changed("identify(file, config)", "identify(file, foo)"),
        "hook 'corecube_identify' has no argument 'foo'",
    ),
    "argument with a default": (
        changed("identify(file, config)", "identify(file, config=None)"),
        "argument 'config' of hook 'corecube_identify' must not have a default",
    ),
    "unknown argument with a default": (
        changed("identify(file, config)", "identify(file, typo=1)"),
        "hook 'corecube_identify' has no argument 'typo'",
    ),
    "any arguments": (
        changed("identify(file, config)", "identify(*args)"),
        "hook 'corecube_identify' takes *args or **kwargs; name its arguments",
    ),
    "any keywords": (
        changed("identify(file, config)", "identify(file, **others)"),
        "hook 'corecube_identify' takes *args or **kwargs; name its arguments",
    ),
    "unknown hook": (
        GOOD + "@hookimpl\ndef corecube_read_frame(plan):\n    pass\n",
        "there is no hook 'corecube_read_frame'",
    ),
    "a hook without our prefix": (
        GOOD + "@hookimpl\ndef identify(file):\n    pass\n",
        "PluginValidationError: unknown hook 'identify'",
    ),
    "missing hook": (
        changed("@hookimpl\ndef corecube_archive_columns", "def corecube_archive_columns"),
        "hook 'corecube_archive_columns' is missing",
    ),
    "empty": ("", "hook 'corecube_instrument' is missing"),
    "a title that is no text": (changed('"A toy"', "7"), "its title is a int, not a text"),
    "a version that is no number": (
        changed("(1, 1), 1", "(1, 1), '1'"), "its data_version is a str, not an integer",
    ),
    "settings of another type": (
        changed("1, Config)", "1, int)"), "its config is no dataclass; settings are declared as one"
    ),
    "an instance of settings": (
        changed("1, Config)", "1, Config())"),
        "its config is no dataclass; settings are declared as one",
    ),
    "a setting without default": (
        changed("class Config:\n    pass", "class Config:\n    x: int"),
        "its config cannot be used: TypeError: Config.__init__() missing 1 required positional "
        "argument: 'x'",
    ),
    "a default of another type": (
        changed("class Config:\n    pass", "class Config:\n    x: int = 'seven'"),
        "its config cannot be used: ConfigurationError: its defaults: x: 'seven'; it must be an "
        "integer; remove the quotes",
    ),
    "a setting that JSON has not": (
        changed("class Config:\n    pass", "class Config:\n    x: object = print"),
        "its config cannot be used: TypeError: a setting cannot hold builtin_function_or_method",
    ),
    "no instrument": (
        changed('Instrument("A toy", (1, 1), 1, Config)', '{"title": "A toy"}'),
        "corecube_instrument() does not return a corecube.hookspecs.Instrument",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("source", "reason"), INVALID.values(), ids=INVALID)
def test_what_does_not_match_the_api_is_invalid(add: Add, source: str, reason: str) -> None:
    add(source)
    plugin = only()
    assert plugin.state == "invalid"
    assert plugin.message == (
        f"instrument 'toy' (corecube-toy 1.2) does not match the plugin API: {reason}"
    )
    with pytest.raises(PluginError, match="does not match the plugin API"):
        load("toy")


def test_a_setting_of_an_unknown_type_is_invalid(add: Add) -> None:
    add(changed("class Config:\n    pass", "class Config:\n    x: 'Nowhere' = 1"))
    assert only().state == "invalid"
    assert "its config cannot be used: TypeError: the types of" in only().message


def test_a_class_is_no_instance(add: Add) -> None:
    source = GOOD + "class Toy:\n    @hookimpl\n    def corecube_identify(self, file): pass\n"
    add(source, value="{}:Toy")
    assert only().state == "invalid"
    assert only().message.endswith("it is a class; register an instance of it, or a module")


@pytest.mark.parametrize("name", ["archive", "plugins", "verify", "Toy", "to-y", "1toy", "t" * 33])
def test_a_name_that_no_instrument_may_have(add: Add, name: str) -> None:
    module = add(name=name)
    assert only().state == "invalid"
    assert only().message == (
        f"instrument '{name}' (corecube-toy 1.2) has a name that corecube keeps for itself or "
        "that is not lower-case letters, digits and '_'; its author must rename it"
    )
    assert module not in sys.modules


def test_the_names_of_all_commands_are_kept() -> None:
    commands = Path(importlib.import_module("corecube_cli.commands").__path__[0]).glob("[a-z]*.py")
    assert {path.stem for path in commands} <= RESERVED


def test_every_hook_of_the_contract_is_documented_and_has_no_defaults() -> None:
    import inspect

    for name, function in vars(hookspecs).items():
        if name.startswith("corecube_"):
            assert function.__doc__ and hasattr(function, "corecube_spec")
            for parameter in inspect.signature(function).parameters.values():
                assert parameter.default is parameter.empty


# -- duplicate -----------------------------------------------------------------------------------


def test_two_packages_with_one_name_are_both_set_aside(add: Add) -> None:
    modules = add(), add(package="toy-fork", number="0.3")
    plugin = only()
    assert plugin.state == "duplicate"
    start = "two installed packages provide the instrument 'toy': "
    end = "; neither is used; uninstall one, or disable one with plugins.disable: ["
    # Which one comes first is the order of their modules' names.
    assert plugin.message == f"{start}corecube-toy 1.2 and toy-fork 0.3{end}toy-fork]"
    assert not set(modules) & set(sys.modules)
    with pytest.raises(PluginError, match="neither is used"):
        load("toy")


@pytest.mark.parametrize(
    ("off", "left"), [("corecube-toy", "toy-fork"), ("toy-fork", "corecube-toy")]
)
def test_disabling_one_of_two_gives_the_other(add: Add, off: str, left: str) -> None:
    add()
    add(package="toy-fork", number="0.3")
    (plugin,) = load_all(disabled=[off])
    assert plugin.state == "ok" and plugin.distribution == left


def test_a_package_that_is_found_twice_is_one(add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    add()
    for folder in [part for part in sys.path if part.endswith("corecube-toy")]:
        monkeypatch.syspath_prepend(folder)
    assert only().state == "ok"


def test_the_name_of_a_built_in_instrument_can_be_taken_by_nobody(
    add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(name="sdss", package="my-sdss")
    assert only().state == "duplicate" and "my-sdss 1.2" in only().message


# -- unknown -------------------------------------------------------------------------------------


def test_an_unknown_name_is_answered_with_the_nearest_one(add: Add) -> None:
    add(name="hetdex", package="a")
    add(name="boss", package="b")
    with pytest.raises(UnknownInstrument) as caught:
        load("hetdx")
    assert str(caught.value) == (
        "no instrument 'hetdx' is installed; did you mean 'hetdex'? installed: boss, hetdex"
    )
    with pytest.raises(UnknownInstrument) as caught:
        load("zzz")
    assert str(caught.value) == "no instrument 'zzz' is installed; installed: boss, hetdex"


def test_without_any_instrument(add: Add) -> None:
    assert installed() == {} and load_all() == []
    with pytest.raises(UnknownInstrument) as caught:
        load("toy")
    assert str(caught.value) == "no instrument 'toy' is installed; installed: none"


# -- finding -------------------------------------------------------------------------------------


def test_finding_imports_nothing(add: Add) -> None:
    module = add("raise SystemExit('imported')")
    assert list(installed()) == ["toy"]
    assert module not in sys.modules


def test_the_environment_can_name_exactly_those_to_find(
    add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two", "three"):
        add(name=name, package=name)
    assert list(installed()) == ["one", "three", "two"]
    monkeypatch.setenv("CORECUBE_PLUGINS", " two ,none")
    assert list(installed()) == ["two"]
    monkeypatch.setenv("CORECUBE_PLUGINS", "")
    assert installed() == {}
    monkeypatch.delenv("CORECUBE_PLUGINS")
    assert {"one", "two", "three", "sdss"} <= set(installed())


@pytest.mark.parametrize("text", [None, "", "Metadata-Version: 2.1\n", "no metadata at all"])
def test_a_package_without_metadata_is_still_named(
    add: Add, tmp_path: Path, text: str | None
) -> None:
    add()
    (metadata,) = tmp_path.glob("site/*/*.dist-info/METADATA")
    if text is None:
        metadata.unlink()
    else:
        metadata.write_text(text, "utf-8")
    assert only().state == "ok" and only().who == "'toy' (unknown package ?)"


# -- together ------------------------------------------------------------------------------------


def test_bad_ones_never_stop_the_others(add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {"a_good": "ok", "z_good": "ok"}
    add(name="a_good", package="a")
    bad = [(source, "broken") for source, _ in BROKEN.values()]
    bad += [(source, "broken") for source in LATE.values()]
    bad += [(source, "invalid") for source, _ in INVALID.values()]
    bad += [(changed("(1, 1)", "(7, 7)"), "incompatible")]
    for number, (source, state) in enumerate(bad):
        name = f"bad{number:02d}"
        add(source, name, name, value="{}:toy" if "toy = " in source else "{}")
        expected[name] = state
    for package in ("x", "y"):
        add(name="twice", package=package)
    add(name="off", package="off")
    add(name="verify", package="v")
    add("import specfoo", "needy", "needy", requires=("specfoo; extra == 'e'",))
    add(name="z_good", package="z")
    monkeypatch.setenv("CORECUBE_DISABLE_PLUGINS", "off")
    expected |= {"twice": "duplicate", "off": "disabled", "verify": "invalid", "needy": "needs"}
    found = load_all()
    assert {plugin.name: plugin.state for plugin in found} == expected
    assert [plugin.name for plugin in found] == sorted(expected)
    for plugin in found:
        assert bool(plugin.message) == (plugin.state != "ok") and "\n" not in plugin.message
    assert isinstance(load("a_good"), Caller) and load("z_good").name == "z_good"
