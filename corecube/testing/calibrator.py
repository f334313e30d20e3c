"""C: from what was recorded to physical flux, each factor visible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from corecube import masks
from corecube.frames import Factor, FloatArray, Frame
from corecube.testing import chain
from corecube.testing.case import Case
from corecube.testing.chain import Stages
from corecube.testing.comparing import frame_digest
from corecube.testing.model import DoesNotApply, check

_ULPS: Final = 2.0 * float(np.finfo(np.float32).eps)
"""Two units in the last place of float32, relative."""

_COUNTS: Final = ("counts", "electrons")
"""Layers that hold what the first factor is applied to."""

_REPLAY: Final = 2e-6
"""Relative; replaying in float64 what was done in float32, some steps with a loss of 1e-7 each."""


def factors_of(case: Case, frame: Frame) -> Sequence[Factor]:
    """Return the factors of a frame, none where the hook is not implemented."""
    if not case.caller.has("calibration_factors"):
        return ()
    given = chain.copied(frame)  # C8 says if it writes into it
    return tuple(case.caller.call("calibration_factors", frame=given, config=case.config) or ())


def _with_factors(case: Case) -> Iterator[tuple[str, Stages, Sequence[Factor]]]:
    """Yield where, stages and factors of the frames that have some."""
    found = False
    for entry, stage in case.all_stages():
        factors = factors_of(case, stage.done)
        if factors:
            found = True
            yield f"{entry.where}: {stage.done.name}", stage, factors
    if not found:
        raise DoesNotApply("no frame has calibration factors")


def replayed(counts: FloatArray, factors: Sequence[Factor]) -> FloatArray:
    """Return the counts after all steps, float64."""
    flux: FloatArray = counts.astype(np.float64)
    with np.errstate(all="ignore"):
        for factor in factors:
            flux = factor.apply(flux)
    return flux


def undone(flux: FloatArray, factors: Sequence[Factor]) -> FloatArray:
    """Return the flux before all steps, float64."""
    counts: FloatArray = flux.astype(np.float64)
    with np.errstate(all="ignore"):
        for factor in reversed(factors):
            if factor.operation == "add":
                counts = counts - factor.values
            elif factor.operation == "multiply":
                counts = counts / factor.values
            else:
                counts = counts * factor.values
    return counts


def _good(frame: Frame) -> npt.NDArray[np.bool_]:
    assert frame.mask is not None
    return masks.valid(frame.mask) & np.isfinite(frame.flux)


@check(
    "C1", "calibrator", "undoing the factors and applying them again returns the flux",
    needs=("C7",),
)  # fmt: skip
def undo_and_redo(case: Case) -> Iterator[str]:
    """Go from flux to counts and back, in float64, where pixels are valid."""
    for where, stage, factors in _with_factors(case):
        good = _good(stage.done)
        flux = stage.done.flux.astype(np.float64)
        counts = undone(flux, factors)
        if not np.isfinite(counts[good]).all():
            yield f"{where}: counts that are not finite in pixels that are not masked"
            continue
        back = replayed(counts, factors)
        scale = np.abs(flux) + float(np.abs(flux[good]).mean() if good.any() else 0.0)
        if np.any(np.abs(back - flux)[good] > _ULPS * scale[good]):
            yield f"{where}: the flux does not come back within 2 units of the last place"


@check("C2", "calibrator", "twice the counts is calibrated by the same factors", needs=("C5",))
def is_linear(case: Case) -> Iterator[str]:
    """Calibrate a frame with twice its counts and replay the factors on them."""
    _needs_calibrate(case)
    for where, stage, factors in _with_factors(case):
        if stage.raw.flux.shape != stage.done.flux.shape:
            continue
        if any(name in stage.done.layers for name in _COUNTS):
            continue  # the factors begin at that layer, not at the frame as read
        doubled = replace(chain.copied(stage.raw), flux=2 * stage.raw.flux)
        with chain.as_the_core_does():
            frame = case.caller.call("calibrate", frame=doubled, config=case.config) or doubled
        yield from _compared(where, frame.flux, replayed(2 * stage.raw.flux, factors), stage.done)


@check("C3", "calibrator", "errors that are there before are scaled as the flux is", needs=("C2",))
def errors_are_scaled(case: Case) -> Iterator[str]:
    """Compare with a finite difference of one error in the flux."""
    _needs_calibrate(case)
    seen = False
    for entry, stage in case.all_stages():
        raw, after = stage.raw, stage.calibrated
        if raw.error is None or after.error is None or raw.flux.shape != after.flux.shape:
            continue
        seen = True
        moved = replace(chain.copied(raw), flux=raw.flux + raw.error)
        with chain.as_the_core_does():
            frame = case.caller.call("calibrate", frame=moved, config=case.config) or moved
        with np.errstate(all="ignore"):
            slope = np.abs(frame.flux - after.flux)
            off = np.abs(slope - after.error) > 0.01 * after.error + 1e-6 * np.abs(after.flux)
        bad = off & _good(stage.done) & np.isfinite(after.error) & np.isfinite(slope)
        if bad.any():
            yield f"{entry.where}: {after.name}: {np.count_nonzero(bad)} errors differ"
    if not seen:
        raise DoesNotApply("no frame has errors before it is calibrated")


@check("C4", "calibrator", "what is masked stays masked: the mask only grows")
def mask_grows(case: Case) -> Iterator[str]:
    """Compare the mask before and after each hook."""
    seen = False
    for entry, stage in case.all_stages():
        steps = (stage.raw, stage.calibrated, stage.noisy, stage.done)
        for before, after in pairwise(steps):
            if before.mask is None or before.mask.shape != stage.done.flux.shape:
                continue
            seen = True
            lost = np.zeros(1) if after.mask is None else before.mask & ~after.mask
            if after.mask is None or lost.any():
                yield f"{entry.where}: {after.name}: bits of the mask are lost on the way"
                break
    if not seen:
        raise DoesNotApply("no frame has a mask before its errors")


@check(
    "C5", "calibrator", "factors have names, units and sources; replayed they give the flux",
    needs=("C1",),
)  # fmt: skip
def factors_replay(case: Case) -> Iterator[str]:
    """Replay the factors on the counts, where the frame or the instrument has them."""
    for where, stage, factors in _with_factors(case):
        names = [factor.name for factor in factors]
        if len(set(names)) != len(names):
            yield f"{where}: two factors have the same name: {', '.join(names)}"
        for factor in factors:
            if not factor.source.strip():
                yield f"{where}: factor '{factor.name}' does not say where it comes from"
            if np.broadcast_shapes(factor.values.shape, stage.done.flux.shape) != (
                stage.done.flux.shape
            ):
                yield f"{where}: factor '{factor.name}' {factor.values.shape} does not fit the flux"
        for what, counts, _ in _counts(case, stage):
            total = replayed(counts, factors)
            yield from _compared(f"{where}, from {what}", stage.done.flux, total, stage.done)


def _counts(case: Case, stage: Stages) -> Iterator[tuple[str, FloatArray, str]]:
    """Yield what the first factor is applied to: what it is, values, unit."""
    shape = stage.done.flux.shape
    for name in _COUNTS:
        layer = stage.done.layers.get(name)
        if layer is not None and layer.values.shape == shape:
            yield f"layer '{name}'", layer.values, layer.unit
            return
    if case.caller.has("calibrate") and stage.raw.flux.shape == shape:
        yield "the frame as read", stage.raw.flux, stage.raw.unit


def _compared(where: str, flux: FloatArray, total: FloatArray, frame: Frame) -> Iterator[str]:
    good = _good(frame) & np.isfinite(total)
    if not good.any():
        return
    scale = np.abs(total) + np.abs(total[good]).mean()
    with np.errstate(invalid="ignore"):
        off = good & (np.abs(flux - total) > _REPLAY * scale)
    if off.any():
        place = tuple(int(part[0]) for part in np.nonzero(off))
        yield (
            f"{where}: the factors give another flux in {np.count_nonzero(off)} pixels, "
            f"at {place}: {total[place]:g} instead of {flux[place]:g}"
        )


@check("C6", "calibrator", "the units of the factors lead from counts to the unit of the flux")
def units_lead(case: Case) -> Iterator[str]:
    """Go back from the unit of the flux through all factors."""
    from astropy import units

    for where, stage, factors in _with_factors(case):
        unit = units.Unit(stage.done.unit)
        for factor in reversed(factors):
            own = units.Unit(factor.unit)
            if factor.operation == "multiply":
                unit = unit / own
            elif factor.operation == "divide":
                unit = unit * own
            elif not unit.is_equivalent(own):
                yield f"{where}: '{factor.name}' in '{own}' is added to values in '{unit}'"
                break
        else:
            for what, _, text in _counts(case, stage):
                if not unit.is_equivalent(units.Unit(text)):
                    yield f"{where}: the factors begin at '{unit}', {what} is in '{text}'"


@check("C7", "calibrator", "where a factor is not known, pixels are masked, not extrapolated")
def unknown_is_masked(case: Case) -> Iterator[str]:
    """Look for valid pixels whose factors are not finite, or multiply or divide by zero."""
    for where, stage, factors in _with_factors(case):
        good = _good(stage.done)
        for factor in factors:
            known = np.isfinite(factor.values)
            if factor.operation != "add":
                known &= factor.values != 0
            bad = good & ~np.broadcast_to(known, good.shape)
            if bad.any():
                yield (
                    f"{where}: factor '{factor.name}' is no number, or zero, in "
                    f"{np.count_nonzero(bad)} pixels that are not masked"
                )


@check("C8", "calibrator", "hooks leave frames of the archive as they are")
def leaves_frames_alone(case: Case) -> Iterator[str]:
    """Compare frames before and after factors, noise check and report were asked for."""
    from corecube.testing.stored import stored_frames

    for where, frame in stored_frames(case):
        before = frame_digest(frame)
        for hook in ("calibration_factors", "check_noise"):
            if case.caller.has(hook):
                case.caller.call(hook, frame=frame, config=case.config)
        if frame_digest(frame) != before:
            yield f"{where}: calibration_factors or check_noise changes the frame"


def _needs_calibrate(case: Case) -> None:
    if not case.caller.has("calibrate"):
        raise DoesNotApply("the files are calibrated already")
