"""Label files of every form, and finding a class."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntool.errors import ModelError
from cnntool.nets.models.labels import LabelSet, make_labels, read_labels

LABELS = Path(__file__).parents[3] / "models" / "labels"
BIRDS = ("tench, Tinca tinca", "crane", "golf ball", "cock, rooster", "crane, lifting device")
SET = LabelSet(BIRDS, ("n01440764", "n02012849", "n03445777", "n01514668", "n03126707"))


@pytest.fixture
def read(tmp_path):
    def call(content, name="labels.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_labels(path)

    return call


PLAIN = LabelSet(("cat", "dog"), ("", ""))
KNOWN = LabelSet(("cat, house cat", "dog"), ("n02121620", "n02084071"))


@pytest.mark.parametrize(
    "content",
    [
        "cat\ndog",
        "cat\ndog\n\n\n",
        "\ufeffcat\r\ndog\r\n",
        "  cat \ndog\t\n",
        '["cat", "dog"]',
        ' {"0": "cat", "1": "dog"}',
        '{"1": "dog", "0": "cat"}',
        '{"model_type": "x", "id2label": {"0": "cat", "1": "dog"}}',
        '{"id2label": ["cat", "dog"]}',
        "names\ncat\ndog\n",
        "index\tnames\n1\tdog\n0\tcat\n",
    ],
)
def test_names_alone(read, content):
    assert read(content) == PLAIN
    assert PLAIN.classes == 2


@pytest.mark.parametrize(
    "content",
    [
        "n02121620 cat, house cat\nn02084071 dog\n",
        "n02121620\tcat, house cat\nn02084071\tdog\n",
        '{"0": ["n02121620", "cat, house cat"], "1": ["n02084071", "dog"]}',
        '[["n02121620", "cat, house cat"], ["n02084071", "dog"]]',
        "index\twordnet_id\tnames\n0\tn02121620\tcat, house cat\n1\tn02084071\tdog\n",
        "names\twordnet_id\ncat, house cat\tn02121620\ndog\tn02084071",
    ],
)
def test_names_with_wordnet_ids(read, content):
    assert read(content) == KNOWN


def test_a_name_that_looks_like_an_id_is_a_name_where_not_all_do(read):
    assert read("n02121620 cat\ndog").names == ("n02121620 cat", "dog")


def test_colours(read):
    found = read("index\tcolour\tnames\n0\t#000000\tsky\n1\t#0a0B0c\tsea\n")
    assert found.colours == ((0, 0, 0), (10, 11, 12))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "0 labels"),
        ("\n\n", "0 labels"),
        ("[]", "0 labels"),
        ("cat\n\ndog", "line 2 is empty"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        ("[1, 2]", "a label is neither a name nor an id with a name"),
        ('[["a", "b", "c"]]', "a label is neither"),
        ('["cat", ', "no valid JSON: "),
        ("[" * 100_000, "no valid JSON: "),
        ('{"0": "cat", "2": "dog"}', "no label has the number 1"),
        ('{"id2label": {"1": "cat"}}', "no label has the number 0"),
        ("index\tnames\n0\tcat\n0\tdog\n", "no label has the number 1"),
        ("index\tnames\n0\tcat\n1\n", "line 3 does not have 2 columns"),
        ("index\tnames\n0\t \n", "line 2 does not have 2 columns"),
        ("names\tsize\ncat\t3\n", "the columns cannot be names, size"),
        ("names\tnames\ncat\tdog\n", "the columns cannot be names, names"),
        ("names\twordnet_id\ncat\tnope\n", "'nope' is no WordNet id"),
        ("names\tcolour\ncat\tred\n", "'red' is no colour"),
        ("names\tcolour\ncat\t#000000\ndog\t\n", "1 colour for 2 labels"),
    ],
)
def test_what_is_no_label_file(read, tmp_path, content, reason):
    with pytest.raises(ModelError) as caught:
        read(content)
    assert caught.value.message.startswith(reason)
    assert caught.value.source == str(tmp_path / "labels.txt")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        read_labels(tmp_path / "absent.txt")


@given(st.binary(max_size=60))
def test_any_bytes_give_labels_or_one_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(content)
    with suppress(ModelError):
        found = read_labels(path)
        assert len(found.names) == len(found.wordnet) >= 1


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("golf ball", 2),
        ("golf_ball", 2),
        ("Golf-Ball", 2),
        (" golf  ball ", 2),
        ("tench, Tinca tinca", 0),
        ("tench", 0),
        ("tinca tinca", 0),
        ("ROOSTER", 3),
        ("n02012849", 1),
        ("N02012849", 1),
        ("lifting device", 4),
        ("0", 0),
        ("4", 4),
        ("003", 3),
        ("crane", 1),
    ],
)
def test_finding(text, index):
    assert SET.find(text) == index


def test_a_name_that_two_classes_share_is_refused():
    names = LabelSet(("crane", "crane"), ("n02012849", "n03126707"))
    with pytest.raises(ModelError, match="'crane' is the name of the classes 0, 1") as caught:
        names.find("crane")
    assert "n02012849, n03126707" in caught.value.hint
    assert names.find("n03126707") == 1
    with pytest.raises(ModelError):
        LabelSet(("a, x", "b, x"), ("", "")).find("x")


def test_a_label_that_is_a_number_comes_before_the_class_of_this_number():
    digits = LabelSet(("1", "2", "3"), ("", "", ""))
    assert [digits.find(text) for text in ("1", "2", "3", "0")] == [0, 1, 2, 0]


@pytest.mark.parametrize(
    "text", ["5", "-1", "99999999999999999999", "golf bal", "", "n99999999", "²"]
)
def test_what_is_no_class(text):
    with pytest.raises(ModelError, match="no class is called") as caught:
        SET.find(text)
    if text == "golf bal":
        assert caught.value.hint.startswith("the nearest: golf ball")


def test_as_many_ids_and_colours_as_names():
    with pytest.raises(ModelError, match="1 WordNet id for 2 labels"):
        make_labels(["a", "b"], ["n02012849"], source="x")
    with pytest.raises(ModelError, match="3 colours for 2 labels"):
        make_labels(["a", "b"], [], ["#000000"] * 3, source="x")


def test_imagenet():
    found = read_labels(LABELS / "imagenet-1k.tsv")
    assert found.classes == len(set(found.wordnet)) == 1000
    assert found.names[0] == "tench, Tinca tinca"
    assert found.names[999].startswith("toilet tissue")
    assert found.find("n03445777") == found.find("golf ball") == 574
    with pytest.raises(ModelError, match="the classes 134, 517"):
        found.find("crane")
    assert not found.colours


def test_imagenet_against_the_built_in_network():
    import tomllib

    manifest = tomllib.loads((LABELS.parent / "vgg16-mini.toml").read_text())["labels"]
    found = read_labels(LABELS / "imagenet-1k.tsv")
    shared = 0
    for name, wordnet in zip(manifest["names"], manifest["wordnet"], strict=True):
        if wordnet in found.wordnet:  # most are wider than any class of ImageNet
            assert name.lower() in found.names[found.find(wordnet)].lower()
            shared += 1
    assert shared >= 15


def test_other_is_the_class_of_the_rest():
    found = make_labels(["cat", "something else"], source="x")
    assert found.find("other") == found.find("something_else") == found.rest == 1
    assert make_labels(["something else", "other"], source="x").find("other") == 1
    without = make_labels(["cat", "dog"], source="x")
    assert without.rest is None
    with pytest.raises(ModelError, match="no class is called 'other'"):
        without.find("other")


def test_pascal_voc():
    found = read_labels(LABELS / "pascal-voc.tsv")
    assert found.classes == len(set(found.colours)) == 21
    assert found.names[0] == "background"
    assert found.find("bird") == 3
    # VOC spreads the bits of the class's number over the upper bits of red, green and blue.
    for number, colour in enumerate(found.colours):
        bits = [(number >> bit) & 1 for bit in range(6)]
        assert colour == tuple(128 * bits[c] + 64 * bits[c + 3] for c in range(3))


FACTS = LABELS.parents[1].parent / "shared" / "labels" / "imagenet-1k.tsv"


@pytest.mark.skipif(not FACTS.exists(), reason="the facts about ImageNet are not here")
def test_the_labels_are_those_of_the_facts():
    assert (LABELS / "imagenet-1k.tsv").read_text() == FACTS.read_text()


def test_every_name_of_imagenet_leads_to_its_class_or_is_ambiguous():
    found = read_labels(LABELS / "imagenet-1k.tsv")
    for index, name in enumerate(found.names):
        try:
            assert found.find(name) == index
        except ModelError:
            assert found.names.count(name) > 1


def test_json_of_one_thousand(read):
    names = [f"class {number}" for number in range(1000)]
    assert read(json.dumps(dict(enumerate(names)))).names == tuple(names)
