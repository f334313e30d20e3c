"""The filter grammar: conditions on columns, without ``eval``.

::

    condition  = and-part { "or" and-part }
    and-part   = not-part { "and" not-part }
    not-part   = "not" not-part | "(" condition ")" | test
    test       = operand ("==" | "!=" | "<" | "<=" | ">" | ">=") operand
               | name ["not"] "in" "(" literal { "," literal } ")"
               | name "is" ["not"] "missing"
               | name                                  a column of true and false
    operand    = name | literal
    name       = identifier { "." identifier }         z, boss.z
    literal    = number | 'text' | "text" | true | false

Keywords are read without case; a quote inside a text is written twice. Logic has three values: a
missing number or a NaN makes a comparison unknown, and only what is surely true is selected, so
neither ``z > 2`` nor ``not z > 2`` selects a row without z. A number is compared as a value of
the column's own type: ``mag == 1.1`` selects the float32 that is written 1.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from corecube.errors import QueryError
from corecube.text import printable

__all__ = ["Condition", "Lookup", "parse"]

MAX_LENGTH: Final = 10_000
"""Longest condition, in characters."""
MAX_DEPTH: Final = 50
"""Deepest nesting of parentheses and ``not``."""

BoolArray: TypeAlias = npt.NDArray[np.bool_]
Lookup: TypeAlias = Callable[[str], "tuple[npt.NDArray[Any], BoolArray | None]"]
_Literal: TypeAlias = "bool | int | float | str"
_Truth: TypeAlias = "tuple[BoolArray, BoolArray]"  # surely true, surely false

_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
    | (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    | (?P<op>==|!=|<=|>=|<>|=~|&&|\|\||[<>=!&|~(),])
    )""",
    re.ASCII | re.VERBOSE,
)
_KEYWORDS: Final = frozenset(("and", "or", "not", "in", "is", "missing", "true", "false"))
_COMPARISONS: Final = ("==", "!=", "<", "<=", ">", ">=")
_LARGEST: Final = float(np.finfo(np.float64).max)
_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_OTHER_WORDS: Final = {
    "=": "write == to compare",
    "<>": "write !=",
    "=~": "there are no patterns; write == or in (...)",
    "&": "write and",
    "&&": "write and",
    "|": "write or",
    "||": "write or",
    "!": "write not",
    "~": "write not",
}
_OTHER_NAMES: Final = {
    "null": "write: name is missing",
    "none": "write: name is missing",
    "nan": "write: name is missing",
    "like": "there are no patterns; write == or in (...)",
    "between": "write: name >= 1 and name <= 2",
}
_COMPARE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # number, name, text, op, word, end
    text: str
    start: int


@dataclass(frozen=True, slots=True)
class _Column:
    """Values of a name, looked up once for an evaluation."""

    values: npt.NDArray[Any]
    unknown: BoolArray
    kind: str  # number, text, truth


@dataclass
class _Columns:
    """The columns of one evaluation."""

    text: str
    lookup: Lookup
    found: dict[str, _Column] = field(default_factory=dict)

    def get(self, name: str, start: int) -> _Column:
        if name not in self.found:
            try:
                values, missing = self.lookup(name)
            except KeyError:
                _fail(self.text, start, f"there is no column {name!r}")
            values = np.asarray(values)
            kinds = {"b": "truth", "U": "text", "T": "text", "S": "text"}
            kind = kinds.get(values.dtype.kind, "number" if values.dtype.kind in "iuf" else "")
            if values.ndim != 1 or not kind:
                _fail(self.text, start, f"{name!r} does not have one number or text in a row")
            if values.dtype.kind == "S":
                values = np.strings.decode(values, "utf-8", "replace")
            unknown = np.zeros(values.shape, bool) if missing is None else np.asarray(missing, bool)
            if unknown.shape != values.shape:
                _fail(self.text, start, f"the mask of {name!r} is not as long as its values")
            if values.dtype.kind == "f":
                unknown = unknown | np.isnan(values)
            self.found[name] = _Column(values, unknown, kind)
        column = self.found[name]
        first = next(iter(self.found.values()))
        if first.values.shape != column.values.shape:
            _fail(self.text, start, f"{name!r} is a column of another table")
        return column


