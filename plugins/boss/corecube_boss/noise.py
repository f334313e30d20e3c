"""What variance the extracted electrons of a pixel should have.

A row of the detector is fitted with a Gaussian profile p, integrated over pixels, of a width that
the flat gives. The laws follow from how idlspec2d weights the pixels:

``v5_7``
    Weights by the whole variance (idlspec2d v5_7_0, ``pro/spec2d/extract_bundle_row.pro``):
    1 / variance = sum p^2 / (RN^2 + S p).
``v5_8``
    Weights by the read noise alone (idlspec2d v5_8_0 and later):
    variance = RN^2 / sum p^2 + S sum p^3 / (sum p^2)^2; the factor of S is 2 / sqrt(3) for a
    Gaussian of any width.
``notebook``
    S + RN^2 sqrt(4 pi) sigma^2, which is in use elsewhere and given for comparison.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from corecube.errors import FrameError
from corecube.fits import Header
from corecube.frames import Fibers
from corecube_boss.settings import Amplifiers, Law

LawName = Literal["v5_7", "v5_8", "notebook"]
FloatArray = npt.NDArray[np.float64]

HALF_WIDTH: Final = 12
"""Pixels to each side of the centre that are summed; the profile has a sigma of about one."""
SLOPE_V5_8: Final = 2.0 / math.sqrt(3.0)
"""Variance of the v5_8 law for each electron; 1.1545 with the integration over pixels."""

BOUNDARIES: Final = {"b": (2056, 2048), "r": (2064, 2057)}
"""First row and column of the upper and right half of a detector (idlspec2d, sdssproc)."""

_VERSION: Final = re.compile(r"v(\d+)_(\d+)")
_TABLE_END: Final = 12.0
_TABLE_STEP: Final = 0.003
"""Of the table of the normal distribution, in sigma; cubic interpolation is good to 1e-12."""


def law_of(version: str, law: Law = "auto") -> LawName:
    """Return the law that a reduction follows.

    Parameters
    ----------
    version : str
        VERS2D, such as ``v5_13_0`` or ``NOCVS:v5_3_23``.
    law : str
        Another than "auto" is returned as it is.
    """
    if law != "auto":
        return law
    return "v5_8" if since(version, 5, 8) else "v5_7"


def since(version: str, major: int, minor: int) -> bool:
    """Say whether a reduction is of a version or a later one; False where none is known.

    Parameters
    ----------
    version : str
        VERS2D, such as ``v5_13_0``, which is later than ``v5_8_0``.
    major, minor : int
    """
    match = _VERSION.search(version)
    return match is not None and (int(match[1]), int(match[2])) >= (major, minor)


def variance(
    law: LawName, electrons: npt.ArrayLike, read_noise: npt.ArrayLike, sigma: npt.ArrayLike,
    centre: npt.ArrayLike = 0.0,
) -> FloatArray:  # fmt: skip
    """Return the predicted variance of extracted electrons.

    Parameters
    ----------
    law : {"v5_7", "v5_8", "notebook"}
    electrons : float array
        Object and sky as detected, electron; below 0 counts as 0.
    read_noise : float array
        electron.
    sigma, centre : float array
        Width and centre of the profile, pixels. All arrays are broadcast.

    Returns
    -------
    float64 array, electron^2
    """
    counts = np.maximum(np.asarray(electrons, np.float64), 0.0)
    noise = np.asarray(read_noise, np.float64) ** 2
    width = np.asarray(sigma, np.float64)
    if law == "notebook":
        return np.asarray(counts + noise * math.sqrt(4.0 * math.pi) * width**2)
    if law not in ("v5_7", "v5_8"):
        raise FrameError(f"there is no law '{law}'; the laws are v5_7, v5_8 and notebook")
    place = np.asarray(centre, np.float64)
    offset = np.rint(place) - place
    shape = np.broadcast_shapes(counts.shape, noise.shape, width.shape, offset.shape)
    weights, second, third = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    below = _normal((offset - HALF_WIDTH - 0.5) / width)
    for pixel in range(-HALF_WIDTH, HALF_WIDTH + 1):
        above = _normal((offset + pixel + 0.5) / width)
        part = above - below
        below = above
        if law == "v5_7":
            weights += part**2 / (noise + counts * part)
        else:
            second += part**2
            third += part**3
    return 1.0 / weights if law == "v5_7" else noise / second + counts * third / second**2


@lru_cache(maxsize=1)
def _table() -> tuple[FloatArray, FloatArray]:
    """Return the normal distribution and its density times the table's step."""
    where = np.arange(-_TABLE_END, _TABLE_END + _TABLE_STEP, _TABLE_STEP)
    below = np.array([0.5 * math.erfc(-x / math.sqrt(2.0)) for x in where.tolist()])
    return below, _TABLE_STEP * np.exp(-0.5 * where**2) / math.sqrt(2.0 * math.pi)


