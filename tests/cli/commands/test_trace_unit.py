"""``trace --layer``: units of networks worked out by hand, and of real ones."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image
from small import save

from cnntool.nets.inference import unit

pytest.importorskip("onnxruntime")

SHARED = Path(__file__).parents[3].parent / "shared"
N7 = np.array(
    [[3, 3, 2, 1, 0], [0, 0, 1, 3, 1], [3, 1, 2, 2, 3], [2, 0, 0, 2, 2], [2, 0, 0, 0, 1]], np.uint8
)
K7 = np.array([[0, 1, 2], [2, 2, 0], [0, 1, 2]], np.float32)
RAW = ("--preprocess", "raw")


def network(path, nodes, channels=1, side=5, outputs=1, **weights):
    """Write a network of pictures of a side, with ``y`` as its result."""
    shape = ["N", channels, side, side]
    return save(
        path,
        nodes,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [(name, np.asarray(value, np.float32)) for name, value in weights.items()],
    )


@pytest.fixture
def lecture(tmp_path):
    """Write the lecture's example as a layer: less 20, and a ReLU; beside the picture."""
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1], name="conv"),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    network(tmp_path / "n.onnx", nodes, w=K7[None, None], b=[-20])
    Image.fromarray(N7).save(tmp_path / "n7.png")
    return ("trace", "n7.png", "-m", "n.onnx", "-l", "conv", *RAW)


@pytest.fixture
def deep(tmp_path):
    """Write three colours, twelve maps, one sum: each map is a multiple of red and green."""
    first = np.zeros((12, 3, 1, 1))
    first[:, 0, 0, 0] = np.arange(12)
    first[:, 1, 0, 0] = 1
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["m"]),
        helper.make_node("Conv", ["m", "v", "b"], ["s"], pads=[1, 0, 0, 0], strides=[2, 2]),
        helper.make_node("Flatten", ["s"], ["f"]),
        helper.make_node("Gemm", ["f", "g"], ["y"]),
    ]
    weights = {"w": first, "v": np.ones((2, 12, 2, 1)), "b": [100, 200], "g": np.eye(18, 2)}
    network(tmp_path / "d.onnx", nodes, 3, **weights)
    Image.new("RGB", (5, 5), (10, 1, 7)).save(tmp_path / "p.png")
    return ("trace", "p.png", "-m", "d.onnx", *RAW)


# By hand


def test_the_lectures_value_in_text(here, lecture):
    done = here(*lecture, "--unit", "0,0,2")
    assert done.text == (
        "block1_conv1, unit (0, 0, 2) of 1x5x5: input rows -1 to 1, columns 1 to 3\n"
        "it sees rows 0 to 1, columns 1 to 3 of the picture of 5x5, and padding\n"
        "\n"
        "channel 0\n"
        "window            kernel      products\n"
        "(0)  (0)  (0)     0  1  2     0  0  0\n"
        " 3    2    1   *  2  2  0  =  6  4  0\n"
        " 0    1    3      0  1  2     0  1  6\n"
        "sum  0 + 0 + 0 + 6 + 4 + 0 + 0 + 1 + 6 = 17\n"
        "\n"
        "( ) lies outside of the input: zero\n"
        "\n"
        "sum of 9 products   17\n"
        "bias               -20\n"
        "result              -3\n"
        "in the network      -3  (no difference)\n"
        "after ReLU           0\n"
    )
    assert "note: conv -> c (conv 1, before ReLU)" in done.err


def test_the_lectures_values_in_records(here, lecture):
    full = np.pad(N7.astype(float), 1)
    for at in [(0, 0), (2, 3), (4, 4)]:
        done = here(*lecture, "--unit", f"0,{at[0]},{at[1]}", "--json")
        record = json.loads(done.text)
        window = full[at[0] : at[0] + 3, at[1] : at[1] + 3]
        value = float((window * K7).sum() - 20)
        assert record["window"] == [window.tolist()]
        assert record["products"] == [(window * K7).tolist()]
        assert record["value"] == record["network"] == value
        assert record["activation"] == max(0, value)
        assert record["rows"] == [at[0] - 1, at[0], at[0] + 1]
        assert record["sees"]["columns"] == [at[1] - 1, at[1] + 1]


