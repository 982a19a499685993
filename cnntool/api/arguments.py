"""Checks of arguments: each says what was expected, and of which parameter."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.errors import ArgumentTypeError, UsageError
from cnntool.image.source import oversize

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from cnntool.shapes.windows import Pair


LARGEST = 999_999_999

MOST_PIXELS = 100_000_000
"""Of a picture that is read or made, unless more are allowed."""


def wrong_type(name: str, value: object, expected: str) -> ArgumentTypeError:
    """Return the error for a value of the wrong type."""
    kind = "None" if value is None else type(value).__name__
    return ArgumentTypeError(f"{expected} is expected, not {kind}", source=f"`{name}`")


def one_of(name: str, value: Any, choices: Iterable[str]) -> str:
    """Check one of several words.

    Raises
    ------
    UsageError
        Another word; what is no text at all is an ArgumentTypeError, here and below.
    """
    known = [*choices]
    expected = f"one of {', '.join(known)}"
    if not isinstance(value, str):
        raise wrong_type(name, value, expected)
    if value not in known:
        raise UsageError(f"{expected} is expected, not {value!r}", source=f"`{name}`")
    return str(value)


def several(value: Any) -> Any:
    """Return a list or a tuple as it is, and anything else as a list of one."""
    return value if isinstance(value, (list, tuple)) else [value]


def text(name: str, value: Any, expected: str = "a name") -> str:
    """Check a text.

    Raises
    ------
    ArgumentTypeError
    """
    if not isinstance(value, str):
        raise wrong_type(name, value, expected)
    return value


def flag(name: str, value: Any) -> bool:
    """Check True or False.

    Raises
    ------
    ArgumentTypeError
    """
    if not isinstance(value, bool) and type(value).__name__ not in {"bool", "bool_"}:  # numpy's too
        raise wrong_type(name, value, "True or False")
    return bool(value)


def whole(name: str, value: Any, least: int = 1, most: int = LARGEST) -> int:
    """Check a whole number.

    Raises
    ------
    UsageError
        A number outside of the range.
    """
    try:
        number = index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise wrong_type(name, value, "a whole number")
    if not least <= number <= most:
        reason = f"a whole number from {least} to {most} is expected, not {number}"
        raise UsageError(reason, source=f"`{name}`")
    return number


def pair(name: str, value: Any, least: int = 1, most: int = LARGEST) -> Pair:
    """Check one whole number for both axes, or two: rows and columns.

    Raises
    ------
    UsageError
        A number outside of the range, or more of them than two.
    """
    values = [*value] if isinstance(value, (tuple, list)) else [value, value]
    if len(values) != 2:
        raise UsageError(
            f"one whole number or two (rows, columns) are expected, not {len(values)}",
            source=f"`{name}`",
        )
    return whole(name, values[0], least, most), whole(name, values[1], least, most)


def number(name: str, value: Any) -> float:
    """Check a real number.

    Raises
    ------
    ArgumentTypeError
    """
    if isinstance(value, (bool, str, bytes)) or not hasattr(type(value), "__float__"):
        raise wrong_type(name, value, "a number")
    try:
        return float(value)
    except TypeError:  # an array of several
        raise wrong_type(name, value, "a number") from None


def numbers(name: str, value: Any) -> NDArray[np.float64]:
    """Check real numbers of any shape.

    Raises
    ------
    ArgumentTypeError
    """
    import numpy as np

    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        array = np.empty(0, object)
    if array.dtype.kind not in "biuf":
        raise wrong_type(name, value, "an array of numbers")
    return array.astype(np.float64)


def check_size(shape: Pair, samples: int, max_pixels: int) -> None:
    """Refuse to make what would not be read.

    Raises
    ------
    UsageError
        A result of more than `max_pixels`, see `cnntool.image.source.oversize`.
    """
    if reason := oversize(*shape, samples, max_pixels):
        raise UsageError(f"a result of {reason}", hint="`max_pixels` raises the limit")


class WindowOptions(NamedTuple):
    """How a window slides, as `filter` and its kin are told."""

    mode: Any = "same"
    op: Any = "correlate"
    border: Any = "zero"
    stride: Any = 1
    dilation: Any = 1

    def checked(self) -> WindowOptions:
        """Check every field.

        Raises
        ------
        UsageError
        """
        from cnntool.filters.conv.plan import Border, Mode, Op

        return WindowOptions(
            one_of("mode", self.mode, Mode),
            one_of("op", self.op, Op),
            one_of("border", self.border, Border),
            pair("stride", self.stride),
            pair("dilation", self.dilation),
        )


class FilterOptions(NamedTuple):
    """The arithmetic of `filter`, as it is told."""

    mode: Any = "same"
    op: Any = "correlate"
    border: Any = None
    stride: Any = 1
    dilation: Any = 1
    channels: Any = None
    mix: Any = None
    bias: Any = None
    relu: bool = False
    linear: bool = False
    bank: bool = False
    method: str = "auto"

    def checked(self) -> FilterOptions:
        """Check every field but `mix` and `bias`, which are checked where they are read.

        Raises
        ------
        UsageError
        """
        border = "zero" if self.border is None else self.border
        how = WindowOptions(self.mode, self.op, border, self.stride, self.dilation).checked()
        channels = self.channels
        if channels is not None:
            channels = one_of("channels", channels, ("each", "luma"))
        return FilterOptions(
            *how._replace(border=self.border),
            channels,
            self.mix,
            self.bias,
            flag("relu", self.relu),
            flag("linear", self.linear),
            flag("bank", self.bank),
            one_of("method", self.method, methods()),
        )


_SLIDES = ("op", "stride", "dilation")
_POOLS = ("max", "stride", "padding", "dilation", "ceil")

TRACED: dict[str, tuple[str, ...]] = {
    "filter": ("kernel", "mode", "border", "channels", *_SLIDES),
    "pool": ("avg", "count_padding", *_POOLS),
    "unpool": _POOLS,
    "deconv": ("kernel", "padding", "output_padding", *_SLIDES),
    "im2col": ("kernel", "kernel_size", "mode", "border", *_SLIDES),
}
"""What can be traced, by the name of its command, and what each takes."""


class TraceOptions(NamedTuple):
    """What is traced, and how it is done: see `trace`."""

    of: Any = None
    kernel: Any = None
    mode: Any = "same"
    op: Any = "correlate"
    border: Any = "zero"
    stride: Any = None
    dilation: Any = (1, 1)
    channels: Any = None
    max: Any = None
    avg: Any = None
    padding: Any = "valid"
    ceil: Any = False
    count_padding: Any = False
    output_padding: Any = (0, 0)
    kernel_size: Any = None

    def checked(self) -> TraceOptions:
        """Settle what is traced, and refuse what means nothing to it.

        Raises
        ------
        UsageError
        """
        guess = "filter" if self.max is None and self.avg is None else "pool"
        of = guess if self.of is None else one_of("of", self.of, TRACED)
        for name, value in self._asdict().items():
            default = self._field_defaults[name]
            given = value is not None if default is None else value != default
            if given and name not in {"of", *TRACED[of]}:
                raise UsageError(
                    f"`{name}` makes no sense for `of={of}`",
                    hint="it takes " + ", ".join(f"`{word}`" for word in TRACED[of]),
                )
        if self.kernel is None and self.kernel_size is None and "kernel" in TRACED[of]:
            raise UsageError("nothing to trace", hint="`kernel` names one")
        return self._replace(of=of)


def methods() -> list[str]:
    """List the methods that may be asked for; kernels of layers are one matrix product."""
    from cnntool.filters.conv.method import Method

    return [method.value for method in Method if method is not Method.GEMM]
