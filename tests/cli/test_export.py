from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from corecube.archive import open_archive

Cli = Any


def test_all_shots_or_those_that_are_chosen(cli: Cli, sky: Path, tmp_path: Path) -> None:
    out = tmp_path / "plain"
    done = cli("export", sky, "--plain", "-o", out)
    assert done.code == 0
    names = ["toy_field-1.h5", "toy_field-2.h5", "toy_plate-1.h5"]
    assert sorted(done.out.splitlines()) == [str(out / name) for name in names]
    assert sorted(item.name for item in out.iterdir()) == names
    assert done.err.startswith("3 shots written, ")
    with open_archive(sky) as opened, h5py.File(out / names[0], "r") as file:
        for name in ("r", "g"):
            image = opened.get(f"toy/field/1/{name}").frame()  # type: ignore[union-attr]
            for part in ("flux", "error", "mask"):
                found = file[f"/images/{name}/{part}"][:]
                assert np.array_equal(found, getattr(image, part), equal_nan=True)

    again = cli("export", sky, "--plain", "-o", out)
    assert (again.code, again.out) == (2, "")
    assert "and 2 more files are there already; give --force" in again.err
    assert cli("export", sky, "--plain", "-o", out, "--force").code == 0

    for number, (options, expected) in enumerate([
        (["field/2"], names[1:2]), (["--where", "fibers > 0"], names[2:]),
        (["--instrument", "toy", "--where", "images == 2"], names[:1]),
    ]):  # fmt: skip
        folder = tmp_path / f"part{number}"
        assert cli("export", sky, *options, "--plain", "-o", folder).code == 0
        assert sorted(item.name for item in folder.iterdir()) == expected


def test_what_cannot_be_is_one_line(cli: Cli, sky: Path, tmp_path: Path) -> None:
    out = tmp_path / "plain"
    for options, text in (
        (["-o", out], "--plain is the only one"),
        (["--plain"], "--output DIR"),
        (["field/1/r", "--plain", "-o", out], "is a part of a shot; name the shot"),
        (["--instrument", "no", "--plain", "-o", out], "no shot of 'no'; it has: toy"),
        (["--where", "nothing > 1", "--plain", "-o", out], "nothing"),
    ):
        done = cli("export", sky, *options)
        assert (done.code, done.out) == (2, "")
        assert text in done.err and len(done.err.splitlines()) == 1
    assert not out.exists()
    done = cli("export", sky, "--where", "fibers > 99", "--plain", "-o", out)
    assert (done.code, done.out) == (0, "")
    assert "no shot is selected" in done.err


def test_a_damaged_shot_costs_itself(cli: Cli, sky: Path, tmp_path: Path) -> None:
    with open_archive(sky) as opened:
        file = sky / opened.record("toy/field/2").file
    data = bytearray(file.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    file.write_bytes(data)
    done = cli("export", sky, "--plain", "-o", tmp_path / "plain")
    assert done.code == 3
    assert len(done.out.splitlines()) == 2
    assert "toy/field/2: " in done.err
    assert not list((tmp_path / "plain").glob(".tmp*"))
