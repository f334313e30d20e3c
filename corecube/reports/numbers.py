"""Numbers of a report as plain JSON: shortest digits of each type, null for what is not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube import masks
from corecube.archive import pyramid
from corecube.archive.spectrallevels import spectrum_level
from corecube.errors import FrameError
from corecube.frames import Array, Bits, Factor, Fibers, Frame, Image, NoiseCheck
from corecube.text import number_text
from corecube.times import Times, iso

BoolArray = npt.NDArray[np.bool_]


def number(value: Any) -> float | int | bool | None:
    """Return a number that prints with the shortest digits of its own type.

    Parameters
    ----------
    value : bool, int, float or numpy scalar

    Returns
    -------
    bool, int, float or None
        ``float32(1.1)`` gives 1.1, not 1.100000023841858; None for what is not finite.
    """
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, np.floating):
        value = float(number_text(value))
    value = float(value)
    return value if math.isfinite(value) else None


_DEPTH: Final = 32
"""Maps and lists within each other; what holds itself has no end."""


def plain(value: Any, depth: int = 0) -> Any:
    """Return plain JSON of what an instrument reports.

    Parameters
    ----------
    value : None, text, number, numpy scalar or array, or mappings and sequences of them
        What is masked in an array is None.
    depth : int
        In how many others it lies.

    Raises
    ------
    FrameError
        If something else is among them, or they lie too deep in each other.
    """
    if depth > _DEPTH:
        raise FrameError(f"a report has at most {_DEPTH} lists and maps within each other")
    if value is None or value is np.ma.masked:
        return None
    if isinstance(value, str):
        return str(value)
    if isinstance(value, np.complexfloating | np.timedelta64):
        raise FrameError(f"a report holds no {type(value).__name__}; give numbers and their unit")
    if isinstance(value, bool | int | float | np.number | np.bool_):
        return number(value)
    if isinstance(value, np.ndarray):
        if value.ndim == 0:
            return plain(value[()], depth + 1)
        return [plain(part, depth + 1) for part in value]
    if isinstance(value, Mapping):
        return {str(key): plain(part, depth + 1) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part, depth + 1) for part in value]
    raise FrameError(f"a report holds numbers, texts, lists and maps, not {type(value).__name__}")


def statistics(
    values: npt.NDArray[Any], inside: BoolArray | None = None, good: BoolArray | None = None
) -> dict[str, Any]:
    """Return shape, type, and what can be said of all values.

    Parameters
    ----------
    values : array
    inside : bool array, optional
        Values that are counted; all if not given.
    good : bool array, optional
        Values that minimum, median, mean and maximum are of, where they are finite; those inside
        if not given.
    """
    counted = values.ravel() if inside is None else values[inside]
    finite = np.isfinite(counted)
    kept = values.ravel() if good is None else values[good]
    kept = kept[np.isfinite(kept)] if good is not None else counted[finite]
    if kept.dtype.kind == "b":
        kept = kept.astype(np.uint8)
    found: dict[str, Any] = {"shape": list(values.shape), "type": str(values.dtype)}
    if kept.size:
        median = np.median(kept)
        if kept.dtype == np.float32:
            median = np.float32(median)
        with np.errstate(over="ignore"):
            mean = kept.mean(dtype=np.float64)
        found |= {
            "minimum": number(kept.min()), "median": number(median), "mean": number(mean),
            "maximum": number(kept.max()),
        }  # fmt: skip
    else:
        found |= dict.fromkeys(("minimum", "median", "mean", "maximum"))
    with np.errstate(invalid="ignore"):
        positive = np.count_nonzero(counted[finite] > 0)
    return found | {
        "values": int(counted.size),
        "not finite": int(counted.size - np.count_nonzero(finite)),
        "not positive": int(np.count_nonzero(finite) - positive),
    }


def inside_of(frame: Frame) -> BoolArray:
    """Return the pixels of a frame that are no padding."""
    assert frame.mask is not None
    inside: BoolArray = (frame.mask & np.uint32(masks.value("outside"))) == 0
    if isinstance(frame, Fibers):
        inside &= np.isfinite(frame.wave.wavelength())
    return inside


class _Rows:
    """What a report says of arrays that belong to a frame."""

    def __init__(self, frame: Frame) -> None:
        assert frame.mask is not None
        self.shape = frame.flux.shape
        self.inside = inside_of(frame)
        self.good = self.inside & masks.valid(frame.mask)
        self.whole = bool(self.inside.all())

    def __call__(self, name: str, array: Array, own: bool) -> dict[str, Any]:
        """Return a row; `own`: an array of the frame's shape has its pixels."""
        values = np.asarray(array.values)
        fits = own and values.shape == self.shape
        kept = (None if self.whole else self.inside, self.good) if fits else (None, None)
        link = {} if array.link is None else {"link": dict(vars(array.link))}
        return {
            "name": name, "unit": array.unit, "axes": list(array.axes), **statistics(values, *kept),
            "description": array.description, **link,
        }  # fmt: skip


