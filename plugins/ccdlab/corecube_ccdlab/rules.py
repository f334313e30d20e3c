"""Rules by which headers are recognised: a small language for conditions on cards.

A rule is a map from keyword to a list of conditions. All keywords must fit (AND), of each list one
condition (OR). ``FILE`` is the name of the file. Conditions:

==================  ==========================================================================
``zero``            equal text, without regard to case and to blanks around; numbers as numbers
``~^(arc|ne)-``     a regular expression that is found in the value, without regard to case
``< 0.01``          a number below; likewise ``<=``, ``>``, ``>=``
``!off``            not this (any condition may follow)
``*``               there is such a card and it is not blank
``-``               there is no such card, or it is blank
==================  ==========================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

Rule = Mapping[str, Sequence[str]]
Lookup = Callable[[str], Any]
"""Gives the value of a card, None if there is none."""

FILE: Final = "FILE"
_COMPARE: Final = re.compile(r"(<=|>=|<|>)\s*([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)")


def problem(rule: Rule) -> str:
    """Say what is wrong with a rule, "" if nothing is."""
    for keyword, conditions in rule.items():
        if not conditions:
            return f"{keyword}: an empty list of conditions never fits"
        for condition in conditions:
            text = condition.removeprefix("!")
            if text.startswith("~"):
                try:
                    re.compile(text[1:])
                except re.error as error:
                    return f"{keyword}: {text[1:]!r} is no regular expression: {error}"
            elif text[:1] in ("<", ">") and _COMPARE.fullmatch(text) is None:
                return f"{keyword}: {text!r} compares with no number"
    return ""


def fits(rule: Rule, lookup: Lookup) -> bool:
    """Tell whether a header fits a rule."""
    return all(
        any(_condition(text, lookup(keyword)) for text in conditions)
        for keyword, conditions in rule.items()
    )


def any_fits(rules: Sequence[Rule], lookup: Lookup) -> bool:
    """Tell whether a header fits one of several rules."""
    return any(fits(rule, lookup) for rule in rules)


def as_number(value: Any) -> float | None:
    """Return a card's value as a number; text that is a number counts (``'45.0    '``)."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)
    except ValueError:
        return None


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


def _condition(text: str, value: Any) -> bool:
    if text.startswith("!"):
        return not _condition(text[1:], value)
    shown = "" if value is None else str(value).strip()
    if text == "*":
        return bool(shown)
    if text == "-":
        return not shown
    if text.startswith("~"):
        return value is not None and _pattern(text[1:]).search(shown) is not None
    number = as_number(value)
    match = _COMPARE.fullmatch(text)
    if match is not None:
        limit = float(match[2])
        if number is None:
            return False
        less = number <= limit if match[1] == "<=" else number < limit
        more = number >= limit if match[1] == ">=" else number > limit
        return less if match[1].startswith("<") else more
    wanted = as_number(text)
    if wanted is not None and number is not None:
        return wanted == number
    return value is not None and shown.casefold() == text.strip().casefold()
