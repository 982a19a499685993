"""Scaling inside a graph: what it says of the numbers that go in, and of pictures that come out."""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.nets.inference.presets import CAFFE_MEAN, RECIPES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnntool.nets.file.graph import Graph, Node

    Scale = tuple[NDArray[np.float64], NDArray[np.float64]]
    """Two numbers for each colour: factor and offset, or mean and deviation."""

_QUANTISING = {"QuantizeLinear", "DequantizeLinear"}

PASSING = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast", "Transpose",
           "Dropout", *_QUANTISING}  # fmt: skip
"""Operators that hand numbers on without changing what they mean."""

KERAS = (
    ("block2_sepconv1", "Xception", "tf"),
    ("block[1-5]_conv1", "VGG", "caffe"),
    ("conv2_block1_concat", "DenseNet", "torch"),
    ("conv2_block1_preact_(bn|relu)", "ResNetV2", "tf"),
    ("conv2_block1_[123]_conv", "ResNet", "caffe"),
    ("conv_(pw|dw)_1", "MobileNet", "tf"),
    ("block_1_expand|expanded_conv_depthwise", "MobileNetV2", "tf"),
    ("mixed_5b|block35_1_mixed", "InceptionResNetV2", "tf"),
    ("mixed[0-9]|mixed10", "Inception", "tf"),
    ("(normal|reduction)_conv_1_.*", "NASNet", "tf"),
)
"""Layers by which the networks of ``keras.applications`` that leave scaling to the caller are
known, and the ``mode`` of their ``preprocess_input``; the first that is found holds."""

_STEPS = 32
_WHOLE = 8
"""Means and deviations beyond this are of colours on the scale 0..255."""

_NUMBERS = {"flo", "bfl", "int", "uin"}

_SPREADING = PASSING | {"Resize", "Upsample", "DepthToSpace", "SpaceToDepth", "Slice", "Crop",
                        "MaxPool", "AveragePool"}  # fmt: skip
"""Operators whose results lie where their input does."""

_BOUNDED = {
    "Sigmoid": (0.0, 1.0),
    "HardSigmoid": (0.0, 1.0),
    "Softmax": (0.0, 1.0),
    "QLinearSigmoid": (0.0, 1.0),
    "QLinearSoftmax": (0.0, 1.0),
    "Tanh": (-1.0, 1.0),
}


class Opening(NamedTuple):
    """What a graph does to its input before anything else.

    Parameters
    ----------
    factor, offset : ndarray of shape (3,)
        It makes ``value * factor + offset`` of every colour, in the order of the input.
    turned : bool
        Whether it turns the order of the colours round.
    seen : (ndarray, ndarray) or None
        Mean and deviation of what it was trained on, where it begins with a batch norm.
    holds : (float, float) or None
        The least and the largest number that the input can hold, where it is first quantised.
    """

    factor: NDArray[np.float64]
    offset: NDArray[np.float64]
    turned: bool = False
    seen: Scale | None = None
    holds: tuple[float, float] | None = None

    @property
    def recipe(self) -> str | None:
        """The recipe that makes the numbers which these operators suit; None if they suit any."""
        if self.holds:
            return _held(*self.holds)
        if self.seen:
            return _trained_on(*(float(np.mean(numbers)) for numbers in self.seen))
        with np.errstate(all="ignore"):
            mean, deviation = self.mean, np.abs(1 / self.factor)
        largest = max(np.abs(mean).max(), deviation.max())
        recipe = None
        if _WHOLE < largest < np.inf:
            recipe = "raw"
        elif np.allclose(mean, -1, atol=0.1) and np.allclose(deviation, 2, atol=0.1):
            recipe = "tf"
        elif (abs(mean - 0.5) < 0.3).all() or deviation.max() * 50 < 1:
            recipe = "unit"
        return recipe

    @property
    def mean(self) -> NDArray[np.float64]:
        """What these operators take off, in the input's own numbers."""
        with np.errstate(all="ignore"):
            return np.asarray(-self.offset / self.factor)

    @property
    def blue_first(self) -> bool:
        """Whether the means are those of ImageNet's colours with blue, the lowest, first."""
        return any(np.allclose(self.mean * white, CAFFE_MEAN, atol=1.5) for white in (1, 255))


