"""``cnntool conv``: the lectures' networks, and how its table, CSV and JSON look."""

import csv
import json
import os
import pty
import re
import subprocess
import sys

import pytest
from terminals import pieces

VGG16 = (
    "224x224x3 conv:3,f64,same,x2 pool:2 conv:3,f128,same,x2 pool:2 conv:3,f256,same,x3 pool:2"
    " conv:3,f512,same,x3 pool:2 conv:3,f512,same,x3 pool:2 flatten dense:4096,x2 dense:1000"
)


@pytest.fixture
def table(here):
    """Compute a chain and return its lines' cells, the total's last."""

    def call(*spec, notes=""):
        done = here("conv", *" ".join(spec).split())
        assert done.err == notes
        return [line.split("\t") for line in done.text.splitlines()]

    return call


# The rows of the lectures, by the words with which they begin


def test_networks_conv2d_3x3(table):
    """Conv2D 3x3, 1 -> 2 maps on 512x512x1; 9x9, 3 -> 4 on 368x487x3."""
    assert table("512x512x1 conv:3,f2")[1][2:5] == ["510x510x2", "20", "(3*3*1+1)*2 = 20"]
    assert table("368x487x3 conv:9,f4")[1][2:4] == ["360x479x4", "976"]


def test_networks_28x28x1(table):
    """25 filters 3x3: 26x26x25, 250 parameters; 2x2 pool: 13x13x25."""
    lines = table("28x28x1 conv:3,f25 pool:2")
    assert lines[1][2:4] == ["26x26x25", "250"]
    assert lines[2][2] == "13x13x25"


def test_networks_32x32x3(table):
    """One 5x5x3 filter and padding: 32x32x1; with ten: 32x32x10."""
    assert table("32x32x3 conv:5,f1,p2")[1][2] == "32x32x1"
    assert table("32x32x3 conv:5,f10,p2")[1][2:5] == ["32x32x10", "760", "(5*5*3+1)*10 = 760"]


def test_networks_alexnet_layer_2(table, here):
    """614,400 weights + 256 biases; fully connected 224,885,760,000 + 774,400."""
    (_, line, _) = table("55x55x96 conv:5,f256,same --compare-dense")
    assert line[-4:] == ["614400", "256", "224885760000", "774400"]
    record = json.loads(
        here("conv", "55x55x96", "conv:5,f256,same", "--compare-dense", "--json").text.splitlines()[
            1
        ]
    )
    assert (record["weights"], record["biases"]) == (614_400, 256)
    assert record["dense"]["weights"] == 224_885_760_000
    assert record["dense"]["biases"] == 774_400


def test_networks_alexnet_224_does_not_divide(table):
    """224 with 11x11 stride 4 does not divide: 54.25; 55 needs 227, or padding 2."""
    note = (
        "cnntool: note: conv1 (conv:11,s4,f96): (224 - 11)/4 + 1 = 54.25, taken as 54;"
        " 55 needs 227 or padding 2\n"
    )
    assert table("224x224x3 conv:11,s4,f96", notes=note)[1][2] == "54x54x96"
    assert table("227x227x3 conv:11,s4,f96")[1][2] == "55x55x96"


def test_networks_vgg_16(table):
    """The summary: shapes, parameters, total, multiply-adds and receptive fields."""
    lines = table(VGG16)
    by_name = {line[0]: line for line in lines}
    assert by_name["conv1"][2:4] == ["224x224x64", "1792"]
    assert by_name["pool1"][2] == "112x112x64"
    parameters = [int(line[3]) for line in lines[1:-1] if line[0].startswith(("conv", "dense"))]
    assert parameters == [
        1_792, 36_928, 73_856, 147_584, 295_168, 590_080, 590_080, 1_180_160, 2_359_808, 2_359_808,
        2_359_808, 2_359_808, 2_359_808, 102_764_544, 16_781_312, 4_097_000,
    ]  # fmt: skip
    assert by_name["flatten1"][2] == "25088"
    assert by_name["total"][3] == "138357544"
    assert by_name["total"][5] == "15470264320"
    fields = [int(line[6]) for line in lines if line[0].startswith(("conv", "pool"))]
    assert fields == [3, 5, 6, 10, 14, 16, 24, 32, 40, 44, 60, 76, 92, 100, 132, 164, 196, 212]
    assert by_name["conv9"][6] == "76"  # block4_conv2
    jumps = [line[7] for line in lines if line[0].startswith("pool")]
    assert jumps == ["2", "4", "8", "16", "32"]


