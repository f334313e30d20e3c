"""Small text tables beside the spectra: astrometry, seeing, throughput, sky.

Sources: HETDEX/hetdex_api, h5tools (create_astrometry_hdf5.py, create_cal_hdf5.py,
create_fullskymodel_hdf5.py); HETDEX/pyhetdex, het/fplane.py.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood
from corecube_hetdex.astrometry import TangentPoint
from corecube_hetdex.names import FIBERS, Amplifier, ShotName, three_digits

Floats = npt.NDArray[np.float64]

_DITHALL: Final = np.dtype(
    [
        ("ra", "f8"), ("dec", "f8"), ("ifuslot", "S8"), ("ifux", "f8"), ("ifuy", "f8"),
        ("fpx", "f8"), ("fpy", "f8"), ("fiber", "S28"), ("time", "S20"), ("exposure", "S8"),
    ]
)  # fmt: skip
_NUMBERS: Final = ("ra", "dec", "ifux", "ifuy", "fpx", "fpy")
_QUOTED: Final = re.compile(r"\s*'[^']*'")


@dataclass(frozen=True)
class Slot:
    """Where an IFU is, and to which spectrograph it leads.

    Attributes
    ----------
    x, y : float
        X_FP and Y_FP, arcsec.
    specid, ifuid : str
        Three digits.
    """

    x: float
    y: float
    specid: str
    ifuid: str


def read_fplane(text: str, name: str = "") -> dict[str, Slot]:
    """Return the IFUs of an ``fplane.txt`` by their slot.

    Raises
    ------
    FileNotUnderstood
        If a line is not as it should be, a slot comes twice, or there is none.
    """
    found: dict[str, Slot] = {}
    for words in _lines(text):
        try:
            slot = three_digits(words[0])
            place = Slot(
                float(words[1]), float(words[2]), three_digits(words[3]), three_digits(words[5])
            )
        except (ValueError, IndexError) as error:
            raise FileNotUnderstood(
                f"{name}: line '{' '.join(words)[:60]}' is no IFU of an fplane table"
            ) from error
        if not slot or slot in found:
            raise FileNotUnderstood(f"{name}: slot {words[0]} is no number or comes twice")
        found[slot] = place
    if not found:
        raise FileNotUnderstood(f"{name}: an fplane table without an IFU; fetch the file again")
    return found


def read_tangent_point(text: str, name: str = "") -> TangentPoint:
    """Return ra, dec and pa of a ``radec2`` file.

    Raises
    ------
    FileNotUnderstood
        If it is not one line of three numbers in range.
    """
    values = read_numbers(text, 3, name)
    ra, dec, pa = values[0].tolist()
    if len(values) != 1 or not (0 <= ra <= 360 and -90 < dec < 90 and np.isfinite(pa)):
        raise FileNotUnderstood(f"{name}: should be one line with ra, dec and pa in degrees")
    return TangentPoint(ra, dec, pa)


def read_dithers(text: str, name: str = "") -> Floats:
    """Return the measured dithers of a daophot match file, float64 (k, 2), arcsec.

    Raises
    ------
    FileNotUnderstood
        If a line has no two numbers behind the quoted name, or fewer words than the first, or there
        is none.
    """
    lines = [words for line in text.splitlines() if (words := _QUOTED.sub("", line, 1).split())]
    rows = []
    for words in lines:
        try:
            if len(words) < len(lines[0]):
                raise ValueError(words)
            rows.append([float(words[0]), float(words[1])])
        except (ValueError, IndexError) as error:
            raise FileNotUnderstood(
                f"{name}: '{' '.join(words)[:60]}' has no dither, or is cut"
            ) from error
    if not rows:
        raise FileNotUnderstood(f"{name}: is empty; fetch the file again")
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def read_seeing(text: str, name: str = "") -> dict[str, tuple[float, float, int]]:
    """Return seeing, its error (arcsec) and number of stars by shot of an ``fwhm.all`` file.

    Raises
    ------
    FileNotUnderstood
        If a line that names a shot has not these three numbers, or none names one.
    """
    found: dict[str, tuple[float, float, int]] = {}
    for words in _lines(text):
        if ShotName.of_text(words[0]):
            try:
                found[words[0]] = float(words[1]), float(words[2]), int(float(words[3]))
            except (ValueError, IndexError) as error:
                raise FileNotUnderstood(
                    f"{name}: line '{' '.join(words)[:60]}' should have shot, seeing, its error "
                    "and number of stars"
                ) from error
    if not found:
        raise FileNotUnderstood(f"{name}: names no shot (YYYYMMDDvOOO); fetch the file again")
    return found


def read_numbers(text: str, columns: int, name: str = "") -> Floats:
    """Return a table of numbers, float64 (n, columns); lines that begin with # are left out.

    Raises
    ------
    FileNotUnderstood
        If a line has fewer columns, or others than numbers, or there is none.
    """
    try:
        rows = [[float(word) for word in words[:columns]] for words in _lines(text)]
        values = np.array(rows, dtype=np.float64).reshape(-1, columns)
    except ValueError as error:
        raise FileNotUnderstood(f"{name}: should have {columns} columns of numbers") from error
    if not rows:
        raise FileNotUnderstood(f"{name}: is empty; fetch the file again")
    return values


def response(throughput: Floats) -> float:
    """Return the throughput at 4540 Angstrom, NaN where the table lacks that wavelength."""
    row = np.flatnonzero(throughput[:, 0] == 4540.0)
    return float(throughput[row[0], 1]) if len(row) else float("nan")


@dataclass(frozen=True)
class AmplifierPlaces:
    """Places of the fibres of one amplifier in one exposure, by the table of positions.

    Attributes
    ----------
    ra, dec : float64 arrays (112,), degrees
    ifux, ifuy, fpx, fpy : float64 arrays (112,), arcsec
        By fibre number; NaN where the table has no row.
    """

    ra: Floats
    dec: Floats
    ifux: Floats
    ifuy: Floats
    fpx: Floats
    fpy: Floats


def read_dithall(data: bytes, name: str = "") -> Mapping[tuple[int, str], AmplifierPlaces]:
    """Return the positions of a dithall table by exposure and amplifier.

    Rows are joined by the name of their fibre and exposure, never by their order.

    Parameters
    ----------
    data : bytes
    name : str, optional
        Of the file, for errors.

    Raises
    ------
    FileNotUnderstood
        If a row is not as it should be, or a fibre comes twice in an exposure.
    """
    lines = data.split(b"\n", 1)
    if lines and lines[0].split()[:1] in ([b"ra"], [b"#"], [b"RA"]):
        data = lines[1] if len(lines) > 1 else b""
    if not data.strip():
        raise FileNotUnderstood(f"{name}: is no table of positions, it is empty")
    try:
        rows = np.loadtxt(io.BytesIO(data), dtype=_DITHALL, ndmin=1, encoding="latin-1")
    except (ValueError, IndexError) as error:
        why = str(error).partition(";")[0]
        raise FileNotUnderstood(f"{name}: is no table of positions ({why})") from error
    amplifiers = _letters(rows["fiber"], 0, 20)
    try:
        number = _letters(rows["fiber"], 21, 24).astype(np.int64)
        exposures = _letters(rows["exposure"], 3, 5).astype(np.int64)
    except ValueError as error:
        raise FileNotUnderstood(
            f"{name}: a row names no fibre (multi_SSS_LLL_III_AA_NNN) or no exposure (exp01)"
        ) from error
    if not (number.min() >= 1 and number.max() <= FIBERS and exposures.min() >= 1):
        raise FileNotUnderstood(
            f"{name}: fibres have numbers from 1 to {FIBERS}, exposures from 1; one has not"
        )
    order = np.lexsort((number, amplifiers, exposures))
    exposures, amplifiers, number = exposures[order], amplifiers[order], number[order]
    new = np.ones(len(rows), bool)
    new[1:] = (exposures[1:] != exposures[:-1]) | (amplifiers[1:] != amplifiers[:-1])
    twice = ~new[1:] & (number[1:] == number[:-1])
    if twice.any():
        row = int(np.flatnonzero(twice)[0])
        raise FileNotUnderstood(
            f"{name}: fibre {number[row]} of {amplifiers[row].decode()} comes twice in exposure "
            f"{exposures[row]}"
        )
    starts = np.flatnonzero(new)
    found: dict[tuple[int, str], AmplifierPlaces] = {}
    for first, last in zip(starts, [*starts[1:], len(rows)], strict=True):
        places = np.full((len(_NUMBERS), FIBERS), np.nan)
        for place, column in zip(places, _NUMBERS, strict=True):
            place[number[first:last] - 1] = rows[column][order[first:last]]
        key = int(exposures[first]), amplifiers[first].decode("latin-1")
        if Amplifier.of_text(key[1]) is None:
            raise FileNotUnderstood(f"{name}: '{key[1]}' is no name of an amplifier")
        found[key] = AmplifierPlaces(*places)
    return found


def _letters(column: npt.NDArray[np.bytes_], first: int, last: int) -> npt.NDArray[np.bytes_]:
    """Return the letters `first` to `last` (exclusive) of each text."""
    letters = np.ascontiguousarray(column).view("S1").reshape(len(column), -1)
    return np.ascontiguousarray(letters[:, first:last]).view(f"S{last - first}").ravel()


def _lines(text: str) -> Iterator[list[str]]:
    """Yield the words of lines that are neither empty nor comments."""
    for line in text.splitlines():
        words = line.split()
        if words and not words[0].startswith("#"):
            yield words
