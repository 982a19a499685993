"""Make networks with real frameworks, export them, and note which tensor is which module's.

Without names those of the table are made; with ``--fixtures`` the tiny ones of the tests. Each is
made in a process of its own: frameworks count the layers that they made, and do not give memory
back.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx

if TYPE_CHECKING:
    from types import ModuleType

FIXTURES = Path(__file__).with_name("fixtures")
KEPT = ("pkg.torch.onnx.name_scopes", "pkg.torch.onnx.class_hierarchy")
"""What stays in a fixture of what PyTorch notes with a node; the rest holds paths and code."""


def _framework(kind: str) -> ModuleType:
    return importlib.import_module(f"networks_{kind}")


def make(name: str, folder: Path) -> None:
    """Make one network, export it, and note what is in the files."""
    from oracle import write_record

    framework = _framework("keras" if name.startswith("keras") else "torch")
    model, picture = framework.build(name)
    calls = framework.observe(model, picture)
    for path, layouts in framework.exports(model, picture, folder, name):
        if folder == FIXTURES:
            _strip(path)
        write_record(path, np.asarray(picture), calls, layouts=layouts)
        print(path.name, flush=True)


def _strip(path: Path) -> None:
    """Take off what is of this machine, and makes a small file large."""
    model = onnx.load(path)
    for node in model.graph.node:
        node.ClearField("doc_string")
        kept = [note for note in node.metadata_props if note.key in KEPT]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    del model.graph.value_info[:], model.graph.metadata_props[:], model.functions[:]
    onnx.save(model, path)


def main() -> int:
    """Make what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zoo", type=Path, default=FIXTURES, help="where the networks go")
    parser.add_argument("--fixtures", action="store_true", help="make those of the tests")
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    if len(given.names) == 1:
        warnings.simplefilter("ignore")
        make(given.names[0], given.zoo)
        return 0
    listing = "tiny" if given.fixtures else "names"
    names = given.names or [
        n for kind in ("torch", "keras") for n in getattr(_framework(kind), listing)()
    ]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    failed = [
        name
        for name in names
        if subprocess.run(
            [sys.executable, __file__, "--zoo", given.zoo, name],
            env=os.environ | quiet,
            check=False,
        ).returncode
    ]
    if failed:
        print("failed:", *failed)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
