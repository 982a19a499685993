"""Nodes of a graph, their attributes and the graphs within them, and an order to run them in."""

from __future__ import annotations

import heapq
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.nets.tensors import Weight, read_entry, read_packed, read_tensor
from cnntool.nets.wire import CHUNK, FIXED32, VARINT, signed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnntool.nets.external import Neighbours
    from cnntool.nets.wire import Wire

_TYPE = 20 << 3 | VARINT

_FLOAT, _INT, _STRING, _TENSOR, _FLOATS, _INTS, _STRINGS, _TENSORS = 1, 2, 3, 4, 6, 7, 8, 9
"""Numbers of the types that are decoded."""

_SINGLE: dict[int, tuple[int, Any]] = {
    2 << 3 | FIXED32: (_FLOAT, 0.0),
    3 << 3 | VARINT: (_INT, 0),
    4 << 3 | CHUNK: (_STRING, ""),
    5 << 3 | CHUNK: (_TENSOR, None),
}
"""Fields that hold one value: the type, and what is meant when the field is left out."""

_SEVERAL = {
    7 << 3 | FIXED32: _FLOATS,
    7 << 3 | CHUNK: _FLOATS,
    8 << 3 | VARINT: _INTS,
    8 << 3 | CHUNK: _INTS,
    9 << 3 | CHUNK: _STRINGS,
    10 << 3 | CHUNK: _TENSORS,
}
"""Fields that are repeated, by type. Numbers may be packed into one."""


def decode_attribute(wire: Wire, start: int, stop: int, neighbours: Neighbours) -> Any:
    """Decode an ``AttributeProto``.

    Returns
    -------
    int, float, str, Weight, or a tuple of one of these
        What it holds. None for graphs, types and sparse tensors.

    Raises
    ------
    ModelError
        When it is damaged.
    """
    kind = 0
    single = dict(_SINGLE.values())
    several: dict[int, list[Any]] = {_FLOATS: [], _INTS: [], _STRINGS: [], _TENSORS: []}
    seen = 0
    for tag, first, last in wire.fields(start, stop):
        if tag in _SINGLE:
            seen = _SINGLE[tag][0]
            single[seen] = _one(wire, seen, first, last, neighbours)
        elif tag in _SEVERAL:
            seen = _SEVERAL[tag]
            several[seen] += _some(wire, tag, first, last, neighbours)
        elif tag == _TYPE:
            kind = first
    kind = kind or seen  # old files do not say
    return tuple(several[kind]) if kind in several else single.get(kind)


def _one(wire: Wire, kind: int, first: int, last: int, neighbours: Neighbours) -> Any:
    if kind == _FLOAT:
        return struct.unpack_from("<f", wire.data, first)[0]
    if kind == _INT:
        return signed(first)
    if kind == _STRING:
        return str(wire.data[first:last], "utf-8", "replace")
    return read_tensor(wire, first, last, neighbours)


