"""``corecube report``: numbers from the archive alone, and files that are whole.

Golden values of real files: sums and medians by independent means in float64; the error model of
the SDSS data model page "frame".
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corecube import masks
from corecube.archive import open_archive

Cli = Any

FRAME = "sdss/2820-3-0122/r"
LITE = "7330-56684-0434"
FULL = "7338-57859-0739"


def report(cli: Cli, archive: Path, name: str, folder: Path, *more: object) -> dict[str, Any]:
    done = cli("report", archive, name, "-o", folder, *more)
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"))
    return found


# -- toy: any instrument --------------------------------------------------------------------------


def test_an_image_of_any_instrument(cli: Cli, sky: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    found = report(cli, sky, "g", tmp_path / "out")
    with open_archive(sky) as archive:
        row: Any = archive.get("toy/field/1/g")
        image = row.frame()
    assert (found["name"], found["what"], found["shape"]) == ("toy/field/1/g", "image", [40, 50])
    flux = found["arrays"][0]
    assert (flux["minimum"], flux["maximum"]) == (
        float(str(image.flux.min())), float(str(image.flux.max())),
    )  # fmt: skip
    assert flux["median"] == float(str(np.float32(np.median(image.flux))))
    assert flux["mean"] == pytest.approx(float(image.flux.mean(dtype=np.float64)), rel=1e-15)
    assert found["pixels"] == {"all": 2000, "inside": 2000, "valid": 2000}
    assert found["bits"] == {"own": {"a": 1000, "b": 1000}}
    assert [factor["name"] for factor in found["factors"]] == ["gain", "scale"]
    assert found["replay"]["reproduced"] and found["replay"]["pixels"] == 2000
    assert found["noise check"] is None and found["says"] == []
    (source,) = found["sources"]
    assert source["name"] == "g.toy" and len(source["sha256"]) == 64
    drawn = {panel["name"] for panel in found["panels"]}
    assert drawn == {"flux", "error", "error-to-signal"}
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"report.json", *(f"{name}.png" for name in drawn)}


def test_a_fibre_lists_its_exposures_and_a_shot_its_frames(
    cli: Cli, sky: Path, tmp_path: Path
) -> None:
    found = report(cli, sky, "T1", tmp_path / "fiber", "--json-only")
    assert found["children"] == ["toy/plate/1/single/a-1.0", "toy/plate/1/single/a-1.1"]
    assert found["position"] == {"ra": 10.0001, "dec": -20.0, "unit": "deg"}
    assert found["wavelengths"] == {
        "pixels": 6, "first": 4000.0, "last": 5000.0, "unit": "Angstrom", "medium": "air",
        "specsys": "",
    }  # fmt: skip
    assert found["columns"]["class"] == "QSO" and found["columns"]["count"] == 1
    assert {panel["name"] for panel in found["panels"]} == {"flux", "error-to-signal", "exposures"}
    child = report(cli, sky, "single/a-1.1", tmp_path / "child", "--json-only")
    assert child["parent"] == "toy/plate/1/stars/a-1" and child["children"] == []
    shot = report(cli, sky, "toy/plate/1", tmp_path / "shot", "--json-only")
    assert shot["counts"] == {"images": 0, "groups": 2, "fibers": 3, "spectra": 9}
    assert [(group["name"], group["fibers"]) for group in shot["groups"]] == [
        ("stars", 3), ("single", 6),
    ]  # fmt: skip
    assert shot["left out"] == {"images": 0, "groups": 0}
    assert shot["groups"][0]["factors"] == ["gain", "scale"]


def test_a_shot_of_many_images_says_how_many_were_left_out(
    cli: Cli, toy: Any, tmp_path: Path
) -> None:
    for number in range(15):
        toy.image(tmp_path / "raw" / f"{number}.toy", "field/1", f"i{number:02}", shape=(9, 9))
    archive = tmp_path / "a.corecube"
    assert cli("ingest", "-i", "toy", tmp_path / "raw", "-a", archive, "-j", 1).code == 0
    found = report(cli, archive, "field/1", tmp_path / "out", "--json-only")
    assert len(found["images"]) == 15 and found["left out"] == {"images": 3, "groups": 0}
    assert ["flux median" in row for row in found["images"]] == [True] * 12 + [False] * 3


def test_the_same_archive_gives_the_same_bytes(
    cli: Cli, sky: Path, raw: Path, tmp_path: Path
) -> None:
    for name in ("g", "T1", "toy/field/1", "toy/plate/1"):
        assert cli("report", sky, name, "-o", tmp_path / "one", "--json-only").code == 0
        first = (tmp_path / "one" / "report.json").read_bytes()
        if raw.exists():
            shutil.rmtree(raw)
        assert cli("report", sky, name, "-o", tmp_path / "two", "--json-only").code == 0
        assert (tmp_path / "two" / "report.json").read_bytes() == first
        assert str(tmp_path).encode() not in first


def test_files_of_the_same_names_are_replaced_and_others_left_alone(
    cli: Cli, sky: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    out = tmp_path / "a" / "b"
    out.mkdir(parents=True)
    (out / "flux.svg").write_text("old")
    (out / "report.json").write_text("old")
    (out / "mine.txt").write_text("mine")
    done = cli("report", sky, "g", "-o", out, "--format", "svg")
    assert done.code == 0
    names = ["report.json", "flux.svg", "error.svg", "error-to-signal.svg"]
    assert done.out.splitlines() == [str(out / name) for name in names]
    assert done.err == f"toy/field/1/g: 4 files written into {out}\n"
    assert (out / "flux.svg").read_bytes().startswith(b"<?xml")
    assert (out / "mine.txt").read_text() == "mine"
    assert {path.name for path in out.iterdir()} == {*names, "mine.txt"}


def test_without_matplotlib_the_numbers_are_written(
    cli: Cli, sky: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = cli("report", sky, "g", "-o", tmp_path / "out")
    assert done.code == 0
    assert done.err.splitlines() == [
        "corecube: warning: no drawings without matplotlib; run: pip install 'corecube[plot]'",
        f"toy/field/1/g: 1 file written into {tmp_path / 'out'}",
    ]
    assert done.out == f"{tmp_path / 'out' / 'report.json'}\n"
    assert cli("report", sky, "g", "-o", tmp_path / "out", "--json-only").err.count("\n") == 1


def test_without_the_instrument_the_core_s_part_is_made(
    cli: Cli, sky: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = report(cli, sky, "g", tmp_path / "whole", "--json-only")
    monkeypatch.setenv("CORECUBE_PLUGINS", "sdss")
    done = cli("report", sky, "g", "-o", tmp_path / "out", "--json-only")
    assert done.code == 0
    assert "no instrument 'toy' is installed" in done.err.splitlines()[0]
    found = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert (found["factors"], found["replay"], found["noise check"]) == (None, None, None)
    assert len(found["says"]) == 1
    for key in ("arrays", "mask", "bits", "provenance", "sources", "times", "panels"):
        assert found[key] == whole[key]


DEEP = "x = {}\n    x['x'] = x\n    return Figures({'x': x})"
ODD = {
    "complex": "return Figures({'x': np.complex64(1j)})",
    "time": "return Figures({'x': np.timedelta64(1, 's')})",
    "circle": DEEP,
    "text line": "return Figures({}, (Panel('p', 't', 'lines', (Series('l', np.array(['a'])),)),))",
    "list": "return Figures({}, (Panel('p', 't', 'lines', (Series('l', [1.0]),)),))",
    "square": "return Figures({}, (Panel('p', 't', 'lines', (Series('l', np.ones((2, 2))),)),))",
}


@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_number_costs_what_the_instrument_reports(
    cli: Cli, sky: Path, toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    add_report(toy, monkeypatch, ODD[odd])
    done = cli("report", sky, "g", "-o", tmp_path / "out", "--json-only")
    assert done.code == 6 and "corecube_report of 'toy'" in done.err
    assert "Traceback" not in done.err
    found = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert len(found["arrays"]) == 2 and found["instrument report"] == {}


def test_what_is_masked_is_null(
    cli: Cli, sky: Path, toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "return Figures({'x': np.ma.array([1, 2], mask=[0, 1]), 'y': np.ma.masked})"
    add_report(toy, monkeypatch, body)
    assert cli("report", sky, "g", "-o", tmp_path / "out", "--json-only").code == 0
    found = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert found["instrument report"] == {"x": [1, None], "y": None}


def test_a_panel_that_cannot_be_drawn_costs_only_itself(
    cli: Cli, sky: Path, toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    lines = ", ".join(
        f"Panel('{name}', 't', 'lines', (Series('l', np.array({values})),))"
        for name, values in (("far", "[1e308, -1e308]"), ("fine", "[1.0, 2.0]"))
    )
    add_report(toy, monkeypatch, f"return Figures(panels=({lines}))")
    done = cli("report", sky, "g", "-o", tmp_path / "out")
    assert done.code == 6
    assert "'far' cannot be drawn: " in done.err and "Traceback" not in done.err
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"report.json", "fine.png"} <= names and "far.png" not in names


def add_report(toy: Any, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    from corecube import plugins
    from corecube.figures import Figures, Panel, Series
    from corecube.hookspecs import hookimpl

    scope: dict[str, Any] = {"Figures": Figures, "Panel": Panel, "Series": Series, "np": np}
    exec(f"def corecube_report(shot, subject, config):\n    {body}", scope)
    monkeypatch.setattr(toy, "corecube_report", hookimpl(scope["corecube_report"]), raising=False)
    plugins._load.cache_clear()


FAULTS = {
    "calibration_factors": "raise ValueError('no\\nflat')",
    "check_noise": "return 7",
    "report": "return Figures({'x': {1, 2}})",
}


@pytest.mark.parametrize("hook", FAULTS)
def test_a_hook_that_fails_costs_its_part_and_is_said(
    cli: Cli, sky: Path, toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: str
) -> None:
    from corecube import plugins
    from corecube.figures import Figures
    from corecube.hookspecs import hookimpl

    arguments = "shot, subject, config" if hook == "report" else "frame, config"
    scope: dict[str, Any] = {"Figures": Figures}
    exec(f"def corecube_{hook}({arguments}):\n    {FAULTS[hook]}", scope)
    name = f"corecube_{hook}"
    monkeypatch.setattr(toy, name, hookimpl(scope[name]), raising=False)
    plugins._load.cache_clear()
    done = cli("report", sky, "g", "-o", tmp_path / "out", "--json-only")
    assert done.code == 6
    assert f"corecube_{hook} of 'toy' " in done.err.splitlines()[0]
    found = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert len(found["says"]) == 1 and "\n" not in found["says"][0]
    assert len(found["arrays"]) == 2


def test_what_the_instrument_reports_is_added(
    cli: Cli, sky: Path, toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from corecube import plugins
    from corecube.figures import Figures, Panel, Series, Subject
    from corecube.hookspecs import hookimpl

    asked: list[Any] = []

    def corecube_report(shot: Any, subject: Subject, config: Any) -> Figures:
        asked.append((shot.identity, subject, config))
        line = Series("$x_{1", np.array([1.0, np.nan]))
        panel = Panel("flux", "\x1b[2J", "lines", (line,), "a", "b")
        return Figures({"ratio": np.float32(0.1), "none": float("nan")}, (panel,))

    monkeypatch.setattr(toy, "corecube_report", hookimpl(corecube_report), raising=False)
    plugins._load.cache_clear()
    out = tmp_path / "out"
    done = cli("report", sky, "T1", "-o", out)
    assert done.code == 0, done.err
    found = json.loads((out / "report.json").read_text("utf-8"))
    assert found["instrument report"] == {"ratio": 0.1, "none": None}
    assert asked == [("toy/plate/1", Subject("fiber", "stars", 1), toy.ToyConfig())]
    assert [panel["name"] for panel in found["panels"]][-1] == "flux-2"


def test_names_that_fit_nothing_or_several(cli: Cli, sky: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = cli("report", sky, "nothing", "-o", out)
    assert done.code == 2 and "there is nothing named 'nothing'" in done.err
    done = cli("report", sky, "r", "-o", out)
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[1:] == ["  toy/field/1/r", "  toy/field/2/r"]
    assert not out.exists()


def test_a_folder_that_cannot_be_written_to(cli: Cli, sky: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for target in (file, file / "below"):
        done = cli("report", sky, "g", "-o", target)
        assert done.code == 2 and str(file) in done.err and done.err.count("\n") == 1
    assert file.read_text() == "mine"
    (tmp_path / "out" / "report.json").mkdir(parents=True)
    done = cli("report", sky, "g", "-o", tmp_path / "out")
    assert done.code == 2 and "is a folder" in done.err
    assert cli("report", sky, "g").code == 2
    assert cli("report", sky, "g", "-o", tmp_path / "new", "--format", "gif").code == 2
    assert not (tmp_path / "new").exists()


def test_names_from_files_stay_inside_of_the_folder(cli: Cli, toy: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    target = "../../$x$\x1b[31m/etc"
    toy.image(tmp_path / "raw" / "a.toy", "night", "r", target=target,
              name="r ..+-_x", band="../b\x07and", notes=["\x1b]0;title\x07"])  # fmt: skip
    archive = tmp_path / "a.corecube"
    done = cli("ingest", "-i", "toy", tmp_path / "raw", "-a", archive, "-j", 1)
    assert done.code == 0, done.err
    (shot,) = json.loads(cli("info", archive, "--json").out)["shots"]
    for name in (target, shot["name"]):
        out = tmp_path / "deep" / "out"
        done = cli("report", archive, name, "-o", out)
        assert done.code == 0, done.err
        assert "\x1b" not in done.out + done.err
        assert {path.parent for path in (tmp_path / "deep").rglob("*.png")} == {out}
        assert b"\x1b" not in (out / "report.json").read_bytes()


# -- sdss: real files -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(sdss_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive whose raw files are gone."""
    from corecube.pipeline import Options, ingest
    from corecube.plugins import load

    folder = tmp_path_factory.mktemp("report")
    raw = folder / "raw"
    raw.mkdir()
    for pattern in ("2820-3-0122/*-r-*", "2583-2-0136/*", "spectra/*7330*", "spectra-full/*7338*"):
        for path in sdss_data.glob(pattern):
            shutil.copy(path, raw)
    caller = load("sdss")
    archive = folder / "s82.corecube"
    done = ingest([str(raw)], archive, caller, caller.instrument.config(), Options(jobs=1))
    assert done.exit_code() == 0
    shutil.rmtree(raw)
    return archive


