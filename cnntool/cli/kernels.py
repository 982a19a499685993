"""``cnntool kernels``: list the named kernels, or show one of any kind."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli import options
from cnntool.cli.console import result

if TYPE_CHECKING:
    from cnntool.filters.kernel import Kernel

SHADES = " ░▒▓█"
SHOWN = 15
"""Rows, columns and list items of a large kernel that are printed; --json has them all."""


@click.group("kernels", invoke_without_command=True)
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
    from cnntool.filters.spec import entries

    rows = [(e.name, e.kind, e.signature(), e.summary) for e in entries()]
    if as_json:
        import json

        for row in rows:
            result(
                json.dumps(dict(zip(("name", "kind", "parameters", "summary"), row, strict=True)))
            )
    elif sys.stdout.isatty():
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table("kernel", "kind", "parameters", "what it does", box=box.SIMPLE)
        for row in rows:
            table.add_row(*row)
        Console().print(table)
    else:
        for row in rows:
            result("\t".join(row))


@command.command("show")
@click.argument("spec")
@options.json_lines
@options.talk
def show(spec: str, *, as_json: bool) -> None:
    """Show a kernel's weights, sum, rank, separable factors and cost.

    SPEC is anything that 'cnntool filter --kernel' takes: a name with or without parameters, a
    matrix such as "1,0,-1;2,0,-2;1,0,-1", or @FILE.
    """
    from cnntool.errors import UsageError
    from cnntool.filters.kernel import Filter
    from cnntool.filters.spec import parse

    item = parse(spec)
    if not isinstance(item, Filter):
        raise UsageError(f"{item.name} is no convolution: it has no kernel to show")
    facts = [_facts(kernel) for kernel in item.kernels]
    if as_json:
        import json

        record = {"kernel": spec, "combine": item.combine, "kernels": facts}
        result(json.dumps(record))
        return
    lines = []
    for number, (kernel, fact) in enumerate(zip(item.kernels, facts, strict=True), 1):
        if len(facts) > 1:
            lines.append(f"kernel {number} of {len(facts)}, combined by {item.combine}")
        lines += _describe(kernel, fact)
    result("\n".join(lines))


def _facts(kernel: Kernel) -> dict[str, Any]:
    """Collect what is known of a kernel, ready for JSON."""
    import numpy as np

    height, width = kernel.shape
    pairs = kernel.separate()
    singular = np.linalg.svd(kernel.weights, compute_uv=False)
    singular[singular < singular.max() * 1e-12] = 0
    return {
        "shape": [height, width],
        "weights": kernel.weights.tolist(),
        "sum": 0.0 if kernel.is_zero_sum else kernel.sum,
        "rank": kernel.rank,
        "singular_values": singular.tolist(),
        "factors": [{"column": c.tolist(), "row": r.tolist()} for c, r in pairs],
        "multiplies": height * width,
        "multiplies_separable": len(pairs) * (height + width),
    }


def _describe(kernel: Kernel, fact: dict[str, Any]) -> list[str]:
    height, width = fact["shape"]
    factors = fact["factors"]
    lines = [
        *_matrix(kernel.weights.tolist()),
        f"size       {_count(height, 'row')} x {_count(width, 'column')}",
        f"sum        {_number(fact['sum'])}",
        f"rank       {fact['rank']} (singular values {_list(fact['singular_values'])})",
        (
            f"multiplies {fact['multiplies']} a pixel direct, "
            f"{fact['multiplies_separable']} as {fact['rank']} column and row "
            f"{'pass' if fact['rank'] == 1 else 'passes'}"
        ),
    ]
    if fact["rank"] == 1:
        lines += [f"{name:<10} {_list(factors[0][name])}" for name in ("column", "row")]
    return [*lines, *_picture(kernel.weights.tolist())]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _number(value: float) -> str:
    return f"{value:.4g}"


def _list(values: list[float]) -> str:
    return ", ".join(map(_number, values[:SHOWN])) + (", ..." if len(values) > SHOWN else "")


def _matrix(rows: list[list[float]]) -> list[str]:
    """Write the weights in columns; a large kernel shows its corner."""
    shown = [[_number(value) for value in row[:SHOWN]] for row in rows[:SHOWN]]
    width = max(len(text) for row in shown for text in row)
    lines = ["  ".join(text.rjust(width) for text in row) for row in shown]
    if len(rows) > SHOWN or len(rows[0]) > SHOWN:
        lines.append(f"(the first {len(shown)} rows and {len(shown[0])} columns)")
    return lines


def _picture(rows: list[list[float]]) -> list[str]:
    """Draw the weights, two characters a tap: shades for the size, minus signs for the sign."""
    largest = max(abs(value) for row in rows for value in row) or 1.0
    step = -(-max(len(rows), len(rows[0])) // 31)  # at most 31 taps a side

    def tap(value: float) -> str:
        shade = SHADES[round(abs(value) / largest * (len(SHADES) - 1))]
        return ("-" if value < 0 and shade != " " else shade) + shade

    return ["".join(tap(value) for value in row[::step]) for row in rows[::step]]
