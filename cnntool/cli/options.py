"""The options that mean the same in every command, each written once; and the user's defaults.

Defaults stand in ``$XDG_CONFIG_HOME/cnntool/config.toml``. They come after options and environment
variables, and before the tool's own. ``CNNTOOL_CONFIG`` names another file.
"""

from __future__ import annotations

import os
import sys
from codecs import BOM_UTF8
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click
from click.core import ParameterSource

from cnntool.cli import param_types
from cnntool.cli.console import TALK
from cnntool.errors import InputError, UsageError, system_errors_as

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

F = TypeVar("F", bound="Callable[..., Any]")


class ReadingOptions(NamedTuple):
    """How inputs are read: `layout` and `limits`."""

    layout: str = "auto"
    max_pixels: int = 100_000_000
    allow_nan: bool = False
    strict: bool = False


class Saving(NamedTuple):
    """Where a result goes, and how: `output`, `encoding` and `json_lines`."""

    output: str | None
    format_name: str | None
    depth: str | None
    compression: int | None
    quality: int
    overwrite: bool
    as_json: bool

    def writing(self, target: Path | None, *, left: bool = False) -> dict[str, Any]:
        """Return what `cnntool.image.files.open_writer` takes to write there, or on stdout.

        Parameters
        ----------
        target : Path or None
            None is stdout.
        left : bool
            Whether what is there was left by an earlier run, and may be replaced.
        """
        from cnntool.cli.output import matrix_stream
        from cnntool.image.atomic import STDOUT

        return {
            "target": target or matrix_stream(self.format_name),
            "name": str(target or STDOUT),
            "compression": self.compression,
            "quality": self.quality,
            "overwrite": self.overwrite or left,
        }


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
        What adds them; the last one comes first in the help. Without any, others add them, and a
        record's fields are their names; one that nobody adds keeps its default.
    """

    def add(command: F) -> F:
        @wraps(command)
        def call(*arguments: Any, **values: Any) -> Any:
            values[name] = make(**{key: values.pop(key) for key in keys if key in values})
            return command(*arguments, **values)

        before = len(getattr(call, "__click_params__", ()))
        for option in options:
            option(call)
        added = getattr(call, "__click_params__", ())[before:]
        keys = [parameter.name for parameter in added] or make._fields  # type: ignore[attr-defined]
        return call  # type: ignore[return-value]

    return add


CONFIG = "CNNTOOL_CONFIG"


def config_file() -> Path:
    """Return where the file is, or would be; the same on every system."""
    named = os.environ.get(CONFIG)
    if named:
        return Path(named)
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(folder):  # noqa: PTH117 - XDG's rule: such a path counts as none
        folder = os.path.expanduser("~/.config")  # noqa: PTH111 - Path's fails without a home
    return Path(folder, "cnntool", "config.toml")


def defaults() -> dict[str, Any]:
    """Return the user's defaults, as far as the file states any.

    The keys are ``model``, ``device``, ``jobs``, ``threads``, ``timeout`` (seconds), ``max_memory``
    (bytes, or a text such as ``2G``), ``offline`` and ``overwrite``. A path of a model counts from
    the folder of the file.

    Raises
    ------
    UsageError
        The file cannot be read, is no TOML, has an unknown key or a value of the wrong type; or
        ``CNNTOOL_CONFIG`` names a file that does not exist.
    """
    path = config_file()
    if not os.path.exists(path):  # noqa: PTH110 - Path's fails where a folder is closed to us
        if os.environ.get(CONFIG):
            raise UsageError("no such file", source=str(path), hint=f"{CONFIG} names it")
        return {}
    from cnntool.nets.models.strict_toml import fields, flag, line, number, read_toml, whole

    rules = {
        "model": line,
        "device": line,
        "jobs": whole(high=1024),
        "threads": whole(high=1024),
        "timeout": number(low=0.0),
        "max_memory": lambda value: (line if isinstance(value, str) else whole())(value),
        "offline": flag,
        "overwrite": flag,
    }
    found: dict[str, Any] = read_toml(
        path, lambda values: fields(values, {}, rules), error=UsageError
    )
    if "model" in found:
        from cnntool.nets.models.catalog import is_path

        if is_path(found["model"]):
            found["model"] = str(path.parent / Path(found["model"]).expanduser())
    return found


def default(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Fill in the user's default for an option; to be the option's ``callback``.

    The key is the option's name, with ``_`` for ``-``. The file is read only if neither the command
    line nor the environment says anything.
    """
    name = param.name or ""
    if ctx.resilient_parsing or ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
        return value
    found = defaults().get(name)
    if found is None:
        return value
    try:
        return param.type_cast_value(ctx, found)
    except click.BadParameter as error:
        raise UsageError(f"{name}: {error.message}", source=str(config_file())) from None


