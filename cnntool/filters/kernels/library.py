"""The named kernels: one documented function each, registered under its command-line name.

Weights are float64, rows by columns, written for cross-correlation (the kernel is not
flipped), so a derivative is positive where brightness *falls* to the right or downwards, as
in the lectures: Sobel's ``Gx`` is ``1,0,-1;2,0,-2;1,0,-1``.
"""

from __future__ import annotations

import inspect
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import numpy as np

from cnntool.errors import UsageError
from cnntool.filters.kernels.kernel import LARGEST_SIDE, Filter, Kernel

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray


class Operation(NamedTuple):
    """A filter of one map, or of all channels together.

    Attributes
    ----------
    name : str
        As on the command line.
    apply : callable
        Takes the map (H, W) and a border's name; returns a map of the same shape, of the same
        dtype, float or bool.
    luma : bool
        Whether colour pictures are reduced to luma first.
    borders : bool
        Whether a border means anything to it.
    unit : bool
        Whether it needs values on the scale 0..1 rather than the file's own integers.
    joins : bool
        Whether it takes all channels (H, W, C) and makes one map of them, with signed values.
    reach : int or None
        How many rows above and below a value it looks at; None where it needs the whole map.
        With a reach, ``apply`` must pass positive factors on: of twice the map, twice the result.
    """

    name: str
    apply: Callable[[NDArray[Any], str], NDArray[Any]]
    luma: bool = False
    borders: bool = True
    unit: bool = False
    joins: bool = False
    reach: int | None = None


Size = tuple[int, int]
"""Rows and columns, written ``9`` (square) or ``3x5`` on the command line."""

Kind = Literal["smoothing", "derivative", "other", "non-linear"]


class NamedFilter(NamedTuple):
    """One named filter: its builder, what group it belongs to, and its one-line summary."""

    name: str
    kind: Kind
    build: Callable[..., Filter | Operation]
    summary: str

    def parameters(self) -> dict[str, inspect.Parameter]:
        """Return the builder's keywords, in the order in which short values fill them."""
        return dict(inspect.signature(self.build).parameters)

    def signature(self) -> str:
        """Return the parameters as text with their defaults, ``sigma=1.0,size=auto``."""
        return ",".join(
            f"{name}={format_value(p.default)}" for name, p in self.parameters().items()
        )


ENTRIES: dict[str, NamedFilter] = {}


