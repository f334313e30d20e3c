"""What the simulation put in comes out again, and the errors are those of the physics."""

from __future__ import annotations

import ast
import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import corecube_sdss
from corecube.errors import ConfigurationError
from corecube.frames import Fibers, Image
from corecube.masks import valid, value
from corecube_sdss import plugin
from corecube_sdss.sky import sky_image


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, read_frames: Any) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("simulated")
    options = {"rows": 400, "columns": 400, "stars": 12, "spectra": 3, "packed": False}
    truth = plugin.corecube_simulate(folder, options, 20)
    frames = read_frames(*(folder / name for name in truth["files"]))
    images = {frame.band: frame for frame in frames if isinstance(frame, Image)}
    fibers = {frame.id[0]: frame for frame in frames if isinstance(frame, Fibers)}
    return {"truth": truth, "images": images, "fibers": fibers}


def test_the_companion_gives_the_true_electronics(world: dict[str, Any]) -> None:
    for band, image in world["images"].items():
        for name, number in world["truth"]["electronics"][band].items():
            assert float(image.calibration[name].values) == pytest.approx(number, rel=1e-6)


@pytest.mark.parametrize("band", "ugriz")
def test_pulls_with_the_true_variance(
    tmp_path_factory: pytest.TempPathFactory, read_frames: Any, band: str
) -> None:
    folder = tmp_path_factory.mktemp("empty")
    options = {
        "stars": 0,
        "spectra": 0,
        "bands": band,
        "packed": False,
        "rows": 512,
        "columns": 512,
    }
    truth = plugin.corecube_simulate(folder, options, 11)
    (image,) = read_frames(*(folder / name for name in truth["files"]))
    electronics = truth["electronics"][band]
    factor = image.calibration["flux_per_dn"].values.astype(np.float64)
    level = sky_image(*(image.calibration[name].values for name in ("sky", "sky_x", "sky_y")))
    sigma = factor * np.sqrt(level / electronics["gain"] + electronics["dark_variance"])
    good = valid(image.mask)
    pulls = image.flux[good] / sigma[good]
    # 262,128 pixels: the mean scatters by 0.002, the width by 0.0014; counts are rounded, which
    # adds 1/12 DN^2 (0.2 to 0.8 % of the variance).
    assert abs(pulls.mean()) < 0.01
    assert abs(pulls.std() - 1.0) < 0.01
    # The quoted error comes from the noisy counts; its mean square is the true variance.
    assert_allclose(
        np.mean(image.error[good].astype(float) ** 2 / sigma[good] ** 2), 1.0, atol=0.005
    )
    check = plugin.corecube_check_noise(image, plugin.corecube_instrument().config())
    assert check is not None and check.width == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("band", "ugriz")
def test_fluxes_and_places_of_stars(world: dict[str, Any], band: str) -> None:
    image = world["images"][band]
    y, x = np.mgrid[: image.flux.shape[0], : image.flux.shape[1]]
    good = valid(image.mask)
    checked = 0
    stars = world["truth"]["sources"]
    for star in stars:
        column, row = star["pixel"][band]
        assert_allclose(
            image.wcs.wcs_world2pix(star["ra"], star["dec"], 0), (column, row), atol=1e-6
        )
        near = (x - column) ** 2 + (y - row) ** 2 < 8.0**2
        distance = [np.hypot(*np.subtract(other["pixel"][band], (column, row))) for other in stars]
        if not good[near].all() or sorted(distance)[1] < 20:
            continue
        total = image.flux[near].sum(dtype=np.float64)
        error = np.sqrt((image.error[near].astype(np.float64) ** 2).sum())
        # 5 sigma, and 1e-3 for floats of ten binary digits.
        assert abs(total - star["flux"][band]) < 5 * error + 1e-3 * star["flux"][band]
        checked += 1
    assert checked >= 6


def test_dead_pixels_have_a_negative_variance(world: dict[str, Any]) -> None:
    for band, image in world["images"].items():
        dead = np.zeros(image.flux.shape, bool)
        for pixel in world["truth"]["dead_pixels"]:
            if pixel["band"] == band:
                dead[pixel["y"], pixel["x"]] = True
        assert dead.sum() == 16
        assert np.array_equal((image.mask & value("negative_variance")) != 0, dead)
        assert np.array_equal((image.mask & value("no_error")) != 0, dead)
        assert np.array_equal(np.isnan(image.error), dead)


