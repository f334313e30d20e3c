"""Simulated raw frames as two cameras write them.

Source: FITS Standard 4.0, section 4 (cards) and table 11 (unsigned integers); headers of frames of
SpUpNIC (SAAO 1.9 m) and of MaxIm DL with an SBIG camera.
"""

from __future__ import annotations

import bz2
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_BLOCK = 2880


def fits_bytes(cards: Mapping[str, Any], counts: npt.NDArray[np.uint16], *, bzero: bool) -> bytes:
    """Return a FITS file of one image of unsigned counts.

    Parameters
    ----------
    cards : mapping of str to text, number or bool
        Beside those that the image needs.
    counts : uint16 array (ny, nx)
    bzero : bool
        Store them with BZERO 32768; False: as signed integers with BZERO 0, so that counts above
        32767 are negative, as MaxIm DL can be set to write them.
    """
    every: dict[str, Any] = {
        "SIMPLE": True, "BITPIX": 16, "NAXIS": 2, "NAXIS1": counts.shape[1],
        "NAXIS2": counts.shape[0], "BSCALE": 1.0, "BZERO": 32768.0 if bzero else 0.0, **cards,
    }  # fmt: skip
    header = "".join(_card(name, value) for name, value in every.items()) + f"{'END':80}"
    header += " " * (-len(header) % _BLOCK)
    stored = (counts ^ np.uint16(0x8000)) if bzero else counts
    data = stored.astype(">u2").tobytes()
    return header.encode("ascii") + data + bytes(-len(data) % _BLOCK)


def _card(name: str, value: Any) -> str:
    if isinstance(value, bool):
        text = f"{'T' if value else 'F':>20}"
    elif isinstance(value, str):
        text = f"'{value.replace(chr(39), chr(39) * 2):8}'"
    else:
        text = f"{value!r:>20}"
    return f"{name:8}= {text}"[:80].ljust(80)


def write(directory: Path, name: str, data: bytes, *, packed: bool) -> str:
    """Write a file, packed with bzip2 if asked for, and return its name."""
    if packed:
        name, data = f"{name}.bz2", bz2.compress(data)
    (directory / name).write_bytes(data)
    return name
