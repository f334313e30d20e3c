from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

Cli = Any


def test_init_writes_a_file_that_changes_nothing(cli: Cli, toy: Any, tmp_path: Path) -> None:
    file = tmp_path / "new" / "c.yaml"
    done = cli("config", "init", file)
    assert (done.code, done.out) == (0, "")
    before = json.loads(cli("config", "show", "--json").out)
    assert json.loads(cli("config", "show", "--json", "--config", file).out) == before
    assert cli("config", "validate", file).code == 0
    text = file.read_text(encoding="utf-8")
    assert '  #gain: "companion"\n' in text and "toy:\n" in text and "  #jobs: 0\n" in text
    assert cli("config", "init", "-").out == text
    done = cli("config", "init", file)
    assert done.code == 2 and "is there already; give --force" in done.err
    assert cli("config", "init", file, "--force").code == 0


def test_init_of_the_users_file(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert cli("config", "init", "--user").code == 0
    assert (tmp_path / "config" / "corecube" / "config.yaml").is_file()
    assert cli("config", "init", "x", "--user").code == 2


def test_show_says_where_values_come_from(
    cli: Cli, toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("toy:\n  scale: 2\n", encoding="utf-8")
    monkeypatch.setenv("CORECUBE_INGEST__JOBS", "3")
    words = ("config", "show", "--origin", "--config", file, "--set", "toy.remark=x", "--json")
    found = json.loads(cli(*words).out)
    assert found["toy.scale"] == {"value": 2.0, "origin": f"{file}:2"}
    assert found["toy.remark"] == {"value": "x", "origin": "--set toy.remark"}
    assert found["ingest.jobs"] == {"value": 3, "origin": "environment CORECUBE_INGEST__JOBS"}
    assert found["sdss.gain"] == {"value": "companion", "origin": "default"}
    text = cli(*words[:-1]).out
    assert text.splitlines()[0].split() == ["setting", "value", "origin"]


BAD = "toy:\n  scael: 2\n  scale: much\ningest: {jobs: -1}\nunknown: {}\n"


def test_validate_names_every_problem_and_exits_8(cli: Cli, toy: Any, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(BAD, encoding="utf-8")
    done = cli("config", "validate", file)
    assert done.code == 8
    places = [line.split(": ")[0].removeprefix(f"{file}:") for line in done.out.splitlines()]
    assert places == ["2:3", "3:10", "4:16", "5:1"]
    assert "did you mean 'scale'?" in done.out
    assert done.err == "4 problems\n"


def test_an_invalid_configuration_is_2_elsewhere(cli: Cli, toy: Any, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(BAD, encoding="utf-8")
    done = cli("config", "show", "--config", file)
    assert (done.code, done.out) == (2, "")
    lines = done.err.splitlines()
    assert len(lines) == 4 and all(line.startswith("corecube: error: ") for line in lines)


def test_the_environment_is_validated_too(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("config", "validate").code == 0
    monkeypatch.setenv("CORECUBE_SDSS__GAIN", "none")
    done = cli("config", "validate")
    assert done.code == 8 and "environment CORECUBE_SDSS__GAIN" in done.out


def test_a_file_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    assert cli("config", "validate", tmp_path / "c.yaml").code == 8
    assert cli("config", "show", "--config", tmp_path / "c.yaml").code == 2


def test_the_schema_is_that_of_all_sections(cli: Cli, toy: Any) -> None:
    found = json.loads(cli("config", "schema").out)
    assert set(found["properties"]) >= {"ingest", "plugins", "sdss", "toy"}
    one = json.loads(cli("config", "schema", "toy").out)
    assert one == found["properties"]["toy"]
    assert one["properties"]["scale"]["default"] == 1.0
    assert cli("config", "schema", "foo").code == 2
    assert yaml.safe_load(cli("config", "init", "-").out).keys() == found["properties"].keys()
