from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corecube.config import (
    PluginSettings,
    about,
    configuration_files,
    fingerprint_fields,
    from_json,
    load_settings,
    schema,
    template,
    to_json,
    user_file,
)
from corecube.errors import ConfigurationError


@dataclass(frozen=True)
class Noise:
    floor: float = field(default=0.01, metadata=about("floor", minimum=0.0, maximum=1.0))
    kind: Literal["poisson", "none"] = "poisson"
    threads: int = field(default=1, metadata=about("threads", changes_numbers=False))


@dataclass(frozen=True)
class Sdss:
    gain: float = field(
        default=4.7, metadata=about("gain of a column", unit="electron / adu", minimum=0.1)
    )
    rows: int = 10
    name: str = "x"
    mask: Path | None = field(
        default=None, metadata=about("list of bad columns", changes_numbers=False)
    )
    limit: float | None = None
    title: str | None = None
    bands: list[str] = field(
        default_factory=lambda: ["u", "g"], metadata=about("bands", choices=["u", "g", "r"])
    )
    darks: dict[str, float] = field(default_factory=dict)
    pair: tuple[float, float] = (1.0, 2.0)
    flat: bool = True
    noise: Noise = Noise(floor=0.02)
    many: list[Noise] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.rows == 13:
            raise ValueError("rows must not be 13")


@dataclass(frozen=True)
class Required:
    path: Path
    count: int = 1


SECTIONS = {"sdss": Sdss}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the project's file, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Path("corecube.yaml")


def load(path: Path, text: str, **more: Any) -> Sdss:
    path.write_text(text, encoding="utf-8")
    settings = load_settings(SECTIONS, [path], {}, **more)
    section: Sdss = settings.section("sdss")
    return section