def _some(wire: Wire, tag: int, first: int, last: int, neighbours: Neighbours) -> list[Any]:
    kind = _SEVERAL[tag]
    if kind == _INTS:
        return read_packed(wire, first, last) if tag & 7 == CHUNK else [signed(first)]
    if kind == _FLOATS:
        if (last - first) % 4:
            raise wire.damaged(first)
        return list(np.frombuffer(wire.data, "<f4", (last - first) // 4, first).tolist())
    single = _STRING if kind == _STRINGS else _TENSOR
    return [_one(wire, single, first, last, neighbours)]


Span = tuple[int, int]
"""Where in the file a message lies: its first byte, and the first after it."""

_INPUT, _OUTPUT, _NAME, _OP, _ATTRIBUTE, _DOMAIN, _METADATA = (
    number << 3 | CHUNK for number in (1, 2, 3, 4, 5, 7, 9)
)
_KEY, _GRAPH, _GRAPHS = (number << 3 | CHUNK for number in (1, 6, 11))
_NODE, _WEIGHT, _GRAPH_INPUT, _GRAPH_OUTPUT, _VALUE, _SPARSE = (
    number << 3 | CHUNK for number in (1, 5, 11, 12, 13, 15)
)
_DEPTH_LIMIT = 30
_NONE: frozenset[str] = frozenset()

_STATED: dict[str, tuple[type, Any]] = {
    "value_float": (float, np.float32),
    "value_floats": (float, np.float32),
    "value_int": (int, np.int64),
    "value_ints": (int, np.int64),
    "value_string": (str, object),
    "value_strings": (str, object),
}
"""Attributes of Constant that state values without a tensor: of what type, and as an array."""


class Body(NamedTuple):
    """A graph as it stands in the file.

    Parameters
    ----------
    nodes : list of Node
        In the order of the file.
    weights : dict of str to Weight
        Its constants: initialisers and what Constant nodes state.
    inputs, outputs, values : dict of str to Span
        Tensors, and where the ``ValueInfoProto`` lies that describes them.
    """

    nodes: list[Node]
    weights: dict[str, Weight]
    inputs: dict[str, Span]
    outputs: dict[str, Span]
    values: dict[str, Span]

    @property
    def captures(self) -> frozenset[str]:
        """Tensors that it uses and does not make: those of the graphs around it."""
        made = {name for node in self.nodes for name in node.outputs}
        used = {name for node in self.nodes for name in (*node.inputs, *node.captures)}
        found = used.union(self.outputs) - made
        return frozenset(found.difference(self.inputs, self.weights, {""}))


class Node:
    """One operator of a graph. Its attributes are decoded when they are asked for.

    Attributes
    ----------
    index : int
        Its place among the nodes of its graph.
    name : str
        Often unique, sometimes empty.
    op, domain : str
        The operator: ``"Conv"``; and whose it is: ``""`` is ONNX itself.
    inputs, outputs : tuple of str
        Tensors. An empty name is one left out.
    captures : frozenset of str
        Outer tensors that the bodies of If, Loop and Scan use.
    span : Span
        Where the message lies.
    """

    __slots__ = (
        "_attributes",
        "_bodies",
        "_metadata",
        "_neighbours",
        "_wire",
        "captures",
        "domain",
        "index",
        "inputs",
        "name",
        "op",
        "outputs",
        "span",
    )

    def __init__(
        self, wire: Wire, span: Span, neighbours: Neighbours, *, index: int, depth: int
    ) -> None:
        self._wire = wire
        self._neighbours = neighbours
        self.span = span
        self.index = index
        texts: dict[int, list[str]] = {_INPUT: [], _OUTPUT: []}
        single = {_NAME: "", _OP: "", _DOMAIN: ""}
        attributes: dict[str, Span] = {}
        bodies: dict[str, list[Body]] = {}
        metadata: list[Span] = []
        for tag, first, last in wire.fields(*span):
            if tag in texts:
                texts[tag].append(wire.text(first, last))
            elif tag == _ATTRIBUTE:
                key, graphs = self._scan(first, last, depth)
                attributes[key] = first, last
                if graphs:
                    bodies[key] = graphs
            elif tag in single:
                single[tag] = wire.text(first, last)
            elif tag == _METADATA:
                metadata.append((first, last))
        self.name, self.op, self.domain = single.values()
        if not self.op:
            raise wire.error("a node without an operator: damaged, or not an ONNX model")
        if self.domain == "ai.onnx":
            self.domain = ""
        self.inputs = tuple(texts[_INPUT])
        self.outputs = tuple(texts[_OUTPUT])
        self.captures = _NONE.union(*(b.captures for several in bodies.values() for b in several))
        self._attributes = attributes or None
        self._bodies = bodies or None
        self._metadata = tuple(metadata)

    def __repr__(self) -> str:
        return f"<{self.index}: {self.op} {self.name!r} -> {', '.join(self.outputs)}>"

    def _scan(self, start: int, stop: int, depth: int) -> tuple[str, list[Body]]:
        """Read the name of an attribute, and the graphs in it."""
        key = ""
        bodies = []
        for tag, first, last in self._wire.fields(start, stop):
            if tag == _KEY:
                key = self._wire.text(first, last)
            elif tag in {_GRAPH, _GRAPHS}:
                bodies.append(read_body(self._wire, (first, last), self._neighbours, depth + 1))
        return key, bodies

    @property
    def label(self) -> str:
        """What to call it in a sentence: its name or, without one, what it makes."""
        return repr(self.name or next(filter(None, self.outputs), self.op))

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of its attributes."""
        return tuple(self._attributes or ())

    @property
    def metadata(self) -> dict[str, str]:
        """What the exporter noted of it: ``metadata_props``."""
        return dict(read_entry(self._wire, *span) for span in self._metadata)

    def bodies(self, name: str) -> tuple[Body, ...]:
        """Get the graphs of an attribute: one for ``then_branch``, ``body`` and the like."""
        return tuple((self._bodies or {}).get(name, ()))

    def attribute(self, name: str, default: Any = None) -> Any:
        """Decode an attribute.

        Parameters
        ----------
        name : str
            ``"strides"`` and the like.
        default : optional
            What stands for an attribute that is not there.

        Returns
        -------
        int, float, str, Weight, or a tuple of one of these
            What it holds. A tensor is a `Weight`, to be read or not. None for graphs (see
            `bodies`), types and sparse tensors.

        Raises
        ------
        ModelError
            When it is damaged.
        """
        span = (self._attributes or {}).get(name)
        if span is None:
            return default
        return decode_attribute(self._wire, *span, self._neighbours)

    def constant(self) -> Weight | None:
        """Get what a Constant node states, as a weight with the name of its output."""
        if self.op != "Constant" or self.domain or len(self.outputs) != 1 or not self.outputs[0]:
            return None
        name = self.outputs[0]
        value = self.attribute("value")
        if isinstance(value, Weight):
            return value._replace(name=name)
        key = next((key for key in self.attributes if key in _STATED), None)
        if key is None:
            return None
        kind, dtype = _STATED[key]
        stated = self.attribute(key)
        items = stated if isinstance(stated, tuple) else (stated,)
        if not all(type(item) is kind for item in items):
            raise self._wire.error(f"damaged: {key} of node {self.label} is of another type")
        values = np.array(stated, dtype)
        dtype = "string" if kind is str else values.dtype.name
        wire = self._wire
        return Weight(
            name, dtype, values.shape, wire.file, None, values.nbytes, wire, *self.span, values
        )

    def states(self, weight: Weight) -> bool:
        """Tell whether a weight is what this node states."""
        return self.span[0] <= weight.start and weight.stop <= self.span[1]


def read_body(wire: Wire, span: Span, neighbours: Neighbours, depth: int = 0) -> Body:
    """Read a ``GraphProto``.

    Raises
    ------
    ModelError
        When it is damaged, or nested too deeply.
    """
    if depth > _DEPTH_LIMIT:
        raise wire.error(f"graphs nested more than {_DEPTH_LIMIT} deep: not a network")
    body = Body([], {}, {}, {}, {})
    values = {_GRAPH_INPUT: body.inputs, _GRAPH_OUTPUT: body.outputs, _VALUE: body.values}
    for tag, first, last in wire.fields(*span):
        if tag == _NODE:
            index = len(body.nodes)
            node = Node(wire, (first, last), neighbours, index=index, depth=depth)
            body.nodes.append(node)
            constant = node.constant()
            if constant is not None:
                body.weights[constant.name] = constant
        elif tag == _WEIGHT:
            weight = read_tensor(wire, first, last, neighbours)
            if weight.name:
                body.weights[weight.name] = weight
        elif tag in values:
            values[tag][_value_name(wire, first, last)] = first, last
        elif tag == _SPARSE:
            raise wire.error("sparse weights (sparse_initializer) are not read")
    return body


def _value_name(wire: Wire, start: int, stop: int) -> str:
    name = ""
    for tag, first, last in wire.fields(start, stop):
        if tag == _KEY:
            name = wire.text(first, last)
    return name


def put_in_order(wire: Wire, body: Body) -> tuple[Node, ...]:
    """Check that the graph hangs together, and sort its nodes where the file has not.

    Parameters
    ----------
    wire : Wire
        The file, for errors.
    body : Body
        The graph.

    Returns
    -------
    tuple of Node
        Every node after those whose results it uses, else in the order of the file.

    Raises
    ------
    ModelError
        When a tensor is made twice or never, when nodes wait for each other, or when there
        is no output.
    """
    made = _producers(wire, body)
    given = body.inputs.keys() | body.weights.keys()
    for node in body.nodes:
        for tensor in needs(node):
            if tensor not in made and tensor not in given:
                raise wire.error(f"node {node.label} needs {tensor!r}, which nothing makes")
    for tensor in body.outputs:
        if tensor not in made and tensor not in given:
            raise wire.error(f"its output {tensor!r} is made by nothing")
    if not body.outputs:
        raise wire.error("the network has no output")
    nodes = _sorted(wire, body, made)
    for index, node in enumerate(nodes):
        node.index = index
    return nodes


def needs(node: Node) -> list[str]:
    """List the tensors that a node uses, itself or in the bodies of If, Loop and Scan."""
    return [tensor for tensor in (*node.inputs, *sorted(node.captures)) if tensor]


def link(
    nodes: Iterable[Node],
) -> tuple[dict[str, Node], dict[str, tuple[Node, ...]]]:
    """Index nodes by the tensors that they make, and by those that they use."""
    producer_of = {tensor: node for node in nodes for tensor in node.outputs if tensor}
    consumers: dict[str, list[Node]] = {}
    for node in nodes:
        for tensor in dict.fromkeys(needs(node)):
            consumers.setdefault(tensor, []).append(node)
    return producer_of, {tensor: tuple(users) for tensor, users in consumers.items()}


def _producers(wire: Wire, body: Body) -> dict[str, Node]:
    made: dict[str, Node] = {}
    for node in body.nodes:
        for tensor in filter(None, node.outputs):
            weight = body.weights.get(tensor)
            given = weight is not None and not node.states(weight)
            if given or tensor in made or tensor in body.inputs:
                raise wire.error(f"damaged: tensor {tensor!r} is made twice")
            made[tensor] = node
    return made


def _sorted(wire: Wire, body: Body, made: dict[str, Node]) -> tuple[Node, ...]:
    """Sort stably: of the nodes that could be next, the first of the file is (Kahn, 1962)."""
    waiting: dict[int, int] = {}
    users: dict[int, list[Node]] = {}
    for node in body.nodes:
        before = {made[tensor].index for tensor in needs(node) if tensor in made}
        waiting[node.index] = len(before)
        for index in before:
            users.setdefault(index, []).append(node)
    ready = [index for index, count in waiting.items() if not count]
    order = []
    while ready:
        node = body.nodes[heapq.heappop(ready)]
        order.append(node)
        for user in users.get(node.index, ()):
            waiting[user.index] -= 1
            if not waiting[user.index]:
                heapq.heappush(ready, user.index)
    if len(order) < len(body.nodes):
        stuck = next(node for node in body.nodes if waiting[node.index])
        raise wire.error(f"the graph is cyclic: node {stuck.label} waits for its own result")
    return tuple(order)
