"""What only this instrument knows of a shot: overscans, noise, gain, masters, apertures."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.figures import Figures, Panel, Series, Subject
from corecube.frames import Fibers, Image
from corecube.masks import valid
from corecube.shots import Shot
from corecube_ccdlab.columns import EXTRACTED
from corecube_ccdlab.noise import terms
from corecube_ccdlab.statistics import clipped

_SHOWN: Final = (
    "gain", "read_noise", "overscan_mean", "overscan_std", "overscan_means", "overscan_stds",
    "gain_measured", "gain_levels", "dark_noise", "pedestal", "levels", "exposure_time",
    "exposures",
)  # fmt: skip


def report(shot: Shot, subject: Subject) -> Figures | None:
    """Report a shot, an image or a spectrum.

    Parameters
    ----------
    shot : Shot
        From the archive.
    subject : Subject
    """
    if subject.kind == "image":
        return _image(shot.frame(subject.name))
    if subject.kind == "fiber":
        return _fiber(shot.rows(subject.name, subject.row, subject.row + 1))
    return _shot(shot)


def _shot(shot: Shot) -> Figures:
    numbers: dict[str, Any] = {"kind": shot.plan.kind, "needs": list(shot.plan.needs)}
    frames, levels = {}, []
    for name in shot.images:
        image = shot.frame(name)
        frames[name] = _numbers(image)
        if "overscan_mean" in image.calibration:
            levels.append(image.calibration["overscan_mean"].values)
    numbers["frames"] = frames
    panels = []
    if levels and np.isfinite(levels).any():
        values = np.array(levels, dtype=np.float64)
        panels.append(
            Panel(
                "overscan", "Level of the overscan, frame by frame", "points",
                tuple(
                    Series(f"amplifier {number + 1}", part, np.arange(1.0, len(part) + 1.0))
                    for number, part in enumerate(values.T)
                ),
                "frame", "overscan", "", "adu",
            )
        )  # fmt: skip
    for group in shot.groups:
        numbers[group] = [
            {"id": name, "steps": step}
            for block in shot.blocks(group)
            for name, step in zip(block.id, block.provenance.steps, strict=False)
        ]
    return Figures(numbers, tuple(panels))


def _numbers(image: Image) -> dict[str, Any]:
    """Return statistics of an image and what was measured of it, as plain JSON."""
    assert image.mask is not None and image.error is not None
    good = valid(image.mask) & np.isfinite(image.flux)
    here = clipped(image.flux[good])
    found: dict[str, Any] = {
        "unit": image.unit, "valid_pixels": here.count, "mean_clipped": _plain(here.mean),
        "std_clipped": _plain(here.std),
        "median": _plain(np.median(image.flux[good])) if good.any() else None,
        "median_error": _plain(np.median(image.error[good])) if good.any() else None,
    }  # fmt: skip
    for name in _SHOWN:
        if name in image.calibration:
            array = image.calibration[name]
            found[name] = {
                "values": _plain(array.values), "unit": array.unit, "source": array.description
            }  # fmt: skip
    for name in ("bias", "dark", "flat", "arc"):
        link = image.calibration[name].link if name in image.calibration else None
        if link is not None:
            found[name] = {"shot": link.shot, "generation": link.generation, "digest": link.digest}
    if image.provenance.notes:
        found["notes"] = list(image.provenance.notes)
    return found


def _image(image: Image) -> Figures:
    numbers = _numbers(image)
    panels = []
    parts = terms(image)
    assert image.mask is not None
    good = valid(image.mask) & np.isfinite(image.flux)
    if parts is not None and good.any():
        shared = np.broadcast_to(parts.shared, image.flux.shape)
        flat = np.broadcast_to(parts.flat, image.flux.shape)
        numbers["variance_median"] = {
            "unit": f"{image.unit}2",
            "own": _plain(np.median(parts.own[good])),
            "bias_and_dark": _plain(np.median(shared[good])),
            "flat": _plain(np.median((image.flux.astype(np.float64) ** 2 * flat)[good])),
        }
    if "gain_measured" in image.calibration:
        levels, gains = (image.calibration[n].values for n in ("gain_levels", "gain_measured"))
        panels.append(
            Panel(
                "photon-transfer", "Gain by photon transfer", "points",
                tuple(
                    Series(f"amplifier {number + 1}", gain, level)
                    for number, (level, gain) in enumerate(zip(levels, gains, strict=True))
                ),
                "level above bias", "gain", "adu", "electron / adu",
            )
        )  # fmt: skip
    if "response" in image.calibration:
        response = image.calibration["response"].values
        panels.append(
            Panel(
                "response", "Spectrum of the lamp, divided out", "lines",
                (Series("fit", response, np.arange(1.0, len(response) + 1.0)),),
                "pixel along the dispersion", "relative flux", "pix", "",
            )
        )  # fmt: skip
    if "overscan" in image.calibration and image.calibration["overscan"].values.ndim == 2:
        panels.append(
            Panel(
                "overscan", "Level of the overscan", "lines",
                tuple(
                    Series(f"amplifier {number + 1}", part, np.arange(1.0, len(part) + 1.0))
                    for number, part in enumerate(image.calibration["overscan"].values)
                ),
                "row or column", "overscan", "pix", "adu",
            )
        )  # fmt: skip
    if good.any():
        sample = image.flux[good][:: max(1, int(good.sum()) // 50000)].astype(np.float64)
        panels.append(
            Panel(
                "values", "Values of the valid pixels", "histogram", (Series("valid", sample),),
                "flux", "pixels", image.unit, "",
            )
        )  # fmt: skip
    return Figures(numbers, tuple(panels))


def _fiber(fibers: Fibers) -> Figures | None:
    if fibers.name != EXTRACTED or "sky" not in fibers.layers:
        return None
    numbers = {column.name: _plain(values[0]) for column, values in fibers.columns.items()}
    wave = np.broadcast_to(fibers.wave.wavelength(), fibers.flux.shape)[0]
    assert fibers.mask is not None
    panel = Panel(
        "sky", "Spectrum before the sky was subtracted, and the sky", "lines",
        (
            Series("before", fibers.layers["raw"].values[0], wave, valid=valid(fibers.mask[0])),
            Series("sky", fibers.layers["sky"].values[0], wave),
        ),
        "pixel", "flux", fibers.wave.unit, fibers.unit,
    )  # fmt: skip
    return Figures(numbers, (panel,))


def _plain(values: Any) -> Any:
    """Return numbers as plain JSON, None for what is not finite."""
    if isinstance(values, str):
        return values
    array: npt.NDArray[Any] = np.asarray(values)
    if array.ndim:
        return [_plain(part) for part in array]
    number = array.item()
    return number if not isinstance(number, float) or np.isfinite(number) else None