def register(name: str, kind: Kind) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that enters a builder under ``name``; a duplicate raises at import."""

    def enter(build: Callable[..., Any]) -> Callable[..., Any]:
        if name in ENTRIES:
            raise RuntimeError(f"two filters are called {name!r}")
        summary = inspect.getdoc(build) or ""
        ENTRIES[name] = NamedFilter(name, kind, build, summary.partition("\n")[0].replace("``", ""))
        return build

    return enter


def format_value(value: object) -> str:
    """Write a parameter's value as the command line reads it."""
    if value is None:
        return "auto"
    if isinstance(value, tuple):
        rows, columns = value
        return str(rows) if rows == columns else f"{rows}x{columns}"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def parse_arguments(entry: NamedFilter, text: str) -> dict[str, Any]:
    """Read ``9`` or ``sigma=2,size=9`` into keywords of the builder.

    Values without a key fill the parameters in order.

    Raises
    ------
    UsageError
        An unknown or repeated parameter, or a value of the wrong type.
    """
    hints = get_type_hints(entry.build)
    names = list(entry.parameters())
    values: dict[str, Any] = {}
    for position, part in enumerate(filter(None, text.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not names:
            raise UsageError(f"{entry.name} takes no parameters: {part!r}")
        if not equals:
            if position >= len(names):
                raise UsageError(f"{entry.name} takes {len(names)} parameters at most: {part!r}")
            key, value = names[position], key
        if key not in names:
            raise UsageError(
                f"{entry.name} has no parameter {key!r}",
                hint=f"it takes {entry.signature()}",
            )
        if key in values:
            raise UsageError(f"{entry.name} was given {key!r} twice")
        try:
            values[key] = _read(value, hints[key])
        except ValueError as error:
            raise UsageError(f"{entry.name}: {key}={value} is not {error}") from None
    return values


def _read(text: str, hint: Any) -> Any:
    """Read one value as its annotation says; ValueError names what was expected."""
    choices = [a for a in get_args(hint) if a is not type(None)]
    if get_origin(hint) is Literal:
        for choice in choices:
            if str(choice) == text:
                return choice
        raise ValueError("one of " + ", ".join(map(str, choices)))
    if type(None) in get_args(hint):
        return None if text == "auto" else _read(text, choices[0])
    return _read_size(text) if hint == Size else _read_number(text, hint)


def _read_size(text: str) -> Size:
    rows, cross, columns = text.lower().partition("x")
    if not (rows.isdecimal() and (columns.isdecimal() if cross else True)):
        raise ValueError("a size such as 9 or 3x5 (rows x columns)")
    return int(rows), int(columns if cross else rows)


def _read_number(text: str, kind: type[int | float]) -> float:
    try:
        value = kind(text)
    except ValueError:
        raise ValueError("a whole number" if kind is int else "a number") from None
    if not isfinite(value):
        raise ValueError("a finite number")
    return value


def _single(name: str, weights: ArrayLike) -> Filter:
    return Filter((Kernel(np.asarray(weights, np.float64)),), "single", name)


def _derivative(name: str, smoothing: tuple[float, float, float], axis: int | None) -> Filter:
    """Build smoothing across a central difference: along columns (0), rows (1), or both (None)."""
    gx = np.outer(smoothing, (1.0, 0.0, -1.0))
    if axis is None:
        return Filter((Kernel(gx), Kernel(gx.T.copy())), "magnitude", name)
    return _single(name, gx if axis == 0 else gx.T.copy())


def _positive(name: str, value: float) -> float:
    if not 0.001 <= value < 1000:
        raise UsageError(f"{name} must be at least 0.001 and less than 1000, got {value:g}")
    return value


def _checked(size: Size) -> Size:
    if min(size) < 1 or max(size) > LARGEST_SIDE:
        rows, columns = size
        raise UsageError(f"a kernel has 1 to {LARGEST_SIDE} rows and columns, got {rows}x{columns}")
    return size


def _window(size: Size | None, reach: float) -> Size:
    """Return the size asked for, or the odd square that reaches ``reach`` pixels each way."""
    if size is None:
        if reach > LARGEST_SIDE // 2:
            raise UsageError(
                f"the kernel would reach {reach:.4g} pixels each way, {LARGEST_SIDE // 2} at most"
            )
        size = (2 * int(np.ceil(reach)) + 1,) * 2
    return _checked(size)


def _grid(size: Size) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the row and column distance of every tap from the kernel's middle."""
    rows, columns = (np.arange(n, dtype=np.float64) - (n - 1) / 2 for n in size)
    return rows[:, None], columns[None, :]


def _gaussian(sigma: float, size: Size) -> NDArray[np.float64]:
    # Relative to the largest tap, which must not become 0 between the pixels of an even size.
    rows, columns = (np.exp(((d**2).min() - d**2) / (2 * sigma**2)) for d in _grid(size))
    weights: NDArray[np.float64] = rows * columns
    weights /= weights.sum()
    return weights


@register("identity", "other")
def identity() -> Filter:
    """One tap of 1: the picture itself."""
    return _single("identity", [[1.0]])


@register("box", "smoothing")
def box(size: Size = (3, 3)) -> Filter:
    """Mean of a window of ``size``."""
    rows, columns = _checked(size)
    return _single("box", np.full((rows, columns), 1 / (rows * columns)))


@register("gaussian", "smoothing")
def gaussian(sigma: float | None = None, size: Size | None = None) -> Filter:
    """Gaussian blur of deviation ``sigma``; the window reaches 3 sigma unless ``size`` is given.

    Sampled at the pixel centres and normalised to sum 1. With ``size`` alone,
    sigma is (size - 1) / 6; with neither it is 1.
    """
    if sigma is None:
        sigma = 1.0 if size is None else max((max(_checked(size)) - 1) / 6, 0.1)
    return _single("gaussian", _gaussian(_positive("sigma", sigma), _window(size, 3 * sigma)))


@register("motion", "smoothing")
def motion(size: int = 9, angle: float = 0.0) -> Filter:
    """Blur along a line of ``size`` pixels at ``angle`` degrees, counter-clockwise from the right.

    A tap weighs 1 minus its distance from the line, at least 0; the sum is 1.
    """
    length, _ = _checked((size, size))
    rows, columns = _grid((length | 1, length | 1))
    theta = np.deg2rad(angle)
    along = columns * np.cos(theta) - rows * np.sin(theta)
    across = columns * np.sin(theta) + rows * np.cos(theta)
    beyond = np.maximum(np.abs(along) - (length - 1) / 2, 0)
    weights = np.maximum(1 - np.hypot(across, beyond), 0)
    return _single("motion", weights / weights.sum())


@register("sobel", "derivative")
def sobel() -> Filter:
    """Gradient magnitude of the Sobel pair."""
    return _derivative("sobel", (1, 2, 1), None)


@register("sobel-x", "derivative")
def sobel_x() -> Filter:
    """Sobel along columns: 1,0,-1;2,0,-2;1,0,-1."""
    return _derivative("sobel-x", (1, 2, 1), 0)


@register("sobel-y", "derivative")
def sobel_y() -> Filter:
    """Sobel along rows: 1,2,1;0,0,0;-1,-2,-1."""
    return _derivative("sobel-y", (1, 2, 1), 1)


@register("prewitt", "derivative")
def prewitt() -> Filter:
    """Gradient magnitude of the Prewitt pair."""
    return _derivative("prewitt", (1, 1, 1), None)


@register("prewitt-x", "derivative")
def prewitt_x() -> Filter:
    """Prewitt along columns: 1,0,-1 in every row."""
    return _derivative("prewitt-x", (1, 1, 1), 0)


@register("prewitt-y", "derivative")
def prewitt_y() -> Filter:
    """Prewitt along rows: 1;0;-1 in every column."""
    return _derivative("prewitt-y", (1, 1, 1), 1)


@register("scharr", "derivative")
def scharr() -> Filter:
    """Gradient magnitude of the Scharr pair, weights 3,10,3."""
    return _derivative("scharr", (3, 10, 3), None)


@register("scharr-x", "derivative")
def scharr_x() -> Filter:
    """Scharr along columns: 3,0,-3;10,0,-10;3,0,-3."""
    return _derivative("scharr-x", (3, 10, 3), 0)


@register("scharr-y", "derivative")
def scharr_y() -> Filter:
    """Scharr along rows: 3,10,3;0,0,0;-3,-10,-3."""
    return _derivative("scharr-y", (3, 10, 3), 1)


@register("roberts", "derivative")
def roberts() -> Filter:
    """Gradient magnitude of the Roberts cross, two 2x2 diagonals."""
    pair = (Kernel(np.diag([1.0, -1.0])), Kernel(np.fliplr(np.diag([1.0, -1.0])).copy()))
    return Filter(pair, "magnitude", "roberts")


@register("kirsch", "derivative")
def kirsch() -> Filter:
    """Largest response of Kirsch's eight compass kernels, 5,5,5;-3,0,-3;-3,-3,-3 turned."""
    ring = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)]
    kernels = []
    for turn in range(8):
        weights = np.full((3, 3), -3.0)
        weights[1, 1] = 0
        for step in range(3):
            weights[ring[(turn + step) % 8]] = 5
        kernels.append(Kernel(weights))
    return Filter(tuple(kernels), "max", "kirsch")


