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

from corecube.archive.regions import Box
from corecube.errors import QueryError

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


# the first row of the 64 x 64 squares of STAR_CUTOUTS, and their first column
SQUARES = {
    "2820-3-0122/u": (749, 458), "2820-3-0122/g": (747, 461), "2820-3-0122/r": (747, 450),
    "2820-3-0122/i": (745, 453), "2820-3-0122/z": (745, 457), "4948-3-0199/u": (727, 286),
}  # fmt: skip
# level of 7330-56684-0434: bins, first bin, median sigma, coverage of the first bin, middle bin
# with F and sigma (1e-17 erg / (Angstrom s cm2))
LEVELS_OF_7330 = [
    (0, 4628, 35520, 0.71720007, 1.000000, 37834, 18.635702, 0.67367532),
    (1, 2314, 17760, 0.50802949, 0.499942, 18917, 19.077381, 0.47597218),
    (2, 1157, 8880, 0.36049770, 0.750029, 9458, 18.725981, 0.34296703),
    (3, 579, 4440, 0.25544864, 0.875072, 4729, 18.767276, 0.23961184),
    (4, 290, 2220, 0.18270137, 0.937594, 2365, 19.286499, 0.16732248),
]  # fmt: skip
# lag 1 and 2 of (flux - model) / error of faint objects, two decimals
CORRELATIONS = {
    "0411-51817-0119": (0.13, -0.02), "0411-51873-0101": (0.14, -0.03),
    "5290-55862-0984": (0.21, -0.11), "4500-55543-0331": (0.22, -0.10),
    "4238-55455-0037": (0.23, -0.10),
}  # fmt: skip


