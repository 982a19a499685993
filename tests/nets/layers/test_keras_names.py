"""Names by place: blocks, branches, heads, in networks of every build."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper, numpy_helper
from tiny import build, weight

from cnntool.nets.file.graph import read_graph
from cnntool.nets.layers.lookup import Layers

POOL = {"kernel_shape": [2, 2], "strides": [2, 2]}
SAME = {"pads": [1, 1, 1, 1]}


def node(op, inputs, outputs, name="", **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), name, **attributes)


@pytest.fixture
def names(tmp_path):
    """Write a graph and return the names of its layers by tensor, where they have one."""

    def make(nodes, weights=(), **settings):
        path = tmp_path / "net.onnx"
        path.write_bytes(build(nodes, weights, **settings).SerializeToString())
        return {row.pre: row.alias for row in Layers(read_graph(path)).rows if row.alias}

    return make


def picture(rows, columns, channels=2):
    return helper.make_tensor_value_info("x", 1, (1, channels, rows, columns))


KERNELS = [weight("k1", 2, 2, 1, 1), weight("k3", 2, 2, 3, 3)]


def test_blocks_end_with_pools(names):
    assert names(
        [
            node("Conv", "x k3", "a", **SAME),
            node("Relu", "a", "b"),
            node("Conv", "b k3", "c", strides=[2, 2], **SAME),  # there are pools, so no step
            node("MaxPool", "c", "d", **POOL),
            node("Conv", "d k3", "e", **SAME),
            node("AveragePool", "e", "f", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),  # not smaller
            node("Conv", "f k1", "g"),
            node("MaxPool", "g", "y", **POOL),
        ],
        KERNELS,
        inputs=[picture(32, 32)],
    ) == {
        "a": "block1_conv1",
        "c": "block1_conv2",
        "d": "block1_pool",
        "e": "block2_conv1",
        "g": "block2_conv2",
        "y": "block2_pool",
    }


def test_without_pools_blocks_end_with_convolutions_that_stride(names):
    assert names(
        [
            node("Conv", "x k3", "a", strides=[2, 2], **SAME),
            node("Conv", "a k3", "b", **SAME),
            node("Conv", "b k3", "c", strides=[1, 2], **SAME),
            node("ConvTranspose", "c k3", "d", strides=[2, 2]),
            node("Conv", "d k1", "y"),
        ],
        KERNELS,
    ) == {
        "a": "block1_conv1",
        "b": "block2_conv1",
        "c": "block2_conv2",
        "d": "block3_conv1",
        "y": "block3_conv2",
    }


def test_branches_get_letters_and_the_longest_way_is_the_main_path(names):
    assert names(
        [
            node("Conv", "x k1", "stem"),
            node("Conv", "stem k1", "short"),
            node("Conv", "stem k1", "p"),
            node("Conv", "p k3", "q", **SAME),
            node("Conv", "stem k1", "other"),
            node("MaxPool", "stem", "pooled", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            node("Conv", "pooled k1", "r"),
            node("Concat", "short q other r", "joined", axis=1),
            node("Conv", "joined k8", "y"),
        ],
        [*KERNELS, weight("k8", 2, 8, 1, 1)],
    ) == {
        "stem": "block1_conv1",
        "p": "block1_conv2",
        "q": "block1_conv3",
        "short": "block1_conv2b",
        "other": "block1_conv2c",
        "r": "block1_conv2d",
        "y": "block1_conv4",
    }


def test_many_branches(names):
    tensors = [f"t{i}" for i in range(30)]
    nodes = [node("Conv", "x k1", tensor) for tensor in tensors]
    found = names([*nodes, node("Sum", " ".join(tensors), "y")], KERNELS)
    assert found["t0"] == "block1_conv1"
    assert found["t25"] == "block1_conv1z"
    assert found["t26"] == "block1_conv1_26"
    assert len(set(found.values())) == 30


def test_a_shortcut_with_a_convolution(names):
    assert names(
        [
            node("Conv", "x k3", "a", **SAME),
            node("Relu", "a", "b"),
            node("Conv", "b k3", "c", **SAME),
            node("Conv", "x k1", "shortcut"),
            node("Add", "c shortcut", "y"),
        ],
        KERNELS,
    ) == {"a": "block1_conv1", "c": "block1_conv2", "shortcut": "block1_conv1b"}


def test_squeeze_and_excitation_is_no_main_path(names):
    found = names(
        [
            node("Conv", "x k3", "a", **SAME),
            node("ReduceMean", "a", "g", axes=[2, 3]),
            node("Conv", "g k1", "s1"),
            node("Conv", "s1 k1", "s2"),
            node("Sigmoid", "s2", "gate"),
            node("Mul", "a gate", "m"),
            node("Conv", "m k3", "y", **SAME),
        ],
        KERNELS,
    )
    assert (found["a"], found["y"]) == ("block1_conv1", "block1_conv2")
    assert (found["s1"], found["s2"]) == ("block1_conv2b", "block1_conv3b")


HEAD = [
    node("Conv", "x k3", "a", **SAME),
    node("MaxPool", "a", "p", **POOL),
]


def test_dense_layers(names):
    matrices = [weight("m1", 18, 5), weight("m2", 5, 5), weight("m3", 5, 3), weight("b", 3)]
    assert names(
        [
            *HEAD,
            node("Flatten", "p", "flat"),
            node("MatMul", "flat m1", "d1"),
            node("Relu", "d1", "r1"),
            node("MatMul", "r1 m2", "d2"),
            node("Gemm", "d2 m3 b", "logits"),
            node("Softmax", "logits", "y"),
        ],
        [*KERNELS, *matrices],
    ) == {
        "a": "block1_conv1",
        "p": "block1_pool",
        "flat": "flatten",
        "d1": "fc1",
        "d2": "fc2",
        "logits": "predictions",
    }


def test_a_convolution_over_the_whole_map_is_a_dense_layer(names):
    nodes = [
        *HEAD,
        node("Conv", "p k33", "c1"),
        node("Relu", "c1", "r1"),
        node("Conv", "r1 k1", "c2"),
        node("Conv", "c2 k1", "y"),
    ]
    weights = [*KERNELS, weight("k33", 2, 2, 3, 3)]
    found = names(nodes, weights)
    assert [found[t] for t in ("c1", "c2", "y")] == ["fc1", "fc2", "predictions"]
    # On a larger picture it makes maps, and on one of unknown size nobody can tell.
    for shape in ((1, 2, 32, 32), (1, 2, "rows", "columns")):
        given = [helper.make_tensor_value_info("x", 1, shape)]
        found = names(nodes, weights, inputs=given)
        assert found["c1"] == "block2_conv1"
        assert "predictions" not in found.values()


@pytest.mark.parametrize(
    "pool",
    [
        node("GlobalAveragePool", "c", "g"),
        node("AveragePool", "c", "g", kernel_shape=[3, 3], strides=[3, 3]),
        node("ReduceMean", "c", "g", axes=[2, 3]),
    ],
    ids=lambda pool: pool.op_type,
)
def test_scores_that_are_means_of_maps(names, pool):
    nodes = [*HEAD, node("Conv", "p k1", "c"), pool]
    found = names([*nodes, node("Softmax", "g", "y", axis=1)], KERNELS)
    assert found == {
        "a": "block1_conv1",
        "p": "block1_pool",
        "c": "block2_conv1",
        "y": "predictions",
    }
    found = names([*nodes, node("Conv", "g k1", "l"), node("Reshape", "l s", "y")],
                  [*KERNELS, numpy_helper.from_array(np.array([1, -1]), "s")])  # fmt: skip
    assert found["l"] == "predictions"


def test_a_network_that_makes_maps_has_no_predictions(names):
    nodes = [*HEAD, node("Conv", "p k1", "c"), node("Softmax", "c", "y", axis=1)]
    assert "predictions" not in names(nodes, KERNELS).values()


def test_the_main_path_leads_to_the_output_behind_most_convolutions(names):
    found = names(
        [
            node("Conv", "x k1", "a"),
            node("Conv", "a k1", "early"),
            node("Conv", "a k1", "b"),
            node("Conv", "b k1", "late"),
        ],
        KERNELS,
        outputs=("early", "late"),
    )
    assert found["b"] == "block1_conv2"
    assert found["early"] == "block1_conv2b"


def test_networks_without_convolutions(names):
    vector = helper.make_tensor_value_info("x", 1, (1, 6))
    dense = names([node("Gemm", "x m", "y")], [weight("m", 6, 3)], inputs=[vector])
    assert dense == {"y": "predictions"}
    assert names([node("Relu", "x", "y")]) == {}


def test_names_that_are_taken_are_not_given(names):
    # Here block1_conv2 is what the exporter calls the first convolution.
    nodes = [
        node("Conv", "x k1", "a", "block1_conv2/Conv"),
        node("Conv", "a k1", "y"),
    ]
    assert names(nodes, KERNELS) == {"a": "block1_conv1"}
