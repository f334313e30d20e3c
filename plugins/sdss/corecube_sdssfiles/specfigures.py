"""Figures of a spectrum of a spec file: flux with the pipeline's model, sky, and resolution."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.figures import Figures, Panel, Series
from corecube.frames import Fibers
from corecube.masks import valid

LIGHT_SPEED: Final = 299792.458
"""km / s, exact (SI)."""

LOG_PIXEL: Final = 1e-4 * np.log(10.0) * LIGHT_SPEED
"""km / s in a pixel of 1e-4 in log10 wavelength: 69.03."""


def spectrum_figures(fibers: Fibers) -> Figures:
    """Return flux beside model, the sky, the line spread, and numbers that sum them up.

    Parameters
    ----------
    fibers : Fibers
        One coadd or one exposure.
    """
    assert fibers.mask is not None
    wave = fibers.wave.wavelength()
    wave = wave[0] if wave.ndim == 2 else wave
    inside = np.isfinite(wave) & np.isfinite(fibers.flux[0])
    good = valid(fibers.mask[0])[inside]
    layers = {name: array.values[0][inside] for name, array in fibers.layers.items()}
    flux = fibers.flux[0][inside]
    medium = f" in {fibers.wave.medium}" if fibers.wave.medium else ""
    common: dict[str, Any] = {
        "kind": "lines", "x_label": f"wavelength{medium}", "x_unit": fibers.wave.unit,
    }  # fmt: skip
    wave = wave[inside]
    about = f"{fibers.name} {fibers.id[0]}"
    numbers: dict[str, Any] = {}
    panels = []
    if fibers.error is not None:
        error = fibers.error[0][inside]
        with np.errstate(invalid="ignore", divide="ignore"):
            numbers["median of flux / error"] = _median((flux / error)[good])
    if "model" in layers:
        model = layers["model"]
        used = model != 0  # 0 is outside of the template
        panels.append(
            Panel(
                name="model",
                title=f"Flux and the pipeline's best model, {about}",
                series=(
                    Series("flux", flux, wave, valid=good),
                    Series("model", np.where(used, model, np.nan), wave),
                ),
                y_label="flux",
                y_unit=fibers.unit,
                **common,
            )
        )
        numbers["pixels of the model"] = int(np.count_nonzero(used))
    if "sky" in layers:
        sky = layers["sky"]
        panels.append(
            Panel(
                name="sky",
                title=f"Sky that was subtracted, {about}",
                series=(Series("sky", sky, wave), Series("flux", flux, wave, valid=good)),
                y_label="flux",
                y_unit=fibers.unit,
                **common,
            )
        )
        numbers["median sky"] = {"value": _median(sky[good]), "unit": fibers.unit}
    if "wdisp" in layers:
        wdisp = layers["wdisp"]
        known = np.isfinite(wdisp) & (wdisp > 0)
        panels.append(
            Panel(
                name="wdisp",
                title=f"Sigma of the line spread function, {about}",
                series=(Series("wdisp", wdisp, wave, valid=known, masked="not known"),),
                y_label="sigma",
                y_unit="pix",
                **common,
            )
        )
        sigma = _median(wdisp[known])
        numbers["median line spread"] = {"value": sigma, "unit": "pix"}
        if not fibers.parent and sigma is not None:
            numbers["median resolution"] = LIGHT_SPEED / (sigma * LOG_PIXEL * _FWHM)
    return Figures(numbers, tuple(panels))


_FWHM: Final = 2.0 * np.sqrt(2.0 * np.log(2.0))
"""Full width at half maximum of a normal distribution, in sigma: 2.3548."""


def _median(values: npt.NDArray[np.floating[Any]]) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.median(finite.astype(np.float64))) if finite.size else None
