"""A manifest, or what a file without one says, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnntool.api.catalog import state
from cnntool.cli.console import as_options
from cnntool.shapes.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cnntool.api.catalog import Draft, FileFacts
    from cnntool.nets.file.graph import TensorInfo
    from cnntool.nets.models.catalog import CatalogEntry
    from cnntool.nets.models.manifest import Accuracy, InputSpec, ModelSpec, OutputSpec

_WIDTH = 12
_LINE = 88
_SHOWN = 12
_LISTED = 100
"""Classes up to which all are named; of more, the first `_SHOWN`."""


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


def draft_as_said(draft: Draft) -> Draft:
    """Write what had to be assumed in the words of the command line."""
    if not draft.assumed:
        return draft
    spec = draft.spec._replace(note=as_options(draft.spec.note))
    return draft._replace(spec=spec, assumed=tuple(map(as_options, draft.assumed)))


def as_said(facts: FileFacts) -> FileFacts:
    """Write what had to be assumed, or why it could not be, in the words of the command line."""
    return facts._replace(
        draft=facts.draft and draft_as_said(facts.draft),
        reason=facts.reason and as_options(facts.reason),
    )


def file_lines(facts: FileFacts) -> Iterator[str]:
    """Yield the lines that show what a file says that has no manifest."""
    from cnntool.nets.inference.infer_spec import WORDS

    graph, draft = facts.graph, facts.draft
    opset = (f"{domain or 'ai.onnx'} {number}" for domain, number in graph.opset.items())
    pairs = zip(graph.outputs, facts.kinds, strict=True)
    return _laid_out(
        ("file", [str(facts.file), megabytes(facts.file.stat().st_size)]),
        ("producer", [graph.producer]),
        ("format", [f"ONNX IR version {graph.ir_version}, operators {', '.join(opset)}"]),
        ("inputs", map(_tensor, graph.inputs)),
        ("outputs", (f"{_tensor(tensor)}, {WORDS[kind]}" for tensor, kind in pairs)),
        ("manifest", ["none beside it: the rest is read from the file, or assumed"]),
        *(_use(draft.spec) if draft else ()),
        ("assumed", draft.assumed if draft else ()),
        ("not usable", [facts.reason]),
    )


def _tensor(tensor: TensorInfo) -> str:
    from cnntool.nets.inference.infer_spec import tensor_shape

    return f"{tensor.name}: {tensor.dtype or 'of unknown type'} {tensor_shape(tensor)}"


def megabytes(size: int | None) -> str:
    """Return a size for people."""
    if size is None:
        return ""
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"


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
    lines = [f"{spec.labels.classes:,}:"]
    for name in (*(f"{name}," for name in names[:-1]), names[-1]):
        if len(lines[-1]) + len(name) < _LINE:
            lines[-1] += f" {name}"
        else:
            lines.append(name)
    return lines


def _accuracy(found: Accuracy) -> list[str]:
    shares = (("top-1", found.top1), ("top-5", found.top5), ("mean IoU", found.mean_iou))
    known = ", ".join(f"{name} {100 * share:.2f} %" for name, share in shares if share is not None)
    if not known:
        return []
    photos = f" ({counted(found.photos, 'photo', ',')})" if found.photos else ""
    return [f"{known} on {found.dataset}{photos}", found.measured]


def _pairs(table: Any) -> list[str]:
    width = max(map(len, table), default=0)
    return [f"{key:<{width}}  {value}" for key, value in table.items()]
