"""Positions and radii as people write them: one grammar for command line, prompt and files.

========================================  =====================================================
written                                   understood as
========================================  =====================================================
``38.301799 -0.133922``, with comma, tab  degrees, always
``02:33:12.43 -00:08:02.1``, with spaces  hours for the right ascension, degrees for declination
``2h33m12.43s -0d08m02.1s``, ``38d18m06.48s -0°08'02.1"``   as the units say
``J023312.43-000802.1``, ``SDSS J0233..`` the position in the name
``169.291613 -53.585061 galactic``        another frame: icrs, fk5, fk4, galactic, ecliptic
``name:M31``                              only where the caller has a table of names
========================================  =====================================================

What could be read in two ways is refused with the reason. Coordinates are ICRS; FK5 J2000 is
only distinguished where the word ``fk5`` stands. ``fk4`` is equinox B1950, ``ecliptic`` the
barycentric mean ecliptic of J2000.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from corecube.errors import QueryError
from corecube.text import printable, sexagesimal

ACCEPTED: Final = (
    "accepted: '38.3018 -0.1339' (degrees), '02:33:12.43 -00:08:02.1', "
    "'2h33m12.43s -0d08m02.1s', 'J023312.43-000802.1', each with an optional "
    "icrs, fk5, fk4, galactic or ecliptic"
)
MAX_LENGTH: Final = 200
"""Longest text of a position, in characters; no form needs more."""

Lookup = Callable[[str], "tuple[float, float] | None"]

_FRAMES: Final = ("icrs", "fk5", "fk4", "galactic", "ecliptic")
_SAME: Final = str.maketrans(
    {
        "\u2212": "-",  # minus sign
        "\u2013": "-",  # en dash
        "\u00b0": "d",  # degree sign
        "\u00ba": "d",  # masculine ordinal, which keyboards give instead
        "\u2032": "'",  # prime
        "\u2019": "'",  # right single quotation mark
        "\u2033": '"',  # double prime
        "\u201d": '"',  # right double quotation mark
        "\u00a0": " ",  # no-break space
        "\u2009": " ",  # thin space
        "\u202f": " ",  # narrow no-break space
    }
)
_NUMBER: Final = r"(?:\d+\.?\d*|\.\d+)"
_PLAIN: Final = re.compile(rf"[+-]?{_NUMBER}(?:[eE][+-]?\d+)?", re.ASCII)
_ODD_NUMBER: Final = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_UNITS: Final = (("degrees", "d"), ("degree", "d"), ("deg", "d"), ("arcmin", "'"), ("arcsec", '"'))
_NAME: Final = re.compile(
    r"(?:\S+\s+)*\S*?J(?P<ra>\d+(?:\.\d*)?)(?P<dec>[+-]\d+(?:\.\d*)?)", re.ASCII | re.IGNORECASE
)
_BESSELIAN: Final = re.compile(r"(?:\S+\s+)*\S*\bB\d{2,}.*", re.ASCII | re.IGNORECASE)
_PART: Final = re.compile(
    rf"(?P<sign>[+-]?)(?P<a>{_NUMBER})(?P<ua>\s*[hd:]\s*|\s+|$)"
    rf"(?:(?P<b>{_NUMBER})(?P<ub>\s*[m':]\s*|\s+|$))?"
    rf"(?:(?P<c>{_NUMBER})(?P<uc>\s*(?:s|\"|''))?)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Position:
    """A direction on the sky.

    Parameters
    ----------
    ra : float
        Right ascension, ICRS degrees, in [0, 360).
    dec : float
        Declination, ICRS degrees, in [-90, 90].
    text : str
        What the user wrote.
    """

    ra: float
    dec: float
    text: str = ""


class _Refused(Exception):
    """Why a text is no position; becomes the reason of a QueryError."""


def _refuse(reason: str) -> NoReturn:
    raise _Refused(reason)


@dataclass(frozen=True, slots=True)
class _Part:
    """One of the two angles, still in the unit it was written in."""

    value: float  # in that unit
    seconds: float  # 3600 of that unit, so that a division by 240 or 3600 rounds once
    unit: str  # 'h', 'd' or '' where nothing says it
    form: str  # 'plain', 'units' or 'fields'
    text: str


def _check_fields(text: str, a: str, b: str | None, c: str | None) -> None:
    present = [field for field in (a, b, c) if field is not None]
    for field in present[:-1]:
        if "." in field:
            _refuse(f"in {text!r} a field other than the last has decimals")
    for name, value in (("minutes", b), ("seconds", c)):
        if value is not None and float(value) >= 60.0:
            _refuse(f"{name} {value} in {text!r} are not below 60")


def _part(text: str, *, is_dec: bool) -> _Part:
    """Read one angle."""
    text = text.strip()
    name = "the declination" if is_dec else "the right ascension"
    if not text:
        _refuse(f"{name} is missing")
    if _ODD_NUMBER.fullmatch(text):
        _refuse(f"{name} {text!r} is not a finite number")
    if _PLAIN.fullmatch(text):
        return _Part(float(text), math.nan, "", "plain", text)
    match = _PART.fullmatch(text)
    if match is None:
        if re.match(r"[+-]\s", text):
            _refuse("a sign stands apart from its number")
        _refuse(f"{text!r} is not an angle")
    a: str = match["a"]
    b: str | None = match["b"]
    c: str | None = match["c"]
    ua, ub, uc = ((match[key] or "").strip() for key in ("ua", "ub", "uc"))
    _check_fields(text, a, b, c)
    if ua not in ("h", "d") and (ub not in ("", ":") or uc):
        _refuse(f"the first number of {text!r} has no unit: write h or d behind it")
    if ua == "h" and (ub == "'" or uc not in ("", "s")):
        _refuse(f"hours in {text!r} need minutes m and seconds s; ' and \" are arcmin and arcsec")
    if ua == ":" and (b is None or (c is not None and ub != ":")):
        _refuse(f"{text!r} is not complete: write 02:33:12.4, or 02:33")
    if not ua and ub == ":":
        _refuse(f"{text!r} mixes spaces and colons")
    if not ua and c is None:
        _refuse(f"{text!r} has two fields: write the seconds too, or colons, or units")
    seconds = float(a) * 3600 + float(b or 0) * 60 + float(c or 0)
    seconds = -seconds if match["sign"] == "-" else seconds
    unit = ua if ua in ("h", "d") else ""
    return _Part(seconds / 3600, seconds, unit, "units" if unit else "fields", text)


def _split(text: str) -> tuple[str, str]:
    """Cut the text between the two angles."""
    if "," in text:
        first, _, second = text.partition(",")
        if "," in second:
            _refuse("more than one comma")
        return first, second
    tokens = text.split()
    if len(tokens) == 2 and all(_PLAIN.fullmatch(token) for token in tokens):
        return tokens[0], tokens[1]
    signs = [match.start() for match in re.finditer(r"(?<![eE])[+-]", text) if match.start() > 0]
    if len(signs) > 1:
        _refuse("more than one sign inside the text")
    if signs:
        first, second = text[: signs[0]], text[signs[0] :]
        if _PLAIN.fullmatch(first) and _PLAIN.fullmatch(second):
            _refuse("no space or comma between the numbers; a name needs a J in front of it")
        return first, second
    if len(tokens) == 2:
        return tokens[0], tokens[1]
    starts = [match.start() for match in re.finditer(rf"{_NUMBER}\s*[hd]", text)]
    if len(starts) == 2:
        return text[: starts[1]], text[starts[1] :]
    if len(tokens) == 6:
        return " ".join(tokens[:3]), " ".join(tokens[3:])
    if len(tokens) < 2:
        _refuse("one number or word; a position has a right ascension and a declination")
    _refuse("it is not clear where the right ascension ends; put a comma between the two")


def _named(text: str) -> tuple[float, float] | None:
    """Read a catalogue name of the form JHHMMSS.ss+DDMMSS.s."""
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    parts = []
    for digits, what in ((match["ra"], "right ascension"), (match["dec"], "declination")):
        sign = -1.0 if digits[0] == "-" else 1.0
        whole, point, fraction = digits.lstrip("+-").partition(".")
        if len(whole) > 6:
            _refuse(
                f"the {what} of the name has {len(whole)} digits with an implied decimal point; "
                "write the point"
            )
        if len(whole) < 6 or (point and not fraction):
            _refuse(f"the {what} of the name needs two digits each for three fields")
        a, b, c = whole[:2], whole[2:4], whole[4:] + point + fraction
        _check_fields(digits, a, b, c)
        parts.append(sign * (int(a) * 3600 + int(b) * 60 + float(c)))
    if parts[0] >= 86400.0:
        _refuse(f"the right ascension of the name begins with {match['ra'][:2]} hours")
    if not abs(parts[1]) <= 324000.0:
        _refuse(f"the declination of the name is beyond {match['dec'][0]}90 degrees")
    return parts[0] / 240.0, parts[1] / 3600.0  # seconds of time, of arc, in a degree


def _angles(text: str, frame: str) -> tuple[float, float]:
    """Return longitude and latitude in degrees of the frame."""
    equatorial = frame in ("icrs", "fk5", "fk4")
    named = _named(text)
    if named is not None:
        if frame not in ("icrs", "fk5"):
            _refuse(f"a J name is a J2000 position and cannot be {frame}")
        return named
    first, second = _split(text)
    lon, lat = _part(first, is_dec=False), _part(second, is_dec=True)
    names = ("right ascension", "declination") if equatorial else ("longitude", "latitude")
    if (lon.form == "plain") != (lat.form == "plain"):
        plain, other = (lon, lat) if lon.form == "plain" else (lat, lon)
        _refuse(f"{plain.text!r} is a plain number and {other.text!r} is not: write both alike")
    if lat.unit == "h":
        _refuse(f"the {names[1]} {lat.text!r} is in hours")
    if lon.text.startswith("-"):
        _refuse(f"the {names[0]} {lon.text!r} is negative; it counts from 0 to 360 degrees")
    degrees = lon.value
    if lon.unit == "h" or lon.form == "fields":
        if not equatorial:
            _refuse(f"{lon.text!r} would be hours; a {frame} longitude is in degrees")
        if lon.value >= 24.0:
            hint = "" if lon.unit else "; if it is degrees, write d behind the first number"
            _refuse(f"the {names[0]} {lon.text!r} is not below 24 hours{hint}")
        degrees = lon.seconds / 240.0  # seconds of time in a degree
    if not 0.0 <= degrees < 360.0:
        _refuse(f"the {names[0]} {lon.text!r} is outside [0, 360) degrees")
    if not abs(lat.value) <= 90.0:
        _refuse(f"the {names[1]} {lat.text!r} is outside [-90, 90] degrees")
    return degrees, lat.value


def plain_degrees(ra: object, dec: object) -> tuple[float, float] | None:
    """Read two cells of plain degrees quickly.

    Parameters
    ----------
    ra, dec : object
        Cells of a file.

    Returns
    -------
    tuple of float, or None
        ICRS degrees. None if a cell is anything but the plain text of a number in range; then
        `parse_position` says what it is.
    """
    if not (isinstance(ra, str) and isinstance(dec, str)):
        return None
    if not (_PLAIN.fullmatch(ra) and _PLAIN.fullmatch(dec)) or ra[0] == "-":
        return None
    lon, lat = float(ra), float(dec)
    return (lon, lat) if lon < 360.0 and abs(lat) <= 90.0 else None


def _to_icrs(lon: float, lat: float, frame: str) -> tuple[float, float]:
    """Transform degrees of another frame with astropy."""
    from astropy.coordinates import SkyCoord

    own = "barycentricmeanecliptic" if frame == "ecliptic" else frame
    icrs = SkyCoord(lon, lat, unit="deg", frame=own).icrs
    return float(icrs.ra.deg) % 360.0, float(icrs.dec.deg)


def _parse(text: str, lookup: Lookup | None) -> tuple[float, float]:
    """Return ICRS degrees or raise _Refused."""
    if len(text) > MAX_LENGTH:
        _refuse(f"it is longer than {MAX_LENGTH} characters")
    if text.strip()[:5].lower() == "name:":
        name = text.strip()[5:].strip()
        if lookup is None:
            _refuse("names are looked up only in an archive that has a target of this name")
        found = lookup(name)
        if found is None:
            _refuse("there is no target of this name; nothing is looked up in the network")
        return found
    plain = text.translate(_SAME).strip()
    if not plain:
        _refuse("it is empty")
    frame = "icrs"
    words = plain.rsplit(None, 1)
    if words[-1].lower().lstrip(",") in _FRAMES:
        frame = words[-1].lower().lstrip(",")
        plain = words[0].rstrip(", ") if len(words) > 1 else ""
        if not plain:
            _refuse("there is a frame and no position")
    if _BESSELIAN.fullmatch(plain):
        _refuse("B stands for equinox B1950; give the position itself, with fk4 behind it")
    if words[-1].lower() == "j2000":
        _refuse("J2000 is an equinox; write icrs or fk5 behind the position")
    if _NAME.fullmatch(plain) is None:
        if plain[0].isalpha() and not _ODD_NUMBER.match(plain):
            _refuse("it is a name; name:M31 looks for a target of an archive")
        plain = plain.lower()
        for word, short in _UNITS:
            plain = re.sub(rf"(?<=[\d.\s]){word}(?![a-z])", short, plain)
    lon, lat = _angles(plain, frame)
    return (lon, lat) if frame == "icrs" else _to_icrs(lon, lat, frame)


def parse_position(text: str, *, lookup: Lookup | None = None) -> Position:
    """Read a position; whatever is ambiguous is refused.

    Parameters
    ----------
    text : str
        One position in a form of the table at the top of this module.
    lookup : callable, optional
        Takes the name behind ``name:`` and returns ICRS degrees, or None if there is no such
        target. Nothing is ever looked up in the network.

    Returns
    -------
    Position
        ICRS degrees. A negative zero of the declination keeps its sign.

    Raises
    ------
    QueryError
        With the reason and the accepted forms.
    """
    try:
        ra, dec = _parse(text, lookup)
    except _Refused as error:
        shown = printable(text, 80)
        reason = printable(str(error))
        raise QueryError(f"no position in '{shown}': {reason}; {ACCEPTED}") from None
    return Position(ra, dec, text)


_RADIUS: Final = re.compile(rf"([+-]?{_NUMBER}(?:[eE][+-]?\d+)?)\s*(\D*)", re.ASCII)
_RADIUS_UNITS: Final = {  # units per degree
    "mas": 3_600_000.0,
    '"': 3600.0,
    "''": 3600.0,
    "arcsec": 3600.0,
    "arcsecs": 3600.0,
    "arcsecond": 3600.0,
    "arcseconds": 3600.0,
    "'": 60.0,
    "arcmin": 60.0,
    "arcmins": 60.0,
    "arcminute": 60.0,
    "arcminutes": 60.0,
    "d": 1.0,
    "deg": 1.0,
    "degs": 1.0,
    "degree": 1.0,
    "degrees": 1.0,
}


def parse_radius(text: str) -> float:
    """Read a radius with its unit.

    Parameters
    ----------
    text : str
        A number and one of arcsec ``"`` ``''``, arcmin ``'``, deg ``d``, mas: ``2arcsec``,
        ``0.5'``, ``1e-3 deg``. Zero asks for an exact match.

    Returns
    -------
    float
        Degrees, in [0, 180].

    Raises
    ------
    QueryError
        If there is no unit, an unknown one or hours, or the number is negative, not finite or
        more than 180 degrees.
    """
    shown = printable(text, 80)
    plain = text.translate(_SAME).strip()
    match = _RADIUS.fullmatch(plain)
    if match is None:
        raise QueryError(f"no radius in '{shown}': write a number and a unit, such as 2arcsec")
    number, unit = match[1], match[2].strip().lower()
    if not unit:
        raise QueryError(f"the radius '{shown}' has no unit: write {number}arcsec")
    if unit in ("h", "hour", "hours", "hourangle", "m", "min", "s", "sec"):
        raise QueryError(
            f"the radius '{shown}' is in time: write arcsec, arcmin or deg, such as 2arcsec"
        )
    if unit not in _RADIUS_UNITS:
        raise QueryError(
            f"the radius '{shown}' has the unknown unit '{printable(unit, 20)}': "
            "write arcsec, arcmin, deg or mas"
        )
    degrees = float(number) / _RADIUS_UNITS[unit]
    if number.startswith("-"):
        raise QueryError(f"the radius '{shown}' is negative; 0arcsec asks for an exact match")
    if not degrees <= 180.0:
        raise QueryError(f"the radius '{shown}' is more than 180 degrees, which is the whole sky")
    return degrees


def format_position(
    position: Position, form: str = "degrees", *, decimals: int | None = None
) -> str:
    """Write a position so that the user sees what was understood; reads back by the grammar.

    Parameters
    ----------
    position : Position
        ICRS degrees.
    form : {'degrees', 'sexagesimal', 'name'}
        ``38.301799 -0.133922``, ``02:33:12.432 -00:08:02.12`` or ``J023312.43-000802.1``. A name
        is cut, not rounded, as the IAU's "Specifications concerning designations for
        astronomical radiation sources outside the solar system" ask.
    decimals : int, optional
        Decimals of the degree (6), of the seconds of declination (2; one more for the right
        ascension), or of the seconds in a name (1; one more for the right ascension).

    Returns
    -------
    str
        Without frame; it is ICRS.
    """
    if form == "degrees":
        digits = 6 if decimals is None else decimals
        ra = f"{position.ra:.{digits}f}"
        if float(ra) >= 360.0:
            ra = f"{0.0:.{digits}f}"
        return f"{ra} {position.dec:.{digits}f}"
    if form == "sexagesimal":
        digits = 2 if decimals is None else decimals
        ra = sexagesimal(position.ra, hours=True, decimals=digits + 1)
        return f"{ra} {sexagesimal(position.dec, decimals=digits)}"
    if form == "name":
        digits = 1 if decimals is None else decimals
        # four guard decimals, then cut: so a position read from a name gives the same name
        ra = sexagesimal(position.ra, hours=True, decimals=digits + 5, separators="")
        dec = sexagesimal(position.dec, decimals=digits + 4, separators="")
        cut = 4 if digits else 5
        return f"J{ra[:-4]}{dec[:-cut]}"
    raise ValueError(f"form must be degrees, sexagesimal or name, not {form!r}")


def format_radius(degrees: float) -> str:
    """Write a radius in the unit that suits its size: mas, arcsec, arcmin or deg.

    Parameters
    ----------
    degrees : float
        Radius in degrees.

    Returns
    -------
    str
        For example ``2.000 arcsec``.
    """
    for unit, per_degree, limit in (("deg", 1.0, 1.0), ("arcmin", 60.0, 1.0)):
        if degrees * per_degree >= limit:
            return f"{degrees * per_degree:.4f} {unit}"
    arcsec = degrees * 3600.0
    if 0.0 < arcsec < 0.1:
        return f"{arcsec * 1000.0:.3f} mas"
    return f"{arcsec:.3f} arcsec"
