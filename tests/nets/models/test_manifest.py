"""Manifests: what may stand in them, and what is said when something else does."""

import json
import math
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntool.errors import ModelError
from cnntool.nets.models.labels import LabelSet
from cnntool.nets.models.manifest import (
    CHANNELS,
    DTYPES,
    INTERPOLATIONS,
    LAYOUTS,
    Accuracy,
    InputSpec,
    ModelSpec,
    OutputSpec,
    manifest_text,
    read_manifest,
)

ROOT = Path(__file__).parents[3]
MANIFESTS = sorted((ROOT / "models").glob("*.toml"))

PLAIN = """\
schema = 1
name = "net"
title = "A net"
file = "net.onnx"
sha256 = "{sha256}"
size = 123
urls = ["https://example.org/net.onnx"]
licence = "MIT"
source = "nowhere"
date = 2026-01-31
note = "Be careful."

[input]
name = "x"
layout = "NHWC"
dtype = "float16"
channel_order = "BGR"
size = [224, 192]
dynamic = false
minimum = [32, 32]
batch = 1
fit = "shorter"
resize = 256
crop = [224, 192]
interpolation = "bicubic"
white = 255
mean = [104, 117.0, 123.5]
deviation = [1, 2, 3]

[output]
name = "y"
kind = "probabilities"
logits = "z"
background = true

[labels]
names = ["tench, Tinca tinca", "cat"]
wordnet = ["n01440764", ""]
colours = ["#000000", "#Ff8001"]

[layers]
"conv 1" = "a/b:0"

[accuracy]
top1 = 0.5
top5 = 1
photos = 10
dataset = "Ten photos"
measured = "by hand"

[training]
epochs = 3
rate = 0.5
""".format(sha256="0123456789abcdef" * 4)

MEANING = ModelSpec(
    name="net",
    title="A net",
    file="net.onnx",
    sha256="0123456789abcdef" * 4,
    size=123,
    urls=("https://example.org/net.onnx",),
    licence="MIT",
    source="nowhere",
    date="2026-01-31",
    note="Be careful.",
    input=InputSpec(
        "x", "NHWC", "float16", "BGR", (224, 192), minimum=(32, 32), batch=1, fit="shorter",
        resize=256, crop=(224, 192), interpolation="bicubic", white=255.0,
        mean=(104.0, 117.0, 123.5), deviation=(1.0, 2.0, 3.0),
    ),
    output=OutputSpec("y", "probabilities", "z", background=True),
    labels=LabelSet(
        ("tench, Tinca tinca", "cat"), ("n01440764", ""), ((0, 0, 0), (255, 128, 1))
    ),
    layers={"conv 1": "a/b:0"},
    accuracy=Accuracy(0.5, 1.0, None, 10, "Ten photos", "by hand"),
    training={"epochs": 3, "rate": 0.5},
)  # fmt: skip

LEAST = """\
schema = 1
name = "net"
title = "A net"
file = "net.onnx"
licence = "unknown"
source = "mine"

[input]
name = "x"
layout = "NCHW"
dtype = "uint8"
channel_order = "Y"
dynamic = true
fit = "none"
white = 1.0
mean = [0]
deviation = [1]

[output]
kind = "image"
white = 255.0
"""


@pytest.fixture
def read(tmp_path):
    def call(text):
        path = tmp_path / "net.toml"
        path.write_bytes(text.encode())
        return read_manifest(path)._replace(manifest=None)

    return call


def test_a_manifest_with_everything(read):
    assert read(PLAIN) == MEANING


def test_line_ends_of_windows_and_a_byte_order_mark_do_not_matter(read):
    assert read("\ufeff" + PLAIN.replace("\n", "\r\n")) == MEANING


def test_a_manifest_with_the_least(read):
    found = read(LEAST)
    assert (found.sha256, found.size, found.urls, found.labels) == (None, None, (), None)
    assert found.input == InputSpec(
        "x", dtype="uint8", channel_order="Y", dynamic=True, fit="none", mean=(0.0,),
        deviation=(1.0,),
    )  # fmt: skip
    assert found.output == OutputSpec(None, "image", white=255.0)
    assert found.accuracy == Accuracy()
    assert found.input.channels == 1


