"""The opened network from Python: the commands' answers, and a good guest in its host."""

from __future__ import annotations

import gc
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small import colours, map_net, picture_net

from cnntool.api.model import load_model
from cnntool.errors import CnntoolError, InputError, ModelError, UsageError

pytest.importorskip("onnxruntime")
CAT = Path(__file__).parents[2] / "samples" / "cat.png"


@pytest.fixture(scope="module")
def net():
    with load_model() as model:
        yield model


def record(here, *arguments):
    (line,) = here(*arguments, "--json").text.splitlines()
    return json.loads(line)


def processes(model) -> list[int]:
    return [session._child._process.pid for session in model._pool._sessions.values()]


def is_gone(pid: int) -> bool:
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_classes_are_those_of_the_command(here, net):
    told = record(here, "classify", CAT, "--top", "3")["predictions"]
    found = net.classify(CAT, top=3)
    assert [
        {"rank": rank, **one._asdict(), "wordnet": one.wordnet or None}
        for rank, one in enumerate(found, 1)
    ] == told
    assert [one.label for one in net.classify([CAT, CAT], top=1)[1]] == ["cat"]
    assert "<td>cat</td>" in found._repr_html_()


@pytest.mark.full
def test_layers_are_those_of_the_command(here, net, tmp_path):
    here("activations", CAT, "-l", "block2_conv1", "-l", "predictions", "-o", "x.npz")
    found = net.activations(CAT, "predictions", "block2_conv1")
    with np.load(tmp_path / "x.npz") as told:
        assert list(found) == list(told) == ["block2_conv1", "predictions"]
        assert all(np.array_equal(found[name], told[name]) for name in told)
    assert (found["predictions"].ndim, found["block2_conv1"].dtype) == (1, np.float32)
    pre = net.activations(CAT, "block2_conv1", at="pre")["block2_conv1"]
    assert np.array_equal(np.maximum(pre, 0), found["block2_conv1"])
    assert len(net.activations(CAT)) > 10


