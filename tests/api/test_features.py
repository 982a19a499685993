"""``cnntool.features``: what the command computes, as arrays."""

import hashlib
import shutil

import numpy as np
import pytest
from small import colours

import cnntool
from cnntool.errors import InputError, ModelError, OutputError, UsageError

pytest.importorskip("onnxruntime")


@pytest.fixture
def folder(samples, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("cat.png", "rocket.jpg"):
        (tmp_path / "in" / name[:3]).mkdir(parents=True)
        shutil.copy(samples / name, tmp_path / "in" / name[:3])
    colours(tmp_path / "net.onnx", side=32)
    return tmp_path / "in"


def test_the_arrays_are_those_of_the_command(folder, here, tmp_path):
    found = cnntool.features("in", model="net.onnx", recursive=True)
    assert found.vectors.dtype == np.float32
    assert found.vectors.shape == (2, 3)
    assert found.paths == ("in/cat/cat.png", "in/roc/rocket.jpg")
    assert found.labels == ("cat", "roc")
    assert found.sha256[0] == hashlib.sha256((folder / "cat/cat.png").read_bytes()).hexdigest()
    assert (found.about["layer"], found.about["pool"]) == ("means", "mean")
    here("features", "-q", "-m", "net.onnx", "-r", "in", "-o", "told.npz")
    found.save("made.npz")
    assert (tmp_path / "made.npz").read_bytes() == (tmp_path / "told.npz").read_bytes()
    with pytest.raises(OutputError, match="it exists already"):
        found.save("made.npz")
    found.save("made.npz", overwrite=True)
    with pytest.raises(OutputError, match=r"not written as '\.png'"):
        found.save("made.png")


def test_an_open_model_is_used_and_stays_open(folder):
    with cnntool.load_model("net.onnx", preprocess="raw") as net:
        found = cnntool.features([folder / "cat"], model=net)
        again = net.features(folder / "cat" / "cat.png")
    np.testing.assert_array_equal(found.vectors, again.vectors)
    assert (found.labels, len(again.paths)) == (("",), 1)
    assert found.vectors.max() > 1  # 0..255, as that model is told


@pytest.mark.parametrize(
    ("given", "kind", "told"),
    [
        ({"images": 3}, UsageError, "`images`: a path or a list of paths is expected, not int"),
        ({"images": [None]}, UsageError, "`images`"),
        ({"images": "in"}, InputError, "`recursive` looks into"),
        ({"images": "gone.png"}, InputError, "gone.png: no such file"),
        ({"images": []}, InputError, "no picture"),
        ({"images": ""}, InputError, "no such file"),
        ({"fail_fast": 0}, UsageError, "`fail_fast`: True or False is expected"),
        ({"pool": "sum"}, UsageError, "one of mean, max, none is expected, not 'sum'"),
        ({"layer": 3}, UsageError, "`layer`: a name is expected, not int"),
        ({"layer": "nonesuch"}, ModelError, "nonesuch"),
        ({"recursive": 1}, UsageError, "`recursive`: True or False is expected"),
        ({"model": 3}, UsageError, "`model`: a path is expected, not int"),
    ],
    ids=str,
)
def test_errors(folder, given, kind, told):
    with pytest.raises(kind) as caught:
        cnntool.features(**{"images": "in/cat", "model": "net.onnx", **given})
    assert told in f"{caught.value} {caught.value.hint}"


def test_bad_pictures_may_be_left_out(folder):
    good = cnntool.features("in", model="net.onnx", recursive=True)
    (folder / "cat" / "a.png").write_text("torn")
    (folder / "roc" / "a.npy").write_text("no picture at all")
    images = ["in/cat", "in/roc", "gone", "in/roc/a.npy"]
    with pytest.raises(InputError, match=r"a\.png"):
        cnntool.features(images, model="net.onnx")
    found = cnntool.features(images, model="net.onnx", fail_fast=False)
    np.testing.assert_array_equal(found.vectors, good.vectors)
    assert (found.paths, found.sha256, good.errors) == (good.paths, good.sha256, ())
    assert [error.source for error in found.errors] == ["in/cat/a.png", "gone", "in/roc/a.npy"]
    with pytest.raises(InputError, match="no picture could be read"):
        cnntool.features(["gone"], model="net.onnx", fail_fast=False)
