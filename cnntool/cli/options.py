"""The options that mean the same in every command, each written once."""

from __future__ import annotations

import re
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cnntool.cli import config
from cnntool.cli.console import TALK
from cnntool.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnntool.filters.arithmetic import Padding

F = TypeVar("F", bound="Callable[..., Any]")

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


class FileName(click.Path):
    """A file or a folder, whose reader says what is wrong with it; the empty text is none."""

    def __init__(self, *, allow_dash: bool = False) -> None:
        super().__init__(readable=False, allow_dash=allow_dash, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Check the text."""
        if value == "":
            self.fail("an empty file name", param, ctx)
        if _ADDRESS.match(str(value)):
            raise UsageError(
                "files are not fetched over the network",
                source=str(value),
                hint="download it first, or pipe it in: curl -sL ADDRESS | cnntool ...",
            )
        path = super().convert(value, param, ctx)
        # pathlib forgets the "./" that tells a file called "-" from stdin.
        return path.absolute() if path == Path("-") and value != "-" else path


def gathered(
    name: str, make: Callable[..., Any], *options: Callable[[Any], Any]
) -> Callable[[F], F]:
    """Add options whose values reach the command together.

    Parameters
    ----------
    name : str
        The command's parameter.
    make : callable
        Makes its value of the options' values, by their names: a record.
    *options : callable
        What adds them; the last one comes first in the help.
    """

    def add(command: F) -> F:
        @wraps(command)
        def call(*arguments: Any, **values: Any) -> Any:
            values[name] = make(**{key: values.pop(key) for key in keys})
            return command(*arguments, **values)

        before = len(getattr(call, "__click_params__", ()))
        for option in options:
            option(call)
        keys = [parameter.name for parameter in call.__click_params__[before:]]  # type: ignore[attr-defined]
        return call  # type: ignore[return-value]

    return add


def _talk(name: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def remember(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001, FBT001
        setattr(TALK, name, value or getattr(TALK, name))  # the group's flag holds too

    return remember


def talk(command: F) -> F:
    """Add --quiet, --verbose and --debug."""
    for flags, text in (
        (("--debug",), "Show the traceback of an error."),
        (("-v", "--verbose"), "Say more on stderr."),
        (("-q", "--quiet"), "Say only errors on stderr."),
    ):
        name = flags[-1].removeprefix("--")
        option = click.option(
            *flags, is_flag=True, expose_value=False, is_eager=True, callback=_talk(name), help=text
        )
        command = option(command)
    return command


def inputs(command: F) -> F:
    """Add the positional inputs and --recursive."""
    command = click.option(
        "-r", "--recursive", is_flag=True, help="Look into the folders of a folder too."
    )(command)
    return click.argument("inputs", nargs=-1, metavar="[INPUT]...", type=FileName(allow_dash=True))(
        command
    )


overwrite = click.option(
    "--overwrite/--no-overwrite",
    default=False,
    envvar="CNNTOOL_OVERWRITE",
    show_envvar=True,
    callback=config.fill,
    help="Replace existing files.",
)


def output(command: F) -> F:
    """Add --output and --overwrite."""
    return click.option(
        "-o",
        "--output",
        metavar="FILE|DIR|-",
        help="Where the result goes; '-' is stdout.",
    )(overwrite(command))


class FormatName(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click only
    """A format by its name or by a suffix, ``jpeg`` or ``JPG``."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the format's name."""
        from cnntool.image.files import FORMATS

        suffixes = {suffix[1:]: name for name, row in FORMATS.items() for suffix in row.suffixes}
        word = str(value).lower()
        word = suffixes.get(word, word)
        if word not in FORMATS:
            self.fail(f"no format is called {value!r}; known: {', '.join(FORMATS)}", param, ctx)
        return word


format_name = click.option(
    "--format",
    "format_name",
    type=FormatName(),
    metavar="NAME",
    help="Format, whatever the suffix says.",
)


def encoding(command: F) -> F:
    """Add --format, --depth, --compression and --quality."""
    for option in (
        click.option(
            "--quality", type=click.IntRange(1, 100), default=95, show_default=True, help="Of JPEG."
        ),
        click.option(
            "--compression",
            type=click.IntRange(0, 9),
            help="0 stores, 9 is smallest.  [default: the fastest that compresses well]",
        ),
        click.option(
            "--depth",
            type=click.Choice(["8", "16", "float"]),
            help="Bits of the result.  [default: those of the input]",
        ),
        format_name,
    ):
        command = option(command)
    return command


op = click.option(
    "--op",
    type=click.Choice(["correlate", "convolve"]),
    default="correlate",
    show_default=True,
    help="'correlate' takes the kernel as it is (deep learning), 'convolve' flips it.",
)

_OTHERS = {
    **dict.fromkeys(("edge", "nearest", "clamp", "border", "extend"), "replicate"),
    **dict.fromkeys(("constant", "zeros", "black", "fill"), "zero"),
    **dict.fromkeys(("mirror", "reflect101", "reflect_101"), "reflect"),
    **dict.fromkeys(("circular", "periodic", "tile"), "wrap"),
}
"""What numpy, scipy, OpenCV and torch call the borders that have other names here."""


class BorderName(click.Choice):  # type: ignore[type-arg]  # as FormatName
    """What lies outside of a picture."""

    def __init__(self) -> None:
        super().__init__(["zero", "reflect", "symmetric", "replicate", "wrap"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the word; one of another library is translated in the error."""
        if (ours := _OTHERS.get(str(value).lower())) is not None:
            self.fail(f"{value!r} is called '{ours}' here", param, ctx)
        return str(super().convert(value, param, ctx))


policy = click.option(
    "--range",
    "policy",
    type=click.Choice(["auto", "clip", "abs", "center", "minmax", "raw"]),
    default="auto",
    show_default=True,
    help="How results become brightness; 'auto' centres zero-sum kernels on mid-grey and clips"
    " the others.",
)

batch = click.option(
    "--batch",
    type=click.IntRange(1, 4096),
    default=1,
    show_default=True,
    help="Pictures that go through the network at once.",
)

fail_fast = click.option("--fail-fast", is_flag=True, help="Stop at the first bad picture.")

max_pixels = click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=100_000_000,
    show_default=True,
    help="Refuse larger pictures, by their header.",
)


strict = click.option(
    "--strict",
    is_flag=True,
    help="Refuse pictures that are damaged but can still be read, instead of noting it.",
)


def reading(command: F) -> F:
    """Add --max-pixels and --strict."""
    return max_pixels(strict(command))


def limits(command: F) -> F:
    """Add --allow-nan, --max-pixels and --strict."""
    return click.option("--allow-nan", is_flag=True, help="Accept NaN and infinity in the input.")(
        reading(command)
    )


layout = click.option(
    "--layout",
    type=click.Choice(["auto", "chw", "hwc"]),
    default="auto",
    show_default=True,
    help="Axes of a .npy array that has three: maps first, or rows, columns, channels; 'auto'"
    " takes up to 4 last for channels where the first is larger.",
)


def json_lines(command: F) -> F:
    """Add --json."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON record per result on stdout."
    )(command)


threads = click.option(
    "--threads",
    type=click.IntRange(min=1, max=1024),
    envvar="CNNTOOL_THREADS",
    show_envvar=True,
    callback=config.fill,
    help="Threads to compute on; the result does not depend on it.  [default: usable CPUs]",
)


class Pair(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click only
    """One or two whole numbers, ``2`` or ``2,1`` (rows, columns).

    Not ``2x1``, which people read as width and height where pictures are concerned.

    Parameters
    ----------
    least, most : int
        The smallest and the largest that is allowed.
    """

    name = "N|ROWS,COLUMNS"

    def __init__(self, least: int = 1, most: int = 999_999_999) -> None:
        self._least = least
        self._most = most

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[int, int]:
        """Read the text."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        numbers = [_whole(part.strip()) for part in parts]
        if len(parts) > 2 or min(numbers) < self._least:
            what = "a positive number" if self._least else "a whole number"
            self.fail(f"{value!r} is not {what} or two (rows,columns)", param, ctx)
        if max(numbers) > self._most:
            self.fail(f"{max(numbers)} is more than {self._most}", param, ctx)
        return numbers[0], numbers[-1]


def _whole(text: str) -> int:
    """Return a whole number, -1 for what is none; of a huge one the first 20 digits."""
    return int(text.lstrip("0")[:20] or 0) if text.isdecimal() else -1


class PaddingType(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click only
    """What `cnntool.filters.arithmetic.parse_padding` reads."""

    name = "N|WORD"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Padding:
        """Read the text."""
        from cnntool.filters.arithmetic import parse_padding

        try:
            return value if isinstance(value, tuple) else parse_padding(str(value))
        except UsageError as error:
            self.fail(error.message, param, ctx)
