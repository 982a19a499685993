"""Importing a model: a manifest for a file that somebody brings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cnntool.errors import ModelError
from cnntool.nets.file.graph import read_graph
from cnntool.nets.inference.infer_spec import infer_spec
from cnntool.nets.inference.presets import Overrides
from cnntool.nets.models.labels import read_labels
from cnntool.nets.models.manifest import ModelSpec, shipped_models

if TYPE_CHECKING:
    from pathlib import Path

    from cnntool.nets.file.graph import Graph
    from cnntool.nets.models.labels import LabelSet

IMAGENET = "imagenet-1k.tsv"


class Draft(NamedTuple):
    """A manifest, and what had to be assumed to write it."""

    spec: ModelSpec
    assumed: tuple[str, ...]


def describe(
    path: Path,
    *,
    name: str | None = None,
    beside: ModelSpec | None = None,
    overrides: Overrides = Overrides(),  # noqa: B008 - a NamedTuple does not change
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
    overrides : Overrides
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
    graph = graph or read_graph(path)
    others = {weight.file.name for weight in graph.weights.values()} - {path.name}
    if alone and others:
        raise ModelError(
            f"its weights lie in {min(others)} too",
            source=str(path),
            hint="`link` leaves the files where they are",
        )
    plan = infer_spec(graph, beside, overrides, name=str(path))
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
    spec = base._replace(
        name=name,
        input=plan.input,
        output=plan.output,
        labels=plan.labels,
        labels_file=IMAGENET if _are_imagenet(plan.labels) else None,
        note=note,
    )
    return Draft(spec, plan.assumed)


def _are_imagenet(labels: LabelSet | None) -> bool:
    return labels == read_labels(shipped_models() / "labels" / IMAGENET)
