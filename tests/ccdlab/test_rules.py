"""Rules on headers, detector descriptions, types of real frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from corecube.errors import ConfigurationError
from corecube.shots import FileInfo, NotMine
from corecube_ccdlab import rules
from corecube_ccdlab.detector import described, from_plan, library, presets, read_detector
from corecube_ccdlab.headers import clean, stem
from corecube_ccdlab.planning import nearest
from corecube_ccdlab.settings import CcdlabConfig

CARDS: dict[str, Any] = {
    "IMAGETYP": "Light Frame ", "EXPTIME": "45.0    ", "N": 5, "LAMP": "CuNe+CuAr", "EMPTY": "  ",
    rules.FILE: "201103ne-13.fit",
}  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({"IMAGETYP": ["light frame"]}, True),
        ({"IMAGETYP": ["dark frame", "Light Frame"]}, True),
        ({"IMAGETYP": ["light frame"], "N": ["6"]}, False),
        ({"EXPTIME": ["45"]}, True),
        ({"EXPTIME": ["> 0.1"], "N": ["<= 5"]}, True),
        ({"N": ["< 5"]}, False),
        ({"LAMP": ["~^cu"]}, True),
        ({"LAMP": ["!off"]}, True),
        ({"LAMP": ["!~cuar"]}, False),
        ({"FILE": [r"~(ne|ar)-\d+\."]}, True),
        ({"EMPTY": ["*"]}, False),
        ({"EMPTY": ["-"], "MISSING": ["-"]}, True),
        ({"MISSING": ["x"]}, False),
        ({"IMAGETYP": ["< 3"]}, False),
    ],
)
def test_conditions(rule: dict[str, list[str]], fits: bool) -> None:
    assert rules.fits(rule, CARDS.get) is fits


@pytest.mark.parametrize("rule", [{"A": []}, {"A": ["~("]}, {"A": ["< x"]}])
def test_wrong_rules_are_named(rule: dict[str, list[str]]) -> None:
    assert rules.problem(rule)


def test_presets_come_back_from_a_plan() -> None:
    assert set(presets()) == {
        "barber-sbig", "efosc2", "lick-kast-blue", "saao-spupnic", "virus", "wht-isis-red",
    }  # fmt: skip
    assert from_plan({"detectors": described(presets())}) == presets()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("detector: {title: x, camera: [{A: [b]}], gian: 2}", "unknown key"),
        ("detector: {title: x, camera: [{A: ['~(']}]}", "regular expression"),
        ("detector: {title: x}", "must be given"),
        ("detector: {title: x, camera: [{A: [b]}], dispersion: z}", "one of: x, y"),
        (
            "detector: {title: x, camera: [{A: [b]}], amplifiers: [{}, {place: '[:,:]'}]}",
            "needs a place",
        ),
        ("detector: {title: x, camera: [{A: [b]}], extraction: {width: 4}}", "odd"),
    ],
)
def test_a_wrong_description_says_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=said) as caught:
        read_detector(path)
    assert "mine.yaml:1" in str(caught.value)


def test_a_preset_is_forced_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("detector: {title: x, camera: [{A: [b]}]}", encoding="utf-8")
    assert list(library(CcdlabConfig(preset="virus"))) == ["virus"]
    assert next(iter(library(CcdlabConfig(detectors=(path,))))) == "mine"
    with pytest.raises(ValueError, match="there are mine, barber-sbig, efosc2"):
        CcdlabConfig(preset="nothing", detectors=(path,))


def test_names() -> None:
    assert stem("a.b.FIT.bz2") == "a.b" and stem("x.fits.fz") == "x" and stem("y") == "y"
    assert clean(" 59 Cyg (Be) ") == "59 Cyg -Be"


def test_the_nearest_masters() -> None:
    keys = [
        f"masters/{night}/cam/{kind}"
        for night in ("2020-01-01", "2020-01-05")
        for kind in ("bias", "dark-600s", "flat-gr7")
    ]
    assert nearest(keys, "cam", "bias", "2020-01-04", 30) == "masters/2020-01-05/cam/bias"
    assert nearest(keys, "cam", "bias", "2020-01-03", 30) == "masters/2020-01-01/cam/bias"
    assert nearest(keys, "cam", "bias", "2020-01-09", 3) == ""
    assert nearest(keys, "other", "bias", "2020-01-01", 30) == ""
    assert nearest(keys, "cam", "dark", "2020-01-01", 30, 600.4).endswith("dark-600s")
    assert nearest(keys, "cam", "dark", "2020-01-01", 30, 600.6) == ""
    assert nearest(keys, "cam", "flat-gr3", "2020-01-01", 30) == ""


TYPES = {
    "bias": ("a6381002", "r2700982", "b14", "053RL", "T19_02_38"),
    "dark": ("201103dark-01",),
    "flat": ("a6381060", "b10", "T19_18_58"),
    # r2701247 is an 'object' with a lamp on, the neon frame a 'Light Frame'
    "arc": ("HILT600_arc", "r2701247", "b1.", "T19_37_39", "201103ne-13"),
    "science": ("HILT600_science", "r2701242", "b24", "27T02_31_32", "hr8047-10"),
}


@pytest.mark.parametrize("kind", TYPES)
def test_types_of_real_frames(data: Path, identified: Any, kind: str) -> None:
    for name in TYPES[kind]:
        (path,) = [p for p in (data / "ccdlab").rglob("*.bz2") if name in p.name]
        info = identified(path, CcdlabConfig())
        assert isinstance(info, FileInfo), (name, info)
        assert info.source.kind == info.facts["type"] == kind
        # a frame without its own target serves many
        assert bool(info.key) == (kind == "science" or name in ("HILT600_arc", "r2701247"))


def test_the_table_by_name_wins(data: Path, identified: Any) -> None:
    path = data / "ccdlab" / "sbig_arc" / "201103ne-13.fit.bz2"
    config = CcdlabConfig(types={"*ne-13*": "science"}, targets={path.name: "Neon lamp"})
    info = identified(path, config)
    assert isinstance(info, FileInfo)
    assert (info.source.kind, info.key) == ("science", "2020-11-02/Neon lamp")
    ignored = identified(path, CcdlabConfig(types={path.name: "ignore"}))
    assert isinstance(ignored, NotMine) and "types" in ignored.reason


def test_what_is_not_recognised_is_not_guessed(data: Path, identified: Any, tmp_path: Path) -> None:
    path = tmp_path / "detector.yaml"
    path.write_text("detector: {title: x, camera: [{INSTRUME: [virus]}]}", encoding="utf-8")
    (frame,) = (data / "ccdlab" / "virus").glob("*RL*")
    said = identified(frame, CcdlabConfig(detectors=(path,)))
    assert isinstance(said, NotMine)
    assert "no rule tells" in said.reason and "IMAGETYP='zro'" in said.reason
    other = next((data / "sdss").rglob("frame-*.fits.bz2"))
    said = identified(other, CcdlabConfig())
    assert isinstance(said, NotMine) and "no camera" in said.reason


def test_every_file_of_the_folder_has_a_place_or_a_reason(data: Path, identified: Any) -> None:
    for path in sorted((data / "ccdlab").rglob("*")):
        if path.is_file():
            said = identified(path, CcdlabConfig())
            frame = path.suffix == ".bz2"
            assert isinstance(said, FileInfo if frame else NotMine), path.name
            assert isinstance(said, FileInfo) or said.reason
