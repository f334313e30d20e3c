from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corecube.archive import open_archive
from corecube.masks import PLANES, value
from corecube_cli.fitsfiles import file_name

Cli = Any


def cut(cli: Cli, sky: Path, folder: Path, *more: object) -> dict[str, Path]:
    """Ask for cutouts and give them by the name of the image."""
    done = cli("query", sky, *more, "--cutouts", folder, "--json")
    assert done.code == 0, done.err
    return {
        row["shot"] + "/" + row["id"]: Path(row["file"])
        for row in json.loads(done.out)["images"]
        if row["file"]
    }


def test_a_cutout_is_what_the_archive_gives(cli: Cli, sky: Path, tmp_path: Path) -> None:
    from astropy.io import fits
    from astropy.wcs import WCS

    ra, dec = 10.0012, -20.0008
    files = cut(cli, sky, tmp_path / "cut", f"{ra} {dec}", "--size", 31)
    assert sorted(files) == ["field/1/g", "field/1/r"]
    with open_archive(sky) as archive:
        row: Any = archive.get("toy/field/1/r")
        image, window = row.cutout(ra, dec, 31)
    with fits.open(files["field/1/r"]) as hdus:
        assert [hdu.name for hdu in hdus] == [
            "PRIMARY", "FLUX", "ERROR", "MASK", "BITS_OWN", "PLANES",
        ]  # fmt: skip
        np.testing.assert_array_equal(hdus["FLUX"].data, image.flux)
        np.testing.assert_array_equal(hdus["ERROR"].data, image.error)
        np.testing.assert_array_equal(hdus["MASK"].data, image.mask)
        np.testing.assert_array_equal(hdus["BITS_OWN"].data, image.bits["own"].values)
        head = hdus[0].header
        # the position's pixel by astropy, for each array
        for name in ("FLUX", "ERROR", "MASK", "BITS_OWN"):
            x, y = WCS(hdus[name].header).all_world2pix(ra, dec, 1)
            assert (x, y) == pytest.approx((head["XPOS"], head["YPOS"]), abs=1e-6)
        assert (x, y) == pytest.approx((16, 16), abs=0.5)
        assert hdus["FLUX"].header["BUNIT"] == hdus["ERROR"].header["BUNIT"] == "nanomaggy"
        assert (head["RA"], head["DEC"], head["COVERAGE"]) == (ra, dec, window.coverage)
        assert 0 < window.coverage < 1 and np.isnan(hdus["FLUX"].data).any()
        outside = (hdus["MASK"].data & value("outside")) != 0
        assert outside.mean() == pytest.approx(1 - window.coverage)
        assert np.array_equal(np.isnan(hdus["FLUX"].data), outside)
        assert (head["INSTRUME"], head["SHOT"], head["IMAGE"]) == ("toy", "field/1", "r")
        assert (head["TIMESYS"], head["MJD-BEG"], head["MJD-END"]) == ("TAI", 52000.0, 52000.001)
        assert head["DATE-BEG"] == "2001-04-01T00:00:00.000"
        history = "".join(head["HISTORY"])
        assert "source r.toy" in history and "corecube query" in history
        assert hdus["MASK"].header["BIT2"] == "saturated"
        assert hdus["BITS_OWN"].header["BIT1"] == "b"
        planes = hdus["PLANES"].data
        assert [name for name in planes["plane"][: len(PLANES)]] == [p.name for p in PLANES]
        assert list(planes["array"][len(PLANES) :]) == ["BITS_OWN", "BITS_OWN"]


def test_a_cutout_is_read_as_ccddata(cli: Cli, sky: Path, tmp_path: Path) -> None:
    from astropy.nddata import CCDData
    from astropy.units import UnitsWarning

    file = cut(cli, sky, tmp_path / "cut", "10 -20")["field/1/g"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)  # the standard does not have nanomaggy
        data = CCDData.read(file, hdu="FLUX")
    assert data.shape == (64, 64) and str(data.unit) in ("nmgy", "nanomaggy")
    assert data.wcs is not None


def test_an_image_beyond_the_cutout_is_said_and_left_out(
    cli: Cli, sky: Path, tmp_path: Path
) -> None:
    done = cli("query", sky, "10.05 -20", "--radius", "5arcmin", "--cutouts", tmp_path / "c")
    assert done.code == 0
    assert "toy/field/1/r: no pixel of it lies in the cutout; none is written" in done.err
    assert list((tmp_path / "c").iterdir()) == []


