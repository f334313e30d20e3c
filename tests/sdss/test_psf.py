"""The PSF of psField files against their own width, the stars of frames, and a simulation."""

from __future__ import annotations

import gzip
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import shift
from scipy.optimize import minimize

from corecube import plugins
from corecube.errors import FileNotUnderstood, FrameError
from corecube.frames import Frame, Image
from corecube_sdss import psf
from corecube_sdss.companions import psfield_psf
from corecube_sdss.frames import FILTERS, Field

PIXEL = 0.396
"""Arcsec."""

WIDTHS = {
    "2583-2-0136": (1.4685947, 1.3028142, 1.0475932, 0.9986453, 1.1490082),
    "1000-1-0100": (2.9513147, 2.2504225, 3.0552585, 3.0966740, 2.3121126),
}
"""psf_width of the files, arcsec, in the order of the filters."""


def effective_width(values: npt.NDArray[Any]) -> float:
    """Return the FWHM of the Gaussian of as many effective pixels, arcsec."""
    pixels = values.sum() ** 2 / (values**2).sum()
    return float(2.0 * math.sqrt(2.0 * math.log(2.0)) * math.sqrt(pixels / 4.0 / math.pi) * PIXEL)


def empty(band: str, arrays: Any) -> Image:
    origin = {"origin": type(arrays[psf.WIDTH])(np.zeros(2, np.int32), "pix", ("axis",), "")}
    return Image(
        name=band, flux=np.zeros((2, 2), np.float32), unit="nanomaggy",
        calibration=arrays | origin,
    )  # fmt: skip


@pytest.mark.parametrize("key", WIDTHS)
def test_it_is_as_wide_as_its_file_says(sdss_data: Path, key: str) -> None:
    run, camcol, field = (int(part) for part in key.split("-"))
    (path,) = (sdss_data / key).glob("psField-*")
    content = gzip.decompress(path.read_bytes())
    for band, width in zip(FILTERS, WIDTHS[key], strict=True):
        arrays = psfield_psf(content, Field(run, camcol, field, band))
        made = psf.psf_at(empty(band, arrays), 1023.5, 744.0)
        assert arrays[psf.EIGENIMAGES].values.shape == (4, 51, 51)
        assert made.sum() == pytest.approx(1.0, abs=1e-12)
        assert divmod(int(made.argmax()), 51) == (25, 25)
        assert float(arrays[psf.WIDTH].values) == pytest.approx(width, rel=1e-6)
        # the file's is of a fit to the inner profile: 1 to 5 % less than of all 51 x 51 pixels
        assert 0 < effective_width(made) / width - 1 < 0.055


def likeness(seen: npt.NDArray[Any], model: npt.NDArray[Any]) -> float:
    """Return how well a star is its model, moved by less than a pixel: their correlation."""
    middle, reach = len(model) // 2, len(seen) // 2
    part = slice(middle - reach, middle + reach + 1)

    def moved(by: npt.NDArray[Any]) -> float:
        return float(np.corrcoef(seen.ravel(), shift(model, by, order=3)[part, part].ravel())[0, 1])

    return -float(minimize(lambda by: -moved(by), [0.0, 0.0], method="Nelder-Mead").fun)


@pytest.mark.parametrize(("x", "y"), [(453, 97), (506, 127)])
def test_stars_of_a_frame_look_like_it(
    sdss_data: Path, read_frames: Callable[..., Any], x: int, y: int
) -> None:
    folder = sdss_data / "2583-2-0136"
    (image,) = read_frames(*folder.glob("frame-*"), *folder.glob("psField-*"))
    around = image.flux[y - 15 : y + 16, x - 15 : x + 16].astype(np.float64)
    seen = (around - np.median(around))[8:-8, 8:-8]
    model = psf.psf_at(image, x, y)
    # what is left are the noise and the neighbours in the cluster
    assert likeness(seen, model) > 0.998
    for other in (model[::-1], model[:, ::-1], model.T):
        assert likeness(seen, other) < likeness(seen, model)


def test_the_simulation_says_its_own(tmp_path: Path, read_frames: Callable[..., Any]) -> None:
    options = {"bands": "r", "rows": 128, "columns": 128, "stars": 1, "spectra": 0}
    plugins.load("sdss").call("simulate", directory=tmp_path, options=options, seed=5)
    frames: list[Frame] = read_frames(*tmp_path.glob("*.fit*"))
    (image,) = frames
    assert isinstance(image, Image)
    made = psf.psf_at(image, 3.0, 100.0)
    sigma = 1.3 / (1.1e-4 * 3600.0) / 2.3548
    edges = np.arange(-25.5, 26.0)
    share = np.diff([0.5 * math.erf(e / sigma / math.sqrt(2.0)) for e in edges])
    # float32 in the file; the simulation cuts its stars at 6 sigma
    np.testing.assert_allclose(made, np.outer(share, share), rtol=0, atol=2e-7)
    assert float(image.calibration[psf.WIDTH].values) == pytest.approx(
        effective_width(made), rel=1e-3
    )


def test_weights_are_polynomials_of_row_and_column(sdss_data: Path) -> None:
    """Against the sum written out, with the half pixel and the powers that the file counts."""
    from astropy.io import fits

    (path,) = (sdss_data / "2583-2-0136").glob("psField-*")
    arrays = psfield_psf(gzip.decompress(path.read_bytes()), Field(2583, 2, 136, "g"))
    image = empty("g", arrays)
    with fits.open(path) as file:
        table = file[2].data
        for x, y in ((0.0, 0.0), (2047.0, 12.5), (300.25, 1488.0)):
            total = np.zeros((51, 51))
            for row in table:
                weight = sum(
                    float(row["c"][i, j]) * ((y + 0.5) / 1000) ** i * ((x + 0.5) / 1000) ** j
                    for i in range(row["nrow_b"]) for j in range(row["ncol_b"])
                )  # fmt: skip
                total += weight * np.asarray(row["RROWS"], np.float64).reshape(51, 51)
            np.testing.assert_allclose(psf.psf_at(image, x, y), total / total.sum(), atol=1e-12)


def test_without_psfield_there_is_none(image: Callable[[str], Image]) -> None:
    with pytest.raises(FrameError, match="image 'r' has no PSF; ingest it with the psField"):
        psf.psf_at(image("r-002820-3-0122"), 0.0, 0.0)


def test_eigenimages_of_another_size_are_refused(sdss_data: Path) -> None:
    (path,) = (sdss_data / "2583-2-0136").glob("psField-*")
    from astropy.io import fits

    changed = io.BytesIO()
    with fits.open(path) as file:
        file[1].data["RNROW"][:] = 50
        file.writeto(changed)
    with pytest.raises(FileNotUnderstood, match="eigenimages of u are not 50 x 51"):
        psfield_psf(changed.getvalue(), Field(2583, 2, 136, "u"), "psField")
