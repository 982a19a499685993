"""The types of parameters: what the texts of options and arguments mean."""

from __future__ import annotations

import re
from functools import partial
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnntool.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from click.shell_completion import CompletionItem

    from cnntool.shapes.windows import Padding

LONGEST = 2**20
"""Rows or columns of a size that is given."""

_MOST_FACTOR = 1_000_000_000
_MOST_LENGTH = 1 << 31
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_LEAST_MEMORY, _MOST_MEMORY = 64 << 20, 1 << 50
LEVELS = ("none", "basic", "all")
"""How far onnxruntime may optimise: the keys of `cnntool.api.comparison.LEVELS`."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


class Parsed(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click only
    """What a function reads from the text.

    Parameters
    ----------
    name : str
        Stands for it in the help.
    read : callable
        Takes the text; its `UsageError` says what is wrong with it.
    words : callable, optional
        Returns what a shell may complete; of a list with commas, each.
    """

    def __init__(
        self, name: str, read: Callable[[str], Any], words: Callable[[], Iterable[str]] = tuple
    ) -> None:
        self.name = name
        self._read = read
        self._words = words

    def get_metavar(self, *_: Any, **__: Any) -> str:
        """Return the name as it is."""
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the text; a default may have been read already."""
        try:
            return value if isinstance(value, tuple) else self._read(value)
        except UsageError as error:
            hint = f" ({error.hint})" if error.hint else ""
            self.fail(f"{error.message}{hint}", param, ctx)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Offer the words that begin so."""
        from click.shell_completion import CompletionItem

        before, comma, last = incomplete.rpartition(",")
        before += comma
        return [CompletionItem(before + word) for word in self._words() if word.startswith(last)]


class Name(click.types.StringParamType):
    """A name that a shell may complete; any other text is taken too.

    Parameters
    ----------
    known : callable
        Takes the context of an unfinished command line and what is there of the name, and returns
        names.
    """

    def __init__(self, known: Callable[[click.Context, str], Iterable[str]]) -> None:
        self._known = known

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Offer the names that begin so, or files where none does."""
        from click.shell_completion import CompletionItem

        found = [name for name in self._known(ctx, incomplete) if name.startswith(incomplete)]
        if not found:
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(name) for name in dict.fromkeys(found)]


class FileName(click.Path):
    """A file or a folder, whose reader says what is wrong with it; the empty text is none."""

    def __init__(self, *, allow_dash: bool = False) -> None:
        super().__init__(readable=False, allow_dash=allow_dash, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Check the text."""
        if value == "":
            self.fail("an empty file name", param, ctx)
        if value == "-" and not self.allow_dash:
            self.fail("'-' is no file; one of that name is ./-", param, ctx)
        if _ADDRESS.match(str(value)):
            raise UsageError(
                "files are not fetched over the network",
                source=str(value),
                hint="download it first, or pipe it in: curl -sL ADDRESS | cnntool ...",
            )
        path = super().convert(value, param, ctx)
        # pathlib forgets the "./" that tells a file called "-" from stdin.
        return path.absolute() if path == Path("-") and value != "-" else path


_OTHERS = {
    **dict.fromkeys(("edge", "nearest", "clamp", "border", "extend"), "replicate"),
    **dict.fromkeys(("constant", "zeros", "black", "fill"), "zero"),
    **dict.fromkeys(("mirror", "reflect101", "reflect_101"), "reflect"),
    **dict.fromkeys(("circular", "periodic", "tile"), "wrap"),
}
"""What numpy, scipy, OpenCV and torch call the borders that have other names here."""


class BorderName(click.Choice):  # type: ignore[type-arg]  # as Parsed
    """What lies outside of a picture."""

    def __init__(self) -> None:
        super().__init__(["zero", "reflect", "symmetric", "replicate", "wrap"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the word; one of another library is translated in the error."""
        if (ours := _OTHERS.get(str(value).lower())) is not None:
            self.fail(f"{value!r} is called '{ours}' here", param, ctx)
        return str(super().convert(value, param, ctx))


class Real(click.FloatRange):
    """A number in a range; click takes NaN for one that lies in any."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the text."""
        number = float(super().convert(value, param, ctx))
        if isnan(number):
            self.fail(f"{value!r} is no number", param, ctx)
        return number


class Seconds(Real):
    """More than no time at all."""

    name = "number of seconds"

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)


