"""A manifest, or what a file without one says, for people and for programs."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from cnntool.cli.console import as_options
from cnntool.errors import ModelError
from cnntool.nets.models.manifest import user_models

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from cnntool.nets.file.graph import TensorInfo
    from cnntool.nets.inference.import_model import Draft
    from cnntool.nets.models.catalog import CatalogEntry
    from cnntool.nets.models.manifest import Accuracy, InputSpec, ModelSpec, OutputSpec

_WIDTH = 12
_SHOWN = 12
_LISTED = 100
"""Classes up to which all are named; of more, the first `_SHOWN`."""


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
        "classes": classes(spec),
        "top1": spec.accuracy.top1,
        "top5": spec.accuracy.top5,
        "licence": spec.licence,
        "file": str(entry.file) if entry.present else None,
    }


def classes(spec: ModelSpec) -> int | None:
    """Return how many classes a network tells apart, if that is known."""
    return spec.labels.classes if spec.labels else None


def record(entry: CatalogEntry) -> dict[str, Any]:
    """Return all of a manifest, ready for JSON."""
    spec = entry.spec
    labels = spec.labels
    return summary(entry) | {
        "manifest": str(spec.manifest),
        "sha256": spec.sha256,
        "urls": spec.urls,
        "source": spec.source,
        "date": spec.date,
        "note": spec.note,
        "input": spec.input._asdict(),
        "output": spec.output._asdict(),
        "labels": labels and {"names": labels.names, "wordnet": labels.wordnet,
                              "colours": labels.colours},
        "layers": dict(spec.layers),
        "accuracy": spec.accuracy._asdict(),
        "training": dict(spec.training),
    }  # fmt: skip


def lines(entry: CatalogEntry) -> Iterator[str]:
    """Yield the lines that show a manifest."""
    spec = entry.spec
    return _laid_out(
        (spec.name, [spec.title]),
        ("note", [spec.note]),
        ("file", _file(entry)),
        ("sha256", [spec.sha256]),
        ("licence", [spec.licence]),
        ("source", [spec.source, spec.date]),
        ("addresses", spec.urls),
        ("manifest", [str(spec.manifest)]),
        *_use(spec),
        ("accuracy", _accuracy(spec.accuracy)),
        ("layers", _pairs(spec.layers)),
        ("training", _pairs(spec.training)),
    )


def _use(spec: ModelSpec) -> Iterator[tuple[str, list[str]]]:
    """Yield what goes in and what comes out."""
    yield "input", [_input(spec.input)]
    yield "prepared", list(_steps(spec.input))
    yield "output", [_output(spec.output)]
    yield "classes", _labels(spec)


def _laid_out(*rows: tuple[str, Iterable[str | None]]) -> Iterator[str]:
    for key, values in rows:
        shown = [value for value in values if value]
        for number, value in enumerate(shown):
            yield f"{'' if number else key:<{_WIDTH}} {value}"


def as_said(draft: Draft) -> Draft:
    """Write what had to be assumed in the words of the command line."""
    if not draft.assumed:
        return draft
    spec = draft.spec._replace(note=as_options(draft.spec.note))
    return draft._replace(spec=spec, assumed=tuple(map(as_options, draft.assumed)))


class Card:
    """What a file says that has no manifest, and what would be assumed of it.

    Parameters
    ----------
    file : Path
        An ONNX file.

    Raises
    ------
    ModelError
        When it cannot be read. One that takes no picture is shown, with the reason.
    """

    def __init__(self, file: Path) -> None:
        from cnntool.nets.file.graph import read_graph
        from cnntool.nets.inference.import_model import describe
        from cnntool.nets.inference.infer_spec import meaning

        self._file = file
        self._graph = read_graph(file)
        self._kinds = [meaning(self._graph, tensor).kind for tensor in self._graph.outputs]
        self._draft: Draft | None = None
        self._reason: str | None = None
        try:
            self._draft = as_said(describe(file, alone=False, graph=self._graph))
        except ModelError as error:
            self._reason = as_options(error.message)

    def record(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        from cnntool.nets.models.catalog import CatalogEntry

        graph, known = self._graph, {}
        if self._draft:
            spec = self._draft.spec
            known = record(CatalogEntry(spec, self._file, shipped=False, bundled=False))
        return known | {
            "file": str(self._file),
            "size": self._file.stat().st_size,
            "manifest": None,
            "producer": graph.producer,
            "ir_version": graph.ir_version,
            "opset": graph.opset,
            "inputs": [tensor._asdict() for tensor in graph.inputs],
            "outputs": [
                tensor._asdict() | {"kind": kind}
                for tensor, kind in zip(graph.outputs, self._kinds, strict=True)
            ],
            "assumed": self._draft.assumed if self._draft else [],
            "reason": self._reason,
        }

    def lines(self) -> Iterator[str]:
        """Yield the lines that show it."""
        from cnntool.nets.inference.infer_spec import WORDS

        graph = self._graph
        opset = (f"{domain or 'ai.onnx'} {number}" for domain, number in graph.opset.items())
        outputs = (
            f"{_tensor(tensor)}, {WORDS[kind]}"
            for tensor, kind in zip(graph.outputs, self._kinds, strict=True)
        )
        spec = self._draft.spec if self._draft else None
        return _laid_out(
            ("file", [str(self._file), megabytes(self._file.stat().st_size)]),
            ("producer", [graph.producer]),
            ("format", [f"ONNX IR version {graph.ir_version}, operators {', '.join(opset)}"]),
            ("inputs", map(_tensor, graph.inputs)),
            ("outputs", outputs),
            ("manifest", ["none beside it: the rest is read from the file, or assumed"]),
            *(_use(spec) if spec else ()),
            ("assumed", self._draft.assumed if self._draft else ()),
            ("not usable", [self._reason]),
        )


def _tensor(tensor: TensorInfo) -> str:
    from cnntool.nets.inference.infer_spec import shape_text

    return f"{tensor.name}: {tensor.dtype or 'of unknown type'} {shape_text(tensor)}"


def megabytes(size: int | None) -> str:
    """Return a size for people."""
    if size is None:
        return ""
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"


def percent(share: float | None) -> str:
    """Return a share for people; empty if there is none."""
    return "" if share is None else f"{100 * share:.2f} %"


def _file(entry: CatalogEntry) -> list[str]:
    size = megabytes(entry.spec.size)
    if entry.present:
        return [str(entry.file), f"{size}, {state(entry)}" if size else state(entry)]
    if not entry.spec.urls:
        return [f"gone: it was {entry.file}"]
    return [f"not here: 'cnntool models pull {entry.spec.name}' fetches {size}"]


def _by(pair: Sequence[int]) -> str:
    return f"{pair[0]} x {pair[1]}"


def _input(spec: InputSpec) -> str:
    size = _by(spec.size) if spec.size else "any size"
    if spec.dynamic:
        size += f", other sizes from {_by(spec.minimum)}" if spec.size else ""
    batch = "any batch" if spec.batch is None else f"batch of {spec.batch}"
    return f"{spec.name}: {spec.layout}, {spec.dtype}, {spec.channel_order}, {size}, {batch}"


def _steps(spec: InputSpec) -> Iterator[str]:
    if spec.fit == "shorter":
        yield f"the shorter side becomes {spec.resize} pixels ({spec.interpolation})"
    elif spec.fit == "stretch":
        size = (spec.resize, spec.resize) if spec.resize else spec.size or (0, 0)
        yield f"stretched to {_by(size)} ({spec.interpolation})"
    if spec.crop:
        yield f"{_by(spec.crop)} cut from the centre"
    yield f"white is {spec.white:g}"
    if any(spec.mean):
        yield f"minus {_numbers(spec.mean)}"
    if set(spec.deviation) != {1.0}:
        yield f"divided by {_numbers(spec.deviation)}"


def _numbers(values: Sequence[float]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else ", ".join(f"{v:g}" for v in values)


def _output(spec: OutputSpec) -> str:
    text = f"{spec.name or 'the first output'}: {spec.kind}"
    if spec.logits:
        text += f", logits {spec.logits}"
    if spec.background:
        text += ", a background class before the others"
    if spec.kind == "image":
        text += f", white is {spec.white:g}"
        text += f", black is {spec.black:g}" if spec.black else ""
    return text


def _labels(spec: ModelSpec) -> list[str]:
    if spec.labels is None:
        return []
    names = [name.partition(",")[0] for name in spec.labels.names]
    if len(names) > _LISTED:
        names = [*names[:_SHOWN], "..."]
    listed = ", ".join(name.replace(" ", "\xa0") for name in names)
    lines = textwrap.wrap(f"{spec.labels.classes:,}: {listed}", 88, break_on_hyphens=False)
    return [line.replace("\xa0", " ") for line in lines]


def _accuracy(found: Accuracy) -> list[str]:
    shares = (("top-1", found.top1), ("top-5", found.top5), ("mean IoU", found.mean_iou))
    known = ", ".join(f"{name} {percent(share)}" for name, share in shares if share is not None)
    if not known:
        return []
    photos = f" ({found.photos:,} photos)" if found.photos else ""
    return [f"{known} on {found.dataset}{photos}", found.measured]


def _pairs(table: Any) -> list[str]:
    width = max(map(len, table), default=0)
    return [f"{key:<{width}}  {value}" for key, value in table.items()]
