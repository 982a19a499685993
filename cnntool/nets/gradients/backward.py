"""The backward graph: an ONNX model that computes gradients from what a forward run made.

It is written node by node, from the score back to the tensors whose gradients are wanted. Each
operator has one rule, its vector-Jacobian product: from the gradients of what the node made to
those of what it was given. All is computed in one type of float, whatever the network's is.

Source: Griewank and Walther, Evaluating Derivatives, 2nd edition, 2008, chapter 3.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.nets.file.messages import new_model, node_message, tensor_message
from cnntool.nets.file.subgraph import (
    INPUT,
    NODE,
    OUTPUT,
    WEIGHT,
    Skeleton,
    value_message,
    weight_message,
)
from cnntool.nets.file.tensors import NAMES
from cnntool.nets.file.wire import chunk_field
from cnntool.nets.layers.dataflow import operand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from cnntool.errors import ModelError
    from cnntool.nets.file.graph import Graph, Node, TensorInfo
    from cnntool.nets.file.messages import Attribute
    from cnntool.nets.layers.dataflow import Dataflow

    Rule = Callable[["Backward", Node, tuple[str | None, ...]], Sequence[str | None]]

OPSET = 18
"""Version of the operators that the backward graph is written in, whatever the network's is."""

SEED = "gradient of the score"
"""The input that says which class: the gradient of what is explained by the scores."""

_FLOATS = {"float16", "bfloat16", "float32", "float64"}

RULES: dict[tuple[str, str], Rule] = {}
"""Rules by domain and operator."""


def rule(*operators: str, domain: str = "") -> Callable[[Rule], Rule]:
    """Register the rule of some operators.

    It is given the graph that is written, the node, and the gradient of each of its outputs (None
    where nothing depends on one), and returns the gradients of its inputs, in their order: None
    for one that has none or is not wanted (see `Backward.wants`). It may return fewer than there
    are inputs. Behind them stand what the bodies of the node use, by name.
    """

    def register(function: Rule) -> Rule:
        RULES.update({(domain, op): function for op in operators})
        return function

    return register


class UnknownValueError(Exception):
    """A rule needs the numbers of a constant that the network computes.

    Attributes
    ----------
    tensor : str
        Its name.
    """

    def __init__(self, tensor: str) -> None:
        super().__init__(tensor)
        self.tensor = tensor


class BackwardGraph(NamedTuple):
    """A backward graph that is ready to be opened.

    Parameters
    ----------
    part : Skeleton
        The model: its inputs are `SEED` and the taps, its outputs gradients.
    taps : mapping of str to str
        Its other inputs, and the tensors of the network that they are.
    gradients : tuple of str
        Its outputs, in the order of the tensors whose gradients were wanted.
    """

    part: Skeleton
    taps: Mapping[str, str]
    gradients: tuple[str, ...]