def test_records_are_stable(here, lecture):
    record = json.loads(here(*lecture, "--unit", "0,0,0", "--json").text)
    facts = {key: record.pop(key) for key in ("model", "preprocessing", "assumed")}
    assert facts["model"]["file"] == "n.onnx"
    assert record == {
        "input": "n7.png",
        "device": "cpu",
        "provider": "CPUExecutionProvider",
        "layer": "block1_conv1",
        "tensor": "c",
        "meaning": "conv 1, before ReLU",
        "unit": [0, 0, 0],
        "shape": [1, 5, 5],
        "sees": {"rows": [-1, 1], "columns": [-1, 1], "picture": [5, 5]},
        "channels": [0],
        "rows": [-1, 0, 1],
        "columns": [-1, 0, 1],
        "inside": [[False] * 3, [False, True, True], [False, True, True]],
        "window": [[[0, 0, 0], [0, 3, 3], [0, 0, 0]]],
        "weights": [K7.tolist()],
        "products": [[[0, 0, 0], [0, 6, 0], [0, 0, 0]]],
        "sums": [6],
        "sum": 6,
        "bias": -20,
        "value": -14,
        "network": -14,
        "difference": 0,
        "agrees": True,
        "after": "ReLU",
        "activation": 0,
        "output": None,
    }


def test_colours_have_names(here, deep):
    text = here(*deep, "-q", "-l", "conv:1", "--unit", "4,2,2").text
    assert "channel 0 (red)\nwindow     kernel     products\n10      *  4       =  40\n" in text
    assert "channel 1 (green)" in text
    assert "it sees rows 2, columns 2 of the picture of 5x5\n" in text
    text = here(*deep, "-q", "-l", "conv:1", "--unit", "4,2,2", "--channel-order", "bgr").text
    assert "channel 0 (blue)\nwindow     kernel     products\n7       *  4       =  28\n" in text


def test_of_many_maps_the_strongest(here, deep):
    lines = here(*deep, "-q", "-l", "conv:2", "--unit", "1,0,1").text.splitlines()
    assert lines[0] == "block1_conv2, unit (1, 0, 1) of 2x3x3: input rows -1 to 0, columns 2"
    assert lines[3] == " channel  sum of products"
    assert [line.split() for line in lines[4:15]] == [
        *[[str(n), str(10 * n + 1)] for n in range(11, 1, -1)],
        ["2", "others", "12"],
    ]
    assert lines[16] == "1 of 2 taps lie outside of the input: zero"
    assert [line.split() for line in lines[18:]] == [
        ["sum", "of", "24", "products", "672"],
        ["bias", "200"],
        ["result", "872"],
        ["in", "the", "network", "872", "(no", "difference)"],
    ]


def test_a_dense_layer(here, deep):
    lines = here(*deep, "-q", "-l", "dense:1", "--unit", "1").text.splitlines()
    assert lines[:2] == [
        "predictions, unit (1) of 2",
        "it sees the whole of the picture of 5x5",
    ]
    assert lines[3].split() == ["channel", "value", "weight", "product"]
    assert lines[4].split() == ["1", "772", "1", "772"]
    assert lines[14].split() == ["8", "others", "0"]
    record = json.loads(here(*deep, "-q", "-l", "dense:1", "--unit", "1", "--json").text)
    assert (record["unit"], record["shape"]) == ([1], [2])


def test_a_transposed_convolution(here, tmp_path):
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[3, 3])
    network(tmp_path / "t.onnx", [node], w=np.full((1, 1, 2, 2), 2))
    Image.fromarray(N7).save(tmp_path / "n7.png")
    trace = ("trace", "n7.png", "-q", "-m", "t.onnx", "-l", "conv:1", *RAW)
    text = here(*trace, "--unit", "0,3,4").text
    assert text.startswith("block1_conv1, unit (0, 3, 4) of 1x14x14: input rows 1, columns 1\n")
    assert "( ) lies outside of the input or between its values: zero" in text
    text = here(*trace, "--unit", "0,2,2").text  # where no value is laid down
    assert "input rows none, columns none" in text
    assert "result             0\n" in text


