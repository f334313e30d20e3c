"""Text for people: harmless strings, shortest numbers, sexagesimal angles.

Strings that come from files (FITS headers, HDF5 attributes, file names) may hold terminal
commands; everything that is printed goes through `printable`. Numbers are written with the
fewest digits that read back as the same value of the same type.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # the command line prints before it needs numpy
    import numpy.typing as npt

MISSING_TEXT: Final = "--"
"""What people see where a value is missing."""

# C0, DEL and C1 drive terminals; the rest reorders, joins or hides what is read: soft hyphen,
# Arabic letter mark, zero width (200b-200d, 2060, feff), marks and bidi embeddings (200e-200f,
# 202a-202e, 2066-2069), line and paragraph separators, lone surrogates, tag characters.
_HARMFUL: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code == 0x09:
        return r"\t"
    if code == 0x0A:
        return r"\n"
    if code == 0x0D:
        return r"\r"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable(text: str, limit: int | None = None) -> str:
    r"""Replace what a terminal would obey or hide by visible escapes.

    Parameters
    ----------
    text : str
        Any text, also with lone surrogates (file names).
    limit : int, optional
        Longest result in characters; what is longer ends with an ellipsis.

    Returns
    -------
    str
        One line without C0, DEL, C1, bidirectional and zero-width characters; each of them
        stands as ``\x1b`` or ``\u202e``. A backslash of the text itself is left as it is.
    """
    shown = _HARMFUL.sub(_escape, text)
    if limit is not None and len(shown) > limit:
        shown = shown[: max(limit - 1, 0)] + "…"
    return shown


def number_text(value: object) -> str:
    """Return the shortest text that reads back as the same number of the same type.

    Parameters
    ----------
    value : bool, int, float or numpy scalar
        ``numpy.float32(1.1)`` gives ``1.1``, not the ``1.100000023841858`` of its float64 value.

    Returns
    -------
    str
        ``nan``, ``inf``, ``-inf`` for what is not finite; ``True`` or ``False`` for booleans.
    """
    if isinstance(value, float):  # also numpy.float64, whose own repr names the type
        return repr(float(value))
    return str(value)  # of numpy scalars, too, the shortest text without the type


def column_text(values: npt.NDArray[Any]) -> list[str]:
    """Write an array of one axis element by element, as `number_text`; text stays as it is.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Boolean, integer, float or text.

    Returns
    -------
    list of str
        Length n.
    """
    if values.dtype.str[1:] == "f8":
        return [repr(value) for value in values.tolist()]
    if values.dtype.kind == "f":
        return [str(value) for value in values]
    return [str(value) for value in values.tolist()]


def sexagesimal(
    degrees: float, *, hours: bool = False, decimals: int = 2, separators: str = "::"
) -> str:
    """Write an angle in hours or degrees, minutes and seconds; rounds first, then splits.

    Parameters
    ----------
    degrees : float
        Angle in degrees.
    hours : bool
        Write hours of right ascension (24 h = 360 degrees) without a sign, wrapped into
        [0, 24 h), so that 359.9999999 degrees is ``00:00:00.00``; otherwise degrees with a sign,
        which a negative zero keeps.
    decimals : int
        Decimals of the seconds.
    separators : str
        What stands between the fields, two characters (``::``); three (``hms``) also end the
        seconds; empty for a name such as ``023312.43``.

    Returns
    -------
    str
        For example ``02:33:12.43``, ``-00:08:02.12``; ``--`` where `degrees` is not finite.
    """
    if not math.isfinite(degrees):
        return MISSING_TEXT
    scale = 10**decimals
    units_per_degree = 240 if hours else 3600  # seconds of time, seconds of arc
    if hours:
        total = round((degrees % 360.0) * units_per_degree * scale) % (86400 * scale)
        sign = ""
    else:
        total = round(abs(degrees) * units_per_degree * scale)
        sign = "-" if math.copysign(1.0, degrees) < 0 else "+"
    whole, fraction = divmod(total, scale)
    minutes, seconds = divmod(whole, 60)
    first, minutes = divmod(minutes, 60)
    one, two, three = (*separators, "", "", "")[:3]
    tail = f".{fraction:0{decimals}d}" if decimals else ""
    return f"{sign}{first:02d}{one}{minutes:02d}{two}{seconds:02d}{tail}{three}"
