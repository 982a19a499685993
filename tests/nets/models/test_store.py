"""Networks of the user: added, checked, removed."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from cnntool.api.catalog import describe
from cnntool.errors import DownloadError, ModelError, OutputError, UsageError
from cnntool.nets.inference.presets import Overrides
from cnntool.nets.models import store
from cnntool.nets.models.catalog import entry, find
from cnntool.nets.models.labels import LabelSet
from cnntool.nets.models.manifest import read_manifest

MODELS = Path(__file__).parents[3] / "models"
BUILT_IN = MODELS / "vgg16-mini.onnx"
SPEC = read_manifest(MODELS / "vgg16-mini.toml")._replace(name="mine")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    path = tmp_path / "a" / "store"
    monkeypatch.setenv("CNNTOOL_MODELS_DIR", str(path))
    monkeypatch.chdir(tmp_path)
    return path


def inside(folder):
    return sorted(path.name for path in folder.iterdir())


def test_added_and_found(folder, tmp_path):
    content = b"any network" * 100_000
    (tmp_path / "x.onnx").write_bytes(content)
    added = store.add(tmp_path / "x.onnx", SPEC)
    assert inside(folder) == ["mine.onnx", "mine.toml"]
    assert (folder / "mine.onnx").read_bytes() == content
    assert not (folder / "mine.onnx").is_symlink()
    assert added == entry("mine")
    assert added.spec.sha256 == hashlib.sha256(content).hexdigest()
    assert (added.spec.size, added.spec.file) == (len(content), "mine.onnx")
    assert added.spec.labels == SPEC.labels
    assert find("mine").file == (folder / "mine.onnx").resolve()
    assert store.verify(added) is None


def test_a_link_leaves_the_file_where_it_is(folder, tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"any")
    store.add(Path("x.onnx"), SPEC, link=True)
    assert (folder / "mine.onnx").readlink() == (tmp_path / "x.onnx").resolve()
    assert find("mine").file == (tmp_path / "x.onnx").resolve()
    store.remove(entry("mine"))
    assert (tmp_path / "x.onnx").read_bytes() == b"any"
    assert inside(folder) == []


def test_a_link_to_a_file_that_went_away_can_be_removed(folder, tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"any")
    added = store.add(Path("x.onnx"), SPEC, link=True)
    (tmp_path / "x.onnx").unlink()
    with pytest.raises(ModelError, match="its file is gone"):
        find("mine")
    assert store.remove(added) == [folder / "mine.onnx", folder / "mine.toml"]
    assert inside(folder) == []


@pytest.mark.parametrize(
    "name", ["vgg16", "vgg16-mini", "Mine", "a/b", "x.onnx", "", "-x", "x" * 65]
)
def test_names_that_cannot_be_taken(folder, name):
    with pytest.raises(UsageError) as caught:
        store.add(BUILT_IN, SPEC._replace(name=name))
    assert caught.value.exit_code == 2
    assert "`name`" in caught.value.hint
    assert not folder.exists()


def test_a_name_is_taken_once(folder):
    store.add(BUILT_IN, SPEC)
    with pytest.raises(UsageError, match="there is a model called 'mine' already"):
        store.add(BUILT_IN, SPEC)
    (folder / "mine.toml").unlink()
    with pytest.raises(OutputError, match="it exists already"):
        store.add(BUILT_IN, SPEC)
    assert inside(folder) == ["mine.onnx"]


def test_nothing_is_left_when_it_fails(folder, tmp_path, monkeypatch):
    with pytest.raises(ModelError, match="no such file"):
        store.add(tmp_path / "absent.onnx", SPEC)
    assert inside(folder) == []
    with pytest.raises(ModelError, match="title is not a line of text"):
        store.add(BUILT_IN, SPEC._replace(title=""))
    assert inside(folder) == []
    monkeypatch.setattr(store, "manifest_text", lambda spec: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.add(BUILT_IN, SPEC)
    assert inside(folder) == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_is_closed(folder):
    folder.mkdir(parents=True)
    folder.chmod(0o500)
    with pytest.raises(OutputError, match="permission denied"):
        store.add(BUILT_IN, SPEC)


def test_a_folder_that_cannot_be_made(folder, tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(OutputError) as caught:
        store.add(BUILT_IN, SPEC)
    assert caught.value.source == str(folder)


def test_verify_names_what_is_wrong(folder, tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"0123456789")
    added = store.add(tmp_path / "x.onnx", SPEC)
    added.file.write_bytes(b"012345678")
    assert store.verify(added) == "has 9 bytes, not 10"
    added.file.write_bytes(b"0123456780")
    reason = store.verify(added)
    assert reason == f"has the sha256 {hashlib.sha256(b'0123456780').hexdigest()}, not " + (
        hashlib.sha256(b"0123456789").hexdigest()
    )
    added.file.unlink()
    assert store.verify(added) == "no such file or directory"
    error = store.bad(added, "x")
    assert (error.exit_code, error.hint) == (8, "")
    assert store.bad(entry("vgg16"), "x").hint == "cnntool models pull vgg16"
    assert isinstance(error, DownloadError)


def test_the_built_in_network_is_good_and_stays(folder):
    known = entry("vgg16-mini")
    assert store.verify(known) is None
    with pytest.raises(UsageError, match="ships with the tool and stays"):
        store.remove(known)
    assert known.present


def test_a_fetched_network_loses_its_file_alone(folder):
    folder.mkdir(parents=True)
    (folder / "vgg16.onnx").write_bytes(b"any")
    known = entry("vgg16")
    assert store.remove(known) == [folder / "vgg16.onnx"]
    with pytest.raises(ModelError, match="is not here"):
        store.remove(known)
    assert entry("vgg16").shipped


def test_the_hash_of_a_file_in_pieces(tmp_path):
    content = os.urandom(store.PIECE + 5)
    (tmp_path / "x").write_bytes(content)
    pieces = []
    found = store.digest(tmp_path / "x", each=pieces.append)
    assert found == (hashlib.sha256(content).hexdigest(), len(content))
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) == store.PIECE


class TestDescribing:
    def test_a_bare_file(self, folder, tmp_path):
        shutil.copy(BUILT_IN, tmp_path / "My Net (1).onnx")
        draft = describe(tmp_path / "My Net (1).onnx")
        assert draft.spec.name == "my-net-1"
        assert draft.assumed
        assert draft.spec.note == f"Assumed: {', '.join(draft.assumed)}."
        assert draft.spec.input.name == "input"
        assert draft.spec.output.kind == "probabilities"
        assert draft.spec.output.logits == "predictions"
        assert draft.spec.labels is None
        assert draft.spec.licence == "unknown"
        added = store.add(tmp_path / "My Net (1).onnx", draft.spec)
        assert added.spec.input == draft.spec.input
        assert added.spec.output == draft.spec.output

    def test_what_the_user_says(self, tmp_path):
        (tmp_path / "l.txt").write_text("".join(f"class {n}\n" for n in range(53)))
        overrides = Overrides(
            preprocess="caffe", labels=tmp_path / "l.txt", resize=80, crop=(64, 64)
        )
        spec = describe(BUILT_IN, name="caffe-like", overrides=overrides).spec
        assert spec.name == "caffe-like"
        assert spec.input.channel_order == "BGR"
        assert (spec.input.resize, spec.input.crop) == (80, (64, 64))
        assert spec.labels == LabelSet(tuple(f"class {n}" for n in range(53)), ("",) * 53)

    def test_the_manifest_beside(self):
        beside = read_manifest(MODELS / "vgg16-mini.toml")
        draft = describe(BUILT_IN, name="other", beside=beside)
        assert draft.assumed == ()
        assert draft.spec._replace(name=beside.name) == beside

    def test_what_is_no_network(self, tmp_path):
        (tmp_path / "x.onnx").write_bytes(b"no network")
        with pytest.raises(ModelError):
            describe(tmp_path / "x.onnx")

    def test_weights_in_other_files_are_not_copied(self, folder, tmp_path):
        onnx = pytest.importorskip("onnx", reason="the weights are moved out with onnx")
        onnx.save_model(
            onnx.load(BUILT_IN), tmp_path / "x.onnx", save_as_external_data=True,
            location="x.weights", size_threshold=0,
        )  # fmt: skip
        with pytest.raises(ModelError, match=r"its weights lie in x\.weights too") as caught:
            describe(tmp_path / "x.onnx")
        assert caught.value.hint == "`link` leaves the files where they are"
        draft = describe(tmp_path / "x.onnx", alone=False)
        store.add(tmp_path / "x.onnx", draft.spec, link=True)
        assert find("x").file == (tmp_path / "x.onnx").resolve()

    def test_imagenet_labels_are_named_and_not_copied(self, tmp_path):
        shared = MODELS.parent.parent / "shared" / "models" / "squeezenet1.0-fp16.onnx"
        if not shared.exists():
            pytest.skip("the real networks are not here")
        draft = describe(shared)
        assert draft.spec.labels_file == "imagenet-1k.tsv"
        assert draft.spec.labels.classes == 1000
        assert draft.spec.name == "squeezenet1.0-fp16"
