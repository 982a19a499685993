"""Pairs of layers found and time: ``python bench/diff.py A.onnx B.onnx PHOTO``.

Beside ``cnntool diff`` stand onnxruntime's ``qdq_loss_debug`` and Polygraphy's comparator, each as
its documentation uses it: all intermediate results of both networks, for the same input. Each runs
in a process of its own; ``$PEERS`` names a Python that has onnx, onnxruntime and polygraphy.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

ROUNDS = 5


def qdq_loss_debug(a: str, b: str, feeds: list[np.ndarray], folder: Path) -> tuple[str, int]:
    """Match activations of a float and a QDQ network, and measure their SQNR."""
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, qdq_loss_debug

    class Once(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, name: str, array: np.ndarray) -> None:
            self._feeds = iter([{name: array}])

        def get_next(self) -> dict[str, Any] | None:
            return next(self._feeds, None)

    found = []
    for place, (model, array) in enumerate(zip((a, b), feeds, strict=True)):
        tapped = str(folder / f"{place}.onnx")
        qdq_loss_debug.modify_model_output_intermediate_tensors(model, tapped)
        name = onnxruntime.InferenceSession(model).get_inputs()[0].name
        found.append(qdq_loss_debug.collect_activations(tapped, Once(name, array)))
    pairs = qdq_loss_debug.create_activation_matching(found[1], found[0])
    both = {name: values for name, values in pairs.items() if "float" in values}
    qdq_loss_debug.compute_activation_error(both)
    return onnxruntime.__version__, len(both)


def polygraphy(a: str, b: str, feeds: list[np.ndarray], _: Path) -> tuple[str, int]:
    """Run both with all tensors marked as outputs, and compare those of equal names."""
    import onnxruntime
    import polygraphy
    from polygraphy import constants
    from polygraphy.backend.onnx import BytesFromOnnx, ModifyOutputs, OnnxFromPath
    from polygraphy.backend.onnxrt import OnnxrtRunner, SessionFromOnnx
    from polygraphy.comparator import Comparator, CompareFunc
    from polygraphy.logger import G_LOGGER

    G_LOGGER.module_severity = G_LOGGER.CRITICAL
    results = []
    for model, array in zip((a, b), feeds, strict=True):
        name = onnxruntime.InferenceSession(model).get_inputs()[0].name
        marked = ModifyOutputs(OnnxFromPath(model), outputs=constants.MARK_ALL)
        runner = OnnxrtRunner(SessionFromOnnx(BytesFromOnnx(marked)))
        results.append(Comparator.run([runner], data_loader=[{name: array}]))
    first, second = results
    first.extend(second)
    found = Comparator.compare_accuracy(first, compare_func=CompareFunc.simple(check_shapes=True))
    return polygraphy.__version__, len(found.output_names())


def cnntool(a: str, b: str, photo: str) -> int:
    """Compare by the command, and count the layers that have a partner."""
    command = [sys.executable, "-m", "cnntool", "diff", "-q", a, b, photo, "--json"]
    done = subprocess.run(command, check=True, capture_output=True)
    return len(json.loads(done.stdout)["layers"]) - 1


def prepared(model: str, photo: str) -> np.ndarray:
    """Make the photo what the network takes."""
    from cnntool.api.model import load_model
    from cnntool.api.pictures import load
    from cnntool.nets.inference.preprocess import prepare

    with load_model(model) as net:
        picture = load(photo)
        return np.asarray(prepare(picture.values, picture.info, net.plan().input)[None])


def main(a: str, b: str, photo: str) -> None:
    """Print a line for each program: layers found, seconds as a whole process."""
    peers = os.environ.get("PEERS", sys.executable)
    times: dict[str, list[float]] = {}
    told: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        for place, model in enumerate((a, b)):
            np.save(Path(name, f"{place}.npy"), prepared(model, photo))
        for _ in range(ROUNDS):
            for program in ("cnntool", "qdq_loss_debug", "polygraphy"):
                start = time.perf_counter()
                if program == "cnntool":
                    told[program] = f"{cnntool(a, b, photo)} pairs"
                else:
                    command = [peers, __file__, "--peer", program, a, b, name]
                    done = subprocess.run(command, check=False, capture_output=True, text=True)
                    lines = (done.stderr if done.returncode else done.stdout).splitlines()
                    told[program] = lines[-1] if lines else f"exit {done.returncode}"
                times.setdefault(program, []).append(time.perf_counter() - start)
    for program, seconds in times.items():
        print(f"{program:16} {told[program]:32} {median(seconds):6.2f} s")


if __name__ == "__main__":
    if sys.argv[1] == "--peer":
        program, first, second, where = sys.argv[2:]
        inputs = [np.load(Path(where, f"{place}.npy")) for place in (0, 1)]
        version, pairs = globals()[program](first, second, inputs, Path(where))
        print(f"{pairs} pairs ({version})")
    else:
        main(*sys.argv[1:])
