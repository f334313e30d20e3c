"""Means of exposures that were calibrated with the same masters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from corecube.errors import FrameError
from corecube.frames import Array, Image
from corecube.masks import valid
from corecube.provenance import Provenance
from corecube.times import Times
from corecube_ccdlab.noise import terms


def mean_image(frames: Sequence[Image], name: str) -> Image:
    """Return the mean of exposures, with its error.

    Only what belongs to each exposure alone averages down; the noise of the masters is common to
    all and does not: var = sum(own_i) / M^2 + shared + flux^2 flat. Pixels that are masked in some
    exposures are the mean of the others.

    Parameters
    ----------
    frames : sequence of Image
        Calibrated, of one size, with the same masters.
    name : str

    Raises
    ------
    FrameError
        If sizes or units differ.
    """
    first = frames[0]
    if len({(frame.flux.shape, frame.unit) for frame in frames}) != 1:
        raise FrameError(f"{name}: exposures of different sizes or units have no mean")
    shape = first.flux.shape
    total, plain = np.zeros(shape), np.zeros(shape)
    own: Any = np.zeros(shape)
    own_plain: Any = np.zeros(shape)
    count = np.zeros(shape, np.int32)
    mask = np.zeros(shape, np.uint32)
    shared: Any = np.float64(0.0)
    flat: Any = np.float64(0.0)
    known = True
    for frame in frames:  # in their order: ((a + b) + c) / 3
        assert frame.mask is not None
        good = valid(frame.mask)
        flux = frame.flux.astype(np.float64)
        plain += flux
        total += np.where(good, flux, 0.0)
        count += good
        parts = terms(frame)
        if parts is None:
            known = False
        else:
            own = own + np.where(good, parts.own, 0.0)
            own_plain = own_plain + parts.own
            shared, flat = parts.shared, parts.flat
    number = len(frames)
    some = count > 0
    flux = np.where(some, total / np.maximum(count, 1), plain / number)
    variance = np.where(some, own / np.maximum(count, 1) ** 2, own_plain / number**2)
    with np.errstate(invalid="ignore"):
        variance = variance + shared + flux**2 * flat
        error = np.sqrt(variance).astype(np.float32) if known else None
    for frame in frames:
        assert frame.mask is not None
        # a plane that excludes stays where no exposure is valid, those that inform stay always
        keep = np.where(some & ~valid(frame.mask), 0, frame.mask).astype(np.uint32)
        mask |= keep
    spans = [frame.times.span for frame in frames]
    seconds = sum(float(frame.calibration["exposure_time"].values) for frame in frames)
    calibration = {
        "exposure_time": Array(np.array(seconds), "s", (), "Sum of the exposures."),
        "exposures": Array(np.array(number, np.int32), "", (), "Number of exposures."),
    }
    if "pointing" in first.calibration:
        calibration["pointing"] = first.calibration["pointing"]
    masters = [parent for frame in frames for parent in frame.provenance.parents]
    return Image(
        name=name,
        flux=flux.astype(np.float32),
        error=error,
        mask=mask,
        unit=first.unit,
        calibration=calibration,
        header=first.header,
        band=first.band,
        target=first.target,
        times=Times(min(s for s, _ in spans), max(e for _, e in spans), first.times.quality),
        provenance=Provenance(
            sources=tuple(s for frame in frames for s in frame.provenance.sources),
            parents=(*(frame.name for frame in frames), *dict.fromkeys(masters)),
            steps=(f"mean of {number} exposures; the noise of the masters does not average down",),
            not_modelled=first.provenance.not_modelled if known else ("all of the error",),
            notes=tuple(dict.fromkeys(n for frame in frames for n in frame.provenance.notes)),
        ),
    )