@register("laplacian", "derivative")
def laplacian(neighbours: Literal[4, 8] = 4) -> Filter:
    """Second derivative over 4 neighbours (0,1,0;1,-4,1;0,1,0) or 8."""
    if neighbours == 4:
        return _single("laplacian", [[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    return _single("laplacian", [[1, 1, 1], [1, -8, 1], [1, 1, 1]])


@register("log", "derivative")
def log(sigma: float = 1.0, size: Size | None = None) -> Filter:
    """Laplacian of a Gaussian; the window reaches 4 sigma unless ``size`` is given.

    (r^2 - 2 sigma^2) / sigma^4 times the normalised Gaussian (Marr and Hildreth, 1980), less as
    much of the Gaussian as makes the sum 0.
    """
    size = _window(size, 4 * _positive("sigma", sigma))
    rows, columns = _grid(size)
    blur = _gaussian(sigma, size)
    weights = (rows**2 + columns**2 - 2 * sigma**2) / sigma**4 * blur
    return _single("log", weights - weights.sum() * blur)


@register("dog", "derivative")
def dog(low: float = 1.0, high: float | None = None) -> Filter:
    """Difference of Gaussians ``low`` minus ``high`` (1.6 times ``low`` unless given)."""
    high = 1.6 * _positive("low", low) if high is None else high
    if _positive("high", high) <= _positive("low", low):
        raise UsageError(f"dog: high must be more than low, got {high:g} and {low:g}")
    size = _window(None, 4 * high)
    return _single("dog", _gaussian(low, size) - _gaussian(high, size))


@register("gabor", "derivative")
def gabor(
    frequency: float = 0.1,
    angle: float = 0.0,
    bandwidth: float = 1.0,
    part: Literal["magnitude", "real", "imaginary"] = "magnitude",
) -> Filter:
    """Gabor wave of ``frequency`` cycles per pixel at ``angle`` degrees under a Gaussian.

    The Gaussian's sigma follows from the bandwidth in octaves,
    sqrt(ln 2 / 2) / pi * (2^b + 1) / (2^b - 1) / frequency (Petkov and Kruizinga, 1997);
    the window reaches 3 sigma.
    """
    if not 0 < frequency <= 0.5:
        raise UsageError(f"gabor: frequency is above 0 and at most 0.5, got {frequency:g}")
    octaves = 2.0 ** _positive("bandwidth", bandwidth)
    sigma = np.sqrt(np.log(2) / 2) / np.pi * (octaves + 1) / (octaves - 1) / frequency
    rows, columns = _grid(_window(None, 3 * sigma))
    theta = np.deg2rad(angle)
    along = columns * np.cos(theta) + rows * np.sin(theta)
    envelope = np.exp(-(rows**2 + columns**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    parts = {
        "real": Kernel(envelope * np.cos(2 * np.pi * frequency * along)),
        "imaginary": Kernel(envelope * np.sin(2 * np.pi * frequency * along)),
    }
    if part == "magnitude":
        return Filter(tuple(parts.values()), "magnitude", "gabor")
    return Filter((parts[part],), "single", "gabor")


@register("sharpen", "other")
def sharpen(amount: float = 1.0) -> Filter:
    """Picture minus ``amount`` times its Laplacian: 0,-1,0;-1,5,-1;0,-1,0."""
    cross = np.array([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    centre = np.zeros((3, 3))
    centre[1, 1] = 1
    return _single("sharpen", centre - _positive("amount", amount) * cross)


@register("unsharp", "other")
def unsharp(sigma: float = 1.0, amount: float = 1.0, size: Size | None = None) -> Filter:
    """Unsharp mask: the picture plus ``amount`` times what a Gaussian blur removes."""
    rows, columns = _window(size, 3 * _positive("sigma", sigma))
    if not (rows % 2 and columns % 2):
        raise UsageError(f"unsharp needs odd sizes, got {rows}x{columns}")
    weights = -_positive("amount", amount) * _gaussian(sigma, (rows, columns))
    weights[rows // 2, columns // 2] += 1 + amount
    return _single("unsharp", weights)


@register("emboss", "other")
def emboss() -> Filter:
    """Relief lit from the upper left: -2,-1,0;-1,1,1;0,1,2."""
    return _single("emboss", [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
