"""Names as exporters write them, reduced to what a person would type.

tf2onnx, PyTorch, MXNet, Caffe2, CNTK and the quantisers each decorate names in their own way; what
is left without the decoration is the same.
"""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DECORATION = re.compile(
    r"(:\d+|_[oO]utput_\d+|_fwd|__\d+|_quant(ized|ize)?|_prequant|_dequant(ized|ize)?"
    r"|_(Dequantize|Quantize)Linear(_Output)?)\Z"
)
_SAVED_MODEL = re.compile(r"StatefulPartitionedCall(_\d+)?/")
_COUNTED = re.compile(r"(.+)_(\d{1,9})")
_INSERTED = re.compile(r"(.*__\d+|StatefulPartitionedCall(_\d+)?)(:\d+)?", re.DOTALL)
_WEIGHT = re.compile(
    r"([./](weight|bias|kernel|gamma|beta|running_mean|running_var)|_(weight|bias|gamma|beta)"
    r"|_running_(mean|var)|_[wWbB](_\d+)?)\Z"
)
_LAYERS = 4
"""Decorations that a name may carry, one upon the other."""

_DEEPEST = 16
_LONGEST = 1000
"""Of longer names only the whole counts."""


def plain(name: str) -> str:
    """Take the exporter's decoration off a name.

    Of several names joined by ``;`` the first one counts: it is the one of the result.
    """
    name = name.partition(";")[0].removeprefix("/")
    name = _SAVED_MODEL.sub("", name, count=1) if name.startswith("Stateful") else name
    if len(name) > _LONGEST:
        return name
    for _ in range(_LAYERS):
        name = _DECORATION.sub("", name) or name
    return name


def split_count(part: str) -> tuple[str, int]:
    """Split a scope such as ``conv2d_1_2`` into the name and the number that was put behind it.

    The number is 0, and the name the whole, where there is none.
    """
    found = _COUNTED.fullmatch(part)
    return (found[1], int(found[2])) if found else (part, 0)


def uncounted(name: str) -> str:
    """Take the numbers off the scopes of a plain name that Keras 3 puts there."""
    return "/".join(split_count(part)[0] for part in name.split("/"))


def is_inserted(name: str) -> bool:
    """Tell whether a name is made up by the exporter: it has a number behind ``__``."""
    return _INSERTED.fullmatch(name) is not None


def components(name: str) -> list[str]:
    """Split a plain name into the parts of its path; a very long one is one part."""
    return name.split("/") if len(name) <= _LONGEST else [name]


def common_scopes(names: Iterable[str]) -> int:
    """Count the scopes that all names begin with: the name of the model, as a rule.

    Parameters
    ----------
    names : iterable of str
        Plain ones. Those without a path do not count.
    """
    paths = [components(name) for name in names if "/" in name]
    if len(paths) < 2:
        return 0
    shared = takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False))
    return max(0, min(sum(1 for _ in shared), min(map(len, paths)) - 2))


def shortened(name: str, prefix: int) -> Iterator[str]:
    """Yield a plain name, and what is left of it without the scopes that all names begin with.

    Parameters
    ----------
    name : str
        The name.
    prefix : int
        How many scopes need not be typed, see `common_scopes`.
    """
    parts = components(name)
    for start in range(min(prefix, len(parts) - 1) + 1):
        yield "/".join(parts[start:])


def torch_modules(scopes: Iterable[str]) -> tuple[str, ...]:
    """Turn the scopes of a TorchScript node into modules' paths as PyTorch has them.

    A scope is called after its last name that is no number: those of
    ``/layer1/layer1.0/conv1/Conv`` are ``layer1``, ``layer1.0`` and ``layer1.0.conv1``.
    """
    paths: list[str] = []
    before = path = ""
    for scope in scopes:
        if before and scope.startswith(before + "."):
            path += scope.removeprefix(before)
        else:
            path = f"{path}.{scope}" if path else scope
        before = scope
        paths.append(path)
    return tuple(paths)


def path_scopes(name: str) -> tuple[str, ...]:
    """List the scopes in the path of a node's name, outermost first."""
    return tuple(components(plain(name))[:-1][:_DEEPEST])


def noted_scopes(text: str) -> tuple[str, ...]:
    """List the modules that PyTorch's newer exporter notes with a node, outermost first.

    Parameters
    ----------
    text : str
        A list as Python writes it: ``['', 'features', 'features.19', 'conv2d_8']``. Its last item
        is the node itself.
    """
    items = [item.strip(" '\"") for item in text.strip(" []").split(",")]
    return tuple(filter(None, items[:-1]))[:_DEEPEST]


def owner(weight: str) -> str:
    """Name the module that a weight belongs to, by the weight's name; empty if it does not tell."""
    name = weight.removesuffix(":0").removesuffix("/ReadVariableOp")
    shorter = _WEIGHT.sub("", name)
    return shorter if shorter != name else ""
