"""Devices: what words mean, what is tried, and that nobody gets another device unawares."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntool.errors import CnntoolError, DeviceError, ModelError, UsageError
from cnntool.nets.file.subgraph import Skeleton
from cnntool.nets.runtime import providers
from cnntool.nets.runtime.providers import AUTO, PROVIDERS, SessionSettings, attempts, wheels
from cnntool.nets.runtime.session import Session

CUDA, TENSORRT, ROCM = "CUDAExecutionProvider", "TensorrtExecutionProvider", "ROCMExecutionProvider"
DIRECTML, COREML = "DmlExecutionProvider", "CoreMLExecutionProvider"
CPU = "CPUExecutionProvider"
FEEDS = {"x": np.ones(3, "f4")}


def opened(device: str) -> Session:
    return Session(Skeleton(b"", Path()), SessionSettings(device=device), name="net.onnx")


def error_of(device: str) -> CnntoolError:
    with opened(device) as session, pytest.raises(CnntoolError) as caught:
        _ = session.placement
    assert "\n" not in caught.value.message
    return caught.value


@pytest.fixture
def runtime(fake_runtime, monkeypatch):
    """Say what the stand-in for onnxruntime has, and what becomes of it."""
    monkeypatch.setattr(providers, "wheels", list)

    def say(has: str = "", falls: str = "", raises: str = "") -> None:
        monkeypatch.setenv("FAKE_HAS", has)
        monkeypatch.setenv("FAKE_FALLS", falls)
        monkeypatch.setenv("FAKE_RAISES", raises)

    say()
    return say


# ------------------------------------------------------------------ words


@pytest.mark.parametrize(
    ("device", "granted", "chain"),
    [
        ("cpu", "cpu", [(CPU, {})]),
        ("cuda", "cuda:0", [(CUDA, {"device_id": "0"}), (CPU, {})]),
        ("CUDA:1", "cuda:1", [(CUDA, {"device_id": "1"}), (CPU, {})]),
        ("tensorrt:2", "tensorrt:2",
         [(TENSORRT, {"device_id": "2"}), (CUDA, {"device_id": "2"}), (CPU, {})]),
        ("coreml", "coreml", [(COREML, {}), (CPU, {})]),
    ],
)  # fmt: skip
def test_a_word_names_one_device(device, granted, chain):
    assert attempts(device) == [(granted, chain)]


def test_auto_ends_with_the_cpu_and_compiles_nothing_first():
    words = [attempt.device.partition(":")[0] for attempt in attempts(AUTO)]
    assert words == ["cuda", "rocm", "migraphx", "directml", "openvino", "cpu"]


@pytest.mark.parametrize(
    ("device", "message", "hint"),
    [
        ("cuad", "no device is called 'cuad'", "nearest: cuda, cpu, auto"),
        ("gpu:0", "no device is called 'gpu:0'", "say which: cuda, "),
        ("auto:1", "no device is called 'auto:1'", "nearest: auto, "),
        ("", "no device is called ''", "nearest: "),
        ("cpu:1", "cpu takes no number", "`device=cpu`"),
        ("openvino:", "openvino takes no number", "`device=openvino`"),
        ("cuda:", "'cuda:' has no device number after the colon", "cuda:0"),
        ("cuda:x", "'cuda:x' has no device number after the colon", "cuda:0"),
        ("cuda:-1", "'cuda:-1' has no device number after the colon", "cuda:0"),
        ("cuda:\N{SUPERSCRIPT TWO}", "has no device number after the colon", "cuda:0"),
    ],
)
def test_words_that_name_none(device, message, hint):
    with pytest.raises(UsageError) as caught:
        attempts(device)
    assert message in caught.value.message
    assert caught.value.hint.startswith(hint)


@given(st.text() | st.builds("{}:{}".format, st.sampled_from([AUTO, *PROVIDERS]), st.text()))
def test_any_text_is_a_device_or_an_error_of_usage(text):
    try:
        found = attempts(text)
    except UsageError:
        return
    assert found[-1].providers[-1] == (CPU, {})


def test_every_row_says_what_to_do():
    assert len({row.provider for row in PROVIDERS.values()}) == len(PROVIDERS)
    for row in PROVIDERS.values():
        assert row.hint
        assert set(row.beneath) <= set(PROVIDERS)


# ------------------------------------------------------------------ what one gets


def test_what_was_asked_for_is_granted(runtime):
    runtime(has=f"{CUDA} {TENSORRT}")
    with opened("cuda:3") as session:
        assert session.placement == ("cuda:3", "cuda:3", CUDA, "")
        assert session.run(FEEDS)[0].tolist() == [2, 2, 2]
        assert f"session [('{CUDA}', {{'device_id': '3'}}), ('{CPU}', {{}})]" in session.chatter
        assert session.runtime == ("9.9.9", (CUDA, TENSORRT, CPU))


def test_a_device_that_onnxruntime_was_built_without(runtime):
    error = error_of("rocm")
    assert isinstance(error, DeviceError)
    assert str(error) == "rocm: not in the installed onnxruntime (no ROCMExecutionProvider)"
    assert (error.hint, error.exit_code) == (PROVIDERS["rocm"].hint, 5)


def test_a_device_that_falls_back_is_an_error(runtime):
    runtime(has=CUDA, falls=CUDA)
    error = error_of("cuda")
    assert isinstance(error, DeviceError)
    assert str(error) == f"cuda:0: does not start: {CUDA} is asleep"
    assert "cnntool[gpu]" in error.hint


def test_a_device_that_raises(runtime):
    runtime(has=CUDA, raises=CUDA)
    error = error_of("cuda")
    assert isinstance(error, DeviceError)
    assert error.message == f"does not start: {CUDA} has a cold"


def test_a_network_that_is_broken_is_not_blamed_on_the_device(runtime):
    runtime(has=CUDA, raises=f"{CUDA} {CPU}")
    for device in ("cuda", "auto", "cpu"):
        error = error_of(device)
        assert isinstance(error, ModelError)
        assert str(error) == f"net.onnx: {CPU} has a cold"


def test_auto_takes_the_best_and_says_nothing(runtime):
    runtime(has=f"{TENSORRT} {ROCM} {CUDA} {COREML}")
    with opened(AUTO) as session:
        assert session.placement == (AUTO, "cuda:0", CUDA, "")


def test_auto_without_anything_better_is_the_cpu_and_says_nothing(runtime):
    runtime(has=f"{TENSORRT} {COREML} AzureExecutionProvider")
    with opened(AUTO) as session:
        assert session.placement == (AUTO, "cpu", CPU, "")
        assert session.chatter.count("session [") == 1


ASLEEP = {word: f"{word}:0 does not start: {PROVIDERS[word].provider} is asleep; using "
          for word in ("cuda", "rocm")}  # fmt: skip
COLD = {word: text.replace("is asleep", "has a cold") for word, text in ASLEEP.items()}


def first(text: str) -> str:
    return text.removesuffix("using ")


@pytest.mark.parametrize(
    ("falls", "raises", "note", "sessions"),
    [
        (CUDA, "", ASLEEP["cuda"] + "rocm:0", 2),
        (f"{CUDA} {ROCM}", "", first(ASLEEP["cuda"]) + ASLEEP["rocm"] + "cpu", 2),
        (CUDA, ROCM, first(ASLEEP["cuda"]) + COLD["rocm"] + "cpu", 2),
        ("", f"{CUDA} {ROCM}", first(COLD["cuda"]) + COLD["rocm"] + "cpu", 3),
    ],
)
def test_auto_falls_back_and_says_why(runtime, falls, raises, note, sessions):
    runtime(has=f"{CUDA} {ROCM}", falls=falls, raises=raises)
    with opened(AUTO) as session:
        placement = session.placement
        assert placement.note == note
        assert note.endswith(f"using {placement.granted}")
        assert session.run(FEEDS)[0].tolist() == [2, 2, 2]
        # A session that fell back to the CPU is kept: it has been built already.
        assert session.chatter.count("session [") == sessions


@pytest.mark.parametrize(
    ("device", "preloads"), [("cuda", True), ("tensorrt", True), ("cpu", False), ("rocm", False)]
)
def test_the_libraries_of_cuda_are_loaded_before_its_session(runtime, device, preloads):
    runtime(has=f"{CUDA} {TENSORRT} {ROCM}")
    with opened(device) as session:
        assert session.placement.granted.startswith(device)
        assert ("preloaded" in session.chatter) == preloads
        if preloads:
            assert session.chatter.index("preloaded") < session.chatter.index("session [")


@pytest.mark.parametrize(("device", "pattern"), [("directml", False), ("cpu", True)])
def test_directml_wants_no_memory_pattern(runtime, device, pattern):
    runtime(has=DIRECTML)
    with opened(device) as session:
        assert session.inputs
        assert f"pattern={pattern}" in session.chatter


# ------------------------------------------------------------------ installations


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise ModuleNotFoundError(name='onnxruntime')", "onnxruntime is not installed"),
        ("import nowhere.to_be.found",
         "onnxruntime cannot be imported: No module named 'nowhere'"),
        ("raise ImportError('libstdc++.so.6: cannot open shared object file: No such file')",
         "onnxruntime cannot be imported: libstdc++.so.6 is missing"),
    ],
)  # fmt: skip
def test_an_installation_that_does_not_work(fake_runtime, text, message):
    fake_runtime.write_text(text)
    error = error_of("auto")
    assert isinstance(error, DeviceError)
    assert str(error) == message
    assert error.hint == "pip install 'cnntool[cpu]' or, for NVIDIA cards, 'cnntool[gpu]'"


def install(folder: Path, name: str) -> None:
    """Make a wheel's metadata, which is what tells that it is installed."""
    place = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")