def test_spectra(world: dict[str, Any]) -> None:
    assert len(world["truth"]["spectra"]) == 3
    for spectrum in world["truth"]["spectra"]:
        fibers = world["fibers"][spectrum["id"]]
        star = world["truth"]["sources"][spectrum["source"]]
        assert_allclose((fibers.ra[0], fibers.dec[0]), (star["ra"], star["dec"]), rtol=1e-14)
        assert fibers.wave.first == spectrum["first"]
        good = valid(fibers.mask[0])
        assert np.flatnonzero(~good).tolist() == spectrum["no_data"]
        pulls = (fibers.flux[0] - np.array(spectrum["flux"]))[good] / fibers.error[0][good]
        assert abs(pulls.mean()) < 0.075  # 5 sigma of 4594 pixels
        assert abs(pulls.std() - 1) < 0.052
        columns = {column.name: part[0] for column, part in fibers.columns.items()}
        assert columns["spectroflux_r"] == pytest.approx(star["flux"]["r"], rel=1e-6)


def test_fields_of_a_run_follow_each_other(tmp_path: Path, read_frames: Any) -> None:
    """Three fields of full height: the rows that two share show the same sky at the same time."""
    options = {"fields": 3, "columns": 64, "stars": 40, "bands": "r", "spectra": 4, "packed": False}
    truth = plugin.corecube_simulate(tmp_path, options, 5)
    assert [name.partition("-")[0] for name in truth["files"]] == [
        *(["frame", "psField"] * 3), *(["spec"] * 4),
    ]  # fmt: skip
    numbers = [one["field"] for one in truth["fields"]]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    assert [spectrum["source"] for spectrum in truth["spectra"]] == [0, 40, 80, 1]
    frames = read_frames(*(tmp_path / name for name in truth["files"] if "spec" not in name))
    assert len(frames) == 3
    for first, second in pairwise(frames):
        x, y = np.array([3.0, 40.0]), np.array([1370.0, 1480.0])
        there = first.wcs.wcs_pix2world(x, y, 0)
        # a hundredth of a pixel: rows are great circles in each field's own tangent plane
        assert_allclose(second.wcs.wcs_pix2world(x, y - 1361, 0), there, rtol=0, atol=1.1e-6)
        assert_allclose(first.times.start[1361:], second.times.start[:128], rtol=0, atol=2e-9)
    shared = [star for star in truth["sources"] if star["field"] != numbers[-1]]
    shared = [star for star in shared if star["pixel"]["r"][1] > 1361 + 20]
    assert len(shared) >= 3
    for star in shared:
        second = frames[numbers.index(star["field"]) + 1]
        x, y = np.array(star["pixel"]["r"]) - (0, 1361)
        rows, columns = np.mgrid[: second.flux.shape[0], : second.flux.shape[1]]
        near = np.hypot(columns - x, rows - y) < 6.0
        error = float(np.sqrt((second.error[near].astype(float) ** 2).sum()))
        found = float(second.flux[near].sum(dtype=float))
        # at least the star; others may be near
        assert found > star["flux"]["r"] * 0.99 - 5 * error


def test_nan_pixels_are_no_data(small_field: dict[str, Any], read_frames: Any) -> None:
    path = small_field["folder"] / small_field["files"][0]
    content = bytearray(path.read_bytes())
    from corecube.fits import Fits

    start = Fits(bytes(content)).data_offset(0)
    assert start is not None
    for place, number in ((0, np.nan), (81, np.inf), (65, -np.inf)):
        content[start + 4 * place : start + 4 * place + 4] = np.array(number, ">f4").tobytes()
    path.write_bytes(content)
    (frame,) = read_frames(path)
    lost = np.zeros(frame.flux.shape, bool)
    lost.flat[[0, 81, 65]] = True
    assert np.array_equal((frame.mask & value("no_data")) != 0, lost)
    assert np.isnan(frame.error[lost]).all()


def digests(folder: Path, seed: int) -> dict[str, str]:
    folder.mkdir()
    options = {"rows": 64, "columns": 64, "stars": 1, "bands": "r", "spectra": 1, "packed": True}
    files = plugin.corecube_simulate(folder, options, seed)["files"]
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}


def test_a_seed_fixes_everything(tmp_path: Path) -> None:
    first, again, other = (
        digests(tmp_path / name, seed) for name, seed in zip("abc", (1, 1, 2), strict=True)
    )
    assert first == again
    assert not set(first) & set(other)
    assert not set(first.values()) & set(other.values())


@pytest.mark.parametrize(
    "options",
    [{"rows": 5}, {"bands": "x"}, {"star": 3}, {"spectra": 99}, {"fields": 0}, {"fields": 401}],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        plugin.corecube_simulate(tmp_path, options, 1)


def test_the_simulation_shares_no_code_with_the_reading_side() -> None:
    folder = Path(corecube_sdss.__file__).parent
    for name in ("simulate.py", "simulated_files.py"):
        modules = set()
        for node in ast.walk(ast.parse((folder / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                modules |= {node.module, *(f"{node.module}.{part.name}" for part in node.names)}
        assert not {
            m for m in modules if m.startswith("corecube_sdss") and "simulated_files" not in m
        } - {"corecube_sdss"}
