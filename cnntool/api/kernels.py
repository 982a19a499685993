"""Kernels in whatever form people have them: names, text, files, arrays, layers of networks.

======================================  =====================================================
``gaussian``, ``box:9``                 a name, perhaps with parameters in order
``gaussian:sigma=2,size=9``             parameters by name
``1,0,-1;2,0,-2;1,0,-1``                a matrix: commas or spaces, rows by ``;``; fractions
``3x3: 1,0,-1, 2,0,-2, 1,0,-1``         ImageMagick's form: columns x rows, then all weights
``@kernel.csv``, ``@kernel.npy``,       a file: text in any form above, a NumPy array, or
``@kernel.mat``                         libvips' matrix with its header ``W H [scale offset]``
``vgg16-mini:block1_conv1[12]``         what a network has learned: a kernel of a layer
======================================  =====================================================
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.api import arguments
from cnntool.api.records import Records
from cnntool.errors import InputError, ModelError, UsageError
from cnntool.filters import nonlinear  # enters its filters beside those of the library
from cnntool.filters.kernels.kernel import LARGEST_SIDE, ConvLayer, Filter, Kernel
from cnntool.filters.kernels.library import ENTRIES, Operation, parse_arguments
from cnntool.shapes.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    from cnntool.api.pictures import Figure
    from cnntool.filters.kernels.kernel import Weights

    KernelLike: TypeAlias = str | NDArray[Any] | Sequence[Any] | Filter | ConvLayer | Operation


MOST_WEIGHTS = 2**26
"""Weights of a layer: half a gigabyte."""

_MAGICK = re.compile(r"^(\d{1,9})(?:x(\d{1,9}))?([+-]\d+[+-]\d+)?:\s*(?=[-+.\dn])", re.IGNORECASE)
_LEARNED = re.compile(
    r"(?P<model>.+?\.onnx|[^:]+):(?P<layer>.+)\[(?P<which>[\d\s,]+)\]", re.IGNORECASE
)
_WORDS = {
    word: kernels.split()
    for kernels, words in {
        "sobel canny laplacian": "edge edges outline outlines contour contours",
        "sobel scharr prewitt": "gradient gradients derivative magnitude",
        "gaussian box median": "blur blurring smooth smoothing soften lowpass",
        "laplacian unsharp": "highpass",
        "sharpen unsharp": "sharp sharper sharpness",
        "median bilateral gaussian": "noise denoise despeckle",
        "box": "mean average averaging",
        "otsu": "threshold thresholding binary binarize binarise",
        "dilate": "dilation grow thicken",
        "erode": "erosion shrink thin",
        "open": "opening",
        "close": "closing",
        "emboss": "relief bump",
        "log dog": "blob blobs marr ricker",
        "gabor": "texture wavelet",
        "identity": "none copy unit delta",
    }.items()
    for word in words.split()
}
"""The kernels that are meant by the words that people search for."""

_TOO_LARGE = 16 * 1024 * 1024
_SIDES = range(1, LARGEST_SIDE + 1)


class KernelEntry(NamedTuple):
    """A kernel that has a name.

    Attributes
    ----------
    name : str
    kind : {'smoothing', 'derivative', 'other', 'non-linear'}
    parameters : str
        With their defaults, as they follow the name: ``sigma=1.0,size=auto``.
    summary : str
    """

    name: str
    kind: str
    parameters: str
    summary: str


def kernels() -> Records[KernelEntry]:
    """List every kernel that has a name, in groups.

    Examples
    --------
    >>> [entry.name for entry in cnntool.kernels() if entry.kind == "smoothing"]
    ['box', 'gaussian', 'motion']
    """
    return Records(KernelEntry(e.name, e.kind, e.signature(), e.summary) for e in ENTRIES.values())


def read_kernel(kernel: KernelLike, parameter: str = "kernels") -> Filter | ConvLayer | Operation:
    """Read a kernel.

    Parameters
    ----------
    kernel : str or array_like
        A text as `parse` takes it, ``MODEL:LAYER[12]`` for what a network has
        learned, or numbers: (rows, columns), or (maps, channels, rows, columns) and (channels,
        rows, columns), whose kernels add up over all channels.
    parameter : str
        What errors call it.

    Raises
    ------
    UsageError
        What makes no kernel.
    InputError
        A kernel file that cannot be read.
    ModelError
        There is no such network, layer or channel.
    """
    if isinstance(kernel, (Filter, ConvLayer, Operation)):
        return kernel
    if isinstance(kernel, str):
        return read_learned(kernel) or read_layer(kernel) or parse(kernel)
    if not (isinstance(kernel, (list, tuple)) or hasattr(kernel, "__array__")):
        raise arguments.wrong_type(parameter, kernel, "a kernel's name, or an array of weights")
    try:
        array = np.asarray(kernel)
    except ValueError:  # rows of different lengths
        array = np.empty(0, object)
    if array.dtype.kind not in "biuf":
        raise UsageError("a kernel must be a matrix of numbers", source=f"`{parameter}`")
    if array.ndim in {3, 4}:
        return ConvLayer(array if array.ndim == 4 else array[None])
    return Filter((Kernel(array),))


def read_filter(kernel: KernelLike, parameter: str = "kernel") -> Filter | Operation:
    """Read a kernel for each channel by itself; see `read_kernel`.

    Raises
    ------
    UsageError
        The kernels of a layer, and what `read_kernel` refuses.
    """
    if isinstance(kernel, str):
        return read_learned(kernel) or parse(kernel)
    item = read_kernel(kernel, parameter)
    if isinstance(item, ConvLayer):
        raise UsageError(
            f"a kernel must be a matrix, not an array of shape {item.weights.shape}",
            source=f"`{parameter}`",
        )
    return item


def read_convolution(kernel: KernelLike, why: str) -> Filter:
    """Read a kernel that must be a convolution of each channel.

    Parameters
    ----------
    kernel : str or array_like
        See `read_kernel`.
    why : str
        What is wrong with others: "there is nothing to trace".

    Raises
    ------
    UsageError
        A non-linear filter, and what `read_kernel` refuses.
    """
    item = parse(kernel) if isinstance(kernel, str) else read_filter(kernel)
    if not isinstance(item, Filter):
        raise UsageError(f"{item.name} is no convolution: {why}")
    return item


def only_kernel(kernel: KernelLike, why: str) -> Kernel:
    """Read a kernel that must be one.

    Raises
    ------
    UsageError
        A pair such as Sobel's, and what `read_convolution` refuses.
    """
    item = read_convolution(kernel, why)
    if len(item.kernels) > 1:
        raise UsageError(
            f"{item.name} is {len(item.kernels)} kernels, one is needed",
            hint="take one of them, such as sobel-x; 'cnntool kernels show' prints them",
        )
    return item.kernels[0]


def laid_on(kernel: Kernel, op: str) -> Weights:
    """Return the weights as they are laid on the input: flipped for a true convolution."""
    return (kernel.flipped() if op == "convolve" else kernel).weights


def facts(kernel: Kernel) -> dict[str, Any]:
    """Collect what is known of a kernel, ready for JSON."""
    from cnntool.filters.kernels.response import gains, rank_errors

    height, width = kernel.shape
    pairs = kernel.separate() if kernel.rank < 2 else [_upright(p) for p in kernel.separate()]
    singular = np.linalg.svd(kernel.weights, compute_uv=False)
    singular[singular < singular.max() * 1e-12] = 0
    return {
        "shape": [height, width],
        "weights": kernel.weights.tolist(),
        "sum": 0.0 if kernel.is_zero_sum else kernel.sum,
        "rank": kernel.rank,
        "singular_values": singular.tolist(),
        "factors": [{"column": c.tolist(), "row": r.tolist()} for c, r in pairs],
        "multiplies": height * width,
        "multiplies_separable": len(pairs) * (height + width),
        "rank_errors": rank_errors(kernel),
        "response": gains(kernel),
    }


def _upright(pair: tuple[Weights, Weights]) -> tuple[Weights, Weights]:
    """Make the largest of a row positive: the singular value decomposition leaves it open."""
    column, row = pair
    return (-column, -row) if row[abs(row).argmax()] < 0 else pair


def is_word(text: str) -> bool:
    """Return whether a text is a kernel's name, or a word that people have for kernels."""
    return text.lower() in ENTRIES or text.lower() in _WORDS


