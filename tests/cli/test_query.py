from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

Cli = Any


def names(text: str) -> list[str]:
    rows = csv.DictReader(io.StringIO(text))
    return ["/".join(filter(None, (r["shot"], r["group"], r["id"]))) for r in rows]


def test_a_position_finds_spectra_and_images(cli: Cli, sky: Path) -> None:
    done = cli("query", sky, "10.0", "-20.0", "--radius", "2arcsec")
    assert done.code == 0
    assert done.err == (
        "position 10.000000 -20.000000 (ICRS, degrees), radius 2.000 arcsec\n2 spectra, 2 images\n"
    )
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0] == ["Spectra", "(2)"]
    assert lines[1] == ["name", "target", "ra", "dec", "separation", "start", "end", "unit"]
    assert lines[2] == ["deg", "deg", "arcsec", "d", "d"]
    assert lines[3] == (
        [
            "toy/plate/1/stars/a-0",
            "T0",
            "10.0000000",
            "-20.0000000",
            "0.0",
            "52000.0",
            "52000.5",
            "nanomaggy",
        ]
    )
    # 0.36 arcsec of right ascension at this declination: 0.36 cos 20 deg
    assert lines[4][:5] == ["toy/plate/1/stars/a-1", "T1", "10.0001000", "-20.0000000", "0.3383"]
    assert lines[5:7] == [[], ["Images", "(2)"]]
    assert lines[7] == [
        "name",
        "band",
        "ra",
        "dec",
        "separation",
        "start",
        "end",
        "contains",
        "coverage",
        "unit",
    ]
    assert lines[9][:5] == ["toy/field/1/g", "g", "10.0000000", "-20.0000000", "0.0"]
    assert lines[9][7:9] == ["True", "0.4883"]  # 40 x 50 of 64 x 64 pixels


@pytest.mark.parametrize(
    "position",
    [
        ("10.0 -20.0",),
        ("10.0", "-20.0"),
        ("--", "10.0", "-20.0"),
        ("0:40:00", "-20:00:00"),
        ("00", "40", "00.0", "-20", "00", "00.0"),
        ("0h40m00s", "-20d00m00s"),
        ("10.0", "\u221220.0"),
        ("J004000.00-200000.0",),
        ("name:T0",),
        ("10.0,-20.0", "icrs"),
    ],
)
def test_all_usual_notations(cli: Cli, sky: Path, position: tuple[str, ...]) -> None:
    done = cli("query", sky, "--format", "csv", *position)
    assert done.err.startswith("position 10.000000 -20.000000 (ICRS, degrees), radius 2.000 arcsec")
    assert names(done.out) == ["plate/1/stars/a-0", "plate/1/stars/a-1", "field/1/g", "field/1/r"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("-3", "38"), "the right ascension '-3' is negative"),
        (("10", "-20", "--radius", "-3arcsec"), "is negative"),
        (("10", "-20", "--radius", "2"), "the radius '2' has no unit: write 2arcsec"),
        (("10",), "no position in '10'"),
        (("name:T9",), "there is nothing named 'T9'"),
        (("name:toy/plate/1",), "is a whole shot and no position"),
        (("--radius", "2arcsec"), "--radius needs a position"),
        (("--cutouts", "x"), "--cutouts needs a position"),
        (("10", "-20", "--box", "1,2,3,4"), "a position and --box do not go together"),
        (("--box", "1,2,3"), "--box '1,2,3'"),
        (("--box", "1,2,3,4,5,6"), "give RA1,RA2,DEC1,DEC2"),
        (("--polygon", "1,2,a,3"), "give numbers in degrees"),
        (("--where", "z >"), "z >"),
        (("--where", "zz > 2"), "there is no column 'zz'"),
        (("--columns", "zz"), "there is no column 'zz'"),
        (("--time", "1..0"), "ends before it starts"),
        (("--format", "xls"), "'xls' is none of table, csv, json"),
        (("10", "-20", "--size", "0"), "a cutout of 0 pixels is not possible"),
        (("@a", "--positions", "b"), "both name a file"),
        (("@missing.csv",), "missing.csv: the file of positions cannot be read"),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_2(
    cli: Cli, sky: Path, arguments: tuple[str, ...], problem: str
) -> None:
    done = cli("query", sky, *arguments)
    assert (done.code, done.out) == (2, "")
    line = done.err.splitlines()[-1]
    assert line.startswith("corecube: error: ") and problem in line


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("10 -20", "--radius", "0.1arcsec"), ["stars/a-0", "g", "r"]),
        (("10 -20", "--band", "r,i"), ["stars/a-0", "stars/a-1", "r"]),
        (("10 -20", "--band", "r", "--band", "g"), ["stars/a-0", "stars/a-1", "g", "r"]),
        (("10 -20", "--instrument", "toy", "--time", "52000.2..52000.9"), ["stars/a-0"]),
        (("10 -20", "--where", "class == 'QSO'"), ["stars/a-1"]),
        (
            ("10 -20", "--exposures", "--radius", "0arcsec"),
            ["stars/a-0", "single/a-0.0", "single/a-0.1", "g", "r"],
        ),
        (("--box", "79,81,4,6"), ["stars/a-2"]),
        (("--box", "49.9 50.1 29.9 30.1"), ["r"]),
        (("--polygon", "79,4,81,4,80,6"), ["stars/a-2"]),
        (("--where", "z >= 0"), ["stars/a-0", "stars/a-1", "stars/a-2"]),
        ((), ["stars/a-0", "stars/a-1", "stars/a-2", "g", "r", "r"]),
    ],
)
def test_filters(cli: Cli, sky: Path, options: tuple[str, ...], expected: list[str]) -> None:
    done = cli("query", sky, *options, "-f", "csv")
    assert done.code == 0
    found = ["/".join(name.split("/")[2:]) for name in names(done.out)]
    assert sorted(found) == sorted(expected)


