"""What the headers of a raw frame say: camera, type, night, setup, target, time, place."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Final

import numpy as np

from corecube.errors import FileNotUnderstood, QueryError
from corecube.fits import Fits
from corecube.times import Times
from corecube_ccdlab import rules
from corecube_ccdlab.detector import Detector
from corecube_ccdlab.settings import TYPES, CcdlabConfig

OWN_PRODUCT: Final = "CCDLPROC"
"""Card of frames that a reduction has written; they are no raw frames."""

_ENDINGS: Final = re.compile(r"(\.(fits?|fts|fz))?(\.(gz|bz2|xz|fz))?$", re.IGNORECASE)
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9 ._+-]+")
_UNSET: Final = ("", "UNKNOWN", "NONE", "N/A", "-999999", "-999999.9")


class Cards:
    """Cards of the image's own HDU, and where it lacks one of the primary one.

    Parameters
    ----------
    fits : Fits
    name : str
        The file's name, for rules on ``FILE``.

    Attributes
    ----------
    hdu : int
        Number of the first HDU with an image of two axes; -1 if there is none.
    """

    def __init__(self, fits: Fits, name: str) -> None:
        self.name = name
        self.fits = fits
        self.hdu = -1
        number = 0
        while fits.data_offset(number) is not None if number == 0 else _has(fits, number):
            header = fits.header(number)
            kind = header.get("XTENSION", "IMAGE")
            if header.get("NAXIS") == 2 and str(kind).strip() == "IMAGE":
                self.hdu = number
                break
            number += 1

    def __call__(self, keyword: str) -> Any:
        """Return the value of a card, None if there is none; text without blanks around."""
        if keyword == rules.FILE:
            return self.name
        for number in dict.fromkeys((max(self.hdu, 0), 0)):
            header = self.fits.header(number)
            if keyword in header:
                value = header[keyword]
                return value.strip() if isinstance(value, str) else value
        return None

    def text(self, keyword: str) -> str:
        """Return a card as text, "" where it is missing or says that it is unset."""
        value = self(keyword) if keyword else None
        shown = "" if value is None else str(value).strip()
        return "" if shown.upper() in _UNSET else shown

    def number(self, keyword: str) -> float | None:
        """Return a card as a number, None where it is missing, unset or none."""
        return rules.as_number(self.text(keyword) or None)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the image."""
        rows, columns = self.fits.shape(self.hdu)
        return rows, columns

    def lines(self) -> str:
        """Return all cards as text, the primary HDU's first."""
        numbers = dict.fromkeys((0, max(self.hdu, 0)))
        return "\n".join(self.fits.header(number).lines() for number in numbers)


def _has(fits: Fits, number: int) -> bool:
    try:
        return fits.data_offset(number) is not None
    except FileNotUnderstood:
        return False


@dataclass(frozen=True)
class Exposure:
    """What a raw frame is.

    Attributes
    ----------
    preset : str
        Name of the detector description.
    type : str
        bias, dark, flat, arc or science.
    night : str
        Date of the evening at the site, 2022-01-26.
    setup : str
        What it must share with its bias and dark.
    disperser : str
        What it must share with its flat and arc, "" for biases, darks, and where the camera has
        no card for it.
    seconds : float
        Exposure time.
    start : datetime
        UTC.
    target : str
        As the header has it; "" for frames without.
    """

    preset: str
    type: str
    night: str
    setup: str
    disperser: str
    seconds: float
    start: datetime
    target: str

    @property
    def slug(self) -> str:
        """The target as part of a key."""
        return clean(self.target) or "unnamed"


def clean(text: str) -> str:
    """Return text with only what a part of a key may have."""
    cleaned = re.sub(r" +", " ", _NOT_IN_NAMES.sub("-", text.strip())).strip(" .-_+")
    return cleaned[:60].rstrip(" .-_+")


def stem(name: str) -> str:
    """Return a file's name without its endings, as the name of an entry."""
    return clean(_ENDINGS.sub("", name)) or "frame"


def recognise(cards: Cards, detectors: Mapping[str, Detector], forced: bool) -> str:
    """Return the name of the first description that fits a header, "" if none does.

    Parameters
    ----------
    cards : Cards
    detectors : mapping of name to Detector
    forced : bool
        The user named the one: it is taken without looking.
    """
    if forced:
        return next(iter(detectors))
    return next((name for name, one in detectors.items() if rules.any_fits(one.camera, cards)), "")


def by_name(table: Mapping[str, str], name: str) -> str:
    """Return what a table of file names and patterns has for a name, "" for nothing."""
    if name in table:
        return table[name]
    return next((value for pattern, value in table.items() if fnmatchcase(name, pattern)), "")