def problems(path: Path, text: str, **more: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(path, text, **more)
    return str(caught.value).splitlines()


def test_without_sources_all_is_default_and_yaml_is_not_imported() -> None:
    settings = load_settings(SECTIONS, environ={})
    assert settings.section("sdss") == Sdss()
    assert settings.section("plugins") == PluginSettings()
    assert settings.origin("sdss", "noise.floor") == "default"
    code = (
        "import sys\n"
        "from corecube.config import PluginSettings, load_settings\n"
        "load_settings({}, (), {'CORECUBE_PLUGINS__DISABLE': 'a,b'}, ['plugins.disable=c'])\n"
        "assert not {'yaml', 'numpy', 'astropy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_later_sources_win_and_each_value_knows_its_origin(file: Path) -> None:
    user = Path("user.yaml")
    user.write_text("sdss:\n  gain: 1\n  rows: 1\n  name: user\n  noise: {floor: 0.1}\n")
    file.write_text("sdss:\n  gain: 2\n  rows: 2\n  noise:\n    kind: none\n  darks: {r: 1}\n")
    settings = load_settings(
        SECTIONS,
        [user, file],
        {
            "CORECUBE_SDSS__GAIN": "3",
            "CORECUBE_SDSS__NOISE__THREADS": "4",
            "CORECUBE_TEST_DATA": "/nowhere",
            "CORECUBE_PLUGINS": "a",
            "HOME": "/home",
        },
        ["sdss.gain=4", "sdss.darks={g: .5}", "sdss.bands=g,r"],
    )
    sdss = settings.section("sdss")
    assert (sdss.gain, sdss.rows, sdss.name) == (4.0, 2, "user")
    assert sdss.noise == Noise(0.1, "none", 4)  # merged key by key
    assert sdss.darks == {"g": 0.5}  # replaced as a whole
    assert sdss.bands == ["g", "r"]
    origins = {key: origin for key, _, origin in settings.rows()}
    assert origins["sdss.gain"] == settings.origin("sdss", "gain") == "--set sdss.gain"
    assert origins["sdss.rows"] == "corecube.yaml:3"
    assert origins["sdss.name"] == "user.yaml:4"
    assert origins["sdss.noise.floor"] == "user.yaml:5"
    assert origins["sdss.noise.kind"] == "corecube.yaml:5"
    assert origins["sdss.noise.threads"] == "environment CORECUBE_SDSS__NOISE__THREADS"
    assert origins["sdss.pair"] == origins["plugins.disable"] == "default"
    with pytest.raises(ConfigurationError, match=r"no section 'sds'; did you mean 'sdss'\?"):
        settings.section("sds")
    with pytest.raises(ConfigurationError, match=r"no setting sdss\.gian; did you mean 'gain'\?"):
        settings.origin("sdss", "gian")


def test_the_default_of_a_nested_dataclass_is_kept(file: Path) -> None:
    assert load(file, "sdss: {noise: {kind: none}}").noise == Noise(0.02, "none")


# What YAML 1.1 would have made of these: False, 9192, True, 8, "1e3", a date, None.
@pytest.mark.parametrize(
    ("key", "written", "value"),
    [
        ("name", "no", "no"),
        ("name", "on", "on"),
        ("name", "2:33:12", "2:33:12"),
        ("name", "010", "010"),
        ("name", "1e3", "1e3"),
        ("name", "2020-01-01", "2020-01-01"),
        ("name", "'null'", "null"),
        ("name", "''", ""),
        ("name", "!!str 5", "5"),
        ("name", "|\n    text\n", "text\n"),
        ("gain", "1e3", 1000.0),
        ("gain", "1.0e3", 1000.0),
        ("gain", "1.0e+3", 1000.0),
        ("gain", "5", 5.0),
        ("gain", "5.", 5.0),
        ("gain", ".5", 0.5),
        ("gain", ".inf", math.inf),
        ("rows", "0x1F", 31),
        ("rows", "-7", -7),
        ("rows", "18446744073709551616", 2**64),
        ("flat", "no", False),
        ("flat", "Off", False),
        ("flat", "true", True),
        ("limit", "~", None),
        ("limit", "", None),
        ("limit", "3", 3.0),
        ("bands", "[]", []),
        ("bands", "\n  - g\n  - r", ["g", "r"]),
        ("darks", "{no: 1, 010: 2}", {"no": 1.0, "010": 2.0}),
        ("pair", "[1, 2e0]", (1.0, 2.0)),
        ("many", "[{floor: 0.5}, {}]", [Noise(0.5), Noise()]),
    ],
)
def test_the_type_of_the_setting_decides(file: Path, key: str, written: str, value: object) -> None:
    read = getattr(load(file, f"sdss:\n  {key}: {written}\n"), key)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("gian: 3", "2:3: sdss.gian: unknown key; did you mean 'gain'?"),
        ("gain: 2:33", "2:9: sdss.gain: '2:33'; it must be a number; numbers with colons"),
        ("gain: 010", "2:9: sdss.gain: '010'; it must be a number; remove the leading zero"),
        ("gain: '1'", "2:9: sdss.gain: '1'; it must be a number; remove the quotes"),
        ("gain: 1_000", "2:9: sdss.gain: '1_000'; it must be a number; write the digits"),
        ("gain: 0.05", "2:9: sdss.gain: '0.05'; it must be at least 0.1 electron / adu"),
        ("gain: .nan", "2:9: sdss.gain: '.nan'; it must be at least 0.1"),
        ("gain: true", "2:9: sdss.gain: 'true'; it must be a number"),
        ("gain:", "2:8: sdss.gain: empty; it must be a number"),
        ("gain: [1]", "2:9: sdss.gain: a list; it must be a number"),
        ("rows: 1e3", "2:9: sdss.rows: '1e3'; it must be an integer; write 1000"),
        ("rows: 3.0", "2:9: sdss.rows: '3.0'; it must be an integer; write 3"),
        ("rows: 010", "2:9: sdss.rows: '010'; it must be an integer; remove the leading zero"),
        ("rows: 1:30", "2:9: sdss.rows: '1:30'; it must be an integer; numbers with colons"),
        ("rows: 13", "2:9: sdss: rows must not be 13"),
        ("name: ~", "2:9: sdss.name: empty; it must be text"),
        ("name: {a: 1}", "2:9: sdss.name: a map; it must be text"),
        ("flat: 'no'", "2:9: sdss.flat: 'no'; it must be true or false; remove the quotes"),
        ("flat: 1", "2:9: sdss.flat: '1'; it must be true or false"),
        ("bands: g", "2:10: sdss.bands: 'g'; it must be a list; write [g]"),
        ("bands: [g, z]", "2:14: sdss.bands[1]: 'z'; it must be one of: u, g, r"),
        ("pair: [1]", "2:9: sdss.pair: a list of 1; it must have 2 elements"),
        ("darks: [1]", "2:10: sdss.darks: a list; it must be a map"),
        ("darks: {r: x}", "2:14: sdss.darks.r: 'x'; it must be a number"),
        ("darks: {r: 1, r: 2}", "2:17: sdss.darks.r: this key is there twice; first in line 2"),
        ("noise: 3", "2:10: sdss.noise: it must be a map"),
        ("noise: {kind: gauss}", "2:17: sdss.noise.kind: 'gauss'; it must be one of: poisson, no"),
        ("many: [{flor: 1}]", "2:11: sdss.many[0].flor: unknown key; did you mean 'floor'?"),
        ("name: &a x", ""),
        ("name: !!python/object:os.system x", "2:9: the tag tag:yaml.org,2002:python/object:os"),
        ("name: !secret x", "2:9: the tag !secret is not allowed"),
        ("<<: {gain: 1}", "2:3: merge keys (<<) are not read"),
        ("darks: &a {b: *a}", "2:17: aliases (*a) are not read"),
        ("? [a]\n  : 1", "2:5: a key must be a word"),
        ("bands: [g", "3:1: no YAML: "),
        ("\tgain: 1", "2:3: no YAML: "),
    ],
)
def test_each_problem_has_file_line_and_column(file: Path, written: str, problem: str) -> None:
    text = f"sdss:\n  {written}\n"
    if not problem:  # an anchor that nobody uses does no harm
        assert load(file, text).name == "x"
        return
    (line,) = problems(file, text)[:1]
    assert line.startswith(f"corecube.yaml:{problem}")


