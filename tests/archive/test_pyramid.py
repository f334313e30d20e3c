"""Pyramids against sums in float64, block by block, and against values of real frames."""

# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corecube.archive import pyramid
from corecube.masks import EXCLUDING
from corecube.pipeline import Options, ingest
from corecube.plugins import load


def brute(
    flux: npt.NDArray[Any], error: npt.NDArray[Any], mask: npt.NDArray[Any], level: int
) -> tuple[npt.NDArray[Any], ...]:
    """Mean, error, planes and coverage of each block in float64."""
    size = 2**level
    shape = tuple(-(-n // size) for n in flux.shape)
    good = ((mask & np.uint32(EXCLUDING)) == 0) & np.isfinite(flux)
    mean, sigma, coverage = (np.full(shape, np.nan) for _ in range(3))
    planes = np.zeros(shape, "u4")
    for y, x in np.ndindex(*shape):
        part = np.s_[y * size : (y + 1) * size, x * size : (x + 1) * size]
        use = good[part]
        coverage[y, x] = use.sum() / size**2
        planes[y, x] = np.bitwise_or.reduce(mask[part], axis=None)
        if use.any():
            mean[y, x] = flux[part][use].astype("f8").sum() / use.sum()
            sigma[y, x] = np.sqrt((error[part][use].astype("f8") ** 2).sum()) / use.sum()
    return mean, sigma, planes, coverage


@settings(max_examples=25)
@given(
    st.integers(256, 300),
    st.integers(1, 600),
    st.booleans(),
    st.sampled_from(["none", "informing", "excluding", "nan", "whole block"]),
    st.integers(0, 99),
    st.sampled_from(["f4", "f8"]),
)
def test_levels_are_block_means(
    ny: int, nx: int, turned: bool, how: str, seed: int, dtype: str
) -> None:
    shape = (nx, ny) if turned else (ny, nx)
    rng = np.random.default_rng(seed)
    flux = rng.normal(1, 3, shape).astype(dtype)
    error = rng.uniform(0.5, 2, shape).astype(dtype)
    mask = np.zeros(shape, "u4")
    some = rng.random(shape) < 0.2
    if how == "informing":
        mask[some] = 1 << 8
    elif how == "excluding":
        mask[some] = 1 << 3
        mask[rng.random(shape) < 0.1] |= 1 << 12
    elif how == "nan":
        flux[some] = np.nan
    elif how == "whole block":
        mask[: shape[0] // 2, : shape[1] // 2] = 1
    found = list(pyramid.levels(flux, error, mask))
    assert [level.level for level in found] == list(range(1, pyramid.level_count(shape) + 1))
    assert found and max(found[-1].flux.shape) >= 128
    # float32 sums of up to 16 x 16 values: a few times 6e-8 of the values' own size
    near = 1e-6 if dtype == "f4" else 1e-13
    for level in found:
        mean, sigma, planes, coverage = brute(flux, error, mask, level.level)
        assert level.flux.dtype == level.error.dtype == np.dtype(dtype)
        np.testing.assert_allclose(level.flux, mean, rtol=0, atol=10 * near)
        np.testing.assert_allclose(level.error, sigma, rtol=near)
        if level.mask is None:
            assert not planes.any()
        else:
            assert np.array_equal(level.mask, planes)
        stored = level.coverage
        if stored is None:
            stored = pyramid.size_coverage((shape[0], shape[1]), level.level)
        assert np.array_equal(stored, coverage.astype("f4"))


def test_small_images_have_no_levels() -> None:
    for shape in [(1, 1), (255, 255), (100, 3)]:
        flux = np.ones(shape, "f4")
        assert list(pyramid.levels(flux, flux, np.zeros(shape, "u4"))) == []


# frame, level: shape, median sigma, robust width, (F, sigma) at [ny//2, nx//2], sigma of last row
# (means of blocks in float64 of frames of data release 8 with the table's gain)
LEVELS = [
    ("r-002820-3-0122", 1, (745, 1024), 0.0136608651, 0.014217, -0.0022373199, 0.013633839, 0.019299536),
    ("r-002820-3-0122", 2, (373, 512), 0.0068294966, 0.007426, -0.0078143179, 0.0067897661, 0.013636509),
    ("r-002820-3-0122", 3, (187, 256), 0.00341439737, 0.004039, -0.0001443997, 0.0034131304, 0.0096446705),
    ("r-002820-3-0122", 4, (94, 128), 0.0017071373, 0.002402, 4.8141927e-05, 0.0017069662, 0.0068215433),
    ("u-004948-3-0199", 1, (745, 1024), 0.0232498308, 0.023133, 0.010688782, 0.023482415, 0.03281665),
    ("u-004948-3-0199", 2, (373, 512), 0.0116229294, 0.011622, -0.0031707883, 0.011524097, 0.023250333),
    ("u-004948-3-0199", 3, (187, 256), 0.00581108271, 0.005937, -0.0038879514, 0.0057563376, 0.016464848),
    ("u-004948-3-0199", 4, (94, 128), 0.00290565287, 0.003200, -0.0010945946, 0.002888951, 0.011651848),
]  # fmt: skip


@pytest.fixture(scope="module")
def stored(sdss_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The two frames in an archive, opened."""
    import corecube

    path = tmp_path_factory.mktemp("pyramid") / "a.corecube"
    caller = load("sdss")
    config = caller.instrument.config(gain="table")
    frames = [str(next(sdss_data.rglob(f"frame-{label}.fits.bz2"))) for label in
              ("r-002820-3-0122", "u-004948-3-0199")]  # fmt: skip
    ingest(frames, path, caller, config, Options())
    with corecube.open(path) as archive:
        yield archive


@pytest.mark.xdist_group("sdss")
@pytest.mark.parametrize("row", LEVELS, ids=lambda row: f"{row[0]} level {row[1]}")
def test_stored_pyramids_of_real_frames(stored: Any, row: tuple[Any, ...]) -> None:
    label, level, shape, median, width, mean, sigma, last = row
    band, run, camcol, field = label.split("-")
    shot = stored.shot(f"sdss/{int(run)}-{camcol}-{field}")
    flux, error = (
        shot.read(f"/images/{band}/pyramid/{level}/{name}") for name in ("flux", "error")
    )
    assert flux.shape == error.shape == shape
    # those written down have 6 to 9 digits; float32 has 6e-8
    assert np.median(error) == pytest.approx(median, rel=5e-7)
    low, high = np.percentile(flux, [15.865525, 84.134475])
    # half the distance of the percentiles, written down with six decimals
    assert (high - low) / 2 == pytest.approx(width, abs=1.1e-6)
    middle = shape[0] // 2, shape[1] // 2
    assert flux[middle] == pytest.approx(mean, rel=2e-6, abs=2e-9)
    assert error[middle] == pytest.approx(sigma, rel=5e-7)
    assert np.median(error[-1]) == pytest.approx(last, rel=5e-7)
    # what the levels hold adds up to the image
    coverage = pyramid.size_coverage((1489, 2048), level)
    assert np.allclose(coverage[-1], 0.5**level) and np.allclose(coverage[:-1], 1)
    total = (flux.astype("f8") * coverage).sum() * 4**level
    assert total == pytest.approx(shot.read(f"/images/{band}/flux").sum(dtype="f8"), rel=1e-6)


@pytest.mark.parametrize(("wanted", "count"), [(None, 1), (0, 0), (3, 3), (20, 9)])
@pytest.mark.parametrize("profile", ["plain", "small"])
def test_an_archive_has_the_levels_that_were_asked_for(
    tmp_path: Path, wanted: int | None, count: int, profile: str
) -> None:
    import corecube
    from corecube.archive.verify import verify
    from corecube.errors import ConfigurationError

    caller = load("sdss")
    options = {"rows": 64, "columns": 300, "stars": 1, "bands": "r", "spectra": 0, "packed": False}
    (tmp_path / "raw").mkdir()
    caller.call("simulate", directory=tmp_path / "raw", options=options, seed=3)
    path, config = tmp_path / "a.corecube", caller.instrument.config()
    paths = [str(tmp_path / "raw")]
    ingest(paths, path, caller, config, Options(levels=wanted, profile=profile))
    with corecube.open(path) as archive:
        (record,) = archive.state.catalogue.by_identity.values()
        shot = archive.shot(record)
        assert shot.image("r")["levels"] == count
        stored = {name.split("/")[4] for name in shot.description["arrays"] if "/pyramid/" in name}
        expected = range(1, count + 1) if profile == "plain" else ()
        assert stored == {str(number) for number in expected}
        for number in range(1, count + 1):  # 300 columns: a single pixel at level 9
            level = shot.level("r", number)
            assert level.flux.shape == (-(-64 >> number), -(-300 >> number))
        assert not any(damages for _, damages in verify(archive))
    if wanted is not None:
        for other in (None, wanted):
            ingest(paths, path, caller, config, Options(levels=other))
        with pytest.raises(ConfigurationError, match=f"stores {wanted} levels of each image"):
            ingest(paths, path, caller, config, Options(levels=wanted + 1))
