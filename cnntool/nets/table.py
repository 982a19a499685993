"""Strict TOML: every key of a file has a rule, and a key without one is an error.

A rule takes a value and returns it, checked; it raises `Wrong` with what is wrong with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from cnntool.errors import ModelError, system_errors_as

if TYPE_CHECKING:
    import re
    from pathlib import Path

    from cnntool.errors import CnntoolError

LARGEST = 16 << 20
"""Bytes of the largest file that is read: the labels of a million classes."""

Rule = Callable[[Any], Any]
Rules = Mapping[str, Rule]
Test = tuple[Callable[[Any], object], str]


class Wrong(Exception):  # noqa: N818 - it never leaves this module's callers
    """What a rule has against a value, and the key below which it stands."""

    def __init__(self, reason: str, key: str = "") -> None:
        self.reason = reason
        self.key = key


def rule(*tests: Test, then: Callable[[Any], Any] = lambda value: value) -> Rule:
    """Return the rule of tests that a value must pass in turn; ``then`` makes of it what it is.

    The words of a test say what is wrong; ``{}`` in them stands for the value.
    """

    def check(value: Any) -> Any:
        for passes, words in tests:
            if not passes(value):
                raise Wrong(words.replace("{}", _shown(value)))
        return then(value)

    return check


_LINE: Test = (
    lambda value: isinstance(value, str) and value.strip() and "\n" not in value,
    "is not a line of text",
)
_LIST: Test = (lambda value: isinstance(value, list), "is {}, not a list")

line = rule(_LINE)
"""Takes a text of one line, not empty."""

flag = rule((lambda value: isinstance(value, bool), "is neither true nor false"))
"""Takes true or false."""


def among(texts: Collection[str]) -> Rule:
    """Take one of these texts."""
    return rule(_LINE, (texts.__contains__, f"is {{}}, not one of {', '.join(texts)}"))


def matching(form: re.Pattern[str], words: str) -> Rule:
    """Take a line of a form; ``words`` say what is wrong with any other."""
    return rule(_LINE, (form.fullmatch, words))


def whole(low: int = 1, high: int = 1 << 50) -> Rule:
    """Take a whole number in ``low..high``."""
    return rule(
        (lambda value: type(value) is int, "is {}, not a whole number"),
        (lambda value: low <= value <= high, f"is {{}}, not in {low}..{high}"),
    )


def number(low: float = -math.inf, high: float = math.inf) -> Rule:
    """Take a finite number above ``low`` and not above ``high``."""
    return rule(
        (lambda value: type(value) in {int, float}, "is {}, not a number"),
        (lambda value: abs(value) <= 1e15, "is {}, not a finite number"),
        (lambda value: value > low, f"is {{}}, not above {low:g}"),
        (lambda value: value <= high, f"is {{}}, above {high:g}"),
        then=float,
    )


def several(one: Rule) -> Rule:
    """Take a list whose values all follow a rule, as a tuple."""
    return rule(_LIST, then=lambda values: tuple(map(one, values)))


def pair(high: int) -> Rule:
    """Take two whole numbers from 1 up: rows and columns."""
    two: Test = (lambda value: len(value) == 2, "is not two numbers (rows, columns)")
    return rule(_LIST, two, then=several(whole(1, high)))


def entries(one: Rule) -> Rule:
    """Take a table of any keys, whose values all follow a rule."""
    return lambda values: fields(values, {}, dict.fromkeys(_table(values), one))


def fields(values: Any, needed: Rules, optional: Rules) -> dict[str, Any]:
    """Take a table of known keys, and return those that are there.

    Raises
    ------
    Wrong
        A key is missing or unknown, or its value breaks its rule.
    """
    rules = {**needed, **optional}
    found = {}
    for key, take in rules.items():
        if key in _table(values):
            try:
                found[key] = take(values[key])
            except Wrong as wrong:
                below = f".{wrong.key}" if wrong.key else ""
                raise Wrong(wrong.reason, f"{key}{below}") from None
        elif key in needed:
            raise Wrong("is missing", key)
    for key in values:
        if key not in rules:
            from difflib import get_close_matches

            near = get_close_matches(key, rules, n=1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            raise Wrong(f"is not a known key{meant}", key)
    return found


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Wrong("is not a table")
    return value


def _shown(value: Any) -> str:
    """Return a value as an error shows it: short, whatever it is."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "a table"
    if isinstance(value, int) and abs(value) >= 1 << 64:  # printing a huge number takes long
        return "a huge number"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def read_text(path: Path, *, error: type[CnntoolError] = ModelError) -> str:
    """Read a text file of a sensible size.

    Raises
    ------
    CnntoolError
        Of the type ``error``: it cannot be read, is too large, or is not UTF-8.
    """
    with system_errors_as(error, path), path.open("rb") as stream:
        content = stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise error(f"is larger than {LARGEST >> 20} MB", source=str(path))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise error("is not UTF-8 text", source=str(path)) from None


def read_toml(path: Path, whole_file: Rule, *, error: type[CnntoolError] = ModelError) -> Any:
    """Read a TOML file whose values, as one table, follow a rule.

    Raises
    ------
    CnntoolError
        Of the type ``error``: it cannot be read, is no TOML, or breaks the rule. The line names
        the file, the key and the reason.
    """
    import tomllib

    text = read_text(path, error=error).replace("\r\n", "\n")
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as reason:
        why = str(reason) or "nested too deeply"
        raise error(f"no valid TOML: {why.splitlines()[0]}", source=str(path)) from None
    try:
        return whole_file(values)
    except Wrong as wrong:
        raise error(f"{wrong.key} {wrong.reason}", source=str(path)) from None
