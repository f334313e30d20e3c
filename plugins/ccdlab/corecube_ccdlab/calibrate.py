"""From counts to electrons, each factor visible.

S = (g (R - O - B - D)) / F, with the counts R, the level of the overscan O, the master bias B and
the master dark D in ADU, the gain g in electrons per ADU and the master flat F.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from corecube.frames import Array, Factor, Image
from corecube.masks import value

Floats = npt.NDArray[np.floating[Any]]


def is_raw(image: Image) -> bool:
    """Tell whether an image is a raw frame, and not made from others."""
    return "amplifiers" in image.calibration and "overscan" in image.calibration


def spread(image: Image, array: Array) -> Floats:
    """Return values per amplifier as an array that can be broadcast to the image.

    Parameters
    ----------
    image : Image
        With the places of its amplifiers.
    array : Array
        (amplifier,), (amplifier, y) or (amplifier, x).
    """
    values = array.values.astype(np.float64)
    along_y, along_x = "y" in array.axes, "x" in array.axes
    if len(values) == 1:
        one: Floats = values[0][:, None] if along_y else values[0]
        return one
    full = np.empty(image.flux.shape)
    for part, (x0, x1, y0, y1) in zip(
        values, image.calibration["amplifiers"].values.tolist(), strict=True
    ):
        full[y0:y1, x0:x1] = part[:, None] if along_y else part[None, :] if along_x else part
    return full


def factors(image: Image) -> Sequence[Factor]:
    """Return the steps from counts to flux.

    Parameters
    ----------
    image : Image
        A raw frame or one from the archive; others, which were made from frames, have none.
    """
    if not is_raw(image):
        return ()
    known = image.calibration
    found = [
        Factor(
            "overscan",
            "add",
            -spread(image, known["overscan"]),
            "adu",
            known["overscan"].description,
        )
    ]
    for name in ("bias", "dark"):
        if name in known:
            found.append(
                Factor(
                    name, "add", -known[name].values.astype(np.float64), "adu", _source(known[name])
                )
            )
    if "gain" in known:
        found.append(
            Factor(
                "gain",
                "multiply",
                spread(image, known["gain"]),
                "electron / adu",
                known["gain"].description,
            )
        )
    if "flat" in known:
        found.append(
            Factor(
                "flat",
                "divide",
                known["flat"].values.astype(np.float64),
                "",
                _source(known["flat"]),
            )
        )
    return tuple(found)


def calibrated(image: Image) -> Image:
    """Return a raw frame in electrons, or in ADU where there is no gain.

    Parameters
    ----------
    image : Image
        With counts as flux; its mask is written into.
    """
    flux: Floats = image.flux.astype(np.float64)
    steps = []
    for factor in factors(image):
        flux = factor.apply(flux)
        steps.append(f"{factor.name}: {factor.operation}, {factor.source}")
    mask = image.mask
    if mask is not None:
        mask[~np.isfinite(flux)] |= np.uint32(value("not_calibrated"))
    return replace(
        image,
        flux=flux.astype(np.float32),
        mask=mask,
        unit="electron" if "gain" in image.calibration else "adu",
        provenance=image.provenance.add(*steps),
    )


def _source(array: Array) -> str:
    if array.link is None:
        return array.description
    return f"{array.link.shot}, {array.link.frame}"