@pytest.mark.xdist_group("sdss")
class TestReal:
    def test_a_frame(self, cli: Cli, real: Path, tmp_path: Path) -> None:
        found = report(cli, real, FRAME, tmp_path, "--json-only")
        flux, error = found["arrays"]
        assert (found["pixels"]["all"], found["pixels"]["valid"]) == (1489 * 2048, 1489 * 2048)
        # golden sums to 1e-9, the errors' to 5e-7, the rounding of float32
        assert flux["mean"] * flux["values"] == pytest.approx(30843.781552, rel=1e-9)
        assert error["mean"] * error["values"] == pytest.approx(83533.243456, rel=5e-7)
        assert error["median"] == pytest.approx(0.02731088616, rel=5e-7)
        factors = {factor["name"]: factor for factor in found["factors"]}
        assert list(factors) == ["gain", "sky", "flux_per_dn"]
        assert factors["gain"]["median"] == 4.72 and factors["sky"]["shape"] == [1489, 2048]
        replayed = found["replay"]
        assert replayed["reproduced"] and replayed["largest relative difference"] < 1e-9
        own = found["instrument report"]
        assert own["counts"]["median"] == pytest.approx(137.000038, abs=1e-6)
        distance = own["counts"]["median distance from whole numbers"]
        assert distance == pytest.approx(0.000989, abs=5e-7)
        assert own["dark variance"]["value"] == 1.3225
        assert own["counts"]["below zero"] == 0
        # half the 15.87 to 84.13 percentiles of differences along rows, by another program
        assert found["noise check"]["width of pulls"] == pytest.approx(1.006, abs=5e-4)
        names = {panel["name"] for panel in found["panels"]}
        assert {
            "flux", "error", "error-to-signal", "factor-2-sky", "factor-3-flux_per_dn", "pulls",
            "sky-grid", "sky", "counts", "electrons", "counts-error", "error-terms",
            "level-1", "level-2", "level-3", "level-4",
        } == names  # fmt: skip

    def test_the_by_products_of_a_frame(self, cli: Cli, real: Path, tmp_path: Path) -> None:
        found = report(cli, real, FRAME, tmp_path, "--json-only", "--levels", 2)
        products = {row["name"]: row for row in (*found["arrays"], *found["products"])}
        assert {name: (row["unit"], row["shape"]) for name, row in products.items()} == {
            "sky grid": ("adu", [192, 256]), "sky": ("adu", [1489, 2048]),
            "flux": ("nanomaggy", [1489, 2048]), "counts": ("adu", [1489, 2048]),
            "electrons": ("electron", [1489, 2048]), "counts error": ("adu", [1489, 2048]),
            "error": ("nanomaggy", [1489, 2048]), "error to signal": ("", [1489, 2048]),
        }  # fmt: skip
        median = {name: row["median"] for name, row in products.items()}
        assert median["counts"] == pytest.approx(137.000038, abs=1e-6)
        assert median["electrons"] == pytest.approx(4.72 * median["counts"], rel=1e-14)
        # the median of a monotonous function is the function of the median
        expected = np.sqrt(median["counts"] / 4.72 + 1.3225)
        assert median["counts error"] == pytest.approx(expected, rel=1e-9)
        # four pixels are 0: there the ratio is not a number, nowhere else
        ratio = products["error to signal"]
        assert (ratio["not finite"], ratio["not positive"]) == (4, 0)
        for row in products.values():
            assert row["minimum"] <= row["median"] <= row["maximum"]
            assert row is ratio or row["not finite"] == 0
        levels = found["levels"]
        assert [(row["level"], row["shape"]) for row in levels] == [
            (1, [745, 1024]), (2, [373, 512]),
        ]  # fmt: skip
        # golden medians of sigma
        medians = [row["error"]["median"] for row in levels]
        assert medians == pytest.approx([0.0136608651, 0.0068294966], rel=5e-7)
        assert levels[0]["coverage"]["minimum"] == 0.5  # 1489 rows

    def test_masks_of_a_frame(self, cli: Cli, real: Path, tmp_path: Path) -> None:
        found = report(cli, real, "2583-2-0136/r", tmp_path, "--json-only")
        fpm = found["bits"]["fpM"]
        # counts of fpM pixels by plane, decoded by another program
        assert {key: fpm.get(key) for key in ("INTERP", "SATUR", "BRIGHTOBJECT", "CR")} == {
            "INTERP": 33370, "SATUR": 6703, "BRIGHTOBJECT": 665261, "CR": 1158,
        }  # fmt: skip
        with open_archive(real) as archive:
            row: Any = archive.get("sdss/2583-2-0136/r")
            image = row.frame()
        assert found["mask"] == masks.counts(image.mask)
        valid = masks.valid(image.mask) & np.isfinite(image.flux)
        assert found["pixels"]["valid"] == np.count_nonzero(valid)
        assert found["arrays"][0]["maximum"] == float(str(image.flux[valid].max()))
        assert found["arrays"][0]["not positive"] == np.count_nonzero(image.flux <= 0)

    def test_a_lite_spectrum(self, cli: Cli, real: Path, tmp_path: Path) -> None:
        found = report(cli, real, LITE, tmp_path, "--json-only")
        assert found["pixels"]["inside"] == 4628 and found["children"] == []
        assert found["arrays"][1]["not finite"] == 5  # inverse variance 0
        waves = found["wavelengths"]
        assert (waves["first"], waves["last"]) == pytest.approx((10**3.5520, 10**4.0147), rel=1e-12)
        assert (found["factors"], found["replay"]) == ([], None)
        names = {panel["name"] for panel in found["panels"]}
        curves = {"curves", "merged-curve"}
        for name in ("weighted", "rebinned"):
            curves |= {name, *(f"{name}-level-{level}" for level in (1, 2, 3, 4))}
        assert names == {"flux", "error-to-signal", "pulls", "model", "sky", "wdisp"} | curves | {
            f"level-{number}" for number in range(1, 6)
        }  # fmt: skip
        levels = found["levels"]
        assert [row["shape"] for row in levels] == [[2314], [1157], [579], [290], [145]]
        # golden medians of sigma
        assert [row["error"]["median"] for row in levels[:4]] == pytest.approx(
            [0.50802949, 0.3604977, 0.25544864, 0.18270137], rel=5e-7
        )
        # sigma of a BOSS spectrum is about a pixel of 69 km/s: R is about 1850 to 2200
        assert 1500 < found["instrument report"]["median resolution"] < 2500

    def test_a_full_spectrum_and_its_exposures(self, cli: Cli, real: Path, tmp_path: Path) -> None:
        found = report(cli, real, FULL, tmp_path / "coadd", "--json-only")
        assert found["pixels"]["inside"] == 4565
        assert found["arrays"][1]["not finite"] == 8
        assert len(found["children"]) == 6 and found["children left out"] == 0
        assert "exposures" in {panel["name"] for panel in found["panels"]}
        child = report(cli, real, found["children"][0], tmp_path / "child", "--json-only")
        (factor,) = child["factors"]
        assert (factor["name"], factor["operation"]) == ("calib", "multiply")
        assert child["parent"] == found["name"]
        assert child["replay"]["largest relative difference"] < 1e-15
        with open_archive(real) as archive:
            row: Any = archive.get(child["name"])
            fibers = row.spectrum()
        assert child["arrays"][0]["not finite"] == 0
        inside = np.isfinite(fibers.flux[0])
        assert child["pixels"]["inside"] == np.count_nonzero(inside)

    @pytest.mark.parametrize("name", [FRAME, LITE, FULL, "sdss/2820-3-0122"])
    def test_all_panels_become_pictures(
        self, cli: Cli, real: Path, tmp_path: Path, name: str
    ) -> None:
        pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
        from PIL import Image

        found = report(cli, real, name, tmp_path)
        assert found["says"] == []
        for panel in found["panels"]:
            with Image.open(tmp_path / f"{panel['name']}.png") as picture:
                grey = np.asarray(picture.convert("L"))
                assert picture.width >= 1000 and len(np.unique(grey)) > 20