WRONG = [
    ("schema = 1", "schema = 2", "schema is 2, not in 1..1"),
    ("schema = 1", "", "schema is missing"),
    ("schema = 1", "schema = true", "schema is True, not a whole number"),
    ("schema = 1", "schema = 1\ncolour = 3", "colour is not a known key"),
    ("schema = 1", "schema = 1\ntitel = 'x'", "titel is not a known key (did you mean title?)"),
    ('name = "net"', 'name = "Net"', "name is 'Net', not a-z, 0-9, '.', '_' and '-'"),
    ('name = "net"', 'name = "../net"', "name is '../net', not"),
    ('title = "A net"', "title = 3", "title is not a line of text"),
    ('title = "A net"', 'title = " "', "title is not a line of text"),
    ('title = "A net"', 'title = "a\\nb"', "title is not a line of text"),
    ('"net.onnx"', '"../net.onnx"', "file is '../net.onnx', not a plain file name"),
    ('"net.onnx"', '"/tmp/net.onnx"', "file is '/tmp/net.onnx', not a plain"),
    ('"net.onnx"', '"c:net.onnx"', "file is 'c:net.onnx', not a plain"),
    ('"net.onnx"', '"net.pb"', "file is 'net.pb', not a plain"),
    ('"net.onnx"', '".onnx"', "file is '.onnx', not a plain"),
    ('sha256 = "0', 'sha256 = "', "sha256 is "),
    ('sha256 = "0', 'sha256 = "G', "not 64 hexadecimal digits"),
    ("size = 123", "size = 0", "size is 0, not in 1.."),
    ("size = 123", "size = -1", "size is -1, not in"),
    ("size = 123", "size = 1.5", "size is 1.5, not a whole number"),
    ("size = 123", "", "urls needs sha256 and size beside it"),
    ('"https://example.org/net.onnx"', "3", "urls is not a line of text"),
    ('["https://example.org/net.onnx"]', '"https://a.org/b"', "not a list"),
    ("https://example.org/net.onnx", "file:///etc/passwd", "which is no http or https address"),
    ("https://example.org/net.onnx", "https:///net.onnx", "which is no http or https address"),
    ("https://example.org/net.onnx", "https://a.org/a b", "which is no http or https address"),
    ("2026-01-31", "2026-01-31T10:00:00", "date is not a date such as"),
    ("2026-01-31", '"2026-01-31"', "date is not a date such as"),
    ("[input]", "[inputs]", "input is missing"),
    ('"NHWC"', '"NHCW"', "input.layout is 'NHCW', not one of NCHW, NHWC"),
    ('"float16"', '"float"', "input.dtype is 'float', not one of float32, float16, uint8"),
    ('"BGR"', '"GBR"', "input.channel_order is 'GBR', not one of RGB, BGR, L, Y"),
    ('"BGR"', '"L"', "input.mean has 3 numbers, not 1: one for each channel"),
    ("size = [224, 192]", "size = [224]", "input.size is not two numbers"),
    ("size = [224, 192]", "size = [224, 0]", "input.size is 0, not in 1..16384"),
    ("size = [224, 192]", "size = 224", "input.size is 224, not a list"),
    ("size = [224, 192]", "size = [192, 224]", "input.size is 192 x 224, but the steps lead to"),
    ("size = [224, 192]", "", "input.size is missing, and the network is not dynamic"),
    ("dynamic = false", "dynamic = 0", "input.dynamic is neither true nor false"),
    ("minimum = [32, 32]", "minimum = [225, 1]", "input.minimum is 225 x 1, above the 224 x 192"),
    ("batch = 1", "batch = 0", "input.batch is 0, not in"),
    ('"shorter"', '"cover"', "input.fit is 'cover', not one of shorter, stretch, none"),
    ("resize = 256", "", "input.resize is missing: to what is the shorter side resized?"),
    ("resize = 256", "resize = 200", "input.crop is larger than the 200 pixels"),
    ('"shorter"', '"none"', "input.resize has no meaning where fit is 'none'"),
    ("crop = [224, 192]", "", "input.crop is missing, and the network takes one size"),
    ('"bicubic"', '"cubic"', "input.interpolation is 'cubic', not one of nearest, bilinear"),
    ("white = 255", "white = 0", "input.white is 0, not above 0"),
    ("white = 255", "white = inf", "input.white is inf, not a finite number"),
    ("white = 255", "white = 1" + "0" * 400, "input.white is a huge number, not a finite number"),
    ("white = 255", "white = '255'", "input.white is '255', not a number"),
    ("mean = [104, ", "mean = [", "input.mean has 2 numbers, not 3"),
    ("117.0", "nan", "input.mean is nan, not a finite number"),
    ("deviation = [1, ", "deviation = [0, ", "input.deviation is 0, not above 0"),
    ("deviation = [1, ", "deviation = [-1, ", "input.deviation is -1, not above 0"),
    ("white = 255", "white = 255\nstd = 1", "input.std is not a known key"),
    ('"probabilities"', '"softmax"', "output.kind is 'softmax', not one of probabilities, logits"),
    ('kind = "probabilities"', "", "output.kind is missing"),
    ('"probabilities"', '"logits"', "output.logits is not a known key"),
    ("background = true", "background = 1", "output.background is neither"),
    ("background = true", "white = 1.0", "output.white is not a known key"),
    ('"tench, Tinca tinca", ', '"", ', "labels.names is not a line of text"),
    ('"tench, Tinca tinca", ', "", "2 WordNet ids for 1 label"),
    ('"n01440764"', '"01440764"', "'01440764' is no WordNet id"),
    ('"#000000", ', '"#00", ', "'#00' is no colour"),
    ('"#000000", ', "", "1 colour for 2 labels"),
    ("[labels]", '[labels]\nfile = "a.tsv"', "labels.names is not a known key"),
    ('"a/b:0"', "3", "layers.conv 1 is not a line of text"),
    ("top1 = 0.5", "top1 = 50", "accuracy.top1 is 50, above 1"),
    ("top1 = 0.5", "top1 = 0", "accuracy.top1 is 0, not above 0"),
    ("top5 = 1", "top5 = 0.4", "accuracy.top1 is above top5"),
    ("dataset = ", "data = ", "accuracy.dataset is missing"),
    ("rate = 0.5", "rate = nan", "training.rate is nan, not a finite number"),
    ("rate = 0.5", "rate = [1]", "training.rate is neither a text nor a number"),
    ("[layers]", "layers = 3\n[other]", "labels.layers is not a known key"),
    ("schema = 1", "schema = ", "no valid TOML: "),
    ("schema = 1", "a = " + "[" * 5000, "no valid TOML: "),
    ("schema = 1", "schema = 1" + "0" * 400, "schema is a huge number, not in 1..1"),
]


