from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

Cli = Any


def ingest(cli: Cli, archive: Path, *paths: object, instrument: str = "toy") -> Any:
    return cli("ingest", "--instrument", instrument, *paths, "--archive", archive, "--jobs", 1)


def test_an_ingest_says_what_became_of_the_files(cli: Cli, raw: Path, tmp_path: Path) -> None:
    (raw / "README").write_text("no toy", encoding="utf-8")
    archive = tmp_path / "a.corecube"
    done = ingest(cli, archive, raw)
    assert (done.code, done.out) == (0, "")
    lines = re.sub(r"\d+\.\d s", "N s", done.err).splitlines()
    assert sorted(lines[:3]) == [
        "[1/3] toy/field/1 ingested: g r (N s)",
        "[2/3] toy/field/2 ingested: r (N s)",
        "[3/3] toy/plate/1 ingested: a (N s)",
    ]
    assert lines[3:] == [
        "toy: 4 ingested, 1 passed over (N s)", f"next: corecube info {archive}",
    ]  # fmt: skip
    again = ingest(cli, archive, raw)
    assert again.code == 0
    assert re.sub(r"\d+\.\d s", "N s", again.err).startswith(
        "toy: 4 unchanged, 1 passed over (N s)"
    )


def test_quiet_says_only_failures(cli: Cli, toy: Any, raw: Path, tmp_path: Path) -> None:
    bad = toy.image(raw / "bad.toy", "field/3", fault="raise")
    done = cli("-q", "ingest", "-i", "toy", raw, "-a", tmp_path / "a.corecube", "-j", 1)
    assert (done.code, done.out) == (3, "")
    assert done.err == f"{bad}: holds nonsense; fetch the file again\n"


def test_notes_are_lines(cli: Cli, toy: Any, tmp_path: Path) -> None:
    file = toy.image(tmp_path / "a.toy", notes=["the gain is a guess"])
    done = ingest(cli, tmp_path / "a.corecube", file)
    assert f"{file}: note: the gain is a guess\n" in done.err


def test_nothing_readable_is_4(cli: Cli, toy: Any, tmp_path: Path) -> None:
    (tmp_path / "README").write_text("no toy", encoding="utf-8")
    archive = tmp_path / "a.corecube"
    done = ingest(cli, archive, tmp_path / "README")
    assert done.code == 4
    assert "nothing here is a file of 'toy'" in done.err
    assert not archive.exists()
    done = ingest(cli, archive, tmp_path / "missing")
    assert done.code == 4
    assert f"{tmp_path / 'missing'}: there is no such file" in done.err


def test_the_report_has_every_file(cli: Cli, raw: Path, tmp_path: Path) -> None:
    target = tmp_path / "r.json"
    done = cli("ingest", "-i", "toy", raw, "-a", tmp_path / "a.corecube", "--report", target)
    assert done.code == 0
    report = json.loads(target.read_text(encoding="utf-8"))
    assert report["counts"] == {"ingested": 4}
    assert sorted(Path(file["path"]).name for file in report["files"]) == [
        "far.toy", "g.toy", "plate.toy", "r.toy",
    ]  # fmt: skip
    done = cli("ingest", "-i", "toy", raw, "-a", tmp_path / "a.corecube", "--report", "-")
    assert json.loads(done.out)["counts"] == {"unchanged": 4}


