"""Writes simulated files in the formats of the survey's reductions.

Source of the formats: HETDEX/hetdex_api, h5tools; HETDEX/vdrp, astrometry.py (dithall).
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Cards = Mapping[str, Any]

AMPS: Final = ("LL", "LU", "RL", "RU")
FIBERS: Final = 112

_EVEN: Final = (1.27, 3.81, 6.36, 8.90, 11.44, 13.98, 16.53, 19.07, 21.61, 24.15)
_ODD: Final = (0.0, 2.54, 5.08, 7.63, 10.17, 12.71, 15.25, 17.80, 20.34, 22.88)
_ROWS: Final = (0.0, 2.20, 4.41, 6.61, 8.81, 11.02, 13.22, 15.42, 17.63, 19.83, 22.03, 24.24)


def bundle() -> dict[str, Floats]:
    """Return places of the fibres in an IFU by amplifier, float64 (112, 2), arcsec.

    Rows of 20 and 19 fibres by turns, from top to bottom, each from +x to -x: the right
    spectrograph has the upper half, RU first, the left one the lower, LL first.
    """
    places: list[tuple[float, float]] = []
    for number in range(11, -12, -1):
        y = np.copysign(_ROWS[abs(number)], number)
        half = _ODD if number % 2 else _EVEN
        x = sorted({value * sign for value in half for sign in (1.0, -1.0)}, reverse=True)
        places += [(value, float(y)) for value in x]
    table = np.array(places)
    order = ("RU", "RL", "LL", "LU")
    return {amp: table[112 * k : 112 * k + 112] for k, amp in enumerate(order)}


def write_fits(
    path: Path, cards: Cards, arrays: Mapping[str, npt.NDArray[Any]], *, packed: bool, named: bool
) -> str:
    """Write images as float32; the first one, called ``PRIMARY``, may be missing.

    Parameters
    ----------
    path : Path
        Without the ending of a packed file.
    cards : mapping
        Of the primary header.
    arrays : mapping of str to array
    packed : bool
        Write .fits.gz.
    named : bool
        Give extensions their names.

    Returns
    -------
    str
        Name of the file.
    """
    from astropy.io import fits

    first = arrays.get("PRIMARY")
    primary = fits.PrimaryHDU(None if first is None else first.astype(np.float32))
    for name, value in cards.items():
        primary.header[name] = value
    hdus = [primary]
    for name, values in arrays.items():
        if name != "PRIMARY":
            hdus.append(fits.ImageHDU(values.astype(np.float32), name=name if named else None))
    target = io.BytesIO()
    fits.HDUList(hdus).writeto(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = target.getvalue()
    if packed:
        path = path.with_name(path.name + ".gz")
        data = gzip.compress(data, 1, mtime=0)
    path.write_bytes(data)
    return path.name


def dithall_lines(
    sky: tuple[Floats, Floats],
    places: Floats,
    focal: tuple[Floats, Floats],
    names: tuple[str, str],
    time: str,
    exposure: int,
) -> list[str]:
    """Return the rows of one amplifier in one exposure of the table of positions.

    Parameters
    ----------
    sky : (ra, dec)
        Float64 (112,), degrees.
    places : float64 array (112, 2)
        In the IFU.
    focal : (fpx, fpy)
        Float64 (112,), arcsec.
    names : (str, str)
        Slot and amplifier's name.
    time : str
        ``20260101T071231.5``.
    exposure : int
    """
    slot, multiframe = names
    return [
        f"{ra:12.7f} {dec:11.7f} ifu{slot} {x:8.3f} {y:8.3f} {fpx:8.3f} {fpy:8.3f} "
        f"{multiframe}_{number:03d}.ixy {time} exp{exposure:02d}"
        for number, (ra, dec, (x, y), fpx, fpy) in enumerate(
            zip(*sky, places, *focal, strict=True), 1
        )
    ]


def write_tables(
    folder: Path,
    shot: str,
    point: tuple[float, float, float],
    slots: Sequence[tuple[str, float, float, str, str]],
    relflux: Sequence[float],
    conditions: tuple[float, Floats, Floats],
) -> list[str]:
    """Write fplane, radec2, norm, fwhm and throughput; return their names.

    Parameters
    ----------
    folder : Path
    shot : str
        ``20260101v007``.
    point : (float, float, float)
        ra, dec, pa of the tangent point, degrees.
    slots : sequence of (slot, x, y, specid, ifuid)
        Places of the IFUs, arcsec.
    relflux : sequence of float
        Of three exposures.
    conditions : (float, array, array)
        Seeing (arcsec), wavelengths (Angstrom), throughput.
    """
    fwhm, wave, throughput = conditions
    line = f"{point[0]:.7f} {point[1]:.7f} {point[2]:.6f}\n"
    curve = "".join(
        f" {w:.1f} {t:.6f} {0.95 * t:.6f} {1.05 * t:.6f} 1.0000 {t:.6f}\n"
        for w, t in zip(wave, throughput, strict=True)
    )
    plane = "# IFUSLOT X_FP   Y_FP   SPECID SPECSLOT IFUID IFUROT PLATESC\n" + "".join(
        f"{slot} {x:9.3f} {y:9.3f} {specid} 118 {ifuid} 0.0 1.0\n"
        for slot, x, y, specid, ifuid in slots
    )
    texts = {
        "fplane.txt": plane,
        "radec2_final.dat": line,
        "norm.dat": " ".join(f"{value:.4f}" for value in relflux) + "\n",
        "fwhm.all": f"{shot} {fwhm:.3f} 0.050 9\n",
        f"{shot}sedtp_f.dat": curve,
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="ascii")
    return list(texts)