@pytest.mark.parametrize(("part", "other", "reason"), WRONG)
def test_what_is_wrong_is_said_in_one_line(read, tmp_path, part, other, reason):
    assert part in PLAIN
    with pytest.raises(ModelError) as caught:
        read(PLAIN.replace(part, other, 1))
    assert caught.value.exit_code == 4
    assert caught.value.source.startswith(str(tmp_path / "net.toml"))
    assert reason in caught.value.message
    assert "\n" not in str(caught.value)


TABLES = re.findall(r"^\[(\w+)\]$", PLAIN, re.MULTILINE)


@pytest.mark.parametrize("table", TABLES)
def test_every_table_refuses_unknown_keys_or_takes_any(read, table):
    text = PLAIN.replace(f"[{table}]\n", f'[{table}]\nunheard_of = "x"\n')
    if table in {"layers", "training"}:
        assert getattr(read(text), table)["unheard_of"] == "x"
    else:
        with pytest.raises(ModelError, match=f"{table}.unheard_of is not a known key"):
            read(text)


@pytest.mark.parametrize("table", TABLES)
def test_what_should_be_a_table_is_one(read, table):
    text = f"{table} = 3\n" + re.sub(rf"\[{table}\]\n(.+\n)*", "", PLAIN)
    with pytest.raises(ModelError, match=f"{table} is not a table"):
        read(text)