def _fail(text: str, start: int, reason: str) -> NoReturn:
    """Raise a QueryError that points at a character, counted from 1."""
    near = printable(text[start : start + 24])
    where = f"at character {start + 1}, '{near}'" if near else "at the end"
    raise QueryError(f"filter '{printable(text, 200)}': {where}: {reason}")


def _literal_kind(value: _Literal) -> str:
    if isinstance(value, bool):
        return "truth"
    return "text" if isinstance(value, str) else "number"


_SHOWN: Final = {"truth": "true or false", "text": "text", "number": "a number"}


def _compare_values(op: str, values: npt.NDArray[Any], value: _Literal) -> BoolArray:
    """Compare values with a literal of the same kind, exactly."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if isinstance(value, float) and values.dtype.kind in "iu" and value.is_integer():
            value = int(value)  # exact also beyond 2**53
        if values.dtype.kind == "f":
            if abs(value) <= float(np.finfo(values.dtype).max):
                value = values.dtype.type(value)
            else:  # beyond every finite value of the column
                values = values.astype(np.float64)
                value = max(-_LARGEST, min(_LARGEST, value))  # an integer may be larger still
    return np.asarray(_COMPARE[op](values, value), dtype=bool)


@dataclass(frozen=True, slots=True)
class _Name:
    name: str
    start: int


class _Node:
    """A part of a condition."""

    __slots__ = ()

    def names(self) -> Iterator[str]:
        raise NotImplementedError

    def truth(self, columns: _Columns) -> _Truth:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class _Compare(_Node):
    """A name against a literal or another name."""

    op: str
    left: _Name
    right: _Name | _Literal
    start: int

    def names(self) -> Iterator[str]:
        yield self.left.name
        if isinstance(self.right, _Name):
            yield self.right.name

    def truth(self, columns: _Columns) -> _Truth:
        left = columns.get(self.left.name, self.left.start)
        if isinstance(self.right, _Name):
            right = columns.get(self.right.name, self.right.start)
            self._check(columns.text, left.kind, right.kind, f"{self.right.name!r}")
            known = ~(left.unknown | right.unknown)
            result = np.asarray(_COMPARE[self.op](left.values, right.values), dtype=bool)
        else:
            self._check(columns.text, left.kind, _literal_kind(self.right), repr(self.right))
            known = ~left.unknown
            result = _compare_values(self.op, left.values, self.right)
        return result & known, ~result & known

    def _check(self, text: str, left: str, right: str, shown: str) -> None:
        if left != right:
            reason = (
                f"{self.left.name!r} is {_SHOWN[left]} and {shown} is {_SHOWN[right]}: "
                "they cannot be compared"
            )
            if left == "number" and right == "text" and not isinstance(self.right, _Name):
                reason += "; write the number without quotes"
            elif left == "text" and right == "number":
                reason += "; write the text in quotes"
            _fail(text, self.start, reason)
        if left == "truth" and self.op not in ("==", "!="):
            _fail(text, self.start, f"{self.left.name!r} is true or false; write == or !=")


@dataclass(frozen=True, slots=True)
class _In(_Node):
    """A name in a list of literals."""

    left: _Name
    values: tuple[_Literal, ...]
    start: int

    def names(self) -> Iterator[str]:
        yield self.left.name

    def truth(self, columns: _Columns) -> _Truth:
        true = false = np.zeros(0, dtype=bool)
        for i, value in enumerate(self.values):
            part, other = _Compare("==", self.left, value, self.start).truth(columns)
            true, false = (part, other) if i == 0 else (true | part, false & other)
        return true, false


@dataclass(frozen=True, slots=True)
class _Missing(_Node):
    """A name that is missing; always known."""

    left: _Name

    def names(self) -> Iterator[str]:
        yield self.left.name

    def truth(self, columns: _Columns) -> _Truth:
        unknown = columns.get(self.left.name, self.left.start).unknown
        return unknown.copy(), ~unknown


@dataclass(frozen=True, slots=True)
class _Bare(_Node):
    """A column of true and false."""

    left: _Name

    def names(self) -> Iterator[str]:
        yield self.left.name

    def truth(self, columns: _Columns) -> _Truth:
        column = columns.get(self.left.name, self.left.start)
        if column.kind != "truth":
            reason = f"{self.left.name!r} is {_SHOWN[column.kind]}; compare it with something"
            _fail(columns.text, self.left.start, reason)
        return column.values & ~column.unknown, ~column.values & ~column.unknown


@dataclass(frozen=True, slots=True)
class _Not(_Node):
    part: _Node

    def names(self) -> Iterator[str]:
        return self.part.names()

    def truth(self, columns: _Columns) -> _Truth:
        true, false = self.part.truth(columns)
        return false, true


@dataclass(frozen=True, slots=True)
class _Join(_Node):
    """All of (and) or any of (or) several parts, by the strong logic of Kleene."""

    word: str
    parts: tuple[_Node, ...]

    def names(self) -> Iterator[str]:
        for part in self.parts:
            yield from part.names()

    def truth(self, columns: _Columns) -> _Truth:
        true, false = self.parts[0].truth(columns)
        for part in self.parts[1:]:
            other_true, other_false = part.truth(columns)
            if self.word == "and":
                true, false = true & other_true, false | other_false
            else:
                true, false = true | other_true, false & other_false
        return true, false


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            if text[start] in "'\"":
                _fail(text, start, "the quote is not closed")
            if text[start] in "*/%^+-":
                _fail(text, start, "there is no arithmetic in filters")
            if text[start].isdigit() or text[start] == ".":
                _fail(text, start, "not a number")
            _fail(
                text, start, "not understood; write names, numbers, texts in quotes, and, or, not"
            )
        kind = str(match.lastgroup)
        value, start = match[kind], match.start(kind)
        if kind == "name" and value.lower() in _KEYWORDS:
            kind, value = "word", value.lower()
        elif kind == "name" and value.lower() in _OTHER_NAMES:
            _fail(text, start, _OTHER_NAMES[value.lower()])
        elif value in _OTHER_WORDS:
            _fail(text, start, _OTHER_WORDS[value])
        tokens.append(_Token(kind, value, start))
        at = match.end()
    tokens.append(_Token("end", "", len(text)))
    return tokens


class _Parser:
    """Recursive descent; depth is counted, so that no text can exhaust the stack."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.at = 0

    @property
    def next(self) -> _Token:
        return self.tokens[self.at]

    def fail(self, reason: str, token: _Token | None = None) -> NoReturn:
        _fail(self.text, (token or self.next).start, reason)

    def take(self, kind: str, text: str | None = None) -> _Token | None:
        token = self.next
        if token.kind != kind or (text is not None and token.text != text):
            return None
        self.at += 1
        return token

    def condition(self, depth: int) -> _Node:
        return self.join("or", depth)

    def join(self, word: str, depth: int) -> _Node:
        parts = [self.join("and", depth) if word == "or" else self.unary(depth)]
        while self.take("word", word):
            parts.append(self.join("and", depth) if word == "or" else self.unary(depth))
        return parts[0] if len(parts) == 1 else _Join(word, tuple(parts))

    def unary(self, depth: int) -> _Node:
        if depth > MAX_DEPTH:
            self.fail(f"nested deeper than {MAX_DEPTH}")
        if self.take("word", "not"):
            return _Not(self.unary(depth + 1))
        if self.take("op", "("):
            inside = self.condition(depth + 1)
            if not self.take("op", ")"):
                self.fail("a ) is missing")
            return inside
        return self.test()

    def test(self) -> _Node:
        first = self.next
        left = self.operand()
        if isinstance(left, _Name):
            negative = False
            if self.next.text == "not" and self.tokens[self.at + 1].text == "in":
                self.at += 1
                negative = True
            if word := self.take("word", "in"):
                node: _Node = _In(left, self.literals(), word.start)
                return _Not(node) if negative else node
            if self.take("word", "is"):
                negative = self.take("word", "not") is not None
                if not self.take("word", "missing"):
                    self.fail("only 'is missing' and 'is not missing' can stand here")
                return _Not(_Missing(left)) if negative else _Missing(left)
        operator = self.next
        if operator.kind != "op" or operator.text not in _COMPARISONS:
            if isinstance(left, _Name):
                return _Bare(left)
            self.fail("a comparison is missing behind this", first)
        self.at += 1
        right = self.operand()
        if self.next.kind == "op" and self.next.text in _COMPARISONS:
            self.fail("comparisons cannot be chained; write: 1 < z and z < 2")
        if isinstance(left, _Name):
            return _Compare(operator.text, left, right, operator.start)
        if isinstance(right, _Name):
            return _Compare(_MIRRORED[operator.text], right, left, operator.start)
        self.fail("there is no column in this comparison", first)

    def operand(self) -> _Name | _Literal:
        if token := self.take("name"):
            return _Name(token.text, token.start)
        return self.literal()

    def literal(self) -> _Literal:
        token = self.next
        if token.kind == "text":
            self.at += 1
            quote = token.text[0]
            return token.text[1:-1].replace(quote * 2, quote)
        if token.kind == "word" and token.text in ("true", "false"):
            self.at += 1
            return token.text == "true"
        if token.kind == "number":
            self.at += 1
            if re.fullmatch(r"[+-]?\d{1,400}", token.text):
                return int(token.text)
            value = float(token.text)
            if not np.isfinite(value):
                self.fail("the number is too large", token)
            return value
        if token.kind == "end":
            self.fail("a name or a value is missing")
        self.fail("a name or a value must stand here")

    def literals(self) -> tuple[_Literal, ...]:
        if not self.take("op", "("):
            self.fail("write a list behind in: in (1, 2)")
        values = [self.literal()]
        while self.take("op", ","):
            values.append(self.literal())
        if not self.take("op", ")"):
            self.fail("a , or ) is missing in the list")
        return tuple(values)


