"""What a network's output means: class scores, a picture or a map; with which labels."""

from __future__ import annotations

import shlex
from math import prod
from typing import TYPE_CHECKING

from cnntool.errors import ModelError
from cnntool.nets.labels import LabelSet, read_labels
from cnntool.nets.places import shipped_models
from cnntool.nets.scaling import PASSING, levels
from cnntool.nets.spec import CLASSES, PICTURES, OutputSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.nets.graph import Graph, TensorInfo
    from cnntool.nets.spec import ModelSpec

IMAGENET = {1000, 1001}
"""ImageNet's classes, without and with one before them for what is none."""

COARSEST = 8
"""How many times smaller than the input a map of classes may be; features are smaller still."""

ASPECT = 0.8
"""How far the proportions of a picture that comes out may be from those of what goes in."""


def known(side: int | str | None) -> int | None:
    """Return the length of an axis, or None where the graph leaves it open."""
    return side if isinstance(side, int) and side > 0 else None


def find_output(
    graph: Graph,
    spec: ModelSpec | None,
    name: str,
    assumed: list[str],
    *,
    wanted: str | None = None,
    suits: frozenset[str] = frozenset(),
) -> OutputSpec:
    """Find the tensor that answers, and what it means.

    Parameters
    ----------
    graph : Graph
        The network.
    spec : ModelSpec, optional
        Its manifest, which settles it unless another output is wanted.
    name : str
        What errors call the network.
    assumed : list of str
        Gets what had to be assumed.
    wanted : str, optional
        The output that the user names.
    suits : frozenset of str
        The kinds that the command has a use for; empty if it has one for all.

    Raises
    ------
    ModelError
        When there is no such output, or none that suits. What the outputs are is said, and the
        command that can show one.
    """
    if not graph.outputs:
        raise ModelError("it has no output", source=name)
    names = [tensor.name for tensor in graph.outputs]
    if wanted is not None and wanted not in names:
        raise ModelError(
            f"it has no output {wanted!r}", source=name, hint=f"it has {', '.join(names)}"
        )
    told = spec.output._replace(name=spec.output.name or names[0]) if spec else None
    if told and wanted in {None, told.name}:
        found = [told]
    else:
        found = [meaning(graph, tensor) for tensor in graph.outputs]
    if wanted is not None and len(found) > 1:
        found = [found[names.index(wanted)]]
    place = _choose(graph, found, suits)
    if place is None:
        raise _unsuited(graph, found, suits, name)
    output = found[place]
    if len(found) > 1:
        assumed.append(f"output {output.name}, of {len(found)} (`output_name`)")
    if output.kind == "map" and not told and _behind(graph, output.name or "")[0] != "ArgMax":
        assumed.append("a map of classes as output")
    return output


def meaning(graph: Graph, tensor: TensorInfo) -> OutputSpec:
    """Tell what an output is by its shape and the operator that makes it.

    Parameters
    ----------
    graph : Graph
        The network.
    tensor : TensorInfo
        One of its outputs.
    """
    shape = tensor.shape or ()
    sides = [known(side) for side in shape[1:]]
    op, logits = _behind(graph, tensor.name)
    if tensor.dtype in {"int64", "int32"}:
        op = "ArgMax"
    if sum(side != 1 for side in sides) > 1:
        return OutputSpec(tensor.name, _seen(graph, tensor, op))
    if op == "ArgMax":
        return OutputSpec(tensor.name, "other" if shape else "map")
    if op == "Softmax":
        return OutputSpec(tensor.name, "probabilities", logits=logits)
    if op in {"Sigmoid", "QLinearSoftmax", "QLinearSigmoid"}:
        return OutputSpec(tensor.name, "probabilities")
    one = bool(sides or shape == (1,)) and prod(side or 2 for side in sides) == 1
    return OutputSpec(tensor.name, "other" if one else "logits")


def _behind(graph: Graph, name: str) -> tuple[str, str | None]:
    """Return the operator that gives a tensor its meaning, and what goes into it."""
    node = graph.producer_of.get(name)
    while node is not None and node.op in PASSING and node.inputs:
        node = graph.producer_of.get(node.inputs[0])
    return (node.op, node.inputs[0] if node.inputs else None) if node is not None else ("", None)


def _seen(graph: Graph, tensor: TensorInfo, op: str) -> str:
    """Tell what has sides: a picture, classes or scores for every pixel, or mere numbers.

    Whatever is to be seen has two sides like the picture's that goes in.
    """
    shape = tensor.shape or ()
    planar, packed = _are_sides(graph, shape[-2:]), _are_sides(graph, shape[1:3])
    if len(shape) == 3 and planar:
        if op == "ArgMax" or tensor.dtype == "uint8":
            return "map"
        return "image" if levels(graph, tensor.name) else "other"
    if len(shape) != 4:
        return "other"
    coloured = (planar and shape[1] in {1, 3}) or (packed and shape[3] in {1, 3})
    if coloured and op not in {"ArgMax", "Softmax"}:
        return "image"
    return "map" if planar or packed else "other"