def test_files_that_are_none(tmp_path):
    for name, content, reason in (
        ("binary.toml", b"\xff\xfe", "is not UTF-8 text"),
        ("huge.toml", b"#" * ((16 << 20) + 1), "is larger than 16 MB"),
        ("empty.toml", b"", "schema is missing"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match=reason):
            read_manifest(tmp_path / name)
    with pytest.raises(ModelError, match="no such file"):
        read_manifest(tmp_path / "absent.toml")
    with pytest.raises(ModelError, match="is a directory"):
        read_manifest(tmp_path)


def test_labels_in_a_file_beside(read, tmp_path):
    text = re.sub(r"\[labels\]\n(.+\n)+", '[labels]\nfile = "two.txt"\n', PLAIN)
    with pytest.raises(ModelError, match=r"labels\.file names 'two\.txt', which is not in"):
        read(text)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "two.txt").write_text("cat\ndog\n")
    found = read(text)
    assert found.labels == LabelSet(("cat", "dog"), ("", ""))
    assert found.labels_file == "two.txt"
    with pytest.raises(ModelError, match="not a plain file name"):
        read(text.replace("two.txt", "../two.txt"))


def test_labels_that_ship_with_the_tool(read):
    text = re.sub(r"\[labels\]\n(.+\n)+", '[labels]\nfile = "imagenet-1k.tsv"\n', PLAIN)
    assert read(text).labels.classes == 1000


# What is written is read again


LINES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20).filter(
    lambda text: text.strip() and "\n" not in text
)
PLAIN_NUMBERS = st.floats(-1e6, 1e6)
ABOVE = st.floats(1e-6, 1e6)


@st.composite
def inputs(draw):
    order = draw(st.sampled_from(sorted(CHANNELS)))
    count = CHANNELS[order]
    size = draw(st.tuples(st.integers(1, 500), st.integers(1, 500)))
    kind = draw(st.sampled_from(["free", "kept", "crop", "stretch", "square"]))
    geometry = {
        "free": {"dynamic": True, "fit": "shorter", "resize": max(size)},
        "kept": {"dynamic": True, "fit": "none"},
        "crop": {"size": size, "fit": "shorter", "resize": max(size), "crop": size},
        "stretch": {"size": size, "fit": "stretch"},
        "square": {"size": (7, 7), "fit": "stretch", "resize": 7},
    }[kind]
    return InputSpec(
        name=draw(LINES),
        layout=draw(st.sampled_from(LAYOUTS)),
        dtype=draw(st.sampled_from(DTYPES)),
        channel_order=order,
        batch=draw(st.none() | st.integers(1, 9)),
        interpolation=draw(st.sampled_from(INTERPOLATIONS)),
        white=draw(ABOVE),
        mean=tuple(draw(PLAIN_NUMBERS) for _ in range(count)),
        deviation=tuple(draw(ABOVE) for _ in range(count)),
        **geometry,
    )


OUTPUTS = st.one_of(
    st.tuples(st.none() | LINES, st.just("probabilities"), st.none() | LINES, st.booleans()),
    st.tuples(LINES, st.just("logits"), st.none(), st.booleans()),
    st.tuples(LINES, st.just("map")),
    st.tuples(LINES, st.just("image"), st.none(), st.just(value=False), ABOVE),
).map(lambda values: OutputSpec(*values))
LABELS = st.lists(LINES, min_size=1, max_size=4).map(
    lambda names: LabelSet(
        tuple(names), ("n01440764",) + ("",) * (len(names) - 1), ((1, 2, 254),) * len(names)
    )
)


@given(
    line=LINES, input_=inputs(), output=OUTPUTS, labels=st.none() | LABELS,
    layers=st.dictionaries(LINES | st.just(""), LINES),
    training=st.dictionaries(LINES, LINES | st.integers(-9, 9) | PLAIN_NUMBERS | st.booleans()),
)  # fmt: skip
def test_what_is_written_is_read_again(
    *, tmp_path_factory, line, input_, output, labels, layers, training
):
    spec = MEANING._replace(
        title=line, licence=line, note=line, input=input_, output=output, labels=labels,
        layers=layers, training=training,
    )  # fmt: skip
    path = tmp_path_factory.getbasetemp() / "written.toml"
    path.write_text(manifest_text(spec), encoding="utf-8")
    assert read_manifest(path)._replace(manifest=None) == spec


