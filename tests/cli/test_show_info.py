from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

Cli = Any


# -- show -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("toy/field/1", "toy/field/1"),
        ("field/1", "toy/field/1"),
        ("toy/field/1/r", "toy/field/1/r"),
        ("field/1/r", "toy/field/1/r"),
        ("g", "toy/field/1/g"),
        ("toy/plate/1/stars/a-1", "toy/plate/1/stars/a-1"),
        ("stars/a-1", "toy/plate/1/stars/a-1"),
        ("T1", "toy/plate/1/stars/a-1"),
        ("t1", "toy/plate/1/stars/a-1"),
        ("plate-1-a-1", "toy/plate/1/stars/a-1"),
        ("single/a-0.1", "toy/plate/1/single/a-0.1"),
    ],
)
def test_a_row_is_shown_by_any_of_its_names(cli: Cli, sky: Path, name: str, full: str) -> None:
    done = cli("show", sky, name)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{full}  (")


def test_several_rows_of_a_name_are_listed(cli: Cli, sky: Path) -> None:
    done = cli("show", sky, "r")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines() == [
        "corecube: error: 'r' fits 2 rows; give a full name:", "  toy/field/1/r", "  toy/field/2/r",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["nothing", "", "/", "toy", "toy/field/1/x"])
def test_a_name_of_nothing(cli: Cli, sky: Path, name: str) -> None:
    done = cli("show", sky, name)
    assert done.code == 2 and "there is nothing named" in done.err


def test_an_image_is_shown_with_all_that_is_known(cli: Cli, sky: Path) -> None:
    from corecube.archive import open_archive

    found = json.loads(cli("show", sky, "g", "--json").out)
    with open_archive(sky) as archive:
        row: Any = archive.get("toy/field/1/g")
        image = row.frame()
    assert (found["what"], found["band"], found["unit"]) == ("image", "g", "nanomaggy")
    assert found["shape"] == [40, 50] and len(found["footprint"]) == 4
    assert found["times"] == {
        "start": 52000.0, "end": 52000.001, "scale": "MJD TAI", "quality": "exact",
        # TAI was 32 s ahead of UTC in 2001 (IERS Bulletin C)
        "start UTC": "2001-03-31T23:59:28.000Z", "end UTC": "2001-04-01T00:00:54.400Z",
    }  # fmt: skip
    statistics = found["statistics"]
    assert (statistics["pixels"], statistics["valid"]) == (2000, 2000)
    assert statistics["flux"]["maximum"] == float(str(image.flux.max()))
    assert statistics["flux"]["mean"] == pytest.approx(float(image.flux.mean()), rel=1e-6)
    assert found["bits"] == {"own": {"a": 1000, "b": 1000}}
    assert [(f["name"], f["operation"], f["minimum"]) for f in found["factors"]] == [
        ("gain", "multiply", 1.0), ("scale", "multiply", 1.0),
    ]  # fmt: skip
    assert {array["name"] for array in found["calibration"]} == {"gain", "scale"}
    assert found["provenance"]["sources"] == ["g.toy"]
    (source,) = found["sources"]
    assert source["path"].endswith("/raw/g.toy") and len(source["sha256"]) == 64
    assert found["configuration"] == {"scale": 1.0, "remark": ""}


def test_a_fiber_is_shown_with_columns_and_exposures(cli: Cli, sky: Path) -> None:
    found = json.loads(cli("show", sky, "T1", "--json").out)
    assert (found["what"], found["ra"], found["dec"]) == ("fiber", 10.0001, -20.0)
    assert found["wavelengths"]["pixels"] == 6 and found["wavelengths"]["medium"] == "air"
    columns = {column["name"]: column["value"] for column in found["columns"]}
    assert (columns["class"], columns["count"], columns["alias"]) == ("QSO", 1, "plate-1-a-1")
    assert found["related"] == ["toy/plate/1/single/a-1.0", "toy/plate/1/single/a-1.1"]


def test_everything_is_shown_when_the_raw_files_are_gone(cli: Cli, sky: Path, raw: Path) -> None:
    names = ("toy/field/1", "g", "T1", "toy/field/2/r")
    before = [cli("show", sky, name).out for name in names]
    shutil.rmtree(raw)
    assert [cli("show", sky, name).out for name in names] == before


def test_without_the_plugin_the_rest_is_shown(
    cli: Cli, sky: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORECUBE_PLUGINS", "sdss")
    found = json.loads(cli("show", sky, "g", "--json").out)
    assert found["factors"] is None
    assert "no instrument 'toy' is installed" in found["instrument says"]
    assert found["statistics"]["pixels"] == 2000
    assert "no instrument 'toy' is installed" in cli("show", sky, "g").out


def test_a_hook_that_raises_does_not_hide_the_rest(
    cli: Cli, sky: Path, toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from corecube.plugins import Caller

    def fail(self: Caller, hook: str, **arguments: Any) -> Any:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(Caller, "call", fail)
    found = json.loads(cli("show", sky, "g", "--json").out)
    assert found["instrument says"].startswith(
        "corecube_calibration_factors of 'toy' failed: ZeroDivisionError: by zero"
    )
    assert found["statistics"]["pixels"] == 2000


def test_the_header_is_printed(cli: Cli, sky: Path) -> None:
    assert cli("show", sky, "g", "--header").out == "KIND    = 'image'\n"
    done = cli("show", sky, "toy/field/1", "--header")
    assert done.code == 2 and "name one of its images or fibres" in done.err


GOLDEN_SHOT = """\
toy/field/1  (shot)
  instrument  toy
  shot        field/1
  title       field/1
  kind        science

times
  start      52000.0
  end        52000.001
  scale      MJD TAI
  start UTC  2001-03-31T23:59:28.000Z
  end UTC    2001-04-01T00:00:54.400Z
"""


def test_the_text_of_a_shot(cli: Cli, sky: Path) -> None:
    text = cli("show", sky, "toy/field/1").out
    assert text.startswith(GOLDEN_SHOT)
    assert "\nimages\n  name  band  shape    unit\n" in text
    assert not re.search("[\x00-\x09\x0b-\x1f]", text)


# -- info -----------------------------------------------------------------------------------------


def test_info_counts_what_is_there(cli: Cli, sky: Path) -> None:
    found = json.loads(cli("info", sky, "--json").out)
    (toy,) = found["instruments"]
    assert (toy["shots"], toy["images"], toy["fibers"], toy["spectra"]) == (3, 3, 3, 9)
    assert toy["bands"] == ["g", "r"]
    assert toy["bytes"] == sum(path.stat().st_size for path in sky.rglob("*.h5"))
    assert toy["ratio"] == round(toy["bytes"] / toy["raw bytes"], 3)
    assert found["bytes"] == sum(p.stat().st_size for p in sky.rglob("*") if p.is_file())
    assert [shot["name"] for shot in found["shots"]] == [
        "toy/field/1", "toy/field/2", "toy/plate/1",
    ]  # fmt: skip
    text = cli("info", sky).out
    assert all(shot["name"] in text for shot in found["shots"])


def test_info_of_an_instrument_or_a_shot(cli: Cli, sky: Path) -> None:
    assert len(json.loads(cli("info", sky, "toy", "--json").out)["shots"]) == 3
    assert len(json.loads(cli("info", sky, "plate/1", "--json").out)["shots"]) == 1
    done = cli("info", sky, "g")
    assert done.code == 2 and "toy/field/1/g is no shot; see 'corecube show" in done.err


def test_info_says_bytes_and_what_they_are(cli: Cli, sky: Path, toy: Any, tmp_path: Path) -> None:
    found = json.loads(cli("info", sky, "field/1", "--json").out)
    (shot,) = found["shots"]
    files = sum((tmp_path / "raw" / name).stat().st_size for name in ("r.toy", "g.toy"))
    assert (shot["raw bytes"], shot["ratio"]) == (files, round(shot["bytes"] / files, 3))
    stored = found["stored"]["bytes"]
    assert sum(stored.values()) == shot["bytes"]
    assert {"flux", "error", "structure", "other arrays"} <= set(stored)
    assert (found["profile"], found["stored"]["errors by recipe"]) == ("plain", {})
    (toys,) = json.loads(cli("info", sky, "--json").out)["instruments"]
    assert toys["bytes a shot"] == toys["bytes"] // 3
    text = cli("info", sky, "field/1").out
    assert "format 1, profile plain, generation" in text.replace("format 2", "format 1")
    assert "of its bytes: flux " in text
    assert "of its bytes" not in cli("info", sky).out


def test_info_names_what_waits_and_what_failed(
    cli: Cli, sky: Path, toy: Any, tmp_path: Path
) -> None:
    gain = toy.gain(tmp_path / "gain.toy", "field/8")
    bad = toy.image(tmp_path / "bad.toy", "field/7", fault="raise")
    done = cli("ingest", "-i", "toy", gain, bad, "-a", sky)
    assert done.code in (3, 4)
    found = json.loads(cli("info", sky, "--json").out)
    assert [file["path"] for file in found["waiting"]] == [str(gain)]
    assert [(f["shot"], f["entry"]) for f in found["failed"]] == [("toy/field/7", "r")]
    text = cli("info", sky).out
    assert f"  {gain} (gain)\n" in text
    assert "  toy/field/7 r: holds nonsense; fetch the file again\n" in text or "nonsense" in text


def test_a_long_list_of_shots_is_cut_for_people(cli: Cli, toy: Any, tmp_path: Path) -> None:
    for number in range(23):
        toy.image(tmp_path / "raw" / f"{number}.toy", f"field/{number:02d}", shape=(4, 4))
    archive = tmp_path / "a.corecube"
    assert cli("ingest", "-i", "toy", tmp_path / "raw", "-a", archive, "-j", 1).code == 0
    text = cli("info", archive).out
    assert "... 3 more; name an instrument to see all\n" in text and "field/22" not in text
    assert "field/22" in cli("info", archive, "toy").out


# -- remove ---------------------------------------------------------------------------------------


def test_remove_takes_shots_away(cli: Cli, sky: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = cli("remove", sky, "toy/field/1", "--yes")
    assert (done.code, done.err) == (0, "removed toy/field/1\n")
    assert len(list(sky.rglob("*.h5"))) == 3, "who reads just now finds its file for a while"
    done = cli("remove", sky, "plate/1", "--yes", "--now")
    assert (done.code, done.err) == (0, "removed toy/plate/1\n")
    assert [s["name"] for s in json.loads(cli("info", sky, "--json").out)["shots"]] == [
        "toy/field/2"
    ]
    assert len(list(sky.rglob("*.h5"))) == 1
    assert cli("query", sky, "10 -20", "--fail-empty").code == 7
    assert cli("verify", sky).code == 0


def test_remove_asks_on_a_terminal_and_refuses_elsewhere(
    cli: Cli, sky: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    done = cli("remove", sky, "field/2")
    assert done.code == 2 and "give --yes" in done.err
    monkeypatch.setattr("sys.stdin", Terminal("\n"))
    done = cli("remove", sky, "field/2")
    assert done.code == 0 and done.err.endswith("[y/N] nothing was removed\n")
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert cli("remove", sky, "field/2").err.endswith("removed toy/field/2\n")


def test_remove_takes_whole_shots_only(cli: Cli, sky: Path) -> None:
    done = cli("remove", sky, "field/2", "g", "--yes")
    assert done.code == 2 and "toy/field/1/g is a part of a shot" in done.err
    assert len(list(sky.rglob("*.h5"))) == 3


# -- verify ---------------------------------------------------------------------------------------


def test_verify_says_ok(cli: Cli, sky: Path) -> None:
    done = cli("verify", sky)
    assert done.code == 0
    assert done.out == "ok      index\n" + "".join(
        f"ok      toy/{key}\n" for key in ("field/1", "field/2", "plate/1")
    )
    assert done.err == "4 parts checked: 0 damages\n"
    assert cli("verify", sky, "--quick").err == "4 parts checked (quick): 0 damages\n"


def test_verify_finds_damage_and_exits_8(cli: Cli, sky: Path) -> None:
    file = next(iter(sky.glob("shots/toy/field/2.*.h5")))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)
    done = cli("-q", "verify", sky)
    assert done.code == 8
    assert re.fullmatch(r"(DAMAGE  toy/field/2: [^\n]+\n)+", done.out)
    found = json.loads(cli("verify", sky, "--json").out)
    assert found["parts"] == 4 and found["damages"][0]["where"] == "toy/field/2"
    file.write_bytes(data[:1000])
    assert cli("verify", sky, "--quick").code == 8


def test_a_command_that_cannot_go_on_because_of_damage_is_5(cli: Cli, sky: Path) -> None:
    next(iter(sky.glob("shots/toy/plate/*.h5"))).unlink()
    assert cli("query", sky, "10 -20").code == 5
    assert cli("show", sky, "T1").code == 5
    assert cli("show", sky, "g").code == 0  # what is whole can be read
    (sky / "manifest.json").write_text("{", encoding="utf-8")
    done = cli("info", sky)
    assert (done.code, done.out) == (5, "")
    assert done.err.count("\n") == 1