@pytest.mark.full
def test_an_average_is_that_of_the_command(here, net, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    cat = Image.open(CAT)
    cat.save(folder / "a.png")
    cat.transpose(Image.Transpose.ROTATE_180).save(folder / "b.png")
    here("activations", folder, "--average", "-l", "block1_conv1", "-o", "x.npz")
    found = net.average(folder, "block1_conv1")["block1_conv1"]
    assert np.array_equal(found, np.load(tmp_path / "x.npz")["block1_conv1"])
    assert np.array_equal(
        found, net.average([folder / "a.png", folder / "b.png"], "block1_conv1")["block1_conv1"]
    )


@pytest.mark.full
def test_patches_are_those_of_the_command(here, net, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    cat = Image.open(CAT)
    cat.save(folder / "a.png")
    cat.transpose(Image.Transpose.ROTATE_180).save(folder / "b.png")
    (told,) = record(here, "activations", "photos", "--top-patches", "-l", "block2_pool")["layers"]
    found = net.top_patches(folder, "block2_pool", side=20)
    assert [
        {"map": one.map, "rank": one.rank, "value": one.value, "box": list(one.box)}
        for one in found
    ] == [{key: one[key] for key in ("map", "rank", "value", "box")} for one in told["patches"]]
    assert {Path(one.name).name for one in found} == {"a.png", "b.png"}
    assert found[0].pixels.shape == (20, 20, 3)
    with pytest.raises(InputError):
        net.top_patches([], "block2_pool")
    with pytest.raises(ModelError, match="means 3 layers, and one is wanted"):
        net.top_patches(folder, "block1_*")
    assert "<td>20 x 20 x 3</td>" in found._repr_html_()


def test_the_list_of_layers_is_that_of_the_command(here, net):
    told = [json.loads(line) for line in here("layers", "--json").text.splitlines()]
    assert json.loads(json.dumps([one._asdict() for one in net.layers()])) == told


def test_the_summary_is_that_of_the_command(here, net):
    told = record(here, "summary", "--input-size", "96x80")
    found = net.summary((96, 80))
    for name in ("parameters", "statistics", "multiply_adds", "memory"):
        assert getattr(found, name) == told[name]
    for one, line in zip(found.layers, told["layers"], strict=True):
        for name in ("number", "op", "parameters", "multiply_adds", "sees_all", "memory"):
            assert getattr(one, name) == line[name]
        assert list(one.shape) == line["shape"]
    assert found._repr_html_().count("<tr>") == len(found.layers) + 1


def test_weights_are_those_of_the_command(here, net, tmp_path):
    here("weights", "-l", "block1_conv2", "-o", "x.npy")
    assert np.array_equal(net.weights("block1_conv2"), np.load(tmp_path / "x.npy"))


@pytest.mark.full
def test_a_unit_is_that_of_the_command(here, net, tmp_path):
    told = record(here, "trace", "-l", "block1_conv2", "--unit", "3,10,20", CAT)
    found = net.trace(CAT, "block1_conv2", (3, 10, 20))
    assert json.loads(json.dumps(found.record())).items() <= told.items()
    assert found.agrees
    words = here("trace", "-q", "-l", "block1_conv2", "--unit", "3,10,20", CAT, "-o", "u.svg")
    assert words.text == ""
    assert found.figure().svg() == (tmp_path / "u.svg").read_bytes()
    words = here("trace", "-q", "-l", "block1_conv2", "--unit", "3,10,20", CAT)
    assert f"{found}\n" == words.text
    dense = record(here, "trace", "-l", "predictions", "--unit", "2", CAT)
    assert net.trace(CAT, "predictions", 2).record()["value"] == dense["value"]


def test_a_picture_is_that_of_the_command(here, tmp_path):
    picture_net(tmp_path / "net.onnx", factor=2.0)
    here("run", "-q", "-m", "net.onnx", "--preprocess", "raw", CAT, "-o", "x.png")
    with load_model(tmp_path / "net.onnx", preprocess="raw") as model:
        found = model.run(CAT)
        assert np.array_equal(found.pixels, np.asarray(Image.open(tmp_path / "x.png")))
        assert found.clipped > 0
        assert model.run(CAT, native=True).pixels.shape == (8, 8, 3)
        shown = Image.open(io.BytesIO(found._repr_png_()))
        assert np.array_equal(np.asarray(shown), found.pixels)
        with pytest.raises(ModelError, match="it gives no class scores"):
            model.classify(CAT)


@pytest.mark.full
def test_a_map_of_classes(tmp_path):
    map_net(tmp_path / "net.onnx")
    with load_model(tmp_path / "net.onnx", preprocess="unit") as model:
        found = model.run(np.zeros((8, 8, 3), np.uint8))
        assert found.classes.shape == found.pixels.shape[:2]


@pytest.mark.full
def test_evaluation_is_that_of_the_command(here, net, tmp_path):
    for name in ("cat", "other"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.open(CAT).save(tmp_path / "photos" / name / "x.png")
    told = record(here, "evaluate", "photos")
    found = net.evaluate(tmp_path / "photos")
    assert (
        (found.total.pictures, found.total.accuracy1)
        == (told["pictures"], told["top1"])
        == (2, 0.5)
    )
    assert [label for label, _ in found.classes] == [one["label"] for one in told["classes"]]
    assert found.rest._asdict() == told["rest"]
    assert found.confusion.tolist() == [[1, 0], [1, 0]]
    assert found.labels == ("cat", "something else")
    with pytest.raises(InputError):
        net.evaluate(tmp_path / "missing")


def test_pictures_come_in_every_form(here, net, tmp_path):
    whole = CAT.read_bytes()
    pixels = np.asarray(Image.open(CAT))
    answers = net.classify(
        [CAT, str(CAT), whole, io.BytesIO(whole), Image.open(CAT), pixels,
         pixels.astype(np.uint16) * 257, pixels / np.float32(255)]
    )  # fmt: skip
    Image.open(CAT).save(tmp_path / "cat.jpg")
    told = record(here, "classify", "cat.jpg")["predictions"][0]["probability"]
    assert net.classify(tmp_path / "cat.jpg")[0].probability == told
    expected = [one.probability for one in answers[0]]
    for answer in answers[1:]:
        assert [one.probability for one in answer] == pytest.approx(expected, abs=1e-3)
    assert answers[5] == answers[0]


@pytest.mark.parametrize(
    "call",
    [
        lambda net: net.classify(3),
        lambda net: net.classify(None),
        lambda net: net.classify(CAT, top="3"),
        lambda net: net.classify([CAT, object()]),
        lambda net: net.activations(CAT, 4),
        lambda net: net.activations(CAT, at=None),
        lambda net: net.weights(1),
        lambda net: net.summary("224x224"),
        lambda net: net.trace(CAT, "predictions", "3"),
        lambda net: net.trace(CAT, None, 3),
        lambda net: net.run(CAT, native=2),
        lambda net: net.evaluate(3),
        lambda _: load_model(3),
        lambda _: load_model(device=0),
        lambda _: load_model(threads="4"),
        lambda _: load_model(mean="0.5"),
        lambda _: load_model(labels=7),
        lambda _: load_model(output_name=1),
    ],
)
def test_a_wrong_type_is_a_type_error_of_the_tree(net, call):
    with pytest.raises(TypeError, match="expected") as caught:
        call(net)
    assert isinstance(caught.value, UsageError)


@pytest.mark.parametrize(
    "call",
    [
        lambda net: net.classify(CAT, top=0),
        lambda net: net.activations(CAT, at="middle"),
        lambda net: net.trace(CAT, "block1_conv1", (999, 0, 0)),
        lambda net: net.trace(CAT, "block1_conv1", (0, 0)),
        lambda net: net.trace(CAT, "block1_conv1", (-1, 0, 0)),
        lambda _: load_model(device="toaster"),
        lambda _: load_model(preprocess="x"),
        lambda _: load_model(threads=0),
        lambda _: load_model(timeout=0),
        lambda _: load_model(timeout=float("nan")),
        lambda _: load_model(mean=(1, 2)),
        lambda _: load_model(deviation=0),
        lambda _: load_model(white=-1),
        lambda _: load_model(crop=0),
        lambda _: load_model(max_memory=1),
    ],
)
def test_a_wrong_value_is_a_value_error_of_the_tree(net, call):
    with pytest.raises(ValueError, match=r".") as caught:
        call(net)
    assert isinstance(caught.value, UsageError)


def test_unknown_names_are_model_errors(net, tmp_path):
    with pytest.raises(ModelError, match="no model is called"):
        load_model("vgg17")
    with pytest.raises(ModelError, match="no such file"):
        load_model(tmp_path / "x.onnx")
    with pytest.raises(ModelError, match="no layer is called"):
        net.activations(CAT, "block9")
    with pytest.raises(ModelError, match="has no kernel"):
        net.weights("block1_pool")


def test_what_was_assumed_is_data(tmp_path):
    colours(tmp_path / "net.onnx")
    with load_model(tmp_path / "net.onnx") as model:
        assert any("preprocess" in text for text in model.assumed)
    told: list[str] = []
    with load_model(notes=told.append) as model:
        assert model.assumed == ()
        model.weights("conv:1")
        assert told == model.notes == ["conv:1 -> block1_conv1 (conv 1, before ReLU)"]
        assert model.placement.granted


@pytest.mark.full
def test_two_at_once_and_several_threads(net):
    expected = net.classify(CAT)
    with load_model() as other, ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(model.classify if turn % 2 else model.activations, CAT)
            for turn in range(4)
            for model in (net, other)
        ]
        answers = [job.result() for job in jobs]
    assert answers[2] == answers[3] == answers[6] == answers[7] == expected
    assert set(answers[0]) == set(answers[1])


@pytest.mark.full
def test_a_network_that_ran_out_of_time_runs_again(net):
    with load_model(timeout=1e-3) as model:
        with pytest.raises(ModelError, match="did not open within"):
            model.classify(CAT)
        model.settings = net.settings
        assert model.classify(CAT) == net.classify(CAT)


def test_an_error_between_pictures_leaves_no_answer_behind(net):
    expected = net.classify(CAT)
    with pytest.raises(InputError):
        net.classify([CAT, CAT, CAT, "missing.png"])
    assert net.classify(CAT) == expected


def test_closing_ends_the_process():
    with load_model() as model:
        model.classify(CAT)
        pids = processes(model)
    assert pids
    assert all(map(is_gone, pids))
    with pytest.raises(UsageError, match="the model is closed"):
        model.classify(CAT)
    model.close()


@pytest.mark.full
@pytest.mark.parametrize("in_a_cycle", [False, True])
def test_a_forgotten_model_ends_its_process(in_a_cycle):
    model = load_model()
    model.classify(CAT)
    if in_a_cycle:
        model.itself = model
    pids = processes(model)
    assert pids
    del model
    gc.collect()
    assert all(map(is_gone, pids))


def test_a_copy_opens_a_process_of_its_own(net):
    expected = net.classify(CAT)
    with pickle.loads(pickle.dumps(net)) as copy:
        assert copy.classify(CAT) == expected
        assert not {*processes(copy)} & {*processes(net)}


@pytest.mark.full
def test_few_parts_stay_open(net):
    for number in range(1, 7):
        net.activations(CAT, f"conv:{number}")
    assert len(processes(net)) == 3


def test_nothing_is_printed_and_no_handler_changed(net, capfd):
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    timers = signal.getitimer(signal.ITIMER_REAL)
    with load_model() as model:
        model.classify(CAT)
        model.activations(CAT, "predictions")
        model.summary()
        with pytest.raises(CnntoolError):
            model.weights("nothing")
        now = {number: signal.getsignal(number) for number in signal.valid_signals()}
    assert now == handlers
    assert signal.getitimer(signal.ITIMER_REAL) == timers == (0.0, 0.0)
    assert tuple(capfd.readouterr()) == ("", "")


SPAWN = """
import multiprocessing, sys
from cnntool.api.model import load_model

def ask(path):
    with load_model() as model:
        return model.classify(path)[0].label

if __name__ == "__main__":
    net = load_model()
    net.classify(sys.argv[1])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(ask, [sys.argv[1]]))
    print(net._pool._sessions.popitem()[1]._child._process.pid)
"""


@pytest.mark.full
def test_spawned_processes_and_the_end_of_the_interpreter(tmp_path):
    (tmp_path / "work.py").write_text(SPAWN)
    done = subprocess.run(
        [sys.executable, "-X", "dev", "work.py", CAT],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    label, pid = done.stdout.splitlines()
    assert (label, done.stderr, done.returncode) == ("['cat']", "", 0)
    assert is_gone(int(pid))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.full
def test_a_fork_leaves_the_parents_process_alone(net):
    expected = net.classify(CAT)
    pid = os.fork()
    if not pid:
        net.close()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert net.classify(CAT) == expected
