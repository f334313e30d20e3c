"""Master flats: normalised, combined, and freed of the lamp's spectrum.

Each flat is divided by one number for all amplifiers, its median over the lit pixels; what differs
between amplifiers after the gain stays in the flat and goes the same way into the science. The
lamp's spectrum is a polynomial in the logarithm along the dispersion; nothing is smoothed before
the fit, so that both ends of the detector are fitted as well as its middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.frames import Array, Image
from corecube.masks import valid, value
from corecube.provenance import Provenance
from corecube.times import Times
from corecube_ccdlab.detector import Detector
from corecube_ccdlab.noise import terms
from corecube_ccdlab.settings import CcdlabConfig
from corecube_ccdlab.statistics import combine, photon_transfer

LIT: Final = 0.8
"""Rows with at least this part of the median of the lit rows count as lit."""
FAINT: Final = 0.1
"""Rows below this part of the brightest are left out of that median."""
LOWEST: Final = 0.2
"""A flat below this is a bad pixel."""
READ_NOISE_LIMITED: Final = 10.0
"""Electrons below this times the square of the read noise: the flat is noisy there."""

Floats = npt.NDArray[np.float64]


def lit_rows(profile: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which rows across the dispersion the slit lets light on.

    Parameters
    ----------
    profile : float array (rows,)
        Mean of each row along the dispersion.
    """
    bright = profile > FAINT * np.nanmax(profile)
    if not bright.any():
        return np.zeros(profile.shape, np.bool_)
    with np.errstate(invalid="ignore"):
        lit: npt.NDArray[np.bool_] = profile >= LIT * np.median(profile[bright])
    return lit


def response(spectrum: npt.NDArray[Any], sigma: npt.NDArray[Any], degree: int) -> Floats:
    """Return the smooth spectrum of a lamp: a polynomial in log, weighted by its errors.

    Parameters
    ----------
    spectrum, sigma : float array (w,)
        Values that are not positive are left out.
    degree : int
        Of the Legendre polynomial in the position scaled to -1..1.

    Returns
    -------
    float64 array (w,)
        1 everywhere if fewer than degree + 2 values are positive.
    """
    with np.errstate(invalid="ignore"):
        good = (spectrum > 0) & np.isfinite(spectrum) & (sigma > 0) & np.isfinite(sigma)
    if good.sum() < degree + 2:
        return np.ones(spectrum.shape)
    x = np.linspace(-1.0, 1.0, len(spectrum))
    weights = spectrum[good] / sigma[good]  # 1 over the error of the natural logarithm
    fit = np.polynomial.legendre.legfit(x[good], np.log(spectrum[good]), degree, w=weights)
    return np.asarray(np.exp(np.polynomial.legendre.legval(x, fit)))


def master_flat(frames: Sequence[Image], detector: Detector, config: CcdlabConfig) -> Image:
    """Return the master flat of exposures of one setup.

    Parameters
    ----------
    frames : sequence of Image
        Calibrated flats, electrons (or ADU without a gain).
    detector : Detector
    config : CcdlabConfig
    """
    first = frames[0]
    along = 1 if detector.dispersion == "x" else 0
    flux = np.stack([frame.flux.astype(np.float64) for frame in frames])
    good = np.stack([valid(frame.mask) for frame in frames if frame.mask is not None])
    rows = lit_rows(np.asarray(flux.mean(axis=0).mean(axis=along)))
    lit = np.broadcast_to(rows[:, None] if along == 1 else rows[None, :], first.flux.shape)
    if not lit.any():
        lit = np.ones(first.flux.shape, np.bool_)
    middle = np.array([np.median(plane[lit]) for plane in flux])
    combined, count, factor = combine(flux / middle[:, None, None], good, config.combine)
    variance = _variance(frames, middle, factor)
    usable = lit & (count > 0)
    spectrum, sigma = _spectrum(combined, variance, usable, along)
    smooth = response(spectrum, sigma, detector.response_degree)
    wide = smooth[None, :] if along == 1 else smooth[:, None]
    flat, error = combined / wide, np.sqrt(variance) / wide
    mask = np.zeros(flat.shape, np.uint32)
    with np.errstate(invalid="ignore"):
        bad = lit & ~(flat > LOWEST)
        faint = lit & (combined * middle.mean() < _limit(first))
    mask[bad] |= np.uint32(value("bad_detector", "not_calibrated"))
    mask[faint] |= np.uint32(value("low_throughput"))
    mask[~lit] |= np.uint32(value("not_calibrated"))
    flat[bad] = np.nan
    flat[~lit] = 1.0  # outside of the slit nothing is changed, and masked as not calibrated
    error[~lit] = 0.0
    calibration = {
        "amplifiers": first.calibration["amplifiers"],
        "levels": Array(
            middle, first.unit, ("frame",), "Median of each flat over the lit pixels."
        ),
        "lit": Array(
            rows, "", ("space",), "Rows across the dispersion that the slit lets light on."
        ),
        "response": Array(
            smooth, "", ("dispersion",), "Spectrum of the lamp, which was divided out."
        ),
        **_measured_gain(frames, lit),
    }  # fmt: skip
    spans = [frame.times.span for frame in frames]
    return Image(
        name="flat",
        flux=flat.astype(np.float32),
        error=error.astype(np.float32),
        mask=mask,
        unit="",
        calibration=calibration,
        header=first.header,
        band=first.band,
        times=Times(min(s for s, _ in spans), max(e for _, e in spans), first.times.quality),
        provenance=Provenance(
            sources=tuple(s for frame in frames for s in frame.provenance.sources),
            parents=(
                *(frame.name for frame in frames),
                *dict.fromkeys(p for frame in frames for p in frame.provenance.parents),
            ),
            steps=(
                "each flat over its median of the lit pixels",
                f"{config.combine} of {len(frames)}",
                f"over the lamp's spectrum, a polynomial of degree {detector.response_degree} in "
                "the logarithm",
            ),
            not_modelled=("the error of the lamp's spectrum that was divided out",),
            notes=tuple(dict.fromkeys(n for frame in frames for n in frame.provenance.notes)),
        ),
    )


