"""``corecube plot``: one position on images, spectra and in catalogues, in one unit.

Golden values: sums of pixels, and PSFFLUX and SPECTROFLUX, of the real files by independent means.
"""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corecube.archive import open_archive
from corecube.measuring import SCALES, measure, panel_of, table_of

Cli = Any

pytestmark = pytest.mark.xdist_group("sdss")

STAR = (38.301799, -0.133922)
PIVOTS = {"u": 3556.51, "g": 4702.48, "r": 6175.57, "i": 7489.97, "z": 8946.70}
FLAMBDA = {"u": 0.860544, "g": 0.492228, "r": 0.285408, "i": 0.194026, "z": 0.135986}
APERTURE = {"u": 19.937, "g": 48.990, "r": 70.892, "i": 83.230, "z": 87.266}
PSF = {"u": (20.130121, 2.2256224), "g": (49.04939, 1.3861738), "r": (68.838905, 0.6800169),
       "i": (80.580864, 0.36854687), "z": (85.87941, 0.2846683)}  # fmt: skip
SPECTROFLUX = {"g": 46.127243, "r": 64.599037, "i": 73.044556}
PLACES = {  # pixel of the star
    "sdss/2820-3-0122/u": (781.371366, 489.761344), "sdss/2820-3-0122/g": (779.327690, 493.102407),
    "sdss/2820-3-0122/r": (778.932435, 482.477051), "sdss/2820-3-0122/i": (777.203324, 485.119212),
    "sdss/2820-3-0122/z": (777.247006, 489.477413), "sdss/4948-3-0199/u": (758.751341, 318.361839),
}  # fmt: skip
FIBER = "sdss/7330-56684-v5_10_0/coadd/0434"


