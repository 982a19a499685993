"""The methods of a convolution, and the kernels prepared for them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.filters.kernels.kernel import balanced, integer_factors, low_rank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.filters.kernels.kernel import Kernel


class Method(StrEnum):
    """The methods; all lead to the same numbers.

    ``direct``: one multiply-add per weight; ``separable``: the same along columns, then rows,
    for each of the kernel's factors; ``banded`` and ``banded-separable``: these two as products
    with banded (Toeplitz) matrices; ``fft``: products in the frequency domain, tile by tile;
    ``gemm``: the windows of all channels as a matrix, times all kernels of a layer.
    """

    AUTO = "auto"
    DIRECT = "direct"
    SEPARABLE = "separable"
    BANDED = "banded"
    BANDED_SEPARABLE = "banded-separable"
    FFT = "fft"
    GEMM = "gemm"

    @property
    def by_element(self) -> bool:
        """Whether each output is computed alike, wherever in a tile it lies."""
        return self in {Method.DIRECT, Method.SEPARABLE}

    @property
    def by_factors(self) -> bool:
        """Whether columns and rows are done one after the other."""
        return self in {Method.SEPARABLE, Method.BANDED_SEPARABLE}


class PreparedKernel(NamedTuple):
    """One kernel, ready for correlation: its taps, and its factors where a method uses them."""

    taps: NDArray[np.float64]
    factors: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...] = ()

    @property
    def multiplies(self) -> int:
        """Multiplications per output, zeros included, as a textbook counts them."""
        if self.factors:
            return sum(column.size + row.size for column, row in self.factors)
        return self.taps.size


class Arithmetic(NamedTuple):
    """The arithmetic of a plan.

    Attributes
    ----------
    dtype : np.dtype
        Of the numbers: float32, float64, or int16 and uint16 where no sum can overflow.
    parts : tuple of Part
        One for each kernel of the filter.
    scale : float
        What sums are multiplied by at the end; 1 unless the taps are whole numbers.
    exact : bool
        Whether sums have no rounding: whole-number taps and data, every sum representable.
    whole : bool
        Whether the taps are whole numbers, multiplied by the scale at the end.
    """

    dtype: np.dtype[Any]
    parts: tuple[PreparedKernel, ...]
    scale: float = 1.0
    exact: bool = False
    whole: bool = False


def whole_parts(kernels: Sequence[Kernel]) -> tuple[tuple[PreparedKernel, ...], float] | None:
    """Return the kernels as whole numbers with one scale, or None where there is none."""
    forms = [kernel.integer() for kernel in kernels]
    found = [form for form in forms if form is not None]
    if len(found) < len(forms) or len({scale for _, scale in found}) > 1:
        return None
    return tuple(PreparedKernel(taps.astype(np.float64)) for taps, _ in found), found[0][1]


def factored(parts: Sequence[PreparedKernel], tol: float) -> tuple[PreparedKernel, ...]:
    """Return the parts with factors, whose products are off by `tol` of the sum of ``|taps|``."""
    return tuple(
        PreparedKernel(
            part.taps,
            tuple(balanced(*pair) for pair in low_rank(part.taps, tol))
            or ((part.taps[:, 0], part.taps[0]),),
        )
        for part in parts
    )


def scaled(parts: Sequence[PreparedKernel], scale: float) -> tuple[PreparedKernel, ...]:
    """Return the parts with all taps multiplied, and the columns of their factors."""
    return tuple(
        PreparedKernel(
            part.taps * scale, tuple((column * scale, row) for column, row in part.factors)
        )
        for part in parts
    )


def whole_factored(parts: Sequence[PreparedKernel]) -> tuple[PreparedKernel, ...] | None:
    """Return the parts with whole-number factors, or None if one of them is not of rank 1."""
    factors = [integer_factors(part.taps) for part in parts]
    found = [pair for pair in factors if pair is not None]
    if len(found) < len(parts):
        return None
    return tuple(
        PreparedKernel(part.taps, (pair,)) for part, pair in zip(parts, found, strict=True)
    )


def reach(parts: Sequence[PreparedKernel]) -> float:
    """Return the largest sum of ``|taps|``: what the data's largest value can grow by."""
    return max(float(np.abs(part.taps).sum()) for part in parts)
