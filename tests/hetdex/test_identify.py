"""Which files are whose, and why others are not taken."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corecube.errors import FileNotUnderstood
from corecube.shots import FileHead, FileInfo, NotMine, ShotPlan
from corecube_hetdex import plugin
from corecube_hetdex.settings import HetdexConfig


def identify(path: Path) -> FileInfo | NotMine | None:
    return plugin.corecube_identify(FileHead.of(str(path)), HetdexConfig())


def cards(**values: Any) -> bytes:
    lines = [f"{'SIMPLE':8}= {'T':>20}", f"{'BITPIX':8}= {-32:>20}"]
    for name, value in values.items():
        text = f"'{value:8}'" if isinstance(value, str) else f"{value:>20}"
        lines.append(f"{name.replace('_', '-'):8}= {text}")
    return "".join(line.ljust(80) for line in [*lines, "END"]).encode().ljust(2880)


MULTI = {
    "NAXIS": 2, "NAXIS1": 1032, "NAXIS2": 1032, "DATE_OBS": "2018-01-24", "OBSID": 10,
    "SPECID": 319, "IFUSLOT": 83, "IFUID": "023", "AMP": "RL", "DITHER": 2,
}  # fmt: skip


def test_the_name_of_an_amplifier_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "whatever.bin"
    path.write_bytes(cards(**MULTI))
    info = identify(path)
    assert isinstance(info, FileInfo)
    assert (info.key, info.entry) == ("20180124v010", "exp02_multi_319_083_023_RL")


def test_the_folder_tells_the_exposure_before_the_card(tmp_path: Path) -> None:
    folder = tmp_path / "exp03" / "virus"
    folder.mkdir(parents=True)
    (folder / "x.fits.gz").write_bytes(gzip.compress(cards(**MULTI)))
    info = identify(folder / "x.fits.gz")
    assert isinstance(info, FileInfo) and info.entry == "exp03_multi_319_083_023_RL"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"AMP": "", "DITHER": 1}, "does not tell the amplifier"),
        ({"OBSID": "ten"}, "do not tell the shot"),
        ({"DITHER": 0}, "tells the exposure"),
    ],
)
def test_a_header_that_does_not_tell_is_named(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    (tmp_path / "x.fits").write_bytes(cards(**{**MULTI, **change}))
    with pytest.raises(FileNotUnderstood, match=words):
        identify(tmp_path / "x.fits")


def test_the_amplifier_stands_in_one_of_four_places(tmp_path: Path) -> None:
    raw_name = "20180124T045931.0_083RU_sci.fits"
    for change in (
        {"AMP": "", "CCDPOS": "R", "CCDHALF": "U"}, {"AMP": "", "NAME0": raw_name},
    ):  # fmt: skip
        (tmp_path / "x.fits").write_bytes(cards(**{**MULTI, **change}))
        info = identify(tmp_path / "x.fits")
        assert isinstance(info, FileInfo) and info.entry.endswith("_RU"), change


def test_a_cal_file_with_fewer_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "20180124v010_319_083_023_cal.fits"
    path.write_bytes(cards(NAXIS=2, NAXIS1=1036, NAXIS2=896))
    with pytest.raises(FileNotUnderstood, match="896 rows instead of 1344"):
        identify(path)


def test_real_strangers_are_passed_over(hetdex_data: Path) -> None:
    reasons = {
        "shot20180611v017/CoFeS20180611T054545.2_084_sci.fits.bz2": "without the cards IFUSLOT",
        "m3/sdss_g_mosaic_m3_crop.fits.bz2": "without the cards IFUSLOT",
        "lists/badamps.list": "hetdex.badamps=PATH",
        "lists/satellite_tracks.txt": "hetdex.satellites=PATH",
        "lists/meteor.txt": "hetdex.meteors=PATH",
        "lists/badshots.list": "hetdex.badshots=PATH",
        "lists/badpix.list": "hetdex.badpix=PATH",
        "lists/badfib.tab": "hetdex.badfib=PATH",
        "lists/rc3.ugc.hetdex.both.v8.csv.bz2": "hetdex.galaxies=PATH",
        "real_fibres/fibres29.csv": "a table of values of fibres",
        "shot20180611v017/fplane_2019.txt": "of which night it is stands nowhere",
        "shot20180611v017/20180611T054545tot.als": "stars of daophot",
    }
    for name, words in reasons.items():
        found = identify(hetdex_data / name)
        assert isinstance(found, NotMine) and words in found.reason, (name, found)


def test_hdf5_files_of_others_and_damaged_ones(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "survey_hdr4.h5", "w") as file:
        file["Survey"] = np.zeros(3)
    found = identify(tmp_path / "survey_hdr4.h5")
    assert isinstance(found, NotMine) and "/Data/Fibers" in found.reason
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 100)
    assert isinstance(identify(tmp_path / "cut.h5"), NotMine)


def test_order_of_files_does_not_matter(
    shot_folder: Path, plan_of: Callable[..., list[ShotPlan]]
) -> None:
    paths = [path for path in sorted(shot_folder.rglob("*")) if path.is_file()]
    (plan,) = plan_of(*paths)
    (again,) = plan_of(*reversed(paths))
    assert plan.to_json() == again.to_json()
    assert list(plan.entries) == list(again.entries)
    assert len(plan.entries) == 23  # one amplifier is missing
    # the twelve entries of a cal file follow each other
    cals = [sources[1].path for sources in plan.entries.values()]
    assert cals == sorted(cals, key=cals.index) and len(set(cals)) == 2
