"""Which instruments there are: found without an import, disabled, of one name, unknown."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from toyplugin import Add, only  # type: ignore[import-not-found]  # loaded by the conftest

from corecube.errors import PluginError
from corecube.plugins import UnknownInstrument, installed, load, load_all

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
