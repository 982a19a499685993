"""How many files, functions and calls between files a command takes: ``python bench/hops.py``.

What a reader has to follow, counted on the installed package with `sys.setprofile`; the bodies of
modules and classes do not count, nor does the process in which a network runs.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cnntool
from cnntool.cli.main import run

if TYPE_CHECKING:
    from types import FrameType

PACKAGE = str(Path(cnntool.__file__).parent)
CAT = str(Path(__file__).parents[1] / "samples" / "cat.png")
COMMANDS = (
    ("filter", "-k", "sobel", CAT, "-o", "sobel.png"),
    ("pool", CAT, "-o", "pooled.png"),
    ("classify", CAT),
    ("activations", "--layer", "block4_conv2", CAT, "-o", "maps.png"),
    ("trace", "--layer", "block4_conv2", "--unit", "3,5,5", CAT),
    ("conv", "224x224x3", "conv:3,f64", "pool:2"),
)


class Hops(NamedTuple):
    """What a command went through."""

    files: int
    functions: int
    calls: int


def hops(arguments: tuple[str, ...]) -> Hops:
    """Run a command line in this process and count."""
    functions: set[tuple[str, int]] = set()
    calls: set[tuple[str, int, str, int]] = set()

    def seen(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(PACKAGE):
            return
        if not code.co_flags & 1:  # CO_OPTIMIZED: a function, no body of a module or a class
            return
        functions.add((code.co_filename, code.co_firstlineno))
        caller = frame.f_back
        if caller and caller.f_code.co_filename.startswith(PACKAGE):
            before = caller.f_code
            if before.co_filename != code.co_filename:
                calls.add(
                    (
                        before.co_filename,
                        before.co_firstlineno,
                        code.co_filename,
                        code.co_firstlineno,
                    )
                )

    threading.setprofile(seen)
    sys.setprofile(seen)
    try:
        code = run(list(arguments))
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    if code:
        raise SystemExit(code)
    return Hops(len({file for file, _ in functions}), len(functions), len(calls))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for arguments in COMMANDS:
            with Path(os.devnull).open("w") as nothing, redirect_stdout(nothing):
                found = hops(arguments)
            print(
                f"{arguments[0]:12} {found.files:4} {found.functions:5} {found.calls:6}", flush=True
            )
