"""Times of layers: how many kernels can be named, and whether the layers add up to a run.

    python bench/profile.py NETWORK... [--size HxW] [--threads 1 2] > table.md

**Named**: onnxruntime's own trace of the file as it is; a kernel counts if it has the name of a
node of the file. Beside it, ``net.profile()``: the kernels that were put down to a layer or an
operator of the file, and those that were recognised as inserted conversions; what is left is not
known.

**Sum**: the layers of ``net.profile()`` over a run without the profiler. The runs take turns. Of a
busy machine, the kernels of one run (median over the runs) over the same tell whether something
lies between the kernels; the layers' medians leave out what interrupts them.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

import cnntool
from cnntool.errors import CnntoolError


def own_names(net: cnntool.Model, feeds: dict[str, tuple[int, ...]]) -> tuple[int, int]:
    """Return how many kernels onnxruntime runs, and how many have a name of the file."""
    import numpy as np
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = f"{folder}/trace"
        options.log_severity_level = 3
        file, providers = str(net.found.file), ["CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(file, options, providers=providers)
        types = {info.name: info.dtype for info in net.graph.inputs}
        session.run(None, {name: np.ones(shape, types[name]) for name, shape in feeds.items()})
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
    heads += ["unknown", "bare ms", "layers / bare", "kernels of a run / bare"]
    print("|", " | ".join(heads), f"|\n|---|{'---:|' * (len(heads) - 1)}")
    for name in chosen.networks:
        for threads in chosen.threads:
            with cnntool.load_model(name, device="cpu", threads=threads) as net:
                try:
                    found = net.profile(size=size, runs=chosen.runs)
                except CnntoolError as error:
                    print(f"| {Path(name).stem} | {error} |")
                    continue
                count, named = own_names(net, found.input)
            rows = found.layers
            parts = {"file": 0, "inserted": 0, "unknown": 0}
            for row in rows:
                number = sum(int(k.split()[0]) if " " in k else 1 for k in row.kernels)
                inserted = "inserted" if row.tensor else "unknown"
                parts[inserted if row.layer.startswith("inserted: ") else "file"] += number
            assert sum(parts.values()) == count, (parts, count)
            cells = [
                Path(name).stem, threads, count, named, *parts.values(), f"{found.bare:.2f}",
                f"{found.total / found.bare:.3f}", f"{found.summed / found.bare:.3f}",
            ]  # fmt: skip
            print("|", " | ".join(map(str, cells)), "|", flush=True)


if __name__ == "__main__":
    main()
