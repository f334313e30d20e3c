"""What is made of a target's exposures: their mean, and the extracted spectrum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from corecube.frames import Array, Fibers, Frame, Image
from corecube.masks import valid, value
from corecube.provenance import Provenance
from corecube.shots import Context, Shot
from corecube.spectral import Spectral
from corecube.times import Times
from corecube_ccdlab import columns as c
from corecube_ccdlab.detector import Detector, from_plan
from corecube_ccdlab.extraction import Spectrum, boxcar, rows_above_sky
from corecube_ccdlab.masters import derive_masters
from corecube_ccdlab.means import mean_image
from corecube_ccdlab.planning import EXPOSURE_TOLERANCE
from corecube_ccdlab.settings import CcdlabConfig


@dataclass(frozen=True)
class Extracted:
    """A spectrum and the image that it was taken from."""

    image: Image
    spectrum: Spectrum
    unit: str
    recipe: str
    preset: str
    detector: Detector
    exposures: int


def derive(shot: Shot, config: CcdlabConfig, context: Context) -> Iterator[Frame]:
    """Yield the masters of a calibration shot, or mean and spectra of a target.

    Parameters
    ----------
    shot : Shot
    config : CcdlabConfig
    context : Context
    """
    if shot.plan.kind == "calibration":
        yield from derive_masters(shot, config)
        return
    detectors = from_plan(shot.plan.settings)
    spectra = []
    groups = _groups(shot)
    for names in groups:
        frames = [shot.frame(name) for name in names]
        preset = _preset(frames[0], list(detectors))
        detector = detectors[preset]
        if len(frames) > 1:
            several = sum(len(group) > 1 for group in groups) > 1
            image = mean_image(frames, f"mean {names[0]}"[:80] if several else "mean")
            yield image
        else:
            image = frames[0]
        recipe = detector.extraction.recipe if config.recipe == "preset" else config.recipe
        if recipe != "none":
            spectra.append(_extracted(image, frames, preset, detector, recipe))
    if spectra:
        yield _fibers(shot, spectra)


def _groups(shot: Shot) -> list[list[str]]:
    """Return the names of the exposures that belong together: size, disperser, time, masters."""
    found: dict[Any, list[str]] = {}
    for entry, sources in shot.plan.entries.items():
        if entry not in shot.images or sources[0].kind != "science":
            continue
        image = shot.frame(entry)
        seconds = float(image.calibration["exposure_time"].values)
        about = (image.flux.shape, image.unit, image.band, image.provenance.parents)
        for (other, time), names in found.items():
            if other == about and abs(time - seconds) <= EXPOSURE_TOLERANCE:
                names.append(entry)
                break
        else:
            found[about, seconds] = [entry]
    return list(found.values())


def _preset(image: Image, names: Sequence[str]) -> str:
    """Return the description by which a frame was read, of its first step."""
    said = image.provenance.steps[0] if image.provenance.steps else ""
    return next((name for name in names if f" of {name}: " in said), names[0])


def _extracted(
    image: Image, frames: Sequence[Image], preset: str, detector: Detector, recipe: str
) -> Extracted:
    turn = detector.dispersion == "y"
    assert image.mask is not None and image.error is not None
    variance = image.error.astype(np.float64) ** 2
    unit = image.unit
    if recipe == "rows-above-sky":
        flux, factor, unit = _recipe_image(image, frames)
        spectrum = rows_above_sky(_turned(flux, turn), _turned(variance / factor**2, turn))
    else:
        flux = image.flux.astype(np.float64)
        spectrum = boxcar(
            _turned(flux, turn), _turned(variance, turn), _turned(image.mask, turn),
            detector.extraction,
        )  # fmt: skip
    return Extracted(image, spectrum, unit, recipe, preset, detector, len(frames))


def _turned(array: npt.NDArray[Any], turn: bool) -> npt.NDArray[Any]:
    return np.ascontiguousarray(array.T if turn else array)


def _recipe_image(
    image: Image, frames: Sequence[Image]
) -> tuple[npt.NDArray[np.float64], float, str]:
    """Return the mean of counts minus master dark in float64, as the recipe has it.

    The gain, of one amplifier, is left out; without counts and a dark the mean image is taken.
    """
    known = frames[0].calibration
    simple = all(
        "counts" in frame.layers and "dark" in frame.calibration and "bias" not in frame.calibration
        for frame in frames
    )
    if not simple or len(known["amplifiers"].values) != 1:
        return image.flux.astype(np.float64), 1.0, image.unit
    total = np.zeros(image.flux.shape)
    for frame in frames:  # in their order: ((a + b) + c) / 3
        counts = frame.layers["counts"].values.astype(np.float64)
        total += counts - frame.calibration["dark"].values.astype(np.float64)
    gain = float(known["gain"].values[0]) if "gain" in known else 1.0
    return total / len(frames), gain, "adu"


def _fibers(shot: Shot, spectra: Sequence[Extracted]) -> Fibers:
    width = max(len(one.spectrum.flux) for one in spectra)
    flux, raw, sky, error = (np.full((len(spectra), width), np.nan) for _ in range(4))
    mask = np.full((len(spectra), width), value("outside", "no_data", "no_error"), np.uint32)
    signal = np.full(len(spectra), np.nan, np.float32)
    for row, one in enumerate(spectra):  # over spectra, of which a shot has a few
        size = len(one.spectrum.flux)
        flux[row, :size], raw[row, :size] = one.spectrum.flux, one.spectrum.raw
        sky[row, :size], mask[row, :size] = one.spectrum.sky, one.spectrum.mask
        with np.errstate(invalid="ignore"):
            error[row, :size] = np.sqrt(one.spectrum.variance)
            ratio = flux[row] / error[row]
        good = valid(mask[row]) & np.isfinite(ratio)
        if good.any():
            signal[row] = np.median(ratio[good])
    pointing = np.array(
        [one.image.calibration["pointing"].values for one in spectra], dtype=np.float64
    )
    night = shot.key.split("/")[0]
    units = {one.unit for one in spectra}
    starts, ends = zip(*(one.image.times.span for one in spectra), strict=True)
    apertures = np.array([[one.spectrum.first, one.spectrum.last] for one in spectra])
    names = tuple(one.image.name for one in spectra)
    layers = {
        "raw": Array(raw, spectra[0].unit, ("fiber", "wave"), "Before the sky was subtracted."),
        "sky": Array(sky, spectra[0].unit, ("fiber", "wave"), "Sky that was subtracted."),
    }
    if all(one.detector.dispersion == "x" for one in spectra):
        rows = np.broadcast_to(apertures.mean(axis=1)[:, None], (len(spectra), width))
        layers["trace"] = Array(
            rows.astype(np.float32), "pix", ("fiber", "wave"), "Middle of the aperture, from 0."
        )
    notes = tuple(dict.fromkeys(note for one in spectra for note in one.spectrum.notes))
    if len(units) > 1:
        notes = (*notes, f"spectra in different units: {', '.join(sorted(units))}")
    return Fibers(
        name=c.EXTRACTED,
        flux=flux,
        error=error,
        mask=mask,
        unit=spectra[0].unit,
        wave=Spectral(np.arange(1.0, width + 1.0), unit="pix"),
        id=names,
        ra=pointing[:, 0].copy(),
        dec=pointing[:, 1].copy(),
        target=tuple(one.image.target or "unnamed" for one in spectra),
        columns={
            c.ALIAS: tuple(f"{one.image.target or 'unnamed'} {night}" for one in spectra),
            c.RECIPE: tuple(one.recipe for one in spectra),
            c.PRESET: tuple(one.preset for one in spectra),
            c.DISPERSER: tuple(one.image.band for one in spectra),
            c.EXPOSURES: np.array([one.exposures for one in spectra], np.int32),
            c.EXPOSURE_TIME: np.array(
                [float(one.image.calibration["exposure_time"].values) for one in spectra]
            ),
            c.FIRST_ROW: (apertures[:, 0] + 1).astype(np.int32),
            c.LAST_ROW: (apertures[:, 1] + 1).astype(np.int32),
            c.SNR: signal,
        },
        layers=layers,
        images=names,
        image=np.arange(len(spectra), dtype=np.int32),
        times=Times(np.array(starts), np.array(ends), spectra[0].image.times.quality),
        provenance=Provenance(
            sources=tuple(s for one in spectra for s in one.image.provenance.sources),
            parents=names,
            steps=tuple(
                f"{one.image.name}: {one.recipe}, "
                + ", ".join(f"{name} {number:g}" for name, number in one.spectrum.numbers.items())
                for one in spectra
            ),
            not_modelled=(
                "the wavelength: pixels are numbered from 1",
                "the tilt of the spectrum across the aperture",
            ),
            notes=notes,
        ),
    )