def test_the_least_is_written_and_read_again(read):
    found = read(LEAST)
    assert read(manifest_text(found)) == found
    assert "urls = []" in manifest_text(found)


def test_the_built_in_manifest_says_the_same_after_it_was_written(read):
    path = ROOT / "models" / "vgg16-mini.toml"
    found = read_manifest(path)._replace(manifest=None)
    assert read(manifest_text(found)) == found
    assert (
        tomllib.loads(manifest_text(found))["layers"] == tomllib.loads(path.read_text())["layers"]
    )


# The catalogue


def name_of(path):
    return path.stem


@pytest.mark.parametrize("path", MANIFESTS, ids=name_of)
def test_every_manifest_of_the_catalogue_is_good(path):
    spec = read_manifest(path)
    assert spec.name == path.stem
    if spec.output.kind in {"probabilities", "logits"}:
        assert spec.labels.classes == (53 if spec.name == "vgg16-mini" else 1000)
        assert spec.accuracy.top1 > 0.5
        assert all(spec.labels.wordnet) or spec.name == "vgg16-mini"
    elif spec.output.kind == "map":
        assert spec.labels.classes == len(spec.labels.colours) == 21
    else:
        assert spec.labels is None
    assert spec.accuracy == Accuracy() or spec.accuracy.measured
    if spec.name != "vgg16-mini":
        first, last = spec.urls
        assert first.startswith("https://huggingface.co/onnxmodelzoo/")
        assert last.startswith("https://media.githubusercontent.com/media/onnx/models/main/")
        assert first.endswith("/" + spec.file)
        assert 1e5 < spec.size < 1e9


LECTURES = """
alexnet zfnet vgg16 vgg19 googlenet inception-v1 inception-v3 inception-v4 inception-resnet-v2
xception resnet18 resnet34 resnet50 resnet101 resnet152 densenet121 squeezenet1.0 squeezenet1.1
mobilenetv2 mobilenetv3 shufflenet-v2 efficientnet-b0 efficientnet-lite4 convnext-tiny fcn-resnet50
super-resolution candy mosaic
"""


def test_the_catalogue_has_what_the_lectures_name():
    names = {path.stem for path in MANIFESTS}
    assert names >= {*LECTURES.split()}


def test_no_two_manifests_share_a_file():
    specs = [read_manifest(path) for path in MANIFESTS]
    assert len({spec.sha256 for spec in specs}) == len(specs)
    assert len({spec.file for spec in specs}) == len(specs)


def of(name):
    return read_manifest(ROOT / "models" / f"{name}.toml")


@pytest.mark.parametrize("name", ["alexnet", "zfnet", "googlenet", "inception-v1", "squeezenet1.0"])
def test_the_recipe_of_caffe(name):
    spec = of(name)
    assert spec.input.channel_order == "BGR"
    assert spec.input.mean == (103.939, 116.779, 123.68)  # blue, green, red
    assert spec.input.deviation == (1.0, 1.0, 1.0)
    assert spec.input.white == 255.0
    assert (spec.input.fit, spec.input.size, spec.input.crop) == ("stretch", (224, 224), None)
    assert spec.output.kind == "probabilities"
    assert spec.input.batch == 1


@pytest.mark.parametrize(
    "name", ["vgg16", "vgg19", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
             "mobilenetv2", "squeezenet1.1", "shufflenet-v2"],
)  # fmt: skip
def test_the_recipe_of_imagenet(name):
    spec = of(name)
    assert spec.input == InputSpec(
        spec.input.name, size=(224, 224), batch=spec.input.batch, fit="shorter", resize=256,
        crop=(224, 224), mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225),
    )  # fmt: skip
    assert spec.output.kind == "logits"
    free = name.startswith("resnet") or name == "mobilenetv2"
    assert (spec.input.batch is None) == free