def test_networks_small_cifar_10(table):
    """896 / 9,248 / 590,336 / 5,130, total 605,610."""
    note = (
        "cnntool: note: pool2 (pool:2): (13 - 2)/2 + 1 = 6.5, taken as 6;"
        " 7 needs 14 or padding 1 or ceil\n"
    )
    lines = table(
        "32x32x3 conv:3,f32 pool:2 conv:3,f32 pool:2 flatten dense:512 dense:10", notes=note
    )
    learned = [line[3] for line in lines if line[4] or line[0] == "total"]
    assert learned == ["896", "9248", "590336", "5130", "605610"]


def test_n26_depthwise_separable(table):
    """(3x3)x3x5 = 135 against 42; (5x5)x64x128 = 204,800 against 9,792."""
    for shape, kernel, maps, whole, apart in (
        ("32x32x3", 3, 5, "135", "42"),
        ("32x32x64", 5, 128, "204800", "9792"),
    ):
        assert table(shape, f"conv:{kernel},f{maps},nobias")[-1][3] == whole
        two = table(shape, f"conv:{kernel},dw,nobias conv:1,f{maps},nobias")
        assert two[-1][3] == apart
        assert two[-2][2].endswith(f"x{maps}")


def test_slips_alexnet_conv4_has_384_maps(table):
    """AlexNet whole: 62,378,344 parameters without its two groups."""
    lines = table(
        "227x227x3 conv:11,s4,f96 pool:3,s2 conv:5,f256,same pool:3,s2 conv:3,f384,same,x2"
        " conv:3,f256,same pool:3,s2 flatten dense:4096,x2 dense:1000"
    )
    assert [line[2] for line in lines[1:10]] == [
        "55x55x96", "27x27x96", "27x27x256", "13x13x256", "13x13x384", "13x13x384", "13x13x256",
        "6x6x256", "9216",
    ]  # fmt: skip
    assert lines[-1][3] == "62378344"


def test_slips_an_mlp_8_9_9_9_4_has_270_weights(table):
    assert table("8 dense:9,nobias,x3 dense:4,nobias")[-1][3] == "270"


# How it looks


def test_words_may_be_one_or_many(here):
    one = here("conv", "9x9x3 conv:3,f4 relu")
    assert one.text == here("conv", "9x9x3", "conv:3,f4", "relu").text
    assert one.text == (
        "input\t9x9x3\t9x9x3\t0\t\t0\t1\t1\n"
        "conv1\tconv:3,f4\t7x7x4\t112\t(3*3*3+1)*4 = 112\t5292\t3\t1\n"
        "relu1\trelu\t7x7x4\t0\t\t0\t3\t1\n"
        "total\t\t\t112\t\t5292\t\t\n"
    )


def test_rows_and_columns_that_differ(here):
    lines = here("conv", "9x9 conv:3x1,s1x2,f1 deconv:1x3,f1,s1x4").text.splitlines()
    assert lines[1].split("\t")[6:] == ["3x1", "1x2"]
    assert lines[2].split("\t")[6:] == ["3x1", "1x1/2"]


def test_csv(here):
    done = here("conv", "9x9x3 conv:3,f4 dense:1", "--csv", code=2)
    assert "put flatten before it" in done.err
    done = here("conv", "9x9x3 conv:3,f4 flatten dense:1", "--csv", "--compare-dense")
    rows = list(csv.DictReader(done.text.splitlines()))
    assert [row["layer"] for row in rows] == ["input", "conv1", "flatten1", "dense1", "total"]
    assert rows[1]["as written"] == "conv:3,f4"
    assert rows[1]["dense weights"] == str(9 * 9 * 3 * 7 * 7 * 4)
    assert rows[3]["receptive field"] == "9"
    assert rows[2]["dense weights"] == rows[2]["weights"] == "-"
    assert rows[3]["jump"] == "-"


def test_json(here):
    done = here("conv", "9x9x3 a=conv:3,s2,f4,same deconv:2x1,f1,s2x1 flatten", "--json")
    records = [json.loads(line) for line in done.text.splitlines()]
    assert [record["kind"] for record in records] == ["input", "conv", "deconv", "flatten", "total"]
    assert records[1] == {
        "layer": "a",
        "kind": "conv",
        "written": "conv:3,s2,f4,same",
        "inputs": [[9, 9, 3]],
        "output": [5, 5, 4],
        "kernel": [3, 3],
        "stride": [2, 2],
        "padding": [1, 1, 1, 1],
        "dilation": [1, 1],
        "parameters": 112,
        "weights": 108,
        "biases": 4,
        "multiply_adds": 2700,
        "formula": "(3*3*3+1)*4",
        "receptive_field": [3, 3],
        "jump": [2, 2],
    }
    assert records[2]["jump"] == [1, 2]
    assert records[3]["jump"] is None
    assert records[3]["kernel"] is None
    assert records[-1] == {
        "layer": "total", "kind": "total", "parameters": 121, "weights": 116, "biases": 5,
        "multiply_adds": 2700 + 200,
    }  # fmt: skip
    assert "give either" in here("conv", "9x9", "--json", "--csv", code=2).err