def with_parameters(spec: str) -> str:
    """Return a kernel's specification as a title: with its parameters, if only to say the usual.

    Parameters
    ----------
    spec : str
        As for `read_kernel`.
    """
    name = spec.strip().lower()
    if name not in ENTRIES or not (usual := ENTRIES[name].signature()):
        return spec
    return f"{name}:{usual}"


def frequency_response(kernel: KernelLike) -> Figure:
    """Draw which waves a kernel lets through: the magnitude of its response by frequency.

    Parameters
    ----------
    kernel : str or array_like
        A convolution, see `cnntool.filter`. A pair such as Sobel's is two pictures.

    Returns
    -------
    Figure
        0 is in the middle; half a cycle a pixel, the fastest wave that pixels can hold, at the
        edges.

    Raises
    ------
    UsageError
        What is no convolution.

    Examples
    --------
    >>> cnntool.frequency_response("gaussian:sigma=2")
    <Figure of 441 rows x 501 columns>
    """
    from cnntool.api.pictures import Figure
    from cnntool.filters.kernels.response import response
    from cnntool.views.frequency_response import SIDE, picture

    item = read_convolution(kernel, "it has no response")
    spec = kernel if isinstance(kernel, str) else item.name
    title, _, facts = with_parameters(spec).partition(":")
    count = len(item.kernels)
    names = [
        f"{title}, kernel {number} of {count}\n{facts}" if count > 1 else f"{title}\n{facts}"
        for number in range(1, count + 1)
    ]
    sizes = [response(one, SIDE) for one in item.kernels]
    return Figure(picture(list(zip(names, sizes, strict=True))))


