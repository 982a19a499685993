"""``cnntool resize``: pictures and maps in another size."""

from __future__ import annotations

import click

from cnntool.api.resampling import Resizing, resizing
from cnntool.cli import arrays, options, param_types


@click.command("resize")
@click.option("--size", type=param_types.PAIR, help="Rows and columns of the result.")
@click.option("--scale", type=param_types.FACTORS, help="Times the input's; 1/2 halves.")
@click.option(
    "--method",
    type=click.Choice(["nearest", "bilinear", "bicubic"]),
    default="bilinear",
    show_default=True,
    help="Of which inputs an output is made: the nearest, 2 x 2, or 4 x 4.",
)
@click.option(
    "--antialias/--no-antialias",
    default=True,
    show_default=True,
    help="When shrinking, let every input count, as Pillow does; networks' own resize layers"
    " do not.",
)
@arrays.inputs_and_result
@options.gathered("how", Resizing)
def command(
    *,
    how: Resizing,
    job: arrays.Job,
) -> int:
    """Bring pictures, matrices and stacks of maps to another size.

    Pixels have half-pixel centres: pixel i covers i to i + 1, and the ends of the result lie where
    those of the input do (PyTorch's align_corners=False, ONNX's half_pixel, Pillow). Bicubic is
    Keys' with a = -0.5. At the ends, the weights of inputs that are missing go to the others.
    Computed on the encoded values; colours under alpha count by their alpha.

    INPUT is a file, a folder, or '-' for stdin, which is also read when something is piped in. A
    result without --output is called INPUT.resize.png and lies in the working directory; a
    matrix is printed.

    \b
    cnntool resize --size 224 samples/cat.png
    echo '1,2;3,4' | cnntool resize --scale 2 --method nearest
    """  # noqa: D301  click reads the escape
    work = resizing(how, max_pixels=job.reading.max_pixels)
    facts = {"method": how.method, "antialias": how.antialias}
    return arrays.run(work, job, label="resize", doing="resizing", facts=facts)
