"""Read one raw frame, with all that its calibration and its noise need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood
from corecube.fits import Fits
from corecube.frames import Array, Image
from corecube.masks import MaskArray, value
from corecube.provenance import Provenance
from corecube.shots import Context, Shot, ShotPlan
from corecube_ccdlab.detector import Detector, from_plan
from corecube_ccdlab.headers import Cards, Exposure, describe, done, position, recognise, times
from corecube_ccdlab.identify import facts_of
from corecube_ccdlab.planning import masters_for
from corecube_ccdlab.readout import Amp, Readout, quantity, read_out
from corecube_ccdlab.settings import CcdlabConfig

ELECTRON: Final = "electron"
ADU: Final = "adu"
_AMP: Final = ("amplifier",)


@dataclass(frozen=True)
class Master:
    """A master image, and the shot that has it."""

    shot: Shot
    image: Image

    @property
    def title(self) -> str:
        """Identity of the shot, and name of the image."""
        return f"{self.shot.identity}/{self.image.name}"

    def linked(self, field: str) -> Array:
        """Return an array of it as a link."""
        return self.shot.linked(self.image.name, field)


def read_image(plan: ShotPlan, entry: str, config: CcdlabConfig, context: Context) -> Image:
    """Return a raw frame in counts, trimmed and assembled, with links to its masters.

    Parameters
    ----------
    plan : ShotPlan
    entry : str
    config : CcdlabConfig
    context : Context
        With the masters that the plan needs.

    Raises
    ------
    FileNotUnderstood
        If the file is damaged, or does not fit the detector description.
    """
    source = plan.entries[entry][0]
    name = PurePath(source.path).name
    cards = Cards(Fits(context.read(source), source.path), name)
    detectors = from_plan(plan.settings)
    preset = recognise(cards, detectors, len(detectors) == 1)
    if cards.hdu < 0 or not preset:
        raise FileNotUnderstood(
            f"{source.path}: no image of {' or '.join(detectors)}; fetch the file again"
        )
    detector = detectors[preset]
    exposure = describe(cards, preset, detector, source.kind, config, source.path)
    readout = read_out(cards, detector, source.path)
    masters = _masters(exposure, detector, cards, plan, config, context)
    calibration = _of_frame(exposure, readout, cards, detector, config, masters)
    calibration |= _of_masters(masters, readout, source.path)
    ra, dec = position(cards, detector, exposure)
    calibration["pointing"] = Array(
        np.array([ra, dec]), "deg", ("axis",), "Position that the header names, ICRS; NaN: none."
    )
    return Image(
        name=entry,
        flux=readout.counts.astype(np.float32),
        unit=ADU,
        mask=_mask(readout, masters),
        layers={
            "counts": Array(readout.counts, ADU, ("y", "x"), "Counts as the camera gave them.")
        },
        calibration=calibration,
        header=cards.lines(),
        band=exposure.disperser,
        target=exposure.target,
        times=times(exposure),
        provenance=Provenance(
            sources=(name,),
            parents=tuple(master.title for master in masters.values()),
            steps=(
                f"{exposure.type} frame of {preset}: {detector.title}",
                *detector.remarks,
                *done(cards, detector),
            ),
            notes=readout.notes,
        ),
    )


def _masters(
    exposure: Exposure,
    detector: Detector,
    cards: Cards,
    plan: ShotPlan,
    config: CcdlabConfig,
    context: Context,
) -> dict[str, Master]:
    """Return the masters by role: bias, dark, flat, arc."""
    facts = facts_of(exposure, detector, cards, config)
    chosen = masters_for(facts, detector, plan.needs, config)
    if chosen is None:
        raise FileNotUnderstood(
            f"{plan.key}: {cards.name} waits for {facts['waiting_for']}; add them, or go on "
            "without by the setting without_masters"
        )
    found = {}
    for role, key in chosen.items():
        shot = context.shots[key]
        # a single arc is its own master
        name = role if role in shot.images else shot.images[0] if role == "arc" else ""
        if name:
            found[role] = Master(shot, shot.frame(name))
    return found


def _of_frame(
    exposure: Exposure,
    readout: Readout,
    cards: Cards,
    detector: Detector,
    config: CcdlabConfig,
    masters: Mapping[str, Master],
) -> dict[str, Array]:
    """Return what the calibration needs of the frame itself."""
    amps = readout.amps
    gain, gain_source = _gain(cards, detector, config)
    in_counts = exposure.type in ("bias", "dark") or gain is None
    places = [[a.place.x0, a.place.x1, a.place.y0, a.place.y1] for a in amps]
    found = {
        "amplifiers": Array(
            np.array(places, np.int32), "pix", ("amplifier", "edge"),
            "First column, column after the last, first row, row after the last.",
        ),
        "exposure_time": Array(np.array(exposure.seconds), "s", (), "By the header."),
        **_overscan(amps, detector),
    }  # fmt: skip
    if gain is not None and not in_counts:
        found["gain"] = Array(gain, "electron / adu", _AMP, f"Gain, {gain_source}.")
    noise, source = _read_noise(cards, detector, config, amps, masters, gain)
    if noise is not None:
        unit = ADU
        if not in_counts and gain is not None:
            noise, unit = noise * gain, ELECTRON
        found["read_noise"] = Array(noise, unit, _AMP, f"Read noise, {source}.")
    return found


def _overscan(amps: tuple[Amp, ...], detector: Detector) -> dict[str, Array]:
    axes = amps[0].axes
    if len({a.level.shape for a in amps}) != 1:
        raise FileNotUnderstood(
            "overscans of amplifiers of different sizes need one level each; take level: constant "
            "in the detector description"
        )
    what = (
        f"Level of the overscan, {detector.overscan.statistic}"
        if amps[0].pixels
        else "No overscan; the pedestal that the header names"
    )
    return {
        "overscan": Array(np.stack([a.level for a in amps]), ADU, (*_AMP, *axes), f"{what}."),
        "overscan_factor": Array(
            np.array([a.factor for a in amps]), "", _AMP,
            "Variance of the level over the square of the read noise.",
        ),
        "overscan_mean": Array(
            np.array([a.mean for a in amps]), ADU, _AMP, "Mean of the overscan, clipped."
        ),
        "overscan_std": Array(
            np.array([a.std for a in amps]), ADU, _AMP, "Scatter of the overscan, clipped."
        ),
        "dead": Array(
            np.array([bool(a.dead) for a in amps]), "", _AMP, "The amplifier recorded nothing."
        ),
    }  # fmt: skip


def _gain(
    cards: Cards, detector: Detector, config: CcdlabConfig
) -> tuple[npt.NDArray[np.float64] | None, str]:
    count = len(detector.amplifiers)
    if config.gain is not None:
        return np.full(count, config.gain), "from the setting gain"
    found = [quantity(part.gain, cards) for part in detector.amplifiers]
    numbers = [number for number, _ in found if number is not None]
    if len(numbers) < count:
        return None, ""
    return np.array(numbers), f"from {'; '.join(dict.fromkeys(source for _, source in found))}"


def _read_noise(
    cards: Cards,
    detector: Detector,
    config: CcdlabConfig,
    amps: tuple[Amp, ...],
    masters: Mapping[str, Master],
    gain: npt.NDArray[np.float64] | None,
) -> tuple[npt.NDArray[np.float64] | None, str]:
    """Return the read noise in ADU: setting, measured, this frame's overscan, header."""
    if config.read_noise is not None and gain is not None:
        return config.read_noise / gain, "from the setting read_noise"
    if "bias" in masters:
        stored = masters["bias"].image.calibration["read_noise"]
        said = stored.description.removeprefix("Read noise, ").rstrip(".")
        return stored.values.astype(np.float64), said
    std = np.array([np.nan if amp.dead else amp.std for amp in amps])
    if all(amp.dead or amp.std > 0 for amp in amps):
        return std, "scatter of this frame's overscan"
    found = [quantity(part.read_noise, cards) for part in detector.amplifiers]
    numbers = [number for number, _ in found if number is not None]
    if gain is None or len(numbers) < len(found):
        return None, ""
    sources = dict.fromkeys(source for _, source in found)
    return np.array(numbers) / gain, f"from {'; '.join(sources)}"


def _of_masters(masters: Mapping[str, Master], readout: Readout, where: str) -> dict[str, Array]:
    """Return links to the masters' arrays."""
    found: dict[str, Array] = {}
    for role, master in masters.items():
        if master.image.flux.shape != readout.counts.shape:
            raise FileNotUnderstood(
                f"{where}: its {readout.counts.shape} pixels are not those of {master.title}, "
                f"{master.image.flux.shape}; correct the sections in the detector description"
            )
        found[role] = master.linked("flux")
        if role != "arc":
            found[f"{role}_error"] = master.linked("error")
        if role == "dark":
            for name in ("pedestal", "dark_noise"):
                if name in master.image.calibration:
                    found[name] = master.image.calibration[name]
    return found


def _mask(readout: Readout, masters: Mapping[str, Master]) -> MaskArray:
    """Return the frame's mask with what the masters know of bad pixels."""
    mask = readout.mask
    wanted = np.uint32(value("bad_detector", "not_calibrated", "low_throughput"))
    for role, master in masters.items():
        if role != "arc" and master.image.mask is not None:
            mask |= master.image.mask & wanted
    return mask