def _normal(x: npt.NDArray[Any]) -> FloatArray:
    """Return the normal distribution by cubic interpolation of a table (numpy has no erf)."""
    values, slopes = _table()
    place = (np.clip(x, -_TABLE_END, _TABLE_END) + _TABLE_END) / _TABLE_STEP
    low = np.minimum(place.astype(np.int64), values.size - 2)
    t = place - low
    u = 1.0 - t
    return np.asarray(
        u * u * ((1.0 + 2.0 * t) * values[low] + t * slopes[low])
        + t * t * ((3.0 - 2.0 * t) * values[low + 1] - u * slopes[low + 1])
    )


def effective_pixels(sigma: float) -> float:
    """Return by how many pixels' read noise an extraction without light is disturbed.

    sqrt(4 pi (sigma^2 + 1/12)): 1 / sum p^2 of a Gaussian integrated over pixels, to 0.1 %.
    """
    return math.sqrt(4.0 * math.pi * (sigma**2 + 1.0 / 12.0))


def amplifier(
    camera: str, row: npt.ArrayLike, x: npt.ArrayLike, convention: Amplifiers
) -> npt.NDArray[np.int64]:
    """Return the number of the amplifier whose read noise a pixel has.

    Parameters
    ----------
    camera : str
        ``b1``, ``r2``.
    row, x : number array
        Place on the detector.
    convention : {"pipeline", "physical"}
        ``physical``: right half + 2 upper half. ``pipeline``: 2 right half + upper half, as
        sdssproc of idlspec2d fills its variance image.
    """
    first_row, first_column = BOUNDARIES[camera[0]]
    upper = (np.asarray(row) >= first_row).astype(np.int64)
    right = (np.asarray(x) >= first_column).astype(np.int64)
    return np.asarray(right + 2 * upper if convention == "physical" else 2 * right + upper)


def header_of(frame: Fibers) -> Header:
    """Return the cards of a frame's header."""
    return Header("".join(f"{card[:80]:80}" for card in frame.header.splitlines()))


def version_of(header: Header) -> str:
    """Return the version of the reduction that made a frame."""
    return str(header.get("VERS2D", header.get("RUN2D", "")))


def predicted(
    fibers: Fibers, law: Law = "auto", convention: Amplifiers = "pipeline"
) -> FloatArray | None:
    """Return the variance that the electrons of a camera's exposure should have, (n, w).

    Parameters
    ----------
    fibers : Fibers
        Read of spFrame and spFlat.
    law : str
    convention : {"pipeline", "physical"}

    Returns
    -------
    float64 array (n, w), electron^2, or None
        None where it is not modelled: a file is missing, or SDSS-I/II, whose headers do not say
        which amplifier has which read noise.
    """
    layers = {name: layer.values for name, layer in fibers.layers.items()}
    noise = fibers.calibration.get("readnoise")
    if noise is None or not {"electrons", "electrons_sky", "sigma", "x"} <= layers.keys():
        return None
    counts = layers["electrons"].astype(np.float64) + layers["electrons_sky"]
    camera = fibers.name.partition("-")[0]
    rows = np.arange(counts.shape[1])[None, :]
    which = amplifier(camera, rows, layers["x"], convention)
    name = law_of(version_of(header_of(fibers)), law)
    return variance(name, counts, noise.values[which], layers["sigma"], layers["x"])
