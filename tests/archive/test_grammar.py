from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corecube.archive.grammar import MAX_DEPTH, MAX_LENGTH, parse
from corecube.errors import QueryError

Column = tuple[np.ndarray[Any, Any], "np.ndarray[Any, Any] | None"]

COLUMNS: dict[str, Column] = {
    "z": (np.array([1.0, 2.5, np.nan, 3.0]), np.array([False, False, False, True])),
    "boss.z": (np.array([1, 2, 3, 4]), None),
    "cls": (np.array(["STAR", "QSO", "", "it's"]), None),
    "good": (np.array([True, False, True, False]), np.array([False, False, True, False])),
    "mag": (np.array([1.1, 2.0, 3.0, -4.0], np.float32), None),
    "big": (np.array([2**53 + 1, 2**62 + 1, 3, 0]), None),
    "byte": (np.array([1, 2, 3, 255], np.uint8), None),
    "raw": (np.array([b"a", b"b", b"", b"c"]), None),
}


def selected(text: str) -> list[int]:
    return np.flatnonzero(parse(text).evaluate(COLUMNS.__getitem__)).tolist()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("z > 2", [1]),
        ("not z > 2", [0]),  # neither of the two selects the rows without z
        ("z > 2 or not z > 2", [0, 1]),
        ("not (z > 2 and z > 3)", [0, 1]),
        ("z != 1", [1]),
        ("z is missing", [2, 3]),
        ("z is not missing", [0, 1]),
        ("not z is missing", [0, 1]),
        # unknown and false is false; unknown or true is true (Kleene)
        ("not (z > 2 and boss.z < 0)", [0, 1, 2, 3]),
        ("z > 2 or boss.z >= 3", [1, 2, 3]),
        ("z > 2 and boss.z > 0", [1]),
        ("boss.z in (1, 3)", [0, 2]),
        ("boss.z not in (1, 3)", [1, 3]),
        ("z in (1, 2.5)", [0, 1]),
        ("not z in (1)", [1]),
        ("z not in (1)", [1]),
        ("cls == 'STAR'", [0]),
        ('cls == "STAR"', [0]),
        ("cls == 'it''s' or cls == \"QSO\"", [1, 3]),
        ("cls == ''", [2]),
        ("cls in ('STAR', 'QSO')", [0, 1]),
        ("cls < 'R'", [1, 2]),
        ("raw == 'a'", [0]),
        ("good", [0]),
        ("not good", [1, 3]),
        ("good == true", [0]),
        ("good != TRUE", [1, 3]),
        ("good == false or good == true", [0, 1, 3]),
        ("mag == 1.1", [0]),  # the float32 that is written 1.1
        ("mag > 1.1", [1, 2]),
        ("mag < -1e40", []),
        ("mag < 1e40", [0, 1, 2, 3]),
        ("mag >= -" + "9" * 350, [0, 1, 2, 3]),
        ("big == 9007199254740993", [0]),
        ("big == 9007199254740992", []),
        ("big == 4.611686018427387905e18", []),
        ("big > 9.007199254740992e15", [0, 1]),
        ("big < " + "9" * 50, [0, 1, 2, 3]),
        ("byte < 300", [0, 1, 2, 3]),
        ("byte > -1", [0, 1, 2, 3]),
        ("byte == 2.5", []),
        ("2 < z", [1]),
        ("2 >= boss.z", [0, 1]),
        ("z > boss.z", [1]),
        ("z>=1 AND NOT(good Or cls=='QSO')", []),
        ("not not good", [0]),
        ("boss.z == 1 or boss.z == 2 and z > 100", [0]),  # and binds more tightly
        ("(boss.z == 1 or boss.z == 2) and z > 2", [1]),
        ("z\n>\n\t2", [1]),
        ("boss.z > +1 and boss.z < 3e0", [1]),
    ],
)
def test_conditions(text: str, rows: list[int]) -> None:
    assert selected(text) == rows


def test_names_are_listed_once_in_order() -> None:
    condition = parse("b > 1 and not (a is missing or b < c) and d in (1)")
    assert condition.names == ("b", "a", "c", "d")
    assert condition.text == "b > 1 and not (a is missing or b < c) and d in (1)"


