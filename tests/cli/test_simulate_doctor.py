from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

Cli = Any

SMALL = ("--set", "rows=128", "--set", "sdss.columns=128", "--set", "stars=4", "--set", "bands=ru")


def test_simulated_files_are_ingested_and_found(cli: Cli, tmp_path: Path) -> None:
    folder, archive = tmp_path / "sky", tmp_path / "sky.corecube"
    done = cli("simulate", "-i", "sdss", folder, "--seed", 3, *SMALL, "--json")
    assert done.code == 0, done.err
    truth = json.loads(done.out)
    assert len(truth["sources"]) == 4
    assert f"next: corecube ingest --instrument sdss {folder} --archive sky.corecube\n" in done.err
    assert cli("ingest", "-i", "sdss", folder, "-a", archive, "-j", 1).code == 0
    star = truth["sources"][0]
    done = cli("query", archive, f"{star['ra']!r} {star['dec']!r}", "--json")
    assert {row["band"] for row in json.loads(done.out)["images"]} == {"r", "u"}


def test_another_seed_is_another_sky(cli: Cli, tmp_path: Path) -> None:
    truths = [
        json.loads(
            cli("simulate", "-i", "sdss", tmp_path / name, "--seed", seed, *SMALL, "--json").out
        )["sources"]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert truths[0] == truths[1] != truths[2]


@pytest.mark.parametrize(
    ("options", "code", "problem"),
    [
        (("--set", "raws=3"), 2, "no option 'raws'; there are fields, rows"),
        (("--set", "rows"), 2, "write --set key=value"),
        (("--set", "rows=3"), 2, "rows must be"),
        (("--set", "rows=many"), 6, "failed to simulate: TypeError"),
        (("--seed", "-1"), 2, "-1 is less than 0"),
    ],
)
def test_wrong_options(
    cli: Cli, tmp_path: Path, options: tuple[str, ...], code: int, problem: str
) -> None:
    done = cli("simulate", "-i", "sdss", tmp_path / "sky", *options)
    assert done.code == code and problem in done.err


def test_a_folder_with_files_is_left_alone(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("x", encoding="utf-8")
    done = cli("simulate", "-i", "sdss", tmp_path)
    assert done.code == 2 and "is not empty" in done.err
    assert len(list(tmp_path.iterdir())) == 1


def test_an_instrument_without_a_simulator(cli: Cli, toy: Any, tmp_path: Path) -> None:
    done = cli("simulate", "-i", "toy", tmp_path / "x")
    assert done.code == 2 and "cannot simulate" in done.err


def test_the_doctor_finds_all_well(cli: Cli, tmp_path: Path) -> None:
    done = cli("doctor", tmp_path, "--json")
    assert done.code == 0, done.out
    found = {item["what"]: item for item in json.loads(done.out)}
    assert {"python", "numpy", "hdf5", "filter blosc2", "folder", "instrument sdss"} <= set(found)
    assert found["instrument sdss"]["state"] == "ok"
    assert list(tmp_path.iterdir()) == []
    assert "FAIL" not in cli("doctor", tmp_path).out


def test_the_doctor_finds_what_is_wrong(
    cli: Cli, tmp_path: Path, install: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("corecube-foo", "1.2", {"foo": "ill_plugin"}, {"ill_plugin": "import nothing_here\n"})
    done = cli("doctor", tmp_path / "missing")
    assert done.code == 8
    bad = [line for line in done.out.splitlines() if line.startswith("FAIL")]
    assert len(bad) == 2
    assert "missing is not there" in bad[0] and "instrument foo" in bad[1]
    monkeypatch.setenv("CORECUBE_SDSS__GAIN", "none")
    assert "environment CORECUBE_SDSS__GAIN" in cli("doctor", tmp_path).out


def test_versions_are_compared_with_their_bounds() -> None:
    from corecube_cli.health import _inside

    assert _inside("2.4.6", ">=2.4,<3") and _inside("1.7.0", ">=1.7,<2") and _inside("9", "")
    assert not _inside("3.0", ">=2.4,<3") and not _inside("2.3.9", ">=2.4,<3")
    assert _inside("1.2.3", "==1.2") and not _inside("0.29.2", ">0.30")