def _format(text: str) -> str:
    """Read a format's name or suffix, ``jpeg`` or ``JPG``."""
    from cnntool.image.files import FORMATS

    suffixes = {suffix[1:]: name for name, row in FORMATS.items() for suffix in row.suffixes}
    word = suffixes.get(text.lower(), text.lower())
    if word == "svg":
        raise UsageError("SVG is for drawn figures, and this is a picture of pixels")
    if word not in FORMATS:
        raise UsageError(f"no format is called {text!r}; known: {', '.join(FORMATS)}")
    return word


def _figure_format(text: str) -> str:
    """Read the format of a figure: SVG, or that of a picture."""
    return "svg" if text.lower() == "svg" else _format(text)


def _pair(text: str, least: int = 1, most: int = 999_999_999) -> tuple[int, int]:
    """Read one or two whole numbers, ``2`` or ``2,1`` (rows, columns).

    Not ``2x1``, which people read as width and height where pictures are concerned.
    """
    parts = text.split(",")
    numbers = [_whole(part.strip()) for part in parts]
    if len(parts) > 2 or min(numbers) < least:
        what = "a positive number" if least else "a whole number"
        raise UsageError(f"{text!r} is not {what} or two (rows,columns)")
    if max(numbers) > most:
        raise UsageError(f"{max(numbers)} is more than {most}")
    return numbers[0], numbers[-1]


def _whole(text: str) -> int:
    """Return a whole number, -1 for what is none; of a huge one the first 20 digits."""
    return int(text.lstrip("0")[:20] or 0) if text.isdecimal() else -1


def _side(text: str) -> tuple[int, int] | str:
    """Read a window's size, or ``all``: the whole map."""
    return "all" if text == "all" else _pair(text, most=LONGEST)


def _padding(text: str) -> Padding:
    from cnntool.shapes.windows import parse_padding

    return parse_padding(text)


def _factors(text: str) -> tuple[float, float]:
    """Read one or two positive numbers, ``0.5`` or ``2,1`` (rows, columns); fractions too."""
    try:
        factors = [_factor(part) for part in text.split(",")]
    except (ValueError, ZeroDivisionError):
        factors = []
    if len(factors) not in {1, 2} or not all(factor > 0 for factor in factors):
        raise UsageError(f"{text!r} is not a positive number or two (rows,columns)")
    if max(factors) > _MOST_FACTOR:
        raise UsageError(f"{text!r} is more than {_MOST_FACTOR}")
    return factors[0], factors[-1]


def _factor(text: str) -> float:
    above, slash, below = text.partition("/")
    return float(above) / float(below) if slash else float(above)


def _size(text: str) -> tuple[int, int]:
    """Read rows and columns, ``3`` (square), ``3x5`` or ``3,5``."""
    parts = text.lower().replace(",", "x").split("x")
    if len(parts) > 2 or not all(
        part.isdecimal() and len(part) < 10 and int(part) for part in parts
    ):
        raise UsageError(f"{text!r} is not a size such as 3 or 3x5 (rows x columns)")
    rows, columns = int(parts[0]), int(parts[-1])
    if max(rows, columns) > LONGEST:
        raise UsageError(f"{text!r} is more than {LONGEST} a side")
    return rows, columns


def _shape(text: str) -> tuple[int, ...]:
    """Read rows and columns, ``224x224``, or a whole shape, ``1x3x224x224``."""
    parts = text.lower().replace(",", "x").split("x")
    whole = all(p.isascii() and p.isdecimal() and 0 < len(p) < 11 for p in parts)
    if not whole or not all(0 < int(p) < _MOST_LENGTH for p in parts):
        raise UsageError(f"{text!r} is no size, such as 224x224 or 1x3x224x224")
    numbers = tuple(map(int, parts))
    return numbers * 2 if len(numbers) == 1 else numbers


def _place(text: str) -> tuple[int, int]:
    """Read a row and a column, ``2,3``, counted from 0."""
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() and len(part) < 12 for part in parts):
        raise UsageError(f"{text!r} is not a place such as 0,0 (row,column)")
    return int(parts[0]), int(parts[1])


