"""Networks as graphs: what an ONNX file says, read in milliseconds without its weights.

Source: https://github.com/onnx/onnx/blob/main/docs/IR.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnntool.nets.external import Neighbours
from cnntool.nets.nodes import Body, Node, Span, link, put_in_order, read_body
from cnntool.nets.tensors import ELEMENTS, Weight, read_entry
from cnntool.nets.wire import CHUNK, VARINT, Wire, signed

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Graph", "Node", "TensorInfo", "Weight", "read_graph"]

IR_VERSION, PRODUCER, PRODUCER_VERSION = 1 << 3 | VARINT, 2 << 3 | CHUNK, 3 << 3 | CHUNK
DOC, GRAPH, OPSET, METADATA, TRAINING = (n << 3 | CHUNK for n in (6, 7, 8, 14, 20))
_DOMAIN, _VERSION = 1 << 3 | CHUNK, 2 << 3 | VARINT
_NAME, _TYPE = 1 << 3 | CHUNK, 2 << 3 | CHUNK
_TENSOR_TYPE = 1 << 3 | CHUNK
_ELEMENT, _SHAPE = 1 << 3 | VARINT, 2 << 3 | CHUNK
_DIM = 1 << 3 | CHUNK
_DIM_VALUE, _DIM_NAME = 1 << 3 | VARINT, 2 << 3 | CHUNK

_VERSION_LIMIT = 1000
_RANK_LIMIT = 64


class TensorInfo(NamedTuple):
    """What is known of a tensor before anything runs.

    Parameters
    ----------
    name : str
        The tensor.
    dtype : str
        numpy's name of its type: ``"float32"``, ``"bfloat16"``, ``"string"``...; empty when
        unknown, or when it is no tensor but a sequence or a map.
    shape : tuple of int, str or None, or None
        Length of every axis: a number, the name of a free one, or None. None when unknown.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None


class Graph(NamedTuple):
    """A network: nodes that make tensors from tensors, in an order that can be run.

    Parameters
    ----------
    path : Path
        The file as given.
    ir_version : int
        Version of the file format.
    opset : dict of str to int
        Version of the operators, by domain; ``""`` is ONNX itself.
    producer : str
        What wrote the file, with its version.
    nodes : tuple of Node
        Every node after those whose results it uses.
    inputs, outputs : tuple of TensorInfo
        What the network wants and gives. Weights that old files list as inputs are left out.
    weights : dict of str to Weight
        Constant tensors: initialisers and what Constant nodes state.
    value_info : dict of str to TensorInfo
        What the file says of tensors in between.
    producer_of : dict of str to Node
        The node that makes a tensor.
    consumers : dict of str to tuple of Node
        The nodes that use a tensor, bodies of If, Loop and Scan included.
    body : Body
        The graph as it stands in the file.
    wire : Wire
        The file.
    """

    path: Path
    ir_version: int
    opset: dict[str, int]
    producer: str
    nodes: tuple[Node, ...]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    weights: dict[str, Weight]
    value_info: dict[str, TensorInfo]
    producer_of: dict[str, Node]
    consumers: dict[str, tuple[Node, ...]]
    body: Body
    wire: Wire

    @property
    def metadata(self) -> dict[str, str]:
        """What the exporter noted of the model: ``metadata_props``."""
        wire = self.wire
        fields = wire.fields(0, len(wire.data))
        return dict(read_entry(wire, a, b) for tag, a, b in fields if tag == METADATA)