def test_nothing_found(cli: Cli, sky: Path) -> None:
    done = cli("query", sky, "200 50")
    assert (done.code, done.out) == (0, "")
    assert done.err.endswith("\nnothing found\n")
    assert cli("query", sky, "200 50", "--fail-empty").code == 7
    assert cli("query", sky, "10 -20", "--fail-empty").code == 0
    empty = cli("query", sky, "200 50", "-f", "csv")
    assert empty.out.startswith("kind,instrument,shot,") and empty.out.count("\n") == 1
    found = json.loads(cli("query", sky, "200 50", "--json").out)
    assert (found["fibers"], found["images"]) == ([], [])


def test_slips_in_names_of_bands_and_instruments_are_told(cli: Cli, sky: Path) -> None:
    done = cli("query", sky, "10 -20", "--band", "R", "--instrument", "tov")
    assert "corecube: warning: the archive has no band 'R'; it has: g, r\n" in done.err
    assert "corecube: warning: the archive has no instrument 'tov'; it has: toy\n" in done.err


def test_csv_is_one_table(cli: Cli, sky: Path) -> None:
    done = cli("query", sky, "10 -20", "-f", "csv", "--columns", "z,class,toy.count")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [row["kind"] for row in rows] == ["fiber", "fiber", "image", "image"]
    assert list(rows[0])[:8] == ["kind", "instrument", "shot", "group", "id", "target", "ra", "dec"]
    assert rows[0]["class"] == "STAR" and rows[2]["class"] == ""
    assert rows[1]["toy.count"] == "1"
    assert (rows[0]["band"], rows[2]["band"]) == ("", "g")


def test_json_is_one_object(cli: Cli, sky: Path) -> None:
    done = cli("query", sky, "10 -20", "--json")
    found = json.loads(done.out)
    assert set(found) == {"meta", "fibers", "images"}
    assert found["meta"]["command"] == f"corecube query {sky} '10 -20' --json"
    assert (found["meta"]["ra"], found["meta"]["radius_arcsec"]) == (10.0, 2.0)
    assert found["meta"]["units"]["fibers"]["ra"] == "deg"
    assert [row["id"] for row in found["fibers"]] == ["a-0", "a-1"]
    assert [row["contains"] for row in found["images"]] == [True, True]
    assert cli("query", sky, "10 -20", "--format", "json").out.count("\n") == done.out.count("\n")


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.ecsv", "ascii.ecsv"), ("a.vot", "votable"), ("a.xml", "votable"), ("a.fits", "fits")],
)
def test_machine_formats_are_read_by_astropy_in_one_call(
    cli: Cli, sky: Path, tmp_path: Path, name: str, format: str
) -> None:
    from astropy.table import Table

    done = cli("query", sky, "10 -20", "-o", tmp_path / name)
    assert done.code == 0 and done.out == ""
    assert done.err.endswith(f"2 spectra, 2 images; written to {tmp_path / name}\n")
    table = Table.read(tmp_path / name, format=format)
    assert [str(kind) for kind in table["kind"]] == ["fiber", "fiber", "image", "image"]
    assert table["ra"].unit == "deg" and table["ra"][1] == 10.0001
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".tmp-")] == []