def test_a_spectrum_is_what_the_archive_gives(cli: Cli, sky: Path, tmp_path: Path) -> None:
    from astropy.io import fits
    from astropy.table import QTable
    from astropy.units import UnitsWarning

    folder = tmp_path / "spectra"
    done = cli("query", sky, "10 -20", "--spectra", folder, "--exposures", "--json")
    assert done.code == 0, done.err
    rows = {row["group"] + "/" + row["id"]: row for row in json.loads(done.out)["fibers"]}
    assert len(rows) == len(list(folder.iterdir())) == 6
    with open_archive(sky) as archive:
        row: Any = archive.get("toy/plate/1/stars/a-1")
        fibers = row.spectrum()
    file = rows["stars/a-1"]["file"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)  # the standard does not have nanomaggy
        table = QTable.read(file, hdu="SPECTRUM")
    assert table.colnames == ["wavelength", "flux", "error", "mask"]
    np.testing.assert_array_equal(table["wavelength"].value, np.linspace(4000, 5000, 6))
    np.testing.assert_array_equal(table["flux"].value, fibers.flux[0])
    np.testing.assert_array_equal(table["error"].value, fibers.error[0])
    assert str(table["wavelength"].unit) == "Angstrom"
    assert table["mask"].dtype.kind in "ui"
    with fits.open(file) as hdus:
        head = hdus[0].header
        assert (head["RA"], head["DEC"]) == (10.0001, -20.0)
        assert (head["GROUP"], head["FIBER"], head["OBJECT"]) == ("stars", "a-1", "T1")
        assert (head["MJD-BEG"], head["MJD-END"]) == (52001.0, 52001.5)
        assert hdus["SPECTRUM"].header["MEDIUM"] == "air"
        values = hdus["FIBER"].data[0]
        assert (values["alias"], values["class"], values["count"]) == ("plate-1-a-1", "QSO", 1)


def test_files_that_are_there_stay_unless_forced(cli: Cli, sky: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    words = ("query", sky, "10 -20", "--cutouts", folder)
    assert cli(*words).code == 0
    one, other = sorted(folder.iterdir())
    one.write_text("mine", encoding="utf-8")
    other.unlink()
    done = cli(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(
        f"{one} is there already; give --force to replace them, or another folder\n"
    )
    assert one.read_text(encoding="utf-8") == "mine" and not other.exists()
    assert cli(*words, "--force").code == 0
    assert one.stat().st_size > 1000 and other.exists()


def test_a_file_where_the_folder_should_be(cli: Cli, sky: Path, tmp_path: Path) -> None:
    (tmp_path / "cut").write_text("x", encoding="utf-8")
    done = cli("query", sky, "10 -20", "--cutouts", tmp_path / "cut")
    assert done.code == 2
    assert done.err.endswith("cut: is a file; name a folder\n")


def test_targets_of_a_file_have_cutouts_of_their_own(cli: Cli, sky: Path, tmp_path: Path) -> None:
    targets = tmp_path / "t.csv"
    targets.write_text("name,ra,dec\n../star 1,10,-20\n,10,-20\n", encoding="utf-8")
    folder = tmp_path / "cut"
    done = cli("query", sky, f"@{targets}", "--cutouts", folder, "--spectra", folder, "-q")
    assert done.code == 0, done.err
    names = sorted(path.name for path in folder.iterdir())
    assert names == [
        "toy_field-1_g_row2_J004000.00-200000.0.fits",
        "toy_field-1_g_star-1_J004000.00-200000.0.fits",
        "toy_field-1_r_row2_J004000.00-200000.0.fits",
        "toy_field-1_r_star-1_J004000.00-200000.0.fits",
        "toy_plate-1_stars_a-0.fits",
        "toy_plate-1_stars_a-1.fits",
    ]


@given(st.lists(st.lists(st.text(max_size=300), min_size=1, max_size=4), max_size=8))
def test_names_of_files_are_safe_and_differ(parts: list[list[str]]) -> None:
    taken: set[str] = set()
    names = [file_name(*part, taken=taken) for part in parts]
    assert len({name.lower() for name in names}) == len(names)
    for name in names:
        assert name.isascii() and len(name) < 200 and name.endswith(".fits")
        assert not set(name) & set('/\\:*?"<>| \0') and not name.startswith((".", "-"))
