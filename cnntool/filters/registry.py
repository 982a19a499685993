"""Names of filters: how a function becomes ``name:key=value`` on the command line.

A filter is added by writing one documented function with typed keywords in ``library`` (a
convolution) or ``nonlinear`` (anything else) and decorating it with ``register``.
"""

from __future__ import annotations

import inspect
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from cnntool.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnntool.filters.kernel import Filter
    from cnntool.filters.operation import Operation

Size = tuple[int, int]
"""Rows and columns, written ``9`` (square) or ``3x5`` on the command line."""

Kind = Literal["smoothing", "derivative", "other", "non-linear"]


class Entry(NamedTuple):
    """One named filter: its builder, what group it belongs to, and its one-line summary."""

    name: str
    kind: Kind
    build: Callable[..., Filter | Operation]
    summary: str

    def parameters(self) -> dict[str, inspect.Parameter]:
        """Return the builder's keywords, in the order in which short values fill them."""
        return dict(inspect.signature(self.build).parameters)

    def signature(self) -> str:
        """Return the parameters as text with their defaults, ``sigma=1.0,size=auto``."""
        return ",".join(
            f"{name}={format_value(p.default)}" for name, p in self.parameters().items()
        )


ENTRIES: dict[str, Entry] = {}


def register(name: str, kind: Kind) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that enters a builder under ``name``; a duplicate raises at import."""

    def enter(build: Callable[..., Any]) -> Callable[..., Any]:
        if name in ENTRIES:
            raise RuntimeError(f"two filters are called {name!r}")
        summary = inspect.getdoc(build) or ""
        ENTRIES[name] = Entry(name, kind, build, summary.partition("\n")[0].replace("``", ""))
        return build

    return enter


def format_value(value: object) -> str:
    """Write a parameter's value as the command line reads it."""
    if value is None:
        return "auto"
    if isinstance(value, tuple):
        rows, columns = value
        return str(rows) if rows == columns else f"{rows}x{columns}"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def parse_arguments(entry: Entry, text: str) -> dict[str, Any]:
    """Read ``9`` or ``sigma=2,size=9`` into keywords of the builder.

    Values without a key fill the parameters in order.

    Raises
    ------
    UsageError
        An unknown or repeated parameter, or a value of the wrong type.
    """
    hints = get_type_hints(entry.build)
    names = list(entry.parameters())
    values: dict[str, Any] = {}
    for position, part in enumerate(filter(None, text.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not names:
            raise UsageError(f"{entry.name} takes no parameters: {part!r}")
        if not equals:
            if position >= len(names):
                raise UsageError(f"{entry.name} takes {len(names)} parameters at most: {part!r}")
            key, value = names[position], key
        if key not in names:
            raise UsageError(
                f"{entry.name} has no parameter {key!r}",
                hint=f"it takes {entry.signature()}",
            )
        if key in values:
            raise UsageError(f"{entry.name} was given {key!r} twice")
        try:
            values[key] = _read(value, hints[key])
        except ValueError as error:
            raise UsageError(f"{entry.name}: {key}={value} is not {error}") from None
    return values


def _read(text: str, hint: Any) -> Any:
    """Read one value as its annotation says; ValueError names what was expected."""
    choices = [a for a in get_args(hint) if a is not type(None)]
    if get_origin(hint) is Literal:
        for choice in choices:
            if str(choice) == text:
                return choice
        raise ValueError("one of " + ", ".join(map(str, choices)))
    if type(None) in get_args(hint):
        return None if text == "auto" else _read(text, choices[0])
    return _read_size(text) if hint == Size else _read_number(text, hint)


def _read_size(text: str) -> Size:
    rows, cross, columns = text.lower().partition("x")
    if not (rows.isdecimal() and (columns.isdecimal() if cross else True)):
        raise ValueError("a size such as 9 or 3x5 (rows x columns)")
    return int(rows), int(columns if cross else rows)


def _read_number(text: str, kind: type[int | float]) -> float:
    try:
        value = kind(text)
    except ValueError:
        raise ValueError("a whole number" if kind is int else "a number") from None
    if not isfinite(value):
        raise ValueError("a finite number")
    return value
