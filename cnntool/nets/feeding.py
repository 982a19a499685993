"""What goes into a network and comes out, and whether arrays fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnntool.nets.graph import TensorInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_TYPES = {"float": "float32", "double": "float64"}


def tensors(
    described: Sequence[tuple[str, str, list[int | str | None]]],
) -> tuple[TensorInfo, ...]:
    """Turn the worker's description of inputs or outputs into ours.

    Parameters
    ----------
    described : sequence of (name, type, shape)
        The type in onnxruntime's words, ``tensor(float)``; of what is no tensor, ours is empty.
    """
    infos = []
    for name, kind, shape in described:
        word = kind.removeprefix("tensor(").removesuffix(")") if kind.startswith("tensor(") else ""
        # onnxruntime tells no shape and the shape of a single number alike.
        extents = tuple(shape) if shape and word else None
        infos.append(TensorInfo(name, _TYPES.get(word, word), extents))
    return tuple(infos)


def misfit(info: TensorInfo, array: NDArray[Any]) -> str:
    """Say how an array differs from what an input takes; empty if it does not."""
    shape = info.shape
    fits = shape is None or (
        len(shape) == array.ndim
        and all(not isinstance(w, int) or w == h for w, h in zip(shape, array.shape, strict=True))
    )
    if fits and info.dtype == array.dtype.name:
        return ""
    wanted = "" if shape is None else f" ({', '.join('?' if e is None else str(e) for e in shape)})"
    return (
        f"its input {info.name!r} takes {info.dtype or 'no array'}{wanted}, "
        f"not {array.dtype.name} ({', '.join(map(str, array.shape))})"
    )
