"""Gradients of what moves numbers beside finite differences."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from effort import examples
from finite_differences import check, draw
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx import helper
from onnx.reference.op_run import OpRun

from cnntool.errors import ModelError

shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("op", "weights", "attributes"),
    [
        ("Reshape", {"s": np.array([4, -1])}, {}),
        ("Flatten", {}, {"axis": 2}),
        ("Squeeze", {"a": np.array([1])}, {}),
        ("Unsqueeze", {"a": np.array([0, 2])}, {}),
        ("Identity", {}, {}),
        ("Dropout", {}, {}),
        ("Transpose", {}, {}),
    ],
)
def test_other_axes(op, weights, attributes):
    node = helper.make_node(op, ["x", *weights], ["y"], **attributes)
    check([node], {"x": draw(2, 1, 3, 4)}, weights)


def branch(op, *inputs):
    made = helper.make_tensor_value_info(op, onnx.TensorProto.FLOAT, None)
    return helper.make_graph([helper.make_node(op, inputs, [op])], op, [], [made])


@pytest.mark.parametrize("answer", [True, False])
def test_branches_that_change_axes_alone(answer):
    x, weights = {"x": draw(2, 1, 3)}, {"c": np.array(answer), "a": np.array([1])}
    fork = {"then_branch": branch("Squeeze", "x", "a"), "else_branch": branch("Identity", "x")}
    check([helper.make_node("If", ["c"], ["y"], **fork)], x, weights)
    fork = dict.fromkeys(fork, branch("Sin", "x"))
    with pytest.raises(ModelError, match="no gradient is known of If that computes"):
        check([helper.make_node("If", ["c"], ["y"], **fork)], x, weights)


@examples(40)
@given(shapes, st.randoms())
def test_transposes(shape, random):
    order = list(range(len(shape)))
    random.shuffle(order)
    check([helper.make_node("Transpose", ["x"], ["y"], perm=order)], {"x": draw(*shape)})


@examples(40)
@given(shapes, st.data())
def test_joining(shape, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    parts = {}
    for index in range(data.draw(st.integers(1, 3))):
        shape[axis] = data.draw(st.integers(1, 3))
        parts[f"x{index}"] = draw(*shape, seed=index)
    constant = dict([parts.popitem()]) if len(parts) > 1 and data.draw(st.booleans()) else {}
    node = helper.make_node("Concat", [*parts, *constant], ["y"], axis=axis)
    check([node], parts, constant)


@pytest.mark.parametrize("opset", [8, 11, 13, 18])
@pytest.mark.parametrize("kept", [[0, 1, 2], [1]])
def test_parting(opset, kept):
    sizes = np.array([1, 3, 2])
    weights, stated = {}, {}
    if opset == 13:
        weights["sizes"] = sizes
    elif opset == 18:
        sizes, stated["num_outputs"] = np.array([2, 2, 2]), 3
    else:
        stated["split"] = sizes.tolist()
    nodes = [
        helper.make_node("Split", ["x", *weights], ["p0", "p1", "p2"], axis=1, **stated),
        *(
            helper.make_node("ReduceSum", [f"p{place}"], [f"s{place}"], keepdims=0)
            for place in kept
        ),
        helper.make_node("Sum", [f"s{place}" for place in kept], ["y"]),
    ]
    found = check(nodes, {"x": draw(2, 6)}, weights, opset=opset)["x"]
    expected = np.isin(np.arange(3).repeat(sizes), kept)
    np.testing.assert_array_equal(found != 0, [expected, expected])


@examples(150)
@given(shapes, st.sampled_from([9, 18]), st.data())
def test_slices(shape, opset, data):
    shape = [3 * n for n in shape]
    rank = len(shape)
    axes = sorted(data.draw(st.sets(st.integers(0, rank - 1), min_size=1)))
    starts, stops, steps = [], [], []
    for axis in axes:
        length = shape[axis]
        step = data.draw(st.sampled_from([-3, -2, -1, 1, 1, 2, 3])) if opset == 18 else 1
        inside = st.integers(-length, length - 1)
        starts.append(data.draw(inside))
        stops.append(data.draw(inside | st.sampled_from([(1 << 62) * (1 if step > 0 else -1)])))
        steps.append(step)
        assume(range(length)[starts[-1] : stops[-1] : step])
    x = {"x": draw(*shape)}
    if opset == 9:
        stated = {"starts": starts, "ends": stops}
        stated |= {} if axes == list(range(len(axes))) else {"axes": axes}
        check([helper.make_node("Slice", ["x"], ["y"], **stated)], x, opset=9, reference=False)
    signed = [axis - data.draw(st.sampled_from([0, rank])) for axis in axes]
    limits = {"starts": starts, "ends": stops, "axes": signed, "steps": steps}
    weights = {key: np.array(numbers) for key, numbers in limits.items()}
    found = check([helper.make_node("Slice", ["x", *weights], ["y"])], x, weights)["x"]
    places = [slice(None)] * rank
    for axis, *limit in zip(axes, starts, stops, steps, strict=True):
        places[axis] = slice(*limit)
    taken = np.zeros(shape, bool)
    taken[tuple(places)] = True
    np.testing.assert_array_equal(found != 0, taken)


class Pad(OpRun):
    """onnx's own knows no negative ones."""

    op_domain = ""

    def _run(self, x, pads=None, value=None, axes=None, *, mode=None, **stated):
        pads = np.reshape(pads, (2, -1))
        full = np.zeros((2, x.ndim), int)
        full[:, range(x.ndim) if axes is None else axes] = pads
        ends = zip(full.T.tolist(), x.shape, strict=True)
        x = x[tuple(slice(max(-a, 0), n + min(b, 0)) for (a, b), n in ends)]
        return (np.pad(x, np.maximum(full.T, 0), mode=mode or "constant"),)


