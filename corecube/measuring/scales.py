"""Fluxes of a position in one unit: as a table, and as one panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.figures import Panel, Series
from corecube.measuring.gathering import Flux, Measured
from corecube.photometry import conversions
from corecube.tabular import Field, Rows
from corecube.units import FLUX_DENSITY

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """A unit that fluxes are shown in.

    Attributes
    ----------
    name : str
    unit : str
    label : str
        Of the axis.
    convert : callable
        From flux and sigma in nanomaggies, and wavelengths in Angstrom, to values and sigmas.
    """

    name: str
    unit: str
    label: str
    convert: Callable[[FloatArray, FloatArray, FloatArray], tuple[FloatArray, FloatArray]]


def _flambda(
    flux: FloatArray, sigma: FloatArray, wavelength: FloatArray
) -> tuple[FloatArray, FloatArray]:
    first, second = (conversions.nmgy_to_flambda(part, wavelength) for part in (flux, sigma))
    return first, second


SCALES: Final[Mapping[str, Scale]] = {
    scale.name: scale
    for scale in (
        Scale("flambda", FLUX_DENSITY, "flux", _flambda),
        Scale("AB", "mag(AB)", "AB magnitude", lambda f, s, w: conversions.nmgy_to_ab(f, s)),
        Scale("nanomaggy", "nanomaggy", "flux", lambda f, s, w: (f, s)),
        Scale(
            "Jy", "Jy", "flux",
            lambda f, s, w: (conversions.nmgy_to_jy(f), conversions.nmgy_to_jy(s)),
        ),
    )
}  # fmt: skip
"""By name. Magnitudes are missing where the flux is not positive."""

_LABELS: Final = {
    "aperture": "aperture", "fibre": "under the fibre", "synthetic": "spectrum through bands",
    "catalogue": "catalogue",
}  # fmt: skip


def table_of(measured: Measured, scale: Scale) -> Rows:
    """Return a row for each flux, with its sigma and unit.

    Parameters
    ----------
    measured : Measured
    scale : Scale
    """
    fluxes = measured.fluxes

    def numbers(name: str) -> FloatArray:
        return np.array([getattr(flux, name) for flux in fluxes], dtype=np.float64)

    def texts(name: str) -> Field:
        return Field(np.array([getattr(flux, name) for flux in fluxes], dtype=np.str_))

    pivot = numbers("pivot")
    value, sigma = scale.convert(numbers("flux"), numbers("sigma"), pivot)
    return Rows(
        {
            "kind": texts("kind"),
            "band": texts("band"),
            "wavelength": Field(pivot, "Angstrom", "Pivot wavelength of the band."),
            "flux": Field(value, scale.unit, f"The {scale.label}."),
            "sigma": Field(sigma, scale.unit if scale.name != "AB" else "mag", "1-sigma error."),
            "unit": Field(np.array([scale.unit] * len(fluxes), dtype=np.str_)),
            "coverage": Field(numbers("coverage"), "", "Part of aperture or band measured."),
            "pixels": Field(numbers("pixels"), "pix", "Pixels in the aperture."),
            "x": Field(numbers("x"), "pix", "Centre on the image, 0-based."),
            "y": Field(numbers("y"), "pix", "Centre on the image, 0-based."),
            "distance": Field(numbers("distance"), "arcsec", "From the position."),
            "name": texts("name"),
            "what": texts("what"),
            "note": texts("note"),
        },
        {"ra": measured.ra, "dec": measured.dec, "radius_arcsec": measured.radius},
    )


def panel_of(measured: Measured, scale: Scale, name: str = "fluxes") -> Panel | None:
    """Return spectra as lines and fluxes as points in one panel; None if nothing can be drawn.

    Parameters
    ----------
    measured : Measured
    scale : Scale
    name : str
        Of the panel.
    """
    series = []
    for spectrum in measured.spectra:
        wave = spectrum.wavelength
        flux, error = (
            conversions.flambda_to_nmgy(part, wave) for part in (spectrum.flux, spectrum.error)
        )
        value, sigma = scale.convert(flux, error, wave)
        shown = np.isfinite(value)
        masked = "masked" if shown[spectrum.good].all() else "masked or not positive"
        series.append(
            Series(spectrum.name, value, wave, sigma, spectrum.good & shown, masked=masked)
        )
    groups: dict[str, list[Flux]] = {}
    for one in measured.fluxes:
        groups.setdefault(_group(one), []).append(one)
    for label, mine in groups.items():
        pivot, points, spread = (
            np.array([getattr(part, name) for part in mine], dtype=np.float64)
            for name in ("pivot", "flux", "sigma")
        )
        value, sigma = scale.convert(points, spread, pivot)
        known = np.isfinite(value)
        if known.any():
            what = f"{label}, {measured.radius:g} arcsec" if mine[0].kind == "aperture" else label
            series.append(Series(what, value[known], pivot[known], sigma[known], marks=True))
    if not series:
        return None
    return Panel(
        name=name,
        title=f"Fluxes at {measured.ra:.6f} {measured.dec:+.6f} (ICRS, degrees)",
        kind="lines",
        series=tuple(series),
        x_label="wavelength",
        x_unit="Angstrom",
        y_label=scale.label,
        y_unit="mag" if scale.name == "AB" else scale.unit,
    )


def _group(flux: Flux) -> str:
    """Return the set of points that a flux belongs to, as the legend calls it."""
    if flux.kind == "catalogue":
        return f"{_LABELS[flux.kind]}: {flux.what.partition(', ')[0]}"
    return _LABELS[flux.kind]


def numbers_of(measured: Measured, scale: Scale) -> dict[str, Any]:
    """Return what a panel shows, but for the pixels of the spectra, as mappings and arrays."""
    table = table_of(measured, scale)
    return {
        "position": {"ra": measured.ra, "dec": measured.dec, "unit": "deg"},
        "aperture": {"radius": measured.radius, "unit": "arcsec"},
        "match": {"radius": measured.match, "unit": "arcsec"},
        "unit": scale.unit,
        "fluxes": [
            {name: table[name].values[row].item() for name in table}
            | {"nanomaggies": {"flux": flux.flux, "sigma": flux.sigma}}
            for row, flux in enumerate(measured.fluxes)
        ],
        "spectra": [
            {
                "name": spectrum.name, "distance": spectrum.distance,
                "pixels": int(spectrum.good.size), "valid": int(spectrum.good.sum()),
                "first": float(spectrum.wavelength[0]), "last": float(spectrum.wavelength[-1]),
                "median": _median(spectrum.flux[spectrum.good]),
                "median error": _median(spectrum.error[spectrum.good]),
                "unit": FLUX_DENSITY,
            }
            for spectrum in measured.spectra
        ],
        "says": list(measured.says),
    }  # fmt: skip


def _median(values: FloatArray) -> float | None:
    return float(np.median(values)) if values.size else None