def parse(text: str) -> Filter | Operation:
    """Read one kernel specification.

    Parameters
    ----------
    text : str
        Any of the forms in the module's table but the last.

    Returns
    -------
    Filter or Operation
        What to apply.

    Raises
    ------
    UsageError
        An unknown name or parameter, or weights that make no kernel.
    InputError
        A kernel file that cannot be read.
    """
    text = text.strip()
    if not text:
        raise UsageError("an empty kernel", hint="see 'cnntool kernels' for the names")
    if text.startswith("@"):
        return _from_file(text[1:])
    if text[0] in "+-.0123456789":
        return Filter((Kernel(parse_matrix(text)),), "single", "custom")
    name, _, arguments = text.partition(":")
    entry = ENTRIES.get(name.strip().lower())
    if entry is None:
        raise UsageError(f"no kernel is called {name!r}", hint=_suggestion(name))
    return entry.build(**parse_arguments(entry, arguments))


def _suggestion(name: str) -> str:
    """Say which kernels may have been meant: those of a word for them, and of similar names."""
    from difflib import get_close_matches

    word = name.strip().lower()
    written = re.fullmatch(r"([a-z-]+?)[\s=(-]*(\d[^)]*)\)?", word)
    if written and written[1] in ENTRIES:
        return f"parameters follow a colon: {written[1]}:{written[2]}"
    if "." in name or "/" in name:
        return f"a file is written @{name}"
    near: list[str] = []
    for part in dict.fromkeys([word, *re.split(r"[\W_]+", word)]):
        known = part in _WORDS or part in ENTRIES
        near += [part] if known else get_close_matches(part, [*ENTRIES, *_WORDS], n=3)
    meant = list(dict.fromkeys(kernel for one in near for kernel in _WORDS.get(one, [one])))
    if meant:
        return f"did you mean {', '.join(meant[:4])}? 'cnntool kernels' lists all"
    return "'cnntool kernels' lists all; a file is written @FILE"


def parse_matrix(text: str, *, gap: float = 0.0) -> NDArray[np.float64]:
    """Read a matrix in text: plain, or ImageMagick's ``WxH:`` form.

    Parameters
    ----------
    text : str
        Weights by commas or spaces, rows by ``;`` or newlines.
    gap : float
        What ImageMagick's ``-`` and ``nan`` stand for: no tap.

    Returns
    -------
    ndarray (rows, columns) of float64

    Raises
    ------
    UsageError
        Rows of different lengths, or something that is no number.
    """
    magick = _MAGICK.match(text)
    if magick is None:
        rows = [row for row in re.split(r"[;\n]", text) if row.strip()]
        if not rows:
            raise UsageError("there are no numbers in it")
        values = [_numbers(row, gap) for row in rows]
        lengths = {len(row) for row in values}
        if len(lengths) > 1:
            raise UsageError(f"rows differ in length: {sorted(lengths)}")
        return np.array(values)
    width, height = int(magick[1]), int(magick[2] or magick[1])
    if magick[3] not in (None, f"+{(width - 1) // 2}+{(height - 1) // 2}"):
        raise UsageError(
            f"kernel origin {magick[3]} is not the middle",
            hint="pad the kernel with zeros until its origin is the middle",
        )
    flat = _numbers(text[magick.end() :].replace(";", " "))
    if len(flat) != width * height:
        raise UsageError(
            f"a {width}x{height} kernel has {counted(width * height, 'weight')}, got {len(flat)}"
        )
    return np.array(flat).reshape(height, width)