class Forms(click.Command):
    """A command with forms; its help lists the options of each under a heading.

    Parameters
    ----------
    forms : mapping of str to sequence of str
        The names of the parameters that belong to one form only, by the form's heading: the
        option that chooses it, ``--kernel``.
    """

    def __init__(
        self, *arguments: Any, forms: Mapping[str, Sequence[str]], **settings: Any
    ) -> None:
        super().__init__(*arguments, **settings)
        self._form_of = {name: form for form, names in forms.items() for name in names}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, those of all forms last."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for form in (*dict.fromkeys(self._form_of.values()), ""):
            for parameter in self.get_params(ctx):
                row = (
                    parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
                )
                if row and self._form_of.get(parameter.name or "", "") == form:
                    sections.setdefault(form and f"Options with {form}", []).append(row)
        for heading, rows in sections.items():
            with formatter.section(heading or "Options"):
                formatter.write_dl(rows)

    def form(self, ctx: click.Context) -> str:
        """Return the form that the command line asks for, by what belongs to it alone.

        Returns
        -------
        str
            The form's heading; empty if nothing on the command line tells.

        Raises
        ------
        UsageError
            Options of two forms. What the environment says does not count.
        """
        first = None
        for parameter in self.params:
            form = self._form_of.get(parameter.name or "")
            source = ctx.get_parameter_source(parameter.name or "")
            if form is None or source is not ParameterSource.COMMANDLINE:
                continue
            flag = max(parameter.opts, key=len)
            if first is None:
                first = form, flag
            elif first[0] != form:
                uses = ((first[1], first[0]), (flag, form))
                told = [f"{option} goes with {its}" for option, its in uses if option != its]
                raise UsageError(f"{first[1]} and {flag} exclude each other", hint=", ".join(told))
        return first[0] if first else ""


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
    """Add the positional inputs, lists of them, and --recursive."""
    recursive = click.option(
        "-r", "--recursive", is_flag=True, help="Look into the folders of a folder too."
    )
    lists = [
        click.option(
            f"--files{ending}-from",
            type=param_types.FILE_OR_STDIN,
            metavar="FILE|-",
            help=f"Read the inputs' names from a file, {how}; results keep their tree of"
            " folders. Addresses (https://, s3://, gs://) may stand there.",
        )
        for ending, how in (("0", "each ended by a zero byte"), ("", "one a line"))
    ]
    return gathered("inputs", _inputs, *lists, sources)(recursive(command))


def _inputs(
    *, inputs: tuple[Path, ...], files_from: Path | None, files0_from: Path | None
) -> Sequence[Path]:
    """Return the inputs that are named, be it in a list."""
    lists = [one for one in (files_from, files0_from) if one is not None]
    if not lists:
        return inputs
    if inputs or len(lists) > 1:
        raise UsageError("inputs are named here or in one list", source="--files-from")
    from importlib.util import find_spec

    from cnntool.image.addresses import is_address
    from cnntool.image.files import STDIO, Listed

    if str(lists[0]) == STDIO and sys.stdin.isatty():
        raise UsageError("no list of inputs", hint="pipe one in: find . -name '*.jpg' |")
    with system_errors_as(InputError, lists[0]):
        whole = sys.stdin.buffer.read() if str(lists[0]) == STDIO else lists[0].read_bytes()
    lines = whole.removeprefix(BOM_UTF8).splitlines()  # Windows' editors write one
    names = whole.split(b"\0") if files0_from is not None else lines
    here = os.path.join(Path.cwd(), STDIO)  # noqa: PTH118 - a file that is called '-', not stdin
    texts = (os.fsdecode(name) for name in names if name)
    paths = (text if is_address(text) else str(Path(text)) for text in texts)
    found = Listed(here if path == STDIO else path for path in paths)
    if not found:
        raise UsageError("it names no input", source=str(lists[0]))
    if found.has_addresses and find_spec("fsspec") is None:
        hint = "pip install 'cnntool[cluster]'"
        reason = "addresses are read by fsspec, which is not installed"
        raise UsageError(reason, source=str(lists[0]), hint=hint)
    return found


