"""Every state that an instrument can be in, made with installed packages; one harms no other."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from toyplugin import (  # type: ignore[import-not-found]  # loaded by the conftest
    GOOD,
    Add,
    changed,
    only,
)

from corecube import hookspecs
from corecube.errors import PluginError
from corecube.plugins import RESERVED, Caller, load, load_all

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
