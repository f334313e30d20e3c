"""Which files make a plate, and which fibres get their coadd from where."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from corecube.errors import FileNotUnderstood
from corecube.frames import Fibers
from corecube.shots import FileHead, FileInfo, NotMine, ShotPlan
from corecube_boss import plugin
from corecube_boss.factors import factors
from corecube_boss.names import camera_name, from_ranges, to_ranges
from corecube_boss.settings import BossConfig

Plans = Callable[..., list[ShotPlan]]
CONFIG = BossConfig()


def infos_of(folder: Path) -> list[FileInfo]:
    found = [
        plugin.corecube_identify(FileHead.of(str(path)), CONFIG)
        for path in sorted(folder.glob("*"))
    ]
    return [info for info in found if isinstance(info, FileInfo)]


def copy(folder: Path, target: Path, *parts: str) -> Path:
    target.mkdir(exist_ok=True)
    for path in folder.glob("*"):
        if any(part in path.name for part in parts):
            shutil.copy(path, target)
    return target


@pytest.fixture(scope="module")
def plate(boss_data: Path) -> Path:
    return boss_data / "simulated" / "plate6641"


@given(st.lists(st.integers(1, 1000), max_size=30))
def test_ranges_keep_their_order(fibers: list[int]) -> None:
    assert from_ranges(to_ranges(fibers)).tolist() == fibers


def test_names() -> None:
    name = camera_name("spFluxcalib-b1-00158842.fits.gz")
    assert name is not None and (name.kind, name.entry) == ("spFluxcalib", "b1-00158842")
    assert to_ranges(range(1, 501)) == "1-500"
    for other in ("spFrame-b3-00158842.fits", "spFrame.fits", "frame-r-002820-3-0122.fits.bz2"):
        assert camera_name(other) is None


def test_a_plate(plate: Path, plans: Plans) -> None:
    (plan,) = plans(plate)
    assert plan.key == "6641-56383-v5_7_0"
    cameras = [f"{c}-0015884{e}" for c in ("b1", "b2", "r1", "r2") for e in (2, 3)]
    assert list(plan.entries) == ["0534", "spPlate", *cameras]
    kinds = [source.kind for source in plan.entries["b2-00158842"]]
    assert kinds[0] == "spCFrame"
    assert set(kinds[1:]) == {"spFrame", "spFluxcalib", "spFluxcorr", "spFlat", "spFluxdistort"}
    # byte-identical files of two cameras: each has its own
    for name in cameras:
        for source in plan.entries[name]:
            if source.kind not in ("spFlat", "spFluxdistort"):
                assert name in source.path
    assert sorted(source.kind for source in plan.companions) == ["platelist", "spAll"]


def test_the_order_of_files_does_not_matter(plate: Path) -> None:
    infos = infos_of(plate)
    (expected,) = plugin.corecube_plan_shots(infos, {}, CONFIG)
    for seed in range(3):
        random.Random(seed).shuffle(infos)
        (found,) = plugin.corecube_plan_shots(infos, {}, CONFIG)
        assert found == expected and list(found.entries) == list(expected.entries)


def test_coadds_come_from_the_best_file(plate: Path, read: Any) -> None:
    rows = [f for f in read(plate) if f.name == "coadd"]
    assert [f.id for f in rows] == [
        ("0534",), ("0001", "0012", "0486", "0500", "0501", "0777", "1000"),
    ]  # fmt: skip
    assert rows[1].flux.shape == (7, 4700)
    assert rows[1].wave.first == 35500  # 10^3.55 Angstrom
    columns = {column.name: values for column, values in rows[1].columns.items()}
    truth = json.loads((plate / "truth.json").read_text())["fibers"]
    classes = {f"{part['fiber']:04d}": part["cls"] for part in truth}
    assert columns["class"] == [classes[fiber] for fiber in rows[1].id]
    assert columns["z"][0] == np.float32(2.31) and columns["fiber"].tolist()[0] == 1
    assert columns["boss_target1"][0] == 2**40  # does not fit into 32 bits or a float32
    assert set(columns["platequality"]) == {"good"}


def test_fibres_without_a_coadd_get_a_row_without_pixels(
    plate: Path, read: Any, tmp_path: Path
) -> None:
    folder = copy(plate, tmp_path / "a", "b1-0015884", "r1-0015884", "spFluxdistort")
    frames: list[Fibers] = read(folder)
    coadds = [frame for frame in frames if frame.name == "coadd"]
    assert [frame.id for frame in coadds] == [("0001", "0012", "0486", "0500")]
    assert coadds[0].flux.shape == (4, 0)
    assert coadds[0].ra[0] == 150.1012345
    others = [frame for frame in frames if frame.name != "coadd"]
    assert [frame.name for frame in others] == [
        "b1-00158842", "b1-00158843", "r1-00158842", "r1-00158843",
    ]  # fmt: skip
    # without a spPlate nobody knows which rows the distortion has: no factors, and it is said
    assert factors(others[0]) == ()
    assert "fluxdistort" not in others[0].layers
    assert any("spFluxdistort" in note for note in others[0].provenance.notes)


@pytest.mark.parametrize("missing", ["spFrame", "spCFrame"])
def test_either_frame_may_be_missing(plate: Path, read: Any, tmp_path: Path, missing: str) -> None:
    folder = copy(plate, tmp_path / "a", "b2-0015884", "spPlate")
    for path in folder.glob(f"{missing}-*"):
        path.unlink()
    (frame,) = (f for f in read(folder) if f.name == "b2-00158842")
    assert frame.flux.shape == (4, 4112)
    assert frame.unit == ("electron" if missing == "spCFrame" else "1e-17 erg / (Angstrom s cm2)")
    assert np.all(np.diff(frame.wave.wavelength(), axis=-1) > 0)
    assert factors(frame) == ()


def test_exposures_of_another_night_belong_to_the_plate(plate: Path, tmp_path: Path) -> None:
    folder = copy(plate, tmp_path / "a", "b2-0015884", "spPlate")
    (path,) = folder.glob("spCFrame-b2-00158842*")
    (frame,) = folder.glob("spFrame-b2-00158842*")
    for changed in (path, frame):
        with fits.open(changed) as hdus:
            hdus[0].header["MJD"] = 56382
            hdus.writeto(changed, overwrite=True)
    (plan,) = plugin.corecube_plan_shots(infos_of(folder), {}, CONFIG)
    assert plan.key == "6641-56383-v5_7_0" and "b2-00158842" in plan.entries


def test_of_two_reductions_each_takes_its_own_companions(plate: Path, tmp_path: Path) -> None:
    one = copy(plate, tmp_path / "a", "b2-0015884")
    two = copy(plate, tmp_path / "b", "b2-0015884")
    for path in [*two.glob("spFrame-*"), *two.glob("spCFrame-*")]:
        with fits.open(path) as hdus:
            hdus[0].header["RUN2D"] = "v5_7_2"
            hdus.writeto(path, overwrite=True)
    infos = infos_of(one) + infos_of(two)
    plans = plugin.corecube_plan_shots(infos, {}, CONFIG)
    for plan, folder in zip(plans, (one, two), strict=True):
        for sources in plan.entries.values():
            assert {str(Path(source.path).parent) for source in sources} == {str(folder)}


def test_names_and_contents_that_disagree(plate: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "spFluxcorr-b1-00158842.fits.gz"
    shutil.copy(plate / "spFluxcalib-b1-00158842.fits.gz", wrong)
    with pytest.raises(FileNotUnderstood, match="spFluxcorr"):
        plugin.corecube_identify(FileHead.of(str(wrong)), CONFIG)
    nameless = tmp_path / "calib.fits.gz"
    shutil.copy(plate / "spFluxcalib-b1-00158842.fits.gz", nameless)
    found = plugin.corecube_identify(FileHead.of(str(nameless)), CONFIG)
    assert found is None or isinstance(found, NotMine)
    renamed = tmp_path / "frame.fits.gz"
    shutil.copy(plate / "spFrame-b1-00158842.fits.gz", renamed)
    found = plugin.corecube_identify(FileHead.of(str(renamed)), CONFIG)
    assert isinstance(found, FileInfo) and found.entry == "b1-00158842"
    cut = tmp_path / "spFrame-b1-00158842.fits"
    cut.write_bytes((plate / "spCFrame-b1-00158842.fits").read_bytes()[:100_000])
    with pytest.raises(FileNotUnderstood, match="cut"):
        plugin.corecube_identify(FileHead.of(str(cut)), CONFIG)


def test_files_of_others_are_passed_over(data: Path) -> None:
    others = [
        *sorted((data / "sdss").rglob("frame-*"))[:2],
        *sorted((data / "ccdlab").rglob("*.fits*"))[:8],
        *sorted((data / "hetdex").rglob("*.fits*"))[:8],
        data / "README.md",
    ]
    for path in others:
        found = plugin.corecube_identify(FileHead.of(str(path)), CONFIG)
        assert found is None or isinstance(found, NotMine), path


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("spec-6641-56383-0534", 0.3), ("spec-6641-56383-0534", 0.9),
        ("spAll-v5_7_0", 0.3), ("platelist", 0.3),  # their last tenth is padding
    ],
)  # fmt: skip
def test_damaged_files_of_the_survey_are_named(
    plate: Path, tmp_path: Path, kind: str, part: float
) -> None:
    (source,) = plate.glob(f"{kind}.fits.gz")
    path = tmp_path / f"{kind}.fits"
    whole = gzip.decompress(source.read_bytes())
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(FileNotUnderstood, match=kind):
        plugin.corecube_identify(FileHead.of(str(path)), CONFIG)


@pytest.mark.parametrize(
    "missing",
    ["spCFrame", "spFrame", "spFlat", "spFluxcalib", "spFluxcorr", "spFluxdistort", "spXYthrucorr"],
)
def test_what_is_missing_is_noted(boss_data: Path, read: Any, tmp_path: Path, missing: str) -> None:
    parts = ("b2-0019976", "b2-0019975", "spPlate", "spFluxdistort")
    folder = copy(boss_data / "simulated" / "plate6642", tmp_path / "a", *parts)
    (whole,) = (f for f in read(folder) if f.name == "b2-00199760")
    assert not any("not complete" in note for note in whole.provenance.notes)
    (path,) = folder.glob(f"{missing}-*")
    path.unlink()
    (frame,) = (f for f in read(folder) if f.name == "b2-00199760")
    notes = [note for note in frame.provenance.notes if "not complete" in note]
    assert len(notes) == 1 and f"no {missing}:" in notes[0]
