"""Panels of one frame: flux and its error, masked pixels, factors, pulls."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube import masks
from corecube.archive import pyramid
from corecube.figures import Panel, Series, block_means
from corecube.frames import Factor, Fibers, Frame, Image, NoiseCheck
from corecube.reports.numbers import BoolArray, error_to_signal, inside_of, wavelengths_of

SIDE: Final = 1100
"""Pixels along the longer side of a picture; larger images are shown as means of blocks."""

MOSTLY: Final = 0.98
"""Part of the valid pixels that is positive in images shown with a logarithmic scale."""

_NAMED: Final = 3
"""Planes that a legend names; the rest is counted."""


def image_panels(image: Image, title: str, side: int = SIDE) -> Iterator[Panel]:
    """Yield flux, error and error over signal of an image as pictures."""
    assert image.error is not None and image.mask is not None
    level = 0
    while max(image.flux.shape) >> level > side:
        level += 1
    good = masks.valid(image.mask)
    flux, error, valid = image.flux, image.error, good
    if level:
        for step in pyramid.levels(image.flux, image.error, image.mask):
            if step.level == level:
                flux, error = step.flux, step.error
                valid = np.isfinite(flux)
    about = excluded(image.mask[~good])
    block = 1 << level
    means = f", means of {block} x {block} pixels" if level else ""
    label = f"{title}, {image.band}" if image.band not in ("", image.name) else title
    common: dict[str, Any] = {
        "kind": "image", "x_label": "column", "y_label": "row", "x_unit": "pix",
        "y_unit": image.unit, "block": block,
    }  # fmt: skip
    shown = flux[valid & np.isfinite(flux)]
    log = bool(shown.size and np.count_nonzero(shown > 0) > MOSTLY * shown.size)
    yield Panel(
        name="flux", title=f"Flux of {label}{means}", log=log,
        series=(Series("flux", flux, valid=valid, masked=about),), **common,
    )  # fmt: skip
    good_error = valid & np.isfinite(error)
    yield Panel(
        name="error", title=f"Error (1 sigma) of {label}{means}", log=True,
        series=(Series("error", error, valid=good_error, masked=about),), **common,
    )  # fmt: skip
    ratio = error_to_signal(flux, error)
    zero = about if valid.size and not good.all() else "flux is zero"
    yield Panel(
        name="error-to-signal", title=f"Error over signal of {label}{means}", log=True,
        series=(
            Series("error / |flux|", ratio, valid=good_error & np.isfinite(ratio), masked=zero),
        ),
        **{**common, "y_unit": ""},
    )  # fmt: skip


def fiber_panels(fibers: Fibers, title: str) -> Iterator[Panel]:
    """Yield flux with its error band, and error over signal, of one fibre."""
    assert fibers.error is not None and fibers.mask is not None
    line = spectrum(fibers, 0, "flux")
    if line is None:
        return
    assert line.error is not None and line.valid is not None
    common: dict[str, Any] = {"kind": "lines", **wave_axis(fibers)}
    yield Panel(
        name="flux", title=f"Flux of {title}", series=(line,), y_label="flux", y_unit=fibers.unit,
        **common,
    )  # fmt: skip
    ratio = error_to_signal(line.y, line.error)
    yield Panel(
        name="error-to-signal", title=f"Error over signal of {title}",
        series=(
            Series(
                "error / |flux|", ratio, line.x, valid=line.valid & np.isfinite(ratio),
                masked=line.masked,
            ),
        ),
        y_label="error / |flux|", log=True, **common,
    )  # fmt: skip


def level_panel(frame: Frame, level: Any, title: str) -> Panel:
    """Return the flux of a level: of an image a picture, of a spectrum a line with its band.

    Parameters
    ----------
    frame : Image or Fibers
    level : Level or SpectrumLevel
    title : str
    """
    side = 1 << level.level
    good = np.isfinite(level.flux)
    if isinstance(frame, Fibers):
        middle = (level.edges[:-1] + level.edges[1:]) / 2.0
        line = Series(
            "flux", level.flux, middle, error=level.error, valid=good,
            masked="no good pixel in the bin",
        )  # fmt: skip
        return Panel(
            name=f"level-{level.level}", title=f"Flux of {title}, means of {side} pixels",
            kind="lines", series=(line,), y_label="flux", y_unit=frame.unit, **wave_axis(frame),
        )  # fmt: skip
    flux, block = block_means(level.flux, SIDE)
    shown = flux[np.isfinite(flux)]
    return Panel(
        name=f"level-{level.level}", title=f"Flux of {title}, means of {side} x {side} pixels",
        kind="image", x_label="column", y_label="row", x_unit="pix", y_unit=frame.unit,
        log=bool(shown.size and np.count_nonzero(shown > 0) > MOSTLY * shown.size),
        block=side * block,
        series=(
            Series("flux", flux, valid=np.isfinite(flux), masked="no good pixel in the block"),
        ),
    )  # fmt: skip


def spectrum(fibers: Fibers, row: int, label: str) -> Series | None:
    """Return one spectrum as a line with its error and its masked pixels; None without pixels."""
    assert fibers.error is not None and fibers.mask is not None
    wave = wavelengths_of(fibers, row)
    mask = fibers.mask[row]
    inside = np.isfinite(wave) & ((mask & np.uint32(masks.value("outside"))) == 0)
    places = np.flatnonzero(inside)
    if not places.size:
        return None
    part = slice(int(places[0]), int(places[-1]) + 1)
    good = masks.valid(mask[part])
    flux = fibers.flux[row, part]
    return Series(
        label, flux, wave[part], error=fibers.error[row, part], valid=good & np.isfinite(flux),
        masked=excluded(mask[part][~good]),
    )  # fmt: skip


def wave_axis(fibers: Fibers) -> dict[str, Any]:
    """Return label and unit of the wavelengths."""
    wave = fibers.wave
    if wave.unit == "pix":
        return {"x_label": "pixel", "x_unit": ""}
    where = " in ".join(part for part in ("wavelength", wave.medium) if part)
    return {"x_label": where, "x_unit": wave.unit}


def excluded(mask: npt.NDArray[np.uint32]) -> str:
    """Return what the marks of excluded pixels are called: their planes, the commonest first."""
    found = {
        plane.name: count
        for plane in masks.PLANES
        if plane.excludes and (count := int(np.count_nonzero(mask & np.uint32(1 << plane.bit))))
    }
    if not found:
        return "not a number"
    names = sorted(found, key=lambda name: -found[name])
    listed = ", ".join(f"{name} {found[name]}" for name in names[:_NAMED])
    more = f", {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"masked: {listed}{more}"


def factor_panels(frame: Frame, factors: Sequence[Factor]) -> Iterator[Panel]:
    """Yield a curve or a picture for each factor that is more than a number."""
    for place, factor in enumerate(factors, start=1):
        values = np.asarray(factor.values, dtype=np.float64)
        try:
            spread = np.broadcast_to(values, frame.flux.shape)
        except ValueError:  # the replay says so
            continue
        if values.size <= 1:
            continue
        what = {"add": "added", "multiply": "multiplied", "divide": "divided by"}
        common: dict[str, Any] = {
            "name": f"factor-{place}-{safe(factor.name)}",
            "title": f"Factor {place} of {len(factors)}: {factor.name}, "
            f"{what[factor.operation]}",
            "y_unit": factor.unit,
        }  # fmt: skip
        if isinstance(frame, Fibers):
            yield _curve(common, factor.name, spread[0], inside_of(frame)[0],
                         wavelengths_of(frame), wave_axis(frame))  # fmt: skip
        elif values.shape == frame.flux.shape:
            picture, block = block_means(values, SIDE)
            means = f", means of {block} x {block} pixels" if block > 1 else ""
            yield Panel(
                kind="image", x_label="column", y_label="row", x_unit="pix", block=block,
                series=(Series(factor.name, picture, valid=np.isfinite(picture)),),
                **{**common, "title": common["title"] + means},
            )  # fmt: skip
        else:
            along = spread[:, 0] if values.ndim == 2 and values.shape[1] == 1 else spread[0]
            axis = (
                "row" if along.size == frame.flux.shape[0] and values.shape[-1] == 1 else "column"
            )
            yield _curve(common, factor.name, along, np.ones(along.size, bool),
                         np.arange(along.size, dtype=np.float64),
                         {"x_label": axis, "x_unit": "pix"})  # fmt: skip


def _curve(
    common: Mapping[str, Any],
    name: str,
    values: npt.NDArray[np.float64],
    inside: BoolArray,
    where: npt.NDArray[np.float64],
    axis: Mapping[str, Any],
) -> Panel:
    y = np.array(values[inside])
    line = Series(name, y, where[inside], valid=np.isfinite(y), masked="not a number")
    return Panel(kind="lines", series=(line,), y_label=name, **axis, **common)


def pull_panel(check: NoiseCheck | None, title: str) -> Panel | None:
    """Return the histogram of pulls beside what is expected, where the instrument gives them."""
    if check is None or check.pulls is None:
        return None
    pulls = np.asarray(check.pulls, dtype=np.float64).ravel()
    pulls = pulls[np.isfinite(pulls)]
    if not pulls.size:
        return None
    x = np.linspace(-5.0, 5.0, 401)
    normal = np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi)
    return Panel(
        name="pulls", title=f"Pulls of {title}: width {check.width:.3f}, 1 is expected",
        kind="histogram", x_label="pull (in units of the quoted error)", y_label="density",
        series=(
            Series(f"{pulls.size} pixels", pulls),
            Series("normal distribution of width 1", normal, x),
        ),
    )  # fmt: skip


def named_apart(panels: Iterable[Panel], taken: Iterable[str] = ()) -> tuple[Panel, ...]:
    """Return panels whose names differ, also without case; a name that is taken gets a number."""
    used = {name.casefold() for name in taken}
    found = []
    for panel in panels:
        name, number = panel.name, 1
        while name.casefold() in used:
            number += 1
            name = f"{panel.name[:70]}-{number}"
        used.add(name.casefold())
        found.append(panel if name == panel.name else replace(panel, name=name))
    return tuple(found)


def safe(name: str) -> str:
    """Return the part of a panel's name that stands for any text."""
    return re.sub(r"[^A-Za-z0-9_+-]+", "-", name).strip("-")[:60] or "x"


def without_error(line: Series) -> Series:
    """Return a line of a panel of many, which has no room for bands and marks."""
    y = np.where(line.valid, line.y, np.nan) if line.valid is not None else line.y
    return Series(line.label, y, line.x)


def renamed(panel: Panel, name: str) -> Panel:
    """Return a panel under another name."""
    return replace(panel, name=safe(name))
