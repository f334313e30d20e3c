"""The variance of each pixel of a calibrated frame.

In electrons, with gain g, read noise s, counts R, overscan O, master bias B, master dark D (all in
ADU) and flat F::

    N   = g (R - O - B)                                electrons collected
    S   = (N - g D) / F                                flux
    var = (max(N, 0) + s^2 + g^2 var_O + g^2 var_B + g^2 var_D) / F^2 + S^2 var_F / F^2

Where no bias is known the dark has the pedestal in it, and N cannot be told apart from it. Then
max(S F, 0) stands for max(N, 0), and the noise of one dark pixel (read noise and shot noise of the
dark current together, and the shot noise of hot pixels) for s. Electrons are Poisson distributed;
the rest is error propagation.

The terms of bias, dark and flat are common to all exposures that used the same masters, so they do
not average down: they are kept apart (`Terms`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.frames import Fibers, Image, NoiseCheck
from corecube.masks import valid
from corecube_ccdlab.calibrate import is_raw, spread

Floats = npt.NDArray[np.float64]

NOT_MODELLED: Final = (
    "Poisson variance is taken from the counts themselves: pulls are low by up to 0.08 sigma in "
    "the mean below 600 electrons",
    "correlation of neighbouring pixels through an overscan level that they share",
    "the master bias in flat and exposure alike: their covariance",
    "correlated charge of bright pixels, which lowers their variance",
)
NO_FLAT: Final = "sensitivities of single pixels: there is no flat"
NO_GAIN: Final = "Poisson noise: the gain is not known"
_TAILS: Final = tuple(number / 100.0 for number in range(5, 31))
"""Parts of a distribution in each tail, whose distances give its width. Several, since differences
of integers come in steps, which a single percentile would follow."""


@dataclass(frozen=True)
class Terms:
    """The parts of a variance, in the square of the frame's unit.

    Attributes
    ----------
    own : float64 array (ny, nx)
        Of this exposure alone: photons, read noise, overscan.
    shared : float64 array, broadcastable
        Of master bias and master dark.
    flat : float64 array, broadcastable
        Relative variance of the master flat: times the square of the flux.
    """

    own: Floats
    shared: Floats
    flat: Floats

    def total(self, flux: npt.NDArray[Any]) -> Floats:
        """Return the variance of one exposure with this flux."""
        return np.asarray(self.own + self.shared + np.square(flux, dtype=np.float64) * self.flat)


def terms(image: Image) -> Terms | None:
    """Return the parts of the variance of a calibrated frame, from its own arrays.

    Parameters
    ----------
    image : Image
        A raw frame after `calibrated`, or from the archive.

    Returns
    -------
    Terms or None
        None where the read noise is not known.
    """
    known = image.calibration
    if not is_raw(image) or ("read_noise" not in known and "dark_noise" not in known):
        return None
    flux = image.flux.astype(np.float64)
    gain = spread(image, known["gain"]) if "gain" in known else np.float64(1.0)
    flat = known["flat"].values.astype(np.float64) if "flat" in known else np.float64(1.0)
    dark = known["dark"].values.astype(np.float64) if "dark" in known else np.float64(0.0)
    read: Any = spread(image, known["read_noise"]) ** 2 if "read_noise" in known else 0.0
    own = read * spread(image, known["overscan_factor"])
    with np.errstate(invalid="ignore"):
        if "dark_noise" in known:
            own = own + (gain * spread(image, known["dark_noise"])) ** 2
            own = own + gain * np.maximum(dark - known["pedestal"].values, 0.0)
            electrons = flux * flat
        else:
            own = own + read
            electrons = flux * flat + gain * dark
        if "gain" in known:
            own = own + np.maximum(electrons, 0.0)
    squares: Any = np.float64(0.0)
    for name in ("bias_error", "dark_error"):
        if name in known:
            squares = squares + known[name].values.astype(np.float64) ** 2
    relative: Any = np.float64(0.0)
    if "flat_error" in known:
        # Outside of the slit the flat is 1 and has no error: nothing was divided there.
        relative = np.nan_to_num((known["flat_error"].values.astype(np.float64) / flat) ** 2)
    own = np.broadcast_to(own / flat**2, flux.shape)
    return Terms(own, np.asarray(gain**2 * squares / flat**2), np.asarray(relative))


def with_errors(image: Image) -> Image:
    """Return a calibrated frame with its 1-sigma errors.

    Parameters
    ----------
    image : Image
        Frames that were made from others, which have their errors, come back as they are.
    """
    if image.error is not None:
        return image
    parts = terms(image)
    if parts is None:
        return replace(image, provenance=image.provenance.add(not_modelled=("all of the error",)))
    error = np.sqrt(parts.total(image.flux)).astype(np.float32)
    known = image.calibration
    name = "dark_noise" if "dark_noise" in known else "read_noise"
    left_out: tuple[str, ...] = (NO_GAIN, NOT_MODELLED[1])
    if "gain" in known:
        left_out = NOT_MODELLED if "flat" in known else (*NOT_MODELLED, NO_FLAT)
    provenance = image.provenance.add(
        f"error: photons, {known[name].description.rstrip('.')}, overscan and masters",
        not_modelled=left_out,
    )
    return replace(image, error=error, provenance=provenance)


def check_noise(frame: Image | Fibers) -> NoiseCheck | None:
    """Compare the quoted errors with the scatter between neighbours along x.

    The second differences of the flux, x[i-1] - 2 x[i] + x[i+1], over the error that they should
    have, are 0 +- 1 where errors are right and the flux is smooth; lines of spectra widen them.

    Parameters
    ----------
    frame : Image or Fibers
        With errors.

    Returns
    -------
    NoiseCheck or None
        None if fewer than 100 triples are valid.
    """
    if frame.error is None or frame.mask is None:
        return None
    flux = frame.flux.astype(np.float64)
    variance = frame.error.astype(np.float64) ** 2
    good = valid(frame.mask) & np.isfinite(flux) & np.isfinite(variance)
    middle, left, right = slice(1, -1), slice(None, -2), slice(2, None)
    with np.errstate(invalid="ignore", divide="ignore"):
        pulls = (flux[:, left] - 2.0 * flux[:, middle] + flux[:, right]) / np.sqrt(
            variance[:, left] + 4.0 * variance[:, middle] + variance[:, right]
        )
    pulls = pulls[good[:, left] & good[:, middle] & good[:, right]]
    if pulls.size < 100:
        return None
    low, high = (np.quantile(pulls, ends) for ends in (_TAILS, [1.0 - tail for tail in _TAILS]))
    expected = np.array([-2.0 * NormalDist().inv_cdf(tail) for tail in _TAILS])
    return NoiseCheck(
        name=frame.name,
        pixels=int(pulls.size),
        width=float(np.mean((high - low) / expected)),
        recipe="width of the second differences of the flux along x over their quoted error, mean "
        "of their quantiles from 5 to 30 % over those of a normal distribution; 1 is expected, "
        "more where the flux has lines or the detector has structure",
        pulls=pulls[:: max(1, pulls.size // 20000)],
    )