def test_all_problems_come_at_once_in_order(file: Path) -> None:
    Path("second.yaml").write_text("sdss:\n  rows: x\n")
    file.write_text(
        "sdss:\n  gian: 3\n  rows: 1\n  rows: 2\n  noise:\n    floor: 2\nsds: {}\ningest: {x: 1}\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        load_settings(
            SECTIONS,
            [file, "second.yaml", "none.yaml"],
            {"CORECUBE_SDSS__GIAN": "1", "CORECUBE_SDS__GAIN": "1", "CORECUBE_BOSS__X": "1"},
            ["sdss.rows=x", "sdss", "sdss.noise=1", "foo.x=1"],
            others=["ingest", "boss"],
        )
    assert str(caught.value).splitlines() == [
        "corecube.yaml:2:3: sdss.gian: unknown key; did you mean 'gain'?",
        "corecube.yaml:4:3: sdss.rows: this key is there twice; first in line 3",
        "corecube.yaml:6:12: sdss.noise.floor: '2'; it must be at most 1.0",
        "corecube.yaml:7:1: sds: unknown section; did you mean 'sdss'?",
        "second.yaml:2:9: sdss.rows: 'x'; it must be an integer",
        "none.yaml: the file cannot be read: No such file or directory",
        "environment CORECUBE_SDSS__GIAN: sdss.gian: unknown key; did you mean 'gain'?",
        "environment CORECUBE_SDS__GAIN: sds: unknown section; did you mean 'sdss'?",
        "--set sdss.rows: sdss.rows: 'x'; it must be an integer",
        "--set sdss: write --set section.key=value, such as sdss.gain=4.7",
        "--set sdss.noise: sdss.noise: it has keys of its own; give one of them",
        "--set foo.x: foo: unknown section; known are: boss, ingest, plugins, sdss",
    ]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"- 1\n", "corecube.yaml:1:1: it must be a map of sections"),
        (b"text\n", "corecube.yaml:1:1: it must be a map of sections"),
        (b"a: 1\n--- \nb: 2\n", "corecube.yaml:2:1: a second document"),
        (b"sdss: {name: \xff}\n", "corecube.yaml:1:1: not UTF-8"),
        (b"\0", "corecube.yaml: no YAML"),
        (b"a: " + b"[" * 100_000, "corecube.yaml:1:35: nested deeper than 32"),
        (b"#" * ((1 << 20) + 1), "corecube.yaml: larger than 1024 KiB"),
        (
            b"a: &a [x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n",
            "corecube.yaml:1:1: a: unknown section",
        ),
    ],
)
def test_files_that_are_no_configuration(file: Path, data: bytes, problem: str) -> None:
    file.write_bytes(data)
    with pytest.raises(ConfigurationError, match="^" + re.escape(problem)):
        load_settings(SECTIONS, [file], {})


