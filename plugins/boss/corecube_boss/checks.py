"""The errors of spectra, checked against the prediction and against the spectra themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from corecube.frames import Fibers, NoiseCheck
from corecube_boss.noise import (
    SLOPE_V5_8,
    LawName,
    amplifier,
    effective_pixels,
    header_of,
    law_of,
    predicted,
    version_of,
)
from corecube_boss.settings import BossConfig
from corecube_sdssfiles import specnoise

JUMP_ROW = 2063
"""The lower of the two central rows of a red detector that are taller by a sixth."""
_JUMP_LOW, _JUMP_HIGH = 1300, 1800
"""Where in a red exposure's table of a spec file the jump is looked for."""
_JUMP_EXCESS, _JUMP_TOLERANCE = 1.0 / 3.0, 0.05
"""Rows by which the three steps around the jump are too long, together."""


@dataclass(frozen=True)
class Electrons:
    """Quoted and predicted variance of one exposure, in electrons.

    Attributes
    ----------
    counts, quoted, predicted : float64 array (n, w)
        Object and sky, electron; variances, electron^2. Predicted may be NaN.
    used : bool array (n, w)
        Pixels to compare.
    """

    counts: npt.NDArray[np.float64]
    quoted: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.float64]
    used: npt.NDArray[np.bool_]


def electrons_of(fibers: Fibers, config: BossConfig) -> Electrons | None:
    """Return quoted and predicted variance of a camera's exposure.

    Parameters
    ----------
    fibers : Fibers
        Read of spFrame and spFlat.
    config : BossConfig

    Returns
    -------
    Electrons or None
        None where the variance is not modelled.
    """
    expected = predicted(fibers, config.law, config.amplifiers)
    if expected is None:
        return None
    layers = {name: layer.values for name, layer in fibers.layers.items()}
    counts = layers["electrons"].astype(np.float64) + layers["electrons_sky"]
    quoted = layers["electrons_error"].astype(np.float64) ** 2
    used = np.isfinite(quoted) & np.isfinite(expected)
    if fibers.error is not None:
        used &= np.isfinite(fibers.error)
    return Electrons(counts, quoted, expected, used)


def check_noise(fibers: Fibers, config: BossConfig) -> NoiseCheck | None:
    """Compare the quoted errors with the prediction, and with the scatter of the spectra.

    The width is that of `corecube_sdssfiles.specnoise.check_noise`. Slope and floor of a camera's
    exposure are those of a line through quoted against predicted variance in electrons: 1 and 0
    where the prediction holds. Of a spec file's exposure they are those of the variance against
    the counts: 2 / sqrt(3) and the read noise of the pixels that were added up, for reductions
    since v5_8.

    Parameters
    ----------
    fibers : Fibers
        With errors.
    config : BossConfig

    Returns
    -------
    NoiseCheck or None
        None if fewer than 100 pixels are valid.
    """
    check = specnoise.check_noise(fibers)
    if check is None or not fibers.parent:
        return check
    found = electrons_of(fibers, config)
    if found is not None:
        used = found.used
        slope, floor, _ = specnoise.line(found.predicted[used], found.quoted[used])
        law = law_of(version_of(header_of(fibers)), config.law)
        return replace(
            check, slope=slope, floor=floor,
            recipe=f"{specnoise.NEIGHBOURS}; line: quoted against predicted variance in "
            f"electrons, law {law}, amplifiers as {config.amplifiers}",
        )  # fmt: skip
    expected = expected_floor(fibers, config)
    known = "the floor is not modelled"
    if expected is not None:
        known = f"a floor of {expected:.3f} is expected"
    return replace(check, recipe=f"{check.recipe}; {known}")


def expected_floor(fibers: Fibers, config: BossConfig) -> float | None:
    """Return the variance without light of an exposure of a spec file, electron^2.

    By the width XSIGMA of the header and the mean squared read noise of the two amplifiers of the
    half of the detector where the spectrum lies: which rows a table has is not said.

    Parameters
    ----------
    fibers : Fibers
        Of one fibre, or of fibres of one half.
    config : BossConfig

    Returns
    -------
    float or None
        None for SDSS-I/II, whose headers have two read noises and whose tables have no place.
    """
    header = header_of(fibers)
    sigma = header.get("XSIGMA")
    noise = [header.get(f"RDNOISE{number}") for number in range(4)]
    if "x" not in fibers.layers or not isinstance(sigma, int | float):
        return None
    values = [float(number) for number in noise if isinstance(number, int | float)]
    if len(values) != 4:
        return None
    camera = fibers.name.partition("-")[0]
    x = float(np.nanmedian(fibers.layers["x"].values))
    both = amplifier(camera, np.array([0, 10**6]), np.array([x, x]), config.amplifiers)
    return effective_pixels(float(sigma)) * float(np.mean(np.array(values)[both] ** 2))


def first_row(wavelength: npt.NDArray[np.float64]) -> int | None:
    """Return the detector's row of the first pixel of a red exposure of a spec file.

    Tables of spec files do not say which rows they have; the jump of a two-phase read-out tells:
    the longest step above its neighbourhood is that behind row 2063.

    Parameters
    ----------
    wavelength : float64 array (w,)
        Angstrom, NaN where padded.

    Returns
    -------
    int or None
        None if there is no jump.
    """
    step = np.diff(np.log10(wavelength[np.isfinite(wavelength)]))
    low, high = _JUMP_LOW, min(_JUMP_HIGH, step.size - 3)
    if high - low < 100:
        return None
    where = np.arange(low, high)
    part = step[low:high]
    excess = np.zeros(part.shape)
    kept = np.ones(part.shape, bool)
    for _ in range(3):
        trend = np.polynomial.Polynomial.fit(where[kept], part[kept], 2)(where)
        excess = part / trend - 1.0
        kept = np.abs(excess) < 5 * 1.4826 * np.median(np.abs(excess[kept])) + 1e-3
    peak = int(np.argmax(excess[1:-1])) + 1
    total = float(excess[peak - 1 : peak + 2].sum())
    if abs(total - _JUMP_EXCESS) > _JUMP_TOLERANCE:
        return None
    return JUMP_ROW - (low + peak)


def spec_numbers(fibers: Fibers, config: BossConfig) -> dict[str, Any]:
    """Return the figures of the noise of one fibre's exposure in a spec file, plain JSON."""
    found = specnoise.in_electrons(fibers)
    if found is None:
        return {}
    counts, quoted, used = found
    slope, floor, kept = specnoise.line(counts[used], quoted[used])
    law: LawName = law_of(version_of(header_of(fibers)), config.law)
    numbers: dict[str, Any] = {
        "law": law, "amplifiers": config.amplifiers, "pixels": int(used.sum()), "used": kept,
        "slope": slope, "floor_electron2": floor,
    }  # fmt: skip
    expected = expected_floor(fibers, config)
    if expected is None:
        numbers["prediction"] = "not modelled: the amplifier of a row is not known"
    else:
        numbers["expected_floor_electron2"] = expected
        if law == "v5_8":
            numbers["expected_slope"] = SLOPE_V5_8
    return numbers
