"""From the pixels of a raw file to one image in counts, with the level of its overscan."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood
from corecube.masks import MaskArray, value
from corecube_ccdlab.detector import Amplifier, Detector, Quantity
from corecube_ccdlab.headers import Cards, binning, saturation
from corecube_ccdlab.sections import Section, is_absent, parse_section
from corecube_ccdlab.statistics import clipped, clipped_means, median_factor

_WRAP: Final = 65536
"""Counts of a 16-bit converter."""


@dataclass(frozen=True)
class Amp:
    """One amplifier of a frame: where its pixels are, and the level of its overscan.

    Attributes
    ----------
    place : Section
        Of the assembled image, not turned.
    level : float64 array, (), (ny,) or (nx,)
        Of the overscan, ADU: constant, per row or per column of `place`.
    axes : tuple of str
        Of `level`.
    pixels : int
        Pixels that each value of `level` was made of; 0: there is no overscan.
    factor : float
        The variance of `level` over the square of the read noise.
    mean, std : float
        Of all overscan pixels, clipped, ADU.
    dead : str
        Why nothing was recorded; "" for an amplifier that works.
    """

    place: Section
    level: npt.NDArray[np.float64]
    axes: tuple[str, ...]
    pixels: int
    factor: float
    mean: float
    std: float
    dead: str


@dataclass(frozen=True)
class Readout:
    """The pixels of a raw frame.

    Attributes
    ----------
    counts : integer or float array (ny, nx)
        Exposed pixels only, assembled.
    mask : uint32 array (ny, nx)
    amps : tuple of Amp
    notes : tuple of str
    """

    counts: npt.NDArray[Any]
    mask: MaskArray
    amps: tuple[Amp, ...]
    notes: tuple[str, ...]


def read_out(cards: Cards, detector: Detector, where: str) -> Readout:
    """Return the exposed pixels of a raw frame.

    Parameters
    ----------
    cards : Cards
        Of the whole file.
    detector : Detector
    where : str
        The file's path, for messages.

    Raises
    ------
    FileNotUnderstood
        If a section does not fit the frame, or the data are cut.
    """
    raw, notes = _counts(cards, detector)
    top = saturation(cards, detector)
    given = [_geometry(cards, detector, part, raw.shape, where) for part in detector.amplifiers]
    places = _places(detector, given, where)
    shape = max(p.y1 for p in places), max(p.x1 for p in places)
    if sum(math.prod(p.shape) for p in places) != math.prod(shape):
        raise FileNotUnderstood(
            f"{where}: the places of the amplifiers do not fill the image of {shape[1]} columns "
            f"and {shape[0]} rows; correct them in the detector description"
        )
    counts = np.empty(shape, raw.dtype)
    mask = np.zeros(shape, np.uint32)
    amps = []
    for number, ((data, overscan), place) in enumerate(zip(given, places, strict=True)):
        pixels = data.of(raw)
        place.of(counts)[...] = place.turned(pixels)
        part = None if overscan is None else overscan.of(raw)
        amp = _level(part, place, overscan, data, detector, cards)
        dead = _dead(pixels, part, top)
        if dead:
            place.of(mask)[...] |= np.uint32(value("bad_detector"))
            which = f"amplifier {number + 1}" if len(places) > 1 else "the amplifier"
            notes.append(f"{which} is dead: {dead}; its pixels are masked")
        amps.append(replace(amp, dead=dead))
    mask[counts >= top] |= np.uint32(value("saturated"))
    for text in detector.bad:
        bad = parse_section(text, shape, f"{where}: bad")
        bad.of(mask)[...] |= np.uint32(value("bad_detector"))
    return Readout(counts, mask, tuple(amps), tuple(notes))


def _counts(cards: Cards, detector: Detector) -> tuple[npt.NDArray[Any], list[str]]:
    """Return the image of a file; counts of a 16-bit camera that were stored signed are mended."""
    image = cards.fits.image(cards.hdu)
    if not (detector.unsigned and image.dtype == np.int16):
        return image, []
    negative = int(np.count_nonzero(image < 0))
    if not negative:
        return image.view(np.uint16), []
    return image.view(np.uint16), [
        f"{negative} negative counts (BZERO 0) are unsigned ones above 32767: {_WRAP} was added"
    ]


def _geometry(
    cards: Cards, detector: Detector, part: Amplifier, shape: tuple[int, ...], where: str
) -> tuple[Section, Section | None]:
    data = _section(cards, detector, part.data, shape, where)
    if not part.overscan:
        return data, None
    return data, _section(cards, detector, part.overscan, shape, where)


def _section(
    cards: Cards, detector: Detector, text: str, shape: tuple[int, ...], where: str
) -> Section:
    """Return a section, given as such or by the keyword of a card."""
    size = shape[0], shape[1]
    if text.lstrip().startswith("["):
        return parse_section(text, size, where)
    found = cards(text)
    if is_absent(found):
        raise FileNotUnderstood(
            f"{where}: card {text}, by which the detector description finds a section, is missing "
            "or unset; write the section itself into the description"
        )
    return parse_section(str(found), size, f"{where}: {text}", binning(cards, detector))


def _places(
    detector: Detector, given: list[tuple[Section, Section | None]], where: str
) -> list[Section]:
    if len(given) == 1 and not detector.amplifiers[0].place:
        data = given[0][0]
        return [Section(0, data.shape[1], 0, data.shape[0], data.flip_x, data.flip_y)]
    whole = (
        sum(data.shape[0] for data, _ in given), sum(data.shape[1] for data, _ in given)
    )  # fmt: skip
    rows = given[0][0].shape[0] if len({d.shape[0] for d, _ in given}) == 1 else whole[0]
    places = []
    for part, (data, _) in zip(detector.amplifiers, given, strict=True):
        place = parse_section(part.place, (rows, whole[1]), f"{where}: place")
        if place.shape != data.shape:
            raise FileNotUnderstood(
                f"{where}: place {place} has not the size of data {data}; correct the sections in "
                "the detector description"
            )
        places.append(place)
    return places


def _level(
    pixels: npt.NDArray[Any] | None,
    place: Section,
    overscan: Section | None,
    data: Section,
    detector: Detector,
    cards: Cards,
) -> Amp:
    """Return an amplifier with the level of its overscan, or of the header's pedestal."""
    if pixels is None or overscan is None:
        number = cards.number(detector.header.pedestal) if detector.header.pedestal else None
        pedestal = -number if number else 0.0
        return Amp(place, np.array(pedestal), (), 0, 0.0, math.nan, math.nan, "")
    all_pixels = clipped(pixels)
    how, median = detector.overscan.level, detector.overscan.statistic == "median"
    if how == "constant":
        count = all_pixels.count
        level: npt.NDArray[np.float64] = np.array(
            np.median(pixels) if median else all_pixels.mean, dtype=np.float64
        )
        axes: tuple[str, ...] = ()
    else:
        axis = 1 if how == "rows" else 0
        if pixels.shape[1 - axis] != data.shape[1 - axis]:
            raise FileNotUnderstood(
                f"{cards.name}: overscan {overscan} has not the {how} of the data {data}; take "
                "level: constant in the detector description"
            )
        count = pixels.shape[axis]
        values = np.median(pixels, axis=axis) if median else clipped_means(pixels, axis)
        level = np.asarray(values, dtype=np.float64)
        if place.flip_y if how == "rows" else place.flip_x:
            level = level[::-1].copy()
        axes = ("y",) if how == "rows" else ("x",)
    factor = (median_factor(min(count, 1001)) if median else 1.0) / max(count, 1)
    return Amp(place, level, axes, count, factor, all_pixels.mean, all_pixels.std, "")


def _dead(data: npt.NDArray[Any], overscan: npt.NDArray[Any] | None, top: float) -> str:
    """Say why an amplifier is dead, "" if it is not."""
    if overscan is not None:
        middle = float(np.median(overscan))
        if middle >= top:
            return f"its overscan is saturated ({middle:g} adu)"
        if float(overscan.std()) == 0.0:
            return f"all its overscan pixels are {middle:g} adu"
    middle = float(np.median(data))
    same = np.count_nonzero(data == data.dtype.type(middle)) / data.size
    if same > 0.5 and (float(data.std()) == 0.0 or middle >= top or overscan is not None):
        return f"{100.0 * same:.1f} % of its pixels are {middle:g} adu"
    return ""


def quantity(given: Quantity, cards: Cards) -> tuple[float | None, str]:
    """Return a number of a header or a description, and where it comes from.

    Returns
    -------
    number : float or None
        None if neither has it.
    source : str
    """
    if given.keyword:
        found = cards.number(given.keyword)
        if found is not None and found > 0:
            return found, f"card {given.keyword}"
    if given.value is not None:
        return given.value, f"detector description ({given.source or 'no source given'})"
    return None, ""
