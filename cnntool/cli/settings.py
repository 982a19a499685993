"""Kernels of the command line: those of the library, and what networks have learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnntool.filters.conv_layer import ConvLayer
    from cnntool.filters.kernel import Filter
    from cnntool.filters.operation import Operation


def parse_kernel(text: str) -> Filter | Operation:
    """Read a --kernel for each channel: those of the library, and ``MODEL:LAYER[12]``."""
    from cnntool.api.kernels import read_filter

    return _learned(text) or read_filter(text)


def parse_any(text: str) -> Filter | ConvLayer | Operation:
    """Read a --kernel: those of `parse_kernel`, and files with the weights of a layer."""
    from cnntool.api.kernels import read_kernel

    return _learned(text) or read_kernel(text)


def _learned(text: str) -> Filter | Operation | None:
    """Read a kernel that a network has learned, if the text names one."""
    if not text.rstrip().endswith("]"):
        return None
    from cnntool.cli.learned_kernel import parse_learned

    return parse_learned(text.strip())