def setting(*flags: str, **attributes: Any) -> Callable[[F], F]:
    """Make an option whose default the user may state, in the environment or the config file."""
    name = flags[-1].removeprefix("--").partition("/")[0].replace("-", "_")
    return click.option(
        *flags,
        envvar=f"CNNTOOL_{name.upper()}",
        show_envvar=True,
        callback=default,
        **attributes,
    )


sources = click.argument("inputs", nargs=-1, metavar="[INPUT]...", type=param_types.FILE_OR_STDIN)


overwrite = setting(
    "--overwrite/--no-overwrite",
    default=False,
    help="Replace existing files.",
)


def output(command: F) -> F:
    """Add --output and --overwrite."""
    return click.option(
        "-o",
        "--output",
        type=param_types.ANY_FILE,
        metavar="FILE|DIR|-",
        help="Where the result goes; '-' is stdout.",
    )(overwrite(command))


width = click.option(
    "--width",
    type=click.IntRange(16, 30_000),
    metavar="PIXELS",
    help="Make the whole figure so wide; its text grows with it.  [default: as it is drawn]",
)


format_name = click.option(
    "--format",
    "format_name",
    type=param_types.FORMAT,
    help="Format, whatever the suffix says.",
)


figure_format = click.option(
    "--format",
    "format_name",
    type=param_types.FIGURE_FORMAT,
    help="Format, whatever the suffix says: png, svg with its text as text, or another one.",
)


figure = click.option(
    "--figure",
    is_flag=True,
    help="Draw the input, captioned results and their colour bars in one picture, for a slide.",
)


def check_figure(figure: bool, width: int | None, format_name: str | None) -> None:  # noqa: FBT001
    """Refuse what only a figure has.

    Raises
    ------
    UsageError
    """
    if not figure and width is not None:
        raise UsageError("--width is of a figure", hint="--figure draws one; see 'cnntool resize'")
    if not figure and format_name == "svg":
        raise UsageError(
            "SVG is for drawn figures, and this is a picture of pixels", hint="--figure draws one"
        )


def encoding(command: F, form: Callable[[F], F] = format_name) -> F:
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
        form,
    ):
        command = option(command)
    return command


def kernel(*name: str, **attributes: Any) -> Callable[[F], F]:
    """Make --kernel."""
    return click.option(
        "-k", "--kernel", *name, type=param_types.KERNEL, metavar="SPEC", **attributes
    )


channels = click.option(
    "--channels",
    type=click.Choice(["each", "luma"]),
    help="Filter each colour or the luma.  [default: luma for derivatives, else each]",
)


stats_only = click.option("--stats-only", is_flag=True, help="Print the figures and write nothing.")


def raw(text: str) -> Callable[[F], F]:
    """Make --raw."""
    return click.option("--raw", type=click.Choice(["npz", "npy"]), help=text)


mode = click.option(
    "--mode",
    type=click.Choice(["valid", "same", "full"]),
    default="same",
    show_default=True,
    help="Where the kernel may lie: inside, centred on every pixel, or anywhere it touches.",
)

stride = click.option(
    "--stride", type=param_types.PAIR, default=(1, 1), help="Keep every Nth result."
)

dilation = click.option(
    "--dilation", type=param_types.PAIR, default=(1, 1), help="Spread the taps N apart."
)

op = click.option(
    "--op",
    type=click.Choice(["correlate", "convolve"]),
    default="correlate",
    show_default=True,
    help="'correlate' takes the kernel as it is (deep learning), 'convolve' flips it.",
)

policy = click.option(
    "--range",
    "policy",
    type=click.Choice(["auto", "clip", "abs", "center", "minmax", "percentile", "signed", "raw"]),
    default="auto",
    show_default=True,
    help="How results become brightness; 'auto' centres zero-sum kernels on mid-grey and clips"
    " the others. 'minmax' and 'percentile' (1 to 99) stretch what there is; the frame that zeros"
    " around a picture darken counts only with --border zero or --mode full. 'signed', and"
    " 'percentile' of derivatives, reach equally far from 0 both ways: blue below, red above.",
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


json_lines = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON record per result on stdout."
)


jobs = setting(
    "--jobs",
    type=click.IntRange(min=1, max=1024),
    help="Inputs to work on side by side; no result depends on it.  [default: usable CPUs]",
)


threads = setting(
    "--threads",
    type=click.IntRange(min=1, max=1024),
    help="Threads to compute on; the result does not depend on it.  [default: usable CPUs]",
)
