"""Learned kernels: ``MODEL:LAYER[12]`` as a filter for pictures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cnntool.api.activations import safe
from cnntool.errors import UsageError

if TYPE_CHECKING:
    from cnntool.filters.kernels.kernel import Filter
    from cnntool.filters.kernels.library import Operation

_SPEC = re.compile(
    r"(?P<model>.+?\.onnx|[^:]+):(?P<layer>.+)\[(?P<which>[\d\s,]+)\]", re.IGNORECASE
)
_HINT = "such as vgg16-mini:block1_conv1[12], or [12,0] for one input channel"


class Spec(NamedTuple):
    """What is named: a network, a layer, an output channel and perhaps an input channel."""

    model: str
    layer: str
    output: int
    input: int | None


def read_spec(text: str) -> Spec:
    """Split a specification.

    Raises
    ------
    UsageError
        When it is none.
    """
    match = _SPEC.fullmatch(text)
    numbers = [part.strip() for part in match["which"].split(",")] if match else []
    if match is None or not 1 <= len(numbers) <= 2 or not all(map(str.isdecimal, numbers)):
        raise UsageError(f"{text!r} names no learned kernel", hint=_HINT)
    channel = int(numbers[1]) if len(numbers) > 1 else None
    return Spec(match["model"], match["layer"], int(numbers[0]), channel)


def short_name(text: str) -> str:
    """Return what goes into a result's name: ``block1_conv1-12``."""
    spec = read_spec(text)
    return f"{safe(spec.layer)}-{spec.output}"


def parse_learned(text: str) -> Filter | Operation:
    """Read a kernel from a network.

    Parameters
    ----------
    text : str
        ``MODEL:LAYER[OUTPUT]``, or ``[OUTPUT,INPUT]`` for one input channel.

    Returns
    -------
    Filter or Operation
        Where the inputs are the picture's colours, each colour has its own weights and the
        results are added. Of deeper layers the mean over the input channels is taken.

    Raises
    ------
    UsageError
        When this is no such specification.
    ModelError
        When there is no such network, layer, or channel.
    """
    from cnntool.errors import ModelError
    from cnntool.filters.kernels.kernel import Filter, Kernel
    from cnntool.filters.nonlinear import colour_filter
    from cnntool.nets.inference.presets import Overrides
    from cnntool.nets.network import Network
    from cnntool.nets.runtime.providers import SessionSettings

    spec = read_spec(text)
    model = Network(spec.model, Overrides(), SessionSettings()).read()
    found = model.learned(model.layer(spec.layer))
    if not found.is_kernels:
        raise ModelError(
            f"{spec.layer!r} is a dense layer: its weights are no kernel", source=spec.model
        )
    outputs, inputs = found.values.shape[:2]
    for number, count, what in (
        (spec.output, outputs, "kernel"),
        (spec.input or 0, inputs, "input channel"),
    ):
        if number >= count:
            raise ModelError(
                f"{spec.layer!r} has no {what} {number}: there are {count} (0 to {count - 1})",
                source=spec.model,
            )
    kernel = found.values[spec.output].astype(float)
    if spec.input is None and found.colours:
        first, _ = model.colour_order()
        return colour_filter(kernel[::-1] if first == "BGR" else kernel, text)
    plane = kernel.mean(axis=0) if spec.input is None else kernel[spec.input]
    return Filter((Kernel(plane),), "single", text, signed=True)
