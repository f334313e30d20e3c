"""All files of BOSS in one archive: what it answers, and what works when the files are gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import corecube
from corecube.archive.shotfile import StoredShot
from corecube.figures import Subject
from corecube.masks import value
from corecube.pipeline import Options, Report, ingest
from corecube.plugins import load
from corecube_boss import plugin
from corecube_boss.factors import identity
from corecube_boss.settings import BossConfig

pytestmark = pytest.mark.xdist_group("boss")
CONFIG = BossConfig()


def run(paths: list[Path], archive: Path) -> Report:
    return ingest([str(path) for path in paths], archive, load("boss"), CONFIG, Options(jobs=2))


@pytest.fixture(scope="module")
def first(boss_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    path = tmp_path_factory.mktemp("boss") / "boss.corecube"
    return path, run([boss_data], path)


@pytest.fixture(scope="module")
def archive(first: tuple[Path, Report]) -> Iterator[Any]:
    with corecube.open(first[0]) as opened:
        yield opened


def shot(path: Path, key: str) -> StoredShot:
    files = (path / "shots").rglob(f"{key}.*.h5")
    return StoredShot(max(files, key=lambda file: int(file.name.split(".")[-2])))


def test_every_file_is_accounted_for(first: tuple[Path, Report], boss_data: Path) -> None:
    _, report = first
    states = {file.path: file for file in report.files}
    for path in sorted(boss_data.rglob("*")):
        if not path.is_file():
            continue
        file = states[str(path)]
        passed = path.name.startswith(("spArc", "tset_", "spPlan")) or path.suffix in (
            ".md",
            ".json",
        )
        if passed:
            assert file.state == "passed over" and file.reason, file
        else:
            assert file.state in ("ingested", "companion"), file


def test_a_second_run_writes_nothing(first: tuple[Path, Report], boss_data: Path) -> None:
    path, _ = first
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*.h5")}
    report = run([boss_data], path)
    assert {file.state for file in report.files} <= {"unchanged", "companion", "passed over"}
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*.h5")} == before


def test_quasars_of_the_lite_spectra(archive: Any) -> None:
    found = archive.fibers("class == 'QSO' and z > 2")
    keys = [str(key) for key in found["shot"].values]
    real = [key for key in keys if not key.startswith("664")]  # without the simulated plates
    assert len(real) == 11
    assert sum("3655-55240" in key for key in real) == 8


def test_one_quasar_in_four_files(archive: Any) -> None:
    found = archive.cone((213.3512, 53.0908), "2arcsec")
    assert len(found.fibers) == 4
    rows = [found.fibers.row(number) for number in range(4)]
    names = {f"{row['shot']}/{row['id']}" for row in rows}
    assert names == {
        "1325-52762-26/0133", "7338-57159-v5_13_2/0233", "7338-57166-v5_13_2/0233",
        "7338-57859-v5_13_2/0739",
    }  # fmt: skip


def test_identity_and_checks_from_the_archive(first: tuple[Path, Report]) -> None:
    stored = shot(first[0], "6641-56383-v5_7_0")
    try:
        groups = [name for name in stored.groups if name != "coadd"]
        assert len(groups) == 8
        for name in groups:
            for row in range(stored.row_count(name)):
                fibers = stored.rows(name, row, row + 1)
                deviation = identity(fibers)
                assert deviation is not None
                known = np.isfinite(deviation)
                assert known.any() == (fibers.id != ("0777",))
                assert np.abs(deviation[known]).max(initial=0) < 1e-6
        fiber = stored.rows("r2-00158842", 1, 2)
        check = plugin.corecube_check_noise(fiber, CONFIG)
        assert check is not None and abs(check.slope - 1) < 1e-5
    finally:
        stored.close()


def test_reports(first: tuple[Path, Report]) -> None:
    stored = shot(first[0], "6641-56383-v5_7_0")
    try:
        whole = plugin.corecube_report(stored, Subject(), CONFIG)
        assert whole is not None
        largest = whole.numbers["exposures"]["b2-00158842"]["identity_largest"]
        assert largest["0777"] is None and largest["0534"] < 1e-6
        row = next(
            row for row in range(8) if stored.rows("coadd", row, row + 1).id == ("0534",)
        )  # fmt: skip
        fiber = plugin.corecube_report(stored, Subject("fiber", "coadd", row), CONFIG)
        assert fiber is not None
        json.dumps(dict(fiber.numbers), allow_nan=False)
        exposures = fiber.numbers["exposures"]
        assert set(exposures) == {f"{c}-0015884{e}" for c in ("b2", "r2") for e in (2, 3)}
        variance = exposures["r2-00158842"]["variance"]
        assert variance["law"] == "v5_7" and variance["pixels"] == 3128
        assert variance["quoted_over_predicted"]["largest_deviation"] < 1e-6
        names = [panel.name for panel in fiber.panels]
        for factor in ("flat", "dlam", "fluxcalib", "fluxcorr", "add", "distort", "identity"):
            assert f"r2-00158842-{factor}" in names
    finally:
        stored.close()
    stored = shot(first[0], "7338-57159-v5_13_2")
    try:
        fiber = plugin.corecube_report(stored, Subject("fiber", "coadd", 0), CONFIG)
        assert fiber is not None
        numbers = fiber.numbers["exposures"]["r1-00199760"]
        assert numbers["first_row"] == 549
        assert abs(numbers["variance"]["slope"] - 1.1482) < 6e-4
    finally:
        stored.close()
    stored = shot(first[0], "00158842")
    try:
        image = plugin.corecube_report(stored, Subject("image", "b1-00158842"), CONFIG)
        assert image is not None and len(image.numbers["readnoise"]["values"]) == 4
    finally:
        stored.close()


def test_fibres_without_a_coadd_are_found(boss_data: Path, tmp_path: Path) -> None:
    folder = boss_data / "simulated" / "plate6641"
    files = [*folder.glob("spec-*"), *folder.glob("*-b1-00158842*"), *folder.glob("spFlat-b1*")]
    path = tmp_path / "some.corecube"
    assert not [file for file in run(files, path).files if file.state == "failed"]
    stored = shot(path, "6641-56383-v5_7_0")
    try:
        assert [stored.row_count(name) for name in ("coadd", "b1-00158842")] == [5, 4]
        rows = stored.rows("coadd", 0, 5)
        assert rows.id == ("0534", "0001", "0012", "0486", "0500")
        assert rows.mask is not None and np.all(rows.mask[1:] & value("outside"))
        assert np.isnan(rows.flux[1:]).all() and np.isfinite(rows.flux[0]).any()
    finally:
        stored.close()
    with corecube.open(path) as opened:
        assert len(opened.cone((150.1012345, 30.2001234), "1arcsec").fibers) == 1


@pytest.mark.parametrize("half", [0, 1])
def test_two_halves_make_the_same_plate(boss_data: Path, tmp_path: Path, half: int) -> None:
    files = sorted((boss_data / "simulated" / "plate6642").iterdir())
    parts = (files[half::2], files[1 - half :: 2])
    for part in parts:
        report = run(part, tmp_path / "halves.corecube")
        assert not [file for file in report.files if file.state == "failed"]
    run(files, tmp_path / "whole.corecube")
    one, two = (shot(tmp_path / f"{n}.corecube", "6642-57159-v5_13_0") for n in ("halves", "whole"))
    try:
        assert one.groups == two.groups
        for group in one.groups:
            count = one.row_count(group)
            first, second = one.rows(group, 0, count), two.rows(group, 0, count)
            assert first.id == second.id
            assert np.array_equal(first.flux, second.flux, equal_nan=True)
            assert set(first.layers) == set(second.layers)
    finally:
        one.close()
        two.close()
