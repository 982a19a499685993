"""``cnntool matrix``: a convolution as one matrix."""

from __future__ import annotations

from contextlib import ExitStack
from math import prod
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli import options, param_types, sliding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnntool.filters.sliding import Sliding


@click.command("matrix")
@click.option(
    "-k",
    "--kernel",
    "spec",
    required=True,
    metavar="SPEC",
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
@click.option("--picture", metavar="FILE.png", help="Draw it; print it only with --output.")
@sliding.matrix_output
@options.json_lines
@options.talk
def command(
    *,
    spec: str,
    input_size: tuple[int, int],
    transpose: bool,
    picture: str | None,
    output: str | None,
    format_name: str | None,
    overwrite: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Write a convolution of one map as a matrix.

    It has a row for each value of the result and a column for each value of the input, both in
    reading order. With zeros outside it is a Toeplitz matrix of Toeplitz blocks.
    """
    import numpy as np

    from cnntool.filters.kernel import Filter
    from cnntool.filters.plan import make_plan
    from cnntool.filters.sliding import of_plan
    from cnntool.filters.unroll import toeplitz

    sliding.check_results(picture, output, as_json=as_json)
    kernel = sliding.only_kernel(spec, "write as a matrix")
    weights = sliding.laid_on(kernel, settings["op"])
    slide = of_plan(make_plan(input_size, Filter((kernel,)), dtype=np.float64, **settings))
    shape = (prod(slide.out_shape), prod(input_size))
    if picture is not None:
        from cnntool.views.matrix_picture import check_size

        check_size(*shape)
    matrix = toeplitz(weights, slide)
    matrix = matrix.T if transpose else matrix
    with ExitStack() as stack:
        if picture is not None:
            drawn = _draw(matrix, weights, slide, transpose=transpose)
            stack.enter_context(sliding.writing(drawn, picture, overwrite=overwrite))
        if output is not None or not (picture or as_json):
            sliding.write_matrix(matrix, output, format_name, overwrite=overwrite)
    if as_json:
        record = {
            "kernel": spec,
            "input": list(input_size),
            "result": list(slide.out_shape),
            "transpose": transpose,
            "shape": list(matrix.shape),
            "filled": int(np.count_nonzero(matrix)),
            "distinct": _distinct(matrix),
            "matrix": matrix.tolist(),
            "picture": picture,
            "output": output,
        }
        sliding.print_record(record)


def _distinct(matrix: NDArray[Any]) -> int:
    import numpy as np

    return int(np.unique(matrix[matrix != 0]).size)


def _draw(matrix: NDArray[Any], weights: NDArray[Any], slide: Sliding, *, transpose: bool) -> bytes:
    import numpy as np

    from cnntool.views.matrix_picture import Drawn
    from cnntool.views.matrix_picture import picture as draw

    rows, columns = matrix.shape
    pairs = weights.shape, slide.input_shape, slide.out_shape
    kernel, given, made = ("x".join(map(str, pair)) for pair in pairs)
    of = f"kernel {kernel}, input {given}, result {made}"
    filled, distinct = np.count_nonzero(matrix), _distinct(matrix)
    note = (
        f"{rows} x {columns}, {filled} of {matrix.size} entries filled,"
        f" {distinct} distinct weight{'' if distinct == 1 else 's'}"
    )
    blocks = slide.out_shape[1], slide.input_shape[1]
    if transpose:
        of = f"transpose convolution: kernel {kernel}, input {made}, result {given}"
        blocks = blocks[::-1]
    drawn = Drawn(of, note, blocks, weights)
    return sliding.png(draw(matrix, drawn))