def _are_sides(graph: Graph, sides: Sequence[int | str | None]) -> bool:
    """Tell whether two axes may be rows and columns of what is made of the first picture."""
    for tensor in graph.inputs:
        if tensor.shape is not None and len(tensor.shape) == 4:
            packed = tensor.shape[3] in {1, 3} and tensor.shape[1] not in {1, 3}
            whole = tensor.shape[1:3] if packed else tensor.shape[2:4]
            pairs = zip(map(known, sides), map(known, whole), strict=True)
            scales = [side / length for side, length in pairs if side and length]
            return not scales or min(scales) >= max(1 / COARSEST, ASPECT * max(scales))
    return True


def _choose(graph: Graph, found: Sequence[OutputSpec], suits: frozenset[str]) -> int | None:
    """Choose the output that a command can use: the first, but probabilities before logits.

    Among outputs of other kinds a flat one is not class scores for being flat, unless it scores
    ImageNet's classes: boxes have scores of their own, an autoencoder its code.
    """
    wanted = suits or CLASSES
    places = [place for place, output in enumerate(found) if output.kind in wanted]
    sure = [
        place
        for place in places
        if found[place].kind != "logits" or classes_of(graph, found[place]) in IMAGENET
    ]
    alone = all(output.kind in CLASSES for output in found)
    if sure or (places and (alone or not suits)):
        return (sure or places)[0]
    return None if suits else 0


def _unsuited(
    graph: Graph, found: Sequence[OutputSpec], suits: frozenset[str], name: str
) -> ModelError:
    """Say what the outputs are, and which command can show one."""
    shapes = {tensor.name: f" {shape_text(tensor)}" for tensor in graph.outputs}
    what = ", ".join(
        f"{output.name}{shapes.get(output.name or '', '')}: {WORDS[output.kind]}"
        for output in found
    )
    wanted = "class scores" if suits == CLASSES else "picture"
    choose = ""
    if suits == CLASSES and any(output.kind == "logits" for output in found):
        wanted, choose = "sure class scores", "; `output_name=NAME` takes one for class scores"
    if suits != CLASSES and _choose(graph, found, CLASSES) is not None:
        hint = "try 'cnntool classify'"
    elif suits != PICTURES and _choose(graph, found, PICTURES) is not None:
        hint = "try 'cnntool run'"
    else:
        hint = as_numbers(found[0].name or "")
    return ModelError(f"it gives no {wanted}, but {what}", source=name, hint=hint + choose)


def as_numbers(output: str) -> str:
    """Name the command that shows any output."""
    return f"'cnntool activations `layer={shlex.quote(output)}`' shows its numbers"


WORDS = {
    "probabilities": "class scores",
    "logits": "numbers that may be class scores",
    "image": "a picture",
    "map": "a map of classes",
    "other": "numbers of its own kind",
}
"""What the kinds of outputs are, for people."""


def shape_text(tensor: TensorInfo) -> str:
    """Return a shape for people: ``(1, 3, ?, ?)``."""
    if tensor.shape is None:
        return "of unknown shape"
    return "(" + ", ".join("?" if side is None else str(side) for side in tensor.shape) + ")"


def classes_of(graph: Graph, output: OutputSpec) -> int | None:
    """Return how many classes an output scores, as far as the graph says."""
    for tensor in graph.outputs:
        if tensor.name == output.name and tensor.shape:
            sides = [known(side) for side in tensor.shape[1:]]
            return None if None in sides else prod(side for side in sides if side)
    return None


def guess_labels(
    graph: Graph, output: OutputSpec, assumed: list[str]
) -> tuple[LabelSet | None, bool]:
    """Return the labels that the number of classes suggests, and whether class 0 is background."""
    classes = classes_of(graph, output)
    if classes in IMAGENET:
        after = " after a background class" if classes == 1001 else ""
        assumed.append(f"ImageNet labels{after} (`labels`)")
        return read_labels(shipped_models() / "labels" / "imagenet-1k.tsv"), classes == 1001
    return None, False


def quantised(graph: Graph, name: str) -> tuple[float, float]:
    """Return scale and zero point of an output that a QuantizeLinear makes."""
    node = graph.producer_of.get(name)
    if node is None or node.op != "QuantizeLinear":
        return 1.0, 0.0
    numbers = [float(graph.weights[key].read().reshape(-1)[0]) if key in graph.weights else 0.0
               for key in node.inputs[1:3]]  # fmt: skip
    return numbers[0] or 1.0, numbers[1] if len(numbers) > 1 else 0.0
