"""What only this instrument knows of a shot: the identity of the calibration, the variance."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.figures import Figures, Panel, Series, Subject
from corecube.frames import Fibers
from corecube.masks import valid
from corecube.shots import Shot
from corecube_boss.checks import electrons_of, first_row, spec_numbers
from corecube_boss.factors import factors, identity
from corecube_boss.noise import header_of, law_of, version_of
from corecube_boss.settings import BossConfig
from corecube_sdssfiles.specfigures import spectrum_figures
from corecube_sdssfiles.specnoise import in_electrons, line

_DONE: Final = {"multiply": "multiplied", "divide": "divided by", "add": "added"}


def report(shot: Shot, subject: Subject, config: BossConfig) -> Figures | None:
    """Report a shot, a raw image, a fibre with all its exposures, or one exposure of a fibre.

    Parameters
    ----------
    shot : Shot
    subject : Subject
    config : BossConfig

    Returns
    -------
    Figures or None
        None of a shot without exposures and raw images.
    """
    if subject.kind == "image":
        return _image(shot, subject.name)
    if subject.kind == "shot":
        groups = {
            name: _group(shot, name, config) for name in shot.groups if _is_exposure(shot, name)
        }
        images = {name: _image_numbers(shot, name) for name in shot.images}
        numbers = {"exposures": groups, "raw": images}
        kept = {name: part for name, part in numbers.items() if part}
        return Figures(kept) if kept else None
    row = shot.rows(subject.name, subject.row, subject.row + 1)
    if row.parent:
        exposures = [row]
    else:
        exposures = [
            found for name in shot.groups if _is_exposure(shot, name)
            for found in _rows_of(shot, name, row.id[0])
        ]  # fmt: skip
    if not exposures:
        return spectrum_figures(row)
    numbers = {part.name: fiber_numbers(part, config) for part in exposures}
    panels = [panel for part in exposures for panel in _panels(part, config)]
    return Figures({"fiber": row.id[0], "exposures": numbers}, tuple(panels))


def _is_exposure(shot: Shot, name: str) -> bool:
    return shot.row_count(name) > 0 and bool(shot.rows(name, 0, 1).parent)


def _rows_of(shot: Shot, group: str, fiber: str) -> list[Fibers]:
    first = 0
    for block in shot.blocks(group):
        if fiber in block.id:
            row = first + block.id.index(fiber)
            return [shot.rows(group, row, row + 1)]
        first += len(block.id)
    return []


def fiber_numbers(fibers: Fibers, config: BossConfig) -> dict[str, Any]:
    """Return the figures of one exposure of one fibre, plain JSON.

    Parameters
    ----------
    fibers : Fibers
        One row.
    config : BossConfig
    """
    numbers: dict[str, Any] = {}
    deviation = identity(fibers)
    if deviation is not None:
        numbers["identity"] = _deviation(deviation[0])
    if "electrons" in fibers.layers:
        numbers["variance"] = _variance(fibers, config)
    else:
        numbers["variance"] = spec_numbers(fibers, config)
        if fibers.name.startswith("r") and (values := fibers.wave.values) is not None:
            numbers["first_row"] = first_row(values if values.ndim == 1 else values[0])
    return numbers


def _deviation(values: npt.NDArray[np.float64]) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    if not known.size:
        return {"pixels": 0, "largest": None, "median": None}
    return {
        "pixels": int(known.size),
        "largest": float(np.abs(known).max()),
        "median": float(np.median(known)),
    }


def _variance(fibers: Fibers, config: BossConfig) -> dict[str, Any]:
    law = law_of(version_of(header_of(fibers)), config.law)
    found = electrons_of(fibers, config)
    if found is None:
        return {"law": law, "prediction": "not modelled: a file or the read noise is missing"}
    used = found.used
    counts, quoted, expected = found.counts[used], found.quoted[used], found.predicted[used]
    if not counts.size:
        return {"law": law, "amplifiers": config.amplifiers, "pixels": 0}
    slope, floor, kept = line(expected, quoted)
    ratio = quoted / expected
    return {
        "law": law, "amplifiers": config.amplifiers, "pixels": int(counts.size), "used": kept,
        "slope": slope if np.isfinite(slope) else None,
        "floor_electron2": floor if np.isfinite(floor) else None,
        "median_counts_electron": float(np.median(counts)),
        "median_variance_electron2": float(np.median(quoted)),
        "median_predicted_electron2": float(np.median(expected)),
        "quoted_over_predicted": {
            "median": float(np.median(ratio)), "largest_deviation": float(np.abs(ratio - 1).max()),
        },
    }  # fmt: skip


def _group(shot: Shot, name: str, config: BossConfig) -> dict[str, Any]:
    """Return the figures of all fibres of an exposure, and the identity by fibre."""
    numbers: dict[str, Any] = {"fibers": shot.row_count(name)}
    largest: dict[str, float | None] = {}
    for block in shot.blocks(name, 64):
        deviation = identity(block)
        if deviation is None:
            continue
        known = np.isfinite(deviation)
        worst = np.where(known, np.abs(deviation), -1.0).max(axis=1)
        for fiber, value in zip(block.id, worst.tolist(), strict=True):
            largest[fiber] = value if value >= 0 else None
    if largest:
        numbers["identity_largest"] = largest
    return numbers


def _panels(fibers: Fibers, config: BossConfig) -> list[Panel]:
    name = fibers.name
    wave = fibers.wave.wavelength()
    x = wave[0] if wave.ndim == 2 else wave
    assert fibers.mask is not None
    good = valid(fibers.mask)[0]
    panels = []
    for step in factors(fibers):
        values = np.broadcast_to(step.values, fibers.flux.shape)[0].astype(np.float64)
        series = Series(f"{step.name}, {_DONE[step.operation]}", values, x, valid=good)
        title = f"{name}, fibre {fibers.id[0]}: {step.name} ({step.source})"
        panels.append(
            Panel(
                f"{name}-{step.name}",
                title,
                "lines",
                (series,),
                *_labels(fibers, step.name, step.unit),
            )
        )
    deviation = identity(fibers)
    if deviation is not None:
        known = np.isfinite(deviation[0])
        series = Series("flux / replayed - 1", deviation[0], x, valid=known)
        title = f"{name}, fibre {fibers.id[0]}: flux against its factors"
        panels.append(
            Panel(f"{name}-identity", title, "points", (series,), *_labels(fibers, "deviation", ""))
        )
    panels += _variance_panel(fibers, config)
    return panels


def _labels(fibers: Fibers, what: str, unit: str) -> tuple[str, str, str, str]:
    medium = fibers.wave.medium
    return f"wavelength in {medium}" if medium else "wavelength", what, "Angstrom", unit


def _variance_panel(fibers: Fibers, config: BossConfig) -> list[Panel]:
    found = electrons_of(fibers, config)
    if found is not None:
        used = found.used
        x, y = found.predicted[used], found.quoted[used]
        label = "Predicted variance"
    else:
        spec = in_electrons(fibers)
        if spec is None:
            return []
        counts, variance, used = spec
        x, y = counts[used], variance[used]
        label = "Electrons of object and sky"
    if not x.size:
        return []
    series = [Series("quoted", y, x)]
    slope, floor, _ = line(x, y)
    if np.isfinite(slope):
        along = np.linspace(x.min(), x.max(), x.size)  # of few points the marks are large
        series.append(Series(f"{slope:.4f} x {floor + 0.0:+.3f}", slope * along + floor, along))
    unit = "electron2" if found is not None else "electron"
    title = f"{fibers.name}, fibre {fibers.id[0]}: variance of electrons"
    return [
        Panel(f"{fibers.name}-variance", title, "points", tuple(series), label,
              "Quoted variance", unit, "electron2")
    ]  # fmt: skip


def _image(shot: Shot, name: str) -> Figures:
    return Figures(_image_numbers(shot, name))


def _image_numbers(shot: Shot, name: str) -> dict[str, Any]:
    image = shot.frame(name)
    return {
        what: {"values": array.values.tolist(), "unit": array.unit}
        for what, array in image.calibration.items()
    }
