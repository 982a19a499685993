"""Which tensors of an exported file hold what each module of the framework computed, by value.

No name is looked at. A file runs as it stands, with every tensor as an output, on the picture that
the framework was given; a tensor that equals a module's output is what the module's name must mean.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import onnx
import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    Array = np.ndarray

TOLERANCE = 1e-3
"""Of the largest value; two runtimes differ by a tenth of it at most."""


class Call(NamedTuple):
    """One call of a module.

    Parameters
    ----------
    name, kind : str
        The module's path and its class.
    given, made : ndarray
        What went in first, and what came out first.
    """

    name: str
    kind: str
    given: Array
    made: Array


def write_record(path: Path, picture: Array, calls: Iterable[Call], *, layouts: bool) -> None:
    """Note beside a file which of its tensors is which module's output.

    ``calls`` lists the tensors for each call of the module in its order. ``fate`` says what became
    of the module: *kept*; *removed*, for what hands on its input; *merged*, for a batch norm whose
    input no tensor holds; *folded*, for what no tensor holds. ``into`` are the tensors of the batch
    norm that a folded module hands its output to, before the activation that some have inside.

    Parameters
    ----------
    path : Path
        The file; the note has the suffix ``.json``.
    picture : ndarray
        What the framework was given.
    calls : iterable of Call
        What it made of it.
    layouts : bool
        Whether the file may hold channels first what the framework holds channels last.
    """
    tensors = _run(path, picture)
    calls = list(calls)

    def holding(value: Array) -> list[str]:
        forms = [value]
        if layouts and value.ndim > 2:
            forms.append(np.moveaxis(value, -1, 1))
        return [name for name, held in tensors.items() if any(_same(held, f) for f in forms)]

    norms = [call for call in calls if "BatchNorm" in call.kind]
    record: dict[str, dict[str, object]] = {}
    for call in calls:
        held = holding(call.made)
        if call.name in record:
            record[call.name]["calls"].append(held)  # type: ignore[attr-defined]
            continue
        into = [norm for norm in norms if norm.name != call.name and _same(norm.given, call.made)]
        if _same(call.given, call.made):
            fate = "removed"
        elif not held:
            fate = "folded"
        elif "BatchNorm" in call.kind and not holding(call.given):
            fate = "merged"
        else:
            fate = "kept"
        record[call.name] = {"kind": call.kind, "fate": fate, "calls": [held]}
        if fate == "folded" and into:
            inside = [other.given for other in calls if other.name.startswith(f"{into[0].name}.")]
            record[call.name]["into"] = holding(inside[0] if inside else into[0].made)
    _spread(record)
    path.with_suffix(".json").write_text(json.dumps(record, indent=0) + "\n")


def _spread(record: Mapping[str, dict[str, object]]) -> None:
    """A container of nothing but what is no longer there is no longer there either."""
    for name, entry in sorted(record.items(), reverse=True):
        inside = [other for key, other in record.items() if key.startswith(f"{name}.")]
        fates = {other["fate"] for other in inside}
        if inside and entry["fate"] == "kept" and fates <= {"removed", "merged"}:
            entry["fate"] = "merged" if "merged" in fates else "removed"


def _same(one: Array, other: Array) -> bool:
    if one.shape != other.shape or one.dtype.kind != "f" or other.dtype.kind != "f":
        return False
    largest = np.abs(one).max(initial=0)
    return bool(np.abs(one - other).max(initial=0) <= TOLERANCE * largest)


def _run(path: Path, picture: Array) -> dict[str, Array]:
    model = onnx.load(path)
    stated = {value.name for value in model.graph.output}
    names = [name for node in model.graph.node for name in node.output if name]
    model.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names) if name not in stated
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    given = session.get_inputs()[0].name
    outputs = [output.name for output in session.get_outputs()]
    values = dict(zip(outputs, session.run(outputs, {given: picture}), strict=True))
    return {given: picture} | {k: v for k, v in values.items() if isinstance(v, np.ndarray)}
