"""All real files of four instruments in one archive, at once and in halves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import corecube
from corecube.archive.plainfile import export_plain
from corecube.archive.reader import Archive
from corecube.pipeline import Options, Report, ingest
from corecube.pipeline.identify import find_files
from corecube.plugins import load
from corecube.testing.comparing import differences

pytestmark = pytest.mark.xdist_group("four")

INSTRUMENTS = ("sdss", "boss", "hetdex", "ccdlab")
EXPECTED = Path(__file__).with_name("expected")
QUASAR = (213.3512, 53.0908)


def run(instrument: str, paths: list[Path], archive: Path, profile: str | None = None) -> Report:
    caller = load(instrument)
    config = caller.instrument.config()
    return ingest(
        [str(path) for path in paths], archive, caller, config, Options(jobs=2, profile=profile)
    )


def halves(folder: Path) -> tuple[list[Path], list[Path]]:
    """Every second file each: what belongs together comes apart."""
    files = [Path(path) for path in find_files([str(folder)])]
    return files[::2], files[1::2]


def fates(report: Report, folder: Path) -> dict[str, dict[str, str]]:
    """What the report says of each file, by its path below the folder."""
    return {
        str(Path(file.path).relative_to(folder)): {
            name: getattr(file, name).replace(f"{folder}/", "")
            for name in ("state", "reason", "kind", "shot", "entry")
            if getattr(file, name)
        }
        for file in report.files
    }


@pytest.fixture(scope="module")
def first(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Report]]:
    """The archive of all files, and the reports of the four commands that made it."""
    path = tmp_path_factory.mktemp("four") / "all.corecube"
    return path, {name: run(name, [data / name], path) for name in INSTRUMENTS}


@pytest.fixture(scope="module")
def archive(first: tuple[Path, dict[str, Report]]) -> Iterator[Archive]:
    """That archive, opened."""
    with corecube.open(first[0]) as opened:
        yield opened


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_the_report_is_the_expected_one_path_by_path(
    instrument: str, first: tuple[Path, dict[str, Report]], data: Path
) -> None:
    report = first[1][instrument]
    expected = json.loads((EXPECTED / f"{instrument}_report.json").read_text(encoding="utf-8"))
    assert fates(report, data / instrument) == expected
    assert report.counts.get("failed", 0) == 0
    assert report.exit_code() == 0
    assert all(f.reason for f in report.files if f.state in ("passed over", "waiting"))


def test_the_archive_is_sound(first: tuple[Path, dict[str, Report]], compare: Any) -> None:
    assert compare.damages(first[0]) == []


def test_a_second_run_writes_no_byte(
    first: tuple[Path, dict[str, Report]], data: Path, compare: Any
) -> None:
    before = compare.listing(first[0])
    for name in INSTRUMENTS:
        again = run(name, [data / name], first[0])
        made = first[1][name].counts.get("ingested", 0)
        assert again.counts["unchanged"] == made
        assert {s.state for s in again.shots} == {"unchanged"}
    assert compare.listing(first[0]) == before


def test_halves_on_two_days_give_the_same_archive(
    first: tuple[Path, dict[str, Report]], data: Path, tmp_path: Path, compare: Any
) -> None:
    parts = tmp_path / "parts.corecube"
    for name in INSTRUMENTS:
        for half in halves(data / name):
            report = run(name, half, parts)
            assert report.counts.get("failed", 0) == 0
    whole, found = compare.content(first[0]), compare.content(parts)
    for part in whole:
        assert found[part] == whole[part], part
    assert compare.damages(parts) == []


def other(one: Any, two: Any) -> list[str]:
    """What differs but the generations in links: these count commits, some shots at a time."""
    return [line for line in differences(one, two) if "link.generation" not in line]


def test_a_small_archive_gives_the_same_values(
    first: tuple[Path, dict[str, Report]],
    archive: Archive,
    data: Path,
    tmp_path: Path,
    compare: Any,
) -> None:
    """Every frame of every shot, and of images the coarsest level; links and late masks too."""
    path = tmp_path / "small.corecube"
    for name in INSTRUMENTS:
        assert run(name, [data / name], path, "small").counts == first[1][name].counts
    assert compare.damages(path) == []
    recipes = set()
    with corecube.open(path) as small:
        records = archive.state.catalogue.by_identity
        assert list(small.state.catalogue.by_identity) == list(records)
        for identity in records:
            one, two = archive.shot(identity), small.shot(identity)
            for name in one.images:
                assert not other(one.frame(name), two.frame(name))
                for level in range(1, one.image(name)["levels"] + 1)[-1:]:
                    assert not other(one.level(name, level), two.level(name, level))
                if f"/images/{name}/error" not in two.description["arrays"]:
                    recipes.add(f"{identity}/{name}")
            for group in one.groups:
                count = min(one.row_count(group), 50)
                assert not other(one.rows(group, 0, count), two.rows(group, 0, count))
        assert recipes == {
            f"{identity}/{name}"
            for identity in records if identity.startswith("sdss/")
            for name in archive.shot(identity).images
        }  # fmt: skip
        sizes = [small.record(i).size for i in records], [r.size for r in records.values()]
        assert sum(sizes[0]) < 0.7 * sum(sizes[1])


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_shots_are_exported_for_tools_without_plugins(
    instrument: str, archive: Archive, tmp_path: Path
) -> None:
    """The smallest shot with pixels of each instrument, read by h5py alone."""
    records = [
        r for r in archive.state.catalogue.by_identity.values()
        if r.instrument == instrument and (r.images or r.indexed)
    ]  # fmt: skip
    shot = archive.shot(min(records, key=lambda record: record.size))
    export_plain(shot, tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5", "r") as file:
        for name, listed in shot.description["arrays"].items():
            if listed["dtype"] == "text" or name in ("/description", "/provenance", "/checksums"):
                continue
            if 0 in listed["shape"] or name.endswith("/mask") or "/pyramid/" in name:
                continue
            found = file[name][:]
            assert found.tobytes() == shot.read(name).tobytes(), name
        for name in shot.images:
            image = shot.frame(name)
            assert image.mask is not None
            assert np.array_equal(file[f"/images/{name}/mask"][:], image.mask)
        for name in shot.groups:
            count = shot.row_count(name)
            if shot.group(name)["width"] and count:
                rows = shot.rows(name, 0, count)
                assert rows.mask is not None
                assert np.array_equal(file[f"/fibers/{name}/mask"][:], rows.mask)
                wave = rows.wave.wavelength()
                assert np.array_equal(file[f"/fibers/{name}/wave"][:], wave, equal_nan=True)


def test_shared_spectra_stand_once_whichever_instrument_came_first(
    archive: Archive, data: Path, tmp_path: Path
) -> None:
    turned = tmp_path / "turned.corecube"
    run("boss", [data / "boss" / "spec_full"], turned)
    report = run("sdss", [data / "sdss" / "spectra-full"], turned)
    assert report.counts == {"already here": 2}
    assert report.exit_code() == 0
    with corecube.open(turned) as opened:
        other = _names(opened)
    names = _names(archive)
    assert len(names) == len(other) == 4
    assert {n.split("/", 1)[0] for n in other} == {"boss"}
    assert {n.split("/", 1)[1] for n in other} == {n.split("/", 1)[1] for n in names}
    assert {n.split("/", 1)[0] for n in names} == {"sdss", "boss"}


def _names(archive: Archive) -> set[str]:
    rows = archive.cone(QUASAR, "2 arcsec").fibers
    found = (rows.row(number) for number in range(len(rows)))
    return {"{instrument}/{shot}/{group}/{id}".format_map(row) for row in found}


def test_positions_of_the_data_are_answered(archive: Archive) -> None:
    star = archive.cone((38.301799, -0.133922), "2 arcsec")
    assert (len(star.fibers), len(star.images)) == (3, 6)
    assert len(archive.cone(QUASAR, "2 arcsec").fibers) == 4
    with_exposures = archive.cone(QUASAR, "2 arcsec", exposures=True).fibers
    assert len(with_exposures) > 4


def test_quasars_of_a_plate(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "plate.corecube"
    run("boss", [data / "boss" / "spec_lite"], path)
    with corecube.open(path) as opened:
        found = opened.fibers("class == 'QSO' and z > 2")
        shots = [found.row(number)["shot"] for number in range(len(found))]
    assert len(shots) == 11
    assert sum(shot.startswith("3655-") for shot in shots) == 8
    assert sorted(s for s in shots if not s.startswith("3655-")) == [
        "10656-58163-v5_13_0", "3657-55244-v5_13_0", "9367-57758-v5_13_0",
    ]  # fmt: skip