@pytest.mark.parametrize(
    "name", ["inception-v3", "inception-v4", "inception-resnet-v2", "xception"]
)
def test_the_recipe_of_the_later_inceptions(name):
    spec = of(name)
    assert spec.input.size == (299, 299)
    assert spec.input.resize == math.floor(
        299 / (0.875 if spec.name[-2:] in ("v3", "v4") else 0.8975)
    )
    assert spec.input.interpolation == "bicubic"
    assert spec.input.mean == spec.input.deviation == (0.5, 0.5, 0.5)
    assert spec.licence == "unknown"


def test_the_ones_that_are_different():
    lite = of("efficientnet-lite4")
    assert (lite.input.layout, lite.input.name) == ("NHWC", "images:0")
    assert (lite.input.white, lite.input.mean[0], lite.input.deviation[0]) == (255, 127, 128)
    assert lite.input.resize == 256
    assert "77.70 %" in lite.note
    style = of("candy")
    assert (style.input.white, style.output.white) == (255.0, 255.0)
    larger = of("super-resolution")
    assert (larger.input.channel_order, larger.output.white) == ("Y", 1.0)
    fcn = of("fcn-resnet50")
    assert (fcn.input.size, fcn.input.dynamic, fcn.input.resize) == (None, True, 520)
    assert fcn.output.name == "out"
    assert of("densenet121").file == "densenet121_Opset17_timm.onnx"
    assert of("shufflenet-v2").accuracy.top1 == 0.6936


@pytest.mark.parametrize(("name", "convolutions"), [("vgg16", 13), ("vgg19", 16)])
def test_layers_of_vgg_in_the_words_of_keras(name, convolutions):
    layers = of(name).layers
    relus = [tensor for tensor in layers.values() if re.fullmatch(r"vgg0_relu\d+_fwd", tensor)]
    assert relus == [f"vgg0_relu{number}_fwd" for number in range(convolutions)]
    assert layers["block4_conv2"] == ("vgg0_relu8_fwd" if name == "vgg16" else "vgg0_relu9_fwd")
    assert layers["block5_pool"] == "vgg0_pool4_fwd"
    assert layers["predictions"] == of(name).output.name


FACTS = ROOT.parent / "shared" / "zoo" / "zoo.json"


@pytest.mark.skipif(not FACTS.exists(), reason="the facts about public networks are not here")
def test_hashes_sizes_and_figures_are_those_of_the_facts():
    facts = {one["sha256"]: one for one in json.loads(FACTS.read_text())}
    for path in MANIFESTS:
        spec = read_manifest(path)
        if spec.name == "vgg16-mini":
            continue
        fact = facts[spec.sha256]
        assert spec.size == fact["size"]
        assert spec.urls == (fact["url"], fact["github_media_url"])
        assert spec.input.name == fact["inputs"][0]["name"]
        assert spec.output.name == (fact["outputs"][0]["name"] if fact["outputs"] else None)
        if fact["top1"]:
            assert spec.accuracy.top1 == pytest.approx(float(fact["top1"]) / 100)


@pytest.mark.skipif(not FACTS.exists(), reason="the facts about public networks are not here")
def test_the_program_that_writes_the_catalogue_writes_this_one(tmp_path):
    import subprocess
    import sys

    subprocess.run(
        [sys.executable, "-B", ROOT / "models" / "catalogue", FACTS, "--into", tmp_path], check=True
    )
    written = {path.name: path.read_text() for path in tmp_path.glob("*.toml")}
    assert set(written) == {path.name for path in MANIFESTS} - {"vgg16-mini.toml"}
    for name, text in written.items():
        assert (ROOT / "models" / name).read_text() == text


def test_the_key_table_names_every_key():
    card = (ROOT / "models" / "README.md").read_text()
    for record, prefix in (
        (ModelSpec, ""), (InputSpec, "input."), (OutputSpec, "output."),
    ):  # fmt: skip
        for key in set(record._fields) - {"manifest", "labels_file", "input", "output", "labels"}:
            assert f"`{prefix}{key}`" in card, prefix + key