def test_a_report_that_cannot_be_written_is_found_before_the_work(
    cli: Cli, raw: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "a.corecube"
    for target in (tmp_path / "no" / "r.json", tmp_path):
        done = cli("ingest", "-i", "toy", raw, "-a", archive, "--report", target)
        assert done.code == 2 and str(target) in done.err
    assert not archive.exists()


def test_a_dry_run_writes_nothing(cli: Cli, raw: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.corecube"
    done = cli("ingest", "-i", "toy", raw, "-a", archive, "--dry-run")
    assert done.code == 0
    assert "toy/field/1 planned: g r\n" in done.out
    assert f"  planned: {raw / 'far.toy'}\n" in done.out
    assert not archive.exists()


def test_settings_come_from_files_and_options(cli: Cli, raw: Path, tmp_path: Path) -> None:
    from corecube.archive import open_archive

    file = tmp_path / "c.yaml"
    file.write_text("toy:\n  scale: 3.0\n  remark: 007\n", encoding="utf-8")

    def scale(*more: object) -> Any:
        archive = tmp_path / "a.corecube"
        done = cli("ingest", "-i", "toy", raw, "-a", archive, "-j", 1, *more)
        assert done.code == 0, done.err
        with open_archive(archive) as opened:
            return opened.shot("toy/field/1").config

    assert scale() == {"scale": 1.0, "remark": ""}
    assert scale("--config", file) == {"scale": 3.0, "remark": "007"}
    assert scale("--config", file, "--set", "scale=4") == {"scale": 4.0, "remark": "007"}
    assert scale("--set", "toy.scale=5", "--set", "remark=true") == {
        "scale": 5.0, "remark": "true",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--set", "scael=2"), "did you mean 'scale'?"),
        (("--set", "scale=much"), "toy.scale"),
        (("--set", "scale"), "section.key=value"),
        (("--set", "ingest.jobs=-1"), "at least 0"),
        (("--on-error", "pause"), "neither skip nor stop"),
        (("--jobs", "0"), "less than 1"),
        (("--limit", "-2"), "less than 1"),
        (("--config", "missing.yaml"), "missing.yaml"),
    ],
)
def test_a_wrong_setting_is_2_before_any_work(
    cli: Cli, raw: Path, tmp_path: Path, options: tuple[str, ...], problem: str
) -> None:
    archive = tmp_path / "a.corecube"
    done = cli("ingest", "-i", "toy", raw, "-a", archive, *options)
    assert done.code == 2
    assert problem in done.err
    assert not archive.exists()


def test_limit_and_going_on(cli: Cli, raw: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.corecube"
    done = cli("ingest", "-i", "toy", raw, "-a", archive, "--limit", 1)
    assert "not done; run the same command again to go on" in done.err
    assert "[1/1]" in done.err
    assert "2 ingested" in ingest(cli, archive, raw).err


def test_a_folder_that_is_no_archive_stays_as_it_is(cli: Cli, raw: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine.corecube"
    folder.mkdir()
    (folder / "thesis.tex").write_text("x", encoding="utf-8")
    done = ingest(cli, folder, raw)
    assert done.code == 5
    assert done.err.endswith("is there and is no archive; choose another name\n")
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]


def test_a_locked_archive_is_5(cli: Cli, sky: Path, toy: Any, tmp_path: Path) -> None:
    from corecube.archive.lock import WriterLock

    more = toy.image(tmp_path / "more.toy", "field/9")
    with WriterLock(sky):
        done = ingest(cli, sky, more)
    assert done.code == 5
    assert "is writing into it; wait for it to end" in done.err


def test_a_profile_is_chosen_once(cli: Cli, raw: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.corecube"

    def take(*options: str, path: Path = raw) -> Any:
        return cli("ingest", "-i", "toy", path, "-a", archive, "-j", 1, *options)

    done = take("--profile", "tiny")
    assert done.code == 2
    assert "'tiny' is neither plain nor small" in done.err
    assert not archive.exists()
    assert take("--profile", "small", path=raw / "r.toy").code == 0
    assert json.loads((archive / "archive.json").read_text("utf-8"))["profile"] == "small"
    for more in ((), ("--dry-run",)):
        done = take("--profile", "plain", *more)
        assert (done.code, done.out) == (2, "")
        (line,) = done.err.splitlines()
        assert line.startswith(f"corecube: error: {archive}: has the profile 'small'")
        assert "leave 'plain' out, or make another archive" in line
    # later runs need not name it, and may
    assert take(path=raw / "g.toy").code == 0
    assert take("--profile", "small").code == 0
    from corecube.archive import open_archive

    with open_archive(archive) as opened:
        for record in opened.state.catalogue.by_identity.values():
            assert opened.shot(record).description["profile"] == "small"


def test_errors_are_rounded_where_it_is_asked_for(cli: Cli, raw: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.corecube"

    def take(*options: object, path: Path = raw) -> Any:
        return cli("ingest", "-i", "toy", path, "-a", archive, "-j", 1, *options)

    done = take("--round-errors", 23)
    assert done.code == 2
    assert "23 is not between 4 and 22" in done.err
    assert take("--round-errors", 8, path=raw / "r.toy").code == 0
    done = take("--round-errors", 9)
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert "keeps 8 bits of errors" in line and "leave 9 out" in line
    assert take().code == 0
    from corecube.archive import open_archive

    with open_archive(archive) as opened:
        for name in ("r", "g"):
            image = opened.get(f"toy/field/1/{name}").frame()  # type: ignore[union-attr]
            assert image.error is not None
            assert not (image.error.view("u4") & 0x7FFF).any()
    assert "profile plain, errors rounded to 8 bits, generation" in cli("info", archive).out
    assert "error rounded to 8 bits" in cli("show", archive, "field/1/g").out
    assert json.loads(cli("info", archive, "--json").out)["error bits"] == 8