def test_a_cube_of_the_star_at_half_resolution(cli: Cli, archive: Path, tmp_path: Path) -> None:
    from corecube.archive import open_archive
    from corecube.archive.cubefiles import read_cube
    from corecube.archive.names import ImageRow

    for suffix in ("h5", "fits"):
        done = cli("query", archive, *STAR, "--size", 64, "--level", 1, "--cube",
                   tmp_path / f"star.{suffix}")  # fmt: skip
        assert done.code == 0, done.err
        assert "9 parts at level 1" in done.err
    with open_archive(archive) as opened:
        parts = list(opened.cube(" ".join(STAR), size=64, level=1))
        for suffix in ("h5", "fits"):
            _, back = read_cube(tmp_path / f"star.{suffix}")
            assert all(a.equals(b) for a, b in zip(parts, back, strict=True))
        assert {part.unit for part in parts} == {"nanomaggy"}
        images = {part.name.removeprefix("sdss/"): part for part in parts if part.kind == "image"}
        assert set(images) == set(SQUARES)
        for name, (x0, y0) in SQUARES.items():
            row = opened.get(f"sdss/{name}")
            assert isinstance(row, ImageRow)
            part, whole = images[name], row.frame()
            assert whole.error is not None
            (top, bottom), (left, right) = part.about["pixels"].values()
            assert (top, left) == (y0 // 2 * 2, x0 // 2 * 2)
            assert (bottom, right) == ((y0 + 65) // 2 * 2, (x0 + 65) // 2 * 2)
            level_0 = whole.flux[top:bottom, left:right].sum(dtype="f8")
            # the acceptance's own figure; float32 means of four have 6e-8
            total = (part.flux.astype("f8") * part.coverage).sum() * 4
            assert total == pytest.approx(level_0, rel=1e-6)
            variance = (whole.error[top:bottom, left:right].astype("f8") ** 2).sum()
            found = ((part.error.astype("f8") * part.coverage) ** 2).sum() * 16
            assert found == pytest.approx(variance, rel=1e-6)
        spectra = [part for part in parts if part.kind == "spectrum"]
        assert sorted(part.first[0] for part in spectra) == [35520 // 2, 35802 // 2, 35820 // 2]
        # the same star: r of its images is 70.9 nanomaggies within 7 arcsec
        for part in spectra:
            assert part.wavelength is not None
            at_r = np.nanmedian(part.flux[np.abs(part.wavelength - 6166) < 100])
            assert 55 < at_r < 75


@pytest.mark.parametrize("row", LEVELS_OF_7330, ids=lambda row: f"level {row[0]}")
def test_levels_of_a_spectrum(archive: Path, row: tuple[Any, ...]) -> None:
    from corecube.archive import open_archive

    level, bins, first, sigma, covered, middle, flux, error = row
    with open_archive(archive) as opened:
        cube = opened.cube(" ".join(STAR), level=level, unit="stored", where="plate == 7330")
        (part,) = (part for part in cube if part.kind == "spectrum")
    assert (part.flux.size, part.first) == (bins, (first,))
    assert np.nanmedian(part.error) == pytest.approx(sigma, rel=5e-7)
    assert part.coverage[0] == pytest.approx(covered, abs=6e-7)
    assert part.edges is not None
    place = middle - first
    assert part.flux[place] == pytest.approx(flux, rel=1e-7)
    assert part.error[place] == pytest.approx(error, rel=5e-7)
    assert part.edges[place] == pytest.approx(10 ** ((middle * 2**level - 0.5) / 1e4), rel=1e-12)


def test_correlations_of_neighbouring_pixels(archive: Path) -> None:
    from corecube.archive import open_archive
    from corecube.archive.cubes import Cube

    with open_archive(archive) as opened:
        names = [row.name for row in opened.find("0411-51817-0119")]
        assert names == ["sdss/0411-51817-26/coadd/0119"]
        result = opened.everything(instruments=["sdss"], where="plate > 0")
        found = {}
        for part in Cube(opened, result, None, 1, None, "stored"):
            if part.kind == "spectrum":
                _, key, _, fiber = part.name.split("/")
                found[f"{key.rsplit('-', 1)[0]}-{fiber}"] = part.about
    for name, lags in CORRELATIONS.items():
        about = found[name]
        # golden to two decimals
        assert (about["lag1"], about["lag2"]) == pytest.approx(lags, abs=0.0101)
        # of two pixels: 1 + rho1
        assert about["bin variance over independent"] == pytest.approx(1 + about["lag1"])


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--level", 1), "--level belongs to --cube FILE"),
        (("--wavelength", "1..2"), "--wavelength belongs to --cube FILE"),
        (("--cube", "a.txt"), "a cube is written as .h5, .hdf5, .fits, .fit"),
        (("--cube", "nowhere/a.h5"), "its folder is missing"),
        (("--cube", "{}/a.h5", "--level", 99), "level 99 is not possible"),
        (("--cube", "{}/a.h5", "--wavelength", "7000..4000"), "the lower first"),
        (("--cube", "{}/a.h5", "--wavelength", "blue"), "two wavelengths in Angstrom"),
        (("--cube", "{}/a.h5", "--unit", "Jy"), "unit 'Jy' is none of"),
        (("--pixels", "41,0.5"), "--pixels belongs to --cube FILE"),
        (("--bins", "own"), "--bins belongs to --cube FILE"),
        (("--weighted",), "--weighted belongs to --cube FILE"),
        (("--cube", "{}/a.h5", "--pixels", "41"), "--pixels '41': give how many along each side"),
        (("--cube", "{}/a.h5", "--pixels", "4.5,1"), "--pixels '4.5,1': give how many"),
        (("--cube", "{}/a.h5", "--pixels", "0,1"), "a grid of 0 pixels of 1 arcsec is not"),
        (("--cube", "{}/a.h5", "--pixels", "9,nan"), "of nan arcsec is not possible"),
        (("--cube", "{}/a.fits", "--bins", "all"), "or 'own' for the bins"),
        (("--cube", "{}/a.fits", "--bins", "7000..4000,9"), "--bins '7000..4000,9' is no grid"),
        (("--cube", "{}/a.fits", "--bins", "10..9000,2"), "the first bin reaches below 0"),
    ],
)
def test_cubes_that_cannot_be(
    cli: Cli, archive: Path, tmp_path: Path, options: tuple[Any, ...], line: str
) -> None:
    given = [str(option).format(tmp_path) for option in options]
    done = cli("query", archive, *STAR, *given)
    assert done.code == 2 and line in done.err, done.err
    assert done.err.count("error:") == 1
    assert not list(tmp_path.glob("a.*"))


def test_common_pixels_need_a_position(cli: Cli, archive: Path, tmp_path: Path) -> None:
    done = cli("query", archive, "--box", "38.30,38.31,-0.14,-0.13", "--cube", tmp_path / "a.h5",
               "--pixels", "41,0.5")  # fmt: skip
    assert done.code == 2 and "--pixels needs a position" in done.err
    assert not list(tmp_path.glob("a.*"))


@pytest.mark.parametrize(
    ("wavelength", "bands"),
    [
        # where the curves of June 2001 are above 1 % of their peak: u 3048 to 4028, g 3783 to 5549,
        # r 5415 to 6989, i 6689 to 8389, z 7960 to 10833
        ("3000..11000", "giruuz"), ("4040..5300", "g"), ("5560..6680", "r"), ("3900..3990", "guu"),
        ("8600..9200", "z"), ("5420..5540", "gr"), ("11000..12000", ""),
    ],
)  # fmt: skip
def test_wavelengths_choose_images_of_a_cube(
    cli: Cli, archive: Path, tmp_path: Path, wavelength: str, bands: str
) -> None:
    from corecube.archive.cubefiles import read_cube

    done = cli("query", archive, *STAR, "--cube", tmp_path / "a.h5", "--wavelength", wavelength)
    assert done.code == 0, done.err
    about, parts = read_cube(tmp_path / "a.h5")
    images = [part for part in parts if part.kind == "image"]
    assert "".join(sorted(part.band for part in images)) == bands
    assert len(about["other bands"]) == 6 - len(images) and about["unknown bands"] == []
    left = 6 - len(bands)
    assert (f"{left} image{'s' * (left > 1)} in other bands left out" in done.err) == (left > 0)


def test_a_cube_on_common_grids(cli: Cli, archive: Path, tmp_path: Path) -> None:
    """By the command as in Python, in both formats; flux is kept."""
    from corecube.archive import open_archive
    from corecube.archive.cubefiles import read_cube, read_stacks
    from corecube.archive.names import FiberRow
    from corecube.photometry.rebinning import centred_edges, rebin_fiber

    edges = centred_edges(3600.0, 10400.0, 4620)
    with open_archive(archive) as opened:
        cube = opened.cube(" ".join(STAR), size=80, unit="stored", weighted=True)
        expected = {
            "own": (cube.on_bins(), cube.on_bins(weighted=True)),
            "3600..10400,4620": (cube.on_bins(edges), cube.on_bins(edges, weighted=True)),
        }
        assert expected["own"][0].flux.shape == (3, 40147 - 35520 + 1)
        pixels = cube.on_pixels(41, 0.5)
        (row,) = opened.find("7330-56684-0434")
        assert isinstance(row, FiberRow)
        star = row.spectrum()
    for bins, suffix in (("own", "h5"), ("3600..10400,4620", "fits")):
        path = tmp_path / f"star.{suffix}"
        done = cli("query", archive, *STAR, "--size", 80, "--unit", "stored", "--cube", path,
                   "--pixels", "41,0.5", "--bins", bins, "--weighted")  # fmt: skip
        assert done.code == 0, done.err
        assert "12 parts at level 0, and on common pixels and bins, written" in done.err
        assert "warning" not in done.err
        kinds = [part.kind for part in read_cube(path)[1]]
        assert kinds == ["image"] * 6 + ["spectrum", "weighted"] * 3
        stacks = read_stacks(path)
        assert stacks["pixels"].equals(pixels)
        assert stacks["bins"].equals(expected[bins][0])
        assert stacks["weighted"].equals(expected[bins][1])
    given = stacks["bins"]
    (place,) = (k for k, name in enumerate(given.names) if "/7330-" in name)
    alone = rebin_fiber(star, 0, edges)  # as `corecube export --rebin` gives it
    assert np.allclose(given.flux[place], alone.flux, rtol=1e-12, equal_nan=True)
    assert np.allclose(given.coverage[place], alone.coverage, rtol=1e-12)
    assert star.error is not None
    width = np.diff(10 ** ((np.arange(35520, 40149) - 0.5) / 1e4))
    good = np.isfinite(star.error[0])
    low, high = (10 ** ((k - 0.5) / 1e4) for k in (35520, 40148))
    assert low < edges[0] and edges[-1] > high  # the grid begins within, and ends beyond
    inside = 10 ** ((np.arange(35520, 40148) - 0.5) / 1e4) >= edges[0]
    whole = (star.flux[0].astype("f8") * width)[good & inside].sum()
    found = np.nansum(given.flux[place] * given.coverage[place] * np.diff(edges))
    # but for the one pixel that the first edge cuts: less than its flux
    assert found == pytest.approx(whole, abs=float(star.flux[0].max() * width.max()))


def test_common_pixels_that_were_not_read_are_told(cli: Cli, archive: Path, tmp_path: Path) -> None:
    ask = ("query", archive, *STAR, "--cube", tmp_path / "a.h5", "--pixels", "61,0.5")
    done = cli(*ask)
    assert done.code == 0 and "beyond the squares of 64 pixels; a size of " in done.err
    size = done.err.split("a size of ")[1].split()[0]
    again = cli(*ask, "--size", size, "--force")
    assert again.code == 0 and "warning" not in again.err


def test_the_frames_of_the_star_on_common_pixels(archive: Path) -> None:
    from corecube.archive import open_archive

    with open_archive(archive) as opened:
        stack = opened.cube(" ".join(STAR), size=80).on_pixels(41, 0.5)
        spectra = opened.cube(" ".join(STAR), level=3).on_bins()
        with pytest.raises(QueryError, match="one position"):
            opened.cube(Box(38.30, 38.31, -0.14, -0.13)).on_pixels(41, 0.5)
        cube = opened.cube(" ".join(STAR), size=40)
        whole = {
            part.name: (part.flux * part.coverage).sum(dtype="f8")
            for part in cube
            if part.kind == "image"
        }
        wide = cube.on_pixels(61, 0.5)  # all of the squares lies in it
    assert stack.flux.shape == (6, 41, 41) and (stack.coverage > 0.999).all()
    for name, flux, coverage in zip(wide.names, wide.flux, wide.coverage, strict=True):
        found = np.nansum(flux * coverage) * wide.about["area"][name]
        assert found == pytest.approx(whole[name], rel=1e-6)
        assert stack.about["pixels"][name] == pytest.approx(3.0, abs=0.05)
    # the star is in the middle of all six, within the 0.5 arcsec of a pixel and the proper motion
    for name, flux in zip(stack.names, stack.flux, strict=True):
        row, column = (int(k) for k in np.unravel_index(int(np.argmax(flux)), flux.shape))
        assert max(abs(row - 20), abs(column - 20)) <= 1, name
        # within 7.36 arcsec of the star; golden values by another program
        y, x = np.mgrid[:41, :41] - 20.0
        near = np.hypot(x, y) * 0.5 < 7.36
        total = flux[near].sum() * stack.about["area"][name]
        golden = {"u": 19.937, "g": 48.990, "r": 70.892, "i": 83.230, "z": 87.266}
        # another edge of the circle, the sky's noise there
        assert total == pytest.approx(golden[name[-1]], rel=0.04), name
    assert spectra.flux.shape == (3, (40147 >> 3) - (35520 >> 3) + 1)
    assert spectra.left_out == ()