@pytest.mark.full
def test_what_is_more_than_rounding_fails(here, tmp_path, monkeypatch):
    monkeypatch.setattr(unit, "ROUNDINGS", 0)
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    network(tmp_path / "n.onnx", [node], 3, w=np.full((1, 3, 3, 3), 0.1))
    pixels = np.random.default_rng(0).integers(0, 256, (5, 5, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    trace = ("trace", "p.png", "-m", "n.onnx", "-l", "conv:1", "--unit", "0,1,1")
    done = here(*trace, code=1)
    assert "which is more than rounding)" in done.text
    assert json.loads(here(*trace, "--json", code=1).text)["agrees"] is False
    done = here(*trace, "-o", "u.png", code=1)
    assert "which is more than rounding)" in done.err
    monkeypatch.undo()


# Where the picture comes from


@pytest.mark.full
def test_the_picture_may_be_piped_in(here, lecture, tmp_path):
    picture = (tmp_path / "n7.png").read_bytes()
    arguments = ["trace", "-", *lecture[2:], "--unit", "0,2,2"]
    assert here(*arguments, stdin=picture).text == here(*lecture, "--unit", "0,2,2").text


@pytest.mark.full
def test_without_a_picture_the_sample(process):
    done = process("trace", "-l", "block1_conv1", "--unit", "3,60,70")
    assert "looking at the sample cat.png" in done.err
    assert done.text.startswith("block1_conv1, unit (3, 60, 70) of 16x144x144: input rows 59 to 61")


# Figures


@pytest.mark.full
def test_a_figure(here, lecture, tmp_path):
    done = here(*lecture, "--unit", "0,2,2", "-o", "u.png")
    assert done.text == ""
    with Image.open(tmp_path / "u.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (1280, 720))
    done = here(*lecture, "--unit", "0,2,2", "-o", "u.png", code=6)
    assert "u.png: it exists already" in done.err
    here(*lecture, "--unit", "0,2,2", "-o", "u.png", "--overwrite")
    done = here(*lecture, "--unit", "0,2,2", "-o", "-")
    assert done.out == (tmp_path / "u.png").read_bytes()
    done = here(*lecture, "--unit", "0,2,2", "-o", "v.png", "--json")
    assert json.loads(done.text)["output"] == "v.png"


@pytest.mark.full
def test_figures_of_every_kind_of_layer(here, deep, tmp_path):
    for number, (layer, place) in enumerate(
        [("conv:1", "0,0,0"), ("conv:2", "1,2,2"), ("dense:1", "0")]
    ):
        here(*deep, "-l", layer, "--unit", place, "-o", f"{number}.png")
    assert len({(tmp_path / f"{n}.png").read_bytes() for n in range(3)}) == 3


# What makes no sense


@pytest.mark.parametrize(
    ("code", "reason", "arguments"),
    [
        (2, "nothing to trace\ncnntool: hint: --kernel SPEC, or --model NAME --layer", []),
        (2, "--kernel and --model exclude each other\n", ["-k", "box", "-m", "n.onnx"]),
        (2, "--kernel and --layer exclude each other", ["-k", "box", "-l", "conv"]),
        (2, "hint: --unit goes with --model", ["-k", "box", "--unit", "0,0,0"]),
        (2, "hint: --device goes with --model", ["-k", "box", "--device", "cpu"]),
        (2, "no layer\ncnntool: hint: --layer NAME; 'cnntool layers n.onnx'", ["-m", "n.onnx"]),
        (2, "no unit\ncnntool: hint: --unit C,ROW,COLUMN", ["-m", "n.onnx", "-l", "conv"]),
        (2, "'0,1' is no unit such as 3,10,20", ["--unit", "0,1"]),
        (2, "'0,-1,0' is no unit", ["--unit", "0,-1,0"]),
        *[
            (2, f"exclude each other\ncnntool: hint: {option[0]} goes with --kernel",
             [*option, "-m", "n.onnx"])
            for option in (
                ["--op", "convolve"], ["--mode", "same"], ["--border", "zero"], ["--stride", "1"],
                ["--dilation", "1"], ["--channels", "luma"], ["--layout", "chw"], ["--all"],
                ["--at", "0,0"], ["--delay", "1"], ["--allow-nan"],
            )
        ],
    ],
)  # fmt: skip
def test_options_that_do_not_go_together(here, lecture, code, reason, arguments):
    done = here("trace", "n7.png", *arguments, code=code)
    assert reason in done.err
    assert done.out == b""


@pytest.mark.full
@pytest.mark.parametrize(
    ("code", "reason", "arguments"),
    [
        (2, "a.gif: a unit is drawn as FILE.png\ncnntool: hint: an animation is of a --kernel",
         ["-o", "a.gif"]),
        (2, "a.jpg: a unit is drawn as FILE.png\n", ["-o", "a.jpg"]),
        (2, "both want stdout", ["-o", "-", "--json"]),
        (2, "0,5,0 lies outside of 'block1_conv1', which is 1x5x5", ["--unit", "0,5,0"]),
        (2, "which is 1x5x5, is C,ROW,COLUMN", ["--unit", "0"]),
        (4, "'y' has no kernel: it is of kind relu", ["-l", "relu:1"]),
        (4, "'x' is no layer: it has no weights", ["-l", "x"]),
        (4, "no layer is called 'bogus'", ["-l", "bogus"]),
        (4, "'?' means 2 layers, and one is wanted", ["-l", "?"]),
        (6, "no such folder", ["-o", "no/a.png"]),
    ],
)  # fmt: skip
def test_what_cannot_be_traced(here, lecture, code, reason, arguments):
    done = here(*lecture, "--unit", "0,0,0", *arguments, code=code)
    assert reason in done.err
    assert done.out == b""
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["n.onnx", "n7.png"]


@pytest.mark.parametrize(
    ("code", "reason", "path"),
    [(3, "this is a folder", "."), (3, "no such file", "missing.png"), (3, "n.onnx", "n.onnx")],
)
def test_what_cannot_be_read(here, lecture, code, reason, path):
    assert reason in here("trace", path, *lecture[2:], "--unit", "0,0,0", code=code).err


def test_the_environments_network_is_no_reason_to_refuse_a_kernel(here, lecture, monkeypatch):
    monkeypatch.setenv("CNNTOOL_MODEL", "n.onnx")
    monkeypatch.setenv("CNNTOOL_DEVICE", "cpu")
    text = here("trace", "n7.png", "-k", "identity", "--at", "0,0", "--mode", "valid").text
    assert text.startswith("result (0, 0) of 5x5")
    text = here("trace", "n7.png", "-l", "conv", "--unit", "0,0,2", *RAW).text
    assert "result              -3\n" in text


def test_the_help_has_a_part_for_each_use(here):
    text = here("trace", "--help").text
    _, kernels, networks, both = (
        part.partition(":\n")[2] for part in re.split(r"^Options", text, flags=re.MULTILINE)
    )
    assert "  --border" in kernels
    assert "  --unit" in networks
    assert "  --device" in networks
    assert "  --json" in both
    assert "[INPUT]" not in both


# Real networks


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "layer", "place"),
    [
        ("squeezenet1.0-fp16", "conv:1", "3,0,5"),
        ("squeezenet1.0-fp16", "conv:4", "7,11,0"),
        ("squeezenet1.0-fp16", "conv:-1", "281,3,3"),
        ("mobilenetv2-nhwc-u8-qdq", "conv:1", "3,0,5"),
        ("mobilenetv2-nhwc-u8-qdq", "conv:2", "5,111,111"),
        ("mobilenetv2-nhwc-u8-qdq", "conv:3", "5,50,20"),
        ("mnist-cntk", "conv:2", "5,0,13"),
        ("mnist-cntk", "dense:1", "7"),
        ("deeplabv3-nhwc-u8", "conv:20", "5,0,3"),
    ],
)
def test_real_networks(here, samples, name, layer, place):
    path = SHARED / "models" / f"{name}.onnx"
    if not path.exists():
        pytest.skip(f"{os.path.relpath(path)} is not here")
    arguments = ("-m", path, "-l", layer, "--unit", place, "--device", "cpu", "--json")
    record = json.loads(here("trace", samples / "cat.png", *arguments).text)
    size = np.abs(record["products"]).sum() + abs(record["bias"])
    assert record["agrees"]
    assert abs(record["difference"]) <= (2e-3 if "fp16" in name else 1e-5) * size
    if layer == "conv:2" and "mobilenet" in name:
        assert record["channels"] == [5]  # depthwise


@pytest.mark.full
def test_the_built_in_networks_last_layer_is_what_classify_says(here, samples):
    prediction = json.loads(here("classify", samples / "cat.png", "--json").text)
    best = prediction["predictions"][0]
    arguments = ("-l", "predictions", "--unit", str(best["index"]), "--json")
    record = json.loads(here("trace", samples / "cat.png", *arguments).text)
    assert record["activation"] == pytest.approx(best["probability"], rel=1e-5)


def test_the_score_of_a_class_has_its_name_in_the_title(here, samples, tmp_path):
    here("trace", "-q", samples / "cat.png", "-l", "predictions", "--unit", "13", "-o", "u.svg")
    assert b">predictions, unit 13: cat</text>" in (tmp_path / "u.svg").read_bytes()