def opening(graph: Graph, name: str) -> Opening:
    """Follow an input through the operators that scale it, up to the first one that does more.

    Parameters
    ----------
    graph : Graph
        The network.
    name : str
        Its input.
    """
    found, quantised, tensor = Opening(np.ones(3), np.zeros(3)), False, name
    for _ in range(_STEPS):
        nodes = [node for node in graph.consumers.get(tensor, ()) if node.op != "Shape"]
        if len(nodes) != 1 or not nodes[0].outputs:
            break
        node = nodes[0]
        step = None if quantised else _affine(graph, node, tensor)
        if node.op in _QUANTISING and quantised != (node.op == "QuantizeLinear"):
            # What is rounded and taken back is what it was; what stays whole stands for it.
            quantised = not quantised
            if quantised and tensor == name:
                found = found._replace(holds=_range(graph, node))
        elif step is not None:
            with np.errstate(all="ignore"):
                factor, offset = (number[::-1] if found.turned else number for number in step)
                found = found._replace(
                    factor=found.factor * factor, offset=found.offset * factor + offset
                )
        elif node.op == "BatchNormalization":
            mean, variance = (_constant(graph, name) for name in (*node.inputs, "", "")[3:5])
            if mean is not None and variance is not None:
                with np.errstate(all="ignore"):
                    seen = (mean - found.offset) / found.factor, variance**0.5 / found.factor
                found = found._replace(seen=seen)
            break
        elif _turns(graph, node):
            found = found._replace(turned=not found.turned)
        elif node.op not in PASSING - _QUANTISING and node.op != "Pad":
            break
        tensor = node.outputs[0]
    return found


def _range(graph: Graph, node: Node) -> tuple[float, float] | None:
    """Return what 8 bits without a sign can hold, by the scale and zero point of a node."""
    scale, zero = (_constant(graph, name) for name in (*node.inputs, "", "")[1:3])
    if scale is None or zero is None or graph.weights[node.inputs[2]].dtype != "uint8":
        return None
    return float(-zero[0] * scale[0]), float((255 - zero[0]) * scale[0])


def _held(low: float, high: float) -> str | None:
    """Tell a recipe by the range of its numbers, as calibration on photos finds it."""
    for recipe in RECIPES:
        white, mean, deviation = (
            np.array(RECIPES[recipe][k]) for k in ("white", "mean", "deviation")
        )
        ends = (-mean / deviation).min(), ((white - mean) / deviation).max()
        if np.allclose((low, high), ends, rtol=0, atol=0.05 * (ends[1] - ends[0])):
            return recipe
    return None


def _trained_on(mean: float, deviation: float) -> str | None:
    """Tell a recipe by what its numbers are like over many photos."""
    if deviation > _WHOLE:
        return "raw" if mean > 50 else None
    for recipe, middle, low, high in (
        ("unit", 0.45, 0.15, 0.35),
        ("tf", -0.1, 0.35, 0.65),
        ("imagenet", 0.0, 0.65, 1.5),
    ):
        if abs(mean - middle) < 0.35 and low < deviation < high:
            return recipe
    return None


def _constant(graph: Graph, name: str) -> NDArray[np.float64] | None:
    """Read a constant of one number, or of one for each colour."""
    weight = graph.weights.get(name)
    if weight is None or prod(weight.shape) not in {1, 3} or weight.dtype[:3] not in _NUMBERS:
        return None
    return np.broadcast_to(weight.read().astype(np.float64).reshape(-1), 3)


