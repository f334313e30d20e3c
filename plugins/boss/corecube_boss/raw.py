"""Raw frames (sdR): electrons of the four amplifiers, their overscan subtracted.

Windows, gains and rules are those of idlspec2d v5_7_0, ``pro/spec2d/sdssproc.pro`` and
``pro/spec2d/bolton_biassub.pro``. Not done: bias images, pixel flats, the search for cosmic rays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood
from corecube.fits import Fits, Header
from corecube.frames import Array, Factor, Image
from corecube.masks import value
from corecube.provenance import Provenance
from corecube.shots import Context, ShotPlan
from corecube.times import Times
from corecube_sdssfiles.spec import SECONDS_PER_DAY

SHAPE: Final = (4224, 4352)
"""Rows and columns of a raw frame."""
FIRST_MJD: Final = 55113
"""Until then frames are rotated by 180 degrees and red ones have another format."""
SATURATED: Final = 65535
"""Highest value of the converter, adu."""
OVERSCAN_SPREAD: Final = 1.015
"""Read noise over the rms of the clipped overscan: what clipping at 3 sigma takes away."""
_CLIP: Final = 3.0

Window = tuple[slice, slice]


class Section(NamedTuple):
    """One amplifier's windows, (rows, columns) of the raw frame."""

    data: Window
    overscan: Window


def _sections(
    rows: tuple[int, int, int], columns: tuple[int, int, int], over: tuple[int, int, int, int]
) -> tuple[Section, ...]:
    upper_lower = (slice(rows[0], rows[1]), slice(rows[1], rows[2]))
    left_right = (slice(columns[0], columns[1]), slice(columns[1], columns[2]))
    overscans = (slice(over[0], over[1]), slice(over[2], over[3]))
    return tuple(
        Section((part, left_right[side]), (part, overscans[side]))
        for part in upper_lower for side in (0, 1)
    )  # fmt: skip


SECTIONS: Final = {
    "b": _sections((56, 2112, 4168), (128, 2176, 4224), (10, 68, 4284, 4342)),
    "r": _sections((48, 2112, 4176), (119, 2176, 4233), (10, 101, 4251, 4342)),
}
"""Amplifier q = right + 2 upper: lower left, lower right, upper left, upper right."""

_GAINS: Final[dict[str, tuple[tuple[int, int, tuple[float, ...]], ...]]] = {
    "b1": ((55113, 56857, (1.048, 1.048, 1.018, 1.006)),),
    "b2": ((55113, 56857, (1.040, 0.994, 1.002, 1.010)),),
    "r1": (
        (55113, 55130, (2.63, 2.45, 2.30, 2.72)),
        (55131, 55799, (1.966, 1.566, 1.542, 1.546)),
        (55800, 56857, (1.9253, 1.5122, 1.4738, 1.5053)),
    ),
    "r2": (
        (55113, 55130, (1.89, 1.51, 1.40, 1.44)),
        (55131, 55140, (2.66, 2.53, 2.02, 3.00)),
        (55141, 55299, (1.956, 1.618, 1.538, 1.538)),
        (55300, 56857, (1.598, 1.656, 1.582, 1.594)),
    ),
}
"""First and last MJD, and electrons per adu of the amplifiers; detectors changed in 2014."""

_POOR_BIAS: Final = ("b2", 56152, 3)
"""From this MJD on this amplifier's bias changes from row to row."""


def looks_like_raw(header: Header) -> bool:
    """Tell by the header of HDU 0 whether this is a raw frame of BOSS."""
    return header.get("BITPIX") == 16 and {"CAMERAS", "EXPOSURE", "FLAVOR", "MJD"} <= set(header)


def refusal(header: Header, camera: str) -> str:
    """Say why a raw frame is not taken, "" if it is."""
    mjd = header.integer("MJD")
    if mjd < FIRST_MJD:
        return (
            f"a raw frame of MJD {mjd}: before {FIRST_MJD} the detectors were read in another "
            "format, which is not supported"
        )
    shape = (header.integer("NAXIS2"), header.integer("NAXIS1"))
    if shape != SHAPE:
        return f"a raw frame of {shape} instead of {SHAPE} pixels, which is not supported"
    return ""


def gains(camera: str, mjd: int) -> tuple[float, ...] | None:
    """Return electrons per adu of the four amplifiers, None where not known."""
    for first, last, values in _GAINS[camera]:
        if first <= mjd <= last:
            return values
    return None


def overscan(values: npt.NDArray[Any]) -> tuple[float, float]:
    """Return bias and scatter of an overscan window, adu.

    Around the median first, then around the mean, values beyond 3 rms are left out until none is.

    Parameters
    ----------
    values : number array, any shape
    """
    flat = values.astype(np.float64).ravel()
    centre, spread = float(np.median(flat)), float(flat.std())
    kept = np.ones(flat.shape, bool)
    while True:
        again = np.abs(flat - centre) <= _CLIP * spread
        if np.array_equal(again, kept) or not again.any():
            return centre, spread
        kept = again
        centre, spread = float(flat[kept].mean()), float(flat[kept].std())