@pytest.mark.parametrize("text", ["", "# nothing\n", "sdss:\n", "---\n", "sdss: {}\n"])
def test_empty_files_and_sections_are_fine(file: Path, text: str) -> None:
    assert load(file, text) == Sdss()


def test_values_of_options_are_text_unless_the_setting_says_otherwise() -> None:
    def given(option: str) -> Sdss:
        section: Sdss = load_settings(SECTIONS, (), {}, [option]).section("sdss")
        return section

    assert given("sdss.name=[no]").name == "[no]"
    assert given("sdss.name=a=b").name == "a=b"
    assert given("sdss.name=").name == ""
    assert given("sdss.title=[no]").title == "[no]"
    assert given("sdss.title=none").title is None
    assert given("sdss.bands=").bands == []
    assert given("sdss.bands=[g, 'r']").bands == ["g", "r"]
    assert given("sdss.pair=1,2").pair == (1.0, 2.0)
    assert given("sdss.limit=null").limit is None
    assert given("sdss.flat=0").flat is False
    assert given("sdss.noise.floor=0.5").noise == Noise(0.5)
    assert given("sdss.many=[{floor: 0.5}]").many == [Noise(0.5)]
    assert given("sdss.mask=a.txt").mask == Path("a.txt")


def test_paths_are_relative_to_their_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    other = Path("lists")
    other.mkdir()
    (other / "a.yaml").write_text("sdss: {mask: bad.txt}\n")
    settings = load_settings(SECTIONS, [other / "a.yaml"], {})
    assert settings.section("sdss").mask == Path("lists/bad.txt").absolute()
    assert load(file, "sdss: {mask: ~/bad.txt}\n").mask == Path("/home/somebody/bad.txt")
    assert load(file, "sdss: {mask: /bad.txt}\n").mask == Path("/bad.txt")


