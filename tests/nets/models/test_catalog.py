"""From what is typed to a manifest and a file."""

import os
import shutil
from pathlib import Path

import pytest

from cnntool.errors import ModelError
from cnntool.nets.models import BUILT_IN as NAME
from cnntool.nets.models import catalog, manifest
from cnntool.nets.models.catalog import entry, find, names
from cnntool.nets.models.manifest import manifest_text, read_manifest

MODELS = Path(__file__).parents[3] / "models"
BUILT_IN = MODELS / "vgg16-mini.onnx"


@pytest.fixture
def store(tmp_path, monkeypatch):
    folder = tmp_path / "store"
    folder.mkdir()
    monkeypatch.setenv("CNNTOOL_MODELS_DIR", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def write(path, **fields):
    """Write a manifest like the built-in one."""
    spec = read_manifest(MODELS / "vgg16-mini.toml")._replace(name=path.stem, **fields)
    path.write_text(manifest_text(spec))
    return spec


def fails(text):
    with pytest.raises(ModelError) as caught:
        find(text)
    assert caught.value.exit_code == 4
    return caught.value


def test_the_built_in_network(store):
    found = find("vgg16-mini")
    assert found.file == BUILT_IN.resolve()
    assert found.spec.labels.classes == 53
    assert found.name == NAME
    known = entry("vgg16-mini")
    assert (known.shipped, known.bundled, known.present) == (True, True, True)


def test_a_known_one_that_is_not_here(store):
    error = fails("resnet50")
    assert str(error) == "resnet50: is not here yet"
    assert error.hint == "cnntool models pull resnet50"
    known = entry("resnet50")
    assert (known.shipped, known.bundled, known.present) == (True, False, False)
    assert known.file == store / "resnet50.onnx"


def test_a_known_one_that_was_fetched(store):
    size = entry("squeezenet1.1").spec.size
    with (store / "squeezenet1.1.onnx").open("wb") as file:
        file.truncate(size)
    assert find("squeezenet1.1").file == (store / "squeezenet1.1.onnx").resolve()
    with (store / "squeezenet1.1.onnx").open("wb") as file:
        file.truncate(size - 1)
    error = fails("squeezenet1.1")
    assert error.message == f"the file has {size - 1:,} bytes, its manifest says {size:,}"
    assert error.hint == "cnntool models pull squeezenet1.1"


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [("resnet5", "resnet50"), ("ResNet50", "resnet50"), ("vgg-16", "vgg16"), ("zfnet512", "zfnet")],
)
def test_an_unknown_name_gets_the_nearest(store, typed, nearest):
    error = fails(typed)
    assert error.message == f"no model is called {typed!r}"
    assert error.hint.startswith("the nearest: ")
    close = error.hint.removeprefix("the nearest: ").partition(";")[0].split(", ")
    assert nearest in close
    assert len(close) <= 3


@pytest.mark.parametrize("typed", ["", "qqqqqqqq", "x" * 5000, "..", ".", "a b", "é", "labels"])
def test_what_is_no_name(store, typed):
    error = fails(typed)
    assert "no model is called" in error.message
    assert "'cnntool models' lists the names" in error.hint


def test_a_file_without_a_suffix_gets_a_hint(store, tmp_path):
    (tmp_path / "network").touch()
    assert fails("network").hint == f"for the file write '.{os.sep}network'"
    (tmp_path / "cat.PNG").touch()
    assert fails("cat.PNG").hint.startswith("the file of this name is a picture")


def test_a_network_of_the_user(store):
    shutil.copy(BUILT_IN, store / "mine.onnx")
    write(store / "mine.toml")
    found = find("mine")
    assert found.file == (store / "mine.onnx").resolve()
    assert not entry("mine").shipped
    assert "mine" in names()
    (store / "mine.onnx").unlink()
    error = fails("mine")
    assert str(error) == "mine: its file is gone"
    assert error.hint == f"it was {store / 'mine.onnx'}"