def by_amplifier(values: Sequence[float], shape: tuple[int, int], camera: str) -> Any:
    """Return an image (ny, nx) of a value per amplifier, float32."""
    ny, nx = shape
    first = SECTIONS[camera[0]][0].data
    rows = np.arange(ny) >= first[0].stop - first[0].start
    columns = np.arange(nx) >= first[1].stop - first[1].start
    return np.asarray(values, np.float32)[2 * rows[:, None].astype(int) + columns[None, :]]


def read_raw(plan: ShotPlan, entry: str, context: Context) -> Iterator[Image]:
    """Yield the image of one camera, without errors.

    Parameters
    ----------
    plan : ShotPlan
    entry : str
        Camera and exposure.
    context : Context

    Raises
    ------
    FileNotUnderstood
        If the file is damaged.
    """
    (source,) = plan.entries[entry]
    fits = Fits(context.read(source), source.path)
    header = fits.header(0)
    camera = entry.partition("-")[0]
    refused = refusal(header, camera)
    if refused:
        raise FileNotUnderstood(f"{source.path}: {refused}")
    counts = fits.image(0)
    mjd = header.integer("MJD")
    gain = gains(camera, mjd)
    sections = SECTIONS[camera[0]]
    ny = sections[-1].data[0].stop - sections[0].data[0].start
    nx = sections[-1].data[1].stop - sections[0].data[1].start
    flux = np.empty((ny, nx), np.float32)
    mask = np.zeros((ny, nx), np.uint32)
    biases, spreads = [], []
    for number, section in enumerate(sections):
        bias, spread = overscan(counts[section.overscan])
        part = counts[section.data]
        height, width = part.shape
        upper, right = divmod(number, 2)
        where = (
            slice(ny - height, ny) if upper else slice(0, height),
            slice(nx - width, nx) if right else slice(0, width),
        )
        factor = 1.0 if gain is None else gain[number]
        flux[where] = factor * (part.astype(np.float64) - bias)
        mask[where][part >= SATURATED] |= np.uint32(value("saturated"))
        biases.append(bias)
        spreads.append(spread * OVERSCAN_SPREAD * factor)
    unit = "adu" if gain is None else "electron"
    notes = []
    if gain is None:
        notes.append(f"the gain of {camera} on MJD {mjd} is not known: values in adu, no errors")
    name, since, amplifier = _POOR_BIAS
    if camera == name and mjd >= since:
        notes.append(f"the bias of amplifier {amplifier} changes from row to row")
    calibration = {
        "bias": Array(np.array(biases), "adu", ("amplifier",), "Overscan."),
        "readnoise": Array(np.array(spreads), unit, ("amplifier",), "1-sigma, by the overscan."),
    }
    if gain is not None:
        calibration["gain"] = Array(np.array(gain), "electron / adu", ("amplifier",), "Gain.")
    start = header.get("TAI-BEG")
    exptime = header.get("EXPTIME")
    known = isinstance(start, int | float) and isinstance(exptime, int | float)
    begin = float(start) / SECONDS_PER_DAY if isinstance(start, int | float) else np.nan
    length = float(exptime) / SECONDS_PER_DAY if isinstance(exptime, int | float) else np.nan
    yield Image(
        name=entry,
        flux=flux,
        unit=unit,
        mask=mask,
        calibration=calibration,
        band=camera,
        target=str(header.get("NAME", "")).strip(),
        header=header.lines(),
        times=Times(begin, begin + length, "exact" if known else "unknown"),
        provenance=Provenance(
            sources=(PurePath(source.path).name,),
            steps=("overscan of each amplifier subtracted", f"data windows joined, in {unit}"),
            not_modelled=("bias image", "pixel flat", "cosmic rays"),
            notes=tuple(notes),
        ),
    )


def with_errors(image: Image) -> Image:
    """Return a raw image with errors: read noise and the noise of its electrons.

    The variance is ``readnoise^2 + max(flux, 0)``, as in idlspec2d's sdssproc, with the amplifiers
    where they lie on the detector.

    Parameters
    ----------
    image : Image
        In electrons; in adu (gain unknown) it has no errors.
    """
    if image.unit != "electron":
        return image
    shape = (image.flux.shape[0], image.flux.shape[1])
    noise = by_amplifier(image.calibration["readnoise"].values.tolist(), shape, image.band)
    error = np.sqrt(noise * noise + np.maximum(image.flux, 0.0)).astype(image.flux.dtype)
    return replace(
        image,
        error=error,
        provenance=image.provenance.add("errors from read noise and electrons"),
    )


def raw_factors(image: Image) -> Sequence[Factor]:
    """Return the steps from adu to electrons.

    Parameters
    ----------
    image : Image
    """
    shape = (image.flux.shape[0], image.flux.shape[1])
    bias = [-number for number in image.calibration["bias"].values.tolist()]
    steps = [Factor("bias", "add", by_amplifier(bias, shape, image.band), "adu", "overscan")]
    if "gain" in image.calibration:
        gain = by_amplifier(image.calibration["gain"].values.tolist(), shape, image.band)
        source = "idlspec2d v5_7_0, sdssproc"
        steps.append(Factor("gain", "multiply", gain, "electron / adu", source))
    return steps
