"""What the verbs that slide a window by hand share: their options, and matrices as results."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from cnntool.api.arguments import WindowOptions
from cnntool.cli import options, param_types
from cnntool.cli.console import check_no_terminal
from cnntool.cli.output import emit_record, matrix_stream
from cnntool.errors import OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from cnntool.api.pictures import Figure

F = TypeVar("F", bound="Callable[..., Any]")

MATRIX_FORMATS = ("csv", "txt", "npy")


border = click.option(
    "--border",
    type=param_types.BORDER,
    default="zero",
    show_default=True,
    help="What lies outside, in numpy's words.",
)

window = options.gathered(
    "window", WindowOptions, options.dilation, options.stride, border, options.op, options.mode
)
"""Add --mode, --op, --border, --stride and --dilation, which mean what they do in `filter`."""


largest = click.option(
    "--max", type=param_types.SIDE, help="Take the largest value of each window."
)

average = click.option("--avg", type=param_types.SIDE, help="Take the average of each window.")

ceil = click.option("--ceil", is_flag=True, help="Let a last window hang over the end.")

count_padding = click.option(
    "--count-padding",
    is_flag=True,
    help="Let padding count as zeros in an average (PyTorch's default).",
)

kernel_size = click.option(
    "--kernel-size",
    type=param_types.SIZE,
    help="Instead of a kernel: 3, or 3x5 (rows x columns).",
)

output_padding = click.option(
    "--output-padding",
    type=param_types.PAIR_FROM_0,
    default=(0, 0),
    help="Rows and columns to add at the bottom and at the right.",
)

picture = click.option(
    "--picture", metavar="FILE.png|FILE.svg", help="Draw it; print it only with --output."
)


class MatrixResult(NamedTuple):
    """Where a matrix and its picture go."""

    picture: str | None
    output: str | None
    format_name: str | None
    overwrite: bool
    as_json: bool
    width: int | None = None

    def check(self) -> None:
        """Refuse results that cannot be told apart, or that are not what their name says.

        Raises
        ------
        UsageError
            Stdout wanted twice, or a picture that is called otherwise than FILE.png or FILE.svg.
        """
        if self.as_json and "-" in (self.output, self.picture):
            raise UsageError("--json and a result on stdout both want it")
        if self.picture == self.output == "-":
            raise UsageError("--picture - and --output - both want stdout")
        if self.picture is not None:
            check_figure(self.picture, "a matrix")

    def write(
        self, matrix: NDArray[Any], draw: Callable[[], Figure], facts: Callable[[], dict[str, Any]]
    ) -> None:
        """Write what was asked for: the picture, the numbers, a record.

        Parameters
        ----------
        matrix : ndarray (rows, columns) of float64
        draw : callable
            Makes the picture.
        facts : callable
            Makes the record.
        """
        with ExitStack() as stack:
            if self.picture is not None:
                drawn = draw().encoded(self.picture, self.width)
                stack.enter_context(writing(drawn, self.picture, overwrite=self.overwrite))
            if self.output is not None or not (self.picture or self.as_json):
                self._write_numbers(matrix)
        if self.as_json:
            emit_record({**facts(), "picture": self.picture, "output": self.output})

    def _write_numbers(self, matrix: NDArray[Any]) -> None:
        from cnntool.image.atomic import STDOUT
        from cnntool.image.files import format_of, write_image
        from cnntool.image.source import ImageInfo

        target = None if self.output == "-" else self.output
        format_name = self.format_name
        if format_name is None:
            format_name = "csv" if target is None else format_of(target).name
        if format_name not in MATRIX_FORMATS:
            raise OutputError(
                "a matrix is written as .csv, .txt or .npy",
                source=str(target),
                hint="--picture draws it",
            )
        if target is None and format_name == "npy":
            check_no_terminal()
        rows, columns = matrix.shape
        info = ImageInfo(
            rows, columns, dtype="float64", format=format_name, matrix=True, layout="hw"
        )
        write_image(
            matrix_stream(self.format_name) if target is None else target,
            matrix[:, :, None],
            info,
            name=STDOUT if target is None else target,
            overwrite=self.overwrite,
        )


def matrix_output(command: F) -> F:
    """Add --width, --output, --overwrite and --format for a matrix."""
    command = click.option(
        "--format",
        "format_name",
        type=click.Choice(MATRIX_FORMATS),
        help="Format, whatever the suffix says.  [default: csv]",
    )(command)
    return click.option(
        "-o",
        "--output",
        type=param_types.ANY_FILE,
        metavar="FILE|-",
        help="Where the matrix goes (.csv, .txt or .npy); '-' is stdout.",
    )(options.width(options.overwrite(command)))


def check_figure(name: str, what: str) -> None:
    """Refuse the name of another format for what is drawn.

    Raises
    ------
    UsageError
    """
    if Path(name).suffix.lower() not in {"", ".png", ".svg"}:
        raise UsageError(f"{what} is drawn as FILE.png", source=name, hint="or as FILE.svg")


def write_bytes(data: bytes, output: str, *, overwrite: bool) -> None:
    """Write a finished file; it appears whole or not at all. See `writing`."""
    with writing(data, output, overwrite=overwrite):
        pass


@contextmanager
def writing(data: bytes, output: str, *, overwrite: bool) -> Iterator[None]:
    """Write a finished file that appears once what is done meanwhile has succeeded.

    Parameters
    ----------
    data : bytes
    output : str
        A file, or ``-`` for stdout.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    UsageError
        Binary data for a terminal.
    OutputError
        What cannot be written.
    """
    from cnntool.image.atomic import STDOUT, Output

    if output == "-":
        check_no_terminal()
    target = sys.stdout.buffer if output == "-" else output
    name = STDOUT if output == "-" else output
    with Output(target, name=name, overwrite=overwrite) as place:
        place.write(data)
        yield
        place.commit()


def text_width() -> int:
    """Return how many columns of text there are."""
    import shutil

    from cnntool.api.trace_steps import WIDE

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE
