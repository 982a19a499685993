"""Labels: what the classes of a network are called."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.errors import ModelError
from cnntool.nets.models.strict_toml import read_text
from cnntool.shapes.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Colour = tuple[int, int, int]

REST = "something else"
"""The class of pictures that belong to no other class; ``other`` finds it, too."""

_WORDNET = re.compile(r"n\d{8}")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_MOST = 1_000_000


class LabelSet(NamedTuple):
    """The classes of a network, in the order of its output.

    Attributes
    ----------
    names : tuple of str
        A class may have several, separated by ``", "``.
    wordnet : tuple of str
        WordNet ids such as ``n01440764``; empty text where there is none. As long as ``names``.
    colours : tuple of (red, green, blue)
        0..255, to paint a map with; as long as ``names``, or empty.
    """

    names: tuple[str, ...]
    wordnet: tuple[str, ...]
    colours: tuple[Colour, ...] = ()

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.names)

    @property
    def rest(self) -> int | None:
        """The class that stands for none of the others, if there is one."""
        return self.names.index(REST) if REST in self.names else None

    def find(self, text: str) -> int:
        """Return the class that a text means.

        Tried in turn: a whole name, a WordNet id, one of a class's several names, the class's
        number (from 0). Case does not matter, and ``golf_ball`` is "golf ball".

        Raises
        ------
        ModelError
            No class, with the nearest names; or several.
        """
        wanted = _plain(text)
        wholes, parts = _spellings(self.names)
        for found in (wholes.get(wanted), self._by_wordnet(text), parts.get(wanted)):
            if found and len(found) > 1:
                ids = ", ".join(filter(None, (self.wordnet[one] for one in found)))
                hint = f"their WordNet ids tell them apart: {ids}" if ids else ""
                numbers = ", ".join(map(str, found))
                raise ModelError(f"{text!r} is the name of the classes {numbers}", hint=hint)
            if found:
                return found[0]
        if text.isdecimal() and len(text) < 9 and int(text) < self.classes:
            return int(text)
        from difflib import get_close_matches

        near = get_close_matches(wanted, parts, n=3, cutoff=0.5)
        hint = f"the nearest: {', '.join(near)}" if near else f"there are {self.classes} classes"
        raise ModelError(f"no class is called {text!r}", hint=hint)

    def _by_wordnet(self, text: str) -> tuple[int, ...] | None:
        wanted = text.lower()
        if not _WORDNET.fullmatch(wanted):
            return None
        return tuple(index for index, one in enumerate(self.wordnet) if one == wanted)


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("-", " ").casefold().split())


@lru_cache(maxsize=4)
def _spellings(
    names: tuple[str, ...],
) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Return the classes by their whole text, and by each of their names."""
    wholes: dict[str, tuple[int, ...]] = {}
    parts: dict[str, tuple[int, ...]] = {}
    for index, name in enumerate(names):
        wholes[_plain(name)] = (*wholes.get(_plain(name), ()), index)
        for part in dict.fromkeys(map(_plain, name.split(","))):
            parts[part] = (*parts.get(part, ()), index)
    if REST in wholes:
        parts.setdefault("other", wholes[REST])
    return wholes, parts


def make_labels(
    names: Sequence[str],
    wordnet: Sequence[str] = (),
    colours: Sequence[str] = (),
    *,
    source: str,
) -> LabelSet:
    """Check names, WordNet ids and colours (``#rrggbb``), and put them together.

    Raises
    ------
    ModelError
        An id or a colour that is none, or more or fewer of them than names.
    """
    for what, values, form in (
        ("WordNet id", wordnet, _WORDNET),
        ("colour", colours, _COLOUR),
    ):
        if values and len(values) != len(names):
            reason = f"{counted(len(values), what)} for {counted(len(names), 'label')}"
            raise ModelError(reason, source=source)
        for value in values:
            if value and not form.fullmatch(value):
                raise ModelError(f"{value!r} is no {what}", source=source)
    if not 1 <= len(names) <= _MOST:
        raise ModelError(f"{len(names)} labels", source=source)
    painted = tuple(_colour(value) for value in colours if value)
    if painted and len(painted) != len(names):
        reason = f"{counted(len(painted), 'colour')} for {len(names)} labels"
        raise ModelError(reason, source=source)
    return LabelSet(tuple(names), tuple(wordnet) or ("",) * len(names), painted)


def _colour(text: str) -> Colour:
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue


def read_labels(path: Path) -> LabelSet:
    """Read a file of labels, whatever its suffix.

    Known are: a table separated by tabs with a line of column names (``names``, and perhaps
    ``index``, ``wordnet_id``, ``colour``); lines ``n01440764 tench, Tinca tinca``; a name a line;
    JSON: a list of names, ``{"0": "tench", ...}``, ``{"0": ["n01440764", "tench"], ...}``, or any
    of these under ``id2label``.

    Raises
    ------
    ModelError
        It cannot be read, or is none of these.
    """
    source = str(path)
    text = read_text(path)
    if text.lstrip().startswith(("[", "{")):
        return _from_json(text, source)
    # Not str.splitlines, which knows eight more ends of a line.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if lines and "names" in lines[0].split("\t"):
        return _from_table(lines, source)
    names = [line.strip() for line in lines]
    if not all(names):
        raise ModelError(f"line {names.index('') + 1} is empty", source=source)
    if names and all(_WORDNET.match(name) and name[9:10].isspace() for name in names):
        pairs = [(name[:9], name[9:].strip()) for name in names]
        return make_labels([name for _, name in pairs], [one for one, _ in pairs], source=source)
    return make_labels(names, source=source)


def _from_table(lines: list[str], source: str) -> LabelSet:
    columns = lines[0].split("\t")
    unknown = [one for one in columns if one not in {"index", "wordnet_id", "names", "colour"}]
    if unknown or len(set(columns)) < len(columns):
        raise ModelError(f"the columns cannot be {', '.join(columns)}", source=source)
    rows = [line.split("\t") for line in lines[1:]]
    for number, row in enumerate(rows, 2):
        if len(row) != len(columns) or not row[columns.index("names")].strip():
            raise ModelError(f"line {number} does not have {len(columns)} columns", source=source)
    if "index" in columns:
        at = columns.index("index")
        rows = [rows[one] for one in _order([row[at] for row in rows], source)]

    def column(name: str) -> list[str]:
        return [row[columns.index(name)] for row in rows] if name in columns else []

    return make_labels(column("names"), column("wordnet_id"), column("colour"), source=source)


def _from_json(text: str, source: str) -> LabelSet:
    import json

    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        why = str(error).splitlines()[0] if str(error) else "nested too deeply"
        raise ModelError(f"no valid JSON: {why}", source=source) from None
    if isinstance(found, dict) and isinstance(found.get("id2label"), (dict, list)):
        found = found["id2label"]
    if isinstance(found, dict):
        rows = list(found.values())
        found = [rows[one] for one in _order(list(found), source)]
    pairs = [one if isinstance(one, list) else ["", one] for one in found]
    if not all(len(pair) == 2 and all(isinstance(one, str) for one in pair) for pair in pairs):
        raise ModelError("a label is neither a name nor an id with a name", source=source)
    return make_labels([name for _, name in pairs], [one for one, _ in pairs], source=source)


def _order(numbers: list[str], source: str) -> list[int]:
    """Return the rows in the order of their numbers, which must be 0, 1, 2, ..."""
    place = {number: row for row, number in enumerate(numbers)}
    try:
        return [place[str(index)] for index in range(len(numbers))]
    except KeyError as missing:
        raise ModelError(f"no label has the number {missing.args[0]}", source=source) from None