def products_of(frame: Frame, own: Mapping[str, Array]) -> list[dict[str, Any]]:
    """Return what a report says of arrays that are made of a frame.

    Parameters
    ----------
    frame : Frame
        Of which error over signal is made, NaN where the flux is 0.
    own : mapping of name to Array
        What the instrument makes.
    """
    assert frame.error is not None
    row = _Rows(frame)
    axes = ("fiber", "wave") if isinstance(frame, Fibers) else ("y", "x")
    said = "1-sigma error over the flux without its sign; not a number where the flux is 0."
    ratio = Array(error_to_signal(frame.flux, frame.error), "", axes, said)
    return [
        row("error to signal", ratio, True),
        *(row(name, array, True) for name, array in own.items()),
    ]


def error_to_signal(flux: npt.NDArray[Any], error: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return error / |flux|, NaN (and not 0 or infinity) where the flux is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(error / np.where(flux == 0, np.nan, np.abs(flux)).astype(flux.dtype))


def levels_of(frame: Frame, count: int | None = None) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return what a report says of the levels of a frame, and the levels.

    Parameters
    ----------
    frame : Image or Fibers
        Of one row.
    count : int, optional
        How many; if not given until the longer side has less than 256 pixels, as archives store
        them.

    Returns
    -------
    rows : list of dict
        Plain JSON: of flux, error and coverage of each level.
    levels : list of Level or SpectrumLevel
    """
    assert frame.error is not None and frame.mask is not None
    shape = (frame.flux.shape[0], frame.flux.shape[1])
    count = pyramid.level_count(shape) if count is None else count
    found: list[Any]
    if isinstance(frame, Fibers):
        part = _pixels_of(frame)
        wave = frame.wave.part(part.start, part.stop) if part.stop > part.start else None
        found = [] if wave is None else [
            spectrum_level(
                frame.flux[0, part], frame.error[0, part], frame.mask[0, part], wave, level,
                part.start,
            )
            for level in range(1, count + 1)
        ]  # fmt: skip
    else:
        found = list(pyramid.levels(frame.flux, frame.error, frame.mask, count))
    rows = []
    for level in found:
        ny, nx = level.flux.shape if level.flux.ndim == 2 else (1, level.flux.size)
        coverage = level.coverage
        if coverage is None:
            coverage = pyramid.size_coverage(shape, level.level)
        rows.append({
            "level": level.level, "pixels of the frame": 1 << level.level * (level.flux.ndim),
            "shape": [ny, nx] if level.flux.ndim == 2 else [nx], "unit": frame.unit,
            "flux": statistics(level.flux), "error": statistics(level.error),
            "coverage": statistics(coverage),
        })  # fmt: skip
    return rows, found


def _pixels_of(fibers: Fibers) -> slice:
    """Return the pixels of one spectrum between its first and last wavelength."""
    places = np.flatnonzero(inside_of(fibers)[0])
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, 0)


def values_of(frame: Frame) -> dict[str, Any]:
    """Return what a report says of the pixels of a frame: arrays, mask planes, bits."""
    assert frame.error is not None and frame.mask is not None
    row = _Rows(frame)
    inside, good = row.inside, row.good
    axes = ("fiber", "wave") if isinstance(frame, Fibers) else ("y", "x")
    return {
        "pixels": {
            "all": int(frame.flux.size),
            "inside": int(np.count_nonzero(inside)),
            "valid": int(np.count_nonzero(good & np.isfinite(frame.flux))),
        },
        "arrays": [
            row("flux", Array(frame.flux, frame.unit, axes), True),
            row("error", Array(frame.error, frame.unit, axes, "1 sigma."), True),
        ],
        "layers": [row(name, array, True) for name, array in frame.layers.items()],
        "calibration": [row(name, array, False) for name, array in frame.calibration.items()],
        "mask": masks.counts(frame.mask[inside]),
        "bits": {name: _bits(bits, inside) for name, bits in frame.bits.items()},
    }


def _bits(bits: Bits, inside: BoolArray) -> dict[str, int]:
    return masks.counts(bits.values[inside], bits.planes)


def factor_row(factor: Factor) -> dict[str, Any]:
    """Return what a report says of a factor."""
    return {
        "name": factor.name, "operation": factor.operation, "unit": factor.unit,
        "source": factor.source, **statistics(np.asarray(factor.values)),
    }  # fmt: skip


def check_row(check: NoiseCheck | None) -> dict[str, Any] | None:
    """Return what a report says of a check of the noise."""
    if check is None:
        return None
    return {
        "pixels": check.pixels, "width of pulls": number(check.width),
        "slope": number(check.slope), "floor": number(check.floor), "recipe": check.recipe,
    }  # fmt: skip


def times_of(times: Times) -> dict[str, Any]:
    """Return first start and last end of a frame."""
    start, end = times.span
    return {
        "start": number(start), "end": number(end), "scale": "MJD TAI", "quality": times.quality,
        "start UTC": iso(start), "end UTC": iso(end),
    }  # fmt: skip


def wavelengths_of(fibers: Fibers, row: int = 0) -> npt.NDArray[np.float64]:
    """Return the wavelengths (w,) of one fibre."""
    wave = fibers.wave.wavelength()
    return wave[row] if wave.ndim == 2 else wave


def place_of(frame: Frame) -> dict[str, Any]:
    """Return where a frame lies on the sky."""
    if isinstance(frame, Fibers):
        return {"ra": number(frame.ra[0]), "dec": number(frame.dec[0]), "unit": "deg"}
    assert isinstance(frame, Image)
    if frame.footprint is None:
        return {"footprint": None}
    return {"footprint": plain(frame.footprint), "unit": "deg"}
