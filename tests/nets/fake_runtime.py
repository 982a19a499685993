"""A stand-in for onnxruntime in the worker: it has what providers a test wants, and talks a lot.

It is copied into a folder of PYTHONPATH under the name ``onnxruntime.py``. The environment says

- ``FAKE_HAS``: the providers that it was built with,
- ``FAKE_FALLS``: those that fall back to the CPU after printing why,
- ``FAKE_RAISES``: those that raise; ``CPUExecutionProvider`` for a network that is broken,
- ``FAKE_INPUTS``: the names of its inputs,
- ``FAKE_RUN``: how a run goes: ``segv``, ``kill``, ``exit``, ``abort``, ``loud``, ``text`` or
  ``wrong``.
"""

import os
import signal
import sys

import numpy as np

CPU = "CPUExecutionProvider"
__version__ = "9.9.9"


def _listed(name):
    return os.environ.get(name, "").split()


def _noise(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    os.write(1, b"native chatter on stdout\n")


_noise("import chatter")


def get_available_providers():
    return [*_listed("FAKE_HAS"), CPU]


def preload_dlls():
    _noise("preloaded")


class GraphOptimizationLevel:
    ORT_DISABLE_ALL, ORT_ENABLE_BASIC, ORT_ENABLE_ALL = "none", "basic", "all"


class SessionOptions:
    graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_ALL
    intra_op_num_threads = inter_op_num_threads = log_severity_level = 0
    enable_mem_pattern = True

    def __init__(self):
        self.entries = {}

    def add_session_config_entry(self, key, value):
        self.entries[key] = value


class Tensor:
    def __init__(self, name):
        self.name, self.type, self.shape = name, "tensor(float)", []


class InferenceSession:
    def __init__(self, model, options, *, providers, enable_fallback):
        assert enable_fallback == 0
        self._providers = [name for name, _ in providers]
        first = self._providers[0]
        _noise(f"session {providers} threads={options.intra_op_num_threads}")
        _noise(f"level={options.graph_optimization_level} pattern={options.enable_mem_pattern}")
        if first in _listed("FAKE_RAISES"):
            raise RuntimeError(f"[ONNXRuntimeError] : 1 : FAIL : {first} has a cold")
        if first in _listed("FAKE_FALLS"):
            stamp = "\x1b[1;31m2026-11-20 22:57:50.239126974 [E:onnxruntime:Default, a.cc:2458 f()]"
            sys.stderr.write(f"{stamp} {first} is asleep\n\x1b[m\n")
            sys.stderr.flush()
            self._providers = [CPU]

    def get_providers(self):
        return self._providers

    def get_inputs(self):
        return [Tensor(name) for name in _listed("FAKE_INPUTS") or ["x"]]

    def get_outputs(self):
        return [Tensor("y")]

    def run(self, outputs, feeds):
        _noise("run")
        how = os.environ.get("FAKE_RUN")
        if how == "segv":
            os.write(2, b"about to fall\n")
            os.kill(os.getpid(), signal.SIGSEGV)
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "exit":
            os.write(2, b"enough of this\n")
            os._exit(3)
        if how == "abort":
            os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
            os.abort()
        if how == "loud":
            os.write(2, b"word " * 100_000)
            os.write(1, b"the last words\n")
        if how == "text":
            return [np.array(["a"], dtype=object)]
        if how == "wrong" or "x" in feeds:
            return [2 * next(iter(feeds.values()))]
        return [feeds["picture"][:, :, 1:-1, 1:-1]]  # what the trial network would give
