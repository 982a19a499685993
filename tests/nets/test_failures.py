"""One line of what others print in many."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntool.nets.failures import ended, explain, is_memory, needed, overheard

RESHAPE = (
    "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Reshape node. "
    "Name:'' Status Message: /onnxruntime_src/onnxruntime/core/providers/cpu/reshape_helper.h:91 "
    "onnxruntime::ReshapeHelper::ReshapeHelper(const onnxruntime::TensorShape&, "
    "onnxruntime::TensorShapeVector&, bool) The input cannot be reshaped.\n"
)
ARENA = (
    "/onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:360 void* onnxruntime::BFCArena::"
    "AllocateRawInternal(size_t, bool, onnxruntime::Stream*) Failed to allocate memory for "
    "requested buffer of size 100000000000\n"
)
INITIALIZER = (
    "Exception during initialization: /onnxruntime_src/onnxruntime/core/optimizer/initializer.cc:51"
    " onnxruntime::Initializer::Initializer(const onnx::TensorProto&, const std::filesystem::"
    "__cxx11::path&) [ONNXRuntimeError] : 1 : FAIL : tensorprotoutils.cc:1876 "
    "GetExtDataFromTensorProto External initializer: w is out of bounds.\n"
)
NO_CUDA = """\
Failed to load libcublasLt.so.13: libcublasLt.so.13: cannot open shared object file: No such file
Please follow https://onnxruntime.ai/docs/install/#cuda-and-cudnn to install CUDA.
\x1b[0;93m2026-11-20 22:57:50.227039448 [W:onnxruntime:Default, a.cc:856 operator()] No device\x1b[m
\x1b[1;31m2026-11-20 22:57:50.239126974 [E:onnxruntime:Default, provider_bridge_ort.cc:2458 \
operator()] /onnxruntime_src/onnxruntime/core/session/provider_bridge_ort.cc:2043 \
onnxruntime::Provider& onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : Failed \
to load library /x/libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open \
shared object file: No such file or directory
\x1b[m
\x1b[0;93m2026-11-20 22:57:50.239160203 [W:onnxruntime:Default, onnxruntime_pybind_state.cc:1295 \
f] Failed to create CUDAExecutionProvider. Require cuDNN 9.* and CUDA 13.*. Please install\x1b[m
"""
NO_FILE = (
    "[ONNXRuntimeError] : 3 : NO_SUCHFILE : Load model from /a b/x.onnx failed:Load model "
    "/a b/x.onnx failed. File doesn't exist"
)
OLD_DRIVER = (
    "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:121 std::conditional_t<THRW, "
    "void, onnxruntime::common::Status> onnxruntime::CudaCall(ERRTYPE, const char*) "
    "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=-1 ; "
    "hostname=x ; file=/y.cc ; line=280 ; expr=cudaSetDevice(info_.device_id);"
)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (RESHAPE, "in Reshape: The input cannot be reshaped."),
        (INITIALIZER, "External initializer: w is out of bounds."),
        (OLD_DRIVER, "CUDA driver version is insufficient for CUDA runtime version"),
        (NO_FILE, "no such file"),
        ("'utf-8' codec can't decode byte 0xff in position 0", "it has names that are not UTF-8"),
        ("", "it cannot be used"),
        ("plain\n words", "plain words"),
    ],
)
def test_the_gist_of_an_error(text, line):
    assert explain(text) == line


@given(st.text())
def test_any_text_becomes_one_short_line(text):
    line = explain(text)
    assert line
    assert len(line.splitlines()) == 1
    assert len(line) <= 300


@given(st.sampled_from([RESHAPE, ARENA, INITIALIZER, NO_CUDA, OLD_DRIVER]), st.data())
def test_a_text_that_is_cut_short_still_makes_a_line(text, data):
    assert explain(text[: data.draw(st.integers(0, len(text)))])
    overheard(text[data.draw(st.integers(0, len(text))) :])


def test_memory():
    assert is_memory(ARENA)
    assert needed(ARENA) == 100_000_000_000
    assert is_memory("std::bad_alloc")
    assert needed("std::bad_alloc") is None
    assert not is_memory(RESHAPE)


@pytest.mark.parametrize(
    ("chatter", "raised", "line"),
    [
        (NO_CUDA, "", "libcublasLt.so.13 is missing"),
        (NO_CUDA, "Please install TensorRT", "libcublasLt.so.13 is missing"),
        ("first\nlast\n\x1b[m\n---\n", "", "last"),
        ("first\nlast\n", "raised", "raised"),
        ("", "", ""),
        ("\n--\n", "", ""),
    ],
)
def test_what_was_overheard(chatter, raised, line):
    assert overheard(chatter, raised) == line


def test_how_a_process_ended():
    assert ended(-11) == "it crashed the runtime (signal 11, SIGSEGV)"
    assert ended(-60) == "it crashed the runtime (signal 60, unknown)"
    assert ended(1) == "it ended the runtime (exit code 1)"
