from __future__ import annotations

import math
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corecube.text import column_text, number_text, printable, sexagesimal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[1:2048,1:1489]", "[1:2048,1:1489]"),
        ("[bold]x[/bold] [/] :smile:", "[bold]x[/bold] [/] :smile:"),
        ("a\\b", "a\\b"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\x1b]52;c;aGk=\x07", r"\x1b]52;c;aGk=\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("\0\x7f", r"\x00\x7f"),
        ("a\tb\r\nc", r"a\tb\r\nc"),
        ("\u202egpj.exe\u2069", r"\u202egpj.exe\u2069"),
        ("a\u200bb\ufeff", r"a\u200bb\ufeff"),
        ("\udc80", r"\udc80"),
        ("\u2028", r"\u2028"),
        ("\U000e0041", r"\U000e0041"),
        ("59 Cyg \u03b1 \u65e5\u672c \u00b5m", "59 Cyg \u03b1 \u65e5\u672c \u00b5m"),
    ],
)
def test_what_a_terminal_would_obey_becomes_visible(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_text_is_cut_at_the_limit() -> None:
    assert printable("abcdef", 6) == "abcdef"
    assert printable("abcdefg", 6) == "abcde…"
    assert printable("\x1b" * 5, 6) == r"\x1b\…"


@given(st.text(st.characters()))
def test_no_control_or_format_character_of_text_direction_is_left(text: str) -> None:
    shown = printable(text)
    assert not {"Cc", "Cs", "Zl", "Zp"} & {unicodedata.category(c) for c in shown}
    directions = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
    assert not directions & {unicodedata.bidirectional(c) for c in shown}
    shown.encode("utf-8")
    assert printable(shown) == shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.5, "2.5"),
        (np.float64(1.1), "1.1"),
        (np.float32(1.1), "1.1"),
        (np.float16(0.1), "0.1"),
        (np.float32(477.11658), "477.11658"),
        (np.float32(1e-17), "1e-17"),
        (5, "5"),
        (np.uint64(2**64 - 1), "18446744073709551615"),
        (True, "True"),
        (np.bool_(False), "False"),
        (math.nan, "nan"),
        (np.float32("-inf"), "-inf"),
        (-0.0, "-0.0"),
    ],
)
def test_numbers_have_their_shortest_text(value: object, text: str) -> None:
    assert number_text(value) == text


@given(st.floats(width=32))
def test_float32_text_reads_back(value: float) -> None:
    number = np.float32(value)
    text = number_text(number)
    np.testing.assert_equal(np.float32(text), number)
    assert column_text(np.array([number])) == [text]


@given(st.floats())
def test_float64_text_reads_back(value: float) -> None:
    text = number_text(np.float64(value))
    np.testing.assert_equal(float(text), value)
    assert column_text(np.array([value])) == [text]


def test_columns_of_other_types() -> None:
    assert column_text(np.array([True, False])) == ["True", "False"]
    assert column_text(np.array([1, 2**62 + 1])) == ["1", str(2**62 + 1)]
    assert column_text(np.array(["a", ""])) == ["a", ""]
    assert column_text(np.array([1.1, 2.0], dtype=">f8")) == ["1.1", "2.0"]
    assert column_text(np.array([1.1, 2.0], dtype=">f4")) == ["1.1", "2.0"]


@pytest.mark.parametrize(
    ("degrees", "options", "text"),
    [
        (38.301799, {"hours": True, "decimals": 5}, "02:33:12.43176"),
        (-0.133922, {"decimals": 4}, "-00:08:02.1192"),
        # 59.99999 s must not be printed as 60.0
        (1 - 1e-5 / 3600, {"decimals": 2}, "+01:00:00.00"),
        (15 - 1e-9, {"hours": True, "decimals": 2}, "01:00:00.00"),
        (359.9999999, {"hours": True, "decimals": 2}, "00:00:00.00"),
        (90.0, {"decimals": 0}, "+90:00:00"),
        (-0.0, {"decimals": 0}, "-00:00:00"),
        (38.301799, {"hours": True, "separators": "hms"}, "02h33m12.43s"),
        (-0.133922, {"separators": "", "decimals": 1}, "-000802.1"),
        (math.nan, {}, "--"),
        (math.inf, {"hours": True}, "--"),
    ],
)
def test_sexagesimal_rounds_first(degrees: float, options: dict[str, object], text: str) -> None:
    assert sexagesimal(degrees, **options) == text  # type: ignore[arg-type]


@given(st.floats(-90, 90), st.integers(0, 6))
def test_no_field_of_sexagesimal_reaches_60(degrees: float, decimals: int) -> None:
    text = sexagesimal(degrees, decimals=decimals)
    whole, minutes, seconds = text[1:].split(":")
    assert int(whole) <= 90
    assert int(minutes) < 60
    assert float(seconds) < 60
    value = int(whole) + int(minutes) / 60 + float(seconds) / 3600
    assert abs(value - abs(degrees)) <= 0.5 * 10.0**-decimals / 3600 + 1e-13
