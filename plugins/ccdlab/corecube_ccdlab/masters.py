"""Masters of a night and setup: bias, darks, flats and arcs, combined with their errors.

The variance of the median of N equal Gaussian values is c_N sigma^2 / N with c_N of the order
statistics (`corecube_ccdlab.statistics.median_factor`); N is what is left in each pixel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FrameError
from corecube.frames import Array, Image
from corecube.masks import MaskArray, valid, value
from corecube.provenance import Provenance
from corecube.shots import Shot
from corecube.times import Times
from corecube_ccdlab.calibrate import spread
from corecube_ccdlab.detector import Detector, from_plan
from corecube_ccdlab.flats import master_flat
from corecube_ccdlab.means import mean_image
from corecube_ccdlab.settings import CcdlabConfig
from corecube_ccdlab.statistics import clipped, combine, median_factor, pair_noise

_SATURATED: Final = np.uint32(value("saturated"))
HOT: Final = 5.0
"""Standard deviations above the median of a master dark beyond which a pixel is hot."""


@dataclass(frozen=True)
class Stack:
    """The frames of a shot, one over the other.

    Attributes
    ----------
    frames : tuple of Image
        Without their pixels: only what belongs to them.
    flux : float32 array (n, ny, nx)
    valid : bool array (n, ny, nx)
        Saturated pixels count: what is brighter than the others is a lower limit, and leaving it
        out would make the median too low.
    noise : float64 array (amplifier,)
        Of one frame, ADU: the scatter of the difference of neighbours in time, over sqrt(2). NaN
        where there is no pair, or the amplifier is dead.
    pairs : int
    """

    frames: tuple[Image, ...]
    flux: npt.NDArray[np.floating[Any]]
    valid: npt.NDArray[np.bool_]
    noise: npt.NDArray[np.float64]
    pairs: int


def derive_masters(shot: Shot, config: CcdlabConfig) -> Iterator[Image]:
    """Yield the masters of a shot.

    Parameters
    ----------
    shot : Shot
        Of calibration frames of one type and setup.
    config : CcdlabConfig
    """
    kinds = {
        sources[0].kind for entry, sources in shot.plan.entries.items() if entry in shot.images
    }
    detector = next(iter(from_plan(shot.plan.settings).values()))
    names = [entry for entry in shot.plan.entries if entry in shot.images]
    if not names:
        return
    for kind in sorted(kinds):
        if kind == "bias":
            yield _bias(_stacked(shot, names), config)
        elif kind == "dark":
            yield _dark(_stacked(shot, names), detector, config)
        elif kind == "flat":
            yield master_flat([shot.frame(name) for name in names], detector, config)
        elif kind == "arc" and len(names) > 1:  # a single one is its own master
            yield mean_image([shot.frame(name) for name in names], "arc")


def _stacked(shot: Shot, names: Sequence[str]) -> Stack:
    frames, planes, good, squares = [], [], [], []
    before: Image | None = None
    for name in names:
        image = shot.frame(name)
        assert image.mask is not None
        planes.append(image.flux)
        good.append(valid(image.mask & ~_SATURATED))
        if len({plane.shape for plane in planes}) != 1:
            raise FrameError(f"{shot.identity}: frames of different sizes cannot be combined")
        if before is not None:
            squares.append(_pair(before, image))
        frames.append(replace(image, layers={}))  # the large arrays are not kept twice
        before = image
    live = ~frames[0].calibration["dead"].values.astype(bool)
    noise = np.sqrt(np.mean(squares, axis=0)) if squares else np.full(live.shape, np.nan)
    return Stack(
        tuple(frames), np.stack(planes), np.stack(good), np.where(live, noise, np.nan), len(squares)
    )


def _pair(first: Image, second: Image) -> list[float]:
    """Return the variance of one of two equal frames in each amplifier, of their counts."""
    assert first.mask is not None and second.mask is not None
    both = valid(first.mask) & valid(second.mask)
    one, other = (frame.layers["counts"].values.astype(np.float32) for frame in (first, second))
    return [
        pair_noise(one[y0:y1, x0:x1], other[y0:y1, x0:x1], both[y0:y1, x0:x1]) ** 2
        for x0, x1, y0, y1 in first.calibration["amplifiers"].values.tolist()
    ]


def _bias(stack: Stack, config: CcdlabConfig) -> Image:
    noise, pairs = stack.noise, stack.pairs
    if pairs:
        said = f"Read noise, measured from {pairs} {'pair' if pairs == 1 else 'pairs'} of biases."
    else:
        # a single bias has no partner; what its overscan scatters by is the next best
        first = stack.frames[0].calibration
        noise = np.where(first["dead"].values, np.nan, first["overscan_std"].values)
        said = "Read noise, scatter of the overscan of a single bias."
    image = _combined("bias", stack, noise, config)
    calibration = dict(image.calibration)
    calibration["read_noise"] = Array(noise, "adu", ("amplifier",), said)
    calibration |= _overscans(stack)
    return replace(image, calibration=calibration)


def _dark(stack: Stack, detector: Detector, config: CcdlabConfig) -> Image:
    first = stack.frames[0]
    noise, pairs = stack.noise, stack.pairs
    if pairs:
        said = f"Noise of one dark, dark current included, measured from {pairs} pairs of darks."
    else:
        given = first.calibration.get("read_noise")
        if given is not None:
            noise = given.values.astype(np.float64)
        said = "Noise of one dark: " + (given.description if given is not None else "not known.")
    image = _combined("dark", stack, noise, config)
    mask = image.mask
    assert mask is not None and image.error is not None
    good = valid(mask)
    calibration = dict(image.calibration)
    if "bias" in first.calibration:
        calibration["bias"] = first.calibration["bias"]
        calibration["bias_error"] = first.calibration["bias_error"]
        bias = first.calibration["bias_error"].values.astype(np.float64)
        image = replace(image, error=np.hypot(image.error, bias).astype(np.float32))
    else:
        middle = float(np.median(image.flux[good] if good.any() else image.flux))
        calibration["pedestal"] = Array(
            np.array(middle),
            "adu",
            (),
            "Median of the master dark: pedestal and mean dark current.",
        )
        calibration["dark_noise"] = Array(noise, "adu", ("amplifier",), said)
    scatter = clipped(image.flux[good] if good.any() else image.flux)
    hot = image.flux > np.median(image.flux) + HOT * scatter.std
    mask = mask | np.where(hot, np.uint32(value("bad_detector")), np.uint32(0))
    calibration |= _overscans(stack)
    return replace(
        image,
        mask=mask,
        calibration=calibration,
        provenance=image.provenance.add(
            f"{int(hot.sum())} pixels are hot, {HOT:g} sigma above the median"
        ),
    )


def _combined(
    name: str, stack: Stack, noise: npt.NDArray[np.float64], config: CcdlabConfig
) -> Image:
    """Combine frames in ADU; `noise` is that of one frame, per amplifier."""
    flux, count, factor = combine(stack.flux, stack.valid, config.combine)
    first = stack.frames[0]
    per_amp = Array(noise, "adu", ("amplifier",))
    one = np.square(spread(first, per_amp))
    one = one * (1.0 + spread(first, first.calibration["overscan_factor"]))
    error = np.sqrt(np.broadcast_to(one, flux.shape) * factor).astype(np.float32)
    mask = _mask([f.mask for f in stack.frames], count)
    full = sum((f.mask & _SATURATED != 0).astype(int) for f in stack.frames if f.mask is not None)
    mask[full > len(stack.frames) / 2] |= _SATURATED
    factor_one = median_factor(len(stack.flux)) if config.combine == "median" else 1.0
    return Image(
        name=name,
        flux=flux.astype(np.float32),
        error=error,
        mask=mask,
        unit="adu",
        calibration={
            "amplifiers": first.calibration["amplifiers"],
            "exposure_time": first.calibration["exposure_time"],
        },
        header=first.header,
        band=first.band,
        times=_span(stack.frames),
        provenance=Provenance(
            sources=tuple(s for f in stack.frames for s in f.provenance.sources),
            parents=tuple(f.name for f in stack.frames),
            steps=(
                f"{config.combine} of {len(stack.flux)} frames, {factor_one:.5f} times the "
                "variance of a mean of equal frames",
            ),
            not_modelled=("steps of integers in the median of counts without an overscan",),
            notes=_notes(stack.frames),
        ),
    )


def _mask(masks: Sequence[MaskArray | None], count: npt.NDArray[np.intp]) -> MaskArray:
    """Return the planes of pixels that no frame has a valid value of."""
    empty = count == 0
    mask = np.zeros(count.shape, np.uint32)
    for one in masks:
        if one is not None and empty.any():
            mask[empty] |= one[empty]
    return mask


def _overscans(stack: Stack) -> dict[str, Array]:
    """Return levels and scatters of the frames' overscans, for reports."""
    found = {}
    for name in ("overscan_mean", "overscan_std"):
        values = np.stack([f.calibration[name].values for f in stack.frames])
        found[f"{name}s"] = Array(
            values, "adu", ("frame", "amplifier"), f"{name.replace('_', ' ')} of the parents."
        )
    return found


def _span(frames: Sequence[Image]) -> Times:
    spans = [frame.times.span for frame in frames]
    return Times(
        min(start for start, _ in spans), max(end for _, end in spans), frames[0].times.quality
    )


def _notes(frames: Sequence[Image]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(note for frame in frames for note in frame.provenance.notes))
