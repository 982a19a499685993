"""The command group, and the one boundary that turns exceptions into lines and exit codes."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import nullcontext, suppress
from importlib import import_module
from typing import Any

import click

from cnntool.cli import console
from cnntool.errors import CnntoolError, OutputError, UsageError
from cnntool.version import __version__

COMMANDS = {
    "filter": "Apply classic kernels to pictures and matrices.",
    "kernels": "List the kernels, or show one.",
    "pool": "Pool pictures, matrices and stacks of maps.",
    "unpool": "Put pooled values back to where they stood, zeros elsewhere.",
    "deconv": "Apply the transpose of a convolution: each value lays the kernel down.",
    "resize": "Bring pictures, matrices and stacks of maps to another size.",
    "trace": "Show where a value of the result comes from: window, kernel, products and sum.",
    "im2col": "Lay every window of the input out as a column.",
    "matrix": "Write a convolution of one map as a matrix.",
    "conv": "Compute shapes and costs of a chain of layers.",
    "classify": "Say what is in pictures.",
    "evaluate": "Measure how often a network is right.",
    "run": "Make pictures of pictures, by a network.",
    "activations": "Show what every layer of a network makes of a picture.",
    "features": "Make a table of what a layer makes of pictures, a vector each.",
    "explain": "Show what in a picture speaks for a class, as heat maps.",
    "diff": "Compare two networks layer by layer: where numbers part, and which layer is to blame.",
    "weights": "Show what layers of a network have learned.",
    "layers": "List the layers of a network by the names that can be asked for.",
    "summary": "Describe a network layer by layer.",
    "models": "List, fetch, check and describe networks.",
    "devices": "Run a tiny network on every device, and say which work.",
}
"""Every verb with its line of help; ``cnntool/cli/commands/VERB.py`` holds its ``command``."""

COMPLETE = "_CNNTOOL_COMPLETE"
"""The variable by which shells ask click's programs for completions."""

BROKEN_PIPE = 141
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
"""What the system says of a stdout that takes nothing."""

SHORT = {errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM}
"""What it says when it has no more files, processes or memory to give."""


class PipeClosedError(Exception):
    """A broken pipe, under a name that click does not turn into an exit of its own."""


class Verbs(click.Group):
    """A group whose commands are imported when they are asked for."""

    def make_context(self, *arguments: Any, **settings: Any) -> click.Context:
        """Read the command line; --help and --version answer here."""
        try:
            return super().make_context(*arguments, **settings)
        except BrokenPipeError:
            raise PipeClosedError from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise PipeClosedError from None
        except click.UsageError as error:
            if error.ctx is None and ctx.invoked_subcommand in COMMANDS:  # whose parser said it
                name = ctx.invoked_subcommand
                error.ctx = click.Context(click.Command(name), parent=ctx, info_name=name)
            raise

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the verbs in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one verb's module."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"cnntool.cli.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the verbs' lines without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Offer the verbs without importing them."""
        from click.shell_completion import CompletionItem

        verbs = [
            CompletionItem(name, help=line)
            for name, line in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return verbs + click.Command.shell_complete(self, ctx, incomplete)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; an unknown one names the nearest."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=3)
            if not near:
                from cnntool.api.kernels import is_word

                near = [f"cnntool filter -k {args[0]}"] * is_word(args[0])
            raise click.UsageError(
                f"no command is called {args[0]!r}"
                + (f" (did you mean {' or '.join(near)}?)" if near else ""),
                ctx,
            )
        return super().resolve_command(ctx, args)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", message="cnntool %(version)s")
def cli() -> None:
    """Filter images and look inside convolutional networks, from the shell.

    Results go to stdout, everything else to stderr. Each command has its own --help.
    """


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code.

    Parameters
    ----------
    arguments : list of str
        Without the program's name.

    Returns
    -------
    int
        As the table in README.md says.
    """
    _prepare()
    if asked := os.environ.get(COMPLETE):
        from cnntool.cli.completion import complete

        return complete(cli, COMPLETE, asked)
    try:
        code = cli.main(arguments, prog_name="cnntool", standalone_mode=False)
        with suppress(OSError) if code == OutputError.exit_code else nullcontext():  # said already
            sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as bare:
        console.tell(bare.format_message())
        return UsageError.exit_code
    except (BrokenPipeError, PipeClosedError):
        # Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - the one boundary
        return _fail(*explain_error(error))
    return code if isinstance(code, int) else 0


def explain_error(error: Exception) -> tuple[int, str, str]:
    """Return the exit code, the line and the hint for an exception."""
    code = CnntoolError.exit_code
    if isinstance(error, CnntoolError):
        return error.exit_code, str(error), error.hint
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "cnntool"
        return UsageError.exit_code, error.format_message(), f"see '{path} --help'"
    if found := _of_the_machine(error):
        return found
    text = f"unexpected {type(error).__name__}: {error}".splitlines()[0]
    return code, text, "this is a defect of cnntool; --debug shows where"


def _of_the_machine(error: Exception) -> tuple[int, str, str] | None:
    """Return the same for what is wrong with the machine rather than with cnntool."""
    code = CnntoolError.exit_code
    if isinstance(error, MemoryError):
        return code, "not enough memory", ""
    if isinstance(error, OSError) and error.errno in UNWRITABLE:
        # Files say so themselves, with their names.
        closed = error.errno == errno.EBADF
        reason = "it is closed" if closed else os.strerror(error.errno).lower()
        return OutputError.exit_code, f"<stdout>: {reason}", ""
    if isinstance(error, OSError) and error.errno in SHORT:
        return code, os.strerror(error.errno).lower(), "'ulimit -a' shows the limits"
    if isinstance(error, ImportError):
        text = str(error).partition("\n")[0] or "it does not say why"
        hint = "the installation may be damaged, or the memory too small"
        return code, f"a library cannot be loaded: {text}", hint
    return None


def _prepare() -> None:
    """Set what must be set before numpy is imported and before anything is said."""
    # Threads are ours to share out (--threads); OpenBLAS's own collapse when cores are shared.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if os.environ.get("COLUMNS") == "0":  # unknown, as everybody but rich understands it
        del os.environ["COLUMNS"]
    for name, mode, flags in (
        ("stdin", "r", os.O_RDONLY),
        ("stdout", "w", os.O_RDONLY),  # so that writing fails as it would have
        ("stderr", "w", os.O_WRONLY),
    ):
        if getattr(sys, name) is None:  # closed by the caller: nothing else may get its number
            setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode))
    for name in ("quiet", "verbose", "debug"):
        setattr(console.TALK, name, False)


def _fail(code: int, text: str, hint: str) -> int:
    console.error(text, hint)
    return code
