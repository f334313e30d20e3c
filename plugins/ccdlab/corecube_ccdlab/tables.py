"""Text tables of extracted spectra, as the published recipe wrote them."""

from __future__ import annotations

import numpy as np

from corecube.errors import FrameError
from corecube.frames import Fibers


def recipe_text(fibers: Fibers, row: int = 0, *, sky_subtracted: bool = True) -> bytes:
    r"""Return a spectrum as a table of pixel number and value.

    The first line is ``x y``; numbers are the shortest decimals that give the same float64 again,
    with one blank between and ``\n`` at the ends. For spectra of the recipe ``rows-above-sky``
    these are the bytes of the published tables.

    Parameters
    ----------
    fibers : Fibers
        Of the group ``extracted``.
    row : int
    sky_subtracted : bool
        Take the flux, else the layer ``raw``.

    Raises
    ------
    FrameError
        If the spectrum has no layer ``raw``.
    """
    if sky_subtracted:
        values = fibers.flux[row]
    elif "raw" in fibers.layers:
        values = fibers.layers["raw"].values[row]
    else:
        raise FrameError(f"group '{fibers.name}' has no layer 'raw'; take the sky-subtracted flux")
    wave = np.asarray(fibers.wave.wavelength(), dtype=np.float64)
    x = wave if wave.ndim == 1 else wave[row]
    pairs = zip(x.tolist(), values.astype(np.float64).tolist(), strict=True)
    lines = ["x y", *(f"{place!r} {number!r}" for place, number in pairs)]
    return ("\n".join(lines) + "\n").encode("ascii")
