import numpy as np
import pytest
from effort import share
from hypothesis import given
from hypothesis import strategies as st

from cnntool.errors import UsageError
from cnntool.filters.lessons.layer_chain import ACTIVATIONS, parse_chain, walk


def chain(text):
    return walk(*parse_chain([text]))


def last(text):
    return chain(text).rows[-1]


@pytest.mark.parametrize(
    ("text", "shape", "formula", "parameters", "multiply_adds"),
    [
        ("32x32x3 conv:5,f10", (28, 28, 10), "(5*5*3+1)*10", 760, 28 * 28 * 10 * 75),
        ("32x32x3 conv:5,f10,nobias", (28, 28, 10), "5*5*3*10", 750, 28 * 28 * 10 * 75),
        ("9x8x6 conv:3x2,f4,g2", (7, 7, 4), "(3*2*3+1)*4", 76, 49 * 4 * 18),
        ("9x8x6 conv:3,dw", (7, 6, 6), "(3*3*1+1)*6", 60, 42 * 6 * 9),
        ("9x8x6 conv:3,dw,f12", (7, 6, 12), "(3*3*1+1)*12", 120, 42 * 12 * 9),
        ("9x9x2 conv:3,f1,d2", (5, 5, 1), "(3*3*2+1)*1", 19, 25 * 18),
        ("9x9x2 conv:3,f1,s2x3,p1x0", (5, 3, 1), "(3*3*2+1)*1", 19, 15 * 18),
        ("9x9x2 conv:3,f1,p0x1x2x0", (8, 9, 1), "(3*3*2+1)*1", 19, 72 * 18),
        ("9x9 conv:3,f1,same", (9, 9, 1), "(3*3*1+1)*1", 10, 81 * 9),
        ("9x9 conv:3,f1,full", (11, 11, 1), "(3*3*1+1)*1", 10, 121 * 9),
        ("4x5x3 deconv:3,f2,s2", (9, 11, 2), "(3*3*3+1)*2", 56, 20 * 27 * 2),
        ("4x5x3 deconv:3,f2,s2,p1,op1", (8, 10, 2), "(3*3*3+1)*2", 56, 20 * 27 * 2),
        ("9x9x4 pool:3,s2", (4, 4, 4), "", 0, 0),
        ("8x9x4 pool:2", (4, 4, 4), "", 0, 0),
        ("8x9x4 pool:2,ceil", (4, 5, 4), "", 0, 0),
        ("8x9x4 avgpool:3,s1,same", (8, 9, 4), "", 0, 0),
        ("8x9x4 globalpool", (1, 1, 4), "", 0, 0),
        ("8x9x4 bn", (8, 9, 4), "2*4", 8, 288),
        ("8x9x4 flatten", (288,), "", 0, 0),
        ("784 dense:10", (10,), "(784+1)*10", 7850, 7840),
        ("784 dense:10,nobias", (10,), "784*10", 7840, 7840),
        ("784 bn", (784,), "2*784", 1568, 784),
    ],
)
def test_a_layer_by_hand(text, shape, formula, parameters, multiply_adds):
    row = last(text)
    assert row.shape == shape
    assert row.cost.formula == formula
    assert row.cost.parameters == parameters
    assert row.cost.multiply_adds == multiply_adds


@pytest.mark.parametrize("word", ACTIVATIONS)
def test_activations_change_nothing(word):
    row = last(f"4x5x6 {word}")
    assert (row.shape, row.cost.parameters, row.cost.multiply_adds) == ((4, 5, 6), 0, 0)


def random_convolutions(count):
    rng = np.random.default_rng(8)
    while count:
        groups = int(rng.integers(1, 4))
        channels, maps = (groups * int(rng.integers(1, 3)) for _ in range(2))
        height, width = (int(n) for n in rng.integers(1, 15, 2))
        kernel, stride, dilation = (
            tuple(int(n) for n in rng.integers(1, top, 2)) for top in (5, 4, 4)
        )
        pads = tuple(int(n) for n in rng.integers(0, 4, 4))
        yield (height, width, channels), maps, groups, kernel, stride, dilation, pads
        count -= 1


