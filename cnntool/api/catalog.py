"""What is known of networks: records of their manifests, and of files that have none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.errors import ModelError
from cnntool.nets.models.catalog import CatalogEntry
from cnntool.nets.models.manifest import ModelSpec, shipped_models, user_models

if TYPE_CHECKING:
    from pathlib import Path

    from cnntool.nets.file.graph import Graph
    from cnntool.nets.inference.presets import Overrides

IMAGENET = "imagenet-1k.tsv"


def state(entry: CatalogEntry) -> str:
    """Return one word: where the network's file is."""
    if not entry.present:
        return "absent"
    if entry.spec.size not in (None, entry.file.stat().st_size):
        return "damaged"
    if entry.bundled:
        return "built-in"
    return "added" if not entry.shipped and entry.file.parent == user_models() else "here"


def summary(entry: CatalogEntry) -> dict[str, Any]:
    """Return what a list says of a network, ready for JSON."""
    spec = entry.spec
    return {
        "name": spec.name,
        "title": spec.title,
        "state": state(entry),
        "size": spec.size,
        "kind": spec.output.kind,
        "classes": spec.labels.classes if spec.labels else None,
        "top1": spec.accuracy.top1,
        "top5": spec.accuracy.top5,
        "licence": spec.licence,
        "file": str(entry.file) if entry.present else None,
    }


def record(entry: CatalogEntry) -> dict[str, Any]:
    """Return all of a manifest, ready for JSON."""
    spec = entry.spec
    return summary(entry) | {
        "manifest": str(spec.manifest),
        "sha256": spec.sha256,
        "urls": spec.urls,
        "source": spec.source,
        "date": spec.date,
        "note": spec.note,
        "input": spec.input._asdict(),
        "output": spec.output._asdict(),
        "labels": spec.labels and spec.labels._asdict(),
        "layers": dict(spec.layers),
        "accuracy": spec.accuracy._asdict(),
        "training": dict(spec.training),
    }


class Draft(NamedTuple):
    """A manifest, and what had to be assumed to write it."""

    spec: ModelSpec
    assumed: tuple[str, ...]


def describe(
    path: Path,
    *,
    name: str | None = None,
    beside: ModelSpec | None = None,
    overrides: Overrides | None = None,
    alone: bool = True,
    graph: Graph | None = None,
) -> Draft:
    """Write down what a network's graph, the manifest beside it and the user say of it.

    Parameters
    ----------
    path : Path
        An ONNX file.
    name : str, optional
        The default is the manifest's, else the file's stem in lower case.
    beside : ModelSpec, optional
        The manifest that lies beside the file.
    overrides : Overrides, optional
        What the user says.
    alone : bool
        Refuse a network whose weights lie in other files too.
    graph : Graph, optional
        What is in the file, if that is known already.

    Raises
    ------
    ModelError
        The file is no network that takes a picture, or does not lie in one file.
    UsageError
        An override does not suit.
    """
    from cnntool.nets.file.graph import read_graph
    from cnntool.nets.inference.infer_spec import infer_spec
    from cnntool.nets.inference.presets import Overrides
    from cnntool.nets.models.labels import read_labels

    graph = graph or read_graph(path)
    others = {weight.file.name for weight in graph.weights.values()} - {path.name}
    if alone and others:
        raise ModelError(
            f"its weights lie in {min(others)} too",
            source=str(path),
            hint="`link` leaves the files where they are",
        )
    plan = infer_spec(graph, beside, overrides or Overrides(), name=str(path))
    stem = re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("._-")
    name = name or (beside.name if beside else stem)
    base = beside or ModelSpec(
        name=name,
        title=path.stem,
        file=path.name,
        sha256=None,
        size=None,
        urls=(),
        licence="unknown",
        source=str(path.resolve()),
        input=plan.input,
        output=plan.output,
    )
    note = base.note
    if plan.assumed:
        note = f"Assumed: {', '.join(plan.assumed)}."
    shared = read_labels(shipped_models() / "labels" / IMAGENET)
    spec = base._replace(
        name=name,
        input=plan.input,
        output=plan.output,
        labels=plan.labels,
        labels_file=IMAGENET if plan.labels == shared else None,
        note=note,
    )
    return Draft(spec, plan.assumed)


class FileFacts(NamedTuple):
    """What a file says that has no manifest, and what would be assumed of it.

    Attributes
    ----------
    file : Path
        An ONNX file.
    graph : Graph
        What is in it.
    kinds : tuple of str
        What its outputs are.
    draft : Draft or None
        The manifest that it would get.
    reason : str or None
        Why it gets none.
    """

    file: Path
    graph: Graph
    kinds: tuple[str, ...]
    draft: Draft | None
    reason: str | None

    def record(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        graph, known = self.graph, {}
        if self.draft:
            known = record(CatalogEntry(self.draft.spec, self.file, shipped=False, bundled=False))
        outputs = zip(graph.outputs, self.kinds, strict=True)
        return known | {
            "file": str(self.file),
            "size": self.file.stat().st_size,
            "manifest": None,
            "producer": graph.producer,
            "ir_version": graph.ir_version,
            "opset": graph.opset,
            "inputs": [tensor._asdict() for tensor in graph.inputs],
            "outputs": [tensor._asdict() | {"kind": kind} for tensor, kind in outputs],
            "assumed": self.draft.assumed if self.draft else [],
            "reason": self.reason,
        }


def file_facts(file: Path) -> FileFacts:
    """Find out what a file says that has no manifest.

    Raises
    ------
    ModelError
        When it cannot be read. Of one that takes no picture the reason is told.
    """
    from cnntool.nets.file.graph import read_graph
    from cnntool.nets.inference.infer_spec import meaning

    graph = read_graph(file)
    kinds = tuple(meaning(graph, tensor).kind for tensor in graph.outputs)
    try:
        return FileFacts(file, graph, kinds, describe(file, alone=False, graph=graph), None)
    except ModelError as error:
        return FileFacts(file, graph, kinds, None, error.message)
