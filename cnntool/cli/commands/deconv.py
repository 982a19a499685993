"""``cnntool deconv``: the transpose of a convolution."""

from __future__ import annotations

import click

from cnntool.api.resampling import Transposing, transposing
from cnntool.cli import arrays, options, param_types, sliding


@click.command("deconv")
@options.kernel(
    required=True,
    help="One kernel, as 'cnntool filter' takes it: a name, a matrix or @FILE.",
)
@click.option("--stride", type=param_types.PAIR, default=(1, 1), help="Lay kernels down N apart.")
@click.option(
    "--padding",
    type=param_types.PADDING,
    default="valid",
    show_default=True,
    help="Of the convolution that is transposed, cut off here: N, ROWS,COLUMNS,"
    " TOP,BOTTOM,LEFT,RIGHT, valid, same or full.",
)
@sliding.output_padding
@options.dilation
@click.option(
    "--op",
    type=click.Choice(["correlate", "convolve"]),
    default="correlate",
    show_default=True,
    help="Which one is transposed: 'correlate' takes the kernel as it is, 'convolve' flips it.",
)
@options.policy
@arrays.inputs_and_result
@options.gathered("how", Transposing)
def command(
    *,
    kernel: str,
    how: Transposing,
    policy: str,
    job: arrays.Job,
) -> int:
    """Apply the transpose of a convolution: each value lays the kernel down.

    It undoes the shape of 'cnntool filter --mode valid' with the same kernel, stride and dilation,
    not its values. Networks enlarge maps with it ("deconvolution"). Each channel or map on its
    own; alpha is left out.

    INPUT is a file, a folder, or '-' for stdin, which is also read when something is piped in. A
    result without --output is called INPUT.deconv.png and lies in the working directory; a
    matrix is printed.

    \b
    echo '1,2;3,4' | cnntool deconv -k '1,1;1,1' --stride 2
    """  # noqa: D301  click reads the escape
    from cnntool.api.kernels import read_filter

    limit = job.reading.max_pixels
    work, window = transposing(read_filter(kernel), how, max_pixels=limit)
    facts = {
        "kernel": kernel,
        "op": how.op,
        "stride": list(how.stride),
        "padding": list(window.pads),
        "output_padding": list(how.output_padding),
        "dilation": list(how.dilation),
    }
    return arrays.run(work, job, label="deconv", doing="transposing", facts=facts, policy=policy)
