"""Times of layers: how many kernels can be named, and whether the layers add up to a run.

    python bench/profile.py NETWORK... [--size HxW] [--threads 1 2] > table.md

**Named**: onnxruntime's own trace of the file as it is; a kernel counts if it has the name of a
node of the file. Beside it, ``net.profile()``: the kernels that were put down to a layer or an
operator of the file, and those that were recognised as inserted conversions; what is left is not
known.

**Sum**: the layers of ``net.profile()`` over a run without the profiler; the runs take turns. On a
busy machine this says little: medians of layers leave out what interrupts them, medians of runs do
not. So beside it, of as many runs more: the kernels of a run over a bare run, medians of both, and
the fastest of both.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime

import cnntool
from cnntool.errors import CnntoolError
from cnntool.nets.inference.profile import measure


def own_names(net: cnntool.Model, feeds: dict[str, Any]) -> tuple[int, int]:
    """Return how many kernels onnxruntime runs, and how many have a name of the file."""
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = f"{folder}/trace"
        options.log_severity_level = 3
        file, providers = str(net.found.file), ["CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(file, options, providers=providers)
        session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text())
    names = {node.name for node in net.graph.nodes if node.name}
    end = "_kernel_time"
    kernels = [event["name"] for event in events if event["name"].endswith(end)]
    return len(kernels), sum(name.removesuffix(end) in names for name in kernels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="+", metavar="NETWORK")
    parser.add_argument("--size", default="", help="rows and columns of the picture")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--runs", type=int)
    chosen = parser.parse_args()
    size = [int(side) for side in chosen.size.split("x")] if chosen.size else []
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors\n")
    heads = ["network", "threads", "kernels", "named by onnxruntime", "of the file", "inserted"]
    heads += [
        "unknown",
        "bare ms",
        "layers / bare",
        "kernels of a run / bare",
        "of the fastest run",
    ]
    print("|", " | ".join(heads), f"|\n|---|{'---:|' * (len(heads) - 1)}")
    for name in chosen.networks:
        for threads in chosen.threads:
            with cnntool.load_model(name, device="cpu", threads=threads) as net:
                try:
                    found = net.profile(size=size, runs=chosen.runs)
                except CnntoolError as error:
                    print(f"| {Path(name).stem} | {error} |")
                    continue
                types = {info.name: info.dtype for info in net.graph.inputs}
                feeds = {name: np.ones(at, types[name]) for name, at in found.input.items()}
                count, named = own_names(net, feeds)
                again = measure(net.graph, feeds, net.settings, name=name, runs=found.runs)
            rows = found.layers
            parts = {"file": 0, "inserted": 0, "unknown": 0}
            for row in rows:
                number = sum(int(k.split()[0]) if " " in k else 1 for k in row.kernels)
                inserted = "inserted" if row.tensor else "unknown"
                parts[inserted if row.layer.startswith("inserted: ") else "file"] += number
            assert sum(parts.values()) == count, (parts, count)
            cells = [
                Path(name).stem, threads, count, named, *parts.values(), f"{found.bare:.2f}",
                f"{found.total / found.bare:.3f}",
                f"{median(again.summed) / median(again.bare):.3f}",
                f"{min(again.summed) / min(again.bare):.3f}",
            ]  # fmt: skip
            print("|", " | ".join(map(str, cells)), "|", flush=True)


if __name__ == "__main__":
    main()