def _numbers(row: str, gap: float = 0.0) -> list[float]:
    return [_number(token, gap) for token in re.split(r"\s*,\s*|\s+", row.strip(" ,\t\r\n"))]


def _number(token: str, gap: float) -> float:
    """Read a weight; ``1/9`` is a fraction."""
    if not token:
        raise UsageError("a weight is missing")
    if token in {"-", "nan"}:
        return gap
    above, slash, below = token.replace("_", "?").partition("/")
    try:
        return float(above) / float(below) if slash else float(above)
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"{token!r} is not a number") from None


def parse_vector(text: str) -> NDArray[np.float64]:
    """Read numbers in one row or column, or ``@FILE`` that holds such an array.

    Raises
    ------
    UsageError
        What is no number or not finite, or several rows of several.
    InputError
        A file that cannot be read.
    """
    nan = float("nan")
    file = text.startswith("@")
    array = _read_file(text[1:], "vector", nan) if file else parse_matrix(text, gap=nan)
    if array.size != max(array.shape, default=1):
        raise UsageError(f"one row of numbers is needed, not an array of shape {array.shape}")
    if not np.isfinite(array).all():
        raise UsageError("the numbers must be finite")
    return array.reshape(-1)


def _from_file(name: str) -> Filter:
    weights = _read_file(name, "kernel")
    if weights.ndim in {3, 4}:
        raise InputError(
            f"a kernel must be a matrix, not an array of shape {weights.shape}",
            source=name,
            hint="'cnntool filter' and 'cnntool im2col' take the kernels of a layer",
        )
    try:
        return Filter((Kernel(weights),), "single", Path(name).stem)
    except UsageError as error:
        raise InputError(error.message, source=name, hint=error.hint) from None


def _read_file(name: str, what: str, gap: float = 0.0) -> NDArray[np.float64]:
    try:
        with Path(name).open("rb") as file:
            data = file.read(_TOO_LARGE + 1)
    except OSError as error:
        raise InputError(f"cannot read the {what}: {error.strerror}", source=name) from None
    if len(data) > _TOO_LARGE:
        raise InputError(f"too large for a {what}", source=name)
    try:
        if data.startswith(b"\x93NUMPY"):
            return _from_npy(data)
        lines = data.decode("utf-8-sig").strip()
        lines = re.sub(r"(?m)^[ \t]*#.*$", "", lines).strip()
        if name.lower().endswith(".mat"):
            return _from_vips(lines)
        return parse_matrix(lines, gap=gap)
    except UnicodeDecodeError:
        raise InputError(
            f"not a {what}", source=name, hint=f"a {what} file is text, .npy or libvips' .mat"
        ) from None
    except UsageError as error:
        raise InputError(error.message, source=name, hint=error.hint) from None


def _from_npy(data: bytes) -> NDArray[np.float64]:
    from io import BytesIO

    try:
        array = np.load(BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, TypeError, MemoryError):
        array = None
    if array is None or array.dtype.kind not in "biuf":
        raise UsageError("not an array of real numbers")
    return np.asarray(array, np.float64)


def _from_vips(text: str) -> NDArray[np.float64]:
    """Read libvips' matrix: ``width height [scale offset]``, then the rows."""
    header, _, body = text.partition("\n")
    facts = _numbers(header)
    if len(facts) not in {2, 4} or any(f not in _SIDES for f in facts[:2]):
        raise UsageError("a .mat kernel begins with 'width height' or 'width height scale offset'")
    scale, offset = facts[2:] or (1.0, 0.0)
    if offset:
        raise UsageError(
            f"offset {offset:g} is no part of a convolution",
            hint="set it to 0; `range=center` puts zero on mid-grey",
        )
    width, height = int(facts[0]), int(facts[1])
    flat = _numbers(body.replace(";", " "))
    if scale == 0 or len(flat) != width * height:
        found = counted(len(flat), "weight")
        raise UsageError(f"the header promises {width}x{height} weights and a scale, found {found}")
    return np.array(flat).reshape(height, width) / scale