def test_a_column_is_looked_up_once() -> None:
    asked: list[str] = []

    def lookup(name: str) -> Column:
        asked.append(name)
        return COLUMNS[name]

    parse("z > 1 and z < 5 or z is missing").evaluate(lookup)
    assert asked == ["z"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("z = 2", "at character 3, '= 2': write == to compare"),
        ("z <> 2", "write !="),
        ("z > 1 & z < 2", "at character 7, '& z < 2': write and"),
        ("z > 1 && z < 2", "write and"),
        ("z > 1 || z < 2", "write or"),
        ("!good", "write not"),
        ("~good", "write not"),
        ("1 < z < 2", "cannot be chained; write: 1 < z and z < 2"),
        ("z == null", "write: name is missing"),
        ("z != NaN", "write: name is missing"),
        ("cls like 'S%'", "no patterns"),
        ("z between 1 and 2", "name >= 1 and name <= 2"),
        ("z + 1 > 2", "no arithmetic"),
        ("z > 9**9**9", "at character 6, .* no arithmetic"),
        ("z >- 1", "no arithmetic"),
        ("z == 'a'", "'z' is a number and 'a' is text: they cannot be compared; write the number"),
        ("cls == 3", "at character 5, .*'cls' is text and 3 is a number: .*write the text in quo"),
        ("cls == z", "'cls' is text and 'z' is a number"),
        ("z in (1, 'a')", "cannot be compared"),
        ("good == 1", "'good' is true or false and 1 is a number"),
        ("good > true", "write == or !="),
        ("z", "'z' is a number; compare it"),
        ("cls and good", "'cls' is text; compare it"),
        ("q > 2", "at character 1, 'q > 2': there is no column 'q'"),
        ("1 == 1", "no column in this comparison"),
        ("3", "a comparison is missing"),
        ("z >", "at the end: a name or a value is missing"),
        ("z > and", "a name or a value must stand here"),
        ("(z > 2", "a \\) is missing"),
        ("z > 2)", "and, or, or a comparison is missing"),
        ("z > 2 good", "and, or, or a comparison is missing"),
        ("z is 2", "is missing"),
        ("z is not", "is missing"),
        ("z in 2", "in \\(1, 2\\)"),
        ("z in ()", "must stand here"),
        ("z in (1", "in the list"),
        ("z in (1, cls)", "must stand here"),
        ("cls == 'abc", "quote is not closed"),
        ("1.2.3 > z", "not a number"),
        ("2z > 1", "not a number"),
        ("z > 1e999", "too large"),
        ("boss..z > 2", "not a number|not understood"),
        ("z > 2; z", "not understood"),
        ("`z` > 2", "not understood"),
        ("z > \u0663", "not understood|not a number"),
        ("", "the filter is empty"),
        (" \n", "the filter is empty"),
        ("__import__('os')", "missing"),
        ("z.__class__ > 1", "no column 'z.__class__'"),
        ("(lambda: 1)() > z", "missing|not understood"),
        ("not " * (MAX_DEPTH + 2) + "good", "nested deeper"),
        ("(" * 5000 + "good" + ")" * 5000, "characters; at most|nested deeper"),
        ("z > 1" + " or z > 1" * 2000, f"at most {MAX_LENGTH}"),
    ],
)
def test_errors_say_where_and_what_to_write(text: str, reason: str) -> None:
    with pytest.raises(QueryError, match=reason) as caught:
        parse(text).evaluate(COLUMNS.__getitem__)
    assert "\n" not in str(caught.value)


def test_many_alternatives_do_not_nest() -> None:
    text = " or ".join(f"boss.z == {i}" for i in range(4, 500))
    assert selected(text) == [3]


@pytest.mark.parametrize(
    ("values", "missing", "reason"),
    [
        (np.zeros((2, 2)), None, "one number or text in a row"),
        (np.array([1j, 2j]), None, "one number or text in a row"),
        (np.zeros(2), np.zeros(3, bool), "mask"),
    ],
)
def test_columns_that_cannot_be_compared(values: Any, missing: Any, reason: str) -> None:
    with pytest.raises(QueryError, match=reason):
        parse("x > 1").evaluate(lambda name: (values, missing))


def test_columns_of_different_tables() -> None:
    with pytest.raises(QueryError, match="another table"):
        parse("a > b").evaluate(lambda name: (np.zeros(2 if name == "a" else 3), None))


def test_no_row() -> None:
    chosen = parse("a > 1 and b in (1)").evaluate(lambda name: (np.zeros(0), None))
    assert (chosen.shape, chosen.dtype) == ((0,), np.dtype(bool))


# Three values row by row, as an independent implementation: True, False, None for unknown.
Truth = bool | None
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt,
    "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
VALUES: dict[str, list[float | None]] = {
    "a": [0.0, 1.0, None, 2.0, None],
    "b": [None, 1.0, 0.0, None, None],
}


def both(left: Truth, right: Truth) -> Truth:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def contrary(value: Truth) -> Truth:
    return None if value is None else not value


Case = tuple[str, list[Truth]]


@st.composite
def comparisons(draw: st.DrawFn) -> Case:
    name, sign = draw(st.sampled_from("ab")), draw(st.sampled_from(list(COMPARISONS)))
    number = draw(st.integers(0, 2))
    truth = [None if v is None else COMPARISONS[sign](v, number) for v in VALUES[name]]
    return f"{name} {sign} {number}", truth


def joined(parts: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
    def join(left: Case, word: str, right: Case) -> Case:
        if word == "and":
            truth = [both(x, y) for x, y in zip(left[1], right[1], strict=True)]
        else:
            pairs = zip(left[1], right[1], strict=True)
            truth = [contrary(both(contrary(x), contrary(y))) for x, y in pairs]
        return f"({left[0]}) {word} ({right[0]})", truth

    def negate(part: Case) -> Case:
        return f"not ({part[0]})", [contrary(value) for value in part[1]]

    return st.builds(join, parts, st.sampled_from(["and", "or"]), parts) | st.builds(negate, parts)


@given(st.recursive(comparisons(), joined, max_leaves=12))
def test_logic_agrees_with_a_row_by_row_evaluation(case: Case) -> None:
    def lookup(name: str) -> Column:
        values = [np.nan if value is None else value for value in VALUES[name]]
        if name == "a":  # missing as NaN
            return np.array(values), None
        return np.nan_to_num(np.array(values)), np.isnan(values)  # missing as a mask

    text, truth = case
    assert parse(text).evaluate(lookup).tolist() == [value is True for value in truth]


@given(st.text(max_size=80) | st.text("zgodcls()<>=!&'\"., 019-e+innotandoris", max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(QueryError):
        parse(text).evaluate(COLUMNS.__getitem__)
