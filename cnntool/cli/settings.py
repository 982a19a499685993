"""From the words of ``filter``'s command line to those of the rooms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnntool.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.cli.outcome import Style
    from cnntool.filters.conv_layer import ConvLayer
    from cnntool.filters.kernel import Filter
    from cnntool.filters.operation import Operation
    from cnntool.filters.pipeline import Options


def parse_kernel(text: str) -> Filter | Operation:
    """Read a --kernel: those of `cnntool.filters.spec`, and ``MODEL:LAYER[12]``."""
    from cnntool.filters.spec import parse

    return _learned(text) or parse(text)


def parse_kernels(kernels: Sequence[str]) -> tuple[Filter | ConvLayer | Operation, ...]:
    """Read every --kernel: those of `parse_kernel`, and files with the weights of a layer."""
    from cnntool.filters.conv_layer import read_layer

    return tuple(read_layer(text) or parse_kernel(text) for text in kernels)


def _learned(text: str) -> Filter | Operation | None:
    """Read a kernel that a network has learned, if the text names one."""
    if not text.rstrip().endswith("]"):
        return None
    from cnntool.api.learned_kernel import parse_learned

    return parse_learned(text.strip())


def arithmetic(settings: dict[str, Any]) -> Options:
    """Turn the arithmetic's options into the filters' own words."""
    from cnntool.filters import pipeline
    from cnntool.filters.plan import Border, Method, Mode, Op

    border, mix = settings["border"], settings["mix"]
    return pipeline.Options(
        mode=Mode(settings["mode"]),
        op=Op(settings["op"]),
        border=None if border is None else Border(border),
        stride=settings["stride"],
        dilation=settings["dilation"],
        method=Method(settings["method"]),
        channels=settings["channels"],
        mix=None if mix is None else _mix(mix),
        linear=settings["linear"],
        bank=settings["bank"],
        bias=None if settings["bias"] is None else _bias(settings["bias"]),
        relu=settings["relu"],
    )


def _bias(text: str) -> Any:
    from cnntool.filters.spec import parse_vector

    try:
        return parse_vector(text)
    except UsageError as error:
        raise UsageError(error.message, source=f"--bias {text}", hint=error.hint) from None


def _mix(text: str) -> Any:
    from cnntool.filters.kernel import Kernel
    from cnntool.filters.spec import parse_matrix

    try:
        return Kernel(parse_matrix(text)).weights
    except UsageError as error:
        raise UsageError(error.message, source="--mix", hint=error.hint) from None


def style(settings: dict[str, Any], threads: int) -> Style:
    """Collect what was asked of the result."""
    from cnntool.cli.outcome import Style

    names = ("policy", "depth", "compression", "quality", "overwrite")
    return Style(threads=threads, **{name: settings[name] for name in names})


def label(settings: dict[str, Any]) -> str:
    """Return what goes into a result's name: ``sobel``, ``gaussian.sobel``, ``bank``."""
    if settings["bank"] or settings["mix"]:
        return "bank"
    return ".".join(map(_name, settings["kernels"]))


def _name(spec: str) -> str:
    if spec.rstrip().endswith("]"):
        from cnntool.api.learned_kernel import short_name

        return short_name(spec.strip())
    name = spec.partition(":")[0].strip().lower()
    return name if name.replace("-", "").isalpha() else "custom"
