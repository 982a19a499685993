"""``cnntool resize``: pictures and maps in another size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cnntool.cli import arrays, param_types
from cnntool.cli.results import Result
from cnntool.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnntool.cli.arrays import Stack
    from cnntool.filters.resizing import Method
    from cnntool.shapes.windows import Pair


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
def command(
    *,
    size: Pair | None,
    scale: tuple[float, float] | None,
    method: Method,
    antialias: bool,
    **settings: Any,
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
    if (size is None) == (scale is None):
        raise UsageError("give either --size or --scale", hint="'--scale 1/2' halves a picture")

    def work(stack: Stack) -> Result:
        from cnntool.filters import resizing

        height, width, samples = stack.values.shape
        shape = size or resizing.scaled_shape((height, width), scale or (1, 1))
        arrays.check_size(shape, samples, settings["max_pixels"])
        values = stack.values
        blends = stack.info.alpha and method != "nearest"
        if blends:
            values = _weighted(values, stack.info.peak)
        values = resizing.resize(values, shape, method=method, antialias=antialias)
        if blends:
            _unweight(values, stack.info.peak)
        return Result(values, alpha=stack.info.alpha)

    facts = {"method": method, "antialias": antialias}
    return arrays.run(work, settings, label="resize", doing="resizing", facts=facts)


def _weighted(values: NDArray[Any], peak: float) -> NDArray[Any]:
    """Multiply colours by alpha, the last sample, so that hidden colours do not shine through."""
    import numpy as np

    dtype = np.float64 if values.dtype == np.float64 else np.float32
    weighted: NDArray[Any] = values.astype(dtype)
    weighted[:, :, :-1] *= weighted[:, :, -1:] / peak
    return weighted


def _unweight(values: NDArray[Any], peak: float) -> None:
    """Divide colours by alpha, in place; where that is 0 they are black."""
    import numpy as np

    alpha = values[:, :, -1:] / peak
    np.divide(values[:, :, :-1], alpha, out=values[:, :, :-1], where=alpha > 0)