def read_layer(spec: str) -> ConvLayer | None:
    """Read ``@FILE.npy``, if the array has 4 axes, or 3 for a single map.

    Parameters
    ----------
    spec : str
        What the user wrote for a kernel.

    Returns
    -------
    ConvLayer or None
        None for anything else: `parse` reads it, or says what is wrong.

    Raises
    ------
    InputError
        An array that is too large, or what `ConvLayer` refuses.
    """
    name = spec.strip().removeprefix("@")
    if not (spec.strip().startswith("@") and name.lower().endswith(".npy")):
        return None
    try:
        array = np.load(name, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if not isinstance(array, np.ndarray) or array.ndim not in {3, 4} or not array.size:
        return None
    if array.dtype.kind not in "biuf":
        return None
    if array.size > MOST_WEIGHTS:
        raise InputError("too large for a kernel", source=name)
    try:
        return ConvLayer(array if array.ndim == 4 else array[None], Path(name).stem)
    except UsageError as error:
        raise InputError(error.message, source=name) from None


def _layer_and_channels(text: str) -> tuple[str, str, int, int | None]:
    """Split the name of a learned kernel: network, layer, output and perhaps input channel."""
    match = _LEARNED.fullmatch(text.strip())
    numbers = [part.strip() for part in match["which"].split(",")] if match else []
    if match is None or not 1 <= len(numbers) <= 2 or not all(map(str.isdecimal, numbers)):
        learned = "such as vgg16-mini:block1_conv1[12], or [12,0] for one input channel"
        raise UsageError(
            f"{text.strip()!r} names no learned kernel",
            hint="a matrix is written 0,1,0;1,-4,1;0,1,0" if text.lstrip()[:1] == "[" else learned,
        )
    channel = int(numbers[1]) if len(numbers) > 1 else None
    return match["model"], match["layer"], int(numbers[0]), channel


def learned_name(text: str) -> str:
    """Return what a learned kernel is called in the name of a result: ``block1_conv1-12``."""
    from cnntool.api.activations import safe

    _, layer, output, _ = _layer_and_channels(text)
    return f"{safe(layer)}-{output}"


def read_learned(text: str) -> Filter | Operation | None:
    """Read a kernel that a network has learned.

    Parameters
    ----------
    text : str
        ``MODEL:LAYER[OUTPUT]``, or ``[OUTPUT,INPUT]`` for one input channel.

    Returns
    -------
    Filter, Operation or None
        Where the inputs are the picture's colours, each colour has its own weights and the
        results are added. Of deeper layers the mean over the input channels is taken. None for
        what does not end with a bracket.

    Raises
    ------
    UsageError
        When this is no such specification.
    ModelError
        When there is no such network, layer, or channel.
    """
    if not text.rstrip().endswith("]"):
        return None
    from cnntool.nets.inference.presets import Overrides
    from cnntool.nets.network import Network
    from cnntool.nets.runtime.providers import SessionSettings

    name, layer, output, channel = _layer_and_channels(text)
    model = Network(name, Overrides(), SessionSettings()).read()
    found = model.learned(model.layer(layer))
    if not found.is_kernels:
        raise ModelError(f"{layer!r} is a dense layer: its weights are no kernel", source=name)
    outputs, inputs = found.values.shape[:2]
    for number, count, what in (
        (output, outputs, "kernel"),
        (channel or 0, inputs, "input channel"),
    ):
        if number >= count:
            raise ModelError(
                f"{layer!r} has no {what} {number}: there are {count} (0 to {count - 1})",
                source=name,
            )
    kernel = found.values[output].astype(float)
    if channel is None and found.colours:
        first, _ = model.colour_order()
        return nonlinear.colour_filter(kernel[::-1] if first == "BGR" else kernel, text.strip())
    plane = kernel.mean(axis=0) if channel is None else kernel[channel]
    return Filter((Kernel(plane),), "single", text.strip(), signed=True)
