"""ONNX operators as an independent opinion: onnxruntime, and onnx's own reference evaluator."""

from __future__ import annotations

import numpy as np
import pytest


class Oracle:
    """Runs one operator on arrays (N, C, H, W); an input that is None is left out."""

    @staticmethod
    def runtime(op, *inputs, outputs=("out",), **attributes):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        made, feeds = _model(op, inputs, outputs, attributes)
        session = onnxruntime.InferenceSession(
            made.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return session.run(None, feeds)

    @staticmethod
    def reference(op, *inputs, outputs=("out",), **attributes):
        from onnx.reference import ReferenceEvaluator

        made, feeds = _model(op, inputs, outputs, attributes)
        return ReferenceEvaluator(made).run(None, feeds)

    @staticmethod
    def pads(ours):
        top, bottom, left, right = ours
        return [top, left, bottom, right]

    @staticmethod
    def nchw(maps):
        return np.ascontiguousarray(maps.transpose(2, 0, 1))[None]

    @staticmethod
    def hwc(tensor):
        return tensor[0].transpose(1, 2, 0)


def _model(op, inputs, outputs, attributes):
    from onnx import TensorProto, helper

    names = ["" if array is None else f"in{i}" for i, array in enumerate(inputs)]
    feeds = {name: array for name, array in zip(names, inputs, strict=True) if name}
    types = {"indices": TensorProto.INT64}
    graph = helper.make_graph(
        [helper.make_node(op, names, outputs, **attributes)],
        "one",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in feeds.items()
        ],
        [
            helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), None)
            for name in outputs
        ],
    )
    opset = [helper.make_opsetid("", 22)]
    return helper.make_model(graph, opset_imports=opset, ir_version=10), feeds


@pytest.fixture(scope="session")
def onnx():
    """What ONNX's operators make of the same numbers."""
    return Oracle