def _variance(frames: Sequence[Image], middle: Floats, factor: Floats) -> Floats:
    """Return the variance of the combined flat, the lamp's spectrum still in it."""
    own = np.zeros(frames[0].flux.shape)
    shared: Any = np.float64(0.0)
    known = True
    for frame, level in zip(frames, middle.tolist(), strict=True):
        parts = terms(frame)
        if parts is None:
            known = False
            continue
        own += parts.own / level**2
        shared = shared + parts.shared / level**2
    if not known:
        return np.full(own.shape, np.nan)
    return np.asarray(own / len(frames) * factor + shared / len(frames))


def _spectrum(
    combined: Floats, variance: Floats, usable: npt.NDArray[np.bool_], along: int
) -> tuple[Floats, Floats]:
    across = 1 - along
    number = usable.sum(axis=across)
    some = np.maximum(number, 1)
    spectrum = np.where(usable, combined, 0.0).sum(axis=across) / some
    sigma = np.sqrt(np.where(usable, variance, 0.0).sum(axis=across)) / some
    sigma = np.where(np.isfinite(sigma) & (sigma > 0), sigma, 1.0)
    spectrum[number == 0] = np.nan
    return spectrum, sigma


def _limit(image: Image) -> float:
    """Return the flux below which read noise dominates, in the frame's unit."""
    known = image.calibration
    if "gain" not in known or "read_noise" not in known:
        return 0.0
    return READ_NOISE_LIMITED * float(
        np.mean(known["read_noise"].values ** 2 / known["gain"].values)
    )


def _measured_gain(frames: Sequence[Image], lit: npt.NDArray[np.bool_]) -> dict[str, Array]:
    """Return the gain of each amplifier by photon transfer of the first two flats."""
    if len(frames) < 2:
        return {}
    first, second = frames[0], frames[1]
    known = first.calibration
    if "gain" not in known or "read_noise" not in known:
        return {}
    assert first.mask is not None and second.mask is not None
    good = lit & valid(first.mask) & valid(second.mask)
    levels, gains = [], []
    for number, (x0, x1, y0, y1) in enumerate(known["amplifiers"].values.tolist()):
        where = np.s_[y0:y1, x0:x1]
        gain = float(known["gain"].values[number])
        found = photon_transfer(
            first.flux[where] / gain,
            second.flux[where] / gain,
            float(known["read_noise"].values[number]) / gain,
            good[where],
        )
        levels.append(found.level)
        gains.append(found.gain)
    return {
        "gain_levels": Array(
            np.array(levels), "adu", ("amplifier", "bin"), "Brightness of the bins."
        ),
        "gain_measured": Array(
            np.array(gains), "electron / adu", ("amplifier", "bin"),
            "Gain by photon transfer of the first two flats, not used.",
        ),
    }  # fmt: skip