def _affine(graph: Graph, node: Node, tensor: str) -> Scale | None:
    """Return how a node scales a tensor; None where it does something else."""
    if node.op in {"ImageScaler", "Affine"}:
        return _old_affine(node)
    given = [name for name in node.inputs if name]
    constants = [_constant(graph, name) for name in given if name != tensor]
    if len(constants) + 1 != len(given):
        return None
    one, zero = np.ones(3), np.zeros(3)
    first = constants[0] if constants else one
    point = constants[1] if len(constants) > 1 else zero
    if first is None or point is None:
        return None
    turned = node.inputs[0] != tensor
    with np.errstate(all="ignore"):
        scales = {
            "Add": (one, first),
            "Sub": (-one, first) if turned else (one, -first),
            "Mul": (first, zero),
            "Div": None if turned else (1 / first, zero),
            "Neg": (-one, zero),
            "DequantizeLinear": None if turned else (first, -first * point),
        }
    return scales.get(node.op)


def _old_affine(node: Node) -> Scale | None:
    """Read operators from before the standard, whose numbers are attributes."""
    keys = ("scale", "bias") if node.op == "ImageScaler" else ("alpha", "beta")
    numbers = [np.ravel(node.attribute(*pair)) for pair in zip(keys, (1.0, 0.0), strict=True)]
    if any(n.size not in {1, 3} or n.dtype.kind not in "fi" for n in numbers):
        return None
    return numbers[0] * np.ones(3), numbers[1] * np.ones(3)


def _turns(graph: Graph, node: Node) -> bool:
    """Tell whether a node turns the order of the colours round."""
    if node.op == "Gather" and len(node.inputs) == 2:
        number = _constant(graph, node.inputs[1])
        return number is not None and number.tolist() == [2, 1, 0]
    if node.op == "Slice" and len(node.inputs) == 5:
        step = _constant(graph, node.inputs[4])
        return step is not None and bool((step == -1).all())
    return False


def keras_network(graph: Graph) -> tuple[str, str] | None:
    """Return which of Keras' networks this is by the names of its layers, and its recipe."""
    names = {
        part for name in (*graph.producer_of, *graph.weights) for part in re.split("[/;:]", name)
    }
    names |= {re.sub(r"_\d+$", "", name) for name in names}  # what Keras 3 adds on export
    for pattern, family, recipe in KERAS:
        if any(re.fullmatch(pattern, name) for name in names):
            return family, recipe
    return None


def levels(graph: Graph, tensor: str) -> tuple[float, float] | None:
    """Return the values of black and white in a picture that comes out, by its last operators.

    None where they do not bound it, or to no scale that pictures have.
    """
    bounds = _bounds(graph, tensor)
    if bounds is None:
        return None
    low, high = bounds
    for black, white in ((0.0, 1.0), (-1.0, 1.0)):
        if abs(low - black) < 0.02 and abs(high - white) < 0.02:
            return black, white
    return (0.0, 255.0) if high > 200 else None


def _bounds(graph: Graph, tensor: str) -> tuple[float, float] | None:
    """Walk back to an operator that bounds its results, and see what is made of these."""
    steps: list[Scale] = []
    for _ in range(_STEPS):
        node = graph.producer_of.get(tensor)
        if node is None or not node.inputs:
            return None
        bounds = _BOUNDED.get(node.op) or _clip(graph, node)
        if bounds is not None:
            ends = np.array(bounds)[:, None] * np.ones(3)
            with np.errstate(all="ignore"):
                for factor, offset in reversed(steps):
                    ends = ends * factor + offset
            return float(ends.min()), float(ends.max())
        if node.op not in _SPREADING:
            source = next((name for name in node.inputs if name not in graph.weights), "")
            step = _affine(graph, node, source)
            if step is None:
                return None
            steps.append(step)
            tensor = source
        else:
            tensor = node.inputs[0]
    return None


def _clip(graph: Graph, node: Node) -> tuple[float, float] | None:
    if node.op != "Clip":
        return None
    ends: list[Any] = [node.attribute("min"), node.attribute("max")]
    for place, name in enumerate(node.inputs[1:3]):
        number = _constant(graph, name)
        ends[place] = None if number is None else float(number[0])
    return (ends[0], ends[1]) if all(isinstance(end, float) for end in ends) else None