@dataclass(frozen=True, slots=True)
class Condition:
    """A filter that was understood.

    Parameters
    ----------
    text : str
        What the user wrote.
    names : tuple of str
        Columns that it needs, each once, in order.
    """

    text: str
    names: tuple[str, ...]
    _node: _Node = field(repr=False)

    def evaluate(self, lookup: Lookup) -> BoolArray:
        """Tell which rows are selected.

        Parameters
        ----------
        lookup : callable
            Takes a name; returns its values, shape (n,), boolean, integer, float or text, and a
            mask of shape (n,) that is True where a value is missing, or None. It raises
            QueryError, or KeyError, for a name that it does not know. Called once per name.

        Returns
        -------
        ndarray of bool, shape (n,)
            True where the condition is surely true; False where it is false or unknown.

        Raises
        ------
        QueryError
            If a name is unknown, or text is compared with a number; with the place in the text.
        """
        return self._node.truth(_Columns(self.text, lookup))[0]


def parse(text: str) -> Condition:
    """Read a filter; see the top of this module for the grammar.

    Parameters
    ----------
    text : str
        For example ``boss.z > 2 and not (class == 'STAR' or z is missing)``.

    Returns
    -------
    Condition
        Names and types are checked when it is evaluated.

    Raises
    ------
    QueryError
        With the place in the text and what to write instead.
    """
    if len(text) > MAX_LENGTH:
        raise QueryError(f"the filter has {len(text)} characters; at most {MAX_LENGTH} are read")
    if not text.strip():
        raise QueryError("the filter is empty; write for example: z > 2 and not warning == 4")
    parser = _Parser(text)
    node = parser.condition(0)
    if parser.next.kind != "end":
        parser.fail("and, or, or a comparison is missing before this")
    return Condition(text, tuple(dict.fromkeys(node.names())), node)