@pytest.fixture(scope="module")
def archive(sdss_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from corecube.pipeline import Options, ingest
    from corecube.plugins import load

    path = tmp_path_factory.mktemp("plot") / "s82.corecube"
    caller = load("sdss")
    names = ["2820-3-0122", "4948-3-0199", "1000-1-0100"]
    names += [f"spectra/spec-{name}.fits" for name in (
        "7330-56684-0434", "3126-54804-0211", "3127-54835-0622", "4238-55455-0037")]  # fmt: skip
    report = ingest(
        [str(sdss_data / name) for name in names], path, caller, caller.instrument.config(),
        Options(jobs=2),
    )  # fmt: skip
    assert report.exit_code() == 0
    return path


def plotted(cli: Cli, archive: Path, folder: Path, *more: object) -> dict[str, Any]:
    done = cli("plot", archive, *STAR, "-o", folder / "star.png", *more)
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads((folder / "star.json").read_text("utf-8"))
    return found


def test_the_star_in_one_table_and_one_picture(cli: Cli, archive: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    found = plotted(cli, archive, tmp_path, "--aperture", "7.36arcsec")
    assert (tmp_path / "star.png").read_bytes().startswith(b"\x89PNG")
    assert found["unit"] == "1e-17 erg / (Angstrom s cm2)"
    apertures = [row for row in found["fluxes"] if row["kind"] == "aperture"]
    assert {row["name"]: (row["x"], row["y"]) for row in apertures} == {
        name: pytest.approx(place, abs=1e-5) for name, place in PLACES.items()
    }
    for row in apertures:
        band = row["band"]
        assert row["wavelength"] == pytest.approx(PIVOTS[band], abs=0.01)
        if row["name"].startswith("sdss/2820"):
            assert row["nanomaggies"]["flux"] == pytest.approx(APERTURE[band], rel=1e-3)
        for name in ("flux", "sigma"):
            expected = row["nanomaggies"][name] * FLAMBDA[band]
            assert row[name] == pytest.approx(expected, rel=1e-5)
    psf = {row["band"]: row for row in found["fluxes"] if row["what"].startswith("PSF flux")}
    for band, (flux, weight) in PSF.items():
        said = psf[band]["nanomaggies"]
        assert said["flux"] == pytest.approx(flux, rel=1e-6)
        assert said["sigma"] == pytest.approx(weight**-0.5, rel=1e-6)
    through = {
        row["band"]: row for row in found["fluxes"]
        if row["kind"] == "synthetic" and row["name"] == FIBER
    }  # fmt: skip
    for band, flux in SPECTROFLUX.items():
        near = pytest.approx(flux, rel=4e-4 if band == "g" else 1e-5)
        assert through[band]["nanomaggies"]["flux"] == near
        assert through[band]["sigma"] > 0
    assert through["u"]["flux"] is None and "0.49 of the band" in through["u"]["note"]
    assert len(found["spectra"]) == 3 and found["says"] == []
    assert all(row["unit"] == found["unit"] for row in found["fluxes"])


def test_other_passbands(cli: Cli, archive: Path, tmp_path: Path) -> None:
    pytest.importorskip("speclite", reason="the extra `curves` is not installed")
    own = plotted(cli, archive, tmp_path)
    other = plotted(cli, archive, tmp_path, "--curves", "sdss2010")

    def of(found: dict[str, Any]) -> dict[str, Any]:
        return {
            row["band"]: row for row in found["fluxes"]
            if row["kind"] == "synthetic" and row["name"] == FIBER
        }  # fmt: skip

    for band in "gri":
        first, second = of(own)[band], of(other)[band]
        # the curves have changed by that little, but they have
        assert 0 < abs(second["nanomaggies"]["flux"] / first["nanomaggies"]["flux"] - 1) < 0.02
        assert 0 < abs(second["wavelength"] - first["wavelength"]) < 10
    done = cli("plot", archive, *STAR, "-o", tmp_path / "star.png", "--curves", "sdss2009")
    assert done.code == 2 and "'sdss2009' is neither a file nor a set" in done.err


def test_the_pixels_under_each_fibre(archive: Path) -> None:
    with open_archive(archive) as opened:
        found = measure(opened, *STAR, exact=True)
        fibres = [flux for flux in found.fluxes if flux.kind == "fibre"]
        assert len(fibres) == 3 * 6
        ra, dec = opened.get(FIBER).spectrum().ra[0], opened.get(FIBER).spectrum().dec[0]  # type: ignore[union-attr]
        for flux in fibres:
            diameter = 2.0 if FIBER in flux.what else 3.0
            # 0.396 arcsec a pixel, to 7e-4
            assert flux.pixels == pytest.approx(np.pi * (diameter / 0.396 / 2) ** 2, rel=3e-3)
            assert flux.coverage == pytest.approx(1.0)
        one = next(f for f in fibres if FIBER in f.what and f.name == "sdss/2820-3-0122/r")
        wcs: Any = opened.get("sdss/2820-3-0122/r").frame().wcs  # type: ignore[union-attr]
        x, y = wcs.all_world2pix(ra, dec, 0)
        assert (one.x, one.y) == pytest.approx((float(x), float(y)), abs=1e-4)


def test_units_and_formats(cli: Cli, archive: Path, tmp_path: Path) -> None:
    base = plotted(cli, archive, tmp_path, "--unit", "nanomaggy", "--any-coverage")
    conversions: dict[str, Callable[[float], float]] = {
        "AB": lambda f: 22.5 - 2.5 * math.log10(f), "Jy": lambda f: f * 3.6307805e-6,
    }  # fmt: skip
    for unit, convert in conversions.items():
        done = cli("plot", archive, *STAR, "-o", tmp_path / "x.svg", "--unit", unit, "-f", "csv",
                   "--any-coverage")  # fmt: skip
        assert done.code == 0, done.err
        rows = list(csv.DictReader(io.StringIO(done.out)))
        assert len(rows) == len(base["fluxes"]) > 40
        for row, other in zip(rows, base["fluxes"], strict=True):
            assert float(row["flux"]) == pytest.approx(convert(other["flux"]), rel=1e-6)
    assert (tmp_path / "x.svg").read_bytes().startswith(b"<?xml")
    synthetic = [row for row in base["fluxes"] if row["kind"] == "synthetic"]
    assert all(row["flux"] is not None for row in synthetic)


def test_objects_of_a_field_with_flux_sigma_and_pull(archive: Path) -> None:
    from corecube.measuring import object_pulls
    from corecube.plugins import load

    caller = load("sdss")
    with open_archive(archive) as opened:
        image = opened.get("sdss/1000-1-0100/r").frame()  # type: ignore[union-attr]
        asked: Any = caller.instrument.config()
        (catalogue,) = caller.call("catalogue", frame=image, config=asked)
        assert len(catalogue.name) == 19 and catalogue.band == "r"
        # three are parents of others: 0 with a weight of 0, which is no measurement
        assert np.isfinite(catalogue.sigma).sum() == np.isfinite(catalogue.flux).sum() == 16
        rows = object_pulls(image, catalogue, 3.0)
        values: dict[str, Any] = {name: rows[name].values for name in rows}
        bright = int(np.argmax(np.where(values["coverage"] == 1.0, values["catalogue"], 0.0)))
        there = measure(opened, float(values["ra"][bright]), float(values["dec"][bright]))
    assert 3 <= len(rows) <= 19
    both = np.hypot(values["catalogue_sigma"], values["aperture_sigma"])
    difference = values["aperture"] - values["catalogue"]
    np.testing.assert_allclose(values["pull"], difference / both)
    listed = [flux for flux in there.fluxes if flux.kind == "catalogue"]
    assert values["catalogue"][bright] in [flux.flux for flux in listed]


def test_where_nothing_lies_nothing_is_drawn(cli: Cli, archive: Path, tmp_path: Path) -> None:
    done = cli("plot", archive, 100, 45, "-o", tmp_path / "no.png")
    assert done.code == 7 and "nothing to draw" in done.err
    assert {path.name for path in tmp_path.iterdir()} == {"no.json"}
    assert json.loads((tmp_path / "no.json").read_text())["fluxes"] == []


def test_an_instrument_without_passbands(cli: Cli, sky: Path, tmp_path: Path) -> None:
    done = cli("plot", sky, 10, -20, "-o", tmp_path / "toy.png")
    assert done.code in (0, 7)
    assert "toy/field/1/g is left out: its instrument gives no passband 'g'" in done.err
    found = json.loads((tmp_path / "toy.json").read_text())
    assert found["fluxes"] == [] and len(found["says"]) >= 2


def test_without_matplotlib_the_numbers_are_written(
    cli: Cli, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = cli("plot", archive, *STAR, "-o", tmp_path / "star.png")
    assert done.code == 0 and "pip install 'corecube[plot]'" in done.err
    assert {path.name for path in tmp_path.iterdir()} == {"star.json"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("-o", "star.gif"), "ends with .png, .svg, .pdf"),
        (("-o", "star.png", "--unit", "STmag"), "is no unit of this command"),
        (("-o", "star.png", "-f", "fits"), "is no format here"),
        (("-o", "no/star.png"), "its folder is missing"),
        (("-o", "star.png", "--aperture", "3"), "the radius '3' has no unit"),
        (("-o", "star.png", "--aperture", "2deg"), "an aperture of"),
    ],
)
def test_wrong_options(
    cli: Cli, archive: Path, arguments: tuple[str, ...], line: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    done = cli("plot", archive, *STAR, *arguments)
    assert done.code == 2 and line in done.err
    assert list(tmp_path.iterdir()) == []


def test_the_panel_and_the_table_have_the_same_fluxes(archive: Path) -> None:
    with open_archive(archive) as opened:
        found = measure(opened, *STAR)
    for scale in SCALES.values():
        panel, table = panel_of(found, scale), table_of(found, scale)
        assert panel is not None
        drawn = np.concatenate([series.y for series in panel.series if series.marks])
        listed = table["flux"].values
        assert sorted(drawn.tolist()) == sorted(listed[np.isfinite(listed)].tolist())
        assert [series.label for series in panel.series if not series.marks] == [
            spectrum.name for spectrum in found.spectra
        ]


def test_a_spectrum_in_other_bins(cli: Cli, archive: Path, tmp_path: Path) -> None:
    """Bins 1000 and 3000 and the integral of 7330 on a grid of HiSS-Cube, computed elsewhere."""
    from astropy.table import Table

    out = tmp_path / "bins"
    name = "7330-56684-0434"
    done = cli("export", archive, name, "--rebin", "3839.7244..8914.597,4620", "-o", out)
    assert done.code == 0, done.err
    (path,) = out.iterdir()
    assert done.out == f"{path}\n"
    table = Table.read(path)
    assert len(table) == 4620
    for place, flux, error in ((1000, 22.077821, 0.66964765), (3000, 15.351455, 0.34243434)):
        assert float(table["flux"][place]) == pytest.approx(flux, rel=2e-7)
        assert float(table["error"][place]) == pytest.approx(error, rel=2e-7)
    width = np.asarray(table["high"] - table["low"]) * np.asarray(table["coverage"])
    kept = np.ma.filled(np.ma.asarray(table["flux"]), np.nan) * width
    assert np.nansum(kept) == pytest.approx(89673.3781, rel=1e-8)
    said = json.loads(table.meta["META"])
    assert 3000 < said["n_eff"] < 4620 and said["spectrum"] == FIBER
    again = cli("export", archive, name, "--rebin", "3839.7244..8914.597,4620", "-o", out)
    assert again.code == 2 and "--force" in again.err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((FIBER, "--rebin", "4000..3000,5"), "is no grid"),
        ((FIBER, "--rebin", "4000..5000"), "is no grid"),
        ((FIBER, "--rebin", "4000..5000,10", "--plain"), "goes with names of spectra"),
        (("--rebin", "4000..5000,10"), "say which spectra"),
        (("2820-3-0122/r", "--rebin", "4000..5000,10"), "is no spectrum"),
    ],
)
def test_bins_that_cannot_be(
    cli: Cli, archive: Path, tmp_path: Path, arguments: tuple[str, ...], line: str
) -> None:
    done = cli("export", archive, *arguments, "-o", tmp_path / "bins")
    assert done.code == 2 and line in done.err
    assert not (tmp_path / "bins").exists()