def test_required_settings(file: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^defaults: r\.path: it must be given$"):
        load_settings({"r": Required}, (), {})
    assert load_settings({"r": Required}, (), {}, ["r.path=x"]).section("r") == Required(Path("x"))


def test_where_the_files_are(tmp_path: Path) -> None:
    assert user_file({"XDG_CONFIG_HOME": "/x"}) == Path("/x/corecube/config.yaml")
    # a relative path is to be ignored (XDG Base Directory Specification)
    environ = {"XDG_CONFIG_HOME": "x", "HOME": str(tmp_path)}
    user = tmp_path / ".config" / "corecube" / "config.yaml"
    assert user_file(environ) == user
    folder = tmp_path / "project"
    folder.mkdir()
    assert configuration_files(["a.yaml"], folder=folder, environ=environ) == [Path("a.yaml")]
    user.parent.mkdir(parents=True)
    for path in (user, folder / "corecube.yaml"):
        path.write_text("")
    assert configuration_files(["a.yaml"], folder=folder, environ=environ) == [
        user,
        folder / "corecube.yaml",
        Path("a.yaml"),
    ]


def test_json_of_a_configuration() -> None:
    instance = Sdss(mask=Path("/a"), limit=math.inf, darks={"r": 1.5}, many=[Noise(0.5)])
    data = to_json(instance)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["limit"] == "inf"
    assert data["pair"] == [1.0, 2.0]
    assert from_json(Sdss, data) == instance
    assert from_json(Sdss, {}) == Sdss()
    assert from_json(Sdss, {"old": 1}, unknown="ignore") == Sdss()
    with pytest.raises(ConfigurationError, match="stored configuration: old: unknown key"):
        from_json(Sdss, {"old": 1})
    with pytest.raises(ConfigurationError, match="gain: '3'; it must be a number"):
        from_json(Sdss, {"gain": "3"})


SETTINGS = st.builds(
    Sdss,
    gain=st.floats(0.1, allow_infinity=True),
    rows=st.integers().filter(lambda rows: rows != 13),
    name=st.text(),
    limit=st.none() | st.floats(allow_nan=False),
    bands=st.lists(st.sampled_from("ugr")),
    darks=st.dictionaries(st.text(), st.floats(allow_nan=False)),
    flat=st.booleans(),
    noise=st.builds(Noise, st.floats(0, 1), st.sampled_from(["poisson", "none"]), st.integers()),
)


@given(SETTINGS)
def test_json_reads_back(instance: Sdss) -> None:
    assert from_json(Sdss, json.loads(json.dumps(to_json(instance), allow_nan=False))) == instance


def test_the_fingerprint_has_only_what_changes_numbers() -> None:
    fields = fingerprint_fields(Sdss(mask=Path("/a"), many=[Noise(threads=3)]))
    assert "mask" not in fields
    assert fields["noise"] == {"floor": 0.02, "kind": "poisson"}
    assert fields["many"] == [{"floor": 0.01, "kind": "poisson"}]
    assert fields["gain"] == 4.7
    assert fields == fingerprint_fields(Sdss(many=[Noise()]))


def test_the_template_gives_the_defaults_with_and_without_its_marks(file: Path) -> None:
    text = template(SECTIONS)
    assert "  # gain of a column; in electron / adu; at least 0.1\n  #gain: 4.7\n" in text
    assert '    # one of: poisson, none\n    #kind: "poisson"\n' in text
    assert load(file, text) == Sdss()
    explicit, count = re.subn(r"(?m)^( *)#(\w+:)", r"\1\2", text)
    assert count == 14
    assert load(file, explicit) == Sdss()


def test_the_schema() -> None:
    found = schema(Sdss)
    assert found["additionalProperties"] is False
    assert found["properties"]["rows"] == {"type": "integer", "default": 10}
    assert found["properties"]["gain"]["x-unit"] == "electron / adu"
    assert found["properties"]["gain"]["anyOf"][0] == {"type": "number", "minimum": 0.1}
    assert found["properties"]["bands"]["items"] == {"type": "string", "enum": ["u", "g", "r"]}
    assert found["properties"]["mask"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
    assert found["properties"]["noise"]["properties"]["kind"]["enum"] == ["poisson", "none"]
    assert found["properties"]["noise"]["default"]["floor"] == 0.02
    assert schema(Required)["required"] == ["path"]
    json.dumps(found, allow_nan=False)


def test_a_type_that_cannot_be_set_is_the_authors_error() -> None:
    @dataclass
    class Wrong:
        x: int | str = 1

    with pytest.raises(TypeError, match=r"only X \| None"):
        load_settings({"wrong": Wrong}, (), {}, ["wrong.x=1"])
    with pytest.raises(TypeError, match="no dataclass"):
        load_settings({"wrong": int}, (), {})