def read_graph(path: Path, *, name: str | None = None) -> Graph:
    """Read what an ONNX file says, without its weights.

    Parameters
    ----------
    path : Path
        The file. It is mapped into memory, and must stay as it is while the graph is used.
    name : str, optional
        What errors call it. The default is `path`.

    Raises
    ------
    ModelError
        For everything that is wrong with the file: missing, truncated, of another kind,
        cyclic, with tensors that nothing makes, weights of the wrong size, weights in files
        outside its folder...
    """
    wire = Wire(path, str(path) if name is None else name)
    model: dict[int, list[Span]] = {}
    for tag, first, last in wire.fields(0, len(wire.data)):
        model.setdefault(tag, []).append((first, last))
    if GRAPH not in model:
        raise wire.error("not an ONNX model: there is no graph in it")
    if len(model[GRAPH]) > 1:
        raise wire.error("damaged: two graphs in one file")
    ir_version = signed(model[IR_VERSION][-1][0]) if IR_VERSION in model else 0
    if not 1 <= ir_version <= _VERSION_LIMIT:
        raise wire.error(f"not an ONNX model, or damaged: format version {ir_version}")
    opset = _opset(wire, model.get(OPSET, []))
    body = read_body(wire, model[GRAPH][0], Neighbours(wire))
    nodes = put_in_order(wire, body)
    for node in nodes:
        if node.domain not in opset:
            whose = node.domain or "ai.onnx"
            raise wire.error(f"no version is given for operators of {whose!r}: {node.op}")
    producer_of, consumers = link(nodes)
    graph = Graph(
        path=path,
        ir_version=ir_version,
        opset=opset,
        producer=_producer(wire, model),
        nodes=nodes,
        inputs=_values(wire, {n: s for n, s in body.inputs.items() if n not in body.weights}),
        outputs=_values(wire, body.outputs),
        weights=body.weights,
        value_info={info.name: info for info in _values(wire, body.values)},
        producer_of=producer_of,
        consumers=consumers,
        body=body,
        wire=wire,
    )
    wire.trust()
    return graph


def _opset(wire: Wire, spans: list[Span]) -> dict[str, int]:
    opset = {}
    for span in spans:
        domain, version = "", 0
        for tag, first, last in wire.fields(*span):
            if tag == _DOMAIN:
                domain = wire.text(first, last)
            elif tag == _VERSION:
                version = signed(first)
        if not 1 <= version <= _VERSION_LIMIT:
            raise wire.error(f"version {version} of operators {domain or 'ai.onnx'!r} cannot be")
        opset["" if domain == "ai.onnx" else domain] = version
    if not opset:
        raise wire.error(
            "not an ONNX model, or damaged: no version of the operators (opset_import)"
        )
    return opset


def _producer(wire: Wire, model: dict[int, list[Span]]) -> str:
    spans = [model[tag][-1] for tag in (PRODUCER, PRODUCER_VERSION) if tag in model]
    return " ".join(wire.text(*span) for span in spans).strip()


def _values(wire: Wire, spans: dict[str, Span]) -> tuple[TensorInfo, ...]:
    return tuple(_value(wire, name, span) for name, span in spans.items())


def _value(wire: Wire, name: str, span: Span) -> TensorInfo:
    """Read a ``ValueInfoProto``."""
    dtype, shape = "", None
    for type_span in _inside(wire, span, _TYPE):
        for tensor_span in _inside(wire, type_span, _TENSOR_TYPE):
            for tag, first, last in wire.fields(*tensor_span):
                if tag == _ELEMENT:
                    dtype = ELEMENTS[first].name if first in ELEMENTS else ""
                elif tag == _SHAPE:
                    shape = _shape(wire, (first, last))
    return TensorInfo(name, dtype, shape)


def _inside(wire: Wire, span: Span, wanted: int) -> list[Span]:
    return [(first, last) for tag, first, last in wire.fields(*span) if tag == wanted]


def _shape(wire: Wire, span: Span) -> tuple[int | str | None, ...]:
    shape: list[int | str | None] = []
    for dim_span in _inside(wire, span, _DIM):
        length: int | str | None = None
        for tag, first, last in wire.fields(*dim_span):
            if tag == _DIM_VALUE:
                length = signed(first) if signed(first) >= 0 else None
            elif tag == _DIM_NAME:
                length = wire.text(first, last) or None
        shape.append(length)
    if len(shape) > _RANK_LIMIT:
        raise wire.error(f"a tensor of {len(shape):,} axes: not a network")
    return tuple(shape)
