"""``cnntool kernels``: list the named kernels, or show one of any kind."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli import options, param_types, sliding
from cnntool.cli.console import result
from cnntool.cli.output import Column, emit, form_of, json_text, prose, width
from cnntool.shapes.text import size_text
from cnntool.views.number_format import SHOWN, blocks, lined_up, matrix, short

if TYPE_CHECKING:
    from cnntool.filters.kernels.kernel import Kernel

COLUMNS = tuple(
    Column(name, gives="wrap") for name in ("kernel", "kind", "parameters", "what it does")
)
SHADES = " ░▒▓█"
PAIRS = 3
"""Columns and rows of a kernel of higher rank that are printed; --json has them all."""

SIGHT = 17
"""Frequencies a side of the response that is printed."""


class _Kernels(click.Group):
    """A group whose subcommands are not to be taken for kernels."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand; a kernel's name tells which one was meant."""
        if args[0] not in self.commands:
            from cnntool.api.kernels import is_word

            if is_word(args[0].partition(":")[0]):
                raise click.UsageError(f"did you mean 'cnntool kernels show {args[0]}'?", ctx)
        return super().resolve_command(ctx, args)


@click.group("kernels", cls=_Kernels, invoke_without_command=True)
@options.talk
@click.pass_context
def command(ctx: click.Context) -> None:
    """List the kernels, or show one.

    Without a subcommand the kernels are listed.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@command.command("list")
@options.json_lines
@options.talk
def list_(*, as_json: bool = False) -> None:
    """List every named kernel with its parameters and their defaults."""
    from cnntool.api.kernels import kernels

    form = form_of(as_json=as_json)
    rows = kernels()
    emit(COLUMNS, [row._asdict() for row in rows] if form == "jsonl" else rows, form)


class _Show(click.Command):
    """A command whose argument may begin with a minus sign: ``-1,0,1`` is no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let what looks like a number through."""
        ctx.ignore_unknown_options = any(re.match(r"-[.\d]", text) for text in args)
        return super().parse_args(ctx, args)


@command.command("show", cls=_Show)
@click.argument("spec", type=param_types.KERNEL)
@click.option(
    "--response",
    metavar="FILE.png|FILE.svg",
    help="Draw the frequency response, and print a small one.",
)
@options.width
@options.overwrite
@options.json_lines
@options.talk
def show(
    spec: str, *, response: str | None, width: int | None, overwrite: bool, as_json: bool
) -> None:
    """Show a kernel's weights, sum, rank, separable factors and cost.

    SPEC is anything that 'cnntool filter --kernel' takes: a name with or without parameters, a
    matrix such as "1,0,-1;2,0,-2;1,0,-1", or @FILE. Of a kernel that is not separable, 'loss' says
    how far the nearest kernels of rank 1, 2, ... are off: the root of the sum of squares of the
    difference, relative to that of the weights.
    """
    from cnntool.api import kernels
    from cnntool.errors import UsageError

    item = kernels.read_convolution(spec, "it has no kernel to show")
    if response == "-":
        raise UsageError("the picture of the response needs a file", source="--response")
    if response is not None:
        sliding.check_figure(response, "a response")
    facts = [kernels.facts(kernel) for kernel in item.kernels]
    if response is not None:
        drawn = kernels.frequency_response(spec).encoded(response, width)
        sliding.write_bytes(drawn, response, overwrite=overwrite)
    if as_json:
        result(json_text({"kernel": spec, "combine": item.combine, "kernels": facts}))
        return
    lines = []
    for number, (kernel, fact) in enumerate(zip(item.kernels, facts, strict=True), 1):
        if len(facts) > 1:
            lines.append(f"kernel {number} of {len(facts)}, combined by {item.combine}")
        lines += _describe(kernel, fact)
        if response is not None:
            lines += _sight(kernel, fact)
    prose("\n".join(lines))


def _describe(kernel: Kernel, fact: dict[str, Any]) -> list[str]:
    height, width = fact["shape"]
    factors = fact["factors"]
    lines = [
        *_weights(kernel.weights.tolist()),
        f"size       {size_text(height, width)}",
        f"sum        {short(fact['sum'])}",
        f"rank       {fact['rank']} (singular values {_list(fact['singular_values'])})",
        (
            f"multiplies {fact['multiplies']} a pixel direct, "
            f"{fact['multiplies_separable']} as {fact['rank']} column and row "
            f"{'pass' if fact['rank'] == 1 else 'passes'}"
        ),
    ]
    if fact["rank"] > 1:
        losses = [f"rank {r} {_percent(e)}" for r, e in enumerate(fact["rank_errors"], 1)]
        lines.append(f"loss       {_some(losses)}")
    for number, pair in enumerate(factors[:PAIRS], 1):
        which = f" {number}" if fact["rank"] > 1 else ""
        lines += [f"{name + which:<10} {_list(pair[name])}" for name in ("column", "row")]
    if len(factors) > PAIRS:
        lines.append(f"(the first {PAIRS} of {len(factors)} columns and rows)")
    return [*lines, *_picture(kernel.weights.tolist())]


def _weights(rows: list[list[float]]) -> list[str]:
    """Write the weights in columns; a terminal gets point below point, within its width."""
    if not sys.stdout.isatty() or max(len(rows), len(rows[0])) > SHOWN:
        return matrix(rows)
    return blocks(lined_up(rows, 4), width())


def _sight(kernel: Kernel, fact: dict[str, Any]) -> list[str]:
    """Describe the frequency response, with a small picture of it."""
    from cnntool.filters.kernels.response import response

    found = fact["response"]
    size = response(kernel, SIGHT).tolist()
    return [
        (
            f"response   {short(found['constant'])} of a constant,"
            f" {short(found['rows'])} of alternating rows,"
            f" {short(found['columns'])} of alternating columns,"
            f" {short(found['checkerboard'])} of a checkerboard"
        ),
        *_picture(size),
    ]


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %" if share else "0"


def _list(values: list[float]) -> str:
    return _some([short(value) for value in values])


def _some(texts: list[str]) -> str:
    return ", ".join(texts[:SHOWN]) + (", ..." if len(texts) > SHOWN else "")


def _picture(rows: list[list[float]]) -> list[str]:
    """Draw the weights, two characters a tap: shades for the size, minus signs for the sign."""
    largest = max(abs(value) for row in rows for value in row) or 1.0
    step = -(-max(len(rows), len(rows[0])) // 31)  # at most 31 taps a side

    def tap(value: float) -> str:
        shade = SHADES[round(abs(value) / largest * (len(SHADES) - 1))]
        return ("-" if value < 0 and shade != " " else shade) + shade

    return ["".join(tap(value) for value in row[::step]) for row in rows[::step]]