def test_700_random_convolutions_have_the_shapes_of_onnxruntime(onnx):
    empty = 0
    for shape, maps, groups, kernel, stride, dilation, pads in random_convolutions(share(700)):
        height, width, channels = shape
        text = (
            f"{height}x{width}x{channels} conv:{kernel[0]}x{kernel[1]},f{maps},g{groups}"
            f",s{stride[0]}x{stride[1]},d{dilation[0]}x{dilation[1]}"
            f",p{'x'.join(map(str, pads))}"
        )
        weights = np.ones((maps, channels // groups, *kernel), np.float32)
        attributes = {
            "strides": stride,
            "dilations": dilation,
            "pads": onnx.pads(pads),
            "group": groups,
        }
        image = onnx.nchw(np.ones(shape, np.float32))
        try:
            row = last(text)
        except UsageError:
            empty += 1
            with pytest.raises(Exception, match="ONNXRuntimeError"):
                onnx.runtime("Conv", image, weights, **attributes)
            continue
        (result,) = onnx.runtime("Conv", image, weights, **attributes)
        assert (1, row.shape[2], *row.shape[:2]) == result.shape, text
        assert row.cost.weights == weights.size
        assert row.cost.biases == maps
        assert row.cost.multiply_adds == result.size * weights[0].size
    assert share(20) < empty < 200


def test_random_convolutions_have_the_shapes_of_the_onnx_reference(onnx):
    for shape, maps, _, kernel, stride, dilation, pads in random_convolutions(80):
        text = (
            f"{'x'.join(map(str, shape))} conv:{kernel[0]}x{kernel[1]},f{maps}"
            f",s{stride[0]}x{stride[1]},d{dilation[0]}x{dilation[1]}"
            f",p{'x'.join(map(str, pads))}"
        )
        try:
            row = last(text)
        except UsageError:
            continue
        (result,) = onnx.reference(
            "Conv",
            onnx.nchw(np.ones(shape, np.float32)),
            np.ones((maps, shape[2], *kernel), np.float32),
            strides=stride,
            dilations=dilation,
            pads=onnx.pads(pads),
        )
        assert (row.shape[2], *row.shape[:2]) == result.shape[1:], text


def test_same_has_the_shape_of_onnx_same(onnx):
    for shape, maps, groups, kernel, stride, _, _ in random_convolutions(100):
        height, width, channels = shape
        text = (
            f"{height}x{width}x{channels} conv:{kernel[0]}x{kernel[1]},f{maps},g{groups},same"
            f",s{stride[0]}x{stride[1]}"
        )
        weights = np.ones((maps, channels // groups, *kernel), np.float32)
        (result,) = onnx.runtime(
            "Conv",
            onnx.nchw(np.ones(shape, np.float32)),
            weights,
            strides=stride,
            auto_pad="SAME_UPPER",
            group=groups,
        )
        assert last(text).shape[:2] == result.shape[2:], text


SMALL = st.integers(1, 3)
LAYER = st.tuples(
    st.sampled_from(["conv", "pool", "deconv"]), st.integers(1, 4), SMALL, SMALL, st.integers(0, 3)
)


@given(st.lists(LAYER, min_size=1, max_size=4), st.integers(0, 11))
def test_receptive_fields_are_what_an_output_depends_on(layers, output):
    """Follow one output back to the pixels, one tap at a time."""
    words, pads = ["400x400x1"], []
    for kind, kernel, stride, dilation, pad in layers:
        before = min(pad, (kernel - 1) * dilation)
        pads.append(before)
        extra = "" if kind == "pool" else ",f1"
        words.append(f"{kind}:{kernel},s{stride},d{dilation},p{before}{extra}")
    field = last(" ".join(words)).fields.rows
    seen = {output}
    for (kind, kernel, stride, dilation, _), before in zip(layers[::-1], pads[::-1], strict=True):
        if kind == "deconv":
            reached = {place + before - tap * dilation for place in seen for tap in range(kernel)}
            seen = {place // stride for place in reached if place % stride == 0}
        else:
            seen = {
                place * stride - before + tap * dilation for place in seen for tap in range(kernel)
            }
    assert field.at(output) == ((min(seen), max(seen)) if seen else None)
    spans = [field.at(place) for place in range(len(field.spans))]
    assert field.size == max((b - a + 1 for a, b in filter(None, spans)), default=0)


def test_jumps_and_fields_by_hand():
    rows = chain("32x32x1 conv:3,f1,s2 pool:2x3 deconv:2,s2,f1 flatten dense:4").rows
    found = [(row.fields.size, row.fields.rows.jump, row.fields.columns.jump) for row in rows[:4]]
    assert found == [((1, 1), 1, 1), ((3, 3), 2, 2), ((5, 7), 4, 6), ((5, 7), 2, 3)]
    assert not rows[4].spatial
    # The dense layer sees every place that the flattened map had: 7 pools of 2 in rows.
    assert rows[5].fields.size == (5 + 6 * 4, 7 + 4 * 6)
    assert last("784 dense:3").fields is None


def test_fields_that_are_too_many_are_unknown():
    text = "8x8x1 " + "deconv:3,f1,s70 " * 2
    assert last(text).fields is None
    assert last(text + "relu").fields is None
    assert last("8x8x1 deconv:3,f1,s70").fields is not None
    assert last("2x2x1 a=deconv:3,f1,s99 from:input b=deconv:4,f1,s98 add:a,b").fields is None


def test_dilated_fields():
    row = last("64x64x1 conv:3,f1,same conv:3,f1,d2,same conv:3,f1,d4,same")
    assert row.fields.size == (15, 15)


INCEPTION = """28x28x192 a=conv:1,f64
    from:input conv:1,f96 b=conv:3,f128,same
    from:input conv:1,f16 c=conv:5,f32,same
    from:input pool:3,s1,same d=conv:1,f32 concat:a,b,c,d"""


def test_an_inception_block():
    found = chain(INCEPTION)
    assert found.notes == []
    assert found.rows[-1].shape == (28, 28, 256)
    assert found.rows[-1].fields.size == (5, 5)
    assert found.total.parameters == 163_696
    assert [row.name for row in found.rows] == [
        *("input", "a", "conv1", "b", "conv2", "c", "pool1", "d", "concat1")
    ]
    assert found.rows[2].text == "from:input conv:1,f96"


def test_a_residual_block():
    found = chain("56x56x64 conv:3,f64,same bn relu conv:3,f64,same bn add:input relu")
    assert found.notes == []
    assert found.rows[-1].shape == (56, 56, 64)
    assert found.rows[-1].fields.size == (5, 5)
    assert found.total.parameters == 2 * (36_928 + 128)
    # A bottleneck with a shortcut of its own.
    found = chain(
        "56x56x64 b=bn from:input s=conv:1,f256 from:b conv:1,f64 conv:3,f64,same conv:1,f256"
        " add:s relu"
    )
    assert found.rows[-1].shape == (56, 56, 256)
    assert found.notes == []


def test_both_ends_of_a_joined_field_count():
    """One branch reaches further up, the other further down."""
    row = last("20x20x1 a=conv:3,f1,p2x0x1x1 from:input b=conv:5,f1,p1x3x2x2 add:a,b")
    assert row.fields.rows.at(0) == (-2, 3)


def test_a_small_u_net():
    found = chain(
        "64x64x1 a=conv:3,f8,same pool:2 conv:3,f16,same deconv:2,s2,f8 concat:a conv:3,f1,same"
    )
    assert found.notes == []
    assert [row.shape for row in found.rows[-3:]] == [(64, 64, 8), (64, 64, 16), (64, 64, 1)]
    # Two places of the deconvolution see the same eight pixels; three in a row see ten.
    assert [row.fields.size[0] for row in found.rows] == [1, 3, 4, 8, 8, 8, 10]
    assert found.rows[-1].fields.rows.jump == 1


def test_huge_kernels_are_no_work():
    row = last("4x4x1 deconv:2,s2,f1 conv:1000000000,f1,full deconv:1000000000,f1,s3")
    assert row.fields.size[0] > 5 * 10**8


def test_vectors_are_joined_end_to_end():
    assert last("10 a=dense:3 from:input b=dense:4 concat:a,b").shape == (7,)


def test_repeats_and_names():
    rows = chain("8x8x3 a=conv:3,f4,x2 conv:1,x3,f2").rows
    assert [row.name for row in rows] == ["input", "conv1", "a", "conv2", "conv3", "conv4"]
    assert {row.text for row in rows[1:3]} == {"conv:3,f4"}
    assert {row.text for row in rows[3:]} == {"conv:1,f2"}
    assert [row.name for row in chain("8x8x3 relu relu conv1=bn conv:1,f1").rows[1:]] == [
        *("relu1", "relu2", "conv1", "conv2")
    ]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (
            "224x224x3 conv:11,s4,f96",
            "(224 - 11)/4 + 1 = 54.25, taken as 54; 55 needs 227 or padding 2",
        ),
        (
            "224x224x3 conv:7,s2,f64,p3",
            "(224 + 6 - 7)/2 + 1 = 112.5, taken as 112; 113 needs 225 or padding 4",
        ),
        ("13x13x3 pool:2", "(13 - 2)/2 + 1 = 6.5, taken as 6; 7 needs 14 or padding 1 or ceil"),
        (
            "9x10x3 conv:3,s2,f1",
            "columns: (10 - 3)/2 + 1 = 4.5, taken as 4; 5 needs 11 or padding 1",
        ),
        (
            "10x10x3 conv:3,s2x1,f1",
            "rows: (10 - 3)/2 + 1 = 4.5, taken as 4; 5 needs 11 or padding 1",
        ),
        ("11x11x3 conv:3,s2,f1,p1x0x1x0", "(11 + 1 - 3)/2 + 1 = 5.5, taken as 5; 6 needs 12"),
        (
            "9x9x3 conv:4,f1,same",
            "an even window has no middle: same pads 1 above and 2 below, 1 left and 2 right",
        ),
        (
            "4x4x3 conv:5,f1,p1",
            "a window of 5x5 is larger than its input of 4x4: part of it always sees padding",
        ),
    ],
)
def test_where_a_slide_would_go_wrong(text, note):
    word = text.partition(" ")[2]
    name = word.partition(":")[0]
    assert chain(text).notes == [f"{name}1 ({word}): {note}"]


def test_the_ways_out_that_a_note_names_work():
    assert last("227x227x3 conv:11,s4,f96").shape == (55, 55, 96)
    assert last("224x224x3 conv:11,s4,f96,p2").shape == (55, 55, 96)
    assert last("13x13x3 pool:2,ceil").shape == last("13x13x3 pool:2,p1").shape == (7, 7, 3)
    assert chain("1x1x3 pool:2,s2,p1").notes[-1].endswith("2 needs 2")


@pytest.mark.parametrize(
    "text",
    [
        "227x227x3 conv:11,s4,f96",
        "32x32x3 conv:3,same,s2,f8",
        "32x32x3 conv:2,f8",
        "10x10x3 conv:3,s2,f1,p1x0x1x0",
        "13x13x3 pool:2,ceil",
        "9x9x3 conv:2,d2,same,f1",
        "1x1x100 deconv:4,f64",
    ],
)
def test_nothing_to_note(text):
    assert chain(text).notes == []


def test_a_branch_that_leads_nowhere():
    notes = chain("8x8x3 a=conv:3,f4 from:input conv:3,f4").notes
    assert notes == ["a (conv:3,f4) leads nowhere"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no layers"),
        ("conv:3,f4", "'conv:3,f4' is no shape"),
        ("4x0x3", "a size must be 1 or more"),
        ("4x4x4x4", "is no shape"),
        ("4x4x3 convv:3,f4", "no layer is called 'convv'"),
        ("4x4x3 activation", "no layer is called 'activation'"),
        ("4x4x3 conv:f4", "the kernel's size is missing"),
        ("4x4x3 pool", "the kernel's size is missing"),
        ("4x4x3 conv:3", "the number of filters is missing"),
        ("4x4x3 deconv:3", "the number of filters is missing"),
        ("48 dense", "the number of units is missing"),
        ("4x4x3 conv:3,f4,q2", "'q2' is not understood"),
        ("4x4x3 conv:3,f4,ceil", "'ceil' is not understood"),
        ("4x4x3 pool:3,f4", "'f4' is not understood"),
        ("48 dense:4,same", "'same' is not understood"),
        ("4x4x3 relu:2", "'2' is not understood"),
        ("4x4x3 bn:x2", "'x2' is not understood"),
        ("4x4x3 conv:3,f4x4", "'4x4' is more than one number"),
        ("4x4x3 conv:3x3x3,f4", "'3x3x3' is more than one number"),
        ("4x4x3 conv:0,f4", "'0' must be 1 to"),
        ("4x4x3 conv:3,f4,s0", "'0' must be 1 to"),
        ("4x4x3 conv:3,f4,p1x2x3", "is no padding"),
        ("4x4x3 conv:1,f4,x0", "repeated 1 to 1000 times"),
        ("4x4x3 conv:1,f4,x1001", "repeated 1 to 1000 times"),
        ("4x4x3 1a=relu", "'1a' is no name"),
        ("4x4x3 a=relu a=relu", "two layers are called 'a'"),
        ("4x4x3 input=relu", "two layers are called 'input'"),
        ("4x4x3 from:input", "a layer must follow"),
        ("4x4x3 from:b relu", "no layer before it is called 'b'"),
        ("4x4x3 concat", "it joins layers by their names"),
        ("4x4x3 concat:b", "no layer before it is called 'b'"),
        ("4x4x3 conv:3,5,f4", "'5' repeats or contradicts an argument before it"),
        ("4x4x3 conv:3,f4,same,p1", "'p1' repeats or contradicts"),
        ("4x4x3 conv:1,f4,x2,x3", "'x3' repeats or contradicts"),
        ("4x4x3 conv:1,f4,x2x2", "'2x2' is more than one number"),
        ("4x4x3 conv:1,f4,x" + "9" * 5000, "must be 0 to"),
        ("4x4x3 conv:" + "9" * 5000 + ",f4", "must be 1 to"),
        ("9" * 5000 + "x4x3", "at most 1000000000"),
        ("4x4x3 from: relu", "the layer's name is missing"),
        ("4x4x3 from:input from:input relu", "a layer must follow"),
        ("4x4x3 conv:5,f1", "a window of 5x5 does not fit into 4x4"),
        ("4x4x3 conv:3,f1,d2", "a window of 5x5 does not fit into 4x4"),
        ("4x4x3 pool:3,p3", "padding must be smaller"),
        ("4x4x3 conv:3,f4,g2", "2 groups do not divide 3 channels and 4 filters"),
        ("4x4x4 conv:3,f3,g2", "2 groups do not divide 4 channels and 3 filters"),
        ("4x4x3 dense:10", "it needs a vector, not 4x4x3"),
        ("48 conv:3,f4", "it needs rows and columns, not a vector of 48"),
        ("4x4x3 conv:3,f3 add:input", "only equal shapes can be added: 2x2x3, 4x4x3"),
        ("4x4x3 conv:3,f3 concat:input", "rows and columns must be equal"),
        ("4x4x3 deconv:3,f1,s2,op2", "output padding of 2x2 must be smaller"),
        ("1x1x3 deconv:3,f1,p2", "leaves nothing"),
    ],
)
def test_what_cannot_be(text, reason):
    with pytest.raises(UsageError) as caught:
        chain(text)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="convdepl0123456789xfspg:,= bat.", max_size=40))
def test_any_text_gives_a_chain_or_an_error(text):
    try:
        rows = chain(f"9x9x4 {text}").rows
    except UsageError:
        return
    assert all(size >= 1 for row in rows for size in row.shape)


def test_what_a_dense_layer_in_its_place_would_cost():
    row = last("4x4x3 conv:3,f5")
    assert row.dense.weights == 48 * 20
    assert row.dense.biases == 20
    assert row.dense.multiply_adds == 960
    assert last("4x4x3 pool:2").dense is None