def test_wheels_that_overwrite_each_other(tmp_path, monkeypatch, fake_runtime):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert wheels() == []
    install(tmp_path, "onnxruntime-gpu")
    assert wheels() == ["onnxruntime-gpu"]
    assert error_of("cuda").hint == PROVIDERS["cuda"].hint
    install(tmp_path, "onnxruntime")
    assert wheels() == ["onnxruntime", "onnxruntime-gpu"]
    assert error_of("cuda").hint == (
        "onnxruntime and onnxruntime-gpu are installed and overwrite each other: "
        "pip uninstall onnxruntime onnxruntime-gpu, then install one"
    )


# ------------------------------------------------------------------ real ones


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu():
    model = Path(__file__).parents[3] / "models" / "vgg16-mini.onnx"
    feeds = {"input": np.random.default_rng(2).normal(size=(4, 3, 144, 144)).astype("f4")}
    with Session(model, SessionSettings(device="cpu"), name="net") as session:
        (wanted,) = session.run(feeds)
    with Session(model, SessionSettings(device="cuda"), name="net") as session:
        try:
            placement = session.placement
        except DeviceError as error:
            pytest.skip(str(error))
        assert (placement.granted, placement.provider) == ("cuda:0", CUDA)
        (found,) = session.run(feeds)
    np.testing.assert_allclose(found, wanted, atol=0.02)  # TF32 has ten bits
    assert found.argmax(1).tolist() == wanted.argmax(1).tolist()