def test_the_total_of_a_comparison_is_the_sum_of_its_columns(here):
    chain = ("32x32x3", "conv:5,f6", "bn", "pool:2", "conv:5,f16", "flatten", "dense:10")
    lines = here("conv", *chain, "--compare-dense").text.splitlines()
    cells = [[int(c) if c.isdecimal() else 0 for c in line.split("\t")[8:]] for line in lines]
    assert cells[-1] == [sum(column) for column in zip(*cells[:-1], strict=True)]
    # LeNet's two convolutions as dense layers; the dense layer is what it was.
    dense = 32 * 32 * 3 * 28 * 28 * 6 + 14 * 14 * 6 * 10 * 10 * 16
    assert cells[-1] == [
        450 + 6 + 2400 + 16000,
        6 + 6 + 16 + 10,
        dense + 6 + 16000,
        4704 + 6 + 1610,
    ]
    record = json.loads(here("conv", *chain, "--compare-dense", "--json").text.splitlines()[-1])
    assert [record["dense"][key] for key in ("weights", "biases")] == cells[-1][2:]
    assert record["parameters"] == sum(cells[-1][:2])


def test_the_examples_of_the_help_work(here):
    text = here("conv", "--help").text.replace("\\\n", " ")
    examples = [
        line.split("cnntool conv ", 1)[1] for line in text.splitlines() if "  cnntool conv" in line
    ]
    assert len(examples) == 3
    shapes = []
    for example in examples:
        done = here("conv", *example.split())
        assert done.err == ""
        shapes.append(done.text.splitlines()[-2].split("\t")[2])
    assert shapes == ["13x13x256", "28x28x256", "56x56x64"]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("4x4x3 conv:5,f3", "conv1 (conv:5,f3): a window of 5x5 does not fit into 4x4"),
        ("4x4x3 convv:3", "convv:3: no layer is called 'convv'"),
        ("x", "'x' is no shape"),
        ("", "no layers"),
    ],
)
def test_an_error_is_a_usage_error(here, spec, reason):
    done = here("conv", spec, code=2)
    assert done.out == b""
    assert reason in done.err


def test_notes_can_be_silenced(here):
    assert here("conv", "9x9 pool:2", "--quiet").err == ""
    assert here("conv", "9x9 pool:2").err.count("\n") == 1


def terminal(columns, *arguments):
    """Run the tool on a terminal of a width and return what it shows."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "NO_COLOR": "1", "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-m", "cnntool", "conv", *arguments],
        stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=environment,
    ):  # fmt: skip
        os.close(theirs)
        shown = b"".join(pieces(ours))
    return re.sub(r"\x1b\[\d*m|\r", "", shown.decode())


@pytest.mark.full
def test_a_table_on_a_terminal():
    wide = terminal(140, VGG16)
    assert "(3*3*512+1)*512 = 2,359,808" in wide
    assert "conv:3,f512,same" in wide
    assert "15,470,264,320" in wide
    narrow = terminal(80, VGG16)
    assert max(map(len, narrow.splitlines())) <= 80
    for text in ("(25088+1)*4096", "= 102,764,544", "138,357,544", "15,470,264,320", "212"):
        assert text in narrow
    assert "…" not in wide + narrow
    compared = terminal(80, "55x55x96", "conv:5,f256,same", "--compare-dense")
    assert "224,885,760,000" in compared
    assert "774,400" in compared
    assert "multiply" in compared
    assert "receptive" in compared
    assert "…" not in compared
    assert compared.count("conv1") == 2, "there is no room for one table"
    assert "…" not in terminal(130, "55x55x96", "conv:5,f256,same", "--compare-dense")
    widest = terminal(200, "55x55x96", "conv:5,f256,same", "--compare-dense")
    assert "as" in widest
    assert "224,885,760,000" in widest
    assert widest.count("conv1") == 1
    assert "138,357,544" in terminal(0, VGG16), "0 columns are an unknown number of them"


def test_it_loads_no_numpy():
    code = (
        "import sys; from cnntool.cli.main import run;"
        f" run(['conv', {VGG16!r}]); print(sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "'numpy'" not in done.stderr
    assert "'rich'" not in done.stderr
    assert "138357544" in done.stdout
