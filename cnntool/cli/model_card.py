"""A manifest for people and for programs."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from cnntool.nets.places import user_models

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cnntool.nets.catalog import Entry
    from cnntool.nets.spec import Accuracy, InputSpec, ModelSpec, OutputSpec

_WIDTH = 12
_SHOWN = 12
_LISTED = 100
"""Classes up to which all are named; of more, the first `_SHOWN`."""


def state(entry: Entry) -> str:
    """Return one word: where the network's file is."""
    if not entry.present:
        return "absent"
    if entry.spec.size not in (None, entry.file.stat().st_size):
        return "damaged"
    if entry.bundled:
        return "built-in"
    return "added" if not entry.shipped and entry.file.parent == user_models() else "here"


def summary(entry: Entry) -> dict[str, Any]:
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


def record(entry: Entry) -> dict[str, Any]:
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


def lines(entry: Entry) -> Iterator[str]:
    """Yield the lines that show a manifest."""
    spec = entry.spec
    for key, values in (
        (spec.name, [spec.title]),
        ("note", [spec.note]),
        ("file", _file(entry)),
        ("sha256", [spec.sha256]),
        ("licence", [spec.licence]),
        ("source", [spec.source, spec.date]),
        ("addresses", spec.urls),
        ("manifest", [str(spec.manifest)]),
        ("input", [_input(spec.input)]),
        ("prepared", list(_steps(spec.input))),
        ("output", [_output(spec.output)]),
        ("classes", _labels(spec)),
        ("accuracy", _accuracy(spec.accuracy)),
        ("layers", _pairs(spec.layers)),
        ("training", _pairs(spec.training)),
    ):
        shown = [value for value in values if value]
        for number, value in enumerate(shown):
            yield f"{'' if number else key:<{_WIDTH}} {value}"


def megabytes(size: int | None) -> str:
    """Return a size for people."""
    if size is None:
        return ""
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"


def percent(share: float | None) -> str:
    """Return a share for people; empty if there is none."""
    return "" if share is None else f"{100 * share:.2f} %"


def _file(entry: Entry) -> list[str]:
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
    return text + (f", white is {spec.white:g}" if spec.kind == "image" else "")


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
