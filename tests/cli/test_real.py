"""The questions of the real files, asked on the command line.

Golden values: pixels of the archive's frames by independent means, float64; the error model of the
SDSS data model page "frame".
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Cli = Any

pytestmark = pytest.mark.xdist_group("sdss")

STAR = ("38.301799", "-0.133922")
GALAXY = ("38.265354", "-0.218451")

# image: pixel of the position (x, y), pixels in a cutout of 64, sum of flux, sqrt of the sum of
# variances, maximum (nanomaggies)
STAR_CUTOUTS = {
    "2820-3-0122/u": (781.371366, 489.761344, 4096, 19.7101517, 2.88440745, 1.53125),
    "2820-3-0122/g": (779.327690, 493.102407, 4096, 44.5005503, 1.10974923, 4.2578125),
    "2820-3-0122/r": (778.932435, 482.477051, 4096, 72.8024783, 1.76788929, 8.125),
    "2820-3-0122/i": (777.203324, 485.119212, 4096, 82.9645233, 2.67880438, 10.625),
    "2820-3-0122/z": (777.247006, 489.477413, 4096, 104.901787, 10.7884987, 9.328125),
    "4948-3-0199/u": (758.751341, 318.361839, 4096, 19.7118034, 2.99121704, 0.694335938),
}
GALAXY_CUTOUTS = {
    "2820-3-0122/u": (13.221731, 158.652246, 2880, 6.81544495, 2.40918643, 0.184570312),
    "2820-3-0122/g": (10.444354, 161.973812, 2688, 4.67260885, 0.890133646, 0.0756835938),
    "2820-3-0122/r": (10.473727, 151.327047, 2688, 7.87763214, 1.42778039, 0.179443359),
    "2820-3-0122/i": (8.559396, 153.910281, 2624, 12.0064201, 2.14739552, 0.4765625),
    "2820-3-0122/z": (8.578961, 158.460714, 2624, 34.7387733, 8.66311198, 0.737304688),
    "4948-3-0199/u": (-9.215517, -12.882754, 437, 2.16349411, 0.991528938, 0.16796875),
}


@pytest.fixture(scope="module")
def archive(sdss_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from corecube.pipeline import Options, ingest
    from corecube.plugins import load

    path = tmp_path_factory.mktemp("real") / "s82.corecube"
    caller = load("sdss")
    fields = [sdss_data / name for name in ("2820-3-0122", "4948-3-0199", "spectra")]
    report = ingest(
        [str(field) for field in fields], path, caller, caller.instrument.config(), Options(jobs=2)
    )
    assert report.exit_code() == 0
    return path


def test_the_star_has_three_spectra_and_six_frames(cli: Cli, archive: Path) -> None:
    done = cli("query", archive, *STAR, "--columns", "alias", "-f", "csv")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert {row["alias"] for row in rows if row["kind"] == "fiber"} == {
        "3126-54804-0211", "3127-54835-0622", "7330-56684-0434",
    }  # fmt: skip
    images = {f"{r['shot']}/{r['id']}": r["contains"] for r in rows if r["kind"] == "image"}
    assert images == dict.fromkeys(STAR_CUTOUTS, "True")


def test_one_galaxy_observed_twice(cli: Cli, archive: Path) -> None:
    done = cli("query", archive, "46.5574 -0.3415", "--radius", "2arcsec", "--json")
    found = json.loads(done.out)["fibers"]
    assert {(row["shot"][:10], row["id"]) for row in found} == {
        ("0411-51817", "0119"), ("0411-51873", "0101"),
    }  # fmt: skip


@pytest.mark.parametrize(("position", "expected"), [(STAR, STAR_CUTOUTS), (GALAXY, GALAXY_CUTOUTS)])
def test_cutouts_hold_the_golden_values(
    cli: Cli,
    archive: Path,
    tmp_path: Path,
    position: tuple[str, str],
    expected: dict[str, tuple[float, ...]],
) -> None:
    from astropy.io import fits
    from astropy.wcs import WCS

    done = cli("query", archive, *position, "--cutouts", tmp_path, "--size", 64, "--json")
    assert done.code == 0, done.err
    rows = {f"{row['shot']}/{row['id']}": row for row in json.loads(done.out)["images"]}
    assert set(rows) == set(expected)
    for name, (x, y, pixels, flux, error, maximum) in expected.items():
        with fits.open(rows[name]["file"]) as hdus:
            values, errors = (hdus[k].data.astype(np.float64) for k in ("FLUX", "ERROR"))
            head, wcs = hdus[0].header, WCS(hdus["FLUX"].header)
        assert np.count_nonzero(np.isfinite(values)) == pixels
        assert rows[name]["coverage"] == head["COVERAGE"] == pixels / 4096
        # nine digits are given: half a unit of the last is 5e-9 relative
        assert np.nansum(values) == pytest.approx(flux, rel=1e-8)
        # each error to 5e-7 relative, the rounding of float32
        assert np.sqrt(np.nansum(errors**2)) == pytest.approx(error, rel=5e-7)
        assert np.nanmax(values) == pytest.approx(maximum, rel=1e-8)
        found = wcs.all_world2pix(float(position[0]), float(position[1]), 0)
        first = (np.floor(x + 0.5) - 32, np.floor(y + 0.5) - 32)
        # 1e-6 pixels is how the golden pixels are rounded
        assert np.array(found) + first == pytest.approx((x, y), abs=2e-6)
        assert (head["XFIRST"] - 1, head["YFIRST"] - 1) == first


def test_the_time_of_a_cutout_is_that_of_the_row(cli: Cli, archive: Path, tmp_path: Path) -> None:
    from astropy.io import fits

    done = cli("query", archive, *STAR, "--cutouts", tmp_path, "--band", "r", "--json")
    (row,) = json.loads(done.out)["images"]
    head = fits.getheader(row["file"])
    # middle of the exposure, TAI; the golden value is for the unrounded row, a row is 0.036 s
    middle = (head["MJD-BEG"] + head["MJD-END"]) / 2
    assert middle == pytest.approx(52261.23830938, abs=0.036 / 86400)
    assert (head["MJD-END"] - head["MJD-BEG"]) * 86400 == pytest.approx(53.907456, abs=1e-3)


def test_a_spectrum_file_holds_the_spectrum(cli: Cli, archive: Path, tmp_path: Path) -> None:
    from astropy.table import QTable

    done = cli("query", archive, *STAR, "--spectra", tmp_path, "--json")
    rows = {row["shot"][:4]: row for row in json.loads(done.out)["fibers"]}
    table = QTable.read(rows["7330"]["file"], hdu="SPECTRUM")
    assert {"wavelength", "flux", "error", "mask", "sky", "wdisp", "model", "and_mask"} <= set(
        table.colnames
    )
    assert len(table) == 4628
    assert table["flux"].sum(dtype=np.float64).value == pytest.approx(79817.151730, rel=1e-9)
    errors = np.ma.filled(table["error"].value, np.nan)
    good = np.isfinite(errors)
    assert np.count_nonzero(~good) == 5  # inverse variance 0
    ivar = 1 / errors[good].astype(np.float64) ** 2
    assert ivar.sum() == pytest.approx(10334.950549, rel=5e-7)
    # the grid of integers 35520 to 40147; the file's float32 log10 is up to 2.4e-7 off it
    assert table["wavelength"].value[[0, -1]] == pytest.approx([10**3.5520, 10**4.0147], rel=1e-12)
    assert float(table["flux"].value[114]) == np.float32(30.671822)
    assert errors[114] == pytest.approx(2.932971, rel=5e-7)


def test_show_knows_the_galaxy(cli: Cli, archive: Path) -> None:
    done = cli("show", archive, "0412-51871-0308", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["what"], found["unit"]) == ("fiber", "1e-17 erg / (Angstrom s cm2)")
    assert found["wavelengths"]["first"] == pytest.approx(3825.604, abs=5e-4)
    assert found["statistics"]["flux"]["maximum"] == 477.11658
    assert (found["statistics"]["pixels"], found["statistics"]["valid"]) == (3807, 3807)
    (source,) = found["sources"]
    assert source["path"].endswith("spec-0412-51871-0308.fits.gz") and len(source["sha256"]) == 64


def test_show_replays_the_factors_of_a_frame(cli: Cli, archive: Path) -> None:
    found = json.loads(cli("show", archive, "sdss/2820-3-0122/r", "--json").out)
    statistics = found["statistics"]
    assert statistics["flux"]["maximum"] == 170.75
    assert statistics["flux"]["minimum"] == -0.15307617
    assert statistics["error"]["median"] == pytest.approx(0.02731088616, rel=5e-7)
    assert [(factor["name"], factor["operation"]) for factor in found["factors"]] == [
        ("gain", "divide"), ("sky", "add"), ("flux_per_dn", "multiply"),
    ]  # fmt: skip
    assert found["factors"][0]["minimum"] == 4.72
    assert found["noise check"]["width of pulls"] == pytest.approx(1, abs=0.05)
    assert found["times"]["start UTC"].startswith("2001-12-18T05:41:58")