def test_what_ships_comes_first(store):
    write(store / "vgg16-mini.toml", title="Another")
    assert find("vgg16-mini").spec.title != "Another"
    assert names().count("vgg16-mini") == 1


def test_a_manifest_under_another_name(store):
    write(store / "mine.toml")
    (store / "mine.toml").rename(store / "yours.toml")
    assert fails("yours").message == "name is 'mine', not 'yours'"


def test_names_are_sorted_and_without_hidden_files(store):
    (store / ".hidden.toml").touch()
    (store / "notes.txt").touch()
    found = names()
    assert found == sorted(found)
    assert set(found) == {path.stem for path in MODELS.glob("*.toml")}


def test_a_folder_that_does_not_exist(store, monkeypatch):
    monkeypatch.setenv("CNNTOOL_MODELS_DIR", str(store / "absent"))
    assert "vgg16" in names()
    assert fails("vgg16").message == "is not here yet"


@pytest.mark.parametrize("text", ["net.onnx", "NET.ONNX", "./net", "a/b", "/a", "~/x.onnx"])
def test_what_is_a_path(text):
    assert catalog.is_path(text)


@pytest.mark.parametrize("text", ["net", "squeezenet1.0", "onnx", "net.onnx.bak", "x.pb"])
def test_what_is_a_name(text):
    assert not catalog.is_path(text)


def test_a_file_without_a_manifest(store, tmp_path):
    (tmp_path / "bare.onnx").write_bytes(b"any")
    found = find("bare.onnx")
    assert found == catalog.FoundModel("bare.onnx", None, Path("bare.onnx"))
    (tmp_path / "odd").write_bytes(b"any")
    assert find("./odd").spec is None


def test_a_file_with_its_manifest_beside(store, tmp_path):
    shutil.copy(BUILT_IN, tmp_path / "My Net.onnx")
    write(tmp_path / "net.toml", file="My Net.onnx")
    (tmp_path / "net.toml").rename(tmp_path / "My Net.toml")
    found = find(str(tmp_path / "My Net.onnx"))
    assert found.spec.name == "net"
    assert found.file == tmp_path / "My Net.onnx"


def test_a_manifest_beside_that_is_of_another_file(store, tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"any")
    write(tmp_path / "net.toml")
    assert fails("net.onnx").message == "file is 'vgg16-mini.onnx', not 'net.onnx'"
    write(tmp_path / "net.toml", file="net.onnx")
    error = fails("net.onnx")
    assert error.message == "the file has 3 bytes, its manifest says 6,974,403"
    assert error.hint == "correct sha256 and size in net.toml"
    write(tmp_path / "net.toml", file="net.onnx", sha256=None, size=None)
    assert find("net.onnx").spec.size is None
    (tmp_path / "net.toml").write_text("[tool]\n")
    assert fails("net.onnx").message == "schema is missing"


def test_files_that_are_none(store, tmp_path):
    assert fails("absent.onnx").message == "no such file or directory"
    assert fails(str(tmp_path)).message == "this is a folder"
    assert fails("a/" + "b" * 5000).message == "file name too long"
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.onnx")
        assert fails("pipe.onnx").message == "this is no regular file"


def test_the_folder_of_the_users_networks(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNTOOL_MODELS_DIR", "here")
    monkeypatch.chdir(tmp_path)
    assert manifest.user_models() == tmp_path / "here"
    monkeypatch.delenv("CNNTOOL_MODELS_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert manifest.user_models() == tmp_path / "data" / "cnntool" / "models"


def test_the_shipped_models_are_in_the_package_or_beside_it():
    assert (manifest.shipped_models() / "vgg16-mini.onnx").is_file()
    assert (manifest.shipped_models() / "labels" / "imagenet-1k.tsv").is_file()


def test_finding_loads_nothing_heavy():
    import subprocess
    import sys

    code = (
        "import sys; from cnntool.nets.models.catalog import find; find('vgg16-mini');"
        "print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "onnxruntime", "filelock", "requests", "rich", "click", "PIL", "json"}
    assert not set(done.stdout.split()) & heavy
