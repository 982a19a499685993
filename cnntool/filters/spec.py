"""From what the user writes for a kernel to a filter.

======================================  =====================================================
``gaussian``, ``box:9``                 a name, perhaps with parameters in order
``gaussian:sigma=2,size=9``             parameters by name
``1,0,-1;2,0,-2;1,0,-1``                a matrix: commas or spaces, rows by ``;``; fractions
``3x3: 1,0,-1, 2,0,-2, 1,0,-1``         ImageMagick's form: columns x rows, then all weights
``@kernel.csv``, ``@kernel.npy``,       a file: text in any form above, a NumPy array, or
``@kernel.mat``                         libvips' matrix with its header ``W H [scale offset]``
======================================  =====================================================
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnntool.errors import InputError, UsageError
from cnntool.filters import library, nonlinear
from cnntool.filters.kernel import LARGEST_SIDE, Filter, Kernel
from cnntool.filters.registry import ENTRIES, Entry, parse_arguments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnntool.filters.operation import Operation

_BUILDERS = (library, nonlinear)  # whose import fills the registry

_MAGICK = re.compile(r"^(\d{1,9})(?:x(\d{1,9}))?([+-]\d+[+-]\d+)?:\s*(?=[-+.\dn])", re.IGNORECASE)
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


def entries() -> list[Entry]:
    """Return every named filter."""
    return list(ENTRIES.values())


def is_word(text: str) -> bool:
    """Return whether a text is a kernel's name, or a word that people have for kernels."""
    return text.lower() in ENTRIES or text.lower() in _WORDS


def parse(text: str) -> Filter | Operation:
    """Read one kernel specification.

    Parameters
    ----------
    text : str
        Any of the forms in the module's table.

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
        raise UsageError(f"a {width}x{height} kernel has {width * height} weights, got {len(flat)}")
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
        raise UsageError(
            f"the header promises {width}x{height} weights and a scale, found {len(flat)} weights"
        )
    return np.array(flat).reshape(height, width) / scale
