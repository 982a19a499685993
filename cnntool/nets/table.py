"""Tables of TOML files, read strictly: a key that nobody asked for is an error."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from cnntool.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cnntool.errors import CnntoolError

LARGEST = 16 << 20
"""Bytes of the largest file that is read: the labels of a million classes."""

REQUIRED: Any = object()


class Table:
    """One table of a TOML file.

    Each method takes a key and returns its value, checked. ``default`` is what a key that is left
    out stands for; without it, the key must be there. `close` complains of the keys that are left.

    Parameters
    ----------
    values : dict
        As `tomllib` gives it.
    source : str
        What errors call the file.
    error : type, optional
        What is raised.
    prefix : str, optional
        Comes before the keys in errors: ``input.``.
    """

    def __init__(
        self,
        values: dict[str, Any],
        *,
        source: str,
        error: type[CnntoolError] = ModelError,
        prefix: str = "",
    ) -> None:
        self.source = source
        self._values = values
        self._error = error
        self._prefix = prefix
        self._asked: list[str] = []

    def fail(self, key: str, reason: str) -> CnntoolError:
        """Return the error for a key."""
        return self._error(f"{self._prefix}{key} {reason}", source=self.source)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def raw(self, key: str, default: Any = REQUIRED) -> Any:
        """Return a value of any type."""
        self._asked.append(key)
        if key in self._values:
            return self._values[key]
        if default is REQUIRED:
            raise self.fail(key, "is missing")
        return default

    def text(
        self, key: str, default: Any = REQUIRED, *, among: tuple[str, ...] | None = None
    ) -> Any:
        """Return a text of one line, not empty; ``among`` lists the values that it may have."""
        value = self.raw(key, default)
        if key not in self._values:
            return value
        self._line(key, value)
        if among is not None and value not in among:
            raise self.fail(key, f"is {_shown(value)}, not one of {', '.join(among)}")
        return value

    def _line(self, key: str, value: Any) -> str:
        if not isinstance(value, str) or not value.strip() or "\n" in value:
            raise self.fail(key, "is not a line of text")
        return value

    def texts(self, key: str, default: Any = REQUIRED, *, empty: bool = False) -> Any:
        """Return a tuple of texts; with ``empty`` they may be empty."""
        value = self.raw(key, default)
        if key not in self._values:
            return value
        for one in self._list(key, value):
            if one != "" or not empty:
                self._line(key, one)
        return tuple(value)

    def flag(self, key: str, default: Any = REQUIRED) -> Any:
        """Return true or false."""
        value = self.raw(key, default)
        if key in self._values and not isinstance(value, bool):
            raise self.fail(key, "is neither true nor false")
        return value

    def whole(self, key: str, default: Any = REQUIRED, *, low: int = 1, high: int = 1 << 50) -> Any:
        """Return a whole number in ``low..high``."""
        value = self.raw(key, default)
        return self._whole(key, value, low, high) if key in self._values else value

    def _whole(self, key: str, value: Any, low: int, high: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.fail(key, f"is {_shown(value)}, not a whole number")
        if not low <= value <= high:
            raise self.fail(key, f"is {_shown(value)}, not in {low}..{high}")
        return value

    def pair(self, key: str, default: Any = REQUIRED, *, high: int = 1 << 16) -> Any:
        """Return two whole numbers from 1 up: rows and columns."""
        value = self.raw(key, default)
        if key not in self._values:
            return value
        if len(self._list(key, value)) != 2:
            raise self.fail(key, "is not two numbers (rows, columns)")
        return self._whole(key, value[0], 1, high), self._whole(key, value[1], 1, high)

    def number(
        self, key: str, default: Any = REQUIRED, *, low: float = -math.inf, high: float = math.inf
    ) -> Any:
        """Return a finite number above ``low`` and not above ``high``."""
        value = self.raw(key, default)
        return self._number(key, value, low, high) if key in self._values else value

    def _number(self, key: str, value: Any, low: float, high: float) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.fail(key, f"is {_shown(value)}, not a number")
        if not math.isfinite(value) or abs(value) > 1e15:
            raise self.fail(key, f"is {_shown(value)}, not a finite number")
        if value <= low:
            raise self.fail(key, f"is {value}, not above {low:g}")
        if value > high:
            raise self.fail(key, f"is {value}, above {high:g}")
        return float(value)

    def numbers(
        self, key: str, default: Any = REQUIRED, *, count: int, low: float = -math.inf
    ) -> Any:
        """Return ``count`` finite numbers above ``low``."""
        value = self.raw(key, default)
        if key not in self._values:
            return value
        found = self._list(key, value)
        if len(found) != count:
            raise self.fail(key, f"has {len(found)} numbers, not {count}: one for each channel")
        return tuple(self._number(key, one, low, math.inf) for one in found)

    def _list(self, key: str, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise self.fail(key, f"is {_shown(value)}, not a list")
        return value

    def table(self, key: str, *, needed: bool = False) -> Table | None:
        """Return the table under a key, or None if there is none and none is needed."""
        value = self.raw(key, REQUIRED if needed else None)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.fail(key, "is not a table")
        prefix = f"{self._prefix}{key}."
        return Table(value, source=self.source, error=self._error, prefix=prefix)

    def close(self) -> None:
        """Complain of a key that nobody asked for."""
        for key in self._values:
            if key not in self._asked:
                from difflib import get_close_matches

                near = get_close_matches(key, self._asked, n=1)
                meant = f" (did you mean {near[0]}?)" if near else ""
                raise self.fail(key, f"is not a known key{meant}")


def _shown(value: Any) -> str:
    """Return a value as an error shows it: short, whatever it is."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "a table"
    if isinstance(value, int) and abs(value) >= 1 << 64:  # printing a huge number takes long
        return "a huge number"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def read_text(path: Path, *, error: type[CnntoolError] = ModelError) -> str:
    """Read a text file of a sensible size.

    Raises
    ------
    CnntoolError
        Of the type ``error``: it cannot be read, is too large, or is not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise error(f"is larger than {LARGEST >> 20} MB", source=str(path))
        return content.decode("utf-8-sig")
    except OSError as reason:
        text = (reason.strerror or "cannot be read").lower()
        raise error(text, source=str(path)) from None
    except UnicodeDecodeError:
        raise error("is not UTF-8 text", source=str(path)) from None


def read_table(path: Path, *, error: type[CnntoolError] = ModelError) -> Table:
    """Read a TOML file.

    Raises
    ------
    CnntoolError
        Of the type ``error``: it cannot be read, or is no TOML.
    """
    import tomllib

    text = read_text(path, error=error).replace("\r\n", "\n")
    try:
        return Table(tomllib.loads(text), source=str(path), error=error)
    except (ValueError, RecursionError) as reason:
        why = str(reason) or "nested too deeply"
        raise error(f"no valid TOML: {why.splitlines()[0]}", source=str(path)) from None