def test_an_output_is_replaced_whole(cli: Cli, sky: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    target.write_text("old", encoding="utf-8")
    assert cli("query", sky, "10 -20", "-o", target).code == 0
    assert target.read_text(encoding="utf-8").startswith("kind,")
    done = cli("query", sky, "10 -20", "-o", tmp_path)
    assert (done.code, done.err.splitlines()[-1]) == (
        2, f"corecube: error: {tmp_path}: is a folder; name a file",
    )  # fmt: skip
    done = cli("query", sky, "10 -20", "-o", tmp_path / "no" / "a.csv")
    assert done.code == 2
    assert f"{tmp_path / 'no' / 'a.csv'}: No such file or directory" in done.err


def test_devices_and_links_are_written_to_not_replaced(cli: Cli, sky: Path, tmp_path: Path) -> None:
    assert cli("query", sky, "10 -20", "-f", "csv", "-o", "/dev/null").code == 0
    assert Path("/dev/null").is_char_device()
    done = cli("query", sky, "10 -20", "-f", "csv", "-o", "/dev/full")
    assert done.code == 5
    assert "/dev/full: No space left on device; free some space" in done.err
    link, target = tmp_path / "link.csv", tmp_path / "target.csv"
    target.write_text("old", encoding="utf-8")
    link.symlink_to(target)
    assert cli("query", sky, "10 -20", "-o", link).code == 0
    assert link.is_symlink() and target.read_text(encoding="utf-8").startswith("kind,")


def test_columns_of_nothing_are_left_out_for_people(cli: Cli, sky: Path) -> None:
    done = cli("query", sky, "--where", "z >= 0")
    assert "separation" not in done.out
    assert "Images" not in done.out


# -- files of positions ---------------------------------------------------------------------------


@pytest.fixture
def targets(tmp_path: Path) -> Path:
    path = tmp_path / "targets.csv"
    path.write_text(
        "name,RA,Dec,mag,id\nstar,10,-20,17.5,x1\nnothing,200,50,,x2\nbad,400,1,3,x3\n"
        "edge,80,5,19,x4\n",
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize("option", ["@", "--positions"])
def test_a_file_of_positions_gives_a_row_per_target_and_match(
    cli: Cli, sky: Path, targets: Path, option: str
) -> None:
    asked = (f"@{targets}",) if option == "@" else ("--positions", targets)
    done = cli("query", sky, *asked, "-f", "csv", "--radius", "1arcsec")
    assert done.code == 0
    assert done.err.splitlines() == [
        f"3 positions from {targets} (columns RA, Dec; ICRS), 1 rows skipped, radius 1.000 arcsec",
        f"{targets}:4: no position in '400, 1': the right ascension '400' is outside "
        "[0, 360) degrees",
        "no match: row 2 nothing (200.000000 50.000000): nothing within 1.000 arcsec",
        "3 spectra, 2 images",
    ]
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [(r["kind"], r["input_row"], r["input_name"], r["input_id"], r["id"]) for r in rows] == [
        ("fiber", "1", "star", "x1", "a-0"),
        ("fiber", "1", "star", "x1", "a-1"),
        ("fiber", "4", "edge", "x4", "a-2"),
        ("image", "1", "star", "x1", "g"),
        ("image", "1", "star", "x1", "r"),
    ]
    assert [row["mag"] for row in rows][:3] == ["17.5", "17.5", "19.0"]


def test_what_had_no_match_is_in_the_json_with_the_reason(
    cli: Cli, sky: Path, targets: Path
) -> None:
    done = cli("query", sky, f"@{targets}", "--json", "--band", "g", "--where", "z > 100")
    meta = json.loads(done.out)["meta"]
    assert [(row["row"], row["name"], row["reason"]) for row in meta["unmatched"]] == [
        (1, "star", "4 rows within 2.000 arcsec, but the filters exclude all"),
        (2, "nothing", "nothing within 2.000 arcsec"),
        (4, "edge", "1 row within 2.000 arcsec, but the filters exclude all"),
    ]
    assert [row["row"] for row in meta["skipped"]] == [3]


def test_strict_stops_at_a_bad_row(cli: Cli, sky: Path, targets: Path) -> None:
    done = cli("query", sky, f"@{targets}", "--strict")
    assert (done.code, done.out) == (2, "")
    assert f"{targets}:4: " in done.err


def test_a_file_without_a_good_row(cli: Cli, sky: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("ra,dec\n400,1\n", encoding="utf-8")
    done = cli("query", sky, f"@{path}", "-f", "csv", "--fail-empty")
    assert done.code == 7
    assert json.loads(cli("query", sky, f"@{path}", "--json").out)["fibers"] == []