@examples(80)
@given(st.sampled_from(["constant", "reflect", "edge"]), st.sampled_from([8, 11, 18]), st.data())
def test_borders(mode, opset, data):
    shape = data.draw(st.lists(st.integers(3, 5), min_size=2, max_size=3))
    rank = len(shape)
    low = -1 if mode == "constant" else 0
    pads = data.draw(st.lists(st.integers(low, 2), min_size=2 * rank, max_size=2 * rank))
    names, weights, stated = ["x"], {}, {"mode": mode}
    if opset == 8:
        stated["pads"] = pads
    elif opset == 11:
        names, weights = ["x", "pads"], {"pads": np.array(pads)}
    else:
        names = ["x", "pads", "", "axes"]
        weights = {"pads": np.array(pads[1:rank] + pads[rank + 1 :]), "axes": np.arange(1, rank)}
    node = helper.make_node("Pad", names, ["y"], **stated)
    check([node], {"x": draw(*shape)}, weights, opset=opset, new_ops=[Pad])


def test_a_border_that_wraps_around_is_refused():
    node = helper.make_node("Pad", ["x", "pads"], ["y"], mode="wrap")
    with pytest.raises(ModelError, match="no gradient is known of Pad that wraps around"):
        check([node], {"x": draw(4)}, {"pads": np.array([1, 1])}, opset=19)


@pytest.mark.parametrize(
    "indices", [0, -1, [2], [1, 2], [3, 1], [0, 3, 1, 3, 0], [[0, 2], [1, -1]], [[1, 1]]]
)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gathering(indices, axis):
    node = helper.make_node("Gather", ["x", "i"], ["y"], axis=axis)
    check([node], {"x": draw(4, 4, 4)}, {"i": np.array(indices)})


def test_gathering_at_places_that_the_picture_says():
    node = helper.make_node("Gather", ["x", "i"], ["y"], axis=1)
    check([node], {"x": draw(2, 4), "i": np.array([[1, 1], [0, 3]], np.int32)})


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gathering_elements(axis):
    indices = {"i": np.array([[0, 2, 1], [1, -1, 1], [0, 0, 0]])}
    node = helper.make_node("GatherElements", ["x", "i"], ["y"], axis=axis)
    check([node], {"x": draw(3, 3)}, indices)


@pytest.mark.parametrize(
    ("batch", "indices"), [(0, [[0, 1], [1, 2], [0, 1]]), (0, [[1], [1]]), (1, [[1], [2]])]
)
def test_gathering_parts(batch, indices):
    node = helper.make_node("GatherND", ["x", "i"], ["y"], batch_dims=batch)
    check([node], {"x": draw(2, 3, 4)}, {"i": np.array(indices)})


def test_putting_elements():
    data = {"x": draw(3, 3), "u": draw(2, 3, seed=1)}
    weights = {"i": np.array([[0, 2, 1], [1, -3, 0]])}
    node = helper.make_node("ScatterElements", ["x", "i", "u"], ["y"], axis=0)
    check([node], data, weights)


def test_putting_parts():
    data = {"x": draw(3, 4, 2), "u": draw(2, 2, seed=1)}
    weights = {"i": np.array([[0, 2], [1, 3]])}
    check([helper.make_node("ScatterND", ["x", "i", "u"], ["y"])], data, weights)


def test_adding_parts_is_refused():
    data = {"x": draw(3), "u": draw(1, seed=1)}
    node = helper.make_node("ScatterND", ["x", "i", "u"], ["y"], reduction="add")
    with pytest.raises(ModelError, match="no gradient is known of ScatterND that reduces"):
        check([node], data, {"i": np.array([[0]])})


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("diagonal", [None, -1, 1])
def test_triangles(upper, diagonal):
    weights = {} if diagonal is None else {"k": np.array(diagonal)}
    node = helper.make_node("Trilu", ["x", *weights], ["y"], upper=upper)
    check([node], {"x": draw(2, 3, 4)}, weights)


@pytest.mark.parametrize("largest", [0, 1])
def test_the_largest_numbers(largest):
    node = helper.make_node("TopK", ["x", "k"], ["y", "i"], axis=1, largest=largest)
    check([node], {"x": draw(2, 6, 3)}, {"k": np.array([2])})


@examples(30)
@given(shapes, st.data())
def test_repeating(shape, data):
    repeats = np.array([data.draw(st.integers(1, 3)) for _ in shape])
    check([helper.make_node("Tile", ["x", "r"], ["y"])], {"x": draw(*shape)}, {"r": repeats})
    whole = [data.draw(st.integers(1, 3)), *(3 if n == 1 else n for n in shape)]
    weights = {"s": np.array(whole)}
    check([helper.make_node("Expand", ["x", "s"], ["y"])], {"x": draw(*shape)}, weights)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_channels_become_rows_and_columns(mode):
    node = helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=2, mode=mode)
    check([node], {"x": draw(1, 8, 2, 3)})


def test_rows_and_columns_become_channels():
    check([helper.make_node("SpaceToDepth", ["x"], ["y"], blocksize=2)], {"x": draw(1, 2, 4, 6)})
