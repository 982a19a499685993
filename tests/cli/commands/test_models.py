"""``cnntool models``, as a user runs it."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from mischief import CONTENT, SHA256, serving
from onnx import TensorProto, helper
from small import picture_net, save, several

from cnntool.nets.models.manifest import manifest_text, read_manifest

MODELS = Path(__file__).parents[3] / "models"
BUILT_IN = MODELS / "vgg16-mini.onnx"
NAMES = sorted(path.stem for path in MODELS.glob("*.toml"))


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


@pytest.fixture
def store(tmp_path, monkeypatch, server):
    folder = tmp_path / "store"
    folder.mkdir()
    for name in os.environ:
        if name.startswith("CNNTOOL_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CNNTOOL_MODELS_DIR", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    server.asked.clear()
    return folder


@pytest.fixture
def net(store, server):
    """Write the manifest of a network that the server has under these paths."""

    def write(*paths, name="net"):
        spec = read_manifest(MODELS / "vgg16-mini.toml")._replace(
            name=name, file="n.onnx", sha256=SHA256, size=len(CONTENT),
            urls=tuple(map(server.url, paths)),
        )  # fmt: skip
        (store / f"{name}.toml").write_text(manifest_text(spec))

    return write


def left(store):
    return sorted(path.name for path in store.iterdir())


class TestList:
    def test_has_a_line_for_each(self, here, store):
        lines = [line.split("\t") for line in here("models").text.splitlines()]
        assert [line[0] for line in lines] == NAMES
        mini = lines[NAMES.index("vgg16-mini")]
        top1 = f"{100 * read_manifest(MODELS / 'vgg16-mini.toml').accuracy.top1:.2f}"
        assert mini[1:] == ["6974403", "53", top1, "built-in", "VGG-16, narrow, 52 everyday things"]
        vgg = lines[NAMES.index("vgg16")]
        assert vgg[1:5] == ["553437752", "1000", "72.38", "absent"]
        candy = lines[NAMES.index("candy")]
        assert candy[2:4] == ["", ""]
        assert here("models", "list").text == here("models").text

    def test_says_what_is_here(self, here, store, net):
        net("good")
        (store / "net.onnx").write_bytes(CONTENT)
        (store / "vgg16.onnx").write_bytes(b"cut")
        with (store / "candy.onnx").open("wb") as file:
            file.truncate(read_manifest(MODELS / "candy.toml").size)
        rows = {
            line.split("\t")[0]: line.split("\t")[4] for line in here("models").text.splitlines()
        }
        assert rows["net"] == "added"
        assert rows["vgg16"] == "damaged"
        assert rows["candy"] == "here"
        assert rows["alexnet"] == "absent"

    def test_as_json(self, here, store):
        records = [json.loads(line) for line in here("models", "list", "--json").text.splitlines()]
        assert [record["name"] for record in records] == NAMES
        accuracy = read_manifest(MODELS / "vgg16-mini.toml").accuracy
        assert records[NAMES.index("vgg16-mini")] == {
            "name": "vgg16-mini",
            "title": "VGG-16, narrow, 52 everyday things",
            "state": "built-in",
            "size": 6974403,
            "kind": "probabilities",
            "classes": 53,
            "top1": accuracy.top1,
            "top5": accuracy.top5,
            "licence": "MIT",
            "file": str(BUILT_IN),
        }
        assert records[NAMES.index("vgg16")]["file"] is None

    def test_a_bad_manifest_is_reported_and_the_others_are_listed(self, here, store):
        (store / "mine.toml").write_text("schema = 3\n")
        done = here("models", code=4)
        assert [line.split("\t")[0] for line in done.text.splitlines()] == NAMES
        assert done.err == (f"cnntool: error: {store / 'mine.toml'}: schema is 3, not in 1..1\n")

    def test_on_a_terminal_it_is_a_table(self, here, store, monkeypatch):
        from cnntool.cli import output

        monkeypatch.setattr(output.sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", "120")
        text = re.sub(r"\x1b\[[0-9;]*m", "", here("models").text)
        lines = text.splitlines()
        assert "network" in text
        assert any("553.4 MB" in line and "vgg16 " in line for line in lines)
        assert max(map(len, lines)) <= 120
        assert len(lines) < len(NAMES) + 6  # a line for each


class TestInfo:
    def test_shows_all_of_a_manifest(self, here, store):
        lines = here("models", "info", "vgg16").text.splitlines()
        assert lines[0] == "vgg16        VGG-16 (2014), 16 layers of 3x3 convolutions"
        assert "file         not here: 'cnntool models pull vgg16' fetches 553.4 MB" in lines
        assert "licence      Apache-2.0" in lines
        assert "input        data: NCHW, float32, RGB, 224 x 224, batch of 1" in lines
        assert "prepared     the shorter side becomes 256 pixels (bilinear)" in lines
        assert "             224 x 224 cut from the centre" in lines
        assert "             minus 0.485, 0.456, 0.406" in lines
        assert "output       vgg0_dense2_fwd: logits" in lines
        assert any(line.startswith("classes      1,000: tench, goldfish, ") for line in lines)
        assert "accuracy     top-1 72.38 %, top-5 91.00 % on ImageNet 2012, validation" in lines
        assert "             block4_conv2  vgg0_relu8_fwd" in lines

    @pytest.mark.parametrize("name", NAMES)
    def test_every_one_can_be_shown(self, here, store, name):
        text = here("models", "info", name).text
        spec = read_manifest(MODELS / f"{name}.toml")
        for part in (spec.title, spec.note, spec.sha256, spec.licence, *spec.urls, spec.input.name):
            assert part in text
        assert "None" not in text
        record = json.loads(here("models", "info", name, "--json").text)
        assert record["sha256"] == spec.sha256
        assert record["input"]["mean"] == list(spec.input.mean)
        assert record["urls"] == list(spec.urls)

    def test_all_classes_are_listed_unless_they_are_many(self, here, store):
        lines = here("models", "info", "vgg16-mini").text.splitlines()
        start = next(place for place, line in enumerate(lines) if line.startswith("classes"))
        stop = next(place for place, line in enumerate(lines) if line.startswith("accuracy"))
        listed = " ".join(line.strip() for line in lines[start:stop]).split("53: ")[1]
        spec = read_manifest(MODELS / "vgg16-mini.toml")
        assert tuple(listed.split(", ")) == spec.labels.names
        assert max(map(len, lines[start:stop])) <= 101
        assert "1,000: tench, goldfish" in here("models", "info", "mobilenetv2").text

    def test_of_a_file(self, here, store, tmp_path):
        shutil.copy(BUILT_IN, tmp_path)
        shutil.copy(MODELS / "vgg16-mini.toml", tmp_path)
        text = here("models", "info", "vgg16-mini.onnx").text
        assert "file         vgg16-mini.onnx\n             7.0 MB, here\n" in text

    def test_of_a_file_without_a_manifest(self, here, store, tmp_path):
        shutil.copy(BUILT_IN, tmp_path / "net.onnx")
        lines = here("models", "info", "net.onnx").text.splitlines()
        for line in (
            "file         net.onnx",
            "producer     cnntool",
            "format       ONNX IR version 8, operators ai.onnx 17",
            "inputs       input: float32 (batch x 3 x height x width)",
            "outputs      predictions/Softmax: float32 (batch x 53), class scores",
            "manifest     none beside it: the rest is read from the file, or assumed",
            "output       predictions/Softmax: probabilities, logits predictions",
            "assumed      size 224 x 224 (--crop)",
            "             --preprocess unit (the file does not say)",
        ):
            assert line in lines
        record = json.loads(here("models", "info", "net.onnx", "--json").text)
        assert record["manifest"] is None
        assert record["reason"] is None
        assert record["opset"] == {"": 17}
        assert record["inputs"] == [
            {"name": "input", "dtype": "float32", "shape": ["batch", 3, "height", "width"]}
        ]
        assert record["outputs"][0]["kind"] == record["kind"] == "probabilities"
        assert record["size"] == 6974403
        assert "--preprocess unit (the file does not say)" in record["assumed"]
        assert here("models", "info", "absent.onnx", code=4)

    def test_of_a_file_that_takes_no_picture(self, here, store, tmp_path):
        save(
            tmp_path / "net.onnx",
            [helper.make_node("Add", ["a", "b"], ["c"])],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in "ab"],
            [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1, 4])],
            producer="somebody",
        )
        reason = "it does not take one picture, but a (1 x 4), b (1 x 4)"
        lines = here("models", "info", "net.onnx").text.splitlines()
        assert f"not usable   {reason}" in lines
        assert "             b: float32 (1 x 4)" in lines
        record = json.loads(here("models", "info", "net.onnx", "--json").text)
        assert (record["reason"], record["producer"]) == (reason, "somebody")
        assert [tensor["name"] for tensor in record["inputs"]] == ["a", "b"]

    def test_control_codes_do_not_reach_a_terminal(self, here, store, monkeypatch):
        from cnntool.cli import console

        spec = read_manifest(MODELS / "vgg16-mini.toml")
        (store / "bad.toml").write_text(
            manifest_text(spec._replace(name="bad", title="\x1b]0;owned\x07"))
        )
        monkeypatch.setattr(console.sys.stdout, "isatty", lambda: True)
        assert b"\x1b]0" not in here("models", "info", "bad").out
        assert b"\x1b]0" not in here("models", "list").out

    def test_an_unknown_name(self, fails, store):
        err = fails(4, "models", "info", "vgg17")
        assert "no model is called 'vgg17'" in err
        assert "the nearest: vgg19, vgg16" in err


class TestPull:
    def test_prints_where_the_file_is(self, here, store, net):
        net("missing", "good")
        done = here("models", "pull", "net")
        assert done.text == f"{store / 'net.onnx'}\n"
        assert len(done.err.splitlines()) == 1
        assert "the server says 404 Not Found" in done.err
        assert left(store) == ["net.onnx", "net.toml"]
        assert here("models", "path", "net").text == done.text
        assert here("models", "verify", "net").text == "net\tgood\n"

    def test_as_json(self, here, store, net):
        net("good")
        expected = {"name": "net", "file": str(store / "net.onnx"), "size": len(CONTENT),
                    "sha256": SHA256}  # fmt: skip
        first = json.loads(here("models", "pull", "net", "--json").text)
        again = json.loads(here("models", "pull", "net", "--json").text)
        assert first == expected | {"fetched": True}
        assert again == expected | {"fetched": False}

    def test_the_built_in_network_is_here(self, here, store, server):
        assert here("models", "pull", "vgg16-mini").text == f"{BUILT_IN}\n"
        assert server.asked == []

    @pytest.mark.parametrize(
        "path", ["missing", "page", "pointer", "wrong-bytes", "loops", "short"]
    )
    def test_a_bad_one_is_one_line_and_eight(self, fails, store, net, path):
        net(path)
        err = fails(8, "models", "pull", "net")
        assert err.startswith("cnntool: error: net: 127.0.0.1:")
        assert left(store) == ["net.toml"]

    def test_the_deadline(self, fails, store, net):
        net("drips")
        start = time.monotonic()
        assert "(--timeout)" in fails(8, "models", "pull", "net", "--timeout", "0.3")
        assert time.monotonic() - start < 7

    def test_several(self, here, store, net):
        net("missing", name="bad")
        net("good", name="net")
        done = here("models", "pull", "bad", "net", "net", code=8)
        assert done.text == f"{store / 'net.onnx'}\n"
        assert done.err.count("\n") == 1

    def test_all_names_are_looked_up_first(self, fails, store, net, server):
        net("good")
        assert "no model is called 'nte'" in fails(4, "models", "pull", "net", "nte")
        assert server.asked == []

    @pytest.mark.parametrize("how", ["option", "environment", "file"])
    def test_offline(self, *, fails, here, net, server, how, monkeypatch, tmp_path):
        net("good")
        if how == "environment":
            monkeypatch.setenv("CNNTOOL_OFFLINE", "1")
        if how == "file":
            (tmp_path / "config" / "cnntool").mkdir(parents=True)
            (tmp_path / "config" / "cnntool" / "config.toml").write_text("offline = true\n")
        arguments = ["--offline"] if how == "option" else []
        err = fails(8, "models", "pull", "net", *arguments)
        assert "is not here, and the tool is to stay offline" in err
        assert server.asked == []
        if how == "file":
            monkeypatch.setenv("CNNTOOL_OFFLINE", "0")  # comes before the file
            here("models", "pull", "net")

    @pytest.mark.parametrize(
        "arguments", [[], ["--timeout", "0", "net"], ["--timeout", "x", "net"]]
    )
    def test_what_makes_no_sense(self, fails, store, arguments):
        fails(2, "models", "pull", *arguments)

    def test_ctrl_c_leaves_nothing(self, store, net):
        net("slow")
        with subprocess.Popen(
            [sys.executable, "-m", "cnntool", "models", "pull", "net"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as running:  # fmt: skip
            while not any("+" in name for name in left(store)):
                time.sleep(0.01)
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=20)
        assert (running.returncode, out) == (130, b"")
        assert err == b"cnntool: error: interrupted\n"
        assert left(store) == ["net.toml"]

    @pytest.mark.full
    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
    def test_a_disk_that_gets_full(self, store, net):
        net("good", "good")
        code = (
            "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000));"
            "from cnntool.cli.main import run; raise SystemExit(run(['models', 'pull', 'net']))"
        )
        done = subprocess.run(
            [sys.executable, "-B", "-c", code], capture_output=True, text=True, check=False
        )
        assert done.returncode == 6
        assert done.stderr == f"cnntool: error: {store}: file too large\n"
        assert left(store) == ["net.toml"]

    def test_a_bar_on_a_terminal(self, monkeypatch, store, net, here):
        from cnntool.cli import console

        monkeypatch.setattr(console.sys.stderr, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(console.Progress, "DELAY", 60.0)
        net("missing", "good")
        assert "MB" not in here("models", "pull", "net").err, "not within the first moment"
        (store / "net.onnx").unlink()
        monkeypatch.setattr(console.Progress, "DELAY", 0.0)
        monkeypatch.setattr(console, "_said", set())
        err = here("models", "pull", "net").err
        assert re.search(r"net  \[[#-]{20}\]  [\d.]+ of 0\.1 MB, [\d.]+ MB/s  0:0\d\r\x1b\[K", err)
        assert err.startswith("cnntool: note: net: ")
        assert err.endswith("\r\x1b[K")


def test_no_other_command_goes_to_the_network(store, net, server, here):
    net("good")
    for arguments in (["list"], ["info", "net"], ["path", "net"], ["verify"]):
        here("models", *arguments, code=4 if arguments[0] == "path" else 0)
    assert server.asked == []


class TestAdd:
    def test_a_bare_file(self, here, store, tmp_path):
        shutil.copy(BUILT_IN, tmp_path / "Mine.onnx")
        done = here("models", "add", "Mine.onnx")
        assert done.text == f"{store / 'mine.toml'}\n"
        assert done.err.startswith("cnntool: note: mine: assumed ")
        assert left(store) == ["mine.onnx", "mine.toml"]
        assert here("models", "path", "mine").text == f"{store / 'mine.onnx'}\n"
        content = BUILT_IN.read_bytes()
        record = json.loads(here("models", "info", "mine", "--json").text)
        assert record["sha256"] == hashlib.sha256(content).hexdigest()
        assert record["size"] == len(content)
        assert record["state"] == "added"
        assert record["output"]["kind"] == "probabilities"

    def test_with_what_the_user_says(self, here, store, tmp_path):
        (tmp_path / "l.txt").write_text("".join(f"class {n}\n" for n in range(53)))
        here("models", "add", BUILT_IN, "--name", "other", "--labels", "l.txt",
             "--preprocess", "caffe", "--resize", "96", "--crop", "64", "--link")  # fmt: skip
        spec = read_manifest(store / "other.toml")
        assert spec.labels.names[11] == "class 11"
        assert spec.input.channel_order == "BGR"
        assert spec.input.crop == (64, 64)
        assert (store / "other.onnx").is_symlink()

    def test_what_comes_out_can_be_said(self, here, store, tmp_path):
        picture_net(tmp_path / "made.onnx")
        here("models", "add", "made.onnx", "--white", "2")
        assert read_manifest(store / "made.toml").output.white == 2
        picture_net(tmp_path / "tanh.onnx", last=["Tanh"])
        here("models", "add", "tanh.onnx")
        spec = read_manifest(store / "tanh.toml")
        assert (spec.output.black, spec.output.white, spec.input.mean) == (-1, 1, (0.5, 0.5, 0.5))
        assert "white is 1, black is -1" in here("models", "info", "tanh").text
        values = np.zeros((1, 9, 4), np.float32)
        several(tmp_path / "boxes.onnx", [("boxes", values), ("scores", values[..., 0])])
        here("models", "add", "boxes.onnx", "--output-name", "boxes")
        assert read_manifest(store / "boxes.toml").output.kind == "other"

    def test_the_manifest_beside_is_taken_over(self, here, store, tmp_path):
        shutil.copy(BUILT_IN, tmp_path)
        shutil.copy(MODELS / "vgg16-mini.toml", tmp_path)
        done = here("models", "add", "vgg16-mini.onnx", "--name", "copy")
        assert done.err == ""
        spec = read_manifest(store / "copy.toml")
        original = read_manifest(MODELS / "vgg16-mini.toml")
        assert spec._replace(name=original.name, file=original.file, manifest=None) == (
            original._replace(manifest=None)
        )

    def test_what_cannot_be_added(self, fails, store, tmp_path):
        (tmp_path / "text.onnx").write_text("no network")
        fails(4, "models", "add", "text.onnx")
        fails(4, "models", "add", "absent.onnx")
        fails(4, "models", "add", "store")
        assert "is the name of a model that the tool knows" in fails(2, "models", "add", BUILT_IN)
        fails(2, "models", "add", BUILT_IN, "--name", "A b")
        assert left(store) == []


class TestVerify:
    def test_all_that_are_here(self, here, store, net):
        net("good", name="absent")
        net("good")
        (store / "net.onnx").write_bytes(CONTENT)
        assert here("models", "verify").text == "net\tgood\nvgg16-mini\tgood\n"

    def test_a_bad_one(self, here, store, net):
        net("good")
        (store / "net.onnx").write_bytes(CONTENT[:-1] + b"?")
        done = here("models", "verify", code=8)
        assert done.text == "vgg16-mini\tgood\n"
        assert f"error: {store / 'net.onnx'}: has the sha256 " in done.err
        assert "hint: cnntool models pull net" in done.err
        record = json.loads(here("models", "verify", "net", "--json", code=8).text)
        assert record["good"] is False
        assert record["reason"].startswith("has the sha256 ")

    def test_one_that_is_not_here(self, fails, store):
        assert "vgg16: is not here yet" in fails(4, "models", "verify", "vgg16")


class TestRemove:
    def test_what_was_fetched_and_what_was_added(self, here, store):
        (store / "vgg16.onnx").write_bytes(b"any")
        here("models", "add", BUILT_IN, "--name", "mine")
        done = here("models", "remove", "vgg16", "mine")
        assert done.text == (
            f"{store / 'vgg16.onnx'}\n{store / 'mine.onnx'}\n{store / 'mine.toml'}\n"
        )
        assert left(store) == []

    def test_the_built_in_one_stays(self, fails, store):
        assert "ships with the tool and stays" in fails(2, "models", "remove", "vgg16-mini")
        assert BUILT_IN.exists()

    def test_one_that_is_not_here(self, fails, store):
        assert "vgg16: is not here" in fails(4, "models", "remove", "vgg16")


def test_path_of_one_that_is_not_here(fails, store):
    err = fails(4, "models", "path", "vgg16")
    assert err == (
        "cnntool: error: vgg16: is not here yet\ncnntool: hint: cnntool models pull vgg16\n"
    )


def test_help_loads_click_alone():
    code = (
        "import sys; from cnntool.cli.commands import models;"
        "print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "onnxruntime", "filelock", "requests", "rich", "PIL", "tomllib"}
    heavy.add("platformdirs")
    assert not set(done.stdout.split()) & heavy