def _unit(text: str) -> tuple[int, ...]:
    """Read a channel, a row and a column, ``3,10,20``, or the number of a value in a vector."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in {1, 3} or not all(
        p.isascii() and p.isdecimal() and len(p) < 10 for p in parts
    ):
        raise UsageError(f"{text!r} is no unit such as 3,10,20 (channel,row,column)")
    return tuple(map(int, parts))


def _numbers(text: str) -> tuple[float, ...]:
    """Read one number, or one for each channel: ``0.5`` or ``0.485,0.456,0.406``."""
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in {1, 3} or not all(abs(number) < 1e9 for number in numbers):
        raise UsageError(f"{text!r} is not one number or three")
    return numbers


def _deviations(text: str) -> tuple[float, ...]:
    numbers = _numbers(text)
    if min(numbers) <= 0:
        raise UsageError("a deviation is above 0")
    return numbers


def _share(text: str) -> float:
    """Read a share: ``0.9`` or ``90%``."""
    digits = text.strip()
    try:
        share = float(digits.removesuffix("%")) / (100 if digits.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"{text!r} is no share: write 0.9 or 90%")
    return share


def _memory(text: str | int) -> int:
    """Read a number of bytes, ``512M`` or ``1.5G``; K, M, G and T are powers of 1024."""
    number = str(text).strip().upper().removesuffix("B").removesuffix("I")
    unit = number[-1:] if number[-1:] in _UNITS else ""
    digits = number.removesuffix(unit)
    if digits.count(".") > 1 or not digits.replace(".", "").isdecimal():
        raise UsageError(f"{text!r} is no size, such as 512M or 1.5G")
    if len(digits) > 18 or float(digits) * _UNITS[unit] > _MOST_MEMORY:
        raise UsageError(f"{text!r} is more than any machine has")
    size = int(float(digits) * _UNITS[unit])
    if size < _LEAST_MEMORY:
        raise UsageError(f"{text!r} is less than onnxruntime itself takes (64M)")
    return size


def _device(text: str) -> str:
    from cnntool.nets.runtime.providers import attempts

    attempts(text)
    return text


def _pair_of(text: str, read: Callable[[str], str]) -> tuple[str, ...]:
    """Read one word, or two with a comma between."""
    words = tuple(read(part.strip()) for part in text.split(","))
    if len(words) > 2:
        raise UsageError(f"{text!r} are {len(words)}, and two are compared")
    return words


def _any_devices(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_device(name.strip()) for name in text.split(",")))


def _level(text: str) -> str:
    if text not in LEVELS:
        raise UsageError(f"{text!r} is no level (they are {', '.join(LEVELS)})")
    return text


def _formats() -> Iterable[str]:
    from cnntool.image.files import FORMATS

    return FORMATS


def _figure_formats() -> Iterable[str]:
    return ("svg", *_formats())


def _devices() -> list[str]:
    from cnntool.nets.runtime.providers import AUTO, PROVIDERS

    return [AUTO, *PROVIDERS]


def _kernel_names(_ctx: click.Context, _incomplete: str) -> list[str]:
    from cnntool.api.kernels import kernels

    return [entry.name for entry in kernels()]


def _model_names(_ctx: click.Context, _incomplete: str) -> list[str]:
    from cnntool.nets.models.catalog import names

    return names()


def _layer_types(_ctx: click.Context, _incomplete: str) -> Iterable[str]:
    from cnntool.nets.layers.dataflow import KINDS

    return KINDS


FORMAT = Parsed("NAME", _format, _formats)
FIGURE_FORMAT = Parsed("NAME", _figure_format, _figure_formats)
PAIR = Parsed("N|ROWS,COLUMNS", _pair)
PAIR_FROM_0 = Parsed("N|ROWS,COLUMNS", partial(_pair, least=0))
CROP = Parsed("N|ROWS,COLUMNS", partial(_pair, most=16384))
SIDE = Parsed("N|ROWS,COLUMNS|all", _side)
PADDING = Parsed("N|WORD", _padding)
FACTORS = Parsed("F|ROWS,COLUMNS", _factors)
SIZE = Parsed("N|ROWSxCOLUMNS", _size)
SHAPE = Parsed("HxW", _shape)
PLACE = Parsed("ROW,COLUMN", _place)
UNIT = Parsed("C[,ROW,COLUMN]", _unit)
NUMBERS = Parsed("N[,N,N]", _numbers)
DEVIATIONS = Parsed("N[,N,N]", _deviations)
SHARE = Parsed("SHARE", _share)
MEMORY = Parsed("SIZE", _memory)
DEVICE = Parsed("NAME", _device, _devices)
DEVICES = Parsed("NAME[,NAME]", partial(_pair_of, read=_device), _devices)
ANY_DEVICES = Parsed("NAME[,NAME]...", _any_devices, _devices)
LEVEL = Parsed("LEVEL[,LEVEL]", partial(_pair_of, read=_level), lambda: LEVELS)
KERNEL = Name(_kernel_names)
MODEL = Name(_model_names)
LAYER_TYPE = Name(_layer_types)
ANY_FILE = Name(lambda *_: ())
BORDER = BorderName()
SECONDS = Seconds()
FILE = FileName()
FILE_OR_STDIN = FileName(allow_dash=True)
