"""Header cards, from bytes to typed values.

Source: FITS Standard 4.0, section 4 and appendix A, https://fits.gsfc.nasa.gov/.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from corecube.errors import FileNotUnderstood

Value: TypeAlias = "bool | int | float | str | None"
"""The value of a card; None is a keyword without a value."""
Buffer: TypeAlias = "bytes | bytearray | memoryview"

BLOCK = 2880
"""Bytes in a FITS block (standard, section 3.1)."""
CARD = 80
"""Characters in a header card (standard, section 3.1)."""
LARGEST_HEADER = 32 * 1024 * 1024
"""Bytes after which the search for END is given up: 400,000 cards, far above any real header."""
AGAIN = "fetch the file again"
"""What to do about a damaged file."""
ALLOWED_BITPIX = (8, 16, 32, 64, -32, -64)

_INTEGER = re.compile(r"[+-]?\d+\Z")
_FLOAT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[EDed][+-]?\d+)?\Z")
_COMPLEX = re.compile(r"\([^()]*,[^()]*\)\Z")
_STRING = re.compile(r"'((?:[^']|'')*)'")
_COMMENTARY = ("COMMENT", "HISTORY")


class Header(Mapping[str, Value]):
    """The cards of one HDU, as a mapping from keyword to typed value.

    Values are parsed when asked for, so a broken card costs nothing until it is needed.
    Keywords are case-blind; of a repeated keyword the first card counts, `all` has every one.
    COMMENT and HISTORY are joined by line ends. A HIERARCH keyword is its words, single spaced.

    Parameters
    ----------
    raw : str
        The 80-column cards without END, one after the other.
    end : int, optional
        Offset of the first byte after the header's last block in the buffer that it came from.
    where : str, optional
        How errors name this header, such as ``HDU 2``.

    Attributes
    ----------
    raw, end, where
        As given.
    """

    def __init__(self, raw: str, end: int = 0, where: str = "header") -> None:
        self.raw = raw
        self.end = end
        self.where = where
        index: dict[str, list[int]] = {}
        for start in range(0, len(raw), CARD):
            key = raw[start : start + 8].rstrip()
            if key == "HIERARCH" and "=" in raw[start : start + CARD]:
                key = " ".join(raw[start + 9 : start + CARD].split("=", 1)[0].split())
            index.setdefault(key.upper(), []).append(start)
        index.pop("CONTINUE", None)
        index.pop("", None)
        self._index = index

    def __getitem__(self, keyword: str) -> Value:
        """Return the value of the first card with this keyword."""
        key = keyword.upper()
        starts = self._index[key]
        if key in _COMMENTARY:
            return "\n".join(self._comment(start) for start in starts)
        return self._parse(starts[0])

    def __iter__(self) -> Iterator[str]:
        """Go through the different keywords, in the order of the cards."""
        return iter(self._index)

    def __len__(self) -> int:
        """Return the number of different keywords."""
        return len(self._index)

    def __contains__(self, keyword: object) -> bool:
        """Tell whether there is such a card."""
        return isinstance(keyword, str) and keyword.upper() in self._index

    def __repr__(self) -> str:
        """Return a short description."""
        return f"<Header of {self.where}: {len(self.raw) // CARD} cards>"

    def all(self, keyword: str) -> list[Value]:
        """Return the values of all cards with this keyword, in order.

        Parameters
        ----------
        keyword : str
            Case-blind.

        Returns
        -------
        list of bool, int, float, str or None
            Empty if there is no such card.
        """
        key = keyword.upper()
        read = self._comment if key in _COMMENTARY else self._parse
        return [read(start) for start in self._index.get(key, [])]

    def integer(self, keyword: str, default: int | None = None) -> int:
        """Return an integer card.

        Parameters
        ----------
        keyword : str
            Case-blind.
        default : int, optional
            What a missing card means; without it a missing card is an error.

        Raises
        ------
        FileNotUnderstood
            If the card is missing or is no integer.
        """
        value = self._wanted(keyword, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(keyword, "an integer", value)
        return value

    def number(self, keyword: str, default: float | None = None) -> float:
        """Return a real card as float64.

        Parameters
        ----------
        keyword : str
            Case-blind.
        default : float, optional
            What a missing card means; without it a missing card is an error.

        Raises
        ------
        FileNotUnderstood
            If the card is missing or is no number.
        """
        value = self._wanted(keyword, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(keyword, "a number", value)
        return float(value)

    def string(self, keyword: str, default: str | None = None) -> str:
        """Return a text card, trailing blanks removed.

        Parameters
        ----------
        keyword : str
            Case-blind.
        default : str, optional
            What a missing card means; without it a missing card is an error.

        Raises
        ------
        FileNotUnderstood
            If the card is missing or is no text.
        """
        value = self._wanted(keyword, default)
        if not isinstance(value, str):
            raise self._wrong(keyword, "text", value)
        return value

    def lines(self) -> str:
        """Return the cards as readable text, a line each, trailing blanks removed."""
        starts = range(0, len(self.raw), CARD)
        return "\n".join(self.raw[start : start + CARD].rstrip() for start in starts)

    def _wanted(self, keyword: str, default: Value) -> Value:
        if keyword not in self and default is None:
            raise FileNotUnderstood(f"{self.where}: card {keyword} is missing; {AGAIN}")
        return self.get(keyword, default)

    def _wrong(self, keyword: str, wanted: str, value: Value) -> FileNotUnderstood:
        line = f"{self.where}: card {keyword} should be {wanted}, it is {value!r}; {AGAIN}"
        return FileNotUnderstood(line)

    def _comment(self, start: int) -> str:
        return self.raw[start + 8 : start + CARD].rstrip()

    def _parse(self, start: int) -> Value:
        card = self.raw[start : start + CARD]
        if card.startswith("HIERARCH") and "=" in card:
            field = card.split("=", 1)[1].lstrip()
        elif card[8:9] == "=":
            field = card[9:].lstrip()
        else:
            return self._comment(start)
        if field.startswith("'"):
            return self._text(field, start)
        token = field.split("/", 1)[0].strip()
        if not token:
            return None
        if token in ("T", "F"):
            return token == "T"
        if _INTEGER.match(token):
            return int(token)
        if _FLOAT.match(token):
            return float(token.replace("D", "E").replace("d", "e"))
        if _COMPLEX.match(token):
            return token
        raise FileNotUnderstood(
            f"{self.where}: value of card {card[:8].rstrip()} cannot be read: {token!r}; {AGAIN}"
        )

    def _text(self, field: str, start: int) -> str:
        """Return a quoted string, with the CONTINUE cards that follow it (section 4.2.1.2)."""
        pieces: list[str] = []
        while True:
            match = _STRING.match(field)
            if match is None:
                name = self.raw[start : start + 8].rstrip()
                raise FileNotUnderstood(
                    f"{self.where}: text of card {name} has no closing quote; {AGAIN}"
                )
            piece = match[1].replace("''", "'").rstrip()
            start += CARD
            following = self.raw[start : start + CARD]
            field = following[8:].lstrip()
            if not (piece.endswith("&") and following.startswith("CONTINUE") and field[:1] == "'"):
                return "".join([*pieces, piece])
            pieces.append(piece[:-1])


def cards(buffer: Buffer, offset: int = 0, where: str = "header") -> Header:
    """Parse the header that begins at an offset.

    Parameters
    ----------
    buffer : bytes-like
        The unpacked file, or its first part.
    offset : int, optional
        Where the header begins, bytes.
    where : str, optional
        How errors name this header, such as ``HDU 2``.

    Returns
    -------
    Header

    Raises
    ------
    FileNotUnderstood
        If the bytes are no FITS header, or END is not among them.
    """
    view = memoryview(buffer)
    total = len(view)
    first = bytes(view[offset : offset + CARD])
    if not first.startswith((b"SIMPLE  =", b"XTENSION=")):
        begin = first[:24].decode("latin-1") if first else "nothing"
        raise FileNotUnderstood(
            f"{where}: not a FITS header: begins with {begin!r}; is this the right file?"
        )
    position = offset
    pieces: list[bytes] = []
    while position < min(total, offset + LARGEST_HEADER):
        piece = bytes(view[position : position + 10 * BLOCK])
        found = piece.find(b"END     ")
        while found >= 0 and found % CARD:
            found = piece.find(b"END     ", found + 1)
        if found >= 0:
            pieces.append(piece[:found])
            break
        pieces.append(piece)
        position += len(piece)
    else:
        raise FileNotUnderstood(
            f"{where}: no END card in {position - offset} bytes, the header is cut; {AGAIN}"
        )
    raw = b"".join(pieces).decode("latin-1")
    length = len(raw) + CARD
    return Header(raw, offset + -(-length // BLOCK) * BLOCK, where)


def data_size(header: Header) -> int:
    """Return the number of data bytes that a header announces, without padding.

    Standard, equations 1, 2 and 4: ``|BITPIX| / 8 * GCOUNT * (PCOUNT + NAXIS1 ... NAXISn)``.

    Parameters
    ----------
    header : Header

    Returns
    -------
    int

    Raises
    ------
    FileNotUnderstood
        If BITPIX, NAXIS, NAXISn, PCOUNT or GCOUNT are missing or impossible.
    """
    bitpix = header.integer("BITPIX")
    if bitpix not in ALLOWED_BITPIX:
        raise FileNotUnderstood(f"{header.where}: BITPIX {bitpix} is not allowed; {AGAIN}")
    lengths = axis_lengths(header)
    if not lengths:
        return 0
    extra = header.integer("PCOUNT", 0)
    groups = header.integer("GCOUNT", 1)
    if extra < 0 or groups < 0:
        raise FileNotUnderstood(f"{header.where}: PCOUNT or GCOUNT is negative; {AGAIN}")
    if header.get("GROUPS") is True and lengths[0] == 0:
        lengths = lengths[1:]
    return abs(bitpix) // 8 * groups * (extra + math.prod(lengths))


def axis_lengths(header: Header) -> list[int]:
    """Return NAXIS1, NAXIS2, ...; empty when there are no data."""
    number = header.integer("NAXIS")
    if not 0 <= number <= 999:
        raise FileNotUnderstood(f"{header.where}: NAXIS {number} is not allowed; {AGAIN}")
    lengths = [header.integer(f"NAXIS{axis}") for axis in range(1, number + 1)]
    if any(length < 0 for length in lengths):
        raise FileNotUnderstood(f"{header.where}: an axis has a negative length; {AGAIN}")
    return lengths