def type_of(cards: Cards, detector: Detector, config: CcdlabConfig) -> str:
    """Return the type of a frame, ``ignore``, or "" where no rule tells."""
    given = by_name(config.types, cards.name)
    if given:
        return given
    return next(
        (kind for kind in TYPES if rules.any_fits(getattr(detector.frames, kind), cards)), ""
    )


def describe(
    cards: Cards, preset: str, detector: Detector, kind: str, config: CcdlabConfig, where: str
) -> Exposure:
    """Return what a frame of known camera and type is.

    Parameters
    ----------
    cards : Cards
    preset : str
    detector : Detector
    kind : str
    config : CcdlabConfig
    where : str
        The file's path, for messages.

    Raises
    ------
    FileNotUnderstood
        If the header does not say when it was taken, or how long a dark is.
    """
    start = start_of(cards, detector)
    if start is None:
        raise FileNotUnderstood(
            f"{where}: card {detector.header.date} does not say when it was taken; name the right "
            "card in the detector description"
        )
    seconds = cards.number(detector.header.exposure)
    if seconds is None and kind == "dark":
        raise FileNotUnderstood(
            f"{where}: card {detector.header.exposure} does not say how long this dark is; name "
            "the right card in the detector description"
        )
    rows, columns = cards.shape
    setup = [preset, f"{columns}x{rows}", *map(cards.text, detector.header.setup)]
    named = () if kind in ("bias", "dark") else detector.header.disperser
    disperser = [cards.text(card) for card in named]
    # A night goes from noon to noon of the sun at the site.
    local = start + timedelta(hours=detector.longitude / 15.0 - 12.0)
    return Exposure(
        preset=preset,
        type=kind,
        night=local.date().isoformat(),
        setup=clean(" ".join(filter(None, setup))).replace(" ", "-"),
        disperser=clean(" ".join(filter(None, disperser))).replace(" ", "-"),
        seconds=float("nan") if seconds is None else seconds,
        start=start,
        target=_target(cards, detector, kind, config),
    )


def start_of(cards: Cards, detector: Detector) -> datetime | None:
    """Return the start of the exposure, UTC; None where the header does not say it."""
    text = cards.text(detector.header.date)
    clock = cards.text(detector.header.clock)
    if clock and "T" not in text:
        text = f"{text}T{clock}"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def times(exposure: Exposure, *, exact: bool = True) -> Times:
    """Return start and end, MJD TAI."""
    from astropy.time import Time

    start = float(Time(exposure.start.replace(tzinfo=None), scale="utc").tai.mjd)
    length = exposure.seconds / 86400.0 if math.isfinite(exposure.seconds) else 0.0
    return Times(start, start + length, "exact" if exact else "night")


def position(cards: Cards, detector: Detector, exposure: Exposure) -> tuple[float, float]:
    """Return right ascension and declination, ICRS degrees; NaN where the header has none."""
    texts = cards.text(detector.header.ra), cards.text(detector.header.dec)
    if not all(texts):
        return math.nan, math.nan
    from corecube.angles import parse_position

    try:
        place = parse_position(" ".join(texts))
    except QueryError:
        return math.nan, math.nan
    if detector.header.equinox == "2000":
        return place.ra, place.dec
    from astropy import units
    from astropy.coordinates import FK5, SkyCoord
    from astropy.time import Time

    moment = Time(exposure.start.replace(tzinfo=None), scale="utc")
    then = SkyCoord(place.ra * units.deg, place.dec * units.deg, frame=FK5(equinox=moment))
    now = then.icrs
    return float(now.ra.deg), float(now.dec.deg)


def _target(cards: Cards, detector: Detector, kind: str, config: CcdlabConfig) -> str:
    given = by_name(config.targets, cards.name)
    if given:
        return given
    if kind not in ("science", "arc") or (kind == "arc" and detector.arcs == "shared"):
        return ""
    text = cards.text(detector.header.target)
    if text or not detector.header.target_in_name:
        return text
    match = re.search(detector.header.target_in_name, cards.name, re.IGNORECASE)
    return match["target"] if match is not None else ""


def done(cards: Cards, detector: Detector) -> Iterator[str]:
    """Yield what the camera's software has done already: its letters are B, D and F."""
    letters = cards.text(detector.header.done)
    if letters:
        yield f"{detector.header.done}={letters}: done by the camera's software"


def binning(cards: Cards, detector: Detector) -> tuple[int, int]:
    """Return the binning along x and y; 1, 1 where no card tells."""
    numbers = re.findall(r"\d+", cards.text(detector.header.binning))
    if len(numbers) != 2:
        return 1, 1
    return int(numbers[0]), int(numbers[1])


def saturation(cards: Cards, detector: Detector) -> float:
    """Return the lowest saturated number of counts, ADU."""
    found = cards.number(detector.header.saturation)
    return float(np.float64(found if found is not None and found > 0 else detector.saturation))
