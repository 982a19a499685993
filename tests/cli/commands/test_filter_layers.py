"""``filter -k @layer.npy --bias --relu``: a layer of a lecture, in a pipe and on pictures."""

import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def layer(tmp_path):
    """A layer of 4 maps over 3 channels, its biases, and an input, as numpy saves them."""
    draw = np.random.default_rng(0)
    arrays = {
        "w": draw.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "b": draw.normal(size=4).astype(np.float32),
        "x": draw.normal(size=(3, 10, 13)).astype(np.float32),
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    return arrays


def convolved(x, weights, bias=None):
    """Convolve in ``valid``, by the definition."""
    windows = np.lib.stride_tricks.sliding_window_view(x, weights.shape[1:])[0]
    result = np.einsum("hwcij,mcij->mhw", windows.astype(float), weights.astype(float))
    return result if bias is None else result + bias[:, None, None]


def test_convolution_relu_and_pooling_of_a_lecture_in_a_pipe(here, layer, tmp_path):
    command = ("filter", "-k", "@w.npy", "--bias", "@b.npy", "--relu", "--mode", "valid")
    maps = here(*command, "x.npy", "--format", "npy", "-o", "-").out
    here("pool", "--max", "2", "-o", "p.npy", stdin=maps)
    rectified = np.maximum(convolved(layer["x"], layer["w"], layer["b"]), 0)
    pooled = rectified[:, :8, :10].reshape(4, 4, 2, 5, 2).max(axis=(2, 4))
    pooled_too = np.load(tmp_path / "p.npy")
    np.testing.assert_allclose(pooled_too, pooled[..., : pooled_too.shape[2]], rtol=1e-5, atol=1e-5)
    assert pooled_too.shape == (4, 4, 5)


def test_the_same_as_the_operators_of_a_network(here, layer, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    from onnx import helper

    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], strides=[2, 1], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(name, 1, None) for name in "xwby"]
    graph = helper.make_graph(nodes, "g", values[:3], values[3:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (expected,) = session.run(None, {**layer, "x": layer["x"][None]})
    here("filter", "-k", "@w.npy", "--bias", "@b.npy", "--relu", "--stride", "2,1", "x.npy")
    np.testing.assert_allclose(
        np.load(tmp_path / "x.custom.npy"), expected[0], rtol=1e-5, atol=1e-5
    )


def test_one_kernel_of_three_axes_makes_one_map(here, layer, tmp_path):
    np.save(tmp_path / "k.npy", layer["w"][1])
    here("filter", "-k", "@k.npy", "--mode", "valid", "x.npy", "-o", "o.npy")
    expected = convolved(layer["x"], layer["w"][1:2])[0]
    np.testing.assert_allclose(np.load(tmp_path / "o.npy"), expected, rtol=1e-5, atol=1e-5)


def test_layers_follow_each_other(here, layer, tmp_path):
    np.save(tmp_path / "v.npy", second := np.ones((1, 4, 2, 2)))
    here("filter", "-k", "@w.npy", "-k", "@v.npy", "--mode", "valid", "x.npy", "-o", "o.npy")
    expected = convolved(convolved(layer["x"], layer["w"]), second)[0]
    np.testing.assert_allclose(np.load(tmp_path / "o.npy"), expected, rtol=1e-4, atol=1e-4)


def test_a_picture_is_computed_with_from_0_to_1(here, layer, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (9, 11, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    here("filter", "-k", "@w.npy", "--mode", "valid", "p.png", "-o", "o.npy")
    expected = convolved(pixels.transpose(2, 0, 1) / 255, layer["w"])
    np.testing.assert_allclose(np.load(tmp_path / "o.npy"), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("relu", [[], ["--relu"]])
def test_a_picture_of_many_maps_is_a_sheet_of_them(here, layer, tmp_path, relu):
    pixels = np.random.default_rng(1).integers(0, 256, (9, 11, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    done = here("filter", "-k", "@w.npy", *relu, "p.png", "-o", "o.png", "--json")
    record = json.loads(done.text)
    assert record["range"] == (["clip"] if relu else ["center"]) * 4
    assert record["relu"] == bool(relu)
    assert record["methods"] == ["gemm"]
    here("filter", "-k", "@w.npy", *relu, "p.png", "-o", "o.npy")
    first = np.load(tmp_path / "o.npy")[0]
    level = first if relu else first / 2 + 0.5
    with Image.open(tmp_path / "o.png") as sheet:
        tile = np.asarray(sheet.convert("L"), float)[:9, :11]
    np.testing.assert_allclose(tile, level.clip(0, 1) * 255, atol=0.51)


def test_bias_and_relu_of_classic_kernels(here, tmp_path):
    matrix = b"1,-2;3,-4\n"
    found = here("filter", "-k", "2", "--bias", "-1", "--relu", stdin=matrix)
    assert found.text == "1,0\n5,0\n"
    assert here("filter", "-k", "1", "--relu", stdin=matrix).text == "1,0\n3,0\n"
    bank = ("filter", "--bank", "-k", "1", "-k", "-1", "--bias", "10,20", "-o", "b.npy")
    here(*bank, stdin=matrix)
    assert np.load(tmp_path / "b.npy").tolist() == [[[11, 8], [13, 6]], [[19, 22], [17, 24]]]


def test_explain_names_the_layer(here, layer):
    text = here("filter", "-k", "@w.npy", "--bias", "@b.npy", "--relu", "x.npy", "--explain").text
    assert "filter  w: 4 kernels 3x3, of 3 channels each, sum" in text
    assert "method gemm in float32, 27 multiplies a value" in text
    assert "then    bias, ReLU" in text
    assert "result  npy: 10 rows x 13 columns, 4 channels, float32" in text


def test_the_axes_can_be_said(here, layer, tmp_path):
    np.save(tmp_path / "x.npy", np.arange(3.0 * 8 * 4).reshape(8, 3, 4))
    np.save(tmp_path / "k.npy", np.ones((1, 8, 1, 1)))
    done = here("filter", "-k", "@k.npy", "x.npy", "-o", "o.npy", code=2)
    assert "the kernel is 8x1x1 (channels x rows x columns), channels of the input: 4" in done.err
    assert "hint: --layout says which axis of an array holds the channels" in done.err
    here("filter", "-k", "@k.npy", "x.npy", "--layout", "chw", "-o", "o.npy")
    assert np.load(tmp_path / "o.npy").tolist() == np.load(tmp_path / "x.npy").sum(axis=0).tolist()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-k", "@w.npy", "m.csv"], "m.csv: the kernel is 3x3x3 (channels x rows x columns)"),
        (["-k", "@w.npy", "x.npy", "--method", "fft"], "no --method to choose"),
        (["-k", "@w.npy", "x.npy", "--bias", "1,2"], "--bias: it has 2 numbers, kernels: 4"),
        (["-k", "@w.npy", "x.npy", "--bias", "1,x"], "--bias 1,x: 'x' is not a number"),
        (["-k", "@w.npy", "x.npy", "--bias", "@w.npy"], "one row of numbers is needed"),
        (["-k", "@w.npy", "x.npy", "--bias", "nan,1,1,1"], "must be finite"),
        (["-k", "@w.npy", "-k", "box", "x.npy", "--relu"], "not of a chain"),
        (["-k", "box", "m.csv", "--bias", "1,2"], "--bias: it has 2 numbers, kernels: 1"),
        (["-k", "median", "m.csv", "--relu"], "--relu makes no sense for median"),
        (["-k", "otsu", "m.csv", "--bias", "1"], "--bias makes no sense for otsu"),
        (["-k", "@w.npy", "x.npy", "-o", "o.csv"], "a stack of maps is no table"),
        (["-k", "@w.npy", "x.npy", "--max-pixels", "200", "-k", "@w.npy"], "channels of the input"),
        (["--bank", *["-k", "box"] * 9, "m.csv", "--max-pixels", "4", "-o", "o.npy"], "2x2x9"),
    ],
)
def test_what_makes_no_sense_is_one_line(here, layer, tmp_path, arguments, reason):
    (tmp_path / "m.csv").write_text("1,2\n3,4\n")
    done = here("filter", *arguments, code=2)
    assert done.err.startswith("cnntool: error: ")
    assert reason in done.err.splitlines()[0]
    assert not list(tmp_path.glob("o.*"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("trace", "x.npy", "--at", "0,0"),
        ("deconv", "x.npy"),
        ("kernels", "show"),
        ("matrix", "--input-size", "4"),
    ],
)
def test_other_commands_say_who_takes_layers(here, layer, arguments):
    spec = ["@w.npy"] if arguments[0] == "kernels" else ["-k", "@w.npy"]
    done = here(*arguments, *spec, code=3)
    assert done.err.splitlines() == [
        "cnntool: error: w.npy: a kernel must be a matrix, not an array of shape (4, 3, 3, 3)",
        "cnntool: hint: 'cnntool filter' and 'cnntool im2col' take the kernels of a layer",
    ]


def test_files_that_cannot_be_read(here, layer, tmp_path):
    done = here("filter", "-k", "@w.npy", "--bias", "@none.npy", "x.npy", code=3)
    assert done.err.startswith("cnntool: error: none.npy: cannot read the vector: No such file")
    np.save(tmp_path / "bad.npy", np.full((1, 3, 2, 2), np.nan))
    done = here("filter", "-k", "@bad.npy", "x.npy", code=3)
    assert done.err.startswith("cnntool: error: bad.npy: a kernel's weights must be finite")
