"""Figures of a spectrum and the passbands: the curves, the spectrum weighted, and in other bins."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.figures import Figures, Panel, Series
from corecube.frames import Fibers
from corecube.photometry.logbins import log_bins
from corecube.photometry.rebinning import centred_edges, rebin_fiber
from corecube.photometry.synthetic import masked_by, synthetic_flux
from corecube_sdssfiles.passbands import jun2001

GRID: Final = (3600.0, 10400.0, 4620)
"""First and last centre (Angstrom) and bins of the grid of HiSS-Cube's notebook."""

LEVELS: Final = (1, 2, 3, 4)
"""Levels of the weighted and of the rebinned spectrum: bins of 2, 4, 8, 16 times the width."""

FloatArray = npt.NDArray[np.float64]


def curve_figures(fibers: Fibers) -> Figures:
    """Return passbands, and a coadd through them and in other bins.

    Parameters
    ----------
    fibers : Fibers
        One spectrum; of one that is not on the common grid there is nothing to say.
    """
    if not fibers.wave.is_grid or fibers.error is None or fibers.mask is None:
        return Figures()
    curves = jun2001()
    merged = curves.merged()
    wave = fibers.wave.wavelength()
    flux, error = merged.weighted(wave, fibers.flux[0], fibers.error[0])
    inside = np.isfinite(flux) & np.isfinite(error)
    numbers: dict[str, Any] = {"passbands": {"name": curves.name, "bands": _bands(fibers)}}
    panels = [
        _panel(
            "curves", "Passbands of the imaging", "response", "",
            [Series(c.name, c.response, c.wavelength) for c in curves.curves],
        ),
        _panel(
            "merged-curve", "The largest of the passbands, and whose it is", "response", "",
            [
                Series(c.name, merged.response[mine], merged.wavelength[mine])
                for c in curves.curves
                for mine in (np.array(merged.band) == c.name,)
            ],
        ),
    ]  # fmt: skip
    about = f"{fibers.name} {fibers.id[0]}"
    levels: dict[str, tuple[FloatArray, FloatArray, FloatArray]] = {
        "weighted": (wave[inside], flux[inside], error[inside])
    }
    for level in LEVELS:
        found = log_bins(fibers.wave.first, flux, error, level)
        levels[f"weighted, level {level}"] = (
            np.sqrt(found.edges[1:] * found.edges[:-1]), found.flux, found.error,
        )  # fmt: skip
    panels += _spectra("weighted", f"Spectrum times the merged curve, {about}", fibers, levels)
    numbers |= {name: _numbers(part[1], fibers.unit) for name, part in levels.items()}
    bins: dict[str, tuple[FloatArray, FloatArray, FloatArray]] = {}
    first, last, count = GRID
    for level in (0, *LEVELS):
        rebinned = rebin_fiber(fibers, 0, centred_edges(first, last, max(count >> level, 2)))
        name = f"rebinned, level {level}" if level else "rebinned"
        bins[name] = (rebinned.centres, rebinned.flux, rebinned.error)
        numbers[name] = _numbers(rebinned.flux, fibers.unit) | {"n_eff": int(rebinned.n_eff)}
    panels += _spectra("rebinned", f"Spectrum in bins of equal width, {about}", fibers, bins)
    return Figures(numbers, tuple(panels))


def _bands(fibers: Fibers) -> dict[str, Any]:
    """Return pivot and synthetic flux of each band."""
    curves = jun2001()
    assert fibers.error is not None
    bridge = masked_by(fibers, 0, curves)
    found: dict[str, Any] = {}
    for curve in curves.curves:
        flux = synthetic_flux(
            fibers.wave, fibers.flux[0], fibers.error[0], curve, bridge=bridge, unit=fibers.unit
        )
        found[curve.name] = {
            "pivot": curve.pivot, "pivot unit": "Angstrom", "coverage": flux.coverage,
            "flux": _or_none(flux.flux), "sigma": _or_none(flux.sigma), "unit": "nanomaggy",
        }  # fmt: skip
    return found


def _spectra(
    name: str,
    title: str,
    fibers: Fibers,
    levels: dict[str, tuple[FloatArray, FloatArray, FloatArray]],
) -> list[Panel]:
    """Return a panel of the spectrum with its band, and one for each of its levels."""
    panels = []
    for place, (label, (wave, flux, error)) in enumerate(levels.items()):
        known = np.isfinite(flux) & np.isfinite(error)
        series = Series(label, flux[known], wave[known], error[known])
        level = f"-level-{place}" if place else ""
        at = f", level {place}" if place else ""
        panels.append(_panel(f"{name}{level}", title + at, "flux", fibers.unit, [series]))
    return panels


def _panel(name: str, title: str, label: str, unit: str, series: list[Series]) -> Panel:
    return Panel(
        name=name, title=title, kind="lines", series=tuple(series), x_label="wavelength in vacuum",
        x_unit="Angstrom", y_label=label, y_unit=unit,
    )  # fmt: skip


def _numbers(values: FloatArray, unit: str) -> dict[str, Any]:
    finite = values[np.isfinite(values)]
    some = finite.size > 0
    return {
        "shape": list(values.shape), "unit": unit,
        "median": float(np.median(finite)) if some else None,
        "minimum": float(finite.min()) if some else None,
        "maximum": float(finite.max()) if some else None,
        "not finite": int(values.size - finite.size),
        "not positive": int(np.count_nonzero(finite <= 0)),
    }  # fmt: skip


def _or_none(number: float) -> float | None:
    return number if np.isfinite(number) else None
