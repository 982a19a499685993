"""Rules of gradients beside finite differences in float64, of what the ``onnx`` package computes.

One node or a few are written as a model, run by onnx's reference, differentiated by the rules, and
the backward graph is run by the same reference. In float32 onnxruntime has to agree.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.external_data_helper import load_external_data_for_model
from onnx.reference import ReferenceEvaluator
from repaired import REPAIRED

from cnntool.nets.file.graph import TensorInfo, read_graph
from cnntool.nets.gradients import rules  # noqa: F401 - registers them
from cnntool.nets.gradients.backward import SEED, Backward
from cnntool.nets.layers.dataflow import Dataflow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

    Arrays = Mapping[str, NDArray[Any]]
    Runner = Callable[[ModelProto, Arrays], list[NDArray[Any]]]

STEP = 1e-5


def draw(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> NDArray[np.float64]:
    """Draw numbers of which no two are near each other, nor any near the middle of the range."""
    rng = np.random.default_rng(seed)
    count = int(np.prod(shape))
    places = (rng.permutation(count) + rng.uniform(0.6, 0.9, count)) / max(count, 1)
    return (low + (high - low) * places).reshape(shape)


def check(
    nodes: Sequence[NodeProto],
    data: Arrays,
    weights: Arrays | None = None,
    *,
    by: Sequence[str] = (),
    opset: int = 18,
    reference: bool = True,
    runtime: bool = True,
    smooth: bool = True,
    new_ops: Sequence[type] = (),
    tolerance: float = 1e-4,
) -> dict[str, NDArray[np.float64]]:
    """Compare gradients of the last node's first output with central differences.

    Parameters
    ----------
    nodes : sequence of NodeProto
        The network.
    data, weights : mapping of str to ndarray
        What goes in, and constants. Those of float64 become float32 for onnxruntime.
    by : sequence of str
        Tensors whose gradients are wanted, inputs among them. The default is all inputs of floats.
    opset : int
        Version of the network's operators.
    reference : bool
        Whether onnx's reference can run both graphs; else onnxruntime alone does.
    runtime : bool
        Whether onnxruntime can run the network.
    smooth : bool
        Whether central differences can be taken here.
    new_ops : sequence of type
        Operators that the reference lacks.
    tolerance : float
        Relative to the largest gradient there can be in a direction.

    Returns
    -------
    dict of str to ndarray
        The gradients of the outputs' weighted sum.
    """
    weights = weights or {}
    by = tuple(by) or tuple(name for name, values in data.items() if values.dtype.kind == "f")

    def by_reference(model: ModelProto, feeds: Arrays) -> list[NDArray[Any]]:
        return ReferenceEvaluator(model, new_ops=[*REPAIRED, *new_ops]).run(None, dict(feeds))

    model = write(nodes, data, weights, opset)
    score = nodes[-1].output[0]
    forward = ReferenceEvaluator(model, new_ops=[*REPAIRED, *new_ops])
    made = dict(zip(forward.output_names, forward.run(None, dict(data)), strict=True))
    rng = np.random.default_rng(1)
    seed = np.asarray(rng.uniform(0.5, 1.5, made[score].shape))
    found = {}
    if reference:
        found = differentiate(model, {**data, **made}, by, seed, by_reference)
        for name, gradient in found.items():
            assert gradient.shape == data[name].shape
            assert gradient.dtype == np.float64
        for _ in range(3 if smooth else 0):
            directions = {name: rng.choice([-1.0, 1.0], data[name].shape) for name in by}
            ahead, behind = (
                forward.run(
                    [score],
                    {k: v + step * directions[k] if k in by else v for k, v in data.items()},
                )[0]
                for step in (STEP, -STEP)
            )
            slope = ((ahead - behind) * seed).sum() / (2 * STEP)
            parts = [gradient * directions[name] for name, gradient in found.items()]
            size = sum(np.abs(part).sum() for part in parts)
            assert abs(slope - sum(part.sum() for part in parts)) <= tolerance * size + 1e-9
    if runtime:
        single = [{k: _single(v) for k, v in arrays.items()} for arrays in (data, weights)]
        model = write(nodes, *single, opset)
        again = dict(zip(forward.output_names, by_onnxruntime(model, single[0]), strict=True))
        if reference:
            _alike(again[score], made[score])
        gradients = differentiate(model, {**single[0], **again}, by, _single(seed), by_onnxruntime)
        for name, gradient in gradients.items():
            assert gradient.dtype == np.float32
            if reference:
                _alike(gradient, found[name])
        found = found or gradients
    return found


def differentiate(
    model: ModelProto, made: Arrays, by: Sequence[str], seed: NDArray[Any], run: Runner
) -> dict[str, NDArray[Any]]:
    """Return gradients of a model's last output that its rules find.

    Parameters
    ----------
    model : ModelProto
        The network.
    made : mapping of str to ndarray
        All its tensors, for one input.
    by : sequence of str
        Tensors whose gradients are wanted.
    seed : ndarray
        The gradient of what is differentiated by the last output. It says the type.
    run : function
        Runs a model.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        file = Path(folder, "net.onnx")
        onnx.save(model, file)
        graph = read_graph(file)
        flow = Dataflow(graph)
        infos = {k: TensorInfo(k, v.dtype.name, v.shape) for k, v in made.items()}
        constants = {k: v for k, v in made.items() if k not in flow.data}
        backward = Backward(graph, flow, infos, constants, seed.dtype.name)
        written = backward.write(model.graph.output[-1].name, by)
        back = onnx.load_model_from_string(written.part.model)
        load_external_data_for_model(back, str(written.part.folder))
    feeds = {SEED: seed} | {name: made[tensor] for name, tensor in written.taps.items()}
    return dict(zip(by, run(back, feeds), strict=True))


def by_onnxruntime(model: ModelProto, feeds: Arrays) -> list[NDArray[Any]]:
    """Run a model by onnxruntime in this process."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {k: v for k, v in feeds.items() if k in _names(session.get_inputs())})


def write(nodes: Sequence[NodeProto], data: Arrays, weights: Arrays, opset: int) -> ModelProto:
    """Write a model whose outputs are all that its nodes make, the score last."""
    made = [name for node in nodes for name in node.output if name]
    score = nodes[-1].output[0]
    outputs = [onnx.ValueInfoProto(name=n) for n in made if n != score]
    graph = helper.make_graph(
        nodes,
        "net",
        [
            helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for k, v in data.items()
        ],
        [*outputs, onnx.ValueInfoProto(name=score)],
        [numpy_helper.from_array(v, k) for k, v in weights.items()],
    )
    domains = {node.domain for node in nodes} - {""}
    versions = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=versions, ir_version=8)


def _names(infos: Sequence[Any]) -> set[str]:
    return {info.name for info in infos}


def _single(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.float32) if values.dtype == np.float64 else values


def _alike(single: NDArray[Any], whole: NDArray[Any]) -> None:
    size = np.abs(whole).max(initial=1e-6)
    np.testing.assert_allclose(single, whole, rtol=1e-3, atol=2e-4 * size)
