"""Ingest against the method of the notebook on SDSS errors (HiSS-Cube), on the same frames.

Its steps are made again here, with the libraries that it uses or their like: the packed frame by
astropy, the sky grid interpolated at all pixels at once by scipy (order 1, nearest outside), the
calibration vector tiled, counts, electrons, their error, the error in nanomaggies and error to
signal; four more levels by linear resampling, "sigma halved" at each; flux and error of all levels
as (y, x, 2) float32 into one HDF5 file, neither packed nor checked nor forced to the disk. Then its
errors are compared with ours, and for noise of these errors the spread of level 4 with what each
says of it.
"""

from __future__ import annotations

import bz2
import io
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ingest import Ingest
from measuring import Figure, Result, by_turns, frames

Float = npt.NDArray[Any]

LEVELS = 4
SAME = 5e-7
"""Relative: what the errors of level 0 may differ by."""


def measure(scratch: Path, quick: bool) -> Result:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    which, packed = frames(scratch, 1 if quick else 4)
    ingest = Ingest(scratch / "ingest")
    for path in packed[:2]:
        ingest.run([path])
    target = scratch / "notebook.h5"

    def theirs() -> None:
        for path in packed:
            store(target, steps(*opened(path)))
            target.unlink()

    seconds = by_turns(
        {"ours": lambda: ingest.run(packed), "theirs": theirs}, 2 if quick else 5
    )  # fmt: skip
    each = 1e3 / len(packed)
    label = f"{which}: notebook's steps"
    return [
        Figure(f"{label}, a frame", seconds["theirs"] * each, "ms"),
        Figure(f"{which}: ingest, a frame", seconds["ours"] * each, "ms"),
        Figure(f"{which}: ingest / notebook's steps", seconds["ours"] / seconds["theirs"], "times"),
        *_compared(packed[0], which, scratch),
    ]


def opened(path: Path) -> tuple[Float, Float, Any, float, float]:
    """Return image, calibration vector, sky table, gain and dark variance of a packed frame."""
    from astropy.io import fits

    from corecube_sdss.frames import read_frame
    from corecube_sdss.noise import from_table

    data = bz2.decompress(path.read_bytes())
    electronics = from_table(read_frame(data).identity)
    with fits.open(io.BytesIO(data)) as hdus:
        return (
            np.asarray(hdus[0].data, np.float64), np.asarray(hdus[1].data, np.float64),
            hdus[2].data[0], electronics.gain, electronics.dark_variance,
        )  # fmt: skip


def steps(
    image: Float, calibration: Float, sky: Any, gain: float, dark: float
) -> list[tuple[Float, Float]]:
    """Return flux and error of all levels, by the steps of the notebook."""
    from scipy.ndimage import map_coordinates

    grid = np.asarray(sky["ALLSKY"], np.float64)
    places = np.meshgrid(np.ravel(sky["YINTERP"]), np.ravel(sky["XINTERP"]), indexing="ij")
    background = map_coordinates(grid, places, order=1, mode="nearest")
    tiled = np.tile(calibration, (image.shape[0], 1))
    counts = image / tiled + background
    electrons = counts * gain
    error = np.sqrt(counts / gain + dark) * tiled
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = error / image
    ratio[~np.isfinite(ratio)] = 0.0
    assert electrons.shape == ratio.shape
    return resampled(image, error)


def resampled(image: Float, error: Float) -> list[tuple[Float, Float]]:
    """Return all levels from level 0 on: linear, "sigma halved"."""
    from scipy.ndimage import zoom

    # as OpenCV places pixels: their outer edges meet
    half = partial(zoom, zoom=0.5, order=1, mode="nearest", grid_mode=True)
    levels = [(image, error)]
    for _ in range(LEVELS):
        flux, sigma = levels[-1]
        levels.append((half(flux), half(sigma) / 2))
    return levels


def store(path: Path, levels: list[tuple[Float, Float]]) -> None:
    """Write levels as the notebook's database does."""
    import tables

    with tables.open_file(str(path), "w") as file:
        for number, (flux, error) in enumerate(levels):
            both = np.stack([flux, error], axis=-1).astype(np.float32)
            file.create_array("/", f"level_{number}", both)


def _compared(path: Path, which: str, scratch: Path) -> Result:
    """Compare errors of level 0 with theirs, and those of the last level with known noise."""
    from corecube.archive import pyramid
    from corecube.archive.reader import Archive
    from corecube.archive.writer import create
    from corecube.pipeline import Options, ingest

    archive = scratch / "compared.corecube"
    caller = Ingest(scratch / "caller").caller
    create(archive)
    config = caller.instrument.config(gain="table")  # as the notebook
    ingest([str(path)], archive, caller, config, Options(jobs=1))
    theirs = steps(*opened(path))[0][1]
    with Archive(archive) as opening:
        record = next(iter(opening.state.catalogue.by_number.values()))
        (name,) = record.images
        error = opening.shot(record).read(f"/images/{name}/error")
    apart = float(np.nanmax(np.abs(error / theirs - 1)))
    noise = np.random.default_rng(1).normal(0.0, error).astype(np.float32)
    *_, ours = pyramid.levels(noise, error, np.zeros(noise.shape, np.uint32), LEVELS)
    spread = {
        "ours": np.std(ours.flux / ours.error),
        "notebook's": np.std(np.divide(*resampled(noise, error)[-1])),
    }
    return [
        Figure(f"{which}: errors of level 0, largest difference", apart, "", SAME),
        *(
            Figure(f"{which}: noise / its error at level {LEVELS}, {name}", float(value), "times")
            for name, value in spread.items()
        ),
    ]
