"""N: the 1-sigma errors, and the check of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np

from corecube import masks
from corecube.archive import open_archive
from corecube.errors import FrameError
from corecube.frames import Frame, NoiseCheck
from corecube.testing import chain
from corecube.testing.case import Case
from corecube.testing.model import READ, DoesNotApply, check
from corecube.testing.stored import frames_of

_WIDTH: Final = 0.1
"""By how much the pulls of simulated data may be wider or narrower than 1."""

_PIXELS: Final = 1000
"""Fewer pulls say nothing: the width of 1000 is known to 0.03."""

_SINGLE: Final = 5e-7
"""Relative; float32 has 6e-8, and the model takes a few steps."""


@check("N1", "noise", "errors are positive numbers where pixels are valid, and some are known")
def errors_are_there(case: Case) -> Iterator[str]:
    """Look at what the noise model gave, before the core completes it."""
    seen = False
    for entry, stage in case.all_stages():
        where, error = f"{entry.where}: {stage.noisy.name}", stage.noisy.error
        if error is None:
            continue
        seen = True
        mask = np.zeros(error.shape, np.uint32) if stage.noisy.mask is None else stage.noisy.mask
        good = masks.valid(mask) & np.isfinite(stage.noisy.flux)
        if np.isinf(error[good]).any():
            yield f"{where}: infinite errors, and no mask there"
        if good.any() and not np.any(np.isfinite(error[good]) & (error[good] > 0)):
            yield f"{where}: no pixel has an error; give None where none is known"
    if not seen:
        yield "no frame has errors"


@check("N2", "noise", "the error does not fall where the signal rises")
def grows_with_signal(case: Case) -> Iterator[str]:
    """Say that the contract has no place to declare a Poisson noise."""
    raise DoesNotApply("the contract does not say of a noise model that it is Poissonian")


@check("N3", "noise", "the errors of simulated files have pulls of width 1", needs=READ)
def simulated_pulls(case: Case) -> Iterator[str]:
    """Simulate, ingest, and ask the instrument's own check of the science shots."""
    if not case.caller.has("simulate") or not case.caller.has("check_noise"):
        raise DoesNotApply("the instrument has no simulator, or no check of its noise")
    if case.simulate is None:
        raise DoesNotApply("no options for its simulator were given")
    folder = case.new_folder("pulls")
    case.caller.call("simulate", directory=folder, options=dict(case.simulate), seed=3)
    archive = folder / "simulated.corecube"
    case.ingest([str(path) for path in sorted(folder.rglob("*")) if path.is_file()], archive)
    seen = False
    with open_archive(archive) as opened:
        # frames of calibration shots have patterns that no error speaks of: flats, darks
        for where, frame in frames_of(opened, "science"):
            found = _checked(case, frame)
            if found is None or found.pixels < _PIXELS:
                continue
            seen = True
            if not abs(found.width - 1.0) <= _WIDTH:
                yield f"{where}: width {found.width:.3f}"
    if not seen:
        raise DoesNotApply(f"no simulated frame has {_PIXELS} pixels to check")


@check("N4", "noise", "twice the gain and half the counts leave the noise in electrons")
def gain_leaves_electrons(case: Case) -> Iterator[str]:
    """Say that the contract has no place to declare a gain."""
    raise DoesNotApply("the contract does not say which calibration array is the gain")


@check("N5", "noise", "without signal only the read noise is left")
def read_noise_is_left(case: Case) -> Iterator[str]:
    """Say that the contract has no place to declare a read noise."""
    raise DoesNotApply("the contract does not say which calibration array is the read noise")


@check("N6", "noise", "errors in float32 are those in float64, within 5 parts in 1e7")
def single_precision_is_enough(case: Case) -> Iterator[str]:
    """Give the noise model the same flux in float64."""
    _needs_model(case)
    seen = False
    for entry, stage in case.all_stages():
        before = stage.calibrated
        if stage.noisy.error is None or stage.noisy.error is before.error:
            continue
        error = None if before.error is None else before.error.astype(np.float64)
        double = replace(chain.copied(before), flux=before.flux.astype(np.float64), error=error)
        try:
            with chain.as_the_core_does():
                frame = case.caller.call("estimate_noise", frame=double, config=case.config)
        except FrameError:
            continue  # it is not asked to know float64
        if frame is None or frame.error is None:
            continue
        seen = True
        good = masks.valid(stage.done.mask) & np.isfinite(stage.done.error)  # type: ignore[arg-type]
        with np.errstate(invalid="ignore"):
            off = np.abs(stage.noisy.error - frame.error) > _SINGLE * frame.error
        if np.any(off & good):
            yield f"{entry.where}: {before.name}: {np.count_nonzero(off & good)} errors differ"
    if not seen:
        raise DoesNotApply("the noise model knows no float64")


@check("N7", "noise", "negative, huge and missing flux give a masked pixel or an error, no crash")
def strange_flux(case: Case) -> Iterator[str]:
    """Give the noise model strange values in a few pixels, and look at the others."""
    _needs_model(case)
    for entry, stage in case.all_stages():
        before = stage.calibrated
        if before.flux.size < 16:
            continue
        strange = chain.copied(before)
        # one row: statistics over the frame may change a little, pixels elsewhere stay
        strange.flux[0, :8] = (-1e30, -1e5, -1.0, 0.0, 1e30, np.nan, np.inf, -np.inf)[
            : strange.flux[0, :8].size
        ]
        with chain.as_the_core_does():
            frame = case.caller.call("estimate_noise", frame=strange, config=case.config)
        if frame is None:
            continue
        if frame.flux.shape != before.flux.shape:
            yield f"{entry.where}: {before.name}: the shape changes"
        elif frame.error is not None and frame.mask is not None:
            error, mask = frame.error[0, :8], frame.mask[0, :8]
            if np.any((error < 0) & masks.valid(mask)):
                yield f"{entry.where}: {before.name}: a negative error, and no mask there"


@check("N8", "noise", "the check of the noise names its frame and recipe, and repeats itself")
def noise_check_is_good(case: Case) -> Iterator[str]:
    """Look at what `corecube_check_noise` returns."""
    if not case.caller.has("check_noise"):
        raise DoesNotApply("the instrument does not check its noise")
    seen = False
    for where, frame in case.frames():
        found: Any = _checked(case, frame)
        if found is None:
            continue
        seen = True
        if not isinstance(found, NoiseCheck):
            yield f"{where}: {found!r} is no corecube.frames.NoiseCheck"
            continue
        if found.name != frame.name:
            yield f"{where}: the check is named '{found.name}'"
        if not (found.width > 0 and np.isfinite(found.width)):
            yield f"{where}: the width of the pulls is {found.width}"
        if found.pixels < 1:
            yield f"{where}: {found.pixels} pixels were used"
        if not found.recipe.strip():
            yield f"{where}: the check does not say how it was made"
        if repr(_checked(case, frame)) != repr(found):
            yield f"{where}: asked twice it gives another answer"
    if not seen:
        raise DoesNotApply("no frame has anything to check")


def _checked(case: Case, frame: Frame) -> NoiseCheck | None:
    with chain.as_the_core_does():
        given = chain.copied(frame)  # C8 says if it writes into it
        found: NoiseCheck | None = case.caller.call("check_noise", frame=given, config=case.config)
    return found


def _needs_model(case: Case) -> None:
    if not case.caller.has("estimate_noise"):
        raise DoesNotApply("the errors come with the files")
