"""``cnntool matrix``: a convolution as one matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cnntool.cli import options, param_types, sliding

if TYPE_CHECKING:
    from cnntool.api.arguments import WindowOptions


@click.command("matrix")
@options.kernel(
    "spec",
    required=True,
    help="As for 'cnntool filter': a name, a matrix, or @FILE.",
)
@click.option(
    "--input-size",
    type=param_types.SIZE,
    required=True,
    help="Of the input: 4, or 3x5 (rows x columns).",
)
@sliding.window
@click.option("--transpose", is_flag=True, help="The transpose: the transpose convolution.")
@sliding.picture
@sliding.matrix_output
@options.json_lines
@options.talk
@options.gathered("result", sliding.MatrixResult)
def command(
    *,
    spec: str,
    input_size: tuple[int, int],
    window: WindowOptions,
    transpose: bool,
    result: sliding.MatrixResult,
) -> None:
    """Write a convolution of one map as a matrix.

    It has a row for each value of the result and a column for each value of the input, both in
    reading order. With zeros outside it is a Toeplitz matrix of Toeplitz blocks.
    """
    from cnntool.api.unrolling import matrix_of

    result.check()
    drawable = result.picture is not None
    found = matrix_of(spec, input_size, window, transpose=transpose, drawable=drawable)

    def facts() -> dict[str, Any]:
        return {
            "kernel": spec,
            "input": list(input_size),
            "result": list(found.sliding.out_shape),
            "transpose": transpose,
            "shape": list(found.matrix.shape),
            "filled": found.filled,
            "distinct": found.distinct,
            "matrix": found.matrix.tolist(),
        }

    result.write(found.matrix, found.figure, facts)
