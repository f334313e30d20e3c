"""What only sdss can report: sky, counts and electrons of a frame, and the terms of its error."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.figures import Figures, Panel, Series, Subject, block_means
from corecube.frames import Array, Image
from corecube.masks import valid
from corecube.shots import Shot
from corecube_sdss.imaging import noise_inputs
from corecube_sdss.noise import NoiseInputs
from corecube_sdss.sky import sky_image
from corecube_sdssfiles.specfigures import spectrum_figures

_TOGETHER: Final = 16
"""Columns whose scatter is taken together: it is then known to 0.5 %."""

_CLIP: Final = 4.0
"""Differences beyond so many predicted sigma are sources; a normal distribution loses 0.05 %."""

FloatArray = npt.NDArray[np.float64]


def report(shot: Shot, subject: Subject) -> Figures | None:
    """Return the figures of an image or a spectrum; a field or a plate has none of its own."""
    if subject.kind == "image":
        return image_figures(shot.frame(subject.name))
    if subject.kind == "fiber":
        return spectrum_figures(shot.rows(subject.name, subject.row, subject.row + 1))
    return None


def image_figures(image: Image) -> Figures:
    """Return sky grid, sky image, counts, electrons and the terms of the error of a frame.

    Counts are ``flux / flux_per_dn + sky``, as in `corecube_sdss.noise`; they are whole numbers
    but for the rounding of the file's floats to ten binary digits.

    Parameters
    ----------
    image : Image
        From the archive.
    """
    inputs = noise_inputs(image.calibration)
    good = np.isfinite(image.flux)
    if image.mask is not None:
        good &= valid(image.mask)
    sky = sky_image(inputs.sky, inputs.sky_x, inputs.sky_y)
    counts = image.flux / inputs.flux_per_dn.astype(np.float64)[None, :] + sky
    kept = counts[good]
    variance = counts / inputs.gain + inputs.dark_variance
    terms, measured = _terms(counts, good, inputs)
    shares = float(np.median(kept)) / inputs.gain if kept.size else np.nan
    numbers: dict[str, Any] = {
        "gain": {"value": _each(inputs.gain), "unit": "electron / adu"},
        "dark variance": {"value": _each(inputs.dark_variance), "unit": "adu2"},
        "sky": {"median": float(np.median(sky)), "unit": "adu"},
        "sky grid": {"shape": list(inputs.sky.shape)},
        "counts": {
            "median": float(np.median(kept)) if kept.size else None,
            "minimum": float(kept.min()) if kept.size else None,
            "maximum": float(kept.max()) if kept.size else None,
            "below zero": int(np.count_nonzero(kept < 0)),
            "median distance from whole numbers": _from_whole(kept),
            "unit": "adu",
        },
        "variance of the median counts": {
            "photons": _each(shares), "dark": _each(inputs.dark_variance), "unit": "adu2",
        },
        "scatter over predicted error": measured,
    }  # fmt: skip
    error = np.sqrt(np.where(variance > 0, variance, np.nan))
    panels = (*_pictures(image, inputs, sky, counts, error, good), terms)
    return Figures(numbers, panels, _arrays(inputs, sky, counts, error))


def _arrays(
    inputs: NoiseInputs, sky: FloatArray, counts: FloatArray, error: FloatArray
) -> dict[str, Array]:
    """Return what the errors are made of: the core reports flux, error and error to signal."""
    pixels = ("y", "x")
    said = "DN = flux / flux per DN + sky."
    return {
        "sky grid": Array(inputs.sky, "adu", ("sky_y", "sky_x"), "Sky that was subtracted."),
        "sky": Array(sky, "adu", pixels, "The grid, interpolated to the pixels."),
        "counts": Array(counts, "adu", pixels, said),
        "electrons": Array(counts * inputs.gain, "electron", pixels, "Counts times gain."),
        "counts error": Array(
            error, "adu", pixels, "sqrt(counts / gain + dark variance); NaN where that is not > 0."
        ),
    }


def _each(value: float | FloatArray) -> float | list[float]:
    """Return the value of a chip, or of the amplifiers of its first and last column."""
    return value if isinstance(value, float) else [float(value[0]), float(value[-1])]


def _from_whole(counts: FloatArray) -> float | None:
    return float(np.median(np.abs(counts - np.rint(counts)))) if counts.size else None


def _pictures(
    image: Image,
    inputs: NoiseInputs,
    sky: FloatArray,
    counts: FloatArray,
    error: FloatArray,
    good: npt.NDArray[np.bool_],
) -> tuple[Panel, ...]:
    grid = inputs.sky.astype(np.float64)
    whole = np.where(good, counts, np.nan)
    shown = [
        ("sky-grid", "Sky grid of the file", "sky", grid, "adu", False),
        ("sky", "Sky that was subtracted", "sky", sky, "adu", False),
        ("counts", "Counts, flat-fielded, with sky", "counts", whole, "adu", True),
        ("electrons", "Electrons with sky", "electrons", whole * inputs.gain, "electron", True),
        (
            "counts-error",
            "Error (1 sigma) of the counts",
            "error",
            np.where(good, error, np.nan),
            "adu",
            True,
        ),
    ]
    panels = []
    for name, title, label, values, unit, log in shown:
        means, block = block_means(values)
        of = f", means of {block} x {block} pixels" if block > 1 else ""
        frame = name != "sky-grid"
        panels.append(
            Panel(
                name=name,
                title=f"{title}, {image.name}{of}",
                kind="image",
                series=(Series(label, means, valid=np.isfinite(means)),),
                x_label="column" if frame else "column of the grid",
                y_label="row" if frame else "row of the grid",
                x_unit="pix",
                y_unit=unit,
                log=log,
                block=block,
            )
        )
    return tuple(panels)


def _terms(
    counts: FloatArray, good: npt.NDArray[np.bool_], inputs: NoiseInputs
) -> tuple[Panel, float | None]:
    """Return the error's terms along the columns beside the scatter of neighbouring rows.

    Where two amplifiers read a chip, the scatter steps at column 1024, and the prediction only if
    each has values of its own.
    """
    photons = np.maximum(counts, 0.0) / inputs.gain
    variance = photons + inputs.dark_variance
    difference = counts[1:] - counts[:-1]
    expected = variance[1:] + variance[:-1]
    both = good[1:] & good[:-1] & (np.abs(difference) < _CLIP * np.sqrt(expected))
    squares = _by_columns(np.where(both, difference, 0.0) ** 2)
    predicted = _by_columns(np.where(both, expected, 0.0))
    pairs = _by_columns(both.astype(np.float64))
    dark = np.sqrt(np.broadcast_to(inputs.dark_variance, counts.shape[1])[::_TOGETHER])
    with np.errstate(invalid="ignore", divide="ignore"):
        scatter = np.sqrt(squares / pairs / 2.0)
        quoted = np.sqrt(predicted / pairs / 2.0)
        photon = np.sqrt(np.maximum(quoted**2 - dark**2, 0.0))
    x = (np.arange(scatter.size) + 0.5) * _TOGETHER - 0.5
    lines = (("scatter of rows", scatter), ("error", quoted), ("photons", photon), ("dark", dark))
    series = tuple(Series(label, y, x, valid=np.isfinite(y)) for label, y in lines)
    panel = Panel(
        name="error-terms",
        title="Terms of the error and the scatter of neighbouring rows over sqrt(2), "
        f"means of {_TOGETHER} columns",
        kind="lines",
        series=series,
        x_label="column",
        x_unit="pix",
        y_label="1 sigma",
        y_unit="adu",
    )
    total = float(predicted.sum())
    return panel, float(np.sqrt(squares.sum() / total)) if total else None


def _by_columns(values: FloatArray) -> FloatArray:
    """Sum all rows and some neighbouring columns."""
    columns = values.sum(axis=0)
    return np.asarray(np.add.reduceat(columns, np.arange(0, columns.size, _TOGETHER)))