class Backward:
    """A backward graph while it is written; what rules write with.

    Parameters
    ----------
    graph, flow : Graph, Dataflow
        The network.
    shapes : mapping of str to TensorInfo
        The types and shapes of its tensors for one size of input, all lengths known.
    values : mapping of str to ndarray
        Numbers of constants that the network computes.
    dtype : str
        The type in which gradients are computed.
    """

    def __init__(
        self,
        graph: Graph,
        flow: Dataflow,
        shapes: Mapping[str, TensorInfo],
        values: Mapping[str, NDArray[Any]],
        dtype: str = "float32",
    ) -> None:
        self.graph = graph
        self.flow = flow
        self.dtype = dtype
        self._shapes = shapes
        self._values = values
        self._wanted: set[str] = set()
        self._nodes: list[bytes] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._initialisers: list[bytes] = []
        self._taps: dict[str, str] = {}
        self._weights: dict[str, str] = {}
        self._floats: dict[str, str] = {}
        self._count = 0

    @property
    def opset(self) -> int:
        """The version of the network's own operators."""
        return self.graph.opset.get("", 1)

    def wants(self, tensor: str) -> bool:
        """Tell whether a tensor's gradient leads to one that is wanted."""
        return tensor in self._wanted

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Return the shape of a tensor of the network.

        Raises
        ------
        ModelError
            It is not known.
        """
        if tensor in self.graph.weights:
            return self.graph.weights[tensor].shape
        info = self._shapes.get(tensor)
        shape = tuple(n for n in info.shape or () if isinstance(n, int)) if info else ()
        if info is None or info.shape is None or len(shape) < len(info.shape):
            raise self.error(f"the shape of {tensor!r} is not known, so there is no gradient")
        return shape

    def is_float(self, tensor: str) -> bool:
        """Tell whether a tensor of the network holds floats, as far as is known."""
        info = self._shapes.get(tensor) or self.graph.weights.get(tensor)
        return info is None or not info.dtype or info.dtype in _FLOATS

    def _is_boolean(self, tensor: str) -> bool:
        return tensor in self._shapes and self._shapes[tensor].dtype == "bool"

    def numbers(self, tensor: str) -> NDArray[Any]:
        """Return the numbers of a constant: shapes, axes, scales and the like.

        Raises
        ------
        UnknownValueError
            The network computes them.
        ModelError
            They depend on the picture.
        """
        if tensor in self.graph.weights:
            return self.graph.weights[tensor].read()
        if tensor in self._values:
            return self._values[tensor]
        if tensor in self.flow.data:
            raise self.error(f"{tensor!r} depends on the picture, so there is no gradient")
        raise UnknownValueError(tensor)

    def axes(self, node: Node, position: int = 1, name: str = "axes") -> tuple[int, ...] | None:
        """Return the axes that a node is about, from an input or, in old versions, an attribute.

        Returns
        -------
        tuple of int or None
            As the file says them: negative ones count from the end. None where it does not.
        """
        stated = node.attribute(name)
        if stated is not None:
            return tuple(stated) if isinstance(stated, tuple) else (stated,)
        tensor = operand(node, position)
        return tuple(int(n) for n in self.numbers(tensor).ravel()) if tensor else None

    def only_first(self, node: Node) -> None:
        """Refuse a node whose kernel, scale or the like depends on the picture too.

        Raises
        ------
        ModelError
            A gradient by it would be wanted.
        """
        for tensor in node.inputs[1:]:
            if self.wants(tensor):
                raise self.error(
                    f"no gradient is known of {node.op} by {tensor!r} (node {node.label})"
                )

    def error(self, message: str) -> ModelError:
        """Make the error for a network that has no gradients."""
        return self.graph.wire.error(
            message, hint="`method=occlusion` and `method=rise` need no gradient"
        )

    def stored(self, tensor: str) -> str:
        """Name what holds a tensor of the network in the backward graph, in its own type."""
        if tensor in self.graph.weights:
            return self._weights.setdefault(tensor, f"weight {len(self._weights)}")
        return self._taps.setdefault(tensor, f"tap {len(self._taps)}")

    def value(self, tensor: str) -> str:
        """Name what holds a tensor of the network in the backward graph, as floats."""
        if tensor not in self._floats:
            origin = self._origin(tensor)
            self._floats[tensor] = self._dequantised(origin) or self._as_float(origin)
        return self._floats[tensor]

    def _as_float(self, tensor: str) -> str:
        weight = self.graph.weights.get(tensor)
        dtype = weight.dtype if weight else self._shapes[tensor].dtype
        return self.stored(tensor) if dtype == self.dtype else self.cast(self.stored(tensor))

    def _constant_node(self, tensor: str) -> Node | None:
        """Return the node that makes a constant."""
        constant = tensor not in self.flow.data and tensor not in self.graph.weights
        return self.graph.producer_of.get(tensor) if constant else None

    def _origin(self, tensor: str) -> str:
        """Return the weight that a constant is in another type: that need not be tapped."""
        while (node := self._constant_node(tensor)) is not None and self.is_float(tensor):
            if node.op not in {"Cast", "Identity"}:
                break
            tensor = node.inputs[0]
        return tensor

    def _dequantised(self, tensor: str) -> str | None:
        """Compute a dequantised weight anew."""
        node = self._constant_node(tensor)
        if node is None or node.op != "DequantizeLinear" or node.attribute("block_size"):
            return None
        if any(name and name not in self.graph.weights for name in node.inputs):
            return None
        data, scale, *zero = filter(None, node.inputs)
        rank, axis = len(self.shape(data)), node.attribute("axis", 1)
        values = self.value(data)
        if zero:
            values = self.op("Sub", values, self.along(zero[0], rank, axis))
        return self.op("Mul", values, self.along(scale, rank, axis))

    def along(self, tensor: str, rank: int, axis: int | None) -> str:
        """Lay scales or zero points of the network along the axis of what they are of.

        Parameters
        ----------
        tensor : str
            Their name in the network.
        rank : int
            How many axes the quantised tensor has.
        axis : int or None
            The one that has several of them; negative ones count from the end.
        """
        name = self.value(tensor)
        if axis is None or not self.shape(tensor) or rank < 2:
            return name
        return self.reshaped(name, [-1 if at == axis % rank else 1 for at in range(rank)])

    def constant(self, values: ArrayLike, dtype: str = "") -> str:
        """Add a constant: whole numbers as int64, all else in the type of gradients."""
        array = np.asarray(values)
        kind = dtype or ("int64" if array.dtype.kind in "iu" else self.dtype)
        array = np.ascontiguousarray(array, kind)  # one axis at least
        array = array.reshape(np.shape(values))
        key = kind, array.shape, array.tobytes()
        if key not in self._constants:
            name = f"constant {len(self._constants)}"
            self._constants[key] = name
            self._initialisers.append(tensor_message(name, array))
        return self._constants[key]

    def op(self, op: str, *inputs: str, **attributes: Attribute) -> str:
        """Add a node of one output, and return the name of that."""
        return self.ops(op, inputs, 1, **attributes)[0]

    def ops(
        self, op: str, inputs: Sequence[str], outputs: int, **attributes: Attribute
    ) -> tuple[str, ...]:
        """Add a node of several outputs, and return their names."""
        self._count += 1
        names = tuple(f"{op} {self._count}.{index}" for index in range(outputs))
        self._nodes.append(node_message(op, inputs, names, attributes))
        return names

    def cast(self, name: str, dtype: str = "") -> str:
        """Turn a tensor of the backward graph into floats, or into another type."""
        return self.op("Cast", name, to=NAMES[dtype or self.dtype])

    def scaled(self, name: str, factor: float) -> str:
        """Multiply by a number, unless it is 1."""
        return name if factor == 1 else self.op("Mul", name, self.constant(float(factor)))

    def reshaped(self, name: str, shape: Sequence[int]) -> str:
        """Give other axes."""
        return self.op("Reshape", name, self.constant(np.array(shape, np.int64)))

    def summed(self, name: str, axes: Sequence[int], *, keep: bool = True) -> str:
        """Sum over axes; over none, nothing happens."""
        if not axes:
            return name
        return self.op(
            "ReduceSum", name, self.constant(np.array(axes, np.int64)), keepdims=int(keep)
        )

    def unbroadcast(self, name: str, made: Sequence[int], given: Sequence[int]) -> str:
        """Sum a gradient over the axes along which an operand was repeated.

        Parameters
        ----------
        name : str
            The gradient, of the shape ``made`` or of one that broadcasts to it.
        made : sequence of int
            The shape of the result.
        given : sequence of int
            The shape of the operand.
        """
        extra = len(made) - len(given)
        repeated = [
            axis
            for axis, length in enumerate(made)
            if axis < extra or (given[axis - extra] == 1 and length != 1)
        ]
        if not repeated:
            return name
        return self.reshaped(self.summed(name, repeated), given)

    def write(self, score: str, targets: Sequence[str]) -> BackwardGraph:
        """Write the graph, from a score to tensors whose gradients are wanted.

        Parameters
        ----------
        score : str
            A tensor of the network; `SEED` has its shape.
        targets : sequence of str
            Tensors of the network that it depends on.

        Raises
        ------
        ModelError
            An operator in between has no rule, or the score does not depend on a target.
        UnknownValueError
            A rule needs the numbers of a constant that the network computes.
        """
        nodes = self._between(score, targets)
        gradients: dict[str, list[str]] = {score: [SEED]}
        for node in reversed(nodes):
            found = tuple(self._sum(gradients.get(tensor)) for tensor in node.outputs)
            if not any(found):
                continue
            used = (*node.inputs, *sorted(node.captures))
            for tensor, gradient in zip(used, self._apply(node, found), strict=False):
                if gradient is not None and tensor in self._wanted:
                    gradients.setdefault(tensor, []).append(gradient)
        outputs = []
        for target in dict.fromkeys(targets):
            total = self._sum(gradients.get(target))
            if total is None:
                raise self.error(f"the scores do not depend on {target!r}: there is no gradient")
            outputs.append(self.op("Identity", total))
        taps = {name: tensor for tensor, name in self._taps.items()}
        return BackwardGraph(self._model(score, outputs), taps, tuple(outputs))

    def _between(self, score: str, targets: Sequence[str]) -> list[Node]:
        """Find the nodes between the targets and the score, and the tensors that carry on."""
        self._wanted = set(targets)
        for node in self.graph.nodes:
            if not self._wanted.isdisjoint(node.inputs) or not self._wanted.isdisjoint(
                node.captures
            ):
                made = self.flow.data.intersection(node.outputs)
                self._wanted.update(tensor for tensor in made if not self._is_boolean(tensor))
        behind = {score}
        nodes = []
        for node in reversed(self.graph.nodes):
            if behind.isdisjoint(node.outputs) or self._wanted.isdisjoint(node.outputs):
                continue
            behind.update(node.inputs, node.captures)
            nodes.append(node)
        self._wanted &= behind
        return nodes[::-1]

    def _apply(self, node: Node, gradients: tuple[str | None, ...]) -> Sequence[str | None]:
        if not any(self.wants(tensor) for tensor in (*node.inputs, *node.captures)):
            return ()
        function = RULES.get((node.domain, node.op))
        if function is None:
            whose = f"{node.domain}." if node.domain else ""
            raise self.error(f"no gradient is known of {whose}{node.op} (node {node.label})")
        return function(self, node, gradients)

    def _sum(self, names: list[str] | None) -> str | None:
        if not names:
            return None
        if len(names) > 1:
            names[:] = [self.op("Sum", *names)]
        return names[0]

    def _model(self, score: str, outputs: Iterable[str]) -> Skeleton:
        weights = {tensor: self.graph.weights[tensor] for tensor in self._weights}
        folders = {weight.file.parent for weight in weights.values()}
        folder = Path(os.path.commonpath(folders or {self.graph.wire.file.parent}))
        inputs = [value_message(SEED, self.dtype, self.shape(score))]
        inputs += (
            value_message(name, self._shapes[tensor].dtype, self.shape(tensor))
            for tensor, name in self._taps.items()
        )
        named = (
            weight_message(weight._replace(name=self._weights[tensor]), folder)
            for tensor, weight in weights.items()
        )
        fields = [
            *(chunk_field(NODE, node) for node in self._nodes),
            *(chunk_field(WEIGHT, message) for message in (*named, *self._initialisers)),
            *(chunk_field(INPUT, message) for message in inputs),
            *(chunk_field(OUTPUT, value_message(name)) for name in outputs),
        ]
        return Skeleton(new_model(OPSET, fields), folder)
